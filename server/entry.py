"""Where the program begins. Imports take seconds on a busy machine; who ends it by then wants no traceback."""

import os
import signal

INTERRUPTED = 128 + signal.SIGINT
"""Exit code after Ctrl-C, as a shell tells it."""


def run() -> None:
    """Run the command line. Ctrl-C before it has begun ends the process at once: there is nothing to clear up yet."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    from server.cli.main import run as run_command

    signal.signal(signal.SIGINT, before)
    run_command()
