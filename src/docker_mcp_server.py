"""A stdio server from a checkout, for a client whose configuration names a file that Python runs."""

import os
import sys
from pathlib import Path

_SCRIPT = str(Path(__file__).resolve().parents[1] / "cli/dev-server.sh")

os.execv(_SCRIPT, [_SCRIPT, "stdio", *sys.argv[1:]])  # noqa: S606 (a path of this checkout)
