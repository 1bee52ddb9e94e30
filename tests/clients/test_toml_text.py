"""A server is put into OpenHands' TOML, and nothing else of it changes."""

import tomllib

import pytest

from server.clients.json_text import NotMergedError
from server.clients.toml_text import put_server

NEW = {"name": "docker", "command": "x", "args": ["stdio"], "env": {"A": 'q"\\', "with space": "ä"}}
OTHER = '{name = "other", command = "y"}'


@pytest.mark.parametrize(
    "before",
    [
        "",
        '# mine\n[core]\nworkspace = "w" # here\n',
        "[core]\na = 1",
        "[mcp]\nsse_servers = []\n# end\n",
        "[mcp]\nsse_servers = []\nstdio_servers = []\n[other]\nb = 2\n",
        f"[mcp]\nstdio_servers = [ {OTHER} ] # why\n\n[other]\nb = 2\n",
        f"[mcp]\nstdio_servers = [\n  {OTHER}, # why ]\n]\n",
        f"[mcp]\nstdio_servers = [\n  {OTHER} # why\n]\n",
        '[[mcp.stdio_servers]]\nname = "other"\ncommand = "y"\n\n# about the next\n[other]\nb = 2\n',
    ],
)
def test_a_server_is_added(before: str) -> None:
    after = put_server(before, "stdio_servers", "name", NEW)
    wanted = tomllib.loads(before)
    wanted.setdefault("mcp", {}).setdefault("stdio_servers", []).append(NEW)
    assert tomllib.loads(after) == wanted
    kept = iter(after)
    assert [mark for mark in before if mark not in kept] == []
    assert put_server(after, "stdio_servers", "name", NEW) == after


def test_the_own_server_is_replaced_where_it_stands() -> None:
    before = (
        '[[mcp.stdio_servers]]\nname = "docker"\ncommand = "old"\n\n# about the next\n'
        '[[mcp.stdio_servers]]\nname = "other"\ncommand = "y" # why\n'
    )
    after = put_server(before, "stdio_servers", "name", NEW)
    assert tomllib.loads(after)["mcp"]["stdio_servers"] == [NEW, {"name": "other", "command": "y"}]
    assert after.endswith("\n\n" + before[before.index("# about") :])


@pytest.mark.parametrize(
    ("before", "problem"),
    [
        ("[mcp\n", "not valid TOML, line 1"),
        ("mcp = 1\n", "not a list of servers"),
        ("[mcp]\nstdio_servers = 1\n", "not a list of servers"),
        ('[mcp]\nstdio_servers = [{name = "docker", command = "old"}]\n', "cannot be changed safely"),
    ],
)
def test_what_cannot_be_changed_safely_is_refused(before: str, problem: str) -> None:
    with pytest.raises(NotMergedError, match=problem):
        put_server(before, "stdio_servers", "name", NEW)
