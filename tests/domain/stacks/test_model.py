"""What is deployed carries our labels and mounts nothing of the server's; what is recorded shows no secret value."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.canonical import JSON, canonical_json
from domain.errors import InvalidArgumentsError
from domain.secrets import SEALED_KEY
from domain.stacks.model import STACK_LABEL, StackModel, check_size, check_values, labelled
from domain.stacks.objects import replicas
from domain.stacks.state import MOST_CONTAINERS
from domain.stacks.strict_yaml import parse_strict
from tests.domain.strategies import TEXT

MARKER = "marker4711"
LABELS = {STACK_LABEL: "shop"}


def rendered(**sections: Any) -> dict[str, Any]:
    """As Compose renders a file."""
    return {"name": "shop", "services": {"web": {"image": "nginx"}}, **sections}


# --- labels -----------------------------------------------------------------------------------------------------


def test_what_compose_makes_carries_the_name_of_the_stack() -> None:
    tree = labelled(
        "shop",
        rendered(
            services={"web": {"image": "nginx", "labels": {"team": "blue"}}, "db": {"image": "postgres"}},
            networks={"front": {"driver": "bridge", "labels": {"a": "b"}}, "back": None},
            volumes={"data": {"name": "shop_data"}, "more": {}},
        ),
    )

    assert tree == {
        "name": "shop",
        "services": {
            "web": {"image": "nginx", "labels": {"team": "blue", **LABELS}},
            "db": {"image": "postgres", "labels": LABELS},
        },
        "networks": {"front": {"driver": "bridge", "labels": {"a": "b", **LABELS}}, "back": {"labels": LABELS}},
        "volumes": {"data": {"name": "shop_data", "labels": LABELS}, "more": {"labels": LABELS}},
    }


@pytest.mark.parametrize("section", ["networks", "volumes"])
def test_what_compose_does_not_make_is_left_as_it_is(section: str) -> None:
    external = {"name": "theirs", "external": True}

    assert labelled("shop", rendered(**{section: {"theirs": external}}))[section] == {"theirs": external}


def test_other_sections_and_the_callers_tree_stay() -> None:
    given_tree = rendered(
        networks={"front": {"labels": {"a": "b"}}}, configs={"site": {"content": "x"}}, secrets={"key": {"name": "k"}}
    )
    before = copy.deepcopy(given_tree)

    tree = labelled("shop", given_tree)

    assert given_tree == before
    assert {key: tree[key] for key in ("name", "configs", "secrets")} == {
        key: before[key] for key in ("name", "configs", "secrets")
    }


@pytest.mark.parametrize("nothing", [{}, {"networks": {}}, {"volumes": None}, {"networks": {}, "volumes": {}}])
def test_sections_that_hold_nothing_are_not_made_up(nothing: dict[str, Any]) -> None:
    assert set(labelled("shop", rendered(**nothing))) == {"name", "services"}


OTHER_LABELS = ["docker-mcp", "docker-mcpx.a", "x.docker-mcp.stack", "com.docker.compose", "com.docker.composer.a"]


@pytest.mark.parametrize("section", ["services", "networks", "volumes"])
@pytest.mark.parametrize(
    "key",
    [
        "docker-mcp.stack",
        "docker-mcp.command",
        "Docker-MCP.Stack",
        "docker-mcp.",
        "com.docker.compose.project",
        "com.docker.compose.service",
        "Com.Docker.Compose.Project",
        "com.docker.compose.",
    ],
)
@pytest.mark.parametrize("entry", [{}, {"external": True}], ids=["ours", "external"])
def test_labels_of_the_server_and_of_compose_are_refused(section: str, key: str, entry: dict[str, Any]) -> None:
    tree = rendered(**{section: {"it": {**entry, "labels": {"a": "b", key: MARKER}}}})
    with pytest.raises(InvalidArgumentsError) as refused:
        labelled("shop", tree)

    assert refused.value.message.startswith(f"{section}.it.labels: ")
    assert MARKER not in refused.value.describe()


@pytest.mark.parametrize("key", OTHER_LABELS)
def test_other_labels_are_the_callers(key: str) -> None:
    tree = labelled("shop", rendered(services={"web": {"labels": {key: "a"}}}))

    assert tree["services"]["web"]["labels"] == {key: "a", **LABELS}


# --- mounts -----------------------------------------------------------------------------------------------------

EMPTY = "/nowhere/at/all"


def with_mount(**mount: Any) -> dict[str, Any]:
    return rendered(services={"db": {"image": "x"}, "web": {"image": "x", "volumes": [{"target": "/data", **mount}]}})


# As Compose resolves ".", "./data", "./a/b" and "~".
@pytest.mark.parametrize("source", [EMPTY, f"{EMPTY}/data", f"{EMPTY}/a/b", f"{EMPTY}/~"])
def test_a_mount_of_a_relative_host_path_is_refused(source: str) -> None:
    with pytest.raises(InvalidArgumentsError) as refused:
        check_values(with_mount(type="bind", source=source), EMPTY)

    assert refused.value.message == "services.web.volumes.0.source: a relative host path"
    assert EMPTY not in refused.value.describe()


@pytest.mark.parametrize(
    "mount",
    [
        {"type": "bind", "source": "/srv/data"},
        {"type": "bind", "source": "/"},
        {"type": "bind", "source": f"{EMPTY}-not"},
        {"type": "volume", "source": "data"},
        {"type": "volume"},
        {"type": "tmpfs"},
    ],
)
def test_other_mounts_are_taken(mount: dict[str, Any]) -> None:
    check_values(with_mount(**mount), EMPTY)


@pytest.mark.parametrize("volumes", [None, []])
def test_a_service_without_mounts_is_taken(volumes: Any) -> None:
    check_values(rendered(services={"web": {"volumes": volumes}, "db": {}}), EMPTY)


def test_the_device_of_a_volume_is_no_relative_path_either() -> None:
    with pytest.raises(InvalidArgumentsError, match=r"^volumes\.data\.driver_opts\.device: a relative host path$"):
        check_values(rendered(volumes={"data": {"driver_opts": {"o": "bind", "device": f"{EMPTY}/x"}}}), EMPTY)


@pytest.mark.parametrize(
    ("service", "place"),
    [
        ({"environment": {"A": "1", "B": None}}, "services.web.environment.B"),
        ({"post_start": [{"environment": {"C": None}}]}, "services.web.post_start.0.environment.C"),
    ],
)
def test_a_variable_without_a_value_is_refused(service: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidArgumentsError) as refused:
        check_values(rendered(services={"web": service}), EMPTY)
    assert refused.value.message == f"{place}: no value here"


# --- the record -------------------------------------------------------------------------------------------------


def seal(place: str, value: str) -> JSON:
    return {SEALED_KEY: [place, len(value)]}


def sealed(tree: dict[str, Any]) -> Any:
    return StackModel("shop", tree).sealed(seal)


@pytest.mark.promise("P6")
@pytest.mark.parametrize(
    "path",
    [
        ("services", "web", "environment"),
        ("services", "web", "logging", "options"),
        ("services", "web", "networks", "front", "driver_opts"),
        ("services", "web", "post_start", 0, "environment"),
        ("services", "web", "pre_stop", 0, "environment"),
        ("services", "web", "gpus", 0, "options"),
        ("services", "web", "deploy", "resources", "reservations", "devices", 0, "options"),
        ("configs", "site", "content"),
        ("secrets", "key", "content"),
        ("secrets", "key", "driver_opts"),
        ("networks", "front", "driver_opts"),
        ("networks", "front", "ipam", "options"),
        ("volumes", "data", "driver_opts"),
    ],
    ids=lambda path: ".".join(map(str, path)),
)
def test_values_where_secrets_stand_are_sealed(path: tuple[str | int, ...]) -> None:
    """The server's own check and Compose let variables, texts and options of drivers through in each of these."""
    for value in (MARKER, {"TOKEN": MARKER}, [f"TOKEN={MARKER}"], {"a": {"b": [MARKER]}}):
        inner: Any = value
        for step in reversed(path):
            inner = {step: inner} if isinstance(step, str) else [inner]
        tree = sealed(rendered(**inner))

        assert MARKER not in json.dumps(tree)
        assert SEALED_KEY in json.dumps(tree)


