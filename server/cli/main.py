"""``docker-mcp``: serve, look into the log, check the machine."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Annotated, Any

import typer

from adapters.tracing import start_tracing
from domain.errors import ConfigurationError, DockerMcpError, InvalidArgumentsError
from server.cli import (
    approvals,
    archive,
    audit_command,
    backup,
    checkpoint,
    config,
    exports,
    metrics,
    monitoring,
    replay_command,
    rotate_log,
    users,
    verify,
)
from server.cli import audit_filters as filters
from server.cli.exit import Exit
from server.cli.output import AsJson, tell
from server.logs import log_to_stderr
from server.settings import load_settings
from server.version import VERSION

_DEBUG_HINT = "set LOG_LEVEL=DEBUG to see where"

ReadOnly = Annotated[
    bool, typer.Option("--read-only", help="Refuse every change, as DOCKER_MCP_READ_ONLY does; either is enough.")
]
Toolsets = Annotated[
    str | None,
    typer.Option(help="Offer only these, separated by commas; of those that DOCKER_MCP_TOOLSETS leaves."),
]

app = typer.Typer(
    name="docker-mcp",
    help="Runs Docker for AI agents over MCP and keeps a tamper-evident record of every call.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _default(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        typer.echo(f"docker-mcp {VERSION}")
        raise typer.Exit(Exit.OK)
    if context.invoked_subcommand is None:
        if sys.stdin is None or sys.stdin.isatty():
            typer.echo(context.get_help())
            raise typer.Exit(Exit.OK)
        stdio()


@app.command()
def stdio(read_only: ReadOnly = False, toolsets: Toolsets = None) -> None:
    """Serve one MCP client over standard input and output."""
    settings = load_settings().narrowed(read_only=read_only, toolsets=toolsets)
    log_to_stderr(settings)
    end_tracing = start_tracing(VERSION)

    async def serve() -> bool:
        from server.bootstrap import Application, new_id
        from server.garbage import spare_what_lives_on
        from server.mcp_server import McpServer
        from server.stdio import serve_stdio

        application = Application(settings, "stdio")
        await application.start()
        callers = application.callers(application.principal)
        server = McpServer(application.dispatcher, callers, "stdio", new_id())
        spare_what_lives_on()
        reason = await serve_stdio(server, settings.DOCKER_MCP_SHUTDOWN_GRACE_S)
        return await application.stop(reason)

    _run_and_exit(serve, end_tracing)


@app.command()
def http(
    port: Annotated[int | None, typer.Option(help="Port; DOCKER_MCP_PORT, else 3334.")] = None,
    read_only: ReadOnly = False,
    toolsets: Toolsets = None,
) -> None:
    """Serve MCP clients over Streamable HTTP on this machine."""
    settings = load_settings(use_working_directory=True, DOCKER_MCP_PORT=port)
    settings = settings.narrowed(read_only=read_only, toolsets=toolsets)
    log_to_stderr(settings)
    end_tracing = start_tracing(VERSION)

    async def serve() -> bool:
        from domain.access.auto_approve import auto_approved
        from domain.catalogue import CATALOGUE
        from server.bootstrap import Application
        from server.cli.clients import how_to_connect
        from server.cli.users import check_secret, provide_users
        from server.garbage import spare_what_lives_on
        from server.http import check_exposure, listen, serve_http
        from server.mcp_server import McpServer

        check_exposure(settings)
        check_secret(settings)
        application = Application(settings, "http")
        sockets = listen(settings.DOCKER_MCP_HOST, settings.DOCKER_MCP_PORT)
        key_file = provide_users(application.auth, settings)
        await application.start()
        approved = auto_approved(CATALOGUE, application.auth.current().auto_approve)
        typer.echo(how_to_connect(settings, application.store.location.describe(), key_file, approved), err=True)
        callers = application.callers(None)
        server = McpServer(application.dispatcher, callers, "http", None)
        spare_what_lives_on()
        return await application.stop(await serve_http(application, server, callers, sockets))

    _run_and_exit(serve, end_tracing)


app.add_typer(users.app, name="user")
app.add_typer(approvals.app, name="approvals")
app.add_typer(checkpoint.app, name="checkpoint")
app.add_typer(monitoring.app, name="monitoring")
start = typer.Typer(help="Other words for some commands.", no_args_is_help=True)
start.command("docker-mcp")(http)
start.command("monitoring")(monitoring.up)
app.add_typer(start, name="start")
app.command("config")(config.config)
app.command("verify")(verify.verify)
app.command("replay")(replay_command.replay)
app.command("archive")(archive.archive)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("load-archive")(archive.load_archive)
app.command("rotate-log")(rotate_log.rotate_log)


@app.command()
def token(name: users.Name, as_json: AsJson = False) -> None:
    """Print a token that stands for a user until it expires."""
    users.print_token(name, as_json=as_json)


@app.command()
def migrate(as_json: AsJson = False) -> None:
    """Bring the database of the event log to the schema of this version."""
    from adapters.store.location import Location
    from adapters.store.migrate import migrate as run_migrations
    from adapters.store.schema import REVISION
    from server.cli.check import check_store

    settings = load_settings()
    location = Location.parse(settings.database_url)
    run_migrations(location)
    check_store(location, settings.DOCKER_MCP_APPEND_TIMEOUT_S)
    tree = {"database": location.describe(), "schema": REVISION}
    tell(f"{location.describe()}: schema {REVISION}", tree, as_json=as_json)


app.add_typer(audit_command.app, name="audit")
audit_command.app.command()(exports.export)
audit_command.app.command()(exports.import_verify)


@app.command()
def tail(
    username: filters.Username = None,
    tool: filters.Tool = None,
    status: filters.Status = None,
    object_name: filters.ObjectName = None,
    effect: filters.Effect = None,
    role: filters.Role = None,
    correlation_id: filters.CorrelationId = None,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, max=500, help="How many of the last to begin with.")
    ] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one line each.")] = False,
) -> None:
    """Follow the log: each command that ends, what Docker does by itself, failed log-ins. Is recorded in the log."""
    from server.cli.tail import tail_log

    wanted = filters.given(username, tool, status, object_name, effect, role, correlation_id)
    colours = sys.stdout.isatty() and not as_json and not os.environ.get("NO_COLOR")
    with suppress(KeyboardInterrupt):
        asyncio.run(tail_log(load_settings(), wanted, lines, as_json=as_json, colours=colours))


@app.command()
def rebuild(
    check: Annotated[
        bool, typer.Option("--check", help="Only tell what is different; exit code 1 if anything.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Build the read models from the log and put them in the place of those there; tell what was different."""
    from server.cli.rebuild import rebuild_read_models

    right = rebuild_read_models(load_settings(), only_check=check, as_json=as_json)
    raise typer.Exit(Exit.OK if right else Exit.FAILED)


