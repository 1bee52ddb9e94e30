"""``docker-mcp monitoring``: the stack really runs, and says what is missing where it cannot."""

import contextlib
import json
import sqlite3
import stat
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.store.location import Location
from domain.catalogue import CATALOGUE
from server.monitoring import PROJECT, Stack, Trail, exempting, images
from tests.cli.command import Variables, complaint, docker_mcp
from tests.conftest import Serve, free_port, write_rules
from tests.monitoring.prometheus import SHIPPED
from tests.monitoring.stand_ins import StackEngine
from tests.protocol.servers import HttpServer, running
from tests.real.calls import Calls
from tests.waiting import wait_for

UP_S = 150
"""Longer than `up` waits for the stack, so that it can say what is wrong with it."""
PLAIN = Stack(targets=["127.0.0.1:3334"], password="pa$$word")


@pytest.fixture(scope="module")
def own_engine() -> Iterator[StackEngine]:
    with contextlib.closing(StackEngine()) as engine:
        yield engine


def ask(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
        return json.load(response)


def file_in(engine: StackEngine, service: str, path: str) -> str:
    """Return a file of a container, read by the container itself."""
    made = engine.api.exec_create(f"{PROJECT}-{service}-1", ["cat", path])
    output: bytes = engine.api.exec_start(made["Id"])
    return output.decode()


def settings(engine: StackEngine, tmp_path: Path) -> Variables:
    """Host safety opens nothing here, as in a new installation."""
    write_rules(tmp_path / "config")
    return {"DOCKER_HOST": engine.socket}


@pytest.mark.engine
def test_where_images_cannot_be_pulled_it_says_which_and_how_to_bring_them(
    own_engine: StackEngine, tmp_path: Path
) -> None:
    done = docker_mcp("monitoring", "up", env=settings(own_engine, tmp_path))
    assert done.returncode == 1
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("docker-mcp: images_missing: these images are not here and could not be pulled: ")
    assert all(image in last for image in images())
    assert "docker save" in last
    assert "docker load" in last
    assert own_engine.api.containers(all=True) == []
    done = docker_mcp("monitoring", "status", env=settings(own_engine, tmp_path))
    assert done.returncode == 1
    assert "does not run; `docker-mcp monitoring up` starts it" in done.stdout
    done = docker_mcp("monitoring", "status", "--json", env=settings(own_engine, tmp_path))
    assert (done.returncode, json.loads(done.stdout)) == (1, {"services": []})
    done = docker_mcp("monitoring", "down", env=settings(own_engine, tmp_path))
    assert (done.returncode, done.stdout) == (0, "the monitoring stack was not running\n")


@pytest.mark.engine
@pytest.mark.promise("P6", "P7")
@pytest.mark.timeout(UP_S * 4)
def test_up_status_and_down_on_a_real_engine(own_engine: StackEngine, tmp_path: Path) -> None:
    own_engine.bring_images()
    env, server = settings(own_engine, tmp_path), HttpServer(tmp_path / "server")
    grafana, prometheus, alertmanager = free_port(), free_port(), free_port()
    ports = [
        f"--{name}-port={port}"
        for name, port in zip(
            ("grafana", "prometheus", "alertmanager"), (grafana, prometheus, alertmanager), strict=True
        )
    ]
    with running(server):
        done = docker_mcp("start", "monitoring", *ports, f"--target=127.0.0.1:{server.port}", env=env, limit_s=UP_S)
        assert done.returncode == 0, done.stderr
        password_file = tmp_path / "state/grafana-password"
        assert f"http://127.0.0.1:{grafana} (user admin, password in {password_file})" in done.stdout
        assert "Without the dashboard of the audit trail: " in done.stdout
        assert stat.S_IMODE(password_file.stat().st_mode) == 0o600

        wait_for(lambda: ask(prometheus, "/api/v1/query?query=up")["data"]["result"], what="the first scrape")
        (scraped,) = ask(prometheus, "/api/v1/query?query=up")["data"]["result"]
        assert (scraped["metric"]["job"], scraped["value"][1]) == ("docker-mcp", "1")
        alerts = [
            rule["name"] for group in ask(prometheus, "/api/v1/rules")["data"]["groups"] for rule in group["rules"]
        ]
        assert "DockerMcpChainBroken" in alerts
        active = ask(prometheus, "/api/v1/alertmanagers")["data"]["activeAlertmanagers"]
        assert [each["url"] for each in active] == [f"http://127.0.0.1:{alertmanager}/api/v2/alerts"]
        assert ask(alertmanager, "/api/v2/status")["config"]["original"].count("operator") >= 2

    shown = json.loads(file_in(own_engine, "grafana", "/etc/grafana/dashboards/operations.json"))
    assert shown == json.loads((SHIPPED / "grafana/operations.json").read_text())
    provisioned = file_in(own_engine, "grafana", "/etc/grafana/provisioning/datasources/docker-mcp.yml")
    assert provisioned == (SHIPPED / "grafana/provisioning/datasources/prometheus.yml").read_text()
    status = docker_mcp("monitoring", "status", env=env)
    assert status.returncode == 0, status.stdout
    assert status.stdout.count("healthy") == 3

    password = password_file.read_text()
    (inspected,) = [own_engine.api.inspect_container(f"{PROJECT}-grafana-1")]
    assert f"GF_SECURITY_ADMIN_PASSWORD={password}" in inspected["Config"]["Env"]
    assert [mount["Type"] for mount in inspected["Mounts"]] == ["volume"]
    with contextlib.closing(sqlite3.connect(tmp_path / "state/ledger.db")) as log:
        recorded = log.execute("SELECT tool, status, purpose FROM audit_trail ORDER BY position").fetchall()
        assert recorded[0] == ("deploy-compose", "success", "docker-mcp monitoring up")
        assert password not in str(log.execute("SELECT * FROM event").fetchall())

    done = docker_mcp("monitoring", "up", *ports, "--share-log", env=env, limit_s=UP_S)
    assert done.returncode == 0, done.stderr
    assert "Without" not in done.stdout
    log_mount = [
        mount for mount in own_engine.api.inspect_container(f"{PROJECT}-grafana-1")["Mounts"] if mount["Type"] == "bind"
    ]
    assert [(mount["Source"], mount["Destination"], mount["RW"]) for mount in log_mount] == [
        (str(tmp_path / "state"), "/log", False)
    ]
    assert "path: ${LOG_FILE}" in file_in(
        own_engine, "grafana", "/etc/grafana/provisioning/datasources/docker-mcp-log.yml"
    )
    assert (
        json.loads(file_in(own_engine, "grafana", "/etc/grafana/dashboards/audit-trail.json"))["uid"]
        == "docker-mcp-audit"
    )
    assert password_file.read_text() == password

    done = docker_mcp("monitoring", "down", env=env)
    assert (done.returncode, done.stdout) == (0, "the monitoring stack is gone\n")
    assert own_engine.api.containers(all=True) == []
    kept = {volume["Name"].removeprefix(f"{PROJECT}_") for volume in own_engine.api.volumes()["Volumes"]}
    assert kept == {"prometheus", "alertmanager", "grafana", "grafana-of-owner"}


@pytest.mark.promise("P7")
async def test_nobody_else_may_deploy_what_the_stack_asks_of_the_host(
    serve: Serve, engine: object, tmp_path: Path, anyio_backend: str
) -> None:
    write_rules(tmp_path / "config")
    text = PLAIN.compose_yaml()
    async with serve() as application:
        denied = await Calls(application).refused("deploy-compose", project_name=PROJECT, compose_yaml=text)
        assert "host's network" in denied.message
    async with serve(catalogue=exempting(CATALOGUE, text)) as application:
        calls = Calls(application)
        for changed in (text.replace("unless-stopped", "always"), text + " "):
            assert (await calls.refused("deploy-compose", project_name=PROJECT, compose_yaml=changed)).code == "denied"
        other = await calls.refused("deploy-compose", project_name="mine", compose_yaml=text)
        assert other.code == "denied"


def test_every_port_is_on_loopback_and_every_image_is_pinned() -> None:
    tree = yaml.safe_load(PLAIN.compose_yaml())
    for service in tree["services"].values():
        assert "ports" not in service
        listens = [word for word in service.get("command", []) if "listen-address" in word]
        listens += [value for name, value in service.get("environment", {}).items() if name == "GF_SERVER_HTTP_ADDR"]
        assert listens
        assert all("127.0.0.1" in word or word.endswith("listen-address=") for word in listens)
        assert service["image"].partition(":")[2].lstrip("v")[0].isdigit()


def test_what_holds_a_dollar_arrives_as_it_is() -> None:
    trail = Trail.postgres(host="db:5432", database="log", user="reader", password='a$b${c}"', sslmode="require")
    stack = Stack(targets=["h:1"], password="pa$$word", trail=trail, metrics_token="to$ken", https=True)
    tree = yaml.safe_load(stack.compose_yaml().replace("$$", "$"))
    environment = tree["services"]["grafana"]["environment"]
    assert environment["GF_SECURITY_ADMIN_PASSWORD"] == "pa$$word"
    assert (environment["LOG_HOST"], environment["LOG_PASSWORD"]) == ("db:5432", 'a$b${c}"')
    assert tree["configs"]["rules"]["content"] == (SHIPPED / "prometheus/rules.yml").read_text()
    (job,) = yaml.safe_load(tree["configs"]["prometheus"]["content"])["scrape_configs"]
    assert (job["scheme"], job["authorization"]["credentials"]) == ("https", "to$ken")
    assert "audit-trail" in tree["configs"]


def test_secrets_are_in_no_representation_of_the_stack() -> None:
    trail = Trail.postgres(host="db", database="log", user="reader", password="hidden-1", sslmode="require")
    stack = Stack(targets=["h:1"], password="hidden-2", trail=trail, metrics_token="hidden-3")
    assert "hidden" not in repr(stack)


@pytest.mark.postgres
def test_without_a_role_that_may_only_read_the_audit_trail_is_left_out(
    postgres_location: Location, own_engine: StackEngine, tmp_path: Path
) -> None:
    from server.cli.monitoring_stack import stack_for
    from tests.conftest import settings_for

    stack, _, without = stack_for(settings_for(postgres_location), None, (1, 2, 3), None, share_log=False)
    assert stack.trail is None
    assert "DOCKER_MCP_READER_URL" in without
    reader = "postgresql://reader:s%40fe@db.example:5433/log?sslmode=require"
    stack, _, without = stack_for(
        settings_for(postgres_location, DOCKER_MCP_READER_URL=reader), None, (1, 2, 3), None, share_log=False
    )
    assert without == ""
    assert stack.trail
    assert stack.trail.variables == {
        "LOG_HOST": "db.example:5433",
        "LOG_DATABASE": "log",
        "LOG_USER": "reader",
        "LOG_PASSWORD": "s@fe",
        "LOG_SSLMODE": "require",
    }


def test_it_does_not_try_on_an_engine_elsewhere() -> None:
    done = docker_mcp("monitoring", "up", env={"DOCKER_HOST": "tcp://127.0.0.1:1"})
    assert done.returncode == 2
    assert "DOCKER_HOST names an engine elsewhere" in done.stderr


def test_who_may_only_read_starts_nothing() -> None:
    done = docker_mcp("monitoring", "up", env={"DOCKER_MCP_STDIO_ROLE": "user"})
    assert done.returncode == 1
    assert "may only read" in done.stderr


def test_an_alertmanager_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    done = docker_mcp("monitoring", "up", f"--alertmanager={tmp_path}/none.yml")
    assert done.returncode == 2
    assert f"{tmp_path}/none.yml cannot be read" in done.stderr


@pytest.mark.parametrize("target", ["docker.example", "http://docker.example:3334", "docker.example:3334/metrics", ""])
def test_a_target_that_prometheus_would_not_start_with_is_refused(target: str) -> None:
    done = docker_mcp("monitoring", "up", "--target", "127.0.0.1:3334", "--target", target)
    assert done.returncode == 2
    assert "is no host and port - write it as 192.0.2.1:3334, without http://" in complaint(done)
