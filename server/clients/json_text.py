"""Puts a value into a JSON text and leaves every other character of it as it was.

The standard library parses; what is found here is only where a value begins and ends. Comments and trailing commas,
which some clients allow, are blanked for that, so that places stay the same.
"""

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from domain.errors import DockerMcpError

_STRING: Final = r'("(?:[^"\\]|\\.)*")'
_COMMENT: Final = re.compile(_STRING + r"|//[^\n]*|/\*.*?\*/", re.DOTALL)
_TRAILING_COMMA: Final = re.compile(_STRING + r"|,(?=\s*[}\]])")
_SPACE: Final = re.compile(r"\s*")
_FIRST_INDENT: Final = re.compile(r"^([ \t]+)\S", re.MULTILINE)
_DECODER: Final = json.JSONDecoder()


class NotMergedError(DockerMcpError):
    """The file cannot be changed without a risk for what else is in it."""

    code = "not_merged"
    hint = "nothing was changed; put the part that is printed in by hand"


class _Child(NamedTuple):
    key: str | int
    start: int
    end: int


def parse_json(text: str, *, comments: bool = False) -> Any:
    """Return what a JSON text holds, an empty object for an empty one; numbers exactly.

    Raises:
        NotMergedError: if it is no JSON.
    """
    try:
        return json.loads(_plain(text, comments) if text.strip() else "{}", parse_float=Decimal)
    except json.JSONDecodeError as error:
        line = text.count("\n", 0, error.pos) + 1
        raise NotMergedError(f"it is not valid JSON, line {line}: {error.msg}") from None
    except RecursionError:
        raise NotMergedError("it is not valid JSON: nested too deep") from None


def put(text: str, path: Sequence[str], value: Any, *, comments: bool = False) -> str:
    """Return ``text`` with ``value`` at ``path``, objects on the way made where they are missing.

    Raises:
        NotMergedError: if that is not possible without touching anything else.
    """
    tree = parse_json(text, comments=comments)
    if not text.strip():
        text = "{}\n"
    changed = _with_line_ends(text, lambda unix: _put(unix, path, value, comments))
    _set(tree, path, value)
    return _checked(changed, tree, comments)


def append(text: str, path: Sequence[str], value: Any, *, comments: bool = False) -> str:
    """Return ``text`` with ``value`` at the end of the list at ``path``, which is made if it is missing.

    Raises:
        NotMergedError: if that is not possible without touching anything else.
    """
    tree = parse_json(text, comments=comments)
    found = _get(tree, path)
    if found is None:
        return put(text, path, [value], comments=comments)
    if not isinstance(found, list):
        raise NotMergedError(f"{'.'.join(path)} is not a list")
    changed = _with_line_ends(text, lambda unix: _append(unix, path, value, comments))
    found.append(value)
    return _checked(changed, tree, comments)


def _put(text: str, path: Sequence[str], value: Any, comments: bool) -> str:
    body = _plain(text, comments)
    at, end = _skip(body, 0), len(body)
    for depth, key in enumerate(path):
        if body[at] != "{":
            raise NotMergedError(f"{'.'.join(path[:depth]) or 'the whole of it'} is not an object")
        children, close = _children(body, at)
        found = [child for child in children if child.key == key]
        if len(found) > 1:
            raise NotMergedError(f"{key} stands there twice")
        if not found:
            for rest in reversed(path[depth + 1 :]):
                value = {rest: value}
            return _insert(text, comments, at, children, close, f"{json.dumps(key)}: ", value)
        at, end = found[0].start, found[0].end
    if json.loads(body[at:end], parse_float=Decimal) == value:
        return text
    return text[:at] + _rendered(value, _unit(text), _indent_of_line(text, at)) + text[end:]


def _append(text: str, path: Sequence[str], value: Any, comments: bool) -> str:
    body = _plain(text, comments)
    at = _skip(body, 0)
    for key in path:
        at = next(child.start for child in _children(body, at)[0] if child.key == key)
    return _insert(text, comments, at, *_children(body, at), "", value)


def _insert(text: str, comments: bool, at: int, children: list[_Child], close: int, name: str, value: Any) -> str:
    """Put a member behind the last one of the object or list that begins at ``at``: on a line of its own, and behind
    what is written beside the last one."""
    outer = _indent_of_line(text, at)
    inner = outer + _unit(text)
    member = f"\n{inner}{name}{_rendered(value, _unit(text), inner)}"
    if not children:
        return f"{text[: at + 1]}{text[at + 1 : close].rstrip()}{member}\n{outer}{text[close:]}"
    last = children[-1].end
    uncommented = _blanked(_COMMENT, text) if comments else text
    has_comma = uncommented[_skip(uncommented, last)] == ","
    line_end = uncommented.find("\n", last, close)
    if line_end < 0:
        rest = text[last:close]
        return f"{text[:last]},{member}{rest if rest.strip() else f'{chr(10)}{outer}'}{text[close:]}"
    before, behind = ("", ",") if has_comma else (",", "")
    return f"{text[:last]}{before}{text[last:line_end]}{member}{behind}{text[line_end:]}"


def _children(body: str, start: int) -> tuple[list[_Child], int]:
    """Return the members of the object or list that begins at ``start``, and where its closing bracket is."""
    found: list[_Child] = []
    at = _skip(body, start + 1)
    while body[at] not in "}]":
        key: str | int = len(found)
        if body[start] == "{":
            key, at = _DECODER.raw_decode(body, at)
            at = _skip(body, _skip(body, at) + 1)
        _, end = _DECODER.raw_decode(body, at)
        found.append(_Child(key, at, end))
        at = _skip(body, end)
        if body[at] == ",":
            at = _skip(body, at + 1)
    return found, at


def _plain(text: str, comments: bool) -> str:
    return _blanked(_TRAILING_COMMA, _blanked(_COMMENT, text)) if comments else text


def _blanked(pattern: re.Pattern[str], text: str) -> str:
    return pattern.sub(lambda match: match[1] or " " * len(match[0]), text)


def _skip(body: str, at: int) -> int:
    found = _SPACE.match(body, at)
    return found.end() if found else at


def _unit(text: str) -> str:
    found = _FIRST_INDENT.search(text)
    return found[1] if found else "  "


def _indent_of_line(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip())]


def _rendered(value: Any, unit: str, indent: str) -> str:
    return json.dumps(value, indent=unit, ensure_ascii=False).replace("\n", f"\n{indent}")


def _with_line_ends(text: str, change: Any) -> str:
    if 0 < text.count("\n") == text.count("\r\n"):
        return str(change(text.replace("\r\n", "\n"))).replace("\n", "\r\n")
    return str(change(text))


def _get(tree: Any, path: Sequence[str]) -> Any:
    for key in path:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _set(tree: Any, path: Sequence[str], value: Any) -> None:
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = value


def _checked(text: str, wanted: Any, comments: bool) -> str:
    if parse_json(text, comments=comments) != wanted:
        raise NotMergedError("its form is too unusual to be changed safely")
    return text
