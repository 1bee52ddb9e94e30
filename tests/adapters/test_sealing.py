"""Secrets are sealed for one place in one command, and keys are kept with care."""

import base64
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.key_file import keep_copy, lay_ready, take_over
from adapters.sealing import AesSealer, load_sealing_key
from domain.errors import ConfigurationError, UnsealError
from domain.secrets import DataKey

KEY = bytes(range(32))
SEALER = AesSealer(KEY)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


def seal(value: str, command: str = "c1", place: str = "/environment/A") -> tuple[DataKey, dict[str, object]]:
    envelope = SEALER.envelope(command)
    sealed = envelope.seal(place, value)
    assert envelope.data_key
    return envelope.data_key, sealed


@pytest.mark.promise("P6")
@given(TEXT)
def test_a_sealed_value_can_be_opened_with_its_key_only(value: str) -> None:
    data_key, sealed = seal(value)
    assert SEALER.open(data_key, "/environment/A", sealed) == value
    with pytest.raises(UnsealError):
        AesSealer(bytes(32)).open(data_key, "/environment/A", sealed)


@pytest.mark.parametrize(
    ("data_key", "place"),
    [
        (seal("other")[0], "/environment/A"),
        (None, "/environment/B"),
        (None, "/environment"),
    ],
)
def test_a_sealed_value_that_was_moved_cannot_be_opened(data_key: DataKey | None, place: str) -> None:
    own_key, sealed = seal("value")
    with pytest.raises(UnsealError):
        SEALER.open(data_key or own_key, place, sealed)


def test_a_key_of_one_command_does_not_open_another() -> None:
    data_key, sealed = seal("value", command="c1")
    with pytest.raises(UnsealError):
        SEALER.open(DataKey("c2", data_key.key_id, data_key.wrapped), "/environment/A", sealed)


@pytest.mark.parametrize(
    "garbage", [{}, {"$sealed": {}}, {"$sealed": {"n": 1, "c": "%%%"}}, {"$sealed": {"n": -1, "c": ""}}]
)
def test_garbage_is_refused(garbage: dict[str, object]) -> None:
    with pytest.raises(UnsealError):
        SEALER.open(seal("x")[0], "/environment/A", garbage)


def test_equal_values_match_without_being_readable() -> None:
    first, second = seal("hunter2", command="a")[1], seal("hunter2", command="b")[1]
    assert first["$sealed"]["f"] == second["$sealed"]["f"]  # type: ignore[index]
    assert first["$sealed"]["c"] != second["$sealed"]["c"]  # type: ignore[index]
    assert seal("hunter3")[1]["$sealed"]["f"] != first["$sealed"]["f"]  # type: ignore[index]


def test_the_length_of_a_value_shows_only_in_steps() -> None:
    lengths = {len(base64.b64decode(seal("x" * size)[1]["$sealed"]["c"])) for size in range(28)}  # type: ignore[index]
    assert len(lengths) == 1


def test_a_command_without_secrets_has_no_key() -> None:
    assert SEALER.envelope("c").data_key is None


def test_the_key_id_names_the_key_and_does_not_reveal_it() -> None:
    assert SEALER.key_id == AesSealer(KEY).key_id != AesSealer(bytes(32)).key_id
    assert SEALER.key_id not in KEY.hex()


def test_a_missing_key_file_is_made_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "new" / "key"
    key = load_sealing_key(None, file, may_create=True)
    assert len(key) == 32
    assert file.stat().st_mode & 0o777 == 0o600
    assert load_sealing_key(None, file, may_create=False) == key
    assert list(file.parent.iterdir()) == [file]


MAKE = """
import sys
from pathlib import Path
from adapters.sealing import load_sealing_key
print(load_sealing_key(None, Path(sys.argv[1]), may_create=True).hex())
"""


def test_servers_that_start_together_make_one_key(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKE, str(tmp_path / "key")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(5)]
    assert len({process.communicate()[0] for process in processes}) == 1


@pytest.mark.parametrize("text", ["short", "AAAA", base64.b64encode(bytes(31)).decode(), "é" * 44])
def test_a_malformed_key_is_refused_without_being_shown(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_sealing_key(text, None, may_create=True)
    assert text not in refused.value.describe()
    file = tmp_path / "key"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(ConfigurationError):
        load_sealing_key(None, file, may_create=True)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    load_sealing_key(None, file, may_create=True)
    file.chmod(0o640)
    with pytest.raises(ConfigurationError, match="others can read") as refused:
        load_sealing_key(None, file, may_create=True)
    assert "chmod 600" in refused.value.hint


def test_a_lost_key_is_not_replaced_by_another(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="gone"):
        load_sealing_key(None, tmp_path / "key", may_create=False)


def test_postgres_needs_a_key_from_its_operator() -> None:
    with pytest.raises(ConfigurationError, match="DOCKER_MCP_SEALING_KEY"):
        load_sealing_key(None, None, may_create=True)


def test_a_key_that_has_no_place_is_explained(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(ConfigurationError, match="cannot be kept"):
        load_sealing_key(None, blocked / "key", may_create=True)


def test_two_envelopes_never_share_a_data_key() -> None:
    assert seal("x")[0].wrapped != seal("x")[0].wrapped


@given(TEXT)
def test_a_data_key_that_is_wrapped_anew_opens_the_same_values_under_the_new_key_only(value: str) -> None:
    new = AesSealer(bytes(32))
    data_key, sealed = seal(value)
    anew = SEALER.rewrap(data_key, new)
    assert (anew.command_id, anew.key_id) == ("c1", new.key_id)
    assert new.open(anew, "/environment/A", sealed) == value
    with pytest.raises(UnsealError):
        SEALER.open(anew, "/environment/A", sealed)


@pytest.mark.parametrize("data_key", [DataKey("c2", "", seal("x")[0].wrapped), DataKey("c1", "", "%"), None])
def test_only_the_key_that_wrapped_can_wrap_anew(data_key: DataKey | None) -> None:
    wrapper = SEALER if data_key else AesSealer(bytes(32))
    with pytest.raises(UnsealError):
        wrapper.rewrap(data_key or seal("x")[0], SEALER)


def test_a_new_key_waits_until_it_is_taken_over(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "key"
    old, new = load_sealing_key(None, file, may_create=True), bytes(range(1, 33))
    lay_ready(file, bytes(32), "given-up")
    lay_ready(file, new, "the-id")
    take_over(file, "given-up")
    assert load_sealing_key(None, file, may_create=False) == old
    assert len(list(file.parent.iterdir())) == 2
    for _ in range(2):
        take_over(file, "the-id")
        assert load_sealing_key(None, file, may_create=False) == new
    assert list(file.parent.iterdir()) == [file]
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_kept_copy_outlives_the_key_that_takes_its_place(tmp_path: Path) -> None:
    file = tmp_path / "key"
    old = load_sealing_key(None, file, may_create=True)
    lay_ready(file, bytes(32), "new")
    kept = [keep_copy(file, "old") for _ in range(2)][-1]
    take_over(file, "new")
    assert load_sealing_key(None, kept, may_create=False) == old
    assert load_sealing_key(None, file, may_create=False) == bytes(32)


def test_a_key_that_cannot_be_put_in_its_place_is_told(tmp_path: Path) -> None:
    file = tmp_path / "key"
    lay_ready(file, bytes(32), "new")
    file.mkdir()
    with pytest.raises(ConfigurationError, match="cannot be put in place") as refused:
        take_over(file, "new")
    assert str(file) in refused.value.hint
