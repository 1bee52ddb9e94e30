"""Read models do not depend on how the log is cut into batches, and are what counting by hand yields."""

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.events import (
    CommandDenied,
    CommandReceived,
    CommandSucceeded,
    CommandUnknown,
    EngineGap,
    EngineObserved,
    EngineSuppressed,
    NewEvent,
    RecordedEvent,
    event_of,
)
from domain.lifecycle import FINAL
from domain.principal import SYSTEM
from domain.projections.metric_series import MOST_VALUES, MetricSeries, Sample, SeriesKey
from domain.projections.open_commands import OpenCommands, standings
from tests.contract.events import AUTHORIZED, LIFE, RECEIVED, STARTED, UNKNOWN, life, stream
from tests.domain.legal_logs import legal_logs, recorded


def batches(rows: list[RecordedEvent], cuts: list[int]) -> list[list[RecordedEvent]]:
    places = sorted({0, len(rows), *(cut % (len(rows) + 1) for cut in cuts)})
    return [rows[start:end] for start, end in pairwise(places)]


def folded(*events: NewEvent) -> MetricSeries:
    series = MetricSeries()
    series.fold(recorded(list(events)))
    return series


def samples(series: MetricSeries, name: str) -> list[Sample]:
    (family,) = [family for family in series.families() if family.metric.name == name]
    return family.samples


def by_labels(series: MetricSeries, name: str) -> dict[tuple[str, ...], float]:
    return {tuple(sample.labels.values()): sample.value for sample in samples(series, name)}


@pytest.mark.promise("P8")
@given(legal_logs(), st.lists(st.integers(0, 1000), max_size=6))
def test_series_are_the_same_folded_whole_or_in_parts_or_after_each_restart(
    log: list[NewEvent], cuts: list[int]
) -> None:
    rows = recorded(log)
    whole = MetricSeries()
    added = whole.fold(rows)
    stored: Counter[SeriesKey] = Counter()
    position = 0
    for batch in batches(rows, cuts):
        restarted = MetricSeries(stored, position)
        stored.update(restarted.fold(batch))
        position = restarted.position
    assert +stored == +whole.values == +Counter(added)
    assert position == len(rows)


@pytest.mark.promise("P8")
@given(legal_logs(), st.lists(st.integers(0, 1000), max_size=6))
def test_open_commands_are_the_same_folded_whole_or_in_parts(log: list[NewEvent], cuts: list[int]) -> None:
    rows = recorded(log)
    whole, parts = OpenCommands(), OpenCommands()
    whole.fold(rows)
    for batch in batches(rows, cuts):
        parts.fold(batch)
    assert whole.commands() == parts.commands()
    ended = {row.stream for row in rows if row.status in FINAL}
    assert {command.command_id for command in whole.commands()} == {row.stream for row in rows if row.tool} - ended


@given(legal_logs())
def test_series_are_what_counting_by_hand_yields(log: list[NewEvent]) -> None:
    rows = recorded(log)
    series = MetricSeries()
    series.fold(rows)
    final = [row for row in rows if row.tool and row.status in FINAL]
    durations = [row.payload()["duration_us"] for row in final if "duration_us" in row.payload()]
    sums = [
        sample.value for sample in samples(series, "docker_mcp_command_duration_seconds") if sample.suffix == "_sum"
    ]
    assert by_labels(series, "docker_mcp_commands_total") == Counter((row.tool, row.status, row.role) for row in final)
    assert by_labels(series, "docker_mcp_events_total") == Counter((row.type,) for row in rows)
    assert by_labels(series, "docker_mcp_denials_total") == Counter(
        (row.tool, row.payload()["rule"]) for row in final if row.type == CommandDenied.type
    )
    begun = sum(row.type == CommandReceived.type for row in rows)
    assert by_labels(series, "docker_mcp_commands_unfinished") == {(): begun - len(final)}
    assert by_labels(series, "docker_mcp_log_position") == {(): len(rows)}
    assert sum(sums) == pytest.approx(sum(durations) / 1_000_000)


def test_an_unknown_outcome_counts_only_once_it_is_settled() -> None:
    command = stream()
    begun = life(RECEIVED, AUTHORIZED, STARTED, UNKNOWN, of=command)
    assert by_labels(folded(*begun), "docker_mcp_commands_total") == {}
    assert by_labels(folded(*begun), "docker_mcp_commands_unfinished") == {(): 1}
    settled = [*begun, command.add(CommandSucceeded(summary="stop container web", reconciled=True))]
    assert by_labels(folded(*settled), "docker_mcp_commands_total") == {("stop-container", "success", "admin"): 1}
    assert by_labels(folded(*settled), "docker_mcp_commands_unfinished") == {(): 0}
    assert samples(folded(*settled), "docker_mcp_command_duration_seconds") == []


