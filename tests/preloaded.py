"""What servers and commands import: the libraries and all modules of ours, since that takes longer than most commands.

That a module imports what it needs is shown where processes are started anew: by the tests of the wheel.
"""

import gc
import pkgutil
from importlib import import_module

import adapters
import domain
import server

for name in (
    "alembic.command",
    "docker",
    "httptools",
    "mcp.server",
    "psycopg",
    "rich.table",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite",
    "sqlmodel",
    "starlette.applications",
    "uvicorn",
):
    import_module(name)

for package in (domain, adapters, server):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith(".__main__"):
            import_module(module.name)

gc.freeze()  # so that no collection in a forked process copies the pages of what it shares
