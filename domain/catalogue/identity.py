"""The prompt by which a caller exchanges an API key for a token."""

from typing import Annotated, Protocol

from pydantic import AfterValidator, Field, StringConstraints

from domain.access.tokens import KEY_PREFIX, LONGEST_CREDENTIAL
from domain.catalogue.tool import Effect, PromptCommand, Result, Run, Surface, Tool
from domain.secrets import DROPPED


def _no_key(name: str) -> str:
    if name.startswith(KEY_PREFIX):
        raise ValueError("this is a key, not a name")
    return name


class Authenticate(PromptCommand):
    """Exchange an API key for a token; the connection then acts for the user."""

    username: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z0-9._@-]{1,64}$"),
        AfterValidator(_no_key),
        Field(description="the user's name"),
    ]
    api_key: Annotated[
        str,
        StringConstraints(min_length=1, max_length=LONGEST_CREDENTIAL),
        DROPPED,
        Field(description="the user's API key"),
    ]


class Authenticated(Result):
    """A token that stands for the user until it expires."""

    token: str


class Identity(Protocol):
    """Knows the users. May block; raises ``AuthenticationError``."""

    def authenticate(self, command: Authenticate, run: Run) -> Authenticated: ...


TOOLS = (
    Tool(
        name="authenticate",
        title="Authenticate",
        command=Authenticate,
        port=Identity,
        apply=Identity.authenticate,
        effect=Effect.READ,
        idempotent=False,
        summary="authenticate as {username}",
        open_to_all=True,
        surface=Surface.PROMPT,
    ),
)
