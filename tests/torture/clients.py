"""Clients that call at random, and write down what they did and what they heard."""

import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Final

from tests.torture.cluster import CALL_S, Cluster, LostCallError

CONTAINERS: Final = [f"t-c{number}" for number in range(8)]
NETWORKS: Final = [f"t-n{number}" for number in range(4)]
STACKS: Final = ["ts0", "ts1"]
COMMAND_ID: Final = "docker-mcp/command-id"
_REPEATS: Final = 3

_STACK: Final = """
services:
  one:
    image: {image}
    command: ["sleep", "100000"]
    stop_grace_period: 0s
    environment: {{ROUND: "{round}"}}
  two:
    image: {image}
    command: ["sleep", "100000"]
    stop_grace_period: 0s
"""


@dataclass(slots=True)
class Call:
    """One call, as its caller saw it. ``purpose`` finds it in the log."""

    purpose: str
    user: str
    tool: str
    arguments: dict[str, Any]
    key: str | None
    began: float = field(default_factory=time.time)
    ended: float | None = None
    lost: bool = False
    command_id: str | None = None
    error: str | None = None
    """The code of the refusal or failure."""
    result: dict[str, Any] | None = None


class Record:
    """All calls of all clients."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._lock = threading.Lock()

    def begin(self, user: str, tool: str, arguments: dict[str, Any], key: str | None) -> Call:
        with self._lock:
            call = Call(f"torture-{len(self.calls)}", user, tool, arguments, key)
            self.calls.append(call)
        return call


class Client(threading.Thread):
    """Calls until it is told to end."""

    def __init__(self, number: int, user: str, seed: str, cluster: Cluster, record: Record, image: str) -> None:
        super().__init__(name=f"client-{number}", daemon=True)
        self.user = user
        self._number = number
        self._dice = random.Random(f"{seed}/{number}")
        self._cluster = cluster
        self._record = record
        self._image = image
        self._keys = 0
        self.stopping = threading.Event()

    def run(self) -> None:
        while not self.stopping.is_set():
            tool, arguments = self._choose()
            reads = tool.startswith(("list", "inspect", "network-list", "get-", "compose-ps", "approvals-list"))
            key = self._key() if not reads and self._dice.random() < 0.35 else None
            call = self.call(tool, arguments, key)
            for _ in range(_REPEATS):
                if not key or self.stopping.is_set() or not (call.lost or self._dice.random() < 0.3):
                    break
                time.sleep(0.1 if call.lost else 0)
                call = self.call(tool, arguments, key)
            if call.lost:
                time.sleep(self._dice.uniform(0.1, 0.5))  # its server is dead, and another takes its place

    def call(self, tool: str, arguments: dict[str, Any], key: str | None = None) -> Call:
        call = self._record.begin(self.user, tool, arguments, key)
        meta = {"purpose": call.purpose, **({"idempotency_key": key} if key else {})}
        params = {"name": tool, "arguments": arguments, "_meta": meta}
        try:
            understand(call, self._cluster.any(self._dice, self.user).call(self.user, params, CALL_S))
        except LostCallError:
            call.lost = True
        call.ended = time.time()
        return call

    def _key(self) -> str:
        self._keys += 1
        return f"key-{self._number}-{self._keys}"

    def _choose(self) -> tuple[str, dict[str, Any]]:
        if self.user == "admin" and self._dice.random() < 0.5:
            return self._decide()
        dice, container = self._dice, {"container_name": self._dice.choice(CONTAINERS)}
        network, stack = dice.choice(NETWORKS), {"project_name": dice.choice(STACKS)}
        link = {"network": network, "container": container["container_name"]}
        timeout = {"timeout": dice.choice([0, 1])}
        choices: list[tuple[int, str, dict[str, Any]]] = [
            (22, "create-container", self._new_container(container["container_name"])),
            (10, "start-container", container),
            (12, "stop-container", {**container, **timeout}),
            (12, "restart-container", {**container, **timeout}),
            (14, "remove-container", {**container, "force": dice.random() < 0.8}),
            (7, "network-create", {"name": network}),
            (6, "network-remove", {"name": network}),
            (7, "network-connect", link),
            (5, "network-disconnect", link),
            (8, "list-containers", {"all": True}),
            (4, "inspect-container", container),
            (2, "deploy-compose", {**stack, "compose_yaml": self._file(), "timeout": 30}),
            (1, "compose-ps", stack),
            (1, "compose-stop", {**stack, "timeout": 0}),
            (1, "compose-start", stack),
            (1, "compose-restart", {**stack, "timeout": 0}),
            (1, "compose-down", {**stack, "timeout": 0}),
        ]
        _, tool, arguments = dice.choices(choices, [weight for weight, _, _ in choices])[0]
        return tool, arguments

    def _decide(self) -> tuple[str, dict[str, Any]]:
        answer = self.call("approvals-list", {})
        waiting = [row["command_id"] for row in (answer.result or {}).get("waiting", []) if not row.get("yours")]
        if not waiting:
            return "approvals-list", {}
        verb = self._dice.choice(["approve", "approve", "approve", "refuse"])
        return f"approvals-{verb}", {"command_id": self._dice.choice(waiting)}

    def _new_container(self, name: str) -> dict[str, Any]:
        new: dict[str, Any] = {"image": self._image, "name": name, "command": ["sleep", "100000"]}
        if self._dice.random() < 0.3:
            new["networks"] = [self._dice.choice(NETWORKS)]
        if self._dice.random() < 0.2:
            new["start"] = False
        if self._dice.random() < 0.2:
            new["environment"] = {"TOKEN": "s3cret"}
        return new

    def _file(self) -> str:
        return _STACK.format(image=self._image, round=self._dice.randint(0, 2))


def understand(call: Call, answer: dict[str, Any]) -> None:
    """Write down what the server answered."""
    if "error" in answer:
        call.error = f"protocol {answer['error'].get('code')}: {answer['error'].get('message')}"
        return
    result = answer["result"]
    call.command_id = (result.get("_meta") or {}).get(COMMAND_ID)
    told = result.get("structuredContent") or {}
    if result.get("isError"):
        call.error = told["error"]["code"]
    else:
        call.result = told
