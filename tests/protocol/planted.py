"""Values to plant where secrets go, and where to look for them afterwards."""

import base64
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from domain.catalogue import CATALOGUE
from domain.catalogue.tool import AnyTool, Command
from domain.secrets import secret_fields
from tests.domain.catalogue.examples import CALLS

MARK = "planted-"


class Sighting(NamedTuple):
    """A value in the command line or environment of a process."""

    value: str
    where: str
    pid: int
    parent: int


def planted(place: str) -> str:
    """A value that stands nowhere else."""
    return f"{MARK}{place}-7f3a9c"


def secrets_of(tool: AnyTool) -> frozenset[str]:
    """The arguments of ``tool`` that are marked as secret."""
    command: type[Command] = tool.command
    return secret_fields(command)


def with_secrets(tool: AnyTool) -> dict[str, Any]:
    """A call of ``tool`` with a planted value in everything that its command model marks as secret.

    A secret field that the examples leave out fails here, so that a new one is planted as well.
    """
    example = CALLS[tool.name]
    secret = secrets_of(tool)
    assert secret <= example.keys(), f"{tool.name}: no example of {sorted(secret - example.keys())}"
    return example | {name: _in_all(example[name], f"{tool.name}-{name}") for name in secret}


def planted_fields() -> set[str]:
    """Every value that :func:`with_secrets` plants in a call of any tool."""
    return {planted(f"{tool.name}-{name}") for tool in CATALOGUE for name in secrets_of(tool)}


def _in_all(value: Any, place: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _in_all(item, place) for key, item in value.items()}
    if isinstance(value, list):
        return [_in_all(item, place) for item in value]
    return planted(place)


def forms(secret: str) -> set[bytes]:
    """How a secret may be written: as it is, its bytes if it is base64, and these in hexadecimal."""
    found = {secret.encode()}
    try:
        raw = base64.b64decode(secret, validate=True)
    except ValueError:
        return found
    return found | ({raw, raw.hex().encode()} if len(raw) >= 16 else set())


@contextmanager
def watched_processes(found: set[Sighting], needles: Collection[str]) -> Iterator[None]:
    """Notes where ``needles`` stand on command lines and in environments of processes meanwhile."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            for folder in Path("/proc").glob("[0-9]*"):
                found.update(_sightings(folder, needles))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _sightings(process: Path, needles: Collection[str]) -> list[Sighting]:
    try:
        parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
        if (process / "cmdline").read_bytes() == Path(f"/proc/{parent}/cmdline").read_bytes():
            return []  # it has only begun, and is its parent's image still
        texts = {file: (process / file).read_bytes() for file in ("cmdline", "environ")}
    except OSError:
        return []
    return [
        Sighting(needle, where, int(process.name), parent)
        for where, text in texts.items()
        for needle in needles
        if needle.encode() in text
    ]


def found_in(folders: Collection[Path], needles: Collection[str], spared: Mapping[Path, str]) -> set[tuple[str, str]]:
    """Return which needle stands in which file; ``spared`` is where one has to stand, in a file for nobody else."""
    found = set()
    for file in (file for folder in folders for file in folder.rglob("*")):
        if not file.is_file():
            continue
        text = file.read_bytes()
        for needle in needles:
            if not any(form in text for form in forms(needle)):
                continue
            if spared.get(file) == needle:
                assert file.stat().st_mode & 0o777 == 0o600, file
            else:
                found.add((needle, str(file)))
    return found
