"""Patterns of the auth file: ``*`` stands for any text, ``?`` for any character, all else for itself."""

from fnmatch import fnmatchcase


def matches(text: str, pattern: str) -> bool:
    """Return whether the whole of ``text`` fits ``pattern``."""
    return pattern == "*" or fnmatchcase(text, pattern.replace("[", "[[]"))
