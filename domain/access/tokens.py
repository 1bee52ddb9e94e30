"""API keys and the tokens that stand for them.

A token is ``username:timestamp:signature``: seconds since 1970 UTC of its issue, and an HMAC-SHA256 (RFC 2104) over
length-prefixed user name, timestamp and fingerprint of the user's API key. So a new key ends the tokens of the old one.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final, Literal

LONGEST_CREDENTIAL: Final = 512
KEY_PREFIX: Final = "dmk_"
"""How API keys begin, so that people and secret scanners recognise one."""

_CLOCK_SKEW_S: Final = 60
_TOKEN: Final = re.compile(r"([A-Za-z0-9._@-]{1,64}):([1-9][0-9]{0,11}):([0-9a-f]{64})", re.ASCII)

Refusal = Literal["malformed", "forged", "expired", "from_the_future"]


@dataclass(frozen=True, slots=True)
class Token:
    """The parts of a token, not yet believed."""

    username: str
    issued_s: int
    signature: str

    def text(self) -> str:
        return f"{self.username}:{self.issued_s}:{self.signature}"


def fingerprint(api_key: str) -> str:
    """Return the SHA-256 by which the auth file knows a key, as 64 hexadecimal digits.

    One round is enough: keys are 256 random bits, not words that somebody chose.
    """
    return hashlib.sha256(api_key.encode()).hexdigest()


def key_matches(api_key: str, key_sha256: str) -> bool:
    """Return whether ``api_key`` is the key of this fingerprint, in the same time whatever differs."""
    return hmac.compare_digest(fingerprint(api_key), key_sha256)


def issue(secret: bytes, username: str, key_sha256: str, now_s: int) -> Token:
    """Return a token for the owner of the key, signed with the server's secret."""
    return Token(username, now_s, _signature(secret, username, now_s, key_sha256))


def parse(text: str) -> Token | None:
    """Return the parts of a token, None for anything else."""
    match = _TOKEN.fullmatch(text) if len(text) <= LONGEST_CREDENTIAL else None
    return Token(match[1], int(match[2]), match[3]) if match else None


def refusal(token: Token, secret: bytes, key_sha256: str, now_s: int, lifetime_s: int) -> Refusal | None:
    """Return why ``token`` is not believed, None if it is. The signature is judged first."""
    if not hmac.compare_digest(token.signature, _signature(secret, token.username, token.issued_s, key_sha256)):
        return "forged"
    if token.issued_s > now_s + _CLOCK_SKEW_S:
        return "from_the_future"
    return "expired" if token.issued_s + lifetime_s <= now_s else None


def _signature(secret: bytes, username: str, issued_s: int, key_sha256: str) -> str:
    parts = (username.encode(), str(issued_s).encode(), key_sha256.encode())
    message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hmac.digest(secret, message, hashlib.sha256).hex()
