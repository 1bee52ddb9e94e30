"""Reads YAML strictly: one document, no repeated keys, no tags, no bombs; and remembers the line of everything.

Plain scalars mean what Compose's own parser takes them for (go-yaml v3, close to the YAML 1.2 core schema): ``on`` and
``22:22`` are text, ``0777`` is octal. What Compose gets is the JSON of this tree, so that nothing is read twice.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import yaml

from domain.canonical import JSON, is_storable
from domain.errors import DockerMcpError
from domain.text import column_text

MOST_NODES: Final = 50_000
"""Most values of a document, aliases written out."""
DEEPEST: Final = 40

Path = tuple[str | int, ...]

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STRING_TAG: Final = "tag:yaml.org,2002:str"
_MERGE: Final = "<<"
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS: Final = {text: text[0] in "tT" for text in ("true", "True", "TRUE", "false", "False", "FALSE")}
_INTEGER: Final = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO]?[0-7_]+|0|[1-9][0-9_]*)", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_LARGEST: Final = 2**63
_LONGEST_NAME: Final = 64
_LONGEST_INDEX: Final = 9
_NOT_IN_YAML: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_SEGMENTS: Final = re.compile(r"[^.\[\]\s]+")


class StrictYamlError(DockerMcpError):
    """The text is not YAML of the strict kind."""

    code = "invalid_yaml"


@dataclass(frozen=True, slots=True)
class Document:
    """What a text says. ``lines`` tells for a path of keys and indexes the line it stands in, from 1."""

    tree: JSON
    lines: Mapping[Path, int]

    def line(self, path: Path) -> int:
        """Return the line of ``path``, or of the closest place above it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def place(self, path: Path) -> str:
        """Return ``line 3: services.web.image``, long and odd names cut and escaped."""
        return f"line {self.line(path)}: {_named(path)}"

    def find(self, dotted: str) -> Path:
        """Return the longest path of the document that ``dotted`` (``services.web.ports.0``, ``a[0].b``) begins with.

        Names that hold dots themselves are found as well.
        """
        words = _SEGMENTS.findall(dotted)
        path: Path = ()
        while words:
            for count in range(len(words), 0, -1):
                name = ".".join(words[:count])
                step: str | int = name
                if len(name) < _LONGEST_INDEX and name.isdecimal() and (*path, int(name)) in self.lines:
                    step = int(name)
                if (*path, step) in self.lines:
                    path, words = (*path, step), words[count:]
                    break
            else:
                break
        return path

    def texts(self) -> Iterator[tuple[Path, str]]:
        """Yield the path and the text of every scalar value."""
        yield from _texts(self.tree, ())

    def names(self) -> set[str]:
        """Return the keys of all mappings."""
        return {step for path in self.lines for step in path if isinstance(step, str)}


def parse_strict(text: str) -> Document:
    """Return the only document of ``text``.

    Raises:
        StrictYamlError: naming the line and what is wrong there, never a value.
    """
    try:
        return _Builder(yaml.parse(text, Loader=_LOADER)).document()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise StrictYamlError(f"line {line}: {error.problem or 'not YAML'}", hint="correct the YAML") from None
    except (yaml.YAMLError, UnicodeError):
        raise StrictYamlError("a character that YAML does not allow", hint="remove control characters") from None


