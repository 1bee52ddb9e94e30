"""What a client waits for: the first answer after the start, and a list of fifty containers."""

import http.client
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import docker

from adapters.docker.demo_image import provide_image
from adapters.docker.engine import Engine
from tests.benchmarks.measure import Row, in_turns, median_ms, ratio_below
from tests.benchmarks.wire import NOOP_SERVER, OUR_SERVER, Wire, own_environment, wire

CONTAINERS: Final = 50
_SDK_ALONE: Final = "import mcp.server.lowlevel.server, mcp.server.stdio"


def start_up(directory: Path, rounds: int) -> Row:
    """From the start of the process to the answer to ``initialize``, against importing the SDK."""
    environment = own_environment(directory)

    def first_answer() -> None:
        server = Wire(OUR_SERVER, environment)
        server.initialize()
        server.process.kill()
        server.process.communicate()

    def import_sdk() -> None:
        subprocess.run([sys.executable, "-c", _SDK_ALONE], check=True)

    ours, floor = map(median_ms, in_turns([first_answer, import_sdk], rounds))
    return Row(
        what="start to first answer, stdio",
        ours=ours,
        unit="ms",
        floor=floor,
        floor_is="importing the SDK alone",
        aim=ratio_below(1.3),
    )


def list_of_fifty(directory: Path, rounds: int) -> Row:
    """list-containers with the record kept, against a bare engine request and a bare SDK call."""
    environment = own_environment(directory)
    with (
        containers(CONTAINERS),
        wire(OUR_SERVER, environment) as ours,
        wire(["-c", NOOP_SERVER], environment) as bare,
        _EngineConnection() as engine,
    ):
        works = [
            lambda: ours.call("list-containers", {"all": True}),
            lambda: bare.call("noop", {}),
            lambda: engine.get("/containers/json?all=1"),
        ]
        listed, call, request = map(median_ms, in_turns(works, rounds, warm_up=10))
        size = len(str(ours.call("list-containers", {"all": True})["content"][0]["text"]))
    return Row(
        what=f"list-containers, {CONTAINERS} containers, stdio",
        ours=listed,
        unit="ms",
        floor=call + request,
        floor_is=f"bare engine request {request:.2f} + bare SDK call {call:.2f}",
        aim=ratio_below(1.5),
        note=f"{size:,} B",
    )


@contextmanager
def containers(count: int) -> Iterator[list[str]]:
    """So many containers more than there were; yields their names."""
    engine = docker.APIClient(version="auto", **docker.utils.kwargs_from_env())
    image = provide_image(Engine(os.environ, 60, 2))
    prefix = f"dmb-{uuid.uuid4().hex[:6]}"
    names = [f"{prefix}-{n:02}" for n in range(count)]
    made = [engine.create_container(image, "sleep 600", name=name)["Id"] for name in names]
    try:
        yield names
    finally:
        for container in made:
            engine.remove_container(container, force=True)
        engine.close()


class _EngineConnection(http.client.HTTPConnection):
    def __init__(self) -> None:
        super().__init__("localhost")

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/var/run/docker.sock")

    def get(self, path: str) -> bytes:
        self.request("GET", path)
        return self.getresponse().read()

    def __enter__(self) -> "_EngineConnection":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
