"""Sends copies of checkpoints to places that the database's owner does not control: files, syslog, standard output."""

import errno
import os
import socket
import stat
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

from domain.errors import ConfigurationError

_SYSLOG_SOCKET: Final = Path("/dev/log")
_SYSLOG_S: Final = 2.0
"""How long a daemon that takes no more is waited for."""
_AUTHPRIV_NOTICE: Final = 10 * 8 + 5
"""Facility and severity of the lines, RFC 5424 section 6.2.1."""

Copy = Callable[[str], None]
"""Sends one line; raises ``OSError`` if the place does not take it."""


def copies_to(places: str | None, *, stdout: bool) -> list[Copy]:
    """Return what sends to each of ``places``, as DOCKER_MCP_CHECKPOINTS_TO names them.

    Args:
        places: paths of files, ``syslog`` and ``stdout``, separated by commas.
        stdout: whether standard output is free; else it is left out.

    Raises:
        ConfigurationError: if a place is none of these.
    """
    copies: list[Copy] = []
    for place in filter(None, map(str.strip, (places or "").split(","))):
        if place == "stdout":
            copies += [_to_stdout] if stdout else []
        elif place == "syslog":
            copies.append(partial(to_syslog, _SYSLOG_SOCKET))
        elif place.startswith(("/", "~")):
            copies.append(partial(to_file, Path(os.path.expanduser(place))))  # noqa: PTH111 (never raises)
        else:
            raise ConfigurationError(
                "DOCKER_MCP_CHECKPOINTS_TO names a place that is not known",
                hint="write absolute paths, syslog or stdout, separated by commas",
            )
    return copies


def send(copies: Sequence[Copy], line: str) -> list[str]:
    """Send ``line`` everywhere; return what went wrong."""
    problems = []
    for copy in copies:
        try:
            copy(line)
        except OSError as error:
            problems.append(f"a copy of a checkpoint could not be kept: {error}")
    return problems


def to_file(path: Path, line: str) -> None:
    """Append ``line`` durably to a file that only its owner can read, or write it to a pipe that somebody reads."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Whoever sends copies also checks the log, and must not wait for a reader that is not there.
    descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_NONBLOCK, 0o600)
    try:
        content = line.encode() + b"\n"
        if os.write(descriptor, content) < len(content):  # one write: lines of several processes do not mix
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def to_syslog(address: Path, line: str) -> None:
    """Send ``line`` to the local syslog daemon, RFC 3164."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as daemon:
        daemon.settimeout(_SYSLOG_S)
        daemon.connect(str(address))
        daemon.send(f"<{_AUTHPRIV_NOTICE}>docker-mcp: {line}".encode())


def _to_stdout(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
