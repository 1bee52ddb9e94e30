"""Progress reaches the client that asked for it: rising, and never after the answer."""

from typing import Any

import pytest
from mcp import Client

from server.mcp_server import McpServer
from tests.conftest import Serve
from tests.protocol.conftest import RAW_WIRES
from tests.protocol.servers import Era, Message, Raw, RawHttp, StdioServer
from tests.protocol.throwaway import PORTS, WITH_PASTIMES


@pytest.fixture(params=RAW_WIRES, ids="-".join)
def counting(request: pytest.FixtureRequest) -> Raw:
    transport, era = request.param
    if transport == "http":
        return RawHttp(request.getfixturevalue("slow_http"), era)
    found: StdioServer = request.getfixturevalue(f"slow_stdio_{era}")
    return found


def count(steps: int, **more: Any) -> Message:
    meta = {"_meta": {"progressToken": more.pop("token")}} if "token" in more else {}
    return {"name": "count", "arguments": {"steps": steps, **more}, **meta}


def test_progress_rises_and_ends_with_the_answer(counting: Raw) -> None:
    *reports, answer = counting.exchange("tools/call", count(4, token="t-1", late=True), listen_s=0.6)
    assert answer["result"]["structuredContent"] == {"steps": 4}
    assert [report["method"] for report in reports] == ["notifications/progress"] * len(reports)
    told = [report["params"] for report in reports]
    assert {report["progressToken"] for report in told} == {"t-1"}
    risen = [report["progress"] for report in told]
    assert risen == sorted(set(risen)), "it rises"
    first = [(report["progress"], report["total"], report["message"]) for report in told[:4]]
    assert first == [(done, 4, f"step {done}") for done in (1, 2, 3, 4)]
    (alone,) = counting.exchange("tools/call", count(1))
    assert alone["result"]["structuredContent"] == {"steps": 1}, "who asks for no progress hears none"


@pytest.mark.anyio
@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a_client_library_hears_progress(serve: Serve, era: Era) -> None:
    heard: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    async with serve(catalogue=WITH_PASTIMES, more_ports=PORTS) as application:
        server = McpServer(application.dispatcher, application.callers(application.principal), "memory", None)
        async with Client(server.sdk, mode="legacy" if era == "legacy" else "auto") as client:
            result = await client.call_tool("count", {"steps": 3}, progress_callback=hear)
    assert result.structured_content == {"steps": 3}
    assert heard == [(1, 3, "step 1"), (2, 3, "step 2"), (3, 3, "step 3")]
