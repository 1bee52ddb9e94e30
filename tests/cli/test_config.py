"""``docker-mcp config``: writes what each client reads, keeps what is there, and checks it as the client would."""

import io
import json
import os
import pty
import stat
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from domain.access.auth_file import AutoApprove
from domain.access.auto_approve import auto_approved
from domain.catalogue import CATALOGUE
from domain.errors import DockerMcpError, InvalidArgumentsError
from server.cli.config import config
from server.clients.connection import stdio_command
from server.clients.json_text import NotMergedError
from tests.cli.command import STDIO, Outcome, complaint, docker_mcp, environment, http_server
from tests.conftest import free_port

SAFE = auto_approved(CATALOGUE, AutoApprove())
COMMAND, *ARGUMENTS = stdio_command()


def written(path: Path) -> Any:
    return json.loads(path.read_text())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def ok(done: Outcome) -> Outcome:
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def tools_found(done: Outcome) -> int:
    """Return how many tools ``--check`` has listed."""
    return len(json.loads(ok(done).stdout)["tools"])


def add_user(name: str) -> str:
    return ok(docker_mcp("user", "add", name, "--role", "admin")).stdout.strip()


# --- what is written ----------------------------------------------------------------------------------------------


def test_openhands_gets_the_form_of_its_documentation(tmp_path: Path) -> None:
    key = add_user("alice")
    file = tmp_path / "new/config.json"
    done = ok(docker_mcp("config", "openhands-docker-mcp", str(file), env={"DOCKER_MCP_TOKEN": key}))
    ((name, entry),) = written(file)["mcpServers"].items()
    assert name == "docker-mcp"
    assert (entry["command"], entry["args"]) == (COMMAND, ARGUMENTS)
    assert {"DOCKER_MCP_PORT": "3334", "LOG_LEVEL": "INFO", "DOCKER_MCP_TOKEN": key}.items() <= entry["env"].items()
    assert entry["env"]["DOCKER_MCP_STATE_DIR"] == os.environ["DOCKER_MCP_STATE_DIR"]
    assert entry["autoApprove"] == SAFE
    assert {"list-containers", "get-logs", "network-list", "compose-ps", "compose-logs"} <= set(SAFE)
    assert entry["metadata"] == {"authorization": key}
    assert mode(file) == 0o600
    assert key not in done.stdout + done.stderr


def test_without_users_no_credential_is_written(tmp_path: Path) -> None:
    config("openhands", tmp_path / "mcp.json")
    entry = written(tmp_path / "mcp.json")["mcpServers"]["docker-mcp"]
    assert "metadata" not in entry
    assert "DOCKER_MCP_TOKEN" not in entry["env"]
    assert mode(tmp_path / "mcp.json") == 0o644


