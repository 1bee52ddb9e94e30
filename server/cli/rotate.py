"""``docker-mcp rotate-sealing-key``: the log goes over to a new sealing key; values and events stay as they are.

The order of the steps leaves the key that the log names in a file at every moment: the new key waits beside the old
one, then the log goes over to it in one transaction, then the new one takes the old one's place.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import typer

from adapters.key_file import keep_copy, key_file, lay_ready, take_over
from adapters.sealing import AesSealer, decode_key, new_key
from adapters.store.data_keys import locked_log
from adapters.store.event_store import newest_key_id
from adapters.store.location import Location
from adapters.store.session import SEALING_KEY_STREAM
from domain.errors import ConfigurationError, InvalidArgumentsError, SealingKeyError
from domain.events import SealingKeyRotated
from domain.secrets import DataKey
from server.bootstrap import now_ms
from server.cli.check import check_store
from server.cli.local import local_admin, own_event, wiped
from server.keys import sealer_of
from server.settings import Settings

_NEW: Final = "DOCKER_MCP_NEW_SEALING_KEY"


@dataclass(frozen=True, slots=True)
class _Old:
    """The key that the log leaves; ``sealer`` is None if it is lost."""

    key_id: str
    sealer: AesSealer | None

    def rewrap(self, key: DataKey, new: AesSealer) -> DataKey:
        """Return ``key`` as ``new`` wraps it; as it is, if the old key did not wrap it."""
        return self.sealer.rewrap(key, new) if self.sealer and key.key_id == self.key_id else key


def rotate(settings: Settings, *, keep_old: bool, lost: bool) -> bool:
    """Wrap every data key under a new sealing key; return whether no file of the database holds the old wrappings.

    Args:
        settings: the options. The new key is made where the old one is kept in a file, and else has to be given.
        keep_old: keep the old key's file under another name.
        lost: go on without the old key.

    Raises:
        DockerMcpError: if nothing was changed.
    """
    principal = local_admin(settings)
    location, timeout_s = Location.parse(settings.database_url), settings.DOCKER_MCP_APPEND_TIMEOUT_S
    check_store(location, timeout_s)
    file = None if settings.sealing_key else key_file(location)
    with locked_log(location, now_ms, timeout_s) as log:
        old = _old_key(settings, location, lost=lost)
        key = _new_key(settings, file)
        new = AesSealer(key)
        if new.key_id == old.key_id:
            raise ConfigurationError(f"the log is sealed with key {new.key_id} already", hint=f"set another {_NEW}")
        before = log.data_keys()
        after = [old.rewrap(each, new) for each in before]
        count = sum(each.key_id == new.key_id for each in after)
        event = SealingKeyRotated(
            old_key_id=old.key_id, new_key_id=new.key_id, count=count, lost=True if lost else None
        )
        if file:
            lay_ready(file, key, new.key_id)
            if keep_old or lost:
                _keep(file)
        log.replace(after, own_event(event, SEALING_KEY_STREAM, principal))
    if file:
        take_over(file, new.key_id)
    typer.echo(f"the log is sealed with key {new.key_id} now; {count} data keys were wrapped anew")
    if len(after) > count:
        typer.echo(f"{len(after) - count} data keys belong to other keys and stay as they are")
    typer.echo(f"keep a copy of {file} apart from the log" if file else f"set DOCKER_MCP_SEALING_KEY to what {_NEW} is")
    typer.echo("start every server again: until then it refuses commands with secrets")
    return wiped(location, timeout_s)


def _old_key(settings: Settings, location: Location, *, lost: bool) -> _Old:
    try:
        sealer = sealer_of(settings, location)
    except SealingKeyError:
        key_id = newest_key_id(location)
        if not lost or not key_id:
            raise
        return _Old(key_id, None)
    if lost:
        raise InvalidArgumentsError(f"key {sealer.key_id} is not lost", hint="leave out --lost")
    return _Old(sealer.key_id, sealer)


def _new_key(settings: Settings, file: Path | None) -> bytes:
    if settings.new_sealing_key:
        return decode_key(settings.new_sealing_key, _NEW)
    if file is None:
        raise ConfigurationError(
            f"{_NEW} is not set, and there is no file to keep a new key in",
            hint="make one with `openssl rand -base64 32` and give it to every server",
        )
    return new_key()


def _keep(file: Path) -> None:
    """Keep the key file under the id of its key, so that it is never lost to a rotation; none is no reason to stop."""
    if not file.exists():
        return
    try:
        name = AesSealer(decode_key(file.read_bytes().strip(), str(file))).key_id
    except ConfigurationError:
        name = "unreadable"
    typer.echo(f"the old key is kept: {keep_copy(file, name)}")