@app.command()
def reconcile(
    command_id: Annotated[str | None, typer.Argument(help="Only this command.")] = None,
    status: Annotated[
        str | None, typer.Option("--as", help="succeeded or failed: what you know became of an unknown command.")
    ] = None,
    comment: Annotated[str | None, typer.Option(help="How you know it; kept in the log.")] = None,
    as_json: AsJson = False,
) -> None:
    """Settle unknown commands, and those that a dead server left open, by a look at the engine. Repeats nothing."""
    from server.cli import reconcile as cli

    settings = load_settings()
    if status is not None or comment is not None:
        if command_id is None or status is None:
            raise InvalidArgumentsError("--as and --comment settle one command: name it")
        cli.settle_as(settings, command_id, status, comment, as_json=as_json)
        return
    settled = asyncio.run(cli.reconcile(settings, command_id, as_json=as_json))
    raise typer.Exit(Exit.OK if settled else Exit.FAILED)


@app.command()
def forget(
    command_id: Annotated[str, typer.Argument(help="The command whose sealed values nobody shall read again.")],
    yes: Annotated[bool, typer.Option("--yes", help="Also those of the deployment that a stack runs with.")] = False,
) -> None:
    """Delete the key of a command's sealed values, for ever. The log and its chain stay whole, and say so."""
    from server.cli.forget import forget_secrets

    raise typer.Exit(Exit.OK if forget_secrets(load_settings(), command_id, sure=yes) else Exit.FAILED)


@app.command()
def rotate_sealing_key(
    keep_old: Annotated[bool, typer.Option("--keep-old", help="Keep the old key file beside the new one.")] = False,
    lost: Annotated[
        bool, typer.Option("--lost", help="Go on without the old key; what it sealed stays sealed.")
    ] = False,
) -> None:
    """Wrap every data key under a new sealing key: DOCKER_MCP_NEW_SEALING_KEY, else one that is made."""
    from server.cli.rotate import rotate

    raise typer.Exit(Exit.OK if rotate(load_settings(), keep_old=keep_old, lost=lost) else Exit.FAILED)


app.command("metrics")(metrics.metrics)


@app.command()
def doctor(
    as_json: AsJson = False,
) -> None:
    """Check database, keys, users, engine, Compose plugin and port, and say how to mend what is wrong."""
    from server.cli.doctor import examine, report

    findings = examine(load_settings())
    typer.echo(report(findings, as_json=as_json))
    raise typer.Exit(Exit.OK if all(finding.ok or finding.optional for finding in findings) else Exit.FAILED)


@app.command()
def demo() -> None:
    """Create, list, read, connect, stop and remove a real container as an MCP client would, then show the record."""
    from server.cli.demo import run_demo

    raise typer.Exit(Exit.OK if asyncio.run(run_demo(load_settings())) else Exit.FAILED)


def run() -> None:
    """Run the command line; errors are one line on stderr, never a traceback."""
    try:
        app()
    except (ConfigurationError, InvalidArgumentsError) as error:
        _complain(error)
        sys.exit(Exit.USAGE)
    except DockerMcpError as error:
        _complain(error)
        sys.exit(Exit.FAILED)
    except OSError as error:
        if os.environ.get("LOG_LEVEL") == "DEBUG":
            raise
        what = error.filename or "the output, or a file that is needed"
        reason = (error.strerror or type(error).__name__).lower()
        _complain(DockerMcpError(f"{what} cannot be used: {reason}", code="not_usable", hint=_DEBUG_HINT))
        sys.exit(Exit.FAILED)
    except Exception as error:
        if os.environ.get("LOG_LEVEL") == "DEBUG":
            raise
        _complain(DockerMcpError(f"unexpected {type(error).__name__}", code="internal_error", hint=_DEBUG_HINT))
        sys.exit(Exit.FAILED)


def _run_and_exit(serve: Callable[[], Coroutine[Any, Any, bool]], end_tracing: Callable[[], object]) -> None:
    """Run a server to its end, then send its last spans.

    Leaves without waiting for threads that are stuck in a request or on standard input.
    """
    import uvloop

    async def to_the_end() -> None:
        code = Exit.FAILED
        try:
            code = Exit.OK if await serve() else Exit.FAILED
        except ConfigurationError as error:
            _complain(error)
            code = Exit.USAGE
        except DockerMcpError as error:
            _complain(error)
        except Exception:
            logging.getLogger(__name__).exception("the server failed")
        end_tracing()
        logging.shutdown()
        sys.stderr.flush()
        os._exit(code)

    uvloop.run(to_the_end())


def _complain(error: DockerMcpError) -> None:
    typer.echo(f"docker-mcp: {error.describe()}", err=True)
