"""The world at any position of the log: the nearest snapshot before it, and a fold of what came after.

Snapshots stand at multiples of :data:`EVERY`. One is made when a replay first passes there, or by a server in the
background. It names the record that it was folded up to, so that one of another log is never used.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from adapters.store.beside import Beside
from adapters.store.location import Location
from adapters.store.session import EVENT_SQL
from adapters.store.snapshot import Snapshot, hash_at, open_snapshot
from domain.errors import DockerMcpError
from domain.events import RecordedEvent
from domain.replay.fold import FOLDED_TYPES, READS, fold
from domain.replay.world import FORM, World, restored_world

EVERY: Final = 20_000
"""Positions between two snapshots: as many as are folded well within a second, also on a busy machine."""

_MOST_AT_ONCE: Final = 5
"""Snapshots that a server makes in one go: it has calls to answer."""
_STEP: Final = 10_000
"""Positions that one question covers: a narrow range is read by its index, whatever the planner knows."""
_BATCH: Final = 500
_SAVE_LIMIT_S: Final = 1.0
"""A snapshot that cannot be stored at once is made again by whoever comes next."""

Progress = Callable[[int, int | None], None]


def no_progress(_done: int, _total: int | None) -> None:
    """Tell nobody."""


class WorldPart(NamedTuple):
    """The columns of an event that a fold of the world reads."""

    position: int
    stream: str
    type: str
    occurred_at_ms: int
    principal: str
    role: str
    tool: str | None
    object: str | None
    status: str | None
    data: str
    event_hash: str


def _listed(words: Sequence[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


CHANGES_SQL: Final = f"type IN ({_listed(FOLDED_TYPES)}) AND (tool IS NULL OR tool NOT IN ({_listed(READS)}))"
_PARTS_SQL: Final = (
    f"SELECT {', '.join(WorldPart._fields)} FROM event WHERE position > ? AND position <= ? AND {CHANGES_SQL}"  # noqa: S608
)
_NEAREST_SQL: Final = (
    "SELECT position, event_hash, state FROM world_snapshot WHERE position <= ? AND form = ? "
    "ORDER BY position DESC LIMIT 1"
)
_SAVE_SQL: Final = (
    "INSERT INTO world_snapshot (position, form, event_hash, state) VALUES (?, ?, ?, ?) ON CONFLICT (position) "
    "DO UPDATE SET form = excluded.form, event_hash = excluded.event_hash, state = excluded.state"
)

Row = tuple[int, int, str, str]
"""Position, form, hash and text of a snapshot."""


class WorldLog:
    """Answers from one moment of the log. ``only_of``: from the records of one principal alone, as if it were alone."""

    def __init__(self, snapshot: Snapshot, save: Callable[[Row], None] = lambda _row: None, only_of: str | None = None):
        """Take a moment of the log, and what stores a snapshot on the way."""
        self._snapshot = snapshot
        self._save = save
        self._only_of = only_of

    def head(self) -> int:
        """Return the position of the newest event, 0 for an empty log."""
        return int(self._snapshot.query("SELECT coalesce(max(position), 0) FROM event")[0][0])

    def time_at(self, position: int) -> int:
        """Return when the event at a position was recorded, 0 if there is none."""
        rows = self._snapshot.query("SELECT occurred_at_ms FROM event WHERE position = ?", position)
        return int(rows[0][0]) if rows else 0

    def position_at(self, moment_ms: int) -> int:
        """Return the position of the last event at a time or before, 0 if there is none."""
        sql = "SELECT position FROM event WHERE occurred_at_ms > ? ORDER BY occurred_at_ms, position LIMIT 1"
        rows = self._snapshot.query(sql, moment_ms)
        return int(rows[0][0]) - 1 if rows else self.head()

    def at(self, position: int, progress: Progress = no_progress, *, from_start: bool = False) -> World:
        """Return the world after the event at ``position``; ``from_start``: folded without a snapshot."""
        world = World() if self._only_of or from_start else self._nearest(position)
        begin = world.position
        while world.position < position:
            end = min(position, (world.position // EVERY + 1) * EVERY)
            self._fold(world, end)
            if end % EVERY == 0 and not self._only_of:
                self._save(snapshot_row(self._snapshot, world))
            progress(end - begin, position - begin)
        return world

    def events(self, after: int, last: int) -> Iterator[Sequence[RecordedEvent]]:
        """Yield the events beyond ``after`` and up to ``last`` in batches, in order."""
        own = " AND principal = ?" if self._only_of else ""
        more = [self._only_of] if self._only_of else []
        for begin in range(after, last, _BATCH):
            sql = f"{EVENT_SQL} WHERE position > ? AND position <= ?{own} ORDER BY position"
            rows = self._snapshot.query(sql, begin, min(last, begin + _BATCH), *more)
            yield list(map(RecordedEvent._make, rows))

    def stream(self, stream: str) -> list[RecordedEvent]:
        """Return the events of one stream in order; none if they are not the principal's own."""
        rows = self._snapshot.query(f"{EVENT_SQL} WHERE stream = ? ORDER BY stream_version", stream)
        found = list(map(RecordedEvent._make, rows))
        return [] if self._only_of and any(event.principal != self._only_of for event in found) else found

    def _nearest(self, position: int) -> World:
        """Return the world of the nearest snapshot that is one of this log and can be read, else an empty one."""
        below = position
        while rows := self._snapshot.query(_NEAREST_SQL, below, FORM):
            at, event_hash, text = rows[0]
            if hash_at(self._snapshot, at) == event_hash:
                try:
                    return restored_world(text)
                except ValueError:
                    pass  # `docker-mcp rebuild` tells
            below = at - 1
        return World()

    def _fold(self, world: World, end: int) -> None:
        own = " AND principal = ?" if self._only_of else ""
        more = [self._only_of] if self._only_of else []
        for begin in range(world.position, end, _STEP):
            last = min(end, begin + _STEP)
            for row in self._snapshot.query(f"{_PARTS_SQL}{own} ORDER BY position", begin, last, *more):
                fold(world, WorldPart._make(row))
        world.position, world.at_ms = end, self.time_at(end)


def snapshot_row(snapshot: Snapshot, world: World) -> Row:
    """Return a world as a row of its table."""
    return world.position, FORM, hash_at(snapshot, world.position) or "", world.snapshot()


def saver(location: Location, timeout_s: float) -> Callable[[Row], None]:
    """Return what stores snapshots beside the log; a database that cannot be written does without."""

    def save(row: Row) -> None:
        try:
            with Beside(location, min(timeout_s, _SAVE_LIMIT_S)) as beside:
                beside.change(_SAVE_SQL, *row)
        except DockerMcpError:
            return  # the next replay folds again

    return save


def keep_snapshots(location: Location, timeout_s: float) -> int:
    """Make the next snapshots that are missing at the end of the log, a few at most; return how many."""
    with open_snapshot(location, timeout_s) as snapshot:
        log = WorldLog(snapshot, save := _Counting(saver(location, timeout_s)))
        newest = snapshot.query("SELECT coalesce(max(position), 0) FROM world_snapshot WHERE form = ?", FORM)[0][0]
        due = min(log.head() // EVERY, newest // EVERY + _MOST_AT_ONCE) * EVERY
        if newest < due:
            log.at(due)
    return save.count


class _Counting:
    def __init__(self, save: Callable[[Row], None]) -> None:
        self._save = save
        self.count = 0

    def __call__(self, row: Row) -> None:
        self._save(row)
        self.count += 1
