"""Which arguments are secret, and the tree of a command's arguments as the log keeps it.

A field of a command model is secret when its annotation carries :data:`SECRET`. Its values never enter the log
in the clear: they are replaced by what the sealer makes of them. Names of environment variables stay readable.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, Final, get_args, get_type_hints

from pydantic import BaseModel

from domain.canonical import JSON


class SecretField:
    """Marks a field whose values are sealed before they are recorded."""


class DigestedField(SecretField):
    """Marks a secret field of which only a keyed digest is recorded, because what is made of it is recorded instead."""


class DroppedField(SecretField):
    """Marks a credential: nothing of it is recorded, not even a digest."""


SECRET: Final = SecretField()
DROPPED: Final = DroppedField()
DIGESTED: Final = DigestedField()

SEALED_KEY: Final = "$sealed"
SEALED_MARK: Final = "«sealed»"

SECRETS_STREAM: Final = "secrets/"
"""Begins the name of the stream that tells, of a command, that its data key was deleted; its id follows."""

Seal = Callable[[str, str], JSON]
"""Takes the place of a value (a JSON Pointer, RFC 6901) and the value; returns what the log keeps of it."""

Digest = Callable[[str], JSON]
"""Takes a value; returns what the log keeps of it when it can be recognised but not read again."""


@dataclass(frozen=True, slots=True)
class DataKey:
    """A command's wrapped data key: stored beside the log, deleted to make the sealed values unreadable."""

    command_id: str
    key_id: str
    wrapped: str


def argument_tree(command: BaseModel, seal: Seal, digest: Digest | None = None) -> dict[str, JSON]:
    """Return the command's arguments as canonical JSON: maps with free keys as sorted lists of pairs, None left out.

    ``seal`` is applied to every value of a secret field, ``digest`` (without one, ``seal``) to those of which only a
    digest is wanted.
    """
    digested = digested_fields(type(command)) if digest else frozenset()
    tree = _model_tree(command, seal, "", secret=False, without=digested)
    return tree | {name: digest(getattr(command, name)) for name in digested if digest}


def clear(_place: str, value: str) -> JSON:
    """Leave a secret as it is: for digests that never leave memory in the clear."""
    return value


def pointer(*steps: str) -> str:
    """Return the JSON Pointer (RFC 6901) of a path."""
    return "".join(f"/{step.replace('~', '~0').replace('/', '~1')}" for step in steps)


@cache
def secret_fields(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of the secret fields of a command model."""
    hints = get_type_hints(model, include_extras=True)
    return frozenset(name for name in model.model_fields if _is_secret(hints[name]))


@cache
def digested_fields(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of the fields of a command model of which only a digest is recorded."""
    hints = get_type_hints(model, include_extras=True)
    return frozenset(name for name in model.model_fields if DIGESTED in get_args(hints[name]))


@cache
def dropped_fields(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of the fields of a command model of which nothing is recorded."""
    hints = get_type_hints(model, include_extras=True)
    return frozenset(name for name in model.model_fields if DROPPED in get_args(hints[name]))


@cache
def revealing_fields(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of the fields whose text would show a secret: secret ones, and models that have such fields."""
    hints = get_type_hints(model, include_extras=True)
    return frozenset(name for name in model.model_fields if _is_revealing(hints[name]))


def hide_sealed(tree: JSON) -> JSON:
    """Return the tree with every sealed value replaced by ``«sealed»``."""
    if isinstance(tree, Mapping):
        return SEALED_MARK if SEALED_KEY in tree else {key: hide_sealed(item) for key, item in tree.items()}
    if isinstance(tree, list):
        return [hide_sealed(item) for item in tree]
    return tree


def _is_secret(hint: Any) -> bool:
    parts = get_args(hint)
    return any(isinstance(part, SecretField) for part in parts) or any(_is_secret(part) for part in parts)


def _is_revealing(hint: Any) -> bool:
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return bool(revealing_fields(hint))
    return _is_secret(hint) or any(_is_revealing(part) for part in get_args(hint))


def _model_tree(
    model: BaseModel, seal: Seal, place: str, *, secret: bool, without: frozenset[str] = frozenset()
) -> dict[str, JSON]:
    hidden = secret_fields(type(model))
    return {
        name: _tree(value, seal, f"{place}/{name}", secret=secret or name in hidden)
        for name in type(model).model_fields
        if name not in without | dropped_fields(type(model)) and (value := getattr(model, name)) is not None
    }


def _tree(value: Any, seal: Seal, place: str, *, secret: bool) -> JSON:
    match value:
        case BaseModel():
            return _model_tree(value, seal, place, secret=secret)
        case Mapping():
            pairs = sorted((str(key), item) for key, item in value.items())
            return [[key, _tree(item, seal, place + pointer(key), secret=secret)] for key, item in pairs]
        case list() | tuple():
            return [_tree(item, seal, f"{place}/{index}", secret=secret) for index, item in enumerate(value)]
        case Enum():
            return _tree(value.value, seal, place, secret=secret)
        case None | bool() if not secret:
            return value
        case bool():
            return seal(place, str(value).lower())
        case _ if secret:
            return seal(place, str(value))
        case _:
            return value
