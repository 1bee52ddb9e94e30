"""The secrets of a log in one file, apart from every copy of it: a part of the composition root.

The file has the form of ``.env``, so that it can also be given to servers whose secrets are variables.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from adapters.auth_store import auth_secret_file
from adapters.key_file import create, key_file
from adapters.private_file import write_first, write_new
from adapters.sealing import AesSealer, decode_key
from adapters.signing import load_signing_key, signing_key_file
from adapters.store.location import Location
from domain.errors import ConfigurationError, InvalidArgumentsError
from server.settings import Settings

SEALING: Final = "DOCKER_MCP_SEALING_KEY"
SIGNING: Final = "DOCKER_MCP_SIGNING_KEY"
TOKENS: Final = "MCP_AUTH_SECRET"
_WHAT: Final = {
    SEALING: "opens and seals the values of secret arguments",
    SIGNING: "signs checkpoints, archives and copies",
    TOKENS: "signs tokens",
}


class KeyBundle(NamedTuple):
    """The secrets that are at hand, by the names of their variables, and in words where each one is."""

    values: Mapping[str, str]
    places: Mapping[str, str]

    @classmethod
    def of(cls, settings: Settings, location: Location, sealing_key_id: str | None) -> "KeyBundle":
        """Return the secrets of a log; of the sealing keys the one with an id (None: whichever is used). Makes none."""
        values, places = {}, {}
        sealing, signing = key_file(location), signing_key_file(location)
        tokens = auth_secret_file(location.path) if location.path else None
        for text, place in (
            (settings.sealing_key, SEALING),
            (settings.new_sealing_key, "DOCKER_MCP_NEW_SEALING_KEY"),
            (_text(sealing), str(sealing)),
        ):
            if text and SEALING not in values and _key_id(text, place) == (sealing_key_id or _key_id(text, place)):
                values[SEALING], places[SEALING] = text, place
        if key := load_signing_key(settings.signing_key, signing, may_create=False):
            values[SIGNING], places[SIGNING] = key.text(), SIGNING if settings.signing_key else str(signing)
        if text := settings.auth_secret or _text(tokens):
            values[TOKENS], places[TOKENS] = text, TOKENS if settings.auth_secret else str(tokens)
        return cls(values, places)

    @classmethod
    def read(cls, file: Path) -> "KeyBundle":
        """Return the secrets in a file.

        Raises:
            InvalidArgumentsError: if it is no such file.
        """
        try:
            lines = [line for line in file.read_text().splitlines() if line.strip() and not line.startswith("#")]
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidArgumentsError(f"{file} cannot be read") from error
        values = dict(line.split("=", 1) for line in lines if "=" in line)
        if not values or len(values) != len(lines) or set(values) - set(_WHAT):
            raise InvalidArgumentsError(f"{file} is not what `docker-mcp backup --keys` writes")
        return cls(values, dict.fromkeys(values, str(file)))

    @property
    def sealing_key_id(self) -> str | None:
        """The id of the sealing key, None if there is none.

        Raises:
            ConfigurationError: if it is malformed.
        """
        return _key_id(self.values[SEALING], self.places[SEALING]) if SEALING in self.values else None

    def write(self, file: Path) -> None:
        """Write the secrets to a new file that only its owner can read.

        Raises:
            InvalidArgumentsError: if there is such a file, or it cannot be written.
        """
        lines = [f"# {_WHAT[name]}\n{name}={value}\n" for name, value in self.values.items()]
        try:
            write_new(file, "".join(lines).encode())
        except FileExistsError as error:
            raise InvalidArgumentsError(f"{file} exists already", hint="name a new file") from error
        except OSError as error:
            raise InvalidArgumentsError(f"{file} cannot be written: {error.strerror}") from error

    def put_beside(self, database: Path) -> None:
        """Write the secrets to the files where a server of a SQLite log looks for them.

        Raises:
            ConfigurationError: if another one is there, or they cannot be written; nothing is overwritten.
        """
        location = Location(path=database)
        present = KeyBundle.of(Settings.model_construct(), location, None)
        for name, value in self.values.items():
            if present.values.get(name, value) != value:
                raise ConfigurationError(
                    f"another {name} is there already: {present.places[name]}", hint="move it away, if it is not needed"
                )
        try:
            if SEALING in self.values and (file := key_file(location)):
                create(file, decode_key(self.values[SEALING], SEALING))
            if SIGNING in self.values and (file := signing_key_file(location)):
                key = load_signing_key(self.values[SIGNING], None, may_create=False)
                write_first(file, key.pem() if key else b"")
            if TOKENS in self.values:
                write_first(auth_secret_file(database), self.values[TOKENS].encode())
        except OSError as error:
            raise ConfigurationError(f"the keys cannot be written beside {database}: {error.strerror}") from error


def _key_id(text: str, place: str) -> str:
    return AesSealer(decode_key(text, place)).key_id


def _text(file: Path | None) -> str | None:
    try:
        return file.read_text().strip() if file else None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"a key cannot be read: {file}") from error
