"""What there is stands in the pages, and what they name is there: settings, tools, metrics, commands, exit codes."""

import re
from collections.abc import Iterator
from typing import Final

import pytest

from domain.catalogue import CATALOGUE
from domain.catalogue.tool import Surface
from domain.events import EVENT_TYPES
from domain.projections.metrics import FOLDED, LIVE
from server.cli.exit import Exit
from server.cli.reference import commands, commands_page
from server.settings import Settings
from server.version import VERSION
from tests.docs.pages import PAGES, ROOT, SHELL, blocks, page

NAMES: Final = [str(path.relative_to(ROOT)) for path in PAGES if path.name != "CHANGELOG.md"]
COMMANDS: Final = commands()

NO_SETTINGS: Final = {
    "DOCKER_MCP_ENV_FILE": "says where settings are",
    "DOCKER_MCP_PUBLIC_HOST": "a variable of deploy/compose.yaml",
}
"""Variables of ours that the server does not take as settings, and what they are."""

NO_METRICS: Final = {
    "docker_mcp_auth": "the auth file",
    "docker_mcp_server": "a role of PostgreSQL",
    "docker_mcp_reader": "a role of PostgreSQL",
    "docker_mcp": "the package's word, and a role and a database of PostgreSQL",
}


def test_the_command_reference_is_current() -> None:
    assert page("docs/commands.md") == commands_page(), "run `make docs`"


def test_every_page_is_reached_from_the_readme() -> None:
    seen: set[str] = set()
    ahead = ["README.md"]
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            folder = (ROOT / name).parent
            targets = re.findall(r"\]\(([^)#:]+\.md)(?:#[^)]*)?\)", page(name))
            ahead += [str((folder / target).resolve().relative_to(ROOT)) for target in targets]
    assert set(NAMES) - seen == set()


@pytest.mark.parametrize("name", NAMES)
def test_each_variable_of_ours_that_a_page_names_is_a_setting(name: str) -> None:
    named = set(re.findall(r"\b(?:DOCKER_MCP_[A-Z_]*[A-Z]|MCP_[A-Z_]+[A-Z])\b", page(name)))
    assert named - Settings.model_fields.keys() - NO_SETTINGS.keys() == set()


@pytest.mark.parametrize("name", NAMES)
def test_each_metric_that_a_page_names_is_declared(name: str) -> None:
    declared = {metric.name for metric in (*FOLDED, *LIVE)}
    named = set(re.findall(r"\bdocker_mcp(?:_[a-z]+)*\b(?![./])", page(name)))
    assert {re.sub(r"_(bucket|count|sum)$", "", each) for each in named} - declared - NO_METRICS.keys() == set()


def test_every_declared_tool_prompt_and_event_is_explained_and_no_other_is() -> None:
    tools = page("docs/tools.md")
    declared = {tool.name for tool in CATALOGUE if tool.surface is not Surface.COMMAND_LINE}
    assert set(re.findall(r"^## (.+)$", tools, re.M)) == declared
    (table,) = re.findall(r"^\| event \|.*?\n\n", page("docs/log.md"), re.M | re.S)
    cells = [line.split("|")[1] for line in table.strip().splitlines()[2:]]
    assert {each for cell in cells for each in re.findall(r"`([a-z_.]+)`", cell)} == set(EVENT_TYPES)


def test_every_exit_code_is_explained_and_no_other_is() -> None:
    part = page("docs/configuration.md").partition("## Exit codes")[2]
    assert re.findall(r"^\| (\d+) \|", part, re.M) == [str(code.value) for code in Exit]


def test_the_image_has_everywhere_the_version_of_the_package() -> None:
    named = {
        found for name in [*NAMES, "deploy/compose.yaml"] for found in re.findall(r"ledger:(\d[\w.]*)", page(name))
    }
    assert named == {VERSION}


# --- the command line ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_each_command_that_a_page_names_exists_and_has_the_options_given(name: str) -> None:
    assert [(words, wrong) for words in spoken(name) if (wrong := what_is_wrong(words.split()))] == []


def spoken(name: str) -> Iterator[str]:
    """Yield what follows ``docker-mcp`` in the code of a page, up to where the shell goes on."""
    text = page(name)
    yield from re.findall(r"`docker-mcp ([a-z][^`]*)`", text)
    for block in blocks():
        if block.page == name and block.language == SHELL:
            yield from re.findall(r"(?:^|[ /])docker-mcp ([a-z][^|>#\n]*)", block.text, re.M)


def what_is_wrong(words: list[str]) -> str:
    """Return which words of a command do not exist; empty if they all do."""
    command = COMMANDS.get(" ".join(words[:2])) or COMMANDS.get(words[0])
    if command is None:  # a group, such as `docker-mcp user`
        below = {name.split()[1] for name in COMMANDS if name.startswith(f"{words[0]} ")}
        return ", ".join({word for each in words[1:2] for word in each.split("|")} - below) if below else words[0]
    options = {option for parameter in command.params for option in parameter.opts}
    given = {word.strip("[],.").partition("=")[0] for word in words}
    return ", ".join({word for word in given if re.match("--?[a-z]", word)} - options - {"--help"})
