"""For every tool a call with all its arguments, and ways to the parts of such a call."""

import copy
from collections.abc import Iterator
from typing import Any, Final

from domain.catalogue import CATALOGUE
from domain.catalogue.tool import AnyTool

CALLS: Final[dict[str, dict[str, Any]]] = {
    "create-container": {
        "image": "registry.example:5000/team/nginx:1.27@sha256:0123456789abcdef",
        "name": "web-1",
        "ports": {"80": "8080", "53/udp": ["127.0.0.1:53", None]},
        "environment": {"TOKEN": "secret", "DEBUG": True, "WORKERS": 4},
        "volumes": {"/host/path": "/container/path:ro", "data": {"bind": "/data", "mode": "rw"}},
        "networks": ["front", "back"],
        "health_check": {
            "cmd": ["curl", "-f", "http://localhost/"],
            "interval": "30s",
            "timeout": "10s",
            "start_period": "1m30s",
            "retries": 3,
        },
        "resources": {"cpu": "0.5", "memory": "512m"},
        "restart_policy": "on-failure:3",
        "command": ["sh", "-c", "sleep 1"],
        "entrypoint": "/entry.sh --now",
        "working_dir": "/srv",
        "user": "1000:1000",
        "labels": {"team": "blue"},
        "start": False,
    },
    "list-containers": {"all": True, "limit": 10, "cursor": "1-a", "fields": ["ports", "labels"]},
    "inspect-container": {"container_name": "web"},
    "get-logs": {
        "container_name": "web",
        "tail": 10,
        "since": "10m",
        "until": "2026-06-06T12:00:00Z",
        "grep": "error",
        "timestamps": True,
        "max_bytes": 1024,
    },
    "container-stats": {"container_name": "web"},
    "start-container": {"container_name": "web"},
    "stop-container": {"container_name": "web", "timeout": 3},
    "restart-container": {"container_name": "web", "timeout": 3},
    "remove-container": {"container_name": "web", "force": True, "volumes": True},
    "network-create": {"name": "front", "driver": "bridge", "internal": True, "labels": {"team": "blue"}},
    "network-remove": {"name": "front"},
    "network-list": {"limit": 5},
    "network-inspect": {"name": "front"},
    "network-connect": {"network": "front", "container": "web", "aliases": ["db"]},
    "network-disconnect": {"network": "front", "container": "web", "force": True},
    "image-list": {"name": "nginx", "limit": 5},
    "image-pull": {"image": "nginx:1.27"},
    "deploy-compose": {
        "project_name": "shop_2",
        "compose_yaml": "services: {web: {image: nginx, environment: {TOKEN: secret}}}",
        "wait": False,
        "timeout": 30,
    },
    "compose-list": {"limit": 5},
    "compose-ps": {"project_name": "shop", "compose_file": "/srv/shop/compose.yaml"},
    "compose-logs": {
        "project_name": "shop",
        "compose_file": "/srv/shop/compose.yaml",
        "service": "web",
        "tail": 10,
        "since": "10m",
        "until": "2026-06-06T12:00:00Z",
        "grep": "error",
        "timestamps": True,
        "max_bytes": 1024,
    },
    "compose-start": {"project_name": "shop", "compose_file": "/srv/shop/compose.yaml", "service": "web"},
    "compose-stop": {
        "project_name": "shop",
        "compose_file": "/srv/shop/compose.yaml",
        "service": "web",
        "timeout": 3,
    },
    "compose-restart": {
        "project_name": "shop",
        "compose_file": "/srv/shop/compose.yaml",
        "service": "web",
        "timeout": 3,
    },
    "compose-down": {
        "project_name": "shop",
        "compose_file": "/srv/shop/compose.yaml",
        "volumes": True,
        "timeout": 3,
    },
    "system-info": {},
    "get-command": {"command_id": "01970000-0000-7000-8000-000000000001", "wait": 30},
    "approvals-list": {"limit": 5},
    "approvals-approve": {"command_id": "01970000-0000-7000-8000-000000000001", "comment": "as agreed"},
    "approvals-refuse": {"command_id": "01970000-0000-7000-8000-000000000001", "comment": "not today"},
    "audit-query": {
        "username": "admin",
        "tool_name": "create-container",
        "status": "success",
        "limit": 10,
        "since": "2h",
        "until": "2026-01-31T12:00:00Z",
        "object": "container/web",
        "effect": "create",
        "principal_role": "admin",
        "correlation_id": "talk-1",
        "cursor": "p1200",
    },
    "audit-logs": {
        "username": "admin",
        "tool_name": "create-container",
        "status": "success",
        "limit": 10,
        "since": "yesterday",
        "until": "today",
        "object": "web",
        "effect": "create",
        "principal_role": "admin",
        "correlation_id": "talk-1",
        "cursor": "p1200",
    },
    "audit-export": {
        "format": "jsonl",
        "since": "2026-06-06",
        "until": "2026-06-07T12:00:00Z",
        "from_position": 2,
        "to_position": 9,
        "principal": "admin",
        "tool": "stop-container",
        "object": "container/web",
        "status": "success",
    },
    "incident-review": {
        "object": "container/web",
        "since": "2h",
        "until": "2026-01-31T12:00:00Z",
        "correlation_id": "talk-1",
    },
    "replay": {
        "begin": "yesterday",
        "end": "1200",
        "object": "container/web",
        "principal": "admin",
        "correlation_id": "talk-1",
        "stack": "shop",
    },
    "authenticate": {"username": "alice", "api_key": "dmk_not-a-real-key"},
}

TOOLS: Final[list[AnyTool]] = list(CATALOGUE)

Path = tuple[str | int, ...]


def places(tree: Any, at: Path = ()) -> Iterator[Path]:
    """The way to every value in ``tree``, below its root."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for step, value in items:
        yield (*at, step)
        yield from places(value, (*at, step))


def maps(tree: Any) -> Iterator[Path]:
    """The way to every object in ``tree``, its root included."""
    yield ()
    yield from (place for place in places(tree) if isinstance(at(tree, place), dict))


def at(tree: Any, place: Path) -> Any:
    for step in place:
        tree = tree[step]
    return tree


def changed(tree: Any, place: Path, value: Any) -> Any:
    """``tree`` with ``value`` at ``place``."""
    tree = copy.deepcopy(tree)
    at(tree, place[:-1])[place[-1]] = value
    return tree


def label(value: Any) -> str:
    """A short name for a test case."""
    try:
        text = ascii(value)
    except ValueError:
        return "a huge number"
    return text if len(text) <= 60 else f"{text[:20]} and so on, {len(text)} characters"
