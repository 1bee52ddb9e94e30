"""What is asked of the host, in one form for all that ask: arguments, Compose models and requests to the engine.

What is ordinary asks nothing: named volumes, tmpfs, published ports, limits, users, labels, networks of one's own.
"""

import ipaddress
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from domain.host_safety.settings import capability, security_option


class What(StrEnum):
    """What can be asked; the rule that judges it is ``host-safety/`` with this name."""

    BIND = "bind-mount"
    PROPAGATION = "shared-propagation"
    MOUNT_KIND = "mount-kind"
    VOLUME_NAME = "volume-name"
    VOLUME_OPTIONS = "volume-options"
    NETWORK_VOLUME = "network-volume"
    EXTERNAL_VOLUME = "external-volume"
    VOLUMES_FROM = "volumes-from"
    FILE = "file"
    PRIVILEGED = "privileged"
    HOST_NETWORK = "host-network"
    HOST_PID = "host-pid"
    HOST_IPC = "host-ipc"
    HOST_UTS = "host-uts"
    HOST_CGROUP = "host-cgroup"
    HOST_USERS = "host-users"
    JOIN = "join-container"
    MODE = "namespace"
    DRIVER = "driver"
    SUBNET = "public-subnet"
    CAPABILITY = "capability"
    DEVICE = "device"
    GPU = "gpu"
    DEVICE_REQUEST = "device-request"
    DEVICE_RULE = "device-cgroup-rule"
    SECURITY_OPTION = "security-option"
    RUNTIME = "runtime"
    CGROUP_PARENT = "cgroup-parent"
    SYSCTL = "sysctl"
    OOM = "oom-protection"
    ANNOTATION = "annotation"
    COMPOSE_LABEL = "compose-label"
    VARIABLE = "variable"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Ask:
    """One thing that is asked, where it stands, and what is named there."""

    what: What
    place: str
    value: str = ""


Asks = Iterator[Ask]

