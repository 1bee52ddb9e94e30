"""Reads a file of audit records, whoever made it, in bounded memory."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import BinaryIO, Final

from domain.audit_contract import MOST_LINE_BYTES, BreachError, RecordChain, Segment, parse_record

_TOLD_EVERY: Final = 1000


class BadRecordError(Exception):
    """The first line of a file that is wrong, by its number from 1, and why."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line


def verify_record_file(file: BinaryIO, progress: Callable[[int], None]) -> Segment:
    """Check every record of ``file``, one a line, as one segment of a chain; return what it spans.

    ``progress`` is told the number of lines now and then.

    Raises:
        BadRecordError: at the first line that is wrong.
        OSError: if the file cannot be read.
    """
    chain = RecordChain()
    with closing(_Seen()) as seen:
        for number, line in _lines(file):
            try:
                event_id = chain.check(parse_record(line))
            except BreachError as breach:
                raise BadRecordError(number, str(breach)) from None
            if not seen.add(event_id):
                raise BadRecordError(number, "event_id: stands in an earlier record too")
            if number % _TOLD_EVERY == 0:
                progress(number)
    return chain.segment


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := file.readline(MOST_LINE_BYTES + 1):
        number += 1
        if len(line) > MOST_LINE_BYTES:
            raise BadRecordError(number, f"is longer than {MOST_LINE_BYTES} bytes")
        if not line.strip():
            raise BadRecordError(number, "is empty")
        yield number, line


class _Seen:
    """The event ids of a file, in a temporary database that goes to disk when it grows."""

    def __init__(self) -> None:
        self._ids = sqlite3.connect("", isolation_level=None)
        self._ids.execute("CREATE TABLE seen (id BLOB PRIMARY KEY) WITHOUT ROWID")
        self._ids.execute("BEGIN")

    def add(self, event_id: str) -> bool:
        """Return whether the id is new."""
        digest = hashlib.sha256(event_id.encode()).digest()[:16]
        return self._ids.execute("INSERT OR IGNORE INTO seen VALUES (?)", (digest,)).rowcount == 1

    def close(self) -> None:
        self._ids.close()
