"""The auth file on disk: read when it changes, written by the command line."""

import fcntl
import logging
import os
import secrets
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from adapters.private_file import write_first, write_private
from domain.access.auth_file import AuthFile, User, read_auth_file
from domain.access.tokens import KEY_PREFIX, fingerprint
from domain.errors import ConfigurationError, DockerMcpError, InvalidArgumentsError
from domain.events import Event, UserAdded, UserKeyRotated, UserRemoved
from domain.principal import Role

_SHORTEST_SECRET: Final = 32
_MOST_BYTES: Final = 1024 * 1024

logger = logging.getLogger(__name__)

Told = Callable[[AuthFile | None, str | None], None]
"""Hears of a change: the rules that now hold, or why a new file is not taken."""


class AuthStore:
    """The rules in force. A file that is not there means no users and the default roles."""

    def __init__(
        self,
        path: Path,
        told: Told = lambda _rules, _problem: None,
        record: Callable[[Event], None] = lambda _event: None,
    ) -> None:
        """Prepare; nothing is read before :meth:`load`.

        Args:
            path: the auth file.
            told: hears of changes that somebody made.
            record: records a change of users before it is made; what it raises prevents the change.
        """
        self.path = path
        self._told = told
        self._record = record
        self._rules = AuthFile()
        self._seen: tuple[int, ...] | None = None
        self._lock = threading.Lock()

    def load(self) -> AuthFile:
        """Read the file for the first time.

        Raises:
            ConfigurationError: it cannot be trusted or is not valid.
        """
        self._seen = self._stamp()
        self._rules = self._read()
        return self._rules

    def current(self) -> AuthFile:
        """Return the rules in force. A changed file is read anew; a broken one changes nothing and is reported once."""
        with self._lock:
            stamp = self._stamp()
            if stamp != self._seen:
                self._seen = stamp
                try:
                    if stamp is None:
                        raise ConfigurationError(f"the auth file is gone: {self.path}")
                    self._rules = self._read()
                    self._told(self._rules, None)
                except ConfigurationError as error:
                    logger.error("the old rules stay in force: %s", error.describe())
                    self._told(None, error.message)
        return self._rules

    def add_user(self, name: str, role: str, key: str | None = None) -> str:
        """Add a user and return the API key, a new one unless ``key`` is given; it stands nowhere else.

        Raises:
            InvalidArgumentsError: the user exists.
            ConfigurationError: the name or role is not possible.
        """
        with self._alone():
            if name in self._read().users:
                raise InvalidArgumentsError(f"the user {name} exists", hint="`docker-mcp user rotate` gives a new key")
            return self._give_key(UserAdded(user=name, role=str(role)), key or _new_key())

    def rotate_key(self, name: str) -> str:
        """Give a user a new API key and return it; the old key and its tokens end.

        Raises:
            InvalidArgumentsError: there is no such user.
        """
        with self._alone():
            return self._give_key(UserKeyRotated(user=name, role=self._user(name).role), _new_key())

    def remove_user(self, name: str) -> None:
        """Remove a user; the key and its tokens end.

        Raises:
            InvalidArgumentsError: there is no such user.
        """
        with self._alone():
            role = self._user(name).role
            tree = self._tree()
            del tree["users"][name]
            self._write(tree, UserRemoved(user=name, role=role))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Change the file while no other process does."""
        directory = self.path.resolve().parent
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise ConfigurationError(f"the auth file cannot be written: {self.path}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _user(self, name: str) -> User:
        user = self._read().users.get(name)
        if user is None:
            raise InvalidArgumentsError(f"there is no user {name}", hint="`docker-mcp user list` shows the users")
        return user

    def _give_key(self, change: UserAdded | UserKeyRotated, key: str) -> str:
        tree = self._tree()
        created = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        user = {"role": change.role, "key_sha256": fingerprint(key), "created": created}
        tree.setdefault("users", {})[change.user] = user
        self._write(tree, change)
        return key

    def _tree(self) -> dict[str, Any]:
        tree: dict[str, Any] = orjson.loads(self.path.read_bytes()) if self.path.exists() else {}
        return tree

    def _write(self, tree: dict[str, Any], change: Event) -> None:
        text = orjson.dumps(tree, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        read_auth_file(text.decode())
        self._record(change)
        try:
            write_private(self.path.resolve(), text)
        except OSError as error:
            raise ConfigurationError(f"the auth file cannot be written: {self.path}: {error.strerror}") from error

    def _stamp(self) -> tuple[int, ...] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size, status.st_mode, status.st_uid

    def _read(self) -> AuthFile:
        try:
            with os.fdopen(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
                status = os.fstat(file.fileno())
                content = file.read(_MOST_BYTES + 1) if stat.S_ISREG(status.st_mode) else b""
        except FileNotFoundError:
            return AuthFile()
        except OSError as error:
            raise ConfigurationError(f"the auth file cannot be read: {self.path}: {error.strerror}") from error
        if not stat.S_ISREG(status.st_mode):
            raise ConfigurationError(f"the auth file is not a regular file: {self.path}")
        if status.st_uid not in (os.getuid(), 0):
            raise ConfigurationError(
                f"the auth file belongs to another user: {self.path}", hint=f"chown {os.getuid()} {self.path}"
            )
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ConfigurationError(f"others can write the auth file: {self.path}", hint=f"chmod 600 {self.path}")
        if len(content) > _MOST_BYTES:
            raise ConfigurationError(f"the auth file is larger than {_MOST_BYTES} bytes: {self.path}")
        try:
            return read_auth_file(content.decode())
        except UnicodeDecodeError:
            raise ConfigurationError(f"the auth file is not UTF-8 text: {self.path}") from None


def make_first_admin(store: AuthStore, key_file: Path) -> None:
    """Make the user ``admin`` and keep the API key in ``key_file``, for an HTTP server without users.

    Raises:
        ConfigurationError: the files cannot be written.
        DockerMcpError: the change cannot be recorded.
    """
    key = _new_key()
    try:
        write_private(key_file, f"{key}\n".encode())
    except OSError as error:
        raise ConfigurationError(f"the API key cannot be kept in {key_file}: {error.strerror}") from error
    try:
        store.add_user("admin", Role.ADMIN, key)
    except DockerMcpError:
        key_file.unlink(missing_ok=True)
        raise


def _new_key() -> str:
    return KEY_PREFIX + secrets.token_urlsafe(32)


def auth_secret_file(database: Path) -> Path:
    """Return where the secret that signs tokens is kept, beside a SQLite database."""
    return database.with_name(f"{database.name}.auth-secret")


def load_auth_secret(text: str | None, database: Path | None) -> bytes:
    """Return what signs tokens: ``text``, else a random secret kept beside the SQLite database.

    On PostgreSQL without ``text`` it is random for this process: tokens then end with it, and other replicas do not
    know them.

    Raises:
        ConfigurationError: the file cannot be kept, or lies open to others.
    """
    if text:
        return text.encode()
    if database is None:
        return secrets.token_bytes(32)
    file = auth_secret_file(database)
    try:
        if not file.exists():
            write_first(file, secrets.token_hex(32).encode())
        if file.stat().st_mode & 0o077:
            raise ConfigurationError(f"others can read the secret that signs tokens: {file}", hint=f"chmod 600 {file}")
        secret = file.read_bytes()
        if len(secret) < _SHORTEST_SECRET:
            raise ConfigurationError(f"the secret that signs tokens is too short: {file}", hint="remove the file")
        return secret
    except OSError as error:
        raise ConfigurationError(
            f"the secret that signs tokens cannot be kept in {file}: {error.strerror}",
            hint="make the directory writable for this user, or set MCP_AUTH_SECRET",
        ) from error
