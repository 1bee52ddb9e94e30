"""A role with the rights that the page names does all that a server and its commands do; ``doctor`` tells lacks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from domain.errors import LogUnavailableError
from server.bootstrap import new_id, now_ms
from tests.cli.command import docker_mcp, findings, log_at
from tests.conftest import SEALING_KEY
from tests.contract.events import life
from tests.contract.rows import execute
from tests.docs.pages import blocks

pytestmark = pytest.mark.postgres


@pytest.fixture
def restricted(postgres_location: Location) -> Iterator[Location]:
    """A log, as the role may use it that the page makes."""
    role = f"server_{new_id().replace('-', '')[-12:]}"
    (named,) = [block.text for block in blocks() if block.page == "docs/configuration.md" and block.language == "sql"]
    execute(postgres_location, *named.replace("docker_mcp_server", role).rstrip().removesuffix(";").split(";"))
    yield Location.parse(postgres_location.url.replace("postgres@", f"{role}@"))
    execute(postgres_location, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


@pytest.mark.parametrize(
    "command", ["audit", "verify", "rebuild", "replay", "metrics", "backup {}", "rotate-sealing-key"]
)
def test_the_rights_that_the_page_names_suffice(restricted: Location, tmp_path: Path, command: str) -> None:
    env = {**log_at(restricted), "DOCKER_MCP_SIGNING_KEY": SEALING_KEY, "DOCKER_MCP_NEW_SEALING_KEY": "A" * 43 + "="}
    done = docker_mcp(*command.format(tmp_path / "copy.db").split(), env=env)
    assert "InsufficientPrivilege" not in done.stderr
    assert done.returncode == 0 or "VACUUM (FULL)" in done.stderr


def test_doctor_tells_which_rights_a_role_lacks(restricted: Location, postgres_location: Location) -> None:
    def told() -> list[str]:
        found = findings(docker_mcp("doctor", "--json", env=log_at(restricted)))
        return [each["seen"] for each in found if each["check"] == "log" and not each["ok"]]

    assert told() == []
    role = restricted.url.partition("://")[2].partition("@")[0]
    execute(postgres_location, f"REVOKE ALL ON world_snapshot FROM {role}")
    (seen,) = told()
    assert "SELECT on world_snapshot" in seen
    execute(postgres_location, f"REVOKE INSERT ON event FROM {role}")
    (seen,) = told()
    assert seen.endswith("lacks INSERT on event")


def test_a_right_that_is_taken_away_is_told_by_the_next_look_and_not_by_a_call_alone(
    restricted: Location, postgres_location: Location
) -> None:
    role = restricted.url.partition("://")[2].partition("@")[0]
    store = SqlEventStore(restricted, now_ms, new_id())
    store.append(life()).result(30)
    execute(postgres_location, f"REVOKE INSERT ON event FROM {role}")
    with pytest.raises(LogUnavailableError):
        store.append(life()).result(30)
    with pytest.raises(LogUnavailableError, match="lacks INSERT on event"):
        store.check()
    execute(postgres_location, f"GRANT INSERT ON event TO {role}")
    store.append(life()).result(30)
    store.close()
