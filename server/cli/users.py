"""``docker-mcp user`` and ``docker-mcp token``: who may call."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from adapters.auth_store import AuthStore, load_auth_secret, make_first_admin
from adapters.store.location import Location
from domain.access.tokens import issue
from domain.errors import ConfigurationError, InvalidArgumentsError
from domain.events import TokenIssued
from domain.principal import Role
from server.cli.output import AsJson, tell
from server.settings import Settings, is_loopback, load_settings

app = typer.Typer(help="Manage the users of the auth file.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The user's name.")]


@app.command()
def add(
    name: Name,
    role: Annotated[str, typer.Option(help="What the user may do.")] = Role.USER,
    as_json: AsJson = False,
) -> None:
    """Add a user and print the new API key. It is shown this once."""
    with _changing() as store:
        key = store.add_user(name, role)
    _show_key(key, name, as_json=as_json)


@app.command()
def rotate(name: Name, as_json: AsJson = False) -> None:
    """Give a user a new API key and print it. The old key and its tokens end at once."""
    with _changing() as store:
        key = store.rotate_key(name)
    _show_key(key, name, as_json=as_json)


@app.command()
def remove(name: Name) -> None:
    """Remove a user. The key and its tokens end at once."""
    with _changing() as store:
        store.remove_user(name)
    typer.echo(f"removed {name}")


@app.command("list")
def list_users(as_json: AsJson = False) -> None:
    """List the users with their roles."""
    store = AuthStore(load_settings().auth_file)
    users = [
        {"name": name, "role": user.role, "created": user.created} for name, user in sorted(store.load().users.items())
    ]
    if as_json:
        typer.echo(json.dumps(users, indent=2))
        return
    for user in users:
        typer.echo(f"{user['name']}  {user['role']}  {user['created'] or '-'}")
    if not users:
        typer.echo(f"no users in {store.path}; `docker-mcp user add NAME --role admin` adds one")


def print_token(name: str, *, as_json: bool) -> None:
    """Print a token for a user, and record that.

    Raises:
        InvalidArgumentsError: there is no such user.
    """
    token = token_of(load_settings(), name)
    tell(token, {"name": name, "token": token}, as_json=as_json)


def token_of_an_admin(settings: Settings) -> str | None:
    """Return a token of a user who may do everything, which is recorded; None if there is no such user."""
    users = AuthStore(settings.auth_file).load().users
    admin = next((name for name, user in users.items() if user.role == Role.ADMIN), None)
    return token_of(settings, admin) if admin else None


def token_of(settings: Settings, name: str) -> str:
    """Return a token for a user, once it is recorded.

    Raises:
        InvalidArgumentsError: there is no such user.
        ConfigurationError: no server would believe it.
        LogUnavailableError: it cannot be recorded.
    """
    from server.cli.local import recording

    check_secret(settings)
    user = AuthStore(settings.auth_file).load().users.get(name)
    if user is None:
        raise InvalidArgumentsError(f"there is no user {name}", hint="`docker-mcp user list` shows the users")
    secret = load_auth_secret(settings.auth_secret, Location.parse(settings.database_url).path)
    now_s = int(time.time())
    with recording(settings) as record:
        record(TokenIssued(expires_at_s=now_s + settings.DOCKER_MCP_TOKEN_LIFETIME_S, user=name))
    return issue(secret, name, user.key_sha256, now_s).text()


def check_secret(settings: Settings) -> None:
    """Refuse to sign tokens that other replicas of the same log would not know.

    Raises:
        ConfigurationError: the log is on PostgreSQL and no secret is set.
    """
    if settings.auth_secret is None and not Location.parse(settings.database_url).is_sqlite:
        raise ConfigurationError(
            "PostgreSQL needs MCP_AUTH_SECRET, so that every server believes the tokens of the others",
            hint="make one with `openssl rand -base64 32` and give it to every server",
        )


def provide_users(store: AuthStore, settings: Settings) -> Path | None:
    """Make the first user of an HTTP server on this machine; return where its API key is, None if there are users.

    Raises:
        LogUnavailableError: the log cannot record it.
        ConfigurationError: there are no users and the server is reached from other machines.
    """
    if store.current().users:
        return None
    if not is_loopback(settings.DOCKER_MCP_HOST):
        raise ConfigurationError(
            "without users the server listens on loopback only", hint="docker-mcp user add admin --role admin"
        )
    key_file = settings.config_dir / "admin.key"
    make_first_admin(store, key_file)
    return key_file


@contextmanager
def _changing() -> Iterator[AuthStore]:
    """Give the users of the auth file, for one change that is recorded before it is made."""
    from server.cli.local import recording

    settings = load_settings()
    with recording(settings) as record:
        store = AuthStore(settings.auth_file, record=record)
        store.load()
        yield store


def _show_key(key: str, name: str, *, as_json: bool) -> None:
    tell(key, {"name": name, "api_key": key}, as_json=as_json)
    typer.echo(f"the API key of {name}; it is not kept anywhere else", err=True)