def _texts(tree: JSON, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(tree, Mapping):
        for key, item in tree.items():
            yield from _texts(item, (*path, key))
    elif isinstance(tree, list):
        for index, item in enumerate(tree):
            yield from _texts(item, (*path, index))
    elif tree is not None and not isinstance(tree, bool):
        yield path, str(tree)


@dataclass(slots=True)
class _Anchored:
    value: Any = None
    nodes: int = 0
    depth: int = 0
    complete: bool = False


@dataclass(slots=True)
class _Builder:
    """Builds the tree from the parser's events, counting what aliases would multiply."""

    events: Iterator[Any]
    lines: dict[Path, int] = field(default_factory=dict)
    anchors: dict[str, _Anchored] = field(default_factory=dict)
    nodes: int = 0

    def document(self) -> Document:
        tree: JSON = None
        documents = 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _refused(event, "a second document begins here; one is allowed")
                tree = self._node(next(self.events), (), 0)
        return Document(tree, self.lines)

    def _node(self, event: Any, path: Path, depth: int) -> JSON:
        self.lines.setdefault(path, _line(event))
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        if event.tag not in (None, "!") and not (event.tag == _STRING_TAG and isinstance(event, yaml.ScalarEvent)):
            raise _refused(event, "tags are not allowed")
        if depth > DEEPEST:
            raise _refused(event, f"more than {DEEPEST} levels")
        anchored = _Anchored()
        if event.anchor:
            if event.anchor in self.anchors:
                raise _refused(event, "an anchor of this name exists already")
            self.anchors[event.anchor] = anchored
        before = self._count(event, 1) - 1
        if isinstance(event, yaml.ScalarEvent):
            anchored.value = _scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            anchored.value = self._sequence(path, depth)
        else:
            anchored.value = self._mapping(path, depth)
        anchored.nodes, anchored.complete = self.nodes - before, True
        anchored.depth = _depth(anchored.value) if event.anchor else 0
        return anchored.value

    def _alias(self, event: Any, depth: int) -> JSON:
        anchored = self.anchors.get(event.anchor)
        if anchored is None or not anchored.complete:
            raise _refused(event, "the alias has no anchor before it")
        self._count(event, anchored.nodes)
        if depth + anchored.depth > DEEPEST:
            raise _refused(event, f"more than {DEEPEST} levels")
        return anchored.value

    def _count(self, event: Any, nodes: int) -> int:
        self.nodes += nodes
        if self.nodes > MOST_NODES:
            raise _refused(event, f"more than {MOST_NODES} values, aliases written out")
        return self.nodes

    def _sequence(self, path: Path, depth: int) -> list[JSON]:
        items: list[JSON] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self._node(event, (*path, len(items)), depth + 1))
        return items

    def _mapping(self, path: Path, depth: int) -> dict[str, JSON]:
        own: dict[str, JSON] = {}
        merged: dict[str, JSON] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent) or event.anchor or event.tag not in (None, "!", _STRING_TAG):
                raise _refused(event, "a key is plain text")
            key = event.value
            if not is_storable(key):
                raise _refused(event, "NUL characters and lone surrogates have no place in text")
            if key in own or (key == _MERGE and merged):
                raise _refused(event, f"{_named((*path, key))} stands here twice")
            self.lines[(*path, key)] = _line(event)
            value = self._node(next(self.events), (*path, key), depth + 1)
            if key == _MERGE and event.implicit[0]:
                merged = _merged(event, value)
            else:
                own[key] = value
        return {**merged, **own}


def _merged(event: Any, value: JSON) -> dict[str, JSON]:
    """Return what a merge key brings; of several mappings the earlier one wins."""
    sources = value if isinstance(value, list) else [value]
    if not all(isinstance(source, dict) for source in sources):
        raise _refused(event, "a merge key takes a mapping, or a list of them")
    return {key: item for source in reversed(sources) for key, item in source.items()}


def _scalar(event: Any) -> JSON:
    text: str = event.value
    if not is_storable(text):
        raise _refused(event, "NUL characters and lone surrogates have no place in text")
    plain = event.implicit[0] and event.tag is None
    return _resolved(text) if plain else text


def _resolved(text: str) -> JSON:
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INTEGER.fullmatch(text):
        digits = re.sub(r"^([-+]?)0(?=[0-7])", r"\g<1>0o", text.replace("_", ""))
        try:
            number = int(digits, 0)
        except ValueError:  # no digits after all, or thousands of them
            return text
        return number if -_LARGEST <= number < _LARGEST else text
    if _FLOAT.fullmatch(text) and math.isfinite(amount := float(text)):
        return amount
    return text


def as_json(tree: JSON) -> bytes:
    """Return the tree as JSON that a YAML parser reads as it was written: it would fold or refuse some characters."""
    text = orjson.dumps(tree, option=orjson.OPT_SORT_KEYS).decode()
    return _NOT_IN_YAML.sub(lambda match: f"\\u{ord(match.group()):04x}", text).encode()


def _named(path: Path) -> str:
    return ".".join(column_text(str(step), _LONGEST_NAME) for step in path)


def _depth(tree: JSON) -> int:
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return 1 + max(map(_depth, children), default=0) if children else 0


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _refused(event: Any, why: str) -> StrictYamlError:
    return StrictYamlError(f"line {_line(event)}: {why}", hint="correct the YAML")
