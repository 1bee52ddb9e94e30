"""The auth file on disk: read anew when it changes, trusted only if nobody else can write it, never half written."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from adapters.auth_store import AuthStore, load_auth_secret, make_first_admin
from adapters.private_file import write_private
from domain.access.auth_file import AuthFile
from domain.access.tokens import fingerprint
from domain.errors import ConfigurationError, InvalidArgumentsError

MOST_BYTES = 1024 * 1024
NEW = '{"users": {}, "roles": {"new": {}}}'

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to another user")


class Told:
    """Remembers what a store has told."""

    def __init__(self) -> None:
        self.rules: list[AuthFile] = []
        self.problems: list[str] = []

    def __call__(self, rules: AuthFile | None, problem: str | None) -> None:
        assert (rules is None) != (problem is None)
        if rules is not None:
            self.rules.append(rules)
        if problem is not None:
            self.problems.append(problem)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "auth" / "auth.json"


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def store(file: Path, told: Told) -> AuthStore:
    """The rules of a file with the user alice, loaded."""
    AuthStore(file).add_user("alice", "admin")
    made = AuthStore(file, told)
    made.load()
    return made


def roles(rules: AuthFile) -> set[str]:
    return set(rules.roles)


def break_text(file: Path) -> None:
    write_private(file, b'{"users": {"alice": ')


def break_meaning(file: Path) -> None:
    write_private(file, b'{"users": {"mallory": {"role": "boss", "key_sha256": "' + b"0" * 64 + b'"}}}')


def open_to_group(file: Path) -> None:
    write_private(file, NEW.encode())
    file.chmod(0o660)


def open_to_all(file: Path) -> None:
    write_private(file, NEW.encode())
    file.chmod(0o602)


def give_away(file: Path) -> None:
    write_private(file, NEW.encode())
    os.chown(file, 65534, 65534)


def blow_up(file: Path) -> None:
    write_private(file, NEW.encode() + b" " * MOST_BYTES)


def garble(file: Path) -> None:
    write_private(file, b"\xff\xfe{}")


def put_a_folder_there(file: Path) -> None:
    file.unlink()
    file.mkdir()


def put_a_pipe_there(file: Path) -> None:
    """To open it for reading would wait for somebody who writes."""
    file.unlink()
    os.mkfifo(file, 0o600)


BAD: list[Any] = [
    (break_text, "the auth file: line 1: not JSON"),
    (break_meaning, "users.mallory.role: no such role"),
    (open_to_group, "others can write the auth file"),
    (open_to_all, "others can write the auth file"),
    pytest.param(give_away, "the auth file belongs to another user", marks=as_root),
    (blow_up, "larger than 1048576 bytes"),
    (garble, "not UTF-8 text"),
    (put_a_folder_there, "the auth file cannot be read"),
    (put_a_pipe_there, "the auth file is not a regular file"),
]
bad = pytest.mark.parametrize(("spoil", "problem"), BAD, ids=lambda value: value.__name__ if callable(value) else "")


# --- reading ----------------------------------------------------------------------------------------------------


def test_without_a_file_there_are_no_users_and_nothing_is_told(file: Path, told: Told) -> None:
    store = AuthStore(file, told)
    assert store.load() == store.current() == AuthFile()
    assert (told.rules, told.problems) == ([], [])
    assert not file.exists()


@pytest.mark.promise("P7")
@bad
def test_a_bad_file_stops_the_start(spoil: Callable[[Path], None], problem: str, store: AuthStore, file: Path) -> None:
    spoil(file)
    with pytest.raises(ConfigurationError) as caught:
        AuthStore(file).load()
    assert problem in caught.value.message


@pytest.mark.promise("P7")
@pytest.mark.parametrize(
    ("spoil", "fix"),
    [
        (open_to_group, "chmod 600 {file}"),
        (open_to_all, "chmod 600 {file}"),
        pytest.param(give_away, "chown {uid} {file}", marks=as_root),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused_with_the_fix(
    spoil: Callable[[Path], None], fix: str, store: AuthStore, file: Path
) -> None:
    spoil(file)
    with pytest.raises(ConfigurationError) as caught:
        AuthStore(file).load()
    assert caught.value.hint == fix.format(file=file, uid=os.getuid())


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o444, 0o600, 0o644])
def test_a_file_that_others_can_read_holds_no_secret_and_is_taken(mode: int, store: AuthStore, file: Path) -> None:
    file.chmod(mode)
    assert set(AuthStore(file).load().users) == {"alice"}


@pytest.mark.promise("P7")
def test_a_changed_file_is_read_anew_and_told_once(store: AuthStore, file: Path, told: Told) -> None:
    before = store.current()
    write_private(file, NEW.encode())
    assert [roles(store.current()) for _ in range(3)] == [{"new"}] * 3
    assert [roles(rules) for rules in told.rules] == [{"new"}]
    assert store.current() is store.current(), "an unchanged file is not read again"
    assert before.users, "whoever holds the old rules keeps them as they were"


def test_a_file_that_comes_later_is_read(file: Path, told: Told) -> None:
    store = AuthStore(file, told)
    store.load()
    write_private(file, NEW.encode())
    assert roles(store.current()) == {"new"}
    assert len(told.rules) == 1


@pytest.mark.promise("P7")
def test_a_file_that_is_taken_away_changes_nothing_and_is_told_once(store: AuthStore, file: Path, told: Told) -> None:
    before = store.current()
    file.unlink()
    assert store.current() == store.current() == before
    assert told.rules == []
    assert len(told.problems) == 1


def test_a_file_of_the_same_size_and_time_that_took_its_place_is_read(store: AuthStore, file: Path) -> None:
    before = file.stat()
    text = file.read_text().replace("alice", "trudy")
    write_private(file, text.encode())
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size
    assert set(store.current().users) == {"trudy"}


def test_a_file_that_was_written_in_place_is_read(store: AuthStore, file: Path) -> None:
    file.write_text(file.read_text().replace("alice", "trudy"))
    assert set(store.current().users) == {"trudy"}


def test_what_a_link_points_to_is_read_and_watched(store: AuthStore, file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(file)
    linked = AuthStore(link)
    assert set(linked.load().users) == {"alice"}
    write_private(file, NEW.encode())
    assert roles(linked.current()) == {"new"}


@pytest.mark.promise("P7")
@bad
def test_a_bad_file_changes_nothing_and_is_told_once(
    spoil: Callable[[Path], None],
    problem: str,
    store: AuthStore,
    file: Path,
    told: Told,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = store.current()
    spoil(file)
    assert [store.current() for _ in range(3)] == [before] * 3
    assert told.rules == []
    (heard,) = told.problems
    assert problem in heard
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "the old rules stay in force" in line
    assert problem in line


@pytest.mark.promise("P7")
@bad
def test_once_it_is_mended_it_is_taken(
    spoil: Callable[[Path], None], problem: str, store: AuthStore, file: Path, told: Told
) -> None:
    spoil(file)
    store.current()
    if file.is_dir():
        file.rmdir()
    write_private(file, NEW.encode())
    assert roles(store.current()) == {"new"}
    assert (len(told.problems), len(told.rules)) == (1, 1)


def test_each_bad_file_is_told(store: AuthStore, file: Path, told: Told) -> None:
    for spoil in (break_text, break_meaning, break_text):
        spoil(file)
        store.current()
        store.current()
    assert len(told.problems) == 3
    assert told.rules == []


@pytest.mark.promise("P7")
def test_permissions_alone_are_a_change(store: AuthStore, file: Path, told: Told) -> None:
    file.chmod(0o666)
    assert set(store.current().users) == {"alice"}
    assert len(told.problems) == 1
    file.chmod(0o600)
    assert set(store.current().users) == {"alice"}
    assert (len(told.problems), len(told.rules)) == (1, 1)


@pytest.mark.parametrize("place", ["users", "roles", "top"])
def test_a_problem_is_told_in_few_words_whatever_the_file_holds(
    place: str, store: AuthStore, file: Path, told: Told
) -> None:
    """What is told is recorded, and an event has no room for a file."""
    name = "x" * (MOST_BYTES // 2)
    tree: dict[str, Any] = {name: {}} if place == "top" else {place: {name: {}}}
    write_private(file, orjson.dumps(tree))
    store.current()
    (heard,) = told.problems
    assert len(heard) < 4096


# --- several at once --------------------------------------------------------------------------------------------


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Do ``work`` in so many threads that begin together; return what each got."""
    barrier = threading.Barrier(count)

    def begin(number: int) -> Any:
        barrier.wait(10)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