@pytest.mark.promise("P6")
@pytest.mark.parametrize("value", [987654321, 98765.4321, True, False])
def test_values_that_are_no_text_are_sealed_too(value: Any) -> None:
    tree = sealed(rendered(services={"web": {"environment": {"TOKEN": value}}}))

    assert tree["services"]["web"]["environment"] == {
        "TOKEN": {SEALED_KEY: ["/plan/services/web/environment/TOKEN", len(str(value))]}
    }


def test_names_and_what_has_no_value_stay_readable() -> None:
    tree = sealed(rendered(services={"web": {"environment": {"TOKEN": "x", "HOME": None}}}))

    assert list(tree["services"]["web"]["environment"]) == ["TOKEN", "HOME"]
    assert tree["services"]["web"]["environment"]["HOME"] is None


READABLE = {
    "name": "shop",
    "services": {
        "web": {
            "image": "nginx",
            "command": ["serve", "--port", "80"],
            "labels": {"team": "blue", "environment": "test"},
            "ports": [{"target": 80, "published": "8080"}],
            "deploy": {"replicas": 2},
            "logging": {"driver": "json-file"},
            "healthcheck": {"test": ["CMD", "true"]},
            "init": True,
            "entrypoint": None,
        },
        "environment": {"image": "named-like-a-section"},
    },
    "networks": {"front": {"name": "shop_front", "driver": "bridge", "internal": False}},
    "volumes": {"driver_opts": {"name": "named-like-a-key"}},
    "configs": {"site": {"name": "shop_site"}},
}


def test_everything_else_stays_readable() -> None:
    assert sealed(READABLE) == READABLE