COMPOSE_LABELS: Final = "com.docker.compose."
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SHARED: Final = frozenset({"shared", "rshared"})
_BIND: Final = frozenset({"bind", "rbind"})
_OTHER_MOUNTS: Final = frozenset({"move", "remount"})
_NETWORK_TYPES: Final = frozenset({"cifs", "nfs", "nfs4", "smb3"})
_LOCAL_OPTIONS: Final = frozenset({"device", "o", "size", "type"})
_DEFAULT_CAPABILITIES: Final = """
    AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID
    SYS_CHROOT
"""
_EVERY_CONTAINER_HAS: Final = frozenset(_DEFAULT_CAPABILITIES.split())
_HARDENING: Final = frozenset(
    {"apparmor=docker-default", "no-new-privileges", "no-new-privileges=true", "seccomp=builtin"}
)
_OWN_SYSCTL: Final = re.compile(
    r"kernel\.(msg[a-z]+|sem|shm[a-z_]+)|fs\.mqueue\.[a-z_]+|net\.core\.somaxconn|net\.unix\.[a-z_]+|net\.ipv[46]\.[\w.-]+",
    re.ASCII,
)
_GPU_DRIVERS: Final = frozenset({"", "amd", "nvidia"})
_LOG_DRIVERS: Final = frozenset({"", "journald", "json-file", "local", "none"})
_LOG_OPTION_NAMES: Final = """
    cache-compress cache-disabled cache-max-file cache-max-size compress env env-regex labels labels-regex
    max-buffer-size max-file max-size mode tag
"""
_LOG_OPTIONS: Final = frozenset(_LOG_OPTION_NAMES.split())
_NETWORK_DRIVERS: Final[Mapping[str, frozenset[str]]] = {
    "bridge": frozenset(
        {
            "com.docker.network.bridge.enable_icc",
            "com.docker.network.bridge.enable_ip_masquerade",
            "com.docker.network.bridge.host_binding_ipv4",
            "com.docker.network.container_iface_prefix",
            "com.docker.network.driver.mtu",
        }
    ),
    "overlay": frozenset({"com.docker.network.driver.mtu", "encrypted"}),
    "null": frozenset(),
}
_PRIVATE: Final = tuple(
    map(ipaddress.ip_network, ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
)


def binds(place: str, source: str, target: str, options: Iterable[str] = ()) -> Asks:
    """A directory or file of the host, mounted."""
    yield Ask(What.BIND, place, source)
    if ":" in target:
        yield Ask(What.MOUNT_KIND, place, "a target with a colon")
    yield from propagation(place, options)


def propagation(place: str, options: Iterable[str]) -> Asks:
    """How mounts travel between host and container."""
    if _SHARED & {option.strip().lower() for option in options}:
        yield Ask(What.PROPAGATION, place)


def named_volume(place: str, name: str) -> Asks:
    """A volume by name; the empty name stands for one that the engine makes for this container alone."""
    if name and not _NAME.fullmatch(name):
        yield Ask(What.VOLUME_NAME, place)


def volume(place: str, driver: str, options: Mapping[str, Any]) -> Asks:
    """A volume to be made. The engine's own driver takes the arguments of ``mount``, so that it can mount anything."""
    if driver not in ("", "local"):
        yield Ask(What.DRIVER, f"{place}.driver", driver)
        return
    given = {key: _text(value).strip() for key, value in options.items() if _text(value).strip()}
    kind = given.get("type", "").lower()
    flags = {flag.strip().lower() for flag in given.get("o", "").split(",")}
    place = f"{place}.driver_opts"
    yield from propagation(place, flags)
    if not given.keys() <= _LOCAL_OPTIONS or flags & _OTHER_MOUNTS:
        yield Ask(What.VOLUME_OPTIONS, place)
    elif flags & _BIND:
        yield Ask(What.BIND, f"{place}.device", given.get("device", ""))
    elif kind in _NETWORK_TYPES:
        yield Ask(What.NETWORK_VOLUME, place)
    elif kind != "tmpfs" and (kind or "device" in given):
        yield Ask(What.VOLUME_OPTIONS, place)


def namespace(what: What, place: str, mode: str, plain: Collection[str], own: Collection[str]) -> Asks:
    """The mode of a namespace: ``plain`` ones are ordinary, and so is joining a container among ``own``."""
    known = mode.strip().lower()
    if known in plain or mode in own:
        return
    if known == "host":
        yield Ask(what, place)
    elif known.startswith(("container:", "service:")):
        yield Ask(What.JOIN, place)
    else:
        yield Ask(What.MODE, place)


def network(place: str, mode: str, own: Collection[str] = ()) -> Asks:
    """The mode of the network namespace: mostly the name of a network. An id is never the host's: the engine goes
    by the name ``host`` alone."""
    known = mode.strip().lower()
    if known == "host":
        yield Ask(What.HOST_NETWORK, place)
    elif known.startswith(("container:", "service:")):
        if mode not in own:
            yield Ask(What.JOIN, place)
    elif mode and not _NAME.fullmatch(mode):
        yield Ask(What.MODE, place)


def new_network(place: str, driver: str, options: Mapping[str, Any], address_driver: str, subnets: list[str]) -> Asks:
    """A network to be made."""
    known = driver or "bridge"
    if known == "host":
        yield Ask(What.HOST_NETWORK, f"{place}.driver")
    elif known not in _NETWORK_DRIVERS:
        yield Ask(What.DRIVER, f"{place}.driver", driver)
    else:
        for option in sorted(options.keys() - _NETWORK_DRIVERS[known]):
            yield Ask(What.DRIVER, f"{place}.driver_opts.{option}", known)
    if address_driver not in ("", "default"):
        yield Ask(What.DRIVER, f"{place}.ipam.driver", address_driver)
    if not all(map(_is_private, subnets)):
        yield Ask(What.SUBNET, f"{place}.ipam")


def logs(place: str, driver: str, options: Mapping[str, Any]) -> Asks:
    """Where logs go. Most drivers send them from the host's own network, or to its sockets, and read its files."""
    if driver not in _LOG_DRIVERS:
        yield Ask(What.DRIVER, f"{place}.driver", driver)
        return
    for option in sorted(options.keys() - _LOG_OPTIONS):
        yield Ask(What.DRIVER, f"{place}.options.{option}", driver)


def capabilities(place: str, names: Iterable[object]) -> Asks:
    """Capabilities to be added."""
    for name in map(capability, map(_text, names)):
        if name not in _EVERY_CONTAINER_HAS:
            yield Ask(What.CAPABILITY, place, name)


def security(place: str, options: Iterable[object]) -> Asks:
    """Security options. Those that only harden, or name the default, are ordinary."""
    for option in map(security_option, map(_text, options)):
        if option not in _HARDENING:
            yield Ask(What.SECURITY_OPTION, place, option)


def sysctls(place: str, names: Iterable[str]) -> Asks:
    """Kernel parameters. Those that each container has for itself are ordinary."""
    for name in names:
        if not _OWN_SYSCTL.fullmatch(name):
            yield Ask(What.SYSCTL, place, name)


def device_request(place: str, driver: str, wanted: Collection[str]) -> Asks:
    """Devices that a driver hands out; ``wanted`` are their capabilities."""
    gpu = driver in _GPU_DRIVERS and "gpu" in wanted
    yield Ask(What.GPU if gpu else What.DEVICE_REQUEST, place)


def device(place: str, path: str) -> Asks:
    """A device by path, or by its CDI name."""
    yield Ask(What.DEVICE if path.startswith("/") else What.DEVICE_REQUEST, place, path)


def oom(place: str, score: object, *, spared: object) -> Asks:
    """When the kernel ends processes for want of memory."""
    if spared or (score and not (isinstance(score, int) and score >= 0)):
        yield Ask(What.OOM, place)


def many(what: What, place: str, values: Iterable[object]) -> Asks:
    """The same of each value that is not empty."""
    for value in values:
        if value:
            yield Ask(what, place, _text(value))


def _is_private(subnet: str) -> bool:
    try:
        wanted = ipaddress.ip_network(subnet, strict=False)
    except ValueError:
        return False
    return any(wanted.version == place.version and wanted.subnet_of(place) for place in _PRIVATE)  # type: ignore[arg-type]


def _text(value: object) -> str:
    return "" if value is None else str(value)
