"""What a server writes to standard error: for people, or an object a line; within a command, with its id and trace."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final

import orjson
from opentelemetry import trace

from server.settings import Settings

_QUIET: Final = {
    "mcp.server.streamable_http_manager": logging.WARNING,  # it prints session ids
    "alembic": logging.WARNING,
    "sse_starlette": logging.INFO,  # below that it prints whole answers
}
_command: ContextVar[str | None] = ContextVar("command", default=None)


@contextmanager
def command_id(value: str) -> Iterator[None]:
    """Let every line that is written within, also on worker threads, bear the id of the command it is about."""
    token = _command.set(value)
    try:
        yield
    finally:
        _command.reset(token)


def log_to_stderr(settings: Settings) -> None:
    """Begin to write what ``LOG_LEVEL`` asks for, in the form of ``DOCKER_MCP_LOG_FORMAT``."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonLines() if settings.DOCKER_MCP_LOG_FORMAT == "json" else _Text())
    logging.basicConfig(level=settings.LOG_LEVEL, handlers=[handler])
    logging.captureWarnings(True)
    for name, level in _QUIET.items():
        logging.getLogger(name).setLevel(level)


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the name is that of the library)
        about = " ".join(f"{name}={value}" for name, value in _about().items())
        line = super().formatMessage(record)
        return f"{line} [{about}]" if about else line


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_about(),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(told, option=orjson.OPT_SORT_KEYS).decode()


def _about() -> dict[str, str]:
    """Return what is going on while a line is written."""
    found: dict[str, str] = {}
    if command := _command.get():
        found["command_id"] = command
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        found["trace_id"] = f"{span.trace_id:032x}"
        found["span_id"] = f"{span.span_id:016x}"
    return found
