"""The libraries that a server and its commands use. Of our own modules only those that every command imports."""

from importlib import import_module

for name in (
    "alembic.command",
    "docker",
    "httptools",
    "mcp.server",
    "psycopg",
    "rich.table",
    "sqlmodel",
    "starlette.applications",
    "uvicorn",
    "server.cli.main",
):
    import_module(name)
