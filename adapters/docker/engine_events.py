"""The engine's event stream (``GET /events``, Docker Engine API)."""

import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from adapters.docker.engine import Engine
from adapters.docker.errors import explained
from domain.engine_events import EngineEvent, engine_event, engine_time
from domain.engine_ports import EngineSign, EventStream
from domain.errors import NotFoundError
from domain.objects import Kind

if TYPE_CHECKING:
    from docker.types import CancellableStream

_NS_PER_S: Final = 1_000_000_000
_NO_ID: Final = "engine"

Stream: TypeAlias = "CancellableStream[dict[str, Any]]"


class DockerEvents:
    """Satisfies ``domain.engine_ports.EngineEvents``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def sign(self) -> EngineSign:
        asked_ns = time.time_ns()
        info = self._engine.identify()
        answered_ns = time.time_ns()
        now_ns = _nanoseconds(info.get("SystemTime")) or answered_ns
        agrees = asked_ns <= now_ns <= answered_ns  # as far as can be told
        ahead_ns = 0 if agrees else now_ns - (asked_ns + answered_ns) // 2
        return EngineSign(info.get("ID") or _NO_ID, now_ns, ahead_ns // 1_000_000)

    def told(self, since_ns: int, until_ns: int) -> list[EngineEvent]:
        with explained(), closing(_Followed(self._events(since_ns, engine_time(until_ns)))) as events:
            return list(events)

    def follow(self, since_ns: int) -> EventStream:
        with explained():
            return _Followed(self._events(since_ns))

    def container(self, container_id: str) -> EngineEvent | None:
        try:
            with explained(Kind.CONTAINER):
                found = self._engine.api.inspect_container(container_id)
        except NotFoundError:
            return None
        labels = (found.get("Config") or {}).get("Labels") or {}
        attributes = {**labels, "name": str(found.get("Name", "")).removeprefix("/")}
        return engine_event({"Type": "container", "Actor": {"ID": container_id, "Attributes": attributes}})

    def _events(self, since_ns: int, until: str | None = None) -> Stream:
        api: Any = self._engine.api  # its types do not know that the engine takes nanoseconds
        events: Stream = api.events(since=engine_time(since_ns), until=until, decode=True)
        return events


class _Followed:
    """Satisfies ``domain.engine_ports.EventStream``."""

    def __init__(self, events: Stream) -> None:
        self._events = events
        self._is_closed = False

    def __iter__(self) -> Iterator[EngineEvent]:
        try:
            with explained():
                for told in self._events:
                    yield engine_event(told)
        except Exception:
            if not self._is_closed:  # what is closed while it is read fails in many ways
                raise

    def close(self) -> None:
        self._is_closed = True
        with suppress(Exception):  # the client looks for a socket that may be gone
            self._events.close()


def _nanoseconds(text: object) -> int | None:
    """Return an RFC 3339 time in nanoseconds; None for what is none."""
    try:
        return int(datetime.fromisoformat(str(text)).timestamp()) * _NS_PER_S + _fraction(str(text))
    except ValueError:
        return None


def _fraction(text: str) -> int:
    digits = text.partition(".")[2]
    digits = digits[: next((number for number, sign in enumerate(digits) if not sign.isdigit()), len(digits))]
    return int(digits[:9].ljust(9, "0") or 0)
