"""A value is put into a JSON text, and nothing else of it changes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.clients.json_text import NotMergedError, append, parse_json, put

NEW = {"command": "x", "args": ["stdio"]}
PATH = ["mcpServers", "docker"]

NAMES = st.text(max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


def test_a_missing_file_becomes_a_readable_one() -> None:
    assert put("", PATH, NEW) == (
        '{\n  "mcpServers": {\n    "docker": {\n      "command": "x",\n      "args": [\n        "stdio"\n      ]\n'
        "    }\n  }\n}\n"
    )


def test_everything_else_stays_character_by_character() -> None:
    before = '{\n\t"theme" : "dark",   "n": 1e2,\n\t"mcpServers": {\n\t\t"other": {"command":"y"}\n\t}\n}\n'
    after = put(before, PATH, NEW)
    added = ',\n\t\t"docker": {\n\t\t\t"command": "x",\n\t\t\t"args": [\n\t\t\t\t"stdio"\n\t\t\t]\n\t\t}'
    assert after == before.replace('{"command":"y"}', '{"command":"y"}' + added)


def test_the_own_entry_is_replaced_where_it_stands() -> None:
    before = '{"mcpServers": {"docker": {"command": "old"}, "z": {}}, "a": [1]}'
    after = put(before, PATH, NEW)
    assert json.loads(after) == {"mcpServers": {"docker": NEW, "z": {}}, "a": [1]}
    assert after.endswith(', "z": {}}, "a": [1]}')
    assert put(after, PATH, NEW) == after


@pytest.mark.parametrize(
    "before",
    [
        '{\n  // mine\n  "servers": {\n    "a": {} // why\n  }\n}\n',
        '{\n  "servers": {\n    "a": {}, // why\n  },\n}\n',
        '{\n  "servers": {\n    "a": {} /* over\n    two lines */\n  }\n}\n',
        '{"servers": {"a": {} /* b */, } }',
        '{\n  "servers": {\n    // none yet, "docker": {}\n  }\n}',
        '{ "url": "http://x/*y*/", /* c */ "servers": {}\n}',
        "/* only a comment */ {}",
    ],
)
def test_comments_and_trailing_commas_stay(before: str) -> None:
    after = put(before, ["servers", "docker"], NEW, comments=True)
    wanted: dict[str, Any] = parse_json(before, comments=True)
    wanted.setdefault("servers", {})["docker"] = NEW
    assert parse_json(after, comments=True) == wanted
    kept = iter(after)
    lost = [mark for mark in before if not mark.isspace() and mark not in kept]
    assert lost == []


def test_a_list_gets_one_more() -> None:
    before = '{\n  "inputs": [\n    {"id": "a"} // first\n  ]\n}\n'
    after = append(before, ["inputs"], {"id": "b"}, comments=True)
    assert parse_json(after, comments=True) == {"inputs": [{"id": "a"}, {"id": "b"}]}
    assert "// first" in after
    assert json.loads(append("{}", ["inputs"], 1)) == {"inputs": [1]}
    with pytest.raises(NotMergedError, match="not a list"):
        append('{"inputs": {}}', ["inputs"], 1)


def test_line_ends_of_windows_stay() -> None:
    after = put('{\r\n  "a": 1\r\n}\r\n', PATH, NEW)
    assert after.count("\n") == after.count("\r\n") > 5


@pytest.mark.parametrize(
    ("before", "problem"),
    [
        ('{"a": 1', "not valid JSON, line 1"),
        ('{\n"a": 1,\n}', "not valid JSON, line"),
        ("// comment\n{}", "not valid JSON, line 1"),
        ("[1]", "is not an object"),
        ('{"mcpServers": []}', "mcpServers is not an object"),
        ('{"mcpServers": {}, "mcpServers": {}}', "stands there twice"),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_what_cannot_be_changed_safely_is_refused(before: str, problem: str) -> None:
    with pytest.raises(NotMergedError, match=problem):
        put(before, PATH, NEW)


@given(
    tree=st.dictionaries(NAMES, VALUES, max_size=4),
    servers=st.dictionaries(NAMES, VALUES),
    indent=st.sampled_from([None, 1, 4, "\t"]),
)
def test_any_file_keeps_what_it_holds(tree: dict[str, Any], servers: dict[str, Any], indent: Any) -> None:
    before = json.dumps({**tree, "mcpServers": servers}, indent=indent)
    assert json.loads(put(before, PATH, NEW)) == {**tree, "mcpServers": {**servers, "docker": NEW}}
