"""Changes of users and tokens from the command line stand in the log before they are made, without any key."""

import getpass
import json
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from domain.access.tokens import fingerprint
from domain.chain import verify
from domain.events import RecordedEvent
from server.bootstrap import new_id, now_ms
from tests.cli.command import Variables, complaint, docker_mcp, http_server, log_at
from tests.conftest import SEALING_KEY, free_port

ME = f"local:{getpass.getuser()}"
SECRET = {"MCP_AUTH_SECRET": "s" * 16}

Recorded = Callable[[], list[RecordedEvent]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the auth file lies; there is none yet."""
    path = tmp_path / "config" / "docker-mcp" / "docker_mcp_auth.json"
    path.unlink(missing_ok=True)
    return path


def recorded(location: Location) -> list[RecordedEvent]:
    with closing(SqlEventStore(location, now_ms, new_id())) as store:
        found = store.read()
    assert list(verify(found)) == []
    return found


def told(location: Location) -> list[tuple[str, str, str, dict[str, Any]]]:
    return [(row.type, row.stream, row.principal, row.payload()) for row in recorded(location)]


@pytest.mark.promise("P6")
def test_every_change_of_a_user_is_recorded_with_name_and_role_and_without_the_key(
    file: Path, location: Location
) -> None:
    env: Variables = {**log_at(location), **SECRET}
    keys = [
        docker_mcp("user", "add", "alice", "--role", "admin", env=env).stdout.strip(),
        docker_mcp("user", "rotate", "alice", env=env).stdout.strip(),
    ]
    token = docker_mcp("token", "alice", env=env).stdout.strip()
    assert docker_mcp("user", "remove", "alice", env=env).returncode == 0
    events = told(location)
    expires = events[2][3].pop("expires_at_s")
    alice = {"user": "alice", "role": "admin"}
    assert events == [
        ("user.added", "auth", ME, alice),
        ("user.key_rotated", "auth", ME, alice),
        ("token.issued", "auth", ME, {"user": "alice"}),
        ("user.removed", "auth", ME, alice),
    ]
    assert expires == int(token.split(":")[-2]) + 3600
    text = json.dumps([row._asdict() for row in recorded(location)])
    for secret in (*keys, *map(fingerprint, keys), token):
        assert secret
        assert secret not in text


def test_what_is_refused_or_only_looked_at_is_not_recorded(file: Path, location: Location) -> None:
    env = log_at(location)
    assert docker_mcp("user", "add", "alice", env=env).returncode == 0
    for arguments in (
        ("user", "add", "alice"),
        ("user", "add", "two words"),
        ("user", "add", "bob", "--role", "boss"),
        ("user", "rotate", "bob"),
        ("user", "remove", "bob"),
        ("token", "bob"),
    ):
        assert docker_mcp(*arguments, env={**env, **SECRET}).returncode == 2
    assert docker_mcp("user", "list", env=env).returncode == 0
    assert [row.type for row in recorded(location)] == ["user.added"]


@pytest.mark.promise("P1")
@pytest.mark.parametrize(
    "arguments", [("user", "rotate", "alice"), ("user", "remove", "alice"), ("user", "add", "bob")]
)
def test_without_a_log_no_user_is_changed(arguments: tuple[str, ...], file: Path, sqlite_location: Location) -> None:
    assert docker_mcp("user", "add", "alice", env=log_at(sqlite_location)).returncode == 0
    before = file.read_bytes()
    done = docker_mcp(*arguments, env={"DOCKER_MCP_DATABASE_URL": "sqlite:////proc/none/ledger.db"})
    assert done.returncode == 1
    assert "log_unavailable: nothing was changed, since it cannot be recorded" in complaint(done)
    assert "docker-mcp doctor" in complaint(done)
    assert file.read_bytes() == before


@pytest.mark.promise("P1")
def test_without_a_log_no_token_is_printed(file: Path, sqlite_location: Location) -> None:
    assert docker_mcp("user", "add", "alice", env=log_at(sqlite_location)).returncode == 0
    done = docker_mcp("token", "alice", env={"DOCKER_MCP_DATABASE_URL": "sqlite:////proc/none/ledger.db", **SECRET})
    assert done.returncode == 1
    assert "cannot be recorded" in complaint(done)


def test_the_first_admin_of_an_http_server_is_recorded_before_the_start(
    file: Path, sqlite_location: Location, tmp_path: Path
) -> None:
    with http_server(tmp_path / "errors", env=log_at(sqlite_location)):
        pass
    first, second, *_ = told(sqlite_location)
    assert first == ("user.added", "auth", ME, {"user": "admin", "role": "admin"})
    assert second[0] == "server.started"
    (key_file,) = re.findall(r"made admin, whose API key is in (\S+)", (tmp_path / "errors").read_text())
    assert json.loads(file.read_text())["users"]["admin"]["key_sha256"] == fingerprint(
        Path(key_file).read_text().strip()
    )


@pytest.mark.promise("P1")
def test_without_a_log_no_first_admin_is_made(file: Path) -> None:
    nowhere = {"DOCKER_MCP_DATABASE_URL": "sqlite:////proc/none/ledger.db", "DOCKER_MCP_SEALING_KEY": SEALING_KEY}
    done = docker_mcp("http", "--port", str(free_port()), env={**nowhere, **SECRET})
    assert done.returncode == 1
    assert "log_unavailable: nothing was changed" in done.stderr
    assert list(file.parent.iterdir()) == [], "neither auth file nor key"
