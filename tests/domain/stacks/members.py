"""Containers of made-up stacks."""

from typing import Any

from hypothesis import strategies as st

from domain.stacks.state import Member
from tests.domain.strategies import COUNTS, TEXT

T0, T1, T2, T3 = (f"2026-06-06T12:00:0{second}Z" for second in range(4))

MEMBERS = st.builds(
    Member,
    id=TEXT,
    name=TEXT,
    service=TEXT,
    status=TEXT,
    health=st.none() | TEXT,
    exit_code=COUNTS,
    started_at=st.none() | TEXT,
    finished_at=st.none() | TEXT,
    config=TEXT,
)


def member(service: str = "web", number: int = 1, **changes: Any) -> Member:
    """A container that runs since T1."""
    given: dict[str, Any] = {
        "id": f"{service}-{number}",
        "name": f"shop-{service}-{number}",
        "service": service,
        "status": "running",
        "health": None,
        "exit_code": 0,
        "started_at": T1,
        "finished_at": None,
        "config": f"hash-of-{service}",
    }
    return Member(**{**given, **changes})


def ended(service: str = "web", number: int = 1, **changes: Any) -> Member:
    """A container that ran from T0 to T1."""
    return member(service, number, **{"status": "exited", "started_at": T0, "finished_at": T1, **changes})
