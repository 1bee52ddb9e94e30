"""YAML means what Compose's own parser takes it for; what is no plain tree is refused, by line and never by value."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from domain.catalogue.stacks import MOST_YAML
from domain.stacks.strict_yaml import DEEPEST, MOST_NODES, Document, Path, StrictYamlError, parse_strict
from tests.domain.catalogue.examples import label
from tests.domain.strategies import TEXT

MARKER = "marker4711"
LONG = "9" * 5_000
"""More digits than Python reads at once."""


def tree(text: str) -> Any:
    return parse_strict(text).tree


def refused(text: str) -> str:
    with pytest.raises(StrictYamlError) as error:
        parse_strict(text)
    assert error.value.code == "invalid_yaml"
    assert error.value.hint
    assert "\n" not in error.value.describe()
    return error.value.message


def message_of(text: str) -> str | None:
    """What is told of a text that is refused; any other error is a crash of the call."""
    try:
        parse_strict(text)
    except StrictYamlError as error:
        return error.message
    return None


def same(one: Any, other: Any) -> bool:
    """Equal, and true is not 1, and 1 is not 1.0."""
    return repr(one) == repr(other)


# What `docker compose config` prints for each of them.
SCALARS: dict[str, Any] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None, "nULL": "nULL",
    "true": True, "True": True, "TRUE": True, "tRue": "tRue",
    "false": False, "False": False, "FALSE": False,
    "yes": "yes", "no": "no", "on": "on", "off": "off", "y": "y", "n": "n", "Y": "Y", "No": "No", "OFF": "OFF",
    "0": 0, "-0": 0, "12": 12, "+12": 12, "-12": -12, "1_000": 1000, "1__0": 10, "1_": 1, "_1": "_1",
    "0777": 511, "-0777": -511, "00": 0, "007": 7, "0_7": 7, "0o17": 15, "0O17": 15, "-0o17": -15, "0o8": "0o8",
    "08": 8.0, "0779": 779.0,
    "0x1F": 31, "0X1f": 31, "-0x1F": -31, "0x1_0": 16, "0xg": "0xg", "0x": "0x", "0b11": 3, "-0b11": -3, "0b2": "0b2",
    "0o": "0o", "0b": "0b", "00x1": "00x1",
    "1.5": 1.5, "1.": 1.0, ".5": 0.5, "-.5": -0.5, "+.5": 0.5, "1e3": 1000.0, "1E+3": 1000.0, "1e-3": 0.001,
    "017.5": 17.5, ".": ".", "1e": "1e", "e1": "e1", ".e1": ".e1", "1.2.3": "1.2.3", "0x1p4": "0x1p4",
    "22:22": "22:22", "1:30:00": "1:30:00", "190:20:30.15": "190:20:30.15", "127.0.0.1": "127.0.0.1",
    "inf": "inf", "nan": "nan", "Infinity": "Infinity", "1e400": "1e400",
    "9223372036854775807": 2**63 - 1, "-9223372036854775808": -(2**63),
    "=": "=", "<<": "<<", "٣": "٣", "１": "１", "plain words": "plain words",
}  # fmt: skip


@pytest.mark.parametrize("text", SCALARS, ids=label)
def test_plain_scalars_mean_what_compose_takes_them_for(text: str) -> None:
    assert same(tree(f"a: {text}"), {"a": SCALARS[text]})
    assert same(tree(f"- {text}\n- {text} # told\n"), [SCALARS[text]] * 2)


@pytest.mark.parametrize(
    "text",
    ["9223372036854775808", "-9223372036854775809", "0xFFFFFFFFFFFFFFFF", "9" * 400, LONG, f"-{LONG}", f"0{LONG}",
     ".inf", "-.INF", ".nan", "2001-12-14", "2001-12-14 21:59:43", "0x_", "0b_", "0o_", "-0x__", "+0o_"],
    ids=label,
)  # fmt: skip
def test_what_no_number_of_json_holds_stays_as_it_is_written(text: str) -> None:
    assert same(tree(f"a: {text}"), {"a": text})


@pytest.mark.parametrize("text", [text for text in SCALARS if text.isascii()], ids=label)
def test_quoted_scalars_are_text(text: str) -> None:
    for form in (f"'{text}'", f'"{text}"', f"!!str {text}", f"! '{text}'", f"|-\n  {text}" if text else "''"):
        assert same(tree(f"a: {form}"), {"a": text})


@pytest.mark.parametrize("text", ["on", "1", "1.0", "null", "~", "true", "0x1F", "22:22"])
def test_keys_are_text(text: str) -> None:
    assert tree(f"{text}: 1") == {text: 1}
    assert tree(f"'{text}': 1") == {text: 1}


def test_a_text_without_content_is_nothing() -> None:
    for text in ("", "\n\n", "# only this\n", "---\n", "---\n...\n"):
        assert tree(text) is None


# --- trees ------------------------------------------------------------------------------------------------------

# PyYAML, which follows YAML 1.1, leaves 1e3 and 0o17 unquoted, and writes a line break that it does not fold again.
AS_PYYAML_WRITES = TEXT.filter(lambda text: text[:1] not in tuple("+-.0123456789") and "\x85" not in text)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
WHOLE = st.integers(-(2**63), 2**63 - 1)


def trees(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.none() | st.booleans() | WHOLE | FLOATS | texts,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=15,
    )


@given(trees(AS_PYYAML_WRITES), st.booleans(), st.sampled_from([None, True, False]))
def test_what_pyyaml_writes_comes_back(value: Any, readable: bool, flow: bool | None) -> None:
    assert same(tree(yaml.safe_dump(value, allow_unicode=readable, default_flow_style=flow, sort_keys=False)), value)


PRINTABLE = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029\ufeff\ufffe\uffff"), max_size=40
)


@given(trees(PRINTABLE), st.sampled_from([None, 1, 4]), st.sampled_from([(",", ": "), (",", ":"), (" , ", " : ")]))
def test_json_comes_back(value: Any, indent: int | None, separators: tuple[str, str]) -> None:
    assert same(tree(json.dumps(value, ensure_ascii=False, indent=indent, separators=separators)), value)


@given(st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"], exclude_characters="\0"), max_size=20))
def test_escapes_of_json_are_understood(text: str) -> None:
    assert tree(json.dumps({"a": text})) == {"a": text}


# --- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        (f"a: {MARKER}\nb: 1\na: {MARKER}", 3, "a stands here twice"),
        (f"a:\n  - b: {MARKER}\n    'b': {MARKER}", 3, "a.0.b stands here twice"),
        (f"a: {{b: 1,\n b: {MARKER}}}", 2, "a.b stands here twice"),
        (f"'1': {MARKER}\n1: {MARKER}", 2, "1 stands here twice"),
        ("a: &a {b: 1}\nc:\n  <<: *a\n  <<: *a", 4, "c.<< stands here twice"),
        (f"a: 1\nb: !!int '{MARKER}'", 2, "tags are not allowed"),
        (f"a: !!binary {MARKER}", 1, "tags are not allowed"),
        (f"a: !!python/object/apply:os.system [{MARKER}]", 1, "tags are not allowed"),
        (f"a: !reset {MARKER}", 1, "tags are not allowed"),
        (f"a: !!map {{{MARKER}: 1}}", 1, "tags are not allowed"),
        (f"!!seq [{MARKER}]", 1, "tags are not allowed"),
        (f"%TAG ! tag:yaml.org,2002:\n---\na: !int {MARKER}", 3, "tags are not allowed"),
        (f"a: 1\n---\nb: {MARKER}", 2, "a second document begins here; one is allowed"),
        (f"--- {MARKER}\n--- {MARKER}", 2, "a second document begins here; one is allowed"),
        (f"? [{MARKER}]\n: 1", 1, "a key is plain text"),
        (f"? {{{MARKER}: 1}}\n: 1", 1, "a key is plain text"),
        ("a: &a x\n*a : 1", 2, "a key is plain text"),
        (f"&a {MARKER}: 1", 1, "a key is plain text"),
        (f"!!int {MARKER}: 1", 1, "a key is plain text"),
        (f"a: 1\nb: *{MARKER}", 2, "the alias has no anchor before it"),
        (f"- &{MARKER} [1, *{MARKER}]", 1, "the alias has no anchor before it"),
        (f"a: &{MARKER}\n  b: *{MARKER}", 2, "the alias has no anchor before it"),
        (f"a: *{MARKER}\nb: &{MARKER} 1", 1, "the alias has no anchor before it"),
        (f"a: &{MARKER} 1\nb: &{MARKER} 2", 2, "an anchor of this name exists already"),
        (f"a:\n  <<: {MARKER}", 2, "a merge key takes a mapping, or a list of them"),
        (f"a:\n  <<: [{{b: 1}}, {MARKER}]", 2, "a merge key takes a mapping, or a list of them"),
        ("a:\n  <<:", 2, "a merge key takes a mapping, or a list of them"),
        (f'a: "{MARKER}\\0"', 1, "NUL characters and lone surrogates have no place in text"),
        ('a: 1\n"\\0": 1', 2, "NUL characters and lone surrogates have no place in text"),
        (f"a: 1\nb: '{MARKER}", 2, "found unexpected end of stream"),
        (f"a: {MARKER}\n  b: {MARKER}", 2, "mapping values are not allowed in this context"),
        (f"a:\n\t- {MARKER}", 2, "found character that cannot start any token"),
        (f"a: [{MARKER}\n", 2, "did not find expected ',' or ']'"),
        (f'a: "\\{MARKER}"', 1, "found unknown escape character"),
        ('a: "\\ud83d\\udc33"', 1, "found invalid Unicode character escape code"),
        (f"%YAML 2.0\n---\n{MARKER}", 1, "found incompatible YAML document"),
    ],
    ids=label,
)  # fmt: skip
def test_what_is_refused_is_told_with_its_line(text: str, line: int, told: str) -> None:
    message = refused(text)

    assert message == f"line {line}: {told}"
    assert MARKER not in message


@pytest.mark.parametrize("text", ["a: \x00", "a: \x07", "a: \x7f", "a: \ud800", "\ufffe", "\x1b[2J"], ids=label)
def test_characters_that_yaml_does_not_allow_are_refused(text: str) -> None:
    assert refused(text) == "a character that YAML does not allow"


LONG_OR_ODD = ["k" * 100_000, "a\\nb", "\\e[2J", "\\u202eb"]
"""Names as they stand between quotation marks."""


@pytest.mark.promise("P9")
@pytest.mark.parametrize("name", LONG_OR_ODD, ids=label)
def test_names_are_told_in_a_form_that_is_safe_to_show(name: str) -> None:
    told = refused(f'? "{name}"\n: 1\n? "{name}"\n: 2\n')

    assert told.endswith("stands here twice")
    assert len(told) < 1_000
    assert told.isprintable()


BROKEN = ["!!int 1", "*none", "[", '"', "- -", "{a: 1, a: 2}", "? [a]", "&x &y z", "---", "@", "%"]


@pytest.mark.promise("P6")
@given(st.lists(st.sampled_from(["services", "web", "image", "environment"]), max_size=4), st.sampled_from(BROKEN))
def test_no_value_is_repeated(keys: list[str], broken: str) -> None:
    lines = [f"{'  ' * depth}{key}:" for depth, key in enumerate(keys)]
    indent = "  " * len(keys)
    text = "\n".join([*lines, f"{indent}a: {MARKER}", f"{indent}b: {broken}", f"{indent}c: {MARKER}", f"{MARKER}"])

    assert MARKER not in refused(text)


# --- bombs ------------------------------------------------------------------------------------------------------


def test_values_are_counted() -> None:
    assert len(tree("[" + "1," * (MOST_NODES - 1) + "]")) == MOST_NODES - 1
    assert refused("[\n" + "1," * MOST_NODES + "]") == "line 2: more than 50000 values, aliases written out"


def test_aliases_count_as_what_they_stand_for() -> None:
    hundred = "a: &a [" + "x," * 99 + "]\n"
    fits = MOST_NODES // 100 - 2

    assert len(tree(f"{hundred}b: [{'*a,' * fits}]")["b"]) == fits
    assert "more than 50000 values" in refused(f"{hundred}b: [{'*a,' * (fits + 2)}]")


@pytest.mark.promise("P9")
def test_a_billion_laughs_are_refused_where_they_become_too_many() -> None:
    lines = ["a0: &a0 [" + "x," * 40 + "]"]
    lines += [f"a{level}: &a{level} [{f'*a{level - 1},' * 40}]" for level in range(1, 10)]

    assert refused("\n".join(lines)) == "line 3: more than 50000 values, aliases written out"


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("{a: ", "}")])
def test_depth_has_a_limit(opening: str, closing: str) -> None:
    value = tree(opening * DEEPEST + "x" + closing * DEEPEST)
    for _ in range(DEEPEST):
        value = value[0] if isinstance(value, list) else value["a"]

    assert value == "x"
    assert refused(opening * (DEEPEST + 1) + "x" + closing * (DEEPEST + 1)) == "line 1: more than 40 levels"


def test_depth_counts_what_aliases_stand_for() -> None:
    anchor = "- &a " + "[" * 20 + "x" + "]" * 20 + "\n- "

    assert tree(anchor + "[" * (DEEPEST - 21) + "*a" + "]" * (DEEPEST - 21))
    assert refused(anchor + "[" * (DEEPEST - 20) + "*a" + "]" * (DEEPEST - 20)) == "line 2: more than 40 levels"


HEAVY = {
    "lists": "[" * MOST_YAML,
    "mappings": "{a: " * (MOST_YAML // 4),
    "dashes": "- " * (MOST_YAML // 2),
    "complex keys": "? " * (MOST_YAML // 2),
    "deep and wide": "[" * (DEEPEST - 2) + "1," * 49_000 + "]" * (DEEPEST - 2),
    "anchors": "\n".join(f"k{number}: &a{number} x" for number in range(14_000)),
    "merges": "<<: [" + "{a: 1}," * 16_000 + "]",
    "duplicates": "a:\n" * (MOST_YAML // 3),
    "one digit again and again": "a: " + "1" * MOST_YAML,
    "one quote": "'" * MOST_YAML,
    "backslashes": '"' + "\\" * MOST_YAML,
    "ampersands": "&" * MOST_YAML,
    "comments": "#" * MOST_YAML,
    "colons": ":" * MOST_YAML,
    "blanks": " " * MOST_YAML,
}


@pytest.mark.promise("P9")
@pytest.mark.parametrize("text", HEAVY.values(), ids=HEAVY)
def test_no_text_of_the_allowed_size_takes_long(text: str) -> None:
    started = time.process_time()
    told = message_of(text)

    assert time.process_time() - started < 10
    assert len(told or "") < 200


YAMLISH = st.text(" \n\t:-?[]{},#&*!|>'\"%@`<=~.0123456789_abexonulytrs/\\\x85\u2028", max_size=60)
PIECES = st.lists(
    st.sampled_from(
        ["a: ", "- ", "\n", "  ", "[", "]", "{", "}", ",", "&a ", "*a", "<<: ", "!!str ", "! ", "|\n", ">-\n", "---",
         "...", "%TAG ! x\n", "? ", ": ", "'", '"', "\\x", "#", "0x_", "0777", "1e3", ".inf", "null", "\ufeff", "\r\n"]
    ),
    max_size=30,
).map("".join)  # fmt: skip


@pytest.mark.promise("P9")
@given(YAMLISH | PIECES | st.text(st.characters(), max_size=40))
@example("0x_")
@example(LONG)
@example("\ud800")
def test_any_text_is_read_or_refused(text: str) -> None:
    told = message_of(text)

    if told is None:
        assert json.loads(json.dumps(tree(text), allow_nan=False)) == tree(text)
    else:
        assert told.startswith(("line ", "a character"))


# --- anchors and merge keys -------------------------------------------------------------------------------------


def test_an_alias_is_what_its_anchor_names() -> None:
    assert tree("a: &x [1, {b: on}]\nc: *x\nd: {e: *x}") == {
        "a": [1, {"b": "on"}],
        "c": [1, {"b": "on"}],
        "d": {"e": [1, {"b": "on"}]},
    }
    assert tree("a: &x 0777\nb: *x\nc: &y ''\nd: *y") == {"a": 511, "b": 511, "c": "", "d": ""}


@pytest.mark.parametrize(
    ("text", "merged"),
    [
        ("<<: *x", {"a": 1, "b": 2}),
        ("<<: *x\n  a: 9", {"a": 9, "b": 2}),
        ("a: 9\n  <<: *x", {"a": 9, "b": 2}),
        ("<<: [*x, *y]", {"a": 1, "b": 2, "c": 4}),
        ("<<: [*y, *x]", {"a": 1, "b": 3, "c": 4}),
        ("<<: [*y, *x]\n  c: 9", {"a": 1, "b": 3, "c": 9}),
        ("<<: {d: 5}", {"d": 5}),
        ("<<: []\n  d: 5", {"d": 5}),
        ("<<: *z", {"a": 1, "b": 3}),
        ("'<<': *x", {"<<": {"a": 1, "b": 2}}),
        ("a: {<<: *x}", {"a": {"a": 1, "b": 2}}),
    ],
)
def test_merge_keys_bring_what_a_mapping_does_not_say_itself(text: str, merged: dict[str, Any]) -> None:
    anchors = "x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz: &z {<<: *x, b: 3}\n"

    assert tree(f"{anchors}here:\n  {text}")["here"] == merged


def test_a_merge_replaces_a_value_as_a_whole() -> None:
    assert tree("x: &x {a: {b: 1}}\nhere: {<<: *x, a: {c: 2}}")["here"] == {"a": {"c": 2}}


# --- places -----------------------------------------------------------------------------------------------------


def leaves(value: Any, at: Path = ()) -> Iterator[tuple[Path, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in items:
        yield from leaves(item, (*at, step))
    if not isinstance(value, dict | list):
        yield at, value


NAMES = st.from_regex(r"[a-z][a-z_-]{0,6}", fullmatch=True)
NUMBERED = st.recursive(
    st.just(""),
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(NAMES, inner, min_size=1, max_size=3),
    max_leaves=12,
)


def numbered(value: Any, at: str = "m") -> Any:
    """The tree with another text at each leaf, none of them part of another."""
    if isinstance(value, dict):
        return {key: numbered(item, f"{at}{index}") for index, (key, item) in enumerate(value.items())}
    if isinstance(value, list):
        return [numbered(item, f"{at}{index}") for index, item in enumerate(value)]
    return f"{at}."


@given(NUMBERED.map(numbered), st.sampled_from([yaml.safe_dump, lambda value: json.dumps(value, indent=1)]))
def test_every_value_has_the_line_it_stands_in(value: Any, dump: Any) -> None:
    text = dump(value)
    document = parse_strict(text)

    for path, marker in leaves(value):
        (line,) = [number for number, line in enumerate(text.splitlines(), 1) if marker in line.replace("'", '"')]
        assert document.line(path) == line


COMPOSE = """\
# a comment

