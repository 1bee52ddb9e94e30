"""Tells people at a terminal, on stderr, how far something long has come."""

import time
from typing import Final

import typer

_FIRST_AFTER_S: Final = 2.0
_EVERY_S: Final = 2.0


class Progress:
    """Says nothing for the first two seconds, then a line every two: ``rebuild: 120,000 of 500,000 events (24 %)``."""

    def __init__(self, what: str, things: str = "events", total: int | None = None) -> None:
        """Begin to count.

        Args:
            what: what takes long.
            things: what is counted.
            total: how many there are, where :meth:`add` counts them.
        """
        self._what = what
        self._things = things
        self._total = total
        self._done = 0
        self._next_at = time.monotonic() + _FIRST_AFTER_S

    def add(self, count: int) -> None:
        """Take note that ``count`` more are done."""
        self._done += count
        self(self._done, self._total)

    def __call__(self, done: int, total: int | None = None) -> None:
        """Take note that ``done`` of ``total`` (None: of nobody knows how many) are done."""
        now = time.monotonic()
        if now < self._next_at:
            return
        self._next_at = now + _EVERY_S
        of = f" of {total:,} {self._things} ({done * 100 // max(1, total)} %)" if total else f" {self._things}"
        typer.echo(f"{self._what}: {done:,}{of}", err=True)
