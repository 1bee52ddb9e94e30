"""What the pages print can be run: every block of theirs is, or says why not, in a place that no reader sees."""

import asyncio
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from adapters.docker.engine import Engine
from adapters.store.location import Location
from domain.access.auth_file import read_auth_file
from domain.catalogue import CATALOGUE
from domain.catalogue.tool import Catalogue
from server.bootstrap import new_id
from tests.conftest import Serve, free_port
from tests.contract.rows import execute
from tests.docs.pages import ROOT, SHELL, Block, blocks
from tests.docs.shell import LIMIT_S, Shell
from tests.real.calls import SLEEP, Calls

pytestmark = pytest.mark.anyio

CHECKED: Final = {"sql", "json", "yaml", "promql", "python"}
SHOWN: Final = {"", "text"}
"""Blocks that are looked at only: diagrams and output."""

BLOCKS: Final = list(blocks())
SESSIONS: Final = sorted({block.page for block in BLOCKS if block.language == SHELL and not block.reason})
POSTGRES: Final = "postgresql://docker_mcp@db.example/docker_mcp"
STATE: Final = ".local/state/docker-mcp"

Names = Callable[[str], str]


def of(*languages: str) -> list[Block]:
    return [block for block in BLOCKS if block.language in languages and not block.reason]


def named(found: Iterable[Block]) -> dict[str, Any]:
    """Return the arguments of ``parametrize`` for blocks."""
    return {"argnames": "block", "argvalues": (listed := list(found)), "ids": [block.where for block in listed]}


@pytest.mark.parametrize(**named(BLOCKS))
def test_each_block_is_of_a_kind_that_is_run_or_checked_or_only_shown(block: Block) -> None:
    assert block.language in {SHELL} | CHECKED | SHOWN
    if block.note.startswith("not run"):
        assert len(block.reason.split()) > 2, "say why"
        assert block.language not in SHOWN, "only what could be run needs a reason"


@pytest.mark.parametrize(**named(block for block in BLOCKS if block.language == SHELL))
def test_each_target_of_make_that_is_named_exists(block: Block) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"^make ([a-z]+)", block.text, re.M)) <= targets


# --- commands ---------------------------------------------------------------------------------------------------


@pytest.fixture
async def story(serve: Serve, name: Names, image: str) -> AsyncIterator[tuple[Shell, str]]:
    """A shell whose log tells of some containers, and the id of the command that made the one called web."""
    with Shell(DOCKER_MCP_PORT=str(free_port()), DOCKER_MCP_ENGINE_EVENTS="false") as shell:
        own: dict[str, Any] = dict.fromkeys(["DOCKER_MCP_DATABASE_URL", "DOCKER_MCP_SEALING_KEY"])
        own |= {"DOCKER_MCP_STATE_DIR": str(shell.home / STATE)}
        own |= {"DOCKER_MCP_CHECKPOINTS_TO": str(shell.home / "checkpoints.jsonl")}
        async with serve(**own) as application:
            calls = Calls(application)
            made = await calls.answer("create-container", image=image, name=name("web"), command=SLEEP)
            await calls("create-container", image=image, name=name("other"), command=["true"])
            await calls("remove-container", container_name=name("other"), force=True)
            await calls("restart-container", container_name=name("web"), timeout=0)
        yield shell, made.command_id


@pytest.mark.engine
@pytest.mark.postgres
@pytest.mark.timeout(LIMIT_S + 100)
@pytest.mark.parametrize("page_name", SESSIONS)
async def test_the_commands_of_a_page_can_be_carried_out_one_after_the_other(
    page_name: str, story: tuple[Shell, str], name: Names, request: pytest.FixtureRequest
) -> None:
    shell, command_id = story
    script = "\n".join(f": {block.where}\n{block.text}" for block in of(SHELL) if block.page == page_name)
    (shell.home / "backup").mkdir()
    (shell.home / "elsewhere").mkdir()
    if POSTGRES in script:
        script = script.replace(POSTGRES, request.getfixturevalue("postgres_location").url)
    instead = {
        r"\bweb\b": name("web"),
        r"\bCOMMAND_ID\b": command_id,
        r"(metrics --serve) +#": rf"\1 127.0.0.1:{free_port()} #",
        r"/(backup|elsewhere|tmp/trial)/": rf"{shell.home}/\1/",
        r"\bledger-\d{8}T\d{6}Z\.db": "$(basename ledger-*Z.db)",
    }
    for pattern, text in instead.items():
        script = re.sub(pattern, text, script)
    done = await asyncio.to_thread(shell.run, script)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert "Traceback" not in done.stdout + done.stderr


# --- what is no command -----------------------------------------------------------------------------------------


@pytest.mark.postgres
@pytest.mark.parametrize(**named(of("sql")))
def test_the_statements_can_be_given_to_the_log(block: Block, postgres_location: Location) -> None:
    (role,) = set(re.findall(r"CREATE ROLE (\w+)", block.text))
    execute(postgres_location, *filter(None, map(str.strip, block.text.replace(role, f"r{new_id()[-12:]}").split(";"))))


@pytest.mark.parametrize(**named(of("json")))
def test_the_json_is_what_the_comment_above_it_says(block: Block) -> None:
    tree = json.loads(block.text)
    what, _, tool = block.note.partition(" of ")
    if what == "arguments":
        found = CATALOGUE.by_name(tool)
        assert found, tool
        found.parse(tree)
    else:
        assert what == "auth file"
        assert read_auth_file(block.text).roles.keys() == tree["roles"].keys()


@pytest.mark.parametrize(**named(of("yaml")))
def test_prometheus_takes_the_configuration(block: Block, tmp_path: Path) -> None:
    assert list(yaml.safe_load(block.text)) == ["scrape_configs"], "of another program: check it here as well"
    promtool("config", "--syntax-only", tmp_path / "prometheus.yml", block.text)


@pytest.mark.parametrize(**named(of("promql")))
def test_prometheus_takes_the_question(block: Block, tmp_path: Path) -> None:
    rule = {"record": "the:answer", "expr": block.text}
    promtool("rules", "--lint-fatal", tmp_path / "rules.yml", json.dumps({"groups": [{"name": "g", "rules": [rule]}]}))


def promtool(what: str, option: str, file: Path, text: str) -> None:
    file.write_text(text)
    done = subprocess.run(["promtool", "check", what, option, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.engine
async def test_the_tool_that_a_page_adds_is_a_tool_like_any_other(serve: Serve, container: str) -> None:
    added: dict[str, Any] = {"__name__": "added"}
    for block in of("python"):
        exec(compile(block.text, block.where, "exec"), added)
    with closing(Engine(os.environ, 60, 2)) as engine:
        ports = {added["Tops"]: added["DockerTops"](engine)}
        async with serve(catalogue=Catalogue([*CATALOGUE, added["TOOL"]]), more_ports=ports) as application:
            found = await Calls(application)("container-top", container_name=container)
    assert any("sleep" in cell for process in found["processes"] for cell in process)
