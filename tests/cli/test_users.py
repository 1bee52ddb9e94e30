"""``docker-mcp user`` and ``docker-mcp token``: who may call, kept without a single key."""

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from adapters.store.location import Location
from domain.access.auth_file import read_auth_file
from domain.access.tokens import fingerprint, parse, refusal
from tests.cli.command import Outcome, complaint, docker_mcp, log_at, plain_user
from tests.conftest import write_rules

KEY = re.compile(r"dmk_[A-Za-z0-9_-]{43}")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the auth file of these tests lies; there is none yet."""
    path = tmp_path / "config" / "docker-mcp" / "docker_mcp_auth.json"
    path.unlink(missing_ok=True)
    return path


def users(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())["users"]
    return found


def user(*arguments: str) -> Outcome:
    return docker_mcp("user", *arguments)


def made(done: Outcome, name: str) -> str:
    """Return the API key that a command has printed; it is all of standard output."""
    assert (done.returncode, done.stderr) == (0, f"the API key of {name}; it is not kept anywhere else\n")
    key = done.stdout.removesuffix("\n")
    assert KEY.fullmatch(key)
    return key


def texts(folder: Path) -> str:
    """Every byte of every file below a folder, as text."""
    return "".join(path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file())


@pytest.mark.promise("P6")
def test_a_new_key_is_printed_once_and_kept_nowhere(file: Path, tmp_path: Path) -> None:
    key = made(user("add", "alice", "--role", "admin"), "alice")
    entry = users(file)["alice"]
    assert (entry["role"], entry["key_sha256"]) == ("admin", fingerprint(key))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", entry["created"])
    docker_mcp("user", "list")
    assert docker_mcp("token", "alice").returncode == 0
    assert fingerprint(key) in texts(tmp_path)
    assert key.removeprefix("dmk_") not in texts(tmp_path)


def test_a_user_only_reads_unless_another_role_is_given(file: Path) -> None:
    made(user("add", "alice"), "alice")
    made(user("add", "bob", "--role", "admin"), "bob")
    assert {name: entry["role"] for name, entry in users(file).items()} == {"alice": "user", "bob": "admin"}


@pytest.mark.promise("P7")
@pytest.mark.parametrize("umask", ["0000", "0022", "0077"])
def test_the_file_and_its_folder_are_for_their_owner_alone(umask: str, file: Path) -> None:
    for folder in (file.parent, file.parent.parent):
        folder.rmdir()
    done = docker_mcp("user", "add", "alice", prefix=["sh", "-c", f'umask {umask}; exec "$@"', "sh"])
    made(done, "alice")
    assert file.stat().st_mode & 0o7777 == 0o600
    assert file.parent.stat().st_mode & 0o7777 == 0o700
    assert [path.name for path in file.parent.iterdir()] == [file.name], "no draft is left"


def test_the_file_stays_for_its_owner_alone_when_it_is_written_again(file: Path) -> None:
    made(user("add", "alice"), "alice")
    file.chmod(0o644)
    made(user("rotate", "alice"), "alice")
    assert file.stat().st_mode & 0o7777 == 0o600


def test_another_file_can_be_named(tmp_path: Path, file: Path) -> None:
    other = tmp_path / "elsewhere" / "auth.json"
    assert docker_mcp("user", "add", "alice", env={"DOCKER_MCP_AUTH_FILE": str(other)}).returncode == 0
    assert set(users(other)) == {"alice"}
    assert not file.exists()


def test_what_else_stands_in_the_file_stays(tmp_path: Path, file: Path) -> None:
    sections: dict[str, Any] = {
        "roles": {"team": {"allow": [{"tools": ["*-container"], "objects": ["container/team-*"]}], "audit": "all"}},
        "host_safety": {"host_network": True},
        "auto_approve": {"add": ["list-*"]},
    }
    write_rules(tmp_path / "config", **sections)
    made(user("add", "alice", "--role", "team"), "alice")
    made(user("add", "bob"), "bob")
    made(user("rotate", "alice"), "alice")
    assert user("remove", "bob").returncode == 0
    tree = json.loads(file.read_text())
    assert set(tree.pop("users")) == {"alice"}
    assert tree == sections
    assert read_auth_file(file.read_text()).users["alice"].role == "team"


@pytest.mark.promise("P7")
def test_a_user_that_exists_is_not_given_another_key(file: Path) -> None:
    made(user("add", "alice"), "alice")
    before = file.read_bytes()
    done = user("add", "alice", "--role", "admin")
    assert done.returncode == 2
    assert complaint(done).endswith("the user alice exists - `docker-mcp user rotate` gives a new key")
    assert file.read_bytes() == before


@pytest.mark.parametrize("command", [("user", "rotate"), ("user", "remove"), ("token",)])
@pytest.mark.parametrize("name", ["bob", "Alice", "alice ", "", "../alice", "ällice"])
def test_an_unknown_name_is_refused(command: tuple[str, ...], name: str, file: Path) -> None:
    made(user("add", "alice"), "alice")
    before = file.read_bytes()
    done = docker_mcp(*command, name)
    assert done.returncode == 2
    assert f"there is no user {name}" in complaint(done)
    assert "`docker-mcp user list`" in complaint(done)
    assert file.read_bytes() == before


@pytest.mark.parametrize("name", ["two words", "local:root", "", "a/b", "ällice", "a" * 65, "a\nb"])
def test_a_name_that_no_user_can_have_is_refused(name: str, file: Path) -> None:
    done = user("add", name)
    assert done.returncode == 2
    complaint(done)
    assert not file.exists()


@pytest.mark.promise("P7")
@pytest.mark.parametrize("role", ["boss", "system", "Admin", "", "none"])
def test_a_role_that_is_not_defined_is_refused(role: str, file: Path) -> None:
    done = user("add", "alice", "--role", role)
    assert done.returncode == 2
    assert "users.alice.role: " in complaint(done)
    assert not file.exists()


@pytest.mark.promise("P7")
def test_rotating_ends_the_old_key_and_its_tokens(file: Path, sqlite_location: Location) -> None:
    old = made(user("add", "alice", "--role", "admin"), "alice")
    made(user("add", "bob"), "bob")
    bobs = users(file)["bob"]
    printed = docker_mcp("token", "alice", env={**log_at(sqlite_location), "MCP_AUTH_SECRET": "s" * 16}).stdout.strip()
    new = made(user("rotate", "alice"), "alice")
    assert new != old
    assert users(file)["alice"]["key_sha256"] == fingerprint(new)
    assert users(file)["alice"]["role"] == "admin"
    assert users(file)["bob"] == bobs
    assert fingerprint(old) not in file.read_text()
    token = parse(printed)
    assert token
    assert refusal(token, b"s" * 16, fingerprint(old), token.issued_s, 3600) is None
    assert refusal(token, b"s" * 16, fingerprint(new), token.issued_s, 3600) == "forged"


@pytest.mark.promise("P7")
def test_a_removed_user_is_gone(file: Path) -> None:
    key = made(user("add", "alice"), "alice")
    made(user("add", "bob"), "bob")
    done = user("remove", "alice")
    assert (done.returncode, done.stdout, done.stderr) == (0, "removed alice\n", "")
    assert set(users(file)) == {"bob"}
    assert fingerprint(key) not in file.read_text()
    assert docker_mcp("token", "alice").returncode == 2
    assert made(user("add", "alice"), "alice") != key


def test_users_are_listed_by_name_with_their_roles_and_without_their_keys(file: Path) -> None:
    keys = [made(user("add", name, "--role", role), name) for name, role in (("bob", "user"), ("alice", "admin"))]
    done = user("list")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [["alice", "admin"], ["bob", "user"]]
    listed = json.loads(user("list", "--json").stdout)
    created = {name: entry["created"] for name, entry in users(file).items()}
    assert listed == [
        {"name": "alice", "role": "admin", "created": created["alice"]},
        {"name": "bob", "role": "user", "created": created["bob"]},
    ]
    assert not any(fingerprint(key)[:16] in done.stdout + str(listed) for key in keys)


def test_without_users_it_is_said_how_to_add_one(file: Path) -> None:
    done = user("list")
    assert done.returncode == 0
    assert done.stdout == f"no users in {file}; `docker-mcp user add NAME --role admin` adds one\n"
    assert json.loads(user("list", "--json").stdout) == []
    assert not file.exists(), "looking makes no file"


@pytest.mark.promise("P7")
@pytest.mark.parametrize("arguments", [["user", "list"], ["user", "add", "bob"], ["token", "alice"], ["stdio"]])
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_refused_with_the_fix(arguments: list[str], mode: int, file: Path) -> None:
    made(user("add", "alice"), "alice")
    before = file.read_bytes()
    file.chmod(mode)
    done = docker_mcp(*arguments)
    assert done.returncode == 2
    assert complaint(done).endswith(f"others can write the auth file: {file} - chmod 600 {file}")
    assert file.read_bytes() == before


@pytest.mark.promise("P7")
@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to another user")
@pytest.mark.parametrize("arguments", [["user", "list"], ["user", "rotate", "alice"], ["token", "alice"], ["stdio"]])
def test_a_file_of_another_user_is_refused_with_the_fix(arguments: list[str], file: Path) -> None:
    made(user("add", "alice"), "alice")
    before = file.read_bytes()
    os.chown(file, 65534, 65534)
    done = docker_mcp(*arguments)
    assert done.returncode == 2
    assert complaint(done).endswith(f"the auth file belongs to another user: {file} - chown 0 {file}")
    assert file.read_bytes() == before


@pytest.mark.parametrize("text", ["{", "[]", '{"users": {"alice": {"role": "admin"}}}', '{"user": {}}', "\xff"])
def test_a_broken_file_is_never_written_over(text: str, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode("latin-1"))
    file.chmod(0o600)
    for arguments in (["add", "bob"], ["rotate", "alice"], ["remove", "alice"], ["list"]):
        done = user(*arguments)
        assert done.returncode == 2
        assert "the auth file" in complaint(done)
    assert file.read_bytes() == text.encode("latin-1")


@pytest.mark.parametrize(
    "text",
    ["users: {}\n", '{"users": {},}', '{"users": {}} # nobody yet', "{'users': {}}", '\ufeff{"users": {}}', "", "null"],
)
def test_what_is_not_json_is_taken_or_refused_by_reader_and_writer_alike(text: str, file: Path) -> None:
    """A file that a server takes is one that a user can be added to."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o600)
    listed, added = user("list"), user("add", "alice")
    assert listed.returncode == added.returncode
    if listed.returncode:
        assert listed.returncode == 2
        assert "the auth file" in complaint(listed)
        assert complaint(added) == complaint(listed)
        assert file.read_text() == text
    else:
        assert set(users(file)) == {"alice"}


