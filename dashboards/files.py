"""The generated files."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from dashboards.audit_trail import POSTGRES, SQLITE, audit_trail
from dashboards.model import Json
from dashboards.operations import operations

FOLDER: Final = Path(__file__).parent / "grafana"

DASHBOARDS: Final[Mapping[str, Callable[[], Json]]] = {
    "operations.json": operations,
    "audit-trail-postgres.json": partial(audit_trail, POSTGRES),
    "audit-trail-sqlite.json": partial(audit_trail, SQLITE),
}


def text_of(name: str) -> str:
    """Return what the generated file ``name`` holds."""
    return json.dumps(DASHBOARDS[name](), indent=1, ensure_ascii=False) + "\n"


def write() -> None:
    """Write every generated file."""
    for name in DASHBOARDS:
        (FOLDER / name).write_text(text_of(name))
