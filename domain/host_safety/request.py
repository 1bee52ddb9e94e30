"""What a container asks of the host, read from the body of the engine's ``POST /containers/create``.

The engine takes keys in any case, and a newer engine may know more of them. So a key that is not spelled as here, and
says something, is refused.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

from domain.host_safety import asks
from domain.host_safety.asks import Ask, Asks, What
from domain.host_safety.reading import items, mapping, text

_CONFIG_KEYS: Final = """
    ArgsEscaped AttachStderr AttachStdin AttachStdout Cmd Domainname Entrypoint Env ExposedPorts Healthcheck HostConfig
    Hostname Image Labels MacAddress NetworkDisabled NetworkingConfig OnBuild OpenStdin Shell StdinOnce StopSignal
    StopTimeout Tty User Volumes WorkingDir
"""
_CONFIG: Final = frozenset(_CONFIG_KEYS.split())
_HOST_CONFIG_KEYS: Final = """
    Annotations AutoRemove Binds BlkioDeviceReadBps BlkioDeviceReadIOps BlkioDeviceWriteBps BlkioDeviceWriteIOps
    BlkioWeight BlkioWeightDevice CapAdd CapDrop Cgroup CgroupParent CgroupnsMode ConsoleSize CpuCount CpuPercent
    CpuPeriod CpuQuota CpuRealtimePeriod CpuRealtimeRuntime CpuShares CpusetCpus CpusetMems DeviceCgroupRules
    DeviceRequests Devices Dns DnsOptions DnsSearch ExtraHosts GroupAdd IOMaximumBandwidth IOMaximumIOps Init IpcMode
    Isolation KernelMemory KernelMemoryTCP Links LogConfig MaskedPaths Memory MemoryReservation MemorySwap
    MemorySwappiness Mounts NanoCpus NetworkMode OomKillDisable OomScoreAdj PidMode PidsLimit PortBindings Privileged
    PublishAllPorts ReadonlyPaths ReadonlyRootfs RestartPolicy Runtime SecurityOpt ShmSize StorageOpt Sysctls Tmpfs
    UTSMode Ulimits UsernsMode VolumeDriver VolumesFrom
