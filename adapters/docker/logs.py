"""Keeps the newest lines of a log stream within limits, without holding the stream."""

from collections import deque
from collections.abc import Iterable, Iterator


class NewestLines:
    """Collects lines; forgets the oldest beyond ``most_lines`` or ``most_bytes``."""

    def __init__(self, most_lines: int, most_bytes: int) -> None:
        self._most_lines = most_lines
        self._most_bytes = most_bytes
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self.seen = 0
        self.cut = False

    def add(self, line: bytes) -> None:
        self.seen += 1
        if len(line) > self._most_bytes:
            line, self.cut = line[-self._most_bytes :], True
        self._lines.append(line)
        self._bytes += len(line)
        while len(self._lines) > self._most_lines or self._bytes > self._most_bytes:
            self._bytes -= len(self._lines.popleft())

    def text(self) -> list[str]:
        """Return the lines as text; bytes that are no UTF-8 show as U+FFFD."""
        return [line.decode("utf-8", "replace") for line in self._lines]


def split_lines(chunks: Iterable[bytes], longest: int) -> Iterator[bytes]:
    """Yield the lines of a stream without their ends; of a line longer than ``longest`` bytes only the last part."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r")
        rest = rest[-longest:]
    if rest:
        yield rest.removesuffix(b"\r")
