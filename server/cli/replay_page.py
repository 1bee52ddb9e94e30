"""The page of a replay: one HTML file that needs nothing else, and that nothing recorded can turn into a program.

What was recorded is hostile input: names, purposes and messages are chosen by callers and containers. So the data stand
in the page packed (gzip, Base64), where no text of theirs is text of the page; its script puts them into the document
as text alone; and the policy of the page (CSP) allows this script and this style, by their hashes, and no connection.
"""

import base64
import gzip
import hashlib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Final

import orjson

from domain.canonical import JSON
from domain.catalogue import CATALOGUE
from domain.catalogue.tool import Effect
from domain.chain import timestamp
from domain.events import RecordedEvent
from domain.exported import shown_data
from domain.replay.entry import Entry, Wanted
from domain.replay.view import begun_row, changes_told, fits, object_row
from domain.replay.world import Key, Known
from server.cli.stretch import Stretch
from server.version import VERSION

MOST_LANES: Final = 1_500
"""Objects on one page; of more, those that something happened to."""

_TEMPLATE: Final = "replay_page.html"
_DATA: Final = "@DATA@"
_POLICY: Final = "@POLICY@"
_DULL: Final = frozenset({"arguments_mac", "result_sha256", "executor", "engine_time"})
"""What nobody looks for in a page; the log has it."""
_MOST_SHOWN: Final = 8 * 1024
_LEVEL: Final = 9


def page(stretch: Stretch, wanted: Wanted) -> str:
    """Return the page of a stretch of the log."""
    packed = gzip.compress(orjson.dumps(page_data(stretch, wanted)), _LEVEL, mtime=0)
    return _template().replace(_DATA, base64.b64encode(packed).decode())


@cache
def _template() -> str:
    """Return the template with the policy that allows its own style and script."""
    text = (files("server.cli") / _TEMPLATE).read_text(encoding="utf-8")
    allowed = {
        f"{kind}-src": " ".join(_hash(content) for content in re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL))
        for kind, tag in (("style", "style"), ("script", "script"))
    }
    policy = "; ".join(f"{name} {hashes}" for name, hashes in allowed.items())
    return text.replace(_POLICY, f"default-src 'none'; {policy}; base-uri 'none'; form-action 'none'")


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def page_data(stretch: Stretch, wanted: Wanted) -> dict[str, JSON]:
    """Return what the page shows, as its script reads it."""
    timeline, found = stretch.timeline, stretch.found
    entries = timeline.entries()
    lanes = _lanes(stretch, entries, wanted)
    numbers = {key: number for number, key in enumerate(lanes)}
    by_name = {timeline.names[key]: number for key, number in numbers.items() if key in timeline.names}
    return {
        "about": {
            "since_ms": stretch.since_ms,
            "until_ms": max(stretch.until_ms, stretch.since_ms + 1),
            "first": found.after + 1,
            "last": found.last,
            "records": stretch.records,
            "left_out": timeline.left_out,
            "wanted": {name: getattr(wanted, name) for name in wanted.__slots__ if getattr(wanted, name)},
            "only_of": found.principal,
            "made_at": timestamp(found.now_ms),
            "version": VERSION,
            "chain": _chain(stretch),
        },
        "lanes": [_lane(key, stretch) for key in lanes],
        "entries": [_entry(entry, _lanes_of(entry, numbers, by_name)) for entry in entries],
        "unfinished": [begun_row(begun) for begun in timeline.world.begun.values()],
    }


def _chain(stretch: Stretch) -> dict[str, JSON]:
    """Return what is known of the integrity of the records that the page is made from."""
    if stretch.faults is None:
        why = "the role sees its own records alone" if stretch.found.principal else "the record before them is missing"
        return {"state": "unchecked", "told": f"chain not checked: {why}"}
    if stretch.faults:
        first = stretch.faults[0]
        return {"state": "broken", "told": f"chain broken at record {first.position}: {first.problem}"}
    if not stretch.records:
        return {"state": "unchecked", "told": "no records, no chain"}
    span = f"records {stretch.found.after + 1} to {stretch.found.last}"
    return {"state": "intact", "told": f"chain intact, {span}", "head": stretch.head}


