"""The keys that belong to a log: a part of the composition root."""

from typing import TYPE_CHECKING

from adapters.key_file import key_file, take_over
from adapters.sealing import KEY_LOST_FOR_GOOD, AesSealer, decode_key, load_sealing_key
from adapters.store.event_store import newest_key_id
from adapters.store.location import Location
from domain.errors import SealingKeyError
from server.settings import Settings

if TYPE_CHECKING:
    from adapters.signing import SigningKey


def sealer_of(settings: Settings, location: Location) -> AesSealer:
    """Return the sealer for a log, with the key that belongs to it; makes the key of a new SQLite log.

    Raises:
        SealingKeyError: if the key is missing or not the log's.
        ConfigurationError: if it is malformed or cannot be kept.
    """
    sealed_with = newest_key_id(location)
    file = key_file(location)
    if file and sealed_with and not settings.sealing_key:
        take_over(file, sealed_with)  # the log has gone over to it, but the rotation was interrupted
    sealer = AesSealer(load_sealing_key(settings.sealing_key, file, may_create=sealed_with is None))
    if sealed_with in (None, sealer.key_id):
        return sealer
    if settings.new_sealing_key:
        new = AesSealer(decode_key(settings.new_sealing_key, "DOCKER_MCP_NEW_SEALING_KEY"))
        if new.key_id == sealed_with:
            return new
    raise SealingKeyError(
        f"the log was sealed with key {sealed_with}, this is key {sealer.key_id}",
        hint=f"give the server the key that the log was sealed with; {KEY_LOST_FOR_GOOD}",
    )


def signing_key_of(settings: Settings, location: Location, *, may_create: bool = True) -> "SigningKey | None":
    """Return the key that signs checkpoints of a log; makes that of a SQLite log if there is none and it may.

    Raises:
        ConfigurationError: if it is malformed or cannot be kept.
    """
    from adapters.signing import load_signing_key, signing_key_file

    return load_signing_key(settings.signing_key, signing_key_file(location), may_create=may_create)
