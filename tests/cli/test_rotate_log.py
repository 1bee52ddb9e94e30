"""``archive``, ``load-archive`` and ``rotate-log``: room is made by copies, nothing is deleted."""

import gzip
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from adapters.store.metric_series import MetricSeriesStore
from domain.engine_cursor import cursor_of
from domain.events import EngineGap, EngineObserved, event_of
from domain.principal import SYSTEM
from domain.projections.metric_series import SeriesKey
from server.bootstrap import new_id, now_ms
from tests.cli.command import Variables, complaint, docker_mcp, http_server, log_at
from tests.cli.keys import seal, sealer
from tests.conftest import SEALING_KEY, PostgresServer, url_of
from tests.contract.events import AUTHORIZED, RECEIVED, life
from tests.contract.rows import execute
from tests.contract.tampering import events, tamper

pytestmark = pytest.mark.promise("P4")

LATER = "2100-01-01T00:00:00Z"


def fill(location: Location, commands: int = 2) -> None:
    store = SqlEventStore(location, now_ms, new_id())
    for _ in range(commands):
        store.append(life()).result(30)
    store.close()


def variables(location: Location, **more: str) -> dict[str, str | None]:
    return {**log_at(location), "DOCKER_MCP_SIGNING_KEY": SEALING_KEY, **more}


def verified(env: Variables, *files: Path) -> tuple[int, dict[str, Any]]:
    """Verify with files beside the log; return the exit code and what is printed."""
    options = [option for file in files for option in ("--segment", str(file))]
    done = docker_mcp("verify", "--json", *options, env=env)
    return done.returncode, json.loads(done.stdout)


@pytest.fixture
def new_location(location: Location, request: pytest.FixtureRequest) -> Location:
    """Where the log goes on: the same file, or an empty database."""
    if location.path:
        return location
    server: PostgresServer = request.getfixturevalue("postgres")
    return Location.parse(server.url(server.create_database()))


def kept_of(location: Location) -> Path:
    """Return where a rotation has put the old SQLite log."""
    assert location.path
    [kept] = location.path.parent.glob("*.until-*[0-9a-f]")
    return kept


def rotated(location: Location, new_location: Location, file: Path) -> Variables:
    """Rotate a log; return the variables of the new one."""
    more = {} if location.path else {"DOCKER_MCP_NEW_DATABASE_URL": url_of(new_location)}
    done = docker_mcp("rotate-log", "--archive-to", str(file), env=variables(location, **more))
    assert (done.returncode, done.stderr) == (0, "")
    return variables(new_location)


