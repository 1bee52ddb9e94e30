"""Finds Docker's Compose plugin."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from domain.errors import DockerMcpError

_NAME: Final = "docker-compose"
_DIRECTORIES: Final = (
    "~/.docker/cli-plugins",
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)
"""Where Docker's command line looks for plugins."""
_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)[\w.+~-]*")
_VERSION_TIMEOUT_S: Final = 20


class ComposeMissingError(DockerMcpError):
    """Docker Compose v2 is not installed here."""

    code = "compose_missing"
    hint = (
        "install the package docker-compose-plugin (from Docker), docker-compose (Debian 13) or docker-compose-v2 "
        "(Ubuntu), or name the binary in DOCKER_MCP_COMPOSE; all other tools work without it"
    )


def find_plugin(named: str | None) -> tuple[Path, str]:
    """Return the plugin's binary and its version; ``named`` is the only place looked at if it is given.

    Raises:
        ComposeMissingError: if there is none, or only version 1.
    """
    places = [named] if named else [*(f"{directory}/{_NAME}" for directory in _DIRECTORIES), shutil.which(_NAME)]
    found: list[str] = []
    for place in filter(None, places):
        path = Path(os.path.expanduser(place))  # noqa: PTH111 (Path.expanduser would raise for an unknown user)
        if path.is_file() and os.access(path, os.X_OK):
            version = _version(path)
            if version and int(version.group(1)) >= 2:
                return path.absolute(), version.group(0)
            found.append(str(path))
    if found:
        raise ComposeMissingError(f"not Docker Compose v2: {', '.join(found)}")
    raise ComposeMissingError(f"no Docker Compose v2 at {named}" if named else None)


def _version(path: Path) -> re.Match[str] | None:
    try:
        asked = subprocess.run(  # noqa: S603 (a fixed command of a file that the operator installed)
            [path, "version", "--short"],
            capture_output=True,
            timeout=_VERSION_TIMEOUT_S,
            check=False,
            env={},
            text=True,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return _VERSION.search(asked.stdout)