def test_buckets_are_cumulative_and_a_bound_belongs_to_its_bucket() -> None:
    def lived(duration_us: int) -> list[NewEvent]:
        return life(*LIFE[:3], CommandSucceeded(summary="stop container web", duration_us=duration_us))

    taken = [1_000, 1_001, 2_500, 301_000_000]
    found = samples(folded(*(event for us in taken for event in lived(us))), "docker_mcp_command_duration_seconds")
    buckets = {sample.labels["le"]: sample.value for sample in found if sample.suffix == "_bucket"}
    assert [buckets[bound] for bound in ("0.001", "0.0025", "300.0", "+Inf")] == [1, 3, 3, 4]
    assert list(buckets.values()) == sorted(buckets.values())
    assert [sample.value for sample in found if sample.suffix == "_count"] == [4]
    assert [sample.value for sample in found if sample.suffix == "_sum"] == [301.004501]


@pytest.mark.parametrize("duration", ["-1", "9007199254740992", "1.5", '"1"', "null", "true"])
def test_a_duration_that_is_none_is_left_out(duration: str) -> None:
    events = life()
    events[-1] = events[-1]._replace(data=f'{{"duration_us":{duration}}}')
    assert samples(folded(*events), "docker_mcp_command_duration_seconds") == []
    assert by_labels(folded(*events), "docker_mcp_commands_total") == {("stop-container", "success", "admin"): 1}


def test_events_of_a_later_version_and_broken_rows_are_counted_and_go_no_further() -> None:
    events = [event._replace(type="moon.landed", tool=None, status=None) for event in life(RECEIVED)]
    events += [event._replace(data='{"duration_us":') for event in life()[-1:]]
    assert by_labels(folded(*events), "docker_mcp_events_total") == {("moon.landed",): 1, ("command.succeeded",): 1}


def test_a_label_keeps_a_bounded_number_of_values() -> None:
    events = [event for number in range(MOST_VALUES + 7) for event in life(of=stream(role=f"role{number}"))]
    rows = recorded(events)
    series = MetricSeries()
    series.fold(rows[:-9])
    series = MetricSeries(series.values, series.position)  # as after a restart
    series.fold(rows[-9:])
    counted = by_labels(series, "docker_mcp_commands_total")
    assert len(counted) == MOST_VALUES + 1
    assert counted["stop-container", "success", "_other"] == 7


def test_a_command_answers_to_the_last_executor_that_its_events_name() -> None:
    command = stream()
    events = recorded(life(RECEIVED, AUTHORIZED, STARTED.model_copy(update={"executor": "another"}), of=command))
    names = []
    for end in range(1, 4):
        commands = OpenCommands()
        commands.fold(events[:end])
        names.append(commands.commands()[0].executor)
    assert names == ["someone", "someone", "another"]


def test_a_command_that_a_survivor_calls_unknown_still_answers_to_its_own_executor() -> None:
    events = recorded(life(RECEIVED, AUTHORIZED, STARTED, CommandUnknown(summary="s", code="c", message="m")))
    standing = standings(events[3:])[events[0].stream]
    assert standing is not None
    assert (standing.status, standing.executor) == ("unknown", None)


def test_events_of_the_engine_count_whether_recorded_or_only_counted() -> None:
    said: dict[str, Any] = {"engine": "e", "engine_time": "0.001000000"}
    died = EngineObserved(kind="container", action="die", object_id="c", occurred_at_ms=1, external=True, **said)
    counts = (("container", "die", 5), ("network", "connect", 7))
    storm = EngineSuppressed(since_ms=1, until_ms=2, total=12, counts=counts, newest="d", **said)
    events = [event_of(SYSTEM, event, "engine/e", f"id-{number}") for number, event in enumerate((died, storm))]
    found = by_labels(folded(*events), "docker_mcp_engine_events_total")
    assert found == {("container", "die"): 6, ("network", "connect"): 7}


@pytest.mark.parametrize(
    "counts", ["null", "7", "[7]", '[["container","die"]]', '[["container","die",-1]]', "[[1,2,3]]"]
)
def test_counts_of_no_form_are_left_out(counts: str) -> None:
    storm = event_of(SYSTEM, EngineGap(engine="e", until_ms=1, engine_time="0.001000000"), "engine/e", "id")
    storm = storm._replace(type="engine.suppressed", data=f'{{"counts":{counts}}}')
    assert by_labels(folded(storm), "docker_mcp_engine_events_total") == {}
