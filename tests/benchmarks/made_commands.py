"""What a made log is about: who calls which tools on which objects, and how that ends."""

import random
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final, NamedTuple

from domain.canonical import sha256_hex
from domain.catalogue import CATALOGUE
from domain.catalogue.tool import UNKNOWN_TOOL, Effect
from domain.events import (
    AuthenticationFailed,
    AuthenticationSucceeded,
    CommandAuthorized,
    CommandCancelled,
    CommandDenied,
    CommandFailed,
    CommandPlanned,
    CommandReceived,
    CommandRejected,
    CommandSucceeded,
    CommandUnknown,
    Event,
    ExecutionStarted,
    ServerStarted,
    ServerStopped,
)
from domain.lifecycle import Status
from domain.objects import Kind, ObjectRef, ObjectState, column_name

POLICY: Final = "5d41402abc4b2a76"

RARE_PRINCIPAL: Final = "contractor"
"""Called a few times, in the oldest hundredth of the log only."""

_AGENTS: Final = [f"agent-{name}" for name in ("build", "deploy", "triage", "review", "night", "docs", "data", "test")]
_PEOPLE: Final = [f"{name}@example.org" for name in ("ada", "grace", "linus", "edsger", "barbara", "donald", "alan")]
PRINCIPALS: Final = [*_AGENTS, *_PEOPLE]
_PRINCIPAL_WEIGHTS: Final = [60 / (rank + 1) for rank in range(len(PRINCIPALS))]
_PURPOSES: Final = (None, None, "find out why checkout is slow", "nightly deployment", "clean up after the tests")

_TOOLS: Final = {  # calls in a thousand, typical duration in milliseconds
    "list-containers": (230, 8),
    "get-logs": (200, 15),
    "inspect-container": (150, 6),
    "container-stats": (60, 1100),
    "network-list": (25, 5),
    "network-inspect": (20, 5),
    "compose-list": (20, 9),
    "compose-ps": (50, 9),
    "compose-logs": (40, 25),
    "image-list": (15, 9),
    "system-info": (10, 7),
    "get-command": (15, 1),
    "audit-logs": (10, 3),
    "restart-container": (45, 900),
    "stop-container": (20, 700),
    "start-container": (20, 300),
    "create-container": (18, 450),
    "remove-container": (16, 120),
    "network-create": (5, 60),
    "network-connect": (5, 40),
    "network-remove": (3, 50),
    "image-pull": (8, 9000),
    "deploy-compose": (12, 6000),
    "compose-restart": (6, 1500),
    "compose-down": (3, 2500),
}
_KIND: Final = {"network": Kind.NETWORK, "compose": Kind.STACK, "deploy": Kind.STACK, "image": Kind.IMAGE}
_WITHOUT_OBJECT: Final = frozenset(
    {"list-containers", "network-list", "compose-list", "image-list", "system-info", "get-command", "audit-logs"}
)
_ENDINGS: Final = {"success": 930, "failed": 40, "denied": 14, "rejected": 10, "cancelled": 4, "unknown": 2}
_CALLED: Final = [tool for tool, (calls, _) in _TOOLS.items() for _ in range(calls)]
_ENDED: Final = [ending for ending, times in _ENDINGS.items() for _ in range(times)]

_JUDGED: Final = {"allowed": ("info", "release"), "denied": ("medium", "quarantine"), "error": ("high", "release")}

_TOOK: Final = 135_797_531
_UNTIL: Final = 9_876_543_210_123


class Template(NamedTuple):
    """An event with words in capitals and odd numbers for what differs from one command to the next."""

    type: str
    status: str | None
    status_json: str
    outcome: str
    judged: str
    decides: bool
    text: str
    typical_us: int

    def data(self, chance: float, at_ms: int, executor: str, target: str | None) -> str:
        """Return the event's data; ``chance``, from 0 to 1, decides how long it took."""
        before, figure, after = _filled(self.type, self.text, executor, target)
        if figure == "until":
            return f"{before}{at_ms + 60_000}{after}"
        return f"{before}{int(self.typical_us * (0.5 + chance))}{after}" if figure else before


