"""Exit codes of the command line."""

from enum import IntEnum


class Exit(IntEnum):
    """What a command's exit code says."""

    OK = 0
    FAILED = 1
    USAGE = 2
    TAMPERED = 3
    NOT_CHECKED = 4
