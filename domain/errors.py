"""Every failure a caller can act on: a stable code, a message, and a hint that says what to do.

Messages never carry argument values of secret fields, tracebacks or driver texts that could hold them.
"""

from typing import ClassVar, Literal

Applied = Literal["none", "partial", "unknown"]
"""What of the command's effect has reached Docker: nothing, a part, or nobody can tell yet."""


class DockerMcpError(Exception):
    """The command could not be carried out."""

    code: str = "error"
    hint: str = ""
    retryable: ClassVar[bool] = False
    applied: ClassVar[Applied] = "none"

    def __init__(self, message: str | None = None, *, code: str | None = None, hint: str | None = None) -> None:
        """Take ``message``, or the class's docstring; ``code`` and ``hint`` override those of the class."""
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])
        if code is not None:
            self.code = code
        if hint is not None:
            self.hint = hint

    @property
    def message(self) -> str:
        return str(self)

    def describe(self) -> str:
        """Return ``code: message - hint``, as the caller reads it."""
        return f"{self.code}: {self.message}" + (f" - {self.hint}" if self.hint else "")


class InvalidArgumentsError(DockerMcpError):
    """The arguments do not fit the tool."""

    code = "invalid_arguments"


class ArgumentsTooLargeError(InvalidArgumentsError):
    """The arguments are too large to be recorded."""

    code = "arguments_too_large"


class UnknownToolError(DockerMcpError):
    """There is no such tool."""

    code = "unknown_tool"
    hint = "tools/list names the tools of this server"


class AuthenticationError(DockerMcpError):
    """The credentials are missing or not valid."""

    code = "unauthenticated"
    hint = "send a token or API key, or use the prompt authenticate"


class DeniedError(DockerMcpError):
    """The policy does not allow this."""

    code = "denied"


class IdempotencyKeyReusedError(InvalidArgumentsError):
    """The idempotency key belongs to a call with other arguments."""

    code = "idempotency_key_reused"
    hint = "use a fresh key for each thing that is to be done, and the same one only to repeat the same call"


class OverloadedError(DockerMcpError):
    """Too many calls are waiting; this one was refused and nothing was done."""

    code = "overloaded"
    hint = "wait for running calls to finish, then call again"
    retryable = True


class ObjectBusyError(DockerMcpError):
    """Another server is still at work on the object; nothing was done."""

    code = "object_busy"
    hint = "wait for the other command, which audit-logs shows as running, then call again"
    retryable = True


class TooManyRefusalsError(DockerMcpError):
    """Too many calls of this caller were refused within a minute; this one was not looked at."""

    code = "too_many_refusals"
    hint = "wait a minute, then call again"
    retryable = True


class ShuttingDownError(DockerMcpError):
    """The server is stopping; nothing was done."""

    code = "shutting_down"
    hint = "call again once the server has started"
    retryable = True


class CancelledCallError(DockerMcpError):
    """The call was cancelled before it started; nothing was done."""

    code = "cancelled"
    retryable = True


class LogUnavailableError(DockerMcpError):
    """The event log cannot be written, so nothing was done."""

    code = "log_unavailable"
    hint = "run `docker-mcp doctor` on the server to see why"
    retryable = True


class LogLostError(LogUnavailableError):
    """The database no longer holds what this server has recorded, so nothing was done."""

    hint = "bring the log back; if it is lost, start the server again with a new one"


class LogFilesRemovedError(LogUnavailableError):
    """Files beside the database were removed or replaced while it was open, so nothing was done."""

    hint = "start the server again, and leave the files -wal and -shm alone: the newest records are in them"
    retryable = False


class LowDiskError(LogUnavailableError):
    """The disk of the event log is nearly full, so nothing was done."""

    hint = (
        "free space on the server's disk, or lower DOCKER_MCP_DISK_RESERVE_MIB: that much is kept for the outcomes of "
        "running commands"
    )


class LogInDoubtError(LogUnavailableError):
    """The connection to the event log broke while it recorded the command; nothing was done."""


class RecordRefusedError(LogUnavailableError):
    """The database refuses the form of the record, so nothing was done."""

    retryable = False


class SealingKeyRotatedError(RecordRefusedError):
    """The sealing key was rotated while this server ran, so nothing was done."""

    hint = "start the server again, with the new sealing key"


class ReadModelError(DockerMcpError):
    """A read model was not folded from this log."""

    code = "read_model_broken"
    hint = "run `docker-mcp rebuild`; `docker-mcp rebuild --check` tells what is different"


class OutcomeNotRecordedError(DockerMcpError):
    """The effect may have happened, but its outcome could not be recorded yet."""

    code = "outcome_not_recorded"
    applied = "unknown"


class EngineError(DockerMcpError):
    """The Docker Engine refused the request."""

    code = "engine_error"


class NotFoundError(EngineError):
    """The object does not exist."""

    code = "not_found"


class ConflictError(EngineError):
    """The request conflicts with the state of the object."""

    code = "conflict"


class EngineUnreachableError(EngineError):
    """The Docker Engine cannot be reached; nothing was done."""

    code = "engine_unreachable"
    hint = "start the engine or correct DOCKER_HOST; `docker-mcp doctor` shows what is wrong"
    retryable = True


class EngineInterruptedError(EngineError):
    """The Docker Engine stopped answering; the effect may have happened."""

    code = "engine_interrupted"
    hint = "read the state before you call again: the command may have been carried out"
    applied = "unknown"


class PartlyAppliedError(EngineError):
    """The command failed half-way and what it made could not be removed."""

    code = "partly_applied"
    applied = "partial"


class ConcurrentAppendError(DockerMcpError):
    """Another process has recorded an event of this stream first."""

    code = "concurrent_append"


class TakenOverError(DockerMcpError):
    """Another server may have taken this command over, so this one asks nothing more of the engine."""

    code = "taken_over"
    hint = "get-command tells what became of it"
    applied = "unknown"


class TurnLostError(DockerMcpError):
    """Another server may be at work on the same object, so this one has asked nothing of the engine."""

    code = "turn_lost"
    hint = "call again: nothing was done"


class IllegalTransitionError(DockerMcpError):
    """The event cannot follow the ones recorded for this command."""

    code = "illegal_transition"


class ConfigurationError(DockerMcpError):
    """The server cannot start with this configuration."""

    code = "configuration"


class UnsealError(DockerMcpError):
    """The value cannot be opened: its key is missing, wrong, or the value was moved or changed."""

    code = "unsealable"


class SealingKeyError(ConfigurationError):
    """The sealing key of the log is not there; what is not sealed can still be read."""
