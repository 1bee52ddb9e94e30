"""``docker-mcp config``: writes what each client reads, keeps what is there, and checks it as the client would."""

import json
import os
import pty
import re
import stat
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from domain.access.auth_file import AutoApprove
from domain.access.auto_approve import auto_approved
from domain.catalogue import CATALOGUE
from server.clients.connection import stdio_command
from tests.cli.command import STDIO, Outcome, complaint, docker_mcp, environment, http_server
from tests.conftest import free_port

SAFE = auto_approved(CATALOGUE, AutoApprove())
COMMAND, *ARGUMENTS = stdio_command()


def written(path: Path) -> Any:
    return json.loads(path.read_text())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def add_user(name: str, role: str = "admin") -> str:
    done = docker_mcp("user", "add", name, "--role", role)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def ok(done: Outcome) -> Outcome:
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.parametrize("verb", ["openhands", "openhands-docker-mcp"])
def test_openhands_gets_the_form_of_its_documentation(verb: str, tmp_path: Path) -> None:
    key = add_user("alice")
    file = tmp_path / "new/config.json"
    done = ok(docker_mcp("config", verb, str(file), env={"DOCKER_MCP_TOKEN": key}))
    (server,) = written(file)["mcpServers"].items()
    name, entry = server
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
    file = tmp_path / "mcp.json"
    ok(docker_mcp("config", "openhands", str(file)))
    entry = written(file)["mcpServers"]["docker-mcp"]
    assert "metadata" not in entry
    assert "DOCKER_MCP_TOKEN" not in entry["env"]


