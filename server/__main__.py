"""``python -m server``: the command line without its script."""

from server.entry import run

run()
