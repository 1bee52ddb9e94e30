"""What Grafana does with a dashboard, as far as the tests need it: its queries, and what fills their blanks."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from dashboards.files import DASHBOARDS, FOLDER

Json = dict[str, Any]

_VARIABLE = re.compile(r"\$\{(\w+)(?::(\w+))?\}|\$(\w+)")


def shipped(name: str) -> Json:
    """Return a dashboard as it is shipped."""
    loaded: Json = json.loads((FOLDER / name).read_text())
    return loaded


def panels(dashboard: Json) -> list[Json]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries(dashboard: Json) -> Iterator[tuple[str, Json]]:
    """Yield every query of a dashboard with the title of its panel."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield panel["title"], target


def filled(query: str, values: Mapping[str, str | list[str]]) -> str:
    """Return a query with its variables filled in; ``sqlstring`` quotes each value as Grafana does."""

    def value(found: re.Match[str]) -> str:
        name, form = found[1] or found[3], found[2]
        given = values[name]
        if form != "sqlstring" or given == "'__all'":
            assert isinstance(given, str)
            return given
        texts = given if isinstance(given, list) else [given]
        return ",".join("'" + text.replace("'", "''") + "'" for text in texts)

    return _VARIABLE.sub(value, query)


def used_variables(text: str) -> set[str]:
    """Return the names of the variables that a text uses."""
    return {found[1] or found[3] for found in _VARIABLE.finditer(text)}


ALL = tuple(DASHBOARDS)
