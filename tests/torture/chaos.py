"""What goes wrong, and when: processes killed and paused, databases and engines restarted, clocks set back."""

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from domain.failpoints import Failpoint
from tests.conftest import PostgresServer
from tests.torture.cluster import Cluster, Slot
from tests.torture.engine import TortureEngine
from tests.torture.failpoints import APPENDS, CAN_FAIL, REQUESTS
from tests.waiting import wait_for

_TURN_S: Final = 0.1
_SPARED_S: Final = 10
"""For so long nobody strikes a server that is to die at a failpoint: it shall get there."""
_DETAILS: Final = {
    **{
        point: ["", "command.received", "execution.started", "command.succeeded", "command.failed", "command.approved"]
        for point in APPENDS
    },
    **{
        point: ["", "GET", "POST.*create", "POST.*/start", "POST.*/stop", "POST.*/restart", "DELETE", "POST.*connect"]
        for point in REQUESTS
    },
    **{point: ["", "up"] for point in (Failpoint.BEFORE_COMPOSE, Failpoint.IN_COMPOSE, Failpoint.AFTER_COMPOSE)},
    Failpoint.BEFORE_SETTLING: [""],
    Failpoint.SETTLING: [""],
}
_EVERY: Final = frozenset(f"{point}/{detail}" for point, details in _DETAILS.items() for detail in details)


class Chaos(threading.Thread):
    """Runs until it is told to end. ``done`` counts what it did."""

    def __init__(
        self,
        seed: str,
        cluster: Cluster,
        engine: TortureEngine,
        postgres: PostgresServer | None,
        clock: Path,
        kill_every_s: float,
        most_kills: int | None = None,
    ) -> None:
        super().__init__(name="chaos", daemon=True)
        self.done: Counter[str] = Counter()
        self.points: Counter[str] = Counter()
        self.stopping = threading.Event()
        self._dice = random.Random(f"{seed}/chaos")
        self._cluster = cluster
        self._engine = engine
        self._postgres = postgres
        self._clock = clock
        self._kill_every_s = kill_every_s
        self._most_kills = most_kills
        self._asleep: dict[Slot, float] = {}
        self._struck: set[Slot] = set()
        self._busy: threading.Thread | None = None
        self._deck: list[str] = []
        self.unmet = set(_EVERY)
        """Where no process has died yet: each comes back until one has."""

    @property
    def kills(self) -> int:
        return self.done["killed"] + self.done["killed at a failpoint"]

    def run(self) -> None:
        next_turn = time.monotonic() + self._kill_every_s
        while not self.stopping.is_set():
            self.tend(self._rules)
            if time.monotonic() > next_turn:
                next_turn = time.monotonic() + self._dice.expovariate(1 / self._kill_every_s)
                self._strike()
            if self._most_kills and self.kills >= self._most_kills:
                return
            time.sleep(_TURN_S)

    def tend(self, rules: Callable[[], str] = str) -> None:
        """Start what has died again, and let go on what was paused for long enough."""
        for slot in self._cluster.slots:
            if not slot.alive():
                if slot.pid is not None:
                    self._note(slot, slot.bury())
                slot.start(rules())
            elif slot.paused():
                until = self._asleep.setdefault(slot, time.monotonic() + self._dice.uniform(0.2, 3))
                if time.monotonic() > until:
                    self._asleep.pop(slot)
                    self.done["paused"] += 1
                    slot.signal(signal.SIGCONT)

    def calm(self) -> None:
        """Put everything right: nothing goes wrong from now on."""
        self.stopping.set()
        self.join()
        if self._busy:
            self._busy.join()
        for slot in self._cluster.slots:
            slot.signal(signal.SIGCONT)
            slot.signal(signal.SIGKILL)  # an armed process would go on dying
        # Whatever this machine is busy with: one that is not dead yet would not be started again.
        wait_for(lambda: not any(slot.alive() for slot in self._cluster.slots), what="the servers' death")
        self.tend()

    def _note(self, slot: Slot, code: int | None) -> None:
        if code == -signal.SIGKILL:
            by_itself = slot not in self._struck
            self._struck.discard(slot)
            self.done["killed at a failpoint" if by_itself else "killed"] += 1
            if by_itself:
                point = slot.rules.partition("=")[0]
                self.points[point] += 1
                self.unmet.discard(point)
        elif code == 0:
            self.done["ended in order"] += 1
        else:
            self.done[f"ended with {code}"] += 1

    def _strike(self) -> None:
        slots = [slot for slot in self._cluster.slots if not slot.rules or slot.age_s > _SPARED_S]
        if not slots:
            return
        slot = self._dice.choice(slots)
        what = self._dice.choices(
            [self._kill, self._pause, self._end, self._restart_database, self._restart_engine, self._set_clock],
            [70, 14, 4, 5 if self._postgres else 0, 2, 3],
        )[0]
        what(slot)

    def _kill(self, slot: Slot) -> None:
        self._struck.add(slot)
        slot.signal(signal.SIGKILL)

    def _pause(self, slot: Slot) -> None:
        slot.signal(signal.SIGSTOP)

    def _end(self, slot: Slot) -> None:
        slot.signal(signal.SIGTERM)

    def _restart_database(self, _slot: Slot) -> None:
        assert self._postgres
        self.done["database restarted"] += 1
        self._aside(self._bring_database_back)

    def _bring_database_back(self) -> None:
        assert self._postgres
        self._postgres.stop("immediate")
        time.sleep(self._dice.uniform(0, 2))
        self._postgres.start()

    def _restart_engine(self, _slot: Slot) -> None:
        kill = self._dice.random() < 0.5
        self.done["engine killed" if kill else "engine restarted"] += 1
        self._aside(lambda: self._engine.restart(kill=kill))

    def _aside(self, work: Callable[[], None]) -> None:
        """Do what takes long beside the rest, one thing at a time."""
        if self._busy:
            self._busy.join()
        self._busy = threading.Thread(target=work)
        self._busy.start()

    def _set_clock(self, _slot: Slot) -> None:
        self.done["clock set"] += 1
        self._clock.write_text(str(int(self._clock.read_text()) - self._dice.choice([60_000, 3_600_000])))

    def _rules(self) -> str:
        if self._dice.random() < 0.25:
            return ""
        if not self._deck:
            self._deck = sorted(self.unmet or _EVERY)
            self._dice.shuffle(self._deck)
        at = self._deck.pop()
        others = ["sleep1.5", "stop", *(["fail"] if at.partition("/")[0] in CAN_FAIL else [])]
        action = "kill" if self._dice.random() < 0.7 else self._dice.choice(others)
        return f"{at}={action}@{self._dice.randint(1, 3)}"
