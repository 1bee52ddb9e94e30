"""Environment values are nowhere: not in the database, its write-ahead log, messages, answers or log lines."""

import logging
from pathlib import Path
from typing import Any

import docker
import orjson
import pytest

from tests.engine_proxy import EngineProxy, Fault
from tests.real.calls import SLEEP, Calls, Name, eventually
from tests.real.scene import NEW

pytestmark = [pytest.mark.anyio, pytest.mark.promise("P6")]

SECRET = "tell-nobody-Zx81"


def everything_written(call: Calls, tmp_path: Path) -> bytes:
    path = call.application.store.location.path
    assert path is not None
    files = [file for file in [*path.parent.iterdir(), *tmp_path.rglob("*")] if file.is_file()]
    assert path in files
    return b"".join(file.read_bytes() for file in files)


@pytest.mark.parametrize("value", [SECRET, f"{SECRET} with  blanks", f"{SECRET}\nand\tmore", f'"{SECRET}"', "8" * 12])
async def test_the_value_of_a_variable_reaches_the_container_and_nothing_else(
    call: Calls,
    engine: docker.APIClient,
    image: str,
    name: Name,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    value: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    arguments: dict[str, Any] = {"image": image, "command": SLEEP, "environment": {"TOKEN": value, "OTHER": value}}
    answers = [await call.answer("create-container", name=name(), start=False, **arguments)]
    answers.append(await call.answer("create-container", name=name(), **arguments))
    answers.append(await call.answer("create-container", name=name("b"), **{**arguments, "command": "no-such-program"}))
    answers.append(await call.answer("inspect-container", container_name=name()))
    answers.append(await call.answer("get-command", command_id=answers[0].command_id))
    assert f"TOKEN={value}" in engine.inspect_container(name())["Config"]["Env"]
    needle = value[:12].strip('"')
    for answer in answers:
        assert needle not in orjson.dumps(answer.content()).decode()
        assert answer.error is None or needle not in answer.error.describe()
        assert all(needle not in event.data for event in call.events(answer))
    assert needle.encode() not in everything_written(call, tmp_path)
    assert needle not in caplog.text
    assert "«sealed»" in orjson.dumps(answers[-1].content()).decode()


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        (SECRET, 'invalid environment variable: "TOKEN={}"'),
        (SECRET, "cannot use TOKEN={} here"),
        (f"{SECRET}  twice", "cannot use TOKEN={} here"),
        (f"{SECRET}\nnext", "cannot use TOKEN={} here"),
        (f"{SECRET}é́", "cannot use TOKEN={} here"),
        (SECRET, "x" * 485 + " TOKEN={}"),
        (SECRET, "x" * 1010 + " TOKEN={}"),
        (SECRET + "y" * 5000, "cannot use TOKEN={} here"),
    ],
)
async def test_a_value_that_the_engine_quotes_is_masked(
    proxied: Calls, proxy: EngineProxy, image: str, name: Name, tmp_path: Path, value: str, quoted: str
) -> None:
    proxy.reply("POST .*/containers/create", 400, quoted.format(value))
    answer = await proxied.answer("create-container", image=image, name=name(), environment={"TOKEN": value})
    assert answer.error is not None
    assert "nobody" not in answer.error.describe()
    assert all("nobody" not in event.data for event in proxied.events(answer))
    assert b"nobody" not in everything_written(proxied, tmp_path)


async def test_a_command_in_doubt_keeps_its_secrets(
    proxied: Calls, proxy: EngineProxy, image: str, name: Name, tmp_path: Path
) -> None:
    proxy.fail("POST .*/start", Fault.CUT)
    arguments = {**NEW, "image": image, "name": name(), "environment": {"TOKEN": SECRET}}
    answer = await proxied.answer("create-container", **arguments)
    await eventually(lambda: proxied.status(answer) == "success")
    assert "command.unknown" in {event.type for event in proxied.events(answer)}
    assert SECRET.encode() not in everything_written(proxied, tmp_path)


@pytest.mark.parametrize("name_of_variable", ["NAME\x00", "", "A=B"])
async def test_a_variable_that_no_system_could_hold_is_refused(
    call: Calls, engine: docker.APIClient, image: str, name: Name, tmp_path: Path, name_of_variable: str
) -> None:
    error = await call.refused("create-container", image=image, name=name(), environment={name_of_variable: SECRET})
    assert error.code == "invalid_arguments"
    assert SECRET not in error.describe()
    assert SECRET.encode() not in everything_written(call, tmp_path)
    assert engine.containers(all=True, filters={"name": name()}) == []


async def test_a_value_that_no_system_could_hold_is_refused_unread(
    call: Calls, image: str, name: Name, tmp_path: Path
) -> None:
    error = await call.refused("create-container", image=image, name=name(), environment={"A": f"{SECRET}\x00x"})
    assert error.code == "invalid_arguments"
    assert SECRET not in error.describe()
    assert SECRET.encode() not in everything_written(call, tmp_path)
