"""The small languages of Docker's command line that arguments are written in: durations, sizes, ports, mounts."""

import ipaddress
import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple

_MOST: Final = 2**63 - 1
"""The largest number that the engine takes."""
_AMOUNT: Final = r"\d{1,19}(?:\.\d{1,19})?"
_DURATION: Final = re.compile(rf"(?:{_AMOUNT}(?:h|ms|m|s|us|µs|ns))+", re.ASCII)
_DURATION_PART: Final = re.compile(rf"({_AMOUNT})(h|ms|m|s|us|µs|ns)", re.ASCII)
_NANOSECONDS: Final = {
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "µs": 1_000,
    "ns": 1,
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS: Final = 86_400_000
_DAYS_BACK: Final = {"today": 0, "yesterday": 1}
_AGO: Final = re.compile(rf"(?:(\d{{1,5}})d)?({_DURATION.pattern})?", re.ASCII)
_SIZE: Final = re.compile(rf"({_AMOUNT})\s*([kmgt]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
_SIZE_UNITS: Final = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_CPU: Final = re.compile(r"\d{1,9}(?:\.\d{1,9})?|\.\d{1,9}", re.ASCII)
_PORT_RANGE: Final = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?", re.ASCII)
_RESTART: Final = re.compile(r"(no|always|unless-stopped|on-failure)(?::(\d{1,6}))?", re.ASCII)
_VOLUME_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]+")
_MOUNT_OPTIONS: Final = frozenset(
    {"ro", "rw", "z", "Z", "nocopy", "private", "rprivate", "shared", "rshared", "slave", "rslave"}
)
_MOST_PORTS: Final = 1024
_LAST_PORT: Final = 65535
_HOST_PORT: Final = "a host port is a number, a string such as 127.0.0.1:8080, a list of these, or null"
_LONGEST_LINE: Final = 32 * 1024
"""Most characters of a command line that is still to be split: the time that takes grows with the square."""


class PortBinding(NamedTuple):
    """One published port; ``host_port`` None lets the engine choose, ``host_ip`` empty means every address."""

    container_port: int
    protocol: str
    host_ip: str
    host_port: str | None


class Mount(NamedTuple):
    """A host path or volume (``source``) seen at ``target`` inside the container."""

    source: str
    target: str
    options: str


def parse_duration_ns(text: str) -> int:
    """Return nanoseconds for a duration such as ``30s``, ``1m30s`` or ``500ms``.

    Raises:
        ValueError: for anything else.
    """
    if not _DURATION.fullmatch(text):
        raise ValueError("a duration is written like 30s, 1m30s or 500ms")
    nanoseconds = int(sum(Decimal(amount) * _NANOSECONDS[unit] for amount, unit in _DURATION_PART.findall(text)))
    if nanoseconds > _MOST:
        raise ValueError("a duration is at most 292 years")
    return nanoseconds


def parse_moment_ms(text: str, now_ms: int) -> int:
    """Return milliseconds since 1970 UTC for a moment before now or an ISO 8601 time, in UTC where no zone is named.

    A moment before now is a duration, also in days (``10m``, ``2h``, ``3d``, ``1d12h``), or ``now``, ``today``,
    ``yesterday``: the start of the day.

    Raises:
        ValueError: for anything else.
    """
    if text in _DAYS_BACK:
        return now_ms - now_ms % _DAY_MS - _DAYS_BACK[text] * _DAY_MS
    if text == "now":
        return now_ms
    if (match := _AGO.fullmatch(text)) and text:
        rest_ns = parse_duration_ns(match[2]) if match[2] else 0
        return now_ms - int(match[1] or 0) * _DAY_MS - rest_ns // 1_000_000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            "a time is written like 10m, 2h or 3d (ago), today, yesterday, or 2026-01-31T12:00:00Z"
        ) from None
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // timedelta(milliseconds=1)


def parse_bytes(text: str) -> int:
    """Return bytes for a size such as ``512m`` or ``1.5g`` (units of 1024).

    Raises:
        ValueError: for anything else, and for less than one byte: to the engine, zero means no limit.
    """
    match = _SIZE.fullmatch(text.strip())
    size = int(Decimal(match[1]) * _SIZE_UNITS[match[2].lower()]) if match else 0
    if not 1 <= size <= _MOST:
        raise ValueError("a size is written like 512m, 1.5g or 1073741824")
    return size


def parse_nano_cpus(text: str) -> int:
    """Return billionths of a CPU for a share such as ``0.5``.

    Raises:
        ValueError: for anything else, and for zero.
    """
    if not _CPU.fullmatch(text) or not (nano := int(Decimal(text) * 1_000_000_000)):
        raise ValueError("a CPU limit is a positive number of processors like 0.5 or 2")
    return nano


def parse_restart_policy(text: str) -> tuple[str, int]:
    """Return name and maximum retries (0: no limit) for ``no``, ``always``, ``unless-stopped``, ``on-failure[:N]``.

    Raises:
        ValueError: for anything else.
    """
    match = _RESTART.fullmatch(text)
    if not match or (match[2] and match[1] != "on-failure"):
        raise ValueError("one of no, always, unless-stopped, on-failure, on-failure:N")
    return match[1], int(match[2] or 0)


