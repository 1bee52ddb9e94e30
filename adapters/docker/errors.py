"""The one place that turns what Docker's client raises into errors a caller can act on."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import requests.exceptions
from docker import errors as docker_errors
from urllib3.exceptions import HTTPError

from domain.errors import (
    ConflictError,
    EngineError,
    EngineInterruptedError,
    EngineUnreachableError,
    NotFoundError,
)
from domain.objects import Kind
from domain.text import column_text

_MESSAGE_LIMIT: Final = 500
_NEVER_SENT: Final = frozenset({errno.ENOENT, errno.ECONNREFUSED, errno.EACCES, errno.EPERM, errno.EHOSTUNREACH})

_KNOWN: Final[tuple[tuple[str, type[EngineError], str, str], ...]] = (
    (r"No such image", NotFoundError, "image_not_found", "image-list shows the images here; image-pull fetches one"),
    (r"No such container", NotFoundError, "container_not_found", "list-containers shows what exists"),
    (r"network \S+ not found", NotFoundError, "network_not_found", "network-list shows what exists"),
    (r"is already in use by container", ConflictError, "name_in_use", "choose another name, or remove that container"),
    (r"network with name \S+ already exists", ConflictError, "name_in_use", "choose another name, or use that network"),
    (r"is ambiguous", ConflictError, "ambiguous_name", "several objects have this name; use the id"),
    (
        r"port is already allocated|address already in use",
        ConflictError,
        "port_in_use",
        "publish another host port, or stop what uses this one",
    ),
    (
        r"cannot remove a running container|container is running: stop",
        ConflictError,
        "container_running",
        "stop it first, or pass force: true",
    ),
    (r"has active endpoints", ConflictError, "network_in_use", "disconnect its containers first"),
    (
        r"already exists in network|already attached",
        ConflictError,
        "already_connected",
        "it is in this network already",
    ),
    (r"is not connected to", ConflictError, "not_connected", "network-inspect shows who is in the network"),
    (r"is pre-defined|not allowed on .*host network", ConflictError, "predefined_network", "use a network you created"),
    (r"is not running", ConflictError, "container_not_running", "start-container starts it"),
    (
        r"pull access denied|manifest unknown|manifest for .* not found|repository does not exist",
        NotFoundError,
        "image_not_found",
        "check the name and tag; a private image needs `docker login` on the server",
    ),
    (
        r"dial tcp|no such host|i/o timeout|TLS handshake|connection refused|Client\.Timeout|server gave HTTP response",
        EngineError,
        "registry_unreachable",
        "the engine cannot reach the registry; use an image that image-list shows",
    ),
)


@contextmanager
def explained(what: Kind | None = None, name: str = "") -> Iterator[None]:
    """Translate what the client raises while it works on the object ``name`` of kind ``what``.

    Raises:
        EngineError: or the kind of it that fits, with a hint.
    """
    try:
        yield
    except docker_errors.APIError as error:
        raise _from_answer(error, what, name) from error
    except requests.exceptions.ConnectTimeout as error:
        raise EngineUnreachableError("the Docker Engine did not accept a connection in time") from error
    except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
        raise _from_broken_connection(error) from error
    except (requests.exceptions.RequestException, HTTPError) as error:
        raise EngineInterruptedError(f"the answer of the Docker Engine broke off ({type(error).__name__})") from error
    except docker_errors.DockerException as error:
        raise _from_client(error) from error


def pull_failure(text: str) -> EngineError:
    """Return the error for the text with which the engine gives up a pull."""
    return _known(text) or EngineError(_clean(text), code="pull_failed")


def _from_answer(error: docker_errors.APIError, what: Kind | None, name: str) -> EngineError:
    text = str(error.explanation or error)
    if known := _known(text):
        return known
    status = error.status_code or 500
    if status == 404 and what:
        return NotFoundError(f"no {what} {name!r}", code=f"{what}_not_found")
    if status == 404:
        return NotFoundError(_clean(text))
    if status in (403, 409):
        return ConflictError(_clean(text))
    if status == 400:
        return EngineError(_clean(text), code="refused_by_engine", hint="correct the arguments and call again")
    return EngineError(_clean(text))


def _known(text: str) -> EngineError | None:
    for pattern, error, code, hint in _KNOWN:
        if re.search(pattern, text, re.IGNORECASE):
            return error(_clean(text), code=code, hint=hint)
    return None


def _from_broken_connection(error: BaseException) -> EngineError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _NEVER_SENT:
            return EngineUnreachableError(f"the Docker Engine cannot be reached: {cause.strerror}")
        inner = next((part for part in cause.args if isinstance(part, BaseException)), None)
        cause = inner or getattr(cause, "reason", None) or cause.__cause__ or cause.__context__
    if isinstance(error, requests.exceptions.Timeout):
        return EngineInterruptedError("the Docker Engine did not answer in time; the effect may have happened")
    return EngineInterruptedError("the connection to the Docker Engine broke; the effect may have happened")


def _from_client(error: docker_errors.DockerException) -> EngineError:
    broken = error.__cause__ or error.__context__
    if isinstance(broken, requests.exceptions.RequestException | OSError):
        return EngineUnreachableError(_from_broken_connection(broken).message.partition(";")[0])
    return EngineError(_clean(str(error)))


def _clean(text: str) -> str:
    return column_text(" ".join(text.split()), _MESSAGE_LIMIT)
