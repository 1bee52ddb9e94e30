"""Writes the reference pages from the declarations: ``python -m server.reference`` (``make docs``)."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from domain.catalogue import CATALOGUE
from domain.catalogue.tool import AnyTool, Command, Surface
from domain.projections.metrics import FOLDED, LIVE, Metric
from domain.secrets import secret_fields
from server.cli.reference import commands_page
from server.settings import Settings

_DOCS: Final = Path(__file__).parent.parent / "docs"


def tools_page() -> str:
    """Return ``docs/tools.md``."""
    parts = [
        "# Tools",
        "",
        "Generated from the catalogue by `make docs`. Unknown arguments and wrong types are refused.",
    ]
    parts += ["", "| tool | effect | repeatable | what it does |", "|---|---|---|---|"]
    parts += [
        f"| [{tool.name}](#{tool.name}) | {tool.effect} | {'yes' if tool.idempotent else 'no'} | {tool.description} |"
        for tool in CATALOGUE.on(Surface.TOOL)
    ]
    parts += ["", "| prompt | what it does |", "|---|---|"]
    parts += [f"| [{tool.name}](#{tool.name}) | {tool.description} |" for tool in CATALOGUE.on(Surface.PROMPT)]
    for tool in CATALOGUE:
        if tool.surface is not Surface.COMMAND_LINE:
            parts += ["", *_section(tool)]
    return "\n".join(parts) + "\n"


def settings_table() -> str:
    """Return the table of settings for ``docs/configuration.md``."""
    rows = ["| variable | meaning | default |", "|---|---|---|"]
    for name, info in Settings.model_fields.items():
        default = "" if info.default is None else f"`{info.default}`"
        rows.append(f"| `{name}` | {info.description} | {default} |")
    return "\n".join(rows)


def metrics_table(metrics: Iterable[Metric]) -> str:
    """Return a table of metrics for ``docs/observability.md``."""
    rows = ["| metric | kind | labels | what it tells |", "|---|---|---|---|"]
    for metric in metrics:
        rows.append(f"| `{metric.name}` | {metric.kind} | {', '.join(metric.labels)} | {metric.help} |")
    return "\n".join(rows)


def with_settings(page: str) -> str:
    """Return ``page`` with the part between its two marks replaced by the table of settings."""
    return _with(page, "settings", settings_table())


def with_metrics(page: str) -> str:
    """Return ``page`` with the parts between their marks replaced by the tables of metrics."""
    page = _with(page, "metrics of the log", metrics_table(FOLDED))
    return _with(page, "metrics of the moment", metrics_table(LIVE))


def _with(page: str, what: str, table: str) -> str:
    mark = f"<!-- generated: {what} -->"
    before, _, rest = page.partition(mark)
    return f"{before}{mark}\n{table}\n{mark}{rest.partition(mark)[2]}"


def _section(tool: AnyTool) -> list[str]:
    lines = [f"## {tool.name}", "", tool.description]
    properties: Mapping[str, Any] = tool.input_schema.get("properties", {})
    if not properties:
        return [*lines, "", "No arguments."]
    lines += ["", "| argument | type | default | |", "|---|---|---|---|"]
    command: type[Command] = tool.command
    secret = secret_fields(command)
    required = tool.input_schema.get("required", [])
    definitions = tool.input_schema.get("$defs", {})
    for name, schema in properties.items():
        default = "required" if name in required else _default(schema)
        notes = [schema.get("description", ""), "sealed in the log" if name in secret else ""]
        lines.append(f"| `{name}` | {_type(schema, definitions)} | {default} | {'; '.join(filter(None, notes))} |")
    return lines


def _default(schema: Mapping[str, Any]) -> str:
    return f"`{str(schema['default']).lower()}`" if schema.get("default") not in (None, []) else ""


def _type(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if options := schema.get("anyOf"):
        return " or ".join(dict.fromkeys(_type(option, definitions) for option in options))
    if reference := schema.get("$ref"):
        fields = definitions[reference.rpartition("/")[2]]["properties"]
        return "object (" + ", ".join(f"`{field}`" for field in fields) + ")"
    if values := schema.get("enum"):
        return ", ".join(f"`{value}`" for value in values)
    if schema["type"] == "array":
        return f"list of {_type(schema['items'], definitions)}"
    if schema["type"] == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"map to {_type(schema['additionalProperties'], definitions)}"
    return {"object": "map"}.get(schema["type"], str(schema["type"]))


def main() -> None:
    (_DOCS / "tools.md").write_text(tools_page())
    (_DOCS / "commands.md").write_text(commands_page())
    configuration = _DOCS / "configuration.md"
    configuration.write_text(with_settings(configuration.read_text()))
    observability = _DOCS / "observability.md"
    observability.write_text(with_metrics(observability.read_text()))


if __name__ == "__main__":
    main()
