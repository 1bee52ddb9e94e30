"""Where the log is: parses the database URL once, and knows how each user of it wants to be told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from domain.errors import ConfigurationError

_FORMS: Final = "sqlite:////absolute/path.db or postgresql://user@host/database"


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
        if scheme in ("postgresql", "postgres") and rest:
            return cls(url=text)
        raise ConfigurationError("DOCKER_MCP_DATABASE_URL is not understood", hint=f"write {_FORMS}")

    def describe(self) -> str:
        """Return the location without its password."""
        if self.path:
            return f"sqlite {self.path}"
        parts = urlsplit(self.url)
        return f"postgresql {parts.hostname or 'local socket'}{parts.path}"

    def sqlalchemy_url(self, *, read_only: bool = False) -> str:
        """Return the URL for SQLAlchemy; with ``read_only``, SQLite refuses writes on such connections."""
        if not self.path:
            return "postgresql+psycopg://" + self.url.partition("://")[2]
        if read_only:
            return f"sqlite:///file:{quote(str(self.path))}?mode=ro&uri=true"
        return f"sqlite:///{self.path}"
