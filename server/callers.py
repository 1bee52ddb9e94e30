"""Who makes a call: finds the credentials of a request, wherever clients can put them."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from domain.errors import AuthenticationError
from domain.principal import ANONYMOUS, Principal
from server.authentication import Authenticator, Identified

IDENTIFIED: Final = "docker_mcp.identified"
"""Where the HTTP layer leaves in the scope of a request whom its bearer credential stands for."""

_MOST_SESSIONS: Final = 10_000
_LONGEST_SOURCE: Final = 64


class Callers:
    """Tells the principal of each request of one transport.

    Credentials are looked for in this order: HTTP bearer, ``_meta.authorization``, ``metadata.authorization``, what the
    connection was bound to by the prompt ``authenticate``, and what the process was started with.
    """

    def __init__(self, authenticator: Authenticator, local: Principal | None, token: str | None) -> None:
        """Take what is needed.

        Args:
            authenticator: believes credentials or does not.
            local: whom callers without credentials act as while there are no users; None: nobody.
            token: credential that the process was started with.
        """
        self._authenticator = authenticator
        self._local = None if token else local  # whoever came with a credential never becomes somebody else
        self._token = token
        self._issued: OrderedDict[str, None] = OrderedDict()
        self._bound: OrderedDict[str, Identified] = OrderedDict()
        self._owners: OrderedDict[str, str] = OrderedDict()

    async def principal(
        self, scope: Mapping[str, Any] | None, params: Mapping[str, Any], session: str | None
    ) -> Principal:
        """Return whom a request acts for, ``anonymous`` without credentials.

        Args:
            scope: of the HTTP request, None on stdio.
            params: of the JSON-RPC request.
            session: names the connection.

        Raises:
            AuthenticationError: the credentials are not valid.
        """
        found = await self._identified(scope, params, session)
        if found is None:
            if self._authenticator.rules.users:
                self._local = None  # once there were users, removing them opens nothing
            return self._local or ANONYMOUS
        if session and self._owners.setdefault(session, found.name) != found.name:
            raise AuthenticationError("the session belongs to another user")
        _trim(self._owners)
        return found

    def opened(self, session: str, found: Identified | None = None) -> None:
        """Remember a session that this server has issued, and whose it is, if whoever opened it said who they are.

        Only such sessions can be bound: others are the client's word.
        """
        self._issued[session] = None
        _trim(self._issued)
        if found:
            self._owners[session] = found.principal.name
            _trim(self._owners)

    def closed(self, session: str) -> None:
        """Forget a session."""
        for known in (self._issued, self._bound, self._owners):
            known.pop(session, None)

    def bind(self, session: str | None, token: str) -> None:
        """Let a connection act for the user of a fresh token from now on, until the token ends."""
        found = self._authenticator.identify(token, "prompt")
        if (
            session
            and session in self._issued
            and self._owners.setdefault(session, found.principal.name) == found.principal.name
        ):
            self._bound[session] = found
            _trim(self._bound)

    def may_use(self, session: str, found: Identified | None) -> bool:
        """Return whether a request may belong to a session: its owner's, or of one that nobody owns yet."""
        owner = self._owners.get(session)
        named = found.principal.name if found else None
        return owner is None or named == owner or (named is None and session in self._bound)

    def is_bound(self, session: str | None) -> bool:
        return session in self._bound

    async def slow_down(self, source: str) -> None:
        """Wait as long as earlier failures of ``source`` ask for."""
        await asyncio.sleep(self._authenticator.delay_s(source))

    async def identify(self, credential: str, source: str) -> Identified:
        """Return whom a credential stands for.

        A wrong one is refused the later the more of them came from ``source``; right ones never wait, since a proxy may
        stand between.

        Raises:
            AuthenticationError: nobody.
        """
        try:
            return self._authenticator.identify(credential, source)
        except AuthenticationError:
            await self.slow_down(source)
            raise

    async def _identified(
        self, scope: Mapping[str, Any] | None, params: Mapping[str, Any], session: str | None
    ) -> Principal | None:
        if scope and (found := scope.get(IDENTIFIED)):
            return self._current(found)
        source = source_of(scope) if scope else "stdio"
        if credential := in_message(params):
            return (await self.identify(credential, source)).principal
        if session and session in self._bound:
            return self._current(self._bound[session])
        if self._token and self._authenticator.rules.users:
            return (await self.identify(self._token, source)).principal
        return None

    def _current(self, found: Identified) -> Principal:
        principal = self._authenticator.still_holds(found)
        if principal is None:
            raise AuthenticationError
        return principal


def _trim(known: "OrderedDict[str, Any]") -> None:
    while len(known) > _MOST_SESSIONS:
        known.popitem(last=False)


def in_message(params: Mapping[str, Any]) -> str | None:
    """Return the credential that a request carries in its parameters, without the word Bearer."""
    for place in ("_meta", "metadata"):
        found = params.get(place)
        value = found.get("authorization") if isinstance(found, Mapping) else None
        if isinstance(value, str) and value:
            return value.removeprefix("Bearer ").strip()
    return None


def session_key(session: str) -> str:
    """Return what stands for a session's id wherever it is kept: who knows the id itself can use the session."""
    return hashlib.sha256(session.encode(errors="replace")).hexdigest()[:32]


def source_of(scope: Mapping[str, Any]) -> str:
    """Return the address that a request comes from."""
    client = scope.get("client")
    return str(client[0])[:_LONGEST_SOURCE] if client else "unknown"
