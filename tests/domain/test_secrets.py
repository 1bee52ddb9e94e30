"""No value of a secret field reaches the log in the clear, wherever in the arguments it stands."""

import json
from enum import Enum
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, StringConstraints

from domain.canonical import JSON, canonical_json
from domain.catalogue.containers import CreateContainer
from domain.catalogue.identity import Authenticate
from domain.catalogue.stacks import DeployCompose
from domain.secrets import (
    DIGESTED,
    DROPPED,
    SEALED_KEY,
    SEALED_MARK,
    SECRET,
    argument_tree,
    clear,
    digested_fields,
    dropped_fields,
    hide_sealed,
    revealing_fields,
    secret_fields,
)
from tests.domain.strategies import KEYS, TEXT, TREES

pytestmark = pytest.mark.promise("P6")


class Level(Enum):
    HIGH = "marker-level"


class Credentials(BaseModel):
    user: str
    password: Annotated[str, SECRET]


class Pair(BaseModel):
    """Nothing in it says that it is secret."""

    left: str
    right: dict[str, list[str]] = {}


class Everything(BaseModel):
    plain: str = "plain"
    direct: Annotated[str, SECRET] = "marker-direct"
    constrained: Annotated[str, StringConstraints(max_length=99), SECRET, Field(description="secret")] = "marker-constr"
    optional: Annotated[str, SECRET] | None = "marker-optional"
    around_optional: Annotated[str | None, SECRET] = "marker-around"
    either: int | Annotated[str, SECRET] = "marker-either"
    items: list[Annotated[str, SECRET]] = ["marker-item"]
    table: dict[str, Annotated[str | int | bool, SECRET]] = {"name": "marker-table", "number": 987654321, "flag": True}
    deep: Annotated[dict[str, list[dict[str, str]]], SECRET] = {"a": [{"b": "marker-deep"}]}
    pair: Annotated[tuple[str, int], SECRET] = ("marker-tuple", 192837465)
    level: Annotated[Level, SECRET] = Level.HIGH
    nested: Credentials = Credentials(user="readable", password="marker-nested")
    many: list[Credentials] | None = [Credentials(user="readable", password="marker-many")]
    by_name: dict[str, Credentials] = {"key": Credentials(user="readable", password="marker-by-name")}
    whole: Annotated[Pair, SECRET] = Pair(left="marker-left", right={"k": ["marker-right"]})
    wholes: Annotated[list[Pair] | None, SECRET] = [Pair(left="marker-wholes")]


NOT_SECRET = {"plain", "nested", "many", "by_name"}


def sealed(place: str, value: str) -> JSON:
    return {SEALED_KEY: {"at": len(place), "size": len(value)}}


def test_secret_fields_are_found_behind_unions_options_and_containers() -> None:
    assert secret_fields(Everything) == set(Everything.model_fields) - NOT_SECRET
    assert secret_fields(Credentials) == {"password"}
    assert secret_fields(Pair) == set()
    assert secret_fields(CreateContainer) == {"environment"}


def test_fields_that_hold_a_model_with_a_secret_would_reveal_it() -> None:
    assert revealing_fields(Everything) == set(Everything.model_fields) - {"plain"}
    assert revealing_fields(Pair) == set()
    assert revealing_fields(CreateContainer) == {"environment"}


def test_no_secret_value_is_left_in_the_tree() -> None:
    text = json.dumps(argument_tree(Everything(), sealed))

    assert "marker" not in text
    assert "987654321" not in text
    assert "192837465" not in text
    assert text.count("readable") == 3
    assert "true" not in text.lower()


def test_everything_that_is_sealed_is_sealed_under_its_own_place() -> None:
    places: dict[str, str] = {}

    def remember(place: str, value: str) -> JSON:
        assert place not in places
        places[place] = value
        return None

    argument_tree(Everything(), remember)

    assert places == {
        "/direct": "marker-direct",
        "/constrained": "marker-constr",
        "/optional": "marker-optional",
        "/around_optional": "marker-around",
        "/either": "marker-either",
        "/items/0": "marker-item",
        "/table/name": "marker-table",
        "/table/number": "987654321",
        "/table/flag": "true",
        "/deep/a/0/b": "marker-deep",
        "/pair/0": "marker-tuple",
        "/pair/1": "192837465",
        "/level": "marker-level",
        "/nested/password": "marker-nested",
        "/many/0/password": "marker-many",
        "/by_name/key/password": "marker-by-name",
        "/whole/left": "marker-left",
        "/whole/right/k/0": "marker-right",
        "/wholes/0/left": "marker-wholes",
    }


