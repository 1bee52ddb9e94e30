"""The dashboard *Operations*: how the server does, from the metrics in Prometheus."""

from collections.abc import Sequence
from typing import Final

from dashboards import audit_trail
from dashboards.model import Json, Panel, choice, dashboard, laid_out, link, to_dashboard, words
from domain.projections import metrics
from domain.projections.metrics import Metric

UID: Final = "docker-mcp-operations"
DATASOURCE: Final[Json] = {"type": "prometheus", "uid": "${prometheus}"}

_CHOSEN: Final = 'tool=~"$tool"'
_CHOSEN_ROLE: Final = 'tool=~"$tool",role=~"$role"'
_BY_TOOL: Final = f"/d/{audit_trail.UID}?${{__url_time_range}}&var-tool=${{__field.labels.tool}}"


def total(metric: Metric, by: Sequence[str] = (), match: str = "", *, part: str = "", offset: str = "") -> str:
    """Return the PromQL of a folded metric's value, summed over all labels but ``by``.

    Every server on one log tells the same values, so of several the greatest counts, not their sum.
    """
    selected = f"{metric.name}{part}{{{match}}}" if match else f"{metric.name}{part}"
    ago = f" offset {offset}" if offset else ""
    grouped = f"sum by ({', '.join(by)}) " if by else "sum"
    return f"{grouped}(max without (instance) ({selected}{ago}))"


def grown(
    metric: Metric, window: str, by: Sequence[str] = (), match: str = "", *, part: str = "", since_ever: bool = False
) -> str:
    """Return the PromQL of how much a folded counter grew within ``window``, exactly.

    ``increase`` guesses beyond the ends of the window and does not see the first count of a series, which here appears
    with it. These counters never fall back, so that a difference is right. Where Prometheus did not know the log at the
    beginning of the window there is no value; with ``since_ever`` it then counts from the log's beginning.
    """
    now = total(metric, by, match, part=part)
    before = total(metric, by, match, part=part, offset=window)
    known = "" if since_ever else f" and on () {total(metrics.LOG_POSITION, offset=window)}"
    return f"{now} - ({before} or {now} * 0{known})"


def _query(expr: str, legend: str = "", *, instant: bool = False, form: str = "time_series", ref: str = "A") -> Json:
    return {
        "refId": ref,
        "expr": expr,
        "legendFormat": legend or "__auto",
        "format": form,
        "instant": instant,
        "range": not instant,
        "editorMode": "code",
    }


def _or_none(expr: str, label: str, text: str) -> str:
    """Return ``expr``, and a zero named ``text`` while it has no series."""
    return f'({expr}) or on () label_replace(vector(0), "{label}", "{text}", "", "")'


def _stat(title: str, about: str, expr: str, empty: str, **more: object) -> Panel:
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "background",
        "graphMode": "none",
        "textMode": "auto",
    }
    found: Json = {"size": (4, 4), "options": options, **more}
    return Panel(
        title=title, about=about, kind="stat", targets=[_query(expr, title, instant=True)], empty=empty, **found
    )


def _lines(title: str, about: str, targets: Sequence[Json], empty: str, **more: object) -> Panel:
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 10, "showPoints": "never", "spanNulls": True}
    found: Json = {"options": options, "custom": custom, **more}
    return Panel(title=title, about=about, kind="timeseries", targets=targets, empty=empty, **found)


def _bars(title: str, about: str, expr: str, legend: str, empty: str, **more: object) -> Panel:
    custom = {
        "drawStyle": "bars",
        "fillOpacity": 80,
        "lineWidth": 0,
        "barAlignment": -1,
        "stacking": {"mode": "normal", "group": "A"},
    }
    target = {**_query(expr, legend), "interval": "30s"}
    return _lines(title, about, [target], empty, **{"custom": custom, **more})


