"""The figures as text, as a Markdown table, as JSON, and as the page in ``docs``."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.chart import chart
from tests.benchmarks.measure import Row, shown

PAGE: Final = Path(__file__).parents[2] / "docs" / "benchmarks.md"
_HEAD: Final = ("what", "ours", "floor", "ratio", "aim", "")

Results = Mapping[str, Any]
"""What :func:`results` returns, also when it was read from a file."""


def results(title: str, rows: Sequence[Row], facts: Mapping[str, object]) -> Results:
    """Return all that a run has found, as JSON takes it; ``facts`` are about the machine and the run."""
    machine = {
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[1], 1),
        "at": datetime.now(UTC).isoformat(timespec="minutes"),
    }
    return {"title": title, **machine, **facts, "rows": [row.as_json() for row in rows]}


def conditions(found: Results) -> str:
    """Return under which circumstances the figures were taken."""
    known = {"cpus": "CPUs", "python": "Python", "fdatasync_ms": "fdatasync (ms)", "load": "load (5 min)"}
    told = [f"{name} {found[key]}" for key, name in known.items() if key in found]
    return f"{found['at'][:10]}, {found['machine']}, {', '.join(told)}"


def text(rows: Sequence[Row]) -> str:
    """Return the rows as aligned text."""
    lines = [_HEAD, *(_cells(row.as_json()) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in padded)


def markdown(found: Results) -> str:
    """Return the conditions of a run and its rows as a Markdown table."""
    lines = ["| what | ours | floor | ratio | aim | |", "|---|---|---|---|---|---|"]
    lines += [f"| {' | '.join(_cells(row))} |" for row in found["rows"]]
    return "\n".join([f"{conditions(found)}.", "", *lines])


def write(found: Results, directory: Path, name: str) -> None:
    """Write ``name``.json, ``name``.md and ``name``.svg into a directory, which is made if it is missing."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    (directory / f"{name}.md").write_text(markdown(found) + "\n")
    (directory / f"{name}.svg").write_text(chart(found["title"], conditions(found), found["rows"]))


def publish(directory: Path, to: Path = PAGE) -> list[str]:
    """Put the tables that stand in a directory into a page, their charts beside it; return the names of those found."""
    page, names = to.read_text(), list[str]()
    for file in sorted(directory.glob("*.json")):
        name, found = file.stem, json.loads(file.read_text())
        before, begin, rest = page.partition(f"<!-- {name}: begin -->\n")
        _, end, after = rest.partition(f"<!-- {name}: end -->\n")
        if not end:
            continue
        page = f"{before}{begin}![{found['title']}]({name}.svg)\n\n{markdown(found)}\n{end}{after}"
        (to.parent / f"{name}.svg").write_text((directory / f"{name}.svg").read_text())
        names.append(name)
    to.write_text(page)
    return names


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    what = f"{row['what']} ({row['note']})" if row["note"] else str(row["what"])
    floor = "" if row["floor"] is None else f"{_with_unit(row['floor'], row['unit'])}: {row['floor_is']}"
    ratio = "" if row["ratio"] is None else shown(row["ratio"])
    return what, _with_unit(row["ours"], row["unit"]), floor, ratio, row["aim"] or "", (row["verdict"] or "").upper()


def _with_unit(number: float, unit: str) -> str:
    return f"{shown(number)}{'' if unit.startswith('/') else ' '}{unit}"
