"""Where the log is: parses the database URL once, and knows how each user of it wants to be told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

from domain.errors import ConfigurationError, LogUnavailableError

_FORMS: Final = (
    "sqlite:////absolute/path.db or postgresql://user@host/database, with @ / ? # [ ] % in a password percent-encoded"
)
_RESERVED: Final = frozenset("@/?#[]")


@dataclass(frozen=True, slots=True)
class Location:
    """A SQLite file (``path``) or a PostgreSQL server (``url``, as libpq takes it)."""

    path: Path | None = None
    url: str = ""

    @property
    def is_sqlite(self) -> bool:
        return self.path is not None

    @classmethod
    def parse(cls, text: str) -> "Location":
        """Return the location that a ``DOCKER_MCP_DATABASE_URL`` names.

        Raises:
            ConfigurationError: naming the two forms; the URL itself may hold a password and is not repeated.
        """
        scheme, _, rest = text.partition("://")
        if scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
            return cls(path=Path(unquote(rest[1:])).absolute())
        if scheme in ("postgresql", "postgres") and rest and _postgres_options(text):
            return cls(url=text)
        raise ConfigurationError("DOCKER_MCP_DATABASE_URL is not understood", hint=f"write {_FORMS}")

    def make_file(self) -> None:
        """Make an empty SQLite file that only its owner can read, if there is none.

        Raises:
            LogUnavailableError: if it cannot be made.
        """
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.touch(mode=0o600)
        except OSError as error:
            raise LogUnavailableError(f"the event log cannot be made: {self.path}: {error.strerror}") from error

    def file_id(self) -> tuple[int, int] | None:
        """Return what tells the SQLite file from another one that takes its place; None if there is none."""
        try:
            found = self.path.stat() if self.path else None
        except OSError:
            return None
        return (found.st_dev, found.st_ino) if found else None

    def describe(self) -> str:
        """Return the location without its password."""
        if self.path:
            return f"sqlite {self.path}"
        options = _postgres_options(self.url)
        return f"postgresql {options.get('host', 'local socket')}/{options.get('dbname', '')}"

    def sqlalchemy_url(self) -> str:
        """Return the URL for SQLAlchemy."""
        if not self.path:
            return "postgresql+psycopg://" + self.url.partition("://")[2]
        return f"sqlite:///{quote(str(self.path))}"


def _postgres_options(url: str) -> dict[str, Any]:
    """Return what libpq understands of ``url``; nothing if it does not.

    What a password holds unencoded would be taken for a host or a path, and be shown with them.
    """
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    credentials, _, _ = url.partition("://")[2].rpartition("@")
    try:
        options = {} if set(credentials) & _RESERVED else conninfo_to_dict(url)
    except ProgrammingError:
        return {}
    return options if str(options.get("port", "0")).isdecimal() else {}
