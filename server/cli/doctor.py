"""``docker-mcp doctor``: what is wrong on this machine, and how to mend it."""

import errno
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from typing import Final

from pydantic_settings import DotEnvSettingsSource

from adapters.auth_store import AuthStore
from adapters.checkpoint_copies import copies_to
from adapters.docker.engine import Engine
from adapters.store.connection import Connection
from adapters.store.disk import DiskReserve
from adapters.store.location import Location
from adapters.store.rights import GRANT, missing_rights
from adapters.store.rotation import closed_at
from domain.errors import ConfigurationError, DockerMcpError, LowDiskError
from domain.text import printable
from server.cli.check import check_store
from server.keys import sealer_of, signing_key_of
from server.settings import Settings, env_file, load_settings

_ENV_FILE: Final = "DOCKER_MCP_ENV_FILE"
_DEFAULT_SOCKET: Final = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was looked at, whether it is well, what was seen, and the fix. Optional ones do not fail."""

    check: str
    ok: bool
    seen: str
    fix: str = ""
    optional: bool = False


def examine(settings: Settings) -> list[Finding]:
    """Return all findings, in the order in which a server would meet them."""
    checks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        _names,
        _log,
        _key,
        _checkpoints,
        _auth,
        _engine,
        _compose,
        _port,
    )
    return [finding for check in checks for finding in check(settings)]


def report(findings: list[Finding], *, as_json: bool) -> str:
    """Return the findings for people, or as JSON."""
    if as_json:
        return json.dumps([asdict(finding) for finding in findings], indent=2)
    lines = []
    for finding in findings:
        mark = "ok  " if finding.ok else ("note" if finding.optional else "FAIL")
        lines.append(f"{mark}  {finding.check:<11} {finding.seen}")
        if not finding.ok:
            lines.append(f"{'':17} fix: {finding.fix}")
    return "\n".join(lines)


def _names(_settings: Settings) -> Iterator[Finding]:
    known = {*Settings.model_fields, _ENV_FILE}
    yield from _unknown(known, os.environ, "")
    files = {env_file(use_working_directory=False)}
    try:
        load_settings(use_working_directory=True)
        files.add(env_file(use_working_directory=True))
    except ConfigurationError as error:
        seen = f"`docker-mcp http` would not start in this folder: {error.message}"
        yield Finding("settings", False, seen, error.hint or "correct the .env file here", optional=True)
    for file in sorted(filter(None, files)):
        source = DotEnvSettingsSource(Settings, env_file=file)
        yield from _unknown(known - {_ENV_FILE}, source.env_vars, f"{file.absolute()}: ")


def _unknown(known: AbstractSet[str], variables: Iterable[str], where: str) -> Iterator[Finding]:
    if unknown := sorted(name for name in variables if name.startswith("DOCKER_MCP_") and name not in known):
        seen = f"{where}no setting is called {', '.join(map(printable, unknown))}: nothing reads it"
        yield Finding(
            "settings", False, seen, "docs/configuration.md lists the settings; correct the name", optional=True
        )


def _log(settings: Settings) -> Iterator[Finding]:
    location = Location.parse(settings.database_url)
    try:
        check_store(location, settings.DOCKER_MCP_APPEND_TIMEOUT_S)
    except ConfigurationError as error:
        yield Finding("log", False, f"{location.describe()}: {error.message}", error.hint)
        return
    except DockerMcpError as error:
        yield Finding("log", False, f"{location.describe()}: {error.message}", _log_fix(location))
        return
    yield Finding("log", True, f"{location.describe()}: writable, guarded against changes")
    if not location.is_sqlite:
        with Connection(location, settings.DOCKER_MCP_APPEND_TIMEOUT_S, read_only=True) as connection:
            missing = missing_rights(connection.query)
        if missing:
            yield Finding("log", False, f"the role of the database URL lacks {', '.join(missing)}", GRANT)
    if position := closed_at(location, settings.DOCKER_MCP_APPEND_TIMEOUT_S):
        seen = f"rotate-log closed it at record {position}: what is recorded here now is not in the log that goes on"
        fix = "set DOCKER_MCP_DATABASE_URL to the new database; if there is none, run `docker-mcp rotate-log` again"
        yield Finding("log", False, seen, fix, optional=True)
    try:
        DiskReserve(location.path, settings.DOCKER_MCP_DISK_RESERVE_MIB << 20).check()
    except LowDiskError as error:
        yield Finding("log", False, error.message, error.hint)
    if location.path and location.path.stat().st_mode & 0o077:
        yield Finding("log", False, f"others can read {location.path}", f"chmod 600 {location.path}")


def _log_fix(location: Location) -> str:
    if location.path:
        return (
            f"let this user write in {location.path.parent}, or set DOCKER_MCP_DATABASE_URL; "
            "a damaged file: restore it from a backup, or keep it as evidence and start a new one elsewhere"
        )
    return "correct DOCKER_MCP_DATABASE_URL, or see to it that the server runs and lets this user in"


def _key(settings: Settings) -> Iterator[Finding]:
    try:
        sealer = sealer_of(settings, Location.parse(settings.database_url))
    except DockerMcpError as error:
        yield Finding("key", False, error.message, error.hint)
        return
    yield Finding("key", True, f"secrets are sealed with key {sealer.key_id}")


def _checkpoints(settings: Settings) -> Iterator[Finding]:
    try:
        key = signing_key_of(settings, Location.parse(settings.database_url))
        copies = copies_to(settings.DOCKER_MCP_CHECKPOINTS_TO, stdout=True)
    except ConfigurationError as error:
        yield Finding("checkpoints", False, error.message, error.hint)
        return
    if key is None:
        fix = "set DOCKER_MCP_SIGNING_KEY to what `openssl rand -base64 32` prints, the same for every server"
        yield Finding("checkpoints", False, "none are signed: there is no signing key", fix, optional=True)
    elif not copies:
        seen = f"signed with key {key.key_id}, but no copies are kept: a cut tail of the log would not be found"
        fix = "set DOCKER_MCP_CHECKPOINTS_TO to a place that the log's owner does not control"
        yield Finding("checkpoints", False, seen, fix, optional=True)
    else:
        yield Finding("checkpoints", True, f"signed with key {key.key_id}, copies go to {len(copies)} places")


def _engine(settings: Settings) -> Iterator[Finding]:
    where = settings.DOCKER_HOST or _DEFAULT_SOCKET
    try:
        engine = Engine(settings.docker_environment, settings.DOCKER_MCP_ENGINE_TIMEOUT_S, 1)
        info = engine.identify()
    except ConfigurationError as error:  # what cannot be understood may hold a password, and is not repeated
        yield Finding("engine", False, error.message, error.hint)
    except DockerMcpError as error:
        yield Finding("engine", False, f"{where}: {error.message}", _engine_fix(settings, error))
    else:
        yield Finding("engine", True, f"{where}: Docker {info['ServerVersion']}, API {engine.api.api_version}")


def _engine_fix(settings: Settings, error: DockerMcpError) -> str:
    if os.strerror(errno.EACCES) in error.message:
        return "add this user to the group docker (sudo usermod -aG docker $USER) and log in again"
    if settings.docker_environment:
        return "correct DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH, or start an engine that listens there"
    if shutil.which("dockerd"):
        return "start the engine: sudo systemctl start docker, or sudo dockerd"
    return "install an engine: sudo apt-get install docker.io, or https://docs.docker.com/engine/install/"


def _auth(settings: Settings) -> Iterator[Finding]:
    try:
        rules = AuthStore(settings.auth_file).load()
    except ConfigurationError as error:
        yield Finding("auth", False, error.message, error.hint)
        return
    count = f"{len(rules.users)} users" if rules.users else "no users: stdio callers are the local user"
    yield Finding("auth", True, f"{settings.auth_file}: {count}")


def _compose(settings: Settings) -> Iterator[Finding]:
    from adapters.compose.plugin import ComposeMissingError, find_plugin

    try:
        path, version = find_plugin(settings.DOCKER_MCP_COMPOSE)
    except ComposeMissingError as error:
        yield Finding("compose", False, error.message, error.hint, optional=True)
        return
    yield Finding("compose", True, f"Compose {version}, {path}", optional=True)


def _port(settings: Settings) -> Iterator[Finding]:
    address = (settings.DOCKER_MCP_HOST, settings.DOCKER_MCP_PORT)
    where = "port {1} of {0}".format(*address)
    try:
        with socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        fix = (
            "stop the program that uses it (a running docker-mcp http, perhaps), "
            "or set DOCKER_MCP_PORT to a free port above 1023"
        )
        yield Finding("port", False, f"{where}: {error.strerror}", fix, optional=True)
        return
    yield Finding("port", True, f"{where} is free", optional=True)
