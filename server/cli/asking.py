"""Questions to the log from the command line: each is a recorded command, like that of any caller."""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import typer

from adapters.sealing import KEY_BYTES, AesSealer
from adapters.store.location import Location
from domain.catalogue.tool import Surface
from domain.errors import DockerMcpError, InvalidArgumentsError, SealingKeyError
from server.bootstrap import Application
from server.call import Answer, Caller
from server.keys import sealer_of
from server.settings import Settings


@asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator[Application]:
    """A server in this process that reads the log, serves nobody, and does without the sealing key if need be.

    Raises:
        DockerMcpError: if the log is none that this version can read.
    """
    application = Application(settings, "cli", sealer=sealer_of_a_reader(settings))
    try:
        application.store.check()
        yield application
    finally:
        await application.stop("done")


async def ask(
    application: Application,
    name: str,
    arguments: Mapping[str, Any],
    surface: Surface = Surface.PROMPT,
    purpose: str | None = None,
) -> Answer:
    """Return the answer to a call of the user of this process.

    Raises:
        DockerMcpError: the error that the call was answered with.
    """
    caller = Caller(principal=application.principal, transport="cli", purpose=purpose)
    answer = await application.dispatcher.dispatch(name, arguments, caller, surface)
    if answer.error:
        raise for_a_person(answer.error)
    return answer


def for_a_person(error: DockerMcpError) -> DockerMcpError:
    """Return an error of a call's arguments as one of options: nobody has typed the names that its hint lists."""
    if not isinstance(error, InvalidArgumentsError) or not error.hint.startswith("arguments: "):
        return error
    problem = error.message.partition(": ")[2]
    if problem.startswith("command_id: "):
        return InvalidArgumentsError("that is no command id", hint="`docker-mcp audit` shows the ids of commands")
    return InvalidArgumentsError(problem, hint="--help lists the options")


def sealer_of_a_reader(settings: Settings) -> AesSealer:
    """Return the log's sealer; without its key one of the moment: a question to the log seals nothing."""
    try:
        return sealer_of(settings, Location.parse(settings.database_url))
    except SealingKeyError as error:
        typer.echo(f"docker-mcp: note: read without the sealing key: {error.message} - {error.hint}", err=True)
        return AesSealer(secrets.token_bytes(KEY_BYTES))
