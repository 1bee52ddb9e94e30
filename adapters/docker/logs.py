"""Keeps the newest lines of a log stream within limits, without holding the stream."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from domain.token_shapes import masked

ENTRY_BYTES: Final = 16 * 1024
"""Where the engine cuts a long line into entries; where it is asked for a number of lines, it counts entries."""


class Shown(NamedTuple):
    """Lines as they are shown. ``masked`` is None if nothing in them was; ``cut`` says that some were left out."""

    lines: list[str]
    masked: int | None
    cut: bool


def shown(lines: Sequence[tuple[str, str]], most_bytes: int) -> Shown:
    """Return the newest ``lines``, each of a head and a text, with credentials in their texts masked.

    Of a newest line that alone is too long, the end is kept.
    """
    kept: list[str] = []
    size, count, cut = 0, 0, False
    for head, text in reversed(lines):
        safe, found = masked(text)
        size += len((head + safe).encode())
        if cut := size > most_bytes:
            if kept:
                break
            safe = _end(safe, most_bytes - len(head.encode()))
        kept.append(head + safe)
        count += found
        if cut:
            break
    return Shown(kept[::-1], count or None, cut)


def _end(text: str, most_bytes: int) -> str:
    encoded = text.encode()
    return encoded[max(0, len(encoded) - max(0, most_bytes)) :].decode(errors="ignore")


class NewestLines:
    """Collects the lines that contain ``wanted``; forgets the oldest beyond ``most_lines`` or ``most_bytes`` of text.

    The first ``stamp_bytes`` of a line, its time, are kept apart and not searched.

    Attributes:
        entries: how many entries of the engine's log were read.
        matched: how many lines contain ``wanted``.
        cut: whether of a kept line only the last part is kept.
    """

    def __init__(self, most_lines: int, most_bytes: int, wanted: bytes = b"", *, stamp_bytes: int = 0) -> None:
        self._most_lines = most_lines
        self._most_bytes = most_bytes
        self._wanted = wanted
        self._stamp_bytes = stamp_bytes
        self._window = max(most_bytes + len(b"\r"), len(wanted))
        self._lines: deque[tuple[bytes, str, int]] = deque()
        self._bytes = 0
        self._part = b""  # the end of the line that is being read
        self._stamp = b""
        self._length = 0
        self._found = False
        self.entries = 0
        self.matched = 0
        self.cut = False

    def read(self, chunks: Iterable[bytes]) -> None:
        """Read a whole stream; its chunks may end anywhere."""
        for chunk in chunks:
            first, *more = chunk.split(b"\n")
            self._grow(first)
            for part in more:
                self._end()
                self._grow(part)
        if self._length or self._stamp:
            self._end()

    def lines(self) -> list[str]:
        """Return the lines without their ends; bytes that are no UTF-8 show as U+FFFD."""
        return [text for _, text, _ in self._lines]

    def stamped_lines(self) -> list[tuple[bytes, str]]:
        """Return the lines, each with its stamp."""
        return [(stamp, text) for stamp, text, _ in self._lines]

    def _grow(self, part: bytes) -> None:
        if missing := self._stamp_bytes - len(self._stamp):
            self._stamp, part = self._stamp + part[:missing], part[missing:]
        self._part += part
        self._length += len(part)
        if len(self._part) > self._window:
            self._found = self._found or self._wanted in self._part
            self._part = self._part[-self._window :]

    def _end(self) -> None:
        self.entries += 1 + self._length // ENTRY_BYTES
        if self._found or self._wanted in self._part:
            self._keep(self._part.removesuffix(b"\r").decode(errors="replace"), cut=self._length > len(self._part))
        self._part, self._stamp, self._length, self._found = b"", b"", 0, False

    def _keep(self, text: str, *, cut: bool) -> None:
        self.matched += 1
        encoded = text.encode()
        if len(encoded) > self._most_bytes:
            encoded, cut = encoded[-self._most_bytes :], True
            text = encoded.decode(errors="ignore")
        self.cut = self.cut or cut
        self._lines.append((self._stamp, text, len(encoded)))
        self._bytes += len(encoded)
        while len(self._lines) > self._most_lines or self._bytes > self._most_bytes:
            self._bytes -= self._lines.popleft()[2]
