"""Networks."""

from adapters.docker.describe import short_id
from adapters.docker.engine import Engine
from adapters.docker.errors import explained
from domain.catalogue.container_results import Removed
from domain.catalogue.fields import COMMAND_LABEL, PRINCIPAL_LABEL
from domain.catalogue.networks import (
    ConnectNetwork,
    CreateNetwork,
    DisconnectNetwork,
    InspectNetwork,
    ListNetworks,
    NetworkCreated,
    NetworkDetail,
    NetworkLink,
    NetworkList,
    NetworkMember,
    NetworkRow,
    RemoveNetwork,
)
from domain.catalogue.tool import Run
from domain.objects import Kind, column_name


class DockerNetworks:
    """Satisfies ``domain.catalogue.networks.Networks``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(self, command: CreateNetwork, run: Run) -> NetworkCreated:
        labels = {**(command.labels or {}), **own_labels(run)}
        run.before_change()
        with explained(Kind.NETWORK):
            made = self._engine.api.create_network(
                command.name, driver=command.driver, internal=command.internal, labels=labels, check_duplicate=True
            )
        return NetworkCreated(
            id=made["Id"], name=command.name, driver=command.driver, warning=made.get("Warning") or None
        )

    def remove(self, _command: RemoveNetwork, run: Run) -> Removed:
        network = run.target(Kind.NETWORK)
        run.before_change()
        with explained(Kind.NETWORK):
            self._engine.api.remove_network(network.id)
        return Removed(id=short_id(network.id), name=network.name)

    def list(self, command: ListNetworks, run: Run) -> NetworkList:
        with explained():
            found = self._engine.api.networks()
        found = [each for each in found if run.may_see(column_name(Kind.NETWORK, each["Name"]), each["Labels"] or {})]
        rows = [
            NetworkRow(
                id=short_id(network["Id"]),
                name=network["Name"],
                driver=network["Driver"],
                scope=network["Scope"],
                internal=network["Internal"] or None,
            )
            for network in sorted(found, key=lambda network: network["Name"])
        ]
        return NetworkList(networks=rows[: command.limit], total=len(rows))

    def inspect(self, _command: InspectNetwork, run: Run) -> NetworkDetail:
        with explained(Kind.NETWORK):
            found = self._engine.api.inspect_network(run.target(Kind.NETWORK).id)
            members = found.get("Containers") or {}
            inside = self._engine.api.containers(filters={"network": found["Id"]}) if members else []
        labels = {entry["Id"]: entry["Labels"] for entry in inside}
        addresses = (found.get("IPAM") or {}).get("Config") or []
        return NetworkDetail(
            id=found["Id"],
            name=found["Name"],
            driver=found["Driver"],
            scope=found["Scope"],
            internal=found["Internal"],
            created=found["Created"],
            subnets=[part["Subnet"] for part in addresses if part.get("Subnet")],
            gateways=[part["Gateway"] for part in addresses if part.get("Gateway")],
            labels=found.get("Labels") or {},
            containers=[
                NetworkMember(id=short_id(member), name=end["Name"], ip_address=end.get("IPv4Address", ""))
                for member, end in sorted(members.items(), key=lambda item: item[1]["Name"])
                if run.may_see(column_name(Kind.CONTAINER, end["Name"]), labels.get(member, {}))
            ],
        )

    def connect(self, command: ConnectNetwork, run: Run) -> NetworkLink:
        network, container = run.target(Kind.NETWORK), run.target(Kind.CONTAINER)
        run.before_change()
        with explained(Kind.NETWORK):
            self._engine.api.connect_container_to_network(container.id, network.id, aliases=command.aliases or None)
        return NetworkLink(network=network.name, container=container.name, connected=True)

    def disconnect(self, command: DisconnectNetwork, run: Run) -> NetworkLink:
        network, container = run.target(Kind.NETWORK), run.target(Kind.CONTAINER)
        run.before_change()
        with explained(Kind.NETWORK):
            self._engine.api.disconnect_container_from_network(container.id, network.id, force=command.force)
        return NetworkLink(network=network.name, container=container.name, connected=False)


def own_labels(run: Run) -> dict[str, str]:
    """Return the labels that lead from an object back to the record; they win over anything a caller asks for."""
    return {COMMAND_LABEL: run.command_id, PRINCIPAL_LABEL: run.principal}
