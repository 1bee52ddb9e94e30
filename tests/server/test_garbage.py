"""A server does not look for garbage where there is none."""

import subprocess
import sys

_PROGRAM = """
import gc
from server.garbage import spare_what_lives_on
before = gc.get_threshold()[0]
spare_what_lives_on()
print(gc.get_freeze_count() > 1000, gc.get_threshold()[0] > before, gc.isenabled())
"""


def test_what_is_loaded_is_never_looked_at_again_and_the_rest_less_often() -> None:
    found = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["True", "True", "True"]
