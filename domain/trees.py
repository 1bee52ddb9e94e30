"""Trees as JSON and YAML have them."""

from collections.abc import Callable
from typing import Any


def with_texts(tree: Any, change: Callable[[str], str]) -> Any:
    """Return ``tree`` with ``change`` applied to each text in it; the names in mappings stay as they are."""
    if isinstance(tree, dict):
        return {name: with_texts(each, change) for name, each in tree.items()}
    if isinstance(tree, list):
        return [with_texts(each, change) for each in tree]
    return change(tree) if isinstance(tree, str) else tree
