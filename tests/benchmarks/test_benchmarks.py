"""The benchmarks run, and their table says the same as text, as JSON, as a chart and on the page."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.benchmarks.__main__ import measure
from tests.benchmarks.bench import Effort
from tests.benchmarks.measure import Row, at_least, below, ratio_below
from tests.benchmarks.report import PAGE, publish, results, text, write

FAST = Row(what="a <fast> thing", ours=2.0, unit="ms", floor=1.6, floor_is="bare", aim=ratio_below(1.5), note="p50")
SLOW = Row(what="a slow thing", ours=800, unit="/s", aim=at_least(1000))
TOLD = Row(what="a thing without an aim", ours=7, unit="MB")
BARS = "{http://www.w3.org/2000/svg}rect"


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (FAST, "met"),
        (SLOW, "MISSED"),
        (TOLD, ""),
        (Row(what="", ours=5.1, unit="ms", aim=below(5)), "MISSED"),
        (Row(what="", ours=2, unit="/s", floor=1, aim=at_least(3)), "MISSED"),
    ],
)
def test_an_aim_is_met_or_missed_by_the_figure_or_its_ratio(row: Row, verdict: str) -> None:
    assert row.verdict == verdict


def test_every_form_of_the_table_tells_each_row(tmp_path: Path) -> None:
    write(results("Title", [FAST, SLOW, TOLD], {"fdatasync_ms": 1}), tmp_path, "benchmarks")
    written = json.loads((tmp_path / "benchmarks.json").read_text())["rows"]
    assert [(row["what"], row["ratio"], row["verdict"]) for row in written] == [
        ("a <fast> thing", 1.25, "met"),
        ("a slow thing", None, "missed"),
        ("a thing without an aim", None, None),
    ]
    bars = ElementTree.parse(tmp_path / "benchmarks.svg").getroot().iter(BARS)
    assert [bar.get("class") for bar in bars] == ["met", "missed"]
    for row in (FAST, SLOW, TOLD):
        assert row.what in text([FAST, SLOW, TOLD])
        assert row.what in (tmp_path / "benchmarks.md").read_text()


def test_the_page_takes_the_tables_and_keeps_its_words(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(PAGE.read_text())
    write(results("Title", [FAST], {}), tmp_path / "found", "benchmarks")
    assert publish(tmp_path / "found", page) == ["benchmarks"]
    once = page.read_text()
    assert "a <fast> thing" in once
    assert "## What keeps a row from its aim" in once
    assert (tmp_path / "benchmarks.svg").exists()
    publish(tmp_path / "found", page)
    assert page.read_text() == once


@pytest.mark.postgres
@pytest.mark.engine
def test_a_section_is_measured_and_written(tmp_path: Path) -> None:
    measure(["sizes"], Effort(rounds=1, seconds=0.1, events=(1000,), calls=20), tmp_path)
    rows = json.loads((tmp_path / "benchmarks.json").read_text())["rows"]
    assert [row["unit"] for row in rows] == ["tokens", "MB", "MB"]
    assert all(row["ours"] > 0 for row in rows)
