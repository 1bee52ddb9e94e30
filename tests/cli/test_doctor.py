"""``docker-mcp doctor``: each check in good and in bad state, each bad one with its fix."""

import contextlib
import os
import shutil
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import docker
import pytest

from adapters.store.location import Location
from tests.cli.command import Outcome, Variables, complaint, docker_mcp, finding, findings, log_at, plain_user
from tests.conftest import free_port

GROUP_FIX = "add this user to the group docker (sudo usermod -aG docker $USER) and log in again"


def doctor(env: Variables | None = None, prefix: Sequence[str] = ()) -> Outcome:
    return docker_mcp("doctor", "--json", env=env, prefix=prefix)


@contextlib.contextmanager
def listener(family: socket.AddressFamily, address: object) -> Iterator[socket.socket]:
    """A program that takes connections and never says a word."""
    with socket.socket(family) as listening:
        listening.bind(address)  # type: ignore[arg-type]  # a path or a pair, as the family wants it
        listening.listen()
        yield listening


def script(folder: Path, name: str, content: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{content}\n")
    (folder / name).chmod(0o755)


@pytest.mark.engine
def test_a_machine_that_is_well_is_called_well(engine: docker.APIClient, tmp_path: Path) -> None:
    script(tmp_path / "bin", "docker-compose", "echo 2.99.1")
    variables = {
        "DOCKER_MCP_PORT": str(free_port()),
        "DOCKER_MCP_COMPOSE": f"{tmp_path}/bin/docker-compose",
        "DOCKER_MCP_CHECKPOINTS_TO": f"{tmp_path}/elsewhere",
    }
    done = doctor(variables)
    assert done.returncode == 0
    checks = [found["check"] for found in findings(done)]
    assert checks == ["log", "key", "checkpoints", "auth", "engine", "compose", "port"]
    assert all(found["ok"] for found in findings(done))
    assert engine.version()["Version"] in finding("engine", done)["seen"]
    assert finding("compose", done)["seen"] == f"Compose 2.99.1, {tmp_path}/bin/docker-compose"


@pytest.mark.engine
def test_people_read_each_finding_on_a_line_with_its_fix_below(tmp_path: Path) -> None:
    broken = {"DOCKER_HOST": "unix:///nowhere", "DOCKER_MCP_COMPOSE": "/nowhere", "DOCKER_MCP_PORT": str(free_port())}
    done = docker_mcp("doctor", env=broken)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines if "fix:" not in line] == [
        ["ok", "log"],
        ["ok", "key"],
        ["note", "checkpoints"],
        ["ok", "auth"],
        ["FAIL", "engine"],
        ["note", "compose"],
        ["ok", "port"],
    ]
    failed = [number for number, line in enumerate(lines) if line.startswith(("FAIL", "note"))]
    assert all(lines[number + 1].split()[0] == "fix:" for number in failed)


def test_a_variable_that_no_setting_has_is_told() -> None:
    noted = finding("settings", doctor({"DOCKER_MCP_READONLY": "hunter2", "DOCKER_MCP_ENV_FILE": None}))
    assert (noted["ok"], noted["optional"]) == (False, True)
    assert "no setting is called DOCKER_MCP_READONLY" in noted["seen"]
    assert "hunter2" not in str(noted)


def test_such_a_variable_is_told_of_the_files_that_are_read_too(tmp_path: Path) -> None:
    """Also of the one in the working directory, which the HTTP server reads."""
    named, here = tmp_path / "named.env", tmp_path / ".env"
    named.write_text("DOCKER_MCP_READONLY=hunter2\nOTHERS=1\nDOCKER_MCP_PORT=4000\nDOCKER_MCP_ENV_FILE=none\n")
    here.write_text("export DOCKER_MCP_PROT='hunter2'\n")
    here.chmod(0o600)
    noted = finding("settings", doctor({"DOCKER_MCP_ENV_FILE": str(named)}))
    assert noted["seen"] == f"{named}: no setting is called DOCKER_MCP_ENV_FILE, DOCKER_MCP_READONLY: nothing reads it"
    done = docker_mcp("doctor", "--json", env={"DOCKER_MCP_ENV_FILE": None}, cwd=tmp_path)
    assert finding("settings", done)["seen"].startswith(f"{here}: no setting is called DOCKER_MCP_PROT:")
    assert "hunter2" not in done.stdout + str(noted)


