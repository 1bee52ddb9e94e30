"""What the engine says of containers, in the words of our results."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from adapters.docker.errors import engine_text
from domain.catalogue.container_results import Attachment, ContainerDetail, ContainerRow, Published, Stats
from domain.catalogue.containers import ContainerField
from domain.chain import timestamp
from domain.objects import Kind, ObjectState
from domain.stacks.objects import PROJECT_LABEL
from domain.text import column_text

_SHORT_ID: Final = 12
_ERROR_LIMIT: Final = 1024
_MOST_FACTS: Final = 128
"""How many networks the log keeps of one container, so that its state fits into an event."""
_SAYS_NO_MORE: Final = re.compile(r"Up [^()]*|Created")
"""A status that repeats the state: no exit code, no health, no pause."""
_EXITED: Final = re.compile(r"Exited \((\d+)\)")
_HEALTH: Final = re.compile(r"\((?:health: )?(healthy|unhealthy|starting)\)")
_NEVER: Final = "0001-01-01T00:00:00Z"
"""How the engine writes a time that has not come."""


def short_id(full: str) -> str:
    """Return the twelve digits that people use for an id."""
    return full.removeprefix("sha256:")[:_SHORT_ID]


def container_state(found: Mapping[str, Any]) -> ObjectState:
    """Return what the log keeps of a container's inspection: what tells one state from another, and no environment."""
    state = found["State"]
    networks = found["NetworkSettings"].get("Networks") or {}
    labels = found["Config"].get("Labels") or {}
    facts = {
        "image": found["Config"]["Image"],
        "status": state["Status"],
        "running": state["Running"],
        "exit_code": state["ExitCode"],
        "oom_killed": state["OOMKilled"],
        "restart_count": found.get("RestartCount", 0),
        "started_at": moment(state["StartedAt"]),
        "finished_at": moment(state["FinishedAt"]),
        "health": (state.get("Health") or {}).get("Status"),
        "networks": sorted([name, end["NetworkID"], end["EndpointID"]] for name, end in networks.items())[:_MOST_FACTS],
        "memory_bytes": found["HostConfig"].get("Memory") or None,
        "stack": labels.get(PROJECT_LABEL),
    }
    return ObjectState(
        kind=Kind.CONTAINER,
        id=found["Id"],
        name=found["Name"].removeprefix("/"),
        facts=facts,
        labels=labels,
    )


def moment(text: str | None) -> str | None:
    """Return the engine's time, None for one that has not come."""
    return None if not text or text == _NEVER else text


def name_of(entry: Mapping[str, Any]) -> str:
    """Return the name of a list entry; links of others make names with a slash in them."""
    names: list[str] = entry["Names"] or [""]
    return next((name for name in names if "/" not in name[1:]), names[0]).removeprefix("/")


def row(entry: dict[str, Any], fields: list[ContainerField]) -> ContainerRow:
    told = {field: _MORE[field](entry) for field in fields}
    if not _SAYS_NO_MORE.fullmatch(entry["Status"]):
        told["status"] = entry["Status"]
    return ContainerRow(
        id=short_id(entry["Id"]),
        name=name_of(entry),
        image=entry["Image"],
        state=entry["State"],
        **told,
    )


def exit_code_of(entry: Mapping[str, Any]) -> int | None:
    """Return the exit code that a list entry tells in its status text, None of a container that has not ended."""
    found = _EXITED.match(entry["Status"])
    return int(found.group(1)) if found else None


def health_in(entry: Mapping[str, Any]) -> str | None:
    """Return the health that a list entry tells in its status text, None without a health check."""
    found = _HEALTH.search(entry["Status"])
    return found.group(1) if found else None


def _mount(mount: dict[str, Any]) -> str:
    return f"{mount.get('Source') or mount.get('Name')}:{mount['Destination']}"


def _port(port: dict[str, Any]) -> str:
    inside = f"{port['PrivatePort']}/{port['Type']}"
    return f"{_address(port.get('IP', ''))}:{port['PublicPort']}->{inside}" if port.get("PublicPort") else inside


def _address(ip: str) -> str:
    """Return an address as it is written before a port."""
    return f"[{ip}]" if ":" in ip else ip