def test_sealing_leaves_what_is_deployed_alone() -> None:
    model = StackModel("shop", rendered(services={"web": {"environment": {"TOKEN": MARKER}}}))
    before = model.text

    model.sealed(seal)

    assert model.text == before
    assert MARKER.encode() in before


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NESTED = st.recursive(
    TEXT.map(lambda text: f"{MARKER}{text}"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


def resolved(tree: Any, pointer: str) -> Any:
    """What stands at a JSON Pointer, as RFC 6901 reads it."""
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        tree = tree[int(name)] if isinstance(tree, list) else tree[name]
    return tree


@pytest.mark.promise("P6")
@given(
    st.dictionaries(NAMES, st.fixed_dictionaries({"environment": NESTED, "image": TEXT}), max_size=3),
    st.dictionaries(NAMES, st.fixed_dictionaries({"content": NESTED}), max_size=2),
    st.dictionaries(NAMES, st.fixed_dictionaries({"driver_opts": NESTED, "name": TEXT}), max_size=2),
)
def test_each_sealed_value_is_bound_to_its_own_place(services: Any, configs: Any, volumes: Any) -> None:
    tree = {"services": services, "configs": configs, "volumes": volumes}
    places: dict[str, str] = {}

    def remember(place: str, value: str) -> JSON:
        assert place not in places
        places[place] = value
        return None

    recorded = StackModel("shop", tree).sealed(remember)

    assert MARKER not in json.dumps(recorded)
    assert all(resolved({"plan": tree}, place) == value for place, value in places.items())
    assert len(places) == sum(1 for _ in marked(tree))
    assert {name: service["image"] for name, service in recorded["services"].items()} == {
        name: service["image"] for name, service in services.items()
    }


def marked(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict | list):
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from marked(item)
    elif isinstance(tree, str) and tree.startswith(MARKER):
        yield tree


# --- what is deployed -------------------------------------------------------------------------------------------


def test_what_is_deployed_is_the_tree_whatever_the_order_of_its_keys() -> None:
    one = StackModel("shop", {"name": "shop", "services": {"a": {"x": 1, "y": 2}, "b": {}}})
    other = StackModel("shop", {"services": {"b": {}, "a": {"y": 2, "x": 1}}, "name": "shop"})

    assert one.text == other.text
    assert orjson.loads(one.text) == one.tree


@given(TEXT)
@example("a \u2028 b\x85c")
@example("\x7f\ufffe")
def test_compose_reads_the_text_that_was_rendered(value: str) -> None:
    """It reads the JSON as YAML, which folds more line breaks than JSON knows and refuses more characters."""
    tree = rendered(services={"web": {"environment": {"TOKEN": value}}})

    assert parse_strict(StackModel("shop", tree).text.decode()).tree == tree


@pytest.mark.parametrize(
    ("service", "count"),
    [
        ({}, 1),
        ({"deploy": None}, 1),
        ({"deploy": {}}, 1),
        ({"deploy": {"replicas": None}}, 1),
        ({"deploy": {"replicas": 3}}, 3),
        ({"deploy": {"replicas": 0}}, 0),
        ({"scale": 2}, 2),
        ({"scale": 0}, 0),
        ({"scale": 2, "deploy": {"replicas": 3}}, 2),
        ({"scale": None, "deploy": {"replicas": 3}}, 3),
    ],
)
def test_how_many_containers_a_service_is_to_have(service: dict[str, Any], count: int) -> None:
    assert replicas(service) == count


@pytest.mark.promise("P9")
@pytest.mark.parametrize(
    "services",
    [
        {f"s{number}": {} for number in range(100)},
        {"web": {"scale": 100}, "spare": {"scale": 0}},
        {"web": {"deploy": {"replicas": 60}}, "db": {"scale": 40}},
    ],
    ids=["services", "scale", "replicas"],
)
def test_a_stack_has_at_most_a_hundred_containers(services: dict[str, Any]) -> None:
    check_size({"services": services})
    with pytest.raises(InvalidArgumentsError) as refused:
        check_size({"services": {**services, "more": {}}})

    assert refused.value.message == "the stack would have 101 containers, at most 100 are allowed"


@pytest.mark.parametrize("less", [{"scale": -50}, {"deploy": {"replicas": -50}}])
def test_a_negative_number_of_containers_makes_no_room_for_others(less: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentsError, match=r"services\.less: a number of containers below 0"):
        check_size({"services": {"many": {"scale": MOST_CONTAINERS + 50}, "less": less}})


def test_the_facts_tell_hash_and_number_of_each_service() -> None:
    tree = rendered(services={"web": {"deploy": {"replicas": 2}}, "job": {"scale": 0}, "db": {}})
    model = StackModel("shop", tree, {"web": "h1", "job": "h2"})

    assert model.facts == {"services": [["web", "h1", 2], ["job", "h2", 0], ["db", "", 1]]}
    assert canonical_json(model.facts)
    assert set(model.services) == {"web", "job", "db"}
