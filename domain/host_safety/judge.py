"""The rules: which setting allows what is asked, and what nothing allows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from domain.host_safety.asks import Ask, What
from domain.host_safety.paths import HostPaths, Resolve
from domain.host_safety.settings import HostSafety
from domain.text import column_text

_LONGEST: Final = 120


@dataclass(frozen=True, slots=True)
class Violation:
    """Something asked of the host that is not allowed.

    Attributes:
        rule: which rule refused it.
        message: where it stands, what is wrong, and what would allow it. Holds no values of environments or options.
        setting: the setting of the section ``host_safety`` that would allow it, None if nothing does.
    """

    rule: str
    message: str
    setting: str | None


@dataclass(frozen=True, slots=True)
class _Rule:
    """The setting that allows it, None for never, and what it is in plain words; ``named`` adds the value."""

    setting: str | None
    words: str
    named: bool = False


_RULES: Final[Mapping[What, _Rule]] = {
    What.PROPAGATION: _Rule("shared_propagation", "mounts made in the container would appear on the host"),
    What.MOUNT_KIND: _Rule(None, "not a kind of mount that this server knows"),
    What.VOLUME_NAME: _Rule(None, "not the name of a volume: letters, digits, _ . - after a letter or digit"),
    What.VOLUME_OPTIONS: _Rule(None, "the options would mount what belongs to the host"),
    What.NETWORK_VOLUME: _Rule("network_volumes", "a volume on a file server"),
    What.EXTERNAL_VOLUME: _Rule("external_volumes", "a volume that was made outside this stack"),
    What.VOLUMES_FROM: _Rule("volumes_from", "volumes of a container that is not of this stack"),
    What.FILE: _Rule(None, "without content it would be read from the server's own files"),
    What.PRIVILEGED: _Rule("privileged", "privileged: root on the host"),
    What.HOST_NETWORK: _Rule("host_network", "the host's network"),
    What.HOST_PID: _Rule("host_pid", "the host's processes"),
    What.HOST_IPC: _Rule("host_ipc", "the host's shared memory"),
    What.HOST_UTS: _Rule("host_uts", "the host's name"),
    What.HOST_CGROUP: _Rule("host_cgroup", "the host's control groups"),
    What.HOST_USERS: _Rule("host_users", "the host's users"),
    What.JOIN: _Rule("join_containers", "joins a container that is not of this stack"),
    What.MODE: _Rule(None, "not a mode that this server knows"),
    What.DRIVER: _Rule("drivers", "needs the driver", named=True),
    What.SUBNET: _Rule("public_subnets", "addresses that are not private, which the host could no longer reach"),
    What.CAPABILITY: _Rule("capabilities", "adds the capability", named=True),
    What.GPU: _Rule("gpus", "asks for graphics processors"),
    What.DEVICE_REQUEST: _Rule("device_requests", "asks a driver for devices"),
    What.DEVICE_RULE: _Rule("device_cgroup_rules", "access to devices by number"),
    What.SECURITY_OPTION: _Rule("security_options", "changes how the container is confined"),
    What.RUNTIME: _Rule("runtimes", "asks for the runtime or isolation", named=True),
    What.CGROUP_PARENT: _Rule("cgroup_parent", "a control group of the caller's choice"),
    What.SYSCTL: _Rule("sysctls", "sets the kernel parameter", named=True),
    What.OOM: _Rule("oom_protection", "would be spared before the host's own processes when memory is short"),
    What.ANNOTATION: _Rule("annotations", "sets the annotation", named=True),
    What.COMPOSE_LABEL: _Rule(None, "labels that start with com.docker.compose. are set by Compose"),
    What.VARIABLE: _Rule(None, "a variable that Compose would fill in again when it deploys"),
    What.UNKNOWN: _Rule(None, "not a key that this server knows"),
}
_DEVICE: Final = _Rule("devices", "a device of the host")


def judged(
    asks: Iterable[Ask], rules: HostSafety, resolve: Resolve | None, protected: Sequence[str]
) -> list[Violation]:
    """Return what is not allowed of ``asks``, in their order, each once.

    Args:
        asks: what is asked of the host.
        rules: what the operator has opened.
        resolve: returns real paths on the engine's host; None if that is another host than ours.
        protected: paths that stay closed whatever is opened, such as the server's own.
    """
    bind_setting = "mount_roots" if resolve else "remote_mount_roots"
    paths = HostPaths(rules.mount_roots if resolve else rules.remote_mount_roots, resolve, protected)

    def found() -> Iterator[Violation]:
        for ask in asks:
            if ask.what is What.BIND:
                if refused := paths.refusal(ask.value):
                    yield _violation(ask, _Rule(bind_setting if refused.curable else None, refused.why))
            elif ask.what is What.DEVICE:
                if not paths.is_one_of(ask.value, rules.devices):
                    yield _violation(ask, _DEVICE)
            elif not _allowed(ask, _RULES[ask.what], rules):
                yield _violation(ask, _RULES[ask.what])

    return list(dict.fromkeys(found()))


def _allowed(ask: Ask, rule: _Rule, rules: HostSafety) -> bool:
    opened = getattr(rules, rule.setting) if rule.setting else False
    if isinstance(opened, tuple):
        return ask.value in opened or (ask.what is What.CAPABILITY and "ALL" in opened)
    return bool(opened)


def _violation(ask: Ask, rule: _Rule) -> Violation:
    words = f"{rule.words} {column_text(ask.value, _LONGEST)}" if rule.named else rule.words
    cure = (
        f"`{rule.setting}` under host_safety in the auth file would allow it" if rule.setting else "nothing allows it"
    )
    return Violation(f"host-safety/{ask.what}", f"{column_text(ask.place)}: {words}; {cure}", rule.setting)
