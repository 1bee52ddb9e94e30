"""What happens at failpoints, told by rules such as ``after-commit/execution.started=kill@3``.

A rule is ``NAME[/PATTERN]=ACTION[@N]``: the action is taken once, at the N-th passing (the first, if N is left out)
whose detail the regular expression PATTERN is found in. Rules are separated by blanks, so that patterns have none.
"""

import os
import re
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import Final

import requests

from adapters.store.session import SessionLostError
from domain import failpoints
from domain.errors import EngineInterruptedError, LogUnavailableError
from domain.failpoints import Failpoint

_RULE: Final = re.compile(r"(?P<name>[a-z-]+)(/(?P<pattern>\S*))?=(?P<action>[a-z]+)(?P<seconds>[\d.]+)?(@(?P<n>\d+))?")

APPENDS: Final = (Failpoint.BEFORE_APPEND, Failpoint.IN_APPEND, Failpoint.AFTER_COMMIT)
REQUESTS: Final = (Failpoint.BEFORE_REQUEST, Failpoint.AFTER_REQUEST)
CAN_FAIL: Final = frozenset({*APPENDS, *REQUESTS, Failpoint.BEFORE_COMPOSE})


@dataclass(slots=True)
class Rule:
    """One action at one point."""

    name: Failpoint
    pattern: re.Pattern[str]
    action: str
    seconds: float
    passings: int
    lock: threading.Lock = field(default_factory=threading.Lock)

    def meets(self, point: Failpoint, detail: str) -> bool:
        """Count a passing; return whether it is the one."""
        if point is not self.name or not self.pattern.search(detail):
            return False
        with self.lock:
            self.passings -= 1
            return self.passings == 0


def parse(text: str) -> list[Rule]:
    """Return the rules of ``text``.

    Raises:
        ValueError: one of them is none.
    """
    rules = []
    for word in text.split():
        found = _RULE.fullmatch(word)
        if found is None or found["action"] not in ("kill", "stop", "sleep", "fail"):
            raise ValueError(f"no rule: {word}")
        rules.append(
            Rule(
                Failpoint(found["name"]),
                re.compile(found["pattern"] or ""),
                found["action"],
                float(found["seconds"] or 0),
                int(found["n"] or 1),
            )
        )
    return rules


def arm(text: str) -> None:
    """Have the rules of ``text`` followed in this process from now on."""
    rules = parse(text)

    def act(point: Failpoint, detail: str) -> None:
        for rule in rules:
            if rule.meets(point, detail):
                _act(rule)

    failpoints.arm(act)


def _act(rule: Rule) -> None:
    if rule.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif rule.action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif rule.action == "sleep":
        time.sleep(rule.seconds)
    else:
        raise _failure(rule.name)


def _failure(point: Failpoint) -> Exception:
    """Return how the point fails in life: a log that is not there, a connection that breaks before or after."""
    if point is Failpoint.AFTER_COMMIT:
        return SessionLostError("the connection broke at a failpoint")
    if point in APPENDS:
        return LogUnavailableError("the log failed at a failpoint")
    if point in REQUESTS:
        return requests.exceptions.ConnectionError("the connection broke at a failpoint")
    return EngineInterruptedError("failed at a failpoint")