@lru_cache(100_000)
def _filled(event_type: str, text: str, executor: str, target: str | None) -> tuple[str, str, str]:
    """Return the text before and after the one figure that no two events share, and which figure that is."""
    name = (target or "").partition("/")[2]
    text = text.replace("EXECUTOR", executor).replace("NAME", name).replace('"ID"', f'"{_digest(target or "")}"')
    text = text.replace("DIGEST", _digest(f"{event_type} {name}"))
    for figure, stands_for in (("took", str(_TOOK)), ("until", str(_UNTIL))):
        before, found, after = text.partition(stands_for)
        if found:
            return before, figure, after
    return text, "", ""


@lru_cache(10_000)
def _digest(text: str) -> str:
    return sha256_hex(text.encode())


Life = tuple[Template, ...]


@dataclass(frozen=True, slots=True)
class Made:
    """A command: what is recorded at once, and what later, event by event. ``stream`` is set for what is no command."""

    principal: str
    role: str
    executor: str
    before: Life
    after: Life = ()
    tool: str | None = None
    object: str | None = None
    purpose: str | None = None
    session: str | None = None
    stream: str | None = None


class Mix:
    """An endless row of made commands and of what else servers record."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._executor = self._new_id()
        self._sessions = [self._new_session() for _ in range(24)]
        self._count = 0

    def next(self, progress: float) -> Made:
        """Return what comes next in a log that is made to the share ``progress``, from 0 to 1."""
        self._count += 1
        rng = self._rng
        if self._count % 5000 == 1:
            return self._server_event()
        if self._count % 200 == 0:
            return self._authentication()
        number = int(rng.random() * len(self._sessions))
        principal, role, session, purpose = self._sessions[number]
        if rng.random() < 0.02:
            self._sessions[number] = self._new_session()
        if progress < 0.01 and self._count % 400 == 3:
            principal, role = RARE_PRINCIPAL, "admin"
        tool = _CALLED[int(rng.random() * len(_CALLED))]
        ending = _ENDED[int(rng.random() * len(_ENDED))]
        if ending == "unknown" and CATALOGUE.by_name(tool).effect is Effect.READ:  # type: ignore[union-attr]
            ending = "failed"
        if ending == "rejected" and rng.random() < 0.3:
            tool = UNKNOWN_TOOL
        target = self._object(tool)
        before, after = _life(tool, target.partition("/")[0] if target else None, role, ending)
        return Made(
            principal, role, self._executor, before, after, tool, target if tool != UNKNOWN_TOOL else None, purpose,
            session,
        )  # fmt: skip

    def _object(self, tool: str) -> str | None:
        if tool in _WITHOUT_OBJECT or tool == UNKNOWN_TOOL:
            return None
        kind = _KIND.get(tool.partition("-")[0], Kind.CONTAINER)
        most = {Kind.CONTAINER: 400, Kind.NETWORK: 30, Kind.STACK: 25, Kind.IMAGE: 60}[kind]
        rank = int(most * self._rng.random() ** 3)
        names = ("web", "checkout", "db", "cache", "worker", "search")
        return column_name(kind, f"{names[rank % 6]}-{rank // 6}" if rank >= 6 else names[rank])

    def _server_event(self) -> Made:
        old, self._executor = self._executor, self._new_id()
        stopped = _template(ServerStopped(reason="terminated"))
        started = _template(ServerStarted(version="0.1.0", transport="http", settings_digest=POLICY))
        first = self._count == 1
        stream = f"server/{self._executor if first else old}"
        return Made("system", "system", old, (started,) if first else (stopped,), stream=stream)

    def _authentication(self) -> Made:
        principal = self._rng.choice(PRINCIPALS)
        if self._rng.random() < 0.1:
            failed = AuthenticationFailed(source="127.0.0.1", reason="the token has expired", claimed=principal)
            return Made("anonymous", "none", self._executor, (_template(failed),), stream="auth")
        came = AuthenticationSucceeded(source="127.0.0.1")
        return Made(principal, _role(principal), self._executor, (_template(came),), stream="auth")

    def _new_session(self) -> tuple[str, str, str, str | None]:
        principal = self._rng.choices(PRINCIPALS, _PRINCIPAL_WEIGHTS)[0]
        return principal, _role(principal), self._new_id(), self._rng.choice(_PURPOSES)

    def _new_id(self) -> str:
        digits = f"{self._rng.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


def _role(principal: str) -> str:
    return "admin" if principal in _AGENTS[:5] or principal in _PEOPLE[:2] else "user"


@cache
def _life(tool: str, kind: str | None, role: str, ending: str) -> tuple[Life, Life]:
    """Return what is recorded before the effect on an object of this kind, and after it."""
    name = "NAME" if kind else ""
    summary = f"{tool} {name}".strip()
    arguments = {"name": name, "limit": 50} if name else {"limit": 50}
    received = CommandReceived(
        summary=summary,
        arguments=arguments if ending != "rejected" else None,
        arguments_mac="DIGEST" if ending != "rejected" else None,
        argument_names=("nmae",) if ending == "rejected" else (),
        transport="http",
        client_name="claude-code",
        client_version="2.1.0",
        executor="EXECUTOR",
    )
    reads = tool == UNKNOWN_TOOL or CATALOGUE.by_name(tool).effect is Effect.READ  # type: ignore[union-attr]
    touched = _state(kind) if kind and not reads else None
    start = [_template(received)]
    if ending == "rejected":
        message = f"{tool}: nmae: no such argument, did you mean name?"
        return (*start, _template(CommandRejected(summary=summary, code="invalid_arguments", message=message))), ()
    if ending == "denied":
        reason = f"role {role} may not do this with {tool}"
        denied = CommandDenied(summary=summary, rule=f"role-{role}", policy_digest=POLICY, reason=reason)
        return (*start, _template(denied)), ()
    if tool == "deploy-compose":
        services = ",".join(f'"web-{n}":{{"image":"nginx:1.27","environment":{{"TZ":"UTC"}}}}' for n in range(8))
        plan = f'{{"name":"shop","services":{{{services}}}}}'
        planned = CommandPlanned(summary=summary, part=1, parts=1, text=plan, plan_sha256=sha256_hex(plan.encode()))
        start.append(_template(planned))
    start.append(_template(CommandAuthorized(rule=f"role-{role}", policy_digest=POLICY)))
    if ending == "cancelled":
        return (*start, _template(CommandCancelled(summary=summary, reason="the caller gave up"))), ()
    started = ExecutionStarted(
        executor="EXECUTOR",
        engine="ZQ2J:7SLX:PIEM",
        pinned=(touched,) if touched else (),
        not_after_ms=_UNTIL,
        settle_s=30,
    )
    return (*start, _template(started)), _after(tool, summary, touched, ending)


def _after(tool: str, summary: str, touched: ObjectState | None, ending: str) -> Life:
    typical_us = _TOOLS.get(tool, (0, 1))[1] * 1000
    states = (touched,) if touched else ()
    refs = tuple(ObjectRef(kind=state.kind, id=state.id, name=state.name) for state in states)
    result = {"id": touched.id, "name": touched.name} if touched else None
    unknown = CommandUnknown(
        summary=summary, code="engine_interrupted", message="the engine stopped answering", observed=states
    )
    if ending == "unknown":
        settled = CommandSucceeded(summary=summary, touched=refs, state_after=states, reconciled=True)
        return _template(unknown), _template(settled)
    if ending == "failed":
        message = f"no {tool.partition('-')[2] or 'object'} of that name"
        failed = CommandFailed(
            summary=summary,
            code="not_found",
            message=message,
            hint="list what exists",
            retryable=False,
            applied="none",
            duration_us=_TOOK,
        )
        return (_template(failed, typical_us),)
    succeeded = CommandSucceeded(
        summary=summary,
        result=result,
        result_sha256="DIGEST",
        result_bytes=len(summary) * 97,
        touched=refs,
        state_after=states,
        duration_us=_TOOK,
    )
    return (_template(succeeded, typical_us),)


def _state(kind: str) -> ObjectState:
    facts = {"status": "running", "started_at": "2026-04-02T10:11:12.131415161Z", "restart_count": 0}
    return ObjectState(kind=Kind(kind), id="ID", name="NAME", facts=facts)


def _template(event: Event, typical_us: int = 0) -> Template:
    outcome = "error" if event.status in (Status.FAILED, Status.UNKNOWN) else "denied"
    if event.status in (None, Status.RUNNING, Status.SUCCESS):
        outcome = "allowed"
    severity, quarantine = _JUDGED[outcome]
    return Template(
        type=event.type,
        status=str(event.status) if event.status else None,
        status_json=f'"{event.status}"' if event.status else "null",
        outcome=outcome,
        judged=f'"quarantine_decision":"{quarantine}","severity":"{severity}"',
        decides=isinstance(event, CommandAuthorized | CommandDenied),
        text=event.encode(),
        typical_us=typical_us,
    )
