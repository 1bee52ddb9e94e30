"""The logs of a container: the newest lines, within limits, whatever the container has printed."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import docker
import orjson
import pytest
from docker.types import LogConfig

from tests.real.calls import Calls, Name
from tests.waiting import BUSY_S

pytestmark = pytest.mark.anyio

KIBIBYTE = 1024
TEN_TIMES_TWO = "s=0123456789; i=0; while [ $i -lt {doublings} ]; do s=$s$s; i=$((i+1)); done; "
"""Shell that makes a long text; one of 80 KiB takes 13 doublings."""


@pytest.fixture
def printed(engine: docker.APIClient, image: str, name: Name) -> Callable[..., str]:
    """Runs a shell script in a container until it ends, returns the container's name."""

    def run(script: str, **options: Any) -> str:
        engine.create_container(image, ["sh", "-c", script], name=name(), **options)
        engine.start(name())
        engine.wait(name(), timeout=30)
        return name()

    return run


async def test_the_newest_lines_are_shown_and_the_rest_is_announced(call: Calls, printed: Callable[..., str]) -> None:
    container = printed("i=0; while [ $i -lt 10 ]; do echo line $i; i=$((i+1)); done")
    assert await call("get-logs", container_name=container) == {
        "lines": [f"line {number}" for number in range(10)],
        "shown": 10,
        "matched": 10,
        "truncated": False,
    }
    newest = await call("get-logs", container_name=container, tail=3)
    assert newest["lines"] == ["line 7", "line 8", "line 9"]
    assert (newest["shown"], newest["truncated"]) == (3, True)
    assert "tail" in newest["narrow"]
    assert (await call("get-logs", container_name=container, tail=10))["truncated"] is False


async def test_errors_are_shown_as_well_as_output(call: Calls, printed: Callable[..., str]) -> None:
    logs = await call("get-logs", container_name=printed("echo out; echo err >&2"))
    assert sorted(logs["lines"]) == ["err", "out"]


async def test_grep_keeps_lines_that_contain_the_text_as_it_stands(call: Calls, printed: Callable[..., str]) -> None:
    container = printed("i=0; while [ $i -lt 30 ]; do echo line.$i; i=$((i+1)); done; echo lineX1; echo Grüße")
    found = await call("get-logs", container_name=container, grep="line.1")
    assert found["lines"] == ["line.1", *(f"line.1{digit}" for digit in range(10))]
    assert (found["matched"], found["truncated"]) == (11, False)
    few = await call("get-logs", container_name=container, grep="line.1", tail=2)
    assert (few["lines"], few["matched"], few["truncated"]) == (["line.18", "line.19"], 11, True)
    assert (await call("get-logs", container_name=container, grep="üß"))["lines"] == ["Grüße"]
    assert await call("get-logs", container_name=container, grep="none") == {
        "lines": [],
        "shown": 0,
        "matched": 0,
        "truncated": False,
    }


async def test_since_and_until_cut_the_time_to_a_part_of_a_second(call: Calls, printed: Callable[..., str]) -> None:
    container = printed("echo one; sleep 0.4; echo two; sleep 0.4; echo three")
    stamped = (await call("get-logs", container_name=container, timestamps=True))["lines"]
    assert [line.split()[1] for line in stamped] == ["one", "two", "three"]
    times = [datetime.fromisoformat(line.split()[0]) for line in stamped]
    between = [(first + (second - first) / 2).isoformat() for first, second in pairwise(times)]

    async def lines(**limits: str) -> list[str]:
        found: list[str] = (await call("get-logs", container_name=container, **limits))["lines"]
        return found

    assert await lines(since=between[0]) == ["two", "three"]
    assert await lines(until=between[1]) == ["one", "two"]
    assert await lines(since=between[0], until=between[1]) == ["two"]
    assert await lines(since="1h") == await lines(until="0s") == ["one", "two", "three"]
    assert await lines(until="1h") == []
    assert await lines(since=(datetime.now(UTC) + timedelta(days=1)).isoformat()) == []