def test_the_toml_of_openhands(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('# mine\n[core]\nworkspace_base = "./w"\n')
    ok(docker_mcp("config", "openhands", str(file), "--yes"))
    ok(docker_mcp("config", "openhands", str(file), "--yes", "--http"))
    tree = tomllib.loads(file.read_text())
    (started,), (reached,) = tree["mcp"]["stdio_servers"], tree["mcp"]["shttp_servers"]
    assert (started["name"], started["command"], started["args"]) == ("docker-mcp", COMMAND, ARGUMENTS)
    assert reached == {"url": "http://127.0.0.1:3334/mcp", "api_key": "YOUR_API_KEY", "timeout": 1800}
    assert file.read_text().startswith('# mine\n[core]\nworkspace_base = "./w"\n')
    assert "31 tools" in ok(docker_mcp("config", "openhands", str(file), "--check")).stdout
    assert docker_mcp("config", "cursor", str(file)).returncode == 2


def test_check_reaches_a_running_server_as_the_file_says(tmp_path: Path) -> None:
    key = add_user("alice")
    key_file = tmp_path / "alice.key"
    key_file.write_text(key + "\n")
    with http_server(tmp_path / "errors") as (_, port):
        url = f"http://127.0.0.1:{port}/mcp"
        for client, name in (("cursor", "mcp.json"), ("openhands", "config.toml")):
            file = tmp_path / name
            ok(docker_mcp("config", client, str(file), "--url", url, "--token-file", str(key_file)))
            assert "31 tools" in ok(docker_mcp("config", client, str(file), "--url", url, "--check")).stdout
            assert mode(file) == 0o600
    refused = docker_mcp("config", "cursor", str(tmp_path / "mcp.json"), "--check")
    assert refused.returncode == 1
    assert "client_check_failed: the server did not answer" in refused.stderr


def test_check_tells_a_wrong_credential_and_a_wrong_command(tmp_path: Path) -> None:
    add_user("alice")
    with http_server(tmp_path / "errors") as (_, port):
        ok(docker_mcp("config", "cursor", str(tmp_path / "a.json"), "--url", f"http://127.0.0.1:{port}/mcp"))
        done = docker_mcp("config", "cursor", str(tmp_path / "a.json"), "--check", env={"DOCKER_MCP_TOKEN": "dmk_no"})
    assert done.returncode == 1
    assert "unauthenticated" in done.stderr
    (tmp_path / "b.json").write_text(json.dumps({"mcpServers": {"docker": {"command": "/nowhere/docker-mcp"}}}))
    done = docker_mcp("config", "cursor", str(tmp_path / "b.json"), "--check")
    assert done.returncode == 1
    assert "the server did not answer: No such file" in complaint(done)
    (tmp_path / "c.json").write_text("{}")
    done = docker_mcp("config", "cursor", str(tmp_path / "c.json"), "--check")
    assert "names no server docker" in complaint(done)


def test_check_tells_approved_tools_that_do_not_exist(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    ok(docker_mcp("config", "openhands", str(file)))
    tree = written(file)
    tree["mcpServers"]["docker-mcp"]["autoApprove"].append("no-such-tool")
    file.write_text(json.dumps(tree))
    done = docker_mcp("config", "openhands", str(file), "--check")
    assert done.returncode == 1
    assert "no-such-tool" in done.stderr


def test_an_existing_file_is_shown_confirmed_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    before = '{\n  "mcpServers": {\n    "other": {"command": "y", "env": {"API_KEY": "not ours to show"}}\n  }\n}\n'
    file.write_text(before)
    file.chmod(0o640)
    done = docker_mcp("config", "cursor", str(file))
    assert done.returncode == 1
    assert "not_confirmed: nothing was changed" in done.stderr
    assert '+    "docker": {' in done.stdout
    assert "not ours to show" not in done.stdout
    assert (file.read_text(), list(tmp_path.glob("*.bak"))) == (before, [])
    ok(docker_mcp("config", "cursor", str(file), "--yes"))
    assert written(file)["mcpServers"]["other"] == json.loads(before)["mcpServers"]["other"]
    assert mode(file) == 0o640
    (kept,) = tmp_path.glob("mcp.json.*.bak")
    assert (kept.read_text(), mode(kept)) == (before, 0o600)
    again = ok(docker_mcp("config", "cursor", str(file)))
    assert "is as it should be" in again.stdout
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


def test_old_and_new_credentials_are_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    shown = ""
    for key in ("alice:1:0011", "bob:2:2233"):
        done = ok(docker_mcp("config", "openhands", str(file), "--yes", "--token-file", "-", prefix=piped(key)))
        assert key in file.read_text()
        shown += done.stdout + done.stderr
    file.chmod(0o644)
    again = ok(docker_mcp("config", "openhands", str(file), "--token-file", "-", prefix=piped("bob:2:2233")))
    assert "is as it should be" in again.stdout
    assert mode(file) == 0o600
    printed = ok(
        docker_mcp("config", "openhands", str(file), "--print", "--token-file", "-", prefix=piped("bob:2:2233"))
    )
    shown += printed.stdout
    assert "YOUR_API_KEY" in shown
    assert "«secret»" in shown
    assert re.findall(r"alice|bob", shown) == []


def piped(text: str) -> list[str]:
    return ["sh", "-c", f'echo {text} | "$@"', "sh"]


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
    client: str, name: str, before: str, tmp_path: Path
) -> None:
    file = tmp_path / name
    content = before.encode(errors="surrogateescape")
    file.write_bytes(content)
    done = docker_mcp("config", client, str(file), "--yes")
    assert done.returncode == 1
    assert "not_merged" in done.stderr
    assert "put the part that is printed in by hand" in done.stderr
    assert ARGUMENTS[-1] in done.stdout
    assert (file.read_bytes(), [each.name for each in tmp_path.glob("*.bak")]) == (content, [])


def test_comments_that_a_client_allows_stay(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.write_text('{\n  // mine\n  "servers": {},\n}\n')
    ok(docker_mcp("config", "vscode", str(file), "--yes"))
    assert "// mine" in file.read_text()
    assert "31 tools" in ok(docker_mcp("config", "vscode", str(file), "--check")).stdout


def test_a_link_to_the_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("{}")
    (tmp_path / "mcp.json").symlink_to("real.json")
    ok(docker_mcp("config", "cursor", str(tmp_path / "mcp.json"), "--yes"))
    assert (tmp_path / "mcp.json").is_symlink()
    assert "docker" in written(tmp_path / "real.json")["mcpServers"]


def test_secrets_of_the_server_are_not_given_to_the_client(tmp_path: Path) -> None:
    secrets = {"MCP_AUTH_SECRET": "x" * 40, "DOCKER_MCP_SEALING_KEY": "c2VjcmV0"}
    done = ok(docker_mcp("config", "cursor", str(tmp_path / "mcp.json"), env=secrets))
    assert [value for value in secrets.values() if value in (tmp_path / "mcp.json").read_text()] == []
    assert "MCP_AUTH_SECRET, DOCKER_MCP_SEALING_KEY" in done.stderr


def test_print_changes_nothing(tmp_path: Path) -> None:
    done = ok(docker_mcp("config", "vscode", str(tmp_path / "mcp.json"), "--print", "--http"))
    assert json.loads(done.stdout)["servers"]["docker"]["type"] == "http"
    assert list(tmp_path.glob("mcp.json*")) == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["emacs", "x.json"], "clients: openhands, claude-code"),
        (["cursor", "/"], "is no configuration file"),
        (["cursor", "x.json", "--token-file", "/nowhere"], "--token-file cannot be read"),
        (["cursor", "x.json", "--token-file", "/etc/services"], "holds no API key or token"),
    ],
)
def test_wrong_input_is_a_usage_error(arguments: list[str], problem: str, tmp_path: Path) -> None:
    done = docker_mcp("config", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert problem in complaint(done)


def test_a_place_that_cannot_be_written_is_named() -> None:
    done = docker_mcp("config", "cursor", f"/proc/{free_port()}.json")
    assert done.returncode == 1
    assert "not_written" in done.stderr
