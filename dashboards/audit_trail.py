"""The dashboard *Audit trail*: who did what, by SQL on the log, for PostgreSQL and for SQLite."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dashboards.model import Json, Panel, choice, dashboard, laid_out, link, of_field, text_box, to_dashboard
from domain.lifecycle import Status

UID: Final = "docker-mcp-audit"
DATASOURCE_UID: Final = "docker-mcp-log"

_SQLITE_PLUGIN: Final = "frser-sqlite-datasource"
_MOST_ROWS: Final = 200
_REFUSED: Final = "status IN ('denied', 'rejected', 'refused', 'expired')"
_OPEN: Final = "status IN ('authorized', 'deferred', 'running', 'unknown')"
_ALL: Final = "'__all'"
"""Stands for every value. Grafana puts it in as it is, while chosen values are quoted."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One database.

    Attributes:
        plugin: Grafana's name of the data source.
        field: SQL of a text in an event's data, by its key.
        time: SQL of an event's time, as the plugin takes it.
    """

    plugin: str
    field: str
    time: str

    @property
    def datasource(self) -> Json:
        return {"type": self.plugin, "uid": DATASOURCE_UID}

    def query(self, sql: str, *, series: bool = False) -> Json:
        """Return a query as the data source takes it; the column ``time`` is one of times."""
        if self.plugin == _SQLITE_PLUGIN:
            kind = "time series" if series else "table"
            return {"refId": "A", "queryText": sql, "rawQueryText": sql, "queryType": kind, "timeColumns": ["time"]}
        form = "time_series" if series else "table"
        return {"refId": "A", "rawSql": sql, "rawQuery": True, "editorMode": "code", "format": form}

    def values(self, sql: str) -> Json:
        """Return the query of a variable."""
        if self.plugin == _SQLITE_PLUGIN:
            return {"type": "query", "query": self.query(sql), "refresh": 2}
        return {"type": "query", "query": sql, "refresh": 2}


POSTGRES: Final = Dialect(
    "grafana-postgresql-datasource", "data::json ->> '{}'", "to_timestamp(occurred_at_ms / 1000.0)"
)
SQLITE: Final = Dialect(_SQLITE_PLUGIN, "data ->> '$.{}'", "occurred_at_ms / 1000.0")

_IN_RANGE: Final = "occurred_at_ms BETWEEN $__from AND $__to"


def _chosen(column: str) -> str:
    return f"({_ALL} IN (${{{column}:sqlstring}}) OR {column} IN (${{{column}:sqlstring}}))"


_OBJECT: Final = "(${object:sqlstring} = '' OR object LIKE '%' || ${object:sqlstring} || '%')"
_FILTER: Final = "\n  AND ".join((_IN_RANGE, *map(_chosen, ("principal", "tool", "status")), _OBJECT))

_GLANCE: Final = f"""
SELECT count(*) AS "Commands",
       count(DISTINCT principal) AS "Principals",
       coalesce(sum(CASE WHEN status = 'failed' THEN 1 ELSE 0 END), 0) AS "Failed",
       coalesce(sum(CASE WHEN {_REFUSED} THEN 1 ELSE 0 END), 0) AS "Refused",
       coalesce(sum(CASE WHEN {_OPEN} THEN 1 ELSE 0 END), 0) AS "Open"
