"""What a client waits for with stacks, against the bare Compose plugin that does the same with the same file."""

import json
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from adapters.compose.plugin import ComposeMissingError, find_plugin
from adapters.docker.demo_image import provide_image
from adapters.docker.engine import Engine
from tests.benchmarks.measure import Row, in_turns, median_ms, ratio_below
from tests.benchmarks.wire import OUR_SERVER, Wire, own_environment, wire

LISTED: Final = 10
_DEPLOYED: Final = 3
_AIM: Final = 1.2
_TO_ENGINE: Final = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
_HEALTH_CHECK: Final = {"test": ["CMD", "true"], "interval": "1s"}


class BareCompose:
    """The plugin as a shell runs it: one process for each command, nothing in its environment but where the engine is.

    Its own waiting (``up --wait``) looks at the containers twice a second, which is part of the floor.
    """

    def __init__(self, directory: Path) -> None:
        """Find the plugin, which will run in ``directory``; end the program with what installs it if it is missing."""
        try:
            self._plugin, _ = find_plugin(os.environ.get("DOCKER_MCP_COMPOSE"))
        except ComposeMissingError as error:
            raise SystemExit(f"install Docker Compose v2 with scripts/compose.sh: {error.message}") from error
        self._environment = {name: os.environ[name] for name in _TO_ENGINE if name in os.environ}
        self._directory = directory

    def run(self, project: str, *arguments: str, file: str = "") -> None:
        """Run one command on a stack; ``file`` is what ``-f -`` reads."""
        ran = subprocess.run(
            [self._plugin, "-p", project, *arguments],
            input=file,
            capture_output=True,
            env=self._environment,
            cwd=self._directory,
            text=True,
        )
        assert ran.returncode == 0, ran.stderr

    def up(self, project: str, file: str) -> None:
        self.run(project, "-f", "-", "up", "-d", "--wait", file=file)

    def down(self, project: str) -> None:
        self.run(project, "down", "-t", "0", "--volumes", "--remove-orphans")

    @contextmanager
    def new_project(self) -> Iterator[str]:
        """The name of a stack; what bears it is removed afterwards, also after a failure."""
        name = f"bench-{uuid.uuid4().hex[:6]}"
        try:
            yield name
        finally:
            self.down(name)


def deployments(directory: Path, compose: BareCompose, rounds: int) -> list[Row]:
    """deploy-compose with the record kept, of a stack that is new and of one that stands as the file says."""
    file = _file(_DEPLOYED, with_health_check=True)
    with compose.new_project() as our_stack, compose.new_project() as bare_stack, _server(directory) as server:
        ours, bare = _deploy(server, our_stack, file), lambda: compose.up(bare_stack, file)
        works = [ours, lambda: compose.down(our_stack), bare, lambda: compose.down(bare_stack)]
        new, _, bare_new, _ = in_turns(works, rounds, warm_up=1)
        unchanged, bare_unchanged = in_turns([ours, bare], rounds * 2)
    return [
        _row(f"deploy-compose, new stack of {_DEPLOYED}, stdio", new, "up --wait", bare_new),
        _row("deploy-compose, unchanged, stdio", unchanged, "up --wait", bare_unchanged),
    ]


def stack_of_ten(directory: Path, compose: BareCompose, rounds: int) -> Row:
    """compose-ps with the record kept, of a stack that was deployed through the server."""
    with compose.new_project() as stack, _server(directory) as server:
        _deploy(server, stack, _file(LISTED))()
        works: list[Callable[[], object]] = [
            lambda: server.call("compose-ps", {"project_name": stack}),
            lambda: compose.run(stack, "ps", "-a", "--format", "json"),
        ]
        listed, bare = in_turns(works, rounds)
    return _row(f"compose-ps, {LISTED} services, stdio", listed, "ps -a", bare)


def _server(directory: Path) -> AbstractContextManager[Wire]:
    return wire(OUR_SERVER, own_environment(directory))


def _deploy(server: Wire, project: str, file: str) -> Callable[[], object]:
    return lambda: server.call("deploy-compose", {"project_name": project, "compose_yaml": file})


def _file(services: int, *, with_health_check: bool = False) -> str:
    service = {"image": provide_image(Engine(os.environ, 60, 2)), "command": ["sleep", "600"]}
    tree: dict[str, object] = {f"service-{number}": service for number in range(services)}
    if with_health_check:
        tree["service-0"] = {**service, "healthcheck": _HEALTH_CHECK}
    return json.dumps({"services": tree})


def _row(what: str, seconds: list[float], bare: str, bare_seconds: list[float]) -> Row:
    return Row(
        what=what,
        ours=median_ms(seconds),
        unit="ms",
        floor=median_ms(bare_seconds),
        floor_is=f"bare Compose {bare}",
        aim=ratio_below(_AIM),
    )
