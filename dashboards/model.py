"""The parts that a Grafana dashboard consists of, as JSON.

Source: https://grafana.com/docs/grafana/latest/visualizations/dashboards/build-dashboards/view-dashboard-json-model/
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

SCHEMA_VERSION: Final = 39
"""Of the dashboard model: Grafana 10.3 and newer read it."""

WIDTH: Final = 24
"""Columns of Grafana's grid."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel, before it has a place.

    Attributes:
        title: what it shows, in a few words.
        about: what to read from it, for the person who looks.
        kind: Grafana's name of the visualization.
        targets: its queries.
        empty: what it says while there is no data.
        unit: Grafana's name of the unit.
        size: width and height in cells of the grid.
        steps: colours from which value on; the first from minus infinity.
        options: of the visualization.
        custom: of its fields.
        mappings: words in the place of values.
        overrides: what is different for single fields.
        links: where a value leads.
    """

    title: str
    about: str
    kind: str
    targets: Sequence[Json]
    empty: str
    unit: str = "short"
    size: tuple[int, int] = (12, 8)
    steps: Sequence[tuple[str, float | None]] = (("green", None),)
    options: Mapping[str, Any] = field(default_factory=dict)
    custom: Mapping[str, Any] = field(default_factory=dict)
    mappings: Sequence[Json] = ()
    overrides: Sequence[Json] = ()
    links: Sequence[Json] = ()

    def placed(self, number: int, x: int, y: int, datasource: Json) -> Json:
        """Return the panel's JSON at a place of the grid."""
        width, height = self.size
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.about,
            "datasource": datasource,
            "gridPos": {"x": x, "y": y, "w": width, "h": height},
            "targets": [{**target, "datasource": datasource} for target in self.targets],
            "options": dict(self.options),
            "fieldConfig": {
                "defaults": {
                    "unit": self.unit,
                    "noValue": self.empty,
                    "thresholds": {
                        "mode": "absolute",
                        "steps": [{"color": color, "value": value} for color, value in self.steps],
                    },
                    "mappings": list(self.mappings),
                    "links": list(self.links),
                    "custom": dict(self.custom),
                },
                "overrides": list(self.overrides),
            },
        }


def words(texts: Mapping[int, tuple[str, str]]) -> Json:
    """Return a mapping of values to a word and its colour."""
    return {
        "type": "value",
        "options": {
            str(value): {"text": text, "color": color, "index": index}
            for index, (value, (text, color)) in enumerate(texts.items())
        },
    }


def of_field(name: str, **properties: Any) -> Json:
    """Return an override for the field ``name``; a dot of a property's name is written as two underscores."""
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()],
    }


def link(title: str, url: str) -> Json:
    """Return a link of a value."""
    return {"title": title, "url": url, "targetBlank": False}


def laid_out(rows: Iterable[tuple[str, Sequence[Panel]]], datasource: Json) -> list[Json]:
    """Return rows with their panels, side by side from the left, a new line where one does not fit any more."""
    placed: list[Json] = []
    y = 0
    for title, panels in rows:
        placed.append(
            {
                "id": len(placed) + 1,
                "type": "row",
                "title": title,
                "collapsed": False,
                "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1},
                "panels": [],
            }
        )
        x, y, tallest = 0, y + 1, 0
        for panel in panels:
            width, height = panel.size
            if x + width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            placed.append(panel.placed(len(placed) + 1, x, y, datasource))
            x, tallest = x + width, max(tallest, height)
        y += tallest
    return placed


def choice(name: str, label: str, about: str, query: Json, datasource: Json | None, **more: Any) -> Json:
    """Return a variable of which any number of values can be chosen, at first all."""
    return {
        "name": name,
        "label": label,
        "description": about,
        "multi": True,
        "includeAll": True,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "hide": 0,
        "skipUrlSync": False,
        "sort": 1,
        **({"datasource": datasource} if datasource else {}),
        **query,
        **more,
    }


def text_box(name: str, label: str, about: str) -> Json:
    """Return a variable that takes any text, at first none."""
    return {
        "name": name,
        "label": label,
        "description": about,
        "type": "textbox",
        "query": "",
        "current": {"selected": True, "text": "", "value": ""},
        "hide": 0,
        "skipUrlSync": False,
    }


def dashboard(
    uid: str, title: str, about: str, panels: Sequence[Json], variables: Sequence[Json], links: Sequence[Json]
) -> Json:
    """Return a dashboard."""
    return {
        "uid": uid,
        "title": title,
        "description": about,
        "tags": ["docker-mcp"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "annotations": {"list": []},
        "templating": {"list": list(variables)},
        "links": list(links),
        "panels": list(panels),
    }


def to_dashboard(title: str, uid: str) -> Json:
    """Return a link from one dashboard to another that keeps the time range."""
    return {
        "type": "link",
        "title": title,
        "url": f"/d/{uid}",
        "icon": "dashboard",
        "keepTime": True,
        "includeVars": False,
        "targetBlank": False,
        "asDropdown": False,
        "tags": [],
        "tooltip": "",
    }
