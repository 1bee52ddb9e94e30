"""What the SDK's span of a request leaves to us: the header that it does not read, and names that callers choose."""

from typing import Any, Final

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from opentelemetry import context, trace
from opentelemetry.propagate import extract

from domain.catalogue.tool import UNKNOWN_TOOL, Catalogue

_HEADERS: Final = ("traceparent", "tracestate")
_NAMED_BY: Final = {"tools/call": "gen_ai.tool.name", "prompts/get": "gen_ai.prompt.name"}

Context = ServerRequestContext[Any, Any]


async def with_trace_of_header(ctx: Context, call_next: CallNext) -> HandlerResult:
    """Let a request over HTTP belong to the trace of its ``traceparent`` header; one in its ``_meta`` comes first.

    A middleware for before the one that makes the span.
    """
    headers = ctx.request.headers if ctx.request is not None else {}
    given = {name: value for name in _HEADERS if (value := headers.get(name))}
    if not given:
        return await call_next(ctx)
    token = context.attach(extract(given))
    try:
        return await call_next(ctx)
    finally:
        context.detach(token)


def name_span(ctx: Context, catalogue: Catalogue) -> None:
    """Give the span of a request a name that no caller has chosen."""
    span = trace.get_current_span()
    name = (ctx.params or {}).get("name")
    if not span.is_recording() or not isinstance(name, str):
        return
    if attribute := _NAMED_BY.get(ctx.method):
        if catalogue.by_name(name) is None:
            span.update_name(f"{ctx.method} {UNKNOWN_TOOL}")
            span.set_attribute(attribute, UNKNOWN_TOOL)
    else:
        span.update_name(ctx.method)