_MORE: Final[Mapping[ContainerField, Callable[[dict[str, Any]], Any]]] = {
    "command": lambda entry: entry["Command"],
    "created": lambda entry: timestamp(entry["Created"] * 1000),
    "labels": lambda entry: entry["Labels"] or {},
    "mounts": lambda entry: [_mount(mount) for mount in entry["Mounts"]],
    "networks": lambda entry: sorted(entry["NetworkSettings"]["Networks"]),
    "ports": lambda entry: sorted({_port(port) for port in entry["Ports"]}),
    "status": lambda entry: entry["Status"],
}


def published(found: dict[str, Any]) -> list[Published]:
    """Return the ports that an inspected container has bound on its host."""
    ports = found["NetworkSettings"].get("Ports") or {}
    return [
        Published(container=inside, host=f"{_address(bound['HostIp'])}:{bound['HostPort']}")
        for inside, bindings in sorted(ports.items())
        for bound in bindings or []
    ]


def detail(found: dict[str, Any], *, with_values: bool = False) -> ContainerDetail:
    """Return what an inspected container looks like; the values of its environment only if they are wanted."""
    config, host, state = found["Config"], found["HostConfig"], found["State"]
    networks = found["NetworkSettings"].get("Networks") or {}
    restart = host.get("RestartPolicy") or {}
    retries = f":{restart['MaximumRetryCount']}" if restart.get("MaximumRetryCount") else ""
    return ContainerDetail(
        id=found["Id"],
        name=found["Name"].removeprefix("/"),
        image=config["Image"],
        image_id=short_id(found["Image"]),
        created=found["Created"],
        state=state["Status"],
        running=state["Running"],
        exit_code=state["ExitCode"],
        oom_killed=state["OOMKilled"],
        restart_count=found.get("RestartCount", 0),
        started_at=moment(state["StartedAt"]),
        finished_at=moment(state["FinishedAt"]),
        error=column_text(engine_text(state.get("Error") or ""), _ERROR_LIMIT) or None,
        health=(state.get("Health") or {}).get("Status"),
        command=config.get("Cmd") or [],
        entrypoint=config.get("Entrypoint") or [],
        working_dir=config.get("WorkingDir") or None,
        user=config.get("User") or None,
        environment=[entry if with_values else entry.partition("=")[0] for entry in config.get("Env") or []],
        labels=config.get("Labels") or {},
        ports=published(found),
        mounts=[
            f"{mount.get('Name') or mount.get('Source')}:{mount['Destination']}:{'rw' if mount.get('RW') else 'ro'}"
            for mount in found.get("Mounts") or []
        ],
        networks=[
            Attachment(name=name, ip_address=end.get("IPAddress") or "", aliases=end.get("Aliases") or [])
            for name, end in sorted(networks.items())
        ],
        restart_policy=(restart.get("Name") or "no") + retries,
        memory_bytes=host.get("Memory") or 0,
        nano_cpus=host.get("NanoCpus") or 0,
    )


def measurement(name: str, measured: dict[str, Any]) -> Stats:
    cpu, before = measured["cpu_stats"], measured["precpu_stats"]
    used = cpu["cpu_usage"]["total_usage"] - before["cpu_usage"]["total_usage"]
    system = cpu.get("system_cpu_usage", 0) - before.get("system_cpu_usage", 0)
    memory = measured["memory_stats"]
    cache = memory.get("stats", {})
    networks = (measured.get("networks") or {}).values()
    disk: dict[str, int] = {}
    for entry in measured.get("blkio_stats", {}).get("io_service_bytes_recursive") or []:
        operation = entry["op"].lower()
        disk[operation] = disk.get(operation, 0) + entry["value"]
    return Stats(
        name=name,
        cpu_millicores=max(0, used * 1000 * cpu.get("online_cpus", 1) // system) if system > 0 else 0,
        memory_bytes=max(0, memory.get("usage", 0) - cache.get("inactive_file", cache.get("total_inactive_file", 0))),
        memory_limit_bytes=memory.get("limit", 0),
        network_rx_bytes=sum(network["rx_bytes"] for network in networks),
        network_tx_bytes=sum(network["tx_bytes"] for network in networks),
        disk_read_bytes=disk.get("read", 0),
        disk_write_bytes=disk.get("write", 0),
        processes=measured.get("pids_stats", {}).get("current", 0),
    )
