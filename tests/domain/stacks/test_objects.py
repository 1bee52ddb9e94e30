"""What a stack consists of and what it shares, as the rules of roles see it."""

from typing import Any

import pytest

from domain.objects import Kind, ObjectState, Touched
from domain.stacks.model import StackModel
from domain.stacks.objects import PROJECT_LABEL

pytestmark = pytest.mark.promise("P7")

OWN = {PROJECT_LABEL: "shop"}


def model(**sections: Any) -> StackModel:
    return StackModel("shop", {"services": {"web": {"image": "nginx"}}, **sections})


def of_service(**keys: Any) -> StackModel:
    return model(services={"web": {"image": "nginx", **keys}})


def state(kind: Kind, name: str, object_id: str = "an-id", **labels: str) -> ObjectState:
    return ObjectState(kind=kind, id=object_id, name=name, labels=labels)


def missing(kind: Kind, name: str) -> ObjectState:
    return state(kind, name, "")


STACK = ObjectState(kind=Kind.STACK, id="shop", name="shop", parts=(Touched("container/shop-db-1", {"old": "1"}),))


def test_images_are_those_that_run_and_those_that_are_mounted() -> None:
    services = {
        "web": {"image": "nginx", "volumes": [{"type": "image", "source": "data:$$1"}, {"type": "tmpfs"}]},
        "db": {"image": "reg.example/db@sha256:0a"},
        "more": {"image": "nginx"},
    }
    assert model(services=services).images == ("nginx", "data:$1", "reg.example/db@sha256:0a")


@pytest.mark.parametrize(
    ("keys", "used"),
    [
        ({}, set()),
        ({"container_name": "web"}, {(Kind.CONTAINER, "web")}),
        ({"network_mode": "host"}, set()),
        ({"network_mode": "service:db"}, set()),
        ({"network_mode": "theirs"}, {(Kind.NETWORK, "theirs")}),
        ({"network_mode": "container:victim"}, {(Kind.CONTAINER, "victim")}),
        ({"pid": "container:victim"}, {(Kind.CONTAINER, "victim")}),
        ({"ipc": "container:victim"}, {(Kind.CONTAINER, "victim")}),
        ({"pid": "host", "ipc": "shareable"}, set()),
        ({"volumes_from": ["container:victim:ro", "db:rw"]}, {(Kind.CONTAINER, "victim")}),
        ({"external_links": ["victim:db", "other"]}, {(Kind.CONTAINER, "victim"), (Kind.CONTAINER, "other")}),
    ],
)
def test_containers_and_networks_of_others_that_a_service_reaches_are_used(
    keys: dict[str, Any], used: set[tuple[Kind, str]]
) -> None:
    assert set(of_service(**keys).uses) == used


def test_networks_and_volumes_are_looked_for_under_all_their_names() -> None:
    found = model(
        networks={"default": {"name": "shop_default"}, "front": {"name": "theirs", "external": True}},
        volumes={"data": {"name": "shop_data"}, "named": {"name": "own$$name"}},
    ).uses
    assert set(found) == {
        (Kind.NETWORK, "shop_default"),
        (Kind.NETWORK, "theirs"),
        (Kind.VOLUME, "shop_data"),
        (Kind.VOLUME, "own$name"),
    }


def test_what_stands_and_what_will_be_made_are_parts() -> None:
    services = {
        "web": {"image": "a", "scale": 2, "labels": {"team": "a$$"}},
        "db": {"image": "a", "container_name": "the-db"},
    }
    (stack,) = model(services=services, networks={"n": {"name": "shop_n", "labels": {"x": "y"}}}).touched([STACK])
    assert stack == Touched(
        "stack/shop",
        {},
        (
            *STACK.parts,
            Touched("container/shop-web-1", {"team": "a$"}),
            Touched("container/shop-web-2", {"team": "a$"}),
            Touched("container/the-db"),
            Touched("network/shop_n", {"x": "y"}),
        ),
    )


@pytest.mark.parametrize(
    ("sections", "found", "alone"),
    [
        ({"volumes": {"d": {"name": "shop_d"}}}, missing(Kind.VOLUME, "shop_d"), []),
        ({"volumes": {"d": {"name": "shop_d"}}}, state(Kind.VOLUME, "shop_d", **OWN), []),
        (
            {"volumes": {"d": {"name": "shop_d"}}},
            state(Kind.VOLUME, "shop_d", team="b"),
            [Touched("volume/shop_d", {"team": "b"})],
        ),
        (
            {"volumes": {"d": {"name": "shop_d"}}},
            state(Kind.VOLUME, "shop_d", **{PROJECT_LABEL: "other"}),
            [Touched("volume/shop_d", {PROJECT_LABEL: "other"})],
        ),
        (
            {"volumes": {"d": {"name": "free", "labels": {"team": "a"}}}},
            missing(Kind.VOLUME, "free"),
            [Touched("volume/free", {"team": "a"})],
        ),
        (
            {"networks": {"n": {"name": "shop_n", "external": True}}},
            state(Kind.NETWORK, "shop_n", **OWN),
            [Touched("network/shop_n", OWN)],
        ),
        (
            {"services": {"web": {"image": "a", "container_name": "theirs", "labels": {"team": "a"}}}},
            state(Kind.CONTAINER, "theirs", team="b"),
            [Touched("container/theirs", {"team": "b"})],
        ),
        (
            {"services": {"web": {"image": "a", "container_name": "free", "labels": {"team": "a"}}}},
            missing(Kind.CONTAINER, "free"),
            [Touched("container/free", {"team": "a"})],
        ),
    ],
)
def test_what_is_or_may_be_of_others_is_judged_by_itself(
    sections: dict[str, Any], found: ObjectState, alone: list[Touched]
) -> None:
    _stack, *rest = model(**sections).touched([STACK, found])
    assert rest == alone
