"""The logs of a stack: the newest lines of all its containers in the order of time, within limits."""

import orjson
import pytest

from tests.real.calls import Calls, Name

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


@pytest.fixture
async def talking(call: Calls, image: str, name: Name) -> str:
    """A stack of three: two that speak in turns and then stay, one that says nothing."""

    def speaker(word: str, pause: str, last: str) -> str:
        return f"sleep {pause}; for n in 1 2 3 4 5; do echo {word} $$n; sleep 0.3; done; {last}; exec sleep 600"

    services = {
        "a": {"image": image, "command": ["sh", "-c", speaker("ping", "0", "true")], "stop_grace_period": "0s"},
        "b": {
            "image": image,
            "command": ["sh", "-c", speaker("pong", "0.15", "echo done")],
            "stop_grace_period": "0s",
            "healthcheck": {"test": "true", "interval": "2s"},
        },
        "quiet": {"image": image, "command": ["sleep", "600"], "stop_grace_period": "0s"},
    }
    await call("deploy-compose", project_name=name("s"), compose_yaml=orjson.dumps({"services": services}).decode())
    return name("s")


async def test_lines_stand_in_the_order_of_time_with_their_container(call: Calls, talking: str) -> None:
    told = await call("compose-logs", project_name=talking)
    lines = told["lines"]
    assert [line for line in lines if line.startswith("a-1")] == [f"a-1 | ping {n}" for n in range(1, 6)]
    assert [line for line in lines if line.startswith("b-1")] == [
        *(f"b-1 | pong {n}" for n in range(1, 6)),
        "b-1 | done",
    ]
    stamped = (await call("compose-logs", project_name=talking, timestamps=True))["lines"]
    assert [line.split(" ", 1)[1] for line in stamped] == lines
    assert [line.split(" ")[0] for line in stamped] == sorted(line.split(" ")[0] for line in stamped)
    assert (told["shown"], told["matched"], told["truncated"]) == (11, 11, False)


async def test_the_newest_lines_are_kept_and_the_rest_is_told(call: Calls, talking: str) -> None:
    everything = (await call("compose-logs", project_name=talking))["lines"]
    few = await call("compose-logs", project_name=talking, tail=3)
    assert few["lines"] == everything[-3:]
    assert few["truncated"] is True
    assert "tail" in few["narrow"]
    small = await call("compose-logs", project_name=talking, max_bytes=256)
    assert sum(map(len, small["lines"])) <= 256


async def test_a_service_a_word_and_a_time_narrow_the_answer(call: Calls, talking: str) -> None:
    one = await call("compose-logs", project_name=talking, service="a")
    assert {line.split(" ")[0] for line in one["lines"]} == {"a-1"}
    assert (await call("compose-logs", project_name=talking, service="quiet"))["lines"] == []
    found = await call("compose-logs", project_name=talking, grep="pong 3")
    assert (found["lines"], found["matched"]) == (["b-1 | pong 3"], 1)
    stamped = await call("compose-logs", project_name=talking, timestamps=True)
    year = stamped["lines"][0][:4]
    assert (await call("compose-logs", project_name=talking, grep=year))["lines"] == [], "times are not searched"
    third = next(line.split(" ")[0] for line in stamped["lines"] if line.endswith("ping 3"))
    later = await call("compose-logs", project_name=talking, since=f"{third[:26]}+00:00")
    assert later["lines"][0] == "a-1 | ping 3"
    earlier = await call("compose-logs", project_name=talking, until=f"{third[:23]}+00:00")
    assert [line for line in earlier["lines"] if line.startswith("a-1")] == ["a-1 | ping 1", "a-1 | ping 2"]


@pytest.mark.promise("P6")
async def test_credentials_are_masked_and_the_names_of_containers_are_not(call: Calls, image: str, name: Name) -> None:
    command = ["sh", "-c", "echo start; echo token=abcdefgh password=x; exec sleep 600"]
    services = {"password": {"image": image, "command": command, "stop_grace_period": "0s"}}
    await call("deploy-compose", project_name=name("s"), compose_yaml=orjson.dumps({"services": services}).decode())
    logs = await call("compose-logs", project_name=name("s"))
    assert logs["lines"] == ["password-1 | start", "password-1 | token=«masked» password=«masked»"]
    assert logs["masked"] == 2
    found = await call("compose-logs", project_name=name("s"), grep="abcdefgh", timestamps=True)
    assert (found["matched"], found["masked"]) == (1, 2)
    assert found["lines"][0].endswith(" password-1 | token=«masked» password=«masked»")
    assert "masked" not in await call("compose-logs", project_name=name("s"), grep="start")
