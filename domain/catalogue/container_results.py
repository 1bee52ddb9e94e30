"""What the tools for containers answer."""

from domain.catalogue.tool import Result
from domain.objects import Kind, ObjectRef


class Published(Result):
    """A published port as the engine bound it."""

    container: str
    host: str


class ContainerCreated(Result):
    """The container that was made."""

    id: str
    name: str
    image: str
    state: str
    ports: list[Published] = []
    pulled: bool = False
    warnings: list[str] = []

    def touched(self) -> tuple[ObjectRef, ...]:
        return (ObjectRef(kind=Kind.CONTAINER, id=self.id, name=self.name),)


class ContainerRow(Result):
    """One line of a list; what was not asked for is left out.

    ``status`` is there unasked when it says more than ``state``: an exit code, the health, a pause.
    """

    id: str
    name: str
    image: str
    state: str
    status: str | None = None
    command: str | None = None
    created: str | None = None
    labels: dict[str, str] | None = None
    mounts: list[str] | None = None
    networks: list[str] | None = None
    ports: list[str] | None = None


class ContainerList(Result):
    """A page of containers. ``next_cursor`` is there when there are more."""

    containers: list[ContainerRow]
    total: int
    next_cursor: str | None = None


class Attachment(Result):
    """A container's place in a network."""

    name: str
    ip_address: str
    aliases: list[str] = []


class ContainerDetail(Result):
    """One container. Its environment is names only, for roles that may read secrets ``NAME=value``."""

    id: str
    name: str
    image: str
    image_id: str
    created: str
    state: str
    running: bool
    exit_code: int
    oom_killed: bool
    restart_count: int
    started_at: str | None = None
    finished_at: str | None = None
    error: str | None = None
    health: str | None = None
    command: list[str] = []
    entrypoint: list[str] = []
    working_dir: str | None = None
    user: str | None = None
    environment: list[str] = []
    labels: dict[str, str] = {}
    ports: list[Published] = []
    mounts: list[str] = []
    networks: list[Attachment] = []
    restart_policy: str = "no"
    memory_bytes: int = 0
    nano_cpus: int = 0


class Logs(Result):
    """The newest lines. ``truncated`` says that more lines matched than are shown.

    ``masked`` is how many credentials in them were replaced by ``«masked»``.
    """

    lines: list[str]
    shown: int
    matched: int | None = None
    masked: int | None = None
    truncated: bool
    narrow: str | None = None


class Stats(Result):
    """One measurement; CPU in thousandths of a processor."""

    name: str
    cpu_millicores: int
    memory_bytes: int
    memory_limit_bytes: int
    network_rx_bytes: int
    network_tx_bytes: int
    disk_read_bytes: int
    disk_write_bytes: int
    processes: int


class ContainerChanged(Result):
    """A container after a start, stop or restart. ``changed`` is false if it already was as wanted."""

    id: str
    name: str
    state: str
    changed: bool


class Removed(Result):
    """The object that no longer exists."""

    id: str
    name: str