services:
  web:
    image: nginx
    ports:
      - "80:80"

      - 443:443
    environment: &env
      TOKEN: secret
      my.dotted: value
  db: {image: postgres,
       environment: *env}
  "api.v1":
    image: api
x-base: &base
  tty: true
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 3),
        (("services",), 3),
        (("services", "web"), 4),
        (("services", "web", "image"), 5),
        (("services", "web", "ports"), 6),
        (("services", "web", "ports", 0), 7),
        (("services", "web", "ports", 1), 9),
        (("services", "web", "environment", "my.dotted"), 12),
        (("services", "db", "image"), 13),
        (("services", "db", "environment"), 14),
        (("services", "api.v1", "image"), 16),
        (("x-base", "tty"), 18),
    ],
)
def test_keys_and_values_have_lines(path: Path, line: int) -> None:
    document = parse_strict(COMPOSE)

    assert document.line(path) == line
    assert document.place(path) == f"line {line}: {'.'.join(map(str, path))}"


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("nothing",), 3),
        (("services", "web", "deploy", "replicas"), 4),
        (("services", "web", "ports", 7), 6),
        (("services", "db", "environment", "TOKEN"), 14),
    ],
)
def test_what_has_no_line_of_its_own_has_that_of_the_place_above(path: Path, line: int) -> None:
    assert parse_strict(COMPOSE).line(path) == line


