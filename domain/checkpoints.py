"""Signed checkpoints: what is signed, in which form, and what they prove about a log.

A checkpoint is one line of canonical JSON (RFC 8785). Its ``signature`` is the base64 of an Ed25519 signature
(RFC 8032) over the canonical JSON of all the other fields. The event ``checkpoint.signed`` has that line as its data.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

from pydantic import ValidationError

from domain.canonical import NotCanonicalError, canonical_json
from domain.chain import timestamp
from domain.events import CheckpointSigned

STREAM: Final = "checkpoint"
FORM: Final = "docker-mcp-checkpoint/1"


class Signer(Protocol):
    """Holds a signing key."""

    @property
    def key_id(self) -> str:
        """Names the key."""
        ...

    def sign(self, statement: bytes) -> str:
        """Return the base64 of the signature over ``statement``."""
        ...


Verifies = Callable[[bytes, str], bool]
"""Tells whether a signature (base64) over a statement was made with a certain key."""

Keys = Mapping[str, Verifies]
"""The public keys that are trusted, by their ids."""


def sign_checkpoint(signer: Signer, *, log: str, position: int, head: str, at_ms: int) -> CheckpointSigned:
    """Return a checkpoint of the log ``log`` whose newest record is ``head`` at ``position``."""
    unsigned = CheckpointSigned(
        form=FORM, log=log, position=position, head=head, at=timestamp(at_ms), key_id=signer.key_id, signature=""
    )
    return unsigned.model_copy(update={"signature": signer.sign(statement(unsigned))})


def statement(checkpoint: CheckpointSigned) -> bytes:
    """Return the bytes that a checkpoint's signature is over."""
    return canonical_json(checkpoint.model_dump(exclude={"signature"}))


def read_checkpoint(line: str | bytes) -> CheckpointSigned:
    """Return the checkpoint that a line holds.

    Raises:
        ValueError: if it holds none.
    """
    try:
        checkpoint = CheckpointSigned.model_validate_json(line)
        statement(checkpoint)
    except (ValidationError, NotCanonicalError) as error:
        raise ValueError("this is no checkpoint") from error
    if checkpoint.form != FORM:
        raise ValueError("this is a checkpoint of a form that this version does not know")
    return checkpoint


def is_signed(checkpoint: CheckpointSigned, keys: Keys) -> bool | None:
    """Return whether the signature is right; None if the key is not among ``keys``."""
    key = keys.get(checkpoint.key_id)
    return key(statement(checkpoint), checkpoint.signature) if key else None


def disagreements(
    checkpoint: CheckpointSigned, *, log: str | None, last: int, hash_at: Callable[[int], str | None]
) -> Iterator[str]:
    """Yield what of a checkpoint does not agree with a log, its signature aside.

    Args:
        checkpoint: the checkpoint.
        log: the identity of the log, None for an empty one.
        last: the newest position of the log.
        hash_at: gives the hash of the record at a position.
    """
    if checkpoint.log != log:
        yield "it was signed for another log, or the whole history was rewritten since"
    elif checkpoint.position > last:
        yield f"it was signed when the log had {checkpoint.position} records, now it ends at {last}: its tail was cut"
    elif hash_at(checkpoint.position) != checkpoint.head:
        yield f"record {checkpoint.position} is not the one that was signed: the history was rewritten"
