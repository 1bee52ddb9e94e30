"""How a command's plan stands in its stream: as JSON text, in as many events as it needs."""

import json
from collections.abc import Iterable
from typing import Final

from domain.canonical import JSON, sha256_hex
from domain.catalogue.tool import Plan
from domain.errors import ArgumentsTooLargeError
from domain.events import CommandPlanned
from domain.secrets import Seal

_PART: Final = 30_000
"""Characters of plan text in one event: ASCII, at most doubled when the event is written as JSON."""
_MOST_PARTS: Final = 64


def plan_events(plan: Plan, summary: str, seal: Seal) -> list[CommandPlanned]:
    """Return the events that record ``plan``.

    Raises:
        ArgumentsTooLargeError: if it takes more than 64 events.
    """
    text = json.dumps(plan.sealed(seal), separators=(",", ":"), sort_keys=True)
    parts = [text[start : start + _PART] for start in range(0, len(text), _PART)]
    if len(parts) > _MOST_PARTS:
        raise ArgumentsTooLargeError(
            f"what the command would do takes {len(text)} bytes to record, at most {_PART * _MOST_PARTS} are allowed"
        )
    digest = sha256_hex(text.encode())
    return [
        CommandPlanned(summary=summary, part=number, parts=len(parts), text=part, plan_sha256=digest)
        for number, part in enumerate(parts, 1)
    ]


def recorded_plan(events: Iterable[CommandPlanned]) -> JSON:
    """Return the plan that the events of one stream record, its secrets sealed; None if there is none."""
    text = "".join(event.text for event in events)
    return json.loads(text) if text else None
