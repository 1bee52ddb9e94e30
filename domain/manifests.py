"""What is said about a copy of a log, signed as a checkpoint is."""

from typing import Final, Self

from pydantic import BaseModel, ConfigDict

from domain.canonical import canonical_json
from domain.checkpoints import Keys, Signer

BACKUP_FORM: Final = "docker-mcp-backup/1"


class SignedManifest(BaseModel):
    """What a copy holds: of which log, up to which record, made when. Without a signing key it is not signed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    form: str
    log: str
    last_position: int
    last_hash: str
    at: str
    key_id: str | None = None
    signature: str | None = None

    def statement(self) -> bytes:
        """Return the bytes that the signature is over."""
        return canonical_json(self.model_dump(exclude={"signature"}))

    def signed(self, signer: Signer | None) -> Self:
        """Return the manifest with the signature of ``signer``; as it is if there is none."""
        if signer is None:
            return self
        named = self.model_copy(update={"key_id": signer.key_id})
        return named.model_copy(update={"signature": signer.sign(named.statement())})

    def is_signed(self, keys: Keys) -> bool | None:
        """Return whether the signature is right; None if there is none or its key is not among ``keys``."""
        key = keys.get(self.key_id or "")
        return key(self.statement(), self.signature or "") if key else None


class BackupManifest(SignedManifest):
    """What a backup holds: the whole log, and in ``sealing_key_id`` the key that its sealed values need (None: none).

    ``file_sha256`` covers what no chain does, such as the wrapped data keys.
    """

    file_sha256: str
    sealing_key_id: str | None
