"""Runs ``docker-mcp`` as a person or a client does: as a process of its own, in a folder that is not ours."""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adapters.store.location import Location
from tests.conftest import SEALING_KEY, free_port, url_of
from tests.forked import ForkedProcess, docker_mcp_command

LIMIT_S = 180
STDIO = (sys.executable, "-P", "-m", "server")

Outcome = subprocess.CompletedProcess[str]
Variables = Mapping[str, str | None]
"""Changes to the environment; None takes a variable away."""


def environment(changes: Variables | None = None) -> dict[str, str]:
    """Return the environment of this test with ``changes``."""
    merged: dict[str, str | None] = {**os.environ, **(changes or {})}
    return {name: value for name, value in merged.items() if value is not None}


def docker_mcp(
    *arguments: str,
    env: Variables | None = None,
    cwd: Path | str = "/",
    prefix: Sequence[str] = (),
    limit_s: float = LIMIT_S,
) -> Outcome:
    """Run a command to its end. Whatever it is given, a traceback or an unexpected error is never its answer."""
    if prefix:
        command = [*prefix, *STDIO, *arguments]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
            cwd=cwd,
            env=environment(env),
        )
    else:
        done = docker_mcp_command(arguments, environment(env), cwd, limit_s)
    assert "Traceback" not in done.stdout + done.stderr
    assert "internal_error" not in done.stdout + done.stderr
    return done


def complaint(done: Outcome) -> str:
    """Return the one line with which a command refused to work."""
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("docker-mcp: ")
    return lines[0]


def findings(done: Outcome) -> list[dict[str, Any]]:
    """Return what ``doctor --json`` found."""
    found: list[dict[str, Any]] = json.loads(done.stdout)
    assert all(finding["fix"] for finding in found if not finding["ok"]), "a finding without a fix helps nobody"
    return found


def finding(check: str, done: Outcome) -> dict[str, Any]:
    """Return the one thing that ``doctor --json`` found about ``check``."""
    (found,) = [each for each in findings(done) if each["check"] == check]
    return found


def log_at(location: Location) -> Variables:
    """Return the variables that lead a process to a log."""
    return {"DOCKER_MCP_DATABASE_URL": url_of(location), "DOCKER_MCP_SEALING_KEY": SEALING_KEY}


def plain_user() -> list[str]:
    """Return what goes before a command so that it may not write everywhere, as root may.

    It may still read everything: the interpreter can lie below root's home.
    """
    if os.getuid() != 0:
        return []
    power = "+dac_read_search"
    who = ["--reuid", "65534", "--regid", "65534", "--clear-groups"]
    return ["setpriv", *who, "--inh-caps", power, "--ambient-caps", power]


@contextmanager
def http_server(
    errors: Path, env: Variables | None = None, words: Sequence[str] = ("http",)
) -> Iterator[tuple[ForkedProcess, int]]:
    """Run ``docker-mcp http`` on a free port until the block ends; ``errors`` takes what it writes to stderr."""
    port = free_port()
    variables = environment({**(env or {}), "DOCKER_MCP_PORT": str(port)})
    with errors.open("wb") as stderr:
        process = ForkedProcess(["server", *words], variables, "/", stderr)
    try:
        _until_it_answers(process, variables.get("DOCKER_MCP_HOST", "127.0.0.1"), port)
        yield process, port
    finally:
        process.terminate()
        code = process.wait(LIMIT_S)
    assert code == 0, "the server did not end in good order"


def _until_it_answers(process: ForkedProcess, host: str, port: int) -> None:
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended at its start"
        connection = http.client.HTTPConnection(host, port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            assert connection.getresponse().status == 200
        except OSError:
            time.sleep(0.05)
        else:
            return
        finally:
            connection.close()
    raise TimeoutError("the server does not answer")
