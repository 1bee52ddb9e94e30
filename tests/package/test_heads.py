"""What the heads of the files to deploy with tell people to run is there: commands, options, paths, settings."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from server.cli.reference import commands
from server.settings import Settings
from tests.docs.pages import SHELL, Block, blocks
from tests.package.build import ROOT
from tests.package.dockerfile import instructions

UNIT: Final = "deploy/docker-mcp.service"
HEADS: Final = ["Dockerfile", UNIT, "deploy/compose.yaml", "deploy/secrets.sh"]


def head(name: str) -> str:
    """Return the comment with which a file begins."""
    lines = (ROOT / name).read_text().removeprefix("#!/usr/bin/env bash\n").splitlines()
    end = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    return "\n".join(line[1:] for line in lines[:end])


def told(name: str) -> list[list[str]]:
    """Return the words of each command in the head of a file: they stand further right than the text."""
    shown = "\n".join(line for line in head(name).splitlines() if line.startswith("   "))
    return [shlex.split(line) for line in shown.replace("\\\n", " ").splitlines()]


def unit() -> dict[str, list[str]]:
    """Return the values of each key of the unit."""
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", (ROOT / UNIT).read_text(), re.M):
        found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("name", HEADS)
def test_each_file_of_ours_that_a_head_names_is_there(name: str) -> None:
    paths = set(re.findall(r"(?<![\w./-])(?:docs|deploy|scripts)/[\w.-]+(?:\.\w+)|requirements\.txt", head(name)))
    assert {path for path in paths if not (ROOT / path).is_file()} == set()
    assert paths or name == "deploy/secrets.sh"


@pytest.mark.parametrize("name", HEADS)
def test_each_variable_that_a_head_names_is_a_setting(name: str) -> None:
    assert set(re.findall(r"\bDOCKER_MCP_[A-Z_]*[A-Z]\b", head(name))) <= set(Settings.model_fields)


def test_the_image_is_built_and_run_as_its_head_says() -> None:
    build, run = told("Dockerfile")
    assert (build[:3], build[-1]) == (["docker", "build", "-t"], ".")
    assert (run[:2], run[-1]) == (["docker", "run"], build[3]), "the image that was built is the one that is run"
    known = subprocess.run([*run[:2], "--help"], capture_output=True, text=True, check=True).stdout
    assert {word for word in run if word.startswith("--") and word not in known} == set()
    assert {word for word in run if re.fullmatch("-[a-z]", word)} == {"-i", "-v"}
    mounts = dict(run[at + 1].split(":") for at, word in enumerate(run) if word == "-v")
    volumes = json.loads(dict(instructions())["VOLUME"])
    assert mounts == {"/var/run/docker.sock": "/var/run/docker.sock", "docker-mcp": "/var/lib/docker-mcp"}
    assert "/var/lib/docker-mcp" in volumes
    assert json.loads(dict(instructions())["CMD"]) == ["stdio"], "without words it is a stdio server"


def test_the_unit_finds_what_the_commands_of_its_head_make() -> None:
    useradd, install, venv, *pips, copy, enable = told(UNIT)
    (user,), (program,), (stands,) = (unit()[key] for key in ("User", "ExecStart", "ReadWritePaths"))
    settings = dict(each.split("=", 1) for each in unit()["Environment"])
    assert (useradd[0], useradd[-1]) == ("useradd", user)
    assert useradd[useradd.index("--home-dir") + 1] == settings["DOCKER_MCP_STATE_DIR"]
    assert install == ["install", "-d", "-m", "700", "-o", user, "-g", *unit()["Group"], stands]
    assert program == f"{venv[-1]}/bin/docker-mcp http"
    assert "http" in commands()
    assert [pip[:2] for pip in pips] == [[f"{venv[-1]}/bin/pip", "install"]] * 2
    assert (copy[1], Path(copy[1]).name) == (UNIT, f"{enable[-1]}.service")
    for named in re.findall(r"/etc/docker-mcp/[\w.-]+\w", head(UNIT)):
        assert Path(named).parent == Path(stands), named
    assert settings["DOCKER_MCP_AUTH_FILE"] in head(UNIT)
    assert unit()["EnvironmentFile"][0].removeprefix("-") in head(UNIT)


def test_the_first_users_key_is_where_the_head_of_the_unit_says(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = dict(each.split("=", 1) for each in unit()["Environment"])
    monkeypatch.setenv("XDG_CONFIG_HOME", settings.pop("XDG_CONFIG_HOME"))
    assert f"{Settings(**settings).config_dir}/admin.key" in head(UNIT)  # type: ignore[arg-type]  # strings are parsed


def test_the_page_that_the_compose_file_names_says_how_to_start_it() -> None:
    page, tree = deploying(), yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
    assert page.page in head("deploy/compose.yaml")
    needed = set(re.findall(r"\${(\w+):\?", (ROOT / "deploy/compose.yaml").read_text()))
    assert needed == set(re.findall(r"(\w+)=", next(line for line in page.text.splitlines() if "export" in line)))
    (build,) = re.findall(r"docker build -t (\S+)", page.text)
    assert tree["x-server"]["image"] == f"${{DOCKER_MCP_IMAGE:-{build}}}"
    made = (ROOT / "deploy/secrets.sh").read_text() + page.text
    assert all(secret["file"].removeprefix("./") in made for secret in tree["secrets"].values())
    assert os.access(ROOT / "deploy/secrets.sh", os.X_OK)
    (told_words,) = re.findall(r"docker compose run --rm (.*?)  ", page.text)
    service, *words = told_words.split()
    assert service in tree["services"]
    command: Any = commands()[" ".join(words[:2])]
    assert {word for word in words if word.startswith("-")} <= {name for each in command.params for name in each.opts}


def deploying() -> Block:
    """Return the block that starts the Compose file."""
    (found,) = [each for each in blocks() if each.language == SHELL and "docker compose up" in each.text]
    return found
