"""Every option of the server, read once from the environment and an optional ``.env`` file."""

import os
import stat
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import quote

import platformdirs
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.canonical import canonical_json, sha256_hex
from domain.errors import ConfigurationError
from domain.principal import Role

APPLICATION = "docker-mcp"

_LIMIT_WORDS: Final = {"ge": "at least", "gt": "more than", "le": "at most"}


class Settings(BaseSettings):
    """The options, by the names of their environment variables. Wrong values stop the start."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", case_sensitive=True, env_ignore_empty=True)

    DOCKER_MCP_PORT: Annotated[int, Field(ge=1, le=65535, description="Port of the HTTP transport.")] = 3334
    DOCKER_MCP_HOST: Annotated[
        Literal["127.0.0.1", "localhost", "::1"], Field(description="Address of the HTTP transport; loopback only.")
    ] = "127.0.0.1"
    LOG_LEVEL: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], Field(description="What goes to stderr.")
    ] = "INFO"
    DOCKER_MCP_DATABASE_URL: Annotated[
        SecretStr | None,
        Field(description="Where the event log is: sqlite:////path or postgresql://…; SQLite in the state directory."),
    ] = None
    DOCKER_MCP_STATE_DIR: Annotated[
        Path | None, Field(description="Directory of the SQLite log and the generated keys.")
    ] = None
    DOCKER_MCP_SEALING_KEY: Annotated[
        SecretStr | None,
        Field(description="Base64 of the 32 bytes that seal secret arguments; a file in the state directory."),
    ] = None
    DOCKER_MCP_NEW_SEALING_KEY: Annotated[
        SecretStr | None,
        Field(description="The key that `docker-mcp rotate-sealing-key` goes over to; in use once the log has."),
    ] = None
    DOCKER_MCP_STDIO_ROLE: Annotated[
        Literal["admin", "user"], Field(description="Role of the local user; user may only read.")
    ] = "admin"
    DOCKER_MCP_APPEND_TIMEOUT_S: Annotated[
        float, Field(gt=0, le=60, description="Seconds a call waits for the event log before it is refused.")
    ] = 5.0
    DOCKER_MCP_ENGINE_TIMEOUT_S: Annotated[
        int, Field(ge=1, le=3600, description="Seconds without a byte after which an engine request is given up.")
    ] = 60
    DOCKER_MCP_ENGINE_WORKERS: Annotated[
        int, Field(ge=1, le=256, description="Engine requests that run side by side.")
    ] = 16
    DOCKER_MCP_QUEUE_LIMIT: Annotated[
        int, Field(ge=1, le=100_000, description="Calls that may be in progress; one more is refused as overloaded.")
    ] = 256
    DOCKER_MCP_SHUTDOWN_GRACE_S: Annotated[
        float, Field(ge=0, le=300, description="Seconds that running commands get to finish when the server stops.")
    ] = 8.0
    DOCKER_MCP_COMPOSE: Annotated[
        str | None, Field(description="The Compose v2 plugin's binary; looked for where Docker does.")
    ] = None
    DOCKER_MCP_COMPOSE_ROOTS: Annotated[
        str | None,
        Field(description="Directories, separated by colons, below which a `compose_file` may be read; none."),
    ] = None
    DOCKER_HOST: Annotated[str | None, Field(description="The engine: unix:///… or tcp://…; the local socket.")] = None
    DOCKER_TLS_VERIFY: Annotated[str | None, Field(description="Not empty: talk TLS to the engine and verify it.")] = (
        None
    )
    DOCKER_CERT_PATH: Annotated[str | None, Field(description="Directory of ca.pem, cert.pem and key.pem.")] = None

    @property
    def state_dir(self) -> Path:
        return _expanded(self.DOCKER_MCP_STATE_DIR or platformdirs.user_state_path(APPLICATION))

    @property
    def database_url(self) -> str:
        if self.DOCKER_MCP_DATABASE_URL:
            return self.DOCKER_MCP_DATABASE_URL.get_secret_value()
        return f"sqlite:///{quote(str(self.state_dir / 'ledger.db'))}"

    @property
    def compose_roots(self) -> tuple[Path, ...]:
        return tuple(map(_expanded, filter(None, (self.DOCKER_MCP_COMPOSE_ROOTS or "").split(os.pathsep))))

    @property
    def sealing_key(self) -> str | None:
        return self.DOCKER_MCP_SEALING_KEY.get_secret_value() if self.DOCKER_MCP_SEALING_KEY else None

    @property
    def new_sealing_key(self) -> str | None:
        return self.DOCKER_MCP_NEW_SEALING_KEY.get_secret_value() if self.DOCKER_MCP_NEW_SEALING_KEY else None

    @property
    def role(self) -> Role:
        return Role(self.DOCKER_MCP_STDIO_ROLE)

    @property
    def docker_environment(self) -> dict[str, str]:
        """What tells the Docker client where the engine is."""
        names = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def digest(self) -> str:
        """Return a digest of the options without their secrets, to tell one configuration from another."""
        shown = {name: str(value) for name, value in self.model_dump(mode="json").items()}
        return sha256_hex(canonical_json(shown))[:16]


def load_settings(*, use_working_directory: bool = False, **overrides: object) -> Settings:
    """Return the settings: ``overrides`` (not None) before the environment before the ``.env`` file.

    The file is ``DOCKER_MCP_ENV_FILE``, else ``.env`` in the user's configuration directory. With
    ``use_working_directory``, ``.env`` there is read instead if it exists: not for stdio servers, whose working
    directory belongs to the agent.

    Raises:
        ConfigurationError: naming each variable, its problem and what is allowed; values are not repeated.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(_env_file=_env_file(use_working_directory=use_working_directory), **given)  # type: ignore[arg-type]
    except ValidationError as error:
        problems = [
            f"{problem['loc'][0]}: {problem['msg']}{_limits(str(problem['loc'][0]))}"
            for problem in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise ConfigurationError("; ".join(problems), hint="correct the environment or the .env file") from None
    except OSError as error:
        raise ConfigurationError(f"the .env file cannot be read: {error.filename}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError("the .env file cannot be read: it is not UTF-8 text") from None


def _expanded(path: str | Path) -> Path:
    # No shell expands what stands in a client's configuration; Path.expanduser would raise for an unknown user.
    return Path(os.path.expanduser(path)).absolute()  # noqa: PTH111


def _limits(name: str) -> str:
    """Return the limits of a number in brackets; pydantic itself lists the values of a choice."""
    rules = Settings.model_fields[name].metadata
    limits = [
        f"{word} {getattr(rule, key)}" for key, word in _LIMIT_WORDS.items() for rule in rules if hasattr(rule, key)
    ]
    return f" ({', '.join(limits)})" if limits else ""


def _env_file(*, use_working_directory: bool) -> Path | None:
    if named := os.environ.get("DOCKER_MCP_ENV_FILE"):
        if not Path(named).is_file():
            raise ConfigurationError(f"DOCKER_MCP_ENV_FILE names no file: {named}")
        return Path(named)
    here = Path(".env")
    if use_working_directory and here.is_file():
        if not _is_ours(here):
            raise ConfigurationError(
                f"{here.absolute()} belongs to another user or can be written by others", hint="chmod 600 .env"
            )
        return here
    default = platformdirs.user_config_path(APPLICATION) / ".env"
    return default if default.is_file() else None


def _is_ours(file: Path) -> bool:
    status = file.stat()
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
