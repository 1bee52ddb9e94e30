"""Reads the engine's events as they come, so that the engine never waits for whoever records them."""

import logging
import queue
import threading
from typing import Final

from domain.engine_events import EngineEvent
from domain.engine_ports import EventStream
from domain.errors import DockerMcpError

MOST_WAITING: Final = 10_000
"""Events that may wait to be recorded. Beyond, reading ends: what follows is asked for again later."""

_MOST_BEFORE: Final = 10_000

logger = logging.getLogger(__name__)


class Follower:
    """A thread that reads one stream to its end.

    The engine drops events for a listener that does not read them, without a word (moby, ``pkg/pubsub``).
    """

    def __init__(self, stream: EventStream, newest: str | None, until_ns: int, limit: int = MOST_WAITING) -> None:
        """Begin to read.

        Args:
            stream: what the engine tells; it begins with events of which most are known.
            newest: the digest of the last known one, None if everything is new. What is told before it is handed on
                once it is met: another order may have hidden a new one there.
            until_ns: where the known ones end: without ``newest`` among them, the place is lost and reading ends.
            limit: how many events may wait.
        """
        self._stream = stream
        self._newest = newest
        self._until_ns = until_ns
        self._events: queue.Queue[EngineEvent] = queue.Queue(limit)
        self._thread = threading.Thread(target=self._run, name="engine-events", daemon=True)
        self._thread.start()

    def take(self, most: int, timeout_s: float) -> list[EngineEvent]:
        """Return up to ``most`` events, those that come within ``timeout_s`` seconds if none waits."""
        taken: list[EngineEvent] = []
        try:
            taken.append(self._events.get(timeout=timeout_s))
            while len(taken) < most:
                taken.append(self._events.get_nowait())
        except queue.Empty:
            pass
        return taken

    @property
    def is_reading(self) -> bool:
        """Whether more may come from the engine."""
        return self._thread.is_alive()

    @property
    def has_ended(self) -> bool:
        """Whether nothing is left to take, and nothing more will come."""
        return not self.is_reading and self._events.empty()

    def close(self) -> None:
        """Stop reading. The thread ends by itself; nobody waits for it."""
        self._stream.close()

    def _run(self) -> None:
        try:
            self._read()
        except DockerMcpError as error:
            logger.debug("the engine's events ended: %s", error.describe())
        except Exception:
            logger.exception("the engine's events could not be read")
        finally:
            self._stream.close()

    def _read(self) -> None:
        known: list[EngineEvent] = []
        for event in self._stream:
            if self._newest is None:
                if not self._put(event):
                    return
            elif event.digest == self._newest:
                self._newest = None
                if not all(map(self._put, known)):
                    return
            elif event.time_ns > self._until_ns or len(known) == _MOST_BEFORE:
                logger.debug("the last known event is not among those that the engine tells")
                return
            else:
                known.append(event)

    def _put(self, event: EngineEvent) -> bool:
        try:
            self._events.put_nowait(event)
        except queue.Full:
            logger.warning("the engine's events come faster than they are recorded; the rest is asked for later")
            return False
        return True
