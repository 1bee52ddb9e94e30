"""A look at the database, and a hand in it, past the product's own code."""

import sqlite3
from contextlib import closing
from typing import Any

import psycopg

from adapters.store.location import Location


def rows(location: Location, sql: str) -> list[tuple[Any, ...]]:
    """What ``sql`` returns."""
    if location.path:
        with closing(sqlite3.connect(location.path)) as connection:
            return connection.execute(sql).fetchall()
    with psycopg.connect(location.url, autocommit=True) as server:
        return server.execute(sql.encode()).fetchall()


def execute(location: Location, *statements: str) -> None:
    """Run ``statements`` as somebody who holds the database would."""
    if location.path:
        with closing(sqlite3.connect(location.path, isolation_level=None)) as connection:
            for statement in statements:
                connection.execute(statement)
        return
    with psycopg.connect(location.url, autocommit=True) as server:
        for statement in statements:
            server.execute(statement.encode())
