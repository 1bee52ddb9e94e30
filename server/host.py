"""What host safety has to know of the machine: a part of the composition root."""

import os
from pathlib import Path
from typing import Final

from adapters.store.location import Location
from domain.policy import Host
from server.settings import Settings

_BESIDE_THE_LOG: Final = (
    "",
    "-wal",
    "-shm",
    "-journal",
    ".key",
    ".signing-key",
    ".auth-secret",
    ".executors",
    ".locks",
)


def host_of(settings: Settings, location: Location) -> Host:
    """Return what host safety has to know: whether paths are ours to resolve, and which are closed to everybody."""
    engine = settings.DOCKER_HOST or ""
    own = [
        settings.state_dir,
        settings.config_dir,
        settings.auth_file,
        settings.auth_file.resolve(),
        Path(".env").resolve(),
    ]
    named = (os.environ.get("DOCKER_MCP_ENV_FILE"), settings.DOCKER_CERT_PATH)
    own += [
        Path(path).absolute() for path in (*named, settings.DOCKER_MCP_TLS_CERT, settings.DOCKER_MCP_TLS_KEY) if path
    ]
    own += [Path(f"{location.path}{suffix}") for suffix in _BESIDE_THE_LOG if location.path]
    own += location.path.parent.glob(f"{location.path.name}.until-*") if location.path else []
    own += [Path(engine.removeprefix("unix://"))] if engine.startswith("unix://") else []
    is_ours = not engine or engine.startswith("unix://")
    return Host(os.path.realpath if is_ours else None, tuple(str(path) for path in own))
