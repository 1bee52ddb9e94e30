"""Tools for images and for the engine as a whole."""

from typing import Annotated, Protocol

from pydantic import Field, StringConstraints

from domain.catalogue import recognise
from domain.catalogue.fields import PULL_LIMIT_S, ImageReference, Page
from domain.catalogue.tool import Command, Effect, Result, Run, Target, Tool
from domain.objects import Kind


class ListImages(Command):
    """List the images on the engine, newest first. `name` keeps tags that contain this text."""

    name: Annotated[str, StringConstraints(max_length=256)] | None = None
    limit: Page = 50


class PullImage(Command):
    """Pull an image from its registry. The tag defaults to latest."""

    image: ImageReference


class SystemInfo(Command):
    """Describe the Docker Engine: version, containers, resources, storage."""


class ImageRow(Result):
    """One image."""

    id: str
    tags: list[str]
    size_bytes: int
    created: str


class ImageList(Result):
    """Images; ``total`` tells whether the list is complete."""

    images: list[ImageRow]
    total: int


class ImagePulled(Result):
    """The image as it is now. ``changed`` is false if it was up to date."""

    id: str
    image: str
    digest: str | None
    changed: bool


class EngineInfo(Result):
    """The engine."""

    engine_id: str
    name: str
    version: str
    api_version: str
    operating_system: str
    architecture: str
    kernel: str
    cpus: int
    memory_bytes: int
    storage_driver: str
    cgroup_version: str
    containers: int
    containers_running: int
    containers_paused: int
    containers_stopped: int
    images: int
    warnings: Annotated[list[str], Field(max_length=32)] = []


class Images(Protocol):
    """Carries out image commands. Every method may block; each raises ``EngineError`` and its kinds."""

    def list(self, command: ListImages, run: Run) -> ImageList: ...
    def pull(self, command: PullImage, run: Run) -> ImagePulled: ...


class System(Protocol):
    """Describes the engine. May block; raises ``EngineError`` and its kinds."""

    def info(self, command: SystemInfo, run: Run) -> EngineInfo: ...


TOOLS = (
    Tool(
        name="image-list",
        title="List images",
        command=ListImages,
        port=Images,
        apply=Images.list,
        effect=Effect.READ,
        idempotent=True,
        only_looks=True,
        summary="list images",
    ),
    Tool(
        name="image-pull",
        title="Pull image",
        command=PullImage,
        port=Images,
        apply=Images.pull,
        effect=Effect.CREATE,
        idempotent=True,
        summary="pull image {image}",
        targets=(Target("image", Kind.IMAGE, required=False),),
        image="image",
        recognise=recognise.pulled,
        limit_s=PULL_LIMIT_S,
        open_world=True,
    ),
    Tool(
        name="system-info",
        title="Engine information",
        command=SystemInfo,
        port=System,
        apply=System.info,
        effect=Effect.READ,
        idempotent=True,
        only_looks=True,
        summary="describe the engine",
    ),
)
