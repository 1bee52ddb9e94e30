"""Taking the log out of the house: which events, in which form."""

from enum import StrEnum
from typing import Annotated, Final, Protocol, Self

from pydantic import AfterValidator, Field, model_validator

from domain.catalogue.audit import ColumnText, KnownStatus
from domain.catalogue.fields import Moment
from domain.catalogue.tool import Command, Effect, Result, Run, Surface, Tool


class ExportFormat(StrEnum):
    """The forms of an export: two for people and programs, and the public one that a stranger can check."""

    JSONL = "jsonl"
    CSV = "csv"
    AUDIT_RECORD = "audit-record"


FILTERS: Final = ("principal", "tool", "object", "status")
"""What may narrow an export besides its range: names of columns."""


def _known_format(text: str) -> str:
    if text not in set(ExportFormat):
        raise ValueError(f"a format is one of {', '.join(ExportFormat)}")
    return text


ExportFormatName = Annotated[str, AfterValidator(_known_format)]
Position = Annotated[int, Field(ge=1)]


class AuditExport(Command):
    """Write the events of the log to a file: those of a range of times or positions, of a principal, tool or object."""

    format: ExportFormatName
    since: Moment | None = None
    until: Moment | None = None
    from_position: Position | None = None
    to_position: Position | None = None
    principal: ColumnText | None = None
    tool: ColumnText | None = None
    object: ColumnText | None = None
    status: KnownStatus | None = None

    @model_validator(mode="after")
    def _unbroken(self) -> Self:
        filtered = [name for name in FILTERS if getattr(self, name) is not None]
        if self.format == ExportFormat.AUDIT_RECORD and filtered:
            raise ValueError(
                f"a chain is only whole without gaps, so audit-record takes a range but not {', '.join(filtered)}"
            )
        return self


class ExportRange(Result):
    """What the export holds: the events with these positions, ``principal``'s alone if the role sees no others.

    The range is empty if ``last`` is before ``first``. It ends before the command's own events.
    """

    first: int
    last: int
    principal: str | None = None


class LogExport(Protocol):
    """Hands out the log. May block; raises ``LogUnavailableError``."""

    def export(self, command: AuditExport, run: Run) -> ExportRange: ...


TOOLS = (
    Tool(
        name="audit-export",
        title="Export the log",
        command=AuditExport,
        port=LogExport,
        apply=LogExport.export,
        effect=Effect.READ,
        idempotent=True,
        summary="export the log as {format}",
        surface=Surface.COMMAND_LINE,
    ),
)
