"""From the record of a command back to the command: what an approved command is carried out from."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from domain.canonical import JSON
from domain.errors import DockerMcpError
from domain.secrets import SEALED_KEY, SEALED_MARK, argument_tree, clear, digested_fields, pointer

M = TypeVar("M", bound=BaseModel)

Open = Callable[[str, Mapping[str, Any]], str]
"""Takes a place (a JSON Pointer) and the sealed form of a value found there; returns the value."""


class NotRestorableError(DockerMcpError):
    """The record does not yield the command again."""

    code = "not_restorable"


def restored(model: type[M], tree: Mapping[str, JSON], opened: Open) -> M:
    """Return the command whose arguments ``argument_tree`` recorded as ``tree``.

    Of a field that was recorded as a digest the command has only a mark: what was made of it is in the plan.

    Raises:
        NotRestorableError: the tree is not the record of such a command.
    """
    if not tree.keys() <= model.model_fields.keys():
        raise NotRestorableError
    digested = digested_fields(model) & tree.keys()
    readable = {
        name: SEALED_MARK if name in digested else _opened(value, opened, pointer(name)) for name, value in tree.items()
    }
    arguments = {name: _with_maps(value, model.model_fields[name].annotation) for name, value in readable.items()}
    try:
        command = model.model_validate(arguments)
    except ValidationError:
        raise NotRestorableError from None
    if argument_tree(command, clear) != readable:
        raise NotRestorableError
    return command


def unsealed(tree: JSON, opened: Open, *path: str) -> JSON:
    """Return a recorded plan with every sealed value opened; ``path`` is where it stands."""
    if isinstance(tree, Mapping):
        if SEALED_KEY in tree:
            return opened(pointer(*path), tree)
        return {key: unsealed(item, opened, *path, key) for key, item in tree.items()}
    if isinstance(tree, list):
        return [unsealed(item, opened, *path, str(index)) for index, item in enumerate(tree)]
    return tree


def _opened(tree: JSON, opened: Open, place: str) -> JSON:
    if isinstance(tree, Mapping):
        if SEALED_KEY in tree:
            return opened(place, tree)
        return {key: _opened(item, opened, place + pointer(key)) for key, item in tree.items()}
    if _is_map(tree):
        return [[key, _opened(item, opened, place + pointer(key))] for key, item in tree]
    if isinstance(tree, list):
        return [_opened(item, opened, f"{place}/{index}") for index, item in enumerate(tree)]
    return tree


def _with_maps(tree: JSON, hint: Any) -> JSON:
    """Return ``tree`` with lists of pairs made maps again; no argument is itself a list of such lists."""
    if isinstance(tree, Mapping):
        return {key: _with_maps(item, None) for key, item in tree.items()}
    if _is_map(tree) or (tree == [] and _takes_map(hint)):
        return {key: _with_maps(item, None) for key, item in tree}
    return tree


def _is_map(tree: JSON) -> bool:
    return (
        isinstance(tree, list)
        and bool(tree)
        and all(isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in tree)
    )


def _takes_map(hint: Any) -> bool:
    return get_origin(hint) is dict or any(_takes_map(part) for part in get_args(hint))
