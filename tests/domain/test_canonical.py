"""Canonical JSON is RFC 8785, and what that leaves to chance is refused."""

import json
from decimal import Decimal
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from domain.canonical import (
    MAX_SAFE_INTEGER,
    NotCanonicalError,
    canonical_json,
    is_storable,
    sha256_hex,
    storable,
)
from domain.lifecycle import Status
from tests.domain.strategies import ANY_TEXT, INTEGERS, KEYS, TREES


@given(TREES)
def test_the_form_is_that_of_rfc_8785(tree: Any) -> None:
    assert canonical_json(tree) == rfc8785.dumps(tree)


@given(TREES)
def test_the_form_is_stable(tree: Any) -> None:
    assert canonical_json(json.loads(canonical_json(tree))) == canonical_json(tree)


@given(st.dictionaries(KEYS, INTEGERS, max_size=8), st.randoms())
def test_the_order_of_keys_does_not_matter(tree: dict[str, int], random: Any) -> None:
    shuffled = list(tree.items())
    random.shuffle(shuffled)

    assert canonical_json(dict(shuffled)) == canonical_json(tree)


def nested(levels: int) -> Any:
    tree: Any = 1
    for _ in range(levels):
        tree = [tree]
    return tree


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        0.5,
        float("nan"),
        float("inf"),
        Decimal(1),
        MAX_SAFE_INTEGER + 1,
        -MAX_SAFE_INTEGER - 1,
        pytest.param(10**5000, id="an integer of 5000 digits"),
        b"bytes",
        {1, 2},
        object(),
        {1: "number as key"},
        {None: "nothing as key"},
        {"": "empty key"},
        {"two words": 1},
        {"é": 1},
        {"\ud800": 1},
        {"\x00": 1},
        {"line\n": 1},
        {"a" * 65: 1},
    ],
)
def test_what_has_no_single_form_is_refused(value: Any) -> None:
    for tree in (value, [value], {"key": value}):
        with pytest.raises(NotCanonicalError) as refused:
            canonical_json(tree)
        assert len(str(refused.value)) < 200


@pytest.mark.parametrize("levels", [101, 260, 1_000, 100_000])
def test_very_deep_trees_are_refused(levels: int) -> None:
    for tree in (nested(levels), {"key": nested(levels)}):
        with pytest.raises(NotCanonicalError):
            canonical_json(tree)


def test_what_is_just_within_the_limits_is_taken() -> None:
    tree = {"a" * 64: [MAX_SAFE_INTEGER, -MAX_SAFE_INTEGER, nested(97)]}

    assert canonical_json(tree) == rfc8785.dumps(tree)


def test_tuples_and_enumerations_are_what_they_stand_for() -> None:
    assert canonical_json({"a": (1, Status.SUCCESS)}) == b'{"a":[1,"success"]}'


@given(ANY_TEXT)
def test_text_that_no_database_stores_is_replaced(text: str) -> None:
    stored = storable(text)

    assert len(stored) == len(text)
    assert "\x00" not in stored
    stored.encode()
    assert json.loads(canonical_json([text])) == [stored]
    assert all(old == new or (new == "\ufffd" and (old == "\x00" or "\ud800" <= old <= "\udfff"))
               for old, new in zip(text, stored, strict=True))  # fmt: skip


@given(ANY_TEXT)
def test_what_is_storable_stays_as_it_is(text: str) -> None:
    for tree in (text, [text], {text: 1}, {"a": [{"b": (text,)}]}):
        assert is_storable(tree) == (storable(text) == text)


@given(st.none() | st.booleans() | st.integers() | st.floats())
def test_numbers_and_the_like_are_storable(value: Any) -> None:
    assert is_storable(value)


def test_a_digest_is_sha_256_in_hexadecimal() -> None:
    assert sha256_hex(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