"""
_HOST_CONFIG: Final = frozenset(_HOST_CONFIG_KEYS.split())
_MOUNT: Final = frozenset(
    {
        "BindOptions",
        "ClusterOptions",
        "Consistency",
        "ImageOptions",
        "ReadOnly",
        "Source",
        "Target",
        "TmpfsOptions",
        "Type",
        "VolumeOptions",
    }
)
_BIND_OPTIONS: Final = frozenset(
    {"CreateMountpoint", "NonRecursive", "Propagation", "ReadOnlyForceRecursive", "ReadOnlyNonRecursive"}
)
_VOLUME_OPTIONS: Final = frozenset({"DriverConfig", "Labels", "NoCopy", "Subpath"})


def request_asks(body: Mapping[str, Any], siblings: Collection[str]) -> Asks:
    """Yield what the request asks for.

    Args:
        body: Config, with HostConfig and NetworkingConfig in it.
        siblings: names and ids of containers of the same stack.
    """
    host = mapping(body.get("HostConfig"))
    yield from _known("", body, _CONFIG)
    yield from _known("HostConfig", host, _HOST_CONFIG)
    yield from _mounts(host)
    yield from _namespaces(host, siblings)
    yield from _devices(host)
    yield from asks.capabilities("HostConfig.CapAdd", items(host.get("CapAdd")))
    yield from asks.security("HostConfig.SecurityOpt", items(host.get("SecurityOpt")))
    for key in ("MaskedPaths", "ReadonlyPaths"):
        if host.get(key) is not None:
            yield Ask(What.SECURITY_OPTION, f"HostConfig.{key}", "systempaths=unconfined")
    yield from asks.sysctls("HostConfig.Sysctls", mapping(host.get("Sysctls")))
    yield from asks.oom("HostConfig", host.get("OomScoreAdj"), spared=host.get("OomKillDisable"))
    yield from asks.many(What.PRIVILEGED, "HostConfig.Privileged", [host.get("Privileged")])
    yield from asks.many(What.RUNTIME, "HostConfig.Runtime", [host.get("Runtime")])
    if text(host, "Isolation") not in ("", "default"):
        yield Ask(What.RUNTIME, "HostConfig.Isolation", text(host, "Isolation"))
    yield from asks.many(What.CGROUP_PARENT, "HostConfig.CgroupParent", [host.get("CgroupParent")])
    yield from asks.many(What.ANNOTATION, "HostConfig.Annotations", mapping(host.get("Annotations")))
    logs = mapping(host.get("LogConfig"))
    yield from _known("HostConfig.LogConfig", logs, frozenset({"Config", "Type"}))
    yield from asks.logs("HostConfig.LogConfig", text(logs, "Type"), mapping(logs.get("Config")))
    networking = mapping(body.get("NetworkingConfig"))
    yield from _known("NetworkingConfig", networking, frozenset({"EndpointsConfig"}))
    for name in mapping(networking.get("EndpointsConfig")):
        yield from asks.network(f"NetworkingConfig.EndpointsConfig.{name}", name)


def _mounts(host: Mapping[str, Any]) -> Asks:
    for index, bind in enumerate(map(str, items(host.get("Binds")))):
        yield from _bind(f"HostConfig.Binds.{index}", bind)
    for index, mount in enumerate(map(mapping, items(host.get("Mounts")))):
        yield from _mount(f"HostConfig.Mounts.{index}", mount)
    if text(host, "VolumeDriver") not in ("", "local"):
        yield Ask(What.DRIVER, "HostConfig.VolumeDriver", text(host, "VolumeDriver"))


def _bind(place: str, bind: str) -> Asks:
    source, _, rest = bind.partition(":")
    target, _, options = rest.partition(":")
    if not target.startswith("/") or ":" in options:
        yield Ask(What.MOUNT_KIND, place)
    elif source.startswith("/"):
        yield from asks.binds(place, source, target, options.split(","))
    else:
        yield from asks.named_volume(place, source)
        yield from asks.propagation(place, options.split(","))


def _mount(place: str, mount: Mapping[str, Any]) -> Asks:
    kind, source = text(mount, "Type"), text(mount, "Source")
    bind, volume = mapping(mount.get("BindOptions")), mapping(mount.get("VolumeOptions"))
    driver = mapping(volume.get("DriverConfig"))
    yield from _known(place, mount, _MOUNT)
    yield from _known(f"{place}.BindOptions", bind, _BIND_OPTIONS)
    yield from _known(f"{place}.VolumeOptions", volume, _VOLUME_OPTIONS)
    yield from _known(f"{place}.VolumeOptions.DriverConfig", driver, frozenset({"Name", "Options"}))
    yield from asks.propagation(place, [text(bind, "Propagation")])
    if kind == "bind":
        yield from asks.binds(place, source, text(mount, "Target"))
    elif kind == "volume":
        yield from asks.named_volume(place, source)
        yield from asks.volume(place, text(driver, "Name"), mapping(driver.get("Options")))
    elif kind not in ("tmpfs", "image"):
        yield Ask(What.MOUNT_KIND, place)


def _namespaces(host: Mapping[str, Any], siblings: Collection[str]) -> Asks:
    own = frozenset(f"container:{name}" for name in siblings)
    yield from asks.network("HostConfig.NetworkMode", text(host, "NetworkMode"), own)
    for what, key, plain in (
        (What.HOST_PID, "PidMode", ("", "private")),
        (What.HOST_IPC, "IpcMode", ("", "none", "private", "shareable")),
        (What.HOST_UTS, "UTSMode", ("", "private")),
        (What.HOST_CGROUP, "CgroupnsMode", ("", "private")),
        (What.HOST_CGROUP, "Cgroup", ("",)),
        (What.HOST_USERS, "UsernsMode", ("",)),
    ):
        yield from asks.namespace(what, f"HostConfig.{key}", text(host, key), plain, own)
    for key, what in (("VolumesFrom", What.VOLUMES_FROM), ("Links", What.JOIN)):
        if any(str(each).partition(":")[0].lstrip("/") not in siblings for each in items(host.get(key))):
            yield Ask(what, f"HostConfig.{key}")


def _devices(host: Mapping[str, Any]) -> Asks:
    for index, device in enumerate(map(mapping, items(host.get("Devices")))):
        place = f"HostConfig.Devices.{index}"
        yield from _known(place, device, frozenset({"CgroupPermissions", "PathInContainer", "PathOnHost"}))
        yield from asks.device(place, text(device, "PathOnHost"))
    for index, request in enumerate(map(mapping, items(host.get("DeviceRequests")))):
        place = f"HostConfig.DeviceRequests.{index}"
        known = frozenset({"Capabilities", "Count", "DeviceIDs", "Driver", "Options"})
        yield from _known(place, request, known)
        wanted = [str(name) for names in items(request.get("Capabilities")) for name in items(names)]
        yield from asks.device_request(place, text(request, "Driver"), wanted)
    yield from asks.many(What.DEVICE_RULE, "HostConfig.DeviceCgroupRules", items(host.get("DeviceCgroupRules")))


def _known(place: str, tree: Mapping[str, Any], known: frozenset[str]) -> Asks:
    for key, value in tree.items():
        if key not in known and value not in (None, "", 0, [], {}):
            yield Ask(What.UNKNOWN, f"{place}.{key}".removeprefix("."))
