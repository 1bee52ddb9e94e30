"""What a server writes to standard error, and what it never writes to standard output."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from tests.protocol.servers import NO_COMMAND, ROOT, StdioServer, running

TRACE = "ab" * 16
CALL = {**NO_COMMAND, "_meta": {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}}


def lines(server: StdioServer) -> list[str]:
    return server.stderr().splitlines()


def test_json_lines_bear_the_command_and_its_trace(tmp_path: Path) -> None:
    server = StdioServer(tmp_path, DOCKER_MCP_LOG_FORMAT="json", LOG_LEVEL="DEBUG")
    with running(server):
        answer = server.ask("tools/call", CALL)["result"]
        server.ask("tools/call", {"name": "list-containers", "arguments": {}})
        server.close_input()
        assert server.exit_code() == 0
        told = [json.loads(line) for line in lines(server)]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in told)
    (answered,) = [line for line in told if line.get("command_id") == answer["_meta"]["docker-mcp/command-id"]]
    assert (answered["message"], answered["level"]) == ("the call was answered: command_not_found", "DEBUG")
    assert (answered["trace_id"], answered["logger"]) == (TRACE, "server.dispatcher")
    by_command = [line for line in told if line["logger"].startswith("urllib3") and "command_id" in line]
    assert by_command, "lines of a worker thread, too, bear the command that it works for"
    assert all(json.loads(line)["jsonrpc"] == "2.0" for line in server.raw_lines)


def test_lines_for_people_end_with_what_they_are_about(tmp_path: Path) -> None:
    server = StdioServer(tmp_path, LOG_LEVEL="DEBUG")
    with running(server):
        command_id = server.ask("tools/call", CALL)["result"]["_meta"]["docker-mcp/command-id"]
        server.close_input()
        assert server.exit_code() == 0
        (line,) = [line for line in lines(server) if command_id in line]
    assert " DEBUG server.dispatcher: the call was answered: command_not_found [command_id=" in line
    assert f"trace_id={TRACE}" in line


def test_the_level_is_kept(tmp_path: Path) -> None:
    server = StdioServer(tmp_path, LOG_LEVEL="ERROR", DOCKER_MCP_LOG_FORMAT="json")
    with running(server):
        server.ask("tools/call", CALL)
        server.close_input()
        assert server.exit_code() == 0
        assert lines(server) == []


PROGRAM = """
import logging, warnings
from server.logs import log_to_stderr
from server.settings import load_settings
log_to_stderr(load_settings())
try:
    raise ValueError("two\\nlines")
except ValueError:
    logging.getLogger("x").exception("failed %s", "so")
warnings.warn("careful")
"""


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_traceback_and_a_warning_are_lines_too(form: str) -> None:
    given = {"PATH": "/usr/bin:/bin", "DOCKER_MCP_LOG_FORMAT": form}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=ROOT, env=given)
    assert done.stdout == ""
    if form == "text":
        assert "ERROR x: failed so\nTraceback" in done.stderr
        assert "WARNING py.warnings: " in done.stderr
        return
    failed, warned = map(json.loads, done.stderr.splitlines())
    assert (failed["message"], failed["level"]) == ("failed so", "ERROR")
    assert failed["exception"].endswith("ValueError: two\nlines")
    assert (warned["logger"], "careful" in warned["message"]) == ("py.warnings", True)
    assert logging.getLevelName(warned["level"]) == logging.WARNING
