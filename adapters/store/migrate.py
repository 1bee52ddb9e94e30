"""Brings a database to the newest schema with Alembic. Imported only when there is something to migrate."""

from importlib.resources import files
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from adapters.store.location import Location
from domain.errors import ConfigurationError, LogUnavailableError

_MIGRATION_LOCK = 0x646D6371
_CONNECT_S = 10.0


def migrate(location: Location) -> None:
    """Run the missing migrations in one transaction; processes that start together take turns.

    Raises:
        LogUnavailableError: if the database cannot be reached or changed.
        ConfigurationError: if a newer version has migrated it, or it cannot hold every text.
    """
    location.make_file()
    if not location.is_sqlite:
        _check_encoding(location)
    engine = _engine(location)
    try:
        with engine.begin() as connection:
            if not location.is_sqlite:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
            command.upgrade(alembic_config(connection), "head")
    except CommandError as error:
        raise ConfigurationError(
            "the database has a schema that this version does not know", hint="install the newer version"
        ) from error
    except SQLAlchemyError as error:
        cause = type(error.__cause__ or error).__name__
        raise LogUnavailableError(f"the database could not be migrated: {cause}") from error
    finally:
        engine.dispose()


def alembic_config(connection: Connection) -> Config:
    """Return Alembic's configuration for our migrations on ``connection``."""
    config = Config()
    config.set_main_option("script_location", str(files("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _check_encoding(location: Location) -> None:
    from adapters.store.postgres import connect

    with connect(location.url, _CONNECT_S) as connection:
        encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise ConfigurationError(
            f"the database has the encoding {encoding}",
            hint="make one for the log: CREATE DATABASE docker_mcp ENCODING 'UTF8' TEMPLATE template0",
        )


def _engine(location: Location) -> Engine:
    engine = create_engine(location.sqlalchemy_url())
    if location.is_sqlite:
        # The driver's own transactions do not cover CREATE TABLE; these do, and only one process gets in.
        @event.listens_for(engine, "connect")
        def _no_driver_transactions(connection: Any, _record: Any) -> None:
            connection.isolation_level = None

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
