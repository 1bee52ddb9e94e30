"""Tools for single containers: their commands, and the port that carries them out."""

from typing import Annotated, Any, Literal, Protocol

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from domain.canonical import MAX_SAFE_INTEGER
from domain.catalogue import recognise
from domain.catalogue.container_results import (
    ContainerChanged,
    ContainerCreated,
    ContainerDetail,
    ContainerList,
    Logs,
    Removed,
    Stats,
)
from domain.catalogue.fields import (
    PULL_LIMIT_S,
    Cursor,
    Grep,
    ImageReference,
    Labels,
    LogBytes,
    Moment,
    NewName,
    Page,
    Reference,
    Tail,
    checked,
)
from domain.catalogue.tool import Command, Effect, Run, Target, Tool
from domain.catalogue.values import (
    check_probe,
    parse_bytes,
    parse_duration_ns,
    parse_mount,
    parse_nano_cpus,
    parse_ports,
    parse_restart_policy,
    parse_words,
)
from domain.host_safety.container import container_asks
from domain.objects import Kind
from domain.secrets import SECRET

Duration = Annotated[str, StringConstraints(max_length=32), checked(parse_duration_ns)]
Words = Annotated[str | list[str], checked(parse_words)]
Ports = Annotated[dict[str, Any] | list[str], checked(parse_ports)]


def _check_environment(environment: dict[str, str | int | bool]) -> dict[str, str | int | bool]:
    if any(not name or "=" in name for name in environment):
        raise ValueError("a variable's name is not empty and has no = in it")
    if any(isinstance(value, int) and abs(value) > MAX_SAFE_INTEGER for value in environment.values()):
        raise ValueError("a number beyond 2^53 is passed as a string")
    return environment


def _number_text(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_SAFE_INTEGER:
        return str(value)
    return value


Environment = Annotated[dict[str, str | int | bool], Field(max_length=512), AfterValidator(_check_environment), SECRET]
NumberText = Annotated[str, StringConstraints(max_length=32), BeforeValidator(_number_text)]
GraceSeconds = Annotated[int, Field(ge=0, le=600)]


class MountPoint(Command):
    """Where a volume appears in the container."""

    bind: str
    mode: str = "rw"

    def text(self) -> str:
        return f"{self.bind}:{self.mode}"


def _check_volumes(volumes: dict[str, str | MountPoint]) -> None:
    for source, target in volumes.items():
        parse_mount(source, target if isinstance(target, str) else target.text())


class HealthCheck(Command):
    """A command the engine runs in the container to see whether it is healthy."""

    cmd: Annotated[str | list[str], checked(check_probe)]
    interval: Duration | None = None
    timeout: Duration | None = None
    start_period: Duration | None = None
    retries: Annotated[int, Field(ge=1, le=1000)] | None = None


class Resources(Command):
    """Limits: `cpu` in processors, `memory` such as 512m."""

    cpu: Annotated[NumberText, checked(parse_nano_cpus)] | None = None
    memory: Annotated[NumberText, checked(parse_bytes)] | None = None


class CreateContainer(Command):
    """Create a container and start it. A missing image is pulled. Environment values are sealed in the log."""

    image: ImageReference
    name: NewName | None = None
    ports: (
        Annotated[
            Ports,
            Field(description='container port to host port {"80": "8080"}, also "127.0.0.1:8080", null, lists, ranges'),
        ]
        | None
    ) = None
    environment: Environment | None = None
    volumes: (
        Annotated[
            dict[str, str | MountPoint],
            Field(max_length=128, description="host path or volume name to container path[:ro]"),
            checked(_check_volumes),
        ]
        | None
    ) = None
    networks: Annotated[list[Reference], Field(max_length=32)] | None = None
    health_check: HealthCheck | None = None
    resources: Resources | None = None
    restart_policy: (
        Annotated[str, checked(parse_restart_policy), Field(description="no, always, unless-stopped, on-failure[:N]")]
        | None
    ) = None
    command: Words | None = None
    entrypoint: Words | None = None
    working_dir: Annotated[str, StringConstraints(pattern="^/", max_length=1024)] | None = None
    user: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:-]*$", max_length=64)] | None = None
    labels: Labels | None = None
    start: bool = True


ContainerField = Literal["command", "created", "labels", "mounts", "networks", "ports", "status"]


class ListContainers(Command):
    """List containers, newest first; only running ones unless `all` is true. `fields` adds detail."""

    all: bool = False
    limit: Page = 50
    cursor: Cursor | None = None
    fields: list[ContainerField] = []


class InspectContainer(Command):
    """Show one container: configuration, state, health, networks, mounts. Environment by name only, for most roles."""

    container_name: Reference


class GetLogs(Command):
    """Read the newest log lines of a container. `grep` keeps lines that contain this text."""

    container_name: Reference
    tail: Tail = 100
    since: Moment | None = None
    until: Moment | None = None
    grep: Grep | None = None
    timestamps: bool = False
    max_bytes: LogBytes = 32_768


