"""Tools that exist only for tests: work that a test can hold up, and work that tells how far it has come."""

import threading
import time
from pathlib import Path
from typing import Annotated, Any, Protocol

from pydantic import StringConstraints

from domain.catalogue import CATALOGUE
from domain.catalogue.recognise import Evidence, Verdict
from domain.catalogue.tool import Catalogue, Command, Effect, Result, Run, Target, Tool
from domain.objects import Kind
from tests.waiting import wait_for

_LONGEST_S = 120

Name = Annotated[str, StringConstraints(pattern="^[a-z0-9-]+$")]


class Hold(Command):
    """Change something, which lasts until a file named `release` lies in the directory `gate`."""

    gate: str
    name: Name


class Count(Command):
    """Count to `steps`, telling of each; `late` goes on telling after the answer."""

    steps: int
    late: bool = False


class Held(Result):
    """What was held."""

    name: str


class Counted(Result):
    """How far it came."""

    steps: int


class Pastime(Protocol):
    def hold(self, command: Hold, run: Run) -> Held: ...
    def count(self, command: Count, run: Run) -> Counted: ...


def _cannot_tell(_evidence: Evidence) -> Verdict:
    return Verdict("unknown", "nobody watched")


class Pastimes:
    """Satisfies ``Pastime``."""

    def hold(self, command: Hold, run: Run) -> Held:
        gate = Path(command.gate)
        run.before_change()
        (gate / f"{command.name}.started").touch()
        wait_for(lambda: (gate / "release").exists(), _LONGEST_S, "the release")
        (gate / f"{command.name}.done").touch()
        return Held(name=command.name)

    def count(self, command: Count, run: Run) -> Counted:
        for done in range(command.steps):
            run.progress(done + 1, command.steps, f"step {done + 1}")
            time.sleep(0.12)
        if command.late:
            threading.Thread(target=_go_on, args=(run,), daemon=True).start()
        return Counted(steps=command.steps)


def _go_on(run: Run) -> None:
    for done in range(100):
        run.progress(1000 + done, None, "too late")
        time.sleep(0.005)


TOOLS = (
    Tool(
        name="hold",
        title="Hold",
        command=Hold,
        port=Pastime,
        apply=Pastime.hold,
        effect=Effect.CREATE,
        idempotent=False,
        summary="hold {name}",
        creates=Target("name", Kind.NETWORK),
        recognise=_cannot_tell,
    ),
    Tool(
        name="count",
        title="Count",
        command=Count,
        port=Pastime,
        apply=Pastime.count,
        effect=Effect.READ,
        idempotent=True,
        summary="count to {steps}",
    ),
)
WITH_PASTIMES = Catalogue((*CATALOGUE, *TOOLS))
PORTS: dict[type, object] = {Pastime: Pastimes()}


class Gate:
    """What holds up ``hold``, and shows how far it is."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def params(self, name: str) -> dict[str, Any]:
        return {"name": "hold", "arguments": {"gate": str(self.directory), "name": name}}

    def started(self) -> set[str]:
        return {file.stem for file in self.directory.glob("*.started")}

    def done(self) -> set[str]:
        return {file.stem for file in self.directory.glob("*.done")}

    def wait_until_started(self, *names: str) -> None:
        wait_for(lambda: self.started() >= set(names), what=f"the start of {names}")

    def release(self) -> None:
        (self.directory / "release").touch()
