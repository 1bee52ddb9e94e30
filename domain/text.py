"""Caller-chosen text made safe for columns, terminals and the record hash."""

import re
import unicodedata
from typing import Final

COLUMN_LIMIT: Final = 256
"""Most characters a column keeps of a string that a caller chose."""

# Control characters, lone surrogates, line separators and bidirectional overrides: they break a table on a
# terminal, forge log lines, or have no place in the record hash.
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Return ``text`` with unsafe characters escaped as JSON escapes them, so that it cannot steer a terminal."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def column_text(text: str, limit: int = COLUMN_LIMIT) -> str:
    """Return ``text`` in NFC, without surrounding spaces, unsafe characters escaped, cut to ``limit`` characters."""
    escaped = printable(text.strip(" ")[:limit])
    return unicodedata.normalize("NFC", escaped)[:limit].strip(" ")


def optional_column_text(text: str | None, limit: int = COLUMN_LIMIT) -> str | None:
    """Return :func:`column_text` of ``text``, or None when nothing readable is left."""
    return (column_text(text, limit) or None) if text is not None else None
