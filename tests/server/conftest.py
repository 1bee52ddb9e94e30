"""Disks that fail on demand."""

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, so small that it can be filled."""
    mount_point = tmp_path / "disk"
    mount_point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mount_point)], check=True)
    yield mount_point
    subprocess.run(["umount", "--lazy", str(mount_point)], check=True)


def fill(directory: Path) -> Path:
    """Take all the space that is left; return the file that takes it."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return filler


class OnChange(list[str]):
    """Does something when the engine is asked for a change, before it hears of it."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__()
        self._act = act

    def append(self, request: str) -> None:
        super().append(request)
        if request.startswith("POST") and request.endswith("/start"):
            self._act()
