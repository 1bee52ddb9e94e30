"""Changes of every kind, and the objects they are about, for tests of what happens when the engine fails."""

import dataclasses
from typing import Any

import docker

from domain.catalogue import CATALOGUE
from domain.catalogue.tool import Catalogue
from server.call import Answer
from tests.engine_proxy import EngineProxy
from tests.real.calls import SLEEP, Calls, Name, eventually

QUICK = Catalogue(dataclasses.replace(tool, settle_s=lambda _command: 0) for tool in CATALOGUE)
"""The tools, trusting the engine to have finished a request as soon as it is in doubt."""

RUNS, RESTS = {"container_name": "{runs}"}, {"container_name": "{rests}"}
NEW = {"image": "{image}", "name": "{new}", "command": SLEEP}

Change = tuple[str, dict[str, Any], str]
"""A tool, its arguments, and the request by which the engine learns of the change."""

CHANGES: list[Change] = [
    ("create-container", NEW, "POST .*/start"),
    ("create-container", {**NEW, "start": False}, "POST .*/containers/create"),
    ("start-container", RESTS, "POST .*/start"),
    ("stop-container", {**RUNS, "timeout": 0}, "POST .*/stop"),
    ("restart-container", {**RUNS, "timeout": 0}, "POST .*/restart"),
    ("remove-container", RESTS, "DELETE "),
    ("network-create", {"name": "{new}"}, "POST .*/networks/create"),
    ("network-remove", {"name": "{net}"}, "DELETE "),
    ("network-connect", {"network": "{net}", "container": "{runs}"}, "POST .*/connect"),
    ("network-connect", {"network": "{net}", "container": "{rests}"}, "POST .*/connect"),
    ("network-disconnect", {"network": "bridge", "container": "{runs}"}, "POST .*/disconnect"),
]


@dataclasses.dataclass
class Scene:
    """Tools behind a proxy, and the objects their arguments name."""

    call: Calls
    proxy: EngineProxy
    engine: docker.APIClient
    image: str
    name: Name

    def arrange(self, given: dict[str, Any], suffix: str = "") -> dict[str, Any]:
        """Return the arguments with names in place of the braces, and make what has to be there."""
        names = {each: self.name(each + suffix) for each in ("runs", "rests", "net", "new")}
        if "{runs}" in str(given):
            self.engine.start(self.engine.create_container(self.image, SLEEP, name=names["runs"]))
        if "{rests}" in str(given):
            self.engine.create_container(self.image, SLEEP, name=names["rests"])
        if "{net}" in str(given):
            self.engine.create_network(names["net"])
        text = {key: value.format(image=self.image, **names) for key, value in given.items() if isinstance(value, str)}
        return {**given, **text}

    def state(self) -> Any:
        """Return what the engine says of the objects of this test."""
        found = self.engine.containers(all=True, filters={"name": self.name("")})
        containers = {each["Names"][0]: sorted(each["NetworkSettings"]["Networks"]) for each in found}
        states = {each: self.engine.inspect_container(each[1:])["State"] for each in containers}
        times = {each: (state["Status"], state["StartedAt"], state["FinishedAt"]) for each, state in states.items()}
        networks = sorted(each["Name"] for each in self.engine.networks(filters={"name": self.name("")}))
        return containers, times, networks

    async def settled(self, answer: Answer) -> dict[str, Any]:
        """Return the outcome of a command whose effect was in doubt; the way to the engine is free again."""
        self.proxy.heal()
        assert answer.error is not None
        assert answer.error.code == "engine_interrupted", answer.error.describe()
        await eventually(lambda: self.call.status(answer) != "unknown")
        events = [event.type for event in self.call.events(answer)]
        assert events[-2] == "command.unknown"
        outcome = self.call.outcome(answer)
        assert outcome["reconciled"] is True
        return outcome
