"""Tools for networks: their commands, their results, and the port that carries them out."""

from typing import Annotated, Protocol

from pydantic import Field, StringConstraints

from domain.catalogue import recognise
from domain.catalogue.container_results import Removed
from domain.catalogue.fields import Labels, NewName, Page, Reference
from domain.catalogue.tool import Command, Effect, Result, Run, Target, Tool
from domain.host_safety.asks import new_network
from domain.objects import Kind, ObjectRef


class CreateNetwork(Command):
    """Create a network that containers can join and find each other in by name."""

    name: NewName
    driver: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./:-]*$", max_length=128)] = "bridge"
    internal: bool = False
    labels: Labels | None = None


class RemoveNetwork(Command):
    """Remove a network that no container uses."""

    name: Reference


class ListNetworks(Command):
    """List networks."""

    limit: Page = 100


class InspectNetwork(Command):
    """Show one network: driver, addresses, attached containers."""

    name: Reference


class ConnectNetwork(Command):
    """Connect a container to a network."""

    network: Reference
    container: Reference
    aliases: Annotated[list[Reference], Field(max_length=32)] = []


class DisconnectNetwork(Command):
    """Disconnect a container from a network."""

    network: Reference
    container: Reference
    force: bool = False


class NetworkCreated(Result):
    """The network that was made."""

    id: str
    name: str
    driver: str
    warning: str | None = None

    def touched(self) -> tuple[ObjectRef, ...]:
        return (ObjectRef(kind=Kind.NETWORK, id=self.id, name=self.name),)


class NetworkRow(Result):
    """One line of a list."""

    id: str
    name: str
    driver: str
    scope: str
    internal: bool | None = None


class NetworkList(Result):
    """The networks of the engine; ``total`` tells whether the list is complete."""

    networks: list[NetworkRow]
    total: int


class NetworkMember(Result):
    """A container in a network."""

    id: str
    name: str
    ip_address: str


class NetworkDetail(Result):
    """One network."""

    id: str
    name: str
    driver: str
    scope: str
    internal: bool
    created: str
    subnets: list[str] = []
    gateways: list[str] = []
    labels: dict[str, str] = {}
    containers: list[NetworkMember] = []


class NetworkLink(Result):
    """A container and a network that were connected or disconnected."""

    network: str
    container: str
    connected: bool


class Networks(Protocol):
    """Carries out network commands. Every method may block; each raises ``EngineError`` and its kinds."""

    def create(self, command: CreateNetwork, run: Run) -> NetworkCreated: ...
    def remove(self, command: RemoveNetwork, run: Run) -> Removed: ...
    def list(self, command: ListNetworks, run: Run) -> NetworkList: ...
    def inspect(self, command: InspectNetwork, run: Run) -> NetworkDetail: ...
    def connect(self, command: ConnectNetwork, run: Run) -> NetworkLink: ...
    def disconnect(self, command: DisconnectNetwork, run: Run) -> NetworkLink: ...


_NETWORK = (Target("name", Kind.NETWORK),)
_LINK = (Target("network", Kind.NETWORK), Target("container", Kind.CONTAINER))

TOOLS = (
    Tool(
        name="network-create",
        title="Create network",
        command=CreateNetwork,
        port=Networks,
        apply=Networks.create,
        effect=Effect.CREATE,
        idempotent=False,
        summary="create network {name} ({driver})",
        creates=Target("name", Kind.NETWORK),
        asks=lambda command, _plan: new_network("driver", command.driver, {}, "", []),
        recognise=recognise.network_created,
    ),
    Tool(
        name="network-remove",
        title="Remove network",
        command=RemoveNetwork,
        port=Networks,
        apply=Networks.remove,
        effect=Effect.DESTROY,
        idempotent=True,
        summary="remove network {name}",
        targets=_NETWORK,
        recognise=recognise.removed,
    ),
    Tool(
        name="network-list",
        title="List networks",
        command=ListNetworks,
        port=Networks,
        apply=Networks.list,
        effect=Effect.READ,
        idempotent=True,
        only_looks=True,
        summary="list networks",
    ),
    Tool(
        name="network-inspect",
        title="Inspect network",
        command=InspectNetwork,
        port=Networks,
        apply=Networks.inspect,
        effect=Effect.READ,
        idempotent=True,
        only_looks=True,
        summary="inspect network {name}",
        targets=_NETWORK,
    ),
    Tool(
        name="network-connect",
        title="Connect to network",
        command=ConnectNetwork,
        port=Networks,
        apply=Networks.connect,
        effect=Effect.MUTATE,
        idempotent=False,
        summary="connect container {container} to network {network}",
        targets=_LINK,
        recognise=recognise.connected,
    ),
    Tool(
        name="network-disconnect",
        title="Disconnect from network",
        command=DisconnectNetwork,
        port=Networks,
        apply=Networks.disconnect,
        effect=Effect.MUTATE,
        idempotent=False,
        summary="disconnect container {container} from network {network}",
        targets=_LINK,
        recognise=recognise.disconnected,
    ),
)
