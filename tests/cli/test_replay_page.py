"""The page of a replay in a real Chromium: it works offline, by mouse and by keyboard, and trusts nothing recorded."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from adapters.store.snapshot import hash_at, open_snapshot
from adapters.store.world_log import WorldLog
from domain.catalogue.replay import ReplayRange
from domain.command_stream import CommandContext, CommandStream
from domain.events import (
    CommandAuthorized,
    CommandDenied,
    CommandReceived,
    CommandSucceeded,
    EngineObserved,
    ExecutionStarted,
    event_of,
)
from domain.objects import Kind, ObjectRef, ObjectState
from domain.principal import SYSTEM
from domain.replay.entry import Wanted
from server.bootstrap import new_id, now_ms
from server.cli.replay_page import page
from server.cli.stretch import stretch_of
from tests.benchmarks.made_log import generate
from tests.browser import Browser, chromium
from tests.contract.rows import execute

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>\"'&{{x}}"
"""What a caller may choose as a purpose, and a container as its name."""


def page_of(location: Location, last: int, to: Path, wanted: Wanted | None = None, after: int = 0) -> Path:
    wanted = wanted or Wanted()
    with open_snapshot(location, 5) as snapshot:
        found = ReplayRange(after=after, last=last, now_ms=1)
        to.write_text(page(stretch_of(WorldLog(snapshot), found, wanted, hash_at(snapshot, after)), wanted))
    return to


def stream(tool: str, purpose: str = HOSTILE, principal: str = "agent-1") -> CommandStream:
    context = CommandContext(
        command_id=new_id(), principal=principal, role="admin", tool=tool, object="container/web",
        purpose=purpose, correlation_id="talk-1",
    )  # fmt: skip
    return CommandStream(context, new_id)


def story(store: SqlEventStore) -> int:
    """A container with a hostile name is made, dies, and somebody is denied its restart; return the last position."""
    state = ObjectState(kind=Kind.CONTAINER, id="c1" * 32, name=HOSTILE, facts={"status": "running", "image": HOSTILE})
    received = CommandReceived(summary=f"create {HOSTILE}", arguments={}, transport="test", executor="e")
    authorized = CommandAuthorized(rule="role-admin", policy_digest="d" * 16)
    started = ExecutionStarted(executor="e", not_after_ms=1, settle_s=1)
    made = CommandSucceeded(
        summary="create", touched=(ObjectRef(kind=state.kind, id=state.id, name=state.name),), state_after=(state,)
    )
    command, denied = stream("create-container"), stream("restart-container", principal=HOSTILE)
    refusal = CommandDenied(summary="restart", rule="role-user", policy_digest="d" * 16, reason=HOSTILE)
    store.append([command.add(each) for each in (received, authorized, started, made)]).result(10)
    died = EngineObserved(
        engine="e", kind="container", action="die", object_id=state.id, name=HOSTILE, occurred_at_ms=now_ms() + 1,
        engine_time="1.0", exit_code=137, external=True,
    )  # fmt: skip
    time.sleep(0.01)  # each has a time of its own
    store.append([event_of(SYSTEM, died, "engine/e", new_id())]).result(10)
    recorded = store.append([denied.add(received), denied.add(refusal)]).result(10)
    return recorded[-1].position


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def hostile(tmp_path: Path, sqlite_location: Location) -> Path:
    store = SqlEventStore(sqlite_location, now_ms, new_id())
    store.check()
    last = story(store)
    store.close()
    return page_of(sqlite_location, last, tmp_path / "page.html")


@pytest.mark.promise("P6")
def test_nothing_recorded_becomes_a_part_of_the_page(hostile: Path, browser: Browser) -> None:
    text = hostile.read_text()
    assert "owned" not in text
    assert "onerror" not in text
    browser.problems.clear()
    browser.asked.clear()
    browser.open(hostile)

    assert browser.problems == []
    assert browser.asked == [hostile.as_uri()], "it asked for something besides itself"
    assert browser.run("document.title") == "Replay of the log"
    assert browser.run("document.images.length + document.scripts.length") == 2, "its data and its program"
    shown = browser.run("document.querySelector('#state').textContent")
    assert HOSTILE in shown
    assert "exited (137)" in shown
    assert HOSTILE in browser.run("document.querySelector('#events').textContent")


def test_the_policy_of_the_page_allows_its_own_program_alone(hostile: Path) -> None:
    found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', hostile.read_text())
    assert found
    assert re.fullmatch(
        r"default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-[^']+'; base-uri 'none'; form-action 'none'",
        found[1],
    )


def test_the_first_look_shows_the_chain_the_range_and_what_went_wrong(hostile: Path, browser: Browser) -> None:
    browser.open(hostile)
    badges = browser.run("document.querySelector('#badges').innerText")
    assert "✓ chain intact, records 1 to 7" in badges
    assert "1 denied" in badges
    assert "1 crash" in badges
    assert "positions 1 to 7" in browser.run("document.querySelector('#range').textContent")
    assert HOSTILE in browser.run("document.querySelector('#detail').textContent"), "the denied command is opened"


def test_it_is_used_by_keyboard_and_by_mouse(hostile: Path, browser: Browser) -> None:
    def detail() -> str:
        return str(browser.run("document.querySelector('#detail h3').textContent"))

    browser.open(hostile)
    browser.run("document.querySelector('#lanes').focus()")
    browser.press("Home")
    assert detail() == f"create {HOSTILE}" or detail() == "create"
    browser.press("ArrowRight")
    assert "die (137)" in detail()
    assert "external" in browser.run("document.querySelector('#said').textContent")
    browser.press("Enter")
    assert browser.run("document.activeElement.id") == "detail"
    browser.press("/")
    assert browser.run("document.activeElement.id") == "search"
    browser.run("document.querySelector('#only-external').click()")
    assert browser.run("document.querySelectorAll('#events tr').length") == 1
    browser.run("document.querySelector('#only-external').click()")
    box = browser.run("(b => [b.left, b.top, b.width])(document.querySelector('#lanes').getBoundingClientRect())")
    browser.mouse("mouseMoved", box[0] + box[2] - 60, box[1] + 75)  # the lane of the container
    assert browser.run("!document.querySelector('#tip').hidden")
    before = browser.run("document.querySelector('#moment').value")
    for kind in ("mousePressed", "mouseReleased"):
        browser.mouse(kind, box[0] + box[2] * 0.6, box[1] + 12)
    assert browser.run("document.querySelector('#moment').value") != before
    assert browser.problems == []


@pytest.mark.parametrize("dark", [False, True])
def test_it_is_readable_in_light_and_dark(hostile: Path, browser: Browser, dark: bool) -> None:
    browser.open(hostile, dark=dark)
    colours = browser.run("(s => [s.color, s.backgroundColor])(getComputedStyle(document.body))")
    light = [sum(map(int, re.findall(r"\d+", colour))) > 3 * 128 for colour in colours]
    assert light == ([True, False] if dark else [False, True])


def test_no_name_makes_it_wider_than_a_narrow_window(hostile: Path, browser: Browser) -> None:
    browser.open(hostile)
    browser.send("Emulation.setDeviceMetricsOverride", width=375, height=800, deviceScaleFactor=1, mobile=False)
    widths = browser.run("(e => [e.scrollWidth, e.clientWidth])(document.documentElement)")
    assert widths[0] <= widths[1] <= 375


def test_a_stretch_before_the_log_claims_nothing(tmp_path: Path, sqlite_location: Location, browser: Browser) -> None:
    generate(sqlite_location, 20)
    browser.open(page_of(sqlite_location, 0, tmp_path / "page.html"))
    assert "no records" in browser.run("document.querySelector('#range').textContent")
    assert "intact" not in browser.run("document.body.innerText")
    assert browser.problems == []


def test_a_broken_chain_stands_at_the_top(tmp_path: Path, sqlite_location: Location, browser: Browser) -> None:
    generate(sqlite_location, 50)
    execute(sqlite_location, "DROP TRIGGER event_no_update", "UPDATE event SET principal = 'x' WHERE position = 30")
    browser.open(page_of(sqlite_location, 50, tmp_path / "page.html", after=10))
    assert "✗ chain broken at record 30" in browser.run("document.querySelector('#badges').innerText")


@pytest.mark.promise("P9")
def test_ten_thousand_events_make_less_than_two_megabytes(
    tmp_path: Path, sqlite_location: Location, browser: Browser
) -> None:
    generate(sqlite_location, 10_000)
    written = page_of(sqlite_location, 10_000, tmp_path / "page.html")
    assert written.stat().st_size < 2_000_000
    browser.open(written)
    assert 1 <= browser.run("document.querySelectorAll('#events tr').length") <= 300, "a page of them at a time"
    assert int(browser.run("document.querySelector('#event-count').textContent").split()[-1]) > 2_000
    assert browser.problems == []
