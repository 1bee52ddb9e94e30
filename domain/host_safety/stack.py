"""What a stack asks of the host, read from the model that Compose rendered."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from domain.host_safety import asks
from domain.host_safety.asks import COMPOSE_LABELS, Ask, Asks, What
from domain.host_safety.reading import items, mapping, text

_MOUNT: Final = frozenset({"bind", "consistency", "image", "read_only", "source", "target", "tmpfs", "type", "volume"})


def stack_asks(tree: Mapping[str, Any]) -> Asks:
    """Yield what the model asks for.

    Args:
        tree: what ``docker compose config --format json`` printed. A dollar stands there doubled, since Compose
            fills in variables again when it deploys.
    """
    yield from _variables("", tree)
    plain = _undoubled(tree)
    services = mapping(plain.get("services"))
    own = frozenset(f"service:{name}" for name in services)
    for name, service in services.items():
        yield from _service(f"services.{name}", mapping(service), own)
    for name, volume in mapping(plain.get("volumes")).items():
        yield from _volume(f"volumes.{name}", mapping(volume))
    for name, network in mapping(plain.get("networks")).items():
        yield from _network(f"networks.{name}", mapping(network))
    for section in ("configs", "secrets"):
        for name, entry in mapping(plain.get(section)).items():
            if not mapping(entry).get("content") and not mapping(entry).get("external"):
                yield Ask(What.FILE, f"{section}.{name}")


def _service(place: str, service: Mapping[str, Any], own: Collection[str]) -> Asks:
    for index, mount in enumerate(items(service.get("volumes"))):
        yield from _mount(f"{place}.volumes.{index}", mapping(mount))
    yield from _namespaces(place, service, own)
    yield from _devices(place, service)
    yield from asks.capabilities(f"{place}.cap_add", items(service.get("cap_add")))
    yield from asks.security(f"{place}.security_opt", items(service.get("security_opt")))
    yield from asks.sysctls(f"{place}.sysctls", mapping(service.get("sysctls")))
    yield from asks.oom(place, service.get("oom_score_adj"), spared=service.get("oom_kill_disable"))
    yield from asks.many(What.RUNTIME, f"{place}.runtime", [service.get("runtime")])
    yield from asks.many(What.RUNTIME, f"{place}.isolation", _set(service.get("isolation"), "default"))
    yield from asks.many(What.CGROUP_PARENT, f"{place}.cgroup_parent", [service.get("cgroup_parent")])
    yield from asks.many(What.ANNOTATION, f"{place}.annotations", mapping(service.get("annotations")))
    yield from asks.many(What.PRIVILEGED, f"{place}.privileged", [service.get("privileged")])
    for hook in ("post_start", "pre_stop"):
        for index, step in enumerate(items(service.get(hook))):
            yield from asks.many(What.PRIVILEGED, f"{place}.{hook}.{index}", [mapping(step).get("privileged")])
    logging = mapping(service.get("logging"))
    yield from asks.logs(f"{place}.logging", text(logging, "driver"), mapping(logging.get("options")))
    if any(str(label).lower().startswith(COMPOSE_LABELS) for label in mapping(service.get("labels"))):
        yield Ask(What.COMPOSE_LABEL, f"{place}.labels")


def _namespaces(place: str, service: Mapping[str, Any], own: Collection[str]) -> Asks:
    yield from asks.network(f"{place}.network_mode", text(service, "network_mode"), own)
    for what, key, plain in (
        (What.HOST_PID, "pid", ("", "private")),
        (What.HOST_IPC, "ipc", ("", "none", "private", "shareable")),
        (What.HOST_UTS, "uts", ("", "private")),
        (What.HOST_CGROUP, "cgroup", ("", "private")),
        (What.HOST_USERS, "userns_mode", ("",)),
    ):
        yield from asks.namespace(what, f"{place}.{key}", text(service, key), plain, own)
    for source in map(str, items(service.get("volumes_from"))):
        if f"service:{source.partition(':')[0]}" not in own:
            yield Ask(What.VOLUMES_FROM, f"{place}.volumes_from")
    if service.get("external_links"):
        yield Ask(What.JOIN, f"{place}.external_links")


def _devices(place: str, service: Mapping[str, Any]) -> Asks:
    for index, device in enumerate(items(service.get("devices"))):
        yield from asks.device(f"{place}.devices.{index}", text(mapping(device), "source"))
    yield from asks.many(What.DEVICE_RULE, f"{place}.device_cgroup_rules", items(service.get("device_cgroup_rules")))
    for index, request in enumerate(items(service.get("gpus"))):
        yield from asks.device_request(f"{place}.gpus.{index}", text(mapping(request), "driver"), ["gpu"])
    reserved = service
    for step in ("deploy", "resources", "reservations"):
        reserved = mapping(reserved.get(step))
    for index, request in enumerate(items(reserved.get("devices"))):
        wanted = [str(each) for each in items(mapping(request).get("capabilities"))]
        at = f"{place}.deploy.resources.reservations.devices.{index}"
        yield from asks.device_request(at, text(mapping(request), "driver"), wanted)


def _mount(place: str, mount: Mapping[str, Any]) -> Asks:
    kind, source = text(mount, "type"), text(mount, "source")
    bind = mapping(mount.get("bind"))
    if kind == "bind":
        yield from asks.binds(place, source, text(mount, "target"), [text(bind, "propagation")])
    elif kind == "volume":
        yield from asks.named_volume(place, source)
    elif kind not in ("tmpfs", "image"):
        yield Ask(What.MOUNT_KIND, place)
    if kind != "bind" and bind:  # Compose makes a bind mount of what has such options, whatever its type says
        yield Ask(What.MOUNT_KIND, place)
    if not mount.keys() <= _MOUNT:
        yield Ask(What.UNKNOWN, place)


def _volume(place: str, volume: Mapping[str, Any]) -> Asks:
    yield from asks.named_volume(f"{place}.name", text(volume, "name"))
    if volume.get("external"):
        yield Ask(What.EXTERNAL_VOLUME, f"{place}.external")
    yield from asks.volume(place, text(volume, "driver"), mapping(volume.get("driver_opts")))


def _network(place: str, network: Mapping[str, Any]) -> Asks:
    yield from asks.network(f"{place}.name", text(network, "name"))
    addresses = mapping(network.get("ipam"))
    subnets = [text(mapping(pool), "subnet") for pool in items(addresses.get("config")) if mapping(pool).get("subnet")]
    options = mapping(network.get("driver_opts"))
    yield from asks.new_network(place, text(network, "driver"), options, text(addresses, "driver"), subnets)


def _variables(place: str, tree: Any) -> Asks:
    if isinstance(tree, str) and "$" in tree.replace("$$", ""):
        yield Ask(What.VARIABLE, place.removeprefix("."))
    for key, item in _entries(tree):
        yield from _variables(f"{place}.{key}", item)


def _entries(tree: Any) -> Iterator[tuple[object, Any]]:
    if isinstance(tree, Mapping):
        yield from tree.items()
    elif isinstance(tree, list):
        yield from enumerate(tree)


def _undoubled(tree: Any) -> Any:
    if isinstance(tree, str):
        return tree.replace("$$", "$")
    if isinstance(tree, Mapping):
        return {key: _undoubled(item) for key, item in tree.items()}
    return [_undoubled(item) for item in tree] if isinstance(tree, list) else tree


def _set(value: object, default: str) -> Sequence[object]:
    return [] if value == default else [value]
