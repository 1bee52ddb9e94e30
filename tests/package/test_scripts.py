"""The set-up scripts: silent where everything is there, and clear where they cannot help."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import docker
import pytest

from tests.cli.command import plain_user
from tests.package.build import ROOT

LIMIT_S = 20
SCRIPTS = ["engine.sh", "test-parts.sh"]
TOOLS = ["bash", "id", "ls"]


def text_of(script: str) -> str:
    return (ROOT / "scripts" / script).read_text()


def bash(text: str, *prefix: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the text of a script: it may lie where a plain user cannot read."""
    command = [*prefix, str(shutil.which("bash")), "-c", text]
    env = {**os.environ, **changes}
    return subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, check=False, timeout=LIMIT_S)


@pytest.fixture
def without_packages(tmp_path: Path) -> str:
    """A search path on which nothing can install packages or start an engine."""
    for name in TOOLS:
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    (tmp_path / "python3").symlink_to(sys.executable)
    return str(tmp_path)


@pytest.mark.engine
@pytest.mark.postgres
@pytest.mark.parametrize("script", SCRIPTS)
def test_where_everything_is_there_a_script_does_nothing(script: str, engine: docker.APIClient) -> None:
    done = bash(text_of(script))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_remote_engine_is_left_to_its_owner() -> None:
    assert bash(text_of("engine.sh"), DOCKER_HOST="tcp://127.0.0.1:1").returncode == 0


def test_where_nothing_can_be_installed_the_person_is_told_how_to_get_an_engine(without_packages: str) -> None:
    """An empty DOCKER_HOST stands for the default engine, as for Docker's own client."""
    text = text_of("engine.sh").replace("/var/run/docker.sock", "/nowhere/docker.sock")
    done = bash(text, DOCKER_HOST="", PATH=without_packages)
    assert done.returncode == 1
    assert "sudo systemctl start docker" in done.stderr
    assert "sudo apt-get install docker.io" in done.stderr
    assert "docs.docker.com/engine/install" in done.stderr


def test_an_engine_elsewhere_that_does_not_answer_is_not_replaced() -> None:
    done = bash(text_of("engine.sh"), DOCKER_HOST="unix:///nowhere/docker.sock")
    assert done.returncode == 1
    assert done.stderr == (
        "No Docker Engine answers at unix:///nowhere/docker.sock. Start it there, or unset DOCKER_HOST.\n"
    )


def test_a_user_who_may_not_use_the_engine_is_told_how_to_get_in(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "docker.sock"))
        listening.listen()
        (tmp_path / "docker.sock").chmod(0)
        done = bash(text_of("engine.sh"), *plain_user(), DOCKER_HOST=f"unix://{tmp_path}/docker.sock")
    assert done.returncode == 1
    assert "Add it to the group docker" in done.stderr
    assert "sudo usermod -aG docker" in done.stderr


@pytest.mark.parametrize("part", ["/usr/lib/postgresql", "/bin/busybox"])
def test_the_missing_parts_of_the_tests_are_named(part: str, without_packages: str) -> None:
    done = bash(text_of("test-parts.sh").replace(part, "/nowhere"), PATH=without_packages)
    assert done.returncode == 1
    assert "sudo apt-get install postgresql busybox-static chromium" in done.stderr


@pytest.mark.parametrize("part", ["/usr/lib/postgresql", "/bin/busybox"])
def test_a_user_who_is_not_root_is_told_what_to_install(part: str) -> None:
    done = bash(text_of("test-parts.sh").replace(part, "/nowhere"), *plain_user())
    assert done.returncode == 1
    assert "sudo apt-get install postgresql busybox-static chromium" in done.stderr
