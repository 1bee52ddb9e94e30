"""The connection to one Docker Engine, and a look at its objects that changes nothing."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from docker import APIClient, errors
from docker.utils import kwargs_from_env

from adapters.docker.describe import container_state
from adapters.docker.errors import explained
from domain.catalogue.fields import COMMAND_LABEL
from domain.errors import ConfigurationError, NotFoundError
from domain.objects import Kind, ObjectRef, ObjectState


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
        self._lock = threading.Lock()
        self._api: APIClient | None = None
        self._id: str | None = None

    @property
    def api(self) -> APIClient:
        """The low-level client.

        Raises:
            EngineUnreachableError: if the engine does not answer.
            ConfigurationError: if ``DOCKER_HOST`` or the TLS files are not usable.
        """
        with self._lock:
            if self._api is None:
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

    def close(self) -> None:
        """Close the connections that are not in use."""
        with self._lock:
            if self._api is not None:
                self._api.close()

    def _connect(self) -> APIClient:
        try:
            where = kwargs_from_env(environment=self._environment)
        except errors.TLSParameterError as error:
            raise ConfigurationError("the TLS files of DOCKER_CERT_PATH are not usable") from error
        if str(where.get("base_url", "")).startswith(("http+ssh://", "ssh://")):
            raise ConfigurationError(
                "DOCKER_HOST by ssh:// is not supported", hint="forward the socket: ssh -L /tmp/d.sock:/run/docker.sock"
            )
        with explained():
            return APIClient(version="auto", timeout=self.timeout_s, max_pool_size=self._connections, **where)


class EngineObserver:
    """Looks at containers, networks and images. Satisfies ``domain.ports.Observer``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._look: dict[Kind, Callable[[str], ObjectState]] = {
            Kind.CONTAINER: self._container,
            Kind.NETWORK: self._network,
            Kind.IMAGE: self._image,
        }

    def engine_id(self) -> str | None:
        return self._engine.engine_id()

    def pin(self, kind: Kind, name: str) -> ObjectState:
        with explained(kind, name):
            return self._look[kind](name)

    def observe(self, ref: ObjectRef) -> ObjectState | None:
        try:
            return self.pin(ref.kind, ref.name if ref.kind is Kind.IMAGE else ref.id)
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
        return ObjectState(kind=Kind.NETWORK, id=found["Id"], name=found["Name"], facts=facts)

    def _image(self, name: str) -> ObjectState:
        found = self._engine.api.inspect_image(name)
        facts = {"tags": (found.get("RepoTags") or [])[:32], "digests": (found.get("RepoDigests") or [])[:32]}
        return ObjectState(kind=Kind.IMAGE, id=found["Id"], name=name, facts=facts)