class ContainerStats(Command):
    """Measure a running container now: CPU, memory, network, disk, processes."""

    container_name: Reference


class StartContainer(Command):
    """Start a stopped container."""

    container_name: Reference


class StopContainer(Command):
    """Stop a running container; it is killed after `timeout` seconds."""

    container_name: Reference
    timeout: GraceSeconds = 10


class RestartContainer(Command):
    """Restart a container; it is killed after `timeout` seconds if it does not stop."""

    container_name: Reference
    timeout: GraceSeconds = 10


class RemoveContainer(Command):
    """Remove a container; a running one only with `force`. `volumes` also removes its anonymous volumes."""

    container_name: Reference
    force: bool = False
    volumes: bool = False


class Containers(Protocol):
    """Carries out container commands. Every method may block; each raises ``EngineError`` and its kinds."""

    def create(self, command: CreateContainer, run: Run) -> ContainerCreated: ...
    def list(self, command: ListContainers, run: Run) -> ContainerList: ...
    def inspect(self, command: InspectContainer, run: Run) -> ContainerDetail: ...
    def logs(self, command: GetLogs, run: Run) -> Logs: ...
    def stats(self, command: ContainerStats, run: Run) -> Stats: ...
    def start(self, command: StartContainer, run: Run) -> ContainerChanged: ...
    def stop(self, command: StopContainer, run: Run) -> ContainerChanged: ...
    def restart(self, command: RestartContainer, run: Run) -> ContainerChanged: ...
    def remove(self, command: RemoveContainer, run: Run) -> Removed: ...


def _uses(command: CreateContainer) -> tuple[tuple[Kind, str], ...]:
    networks = [(Kind.NETWORK, name) for name in command.networks or []]
    volumes = [(Kind.VOLUME, name) for name in command.volumes or {} if not name.startswith("/")]
    return (*networks, *volumes)


_CONTAINER = (Target("container_name", Kind.CONTAINER),)

TOOLS = (
    Tool(
        name="create-container",
        title="Create container",
        command=CreateContainer,
        port=Containers,
        apply=Containers.create,
        effect=Effect.CREATE,
        idempotent=False,
        summary="create container {name} from {image}",
        creates=Target("name", Kind.CONTAINER),
        image="image",
        uses=_uses,
        asks=lambda command, _plan: container_asks(command),
        recognise=recognise.container_created,
        limit_s=PULL_LIMIT_S,
        settle_s=lambda _command: 60,
        open_world=True,
    ),
    Tool(
        name="list-containers",
        title="List containers",
        command=ListContainers,
        port=Containers,
        apply=Containers.list,
        effect=Effect.READ,
        idempotent=True,
        only_looks=True,
        summary="list containers",
    ),
    Tool(
        name="inspect-container",
        title="Inspect container",
        command=InspectContainer,
        port=Containers,
        apply=Containers.inspect,
        effect=Effect.READ,
        idempotent=True,
        only_looks=True,
        summary="inspect container {container_name}",
        targets=_CONTAINER,
    ),
    Tool(
        name="get-logs",
        title="Get container logs",
        command=GetLogs,
        port=Containers,
        apply=Containers.logs,
        effect=Effect.READ,
        idempotent=True,
        summary="read logs of container {container_name}",
        targets=_CONTAINER,
    ),
    Tool(
        name="container-stats",
        title="Container statistics",
        command=ContainerStats,
        port=Containers,
        apply=Containers.stats,
        effect=Effect.READ,
        idempotent=True,
        summary="measure container {container_name}",
        targets=_CONTAINER,
    ),
    Tool(
        name="start-container",
        title="Start container",
        command=StartContainer,
        port=Containers,
        apply=Containers.start,
        effect=Effect.MUTATE,
        idempotent=True,
        summary="start container {container_name}",
        targets=_CONTAINER,
        recognise=recognise.started,
    ),
    Tool(
        name="stop-container",
        title="Stop container",
        command=StopContainer,
        port=Containers,
        apply=Containers.stop,
        effect=Effect.MUTATE,
        idempotent=True,
        summary="stop container {container_name}",
        targets=_CONTAINER,
        recognise=recognise.stopped,
        settle_s=lambda command: command.timeout + 12,
    ),
    Tool(
        name="restart-container",
        title="Restart container",
        command=RestartContainer,
        port=Containers,
        apply=Containers.restart,
        effect=Effect.MUTATE,
        idempotent=False,
        summary="restart container {container_name}",
        targets=_CONTAINER,
        recognise=recognise.restarted,
        settle_s=lambda command: command.timeout + 30,
    ),
    Tool(
        name="remove-container",
        title="Remove container",
        command=RemoveContainer,
        port=Containers,
        apply=Containers.remove,
        effect=Effect.DESTROY,
        idempotent=True,
        summary="remove container {container_name}",
        targets=_CONTAINER,
        recognise=recognise.removed,
        settle_s=lambda _command: 60,
    ),
)
