"""Spans of our own below the one that the SDK makes for a request, by the standard OpenTelemetry API.

Nothing is recorded unless a tracer was set up (``adapters.tracing``), and nothing outside of a traced request. No span
ever holds an argument, an answer or the words of an exception: names and attributes come from the program.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanContext, SpanKind, StatusCode, TraceFlags

from domain.errors import DockerMcpError

Attributes = Mapping[str, str | int]

_tracer: Final = trace.get_tracer("docker-mcp")


def is_traced() -> bool:
    """Return whether what runs now belongs to a trace."""
    return trace.get_current_span().get_span_context().is_valid


@contextmanager
def span(name: str, attributes: Attributes, kind: SpanKind = SpanKind.INTERNAL) -> Iterator[Span]:
    """Let what runs within be a child of the current span; outside of a trace, nothing is recorded."""
    if not is_traced():
        yield INVALID_SPAN
        return
    with _recorded(name, attributes, kind) as current:
        yield current


@contextmanager
def resumed(name: str, command_id: str, trace_id: str | None, span_id: str | None) -> Iterator[Span]:
    """Let what runs within be linked to the span in which the command was received, in whichever process that was.

    It is a child of the current span, if there is one: of the call that had the command go on.
    """
    link = _link(trace_id, span_id)
    attributes = {"docker_mcp.command.id": command_id}
    with _recorded(name, attributes, SpanKind.INTERNAL, [link] if link else []) as current:
        yield current


def begin(name: str, attributes: Attributes, kind: SpanKind) -> Span:
    """Return a child of the current span (see :func:`is_traced`) that the caller ends, on any thread."""
    return _tracer.start_span(name, kind=kind, attributes=dict(attributes))


def failed(current: Span, error: BaseException) -> None:
    """Mark a span as failed: with the code or the class of ``error``, without its words."""
    current.set_attribute("error.type", error.code if isinstance(error, DockerMcpError) else type(error).__qualname__)
    current.set_status(StatusCode.ERROR)


@contextmanager
def _recorded(name: str, attributes: Attributes, kind: SpanKind, links: Sequence[Link] = ()) -> Iterator[Span]:
    with _tracer.start_as_current_span(
        name,
        kind=kind,
        attributes=dict(attributes),
        links=links,
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield current
        except BaseException as error:
            failed(current, error)
            raise


def _link(trace_id: str | None, span_id: str | None) -> Link | None:
    if not trace_id or not span_id:
        return None
    return Link(SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(1)))