def test_with_users_a_client_is_told_to_ask_for_a_credential(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_user("alice")
    config("cursor", tmp_path / "mcp.json")
    entry = written(tmp_path / "mcp.json")["mcpServers"]["docker"]
    assert entry["env"]["DOCKER_MCP_TOKEN"] == "${env:DOCKER_MCP_TOKEN}"
    assert "start Cursor with the variable DOCKER_MCP_TOKEN" in capsys.readouterr().err


def test_secrets_of_the_server_are_not_given_to_the_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secrets = {"MCP_AUTH_SECRET": "x" * 40, "DOCKER_MCP_SEALING_KEY": "c2VjcmV0"}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    config("cursor", tmp_path / "mcp.json")
    assert [value for value in secrets.values() if value in (tmp_path / "mcp.json").read_text()] == []
    assert "MCP_AUTH_SECRET, DOCKER_MCP_SEALING_KEY" in capsys.readouterr().err


def test_paths_are_written_so_that_they_hold_in_every_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_MCP_STATE_DIR", "mine")
    config("cursor", tmp_path / "mcp.json")
    assert written(tmp_path / "mcp.json")["mcpServers"]["docker"]["env"]["DOCKER_MCP_STATE_DIR"] == f"{tmp_path}/mine"


def test_print_changes_nothing_and_shows_no_credential(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "key").write_text("alice:1:0011")
    config("vscode", tmp_path / "mcp.json", http=True, token_file=str(tmp_path / "key"), show=True)
    entry = json.loads(capsys.readouterr().out)["servers"]["docker"]
    assert entry["headers"] == {"Authorization": "Bearer YOUR_API_KEY"}
    config("cursor", tmp_path / "mcp.json", http=True, show=True)
    entry = json.loads(capsys.readouterr().out)["mcpServers"]["docker"]
    assert entry["headers"] == {"Authorization": "Bearer ${env:DOCKER_MCP_TOKEN}"}, "what the client replaces itself"
    assert list(tmp_path.glob("mcp.json*")) == []


# --- what is in the file already ----------------------------------------------------------------------------------


def test_an_existing_file_is_shown_confirmed_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mcp.json"
    before = '{\n  "mcpServers": {\n    "other": {"command": "y", "env": {"API_KEY": "not ours to show"}}\n  }\n}\n'
    file.write_text(before)
    file.chmod(0o640)
    with pytest.raises(DockerMcpError, match="nothing was changed"):
        config("cursor", file)
    shown = capsys.readouterr().out
    assert '+    "docker": {' in shown
    assert "not ours to show" not in shown
    assert (file.read_text(), list(tmp_path.glob("*.bak"))) == (before, [])
    config("cursor", file, yes=True)
    assert written(file)["mcpServers"]["other"] == json.loads(before)["mcpServers"]["other"]
    assert mode(file) == 0o640
    (kept,) = tmp_path.glob("mcp.json.*.bak")
    assert (kept.read_text(), mode(kept)) == (before, 0o600)
    config("cursor", file)
    assert "is as it should be" in capsys.readouterr().out
    assert len(list(tmp_path.glob("*.bak"))) == 1


def test_at_a_terminal_a_person_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.write_text("{}")
    ours, its = pty.openpty()
    command = [*STDIO, "config", "cursor", str(file)]
    with subprocess.Popen(command, stdin=its, stdout=its, stderr=its, cwd="/", env=environment()) as process:
        os.close(its)
        os.write(ours, b"y\n")
        assert process.wait(60) == 0
    os.close(ours)
    assert "docker" in written(file)["mcpServers"]


def test_credentials_are_not_shown_and_their_file_is_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mcp.json"
    for key in ("alice:1:0011", "bob:2:2233", "bob:2:2233"):
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{key}\n"))
        config("openhands", file, token_file="-", yes=True)
        assert key in file.read_text()
        assert mode(file) == 0o600
        file.chmod(0o644)
    shown = "".join(capsys.readouterr())
    assert "«masked»" in shown
    assert "alice" not in shown
    assert "bob" not in shown


def test_secrets_of_other_servers_on_a_line_that_changes_are_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mcp.json"
    theirs = {
        "args": ["--api-key", "hidden-1", "--region", "north", "--token=hidden-22"],
        "env": {"A_TOKEN": "hidden-3"},
        "url": "https://me:hidden-4@example.com/mcp",
    }
    file.write_text(json.dumps({"mcpServers": {"theirs": theirs}}))
    config("cursor", file, yes=True)
    shown = "".join(capsys.readouterr())
    assert "hidden" not in shown
    assert "north" in shown
    assert written(file)["mcpServers"]["theirs"] == theirs


@pytest.mark.parametrize(
    ("client", "name", "before"),
    [
        ("cursor", "a.json", '{"mcpServers": {'),
        ("cursor", "b.json", "// c\n{}"),
        ("openhands", "c.toml", "[mcp\n"),
        ("vscode", "d.json", "\udcff"),
    ],
)
def test_a_broken_file_is_not_touched_and_the_part_is_printed(
    client: str, name: str, before: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / name
    content = before.encode(errors="surrogateescape")
    file.write_bytes(content)
    with pytest.raises(NotMergedError, match=name) as refused:
        config(client, file, yes=True)
    assert "put the part that is printed in by hand" in refused.value.describe()
    assert ARGUMENTS[-1] in capsys.readouterr().out
    assert (file.read_bytes(), list(tmp_path.glob("*.bak"))) == (content, [])


def test_a_link_to_the_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("{}")
    (tmp_path / "mcp.json").symlink_to("real.json")
    config("cursor", tmp_path / "mcp.json", yes=True)
    assert (tmp_path / "mcp.json").is_symlink()
    assert "docker" in written(tmp_path / "real.json")["mcpServers"]


def test_a_file_that_somebody_else_changes_meanwhile_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mcp.json"
    file.write_text("{}")

    def agreed_late() -> bool:
        file.write_text('{"theirs": 1}')
        return True

    monkeypatch.setattr("server.cli.config._agreed", agreed_late)
    with pytest.raises(NotMergedError, match="changed by somebody else"):
        config("cursor", file)
    assert file.read_text() == '{"theirs": 1}'


@pytest.mark.parametrize(
    ("client", "path", "token_file", "problem"),
    [
        ("emacs", "x.json", None, "no client of that name"),
        ("cursor", "/", None, "is no configuration file"),
        ("cursor", "x.toml", None, "reads JSON, not TOML"),
        ("cursor", "x.json", "/nowhere", "--token-file cannot be read"),
        ("cursor", "x.json", "/etc/services", "holds no API key or token"),
    ],
)
def test_wrong_input_is_refused(client: str, path: str, token_file: str | None, problem: str) -> None:
    with pytest.raises(InvalidArgumentsError, match=problem):
        config(client, Path(path), token_file=token_file)


def test_an_address_that_no_client_can_reach_is_refused(tmp_path: Path) -> None:
    for url in ("ftp://docker.example/mcp", "docker.example:3334", "http://", "http://a b/mcp"):
        with pytest.raises(InvalidArgumentsError, match="--url is no address"):
            config("cursor", tmp_path / "mcp.json", url=url)
    assert not (tmp_path / "mcp.json").exists()


def test_a_place_that_cannot_be_written_is_named() -> None:
    done = docker_mcp("config", "cursor", f"/proc/{free_port()}.json")
    assert done.returncode == 1
    assert "not_written" in done.stderr


# --- what the file says works -------------------------------------------------------------------------------------


def test_the_toml_of_openhands_starts_the_server(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('# mine\n[core]\nworkspace_base = "./w"\n')
    config("openhands", file, yes=True)
    config("openhands", file, yes=True, http=True)
    tree = tomllib.loads(file.read_text())
    (started,), (reached,) = tree["mcp"]["stdio_servers"], tree["mcp"]["shttp_servers"]
    assert (started["name"], started["command"], started["args"]) == ("docker-mcp", COMMAND, ARGUMENTS)
    assert reached == {"url": "http://127.0.0.1:3334/mcp", "api_key": "YOUR_API_KEY", "timeout": 1800}
    assert file.read_text().startswith('# mine\n[core]\nworkspace_base = "./w"\n')
    assert tools_found(docker_mcp("config", "openhands", str(file), "--check", "--json")) > 10


def test_comments_stay_and_approved_tools_that_do_not_exist_are_told(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.write_text('{\n  // mine\n  "servers": {},\n}\n')
    config("vscode", file, yes=True)
    file.write_text(file.read_text().replace('"type": "stdio"', '"type": "stdio", "autoApprove": ["no-such-tool"]'))
    assert "// mine" in file.read_text()
    done = docker_mcp("config", "vscode", str(file), "--check")
    assert done.returncode == 1
    assert "create-container" in done.stdout
    assert "autoApprove names tools that it does not have: no-such-tool" in complaint_beside(done)


def complaint_beside(done: Outcome) -> str:
    """Return the last line of stderr; what the started server writes stands before."""
    return done.stderr.splitlines()[-1]


def test_check_reaches_a_running_server_as_the_file_says(tmp_path: Path) -> None:
    key_file = tmp_path / "alice.key"
    key_file.write_text(add_user("alice") + "\n")
    cursor, openhands = tmp_path / "mcp.json", tmp_path / "config.toml"
    with http_server(tmp_path / "errors") as (_, port):
        url = f"http://127.0.0.1:{port}/mcp"
        for client, file in (("cursor", cursor), ("openhands", openhands)):
            config(client, file, url=url, token_file=str(key_file))
            assert tools_found(docker_mcp("config", client, str(file), "--url", url, "--check", "--json")) > 10
        config("cursor", cursor, url=url, yes=True)
        credentials: tuple[str | None, ...] = ("dmk_no", None)
        wrong = [
            docker_mcp("config", "cursor", str(cursor), "--check", env={"DOCKER_MCP_TOKEN": credential})
            for credential in credentials
        ]
    for done in wrong:
        assert done.returncode == 1
        assert "unauthenticated" in done.stderr
    gone = docker_mcp("config", "cursor", str(cursor), "--check")
    assert gone.returncode == 1
    assert "client_check_failed: the server did not answer: there is no connection to it" in gone.stderr
    assert "is `docker-mcp http` running there" in gone.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--url", "http://127.0.0.1:1/mcp"], "does not say that docker is at that address"),
        (["--token-file", "-"], "leave out --print, --yes and --token-file"),
        (["--print"], "leave out --print, --yes and --token-file"),
        (["--yes"], "leave out --print, --yes and --token-file"),
    ],
)
def test_check_does_not_pass_over_options_that_say_something_else_than_the_file(
    options: list[str], told: str, tmp_path: Path
) -> None:
    file = tmp_path / "mcp.json"
    file.write_text(json.dumps({"mcpServers": {"docker": {"command": "/nowhere/docker-mcp"}}}))
    done = docker_mcp("config", "cursor", str(file), "--check", *options)
    assert done.returncode == 2
    assert told in complaint(done)


def test_check_tells_a_command_that_is_not_there_and_a_server_that_is_not_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(json.dumps({"mcpServers": {"docker": {"command": "/nowhere/docker-mcp"}}}))
    done = docker_mcp("config", "cursor", str(tmp_path / "b.json"), "--check")
    assert done.returncode == 1
    assert "the server did not answer: No such file" in complaint(done)
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(InvalidArgumentsError, match="names no server docker"):
        config("cursor", tmp_path / "c.json", check=True)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.json", '{"mcpServers": {"docker": {}}}', "neither a command nor a URL"),
        (
            "b.json",
            '{"mcpServers": {"docker": {"command": "x", "args": "stdio"}}}',
            "args: Input should be a valid list",
        ),
        ("c.json", '{"mcpServers": {"docker": {"url": 5}}}', "url: Input should be a valid string"),
        ("d.json", '{"mcpServers": {"docker": {"url": "ftp://x"}}}', "neither a command nor a URL"),
        ("e.json", '{"mcpServers": {', "e.json: it is not valid JSON, line 1"),
        ("f.toml", "mcp = 1\n", "names no server docker"),
        ("g.toml", "[mcp]\nstdio_servers = [1]\nshttp_servers = 2\n", "names no server docker"),
    ],
)
def test_check_tells_what_is_wrong_with_an_entry_that_is_none(
    name: str, text: str, problem: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    client = "openhands" if name.endswith("toml") else "cursor"
    with pytest.raises(DockerMcpError) as refused:
        config(client, tmp_path / name, check=True)
    assert problem in refused.value.describe()
    assert "put the part" not in refused.value.describe()


def test_check_says_so_if_the_server_offers_this_caller_nothing(tmp_path: Path) -> None:
    config("cursor", tmp_path / "mcp.json")
    add_user("alice")
    done = docker_mcp("config", "cursor", str(tmp_path / "mcp.json"), "--check")
    assert done.returncode == 1
    assert "it offers this caller no tool" in complaint_beside(done)
