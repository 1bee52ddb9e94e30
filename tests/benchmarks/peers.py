"""``make benchmark-peers``: this server beside another Docker MCP server, by the same client in the same run.

Ours records every call durably before it asks Docker; the peer records nothing. ``scripts/peers.sh`` installs it, at a
fixed version, into an environment of its own. Each figure's floor is the peer's, so a ratio below 1 is in our favour.
"""

import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

from adapters.docker.demo_image import provide_image
from adapters.docker.engine import Engine
from tests.benchmarks import report
from tests.benchmarks.measure import Row, in_turns, median_ms, ratio_below
from tests.benchmarks.serving import CONTAINERS, containers
from tests.benchmarks.sizes import SETTLED_S, resident_mb
from tests.benchmarks.wire import OUR_SERVER, Wire, own_environment, wire
from tests.tokens import tokens

PEER: Final = "mcp-server-docker 0.3.0"
_PROGRAM: Final = Path("build/peers/python/bin/mcp-server-docker")
_BETTER: Final = ratio_below(1)


def main(to: Path, *, quick: bool) -> None:
    """Measure both servers, print the table and write it to a directory."""
    rounds = 3 if quick else 20
    with tempfile.TemporaryDirectory() as name:
        environment = own_environment(Path(name))
        rows = [_start_up(environment, rounds), *_side_by_side(environment, rounds)]
    found = report.results(f"Docker MCP Server beside {PEER}: below 1, ours is better", rows, {})
    report.write(found, to, "peers")
    print(f"{report.conditions(found)}\n{report.text(rows)}\n\nwritten to {to}: peers.json, .md and .svg")


def _start_up(environment: dict[str, str], rounds: int) -> Row:
    def first_answer(arguments: list[str], program: str) -> Callable[[], None]:
        def work() -> None:
            server = Wire(arguments, environment, program)
            server.initialize()
            server.process.kill()
            server.process.communicate()

        return work

    works = [first_answer(OUR_SERVER, sys.executable), first_answer([], str(_PROGRAM))]
    return _row("start to first answer", "ms", map(median_ms, in_turns(works, rounds)))


def _side_by_side(environment: dict[str, str], rounds: int) -> list[Row]:
    image = provide_image(Engine(os.environ, 60, 2))
    with ExitStack() as stack:
        ours = stack.enter_context(wire(OUR_SERVER, environment))
        peer = stack.enter_context(wire([], environment, str(_PROGRAM)))
        tools = [server.request("tools/list", {})["tools"] for server in (ours, peer)]
        time.sleep(SETTLED_S)
        memory = [resident_mb(server) for server in (ours, peer)]
        lives = [_life_by_us(ours, image), _life_by_peer(peer, image)]
        made = list(map(median_ms, in_turns(lives, rounds)))
        stack.enter_context(containers(CONTAINERS))
        lists = [
            partial(ours.call, "list-containers", {"all": True}),
            partial(_listed_by_peer, peer),
        ]
        listed = list(map(median_ms, in_turns(lists, rounds)))
        answers = [sum(len(part["text"]) for part in each()["content"]) / 1000 for each in lists]
    return [
        _row(f"list of {CONTAINERS} containers", "ms", listed),
        _row(f"answer with {CONTAINERS} containers", "kB", answers),
        _row("create, start and remove a container", "ms", made),
        _row("memory, idle", "MB", memory),
        _row("tools/list", "tokens", map(tokens, tools), note=f"{len(tools[0])} tools, the peer {len(tools[1])}"),
        _row("tools/list by tool", "tokens a tool", (tokens(each) / len(each) for each in tools)),
    ]


def _life_by_us(server: Wire, image: str) -> Callable[[], None]:
    def work() -> None:
        name = _name()
        server.call("create-container", {"image": image, "name": name, "command": ["sleep", "600"]})
        server.call("remove-container", {"container_name": name, "force": True})

    return work


def _life_by_peer(server: Wire, image: str) -> Callable[[], None]:
    def work() -> None:
        name = _name()
        server.call("run_container", {"image": image, "name": name, "command": "sleep 600"})
        server.call("remove_container", {"container_id": name, "force": True})

    return work


def _listed_by_peer(server: Wire) -> dict[str, Any]:
    """Its list fails if another container disappears meanwhile, because it looks at each: then it is asked again."""
    while (result := server.request("tools/call", {"name": "list_containers", "arguments": {"all": True}})).get(
        "isError"
    ):
        pass
    return result


def _name() -> str:
    return f"dmb-{uuid.uuid4().hex[:8]}"


def _row(what: str, unit: str, figures: Iterable[float], note: str = "") -> Row:
    ours, peers = figures
    return Row(what=what, ours=ours, unit=unit, floor=peers, floor_is=PEER, aim=_BETTER, note=note)


if __name__ == "__main__":
    main(Path("build/benchmarks"), quick="--quick" in sys.argv)
