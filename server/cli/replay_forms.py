"""The forms in which ``docker-mcp replay`` prints: tables for people, JSON for programs."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from domain.canonical import JSON
from domain.text import printable
from server.cli.audit_forms import json_text, table

Row = Mapping[str, Any]

_STATE: Final = (
    ("kind", "KIND"),
    ("name", "NAME"),
    ("state", "STATE"),
    ("image", "IMAGE"),
    ("networks", "NETWORKS"),
    ("stack", "STACK"),
    ("memory_bytes", "MEMORY"),
    ("changed_at", "CHANGED"),
    ("changed_by", "BY"),
    ("change", "CHANGE"),
    ("external", "EXTERNAL"),
    ("id", "ID"),
    ("command_id", "COMMAND"),
)
_TIMELINE: Final = (
    ("at", "TIME"),
    ("principal", "BY"),
    ("what", "WHAT"),
    ("object", "OBJECT"),
    ("status", "STATUS"),
    ("changes", "CHANGES"),
    ("reason", "REASON"),
    ("purpose", "PURPOSE"),
    ("command_id", "COMMAND"),
)
_DIFFERENCES: Final = (
    ("kind", "KIND"),
    ("name", "NAME"),
    ("difference", "DIFFERENCE"),
    ("fields", "FIELDS"),
    ("changed_at", "AT"),
    ("changed_by", "BY"),
    ("change", "CHANGE"),
    ("id", "ID"),
    ("command_id", "COMMAND"),
)
_DRIFT: Final = (
    ("kind", "KIND"),
    ("name", "NAME"),
    ("drift", "DRIFT"),
    ("fields", "LOG → ENGINE"),
    ("changed_at", "LAST KNOWN"),
    ("changed_by", "BY"),
    ("id", "ID"),
    ("command_id", "COMMAND"),
)
_OTHERS: Final = (
    ("kind", "KIND"),
    ("name", "NAME"),
    ("state", "STATE"),
    ("changed_at", "CHANGED"),
    ("changed_by", "BY"),
    ("id", "ID"),
)
_UNFINISHED: Final = (
    ("at", "TIME"),
    ("principal", "BY"),
    ("tool", "WHAT"),
    ("object", "OBJECT"),
    ("status", "STATUS"),
    ("command_id", "COMMAND"),
)
_SECTIONS: Final = {
    "state": ("state", _STATE, "the log knows no object at that moment"),
    "unfinished": ("commands in progress", _UNFINISHED, ""),
    "timeline": ("timeline", _TIMELINE, "nothing that fits happened in that time"),
    "differences": ("differences", _DIFFERENCES, "nothing differs between the two moments"),
    "others": ("others that this name can mean: ask --why with KIND/NAME or the ID", _OTHERS, ""),
    "drift": ("drift", _DRIFT, "the engine shows what the log knows"),
}


def json_form(answer: Row) -> str:
    """Return the answer as indented JSON that steers no terminal."""
    return json_text(answer)


def table_form(answer: Row) -> str:
    """Return the answer for people: what it is about, and a table for each section."""
    parts = [_about(answer["about"])]
    for name, rows in answer.items():
        if name == "why":
            parts.append("\n".join(_why(rows)))
        elif name == "plan":
            parts.append("\n".join(_plan(rows)))
        elif name in _SECTIONS:
            title, columns, nothing = _SECTIONS[name]
            if rows or nothing:
                parts.append(f"{title}\n{table([_flat(row) for row in rows], columns, nothing)}")
    if left_out := answer.get("others_left_out"):
        parts.append(f"{left_out} more of that name left out: `--at` an earlier moment")
    return "\n\n".join(parts)


def _about(about: Row) -> str:
    until = f"to {about['at']} (position {about['position']})" if about["position"] else "before the log begins"
    since = ""
    if "from" in about and about["position"]:
        since = (
            f"from {about['from']} (after position {about['after']}) "
            if about["after"]
            else "from the beginning of the log "
        )
    own = f"; only what {about['only_of']} did, as the role has it" if "only_of" in about else ""
    left = f"; {about['left_out']} older entries left out: narrow the stretch" if about.get("left_out") else ""
    return printable(f"{since}{until}{own}{left}")


def _flat(row: Row) -> dict[str, str]:
    return {name: _cell(name, value) for name, value in row.items()}


def _cell(name: str, value: JSON) -> str:
    if name == "fields":
        return "; ".join(f"{field}: {_plain(old)} → {_plain(new)}" for field, (old, new) in value.items())
    if name == "memory_bytes":
        return f"{value >> 20} MiB"
    if isinstance(value, list):
        return "; ".join(map(str, value)) if name == "changes" else ", ".join(map(str, value))
    return "yes" if value is True else str(value)


def _plain(value: JSON) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _why(rows: Sequence[Row]) -> list[str]:
    """Return the chain of causes, each step below the one that it explains."""
    lines = []
    for row in rows:
        if row["step"] == "state":
            lines.append(f"{row['kind']}/{row['name']} ({row['id']}) is {row['state']}")
        elif row["step"] == "made":
            lines.append("made by")
            lines += _command(row, "  ", "whose records are not here: those before a rotation are in the archive")
        else:
            external = ", by no recorded command" if row.get("external") else ""
            lines.append(
                f"because of {row['what']} by {row['by']} at {row['at']}{external} (position {row['position']})"
            )
            lines += [f"  {told}" for told in (*row.get("changes", ()), row.get("reason")) if told]
            if cause := row.get("cause"):
                lines += _command(cause, "  ", "see above")
    return list(map(printable, lines))


def _command(row: Row, indent: str, untold: str) -> list[str]:
    if "tool" not in row:
        return [f"{indent}command {row['command_id']}, {untold}"]
    lines = [f"{indent}command {row['command_id']}: {row.get('summary', row['tool'])} ({row['status']})"]
    lines.append(f"{indent}  by {row['principal']} ({row['role']}) at {row['at']}, over {row.get('transport')}")
    told = {
        "purpose": row.get("purpose", "undeclared"),
        "conversation": row.get("correlation_id"),
        "rule": f"{row['rule']} of policy {row['policy']}" if "rule" in row else None,
        "in force since": row.get("policy_since"),
        "approved by": row.get("approved_by"),
    }
    return lines + [f"{indent}  {name}: {value}" for name, value in told.items() if value is not None]


def _plan(rows: Sequence[Row]) -> list[str]:
    """Return a call a line, as JSON; what the log does not tell stands before it as a note."""
    lines = ["# the calls that would make the state again, for you to look at; sealed values have to be filled in"]
    if not rows:
        lines.append("# none: the log knows nothing at that moment that would have to be made")
    for row in rows:
        if "note" in row:
            lines.append(f"# {row['object']}: {row['note']}")
        else:
            lines += [f"# {row['object']}" + (f", as command {row['made_by']} made it" if "made_by" in row else "")]
            lines += [f"#   fill in {', '.join(row['fill_in'])}"] if "fill_in" in row else []
            lines.append(orjson.dumps({"tool": row["tool"], "arguments": row["arguments"]}).decode())
    return list(map(printable, lines))
