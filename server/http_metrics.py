"""``/prometheus`` and ``/metrics``: who may scrape, and the answer."""

import asyncio
import hmac
from functools import partial
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.settings import LOOPBACK, Settings, is_loopback
from server.workers import Workers

PATHS: Final = ("/prometheus", "/metrics")
_ANSWER_WITHIN_S: Final = 9.0
"""Prometheus gives up after ten."""


class Metrics(Protocol):
    """What tells the metrics."""

    def text(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics in a form that ``accept`` names, and their content type."""
        ...


class ScrapeGuard:
    """Lets those scrape who bring ``DOCKER_MCP_METRICS_TOKEN``; without one, those on this machine alone."""

    def __init__(self, settings: Settings, host: str) -> None:
        """Take the settings and the address that is listened on."""
        self._token = settings.metrics_token
        self._is_ours = is_loopback(host) and settings.DOCKER_MCP_TLS is None

    def refusal(self, request: Request) -> Response | None:
        """Return the answer to who may not scrape, None for who may."""
        if self._token is None:
            host = request.headers.get("host", "")
            if self._is_ours and (host in LOOPBACK or host.rpartition(":")[0] in LOOPBACK):
                return None
            return Response("beyond loopback, metrics need DOCKER_MCP_METRICS_TOKEN to be set", 403)
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token.encode()):
            return None
        return Response("not the metrics token", 401, {"WWW-Authenticate": 'Bearer realm="docker-mcp metrics"'})


def metrics_routes(metrics: Metrics, guard: ScrapeGuard) -> list[Route]:
    """Return the routes; one scrape is made at a time."""
    workers = Workers("metrics", 1)

    async def scrape(request: Request) -> Response:
        if refusal := guard.refusal(request):
            return refusal
        accept = request.headers.get("accept", "")
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                text, content_type = await workers.run(partial(metrics.text, accept))
        except TimeoutError:
            return Response("the metrics could not be read in time", 503)
        return Response(text, headers={"Content-Type": content_type})

    return [Route(path, scrape) for path in PATHS]
