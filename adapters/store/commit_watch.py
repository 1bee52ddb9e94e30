"""Tells waiting callers that the log has grown, also by other processes: what they wait for may be there now."""

import sqlite3
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psycopg

from adapters.store.location import Location
from adapters.store.postgres import CHANNEL, connect
from domain.errors import LogUnavailableError

_LOOK_EVERY_S: Final = 0.02
_LONGEST_S: Final = 1.0
"""After which a waiting caller looks for itself: a notification can be lost with its connection."""


class CommitWatch:
    """A thread that listens while somebody waits, and only then. Any thread may wait."""

    def __init__(self, location: Location, timeout_s: float) -> None:
        self._commits: Callable[[], Generator[bool, None, None]] = (
            partial(_sqlite_commits, location.path)
            if location.path
            else partial(_postgres_commits, location.url, timeout_s)
        )
        self._changed = threading.Condition()
        self._changes = 0
        self._waiting = 0
        self._listening = False

    def mark(self) -> int:
        """Return what :meth:`wait` takes, before a look at the log."""
        return self._changes

    def wait(self, mark: int, timeout_s: float) -> None:
        """Block until the log may hold more than at ``mark``, at most ``timeout_s`` seconds and never long."""
        with self._changed:
            self._waiting += 1
            if not self._listening:
                self._listening = True
                threading.Thread(target=self._listen, name="log-watch", daemon=True).start()
            self._changed.wait_for(lambda: self._changes != mark, min(timeout_s, _LONGEST_S))
            self._waiting -= 1

    def _listen(self) -> None:
        with suppress(LogUnavailableError, sqlite3.Error, psycopg.Error), closing(self._commits()) as commits:
            for changed in commits:
                if not self._tell(changed):
                    return
        with self._changed:
            self._listening = False

    def _tell(self, changed: bool) -> bool:
        """Wake those who wait, if something has changed; return whether somebody still waits."""
        with self._changed:
            if changed:
                self._changes += 1
                self._changed.notify_all()
            self._listening = self._waiting > 0
            return self._listening


def _sqlite_commits(path: Path) -> Generator[bool, None, None]:
    """Yield, every few milliseconds, whether other connections have committed.

    ``PRAGMA data_version`` moves with every commit of another connection (sqlite.org/pragma.html).
    """
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
        before = None
        while True:
            now = connection.execute("PRAGMA data_version").fetchone()[0]
            yield now != before
            before = now
            time.sleep(_LOOK_EVERY_S)


def _postgres_commits(url: str, timeout_s: float) -> Generator[bool, None, None]:
    """Yield True whenever the writers notify, which they do once per transaction that ends commands."""
    with closing(connect(url, timeout_s)) as connection:
        connection.execute(f"LISTEN {CHANNEL}".encode())
        yield True  # what was committed before is not notified
        while True:
            yield any(True for _ in connection.notifies(timeout=_LONGEST_S, stop_after=1))