@pytest.mark.parametrize(
    ("text", "mode", "told"),
    [
        (b"DOCKER_MCP_PORT=hunter2\n", 0o600, "DOCKER_MCP_PORT: "),
        (b"DOCKER_MCP_PORT=4000\n", 0o666, "can be written by others"),
        (b"\xff\xfe", 0o600, "not UTF-8"),
    ],
)
def test_a_file_here_that_keeps_the_http_server_from_starting_is_told(
    text: bytes, mode: int, told: str, tmp_path: Path
) -> None:
    here = tmp_path / ".env"
    here.write_bytes(text)
    here.chmod(mode)
    done = docker_mcp("doctor", "--json", env={"DOCKER_MCP_ENV_FILE": None, "DOCKER_MCP_PORT": None}, cwd=tmp_path)
    noted = finding("settings", done)
    assert noted["seen"].startswith("`docker-mcp http` would not start in this folder: ")
    assert told in noted["seen"]
    assert "hunter2" not in done.stdout


# --- the engine ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "seen", "fix"),
    [
        ({"DOCKER_HOST": "unix:///nowhere/docker.sock"}, "No such file or directory", "correct DOCKER_HOST"),
        ({"DOCKER_HOST": "tcp://127.0.0.1:1"}, "Connection refused", "correct DOCKER_HOST"),
        ({"DOCKER_HOST": "ssh://somewhere"}, "ssh:// is not supported", "forward the socket"),
        ({"DOCKER_HOST": "tcp://127.0.0.1:port"}, "DOCKER_HOST is not understood", "unix:///"),
        ({"DOCKER_HOST": "tcp://me:hunter2@there:2375"}, "DOCKER_HOST is not understood", "unix:///"),
        ({"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/nowhere"}, "TLS files", "DOCKER_CERT_PATH"),
    ],
)
def test_an_engine_that_cannot_be_reached_is_found(variables: dict[str, str], seen: str, fix: str) -> None:
    done = doctor(variables)
    assert done.returncode == 1
    assert seen in finding("engine", done)["seen"]
    assert fix in finding("engine", done)["fix"]


def test_a_socket_that_nobody_listens_on_is_found(tmp_path: Path) -> None:
    with listener(socket.AF_UNIX, str(tmp_path / "dead.sock")):
        pass  # the file stays
    done = doctor({"DOCKER_HOST": f"unix://{tmp_path}/dead.sock"})
    assert done.returncode == 1
    assert "Connection refused" in finding("engine", done)["seen"]


@pytest.mark.promise("P9")
def test_an_engine_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    with listener(socket.AF_UNIX, str(tmp_path / "mute.sock")):
        done = doctor({"DOCKER_HOST": f"unix://{tmp_path}/mute.sock", "DOCKER_MCP_ENGINE_TIMEOUT_S": "1"})
    assert done.returncode == 1
    assert not finding("engine", done)["ok"]


def test_an_engine_that_this_user_may_not_use_is_found(tmp_path: Path) -> None:
    with listener(socket.AF_UNIX, str(tmp_path / "docker.sock")):
        (tmp_path / "docker.sock").chmod(0)
        done = doctor({"DOCKER_HOST": f"unix://{tmp_path}/docker.sock"}, prefix=plain_user())
    assert done.returncode == 1
    assert "Permission denied" in finding("engine", done)["seen"]
    assert finding("engine", done)["fix"] == GROUP_FIX


