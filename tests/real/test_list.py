"""Lists of containers: short, in pages, newest first, by one request."""

from collections.abc import Callable
from typing import Any

import docker
import orjson
import pytest

from tests.engine_proxy import EngineProxy
from tests.real.calls import SLEEP, Calls, Name

pytestmark = pytest.mark.anyio


@pytest.fixture
def create(engine: docker.APIClient, image: str, name: Name) -> Callable[[int], list[str]]:
    """Makes containers that do not run, returns their names, oldest first."""

    def create_many(count: int) -> list[str]:
        names = [name(f"{number:02}") for number in range(count)]
        for each in names:
            engine.create_container(image, SLEEP, name=each)
        return names

    return create_many


def of(names: list[str], listed: dict[str, Any]) -> list[str]:
    """Return which of ``names`` a list shows: others may be at work on the same engine."""
    return [row["name"] for row in listed["containers"] if row["name"] in names]


@pytest.mark.promise("P9")
async def test_fifty_containers_take_one_request_and_less_than_six_kilobytes(
    proxied: Calls, proxy: EngineProxy, create: Callable[[int], list[str]]
) -> None:
    create(50)
    await proxied("system-info")
    asked = len(proxy.requests)
    listed = await proxied("list-containers", all=True)
    assert [request.partition("?")[0] for request in proxy.requests[asked:]] == ["GET /v1.41/containers/json"]
    assert len(listed["containers"]) == 50
    assert len(orjson.dumps(listed)) < 6 * 1024


async def test_pages_show_every_container_once_newest_first(call: Calls, create: Callable[[int], list[str]]) -> None:
    names = create(7)
    seen: list[str] = []
    cursor: dict[str, str] = {}
    for _page in range(50):
        page = await call("list-containers", all=True, limit=3, **cursor)
        assert len(page["containers"]) <= 3
        seen += of(names, page)
        if "next_cursor" not in page:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert sorted(seen) == names


async def test_pages_lose_nothing_when_containers_come_and_go_in_between(
    call: Calls, engine: docker.APIClient, image: str, name: Name, create: Callable[[int], list[str]]
) -> None:
    names = create(6)
    first = await call("list-containers", all=True, limit=2)
    for gone in of(names, first):
        engine.remove_container(gone)
    engine.create_container(image, SLEEP, name=name("new"))
    rest = await call("list-containers", all=True, limit=500, cursor=first["next_cursor"])
    assert sorted(of(names, first) + of(names, rest)) == names


async def test_newer_containers_come_first(call: Calls, engine: docker.APIClient, image: str, name: Name) -> None:
    names: list[str] = []
    created = -1
    while len(names) < 2:  # the engine counts whole seconds
        made = engine.create_container(image, SLEEP, name=name(f"c{len(names)}"))["Id"]
        now = next(each["Created"] for each in engine.containers(all=True, filters={"id": made}))
        if now == created:
            engine.remove_container(made)
            continue
        created = now
        names.append(name(f"c{len(names)}"))
    assert of(names, await call("list-containers", all=True, limit=500)) == names[::-1]


async def test_only_running_containers_are_listed_unless_all_are_asked_for(
    call: Calls, container: str, create: Callable[[int], list[str]]
) -> None:
    names = [*create(1), container]
    assert of(names, await call("list-containers", limit=500)) == [container]
    assert sorted(of(names, await call("list-containers", all=True, limit=500))) == sorted(names)


async def test_a_row_is_short_and_fields_add_what_the_engine_says(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    host = engine.create_host_config(binds=[f"{name('volume')}:/data"], port_bindings={"80/tcp": ("127.0.0.1", None)})
    made = engine.create_container(
        image, ["sleep", "600"], name=name(), labels={"a": "b"}, ports=[(80, "tcp")], host_config=host
    )
    engine.start(made["Id"])
    port = engine.inspect_container(name())["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"]

    async def row(**arguments: Any) -> dict[str, Any]:
        listed = await call("list-containers", limit=500, **arguments)
        found: dict[str, Any] = next(row for row in listed["containers"] if row["name"] == name())
        return found

    assert await row() == {
        "id": made["Id"][:12],
        "name": name(),
        "image": image,
        "state": "running",
    }
    full = await row(fields=["command", "created", "labels", "mounts", "networks", "ports", "status"])
    assert full["status"].startswith("Up ")
    assert full["command"] == "sleep 600"
    assert full["created"].startswith(engine.inspect_container(name())["Created"][:16])
    assert full["labels"] == {"a": "b"}
    assert full["mounts"][0].endswith(":/data")
    assert full["networks"] == ["bridge"]
    assert full["ports"] == [f"127.0.0.1:{port}->80/tcp"]


@pytest.mark.parametrize("cursor", ["nonsense", "-", "12", "1-x", "²-abc", "9" * 128])
async def test_a_cursor_that_the_server_did_not_make_is_refused_or_ends_the_list(call: Calls, cursor: str) -> None:
    answer = await call.answer("list-containers", all=True, cursor=cursor)
    if answer.error:
        assert (answer.error.code, answer.error.hint) == ("invalid_arguments", "pass next_cursor unchanged")
    else:
        assert "next_cursor" not in answer.content()