def _ranking(title: str, about: str, expr: str, empty: str, **more: object) -> Panel:
    options = {
        "displayMode": "basic",
        "orientation": "horizontal",
        "showUnfilled": True,
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    links = [link("Its commands in the audit trail", _BY_TOOL)]
    found: Json = {"options": options, "links": links, "steps": (("blue", None),), **more}
    target = _query(expr, "{{tool}}", instant=True)
    return Panel(title=title, about=about, kind="bargauge", targets=[target], empty=empty, **found)


_FAILED: Final = f'outcome="failed",{_CHOSEN_ROLE}'
_CARRIED_OUT: Final = f'outcome=~"success|failed",{_CHOSEN_ROLE}'


def error_ratio(
    window: str, failed: str = _FAILED, carried_out: str = _CARRIED_OUT, *, since_ever: bool = False
) -> str:
    """Return the PromQL of the share of failed commands among those that were carried out within ``window``."""
    bad = grown(metrics.COMMANDS, window, match=failed, since_ever=since_ever)
    all_of_them = grown(metrics.COMMANDS, window, match=carried_out, since_ever=since_ever)
    return f"(({bad}) or vector(0)) / (({all_of_them}) > 0)"


def _glance() -> list[Panel]:
    return [
        _stat(
            "Engine",
            "Whether the Docker Engine answers every server. Down: commands fail, and nothing is lost.",
            f"min({metrics.ENGINE_UP.name})",
            "no server",
            mappings=[words({0: ("down", "red"), 1: ("up", "green")})],
            steps=(("red", None), ("green", 1)),
        ),
        _stat(
            "Chain",
            "Whether every server finds the log's chain intact. Broken: somebody changed a record; see the runbook.",
            f"min({metrics.CHAIN_INTACT.name})",
            "no server",
            mappings=[words({0: ("broken", "red"), 1: ("intact", "green")})],
            steps=(("red", None), ("green", 1)),
        ),
        _stat(
            "Alerts",
            "Alerts of this server that fire in Prometheus.",
            'count(ALERTS{alertname=~"DockerMcp.*",alertstate="firing"}) or vector(0)',
            "no Prometheus",
            steps=(("green", None), ("red", 1)),
        ),
        _stat(
            "Failed",
            "The share that failed of the commands carried out in the range shown. Refused ones are not carried out.",
            f"{error_ratio('$__range', since_ever=True)} or vector(0)",
            "no command",
            unit="percentunit",
            steps=(("green", None), ("yellow", 0.05), ("red", 0.25)),
        ),
        _stat(
            "Unfinished",
            "Commands without a final status: running, waiting for approval, or with an outcome that nobody can tell.",
            f"max({metrics.UNFINISHED.name})",
            "no server",
            steps=(("green", None), ("yellow", 20), ("red", 100)),
        ),
        _stat(
            "Oldest unfinished",
            "Since when the oldest of them is in the log. Deployments take up to an hour, approvals longer.",
            f"max({metrics.OLDEST_UNFINISHED.name})",
            "no server",
            unit="s",
            steps=(("green", None), ("yellow", 900), ("red", 3600)),
        ),
    ]


def _commands() -> list[Panel]:
    duration = metrics.COMMAND_DURATION
    slowest = grown(duration, "$__range", ("tool", "le"), _CHOSEN, part="_bucket", since_ever=True)
    return [
        _bars(
            "Commands by outcome",
            "Commands that ended, in each interval. `denied` and `rejected` never reached Docker.",
            grown(metrics.COMMANDS, "$__interval", ("outcome",), _CHOSEN_ROLE),
            "{{outcome}}",
            "no command yet",
            overrides=_outcome_colors(),
        ),
        _lines(
            "Error ratio",
            "The share that failed of the commands carried out in the five minutes before; 0 where none was.",
            [_query(f"{error_ratio('5m')} or vector(0)", "failed")],
            "no command yet",
            unit="percentunit",
            steps=(("green", None), ("yellow", 0.05), ("red", 0.25)),
        ),
        Panel(
            title="Durations",
            about="How long commands took to carry out, the brighter the more. Points: single ones, with trace ids.",
            kind="heatmap",
            targets=[
                {
                    **_query(
                        grown(duration, "$__interval", ("le",), _CHOSEN, part="_bucket"), "{{le}}", form="heatmap"
                    ),
                    "interval": "30s",
                    "exemplar": True,
                }
            ],
            empty="no command was carried out yet",
            unit="short",
            options={
                "calculate": False,
                "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5, "fill": "dark-orange"},
                "cellGap": 1,
                "filterValues": {"le": 1e-9},
                "yAxis": {"unit": "s", "axisPlacement": "left", "reverse": False},
                "rowsFrame": {"layout": "auto"},
                "tooltip": {"mode": "single", "yHistogram": False},
                "legend": {"show": True},
            },
        ),
        _ranking(
            "Slowest tools",
            "The duration that 95 of 100 commands of a tool stay below, in the range shown.",
            f"topk(10, histogram_quantile(0.95, {slowest}) > 0)",
            "no command was carried out in this range",
            unit="s",
            size=(6, 8),
        ),
        _ranking(
            "Busiest tools",
            "Commands that ended in the range shown.",
            f"topk(10, ({grown(metrics.COMMANDS, '$__range', ('tool',), _CHOSEN_ROLE, since_ever=True)}) > 0)",
            "no command ended in this range",
            size=(6, 8),
        ),
    ]


def _access() -> list[Panel]:
    return [
        _bars(
            "Denials",
            "Commands that a rule denied, in each interval, by tool and rule.",
            _or_none(grown(metrics.DENIALS, "$__interval", ("tool", "rule"), _CHOSEN), "rule", "none"),
            "{{tool}} {{rule}}",
            "no server",
        ),
        _bars(
            "Authentications",
            "Recorded authentications in each interval: each user, key and source of a server once, and each failure.",
            _or_none(grown(metrics.AUTHENTICATIONS, "$__interval", ("outcome",)), "outcome", "none"),
            "{{outcome}}",
            "no server",
            overrides=_outcome_colors(),
        ),
    ]


def _log() -> list[Panel]:
    return [
        _lines(
            "Position and verification",
            "The log's newest position, and the one up to which a server has verified it, which follows the first.",
            [
                _query(f"max({metrics.LOG_POSITION.name})", "newest"),
                _query(f"max({metrics.CHAIN_VERIFIED_POSITION.name})", "verified", ref="B"),
            ],
            "no server",
        ),
        _bars(
            "Events",
            "Events appended to the log in each interval, by type.",
            grown(metrics.EVENTS, "$__interval", ("type",)),
            "{{type}}",
            "no event yet",
        ),
        _bars(
            "Engine events",
            "What Docker did in each interval, whoever caused it: also what nobody asked for, such as a crash.",
            _or_none(grown(metrics.ENGINE_EVENTS, "$__interval", ("kind", "action")), "action", "none"),
            "{{kind}} {{action}}",
            "no server",
            size=(24, 8),
        ),
        _lines(
            "Projection lag",
            "Events that the metrics do not count yet. A scrape catches up first, so it stays at 0.",
            [_query(f"max({metrics.PROJECTION_LAG.name})", "events behind")],
            "no server",
            steps=(("green", None), ("red", 1000)),
            size=(8, 8),
        ),
        _lines(
            "Log size",
            "Space that the log takes in its database.",
            [_query(f"max({metrics.LOG_SIZE.name})", "size")],
            "no server",
            unit="bytes",
            size=(8, 8),
        ),
        _lines(
            "Servers",
            "1 for each server that Prometheus reaches, 0 for one that it does not.",
            [_query('up{job="docker-mcp"}', "{{instance}}")],
            "Prometheus scrapes no server",
            custom={
                "drawStyle": "line",
                "lineInterpolation": "stepAfter",
                "lineWidth": 2,
                "axisSoftMax": 1,
                "axisSoftMin": 0,
            },
            size=(8, 8),
        ),
    ]


def _outcome_colors() -> list[Json]:
    colors = {
        "success": "green",
        "failed": "red",
        "denied": "orange",
        "rejected": "yellow",
        "refused": "purple",
        "expired": "super-light-purple",
        "cancelled": "gray",
    }
    return [
        {
            "matcher": {"id": "byName", "options": outcome},
            "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}],
        }
        for outcome, color in colors.items()
    ]


def operations() -> Json:
    """Return the dashboard."""
    rows = [
        ("At a glance", _glance()),
        ("Commands", _commands()),
        ("Who may", _access()),
        ("Log and servers", _log()),
    ]
    source = {
        "name": "prometheus",
        "label": "Prometheus",
        "description": "The Prometheus that scrapes the servers.",
        "type": "datasource",
        "query": "prometheus",
        "hide": 0,
        "skipUrlSync": False,
    }
    variables = [source, *(_label_choice(label) for label in ("tool", "role"))]
    about = "How the Docker MCP server does. What agents did stands in the audit trail."
    links = [to_dashboard("Audit trail", audit_trail.UID)]
    return dashboard(UID, "Docker MCP: Operations", about, laid_out(rows, DATASOURCE), variables, links)


def _label_choice(label: str) -> Json:
    query = {
        "type": "query",
        "query": {"query": f"label_values({metrics.COMMANDS.name}, {label})", "refId": f"variable-{label}"},
        "refresh": 2,
    }
    return choice(label, label.title(), f"Commands of these {label}s only.", query, DATASOURCE, allValue=".*")
