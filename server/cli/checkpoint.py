"""``docker-mcp checkpoint``: signs the head of the log now, and shows the public key that checks such signatures."""

import typer

from adapters.store.location import Location
from domain.errors import ConfigurationError, DockerMcpError
from server.settings import Settings, load_settings

app = typer.Typer(help="Sign the log's head now and print the checkpoint; `key` prints the public key.")


@app.callback(invoke_without_command=True)
def checkpoint(context: typer.Context) -> None:
    """Sign the head of the log, record it, send copies to DOCKER_MCP_CHECKPOINTS_TO, and print it.

    If nothing was recorded since the last checkpoint, that one is printed.
    """
    if context.invoked_subcommand is None:
        typer.echo(sign_now(load_settings()))


@app.command()
def key() -> None:
    """Print the public key (PEM) that checks the signatures, for whoever verifies the log elsewhere."""
    from server.keys import signing_key_of

    settings = load_settings()
    found = signing_key_of(settings, Location.parse(settings.database_url))
    if found is None:
        raise _no_key()
    typer.echo(found.public.pem(), nl=False)


def sign_now(settings: Settings) -> str:
    """Sign the head of the log, unless it is a checkpoint; return the newest checkpoint as a line.

    Raises:
        DockerMcpError: if there is no key, or the log cannot be written.
    """
    from adapters.checkpoint_copies import copies_to
    from adapters.store.checkpointer import Checkpointer
    from adapters.store.event_store import SqlEventStore
    from adapters.store.snapshot import last_of, open_snapshot
    from domain.checkpoints import STREAM
    from server.bootstrap import new_id, now_ms
    from server.cli.local import local_admin
    from server.keys import signing_key_of

    principal = local_admin(settings)
    location, timeout_s = Location.parse(settings.database_url), settings.DOCKER_MCP_APPEND_TIMEOUT_S
    copies = copies_to(settings.DOCKER_MCP_CHECKPOINTS_TO, stdout=False)
    store = SqlEventStore(location, now_ms, new_id(), timeout_s)
    try:
        store.check()
        signer = signing_key_of(settings, location)
        if signer is None:
            raise _no_key()
        checkpointer = Checkpointer(signer, store.append, now_ms, new_id, events=1, interval_s=1, copies=copies)
        with open_snapshot(location, timeout_s) as snapshot:
            checkpointer.sign_if_new(snapshot, principal)
            snapshot.renew()
            last = last_of(snapshot, STREAM)
    finally:
        store.close()
    if last is None:
        raise DockerMcpError("the log is empty", code="nothing_to_sign", hint="start a server first")
    return last.data


def _no_key() -> ConfigurationError:
    return ConfigurationError(
        "there is no signing key, so no checkpoints are signed",
        hint="set DOCKER_MCP_SIGNING_KEY to what `openssl rand -base64 32` prints, the same for every server",
    )