def parse_words(command: str | list[str]) -> list[str]:
    """Return the words of a command line, split as a shell splits them.

    Raises:
        ValueError: for unbalanced quotes, a very long line, and no words at all.
    """
    words = command if isinstance(command, list) else _split(command)
    if not words:
        raise ValueError("at least one word is needed")
    return words


def _split(line: str) -> list[str]:
    if len(line) > _LONGEST_LINE:
        raise ValueError(f"a line has at most {_LONGEST_LINE} characters; pass a list of words instead")
    try:
        return shlex.split(line)
    except ValueError:
        raise ValueError("quotes are not balanced; pass a list of words instead") from None


def check_probe(command: str | list[str]) -> None:
    """Check the command of a health check: a line for the container's own shell, or a list of words.

    Raises:
        ValueError: for an empty one, which would find every container healthy.
    """
    if not "".join(command).strip():
        raise ValueError("a health check needs a command")


def parse_mount(source: str, target: str) -> Mount:
    """Return the mount of ``source`` (absolute host path or volume name) at ``target`` (``/path[:options]``).

    Raises:
        ValueError: naming what is wrong.
    """
    path, _, options = target.partition(":")
    if not path.startswith("/") or path == "/":
        raise ValueError("the container side is an absolute path other than /")
    if not source.startswith("/") and not _VOLUME_NAME.fullmatch(source):
        raise ValueError("the key is an absolute host path or a volume name")
    if ":" in source:
        raise ValueError("the host side cannot contain a colon")
    if unknown := set(filter(None, options.split(","))) - _MOUNT_OPTIONS:
        raise ValueError(f"{len(unknown)} unknown mount option(s); known: {', '.join(sorted(_MOUNT_OPTIONS))}")
    return Mount(source, path, options or "rw")


def parse_ports(ports: dict[str, Any] | list[str]) -> list[PortBinding]:
    """Return the bindings for published ports in any form Docker takes.

    Either a map from container port (``80``, ``53/udp``, ``8000-8010``) to host port (``8080``, ``"8080"``,
    ``"127.0.0.1:8080"``, a list of these, or null or 0 for one the engine chooses), or a list as after
    ``docker run -p`` (``"8080:80"``, ``"127.0.0.1:8080:80/tcp"``, ``"80"``).

    Raises:
        ValueError: naming the form that was expected.
    """
    bindings: list[PortBinding] = []
    for container, host in _published(ports):
        bindings += _bind(container, host)
        if len(bindings) > _MOST_PORTS:
            raise ValueError(f"at most {_MOST_PORTS} ports can be published at once")
    return bindings


def _published(ports: dict[str, Any] | list[str]) -> Iterator[tuple[str, Any]]:
    if isinstance(ports, list):
        for published in ports:
            host, _, container = published.rpartition(":")
            yield container, host or None
        return
    for container, hosts in ports.items():
        if hosts == []:
            raise ValueError(_HOST_PORT)
        for host in hosts if isinstance(hosts, list) else [hosts]:
            yield container, host


def _bind(container: str, host: Any) -> list[PortBinding]:
    ports, _, protocol = container.partition("/")
    if (protocol := protocol.lower() or "tcp") not in ("tcp", "udp", "sctp"):
        raise ValueError("a protocol is tcp, udp or sctp")
    inside = _port_range(ports)
    address, host_ports = _host_side(host)
    if host_ports in ("", "0"):
        return [PortBinding(port, protocol, address, None) for port in inside]
    outside = _port_range(host_ports)
    if len(inside) == 1:
        chosen = str(outside[0]) if len(outside) == 1 else host_ports
        return [PortBinding(inside[0], protocol, address, chosen)]
    if len(inside) != len(outside):
        raise ValueError("both port ranges must have the same length")
    return [PortBinding(a, protocol, address, str(b)) for a, b in zip(inside, outside, strict=True)]


def _host_side(host: Any) -> tuple[str, str]:
    if host is None:
        return "", ""
    if isinstance(host, int) and not isinstance(host, bool) and 0 <= host <= _LAST_PORT:
        return "", str(host)
    if not isinstance(host, str):
        raise ValueError(_HOST_PORT)
    address, _, port = host.rpartition(":")
    if not address:
        return "", port
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    try:
        if "%" not in address:  # docker run takes no zones either
            return str(ipaddress.ip_address(address)), port
    except ValueError:
        pass
    raise ValueError("the part before the host port is an IP address")


def _port_range(text: str) -> range:
    match = _PORT_RANGE.fullmatch(text)
    if match:
        first, last = int(match[1]), int(match[2] or match[1])
        if 1 <= first <= last <= _LAST_PORT:
            return range(first, last + 1)
    raise ValueError(f"a port is a number from 1 to {_LAST_PORT}, or a range such as 8000-8010")
