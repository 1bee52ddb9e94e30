"""Settles commands whose executor died, at the start and for as long as the process runs (``server.settling``)."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final

from adapters import spans
from domain import failpoints
from domain.command_stream import CommandStream
from domain.errors import ConcurrentAppendError, ConfigurationError, EngineError, LogUnavailableError
from domain.events import CommandApproved, CommandUnknown, RecordedEvent
from domain.failpoints import Failpoint
from domain.lifecycle import Status
from domain.ports import EventStore, Executors, NewId, OpenCommand
from server import logs
from server.journal import Journal
from server.settling import Settler
from server.workers import Workers

_LOOK_EVERY_S: Final = 1.0
_FIRST_RETRY_S: Final = 1.0
_LONGEST_RETRY_S: Final = 30.0
_LAST_ANSWER_S: Final = 0.5

logger = logging.getLogger(__name__)


class Recovery:
    """Looks after the commands that nobody works on any more."""

    def __init__(
        self,
        settler: Settler,
        store: EventStore,
        journal: Journal,
        executors: Executors,
        workers: Workers,
        new_id: NewId,
        go_on: Callable[[str], object],
        interval_s: float = _LOOK_EVERY_S,
    ) -> None:
        """Take what is needed.

        ``go_on`` has a command carried out that was approved and not started; every ``interval_s`` seconds it is
        looked who has died.
        """
        self._settler = settler
        self._store = store
        self._journal = journal
        self._executors = executors
        self._workers = workers
        self._new_id = new_id
        self._go_on = go_on
        self._interval_s = interval_s
        self._loops: list[asyncio.Task[None]] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._asked: set[asyncio.Task[Any]] = set()
        self._looked = asyncio.Event()
        self._left_open: set[str] = set()
        """What this process has looked at already and could not settle."""

    def start(self) -> None:
        """Settle, in the background, every open command whose executor is dead, now and whenever one dies."""
        self._loops = [asyncio.create_task(self._keep_settling()), asyncio.create_task(self._keep_holding())]

    def watch(self, command_id: str) -> None:
        """Settle, in the background, a command of this process whose outcome is unknown."""
        self._spawn(command_id, self._settle(command_id))

    async def finish(self) -> None:
        """Wait until everything that could be settled now is settled."""
        await self._looked.wait()
        while self._tasks:
            await asyncio.gather(*self._tasks.values())

    async def stop(self) -> None:
        """Leave what is not settled to the next process; what is being asked just now is answered, or soon given up."""
        for task in (*self._loops, *self._tasks.values()):
            task.cancel()
        if self._asked:
            await asyncio.wait(self._asked, timeout=_LAST_ANSWER_S)

    def _spawn(self, command_id: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks[command_id] = task
        task.add_done_callback(lambda _task: self._tasks.pop(command_id, None))

    async def _keep_settling(self) -> None:
        while True:
            try:
                await self._settle_dead()
            except Exception:  # whatever is wrong with one look, the next one has to come
                logger.exception("recovery failed")
            self._looked.set()
            await asyncio.sleep(self._interval_s)

    async def _keep_holding(self) -> None:
        """Take the lock of this process again soon after it was lost: until then others take it for dead."""
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self._ask(self._executors.hold_on)
            except LogUnavailableError as error:
                logger.warning("this server may seem dead to others: %s", error.describe())

    async def _settle_dead(self) -> None:
        dead: dict[str, bool] = {}
        for command in await self._patiently(self._store.open_commands):
            executor = command.executor
            if command.status == Status.DEFERRED or self._is_seen_to(command):
                continue  # a deferred one waits for a person, not for a process
            if executor not in dead:
                dead[executor] = not await self._is_alive(executor)
            if dead[executor]:
                self._spawn(command.command_id, self._settle(command.command_id, executor))

    def _is_seen_to(self, command: OpenCommand) -> bool:
        return command.command_id in self._tasks or command.command_id in self._left_open

    async def _settle(self, command_id: str, executor: str | None = None) -> None:
        try:
            if await self._is_back(executor, self._executors.seems_dead_s):
                return
            await self._settle_open(command_id, executor)
        except Exception:  # a command that cannot be settled must not be tried for ever, nor stop the others
            logger.exception("command %s cannot be settled", command_id)
            self._left_open.add(command_id)

    async def _settle_open(self, command_id: str, executor: str | None) -> None:
        events: list[RecordedEvent] = await self._patiently(lambda: self._store.read_stream(command_id))
        first = events[0]
        resumed = spans.resumed(f"settle {first.tool}", command_id, first.trace_id, first.span_id)
        with logs.command_id(command_id), resumed:
            await self._settle_recorded(events, executor)

    async def _settle_recorded(self, events: Sequence[RecordedEvent], executor: str | None) -> None:
        command_id = events[0].stream
        stream = CommandStream.resume(events, self._new_id)
        if stream.last_type == CommandApproved.type:
            self._left_open.add(command_id)
            self._go_on(command_id)
            return
        failpoints.reach(Failpoint.BEFORE_SETTLING, events[0].tool or "")
        await asyncio.sleep(self._settler.wait_s(events))
        ending = (await self._patiently(lambda: self._settler.settle(events))).ending
        if ending.type == stream.last_type:
            self._left_open.add(command_id)
            return
        if await self._is_back(executor, 0):
            return
        failpoints.reach(Failpoint.SETTLING, ending.type)
        logger.info("settled command %s of a process that ended: %s", command_id, ending.type)
        try:
            await self._journal.append_outcome(stream.add(ending))
            if ending.type == CommandUnknown.type:
                self._left_open.add(command_id)
        except ConcurrentAppendError:
            logger.info("command %s was settled by another process", command_id)

    async def _is_back(self, executor: str | None, after_s: float) -> bool:
        """Return whether a process that seemed dead had only lost its connection: it ends its commands itself."""
        if executor is None:
            return False
        await asyncio.sleep(after_s)
        return await self._is_alive(executor)

    async def _is_alive(self, executor: str) -> bool:
        return bool(await self._patiently(partial(self._executors.is_alive, executor)))

    async def _patiently(self, question: Callable[[], Any]) -> Any:
        """Return what ``question`` returns; ask again while log or engine do not answer."""
        delay = _FIRST_RETRY_S
        while True:
            try:
                return await self._ask(question)
            except (LogUnavailableError, EngineError, ConfigurationError) as error:
                logger.warning("recovery waits %.0f s: %s", delay, error.describe())
                await asyncio.sleep(delay)
                delay = min(delay * 2, _LONGEST_RETRY_S)

    async def _ask(self, question: Callable[[], Any]) -> Any:
        asked = asyncio.create_task(self._workers.run(question))
        self._asked.add(asked)
        asked.add_done_callback(self._answered)
        return await asyncio.shield(asked)

    def _answered(self, asked: asyncio.Task[Any]) -> None:
        self._asked.discard(asked)
        if not asked.cancelled():
            asked.exception()  # nobody hears it if the one who asked was stopped