@pytest.mark.promise("P7")
def test_no_token_is_printed_that_no_server_believes(file: Path) -> None:
    """Without a secret that is kept, each process on PostgreSQL signs with one of its own."""
    made(user("add", "alice"), "alice")
    done = docker_mcp("token", "alice", env={"DOCKER_MCP_DATABASE_URL": "postgresql://nowhere.invalid/log"})
    assert done.returncode == 2
    assert "MCP_AUTH_SECRET" in complaint(done)


@pytest.mark.promise("P7")
@pytest.mark.postgres
def test_http_servers_on_one_postgresql_have_to_be_given_the_same_secret(postgres_location: Location) -> None:
    done = docker_mcp("http", env=log_at(postgres_location))
    assert done.returncode == 2
    assert "PostgreSQL needs MCP_AUTH_SECRET" in complaint(done)


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    log = tmp_path / "anybody's"  # the change is recorded before it is made
    log.mkdir()
    log.chmod(0o777)
    env = {"DOCKER_MCP_AUTH_FILE": "/proc/auth.json", "DOCKER_MCP_STATE_DIR": str(log)}
    done = docker_mcp("user", "add", "alice", env=env, prefix=plain_user())
    assert done.returncode == 2
    assert "the auth file cannot be written: /proc/auth.json" in complaint(done)


