"""What the log tells of stacks that were deployed."""

from typing import NamedTuple, Protocol


class Deployed(NamedTuple):
    """What the log holds of a stack's last successful deployment."""

    command_id: str
    services: tuple[str, ...]


class RecordedStacks(Protocol):
    """Reads deployments from the log."""

    def last_deployed(self, project: str) -> Deployed | None:
        """Return the last successful deployment of ``project``, None if the log holds none."""
        ...
