"""A client's configuration file: read whole, changed in memory, shown, then replaced in one step."""

import difflib
import json
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from adapters.private_file import write_private
from domain.errors import DockerMcpError, InvalidArgumentsError
from domain.token_shapes import MASK, masked
from server.clients.connection import Http, Stdio
from server.clients.forms import Client, Entry, toml_entry
from server.clients.json_text import NotMergedError, append, parse_json, put
from server.clients.toml_text import parse_toml, put_server

_MOST_BYTES: Final = 10 * 1024 * 1024
_READABLE: Final = 0o644
_SECRET_NAME: Final = re.compile(r"token|key|secret|password|authorization|credential", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ClientFile:
    """The configuration file of a client, in the form that its name says, as it is now (None: it does not exist)."""

    client: Client
    path: Path
    before: bytes | None

    @classmethod
    def read(cls, client: Client, path: Path) -> "ClientFile":
        """Read the file.

        Raises:
            InvalidArgumentsError: if it cannot be read, or this client has no file of this form.
        """
        if path.suffix == ".toml" and client.title != "OpenHands":
            raise InvalidArgumentsError(f"{client.title} reads JSON, not TOML", hint=f"its file is {client.place}")
        try:
            if path.exists() and (not path.is_file() or path.stat().st_size > _MOST_BYTES):
                raise InvalidArgumentsError(f"{path} is no configuration file")
            return cls(client, path, path.read_bytes() if path.exists() else None)
        except OSError as error:
            raise InvalidArgumentsError(f"{path} cannot be read: {error.strerror}") from error

    @property
    def is_toml(self) -> bool:
        return self.path.suffix == ".toml"

    def text(self) -> str:
        """Return what the file holds; nothing if it does not exist.

        Raises:
            NotMergedError: if it is not text.
        """
        try:
            return (self.before or b"").decode()
        except UnicodeDecodeError:
            raise NotMergedError("it is not UTF-8 text") from None

    def entry(self, server: Stdio | Http, approved: Sequence[str], name: str) -> Entry:
        """Return the entry of a server in the form of this file.

        Raises:
            InvalidArgumentsError: if the client cannot reach such a server.
        """
        if self.is_toml:
            return toml_entry(server, name)[2]
        if isinstance(server, Stdio):
            return self.client.stdio(server, approved)
        if self.client.http is None:
            raise InvalidArgumentsError(
                f"{self.client.title} starts its servers from this file and reaches none over HTTP", hint="leave --http"
            )
        return self.client.http(server)

    def with_server(self, server: Stdio | Http, approved: Sequence[str], name: str) -> str:
        """Return the text of the file with the server in it; whatever else is in it stays as it is.

        Raises:
            NotMergedError: if that is not possible.
        """
        entry = self.entry(server, approved, name)
        if self.is_toml:
            section, identity, _ = toml_entry(server, name)
            return put_server(self.text(), section, identity, entry)
        comments, inputs = self.client.comments, self.client.inputs
        text = put(self.text(), [self.client.servers, name], entry, comments=comments)
        if inputs and server.credential == self.client.unknown and not self._has_input(text, inputs["id"]):
            text = append(text, ["inputs"], inputs, comments=comments)
        return text

    def by_hand(self, server: Stdio | Http, approved: Sequence[str], name: str) -> str:
        """Return what a person has to put into the file."""
        return ClientFile(self.client, self.path, None).with_server(server, approved, name)

    def server(self, name: str, url: str) -> Entry:
        """Return the entry of a server that is in the file: the one called ``name``, in TOML also the one at ``url``.

        Raises:
            InvalidArgumentsError: if there is none.
        """
        if self.is_toml:
            mcp = parse_toml(self.text()).get("mcp")
            lists = mcp if isinstance(mcp, dict) else {}
            started = _one_with("name", name, lists.get("stdio_servers"))
            found = started or _one_with("url", url, lists.get("shttp_servers"))
        else:
            tree = parse_json(self.text(), comments=self.client.comments)
            servers = tree.get(self.client.servers, {}) if isinstance(tree, dict) else {}
            found = servers.get(name) if isinstance(servers, dict) else None
        if not isinstance(found, dict):
            raise InvalidArgumentsError(
                f"{self.path} names no server {name}", hint="write it first: the same command without --check"
            )
        return found

    def difference(self, after: str) -> Iterator[str]:
        """Yield the lines that change, as a unified diff; what looks secret by its name or its form is masked."""
        lines = difflib.unified_diff(
            self.text().splitlines(), after.splitlines(), str(self.path), str(self.path), n=0, lineterm=""
        )
        parse: Any = parse_toml if self.is_toml else lambda text: parse_json(text, comments=self.client.comments)
        hidden = sorted({*_secrets(parse(self.text())), *_secrets(parse(after))}, key=len, reverse=True)
        for line in lines:
            for secret in hidden:
                line = line.replace(secret, MASK)
            yield masked(line)[0]

    def write(self, after: str, *, private: bool) -> Path | None:
        """Put ``after`` in the place of what the file holds; return where that is kept, None if there was nothing.

        Args:
            after: the new text.
            private: whether a credential stands in it, so that nobody else may read it.

        Raises:
            NotMergedError: if somebody else has changed the file meanwhile.
            DockerMcpError: if it cannot be written.
        """
        target = self.path.resolve()
        try:
            now = target.read_bytes() if target.exists() else None
            if now != self.before:
                raise NotMergedError("it was changed by somebody else meanwhile", hint="run the command again")
            mode = stat.S_IMODE(target.stat().st_mode) if now is not None else _READABLE
            target.parent.mkdir(parents=True, exist_ok=True)
            kept = None
            if now is not None:
                kept = target.with_name(f"{target.name}.{datetime.now(UTC):%Y%m%dT%H%M%S%f}.bak")
                write_private(kept, now)
            write_private(target, after.encode(), 0o600 if private else mode)
        except OSError as error:
            raise DockerMcpError(
                f"{target} cannot be written: {error.strerror}", code="not_written", hint="nothing was changed"
            ) from error
        return kept

    def protect(self) -> None:
        """Let nobody but the owner read the file.

        Raises:
            DockerMcpError: if that is not possible.
        """
        try:
            self.path.chmod(0o600)
        except OSError as error:
            raise DockerMcpError(f"{self.path}: {error.strerror}", code="not_written", hint="chmod 600") from error

    def _has_input(self, text: str, name: str) -> bool:
        inputs = parse_json(text, comments=self.client.comments).get("inputs", [])
        return isinstance(inputs, list) and any(isinstance(each, dict) and each.get("id") == name for each in inputs)


def _one_with(key: str, value: str, servers: Any) -> Any:
    """Return the first of a list of servers that has ``value``, None if there is none or it is no such list."""
    found = servers if isinstance(servers, list) else []
    return next((each for each in found if isinstance(each, dict) and each.get(key) == value), None)


def _secrets(tree: Any) -> Iterator[str]:
    """Yield the texts in ``tree`` whose names, or the options before them, say that they are secret, as JSON and TOML
    write them."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield from _secrets_called(name, value)
    elif isinstance(tree, list):
        for before, value in zip(["", *tree], tree, strict=False):
            is_option = isinstance(before, str) and before.startswith("-") and "=" not in before
            yield from _secrets_called(before if is_option else "", value)


def _secrets_called(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, str) and value and _SECRET_NAME.search(name):
        yield json.dumps(value, ensure_ascii=False)[1:-1]
    else:
        yield from _secrets(value)
