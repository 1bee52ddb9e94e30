"""``python -m server``: the command line without its script."""

from server.cli.main import run

run()
