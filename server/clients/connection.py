"""What a client has to know to reach this server: how it starts one, or where one listens."""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

from pydantic import SecretStr

from server.settings import Settings

_BESIDE_SETTINGS: Final = ("DOCKER_MCP_ENV_FILE", "XDG_CONFIG_HOME", "XDG_STATE_HOME")
"""What else decides which settings and which log a server finds."""

_HTTP_URL: Final = re.compile(r"https?://[^\s/]\S*\Z")

_ONLY_HTTP: Final = ("DOCKER_MCP_PORT", "DOCKER_MCP_HOST", "DOCKER_MCP_ALLOWED_HOSTS", "DOCKER_MCP_TLS")


@dataclass(frozen=True, slots=True)
class Stdio:
    """A server that the client starts. ``credential`` is the caller's, None if none is needed."""

    command: str
    args: list[str]
    env: dict[str, str]
    credential: str | None


@dataclass(frozen=True, slots=True)
class Http:
    """A server that runs by itself, and the credential that each request carries."""

    url: str
    credential: str


def stdio_command() -> list[str]:
    """Return the command line of a stdio server of this installation, which works in every folder.

    The first ``docker-mcp`` on the path may be another program: Docker ships one of that name.
    """
    script = Path(sys.executable).with_name("docker-mcp")
    if script.exists():
        return [str(script), "stdio"]
    return [sys.executable, "-P", "-m", "server", "stdio"]


def http_url(settings: Settings) -> str:
    """Return the address at which a client reaches the HTTP server of these settings."""
    host = f"[{settings.DOCKER_MCP_HOST}]" if ":" in settings.DOCKER_MCP_HOST else settings.DOCKER_MCP_HOST
    scheme = "https" if settings.DOCKER_MCP_TLS_CERT else "http"
    return f"{scheme}://{host}:{settings.DOCKER_MCP_PORT}/mcp"


def is_http_url(text: str) -> bool:
    """Tell whether a client can reach a server at ``text``."""
    return _HTTP_URL.match(text) is not None


def carried(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that a server needs to find the same log when a client starts it, paths made absolute.

    A client starts it with an environment of its own. Secrets are left out, see :func:`left_out`.
    """
    names = [name for name in Settings.model_fields if not name.startswith(_ONLY_HTTP) and not _is_secret(name)]
    given = {name: environment[name] for name in (*names, *_BESIDE_SETTINGS) if environment.get(name)}
    return {name: _absolute(value) if _is_path(name) else value for name, value in given.items()}


def left_out(environment: Mapping[str, str]) -> list[str]:
    """Return the names of the secret settings in ``environment``: whoever runs the client must not hold the keys of
    the log, or sign tokens for others."""
    return [
        name
        for name in Settings.model_fields
        if _is_secret(name) and name != "DOCKER_MCP_TOKEN" and environment.get(name)
    ]


def _is_secret(name: str) -> bool:
    return SecretStr in get_args(Settings.model_fields[name].annotation)


def _is_path(name: str) -> bool:
    field = Settings.model_fields.get(name)
    return field is None or Path in get_args(field.annotation)


def _absolute(path: str) -> str:
    return str(Path(os.path.expanduser(path)).absolute())  # noqa: PTH111 (Path.expanduser raises for unknown users)
