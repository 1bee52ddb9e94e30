"""Puts a server into OpenHands' TOML and leaves every other character of it as it was.

There is no writer that keeps comments among the dependencies, and none is needed: a change of the text counts only if
the standard library then reads from it what was wanted.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

from server.clients.json_text import NotMergedError

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_HEADER: Final = re.compile(r"^[ \t]*\[", re.MULTILINE)
_MOST_TRIES: Final = 200


def parse_toml(text: str) -> dict[str, Any]:
    """Return what a TOML text holds.

    Raises:
        NotMergedError: if it is no TOML.
    """
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise NotMergedError("it is not valid TOML" + _place(error)) from None


def put_server(text: str, section: str, identity: str, entry: dict[str, Any]) -> str:
    """Return ``text`` with ``entry`` in the list ``mcp.<section>``, in the place of the one with the same ``identity``.

    Raises:
        NotMergedError: if that is not possible without touching anything else.
    """
    tree = parse_toml(text)
    wanted = deepcopy(tree)
    mcp = wanted.setdefault("mcp", {})
    servers = mcp.setdefault(section, []) if isinstance(mcp, dict) else None
    if not isinstance(servers, list) or not all(isinstance(server, dict | str) for server in servers):
        raise NotMergedError(f"mcp.{section} is not a list of servers")
    same = [at for at, server in enumerate(servers) if _is_named(server, identity, entry)]
    if same:
        servers[same[0]] = entry
    else:
        servers.append(entry)
    if wanted == tree:
        return text
    tries = _replaced(text, section, entry) if same else _added(text, section, entry)
    for _, candidate in zip(range(_MOST_TRIES), tries, strict=False):
        if _reads_as(candidate, wanted):
            return candidate
    raise NotMergedError(f"mcp.{section} has a form that cannot be changed safely")


def _is_named(server: Any, identity: str, entry: dict[str, Any]) -> bool:
    return isinstance(server, dict) and server.get(identity) == entry[identity]


def _replaced(text: str, section: str, entry: dict[str, Any]) -> Iterator[str]:
    for header in _table_headers(section).finditer(text):
        following = _HEADER.search(text, header.end())
        own = text[header.start() : following.start() if following else len(text)]
        lines = own.splitlines(keepends=True)
        while lines and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
            lines.pop()  # what stands before the next table belongs to that one
        end = header.start() + len("".join(lines))
        yield text[: header.start()] + _table(section, entry) + text[end:]


def _added(text: str, section: str, entry: dict[str, Any]) -> Iterator[str]:
    gap = "" if not text else ("\n" if text.endswith("\n") else "\n\n")
    yield f"{text}{gap}{_table(section, entry)}"
    for array in re.finditer(rf"^[ \t]*(?:mcp\.)?{section}[ \t]*=[ \t]*\[", text, re.MULTILINE):
        for close in re.finditer(r"\]", text[array.end() :]):
            end = array.end() + close.start()
            for at in (len(text[:end].rstrip()), end):  # a comment may stand in between
                for comma in ("", ", "):
                    yield f"{text[:at]}{comma}{_value(entry)}{text[at:]}"


def _table_headers(section: str) -> re.Pattern[str]:
    return re.compile(rf"^[ \t]*\[\[[ \t]*mcp[ \t]*\.[ \t]*{section}[ \t]*\]\]", re.MULTILINE)


def _table(section: str, entry: dict[str, Any]) -> str:
    return f"[[mcp.{section}]]\n" + "".join(f"{_key(name)} = {_value(value)}\n" for name, value in entry.items())


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(name)} = {_value(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else json.dumps(name)


def _reads_as(text: str, wanted: dict[str, Any]) -> bool:
    try:
        return tomllib.loads(text) == wanted
    except tomllib.TOMLDecodeError:
        return False


def _place(error: Exception) -> str:
    found = re.search(r"line \d+", str(error))
    return f", {found[0]}" if found else ""
