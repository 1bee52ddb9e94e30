"""What a server that has little to do does not load."""

import time
from pathlib import Path

import pytest

from tests.benchmarks.wire import OUR_SERVER, Wire, wire
from tests.protocol.servers import environment

SETTLED_S = 3
"""By then the looks at expired approvals, unfinished commands and the engine's events have begun."""


@pytest.mark.engine
def test_no_call_loads_sqlalchemy(tmp_path: Path) -> None:
    given = environment(tmp_path, DOCKER_MCP_ENGINE_EVENTS=True)
    with wire(OUR_SERVER, given) as first:
        assert _has_sqlalchemy(first), "it makes the log"
    with wire(OUR_SERVER, given) as server:
        server.call("list-containers", {})
        time.sleep(SETTLED_S)
        server.call("audit-query", {})
        assert not _has_sqlalchemy(server)


def _has_sqlalchemy(server: Wire) -> bool:
    return "/sqlalchemy/" in Path(f"/proc/{server.process.pid}/maps").read_text()
