"""The connection to one Docker Engine, and a look at its objects that changes nothing."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import orjson
import requests
from docker import APIClient, errors
from docker.utils import kwargs_from_env, parse_host

from adapters.docker.describe import container_state
from adapters.docker.errors import TLS_HINT, explained
from adapters.docker.request_span import answered, request_span
from domain import failpoints
from domain.catalogue.fields import COMMAND_LABEL
from domain.errors import ConfigurationError, NotFoundError
from domain.failpoints import Failpoint
from domain.objects import Kind, ObjectRef, ObjectState

_CHUNK: Final = 64 * 1024
_HOST_HINT: Final = "write unix:///path/docker.sock or tcp://host:2376"


class EngineClient(APIClient):
    """Docker's client, which would wait for ever for a pull or for log lines, and trust other authorities than ours."""

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """Verify with the file of DOCKER_CERT_PATH, which REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE would replace."""
        return super().merge_environment_settings(url, proxies, stream, self.verify if verify is None else verify, cert)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a request: the one way that all of them take."""
        asked = f"{request.method} {request.path_url}"
        with request_span(request) as span:
            failpoints.reach(Failpoint.BEFORE_REQUEST, asked)
            response = super().send(request, **options)
            failpoints.reach(Failpoint.AFTER_REQUEST, asked)
            answered(span, response)
        return response

    def _result(self, response: requests.Response, json: bool = False, binary: bool = False) -> Any:
        if not json:
            return super()._result(response, json, binary)  # type: ignore[misc]
        self._raise_for_status(response)  # type: ignore[attr-defined]
        return orjson.loads(response.content)

    def _set_request_timeout(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        return {**kwargs, "timeout": kwargs.get("timeout") or self.timeout}

    def _disable_socket_timeout(self, _socket: object) -> None:
        """Keep it."""

    def _stream_raw_result(
        self, response: requests.Response, _chunk_size: int = 1, _decode: bool = True
    ) -> Iterator[bytes]:
        yield from super()._stream_raw_result(response, _CHUNK, False)  # type: ignore[misc]  # not byte by byte


class Engine:
    """Connects at the first request, so that the server starts without an engine and says what is wrong when asked."""

    def __init__(self, environment: Mapping[str, str], timeout_s: int, connections: int) -> None:
        """Prepare the client.

        Args:
            environment: ``DOCKER_HOST``, ``DOCKER_TLS_VERIFY`` and ``DOCKER_CERT_PATH`` are read from it.
            timeout_s: seconds without a byte after which a request is given up.
            connections: connections kept open.
        """
        self._environment = dict(environment)
        self.timeout_s = timeout_s
        self._connections = connections
        self._api: APIClient | None = None
        self._id: str | None = None

    @property
    def api(self) -> APIClient:
        """The low-level client.

        Raises:
            EngineUnreachableError: if the engine does not answer.
            ConfigurationError: if ``DOCKER_HOST`` or the TLS files are not usable.
        """
        if self._api is None:  # no lock: while an engine hangs, those who wait for it would wait one after another
            self._api = self._connect()
        return self._api

    def engine_id(self) -> str | None:
        """Return the engine's own id once it has been asked for (:meth:`identify`)."""
        return self._id

    def identify(self) -> dict[str, Any]:
        """Ask the engine who it is.

        Raises:
            EngineError: if it does not answer.
        """
        with explained():
            info: dict[str, Any] = self.api.info()
        self._id = str(info.get("ID", ""))
        return info

    def ping(self) -> None:
        """Ask the engine for a sign of life.

        Raises:
            EngineError: if it gives none.
        """
        with explained():
            self.api.ping()

    def log_chunks(self, container_id: str, **options: Any) -> Iterator[bytes]:
        """Yield the log as it comes; what ``logs`` returns would take a broken connection for the end of the log."""
        chunks: Iterator[bytes] = vars(self.api.logs(container_id, stream=True, follow=False, **options))["_stream"]
        return chunks

    def close(self) -> None:
        """Close the connections that are not in use."""
        if self._api is not None:
            self._api.close()

    def _connect(self) -> APIClient:
        environment = {"DOCKER_HOST": "", **self._environment}  # if it were empty, the process's would be read
        if not environment.get("DOCKER_TLS_VERIFY"):
            environment.pop("DOCKER_CERT_PATH", None)  # the client would talk TLS with whoever answers
        try:
            where = kwargs_from_env(environment)
            address, tls = where.get("base_url"), where.get("tls", False)
            parse_host(address, tls=bool(tls))
        except errors.TLSParameterError as error:
            raise ConfigurationError("the TLS files of DOCKER_CERT_PATH are not usable", hint=TLS_HINT) from error
        except (errors.DockerException, ValueError) as error:
            raise ConfigurationError("DOCKER_HOST is not understood", hint=_HOST_HINT) from error
        if tls and not address:
            raise ConfigurationError("DOCKER_TLS_VERIFY needs DOCKER_HOST", hint=_HOST_HINT)
        if address and address.startswith(("http+ssh://", "ssh://")):
            raise ConfigurationError(
                "DOCKER_HOST by ssh:// is not supported", hint="forward the socket: ssh -L /tmp/d.sock:/run/docker.sock"
            )
        with explained():
            client = EngineClient(address, "auto", self.timeout_s, tls, max_pool_size=self._connections)
        if client.base_url.startswith("http+docker://"):  # a socket: no proxy and no netrc to look for at each request
            client.trust_env = False
        return client


