"""The composition root: the one place that knows which adapter stands behind which port."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

import uuid_utils

from adapters.auth_store import AuthStore, load_auth_secret
from adapters.checkpoint_copies import copies_to
from adapters.identity import local_principal
from adapters.sealing import AesSealer
from adapters.store.deferred import command_state
from adapters.store.disk import DiskReserve
from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from adapters.store.log_watch import LogWatch
from adapters.store.snapshot import open_snapshot
from domain.access.auth_file import AuthFile
from domain.catalogue import CATALOGUE
from domain.catalogue.approvals import Approvals
from domain.catalogue.audit import AuditTrail
from domain.catalogue.audit_export import LogExport
from domain.catalogue.containers import Containers
from domain.catalogue.identity import Identity
from domain.catalogue.networks import Networks
from domain.catalogue.replay import Replay
from domain.catalogue.stacks import Stacks
from domain.catalogue.system import Images, System
from domain.catalogue.tool import Catalogue
from domain.errors import DockerMcpError, LogUnavailableError
from domain.events import Event, NewEvent, PolicyLoaded, ServerStarted, ServerStopped, event_of
from domain.policy import Narrowing, Policy
from domain.ports import Held
from domain.principal import ANONYMOUS, SYSTEM, Principal
from server.approvals import ApprovalDesk
from server.approved import ApprovedCommands
from server.authentication import Authenticator
from server.callers import Callers
from server.dispatcher import Dispatcher
from server.docker_adapters import DockerAdapters
from server.effect import Bound
from server.engine_watch import EngineWatch
from server.flood import Refusals
from server.host import host_of
from server.journal import Journal
from server.keys import sealer_of, signing_key_of
from server.object_locks import ObjectLocks
from server.projector import Projector
from server.recovery import Recovery
from server.repeats import Repeats
from server.settings import TOOLSETS, Settings
from server.settling import Settler
from server.unsettled import Unsettled
from server.user_changes import AUTH_STREAM, recorder
from server.version import VERSION
from server.workers import Workers
from server.world_keeper import keep_world

if TYPE_CHECKING:
    from adapters.prometheus import Exposition
    from adapters.store.audit_trail import SqlAuditTrail
    from domain.engine_ports import EngineEvents, EngineLog

_LOG_WORKERS: Final = 4
_WATCH_STOP_S: Final = 3.0
_TRAIL_WORKERS: Final = 64
"""Who waits for an outcome keeps one of these asleep."""

logger = logging.getLogger(__name__)


def new_id() -> str:
    """Return a fresh UUIDv7."""
    return str(uuid_utils.uuid7())


def now_ms() -> int:
    """Return milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


