"""What ``docker-mcp monitoring`` does: the stack of these settings, deployed and asked about as any caller does."""

import asyncio
import os
import re
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import typer
from psycopg.conninfo import conninfo_to_dict

from adapters.docker.images import DockerImages
from adapters.private_file import write_first
from adapters.store.location import Location
from domain.catalogue import CATALOGUE
from domain.catalogue.system import ListImages
from domain.catalogue.tool import Run
from domain.errors import ConfigurationError, DockerMcpError, InvalidArgumentsError
from domain.text import printable
from server.bootstrap import Application
from server.call import Answer, Caller
from server.cli.local import local_admin
from server.monitoring import PROJECT, Stack, Trail, exempting, images
from server.settings import Settings

_DEPLOY_S: Final = 120
_TARGET: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}")
_PASSWORD_FILE: Final = "grafana-password"  # noqa: S105 (the name of the file)
_SHARE_HINT: Final = (
    "the folder of the SQLite log also holds the keys that open what is sealed in it; with --share-log Grafana may "
    "read that folder"
)
_READER_HINT: Final = (
    "DOCKER_MCP_READER_URL is not set: the PostgreSQL URL of a role that may only read; the README beside dashboards "
    "shows how to make one"
)


def stack_for(
    settings: Settings,
    targets: Sequence[str] | None,
    ports: tuple[int, int, int],
    alertmanager: Path | None,
    *,
    share_log: bool,
) -> tuple[Stack, Path, str]:
    """Return the stack of these settings, where its password is kept, and why it has no audit trail (else empty).

    Raises:
        DockerMcpError: a target is none, this user may only read, the engine is on another machine, or a file cannot be
            read.
    """
    if wrong := [target for target in targets or () if not _TARGET.fullmatch(target)]:
        raise InvalidArgumentsError(
            f"--target {printable(wrong[0])} is no host and port", hint="write it as 192.0.2.1:3334, without http://"
        )
    local_admin(settings)
    _check_engine(settings)
    trail, without = _trail(settings, share_log=share_log)
    file = settings.state_dir / _PASSWORD_FILE
    stack = Stack(
        targets=targets or [_own_address(settings)],
        https=settings.DOCKER_MCP_TLS_CERT is not None,
        metrics_token=settings.metrics_token,
        password=_password(file),
        ports=ports,
        trail=trail,
        alertmanager=_text_of(alertmanager) if alertmanager else None,
    )
    return stack, file, without


async def deploy(settings: Settings, compose_yaml: str) -> None:
    """Deploy the stack and wait until all of it answers.

    Raises:
        DockerMcpError: it does not; where images are missing, saying how to bring them.
    """
    arguments = {"project_name": PROJECT, "compose_yaml": compose_yaml, "timeout": _DEPLOY_S}
    async with _application(settings, compose_yaml) as application:
        answer = await application.dispatcher.dispatch(
            "deploy-compose", arguments, _caller(application, "docker-mcp monitoring up")
        )
        if answer.error is None:
            return
        if missing := await asyncio.to_thread(_missing_images, application):
            raise _not_pulled(missing, answer.error)
        raise answer.error


async def ask(settings: Settings, tool: str, arguments: dict[str, Any], purpose: str) -> Answer:
    async with _application(settings) as application:
        return await application.dispatcher.dispatch(tool, arguments, _caller(application, purpose))


@asynccontextmanager
async def _application(settings: Settings, compose_yaml: str | None = None) -> AsyncIterator[Application]:
    catalogue = exempting(CATALOGUE, compose_yaml) if compose_yaml else CATALOGUE
    application = Application(settings, "cli", catalogue)
    try:
        application.open()
        yield application
    finally:
        await application.stop("done")


def _caller(application: Application, purpose: str) -> Caller:
    seen: set[str] = set()

    def tell(_done: int, _total: int | None, message: str) -> None:
        if message not in seen:
            seen.add(message)
            typer.echo(message, err=True)

    return Caller(principal=application.principal, transport="cli", purpose=purpose, progress=tell)


def _missing_images(application: Application) -> list[str]:
    try:
        found = DockerImages(application.docker.engine).list(ListImages(limit=500), Run(command_id="", principal=""))
    except DockerMcpError:
        return []
    there = {tag for row in found.images for tag in row.tags}
    return [image for image in images() if image not in there]


def _not_pulled(missing: list[str], error: DockerMcpError) -> DockerMcpError:
    names = " ".join(missing)
    return DockerMcpError(
        f"these images are not here and could not be pulled: {', '.join(missing)} ({error.message})",
        code="images_missing",
        hint=f"on a machine that reaches the registry: docker pull each, docker save {names} | gzip > images.tar.gz; "
        "here: docker load -i images.tar.gz; or let the engine pull through a mirror (registry-mirrors in "
        "/etc/docker/daemon.json). Then run this again",
    )


def _check_engine(settings: Settings) -> None:
    engine = settings.DOCKER_HOST or ""
    if engine and not engine.startswith("unix://"):
        raise ConfigurationError(
            "the monitoring stack runs where the server does, and DOCKER_HOST names an engine elsewhere",
            hint="run it on that machine, or use the files of dashboards/ with a Prometheus and Grafana of your own",
        )


def _own_address(settings: Settings) -> str:
    host = settings.DOCKER_MCP_HOST
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"{host}:{settings.DOCKER_MCP_PORT}"


def _password(file: Path) -> str:
    """Return Grafana's password: the one that is kept, else a new one. Grafana takes it at its first start only."""
    if not file.exists():
        write_first(file, secrets.token_urlsafe(24).encode())
    return file.read_text().strip()


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InvalidArgumentsError(f"--alertmanager: {file} cannot be read as text") from None


def _trail(settings: Settings, *, share_log: bool) -> tuple[Trail | None, str]:
    """Return how Grafana reads the log, or why it does not."""
    location = Location.parse(settings.database_url)
    if location.path is None:
        reader = settings.reader_url
        return (_postgres_trail(reader), "") if reader else (None, _READER_HINT)
    if not share_log:
        return None, _SHARE_HINT
    owner = location.path.stat() if location.path.exists() else location.path.parent.stat()
    trail = Trail.sqlite(
        folder=os.path.realpath(location.path.parent), file=location.path.name, owner=f"{owner.st_uid}:{owner.st_gid}"
    )
    return trail, ""


def _postgres_trail(url: str) -> Trail:
    options = {name: str(value) for name, value in conninfo_to_dict(Location.parse(url).url).items() if value}
    return Trail.postgres(
        host=f"{options.get('host', '127.0.0.1')}:{options.get('port', '5432')}",
        database=options.get("dbname", ""),
        user=options.get("user", ""),
        password=options.get("password", ""),
        sslmode=options.get("sslmode", "prefer"),
    )