def test_segments_continue_each_other_and_agree_with_the_log(location: Location, tmp_path: Path) -> None:
    env = variables(location)
    one, two = tmp_path / "one.gz", tmp_path / "two.gz"
    fill(location)
    before = events(location)
    done = docker_mcp("archive", "--before", LATER, "--to", str(one), env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert "records 1 to 8" in done.stdout
    fill(location)
    assert "records 9 to 17" in docker_mcp("archive", "--before", LATER, "--to", str(two), env=env).stdout
    assert events(location)[:8] == before
    assert [event.type for event in events(location) if event.stream == "archive"] == ["log.archived"] * 2
    assert stat.S_IMODE(one.stat().st_mode) == 0o600
    lines = gzip.decompress(one.read_bytes()).splitlines()
    assert [json.loads(line) for line in lines[1:]] == [event._asdict() for event in before]
    code, tree = verified(env, two, one)
    assert (code, tree["files"], tree["findings"]) == (0, 2, [])
    again = docker_mcp("archive", "--before", "2020-01-01", "--to", str(tmp_path / "no.gz"), env=env)
    assert "no records to archive" in complaint(again)
    taken = docker_mcp("archive", "--before", LATER, "--to", str(one), env=env)
    assert "exists already" in complaint(taken)
    ago = docker_mcp("archive", "--before", "3d", "--to", str(tmp_path / "no.gz"), env=env)
    assert "no records to archive" in complaint(ago)
    wrong = docker_mcp("archive", "--before", "soon", "--to", str(tmp_path / "no.gz"), env=env)
    assert complaint(wrong).startswith("docker-mcp: invalid_arguments: --before: a time is written like 10m, 2h or 3d")


def test_a_segment_that_was_changed_or_is_of_another_log_is_named(sqlite_location: Location, tmp_path: Path) -> None:
    env = variables(sqlite_location)
    good = tmp_path / "good.gz"
    fill(sqlite_location)
    docker_mcp("archive", "--before", LATER, "--to", str(good), env=env)
    lines = gzip.decompress(good.read_bytes()).splitlines(keepends=True)

    def changed(name: str, content: list[bytes]) -> Path:
        (tmp_path / name).write_bytes(gzip.compress(b"".join(content)))
        return tmp_path / name

    for file, problem in [
        (changed("edited.gz", [*lines[:3], lines[3].replace(b"alice", b"mally"), *lines[4:]]), "record 3: does not"),
        (changed("cut.gz", lines[:-1]), "its last record is not that of its manifest"),
        (changed("signed.gz", [lines[0].replace(b'"at":"2', b'"at":"1'), *lines[1:]]), "its signature was not made"),
        (changed("other.gz", [lines[0].replace(b'"log":"', b'"log":"0')[:-1], b"\n", *lines[1:]]), "belongs neither"),
    ]:
        code, tree = verified(env, file)
        assert code == 3
        assert any(problem in finding["problem"] for finding in tree["findings"]), (problem, tree["findings"])
    (tmp_path / "half.gz").write_bytes(good.read_bytes()[:-40])
    done = docker_mcp("verify", "--segment", str(tmp_path / "half.gz"), env=env)
    assert done.returncode == 4
    assert "damaged or was cut" in complaint(done)


def test_a_rewritten_log_no_longer_agrees_with_its_segment(sqlite_location: Location, tmp_path: Path) -> None:
    from tests.contract.tampering import forged, put

    file = tmp_path / "one.gz"
    fill(sqlite_location)
    docker_mcp("archive", "--before", LATER, "--to", str(file), env=variables(sqlite_location))
    put(sqlite_location, [*events(sqlite_location)[:1], *forged(events(sqlite_location), _by_mallory)[1:]])
    code, tree = verified(variables(sqlite_location), file)
    assert code == 3
    assert "the history was rewritten" in tree["findings"][-1]["problem"]


def _by_mallory(event: Any) -> Any:
    return event._replace(principal="mallory") if event.position > 1 else event


def test_a_tampered_log_is_not_archived(sqlite_location: Location, tmp_path: Path) -> None:
    fill(sqlite_location)
    tamper(sqlite_location, "UPDATE event SET role = 'x' WHERE position = 5")
    done = docker_mcp("archive", "--before", LATER, "--to", str(tmp_path / "no.gz"), env=variables(sqlite_location))
    assert done.returncode == 1
    assert "record 5" in complaint(done)
    assert [path.name for path in tmp_path.iterdir() if "no.gz" in path.name] == []


def test_segments_are_read_like_any_log(location: Location, tmp_path: Path) -> None:
    env = variables(location)
    fill(location)
    one, two, loaded = (tmp_path / name for name in ("one.gz", "two.gz", "loaded.db"))
    docker_mcp("archive", "--before", LATER, "--to", str(one), env=env)
    fill(location, 1)
    docker_mcp("archive", "--before", LATER, "--to", str(two), env=env)
    missing = docker_mcp("load-archive", str(two), "--to", str(loaded), env=env)
    assert "begins at record 9, where 1 of the same log is due" in complaint(missing)
    assert not loaded.exists()
    done = docker_mcp("load-archive", str(two), str(one), "--to", str(loaded), env=env)
    assert (done.returncode, done.stderr) == (0, "")
    copy = Location(path=loaded)
    assert events(copy) == events(location)[:13]
    assert verified(variables(copy))[0] == 0
    assert docker_mcp("audit", env=variables(copy)).stdout.count("stop container web") == 3


def test_the_log_goes_on_in_a_new_database_that_leads_back_to_the_old(
    location: Location, new_location: Location, tmp_path: Path
) -> None:
    file = tmp_path / "old.gz"
    seal(location, "hidden")
    fill(location)
    old = events(location)
    counted = MetricSeriesStore(location, 20.0).catch_up().series.values
    env = rotated(location, new_location, file)
    first, key, *rest = events(new_location)
    goes_on = MetricSeriesStore(new_location, 20.0).catch_up().series.values
    ended = SeriesKey("docker_mcp_commands_total", ("stop-container", "success", "admin"))
    assert goes_on[ended] == counted[ended] > 0, "counters go on"
    assert rest == []
    link = first.payload()
    assert (first.type, link["log"], link["position"]) == ("log.continued", old[0].event_hash, len(old) + 1)
    assert key.payload() == {"old_key_id": sealer().key_id, "new_key_id": sealer().key_id, "count": 0}
    fill(new_location, 1)
    code, tree = verified(env, file)
    assert (code, tree["findings"], tree["notes"]) == (0, [], [])
    assert "continues" in verified(env)[1]["notes"][0]
    assert docker_mcp("audit", env=env).returncode == 0
    left = Location(path=kept_of(location)) if location.path else location
    assert "rotate-log closed it at record" in docker_mcp("doctor", env=variables(left)).stdout
    assert "rotate-log closed it" not in docker_mcp("doctor", env=env).stdout
    refused = docker_mcp("stdio", env={**env, "DOCKER_MCP_SEALING_KEY": "A" * 43 + "="})
    assert "sealed with key" in complaint(refused)
    if location.path:
        kept = kept_of(location)
        assert events(Location(path=kept))[: len(old)] == old
        assert verified(env, kept)[0] == 0
        tamper(Location(path=kept), "UPDATE event SET role = 'x' WHERE position = 2")
        assert verified(env, kept)[0] == 3


def test_an_old_log_that_was_rewritten_or_goes_on_no_longer_links(sqlite_location: Location, tmp_path: Path) -> None:
    fill(sqlite_location)
    env = rotated(sqlite_location, sqlite_location, tmp_path / "old.gz")
    assert sqlite_location.path
    [kept] = sqlite_location.path.parent.glob("*.until-*")
    fill(Location(path=kept), 1)
    code, tree = verified(env, kept)
    assert code == 3
    assert "has records beyond position 9" in tree["findings"][0]["problem"]


def test_a_log_in_use_is_not_rotated(sqlite_location: Location, tmp_path: Path) -> None:
    env = variables(sqlite_location)
    with http_server(tmp_path / "errors", env=env):
        done = docker_mcp("rotate-log", "--archive-to", str(tmp_path / "old.gz"), env=env)
    assert done.returncode == 1
    assert "stop every server" in complaint(done)
    assert not (tmp_path / "old.gz").exists()


@pytest.mark.postgres
def test_a_postgres_log_in_use_is_not_rotated(postgres_location: Location, tmp_path: Path) -> None:
    fill(postgres_location)
    store = SqlEventStore(postgres_location, now_ms, new_id())
    store.check()
    env = variables(postgres_location, DOCKER_MCP_NEW_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    done = docker_mcp("rotate-log", "--archive-to", str(tmp_path / "old.gz"), env=env)
    store.close()
    assert "stop every server" in complaint(done)
    assert [event.type for event in events(postgres_location)].count("log.rotated") == 0
    without = docker_mcp("rotate-log", "--archive-to", str(tmp_path / "old.gz"), env=variables(postgres_location))
    assert "DOCKER_MCP_NEW_DATABASE_URL is not set" in complaint(without)


def test_open_commands_and_tampering_stop_a_rotation(location: Location, tmp_path: Path) -> None:
    store = SqlEventStore(location, now_ms, new_id())
    store.append(life(RECEIVED, AUTHORIZED)).result(30)
    store.close()
    env = variables(location, DOCKER_MCP_NEW_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    rotate = ["rotate-log", "--archive-to", str(tmp_path / "old.gz")]
    execute(location, "UPDATE open_command SET executor = 'someone'")
    assert "1 commands have no final status" in complaint(docker_mcp(*rotate, env=env))
    tamper(location, "UPDATE event SET role = 'x' WHERE position = 1")
    assert "record 1: does not match" in complaint(docker_mcp(*rotate, env=env))
    assert not (tmp_path / "old.gz").exists()


def world(env: Variables) -> list[dict[str, Any]]:
    done = docker_mcp("replay", "--format", "json", env=env)
    assert done.returncode == 0, done.stderr
    state: list[dict[str, Any]] = json.loads(done.stdout)["state"]
    return state


def test_a_replay_of_the_new_log_begins_with_the_objects_of_the_old_one(
    location: Location, new_location: Location, tmp_path: Path
) -> None:
    happen(location, ("container", "start", "web"), ("network", "create", "front"), ("container", "die", "db"))
    before = world(variables(location))
    assert sorted(each["name"] for each in before) == ["db", "front", "web"]

    env = rotated(location, new_location, tmp_path / "old.gz")

    assert world(env) == [{**each, "position": 1} if "position" in each else each for each in before]
    happen(new_location, ("container", "destroy", "db"))
    assert sorted(each["name"] for each in world(env)) == ["front", "web"]


def test_objects_that_do_not_fit_into_one_record_follow_in_more(
    location: Location, new_location: Location, tmp_path: Path
) -> None:
    """Three hundred objects, of which half are gone, are some 120 KiB; a record holds 64."""
    there = [f"web-{number}" for number in range(150)]
    gone = [f"old-{number}" for number in range(150)]
    happen(location, *(("container", "start", name) for name in [*there, *gone]))
    happen(location, *(("container", "destroy", name) for name in gone))
    before = world(variables(location))

    env = rotated(location, new_location, tmp_path / "old.gz")

    first, *further = [event for event in events(new_location) if event.type == "log.continued"]
    assert further
    assert all(event.payload()["head"] == first.payload()["head"] for event in further)
    assert ["metrics" in event.payload() for event in [first, *further]] == [True, *[False] * len(further)]
    assert world(env) == before
    chain = docker_mcp("replay", "--why", gone[-1], "--json", env=env)
    assert json.loads(chain.stdout)["why"][0]["state"] == "removed"
    timeline = json.loads(docker_mcp("replay", "--from", "1", "--json", env=env).stdout)["timeline"]
    told = [row["summary"] for row in timeline if row["what"] == "log.continued"]
    assert len(told) == 1, "it is told once, and without what there was"
    assert "web-" not in told[0]
    assert verified(env, tmp_path / "old.gz")[0] == 0


def happen(location: Location, *told: tuple[str, str, str]) -> None:
    """Record what an engine tells: kind, action and name."""
    store = SqlEventStore(location, now_ms, new_id())
    for kind, action, name in told:
        happened = EngineObserved(
            engine="e",
            kind=kind,
            action=action,
            object_id=f"id-of-{name}",
            name=name,
            occurred_at_ms=1,
            engine_time="1795676187.227389211",
            external=True,
        )
        store.append([event_of(SYSTEM, happened, "engine/e", new_id())]).result(30)
    store.close()


def test_a_new_log_goes_on_following_engines_where_the_old_one_stopped(
    location: Location, new_location: Location, tmp_path: Path
) -> None:
    fill(location)
    died = EngineObserved(
        engine="e1",
        kind="container",
        action="die",
        object_id="c",
        occurred_at_ms=1,
        engine_time="1795676187.227389211",
        external=True,
    )
    begun = EngineGap(engine="e2", until_ms=5, engine_time="0.005000000")
    store = SqlEventStore(location, now_ms, new_id())
    for event, stream in ((died, "engine/e1"), (begun, "engine/e2")):
        store.append([event_of(SYSTEM, event, stream, new_id())]).result(30)
    store.close()
    old = {event.stream: cursor_of(event) for event in events(location) if event.stream.startswith("engine/")}

    env = rotated(location, new_location, tmp_path / "old.gz")

    new = {event.stream: cursor_of(event) for event in events(new_location) if event.stream.startswith("engine/")}
    places = [{stream: (at.time_ns, at.newest) for stream, at in cursors.items() if at} for cursors in (old, new)]
    assert places[0] == places[1]
    assert verified(env, tmp_path / "old.gz")[0] == 0
    values = MetricSeriesStore(new_location, 20.0).catch_up().series.values
    counted = {key: value for key, value in values.items() if "engine_events" in key.metric}
    assert counted == {SeriesKey("docker_mcp_engine_events_total", ("container", "die")): 1}
