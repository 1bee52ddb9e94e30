"""Series go into the log that continues another, and come out as they were."""

from typing import Any

import pytest
from hypothesis import given

from domain.events import LogContinued
from domain.projections.carried_over import carried, taken_over
from domain.projections.folded import EventPart
from domain.projections.metric_series import MetricSeries, SeriesKey
from tests.domain.legal_logs import legal_logs, recorded


def beginning(metrics: Any) -> EventPart:
    event = LogContinued(log="l", position=9, head="h", file_name="f", file_sha256="s", metrics=metrics)
    return EventPart(1, "log", event.type, "system", "system", None, None, event.encode(), "hash")


@pytest.mark.promise("P8")
@given(legal_logs())
def test_counters_go_on(events: Any) -> None:
    old, new = MetricSeries(), MetricSeries()
    old.fold(recorded(events))

    new.fold([beginning(carried(old.values))])

    old.values[SeriesKey("docker_mcp_events_total", ("log.continued",))] += 1
    assert {key: value for key, value in new.values.items() if value} == {
        key: value for key, value in old.values.items() if value
    }


def test_what_does_not_fit_begins_anew() -> None:
    many = {("docker_mcp_denials_total", (f"tool-{number}", "r" * 40), ""): 1 for number in range(1000)}
    few = {("docker_mcp_events_total", ("command.denied",), ""): 1000}

    assert carried({**many, **few}) == {"docker_mcp_events_total": [["command.denied", 1000]]}


@pytest.mark.parametrize(
    "metrics",
    [
        None,
        [],
        {"docker_mcp_events_total": 1},
        {"docker_mcp_events_total": [["x"], ["x", "y", "z", 1], [1, 1], "x"]},
        {"no_such_metric": [["x", 1]]},
    ],
)
def test_rows_of_another_form_are_left_out(metrics: Any) -> None:
    assert list(taken_over(metrics)) == []
