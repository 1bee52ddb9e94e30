"""Copies of checkpoints go to files and pipes, and nobody waits for a place that takes nothing."""

import os
import socket
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest

from adapters.checkpoint_copies import copies_to, send, to_syslog

pytestmark = pytest.mark.promise("P4")


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def test_a_file_is_made_and_gets_a_line_each_time(tmp_path: Path) -> None:
    file = tmp_path / "elsewhere" / "copies"
    for line in ("one", "two"):
        assert send(copies_to(str(file), stdout=False), line) == []
    assert file.read_text() == "one\ntwo\n"
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_pipe_that_nobody_reads_is_told_and_the_next_place_gets_its_line(pipe: Path, tmp_path: Path) -> None:
    (problem,) = send(copies_to(f"{pipe},{tmp_path}/copies", stdout=False), "line")
    assert str(pipe) in problem
    assert (tmp_path / "copies").read_text() == "line\n"


def test_a_pipe_that_somebody_reads_gets_the_line(pipe: Path) -> None:
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert send(copies_to(str(pipe), stdout=False), "line") == []
        assert os.read(reader, 100) == b"line\n"
    finally:
        os.close(reader)


def test_a_full_disk_is_told() -> None:
    (problem,) = send(copies_to("/dev/full", stdout=False), "line")
    assert "No space left" in problem


def test_a_syslog_daemon_that_reads_nothing_is_told(tmp_path: Path) -> None:
    address = tmp_path / "log"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as daemon:
        daemon.bind(str(address))
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as others, suppress(BlockingIOError):
            others.setblocking(False)
            others.connect(str(address))
            while True:
                others.send(b"noise")
        (problem,) = send([partial(to_syslog, address)], "line")
    assert "could not be kept" in problem
