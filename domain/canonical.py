"""Canonical JSON: the one byte form that is digested and stored.

The form is RFC 8785 (JSON Canonicalization Scheme). ``orjson`` with sorted keys produces the same bytes
as long as there are no floats, integers stay within ±2^53 and keys are plain ASCII, so these are refused
here instead of being left to chance.
"""

import hashlib
import re
from functools import lru_cache
from typing import Any, Final

import orjson

_HINT: Final = "use integers with a unit in the name, or lists of pairs for free keys"

MAX_SAFE_INTEGER: Final = 2**53 - 1
_DEEPEST: Final = 100
_KEY: Final = re.compile(r"[A-Za-z0-9_.$/-]{1,64}")
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")

_EMPTY_SHA256: Final = hashlib.sha256()

JSON = Any
"""A tree of dict, list, str, int, bool and None."""


class NotCanonicalError(ValueError):
    """The value has no canonical form."""


def storable(text: str) -> str:
    """Return ``text`` with NUL and lone surrogates, which no database stores, replaced by U+FFFD."""
    if text.isascii() and "\0" not in text:
        return text
    return _UNSTORABLE.sub("\ufffd", text)


def canonical_json(value: JSON) -> bytes:
    """Return the RFC 8785 bytes of ``value``.

    Raises:
        NotCanonicalError: for floats, integers beyond ±(2^53-1), keys that are not short ASCII names,
            any type JSON does not have, and trees of more than 100 levels.
    """
    return orjson.dumps(_checked(value), option=orjson.OPT_SORT_KEYS)


def is_storable(value: JSON) -> bool:
    """Return whether every string of ``value`` is stored as it is, keys included, see :func:`storable`."""
    match value:
        case str():
            return not _UNSTORABLE.search(value)
        case list() | tuple():
            return all(map(is_storable, value))
        case dict():
            return all(is_storable(key) and is_storable(item) for key, item in value.items())
        case _:
            return True


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of ``data`` as 64 lower-case hexadecimal digits."""
    digest = _EMPTY_SHA256.copy()  # half the time that a new one takes, which looks its algorithm up
    digest.update(data)
    return digest.hexdigest()


def _checked(value: JSON, level: int = 0) -> JSON:
    if level > _DEEPEST:
        raise NotCanonicalError(f"more than {_DEEPEST} levels")
    match value:
        case str():
            return storable(value)
        case None | bool():
            return value
        case int():
            if abs(value) > MAX_SAFE_INTEGER:
                raise NotCanonicalError(f"integer beyond 2^53: {_HINT}")
            return value
        case list() | tuple():
            return [_checked(item, level + 1) for item in value]
        case dict():
            for key in value:
                if not _is_key(key):
                    raise NotCanonicalError(f"key is not a short ASCII name: {_HINT}")
            return {key: _checked(item, level + 1) for key, item in value.items()}
        case _:
            raise NotCanonicalError(f"{type(value).__name__} has no canonical form: {_HINT}")


@lru_cache(1024)  # the same few names all the time
def _is_key(key: object) -> bool:
    return isinstance(key, str) and bool(_KEY.fullmatch(key))
