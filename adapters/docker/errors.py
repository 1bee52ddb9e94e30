"""The one place that turns what Docker's client raises into errors a caller can act on."""

import errno
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import requests.exceptions
from docker import errors as docker_errors
from urllib3.exceptions import ClosedPoolError, ConnectTimeoutError, HTTPError, NewConnectionError

from domain.errors import (
    ConflictError,
    EngineError,
    EngineInterruptedError,
    EngineUnreachableError,
    NotFoundError,
)
from domain.objects import Kind
from domain.secrets import SEALED_MARK
from domain.text import column_text

_TEXT_LIMIT: Final = 64 * 1024
_LINE_LIMIT: Final = 500
_NO_CONNECTION: Final = (NewConnectionError, ConnectTimeoutError, ClosedPoolError)
_NEVER_SENT: Final = frozenset(
    {errno.ENOENT, errno.ECONNREFUSED, errno.EACCES, errno.EPERM, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EAGAIN}
)
TLS_HINT: Final = (
    "DOCKER_CERT_PATH holds ca.pem of the engine's certificate authority, and cert.pem and key.pem it signed"
)
_QUOTED_VARIABLE: Final = re.compile(r'(environment variable[^"]*)".*"', re.DOTALL)
"""runc quotes a variable that it cannot set, value included."""

_KNOWN: Final[tuple[tuple[str, type[EngineError], str, str], ...]] = (
    (r"No such image", NotFoundError, "image_not_found", "image-list shows the images here; image-pull fetches one"),
    (r"No such container", NotFoundError, "container_not_found", "list-containers shows what exists"),
    (r"network \S+ not found", NotFoundError, "network_not_found", "network-list shows what exists"),
    (r"plugin\b.* not found", NotFoundError, "driver_not_found", "leave driver out, or use one that the engine has"),
    (r"is already in use by container", ConflictError, "name_in_use", "choose another name, or remove that container"),
    (r"network with name \S+ already exists", ConflictError, "name_in_use", "choose another name, or use that network"),
    (
        r"is ambiguous|Multiple IDs found",
        ConflictError,
        "ambiguous_name",
        "several objects have this name or an id that starts so; use a longer id",
    ),
    (
        r"port is already allocated|address already in use",
        ConflictError,
        "port_in_use",
        "publish another host port, or stop what uses this one",
    ),
    (
        r"cannot remove (a (running|paused|restarting) container|.*container is (running|paused|restarting))",
        ConflictError,
        "container_running",
        "stop it first, or pass force: true",
    ),
    (r"paused container|is paused", ConflictError, "container_paused", "restart-container ends the pause"),
    (
        r"removal of container \S+ is already in progress|marked for removal",
        ConflictError,
        "removal_in_progress",
        "the engine is removing it; nothing is left to do",
    ),
    (r"has active endpoints", ConflictError, "network_in_use", "disconnect its containers first"),
    (
        r"available, non-overlapping|address pools have been fully subnetted",
        ConflictError,
        "addresses_exhausted",
        "the engine has no addresses left for a network; remove one that nobody uses",
    ),
    (
        r"already exists in network|already attached",
        ConflictError,
        "already_connected",
        "it is in this network already",
    ),
    (r"is not connected to", ConflictError, "not_connected", "network-inspect shows who is in the network"),
    (
        r"is a pre-defined network|on predefined \S+ network|connected to host network|in private \(none\) mode"
        r"|sharing network namespace",
        ConflictError,
        "predefined_network",
        "use networks you created",
    ),
    (r"is not running", ConflictError, "container_not_running", "start-container starts it"),
    (
        r"logging driver does not support reading",
        ConflictError,
        "logs_not_kept",
        "the container's logging driver keeps nothing that could be read",
    ),
    (
        r"pull access denied|manifest unknown|manifest for .* not found|repository does not exist|name unknown"
        r"|failed to resolve reference .*: not found",
        NotFoundError,
        "image_not_found",
        "check the name and tag; a private image needs `docker login` on the server",
    ),
    (
        r"no basic auth credentials|authentication required|unauthorized|HTTP 403|403 Forbidden",
        EngineError,
        "registry_denied",
        "the registry wants `docker login` by the user that runs the server",
    ),
    (
        r"toomanyrequests|HTTP 429|429 Too Many",
        EngineError,
        "registry_limit",
        "the registry's rate limit is reached; wait",
    ),
    (
        r"dial tcp|no such host|i/o timeout|TLS handshake|connection refused|Client\.Timeout|server gave HTTP response"
        r'|x509:|HTTP status: 5|: 5\d\d Internal|"https?://\S+": EOF',
        EngineError,
        "registry_unreachable",
        "the engine cannot reach the registry; use an image that image-list shows",
    ),
    (
        r"unable to find (user|group)|cannot mkdir|cannot assign requested address|creating mount source path"
        r"|invalid volume specification|environment variable",
        EngineError,
        "refused_by_engine",
        "correct the arguments and call again",
    ),
)


