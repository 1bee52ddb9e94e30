"""Published ports, in every form that Docker knows."""

import socket
from typing import Any
from urllib.request import urlopen

import docker
import pytest

from tests.conftest import free_port
from tests.real.calls import SLEEP, Calls, Name, eventually

pytestmark = pytest.mark.anyio


def bound(ip: str, port: str) -> dict[str, str]:
    return {"HostIp": ip, "HostPort": port}


FORMS: list[tuple[Any, dict[str, list[dict[str, str]]]]] = [
    ({"80": "8080"}, {"80/tcp": [bound("", "8080")]}),
    ({"80": 8080}, {"80/tcp": [bound("", "8080")]}),
    ({"80/tcp": "127.0.0.1:8080"}, {"80/tcp": [bound("127.0.0.1", "8080")]}),
    ({"53/udp": "5353", "53": None}, {"53/udp": [bound("", "5353")], "53/tcp": [bound("", "")]}),
    ({"80": 0}, {"80/tcp": [bound("", "")]}),
    ({"80": ["8080", 8081, "127.0.0.1:"]}, {"80/tcp": [bound("", "8080"), bound("", "8081"), bound("127.0.0.1", "")]}),
    ({"80": "[::1]:8080"}, {"80/tcp": [bound("::1", "8080")]}),
    ({"80-81": "8080-8081"}, {"80/tcp": [bound("", "8080")], "81/tcp": [bound("", "8081")]}),
    ({"80-81": None}, {"80/tcp": [bound("", "")], "81/tcp": [bound("", "")]}),
    ({"80": "8080-8085"}, {"80/tcp": [bound("", "8080-8085")]}),
    (["8080:80"], {"80/tcp": [bound("", "8080")]}),
    (["80", "53/udp"], {"80/tcp": [bound("", "")], "53/udp": [bound("", "")]}),
    (["127.0.0.1:8080:80/tcp"], {"80/tcp": [bound("127.0.0.1", "8080")]}),
    (["127.0.0.1::80"], {"80/tcp": [bound("127.0.0.1", "")]}),
    (["[::1]:8080:80"], {"80/tcp": [bound("::1", "8080")]}),
    (["8080-8081:80-81/udp"], {"80/udp": [bound("", "8080")], "81/udp": [bound("", "8081")]}),
    (["8080:80", "8081:80"], {"80/tcp": [bound("", "8080"), bound("", "8081")]}),
]


@pytest.mark.parametrize(("ports", "expected"), FORMS)
async def test_ports_are_published_as_docker_run_would(
    call: Calls, engine: docker.APIClient, image: str, name: Name, ports: Any, expected: dict[str, Any]
) -> None:
    await call("create-container", image=image, name=name(), command=SLEEP, ports=ports, start=False)
    found = engine.inspect_container(name())
    assert found["HostConfig"]["PortBindings"] == expected
    assert set(found["Config"]["ExposedPorts"]) == set(expected)


async def test_a_published_port_reaches_the_container(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    port = free_port()
    serve = ["sh", "-c", "echo hello > /tmp/index.html; exec httpd -f -p 80 -h /tmp"]
    created = await call("create-container", image=image, name=name(), command=serve, ports={"80": f"127.0.0.1:{port}"})
    assert created["ports"] == [{"container": "80/tcp", "host": f"127.0.0.1:{port}"}]

    def page() -> bytes:
        try:
            with urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
                found: bytes = answer.read()
                return found
        except OSError:
            return b""

    assert await eventually(page) == b"hello\n"


async def test_the_answers_tell_which_ports_the_engine_chose(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    ports = {"80": ["127.0.0.1:", "[::1]:"], "81": None}
    created = await call("create-container", image=image, name=name(), command=SLEEP, ports=ports)
    said = engine.inspect_container(name())["NetworkSettings"]["Ports"]
    chosen = {each["HostIp"]: each["HostPort"] for each in said["80/tcp"]}
    told = {each["host"] for each in created["ports"] if each["container"] == "80/tcp"}
    assert told == {f"127.0.0.1:{chosen['127.0.0.1']}", f"[::1]:{chosen['::1']}"}
    detail = await call("inspect-container", container_name=name())
    assert detail["ports"] == created["ports"]
    listed = await call("list-containers", fields=["ports"], limit=500)
    row = next(row for row in listed["containers"] if row["name"] == name())
    assert f"[::1]:{chosen['::1']}->80/tcp" in row["ports"]
    everywhere = {f"0.0.0.0:{each['HostPort']}->81/tcp" for each in said["81/tcp"] if each["HostIp"] == "0.0.0.0"}
    assert everywhere
    assert everywhere <= set(row["ports"])


async def test_what_an_answer_says_of_a_port_can_be_asked_for_again(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    ports = {"80": "[::1]:"}
    created = await call("create-container", image=image, name=name("first"), command=SLEEP, ports=ports)
    host = created["ports"][0]["host"]
    await call("remove-container", container_name=name("first"), force=True)
    again = await call("create-container", image=image, name=name("second"), command=SLEEP, ports={"80": host})
    assert again["ports"] == created["ports"]


async def test_a_port_that_another_container_has_is_refused_and_nothing_is_left(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    ports = {"80": f"127.0.0.1:{free_port()}"}
    first = await call("create-container", image=image, name=name("first"), command=SLEEP, ports=ports)
    error = await call.refused("create-container", image=image, name=name("second"), command=SLEEP, ports=ports)
    assert (error.code, error.applied) == ("port_in_use", "none")
    assert error.hint
    assert engine.containers(all=True, filters={"name": name("second")}) == []
    assert engine.inspect_container(first["id"])["State"]["Running"]


async def test_a_port_that_a_program_of_the_host_has_is_refused(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = {"80": f"127.0.0.1:{taken.getsockname()[1]}"}
        error = await call.refused("create-container", image=image, name=name(), command=SLEEP, ports=ports)
    assert error.code == "port_in_use"
    assert engine.containers(all=True, filters={"name": name()}) == []
