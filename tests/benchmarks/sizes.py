"""What a server takes: memory when it has nothing to do and after many calls, and tokens for its list of tools."""

import os
import time
from pathlib import Path
from typing import Final

from tests.benchmarks.measure import Row, below, ratio_below
from tests.benchmarks.wire import NOOP_SERVER, OUR_SERVER, Wire, own_environment, wire
from tests.tokens import MOST_TOKENS, tokens

SETTLED_S: Final = 10
"""By then every part of a server that works by itself has had a turn."""


def memory(directory: Path, calls: int) -> list[Row]:
    """Resident memory of a stdio server: idle, against the bare SDK's, and after ``calls`` recorded reads."""
    environment = own_environment(directory)
    with wire(OUR_SERVER, environment):
        pass  # a first start makes the log, with what only that needs
    with wire(OUR_SERVER, environment) as ours, wire(["-c", NOOP_SERVER], environment) as bare:
        ours.request("tools/list", {})
        bare.request("tools/list", {})
        time.sleep(SETTLED_S)
        idle, floor = resident_mb(ours), resident_mb(bare)
        _call(ours, calls // 10)
        early = resident_mb(ours)
        _call(ours, calls - calls // 10)
        late = resident_mb(ours)
    return [
        Row(
            what="memory, idle, stdio",
            ours=idle,
            unit="MB",
            floor=floor,
            floor_is="bare SDK server",
            aim=ratio_below(1.5),
        ),
        Row(
            what=f"memory after {calls:,} calls, stdio",
            ours=late,
            unit="MB",
            floor=early,
            floor_is=f"after {calls // 10:,} calls",
            aim=ratio_below(1.1),
        ),
    ]


def tools_list(directory: Path) -> Row:
    """The list of all tools as a client gets it."""
    with wire(OUR_SERVER, own_environment(directory)) as server:
        tools = server.request("tools/list", {})["tools"]
    return Row(
        what=f"tools/list, {len(tools)} tools",
        ours=tokens(tools),
        unit="tokens",
        aim=below(MOST_TOKENS),
        note="a token is four characters",
    )


def resident_mb(server: Wire) -> float:
    """Return the resident memory of a server process in megabytes."""
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _call(server: Wire, calls: int) -> None:
    for _ in range(calls):
        server.call("list-containers", {})
