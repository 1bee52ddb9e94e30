"""What a container or stack may ask of the engine's host.

Arguments of a tool, a rendered Compose model and a request to the engine are each read into one form (``asks``), which
one set of rules judges (``judge``). Everything is closed unless the operator opens it (``settings``), and some things
nobody can open: the engine's socket, the kernel's and the system's directories, the server's own files (``paths``).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from domain.host_safety.asks import new_network, volume
from domain.host_safety.container import container_asks
from domain.host_safety.judge import Violation, judged
from domain.host_safety.paths import Resolve
from domain.host_safety.reading import mapping, text
from domain.host_safety.request import request_asks
from domain.host_safety.settings import HostSafety
from domain.host_safety.stack import stack_asks

if TYPE_CHECKING:
    from domain.catalogue.containers import CreateContainer
    from domain.catalogue.networks import CreateNetwork

__all__ = [
    "HostSafety",
    "Resolve",
    "Violation",
    "container_violations",
    "network_violations",
    "request_violations",
    "stack_violations",
    "volume_violations",
]


def container_violations(
    command: "CreateContainer", rules: HostSafety, resolve: Resolve | None, protected: Sequence[str]
) -> list[Violation]:
    """Return what ``create-container`` may not do; see :func:`domain.host_safety.judge.judged`."""
    return judged(container_asks(command), rules, resolve, protected)


def network_violations(command: "CreateNetwork", rules: HostSafety) -> list[Violation]:
    """Return what ``network-create`` may not do."""
    return judged(new_network("network", command.driver, {}, "", []), rules, None, ())


def stack_violations(
    tree: Mapping[str, Any], rules: HostSafety, resolve: Resolve | None, protected: Sequence[str]
) -> list[Violation]:
    """Return what a stack may not do, given its model as Compose rendered it."""
    return judged(stack_asks(tree), rules, resolve, protected)


def request_violations(
    body: Mapping[str, Any],
    rules: HostSafety,
    resolve: Resolve | None,
    protected: Sequence[str],
    siblings: Collection[str] = (),
) -> list[Violation]:
    """Return what a request to create a container may not ask the engine for.

    Args:
        body: of ``POST /containers/create``.
        rules: what the operator has opened.
        resolve: returns real paths on the engine's host; None if that is another host than ours.
        protected: paths that stay closed whatever is opened.
        siblings: names and ids of containers whose namespaces and volumes it may share.
    """
    return judged(request_asks(body, siblings), rules, resolve, protected)


def volume_violations(
    found: Mapping[str, Any], rules: HostSafety, resolve: Resolve | None, protected: Sequence[str]
) -> list[Violation]:
    """Return what a volume may not be, given what the engine says of it (``GET /volumes/NAME``).

    A volume that exists already may be a directory of the host under another name.
    """
    name, driver = text(found, "Name"), text(found, "Driver")
    return judged(volume(f"volumes.{name}", driver, mapping(found.get("Options"))), rules, resolve, protected)
