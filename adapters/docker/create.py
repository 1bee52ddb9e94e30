"""Creating a container, with everything that goes with it, or nothing at all."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from docker import APIClient

from adapters.docker.describe import published, short_id
from adapters.docker.engine import Engine
from adapters.docker.errors import explained, explained_after_change
from adapters.docker.images import DockerImages
from adapters.docker.networks import own_labels
from domain.catalogue.container_results import ContainerCreated
from domain.catalogue.containers import CreateContainer, HealthCheck, MountPoint
from domain.catalogue.fields import COMMAND_LABEL
from domain.catalogue.tool import Run
from domain.catalogue.values import (
    parse_bytes,
    parse_duration_ns,
    parse_mount,
    parse_nano_cpus,
    parse_ports,
    parse_restart_policy,
    parse_words,
)
from domain.errors import DockerMcpError, EngineError, NotFoundError, PartlyAppliedError
from domain.host_safety import asks
from domain.host_safety.request import request_asks
from domain.objects import Kind


def create_container(engine: Engine, images: DockerImages, command: CreateContainer, run: Run) -> ContainerCreated:
    """Create the container, connect it to its networks and start it; leave nothing if one of these fails.

    Raises:
        PartlyAppliedError: a later step failed and the container could not be removed.
        EngineError: nothing is left behind.
    """
    api = engine.api
    name = command.name or f"mcp-{run.command_id[-12:]}"
    if command.networks and not command.start:  # the engine looks for the first network only when it starts
        with explained(Kind.NETWORK):
            api.inspect_network(command.networks[0])
    with _volumes(api, command, run):
        made, pulled = _create(api, images, name, command, run)
        try:
            _connect_and_start(api, made["Id"], command, run)
        except EngineError as error:
            if error.applied != "unknown":
                _discard(api, made["Id"], name, error)
            raise
    with explained_after_change(Kind.CONTAINER):
        found = api.inspect_container(made["Id"])
    return ContainerCreated(
        id=found["Id"],
        name=name,
        image=command.image,
        state=found["State"]["Status"],
        ports=published(found),
        pulled=pulled,
        warnings=[str(warning) for warning in made.get("Warnings") or []],
    )


@contextmanager
def _volumes(api: APIClient, command: CreateContainer, run: Run) -> Iterator[None]:
    """Make the named volumes that are missing, and remove them again if what is done with them fails.

    The engine would make them as well, but without our labels: nobody could tell whose they are.
    """
    names = {source for source in command.volumes or {} if not source.startswith("/")}
    ours: list[str] = []
    try:
        for name in sorted(names):
            run.before_change()
            with explained():
                volume = api.create_volume(name, labels=own_labels(run))
            run.check_host(asks.volume(f"volumes.{name}", volume.get("Driver") or "", volume.get("Options") or {}))
            if (volume.get("Labels") or {}).get(COMMAND_LABEL) == run.command_id:
                ours.append(name)
        yield
    except DockerMcpError as error:
        if error.applied == "none":
            for name in ours:
                with suppress(EngineError), explained():
                    api.remove_volume(name)
        raise


def _create(
    api: APIClient, images: DockerImages, name: str, command: CreateContainer, run: Run
) -> tuple[dict[str, Any], bool]:
    """Return what the engine says of the new container, and whether its image had to be pulled."""
    options = _options(api, command, run)
    try:
        return _create_once(api, name, options, run), False
    except NotFoundError as missing:
        if missing.code != "image_not_found":
            raise
    images.fetch(command.image, run)
    return _create_once(api, name, options, run), True


def _create_once(api: APIClient, name: str, options: dict[str, Any], run: Run) -> dict[str, Any]:
    run.before_change()
    with explained(Kind.CONTAINER):
        request = api.create_container_config(detach=True, **options)
    run.check_host(request_asks(request, ()))
    with explained(Kind.CONTAINER):
        made: dict[str, Any] = api.create_container_from_config(request, name)
    return made


def _connect_and_start(api: APIClient, container_id: str, command: CreateContainer, run: Run) -> None:
    for network in (command.networks or [])[1:]:
        run.before_change()
        with explained(Kind.NETWORK):
            api.connect_container_to_network(container_id, network)
    if command.start:
        run.before_change()
        with explained(Kind.CONTAINER):
            api.start(container_id)


def _discard(api: APIClient, container_id: str, name: str, cause: EngineError) -> None:
    try:
        with suppress(NotFoundError), explained(Kind.CONTAINER):
            api.remove_container(container_id, force=True, v=True)
    except EngineError as error:
        raise PartlyAppliedError(
            f"container {name} ({short_id(container_id)}) was made and could not be removed; before: {cause.message}",
            hint="remove-container removes it",
        ) from error


def _options(api: APIClient, command: CreateContainer, run: Run) -> dict[str, Any]:
    bindings = parse_ports(command.ports or [])
    options = {
        "image": command.image,
        "command": parse_words(command.command) if command.command else [],
        "entrypoint": parse_words(command.entrypoint) if command.entrypoint else None,
        "working_dir": command.working_dir,
        "user": command.user,
        "environment": _with_proxies(
            api, [f"{key}={_text(value)}" for key, value in (command.environment or {}).items()]
        ),
        "labels": {**(command.labels or {}), **own_labels(run)},
        "healthcheck": _health_check(command.health_check) if command.health_check else None,
        "ports": sorted({(binding.container_port, binding.protocol) for binding in bindings}),
        "host_config": api.create_host_config(**_host_options(command)),
    }
    return {key: value for key, value in options.items() if value is not None}


def _with_proxies(api: APIClient, environment: list[str]) -> list[str]:
    """Return the environment with the proxies that Docker's own configuration names, as ``docker run`` does."""
    proxies = api._proxy_configs  # type: ignore[attr-defined]
    complete: list[str] = proxies.inject_proxy_environment(environment) or environment
    return complete


def _host_options(command: CreateContainer) -> dict[str, Any]:
    ports: dict[str, list[tuple[str, str | None]]] = {}
    for binding in parse_ports(command.ports or []):
        inside = f"{binding.container_port}/{binding.protocol}"
        ports.setdefault(inside, []).append((binding.host_ip, binding.host_port))
    resources = command.resources
    options: dict[str, Any] = {
        "port_bindings": ports,
        "binds": [_bind(source, target) for source, target in (command.volumes or {}).items()],
        "network_mode": command.networks[0] if command.networks else None,
        "nano_cpus": parse_nano_cpus(resources.cpu) if resources and resources.cpu else None,
        "mem_limit": parse_bytes(resources.memory) if resources and resources.memory else None,
    }
    if command.restart_policy:
        name, retries = parse_restart_policy(command.restart_policy)
        options["restart_policy"] = {"Name": name, "MaximumRetryCount": retries}
    return {key: value for key, value in options.items() if value}


def _bind(source: str, target: str | MountPoint) -> str:
    mount = parse_mount(source, target if isinstance(target, str) else target.text())
    return f"{mount.source}:{mount.target}:{mount.options}"


def _health_check(check: HealthCheck) -> dict[str, Any]:
    durations = {"interval": check.interval, "timeout": check.timeout, "start_period": check.start_period}
    return {
        "test": ["CMD-SHELL", check.cmd] if isinstance(check.cmd, str) else ["CMD", *check.cmd],
        **{key: parse_duration_ns(value) for key, value in durations.items() if value},
        **({"retries": check.retries} if check.retries else {}),
    }


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
