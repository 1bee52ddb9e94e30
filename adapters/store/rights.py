"""What a role needs to be granted on a PostgreSQL log to serve it, and what it lacks."""

from collections.abc import Callable
from typing import Any, Final

from adapters.store.schema import TABLES

_RIGHTS: Final = {
    **dict.fromkeys(TABLES, ("SELECT", "INSERT", "UPDATE", "DELETE")),
    "event": ("SELECT", "INSERT"),
    "audit_trail": ("SELECT",),
    "alembic_version": ("SELECT",),
}
GRANT: Final = "grant what docs/configuration.md names under PostgreSQL"
EVERY_APPEND: Final = ("event", "open_command")
"""The tables without which nothing can be recorded."""


def missing_rights(
    query: Callable[[str], list[tuple[Any, ...]]], tables: tuple[str, ...] = tuple(_RIGHTS)
) -> list[str]:
    """Return what the role of a connection to PostgreSQL may not do with ``tables``, such as ``INSERT on event``.

    Raises:
        LogUnavailableError: if the database does not answer.
    """
    wanted = ", ".join(f"('{table}', '{right}')" for table in tables for right in _RIGHTS[table])
    rows = query(
        f"SELECT name, wanted FROM (VALUES {wanted}) AS v (name, wanted) "  # noqa: S608 (fixed names)
        "WHERE has_table_privilege(to_regclass(name), wanted) IS NOT TRUE"
    )
    return [f"{right} on {table}" for table, right in rows]
