"""Are the stored snapshots of the world what the log yields? And made anew, if not."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from adapters.store.beside import Beside
from adapters.store.location import Location
from adapters.store.snapshot import Snapshot, open_snapshot
from adapters.store.world_log import EVERY, Progress, Row, WorldLog, no_progress, saver
from domain.canonical import sha256_hex
from domain.events import RecordedEvent
from domain.projections.read_models import Difference
from domain.replay.fold import fold
from domain.replay.world import FORM, World
from domain.stream_check import Last

MODEL: Final = "world_snapshot"

_STORED: Final = "SELECT position, form, event_hash, state FROM world_snapshot WHERE position = ?"
_POSITIONS: Final = "SELECT position FROM world_snapshot ORDER BY position"


class WorldSnapshotCheck:
    """Part of a verification: folds the log and compares each snapshot where the fold passes it."""

    name = MODEL
    needs_whole = True

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._world: World | None = World()
        self._left = [int(position) for (position,) in snapshot.query(_POSITIONS)]
        self._problems: list[str] = []

    def observe(self, events: Sequence[RecordedEvent]) -> None:
        """Fold the next records, as long as there is a snapshot to compare."""
        for event in events:
            if self._world is None or not self._left:
                return
            try:
                fold(self._world, event)
            except (AttributeError, KeyError, TypeError, ValueError):
                self._problems.append("cannot be checked: records before do not have the form of records")
                self._world = None
                return
            if event.position == self._left[0]:
                self._compare(self._world, event.event_hash)

    def problems(self, _open_commands: dict[str, Last]) -> Iterator[str]:
        yield from self._problems
        if self._world is not None:
            yield from (f"holds position {position}, where the log has no record" for position in self._left)

    def _compare(self, world: World, event_hash: str) -> None:
        position = self._left.pop(0)
        stored = self._snapshot.query(_STORED, position)[0]
        if stored[1] == FORM and tuple(stored) != (position, FORM, event_hash, world.snapshot()):
            self._problems.append(f"at position {position} is not what the log yields")


def check_world(location: Location, timeout_s: float, progress: Progress = no_progress) -> list[Difference]:
    """Fold the log from its first event and return which snapshots are not what it yields. Changes nothing."""
    with open_snapshot(location, timeout_s) as snapshot:
        return _compared(snapshot, _digests(snapshot), lambda _row: None, progress)


def rebuild_world(location: Location, timeout_s: float, progress: Progress = no_progress) -> list[Difference]:
    """Fold the log from its first event, put every snapshot in its place anew, and return what was different.

    Raises:
        LogUnavailableError: if the database does not answer.
    """
    with open_snapshot(location, timeout_s) as snapshot:
        stored = _digests(snapshot)
        with Beside(location, timeout_s) as beside:
            beside.change("DELETE FROM world_snapshot")
        return _compared(snapshot, stored, saver(location, timeout_s), progress)


def _digests(snapshot: Snapshot) -> dict[int, str]:
    return {row[0]: sha256_hex(repr(row).encode()) for row in _stored(snapshot)}


def _compared(
    snapshot: Snapshot, stored: dict[int, str], save: Callable[[Row], None], progress: Progress
) -> list[Difference]:
    found: list[Difference] = []

    def see(row: Row) -> None:
        save(row)
        before, now = stored.pop(row[0], None), sha256_hex(repr(row).encode())
        if before not in (None, now):
            found.append(_difference(row[0], "another world", "its own"))

    log = WorldLog(snapshot, see)
    log.at(log.head() // EVERY * EVERY, progress, from_start=True)
    return found + [_difference(position, "a world", None) for position in stored]


def _stored(snapshot: Snapshot) -> Iterator[Row]:
    """Yield the snapshots one by one: together they may be large. One of an older form counts as none."""
    for (position,) in snapshot.query(_POSITIONS):
        for at, form, event_hash, state in snapshot.query(_STORED, position):
            if form == FORM:
                yield at, form, event_hash, state


def _difference(position: int, stored: str, folded: str | None) -> Difference:
    return Difference(MODEL, f"at position {position}", stored, folded)
