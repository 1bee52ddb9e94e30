"""Who calls: turns API keys and tokens into principals, slows down those who guess, and has it recorded."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from domain.access.auth_file import AuthFile, User
from domain.access.tokens import KEY_PREFIX, LONGEST_CREDENTIAL, fingerprint, issue, key_matches, parse, refusal
from domain.catalogue.identity import Authenticate, Authenticated
from domain.catalogue.tool import Run
from domain.errors import AuthenticationError
from domain.events import AuthenticationFailed, AuthenticationSucceeded, Event, TokenIssued
from domain.flood import Source
from domain.principal import ANONYMOUS, LOCAL_PREFIX, Principal
from domain.text import column_text
from server.flood import Refusals

_FREE_FAILURES: Final = 5
_WINDOW_S: Final = 60.0
_MOST_SOURCES: Final = 4096
_MOST_DELAY_S: Final = 5.0
_NOBODY: Final = User(role="none", key_sha256="0" * 64)
"""Compared with where there is no such user, so that the answer takes the same time."""


@dataclass(frozen=True, slots=True)
class Identified:
    """A principal, the fingerprint of the key that it came with, and when its token ends; a new key ends it too."""

    principal: Principal
    key_sha256: str
    ends_s: int | None = None


class Authenticator:
    """Believes credentials or does not. Satisfies ``domain.catalogue.identity.Identity``."""

    def __init__(
        self,
        rules: Callable[[], AuthFile],
        secret: bytes,
        lifetime_s: int,
        record: Callable[[Event, Principal | None], None],
        refusals: Refusals,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Take what is needed.

        Args:
            rules: returns the rules in force.
            secret: signs the tokens.
            lifetime_s: seconds for which a token is good.
            record: has an event recorded for a principal, without waiting.
            refusals: decides which failures are recorded.
            now_s: the clock.
        """
        self._rules = rules
        self._secret = secret
        self._lifetime_s = lifetime_s
        self._record = record
        self._refusals = refusals
        self._now_s = now_s
        self._failures: OrderedDict[str, list[float]] = OrderedDict()
        self._met: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def rules(self) -> AuthFile:
        return self._rules()

    def identify(self, credential: str, source: str) -> Identified:
        """Return whom a token or API key stands for.

        Raises:
            AuthenticationError: nobody; the reason is recorded, not told.
        """
        found, reason = self._judged(credential)
        if found is None:
            self._failed(source, reason, parse(credential))
            raise AuthenticationError
        self._met_once(found, source)
        return found

    def still_holds(self, found: Identified) -> Principal | None:
        """Return the principal as the rules have it now, None if the user is gone or has another key."""
        user = self.rules.users.get(found.principal.name)
        if user is None or user.key_sha256 != found.key_sha256:
            return None
        if found.ends_s is not None and found.ends_s <= self._now_s():
            return None
        return Principal(found.principal.name, user.role)

    def requester(self, name: str, role: str) -> Principal:
        """Return whom a recorded name and role are under the rules in force.

        Raises:
            AuthenticationError: the user may not call any more.
        """
        users = self.rules.users
        if user := users.get(name):
            return Principal(name, user.role)
        if users or not name.startswith(LOCAL_PREFIX):
            raise AuthenticationError("who asked for it may not call any more")
        return Principal(name, role)

    def delay_s(self, source: str) -> float:
        """Return how late a failed attempt from ``source`` is answered, from its failures in the last minute."""
        with self._lock:
            recent = [at for at in self._failures.get(source, []) if at > time.monotonic() - _WINDOW_S]
        return (
            min(_MOST_DELAY_S, 0.25 * 2 ** max(0, len(recent) - _FREE_FAILURES)) if len(recent) >= _FREE_FAILURES else 0
        )

    def authenticate(self, command: Authenticate, run: Run) -> Authenticated:
        user = self.rules.users.get(command.username, _NOBODY)
        if not key_matches(command.api_key, user.key_sha256) or user is _NOBODY:
            reason = "unknown_user" if user is _NOBODY else "wrong_key"
            self._failed(run.address, reason, None)
            raise AuthenticationError
        now_s = int(self._now_s())
        token = issue(self._secret, command.username, user.key_sha256, now_s)
        principal = Principal(command.username, user.role)
        self._record(TokenIssued(expires_at_s=now_s + self._lifetime_s), principal)
        return Authenticated(token=token.text())

    def _judged(self, credential: str) -> tuple[Identified | None, str]:
        if len(credential) > LONGEST_CREDENTIAL:
            return None, "oversized"
        users = self.rules.users
        if credential.startswith(KEY_PREFIX):
            digest = fingerprint(credential)
            for name, user in users.items():
                if key_matches(credential, user.key_sha256):
                    return Identified(Principal(name, user.role), digest), ""
            return None, "wrong_key"
        token = parse(credential)
        if token is None:
            return None, "malformed"
        user = users.get(token.username, _NOBODY)
        why = refusal(token, self._secret, user.key_sha256, int(self._now_s()), self._lifetime_s)
        if user is _NOBODY:
            return None, "unknown_user"
        if why:
            return None, why
        ends_s = token.issued_s + self._lifetime_s
        return Identified(Principal(token.username, user.role), user.key_sha256, ends_s), ""

    def _failed(self, source: str, reason: str, token: object) -> None:
        with self._lock:
            times = self._failures.setdefault(source, [])
            times.append(time.monotonic())
            del times[: -2 * _FREE_FAILURES - 8]
            self._failures.move_to_end(source)
            while len(self._failures) > _MOST_SOURCES:
                self._failures.popitem(last=False)
        if not self._refusals.records(Source.of(ANONYMOUS, source), AuthenticationFailed.type):
            return
        claimed = getattr(token, "username", None)
        self._record(AuthenticationFailed(source=column_text(source), reason=reason, claimed=claimed), None)

    def _met_once(self, found: Identified, source: str) -> None:
        """Record the first success of each user, key and source in this process: each call says itself who makes it."""
        seen = (found.principal.name, found.key_sha256, source)
        with self._lock:
            if seen in self._met:
                return
            self._met[seen] = None
            while len(self._met) > _MOST_SOURCES:
                self._met.popitem(last=False)
        self._record(AuthenticationSucceeded(source=column_text(source)), found.principal)
