"""What the operator opens: the section ``host_safety`` of the auth file. All that is not opened stays closed."""

from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from domain.host_safety.paths import NEVER, below, parts

_DEV: Final = parts("/dev")


def _tuple(value: Any) -> Any:
    """JSON knows no tuples."""
    return tuple(value) if isinstance(value, list) else value


def _normal(path: str) -> str:
    if not path.startswith("/") or "\0" in path or ":" in path or ".." in path.split("/"):
        raise ValueError("a path is absolute and has no `..`, no colon and no NUL in it")
    return "/" + "/".join(parts(path))


def _root(path: str) -> str:
    normal = _normal(path)
    if normal == "/" or any(below(parts(normal), place) for place in NEVER):
        raise ValueError("the host's root and its protected places cannot be opened")
    return normal


def _device(path: str) -> str:
    normal = _normal(path)
    if not below(parts(normal), _DEV) or parts(normal) == _DEV:
        raise ValueError("a device is a path below /dev")
    return normal


def capability(name: str) -> str:
    """Return a capability as the kernel's manual names it, without ``CAP_``."""
    return name.strip().upper().removeprefix("CAP_")


def security_option(text: str) -> str:
    """Return ``seccomp=unconfined`` also for the older ``seccomp:unconfined``."""
    return text if "=" in text else text.replace(":", "=", 1)


Names = Annotated[tuple[str, ...], BeforeValidator(_tuple)]
Roots = Annotated[tuple[Annotated[str, AfterValidator(_root)], ...], BeforeValidator(_tuple)]
Devices = Annotated[tuple[Annotated[str, AfterValidator(_device)], ...], BeforeValidator(_tuple)]
Capabilities = Annotated[tuple[Annotated[str, AfterValidator(capability)], ...], BeforeValidator(_tuple)]
Options = Annotated[tuple[Annotated[str, AfterValidator(security_option)], ...], BeforeValidator(_tuple)]


def _switch(description: str) -> Any:
    return Field(default=False, description=description)


def _list(description: str) -> Any:
    return Field(default=(), description=description)


class HostSafety(BaseModel):
    """What containers and stacks may ask of the engine's host."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    mount_roots: Roots = _list("directories of this host; they and what is below them may be mounted")
    remote_mount_roots: Roots = _list("the same on a remote engine's host, where links cannot be followed beforehand")
    shared_propagation: bool = _switch("mounts made in a container may appear on the host (shared, rshared)")
    privileged: bool = _switch("privileged containers and privileged lifecycle hooks: root on the host")
    host_network: bool = _switch("the host's network")
    host_pid: bool = _switch("the host's processes")
    host_ipc: bool = _switch("the host's shared memory")
    host_uts: bool = _switch("the host's name")
    host_cgroup: bool = _switch("the host's control groups")
    host_users: bool = _switch("the host's users, where the engine maps them to others")
    join_containers: bool = _switch("namespaces of, and links to, containers that are not of the same stack")
    volumes_from: bool = _switch("all volumes of containers that are not of the same stack")
    external_volumes: bool = _switch("volumes that a stack declares external")
    network_volumes: bool = _switch("volumes that the engine mounts from a file server (nfs, cifs)")
    drivers: Names = _list(
        "drivers of volumes, networks, addresses and logs beside the engine's plain ones, any option"
    )
    public_subnets: bool = _switch("networks with other than private addresses, which the host then no longer reaches")
    capabilities: Capabilities = _list("capabilities beside those that every container has; ALL for all of them")
    devices: Devices = _list("devices of the host, or directories of devices, below /dev")
    gpus: bool = _switch("graphics processors")
    device_requests: bool = _switch("other devices that drivers hand out, by CDI name for example")
    device_cgroup_rules: bool = _switch("access to devices by number")
    security_options: Options = _list("security options, word for word, such as seccomp=unconfined")
    runtimes: Names = _list("runtimes and isolations that may be named instead of the engine's default")
    cgroup_parent: bool = _switch("control groups of the caller's choice, and so outside the limits set for containers")
    sysctls: Names = _list("kernel parameters beside those that are the container's own")
    oom_protection: bool = _switch("processes that the kernel ends later than the host's own when memory is short")
    annotations: Names = _list("annotations; runtimes take some of them for orders")