@contextmanager
def explained(what: Kind | None = None) -> Iterator[None]:
    """Translate what the client raises while it works on an object of kind ``what``.

    Raises:
        EngineError: or the kind of it that fits, with a hint.
    """
    try:
        yield
    except docker_errors.APIError as error:
        raise _from_answer(error, what) from error
    except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
        raise _from_broken_connection(error) from error
    except (requests.exceptions.RequestException, HTTPError, docker_errors.StreamParseError) as error:
        raise EngineInterruptedError(f"the answer of the Docker Engine broke off ({type(error).__name__})") from error
    except docker_errors.DockerException as error:
        raise _from_client(error) from error


@contextmanager
def explained_after_change(what: Kind) -> Iterator[None]:
    """As :func:`explained`, for a look at what the engine has changed: a failed look does not undo the change.

    Raises:
        NotFoundError: the object has gone since.
        EngineInterruptedError: for every other failure.
    """
    try:
        with explained(what):
            yield
    except NotFoundError:
        raise
    except EngineError as error:
        raise EngineInterruptedError(f"the engine took the change, then failed: {error.message}") from error


def pull_failure(text: str) -> EngineError:
    """Return the error for the text with which the engine gives up a pull."""
    return known_error(text) or EngineError(engine_text(text), code="pull_failed")


def engine_text(text: str) -> str:
    """Return what the engine says, without the environment values it may quote.

    It is not made fit for one line: whoever knows the command's secrets looks for them in it first, as they are.
    """
    return _QUOTED_VARIABLE.sub(rf"\1{SEALED_MARK}", text.strip())[:_TEXT_LIMIT]


def _from_answer(error: docker_errors.APIError, what: Kind | None) -> EngineError:
    text = str(error.explanation or error)
    if known := known_error(text):
        return known
    status = error.status_code or 500
    if status == 404:
        return NotFoundError(engine_text(text), code=f"{what}_not_found" if what else None)
    if status in (403, 409):
        return ConflictError(engine_text(text))
    if status == 400:
        return EngineError(engine_text(text), code="refused_by_engine", hint="correct the arguments and call again")
    return EngineError(engine_text(text))


def known_error(text: str) -> EngineError | None:
    """Return the error for a sentence of the engine that is known, None for others."""
    for pattern, error, code, hint in _KNOWN:
        if re.search(pattern, text, re.IGNORECASE):
            return error(engine_text(text), code=code, hint=hint)
    return None


def _from_broken_connection(error: BaseException) -> EngineError:
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError) and _is_about_trust(cause):
            return EngineUnreachableError(f"no trust between us and the Docker Engine: {_reason(error)}", hint=TLS_HINT)
        if isinstance(cause, _NO_CONNECTION) or _never_sent(cause):
            return EngineUnreachableError(f"the Docker Engine cannot be reached: {_reason(error)}")
    if isinstance(error, requests.exceptions.Timeout):
        return EngineInterruptedError("the Docker Engine did not answer in time")
    return EngineInterruptedError("the connection to the Docker Engine broke")


def _from_client(error: docker_errors.DockerException) -> EngineError:
    """Explain what the client raises by itself: it has asked for the engine's version in vain, or refuses a request."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, docker_errors.APIError):
        said = column_text(str(cause.explanation or cause), _LINE_LIMIT)
        return EngineUnreachableError(f"what DOCKER_HOST names refuses us: {said}")
    if isinstance(cause, requests.exceptions.JSONDecodeError):
        return EngineUnreachableError("what DOCKER_HOST names is no Docker Engine")
    if isinstance(cause, requests.exceptions.RequestException | OSError):
        broken = _from_broken_connection(cause)
        if isinstance(broken, EngineUnreachableError):
            return broken
        silent = isinstance(cause, requests.exceptions.Timeout)
        return EngineUnreachableError(
            "the Docker Engine did not answer in time" if silent else f"the Docker Engine broke off: {_reason(cause)}"
        )
    return EngineError(engine_text(str(error)))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield ``error`` and what lies behind it, outermost first: requests and urllib3 each wrap in their own way."""
    cause: object = error
    while isinstance(cause, BaseException):
        yield cause
        inner = next((part for part in cause.args if isinstance(part, BaseException)), None)
        reason = getattr(cause, "reason", None)
        cause = inner or (reason if isinstance(reason, BaseException) else cause.__cause__ or cause.__context__)


def _never_sent(cause: BaseException) -> bool:
    return isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError) and cause.errno in _NEVER_SENT


def _is_about_trust(cause: ssl.SSLError) -> bool:
    """Tell a refused handshake, after which no request is read, from a connection that breaks later."""
    return any(word in (cause.reason or "") for word in ("CERTIFICATE", "UNKNOWN_CA", "WRONG_VERSION_NUMBER"))


def _reason(error: BaseException) -> str:
    innermost = list(_causes(error))[-1]
    if isinstance(innermost, ssl.SSLCertVerificationError):
        return innermost.verify_message
    if isinstance(innermost, ssl.SSLError) and innermost.reason:
        return innermost.reason.replace("_", " ").lower()
    return (innermost.strerror if isinstance(innermost, OSError) else None) or column_text(str(innermost), _LINE_LIMIT)
