"""Every expression of the dashboard and of the rules, asked of a real Prometheus that watched a real server."""

from typing import Any

import pytest

from tests.monitoring.grafana import panels, queries, shipped
from tests.monitoring.prometheus import Prometheus
from tests.monitoring.traffic import DENIED, FAILED, STRANGERS
from tests.protocol.servers import HttpServer
from tests.waiting import wait_for

Watched = tuple[HttpServer, Prometheus]

OPERATIONS = shipped("operations.json")
CHOICES = {"tool": ".*", "role": ".*", "__interval": "2s", "__range": "5m", "prometheus": "prometheus"}
QUERIES = [(f"{title} {target['refId']}", target) for title, target in queries(OPERATIONS)]


def asked(prometheus: Prometheus, target: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask as Grafana does: at one moment, or over the range shown."""
    expr = target["expr"]
    for name, value in CHOICES.items():
        expr = expr.replace(f"${name}", value)
    return prometheus.now(expr) if target["instant"] else prometheus.lately(expr)


def numbers(series: dict[str, Any]) -> list[float]:
    return [float(value) for _, value in series.get("values", [series.get("value")])]


@pytest.mark.engine
@pytest.mark.parametrize(("title", "target"), QUERIES, ids=[title for title, _ in QUERIES])
def test_no_panel_is_empty(watched: Watched, title: str, target: dict[str, Any]) -> None:
    found = asked(watched[1], target)
    assert found, f"{title}: {target['expr']}"
    assert all(number == number and number >= 0 for series in found for number in numbers(series))


def shown(prometheus: Prometheus, title: str) -> list[dict[str, Any]]:
    (panel,) = [panel for panel in panels(OPERATIONS) if panel["title"] == title]
    return asked(prometheus, panel["targets"][0])


def summed(prometheus: Prometheus, title: str, label: str) -> dict[str, float]:
    """Return what a panel of bars shows altogether, by a label."""
    total: dict[str, float] = {}
    for series in shown(prometheus, title):
        name = series["metric"].get(label, "")
        total[name] = total.get(name, 0) + sum(numbers(series))
    return {name: count for name, count in total.items() if count}


@pytest.mark.engine
@pytest.mark.promise("P8")
def test_the_bars_count_every_command_once_also_the_first_of_its_kind(watched: Watched) -> None:
    server, prometheus = watched
    ended: dict[str, float] = {}
    for row in server.records.rows():
        if row.tool and row.status in ("success", "failed", "denied", "rejected"):
            ended[row.status] = ended.get(row.status, 0) + 1
    assert ended["denied"] == DENIED
    assert ended["failed"] == FAILED
    wait_for(lambda: summed(prometheus, "Commands by outcome", "outcome") == ended, what=f"{ended}")
    wait_for(lambda: summed(prometheus, "Denials", "rule") == {"role-user": DENIED}, what="the denials")
    wait_for(lambda: summed(prometheus, "Authentications", "outcome").get("failed") == STRANGERS, what="failed log-ins")


@pytest.mark.engine
def test_what_the_engine_did_is_shown_beside_what_was_asked(watched: Watched) -> None:
    def shown_actions() -> set[str]:
        return set(summed(watched[1], "Engine events", "action"))

    wait_for(lambda: {"create", "start", "die", "destroy"} <= shown_actions(), what="the engine's events")


@pytest.mark.engine
def test_what_stands_at_a_glance_is_true(watched: Watched) -> None:
    _, prometheus = watched
    glance = {title: numbers(shown(prometheus, title)[0]) for title in ("Engine", "Chain", "Unfinished", "Failed")}
    carried_out = prometheus.value('sum(docker_mcp_commands_total{outcome=~"success|failed"})')
    assert carried_out
    assert glance == {"Engine": [1], "Chain": [1], "Unfinished": [0], "Failed": [FAILED / carried_out]}


@pytest.mark.engine
def test_a_slow_tool_stands_before_a_quick_one(watched: Watched) -> None:
    ranked = {series["metric"]["tool"]: numbers(series)[0] for series in shown(watched[1], "Slowest tools")}
    assert ranked["stop-container"] >= 1
    assert ranked["stop-container"] > ranked["list-containers"]


@pytest.mark.engine
def test_every_rule_can_be_evaluated_and_none_of_the_alerts_fires_on_a_healthy_server(watched: Watched) -> None:
    _, prometheus = watched
    wait_for(lambda: all(rule["health"] == "ok" for rule in prometheus.rules()), what="the rules")
    states = {rule["name"]: rule["state"] for rule in prometheus.rules() if rule["type"] == "alerting"}
    assert len(states) >= 9
    assert {name for name, state in states.items() if state == "firing"} == set()
    assert prometheus.value('count(ALERTS{alertstate="firing"}) or vector(0)') == 0


@pytest.mark.engine
def test_the_counts_of_the_rules_saw_what_happened(watched: Watched) -> None:
    _, prometheus = watched

    def highest(name: str) -> float | None:
        return prometheus.value(f"max_over_time({name}[5m])")

    assert highest("docker_mcp:denials:5m") == DENIED
    assert highest("docker_mcp:commands_failed:15m") == FAILED
    assert highest("docker_mcp:authentication_failures:5m") == STRANGERS
    assert (highest("docker_mcp:commands_carried_out:15m") or 0) > FAILED
