"""Who may reach the server over HTTP, and as whom: Host and Origin, bearer credentials (RFC 6750), sessions."""

from collections.abc import Sequence
from typing import Any, Final

import orjson
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.errors import AuthenticationError
from domain.principal import ANONYMOUS
from server.call import Caller
from server.callers import IDENTIFIED, Callers, in_message, session_key, source_of
from server.dispatcher import Dispatcher

_CALLS: Final = ("tools/call", "prompts/get")
_REALM: Final = 'Bearer realm="docker-mcp"'
_INVALID: Final = f'{_REALM}, error="invalid_token"'
_SESSION: Final = "mcp-session-id"
_MOST_ANONYMOUS_BYTES: Final = 32 * 1024
"""Most bytes of a request without credentials in a header; they may stand in its body."""


class HostMiddleware:
    """Answers only requests for the names by which this server is to be reached, from pages of those names or none."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Request(scope).headers
            origin = headers.get("origin")
            if not self._is_ours(headers.get("host", "")):
                await Response("not a name of this server", 421)(scope, receive, send)
                return
            if origin is not None and not self._is_ours(origin.partition("://")[2]):
                await Response("not an origin of this server", 403)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_ours(self, host: str) -> bool:
        name, colon, port = host.rpartition(":")
        return host in self._hosts or (bool(colon) and port.isdecimal() and name in self._hosts)


class BearerMiddleware:
    """Identifies who calls ``/mcp``. A call without any credential is recorded and answered with 401."""

    def __init__(self, app: ASGIApp, callers: Callers, dispatcher: Dispatcher, open_prompts: frozenset[str]) -> None:
        """Take what is needed; ``open_prompts`` can be asked for without credentials."""
        self._app = app
        self._callers = callers
        self._dispatcher = dispatcher
        self._open_prompts = open_prompts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/mcp":
            await self._app(scope, receive, send)
            return
        given = Request(scope).headers.get(_SESSION)
        session = session_key(given) if given else None
        receive, refusal = await self._refusal(scope, receive, session)
        if refusal:
            await refusal(scope, receive, send)
            return

        async def noticing(message: Message) -> None:
            if message["type"] == "http.response.start":
                issued = MutableHeaders(raw=message["headers"]).get(_SESSION)
                if issued and given is None:
                    self._callers.opened(session_key(issued), scope.get(IDENTIFIED))
                if session and scope["method"] == "DELETE":
                    self._callers.closed(session)
            await send(message)

        await self._app(scope, receive, noticing)

    async def _refusal(self, scope: Scope, receive: Receive, session: str | None) -> tuple[Receive, Response | None]:
        """Identify who calls; return what still delivers the body, and the answer to who may not go on."""
        header = Request(scope).headers.get("authorization")
        if header is not None:
            try:
                scope[IDENTIFIED] = await self._callers.identify(_credential(header), source_of(scope))
            except AuthenticationError as error:
                return receive, _unauthorized(error, _INVALID)
        elif scope["method"] == "POST":
            receive, body = await _read(receive)
            if body is None:
                return receive, _unauthorized(AuthenticationError(), _REALM)
            refused = await self._refusal_of_nobody(body, session, source_of(scope))
            return receive, _unauthorized(refused, _REALM) if refused else None
        if session and not self._callers.may_use(session, scope.get(IDENTIFIED)):
            return receive, _unauthorized(AuthenticationError("the session belongs to another user"), _REALM)
        return receive, None

    async def _refusal_of_nobody(self, body: bytes, session: str | None, address: str) -> AuthenticationError | None:
        """Return how ``body`` is refused if it is more than a greeting and names nobody; such a call is recorded."""
        try:
            message = orjson.loads(body)
        except orjson.JSONDecodeError:
            return AuthenticationError()
        if not isinstance(message, dict):
            return AuthenticationError()
        params = message.get("params")
        params = params if isinstance(params, dict) else {}
        if in_message(params):
            return None
        if session and not self._callers.may_use(session, None):
            return AuthenticationError()
        name = params.get("name") if isinstance(params.get("name"), str) else ""
        method = message.get("method")
        if self._callers.is_bound(session) or method not in _CALLS:
            return None
        if method == "prompts/get" and name in self._open_prompts:
            return None
        caller = Caller(principal=ANONYMOUS, transport="http", address=address, correlation_id=session)
        answer = await self._dispatcher.reject(name or "", None, caller, AuthenticationError())
        return answer.error if isinstance(answer.error, AuthenticationError) else AuthenticationError()


def _credential(header: str) -> str:
    kind, _, credential = header.partition(" ")
    if kind.lower() != "bearer" or not credential.strip():
        raise AuthenticationError
    return credential.strip()


async def _read(receive: Receive) -> tuple[Receive, bytes | None]:
    """Return what delivers the body a second time, and the body; None if it is larger than nobody's may be."""
    messages: list[Message] = []
    size = 0
    while True:
        message = await receive()
        messages.append(message)
        size += len(message.get("body", b""))
        if size > _MOST_ANONYMOUS_BYTES:
            return receive, None
        if message["type"] != "http.request" or not message.get("more_body"):
            break
    waiting = iter(messages)

    async def again() -> Message:
        return next(waiting, None) or await receive()

    return again, b"".join(message.get("body", b"") for message in messages)


def _unauthorized(error: AuthenticationError, challenge: str) -> Response:
    told: dict[str, Any] = {"jsonrpc": "2.0", "id": None, "error": {"code": -32001, "message": error.describe()}}
    return Response(orjson.dumps(told), 401, {"WWW-Authenticate": challenge}, "application/json")
