"""A command's plan comes back from the events that record it, whatever its size, and each event fits into the log."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.canonical import JSON
from domain.errors import ArgumentsTooLargeError
from domain.events import MAX_DATA_BYTES, CommandPlanned, decode
from domain.objects import Kind, ObjectState, Touched
from domain.plan_record import plan_events, recorded_plan
from domain.secrets import SEALED_KEY, Seal, clear
from domain.stacks.model import StackModel
from domain.text import COLUMN_LIMIT
from tests.domain.strategies import TEXT

MARKER = "marker4711"
LARGEST = 64 * 30_000


@dataclass(frozen=True)
class Tree:
    """A plan without secrets."""

    tree: JSON

    @property
    def facts(self) -> Mapping[str, JSON]:
        return {}

    @property
    def uses(self) -> tuple[tuple[Kind, str], ...]:
        return ()

    @property
    def images(self) -> tuple[str, ...]:
        return ()

    def touched(self, found: Sequence[ObjectState]) -> list[Touched]:
        return []

    def sealed(self, seal: Seal) -> JSON:
        return self.tree


def recorded(plan: JSON, summary: str = "s") -> list[CommandPlanned]:
    """The events of a plan, as they are read from the log."""
    events = [decode(event.type, event.encode()) for event in plan_events(Tree(plan), summary, clear)]
    assert all(isinstance(event, CommandPlanned) for event in events)
    return [event for event in events if isinstance(event, CommandPlanned)]


ANY_TREE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(ANY_TREE, st.integers(0, 3))
def test_a_plan_comes_back_from_the_log(tree: Any, times: int) -> None:
    """Also what has no canonical form otherwise: fractions, and keys of any kind."""
    plan = {"services": tree, "much": [tree, 'é🐳\\"' * 5_000] * times}
    events = recorded(plan)

    assert recorded_plan(events) == plan
    assert [event.part for event in events] == list(range(1, len(events) + 1))
    assert {event.parts for event in events} == {len(events)}


def test_the_digest_is_that_of_the_whole_text() -> None:
    events = recorded({"services": {f"s{number}": "x" * 90 for number in range(1_000)}})
    text = "".join(event.text for event in events)

    assert len(events) == 4
    assert {event.plan_sha256 for event in events} == {hashlib.sha256(text.encode()).hexdigest()}


def test_a_plan_has_one_text_whatever_the_order_of_its_keys() -> None:
    one, other = recorded({"a": {"x": 1, "y": 2}, "b": []}), recorded({"b": [], "a": {"y": 2, "x": 1}})

    assert one == other


def test_different_plans_have_different_digests() -> None:
    digests = {recorded(plan)[0].plan_sha256 for plan in ({"a": 1}, {"a": "1"}, {"a": 1.5}, {"b": 1}, {})}

    assert len(digests) == 5


def test_the_summary_stands_in_every_part() -> None:
    assert {event.summary for event in recorded(["x" * 90_000], "deploy stack shop")} == {"deploy stack shop"}


def test_a_stream_without_a_plan_records_none() -> None:
    assert recorded_plan([]) is None


@pytest.mark.promise("P9")
@given(
    st.text(st.sampled_from('\\"/\n\x01\x7f\x85é€\u2028🐳a'), min_size=1, max_size=8),
    st.text(st.sampled_from('🐳é\\"a'), min_size=1, max_size=4),
    st.integers(0, 40),
)
def test_every_event_fits_into_the_log(of: str, summary: str, lead: int) -> None:
    """Quotation marks and backslashes are written with one more backslash, twice."""
    plan = {"a" * lead: of * (100_000 // len(of))}

    for event in recorded(plan, (summary * COLUMN_LIMIT)[:COLUMN_LIMIT]):
        assert len(event.encode().encode()) <= MAX_DATA_BYTES


@pytest.mark.promise("P9")
def test_a_plan_of_the_largest_size_is_recorded_and_a_larger_one_refused() -> None:
    most = LARGEST - len('{"a":""}')

    assert len(recorded({"a": "x" * most})) == 64
    with pytest.raises(ArgumentsTooLargeError) as refused:
        recorded({"a": MARKER + "x" * (most + 1 - len(MARKER))})
    assert refused.value.code == "arguments_too_large"
    assert refused.value.message == (
        f"what the command would do takes {LARGEST + 1} bytes to record, at most {LARGEST} are allowed"
    )


@pytest.mark.promise("P6")
@given(st.dictionaries(TEXT, TEXT.map(lambda text: f"{MARKER}{text}"), max_size=5))
def test_secrets_of_a_plan_are_recorded_sealed(environment: dict[str, str]) -> None:
    values: list[str] = []

    def seal(place: str, value: str) -> JSON:
        values.append(value)
        return {SEALED_KEY: {"n": len(place)}}

    model = StackModel("shop", {"name": "shop", "services": {"web": {"environment": environment, "image": "nginx"}}})
    events = plan_events(model, "deploy stack shop", seal)

    assert not any(MARKER in event.encode() for event in events)
    assert sorted(values) == sorted(environment.values())
    assert recorded_plan(events)["services"]["web"]["image"] == "nginx"