def test_what_a_merge_brings_has_the_line_of_the_mapping() -> None:
    document = parse_strict("x: &x\n  a: 1\nhere:\n  <<: *x")

    assert document.line(("here", "a")) == 3


def test_an_empty_document_has_a_line() -> None:
    assert parse_strict("").place(("services",)) == "line 1: services"


@pytest.mark.parametrize(
    ("dotted", "path"),
    [
        ("services.web.image", ("services", "web", "image")),
        ("services.web.ports.1", ("services", "web", "ports", 1)),
        ("services.web.ports[1]", ("services", "web", "ports", 1)),
        ("services.web.ports.7", ("services", "web", "ports")),
        ("services.web.ports.80:80", ("services", "web", "ports")),
        ("services.api.v1.image", ("services", "api.v1", "image")),
        ("services.web.environment.my.dotted", ("services", "web", "environment", "my.dotted")),
        ("services.web.environment.my", ("services", "web", "environment")),
        ("services.db.environment.TOKEN", ("services", "db", "environment")),
        ("services.nothing.image", ("services",)),
        ("nothing.services", ()),
        ("", ()),
        ("...", ()),
        (f"services.{LONG}", ("services",)),
        ("services.²", ("services",)),
    ],
    ids=label,
)
def test_a_path_in_words_is_found_as_far_as_it_goes(dotted: str, path: Path) -> None:
    assert parse_strict(COMPOSE).find(dotted) == path


@given(NUMBERED.map(numbered))
def test_every_value_is_found_by_its_path_in_words(value: Any) -> None:
    document = parse_strict(yaml.safe_dump(value))

    for path, _ in leaves(value):
        words = ".".join(map(str, path))
        assert document.find(words) == path
        assert document.find(f"{words}.nothing-there") == path
        assert document.find("".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)) == path


def test_a_number_in_words_is_an_index_of_a_list_and_a_key_of_a_mapping() -> None:
    document = parse_strict("a: [x, y]\nb: {1: x}")

    assert document.find("a.1") == ("a", 1)
    assert document.find("b.1") == ("b", "1")


@given(trees(PRINTABLE))
def test_the_texts_of_a_document_are_those_of_its_values(value: Any) -> None:
    document = Document(value, {})
    told = {path: str(leaf) for path, leaf in leaves(value) if leaf is not None and not isinstance(leaf, bool)}

    assert dict(document.texts()) == told


def test_the_names_of_a_document_are_its_keys() -> None:
    assert parse_strict("a: {b: [c, {d: e}]}\n1: x").names() == {"a", "b", "d", "1"}
