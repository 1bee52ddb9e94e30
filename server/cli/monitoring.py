"""``docker-mcp monitoring``: Prometheus, Alertmanager and Grafana for the servers of this machine."""

import asyncio
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from server.cli.exit import Exit
from server.cli.output import AsJson, tell
from server.settings import load_settings

app = typer.Typer(help="Prometheus, Alertmanager and Grafana for the servers of this machine.", no_args_is_help=True)

_COLUMNS: Final = (("service", "SERVICE"), ("state", "STATE"), ("health", "HEALTH"))

GrafanaPort = Annotated[int, typer.Option(min=1, max=65535, help="Port of Grafana on loopback.")]
PrometheusPort = Annotated[int, typer.Option(min=1, max=65535, help="Port of Prometheus on loopback.")]
AlertmanagerPort = Annotated[int, typer.Option(min=1, max=65535, help="Port of Alertmanager on loopback.")]
Targets = Annotated[
    list[str] | None,
    typer.Option("--target", help="host:port of a server to scrape; may be repeated. The one of these settings."),
]
ShareLog = Annotated[
    bool,
    typer.Option(
        "--share-log", help="Let Grafana read the folder of the SQLite log, keys included, for the audit trail."
    ),
]
AlertmanagerFile = Annotated[
    Path | None, typer.Option("--alertmanager", help="Configuration of Alertmanager: who gets alerts, and how.")
]


@app.command()
def up(
    grafana_port: GrafanaPort = 3000,
    prometheus_port: PrometheusPort = 9090,
    alertmanager_port: AlertmanagerPort = 9093,
    target: Targets = None,
    share_log: ShareLog = False,
    alertmanager: AlertmanagerFile = None,
) -> None:
    """Start the stack, or bring it up to date, and tell where it is."""
    from server.cli.monitoring_stack import deploy, stack_for

    settings = load_settings(use_working_directory=True)
    ports = (grafana_port, prometheus_port, alertmanager_port)
    stack, password_file, without = stack_for(settings, target, ports, alertmanager, share_log=share_log)
    asyncio.run(deploy(settings, stack.compose_yaml()))
    typer.echo(f"Grafana       http://127.0.0.1:{grafana_port} (user admin, password in {password_file})")
    typer.echo(f"Prometheus    http://127.0.0.1:{prometheus_port}, scraping {', '.join(stack.targets)}")
    typer.echo(f"Alertmanager  http://127.0.0.1:{alertmanager_port}")
    if without:
        typer.echo(f"Without the dashboard of the audit trail: {without}")


@app.command()
def down(
    volumes: Annotated[bool, typer.Option("--volumes", help="Also remove what they have stored.")] = False,
) -> None:
    """Stop and remove the stack."""
    from server.cli.monitoring_stack import ask
    from server.monitoring import PROJECT

    settings = load_settings(use_working_directory=True)
    arguments = {"project_name": PROJECT, "volumes": volumes}
    answer = asyncio.run(ask(settings, "compose-down", arguments, "docker-mcp monitoring down"))
    if answer.error and answer.error.code != "stack_not_found":
        raise answer.error
    typer.echo("the monitoring stack was not running" if answer.error else "the monitoring stack is gone")


@app.command()
def status(as_json: AsJson = False) -> None:
    """Tell what of the stack runs; exit code 1 if something does not."""
    from server.cli.audit_forms import table
    from server.cli.monitoring_stack import ask
    from server.monitoring import PROJECT

    settings = load_settings(use_working_directory=True)
    answer = asyncio.run(ask(settings, "compose-ps", {"project_name": PROJECT}, "docker-mcp monitoring status"))
    if answer.error and answer.error.code == "stack_not_found":
        tell(
            "the monitoring stack does not run; `docker-mcp monitoring up` starts it", {"services": []}, as_json=as_json
        )
        raise typer.Exit(Exit.FAILED)
    if answer.error:
        raise answer.error
    rows: list[dict[str, Any]] = answer.content()["services"]
    tell(table(rows, _COLUMNS, ""), {"services": rows}, as_json=as_json)
    if not all(row["state"] == "running" and row.get("health") == "healthy" for row in rows):
        typer.echo(f"see why: docker logs {PROJECT}-SERVICE-1", err=True)
        raise typer.Exit(Exit.FAILED)
