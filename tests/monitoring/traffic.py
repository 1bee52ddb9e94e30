"""What agents do to a server in a test: allowed, denied, malformed, failing, slow, and without the right key."""

from collections.abc import Callable
from typing import Any, Final

from tests.protocol.servers import HttpServer, RawHttp, write_users

PURPOSE: Final = "to see it's drawn"
DENIED: Final = 4
STRANGERS: Final = 3
FAILED: Final = 3
SECRET: Final = "unmistakable-Traffic-Secret"


def drive(server: HttpServer, name: Callable[[str], str], image: str) -> None:
    """Make the calls, one after the other, on objects whose names ``name`` makes."""
    write_users(server.state, admin="admin", reader="user")
    admin, reader = RawHttp(server, "modern"), RawHttp(server, "modern", "reader")
    stubborn = ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]
    made = {"image": image, "name": name("web"), "command": stubborn, "environment": {"TOKEN": SECRET}}
    assert "structuredContent" in call(admin, "create-container", made)
    call(admin, "list-containers", {})
    call(admin, "stop-container", {"container_name": name("web"), "timeout": 1})
    call(admin, "remove-container", {"container_name": name("web")})
    for _ in range(FAILED):
        call(admin, "start-container", {"container_name": name("missing")})
    for _ in range(DENIED):
        call(reader, "create-container", {"image": image, "name": name("denied")})
    call(reader, "list-containers", {})
    call(admin, "stop-container", {"no_such_argument": 1})
    call(admin, "no-such-tool", {})
    for _ in range(STRANGERS):
        assert server.post(b"{}", user="stranger")[0] == 401


def call(raw: RawHttp, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Call a tool; return its result, or the error in its place."""
    params = {"name": tool, "arguments": arguments, "_meta": {"purpose": PURPOSE}}
    answer = raw.ask("tools/call", params)
    result: dict[str, Any] = answer.get("result", answer)
    return result