async def test_times_before_there_were_logs_are_times_all_the_same(call: Calls, printed: Callable[..., str]) -> None:
    container = printed("echo here")
    for early in ("1970-01-01", "0001-01-01T00:00:00+14:00", "2000000h"):
        assert (await call("get-logs", container_name=container, since=early))["lines"] == ["here"]
        assert (await call("get-logs", container_name=container, until=early))["lines"] == []


@pytest.mark.promise("P9")
@pytest.mark.parametrize("tty", [False, True])
async def test_fifty_thousand_lines_are_read_fast_and_bounded(
    call: Calls, printed: Callable[..., str], tty: bool
) -> None:
    container = printed("i=0; while [ $i -lt 50000 ]; do echo number $i of many; i=$((i+1)); done", tty=tty)
    began = time.monotonic()
    newest = await call("get-logs", container_name=container, tail=10_000, max_bytes=262_144)
    found = await call("get-logs", container_name=container, grep="number 777 ")
    many = await call("get-logs", container_name=container, grep="number", tail=5)
    assert time.monotonic() - began < BUSY_S
    assert newest["lines"][-1] == "number 49999 of many"
    assert newest["truncated"]
    assert sum(map(len, newest["lines"])) <= 262_144
    assert found["lines"] == ["number 777 of many"]
    assert (many["shown"], many["matched"]) == (5, 50_000)


async def test_a_search_tells_where_it_stopped(call: Calls, printed: Callable[..., str]) -> None:
    container = printed(
        "echo first; s=''; i=0; while [ $i -lt 1000 ]; do s=\"$s\n$i\"; i=$((i+1)); done; "
        'i=0; while [ $i -lt 100 ]; do echo "$s"; i=$((i+1)); done'
    )
    found = await call("get-logs", container_name=container, grep="first")
    assert found["lines"] == []
    assert "100000" in found["narrow"]


@pytest.mark.promise("P9")
@pytest.mark.parametrize("tty", [False, True])
@pytest.mark.parametrize("end", ["", "; echo"])
async def test_of_a_line_beyond_the_limit_the_end_is_shown_and_the_cut_announced(
    call: Calls, printed: Callable[..., str], tty: bool, end: str
) -> None:
    container = printed(TEN_TIMES_TWO.format(doublings=13) + 'echo start; printf "<$s>"' + end, tty=tty)
    for max_bytes in (1000, 16 * KIBIBYTE, 80 * KIBIBYTE - 1):
        logs = await call("get-logs", container_name=container, max_bytes=max_bytes)
        (line,) = logs["lines"]
        assert len(line) == max_bytes
        assert line.endswith("789>")
        assert logs["truncated"]


async def test_a_line_that_the_engine_keeps_in_pieces_is_one_line(call: Calls, printed: Callable[..., str]) -> None:
    script = TEN_TIMES_TWO.format(doublings=13) + "echo one; echo $s; echo $s; echo last"
    container = printed(script)
    logs = await call("get-logs", container_name=container, tail=3, max_bytes=262_144)
    assert [len(line) for line in logs["lines"]] == [80 * KIBIBYTE, 80 * KIBIBYTE, 4]
    assert logs["truncated"]
    whole = await call("get-logs", container_name=container, tail=4, max_bytes=262_144)
    assert [len(line) for line in whole["lines"]] == [3, 80 * KIBIBYTE, 80 * KIBIBYTE, 4]
    assert not whole["truncated"]


async def test_what_is_beyond_the_limit_of_a_long_line_is_searched_too(
    call: Calls, printed: Callable[..., str]
) -> None:
    script = TEN_TIMES_TWO.format(doublings=13) + 'echo "needle $s"; echo "$s"'
    found = await call("get-logs", container_name=printed(script), grep="needle", max_bytes=1000)
    assert (found["matched"], found["shown"], found["truncated"]) == (1, 1, True)


