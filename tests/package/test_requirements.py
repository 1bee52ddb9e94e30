"""The pinned requirements: complete, hashed, and true to the ranges of pyproject.toml."""

import re
import tomllib
from functools import cache
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.package.build import ROOT

FILES = ["requirements.txt", "requirements-dev.txt"]
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


@cache
def pins(file: str) -> dict[str, tuple[Requirement, list[str]]]:
    """Return each pin of a file with its hashes."""
    lines = (ROOT / file).read_text().replace("\\\n", " ").splitlines()
    found: dict[str, tuple[Requirement, list[str]]] = {}
    for line in lines:
        requirement, *hashes = re.split(r"\s+(?=--)", line.strip())
        pin = Requirement(requirement)
        found[canonicalize_name(pin.name)] = (pin, hashes)
    assert len(found) == len(lines), "a package is pinned twice"
    return found


@cache
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def version_of(file: str, name: str) -> str:
    (specifier,) = pins(file)[canonicalize_name(name)][0].specifier
    return specifier.version


@pytest.mark.parametrize("file", FILES)
def test_every_pin_is_one_version_with_hashes(file: str) -> None:
    assert len(pins(file)) > 30
    for name, (pin, hashes) in pins(file).items():
        assert [specifier.operator for specifier in pin.specifier] == ["=="], name
        assert "*" not in str(pin.specifier), name
        assert hashes, f"{name} has no hash"
        assert all(HASH.fullmatch(each) for each in hashes), name


@pytest.mark.parametrize("file", FILES)
def test_no_host_is_named(file: str) -> None:
    text = (ROOT / file).read_text()
    assert re.findall(r"://|--(?:index|extra|find|trusted)\S*|\S+ @ \S+|\b[\w-]+\.(?:org|com|net)\b", text) == []
    assert all(pin.url is None for pin, _ in pins(file).values())


@pytest.mark.parametrize("file", FILES)
def test_the_pins_fit_the_ranges_of_the_project(file: str) -> None:
    for text in project()["project"]["dependencies"]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(version_of(file, wanted.name)), text


def test_the_extras_that_the_project_asks_for_are_pinned() -> None:
    assert "psycopg-binary" in pins("requirements.txt")


def test_the_development_pins_fit_their_ranges() -> None:
    for text in project()["dependency-groups"]["dev"]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(version_of("requirements-dev.txt", wanted.name)), text


def test_development_runs_what_production_runs() -> None:
    runtime = {name: str(pin.specifier) for name, (pin, _) in pins("requirements.txt").items()}
    development = {name: str(pin.specifier) for name, (pin, _) in pins("requirements-dev.txt").items()}
    assert runtime.items() <= development.items()


def test_the_build_backend_is_the_pinned_one() -> None:
    (backend,) = project()["build-system"]["requires"]
    assert backend == f"hatchling=={version_of('requirements-dev.txt', 'hatchling')}"
