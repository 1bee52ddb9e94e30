"""Every option of the server, read once from the environment and an optional ``.env`` file."""

import ipaddress
import os
import stat
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import quote

import platformdirs
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.canonical import canonical_json, sha256_hex
from domain.errors import ConfigurationError

APPLICATION = "docker-mcp"
LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
TOOLSETS: Final = ("containers", "networks", "stacks", "images", "system")

_LIMIT_WORDS: Final = {"ge": "at least", "gt": "more than", "le": "at most"}


class Settings(BaseSettings):
    """The options, by the names of their environment variables. Wrong values stop the start."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", case_sensitive=True, env_ignore_empty=True)

    DOCKER_MCP_PORT: Annotated[int, Field(ge=1, le=65535, description="Port of the HTTP transport.")] = 3334
    DOCKER_MCP_HOST: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9:._-]{1,253}$",
            description="Address of the HTTP transport; beyond loopback only with TLS.",
        ),
    ] = "127.0.0.1"
    DOCKER_MCP_ALLOWED_HOSTS: Annotated[
        str | None,
        Field(
            description="Names, separated by commas, by which clients reach the HTTP transport; loopback names only."
        ),
    ] = None
    DOCKER_MCP_TLS_CERT: Annotated[Path | None, Field(description="Certificate chain (PEM) of the HTTP transport.")] = (
        None
    )
    DOCKER_MCP_TLS_KEY: Annotated[Path | None, Field(description="Private key (PEM) of the certificate.")] = None
    DOCKER_MCP_TLS: Annotated[
        Literal["terminated-upstream"] | None,
        Field(description="Declares that a proxy in front speaks TLS with the clients."),
    ] = None
    DOCKER_MCP_METRICS_TOKEN: Annotated[
        SecretStr | None,
        Field(
            min_length=16, description="Bearer token of who scrapes metrics; beyond loopback there are none without."
        ),
    ] = None
    DOCKER_MCP_AUTH_FILE: Annotated[
        Path | None,
        Field(description="Users, roles and host safety; `docker_mcp_auth.json` in the configuration directory."),
    ] = None
    MCP_AUTH_SECRET: Annotated[
        SecretStr | None,
        Field(min_length=16, description="Signs tokens; a random one in the state directory. PostgreSQL needs it set."),
    ] = None
    DOCKER_MCP_TOKEN_LIFETIME_S: Annotated[
        int, Field(ge=60, le=2_592_000, description="Seconds for which a token is good.")
    ] = 3600
    DOCKER_MCP_TOKEN: Annotated[
        SecretStr | None, Field(description="Token or API key of the caller of a stdio server.")
    ] = None
    DOCKER_MCP_READ_ONLY: Annotated[bool, Field(description="Refuse every change, whatever the roles say.")] = False
    DOCKER_MCP_TOOLSETS: Annotated[
        str | None,
        Field(description="Offer only these, separated by commas: containers, networks, stacks, images, system."),
    ] = None
    LOG_LEVEL: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], Field(description="What goes to stderr.")
    ] = "INFO"
    DOCKER_MCP_LOG_FORMAT: Annotated[
        Literal["text", "json"], Field(description="How it is written there: for people, or an object a line.")
    ] = "text"
    DOCKER_MCP_DATABASE_URL: Annotated[
        SecretStr | None,
        Field(description="Where the event log is: sqlite:////path or postgresql://…; SQLite in the state directory."),
    ] = None
    DOCKER_MCP_NEW_DATABASE_URL: Annotated[
        SecretStr | None,
        Field(description="The empty PostgreSQL database that `docker-mcp rotate-log` goes over to."),
    ] = None
    DOCKER_MCP_READER_URL: Annotated[
        SecretStr | None,
        Field(description="The PostgreSQL log by a role that may only read, for the Grafana of `monitoring up`."),
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
    DOCKER_MCP_SIGNING_KEY: Annotated[
        SecretStr | None,
        Field(description="Base64 of the 32 bytes that sign checkpoints (Ed25519); a file beside the SQLite log."),
    ] = None
    DOCKER_MCP_CHECKPOINTS_TO: Annotated[
        str | None,
        Field(description="Where copies of checkpoints go, separated by commas: paths of files, syslog, stdout; none."),
    ] = None
    DOCKER_MCP_CHECKPOINT_EVENTS: Annotated[
        int, Field(ge=1, le=1_000_000, description="New records after which the log's head is signed.")
    ] = 1000
    DOCKER_MCP_CHECKPOINT_INTERVAL_S: Annotated[
        int, Field(ge=1, le=604_800, description="Seconds after which it is signed if there is any new record.")
    ] = 300
    DOCKER_MCP_VERIFY_INTERVAL_S: Annotated[
        int, Field(ge=1, le=31_536_000, description="Seconds between two verifications of the whole log by a server.")
    ] = 86_400
    DOCKER_MCP_STDIO_ROLE: Annotated[
        str,
        Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$", description="Role of the local user while there are no users."),
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
    DOCKER_MCP_ENGINE_EVENTS: Annotated[
        bool, Field(description="Record what Docker does by itself and what others make it do, from its event stream.")
    ] = True
    DOCKER_MCP_ENGINE_EVENTS_PER_SECOND: Annotated[
        int,
        Field(ge=1, le=10_000, description="Events of the engine recorded in a second, over ten; more are counted."),
    ] = 30
    DOCKER_MCP_QUEUE_LIMIT: Annotated[
        int, Field(ge=1, le=100_000, description="Calls that may be in progress; one more is refused as overloaded.")
    ] = 256
    DOCKER_MCP_WAITING_LIMIT: Annotated[
        int, Field(ge=1, le=10_000, description="Commands that may wait for approval; one more is denied.")
    ] = 200
    DOCKER_MCP_REFUSALS_PER_MINUTE: Annotated[
        int,
        Field(
            ge=1,
            le=100_000,
            description="Refused calls of one caller or address that are recorded in a minute; more are only counted.",
        ),
    ] = 120
    DOCKER_MCP_DISK_RESERVE_MIB: Annotated[
        int,
        Field(
            ge=0,
            le=1_048_576,
            description="MiB of the SQLite log's disk kept for outcomes; with less free, new commands are refused.",
        ),
    ] = 64
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
    def new_database_url(self) -> str | None:
        return self.DOCKER_MCP_NEW_DATABASE_URL.get_secret_value() if self.DOCKER_MCP_NEW_DATABASE_URL else None

    @property
    def reader_url(self) -> str | None:
        return self.DOCKER_MCP_READER_URL.get_secret_value() if self.DOCKER_MCP_READER_URL else None

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
    def signing_key(self) -> str | None:
        return self.DOCKER_MCP_SIGNING_KEY.get_secret_value() if self.DOCKER_MCP_SIGNING_KEY else None

    @property
    def auth_file(self) -> Path:
        return _expanded(self.DOCKER_MCP_AUTH_FILE or self.config_dir / "docker_mcp_auth.json")

    @property
    def config_dir(self) -> Path:
        return platformdirs.user_config_path(APPLICATION)

    @property
    def auth_secret(self) -> str | None:
        return self.MCP_AUTH_SECRET.get_secret_value() if self.MCP_AUTH_SECRET else None

    @property
    def token(self) -> str | None:
        return self.DOCKER_MCP_TOKEN.get_secret_value() if self.DOCKER_MCP_TOKEN else None

    @property
    def metrics_token(self) -> str | None:
        return self.DOCKER_MCP_METRICS_TOKEN.get_secret_value() if self.DOCKER_MCP_METRICS_TOKEN else None

    @property
    def allowed_hosts(self) -> tuple[str, ...]:
        return (*LOOPBACK, *filter(None, map(str.strip, (self.DOCKER_MCP_ALLOWED_HOSTS or "").split(","))))

    @property
    def toolsets(self) -> frozenset[str] | None:
        """The toolsets to offer, None for all.

        Raises:
            ConfigurationError: if there is no such toolset.
        """
        return None if self.DOCKER_MCP_TOOLSETS is None else _toolsets(self.DOCKER_MCP_TOOLSETS, "DOCKER_MCP_TOOLSETS")

    def narrowed(self, *, read_only: bool, toolsets: str | None) -> Self:
        """Return the settings with the flags ``--read-only`` and ``--toolsets``, which can only take away.

        Raises:
            ConfigurationError: if there is no such toolset.
        """
        changes: dict[str, object] = {"DOCKER_MCP_READ_ONLY": True} if read_only else {}
        if toolsets is not None:
            wanted, set_before = _toolsets(toolsets, "--toolsets"), self.toolsets
            left = wanted if set_before is None else wanted & set_before
            changes["DOCKER_MCP_TOOLSETS"] = ",".join(sorted(left))
        return self.model_copy(update=changes)

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
        return Settings(_env_file=env_file(use_working_directory=use_working_directory), **given)  # type: ignore[arg-type]
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


def env_file(*, use_working_directory: bool) -> Path | None:
    """Return the ``.env`` file that :func:`load_settings` reads, None if there is none.

    Raises:
        ConfigurationError: if the file that is named does not exist, or the one that is there may be another user's.
    """
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


def is_loopback(host: str) -> bool:
    """Return whether ``host`` can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _toolsets(text: str, name: str) -> frozenset[str]:
    wanted = frozenset(filter(None, map(str.strip, text.split(","))))
    if unknown := wanted - set(TOOLSETS):
        raise ConfigurationError(f"{name}: {len(unknown)} unknown", hint=f"toolsets: {', '.join(TOOLSETS)}")
    return wanted


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


def _is_ours(file: Path) -> bool:
    status = file.stat()
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
