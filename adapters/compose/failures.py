"""What it means that Compose failed: which error, and how the stack stands now."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from adapters.compose.runner import Finished
from adapters.docker.errors import known_error
from domain.errors import ConflictError, EngineError, EngineInterruptedError, PartlyAppliedError
from domain.stacks.state import Member, by_service, changes

LOGS_HINT: Final = "compose-logs shows why; compose-ps shows what stands; deploy again once it is mended"
_PROGRESS: Final = re.compile(r"^ ?(?:Container|Network|Volume|Image) \S+ {1,2}\w|^ ?\S+ (?:Pulling|Pulled|Error)\b")
_DAEMON: Final = "Error response from daemon: "
_KNOWN: Final[tuple[tuple[str, str, str], ...]] = (
    (r"is unhealthy|dependency failed to start", "service_unhealthy", LOGS_HINT),
    (r"didn't complete successfully|exited \(\d+\)", "service_failed", LOGS_HINT),
    (r"no such service", "service_not_found", "compose-ps shows the services"),
)


def failure(finished: Finished, before: Sequence[Member], after: Sequence[Member], limit_s: float) -> EngineError:
    """Return the error for a run of Compose that did not succeed."""
    if finished.code < 0:
        return EngineInterruptedError(f"Compose was ended after {limit_s:.0f} s and may have left work to the engine")
    if finished.timed_out:
        return not_in_time(before, after)
    said = [line for line in finished.errors.splitlines() if line.strip() and not _PROGRESS.match(line)]
    message = (said[-1].strip() if said else "Compose failed without saying why").removeprefix(_DAEMON)
    error = known_error(message) or _compose_error(message)
    return with_states(error, before, after)


def not_in_time(before: Sequence[Member], after: Sequence[Member]) -> EngineError:
    """Return the error for containers that are not as wanted within the limit."""
    error = EngineError("not every container was as wanted in time", code="not_in_time", hint=LOGS_HINT)
    return with_states(error, before, after)


def with_states(error: EngineError, before: Sequence[Member], after: Sequence[Member]) -> EngineError:
    """Return ``error`` with how each service stands; as a partly applied one if containers have changed."""
    if all(change == "unchanged" for change in changes(before, after).values()):
        return error
    stands = "; ".join(f"{name}: {told(found)}" for name, found in by_service(after).items()) or "no containers"
    return PartlyAppliedError(f"{error.message}; now {stands}", code=error.code, hint=error.hint or LOGS_HINT)


def told(found: Sequence[Member]) -> str:
    """Return the states of a service's containers, each once."""
    return ", ".join(sorted({member.told() for member in found}))


def service_failure(member: Member) -> EngineError | None:
    """Return the error for a container that will not come up by itself, None for one that is up or may still come."""
    if member.health == "unhealthy" and member.status == "running":
        return EngineError(f"service {member.service} is unhealthy", code="service_unhealthy", hint=LOGS_HINT)
    if member.status == "dead" or (member.status == "exited" and member.exit_code):
        return EngineError(
            f"service {member.service} exited with code {member.exit_code}", code="service_failed", hint=LOGS_HINT
        )
    return None


def service_removed(service: str) -> EngineError:
    """Return the error for a service of which no container is left that has just been made."""
    return EngineError(
        f"somebody removed the containers of service {service} while it came up",
        code="service_removed",
        hint="audit-logs and docker-mcp replay show who; deploy again",
    )


def _compose_error(message: str) -> EngineError:
    for pattern, code, hint in _KNOWN:
        if re.search(pattern, message):
            return ConflictError(message, code=code, hint=hint)
    return EngineError(message, code="compose_failed")


def unknown_service(service: str, known: Mapping[str, object] | Sequence[str]) -> EngineError:
    """Return the error for a service that neither stands nor is in the stack's model."""
    names = ", ".join(sorted(known))
    return EngineError(f"the stack has no service {service}", code="service_not_found", hint=f"services: {names}")
