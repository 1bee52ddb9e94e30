"""Reading the past: which stretch of the log a replay covers, and the facts of an incident for an analyst."""

from typing import Annotated, Final, Protocol

from pydantic import Field, StringConstraints

from domain.canonical import JSON
from domain.catalogue.audit import ColumnText
from domain.catalogue.fields import Moment
from domain.catalogue.tool import Command, Effect, PromptCommand, Result, Run, Surface, Tool

MOST_FACT_BYTES: Final = 16 * 1024
"""Bytes of facts in one answer: about four thousand tokens."""

MOST_EVENTS_REVIEWED: Final = 200_000
"""Newest events of a stretch that one review looks at."""

DEFAULT_STRETCH: Final = "24h"

Place = Annotated[str, StringConstraints(min_length=1, max_length=64)]
"""A position of the log, in digits, or a time as the audit takes it."""


class ReplayLog(Command):
    """Tell from the log what containers, networks and stacks were like, and who or what changed them."""

    begin: Place | None = None
    end: Place | None = None
    object: ColumnText | None = None
    principal: ColumnText | None = None
    correlation_id: ColumnText | None = None
    stack: ColumnText | None = None


class ReplayRange(Result):
    """The stretch of the log: events after position ``after`` up to ``last``; ``principal``'s alone if set."""

    after: int
    last: int
    now_ms: int
    principal: str | None = None


class IncidentReview(PromptCommand):
    """Gather the facts of an incident from the log: timeline, states before and after, failures, outside changes."""

    object: Annotated[ColumnText | None, Field(description="container/web, or web of any kind")] = None
    since: Annotated[Moment | None, Field(description="from this time on: 2h, today, ISO 8601; default 24h")] = None
    until: Annotated[Moment | None, Field(description="before this time; default now")] = None
    correlation_id: Annotated[ColumnText | None, Field(description="only this conversation")] = None


class IncidentFacts(Result):
    """What the log tells of an incident. Every row of a command names its id, to be cited.

    ``left_out`` counts, by section, the rows that did not fit; a narrower question shows them. ``drift`` is what the
    engine shows now that is not as the log has it at the end of the stretch.
    """

    about: dict[str, JSON]
    reading: str
    counts: dict[str, int]
    failures: list[dict[str, JSON]]
    external: list[dict[str, JSON]]
    unfinished: list[dict[str, JSON]]
    differences: list[dict[str, JSON]]
    before: list[dict[str, JSON]]
    after: list[dict[str, JSON]]
    drift: list[dict[str, JSON]]
    unseen: list[dict[str, JSON]]
    timeline: list[dict[str, JSON]]
    left_out: dict[str, int] = {}
    scanned_from: str | None = None
    drift_problem: str | None = None


class Replay(Protocol):
    """Tells the past from the log. May block; raises ``LogUnavailableError``."""

    def locate(self, command: ReplayLog, run: Run) -> ReplayRange: ...
    def review(self, command: IncidentReview, run: Run) -> IncidentFacts: ...


TOOLS = (
    Tool(
        name="incident-review",
        title="Review an incident",
        command=IncidentReview,
        port=Replay,
        apply=Replay.review,
        effect=Effect.READ,
        idempotent=True,
        summary="review an incident",
        surface=Surface.PROMPT,
    ),
    Tool(
        name="replay",
        title="Replay the log",
        command=ReplayLog,
        port=Replay,
        apply=Replay.locate,
        effect=Effect.READ,
        idempotent=True,
        summary="replay the log",
        surface=Surface.COMMAND_LINE,
    ),
)
