"""Compose runs with an environment of our own, within limits, and never longer than the server."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.compose.plugin import ComposeMissingError, find_plugin
from adapters.compose.runner import ComposeRunner
from domain.errors import ConfigurationError, EngineError, EngineInterruptedError, ShuttingDownError
from tests.waiting import BUSY_S, wait_for

Plugin = Callable[[str], Path]


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    """Makes a program that passes for Compose; what it does the real one does only when it is broken or attacked."""

    def make(script: str) -> Path:
        path = tmp_path / "docker-compose"
        path.write_text(f'#!/bin/bash\nif [ "$1" = version ]; then echo 2.99.0; exit; fi\n{textwrap.dedent(script)}\n')
        path.chmod(0o755)
        return path

    return make


def runner_of(path: Path, tmp_path: Path, **environment: str) -> ComposeRunner:
    return ComposeRunner(str(path), environment, tmp_path / "stacks")


def alive(marker: str) -> bool:
    return subprocess.run(["pgrep", "-f", marker], capture_output=True).returncode == 0


@pytest.mark.promise("P6")
def test_nothing_of_the_servers_environment_is_passed_on(
    plugin: Plugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SECRET", "tell-nobody")
    runner = runner_of(plugin("/usr/bin/env"), tmp_path, DOCKER_HOST="unix:///x.sock")
    names = {line.split("=")[0] for line in runner.run([], limit_s=10).output.decode().splitlines()}
    assert names - {"PWD", "SHLVL", "_"} == {"COMPOSE_DISABLE_ENV_FILE", "DOCKER_CONFIG", "DOCKER_HOST", "GOGC"}
    without = runner.run([], limit_s=10, with_engine=False).output.decode()
    assert "DOCKER_HOST" not in without
    assert "tell-nobody" not in without


def test_it_runs_in_an_empty_directory_that_only_its_user_may_enter(plugin: Plugin, tmp_path: Path) -> None:
    runner = runner_of(plugin('echo "$PWD"; ls -A; ls -A "$DOCKER_CONFIG"'), tmp_path)
    directory = tmp_path / "stacks/empty"
    assert runner.run([], limit_s=10).output.decode().split() == [str(directory)]
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_arguments_arrive_as_they_are_and_input_is_read_from_standard_input(plugin: Plugin, tmp_path: Path) -> None:
    finished = runner_of(plugin('printf "%s\\n" "$@"; cat; echo problem >&2; exit 3'), tmp_path).run(
        ["up", "$(id); 'x'", "a b"], b"the file", limit_s=10
    )
    assert finished.output.decode().splitlines()[4:] == ["up", "$(id); 'x'", "a b", "the file"]
    assert (finished.code, finished.errors, finished.timed_out) == (3, "problem\n", False)


@pytest.mark.promise("P9")
@pytest.mark.parametrize("patient", [False, True])
def test_past_its_time_it_ends_with_its_children(plugin: Plugin, tmp_path: Path, patient: bool) -> None:
    marker = f"sleep 61{os.getpid() % 1000:03d}{patient:d}"
    began = time.monotonic()
    finished = runner_of(plugin(f"trap '' INT TERM\n{marker} &\n{marker}"), tmp_path).run(
        [], limit_s=0.5, patient=patient
    )
    assert finished.timed_out
    assert finished.code < 0
    assert time.monotonic() - began < BUSY_S
    wait_for(lambda: not alive(marker), BUSY_S, "the children to end")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Programs take interrupts also where these tests run in the background, for which shells have them ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_patient_run_may_end_by_itself(plugin: Plugin, tmp_path: Path) -> None:
    script = "trap 'echo given up >&2; exit 130' INT; while true; do read -t 0.05 <> <(:); done"
    finished = runner_of(plugin(script), tmp_path).run([], limit_s=2, patient=True)
    assert (finished.timed_out, finished.code, finished.errors) == (True, 130, "given up\n")


@pytest.mark.promise("P9")
def test_output_without_end_is_cut_off(plugin: Plugin, tmp_path: Path) -> None:
    with pytest.raises(EngineError) as error:
        runner_of(plugin("yes"), tmp_path).run([], limit_s=30)
    assert error.value.code == "output_limit"


@pytest.mark.promise("P9")
def test_of_endless_complaints_the_end_is_kept(plugin: Plugin, tmp_path: Path) -> None:
    script = "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo >&2; echo the end >&2"
    finished = runner_of(plugin(script), tmp_path).run([], limit_s=30)
    assert len(finished.errors) <= 256 * 1024
    assert finished.errors.endswith("the end\n")


@pytest.mark.promise("P9")
def test_a_rendering_has_its_memory_limited(plugin: Plugin, tmp_path: Path) -> None:
    runner = runner_of(plugin("read line; ulimit -v; ulimit -t"), tmp_path)
    memory, processor = runner.run([], b"go\n", limit_s=7, with_engine=False).output.decode().split()
    assert (int(memory), int(processor)) == (4 * 1024**2, 8)
    assert b"unlimited" in runner.run([], b"go\n", limit_s=7).output


def test_what_runs_ends_when_the_server_stops_and_nothing_more_is_started(plugin: Plugin, tmp_path: Path) -> None:
    marker = f"sleep 62{os.getpid() % 1000:03d}"
    runner = runner_of(plugin(f"{marker} &\n{marker}"), tmp_path)
    errors: list[Exception] = []

    def run() -> None:
        try:
            runner.run([], limit_s=60)
        except EngineInterruptedError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(lambda: alive(marker), what="it to run")
    runner.close()
    thread.join(10)
    assert len(errors) == 1
    wait_for(lambda: not alive(marker), BUSY_S, "the children to end")
    with pytest.raises(ShuttingDownError):
        runner.run([], limit_s=1)


@pytest.mark.promise("P5")
def test_it_dies_with_a_server_that_is_killed(plugin: Plugin, tmp_path: Path) -> None:
    if not shutil.which("setpriv"):
        pytest.fail("no setpriv; install it with apt-get install util-linux")
    marker = f"sleep 63{os.getpid() % 1000:03d}"
    path = plugin(f"exec {marker}")
    code = (
        "from pathlib import Path; from adapters.compose.runner import ComposeRunner; "
        f"ComposeRunner({str(path)!r}, {{}}, Path({str(tmp_path)!r})).run([], limit_s=60)"
    )
    server = subprocess.Popen([sys.executable, "-c", code])
    wait_for(lambda: alive(marker), what="it to run")
    server.kill()
    server.wait()
    wait_for(lambda: not alive(marker), BUSY_S, "it to die")


def test_a_directory_that_cannot_be_made_is_told(plugin: Plugin, tmp_path: Path) -> None:
    (tmp_path / "stacks").write_text("a file is in the way")
    with pytest.raises(ConfigurationError) as error:
        runner_of(plugin("true"), tmp_path).run([], limit_s=5)
    assert "DOCKER_MCP_STATE_DIR" in error.value.hint


def test_the_real_plugin_is_found_where_docker_looks() -> None:
    try:
        path, version = find_plugin(None)
    except ComposeMissingError as error:
        pytest.fail(f"no Compose plugin; install it with scripts/compose.sh ({error})")
    assert path.name == "docker-compose"
    assert int(version.split(".")[0]) >= 2


@pytest.mark.parametrize("script", ["echo 1.29.2", "echo no version", "exit 1", "sleep 0.1; kill -9 $$"])
def test_another_program_is_no_plugin(tmp_path: Path, script: str) -> None:
    path = tmp_path / "docker-compose"
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)
    with pytest.raises(ComposeMissingError) as error:
        find_plugin(str(path))
    assert str(path) in error.value.message
    assert "docker-compose-plugin" in error.value.hint


@pytest.mark.parametrize("name", ["/nowhere/docker-compose", "/etc/hostname", "/etc", "~nobody-like-this/x"])
def test_a_name_that_is_no_program_is_told(name: str) -> None:
    with pytest.raises(ComposeMissingError) as error:
        find_plugin(name)
    assert name in error.value.message
