"""Seals secret arguments: AES-256-GCM under a data key per command, which is wrapped by the sealing key.

Deleting a command's wrapped key makes its values unreadable for ever and leaves the log and its hashes whole.
Keys for wrapping and for digests are derived from the sealing key by HKDF (RFC 5869). Values are padded to blocks of 32
bytes, so that their length tells little, and bound to command and place: moved elsewhere, they cannot be opened.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from adapters.key_file import create
from domain.errors import ConfigurationError, SealingKeyError, UnsealError
from domain.secrets import SEALED_KEY, DataKey

KEY_BYTES: Final = 32
KEY_LOST_FOR_GOOD: Final = "if it is lost for good: `docker-mcp rotate-sealing-key --lost`"
_BLOCK: Final = 32
_NONCE_BYTES: Final = 12
_STILL_READABLE: Final = "`docker-mcp audit` reads the log without it"


class AesSealer:
    """Holds the sealing key. Satisfies ``domain.ports.Sealer``."""

    def __init__(self, key: bytes) -> None:
        """Take the 32 bytes of the sealing key."""
        self._wrapping = AESGCM(_derive(key, b"docker-mcp wrap data keys"))
        self._matching = hmac.new(_derive(key, b"docker-mcp match sealed values"), digestmod=hashlib.sha256)
        self.key_id: Final = _derive(key, b"docker-mcp key id")[:8].hex()
        """Names the key without revealing it."""

    def envelope(self, command_id: str) -> "AesEnvelope":
        return AesEnvelope(self, command_id)

    def mac(self, data: bytes) -> str:
        keyed = self._matching.copy()  # unlike hmac.digest, it keeps the interpreter's lock
        keyed.update(data)
        return keyed.hexdigest()

    def wrap(self, command_id: str, data_key: bytes) -> DataKey:
        """Return ``data_key`` encrypted under the sealing key, bound to the command."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        wrapped = nonce + self._wrapping.encrypt(nonce, data_key, b"data key of " + command_id.encode())
        return DataKey(command_id, self.key_id, base64.b64encode(wrapped).decode())

    def rewrap(self, data_key: DataKey, new: "AesSealer") -> DataKey:
        """Return ``data_key``, which this sealer has wrapped, as ``new`` wraps it.

        Raises:
            UnsealError: if this sealer did not wrap it.
        """
        return new.wrap(data_key.command_id, self._unwrap(data_key))

    def open(self, data_key: DataKey, place: str, sealed: Mapping[str, Any]) -> str:
        """Return the clear value of ``sealed``, found at ``place`` in the arguments of the key's command.

        Raises:
            UnsealError: if key, command, place or value do not belong together.
        """
        key = self._unwrap(data_key)
        try:
            value = sealed[SEALED_KEY]
            cipher = base64.b64decode(value["c"])
            nonce = int(value["n"]).to_bytes(_NONCE_BYTES, "big")
            padded = AESGCM(key).decrypt(nonce, cipher, _place(data_key.command_id, place))
        except (InvalidTag, KeyError, OverflowError, TypeError, ValueError) as error:
            raise UnsealError from error
        return padded[4 : 4 + int.from_bytes(padded[:4], "big")].decode()

    def _unwrap(self, data_key: DataKey) -> bytes:
        try:
            wrapped = base64.b64decode(data_key.wrapped)
            bound_to = b"data key of " + data_key.command_id.encode()
            return self._wrapping.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], bound_to)
        except (InvalidTag, ValueError) as error:
            raise UnsealError from error


class AesEnvelope:
    """Seals the secrets of one command under one data key. Satisfies ``domain.ports.Envelope``."""

    def __init__(self, sealer: AesSealer, command_id: str) -> None:
        self._sealer = sealer
        self._command_id = command_id
        self._key = b""
        self._sealed = 0

    def seal(self, place: str, value: str) -> dict[str, object]:
        self._key = self._key or AESGCM.generate_key(KEY_BYTES * 8)
        self._sealed += 1  # the nonce: unique, since the key seals this one command only
        nonce = self._sealed.to_bytes(_NONCE_BYTES, "big")
        text = value.encode()
        padded = len(text).to_bytes(4, "big") + text
        padded += bytes(-len(padded) % _BLOCK)
        cipher = AESGCM(self._key).encrypt(nonce, padded, _place(self._command_id, place))
        return {
            SEALED_KEY: {
                "n": self._sealed,
                "c": base64.b64encode(cipher).decode(),
                "f": self._sealer.mac(text)[:32],
            }
        }

    def digest(self, value: str) -> dict[str, object]:
        text = value.encode()
        return {SEALED_KEY: {"f": self._sealer.mac(text)[:32], "bytes": len(text)}}

    @property
    def data_key(self) -> DataKey | None:
        return self._sealer.wrap(self._command_id, self._key) if self._sealed else None


def load_sealing_key(text: str | None, file: Path | None, *, may_create: bool) -> bytes:
    """Return the sealing key: from ``text`` (base64 of 32 bytes), else from ``file``, else made and kept in ``file``.

    Raises:
        SealingKeyError: if it is lost or not given.
        ConfigurationError: if it is malformed, lies open to others, or has no place to be kept.
    """
    if text:
        return decode_key(text, "DOCKER_MCP_SEALING_KEY")
    if file is None:
        raise SealingKeyError(
            "PostgreSQL needs DOCKER_MCP_SEALING_KEY, so that every server seals with the same key",
            hint="make one with `openssl rand -base64 32` and give it to every server",
        )
    try:
        if not file.exists():
            if not may_create:
                raise SealingKeyError(
                    f"the log holds sealed values, but their key is gone: {file}",
                    hint=f"restore the file or set DOCKER_MCP_SEALING_KEY; {_STILL_READABLE}; {KEY_LOST_FOR_GOOD}",
                )
            create(file, new_key())
        if file.stat().st_mode & 0o077:
            raise ConfigurationError(f"others can read the sealing key: {file}", hint=f"chmod 600 {file}")
        return _kept_key(file)
    except OSError as error:
        raise ConfigurationError(
            f"the sealing key cannot be kept in {file}: {error.strerror}",
            hint="make the directory writable for this user, or set DOCKER_MCP_SEALING_KEY",
        ) from error


def new_key() -> bytes:
    """Return a fresh sealing key."""
    return secrets.token_bytes(KEY_BYTES)


def decode_key(text: str | bytes, source: str) -> bytes:
    """Return the key that ``text`` (base64) is; ``source`` names where it stands.

    Raises:
        ConfigurationError: if it is not base64 of 32 bytes.
    """
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigurationError(f"{source} is not base64 of {KEY_BYTES} bytes", hint="openssl rand -base64 32")
    return key


def _kept_key(file: Path) -> bytes:
    try:
        return decode_key(file.read_bytes().strip(), str(file))
    except ConfigurationError as error:
        hint = f"restore the file from its copy; {_STILL_READABLE}; {KEY_LOST_FOR_GOOD}"
        raise SealingKeyError(error.message, hint=hint) from None


def _derive(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose).derive(key)


def _place(command_id: str, place: str) -> bytes:
    return f"{command_id} {place}".encode()
