"""The Compose file with PostgreSQL, two servers and a proxy, started as a whole on the real engine, from a folder as an
operator has it and by the steps of docs/operations.md."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from adapters.compose.plugin import find_plugin
from tests.conftest import free_port
from tests.package.build import ROOT, run
from tests.package.service_images import import_haproxy, import_postgres
from tests.protocol.servers import VERSIONS, message
from tests.real.certificates import Authority
from tests.waiting import wait_for

POSTGRES, HAPROXY = "docker-mcp-test-postgres", "docker-mcp-test-haproxy"
PUBLIC_HOST = "docker.example"
UP_S = 600

pytestmark = [pytest.mark.slow, pytest.mark.engine, pytest.mark.postgres, pytest.mark.timeout(1800)]


class Deployment:
    """What runs, and a client of it."""

    def __init__(self, folder: Path, engine: docker.APIClient, image: str) -> None:
        self.engine = engine
        self.project = f"dmt-{uuid.uuid4().hex[:8]}"
        self._folder = folder
        self._port = free_port()
        self._authority = Authority()
        self._environment = {
            **os.environ,
            "DOCKER_MCP_IMAGE": image,
            "POSTGRES_IMAGE": POSTGRES,
            "HAPROXY_IMAGE": HAPROXY,
            "PUBLIC_PORT": f"127.0.0.1:{self._port}",
            "DOCKER_MCP_PUBLIC_HOST": PUBLIC_HOST,
            "DOCKER_GID": str(Path("/var/run/docker.sock").stat().st_gid),
        }
        self.key = ""

    def set_up(self) -> None:
        """Make secrets and certificate, the first user, and start everything."""
        done = run("bash", "secrets.sh", cwd=self._folder)
        assert done.returncode == 0, done.stderr
        made = self._authority.equip(self._folder / "tls", "proxy")
        pem = self._folder / "secrets/tls.pem"
        pem.write_bytes((made / "cert.pem").read_bytes() + (made / "key.pem").read_bytes())
        os.chown(pem, 99, 99)
        told = self.compose("run", "--rm", "server", "user", "add", "admin", "--role", "admin")
        (self.key,) = re.findall(r"dmk_[\w-]+", told)
        self.compose("up", "-d", "--wait")

    def compose(self, *arguments: str) -> str:
        """Run Compose; return what it prints."""
        done = subprocess.run(
            [find_plugin(None)[0], "-p", self.project, *arguments],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=UP_S,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}{self.logs()}"
        return done.stdout

    def logs(self) -> str:
        """Return the last lines of each container."""
        shown = ""
        for each in self.engine.containers(all=True, filters={"label": f"com.docker.compose.project={self.project}"}):
            shown += f"\n--- {each['Names'][0]}: {each['Status']}\n"
            shown += self.engine.logs(each["Id"], tail=15).decode(errors="replace")
        return shown

    def servers(self) -> list[str]:
        """Return the ids of the running servers."""
        labels = [f"com.docker.compose.project={self.project}", "com.docker.compose.service=server"]
        return [each["Id"] for each in self.engine.containers(filters={"label": labels})]

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool through the proxy, as a client of the modern era; return its result."""
        params = {"name": tool, "arguments": arguments}
        headers = {
            "Host": PUBLIC_HOST,
            "Authorization": f"Bearer {self.key}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": VERSIONS["modern"],
            "Mcp-Method": "tools/call",
            "Mcp-Name": tool,
        }
        status, body = self.ask("POST", "/mcp", json.dumps(message("tools/call", params, "modern", 1)), headers)
        assert status == 200, (status, body)
        data = [line[5:] for line in body.splitlines() if line.startswith("data:") and line[5:].strip()]
        result: dict[str, Any] = json.loads(data[-1] if data else body)["result"]
        return result

    def ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> tuple[int, str]:
        context = ssl.create_default_context(cafile=str(self._folder / "tls/ca.pem"))
        connection = http.client.HTTPSConnection("127.0.0.1", self._port, context=context, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read().decode()


@pytest.fixture
def deployment(built: str, engine: docker.APIClient, tmp_path: Path) -> Iterator[Deployment]:
    import_postgres(engine, POSTGRES)
    import_haproxy(engine, HAPROXY)
    folder = tmp_path / "deploy"
    shutil.copytree(ROOT / "deploy", folder)
    deployment = Deployment(folder, engine, built)
    try:
        deployment.set_up()
        yield deployment
    finally:
        deployment.compose("down", "--volumes", "--timeout", "20")
        for image in (POSTGRES, HAPROXY):
            engine.remove_image(image, force=True)


def test_a_server_can_be_killed_and_calls_go_on(deployment: Deployment) -> None:
    def began_after(before: dict[str, Any]) -> bool:
        state = deployment.engine.inspect_container(servers[0])["State"]
        return bool(state["Running"] and state["StartedAt"] > before["StartedAt"])

    first = deployment.call("list-containers")
    assert first["isError"] is False, first
    servers = deployment.servers()
    assert len(servers) == 2

    for _ in range(4):
        answer = deployment.call("system-info")
        assert answer["isError"] is False, answer
    trail = deployment.compose("run", "--rm", "server", "audit", "--json", "--limit", "50")
    recorded = json.loads(trail)["entries"]
    assert [entry["tool"] for entry in recorded if entry["principal"] == "admin"].count("system-info") == 4
    assert {entry["status"] for entry in recorded if entry["tool"] == "list-containers"} == {"success"}

    died = deployment.engine.inspect_container(servers[0])["State"]
    os.kill(died["Pid"], signal.SIGKILL)  # past the engine, which does not start again what it is asked to kill
    wait_for(lambda: not Path(f"/proc/{died['Pid']}").exists(), what="its end")  # a call that it held would fail
    after = deployment.call("list-containers")
    assert after["isError"] is False, after
    wait_for(lambda: began_after(died), what="its new start")
    assert deployment.call("list-containers")["isError"] is False
    assert "intact" in deployment.compose("run", "--rm", "server", "verify")
