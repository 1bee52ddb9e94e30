"""The signing key: made once, kept to its owner, and its signatures are checked by anybody with the public key."""

import base64
import shutil
import socket
import stat
import subprocess
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from adapters.checkpoint_copies import copies_to, send, to_file, to_syslog
from adapters.signing import load_public_keys, load_signing_key
from domain.checkpoints import is_signed, sign_checkpoint, statement
from domain.errors import ConfigurationError
from tests.conftest import SEALING_KEY


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db.signing-key"


def test_the_key_is_made_once_and_for_its_owner_alone(file: Path) -> None:
    assert load_signing_key(None, file, may_create=False) is None
    made = load_signing_key(None, file, may_create=True)
    again = load_signing_key(None, file, may_create=True)
    assert made
    assert again
    assert made.key_id == again.key_id
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_key_from_the_settings_comes_first(file: Path) -> None:
    key = load_signing_key(SEALING_KEY, file, may_create=True)
    assert key
    assert not file.exists()
    assert load_signing_key(None, None, may_create=True) is None


def test_unusable_keys_are_explained(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="DOCKER_MCP_SIGNING_KEY is not base64 of 32 bytes"):
        load_signing_key("short", file, may_create=True)
    load_signing_key(None, file, may_create=True)
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="others can read"):
        load_signing_key(None, file, may_create=True)
    file.chmod(0o600)
    file.write_text("garbage")
    with pytest.raises(ConfigurationError, match="holds no Ed25519 private key"):
        load_signing_key(None, file, may_create=True)
    with pytest.raises(ConfigurationError, match="holds no Ed25519 public key"):
        load_public_keys([file], None)


@pytest.mark.promise("P4")
def test_a_stranger_checks_a_checkpoint_with_openssl(tmp_path: Path, file: Path) -> None:
    if not shutil.which("openssl"):
        pytest.fail("no openssl; install it with apt-get install openssl")
    key = load_signing_key(None, file, may_create=True)
    assert key
    checkpoint = sign_checkpoint(key, log="a" * 64, position=7, head="b" * 64, at_ms=0)
    for name, content in {
        "key.pem": key.public.pem().encode(),
        "statement": statement(checkpoint),
        "signature": base64.b64decode(checkpoint.signature),
    }.items():
        (tmp_path / name).write_bytes(content)
    check = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin"]
    check += ["-in", "statement", "-sigfile", "signature"]
    assert subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    (tmp_path / "statement").write_bytes(statement(checkpoint).replace(b'"position":7', b'"position":8'))
    assert subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode != 0
    (tmp_path / "pub.pem").write_text(key.public.pem())
    keys = load_public_keys([tmp_path / "pub.pem"], None)
    assert is_signed(checkpoint, keys) is True
    assert is_signed(checkpoint.model_copy(update={"head": "c" * 64}), keys) is False
    assert is_signed(checkpoint, {}) is None


def test_copies_go_to_a_file_that_only_grows_and_to_syslog(tmp_path: Path) -> None:
    place = tmp_path / "elsewhere" / "checkpoints.jsonl"
    copies = copies_to(f" {place} , ", stdout=True)
    assert send(copies, "one") + send(copies, "two") == []
    assert place.read_text() == "one\ntwo\n"
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as daemon:
        daemon.bind(str(tmp_path / "log"))
        to_syslog(tmp_path / "log", '{"a":1}')
        assert daemon.recv(100) == b'<85>docker-mcp: {"a":1}'


def test_places_that_do_not_work_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    [problem] = send([partial(to_file, tmp_path / "file" / "below")], "x")
    assert "could not be kept" in problem
    with pytest.raises(ConfigurationError, match="not known"):
        copies_to("elsewhere", stdout=True)


def test_standard_output_is_used_only_where_it_is_free(capsys: pytest.CaptureFixture[str]) -> None:
    assert copies_to("stdout", stdout=False) == []
    assert send(copies_to("stdout", stdout=True), "line") == []
    assert capsys.readouterr().out == "line\n"
