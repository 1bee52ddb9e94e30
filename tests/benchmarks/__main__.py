"""``make benchmark``: measures, prints the speed table, and writes it with a chart; ``--help`` tells the rest.

Made logs of any length can be made and asked by themselves: ``generate``, ``ask`` and ``replay`` with a database URL.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from adapters.store.location import Location
from tests.benchmarks import report
from tests.benchmarks.asking import audit_queries
from tests.benchmarks.bench import QUICK, Effort, bench
from tests.benchmarks.made_log import generate
from tests.benchmarks.measure import Row
from tests.benchmarks.recording import sync_ms
from tests.benchmarks.replaying import replay
from tests.benchmarks.sections import SECTIONS

_TITLE: Final = "Docker MCP Server: share of each aim"
_LARGE: Final = 5_000_000
_LONG: Final = 100_000


def main(arguments: Sequence[str]) -> None:
    asked = _parser().parse_args(arguments)
    if asked.do == "measure":
        measure(asked.only or list(SECTIONS), _effort(asked), asked.to)
    elif asked.do == "publish":
        print(f"docs/benchmarks.md: {', '.join(report.publish(asked.to)) or 'nothing found'}")
    elif asked.do == "generate":
        print(f"{generate(Location.parse(asked.url), asked.events):,.0f} events/s")
    elif asked.do == "ask":
        print(report.text(audit_queries(Location.parse(asked.url), 30, only_slowest=False)))
    else:
        print(report.text(replay(Location.parse(asked.url), 3)))


def measure(sections: Sequence[str], effort: Effort, to: Path) -> None:
    """Measure sections of the table; what is done is written after each, since the whole takes its time."""
    rows: list[Row] = []
    with bench(effort) as place:
        facts = {"fdatasync_ms": round(sync_ms(place.directory), 2)}
        found = report.results(_TITLE, rows, facts)
        for section in sections:
            for row in SECTIONS[section](place):
                print(report.text([row]).splitlines()[-1], file=sys.stderr, flush=True)
                rows.append(row)
            report.write(found := report.results(_TITLE, rows, facts), to, "benchmarks")
    print(f"{report.conditions(found)}\n{report.text(rows)}\n\nwritten to {to}: benchmarks.json, .md and .svg")


def _effort(asked: argparse.Namespace) -> Effort:
    effort = QUICK if asked.quick else Effort()
    if asked.large:
        effort = replace(effort, events=(*effort.events, _LARGE))
    return replace(effort, calls=_LONG) if asked.long else effort


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.set_defaults(do="measure", only=None, quick=False, large=False, long=False, to=Path("build/benchmarks"))
    _measuring(parser)
    commands = parser.add_subparsers(metavar="COMMAND")
    publish = commands.add_parser("publish", help="put the last tables and charts into docs/benchmarks.md")
    publish.set_defaults(do="publish")
    for name, told in (("generate", "fill an empty log"), ("ask", "ask a log by every filter"), ("replay", "open one")):
        command = commands.add_parser(name, help=told)
        command.set_defaults(do=name)
        command.add_argument("url", metavar="URL")
        if name == "generate":
            command.add_argument("events", metavar="EVENTS", type=int, nargs="?", default=1_000_000)
    return parser


def _measuring(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="fewer rounds and short logs: shows that it works")
    parser.add_argument("--large", action="store_true", help="also logs of 5 M events")
    parser.add_argument("--long", action="store_true", help="memory over 100,000 calls")
    parser.add_argument("--only", action="append", choices=SECTIONS, help="this section; may be repeated")
    parser.add_argument("--to", type=Path, help="where the table is written: build/benchmarks")


if __name__ == "__main__":
    main(sys.argv[1:])