class EngineObserver:
    """Looks at containers, networks, images, stacks and commands. Satisfies ``domain.ports.Observer``."""

    def __init__(
        self, engine: Engine, stack: Callable[[Engine, str], ObjectState], command: Callable[[str], ObjectState]
    ) -> None:
        """Take the engine, what looks at a stack by its name, and what looks at a command by its id."""
        self._engine = engine
        self._look: dict[Kind, Callable[[str], ObjectState]] = {
            Kind.CONTAINER: self._container,
            Kind.NETWORK: self._network,
            Kind.IMAGE: self._image,
            Kind.STACK: partial(stack, engine),
            Kind.VOLUME: self._volume,
            Kind.COMMAND: command,
        }

    def engine_id(self) -> str | None:
        return self._engine.engine_id()

    def pin(self, kind: Kind, name: str) -> ObjectState:
        with explained(kind):
            return self._look[kind](name)

    def observe(self, ref: ObjectRef) -> ObjectState | None:
        try:
            return self.pin(ref.kind, ref.name if ref.kind in (Kind.IMAGE, Kind.STACK) else ref.id)
        except NotFoundError:
            return None

    def made_by(self, kind: Kind, command_id: str) -> list[ObjectState]:
        label = {"label": f"{COMMAND_LABEL}={command_id}"}
        api = self._engine.api
        with explained():
            if kind is Kind.CONTAINER:
                found = [entry["Id"] for entry in api.containers(all=True, filters=label)]
            elif kind is Kind.NETWORK:
                found = [entry["Id"] for entry in api.networks(filters=label)]
            else:
                found = []
        states = (self.observe(ObjectRef(kind=kind, id=object_id, name="")) for object_id in found)
        return [state for state in states if state]

    def _container(self, name: str) -> ObjectState:
        return container_state(self._engine.api.inspect_container(name))

    def _network(self, name: str) -> ObjectState:
        found = self._engine.api.inspect_network(name)
        facts = {"driver": found["Driver"], "scope": found["Scope"], "internal": found["Internal"]}
        labels = found.get("Labels") or {}
        return ObjectState(kind=Kind.NETWORK, id=found["Id"], name=found["Name"], facts=facts, labels=labels)

    def _volume(self, name: str) -> ObjectState:
        found = self._engine.api.inspect_volume(name)
        return ObjectState(kind=Kind.VOLUME, id=found["Name"], name=found["Name"], labels=found.get("Labels") or {})

    def _image(self, name: str) -> ObjectState:
        found = self._engine.api.inspect_image(name)
        facts = {"tags": (found.get("RepoTags") or [])[:32], "digests": (found.get("RepoDigests") or [])[:32]}
        return ObjectState(kind=Kind.IMAGE, id=found["Id"], name=name, facts=facts)
