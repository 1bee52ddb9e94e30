"""How much room is left where the SQLite log lies. Of the disk of a PostgreSQL server nobody here can tell."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from domain.errors import LowDiskError

_LOOK_EVERY_S: Final = 1.0


class DiskReserve:
    """Keeps room for the outcomes of running commands by refusing new ones before the disk is full."""

    def __init__(self, path: Path | None, reserve_bytes: int, now_s: Callable[[], float] = time.monotonic) -> None:
        """Take what is needed; no ``path``, or no reserve: there is always room."""
        self._path = path
        self._reserve_bytes = reserve_bytes
        self._now_s = now_s
        self._looked_at_s: float | None = None
        self._enough = True

    def has_room(self) -> bool:
        """Return whether more than the reserve is free; looks once a second."""
        if self._path is None or not self._reserve_bytes:
            return True
        now_s = self._now_s()
        if self._looked_at_s is None or now_s - self._looked_at_s >= _LOOK_EVERY_S:
            self._looked_at_s = now_s
            self._enough = self._look(self._path)
        return self._enough

    def check(self) -> None:
        """Refuse to begin anything that the log may have no room to end.

        Raises:
            LowDiskError: less than the reserve is free.
        """
        if not self.has_room():
            left = f"less than {self._reserve_bytes >> 20} MiB left"
            raise LowDiskError(f"the disk of the event log has {left}: new commands are refused")

    def _look(self, path: Path) -> bool:
        try:
            found = os.statvfs(path if path.exists() else path.parent)
        except OSError:
            return True  # what is wrong with the file, the log itself says better
        return found.f_bavail * found.f_frsize >= self._reserve_bytes
