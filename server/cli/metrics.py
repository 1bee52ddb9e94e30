"""``docker-mcp metrics``: the metrics of the log without an HTTP server, for example where all servers are stdio."""

import asyncio
import signal
from contextlib import closing
from functools import partial
from typing import Annotated, Final

import typer

from domain.errors import InvalidArgumentsError
from server.logs import log_to_stderr
from server.settings import Settings, load_settings

_ADDRESS: Final = "127.0.0.1:9464"
_OPENMETRICS: Final = "application/openmetrics-text"


def metrics(
    address: Annotated[str, typer.Argument(metavar="[HOST:PORT]", help="Where --serve listens.")] = _ADDRESS,
    serve: Annotated[bool, typer.Option("--serve", help="Answer scrapes until told to end.")] = False,
    openmetrics: Annotated[bool, typer.Option("--openmetrics", help="Print OpenMetrics, which has exemplars.")] = False,
) -> None:
    """Print the metrics of the log, or serve them to Prometheus; nothing else runs or is recorded."""
    settings = load_settings()
    if serve:
        log_to_stderr(settings)
        asyncio.run(_serve(settings, *_host_and_port(address)))
    elif address != _ADDRESS:
        raise InvalidArgumentsError("an address is for --serve only")
    else:
        _print(settings, _OPENMETRICS if openmetrics else "")


def _print(settings: Settings, accept: str) -> None:
    from server.bootstrap import now_ms
    from server.metrics import log_metrics

    with closing(log_metrics(settings, now_ms, at_once=True)) as told:
        text, _ = told.text(accept)
    typer.echo(text.decode(), nl=False)


async def _serve(settings: Settings, host: str, port: int) -> None:
    from starlette.applications import Starlette

    from server.bootstrap import now_ms
    from server.http import HttpServer, check_exposure, listen, uvicorn_config
    from server.http_auth import HostMiddleware
    from server.http_metrics import PATHS, ScrapeGuard, metrics_routes
    from server.metrics import log_metrics

    check_exposure(settings, host)
    with closing(log_metrics(settings, now_ms)) as told:
        app = Starlette(routes=metrics_routes(told, ScrapeGuard(settings, host)))
        app.add_middleware(HostMiddleware, hosts=settings.allowed_hosts)
        server = HttpServer(uvicorn_config(app, settings))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, partial(setattr, server, "should_exit", True))
        sockets = listen(host, port, "name another one behind --serve")
        typer.echo(f"docker-mcp: metrics on {host}:{port}{PATHS[0]}", err=True)
        await server.serve(sockets)


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InvalidArgumentsError("the address is HOST:PORT, for example 127.0.0.1:9464")
    return host.removeprefix("[").removesuffix("]"), int(port)
