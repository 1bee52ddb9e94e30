"""Reading trees whose form others have checked: what has another form than expected reads as empty, or as one item."""

from collections.abc import Mapping, Sequence
from typing import Any


def mapping(value: Any) -> Mapping[str, Any]:
    """Return the mapping; anything else is an empty one."""
    return value if isinstance(value, Mapping) else {}


def items(value: Any) -> Sequence[Any]:
    """Return the list; anything else that says something is a list of one."""
    return value if isinstance(value, list | tuple) else [value] if value else []


def text(tree: Mapping[str, Any], key: str) -> str:
    """Return the text at ``key``, empty if nothing stands there."""
    value = tree.get(key)
    return "" if value is None else str(value)
