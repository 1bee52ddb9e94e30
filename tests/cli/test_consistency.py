"""The command line as a whole: every command explains itself, and answers programs as well as people."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from adapters.store.location import Location
from adapters.store.schema import REVISION
from server.cli.main import app
from server.cli.reference import commands
from tests.cli.command import complaint, docker_mcp, log_at
from tests.conftest import SEALING_KEY

NO_JSON = {
    "stdio": "serves",
    "http": "serves",
    "demo": "is a show",
    "checkpoint": "prints a line of JSON as it is",
    "checkpoint key": "prints a PEM file",
    "audit export": "has formats of its own",
    "metrics": "has the form that Prometheus reads",
    "monitoring up": "tells a person where to look",
    "monitoring down": "has no answer but its exit code",
    "start docker-mcp": "is `http`",
    "start monitoring": "is `monitoring up`",
    "user remove": "has no answer but its exit code",
    "forget": "asks a person",
    "rotate-sealing-key": "tells a person what to do next",
    "rotate-log": "tells a person what to do next",
}
"""Commands without ``--json``, and why."""


_WORDS = {"jsonl", "succeeded", "host:port", "html"}
"""What an explanation may begin with although it is written small: a value."""

COMMANDS = commands()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_each_of_its_options_is_explained_in_sentences(name: str) -> None:
    command = COMMANDS[name]
    for text in [command.help, *(getattr(option, "help", None) for option in command.params if option.name != "help")]:
        assert text, command.params
        assert text[0].isupper() or text.replace(",", " ").split()[0] in _WORDS, text
        assert text.rstrip().endswith("."), text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_with_an_answer_gives_it_as_json_too(name: str) -> None:
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert ("--json" in options) != (name in NO_JSON)


def test_answers_for_programs(sqlite_location: Location, tmp_path: Path) -> None:
    env = {**log_at(sqlite_location), "DOCKER_MCP_SIGNING_KEY": SEALING_KEY}

    def answer(*arguments: str) -> dict[str, Any]:
        done = CliRunner().invoke(app, [*arguments, "--json"], env=env)
        assert done.exit_code == 0, done.output
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    assert answer("migrate") == {"database": f"sqlite {sqlite_location.path}", "schema": REVISION}
    added = answer("user", "add", "alice")
    assert (added["name"], added["api_key"][:4]) == ("alice", "dmk_")
    assert answer("user", "rotate", "alice") != added
    token = answer("token", "alice")
    assert token["token"].startswith("alice:")
    assert answer("rebuild", "--check") == {"done": "checked", "found": 0, "differences": []}
    records = tmp_path / "records.jsonl"
    exporting = ["audit", "export", "--format", "audit-record", "--to", str(records)]
    assert CliRunner().invoke(app, exporting, env=env).exit_code == 0
    checked = answer("audit", "import-verify", str(records))
    assert (checked["intact"], checked["with_manifest"]) == (True, True)
    assert checked["records"] == len(records.read_text().splitlines())
    segment, copy = tmp_path / "segment.gz", tmp_path / "copy.db"
    archived = answer("archive", "--before", "2100-01-01", "--to", str(segment))
    assert archived["file_name"] == "segment.gz"
    loaded = answer("load-archive", str(segment), "--to", str(copy))
    assert loaded == {"records": archived["last_position"], "database_url": f"sqlite:///{copy}"}
    keys = tmp_path / "keys"
    backed_up = answer("backup", str(tmp_path / "backup.db"), "--keys", str(keys))
    assert (backed_up["file"], backed_up["keys_file"]) == (str(tmp_path / "backup.db"), str(keys))
    env = {"DOCKER_MCP_DATABASE_URL": f"sqlite:///{tmp_path}/restored.db"}
    restored = answer("restore", str(tmp_path / "backup.db"), "--keys", str(keys))
    assert (restored["position"], restored["is_signed"]) == (backed_up["last_position"], True)


def test_output_that_cannot_be_written_is_one_clear_line() -> None:
    done = docker_mcp("--help", prefix=("sh", "-c", 'exec "$@" >/dev/full', "sh"))
    assert done.returncode == 1
    assert "not_usable: the output, or a file that is needed cannot be used: no space left" in complaint(done)
