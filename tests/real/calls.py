"""Calls tools as a caller does, and reads what the log holds of them."""

from collections.abc import Callable
from typing import Any, Protocol

import anyio

from domain.errors import DockerMcpError
from domain.events import RecordedEvent
from server.bootstrap import Application
from server.call import Answer
from tests.conftest import caller


class Name(Protocol):
    """Makes names whose objects are removed after the test."""

    def __call__(self, suffix: str = "c") -> str: ...


SLEEP = ["sleep", "600"]
"""A command that runs for as long as a test needs."""


class Calls:
    """The tools of one application."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def answer(self, tool: str, /, **arguments: Any) -> Answer:
        return await self.application.dispatcher.dispatch(tool, arguments, caller(self.application))

    async def __call__(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """Return what the tool answers; it has to succeed."""
        answer = await self.answer(tool, **arguments)
        assert answer.error is None, answer.error.describe()
        return answer.content()

    async def refused(self, tool: str, /, **arguments: Any) -> DockerMcpError:
        """Return the error of the tool; it has to fail."""
        answer = await self.answer(tool, **arguments)
        assert answer.error is not None, answer.content()
        return answer.error

    def events(self, answer: Answer) -> list[RecordedEvent]:
        return self.application.store.read_stream(answer.command_id)

    def status(self, answer: Answer) -> str | None:
        return self.events(answer)[-1].status

    def outcome(self, answer: Answer) -> dict[str, Any]:
        """Return the data of the command's latest event."""
        return self.events(answer)[-1].payload()

    def started(self, answer: Answer) -> dict[str, Any]:
        """Return the data of the event that precedes the effect."""
        return next(event.payload() for event in self.events(answer) if event.type == "execution.started")


async def eventually(question: Callable[[], Any], timeout_s: float = 60) -> Any:
    """Return the first true answer to ``question``, asked again and again for a bounded time."""
    with anyio.fail_after(timeout_s):
        while not (found := question()):  # noqa: ASYNC110 (the engine raises no event)
            await anyio.sleep(0.02)
        return found