async def test_a_million_bytes_without_a_line_end_are_read_fast(call: Calls, printed: Callable[..., str]) -> None:
    container = printed(TEN_TIMES_TWO.format(doublings=17) + 'printf "$s"', tty=True)
    began = time.monotonic()
    logs = await call("get-logs", container_name=container)
    assert time.monotonic() - began < BUSY_S
    assert len(logs["lines"][0]) == 32_768


async def test_the_limit_counts_the_bytes_of_the_answer_not_of_the_log(
    call: Calls, printed: Callable[..., str]
) -> None:
    script = r"i=0; while [ $i -lt 400 ]; do printf '\377'; i=$((i+1)); done; printf 'ü'"
    logs = await call("get-logs", container_name=printed(script), max_bytes=300)
    assert logs["lines"] == ["\ufffd" * 99 + "ü"]
    assert logs["truncated"]


@pytest.mark.parametrize("tty", [False, True])
async def test_terminals_and_empty_lines_are_shown_as_they_are(
    call: Calls, printed: Callable[..., str], tty: bool
) -> None:
    logs = await call("get-logs", container_name=printed(r"printf 'a\000b\377c\n\n\033[31mred\nlast'", tty=tty))
    assert logs["lines"] == ["a\x00b\ufffdc", "", "\x1b[31mred", "last"]
    assert orjson.loads(orjson.dumps(logs)) == logs


async def test_a_container_that_printed_nothing_has_no_lines(
    call: Calls, engine: docker.APIClient, image: str, name: Name
) -> None:
    engine.create_container(image, ["true"], name=name())
    for _state in ("created", "exited"):
        logs = await call("get-logs", container_name=name())
        assert logs == {"lines": [], "shown": 0, "matched": 0, "truncated": False}
        engine.start(name())
        engine.wait(name(), timeout=20)


async def test_a_container_that_keeps_no_logs_says_so(
    call: Calls, engine: docker.APIClient, printed: Callable[..., str]
) -> None:
    silent = engine.create_host_config(log_config=LogConfig(type="none"))
    error = await call.refused("get-logs", container_name=printed("echo x", host_config=silent))
    assert (error.code, error.applied) == ("logs_not_kept", "none")


@pytest.mark.promise("P6")
async def test_the_log_of_the_server_keeps_no_lines_of_the_container(call: Calls, printed: Callable[..., str]) -> None:
    answer = await call.answer("get-logs", container_name=printed("echo tell-nobody-8642"))
    assert answer.content()["lines"] == ["tell-nobody-8642"]
    assert "result" not in call.outcome(answer)
    assert call.outcome(answer)["result_bytes"] > 0
    assert all("tell-nobody" not in event.data for event in call.events(answer))


@pytest.mark.promise("P6")
async def test_credentials_are_masked_after_the_search_and_the_limit_counts_what_is_shown(
    call: Calls, printed: Callable[..., str]
) -> None:
    container = printed("echo plain; echo login with password=hunter2 at postgres://app:hunter3@db; echo after")
    logs = await call("get-logs", container_name=container)
    assert logs["lines"] == ["plain", "login with password=«masked» at postgres://app:«masked»@db", "after"]
    assert (logs["masked"], logs["shown"]) == (2, 3)
    found = await call("get-logs", container_name=container, grep="hunter2", timestamps=True)
    assert (found["matched"], found["masked"]) == (1, 2)
    assert "hunter" not in found["lines"][0]
    assert "masked" not in await call("get-logs", container_name=container, grep="plain")


@pytest.mark.promise("P9")
async def test_lines_that_grow_when_masked_stay_within_the_limit(call: Calls, printed: Callable[..., str]) -> None:
    container = printed("i=0; while [ $i -lt 30 ]; do echo password=1 password=2; i=$((i+1)); done; echo end")
    logs = await call("get-logs", container_name=container, max_bytes=256)
    assert sum(len(line.encode()) for line in logs["lines"]) <= 256
    assert logs["lines"][-2:] == ["password=«masked» password=«masked»", "end"]
    assert logs["truncated"]
