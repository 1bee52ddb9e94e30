"""What engines of several versions say in states that are slow or rare here, and what callers read of it.

The sentences are the engines' own; the proxy repeats them.
"""

from typing import Any

import docker
import pytest

from tests.engine_proxy import EngineProxy
from tests.real.calls import Calls, Name

pytestmark = pytest.mark.anyio

START, REMOVE, PULL = "POST .*/start", "DELETE .*/containers/", "POST .*/images/create"
NETWORK, CONNECT, INSPECT = "POST .*/networks/create", "POST .*/connect", "GET .*/containers/.*/json"

SAID: list[tuple[str, int, str, str]] = [
    (NETWORK, 404, 'plugin "weave" not found', "driver_not_found"),
    (NETWORK, 404, "could not find plugin weave in v1 plugin registry: plugin not found", "driver_not_found"),
    (NETWORK, 400, "all predefined address pools have been fully subnetted", "addresses_exhausted"),
    (
        NETWORK,
        500,
        "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
        "addresses_exhausted",
    ),
    (NETWORK, 409, "network with name web already exists", "name_in_use"),
    (REMOVE, 409, "removal of container 4d2f is already in progress", "removal_in_progress"),
    (
        REMOVE,
        409,
        'cannot remove container "/web": container is running: stop the container before removing or force remove',
        "container_running",
    ),
    (
        REMOVE,
        409,
        'cannot remove container "/web": container is paused and must be unpaused first',
        "container_running",
    ),
    (REMOVE, 500, "unable to remove filesystem for 4d2f: device or resource busy", "engine_error"),
    (START, 409, "container is marked for removal and cannot be started", "removal_in_progress"),
    (START, 404, "network 3f1c not found", "network_not_found"),
    (START, 404, "failed to set up container networking: network 3f1c not found", "network_not_found"),
    (START, 409, "cannot start a paused container, try unpause instead", "container_paused"),
    (
        START,
        500,
        "failed to set up container networking: driver failed programming external connectivity on endpoint web "
        "(77d0): Bind for 0.0.0.0:8080 failed: port is already allocated",
        "port_in_use",
    ),
    (
        START,
        500,
        "Ports are not available: exposing port TCP 0.0.0.0:80 -> 0.0.0.0:0: listen tcp 0.0.0.0:80: bind: address "
        "already in use",
        "port_in_use",
    ),
    (CONNECT, 403, "endpoint with name web already exists in network front", "already_connected"),
    (CONNECT, 404, "No such container: 4d2f", "container_not_found"),
    (INSPECT, 404, "No such container: web", "container_not_found"),
    (INSPECT, 500, "multiple IDs found with provided prefix: 4", "ambiguous_name"),
    (PULL, 404, "pull access denied for x, repository does not exist or may require 'docker login'", "image_not_found"),
    (PULL, 404, "manifest for x:1 not found: manifest unknown: manifest unknown", "image_not_found"),
    (
        PULL,
        404,
        'failed to resolve reference "docker.io/library/x:1": docker.io/library/x:1: not found',
        "image_not_found",
    ),
    (
        PULL,
        500,
        'Get "https://registry.example/v2/": x509: certificate signed by unknown authority',
        "registry_unreachable",
    ),
    (PULL, 500, 'Get "https://registry.example/v2/": EOF', "registry_unreachable"),
    (
        PULL,
        500,
        'failed to resolve reference "registry.example/x:1": failed to do request: Head '
        '"https://registry.example/v2/x/manifests/1": dial tcp: lookup registry.example: no such host',
        "registry_unreachable",
    ),
    (
        PULL,
        500,
        'Get "https://registry.example/v2/": http: server gave HTTP response to HTTPS client',
        "registry_unreachable",
    ),
    (PULL, 500, "toomanyrequests: You have reached your pull rate limit.", "registry_limit"),
    (PULL, 500, 'Get "https://registry.example/v2/x": no basic auth credentials', "registry_denied"),
]
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    START: ("start-container", {"container_name": "{container}"}),
    REMOVE: ("remove-container", {"container_name": "{container}"}),
    INSPECT: ("inspect-container", {"container_name": "{container}"}),
    CONNECT: ("network-connect", {"network": "bridge", "container": "{container}"}),
    NETWORK: ("network-create", {"name": "{new}", "driver": "weave"}),
    PULL: ("image-pull", {"image": "registry.example/x:1"}),
}


@pytest.mark.parametrize(("request_line", "status", "message", "code"), SAID)
async def test_what_the_engine_says_becomes_a_code_that_callers_can_act_on(
    proxied: Calls,
    proxy: EngineProxy,
    engine: docker.APIClient,
    image: str,
    name: Name,
    request_line: str,
    status: int,
    message: str,
    code: str,
) -> None:
    engine.create_container(image, ["true"], name=name())
    proxy.reply(request_line, status, message)
    tool, arguments = CALLS[request_line]
    answer = await proxied.answer(
        tool, **{key: value.format(container=name(), new=name("new")) for key, value in arguments.items()}
    )
    assert answer.error is not None
    assert (answer.error.code, answer.error.message) == (code, message)
    assert answer.error.hint or code == "engine_error"
    assert (proxied.status(answer), proxied.outcome(answer)["applied"]) == ("failed", "none")


@pytest.mark.promise("P9")
async def test_a_very_long_complaint_is_cut(
    proxied: Calls, proxy: EngineProxy, engine: docker.APIClient, image: str, name: Name
) -> None:
    engine.create_container(image, ["true"], name=name())
    proxy.reply(START, 500, "no\n" * 100_000)
    error = await proxied.refused("start-container", container_name=name())
    assert len(error.message) <= 1024
    assert "\n" not in error.message
