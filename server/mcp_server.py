"""The MCP face of the dispatcher: tools and prompts from the catalogue, on the SDK's low-level server.

The low-level server neither validates nor words anything itself, so that every call, also a malformed one, is recorded
and answered by the same path.
"""

import asyncio
import dataclasses
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import mcp.types as types
import orjson
from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel.server import Server
from opentelemetry import trace
from pydantic import ValidationError

from domain.catalogue.identity import Authenticated
from domain.catalogue.tool import AnyTool, Surface
from domain.errors import AuthenticationError, DockerMcpError, InvalidArgumentsError
from domain.principal import ANONYMOUS, Principal
from server.call import Answer, Caller
from server.callers import Callers, session_key, source_of
from server.dispatcher import Dispatcher
from server.trace_context import name_span, with_trace_of_header
from server.unexpected import unexpected
from server.version import VERSION

SERVER_NAME: Final = "docker-mcp"
MOST_MESSAGE_BYTES: Final = 1024 * 1024
"""Larger messages are refused before they are read."""

COMMAND_ID_META: Final = "docker-mcp/command-id"
"""Where a result's ``_meta`` names the command in the log."""

_INSTRUCTIONS: Final = (
    "Runs Docker on this host and records every call in an append-only log. Lists are short by default: ask for more "
    "with fields, limit and cursor. Names must exist: list-containers, network-list and image-list show them. After a "
    "timeout do not repeat a call; look it up with get-command or the audit-logs prompt. A change sent again with the "
    "same _meta.idempotency_key is made once and answered with its outcome. Say why you act in _meta.purpose."
)
_PROGRESS_INTERVAL_S: Final = 0.1
_CALLS: Final = {"tools/call": Surface.TOOL, "prompts/get": Surface.PROMPT}

logger = logging.getLogger(__name__)

Context = ServerRequestContext[Any, Any]
T = TypeVar("T")


