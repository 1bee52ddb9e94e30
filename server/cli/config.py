"""``docker-mcp config``: writes the configuration of a client, or checks it."""

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from domain.errors import DockerMcpError, InvalidArgumentsError
from server.cli.exit import Exit
from server.cli.output import AsJson, tell
from server.clients.connection import Http, Stdio, carried, http_url, is_http_url, left_out, stdio_command
from server.clients.file import ClientFile
from server.clients.forms import CLIENTS, NO_CREDENTIAL, Client, client_named
from server.clients.json_text import NotMergedError
from server.settings import Settings, load_settings

_CLIENTS = ", ".join(CLIENTS)
_STDIN = "-"


def config(
    client: Annotated[str, typer.Argument(help=f"Whose: {_CLIENTS}.")],
    path: Annotated[Path | None, typer.Argument(help="Its file; .toml for the TOML of OpenHands.")] = None,
    http: Annotated[bool, typer.Option("--http", help="Reach a server that runs by itself; else start one.")] = False,
    url: Annotated[
        str | None, typer.Option(help="Where that server is, if not where `docker-mcp http` serves.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the server is called in the file.")] = None,
    token_file: Annotated[
        str | None,
        typer.Option(help="File with the caller's API key or token, - for standard input; DOCKER_MCP_TOKEN."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Change an existing file without asking.")] = False,
    show: Annotated[
        bool, typer.Option("--print", help="Print what belongs into the file, and change nothing.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Start or reach what the file says, and list its tools.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write this server into the configuration of an MCP client, or check what is written there.

    What else is in the file stays as it is. An existing file is changed once you have seen what will be different, and
    a copy of it is kept.
    """
    settings = load_settings(use_working_directory=http)
    form = client_named(client)
    file = ClientFile.read(form, (path or Path(form.place)).expanduser())
    name = name or form.name
    if url is not None and not is_http_url(url):
        raise InvalidArgumentsError("--url is no address", hint="write it as http://127.0.0.1:3334/mcp, or https://")
    if check:
        if show or yes or token_file is not None:
            raise InvalidArgumentsError("--check goes by what the file says; leave out --print, --yes and --token-file")
        raise typer.Exit(_check(file, name, url, http_url(settings), as_json=as_json))
    credential = _credential(settings, token_file)
    users, approved = _users_and_approved(settings)
    server = _server(settings, form, credential, url, http=http or url is not None, users=users, toml=file.is_toml)
    shown = replace(server, credential=NO_CREDENTIAL) if credential else server
    by_hand = file.by_hand(shown, approved, name)
    if show:
        typer.echo(by_hand, nl=False)
        return
    try:
        after = file.with_server(server, approved, name)
        _write(file, after, private=credential is not None, sure=yes, as_json=as_json)
    except NotMergedError as error:
        typer.echo(by_hand, nl=False)
        raise NotMergedError(f"{file.path}: {error.message}", hint=error.hint) from error
    _tell_what_is_missing(server, form)


def _write(file: ClientFile, after: str, *, private: bool, sure: bool, as_json: bool) -> None:
    if file.before is not None and after == file.text():
        if private:
            file.protect()
        tell(f"{file.path} is as it should be", _done(file, changed=False, kept=None), as_json=as_json)
        return
    for line in file.difference(after):
        typer.echo(line, err=as_json)
    if file.before is not None and not sure and not _agreed():
        raise DockerMcpError("nothing was changed", code="not_confirmed", hint="--yes changes it without asking")
    kept = file.write(after, private=private)
    told = f"wrote {file.path}" + (f"; before, it was {kept}" if kept else "")
    tell(told, _done(file, changed=True, kept=kept), as_json=as_json)


def _done(file: ClientFile, *, changed: bool, kept: Path | None) -> dict[str, object]:
    return {"file": str(file.path), "changed": changed, "kept": kept and str(kept)}


def _agreed() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and typer.confirm("Change it so?", err=True)


def _server(
    settings: Settings, form: Client, credential: str | None, url: str | None, *, http: bool, users: bool, toml: bool
) -> Stdio | Http:
    unknown = NO_CREDENTIAL if toml else form.unknown
    if http:
        return Http(url or http_url(settings), credential or unknown)
    command, *arguments = stdio_command()
    env = carried(os.environ)
    if form is CLIENTS["openhands"]:
        env = {"DOCKER_MCP_PORT": str(settings.DOCKER_MCP_PORT), "LOG_LEVEL": settings.LOG_LEVEL, **env}
    return Stdio(command, arguments, env, credential or (unknown if users else None))


def _users_and_approved(settings: Settings) -> tuple[bool, list[str]]:
    from adapters.auth_store import AuthStore
    from domain.access.auto_approve import auto_approved
    from domain.catalogue import CATALOGUE

    rules = AuthStore(settings.auth_file).load()
    return bool(rules.users), auto_approved(CATALOGUE, rules.auto_approve)


def _credential(settings: Settings, token_file: str | None) -> str | None:
    if token_file is None:
        return settings.token
    try:
        text = sys.stdin.read() if token_file == _STDIN else Path(token_file).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgumentsError("--token-file cannot be read") from error
    if len(text.split()) != 1 or not text.strip().isascii():
        raise InvalidArgumentsError(
            "--token-file holds no API key or token", hint="one line as `docker-mcp user add` prints it"
        )
    return text.strip()


def _tell_what_is_missing(server: Stdio | Http, form: Client) -> None:
    if server.credential == NO_CREDENTIAL:
        typer.echo(
            f"put an API key in the place of {NO_CREDENTIAL}, or give it with --token-file; `docker-mcp user add NAME` "
            "prints a new one",
            err=True,
        )
    elif server.credential == form.unknown and not form.inputs:
        typer.echo(f"start {form.title} with the variable DOCKER_MCP_TOKEN set to an API key", err=True)
    if isinstance(server, Stdio) and (names := left_out(os.environ)):
        typer.echo(
            f"not written, since agents may read it: {', '.join(names)}. Put them into the .env file of your "
            "configuration directory (docs/configuration.md): a server that a client starts reads it",
            err=True,
        )


def _check(file: ClientFile, name: str, url: str | None, usual: str, *, as_json: bool) -> Exit:
    from server.clients.check import ask

    try:
        entry = file.server(name, url or usual)
    except NotMergedError as error:
        raise InvalidArgumentsError(f"{file.path}: {error.message}", hint="mend it, then check it again") from error
    if url is not None and entry.get("url") != url:
        raise InvalidArgumentsError(
            f"{file.path} does not say that {name} is at that address", hint="leave out --url, or write it first"
        )
    answer = asyncio.run(ask(entry))
    how = "started" if "command" in entry else "reached"
    unknown = sorted(set(entry.get("autoApprove", [])) - set(answer.tools))
    lines = [f"{how} {answer.server}: {len(answer.tools)} tools", *(f"  {tool}" for tool in answer.tools)]
    tree = {"how": how, "server": answer.server, "tools": answer.tools, "unknown_approved": unknown}
    tell("\n".join(lines), tree, as_json=as_json)
    if not answer.tools:
        typer.echo(
            "docker-mcp: it offers this caller no tool: once there are users, a client needs an API key; "
            "write one with --token-file",
            err=True,
        )
        return Exit.FAILED
    if unknown:
        typer.echo(f"docker-mcp: autoApprove names tools that it does not have: {', '.join(unknown)}", err=True)
        return Exit.FAILED
    return Exit.OK
