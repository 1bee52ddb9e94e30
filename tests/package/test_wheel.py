"""What is shipped: exactly our packages, and they work without the source tree."""

import sqlite3
import tarfile
import zipfile
from contextlib import closing
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters

from adapters.store.schema import REVISION
from tests.package.build import ROOT, TOP_LEVEL, Package, build, run

DISTRIBUTION = "docker-mcp-ledger"


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_exactly_our_packages(package: Package) -> None:
    info = f"docker_mcp_ledger-{version(DISTRIBUTION)}.dist-info"
    assert {name.partition("/")[0] for name in names(package.wheel)} == TOP_LEVEL | {info}


def test_the_wheel_holds_every_module_and_nothing_else(package: Package) -> None:
    ours = {str(file.relative_to(ROOT)) for top in TOP_LEVEL for file in (ROOT / top).rglob("*.py")}
    shipped = {name for name in names(package.wheel) if name.endswith(".py")}
    assert shipped == ours
    assert [name for name in names(package.wheel) if name.endswith((".pyc", ".db", ".key", ".env"))] == []


def test_the_wheel_holds_migrations_and_licence_but_no_tests(package: Package) -> None:
    held = names(package.wheel)
    assert {"migrations/env.py", "migrations/guards.py", "migrations/versions/0001_event_store.py"} <= held
    assert [name for name in held if name.endswith("licenses/LICENSE")]
    assert [name for name in held if "test" in name] == []


def test_every_folder_of_modules_in_the_wheel_is_a_package(package: Package) -> None:
    folders = {name.rpartition("/")[0] for name in names(package.wheel) if name.endswith(".py")}
    assert {f"{folder}/__init__.py" for folder in folders} <= names(package.wheel)


def test_the_source_distribution_builds_the_same_wheel(package: Package, tmp_path: Path) -> None:
    with tarfile.open(package.sdist) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    rebuilt = build("wheel", source, tmp_path / "wheel")
    assert names(rebuilt) == names(package.wheel)


def test_the_source_distribution_holds_no_leftovers(package: Package) -> None:
    with tarfile.open(package.sdist) as archive:
        held = [name.partition("/")[2] for name in archive.getnames()]
    assert {"pyproject.toml", "README.md", "LICENSE", "requirements.txt", "tests/conftest.py"} <= set(held)
    unwanted = (".git/", ".ci/", ".venv/", ".env", ".mypy_cache/", ".pytest_cache/", ".ruff_cache/", ".hypothesis/")
    assert [name for name in held if name.startswith(unwanted) or name.endswith((".pyc", ".db", ".key"))] == []


def test_no_dependency_brings_a_package_of_our_name() -> None:
    others = {
        name: set(distributions) - {DISTRIBUTION}
        for name, distributions in packages_distributions().items()
        if name in TOP_LEVEL | {"tests"}
    }
    assert {name: found for name, found in others.items() if found} == {}


def test_the_installed_modules_are_those_of_the_wheel(package: Package) -> None:
    code = f"import {', '.join(TOP_LEVEL)}; print({', '.join(f'{name}.__file__' for name in TOP_LEVEL)}, sep=chr(10))"
    done = run(*package.python(), "-c", code, cwd=Path("/"), env=package.environment())
    assert done.returncode == 0, done.stderr
    assert all(Path(file).is_relative_to(package.installed) for file in done.stdout.splitlines())


@pytest.mark.parametrize("script", ["docker-mcp", "docker-mcp-ledger"])
def test_both_scripts_tell_the_version(script: str, package: Package) -> None:
    command = [*package.python(), str(package.installed / "bin" / script), "--version"]
    done = run(*command, cwd=Path("/"), env=package.environment())
    assert (done.returncode, done.stdout) == (0, f"docker-mcp {version(DISTRIBUTION)}\n")


def test_the_installed_package_migrates(package: Package, tmp_path: Path) -> None:
    command = [*package.python(), str(package.installed / "bin" / "docker-mcp"), "migrate"]
    done = run(*command, cwd=Path("/"), env=package.environment())
    assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(tmp_path / "state" / "ledger.db")) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(REVISION,)]


@pytest.mark.anyio
async def test_the_installed_package_serves_stdio(package: Package, tmp_path: Path) -> None:
    command = [*package.python(), str(package.installed / "bin" / "docker-mcp"), "stdio"]
    server = StdioServerParameters(command=command[0], args=command[1:], env=package.environment(), cwd=tmp_path)
    async with Client(server, mode="legacy") as client:
        assert client.server_info
        assert client.server_info.name == "docker-mcp"
        assert client.server_info.version == version(DISTRIBUTION)
        assert len((await client.list_tools()).tools) > 10
