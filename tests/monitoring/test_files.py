"""The shipped files: what Grafana, Prometheus and Alertmanager need of them, and that they fit together.

Grafana publishes the dashboard's schema as TypeScript types only (``@grafana/schema``); here stands what it needs of a
dashboard to show it.
"""

import re
import subprocess
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.audit_trail import DATASOURCE_UID
from dashboards.files import DASHBOARDS, text_of
from domain.projections.metrics import FOLDED, LIVE, MetricKind
from tests.monitoring.grafana import panels, queries, shipped, used_variables
from tests.monitoring.prometheus import SHIPPED, program

ROOT = Path(__file__).parents[2]
NAMES = tuple(DASHBOARDS)
KINDS = {"bargauge", "heatmap", "stat", "table", "timeseries"}
OF_GRAFANA = {"__from", "__to", "__interval", "__interval_ms", "__range", "__url_time_range", "__field", "__value"}
OF_PROMETHEUS = {"up", "ALERTS"}
DECLARED = {metric.name: metric for metric in (*FOLDED, *LIVE)}
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((SHIPPED / "prometheus/rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}


@pytest.mark.parametrize("name", NAMES)
def test_the_generated_files_are_current(name: str) -> None:
    assert (SHIPPED / "grafana" / name).read_text() == text_of(name), "run `make docs`"


@pytest.mark.parametrize("name", NAMES)
def test_every_panel_has_what_a_person_needs(name: str) -> None:
    for panel in panels(shipped(name)):
        assert panel["type"] in KINDS
        assert panel["title"]
        assert len(panel["description"]) > 20, panel["title"]
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["unit"]
        assert defaults["noValue"], f"{panel['title']} says nothing while it is empty"
        assert defaults["thresholds"]["steps"][0]["value"] is None


@pytest.mark.parametrize("name", NAMES)
def test_panels_have_ids_of_their_own_and_do_not_overlap(name: str) -> None:
    placed = shipped(name)["panels"]
    assert [number for number, times in Counter(panel["id"] for panel in placed).items() if times > 1] == []
    for one, other in combinations([panel["gridPos"] for panel in placed], 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)
    assert max(panel["gridPos"]["x"] + panel["gridPos"]["w"] for panel in placed) == 24


@pytest.mark.parametrize("name", NAMES)
def test_queries_and_links_use_variables_that_there_are(name: str) -> None:
    dashboard = shipped(name)
    declared = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert used_variables(str(dashboard["panels"])) <= declared | OF_GRAFANA
    assert declared <= used_variables(str(dashboard["panels"])), "a variable that changes nothing"


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_a_dashboard_and_a_variable_of_it(name: str) -> None:
    found = {shipped(each)["uid"]: shipped(each) for each in NAMES}
    links = re.findall(r"/d/([\w-]+)([^\"']*)", str(shipped(name)))
    assert links
    for uid, rest in links:
        offered = {variable["name"] for variable in found[uid]["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)=", rest)) <= offered


def test_both_audit_trails_are_one() -> None:
    one, other = shipped("audit-trail-postgres.json"), shipped("audit-trail-sqlite.json")
    assert one["uid"] == other["uid"]
    assert [panel["title"] for panel in panels(one)] == [panel["title"] for panel in panels(other)]


@pytest.mark.parametrize(
    "expr",
    [target["expr"] for _, target in queries(shipped("operations.json"))] + [rule["expr"] for rule in RULES],
)
def test_expressions_name_metrics_and_labels_that_are_declared(expr: str) -> None:
    labels = {"le", "job", "instance", "alertname", "alertstate"}
    for name in set(re.findall(r"docker_mcp_\w+", re.sub(r"docker_mcp:[\w:]+", "", expr))):
        metric = DECLARED.get(name) or DECLARED[re.sub(r"_(bucket|sum|count)$", "", name)]
        assert (name == metric.name) == (metric.kind is not MetricKind.HISTOGRAM), name
        labels |= set(metric.labels)
    for name, matchers in re.findall(r"(\w+)\{([^}]*)\}", expr):
        own = {*DECLARED[re.sub(r"_(bucket|sum|count)$", "", name)].labels} if name not in OF_PROMETHEUS else labels
        assert set(re.findall(r"(\w+)=", matchers)) <= own, expr
    for grouped in re.findall(r"(?:by|without) \(([^)]*)\)", expr):
        assert set(filter(None, grouped.split(", "))) <= labels, expr
    assert set(re.findall(r"docker_mcp:[\w:]+", expr)) <= RECORDED


def test_every_metric_is_shown_or_watched() -> None:
    everything = str(shipped("operations.json")) + str(RULES)
    assert [name for name in DECLARED if name not in everything] == []


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_tells_what_it_is_and_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"]
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    runbook = (ROOT / page).read_text()
    assert f"## {name}\n" in runbook
    assert anchor == name.lower()
    section = runbook.split(f"## {name}\n")[1].split("\n## ")[0]
    assert all(f"**{word}.**" in section for word in ("Means", "Look", "Do"))
    assert "`docker-mcp " in section


def test_the_runbook_speaks_of_alerts_and_commands_that_there_are() -> None:
    runbook = (ROOT / "docs/runbook.md").read_text()
    assert re.findall(r"^## (\w+)$", runbook, re.M) == list(ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_is_tested_firing_and_not_firing(name: str) -> None:
    tests = yaml.safe_load((ROOT / "tests/monitoring/rules_test.yml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"] if case["alertname"] == name]
    assert any(case["exp_alerts"] for case in cases)
    assert any(not case["exp_alerts"] for case in cases)


@pytest.mark.parametrize(
    "command",
    [
        ("promtool", "check", "rules", "dashboards/prometheus/rules.yml"),
        ("promtool", "check", "config", "dashboards/prometheus/prometheus.yml"),
        ("promtool", "test", "rules", "tests/monitoring/rules_test.yml"),
        ("amtool", "check-config", "dashboards/alertmanager/alertmanager.yml"),
    ],
    ids=" ".join,
)
def test_prometheus_and_alertmanager_take_their_files(command: tuple[str, ...]) -> None:
    name, *arguments = command
    done = subprocess.run([program(name), *arguments], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_alert_reaches_the_documented_receiver() -> None:
    config = SHIPPED / "alertmanager/alertmanager.yml"
    routed = [program("amtool"), "config", "routes", "test", f"--config.file={config}", "severity=critical"]
    done = subprocess.run(routed, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "operator"


def test_data_sources_are_those_that_the_dashboards_ask() -> None:
    sources = {
        source["uid"]: source["type"]
        for file in ("prometheus", "log-postgres", "log-sqlite")
        for source in yaml.safe_load((SHIPPED / f"grafana/provisioning/datasources/{file}.yml").read_text())[
            "datasources"
        ]
        if file != "log-sqlite"
    }
    for panel in panels(shipped("audit-trail-postgres.json")):
        assert sources[DATASOURCE_UID] == panel["datasource"]["type"]
    (sqlite,) = yaml.safe_load((SHIPPED / "grafana/provisioning/datasources/log-sqlite.yml").read_text())["datasources"]
    for panel in panels(shipped("audit-trail-sqlite.json")):
        assert panel["datasource"] == {"type": sqlite["type"], "uid": sqlite["uid"]}