class Application:
    """Everything that serves one transport, wired together."""

    def __init__(
        self,
        settings: Settings,
        transport: str,
        catalogue: Catalogue = CATALOGUE,
        more_ports: Mapping[type, Any] | None = None,
        sealer: AesSealer | None = None,
    ) -> None:
        """Wire the parts; nothing is opened before :meth:`start`.

        Args:
            settings: the options.
            transport: how callers reach this process, for the log.
            catalogue: the tools and prompts.
            more_ports: adapters of ports that only ``catalogue`` knows.
            sealer: seals in the place of the log's own, for a process that seals nothing.

        Raises:
            ConfigurationError: if the database URL or the sealing key is not usable.
        """
        self.settings = settings
        self._catalogue = catalogue
        self.transport = transport
        self._started = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._background: list[asyncio.Task[None]] = []
        self.executor = new_id()
        self.principal = local_principal(settings.DOCKER_MCP_STDIO_ROLE)
        location = Location.parse(settings.database_url)
        self._host = host_of(settings, location)
        self.store = SqlEventStore(location, now_ms, self.executor, settings.DOCKER_MCP_APPEND_TIMEOUT_S)
        self.auth = AuthStore(settings.auth_file, self._rules_changed, recorder(self.store, self.principal, new_id))
        self._rules = self.auth.load()
        self._policy = self._policy_of(self._rules)
        self.reserve = DiskReserve(location.path, settings.DOCKER_MCP_DISK_RESERVE_MIB << 20)
        self.docker = DockerAdapters(
            settings, lambda: self._recorded_stacks, partial(command_state, self.store.read_stream)
        )
        self.watch = LogWatch(
            lambda: open_snapshot(location, settings.DOCKER_MCP_APPEND_TIMEOUT_S),
            lambda: signing_key_of(settings, location),
            self.store.append,
            now_ms,
            new_id,
            checkpoint_events=settings.DOCKER_MCP_CHECKPOINT_EVENTS,
            checkpoint_interval_s=settings.DOCKER_MCP_CHECKPOINT_INTERVAL_S,
            copies=copies_to(settings.DOCKER_MCP_CHECKPOINTS_TO, stdout=transport == "http"),
            whole_every_s=settings.DOCKER_MCP_VERIFY_INTERVAL_S,
        )
        self.chain = self.watch.state
        self.engine_watch = EngineWatch(
            self._engine_parts,
            self.store.append,
            self.store.object_locks,
            self.reserve.has_room,
            new_id,
            per_second=settings.DOCKER_MCP_ENGINE_EVENTS_PER_SECOND,
            timeout_s=settings.DOCKER_MCP_APPEND_TIMEOUT_S,
        )
        self._engine_workers = Workers("engine", settings.DOCKER_MCP_ENGINE_WORKERS)
        self._log_workers = Workers("log", _LOG_WORKERS)
        self._lock_workers = Workers("lock", 1)
        self._trail_workers = Workers("trail", _TRAIL_WORKERS)
        self.journal = Journal(self.store, settings.DOCKER_MCP_APPEND_TIMEOUT_S)
        self.refusals = Refusals(
            settings.DOCKER_MCP_REFUSALS_PER_MINUTE,
            self.journal,
            self.reserve.has_room,
            self._own_stream,
            now_ms,
            new_id,
        )
        self.settler = Settler(catalogue, lambda: self.docker.observer, now_ms)
        self.recovery = Recovery(
            self.settler, self.store, self.journal, self.store.executors, self._log_workers, new_id, self._go_on
        )
        self.locks = ObjectLocks(
            self.store.object_locks,
            self.store.executors.is_alone,
            Unsettled(self.store.running, catalogue, self._log_workers).wait,
            self._lock_workers,
        )
        projector = Projector(
            self._ports(more_ports or {}),
            lambda: self.docker.observer,
            self.journal,
            self.locks,
            self._fence,
            now_ms,
            self.executor,
            settings.DOCKER_MCP_WAITING_LIMIT,
            self._count_waiting,
            self.recovery.watch,
        )
        self.authenticator = Authenticator(
            self.auth.current,
            load_auth_secret(settings.auth_secret, location.path),
            settings.DOCKER_MCP_TOKEN_LIFETIME_S,
            lambda event, principal: self._note(AUTH_STREAM, event, principal or ANONYMOUS),
            self.refusals,
        )
        sealer = sealer or sealer_of(settings, location)
        self.dispatcher = Dispatcher(
            catalogue,
            self.policy,
            self.journal,
            projector,
            self.refusals,
            self.reserve.check,
            sealer,
            Repeats(self.store, lambda: self.store.watch, self.journal, self._trail_workers, new_id),
            new_id,
            self.executor,
            settings.DOCKER_MCP_QUEUE_LIMIT,
        )
        self.approvals = ApprovalDesk(self.store, now_ms, new_id, self.executor, self._go_on_from_any_thread)
        self.approved = ApprovedCommands(
            catalogue,
            self.store,
            self.journal,
            sealer,
            self.dispatcher,
            projector,
            self._log_workers,
            new_id,
            self.authenticator.requester,
        )

    def policy(self) -> Policy:
        """Return the rules in force, as the operator has narrowed them."""
        rules = self.auth.current()
        if rules is not self._rules:
            self._rules, self._policy = rules, self._policy_of(rules)
        return self._policy

    def callers(self, local: Principal | None) -> Callers:
        """Return what tells who makes a request; ``local`` acts where there are no users."""
        return Callers(self.authenticator, local, self.settings.token if self.transport == "stdio" else None)

    def open(self) -> None:
        """Open the log, for calls from the event loop that runs.

        Raises:
            ConfigurationError: if the database is not one that this version may write.
            LogUnavailableError: it cannot be written now.
        """
        self._loop = asyncio.get_running_loop()
        self.store.check()

    async def start(self) -> None:
        """Open the log, record the start, and look after commands that a dead process left open.

        A log that cannot be written does not stop the start: every call then says so.

        Raises:
            ConfigurationError: if the database is not one that this version may write.
        """
        try:
            self.open()
            digest = self.settings.digest()
            started = ServerStarted(version=VERSION, transport=self.transport, settings_digest=digest)
            loaded = PolicyLoaded(policy_digest=self._policy.digest)
            await self.journal.append([self._own(started), event_of(SYSTEM, loaded, "policy", new_id())])
        except LogUnavailableError as error:
            self.journal.health.log_error = error.message
            logger.error("%s", error.describe())
        self._started = True
        self.recovery.start()
        self._background.append(asyncio.create_task(self.approvals.keep_expiring(self._log_workers)))
        self._background.append(asyncio.create_task(self.refusals.keep_recording()))
        self._background.append(asyncio.create_task(keep_world(self._log_workers, self._keep_world)))
        self.watch.start()
        if self.settings.DOCKER_MCP_ENGINE_EVENTS:
            self.engine_watch.start()
        threading.Thread(target=self._meet_docker, name="docker-hello", daemon=True).start()

    async def stop(self, reason: str) -> bool:
        """Let running commands finish within the grace period, record the stop, close the log.

        Returns whether everything ended in good order; if not, the next start settles the rest.
        """
        await self.recovery.stop()
        for task in self._background:
            task.cancel()
        unfinished = await self.dispatcher.close(self.settings.DOCKER_MCP_SHUTDOWN_GRACE_S)
        await asyncio.to_thread(self.engine_watch.stop)
        await self.refusals.turn(closing=True)
        unrecorded = await self.journal.flush(1.0)
        in_order = not unfinished and not unrecorded
        try:
            if in_order and self._started:
                await self.journal.append([self._own(ServerStopped(reason=reason))])
        except DockerMcpError:
            in_order = False
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(self.watch.stop, sign=in_order), _WATCH_STOP_S)
        if "metrics" in self.__dict__:
            self.metrics.close()
        self.store.close()
        self.docker.close()
        self._engine_workers.abandon()
        self._log_workers.abandon()
        self._trail_workers.abandon()
        self._lock_workers.abandon()
        return in_order

    async def problems(self) -> dict[str, str]:
        """Return what keeps this process from serving, by part; empty if it is ready."""
        found: dict[str, str] = {}
        if self.journal.health.closing:
            found["server"] = "stopping"
        if self.journal.health.unrecorded_outcomes:
            found["outcomes"] = f"{self.journal.health.unrecorded_outcomes} not recorded yet"
        try:
            await self.journal.append([])
            self.reserve.check()
        except DockerMcpError as error:
            found["log"] = error.message
        if not self.chain.intact:
            found["chain"] = self.chain.problem or "not intact"
        try:
            await self._engine_workers.run(lambda: self.docker.engine.ping())
        except DockerMcpError as error:
            found["engine"] = error.message
        return found

    @property
    def _own_stream(self) -> str:
        return f"server/{self.executor}"

    def _ports(self, more: Mapping[type, Any]) -> dict[type, Bound]:
        docker = self.docker
        ports: dict[type, Bound] = {
            Containers: Bound(lambda: docker.containers, self._engine_workers),
            Networks: Bound(lambda: docker.networks, self._engine_workers),
            Stacks: Bound(lambda: docker.stacks, self._engine_workers),
            Images: Bound(lambda: docker.images, self._engine_workers),
            System: Bound(lambda: docker.system, self._engine_workers),
            AuditTrail: Bound(lambda: self.audit_trail, self._trail_workers),
            LogExport: Bound(lambda: self.log_export, self._log_workers),
            Replay: Bound(lambda: self.replay, self._log_workers),
            Identity: Bound(lambda: self.authenticator, self._log_workers),
            Approvals: Bound(lambda: self.approvals, self._log_workers),
        }
        return ports | {port: Bound(partial(_itself, adapter), self._engine_workers) for port, adapter in more.items()}

    @cached_property
    def audit_trail(self) -> "SqlAuditTrail":
        """What answers questions about the log."""
        from adapters.store.audit_trail import SqlAuditTrail

        return SqlAuditTrail(self.store, self._catalogue.with_effect, lambda: self.journal.health.closing)

    @cached_property
    def metrics(self) -> "Exposition":
        """What ``/prometheus`` tells."""
        from server.metrics import metrics_of

        return metrics_of(self.settings, now_ms, lambda: self.docker.engine.ping(), self.chain)

    @cached_property
    def log_export(self) -> Any:
        """The adapter of the port ``LogExport``, which also hands out the events."""
        from adapters.store.log_export import SqlLogExport

        return SqlLogExport(self.store.questions)

    @cached_property
    def replay(self) -> Any:
        """The adapter of the port ``Replay``."""
        from adapters.store.replay import SqlReplay

        return SqlReplay(self.store.location, self.settings.DOCKER_MCP_APPEND_TIMEOUT_S, self.docker.inventory)

    @cached_property
    def _recorded_stacks(self) -> Any:
        from adapters.store.recorded_stacks import SqlRecordedStacks

        return SqlRecordedStacks(self.store.questions)

    def _engine_parts(self) -> "tuple[EngineEvents, EngineLog]":
        from adapters.store.engine_log import SqlEngineLog

        return self.docker.events, SqlEngineLog(self.store.questions)

    async def _count_waiting(self) -> int:
        return await self._log_workers.run(self.approvals.count)

    def _keep_world(self) -> int:
        from adapters.store.world_log import keep_snapshots

        return keep_snapshots(self.store.location, self.settings.DOCKER_MCP_APPEND_TIMEOUT_S)

    def _go_on(self, command_id: str) -> None:
        self.approved.start(command_id)

    async def _fence(self) -> Held:
        executors = self.store.executors
        if executors.seems_lost():
            await self._lock_workers.run(executors.hold_on)
        return executors.fence()

    def _go_on_from_any_thread(self, command_id: str) -> None:
        assert self._loop is not None  # noqa: S101 (decisions come from calls, and calls from the loop)
        self._loop.call_soon_threadsafe(self._go_on, command_id)

    def _meet_docker(self) -> None:
        """Learn what the first call would wait for: the engine's id, recorded with every execution, and Compose."""
        meetings: tuple[Callable[[], Any], ...] = (self._meet_engine, self._meet_compose)
        for meet in meetings:
            try:
                meet()
            except DockerMcpError as error:
                logger.warning("%s", error.describe())

    def _meet_engine(self) -> None:
        self.docker.engine.identify()

    def _meet_compose(self) -> None:
        self.docker.compose.version()

    def _policy_of(self, rules: AuthFile) -> Policy:
        wanted = self.settings.toolsets
        tools = None
        if wanted is not None:
            tools = frozenset(
                tool.name
                for tool in self._catalogue
                if (kind := tool.port.__name__.lower()) in wanted or kind not in TOOLSETS
            )
        return Policy(rules, Narrowing(self.settings.DOCKER_MCP_READ_ONLY, tools), self._host)

    def _rules_changed(self, rules: AuthFile | None, problem: str | None) -> None:
        digest = (rules or self._rules).digest
        self._note("policy", PolicyLoaded(policy_digest=digest, problem=problem), SYSTEM)

    def _note(self, stream: str, event: Event, principal: Principal) -> None:
        """Have an event recorded without waiting for it; any thread may call."""
        self.store.append([event_of(principal, event, stream, new_id())]).add_done_callback(_complain)

    def _own(self, event: Event) -> NewEvent:
        return event_of(SYSTEM, event, self._own_stream, new_id())


def _complain(appended: "Future[Any]") -> None:
    if not appended.cancelled() and (error := appended.exception()):
        logger.error("an event of authentication could not be recorded: %s", error)


def _itself(adapter: Any) -> Any:
    return adapter