@pytest.mark.parametrize(("programs", "fix"), [([], "install an engine"), (["dockerd"], "start the engine")])
def test_where_no_engine_runs_the_fix_is_to_install_or_start_one(programs: list[str], fix: str, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for name in programs:
        script(tmp_path / "bin", name, "exit 1")
    alone = ["unshare", "--mount", *([] if os.getuid() == 0 else ["--map-root-user"])]
    without_engine = 'mount -t tmpfs none /run && PATH="$0" && exec "$@"'
    done = doctor({"DOCKER_HOST": None}, prefix=(*alone, "sh", "-c", without_engine, str(tmp_path / "bin")))
    assert done.returncode == 1
    assert "unix:///var/run/docker.sock" in finding("engine", done)["seen"]
    assert fix in finding("engine", done)["fix"]


# --- the log and its key ------------------------------------------------------------------------------------------


def test_a_directory_that_cannot_be_made_is_found(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = doctor({"DOCKER_MCP_STATE_DIR": str(tmp_path / "file" / "state")})
    assert done.returncode == 1
    for check in ("log", "key"):
        assert "Not a directory" in finding(check, done)["seen"]
        assert "docker-mcp doctor" not in finding(check, done)["fix"], "the doctor sends the person in a circle"


def test_a_database_that_this_user_may_not_write_is_found(sqlite_location: Location) -> None:
    log = log_at(sqlite_location)
    assert docker_mcp("migrate", env=log).returncode == 0
    assert sqlite_location.path
    sqlite_location.path.chmod(0o444)
    sqlite_location.path.parent.chmod(0o755)
    done = doctor(log, prefix=plain_user())
    sqlite_location.path.chmod(0o600)
    assert done.returncode == 1
    assert "Permission denied" in finding("log", done)["seen"]
    assert str(sqlite_location.path.parent) in finding("log", done)["fix"]


def test_a_damaged_database_is_found(sqlite_location: Location) -> None:
    assert sqlite_location.path
    sqlite_location.path.parent.mkdir()
    sqlite_location.path.write_bytes(b"no database" * 1000)
    done = doctor(log_at(sqlite_location))
    assert done.returncode == 1
    assert "file is not a database" in finding("log", done)["seen"]
    assert "backup" in finding("log", done)["fix"]


@pytest.mark.promise("P6")
def test_a_disk_with_less_room_than_the_reserve_is_found(sqlite_location: Location, tmp_path: Path) -> None:
    more_than_there_is = (shutil.disk_usage(tmp_path).total >> 20) + 1
    done = doctor({**log_at(sqlite_location), "DOCKER_MCP_DISK_RESERVE_MIB": str(more_than_there_is)})
    assert done.returncode == 1
    _, bad = [found for found in findings(done) if found["check"] == "log"]
    assert not bad["ok"]
    assert f"less than {more_than_there_is} MiB left" in bad["seen"]
    assert "DOCKER_MCP_DISK_RESERVE_MIB" in bad["fix"]


def test_a_log_that_others_can_read_is_found(sqlite_location: Location) -> None:
    log = log_at(sqlite_location)
    assert docker_mcp("migrate", env=log).returncode == 0
    assert sqlite_location.path
    sqlite_location.path.chmod(0o644)
    done = doctor(log)
    assert done.returncode == 1
    good, bad = [found for found in findings(done) if found["check"] == "log"]
    assert good["ok"]
    assert bad["fix"] == f"chmod 600 {sqlite_location.path}"


def test_a_key_that_others_can_read_is_found(tmp_path: Path) -> None:
    assert doctor().returncode in (0, 1)
    key = tmp_path / "state" / "ledger.db.key"
    key.chmod(0o640)
    done = doctor()
    assert done.returncode == 1
    assert finding("key", done)["fix"] == f"chmod 600 {key}"


@pytest.mark.postgres
def test_a_postgresql_log_that_is_well_is_called_well(postgres_location: Location) -> None:
    done = doctor(log_at(postgres_location))
    assert finding("log", done)["ok"]
    assert finding("key", done)["ok"]


@pytest.mark.postgres
def test_postgresql_without_a_key_is_found(postgres_location: Location) -> None:
    done = doctor({"DOCKER_MCP_DATABASE_URL": postgres_location.url})
    assert done.returncode == 1
    assert "openssl rand -base64 32" in finding("key", done)["fix"]


# --- what may be missing ------------------------------------------------------------------------------------------


@pytest.mark.engine
@pytest.mark.parametrize(
    ("program", "seen"),
    [(None, "no Docker Compose v2 at {}"), ("echo 1.29.2", "not Docker Compose v2: {}")],
)
def test_a_missing_compose_plugin_is_a_note(program: str | None, seen: str, tmp_path: Path) -> None:
    path = tmp_path / "bin/docker-compose"
    if program:
        script(path.parent, path.name, program)
    done = doctor({"DOCKER_MCP_COMPOSE": str(path)})
    assert done.returncode == 0
    assert finding("compose", done) == {
        "check": "compose",
        "ok": False,
        "seen": seen.format(path),
        "fix": finding("compose", done)["fix"],
        "optional": True,
    }
    assert "docker-compose-v2" in finding("compose", done)["fix"]


@pytest.mark.engine
@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_a_port_in_use_is_a_note(host: str, family: socket.AddressFamily) -> None:
    port = free_port()
    with listener(family, (host, port)):
        done = doctor({"DOCKER_MCP_HOST": host, "DOCKER_MCP_PORT": str(port)})
    assert done.returncode == 0
    assert finding("port", done)["seen"] == f"port {port} of {host}: Address already in use"
    assert "DOCKER_MCP_PORT" in finding("port", done)["fix"]


def test_wrong_settings_come_before_every_check() -> None:
    done = doctor({"DOCKER_MCP_PORT": "many"})
    assert done.returncode == 2
    assert "DOCKER_MCP_PORT" in complaint(done)


@pytest.mark.engine
def test_a_broken_auth_file_is_told_by_line(tmp_path: Path) -> None:
    (tmp_path / "auth.json").write_text('{\n "users": []\n}')
    done = doctor({"DOCKER_MCP_AUTH_FILE": str(tmp_path / "auth.json")})
    assert done.returncode == 1
    assert "line 2: users" in finding("auth", done)["seen"]
