"""Every query of the dashboard *Audit trail*, on the log of a real run, as somebody who may only read."""

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.store.location import Location
from domain.secrets import SEALED_MARK
from server.bootstrap import new_id
from tests.monitoring.grafana import filled, panels, queries, shipped
from tests.monitoring.traffic import DENIED, FAILED, PURPOSE, SECRET

ROOT = Path(__file__).parents[2]
TITLES = [panel["title"] for panel in panels(shipped("audit-trail-sqlite.json"))]
EVERYTHING: dict[str, str | list[str]] = {
    "principal": "'__all'",
    "tool": "'__all'",
    "status": "'__all'",
    "object": "",
    "command_id": "",
    "__interval_ms": "1000",
}

Row = dict[str, Any]


class Reader:
    """Asks a log as Grafana does: read-only, with the dashboard of its database."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self._sqlite = location.path is not None
        self.dashboard = shipped("audit-trail-sqlite.json" if self._sqlite else "audit-trail-postgres.json")

    def rows(self, sql: str, **chosen: str | list[str]) -> list[Row]:
        now = int(time.time() * 1000)
        sql = filled(sql, {**EVERYTHING, "__from": str(now - 3_600_000), "__to": str(now + 1000), **chosen})
        if self.location.path is None:
            with psycopg.connect(self.location.url, row_factory=psycopg.rows.dict_row) as connection:
                return connection.execute(sql.encode()).fetchall()
        with closing(sqlite3.connect(f"file:{self.location.path}?mode=ro", uri=True)) as connection:
            connection.execute("PRAGMA query_only = 1")
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql)]

    def panel(self, title: str, **chosen: str | list[str]) -> list[Row]:
        ((_, target),) = [each for each in queries(self.dashboard) if each[0] == title]
        return self.rows(target.get("rawSql") or target["queryText"], **chosen)


@pytest.fixture(scope="module")
def reader(driven: Location) -> Iterator[Reader]:
    """On PostgreSQL in the role that the README tells to make."""
    if driven.path:
        yield Reader(driven)
        return
    (grants,) = re.findall(r"```sql\n(CREATE ROLE.*?)```", (ROOT / "dashboards/README.md").read_text(), re.S)
    role = f"reader_{new_id().replace('-', '')[-12:]}"
    with psycopg.connect(driven.url, autocommit=True) as owner:
        for statement in filter(None, map(str.strip, grants.replace("docker_mcp_reader", role).split(";"))):
            owner.execute(statement.encode())
        yield Reader(Location.parse(driven.url.replace("postgres@", f"{role}@")))
        owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


@pytest.mark.parametrize("title", TITLES)
def test_no_panel_is_empty(reader: Reader, title: str) -> None:
    assert reader.panel(title)


def test_the_variables_offer_what_there_is(reader: Reader) -> None:
    offered: dict[str, set[str]] = {}
    for variable in reader.dashboard["templating"]["list"]:
        if variable["type"] == "query":
            query = variable["query"]
            sql = query if isinstance(query, str) else query["queryText"]
            offered[variable["name"]] = {str(*row.values()) for row in reader.rows(sql)}
    assert offered["principal"] >= {"admin", "reader"}
    assert {"create-container", "stop-container", "_unknown"} <= offered["tool"]


def test_filters_narrow_every_table(reader: Reader) -> None:
    assert {row["principal"] for row in reader.panel("Commands", principal=["reader"])} == {"reader"}
    assert {row["tool"] for row in reader.panel("Commands", tool=["stop-container", "remove-container"])} == {
        "stop-container",
        "remove-container",
    }
    assert {row["status"] for row in reader.panel("Commands", status=["denied"])} == {"denied"}
    found = reader.panel("Commands", object="-web")
    assert found
    assert all("-web" in row["object"] for row in found)
    assert reader.panel("Commands", principal=["o'brien"]) == []
    assert reader.panel("By principal", principal=["nobody"]) == []


def test_the_table_tells_who_did_what_why_and_with_what_result(reader: Reader) -> None:
    newest = reader.panel("Commands", tool=["remove-container"])[0]
    assert (newest["principal"], newest["role"], newest["status"]) == ("admin", "admin", "success")
    assert newest["object"].startswith("container/")
    assert newest["purpose"] == PURPOSE
    assert newest["duration_us"] > 0


def test_the_counts_are_those_of_the_run(reader: Reader) -> None:
    (glance,) = reader.panel("In the range shown")
    assert glance["Failed"] == FAILED
    assert glance["Refused"] >= DENIED
    assert glance["Open"] == 0
    by_principal = {row["principal"]: row for row in reader.panel("By principal")}
    assert by_principal["reader"]["refused"] == DENIED
    assert by_principal["admin"]["failed"] == FAILED
    assert sum(row["commands"] for row in reader.panel("Commands by status")) == glance["Commands"]
    assert sum(row["commands"] for row in reader.panel("By object")) == glance["Commands"]


def test_a_story_is_told_from_its_first_event_to_its_outcome(reader: Reader) -> None:
    command = reader.panel("Commands", tool=["stop-container"], status=["success"])[0]
    story = reader.panel("One command's story", command_id=command["command_id"])
    assert story[0]["event"] == "command.received"
    assert story[-1]["event"] == "command.succeeded"
    assert int(story[-1]["duration_us"]) >= 1_000_000
    denied = reader.panel("Commands", status=["denied"])[0]
    story = reader.panel("One command's story", command_id=denied["command_id"])
    assert story[-1]["rule"] == "role-user"


@pytest.mark.promise("P6")
def test_what_is_sealed_is_in_no_panel(reader: Reader) -> None:
    command = reader.panel("Commands", tool=["create-container"], status=["success"])[0]
    everything = [reader.panel(title, command_id=command["command_id"]) for title in TITLES]
    assert command["command_id"] in str(everything)
    assert SECRET not in str(everything)
    assert SEALED_MARK not in str(everything)


@pytest.mark.postgres
@pytest.mark.promise("P3")
def test_the_reader_can_read_neither_keys_nor_change_anything(reader: Reader) -> None:
    if reader.location.path:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.rows("DELETE FROM event")
        return
    for attempt in (
        "DELETE FROM event",
        "DELETE FROM open_command",
        "SELECT * FROM data_key",
        "CREATE TABLE mine (a int)",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.rows(f"SET TRANSACTION READ WRITE; {attempt}")