FROM audit_trail
WHERE {_FILTER}
""".strip()

_OVER_TIME: Final = f"""
SELECT occurred_at_ms / $__interval_ms * $__interval_ms / 1000 AS time, status AS metric, count(*) AS commands
FROM audit_trail
WHERE {_FILTER}
GROUP BY 1, 2
ORDER BY 1
""".strip()

_COUNTS: Final = f"""count(*) AS commands,
       sum(CASE WHEN status = 'failed' THEN 1 ELSE 0 END) AS failed,
       sum(CASE WHEN {_REFUSED} THEN 1 ELSE 0 END) AS refused,
       max(occurred_at) AS time"""

_BY_PRINCIPAL: Final = f"""
SELECT principal, role, count(DISTINCT tool) AS tools, {_COUNTS}
FROM audit_trail
WHERE {_FILTER}
GROUP BY principal, role
ORDER BY commands DESC
LIMIT {_MOST_ROWS}
""".strip()

_BY_OBJECT: Final = f"""
SELECT coalesce(object, '(none)') AS object, count(DISTINCT principal) AS principals, {_COUNTS}
FROM audit_trail
WHERE {_FILTER}
GROUP BY 1
ORDER BY commands DESC
LIMIT {_MOST_ROWS}
""".strip()

_NEWEST: Final = f"""
SELECT occurred_at AS time, principal, role, tool, object, status, summary, purpose, reason, duration_us, command_id
FROM audit_trail
WHERE {_FILTER}
ORDER BY position DESC
LIMIT {_MOST_ROWS}
""".strip()


def _story(dialect: Dialect) -> str:
    def told(*keys: str) -> str:
        parts = [dialect.field.format(key) for key in keys]
        return parts[0] if len(parts) == 1 else f"coalesce({', '.join(parts)})"

    return f"""
SELECT {dialect.time} AS time, type AS event, status, principal, role, object, {told("summary")} AS summary,
       {told("rule")} AS rule, {told("reason", "message")} AS reason, {told("code")} AS code,
       {told("duration_us")} AS duration_us, position, trace_id, event_hash
FROM event
WHERE stream = coalesce(nullif(trim(${{command_id:sqlstring}}), ''),
                        (SELECT command_id FROM audit_trail ORDER BY position DESC LIMIT 1))
