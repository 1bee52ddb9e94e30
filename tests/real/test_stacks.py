"""Stacks: deployed, shown, brought up to date, operated and removed, by the real Compose plugin on a real engine."""

import asyncio
from typing import Any

import docker
import orjson
import pytest

from server.call import Answer
from tests.conftest import Serve, caller
from tests.real.calls import Calls, Name
from tests.real.stack_files import (
    SLEEPER,
    STACK,
    containers,
    file_in,
    ids,
    one_service,
    running,
    three_services,
    write_in,
)
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]


def told(content: dict[str, Any]) -> dict[str, str]:
    return {service["service"]: service["change"] for service in content["services"]}


def text(stack: dict[str, Any]) -> str:
    return orjson.dumps(stack).decode()


async def deployed(call: Calls, project: str, yaml: str, **more: Any) -> dict[str, Any]:
    return await call("deploy-compose", project_name=project, compose_yaml=yaml, **more)


async def test_a_stack_is_deployed_and_everything_leads_back_to_its_record(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    project = name("stack")
    answer = await call.answer("deploy-compose", project_name=project, compose_yaml=three_services(image))
    assert answer.error is None
    assert answer.content() == {
        "project": project,
        "services": [
            {"service": "db", "change": "created", "containers": 1, "state": "running (healthy)"},
            {"service": "job", "change": "created", "containers": 1, "state": "exited (0)"},
            {"service": "web", "change": "created", "containers": 1, "state": "running"},
        ],
    }
    found = containers(engine, project)
    assert running(engine, project) == {"db", "web"}
    assert found["db"]["State"]["Health"]["Status"] == "healthy"
    assert set(found["web"]["NetworkSettings"]["Networks"]) == {f"{project}_front", f"{project}_back"}
    assert "GREETING=hello" in found["web"]["Config"]["Env"]
    for thing in (*found.values(), engine.inspect_volume(f"{project}_data")):
        assert (thing.get("Config") or thing)["Labels"][STACK] == project
    assert engine.inspect_network(f"{project}_front")["Labels"][STACK] == project
    assert {event.object for event in call.events(answer)} == {f"stack/{project}"}
    assert {ref["id"] for ref in call.outcome(answer)["touched"]} == {each["Id"] for each in found.values()}


@pytest.mark.promise("P6", "P8")
async def test_the_log_shows_what_was_deployed_but_no_value_of_it(call: Calls, image: str, name: Name) -> None:
    answer = await call.answer(
        "deploy-compose", project_name=name("s"), compose_yaml=three_services(image, "tell-nobody"), wait=False
    )
    story = await call("get-command", command_id=answer.command_id)
    assert [event["type"] for event in story["events"]] == [
        "command.received",
        "command.planned",
        "command.authorized",
        "execution.started",
        "command.succeeded",
    ]
    web = story["plan"]["services"]["web"]
    assert web["image"] == image
    assert web["environment"] == {"GREETING": "«sealed»"}
    assert set(web["networks"]) == {"front", "back"}
    assert "tell-nobody" not in orjson.dumps(story).decode()
    path = call.application.store.location.path
    assert path
    assert all(b"tell-nobody" not in file.read_bytes() for file in path.parent.iterdir() if file.is_file())


async def test_the_same_file_again_recreates_nothing(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    project, stack = name("stack"), text(one_service(image, environment={"A": "1"}))
    await deployed(call, project, stack)
    before = containers(engine, project)
    assert told(await deployed(call, project, stack)) == {"web": "unchanged"}
    after = containers(engine, project)
    assert after["web"]["Id"] == before["web"]["Id"]
    assert after["web"]["State"]["StartedAt"] == before["web"]["State"]["StartedAt"]


@pytest.mark.parametrize("who", ["another server", "the bare plugin"])
async def test_who_deploys_does_not_change_what_compose_compares(
    call: Calls, serve: Serve, engine: docker.APIClient, image: str, name: Name, who: str
) -> None:
    project, stack = name("stack"), text(one_service(image))
    await deployed(call, project, stack)
    before = ids(engine, project)
    if who == "another server":
        async with serve() as other:
            answer = await other.dispatcher.dispatch(
                "deploy-compose", {"project_name": project, "compose_yaml": stack}, caller(other)
            )
            assert told(answer.content()) == {"web": "unchanged"}
    else:
        labelled = one_service(image, labels={STACK: project})
        plugin = call.application.docker.compose
        finished = plugin.run(["-p", project, "-f", "-", "up", "-d"], orjson.dumps(labelled), limit_s=60)
        assert finished.code == 0, finished.errors
    assert ids(engine, project) == before


async def test_bringing_up_to_date_changes_only_what_changed_and_keeps_the_volume(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    project = name("stack")
    await deployed(call, project, three_services(image))
    before = ids(engine, project)
    write_in(engine, before["db"], "/data/kept", "precious")
    without_job = three_services(image, "goodbye").replace(
        f'  job:\n    image: {image}\n    command: ["true"]\n    depends_on: [db]\n', ""
    )
    changed = await deployed(call, project, f"{without_job}\n")
    assert told(changed) == {"db": "unchanged", "job": "removed", "web": "recreated"}
    after = containers(engine, project)
    assert set(after) == {"db", "web"}
    assert after["db"]["Id"] == before["db"]
    assert after["web"]["Id"] != before["web"]
    assert "GREETING=goodbye" in after["web"]["Config"]["Env"]

    database_too = without_job.replace("interval: 200ms", "interval: 300ms")
    assert told(await deployed(call, project, database_too))["db"] == "recreated"
    now = ids(engine, project)["db"]
    assert now != before["db"]
    assert file_in(engine, now, "/data/kept") == "precious"


async def test_replicas_are_counted(call: Calls, engine: docker.APIClient, image: str, name: Name) -> None:
    project = name("stack")
    many = await deployed(call, project, text(one_service(image, deploy={"replicas": 3})))
    assert many["services"] == [{"service": "web", "change": "created", "containers": 3, "state": "running"}]
    fewer = await deployed(call, project, text(one_service(image, deploy={"replicas": 1})))
    assert fewer["services"] == [{"service": "web", "change": "removed", "containers": 1, "state": "running"}]
    assert len(engine.containers(filters={"label": f"com.docker.compose.project={project}"})) == 1


async def test_a_stack_is_shown_with_state_health_and_ports(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    project = name("stack")
    stack = one_service(image, ports=["127.0.0.1::80"])
    stack["services"]["job"] = {"image": image, "command": ["sh", "-c", "exit 3"]}
    stack["services"]["db"] = {
        "image": image,
        "command": SLEEPER,
        "healthcheck": {"test": ["CMD", "true"], "interval": "100ms"},
    }
    answer = await call.answer("deploy-compose", project_name=project, compose_yaml=text(stack), wait=False)
    stack["services"].pop("job")
    last = await call.answer("deploy-compose", project_name=project, compose_yaml=text(stack))
    assert answer.error is None
    assert last.error is None
    port = engine.port(ids(engine, project)["web"], 80)[0]["HostPort"]
    engine.remove_container(ids(engine, project)["db"], force=True)
    assert await call("compose-ps", project_name=project) == {
        "project": project,
        "deployed_by": last.command_id,
        "services": [
            {"service": "db", "state": "absent"},
            {
                "service": "web",
                "container": f"{project}-web-1",
                "state": "running",
                "ports": [f"127.0.0.1:{port}->80/tcp"],
            },
        ],
    }


async def test_a_stack_of_others_is_shown_and_operated_too(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    project = name("stack")
    plugin = call.application.docker.compose
    assert plugin.run(["-p", project, "-f", "-", "up", "-d"], orjson.dumps(one_service(image)), limit_s=60).code == 0
    (row,) = [row for row in (await call("compose-list", limit=500))["stacks"] if row["name"] == project]
    assert row == {"name": project, "services": 1, "running": 1, "containers": 1, "recorded": False}
    shown = await call("compose-ps", project_name=project)
    assert "deployed_by" not in shown
    assert [service["state"] for service in shown["services"]] == ["running"]
    assert told(await call("compose-stop", project_name=project)) == {"web": "stopped"}
    assert running(engine, project) == set()


async def test_services_are_stopped_started_and_restarted(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    project = name("stack")
    await deployed(call, project, three_services(image))
    before = ids(engine, project)

    assert told(await call("compose-stop", project_name=project, service="web")) == {"web": "stopped"}
    assert running(engine, project) == {"db"}
    assert told(await call("compose-stop", project_name=project)) == {
        "db": "stopped",
        "job": "unchanged",
        "web": "unchanged",
    }
    assert running(engine, project) == set()
    assert told(await call("compose-start", project_name=project, service="web")) == {"db": "started", "web": "started"}
    assert running(engine, project) == {"db", "web"}
    started = containers(engine, project)["db"]["State"]["StartedAt"]
    assert told(await call("compose-restart", project_name=project, service="db"))["db"] == "restarted"
    assert containers(engine, project)["db"]["State"]["StartedAt"] != started
    assert ids(engine, project) == before


async def test_a_stack_is_removed_and_its_volumes_only_when_asked(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    project = name("stack")
    await deployed(call, project, three_services(image))
    write_in(engine, ids(engine, project)["db"], "/data/kept", "precious")
    removed = await call("compose-down", project_name=project)
    assert told(removed) == {"db": "removed", "job": "removed", "web": "removed"}
    assert containers(engine, project) == {}
    assert engine.networks(names=[f"{project}_front"]) == []
    shown = await call("compose-ps", project_name=project)
    assert {service["state"] for service in shown["services"]} == {"absent"}

    await deployed(call, project, three_services(image))
    assert file_in(engine, ids(engine, project)["db"], "/data/kept") == "precious"
    assert (await call("compose-down", project_name=project, volumes=True))["volumes_removed"] == [f"{project}_data"]
    assert engine.volumes(filters={"name": f"{project}_data"})["Volumes"] in (None, [])


async def test_nothing_of_another_stack_is_touched(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    mine, other = name("mine"), name("other")
    for project in (mine, other):
        await deployed(call, project, three_services(image))
    before = {service: found["State"] for service, found in containers(engine, other).items()}
    await call.refused("deploy-compose", project_name=mine, compose_yaml="services: {web: {image: 'nosuch.invalid/x'}}")
    await call("compose-down", project_name=mine, volumes=True)
    after = {service: found["State"] for service, found in containers(engine, other).items()}
    assert {service: state["StartedAt"] for service, state in after.items()} == {
        service: state["StartedAt"] for service, state in before.items()
    }
    assert engine.inspect_volume(f"{other}_data")


async def test_a_service_that_becomes_healthy_late_is_waited_for_unless_told_not_to(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    late = one_service(
        image,
        command="sh -c 'sleep 1; touch /ready; sleep 600'",
        healthcheck={"test": "test -f /ready", "interval": "200ms", "retries": 100},
        stop_grace_period="0s",
    )
    hasty = await deployed(call, name("hasty"), text(late), wait=False)
    assert hasty["services"][0]["state"] == "running (starting)"
    patient = await deployed(call, name("patient"), text(late))
    assert patient["services"][0]["state"] == "running (healthy)"
    assert containers(engine, name("patient"))["web"]["State"]["Health"]["Status"] == "healthy"


async def test_a_stack_that_somebody_removes_while_it_comes_up_is_not_told_as_deployed(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    never = one_service(image, healthcheck={"test": "exit 1", "interval": "1s", "retries": 500})
    project = name("stack")
    deploying = asyncio.create_task(call.answer("deploy-compose", project_name=project, compose_yaml=text(never)))
    await until(lambda: running(engine, project) == {"web"})
    engine.remove_container(ids(engine, project)["web"], force=True)
    answer = await deploying
    assert answer.error is not None
    assert answer.error.code == "service_removed"
    assert "web" in answer.error.message


async def test_progress_is_told_while_a_stack_is_deployed(call: Calls, image: str, name: Name) -> None:
    lines: list[str] = []
    who = caller(call.application, progress=lambda done, _total, line: lines.append(f"{done} {line}"))
    arguments = {"project_name": name("stack"), "compose_yaml": three_services(image)}
    answer: Answer = await call.application.dispatcher.dispatch("deploy-compose", arguments, who)
    assert answer.error is None
    assert any("web-1" in line and "Started" in line for line in lines)
    assert [int(line.split()[0]) for line in lines] == list(range(1, len(lines) + 1))


async def test_the_examples_services_can_be_named_by_a_file_that_is_not_there(
    call: Calls, image: str, name: Name
) -> None:
    project = name("stack")
    await deployed(call, project, text(one_service(image)))
    named = {"project_name": project, "compose_file": "docker compose.yml", "service": "web"}
    for tool in ("compose-logs", "compose-stop", "compose-start", "compose-restart"):
        assert await call(tool, **named)
    assert await call("compose-ps", project_name=project, compose_file="docker compose.yml")
