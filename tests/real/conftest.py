"""What tests on the real engine share: tools ready to call, a spoiled way to the engine, images that go away."""

import contextlib
import io
import os
import tarfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import docker
import pytest

from adapters.store.location import Location
from server.bootstrap import Application
from tests.conftest import OPENED, Serve, settings_for, write_rules
from tests.engine_proxy import EngineProxy
from tests.real.calls import Calls
from tests.real.registry import Registry
from tests.real.scene import QUICK
from tests.real.second_engine import SecondEngine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.engine)


@pytest.fixture(scope="package")
async def call(anyio_backend: str, image: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Calls]:
    """The tools of a server that all tests share which do nothing special to it: its start takes longer than they."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in [each for each in os.environ if each.startswith(("DOCKER_MCP_", "MCP_"))]:
            patch.delenv(variable)
        config = tmp_path_factory.mktemp("config")
        patch.setenv("XDG_CONFIG_HOME", str(config))
        write_rules(config, host_safety=OPENED)
        location = Location(path=tmp_path_factory.mktemp("shared") / "ledger.db")
        application = Application(settings_for(location), "test")
    await application.start()
    yield Calls(application)
    await application.stop("the tests are over")


@pytest.fixture
async def proxied(serve: Serve, image: str, proxy: EngineProxy) -> AsyncIterator[Calls]:
    """Tools that reach the engine through the proxy."""
    async with serve(catalogue=QUICK, DOCKER_HOST=proxy.url) as application:
        yield Calls(application)


@pytest.fixture
async def impatient(serve: Serve, image: str, proxy: EngineProxy) -> AsyncIterator[Calls]:
    """Tools that reach the engine through the proxy and give up after a second without a byte."""
    async with serve(catalogue=QUICK, DOCKER_HOST=proxy.url, DOCKER_MCP_ENGINE_TIMEOUT_S=1) as application:
        yield Calls(application)


@pytest.fixture
def forget_image(engine: docker.APIClient) -> Iterator[Callable[[str], str]]:
    """Takes the name of an image that the test makes, returns it, removes the image afterwards."""
    names: list[str] = []

    def remember(name: str) -> str:
        names.append(name)
        return name

    yield remember
    for name in names:
        with contextlib.suppress(docker.errors.ImageNotFound):
            engine.remove_image(name, force=True)


@pytest.fixture(scope="session")
def root_folder() -> bytes:
    """A tar archive with the root folder of a tiny image."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add("/bin/busybox", "bin/busybox")
        for applet in ("sh", "sleep"):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
    return packed.getvalue()


@pytest.fixture
def registry(engine: docker.APIClient, root_folder: bytes) -> Iterator[Registry]:
    with contextlib.closing(Registry(root_folder)) as registry:
        yield registry
    for container in engine.containers(all=True, filters={"ancestor": registry.image_id}):
        engine.remove_container(container["Id"], force=True)
    with contextlib.suppress(docker.errors.ImageNotFound):
        engine.remove_image(registry.image_id, force=True)


@pytest.fixture(scope="session")
def second_engine() -> Iterator[SecondEngine]:
    """An engine of our own behind mutual TLS: for what would harm or crowd the one that others use."""
    with contextlib.closing(SecondEngine()) as second:
        yield second