def test_many_readers_learn_of_a_change_at_once_and_it_is_told_once(store: AuthStore, file: Path, told: Told) -> None:
    for number in range(1, 21):
        write_private(file, orjson.dumps({"roles": {f"r{number}": {}}}))
        assert [roles(rules) for rules in at_once(8, lambda _: store.current())] == [{f"r{number}"}] * 8
        assert len(told.rules) == number
    assert told.problems == []


def test_readers_see_the_file_before_or_after_a_change_and_nothing_between(
    store: AuthStore, file: Path, told: Told
) -> None:
    writer = AuthStore(file)
    for number in range(20):
        writer.add_user(f"u{number}", "user")
    write_is_over = threading.Event()
    seen: set[int] = set()

    def work(number: int) -> None:
        if number == 0:
            for each in range(20):
                writer.remove_user(f"u{each}")
                writer.add_user(f"v{each}", "user")
            write_is_over.set()
            return
        while not write_is_over.is_set():
            seen.add(len(AuthStore(file).load().users))
            seen.add(len(store.current().users))

    at_once(4, work)
    assert seen <= {20, 21}
    assert told.problems == []
    assert len(store.current().users) == 21


def test_of_users_that_are_added_at_once_none_is_lost(store: AuthStore, file: Path) -> None:
    names = [f"u{number}" for number in range(8)]
    keys = at_once(8, lambda number: AuthStore(file).add_user(names[number], "user"))
    kept = AuthStore(file).load().users
    assert {name: kept[name].key_sha256 for name in names if name in kept} == {
        name: fingerprint(key) for name, key in zip(names, keys, strict=True)
    }


