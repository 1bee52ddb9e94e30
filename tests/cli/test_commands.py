"""What every person sees first: version, help, and how wrong input is answered."""

import contextlib
import json
import os
import pty
import select
import subprocess
from importlib.metadata import version

import pytest

from tests.cli.command import LIMIT_S, STDIO, complaint, docker_mcp, environment

INITIALIZE = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "a test", "version": "1"},
        },
    }
)


def on_a_terminal(*arguments: str) -> tuple[int, str]:
    """Run a command with a terminal as standard input and output; return its exit code and what it shows."""
    ours, its = pty.openpty()
    process = subprocess.Popen([*STDIO, *arguments], stdin=its, stdout=its, stderr=its, cwd="/", env=environment())
    os.close(its)
    shown = b""
    with process, contextlib.suppress(OSError):  # so Linux says that the last process has closed the terminal
        while select.select([ours], [], [], LIMIT_S)[0]:
            shown += os.read(ours, 65536)
        process.kill()
    os.close(ours)
    return process.returncode, shown.decode()


def test_the_version_is_that_of_the_package() -> None:
    done = docker_mcp("--version")
    assert (done.returncode, done.stdout) == (0, f"docker-mcp {version('docker-mcp-ledger')}\n")


def test_help_names_every_command() -> None:
    done = docker_mcp("--help")
    assert done.returncode == 0
    assert {"stdio", "http", "migrate", "audit", "doctor", "demo"} <= set(done.stdout.split())


def test_bare_on_a_terminal_it_prints_help() -> None:
    code, shown = on_a_terminal()
    assert code == 0
    assert "Usage:" in shown
    assert "migrate" in shown


def test_bare_with_a_pipe_it_serves_stdio() -> None:
    with subprocess.Popen(
        STDIO, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/", env=environment()
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(INITIALIZE.encode() + b"\n")
        process.stdin.flush()
        assert select.select([process.stdout], [], [], LIMIT_S)[0]
        answer = json.loads(process.stdout.readline())
        rest, _errors = process.communicate(timeout=LIMIT_S)
    assert answer["result"]["serverInfo"]["name"] == "docker-mcp"
    assert rest == b""
    assert process.returncode == 0


def test_without_any_standard_input_it_prints_help() -> None:
    done = docker_mcp(prefix=["sh", "-c", 'exec "$@" <&-', "sh"])
    assert done.returncode == 0
    assert "Usage:" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["nonsense"], "nonsense"),
        (["--nonsense"], "--nonsense"),
        (["migrate", "extra"], "extra"),
        (["audit", "--limit", "501"], "--limit"),
        (["audit", "--status"], "--status"),
        (["http", "--port", "many"], "--port"),
    ],
)
def test_a_wrong_command_line_is_a_usage_error(arguments: list[str], problem: str) -> None:
    done = docker_mcp(*arguments, env={"TERMINAL_WIDTH": "200"})
    assert done.returncode == 2
    assert problem in done.stderr
    assert done.stdout == ""


def test_a_port_out_of_range_is_a_usage_error() -> None:
    done = docker_mcp("http", "--port", "65536")
    assert done.returncode == 2
    assert "DOCKER_MCP_PORT" in complaint(done)
    assert "65535" in complaint(done)