def test_maps_become_sorted_pairs_and_what_was_left_out_stays_out() -> None:
    command = CreateContainer(
        image="nginx",
        ports={"80": "8080", "443": None},
        labels={"z": "1", "a": "2", "m": "3"},
        volumes={"/b": "/y", "/a": "/x"},
        environment={"Z": "1", "A": 2, "M": True},
    )

    assert argument_tree(command, clear) == {
        "image": "nginx",
        "ports": [["443", None], ["80", "8080"]],
        "labels": [["a", "2"], ["m", "3"], ["z", "1"]],
        "volumes": [["/a", "/x"], ["/b", "/y"]],
        "environment": [["A", "2"], ["M", "true"], ["Z", "1"]],
        "start": True,
    }


@given(
    st.dictionaries(st.text(min_size=1).filter(lambda name: "=" not in name), st.uuids().map(str), max_size=5),
    st.dictionaries(TEXT.filter(bool), st.text("plain", max_size=5), max_size=5),
)
def test_environment_values_never_reach_the_log(environment: dict[str, Any], labels: dict[str, str]) -> None:
    command = CreateContainer(image="nginx", environment=environment)
    places: dict[str, str] = {}

    def remember(place: str, value: str) -> JSON:
        places[place] = value
        return sealed(place, value)

    tree = argument_tree(command, remember)
    stored = canonical_json(tree).decode()

    assert not [value for value in environment.values() if value in stored]
    assert [name for name, _ in tree["environment"]] == sorted(environment)
    assert {resolve(place): value for place, value in places.items()} == {
        ("environment", name): value for name, value in environment.items()
    }


def resolve(pointer: str) -> tuple[str, ...]:
    """The steps of a JSON Pointer, as RFC 6901 reads it."""
    first, *steps = pointer.split("/")
    assert first == ""
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in steps)


@pytest.mark.parametrize("name", ["a/b", "a~b", "~1", "~0", "~01", "/", "//", " ", "0"])
def test_a_place_is_a_json_pointer(name: str) -> None:
    places: list[str] = []
    argument_tree(CreateContainer(image="i", environment={name: "x"}), lambda place, _value: places.append(place))

    assert [resolve(place) for place in places] == [("environment", name)]


def test_equal_commands_have_equal_trees_whatever_the_order_of_their_maps() -> None:
    one = CreateContainer(image="i", environment={"A": "1", "B": "2"}, labels={"x": "1", "y": "2"})
    other = CreateContainer(image="i", labels={"y": "2", "x": "1"}, environment={"B": "2", "A": "1"})

    assert canonical_json(argument_tree(one, clear)) == canonical_json(argument_tree(other, clear))


class Source(BaseModel):
    """Of ``text`` and ``limited`` a digest is enough, the others have to be read again."""

    name: str = "readable"
    text: Annotated[str, DIGESTED] = "marker-text"
    limited: Annotated[str, StringConstraints(max_length=99), DIGESTED] = "marker-limited"
    optional: Annotated[str, DIGESTED] | None = "marker-optional"
    items: list[Annotated[str, DIGESTED]] = ["marker-item"]
    token: Annotated[str, SECRET] = "marker-token"


def digest(value: str) -> JSON:
    return {SEALED_KEY: {"digest-of": len(value)}}


def test_digested_fields_are_secret_fields_too() -> None:
    assert digested_fields(Source) == {"text", "limited"}
    assert secret_fields(Source) == revealing_fields(Source) == set(Source.model_fields) - {"name"}
    assert digested_fields(Everything) == digested_fields(CreateContainer) == set()
    assert digested_fields(DeployCompose) == secret_fields(DeployCompose) == {"compose_yaml"}


def test_of_a_digested_field_only_the_digest_is_kept() -> None:
    places: dict[str, str] = {}

    def remember(place: str, value: str) -> JSON:
        places[place] = value
        return sealed(place, value)

    tree = argument_tree(Source(), remember, digest)

    assert tree["text"] == digest("marker-text")
    assert tree["limited"] == digest("marker-limited")
    assert tree["name"] == "readable"
    assert places == {"/optional": "marker-optional", "/items/0": "marker-item", "/token": "marker-token"}
    assert "marker" not in json.dumps(tree)


def test_without_a_digest_digested_fields_are_sealed_like_others() -> None:
    tree = argument_tree(Source(), sealed)

    assert tree["text"] == sealed("/text", "marker-text")
    assert "marker" not in json.dumps(tree)


