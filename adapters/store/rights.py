"""What a role needs to be granted on a PostgreSQL log to serve it, and what it lacks."""

from typing import Final

from adapters.store.connection import Connection
from adapters.store.location import Location
from adapters.store.schema import TABLES

_RIGHTS: Final = {
    **dict.fromkeys(TABLES, ("SELECT", "INSERT", "UPDATE", "DELETE")),
    "event": ("SELECT", "INSERT"),
    "audit_trail": ("SELECT",),
    "alembic_version": ("SELECT",),
}
_MAY_SQL: Final = "SELECT has_table_privilege(to_regclass(?), ?)"


def missing_rights(location: Location, timeout_s: float) -> list[str]:
    """Return what the role may not do, such as ``INSERT on event``; nothing for SQLite, which knows no roles.

    Raises:
        LogUnavailableError: if the database does not answer.
    """
    if location.is_sqlite:
        return []
    with Connection(location, timeout_s, read_only=True) as connection:
        return [
            f"{right} on {table}"
            for table, rights in _RIGHTS.items()
            for right in rights
            if connection.query(_MAY_SQL, table, right) != [(True,)]
        ]