class McpServer:
    """Serves one dispatcher to MCP clients, over any transport of the SDK."""

    def __init__(self, dispatcher: Dispatcher, callers: Callers, transport: str, correlation_id: str | None) -> None:
        """Build the server.

        Args:
            dispatcher: carries out the calls.
            callers: tells who makes a request.
            transport: ``stdio`` or ``http``, for the log.
            correlation_id: names the conversation where the transport has one per process.
        """
        self.dispatcher = dispatcher
        self._callers = callers
        self._transport = transport
        self._correlation_id = correlation_id
        if correlation_id:
            callers.opened(correlation_id)
        self._tools = [(tool, _tool(tool)) for tool in dispatcher.catalogue.on(Surface.TOOL)]
        self._prompts = [(tool, _prompt(tool)) for tool in dispatcher.catalogue.on(Surface.PROMPT)]
        self.sdk: Server[Any] = Server(
            SERVER_NAME,
            version=VERSION,
            title="Docker",
            instructions=_INSTRUCTIONS,
            get_tool_input_schema=self._input_schema,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_prompts=self._list_prompts,
            on_get_prompt=self._get_prompt,
        )
        self.sdk.middleware.insert(0, with_trace_of_header)
        self.sdk.middleware.append(self._record_malformed)

    async def _list_tools(self, ctx: Context, _params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=await self._offered(ctx, self._tools))

    async def _list_prompts(
        self, ctx: Context, _params: types.PaginatedRequestParams | None
    ) -> types.ListPromptsResult:
        return types.ListPromptsResult(prompts=await self._offered(ctx, self._prompts))

    async def _offered(self, ctx: Context, entries: Sequence[tuple[AnyTool, T]]) -> list[T]:
        """Return what the caller may use; without valid credentials that is what is open to all."""
        try:
            principal = await self._principal(ctx)
        except AuthenticationError:
            principal = ANONYMOUS
        return [shown for tool, shown in entries if self.dispatcher.offers(principal, tool)]

    async def _call_tool(self, ctx: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        with _ProgressReport(ctx) as progress:
            caller = await self._caller(ctx, progress)
            answer = await self.dispatcher.dispatch(params.name, params.arguments, caller)
        if answer.error:
            return _tool_error(answer.command_id, answer.error)
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=answer.text())],
            structured_content=answer.content(),
            meta={COMMAND_ID_META: answer.command_id},
        )

    async def _get_prompt(self, ctx: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        caller = await self._caller(ctx)
        answer = await self.dispatcher.dispatch(params.name, params.arguments, caller, Surface.PROMPT)
        if isinstance(answer.error, AuthenticationError):
            await self._callers.slow_down(caller.address)
        if answer.error:
            raise _refused(answer)
        if isinstance(answer.result, Authenticated):
            self._callers.bind(self._session(ctx), answer.result.token)
        tool = self.dispatcher.catalogue.find(params.name, Surface.PROMPT)
        message = types.PromptMessage(role="user", content=types.TextContent(type="text", text=answer.text()))
        return types.GetPromptResult(
            description=tool.description, messages=[message], meta={COMMAND_ID_META: answer.command_id}
        )

    async def _record_malformed(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Record calls that have not even the form of a call; the SDK refuses them before any handler."""
        name_span(ctx, self.dispatcher.catalogue)
        if ctx.request_id is None or ctx.method not in _CALLS:
            return await call_next(ctx)
        if ctx.method == "prompts/get":
            ctx = _with_arguments_as_text(ctx)
        try:
            return await call_next(ctx)
        except (ValidationError, MCPError) as refused:
            if isinstance(refused, ValidationError):
                message = f"{ctx.method} takes a name and an object of arguments"
            elif refused.code == types.INVALID_PARAMS and not _is_recorded(refused):
                message = "a client begins with initialize"
            else:
                raise
            params = ctx.params or {}
            name = params.get("name")
            error = InvalidArgumentsError(message)
            answer = await self.dispatcher.reject(
                name if isinstance(name, str) else "", params.get("arguments"), await self._caller(ctx), error
            )
            raise _refused(answer) from None
        except Exception as error:  # noqa: BLE001 (answered and logged without its words)
            raise MCPError(types.INTERNAL_ERROR, unexpected(error, ctx.method).describe()) from None

    def _input_schema(self, name: str) -> Mapping[str, Any] | None:
        tool = self.dispatcher.catalogue.by_name(name)
        return tool.input_schema if tool else None

    async def _principal(self, ctx: Context) -> Principal:
        scope = ctx.request.scope if ctx.request is not None else None
        return await self._callers.principal(scope, ctx.params or {}, self._session(ctx))

    def _session(self, ctx: Context) -> str | None:
        """Return what names the connection: a digest of the HTTP session's id, which opens it, or the process's own."""
        if ctx.request is None:
            return self._correlation_id
        session = ctx.request.headers.get("mcp-session-id")
        return session_key(session) if session else None

    async def _caller(self, ctx: Context, progress: "_ProgressReport | None" = None) -> Caller:
        try:
            principal = await self._principal(ctx)
        except AuthenticationError:
            principal = ANONYMOUS
        meta: Mapping[str, Any] = ctx.meta or {}
        client = ctx.session.client_params.client_info if ctx.session.client_params else None
        span = trace.get_current_span().get_span_context()
        return Caller(
            principal=principal,
            transport=self._transport,
            address=source_of(ctx.request.scope) if ctx.request is not None else self._transport,
            client_name=client.name if client else None,
            client_version=client.version if client else None,
            correlation_id=_text(meta, "correlation_id") or self._session(ctx) or self._correlation_id,
            purpose=_text(meta, "purpose"),
            idempotency_key=meta.get("idempotency_key"),
            trace_id=f"{span.trace_id:032x}" if span.is_valid else None,
            span_id=f"{span.span_id:016x}" if span.is_valid else None,
            **({"progress": progress} if progress else {}),
        )


class _ProgressReport:
    """Passes progress on to the client, not too often, never after the answer."""

    def __init__(self, ctx: Context) -> None:
        self._session = ctx.session
        self._sent: set[asyncio.Task[None]] = set()
        self._last = 0
        self._next_at = 0.0
        self._open = True

    def __enter__(self) -> "_ProgressReport":
        return self

    def __exit__(self, *_error: object) -> None:
        self._open = False

    def __call__(self, done: int, total: int | None, message: str) -> None:
        if not self._open or self._sent or time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + _PROGRESS_INTERVAL_S
        self._last = max(done, self._last + 1)  # the protocol wants it to rise
        task = asyncio.create_task(self._session.report_progress(self._last, total, message))
        self._sent.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: "asyncio.Task[None]") -> None:
        self._sent.discard(task)
        if not task.cancelled():
            task.exception()  # a client that has gone hears no progress


def _tool(tool: AnyTool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.shown_schema,
        annotations=types.ToolAnnotations.model_validate(tool.annotations()),
    )


def _prompt(tool: AnyTool) -> types.Prompt:
    arguments = [
        types.PromptArgument(name=name, description=info.description, required=info.is_required())
        for name, info in tool.command.model_fields.items()
    ]
    return types.Prompt(name=tool.name, title=tool.title, description=tool.description, arguments=arguments)


def _tool_error(command_id: str, error: DockerMcpError) -> types.CallToolResult:
    told = {"code": error.code, "message": error.message, "hint": error.hint, "command_id": command_id}
    text = f"{error.describe()} (command {command_id})" if command_id else error.describe()
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text)],
        structured_content={"error": {name: value for name, value in told.items() if value}},
        is_error=True,
        meta={COMMAND_ID_META: command_id} if command_id else None,
    )


def _is_recorded(error: MCPError) -> bool:
    """Tell whether the error came from the dispatcher, not from the SDK before it."""
    return isinstance(error.data, dict) and not error.data.keys().isdisjoint(("command_id", "recorded"))


def _refused(answer: Answer) -> MCPError:
    message = answer.error.describe() if answer.error else "malformed call"
    found: dict[str, Any] = {"command_id": answer.command_id} if answer.command_id else {"recorded": False}
    return MCPError(types.INVALID_PARAMS, message, found)


def _with_arguments_as_text(ctx: Context) -> Context:
    """Let numbers and booleans through where MCP has only strings: ``{"limit": 10}`` is meant well."""
    params = ctx.params or {}
    arguments = params.get("arguments")
    if not isinstance(arguments, Mapping):
        return ctx
    plain = {name: _as_text(value) for name, value in arguments.items()}
    return dataclasses.replace(ctx, params={**params, "arguments": plain})


def _as_text(value: Any) -> Any:
    """Return a number or boolean as its JSON text; anything else, also an integer beyond 64 bits, as it is."""
    try:
        return orjson.dumps(value).decode() if isinstance(value, bool | int | float) else value
    except orjson.JSONEncodeError:
        return value


def _text(meta: Mapping[str, Any], name: str) -> str | None:
    value = meta.get(name)
    return value if isinstance(value, str) else None