@pytest.mark.promise("P7")
def test_a_token_is_one_that_the_server_believes(file: Path, sqlite_location: Location) -> None:
    key = made(user("add", "alice"), "alice")
    before = int(time.time())
    done = docker_mcp("token", "alice", env={**log_at(sqlite_location), "MCP_AUTH_SECRET": "only the server knows"})
    assert (done.returncode, done.stderr) == (0, "")
    token = parse(done.stdout.removesuffix("\n"))
    assert token
    assert token.username == "alice"
    assert before <= token.issued_s <= time.time()
    assert refusal(token, b"only the server knows", fingerprint(key), int(time.time()), 3600) is None


@pytest.mark.promise("P7")
def test_without_a_secret_of_its_own_the_token_is_signed_with_the_one_beside_the_log(
    file: Path, sqlite_location: Location
) -> None:
    key = made(user("add", "alice"), "alice")
    one, other = (docker_mcp("token", "alice", env=log_at(sqlite_location)).stdout.strip() for _ in range(2))
    assert sqlite_location.path
    secret = sqlite_location.path.with_name("ledger.db.auth-secret")
    assert secret.stat().st_mode & 0o7777 == 0o600
    assert len(secret.read_bytes()) >= 32
    for printed in (one, other):
        token = parse(printed)
        assert token
        assert refusal(token, secret.read_bytes(), fingerprint(key), int(time.time()), 3600) is None
    secret.chmod(0o640)
    done = docker_mcp("token", "alice", env=log_at(sqlite_location))
    assert done.returncode == 2
    assert complaint(done).endswith(f"others can read the secret that signs tokens: {secret} - chmod 600 {secret}")


@pytest.mark.promise("P6")
def test_neither_key_nor_token_is_printed_with_an_error(file: Path) -> None:
    key = made(user("add", "alice"), "alice")
    tree = json.loads(file.read_text())
    tree["users"]["bob"] = {"role": "user", "key_sha256": key}
    file.write_text(json.dumps(tree))
    done = user("list")
    assert done.returncode == 2
    assert "users.bob.key_sha256" in complaint(done)
    assert key not in done.stderr
    assert key.removeprefix("dmk_") not in done.stderr