@given(st.text(min_size=1).map(lambda text: f"marker{text}"))
def test_a_compose_file_never_reaches_the_log(text: str) -> None:
    seen: list[str] = []
    command = DeployCompose(project_name="shop", compose_yaml=text)

    tree = argument_tree(command, lambda place, value: seen.append(place), lambda value: len(value))

    assert tree == {"project_name": "shop", "compose_yaml": len(text), "wait": True, "timeout": 120}
    assert seen == []
    assert argument_tree(command, clear)["compose_yaml"] == text


def test_different_values_of_a_digested_field_can_be_told_apart() -> None:
    one, other = (DeployCompose(project_name="shop", compose_yaml=text) for text in ("a", "b"))

    assert argument_tree(one, clear, str) == argument_tree(one.model_copy(), clear, str)
    assert argument_tree(one, clear, str) != argument_tree(other, clear, str)


class Key(BaseModel):
    owner: str = "readable"
    key: Annotated[str, StringConstraints(max_length=99), DROPPED] = "marker-key"


class Ring(BaseModel):
    """Credentials in every place where they can stand."""

    name: str = "readable"
    direct: Annotated[str, DROPPED] = "marker-direct"
    around_optional: Annotated[str | None, DROPPED] = "marker-around"
    items: Annotated[list[str], DROPPED] = ["marker-item"]
    table: Annotated[dict[str, str], DROPPED] = {"marker-name": "marker-value"}
    one: Key = Key()
    many: list[Key] = [Key()]
    by_name: dict[str, Key] = {"a": Key()}
    digested: Annotated[str, DIGESTED] = "marker-digested"
    token: Annotated[str, SECRET] = "marker-token"


def test_dropped_fields_are_secret_fields_too() -> None:
    assert dropped_fields(Ring) == {"direct", "around_optional", "items", "table"}
    assert secret_fields(Ring) == dropped_fields(Ring) | {"digested", "token"}
    assert revealing_fields(Ring) == set(Ring.model_fields) - {"name"}
    assert digested_fields(Ring) == {"digested"}
    assert dropped_fields(Authenticate) == secret_fields(Authenticate) == {"api_key"}
    assert dropped_fields(Everything) == dropped_fields(Source) == dropped_fields(CreateContainer) == set()


@pytest.mark.parametrize("with_digest", [True, False])
def test_of_a_dropped_field_nothing_is_kept_and_nothing_is_sealed_or_digested(with_digest: bool) -> None:
    sealed_values: list[str] = []
    digested_values: list[str] = []

    def remember(place: str, value: str) -> JSON:
        sealed_values.append(value)
        return sealed(place, value)

    def remember_digest(value: str) -> JSON:
        digested_values.append(value)
        return digest(value)

    tree = argument_tree(Ring(), remember, remember_digest if with_digest else None)

    assert set(tree) == set(Ring.model_fields) - dropped_fields(Ring)
    assert tree["one"] == {"owner": "readable"}
    assert tree["many"] == [{"owner": "readable"}]
    assert tree["by_name"] == [["a", {"owner": "readable"}]]
    assert "marker" not in json.dumps(tree)
    assert sorted(sealed_values + digested_values) == ["marker-digested", "marker-token"]


@given(st.text(min_size=1, max_size=99), st.text(min_size=1, max_size=99))
def test_neither_log_nor_keyed_digest_tells_one_api_key_from_another(one: str, other: str) -> None:
    """What is digested of all arguments is their clear form: an API key is not in that either."""
    trees = [argument_tree(Authenticate(username="alice", api_key=key), clear, len) for key in (one, other)]

    assert trees == [{"username": "alice"}] * 2


@given(TREES)
def test_a_tree_without_sealed_values_is_shown_as_it_is(tree: Any) -> None:
    assert hide_sealed(tree) == tree


@given(
    st.recursive(st.just({SEALED_KEY: {"c": "cipher"}}), lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner))
)
def test_sealed_values_show_as_a_mark(tree: Any) -> None:
    text = json.dumps(hide_sealed(tree), ensure_ascii=False)

    assert "cipher" not in text
    assert SEALED_KEY not in text
    assert text.count(SEALED_MARK) <= json.dumps(tree).count(SEALED_KEY)


def test_what_stands_beside_sealed_values_stays() -> None:
    tree = {"environment": [["A", {SEALED_KEY: {"n": 1}}], ["B", {SEALED_KEY: {"n": 2}}]], "image": "nginx", "n": None}

    assert hide_sealed(tree) == {"environment": [["A", "«sealed»"], ["B", "«sealed»"]], "image": "nginx", "n": None}