ORDER BY stream_version
LIMIT {_MOST_ROWS}
""".strip()


def _table(title: str, about: str, target: Json, empty: str, size: tuple[int, int], overrides: Sequence[Json]) -> Panel:
    return Panel(
        title=title,
        about=about,
        kind="table",
        targets=[target],
        empty=empty,
        size=size,
        options={"showHeader": True, "cellHeight": "sm", "footer": {"show": False}},
        custom={"align": "auto", "filterable": True, "inspect": True},
        overrides=[*overrides, *_SHARED],
    )


def _filter_link(variable: str, what: str) -> list[Json]:
    """Return the link of a value that sets the filter ``variable`` to it."""
    return [link(what, f"/d/{UID}?${{__url_time_range}}&var-{variable}=${{__value.raw:percentencode}}")]


_STATUS_COLORS: Final[Mapping[str, str]] = {
    "success": "green",
    "failed": "red",
    "unknown": "dark-red",
    "denied": "orange",
    "rejected": "yellow",
    "refused": "purple",
    "expired": "purple",
    "deferred": "blue",
    "authorized": "blue",
    "running": "blue",
    "cancelled": "text",
}
_STATUSES: Final = sorted({*map(str, Status), "authorized"})
_COLORED: Final = [
    {
        "type": "value",
        "options": {status: {"text": status, "color": _STATUS_COLORS[status], "index": i}},
    }
    for i, status in enumerate(_STATUSES)
]
_SHARED: Final = (
    of_field("time", displayName="When", unit="dateTimeAsIso", custom__width=170),
    of_field("status", mappings=_COLORED, custom__cellOptions={"type": "color-text"}, custom__width=100),
    of_field("duration_us", displayName="duration", unit="µs", custom__width=100),
    of_field("principal", links=_filter_link("principal", "Only this principal")),
    of_field("object", links=_filter_link("object", "Only this object")),
    of_field("command_id", displayName="command", links=_filter_link("command_id", "Its story"), custom__width=310),
)


def _panels(dialect: Dialect) -> list[tuple[str, list[Panel]]]:
    glance = Panel(
        title="In the range shown",
        about="Commands that fit the filters above. Refused: denied by a rule, malformed, or not approved.",
        kind="stat",
        targets=[dialect.query(_GLANCE)],
        empty="0",
        size=(24, 4),
        options={
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value",
            "graphMode": "none",
            "textMode": "value_and_name",
        },
        overrides=[
            of_field(name, thresholds={"mode": "absolute", "steps": [{"color": "text", "value": None}, above]})
            for name, above in (
                ("Failed", {"color": "red", "value": 1}),
                ("Refused", {"color": "orange", "value": 1}),
                ("Open", {"color": "blue", "value": 1}),
            )
        ],
    )
    over_time = Panel(
        title="Commands by status",
        about="When the commands that fit had their latest event.",
        kind="timeseries",
        targets=[dialect.query(_OVER_TIME, series=True)],
        empty="no command fits in this range",
        size=(24, 7),
        options={
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        custom={
            "drawStyle": "bars",
            "fillOpacity": 80,
            "lineWidth": 0,
            "stacking": {"mode": "normal", "group": "A"},
        },
        overrides=[
            {
                "matcher": {"id": "byRegexp", "options": f"/(^|\\W){status}$/"},
                "properties": [
                    {"id": "color", "value": {"mode": "fixed", "fixedColor": color}},
                    {"id": "displayName", "value": status},
                ],
            }
            for status, color in _STATUS_COLORS.items()
        ],
    )
    newest = _table(
        "Commands",
        f"The newest {_MOST_ROWS} that fit, newest first. A command's id leads to its story below.",
        dialect.query(_NEWEST),
        "no command fits; widen the range or the filters",
        (24, 12),
        (),
    )
    by_principal = _table(
        "By principal",
        "Who was active, most commands first.",
        dialect.query(_BY_PRINCIPAL),
        "no command fits",
        (12, 9),
        [of_field("time", displayName="Last", unit="dateTimeAsIso", custom__width=170)],
    )
    by_object = _table(
        "By object",
        "What was touched or asked about, most commands first.",
        dialect.query(_BY_OBJECT),
        "no command fits",
        (12, 9),
        [of_field("time", displayName="Last", unit="dateTimeAsIso", custom__width=170)],
    )
    story = _table(
        "One command's story",
        "Every event of the command in the filter `Command`, else of the newest one. What it was asked and answered is "
        "shown by `docker-mcp audit --show ID`, with what is sealed left sealed.",
        dialect.query(_story(dialect)),
        "no such command",
        (24, 9),
        (),
    )
    return [
        ("What happened", [glance, over_time, newest]),
        ("Who and what", [by_principal, by_object]),
        ("Why", [story]),
    ]


def audit_trail(dialect: Dialect) -> Json:
    """Return the dashboard for one database."""

    def of_column(column: str) -> Json:
        sql = f"SELECT DISTINCT {column} FROM audit_trail WHERE {_IN_RANGE} ORDER BY 1 LIMIT 1000"
        about = f"Commands of these {column}s only."
        return choice(column, column.title(), about, dialect.values(sql), dialect.datasource, allValue=_ALL)

    statuses = {"type": "custom", "query": ",".join(_STATUSES)}
    statuses["options"] = [{"text": each, "value": each, "selected": False} for each in _STATUSES]  # type: ignore[assignment]
    variables = [
        of_column("principal"),
        of_column("tool"),
        choice("status", "Status", "Commands with these statuses only.", statuses, None, allValue=_ALL),
        text_box("object", "Object", "A part of its name, such as web or container/web."),
        text_box("command_id", "Command", "A command's id: its story stands at the bottom."),
    ]
    about = "Who did what with Docker, when, why and with what result: SQL on the log's view audit_trail."
    links = [to_dashboard("Operations", "docker-mcp-operations")]
    panels = laid_out(_panels(dialect), dialect.datasource)
    return dashboard(UID, "Docker MCP: Audit trail", about, panels, variables, links)
