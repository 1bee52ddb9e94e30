"""The Ed25519 key that signs checkpoints and archives, and the public keys that check them."""

import base64
import hashlib
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from adapters.private_file import write_first
from adapters.sealing import decode_key
from adapters.store.location import Location
from domain.checkpoints import Keys
from domain.errors import ConfigurationError

_VARIABLE: Final = "DOCKER_MCP_SIGNING_KEY"


class SigningKey:
    """Holds a private key. Satisfies ``domain.checkpoints.Signer``."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public: Final = PublicKey(key.public_key())

    @property
    def key_id(self) -> str:
        return self.public.key_id

    def text(self) -> str:
        """Return the key as ``DOCKER_MCP_SIGNING_KEY`` takes it."""
        return base64.b64encode(self._key.private_bytes_raw()).decode()

    def pem(self) -> bytes:
        """Return the key as its file holds it."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sign(self, statement: bytes) -> str:
        return base64.b64encode(self._key.sign(statement)).decode()


class PublicKey:
    """Checks signatures. ``key_id`` is the beginning of the SHA-256 of the 32 bytes of the key."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.key_id: Final = hashlib.sha256(raw).hexdigest()[:16]

    def verifies(self, statement: bytes, signature: str) -> bool:
        """Return whether ``signature`` (base64) over ``statement`` was made with this key."""
        try:
            self._key.verify(base64.b64decode(signature, validate=True), statement)
        except (InvalidSignature, ValueError):
            return False
        return True

    def pem(self) -> str:
        """Return the key in the form that OpenSSL reads."""
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def signing_key_file(location: Location) -> Path | None:
    """Return where the signing key of a log is kept; None on PostgreSQL."""
    return location.path.with_name(location.path.name + ".signing-key") if location.path else None


def load_signing_key(text: str | None, file: Path | None, *, may_create: bool) -> SigningKey | None:
    """Return the signing key: from ``text`` (base64 of 32 bytes), else from ``file``, else made and kept there.

    None if there is no key and none may be made, or no place to keep one.

    Raises:
        ConfigurationError: if it is malformed, lies open to others, or cannot be kept.
    """
    if text:
        return SigningKey(Ed25519PrivateKey.from_private_bytes(decode_key(text, _VARIABLE)))
    if file is None:
        return None
    try:
        if not file.exists():
            if not may_create:
                return None
            write_first(file, SigningKey(Ed25519PrivateKey.generate()).pem())
        if file.stat().st_mode & 0o077:
            raise ConfigurationError(f"others can read the signing key: {file}", hint=f"chmod 600 {file}")
        return SigningKey(_private(file))
    except OSError as error:
        raise ConfigurationError(
            f"the signing key cannot be kept in {file}: {error.strerror}",
            hint=f"make the directory writable for this user, or set {_VARIABLE}",
        ) from error


def load_public_keys(files: list[Path], own: SigningKey | None) -> Keys:
    """Return the public keys that ``files`` (PEM) hold, and the own one.

    Raises:
        ConfigurationError: if a file holds none.
    """
    keys = [own.public] if own else []
    for file in files:
        try:
            key = load_pem_public_key(file.read_bytes())
        except (OSError, ValueError) as error:
            raise _no_key("public", file) from error
        if not isinstance(key, Ed25519PublicKey):
            raise _no_key("public", file)
        keys.append(PublicKey(key))
    return {key.key_id: key.verifies for key in keys}


def _private(file: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except (TypeError, ValueError) as error:
        raise _no_key("private", file) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key("private", file)
    return key


def _no_key(kind: str, file: Path) -> ConfigurationError:
    return ConfigurationError(f"{file} holds no Ed25519 {kind} key in PEM form", hint="restore the file from its copy")
