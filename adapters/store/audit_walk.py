"""The statements behind an audit query: which commands fit, found by walking an index from the newest down.

A walk reads one index over the final events in its order. Filters that the index does not serve are applied to what it
reads, and then it reads a bounded number of entries. Several values of an indexed column are several walks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    FromClause,
    Integer,
    Label,
    Select,
    func,
    literal,
    literal_column,
    select,
    text,
    tuple_,
    union_all,
)

from adapters.store.reader import EVENT, OPEN_COMMAND
from adapters.store.session import FINAL_SQL
from adapters.store.tables import AUDIT_FILTERS
from domain.lifecycle import FINAL

_FIRST: Final = EVENT.alias("first")
_LATEST: Final = EVENT.alias("latest")
# Not a join: that would leave open which of the two is looked up for the other.
_began_at: Final = (
    select(_FIRST.c.position).where(_FIRST.c.stream == _LATEST.c.stream, _FIRST.c.stream_version == 1).scalar_subquery()
)
_STILL_OPEN: Final = (
    select(_LATEST.c.position).select_from(OPEN_COMMAND).join(_LATEST, _LATEST.c.position == OPEN_COMMAND.c.position)
)
_ENDED: Final = select(_LATEST.c.position).where(_LATEST.c.status.in_(sorted(FINAL)))
_HEAD: Final = select(func.max(EVENT.c.position)).scalar_subquery().label("head")
_ASKED: Final = select(EVENT.c.position, EVENT.c.occurred_at_ms, _HEAD).where(EVENT.c.stream_version == 1)

Filters = Mapping[str, tuple[str, ...]]
"""The values that a column may have; columns that are not named may have any."""


@dataclass(frozen=True, slots=True)
class Window:
    """Log positions from ``low`` on, below ``high``."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Walk:
    """The commands that have ended, in a window: which fit, and how far down was looked.

    Attributes:
        filters: what they have to fit.
        window: where to look.
        most: how many are wanted.
        scan: most index entries to read if the index does not serve all filters.
        rows: whether the database compares rows of values by an index (PostgreSQL does, SQLite by their first only).
    """

    filters: Filters
    window: Window
    most: int
    scan: int
    rows: bool

    @property
    def branches(self) -> list[tuple[str, ...]]:
        """The values of the index's columns: one walk for each."""
        return list(product(*(self.filters[column] for column in self._columns)))

    def found(self) -> CompoundSelect[Any] | Select[Any]:
        """Return the statement for ``branch, position`` of the newest that fit: at most ``most`` of each branch."""
        return _together(self._found(number, values) for number, values in enumerate(self.branches))

    def reached(self, branches: Sequence[int]) -> CompoundSelect[Any] | Select[Any]:
        """Return the statement for the position of the last entry that a walk may read, of branches that have one."""
        all_branches = self.branches
        share = self._share()
        return _together(self._entries(all_branches[number]).limit(1).offset(share - 1) for number in branches)

    @property
    def is_bounded(self) -> bool:
        """Whether a walk may end before its index does."""
        return bool(self._rest)

    @property
    def _columns(self) -> tuple[str, ...]:
        """The columns of the index to walk: the most selective one that the filters allow, of the fewest branches."""
        fitting = [columns for columns in AUDIT_FILTERS if set(columns) <= self.filters.keys()]

        def worth(columns: tuple[str, ...]) -> tuple[bool, int, int]:
            branches = 1
            for column in columns:
                branches *= len(self.filters[column])
            return "object" in columns, len(columns), -branches

        return max(fitting, key=worth)

    @property
    def _rest(self) -> dict[str, tuple[str, ...]]:
        return {column: values for column, values in self.filters.items() if column not in self._columns}

    def _share(self) -> int:
        return max(1, self.scan // len(self.branches))

    def _found(self, number: int, values: tuple[str, ...]) -> Select[Any]:
        branch: Label[int] = literal_column(str(number), Integer).label("branch")
        if not self._rest:
            newest = self._entries(values).limit(self.most).subquery()
            return select(branch, newest.c.position)
        # No order is asked of the outer question: it keeps that of the inner one, and SQLite would read all of that
        # first to sort it again.
        read = self._entries(values, *self._rest).limit(self._share()).subquery()
        return select(branch, read.c.position).where(*fits(read, self._rest)).limit(self.most)

    def _entries(self, values: tuple[str, ...], *more: str) -> Select[Any]:
        """Return the question for the entries of one branch, newest first."""
        columns = self._columns
        chosen = select(EVENT.c.position, *(EVENT.c[name] for name in more)).where(text(FINAL_SQL))
        window = self.window
        if not self.rows or not columns:
            order: list[ColumnElement[Any]] = [EVENT.c.position]
            chosen = chosen.where(
                *(EVENT.c[name] == value for name, value in zip(columns, values, strict=True)),
                EVENT.c.position >= window.low,
                EVENT.c.position < window.high,
            )
        else:
            # Asked for in the index's own order, nothing but this index can answer: with equal values PostgreSQL may
            # walk the primary key instead, through all that does not fit.
            order = [*(EVENT.c[name] for name in columns), EVENT.c.position]
            place = tuple_(*order)
            low, high = (
                tuple_(*(literal(value, column.type) for value, column in zip((*values, end), order, strict=True)))
                for end in (window.low, window.high)
            )
            chosen = chosen.where(place >= low, place < high)
        return chosen.order_by(*(column.desc() for column in order))


def unsettled(filters: Filters, window: Window, asked_at: int, most: int) -> Select[Any]:
    """Return the statement for the positions of commands that had not ended when the question came at ``asked_at``.

    These are the ones still open, and the few that have ended since. What began after the question is not among them.
    """
    conditions = (
        *fits(_LATEST, filters),
        _LATEST.c.position >= window.low,
        _LATEST.c.position < window.high,
        _began_at < asked_at,
    )
    still_open = _STILL_OPEN.where(*conditions)
    ended_since = _ENDED.where(_LATEST.c.position > asked_at, *conditions)
    both = union_all(still_open, ended_since).subquery()
    return select(both.c.position).order_by(both.c.position.desc()).limit(most)


def first_at(moment_ms: int) -> Select[Any]:
    """Return the statement for the position of the first event at ``moment_ms`` or later; it reads one index entry."""
    time, position = EVENT.c.occurred_at_ms, EVENT.c.position
    return select(position).where(time >= moment_ms).order_by(time, position).limit(1)


def asked(command_id: str) -> Select[Any]:
    """Return the statement for position and time of a command's first event, and the head of the log."""
    return _ASKED.where(EVENT.c.stream == command_id)


def fits(table: FromClause, filters: Filters) -> Iterator[ColumnElement[bool]]:
    """Return the conditions that a row of ``table`` fits ``filters``."""
    for name, values in filters.items():
        yield table.c[name] == values[0] if len(values) == 1 else table.c[name].in_(values)


def _together(statements: Iterator[Select[Any]]) -> CompoundSelect[Any] | Select[Any]:
    first, *others = statements
    return union_all(*(select(each.subquery()) for each in (first, *others))) if others else first
