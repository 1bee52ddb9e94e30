"""The statements behind an audit query: which commands fit, found by walking an index from the newest down.

A walk reads one index over the final events in its order. Filters that the index does not serve are applied to what it
reads, and then it reads a bounded number of entries. Several values of an indexed column are several walks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product
from typing import Any, Final, NamedTuple

from adapters.store.questions import Ask
from adapters.store.session import AUDIT_FILTERS, FINAL_SQL, marks

# Not a join: that would leave open which of the two is looked up for the other.
_BEGAN_AT: Final = (
    "(SELECT first.position FROM event AS first WHERE first.stream = latest.stream AND first.stream_version = 1)"
)
# The window is asked of the few open commands: asked of the log, PostgreSQL may read all of it that lies there.
_STILL_OPEN: Final = (
    "SELECT latest.position FROM open_command JOIN event AS latest ON latest.position = open_command.position "
    "WHERE open_command.position >= ? AND open_command.position < ?"
)
_ENDED: Final = (
    "SELECT latest.position FROM event AS latest "  # noqa: S608 (fixed names)
    f"WHERE {FINAL_SQL} AND latest.position >= ? AND latest.position < ?"
)
_ASKED: Final = (
    "SELECT position, occurred_at_ms, (SELECT max(position) FROM event) FROM event "
    "WHERE stream = ? AND stream_version = 1"
)
_FIRST_AT: Final = "SELECT position FROM event WHERE occurred_at_ms >= ? ORDER BY occurred_at_ms, position LIMIT 1"

Filters = Mapping[str, tuple[str, ...]]
"""The values that a column may have; columns that are not named may have any."""


class Asked(NamedTuple):
    """Position and time of a command's first event, and the head of the log."""

    position: int
    occurred_at_ms: int
    head: int


class Question(NamedTuple):
    """A statement whose values stand as ``?``, and the values in their order."""

    sql: str
    values: tuple[object, ...]

    def rows(self, ask: Ask) -> list[tuple[Any, ...]]:
        """Return the answer."""
        return ask(self.sql, *self.values)


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

    def found(self) -> Question:
        """Return the question for ``branch, position`` of the newest that fit: at most ``most`` of each branch."""
        return _together([self._found(number, values) for number, values in enumerate(self.branches)])

    def reached(self, branches: Sequence[int]) -> Question:
        """Return the question for the position of the last entry that a walk may read, of branches that have one."""
        all_branches, share = self.branches, self._share()
        entries = [self._entries(all_branches[number]) for number in branches]
        return _together([Question(f"{sql} LIMIT 1 OFFSET ?", (*values, share - 1)) for sql, values in entries])

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

    def _found(self, number: int, values: tuple[str, ...]) -> Question:
        rest = self._rest
        entries, given = self._entries(values, *rest)
        sql = f"SELECT {number} AS branch, position FROM ({entries} LIMIT ?) AS newest"  # noqa: S608 (fixed names)
        if not rest:
            return Question(sql, (*given, self.most))
        # No order is asked of the outer question: it keeps that of the inner one, and SQLite would read all of that
        # first to sort it again.
        return Question(
            f"{sql} WHERE {' AND '.join(_fits(rest))} LIMIT ?",
            (*given, self._share(), *chain(*rest.values()), self.most),
        )

    def _entries(self, values: tuple[str, ...], *more: str) -> Question:
        """Return the question for the entries of one branch, newest first."""
        columns, window = self._columns, self.window
        order = ["position"]
        if not self.rows or not columns:
            place = "".join(f"{name} = ? AND " for name in columns) + "position >= ? AND position < ?"
            given: tuple[object, ...] = (*values, window.low, window.high)
        else:
            # Asked for in the index's own order, nothing but this index can answer: with equal values PostgreSQL may
            # walk the primary key instead, through all that does not fit.
            order = [*columns, *order]
            row, places = ", ".join(order), marks(order)
            place = f"({row}) >= ({places}) AND ({row}) < ({places})"
            given = (*values, window.low, *values, window.high)
        newest_first = ", ".join(f"{name} DESC" for name in order)
        return Question(
            f"SELECT {', '.join(('position', *more))} FROM event "  # noqa: S608 (fixed names)
            f"WHERE {FINAL_SQL} AND {place} ORDER BY {newest_first}",
            given,
        )


def unsettled(filters: Filters, window: Window, asked_at: int, most: int) -> Question:
    """Return the question for the positions of commands that had not ended when the question came at ``asked_at``.

    These are the ones still open, and the few that have ended since. What began after the question is not among them.
    """
    fit = " AND ".join([f"{_BEGAN_AT} < ?", *_fits(filters, "latest.")])
    given = (asked_at, *chain(*filters.values()))
    return Question(
        f"SELECT position FROM ({_STILL_OPEN} AND {fit} UNION ALL {_ENDED} AND {fit}) AS found "  # noqa: S608 (fixed names)
        "ORDER BY position DESC LIMIT ?",
        (window.low, window.high, *given, max(window.low, asked_at + 1), window.high, *given, most),
    )


def first_at(ask: Ask, moment_ms: int) -> int | None:
    """Return the position of the first event at ``moment_ms`` or later, if there is one; it reads one index entry."""
    rows = ask(_FIRST_AT, moment_ms)
    return rows[0][0] if rows else None


def asked(ask: Ask, command_id: str) -> Asked:
    """Return where the recorded command stands that asks the question."""
    [row] = ask(_ASKED, command_id)
    return Asked(*row)


def _fits(filters: Filters, table: str = "") -> list[str]:
    """Return the conditions that a row of ``table`` fits ``filters``."""
    return [f"{table}{name} IN ({marks(values)})" for name, values in filters.items()]


def _together(questions: Sequence[Question]) -> Question:
    if len(questions) == 1:
        return questions[0]
    sql = " UNION ALL ".join(f"SELECT * FROM ({each.sql}) AS part" for each in questions)  # noqa: S608 (fixed names)
    return Question(sql, tuple(chain.from_iterable(each.values for each in questions)))
