"""The files to deploy with say what the programs that read them take."""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.compose.plugin import find_plugin
from adapters.store.location import Location
from server.cli.users import check_secret
from server.http import check_exposure
from server.keys import signing_key_of
from server.settings import Settings, load_settings
from tests.package.build import ROOT, run

DEPLOY = ROOT / "deploy"
VARIABLES = {"DOCKER_GID": "998", "DOCKER_MCP_PUBLIC_HOST": "docker.example"}


@pytest.fixture
def deployed(tmp_path: Path) -> Path:
    """The folder as an operator has it: a copy with its secrets made."""
    folder = tmp_path / "deploy"
    shutil.copytree(DEPLOY, folder)
    done = run("bash", str(folder / "secrets.sh"), cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "secrets/tls.pem").touch()
    return folder


def rendered(folder: Path, **variables: str) -> Any:
    compose = str(find_plugin(None)[0])
    done = run(compose, "-f", str(folder / "compose.yaml"), "config", env={**os.environ, **variables})
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)


def test_compose_takes_the_file(deployed: Path) -> None:
    tree = rendered(deployed, **VARIABLES)
    server, migrate = tree["services"]["server"], tree["services"]["migrate"]
    assert (server["command"], migrate["command"]) == (["http"], ["migrate"])
    assert server["deploy"]["replicas"] == 2
    assert server["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert server["group_add"] == ["998"]
    assert "ports" not in server, "clients come through the proxy, which speaks TLS"
    assert not [name for name in server["environment"] if re.search("KEY|SECRET|PASSWORD|URL", name)]


def test_the_servers_start_with_the_settings_of_the_file(deployed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = rendered(deployed, **VARIABLES)["services"]["server"]["environment"]
    assert set(environment) - {"DOCKER_MCP_ENV_FILE"} <= set(Settings.model_fields)
    monkeypatch.setenv("DOCKER_MCP_ENV_FILE", str(deployed / "secrets/docker-mcp.env"))
    monkeypatch.delenv("DOCKER_MCP_STATE_DIR")
    settings = load_settings(**{name: value for name, value in environment.items() if name in Settings.model_fields})
    check_exposure(settings)
    check_secret(settings)
    location = Location.parse(settings.database_url)
    assert location.describe() == "postgresql database/docker_mcp"
    assert signing_key_of(settings, location)
    assert settings.sealing_key
    password = (deployed / "secrets/database-password").read_text()
    assert f":{password}@" in settings.database_url


def test_a_variable_that_is_missing_is_named(deployed: Path) -> None:
    compose = str(find_plugin(None)[0])
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    done = run(compose, "-f", str(deployed / "compose.yaml"), "config", "-q", env=environment)
    assert done.returncode != 0
    assert "DOCKER_MCP_PUBLIC_HOST" in done.stderr or "DOCKER_GID" in done.stderr


def test_secrets_are_private_and_made_once(deployed: Path) -> None:
    made = deployed / "secrets"
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert stat.S_IMODE((made / "docker-mcp.env").stat().st_mode) == 0o600
    before = (made / "docker-mcp.env").read_bytes()
    again = run("bash", str(deployed / "secrets.sh"), cwd=deployed)
    assert again.returncode == 1
    assert "is there already" in again.stderr
    assert (made / "docker-mcp.env").read_bytes() == before


def test_the_proxy_sends_sessions_back_to_their_server_and_reaches_the_servers_port(deployed: Path) -> None:
    text = (DEPLOY / "haproxy.cfg").read_text()
    assert f"server:{Settings.model_fields['DOCKER_MCP_PORT'].default}" in text
    assert "stick match req.hdr(mcp-session-id)" in text
    secrets = rendered(deployed, **VARIABLES)["services"]["proxy"]["secrets"]
    assert [secret["source"] for secret in secrets] == ["tls.pem"]
    assert "/run/secrets/tls.pem" in text


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    text = (DEPLOY / "docker-mcp.service").read_text()
    names = re.findall(r"^Environment=(\w+)=", text, re.MULTILINE)
    assert set(names) - {"XDG_CONFIG_HOME"} <= set(Settings.model_fields)
    if analyze is None:
        pytest.skip("systemd is not on this machine")
    unit = tmp_path / "docker-mcp.service"
    unit.write_text(text.replace("/opt/docker-mcp/bin/docker-mcp", "/bin/true"))
    done = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False)
    told = [line for line in done.stderr.splitlines() if unit.name in line]
    assert (done.returncode, told) == (0, [])
