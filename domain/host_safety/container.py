"""What a single container asks of the host, read from the arguments of ``create-container``."""

from typing import TYPE_CHECKING

from domain.catalogue.values import parse_mount
from domain.host_safety import asks
from domain.host_safety.asks import COMPOSE_LABELS, Ask, Asks, What

if TYPE_CHECKING:
    from domain.catalogue.containers import CreateContainer


def container_asks(command: "CreateContainer") -> Asks:
    """Yield what the command asks for."""
    for source, target in (command.volumes or {}).items():
        mount = parse_mount(source, target if isinstance(target, str) else target.text())
        place, options = f"volumes.{source}", mount.options.split(",")
        if source.startswith("/"):
            yield from asks.binds(place, source, mount.target, options)
        else:
            yield from asks.named_volume(place, source)
            yield from asks.propagation(place, options)
    for index, name in enumerate(command.networks or []):
        yield from asks.network(f"networks.{index}", name)
    if any(label.lower().startswith(COMPOSE_LABELS) for label in command.labels or {}):
        yield Ask(What.COMPOSE_LABEL, "labels")
