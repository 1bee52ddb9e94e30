"""Fixed questions to the log, on both databases: their connections, and what one moment is."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from adapters.store.audit_trail import SqlAuditTrail
from adapters.store.event_store import SqlEventStore
from adapters.store.location import Location
from adapters.store.questions import Questions
from adapters.store.session import EVENT_SQL
from domain.catalogue import CATALOGUE
from domain.catalogue.audit import AuditQuery
from domain.catalogue.tool import Run
from domain.errors import LogUnavailableError
from server.bootstrap import new_id, now_ms
from tests.contract.events import AUTHORIZED, RECEIVED, STARTED, life, stream
from tests.contract.rows import rows
from tests.waiting import wait_for

TIMEOUT_S = 20.0
BACKENDS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


@pytest.fixture
def questions(location: Location, store: SqlEventStore) -> Iterator[Questions]:
    opened = Questions(location, TIMEOUT_S)
    yield opened
    opened.close()


def test_many_threads_ask_at_a_time(questions: Questions, store: SqlEventStore) -> None:
    store.append(life()).result()
    with ThreadPoolExecutor(40) as threads:
        answers = list(threads.map(lambda _: questions.after(0, 10), range(200)))
    assert all(answer == store.read() for answer in answers)


def test_questions_that_belong_together_see_one_moment(questions: Questions, store: SqlEventStore) -> None:
    with questions.snapshot() as ask:
        assert ask(EVENT_SQL) == []
        store.append(life()).result()
        assert ask(EVENT_SQL) == []
    with questions.snapshot() as ask:
        assert len(ask(EVENT_SQL)) == 4


def test_the_database_refuses_a_question_that_writes(
    questions: Questions, location: Location, store: SqlEventStore
) -> None:
    store.append(life(RECEIVED)).result()
    with pytest.raises(LogUnavailableError):
        questions.rows("DELETE FROM open_command RETURNING command_id")
    assert len(rows(location, "SELECT command_id FROM open_command")) == 1
    assert len(questions.open_commands()) == 1


def test_a_question_after_the_end_is_answered_and_leaves_no_connection(
    questions: Questions, location: Location, store: SqlEventStore
) -> None:
    questions.after(0, 10)
    store.append(life()).result()
    questions.close()
    before = set() if location.path else set(rows(location, BACKENDS))
    for _ in range(3):
        assert len(questions.after(0, 10)) == 4
    if not location.path:
        wait_for(lambda: set(rows(location, BACKENDS)) <= before)


def commands(store: SqlEventStore, trail: SqlAuditTrail) -> int:
    question = stream(principal="auditor", tool="audit-query")
    store.append(life(RECEIVED, AUTHORIZED, STARTED, of=question)).result()
    return len(trail.query(AuditQuery(), Run(command_id=question.context.command_id, principal="auditor")).entries)


def test_a_copy_that_was_brought_back_for_a_lost_file_is_what_answers(
    sqlite_location: Location, tmp_path: Path
) -> None:
    store = SqlEventStore(sqlite_location, now_ms, new_id())
    trail = SqlAuditTrail(store, CATALOGUE.with_effect)
    store.append(life()).result()
    assert commands(store, trail) == 1
    path = sqlite_location.path
    assert path
    with closing(sqlite3.connect(path)) as log, closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        log.backup(copy)
    for file in (path, *path.parent.glob(f"{path.name}-*")):
        file.unlink()
    for use in (store.read, store.append(life()).result):
        with pytest.raises(LogUnavailableError):
            use()
    (tmp_path / "copy.db").rename(path)
    newest = life()
    store.append(newest).result()
    assert len(store.read_stream(newest[0].stream)) == 4
    assert commands(store, trail) == 3  # with the first question
    store.close()


@pytest.mark.postgres
def test_a_connection_is_kept_and_made_again_when_the_server_has_ended_it(
    postgres_location: Location,
) -> None:
    questions = Questions(postgres_location, TIMEOUT_S)
    with psycopg.connect(postgres_location.url, autocommit=True) as other:
        questions.after(0, 1)
        first = other.execute(BACKENDS).fetchall()
        questions.after(0, 1)
        assert len(first) == 1
        assert other.execute(BACKENDS).fetchall() == first
        other.execute("SELECT pg_terminate_backend(%s, 10000)", first[0])
        with questions.snapshot() as ask:
            assert ask(EVENT_SQL) == []
        assert questions.after(0, 1) == []
        wait_for(lambda: first[0] not in other.execute(BACKENDS).fetchall())
        assert len(other.execute(BACKENDS).fetchall()) == 1
    questions.close()
