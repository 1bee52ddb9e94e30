"""The layers hold, the rules do no input or output, and the check that says so catches a violation."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("domain", "adapters", "server", "migrations")
PURE = {
    "bisect",
    "collections",
    "contextlib",
    "concurrent",  # the type of a future, in a port
    "copy",
    "dataclasses",
    "datetime",
    "decimal",
    "difflib",
    "domain",
    "enum",
    "fnmatch",
    "functools",
    "hashlib",
    "hmac",
    "ipaddress",
    "json",
    "math",
    "operator",
    "orjson",
    "pydantic",
    "re",
    "shlex",
    "string",
    "typing",
    "unicodedata",
    "yaml",
}


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", program, "--no-cache"], cwd=tree, capture_output=True, text=True, timeout=60
    )


def copied(to: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(REPOSITORY / package, to / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", to)
    return to


def test_the_import_contracts_hold() -> None:
    result = lint_imports(REPOSITORY)

    assert result.returncode == 0, result.stdout
    assert "0 broken" in result.stdout


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("domain/text.py", "import os", "domain does no input or output"),
        ("domain/catalogue/values.py", "def f(): from time import sleep", "domain does no input or output"),
        ("domain/chain.py", "import docker.errors", "domain does no input or output"),
        ("domain/policy.py", "import adapters.identity", "never the other way"),
        ("adapters/identity.py", "from server import call", "never the other way"),
        ("server/dispatcher.py", "import adapters.store.event_store", "know concrete adapters"),
    ],
)
def test_a_forbidden_import_is_caught(tmp_path: Path, file: str, line: str, contract: str) -> None:
    tree = copied(tmp_path)
    with (tree / file).open("a") as source:
        source.write(f"\n{line}\n")

    result = lint_imports(tree)

    assert result.returncode == 1, result.stdout
    assert [line for line in result.stdout.splitlines() if contract in line and " BROKEN" in line]


def sources() -> list[Path]:
    return sorted((REPOSITORY / "domain").rglob("*.py"))


def imported(source: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where a name comes from"
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("source", sources(), ids=lambda source: str(source.relative_to(REPOSITORY)))
def test_the_rules_use_nothing_that_could_reach_outside(source: Path) -> None:
    """A list of what is allowed: what nobody has thought of is refused."""
    assert imported(source) <= PURE


@pytest.mark.parametrize("source", sources(), ids=lambda source: str(source.relative_to(REPOSITORY)))
def test_the_rules_ask_for_no_clock_and_open_nothing(source: Path) -> None:
    tree = ast.walk(ast.parse(source.read_text()))
    called = [node.func for node in tree if isinstance(node, ast.Call)]
    names = {each.attr for each in called if isinstance(each, ast.Attribute)}
    names |= {each.id for each in called if isinstance(each, ast.Name)}

    assert not names & {"now", "utcnow", "today", "open", "print", "input", "exec", "eval", "__import__"}
