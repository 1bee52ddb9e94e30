"""Reads a caller's ``compose_file``, below the directories that the operator allows and nowhere else."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from domain.catalogue.stacks import MOST_YAML
from domain.errors import InvalidArgumentsError

_HINT: Final = "DOCKER_MCP_COMPOSE_ROOTS names the directories that may be read; leave compose_file out otherwise"


class OutsideRootsError(InvalidArgumentsError):
    """The file is not below an allowed directory."""

    code = "outside_roots"


def read_compose_file(name: str, roots: Sequence[Path]) -> str | None:
    """Return the text of the file, None if ``name`` is relative and names no file below ``roots``.

    Raises:
        OutsideRootsError: symlinks and ``..`` resolved, it is not below any of ``roots``.
        InvalidArgumentsError: it cannot be read as text, or is too large.
    """
    if "\0" in name:
        raise InvalidArgumentsError("compose_file holds a NUL character")
    given = Path(name)
    outside = False
    for root in [Path("/")] if given.is_absolute() else roots:
        try:
            found = (root / given).resolve(strict=True)
        except (OSError, RuntimeError):
            continue
        if any(found.is_relative_to(root.resolve()) for root in roots):
            return _read(found)
        outside = True
    if outside or given.is_absolute() or ".." in given.parts:
        raise OutsideRootsError("compose_file is not a file below an allowed directory", hint=_HINT)
    return None


def _read(path: Path) -> str:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InvalidArgumentsError("compose_file is not a regular file")
            content = file.read(MOST_YAML + 1)
    except OSError as error:
        raise InvalidArgumentsError(f"compose_file cannot be read: {error.strerror}") from error
    if len(content) > MOST_YAML:
        raise InvalidArgumentsError(f"compose_file is larger than {MOST_YAML} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise InvalidArgumentsError("compose_file is not UTF-8 text") from None
