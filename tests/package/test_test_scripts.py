"""The scripts behind ``make test``: what is missing is told, and what fails is what they return."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.package.build import ROOT

LIMIT_S = 60
TOOLS = ["bash", "cmp", "cp", "dirname", "flock", "mkdir", "rm"]
LOCK = "tests/conformance/package-lock.json"


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with our scripts alone."""
    shutil.copytree(ROOT / "scripts", tmp_path / "tree/scripts")
    return tmp_path / "tree"


def run(tree: Path, script: str, *arguments: str, **changes: str) -> "subprocess.CompletedProcess[str]":
    command = [str(shutil.which("bash")), str(tree / "scripts" / script), *arguments]
    env = {**os.environ, **changes}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=LIMIT_S)


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "scripts").iterdir()))
def test_a_script_is_well_formed(script: str) -> None:
    done = subprocess.run(["bash", "-n", ROOT / "scripts" / script], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_command_runs_with_its_files_in_memory_where_that_can_be_and_gives_its_own_result(tree: Path) -> None:
    done = run(tree, "in-memory.sh", "bash", "-c", 'stat -f -c "%T %n" "${TMPDIR:-/tmp}"; exit 3')
    assert (done.returncode, done.stderr) == (3, "")
    kind, folder = done.stdout.split()
    assert folder == tempfile.gettempdir() or (kind == "tmpfs" and not Path(folder).exists())


@pytest.fixture
def search_path(tmp_path: Path) -> Path:
    """A search path without npm."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        (folder / name).symlink_to(str(shutil.which(name)))
    return folder


@pytest.fixture
def pinned(tree: Path) -> Path:
    (tree / LOCK).parent.mkdir(parents=True)
    (tree / LOCK).with_name("package.json").write_text("{}")
    (tree / LOCK).write_text('{"pinned": 1}')
    return tree / LOCK


def test_without_npm_the_person_is_told_how_to_get_it(tree: Path, search_path: Path, pinned: Path) -> None:
    done = run(tree, "conformance-parts.sh", PATH=str(search_path))
    assert done.returncode == 1
    assert "sudo apt-get install npm" in done.stderr
    assert not (tree / "build/conformance/installed").exists()


def test_the_suite_is_installed_once_for_each_state_of_the_lock_file(
    tree: Path, search_path: Path, pinned: Path
) -> None:
    executable(search_path / "npm", 'echo "$@" >>../../asked')
    asked: list[str] = []
    for expected, lock in ((1, '{"pinned": 1}'), (1, '{"pinned": 1}'), (2, '{"pinned": 2}')):
        pinned.write_text(lock)
        done = run(tree, "conformance-parts.sh", PATH=str(search_path))
        assert (done.returncode, done.stderr) == (0, "")
        asked = (tree / "asked").read_text().splitlines()
        assert len(asked) == expected
        assert (tree / "build/conformance/installed").read_text() == lock
    assert all(line.startswith("ci ") and "--ignore-scripts" in line for line in asked)


def test_an_installation_that_fails_is_not_taken_for_one(tree: Path, search_path: Path, pinned: Path) -> None:
    executable(search_path / "npm", "exit 1")
    assert run(tree, "conformance-parts.sh", PATH=str(search_path)).returncode == 1
    assert not (tree / "build/conformance/installed").exists()


@pytest.mark.parametrize("tests", [0, 5])
@pytest.mark.parametrize(("newest", "told"), [(0, "work too"), (1, "NOT FAILED, BUT")])
def test_the_tests_decide_and_the_newest_dependencies_are_told(tree: Path, tests: int, newest: int, told: str) -> None:
    for script in ("test-parts.sh", "conformance-parts.sh", "engine.sh", "compose.sh"):
        executable(tree / "scripts" / script, "")
    executable(tree / "scripts/newest.sh", f"echo a dependency broke us; exit {newest}")
    executable(tree / ".venv/bin/pytest", f"exit {tests}")
    done = run(tree, "test.sh", MAKE="true")
    assert done.returncode == tests
    assert told in done.stdout
    assert ("a dependency broke us" in done.stdout) == bool(newest)


def test_nothing_is_tested_when_the_checks_fail(tree: Path) -> None:
    for script in ("test-parts.sh", "conformance-parts.sh", "engine.sh", "compose.sh", "newest.sh"):
        executable(tree / "scripts" / script, "")
    executable(tree / ".venv/bin/pytest", "touch tested")
    assert run(tree, "test.sh", MAKE="false").returncode != 0
    assert not (tree / "tested").exists()