def _lanes(stretch: Stretch, entries: list[Entry], wanted: Wanted) -> list[Key]:
    """Return the objects that get a lane: those that something happened to first, grouped by stack."""
    timeline = stretch.timeline
    first: dict[Key, int] = {}
    for entry in entries:
        for key in entry.touched:
            first.setdefault(key, entry.position)
    shown = [key for key in first if key in timeline.spans]
    fit = fits(wanted)
    if not (wanted.principal or wanted.correlation_id):
        shown += [key for key in timeline.spans if key not in first and (known := _known(stretch, key)) and fit(known)]
    shown = shown[:MOST_LANES]

    def place(key: Key) -> tuple[str, int, str]:
        known = _known(stretch, key)
        stack = known.name if known and known.kind == "stack" else str(known.facts.get("stack") or "") if known else ""
        return (stack or "\uffff", key[0] != "stack", timeline.names.get(key, ""))

    return sorted(shown, key=place)


def _known(stretch: Stretch, key: Key) -> Known | None:
    world = stretch.timeline.world
    return world.objects.get(key) or world.gone.get(key) or stretch.before.objects.get(key)


def _lane(key: Key, stretch: Stretch) -> dict[str, JSON]:
    known = _known(stretch, key)
    row = object_row(known, stretch.timeline.world) if known else {}
    return {
        "kind": key[0],
        "name": (known.name if known else stretch.timeline.names.get(key, "").partition("/")[2]) or key[1][:12],
        "id": key[1],
        "spans": [[span.since_ms, span.until_ms, span.told, span.position] for span in stretch.timeline.spans[key]],
        **{name: row[name] for name in ("image", "stack", "networks", "memory_bytes", "made_by") if name in row},
    }


def _lanes_of(entry: Entry, numbers: Mapping[Key, int], by_name: Mapping[str, int]) -> list[int]:
    """Return the lanes of an entry; one that only looked at an object is known by the object's name."""
    found = {numbers[key] for key in entry.touched if key in numbers}
    return sorted(found or {by_name[name] for name in entry.names if name in by_name})


def _entry(entry: Entry, lanes: list[int]) -> dict[str, JSON]:
    told: dict[str, JSON] = {
        "k": entry.kind,
        "p": entry.position,
        "t": entry.at_ms,
        "u": entry.until_ms,
        "w": entry.what,
        "by": entry.principal,
        "role": entry.role,
        "o": entry.object,
        "s": entry.status or ("authorized" if entry.kind == "command" else None),
        "sum": entry.summary,
        "why": entry.reason,
        "pur": entry.purpose,
        "con": entry.correlation_id,
        "id": entry.command_id,
        "rule": f"{entry.rule} of policy {entry.policy_digest}" if entry.rule else None,
        "ext": entry.external,
        "bad": entry.is_bad,
        "read": entry.kind == "command" and _reads(entry.what),
        "l": lanes,
        "ch": list(changes_told(entry)),
        "ev": list(_events(entry.events)),
    }
    return {name: value for name, value in told.items() if value not in (None, "", [], False)}


def _reads(name: str) -> bool:
    tool = CATALOGUE.by_name(name)
    return tool is not None and tool.effect is Effect.READ


def _events(events: list[RecordedEvent]) -> Iterator[dict[str, JSON]]:
    for event in events:
        data = {name: value for name, value in shown_data(event).items() if name not in _DULL}
        if len(orjson.dumps(data)) > _MOST_SHOWN:
            data = {"summary": data.get("summary"), "left out": "large; `docker-mcp audit --show` tells all"}
        yield {"p": event.position, "t": event.occurred_at_ms, "y": event.type, "d": data, "h": event.event_hash}
