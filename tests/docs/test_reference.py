"""The pages say what the declarations say, and the questions they print can be asked."""

import re
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from adapters.store.log_reading import LogReader
from domain.catalogue import CATALOGUE
from domain.catalogue.tool import Surface
from domain.secrets import DataKey
from server.bootstrap import new_id, now_ms
from server.reference import tools_page, with_metrics, with_settings
from tests.contract.events import life
from tests.contract.rows import execute, rows
from tests.docs.pages import PAGES, ROOT


def test_the_tool_reference_is_current() -> None:
    assert (ROOT / "docs/tools.md").read_text() == tools_page(), "run `make docs`"


def test_the_settings_reference_is_current() -> None:
    page = (ROOT / "docs/configuration.md").read_text()
    assert page == with_settings(page), "run `make docs`"


def test_the_metrics_reference_is_current() -> None:
    page = (ROOT / "docs/observability.md").read_text()
    assert page == with_metrics(page), "run `make docs`"


def test_the_number_of_tools_in_the_readme_is_true() -> None:
    assert f"{len(CATALOGUE.on(Surface.TOOL))} tools" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.postgres
def test_a_role_with_the_printed_rights_can_serve_and_cannot_weaken_the_guards(postgres_location: Location) -> None:
    (grants,) = re.findall(r"```sql\n(.*?)```", (ROOT / "docs/configuration.md").read_text(), re.S)
    role = f"server_{new_id().replace('-', '')[-12:]}"
    execute(postgres_location, *grants.replace("docker_mcp_server", role).strip().removesuffix(";").split(";"))
    restricted = Location.parse(postgres_location.url.replace("postgres@", f"{role}@"))
    store = SqlEventStore(restricted, now_ms, new_id())
    store.append(life(), DataKey("c", "k", "w")).result(30)
    assert len(store.read()) == 4
    assert rows(restricted, "SELECT status FROM audit_trail") == [("success",)]
    with closing(LogReader(restricted, 30, 5)) as reader:
        assert reader.read().series.position == 4
    store.close()
    for attempt in (
        "ALTER TABLE event DISABLE TRIGGER ALL",
        "DROP TRIGGER event_no_change ON event",
        "SET session_replication_role = replica",
        "TRUNCATE event",
        "UPDATE event SET role = 'admin'",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            execute(restricted, attempt)