# --- writing ----------------------------------------------------------------------------------------------------

_KILLED_BEFORE_RENAME = """
import os, signal, sys
from pathlib import Path
from adapters.auth_store import AuthStore
Path.replace = os.replace = os.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
AuthStore(Path(sys.argv[1])).add_user("bob", "user")
"""


@pytest.mark.promise("P7")
def test_a_writer_that_dies_leaves_the_file_as_it_was(store: AuthStore, file: Path, told: Told) -> None:
    before, stamp = file.read_bytes(), file.stat()
    done = subprocess.run([sys.executable, "-c", _KILLED_BEFORE_RENAME, str(file)], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert file.read_bytes() == before
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (stamp.st_ino, stamp.st_mtime_ns)
    (draft,) = [each for each in file.parent.iterdir() if each != file]
    assert draft.stat().st_mode & 0o7777 == 0o600, "a draft is as private as the file"
    assert set(orjson.loads(draft.read_bytes())["users"]) == {"alice", "bob"}, "it was whole before the rename"
    assert set(store.current().users) == {"alice"}
    store.add_user("carol", "user")
    assert set(store.current().users) == {"alice", "carol"}, "what is left of it disturbs nobody"
    assert told.problems == []


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_what_cannot_be_written_leaves_the_file_and_no_draft(
    step: str, store: AuthStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    before = file.read_bytes()
    monkeypatch.setattr({"fsync": "os.fsync", "replace": "pathlib.Path.replace"}[step], fail)
    with pytest.raises(ConfigurationError, match=r"cannot be written: .*auth\.json: No space left on device"):
        store.add_user("bob", "user")
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_the_content_is_on_the_disk_before_it_has_the_name(
    store: AuthStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def sync(descriptor: int) -> None:
        steps.append("sync")
        fsync(descriptor)

    def rename(path: Path, to: Path) -> Path:
        steps.append("rename")
        return replace(path, to)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", rename)
    store.add_user("bob", "user")
    assert steps[:2] == ["sync", "rename"]


def test_a_change_that_is_not_valid_writes_nothing(store: AuthStore, file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(ConfigurationError):
        store.add_user("two words", "user")
    with pytest.raises(ConfigurationError):
        store.add_user("bob", "boss")
    with pytest.raises(InvalidArgumentsError):
        store.add_user("alice", "user")
    with pytest.raises(InvalidArgumentsError):
        store.rotate_key("bob")
    with pytest.raises(InvalidArgumentsError):
        store.remove_user("bob")
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.promise("P7")
@pytest.mark.parametrize("mode", [0o660, 0o666])
def test_a_file_that_others_can_write_is_not_made_trusted_by_writing_it(
    mode: int, store: AuthStore, file: Path
) -> None:
    file.chmod(mode)
    before = file.read_bytes()
    with pytest.raises(ConfigurationError, match="others can write"):
        store.add_user("bob", "user")
    with pytest.raises(ConfigurationError, match="others can write"):
        store.rotate_key("alice")
    with pytest.raises(ConfigurationError, match="others can write"):
        store.remove_user("alice")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (before, mode)


def test_keys_are_long_random_and_recognisable(store: AuthStore) -> None:
    keys = [store.rotate_key("alice") for _ in range(20)]
    assert len(set(keys)) == 20
    assert all(key.startswith("dmk_") and len(key) == 47 for key in keys)


# --- the first user ---------------------------------------------------------------------------------------------


def test_the_key_of_the_first_user_is_in_a_file_of_its_owner(file: Path, tmp_path: Path) -> None:
    key_file = tmp_path / "keys" / "admin.key"
    make_first_admin(AuthStore(file), key_file)
    key = key_file.read_text().strip()
    assert key_file.stat().st_mode & 0o7777 == 0o600
    user = AuthStore(file).load().users["admin"]
    assert (user.role, user.key_sha256) == ("admin", fingerprint(key))
    assert key not in file.read_text()


def test_a_first_user_whose_key_cannot_be_kept_is_not_made(file: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").touch()
    with pytest.raises(ConfigurationError, match="the API key cannot be kept in"):
        make_first_admin(AuthStore(file), tmp_path / "keys" / "admin.key")
    assert AuthStore(file).load().users == {}


# --- the secret that signs tokens -------------------------------------------------------------------------------


def test_the_secret_of_the_operator_is_taken_as_it_is(tmp_path: Path) -> None:
    assert load_auth_secret("a secret of the tests", tmp_path / "ledger.db") == b"a secret of the tests"
    assert list(tmp_path.glob("ledger*")) == []


@pytest.mark.promise("P6")
def test_a_secret_of_our_own_is_random_private_and_kept(tmp_path: Path) -> None:
    database = tmp_path / "state" / "ledger.db"
    secret = load_auth_secret(None, database)
    file = database.with_name("ledger.db.auth-secret")
    assert len(secret) >= 32
    assert (file.read_bytes(), file.stat().st_mode & 0o7777) == (secret, 0o600)
    assert load_auth_secret(None, database) == secret
    assert load_auth_secret(None, tmp_path / "other.db") != secret
    assert load_auth_secret(None, None) != load_auth_secret(None, None), "without a file each process has its own"


@pytest.mark.promise("P7")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_secret_that_lies_open_is_refused_with_the_fix(mode: int, tmp_path: Path) -> None:
    load_auth_secret(None, tmp_path / "ledger.db")
    file = tmp_path / "ledger.db.auth-secret"
    file.chmod(mode)
    with pytest.raises(ConfigurationError) as caught:
        load_auth_secret(None, tmp_path / "ledger.db")
    assert caught.value.hint == f"chmod 600 {file}"


@pytest.mark.promise("P7")
@pytest.mark.parametrize("content", [b"", b"\n", b"short"])
def test_a_secret_that_can_be_guessed_is_refused(content: bytes, tmp_path: Path) -> None:
    write_private(tmp_path / "ledger.db.auth-secret", content)
    with pytest.raises(ConfigurationError):
        load_auth_secret(None, tmp_path / "ledger.db")


def test_a_secret_that_cannot_be_kept_is_told_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(ConfigurationError, match="cannot be kept in") as caught:
        load_auth_secret(None, tmp_path / "state" / "ledger.db")
    assert "MCP_AUTH_SECRET" in str(caught.value.hint)


def _secret_of(database: Path, _number: int) -> bytes:
    return load_auth_secret(None, database)


def test_servers_that_start_at_once_sign_with_the_same_secret(tmp_path: Path) -> None:
    for number in range(10):
        database = tmp_path / f"{number}.db"
        secrets = at_once(8, partial(_secret_of, database))
        assert len(set(secrets)) == 1
