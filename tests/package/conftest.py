"""The package and the image, each built once for all its tests."""

import contextlib
import io
import re
import tarfile
from collections.abc import Iterator

import docker
import pytest

from tests.package.base_image import download_wheels, import_compose, import_python
from tests.package.build import ROOT, Package
from tests.package.dockerfile import copied

BUILT, PYTHON, COMPOSE = "docker-mcp-test-image", "docker-mcp-test-python", "docker-mcp-test-compose"


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return Package(tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="session")
def built(engine: docker.APIClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The image, built by the real engine of bases that are made of this machine's parts."""
    wheels = tmp_path_factory.mktemp("wheels")
    download_wheels(wheels)
    import_python(engine, PYTHON, wheels)
    import_compose(engine, COMPOSE)
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name in ["Dockerfile", *copied()]:
            tar.add(ROOT / name, name)
    context.seek(0)
    arguments = {"PYTHON_IMAGE": PYTHON, "COMPOSE_IMAGE": COMPOSE}
    told = list(
        engine.build(fileobj=context, custom_context=True, tag=BUILT, buildargs=arguments, rm=True, decode=True)
    )
    assert "Successfully tagged" in str(told[-1]), "".join(each.get("stream", str(each)) for each in told[-20:])
    yield BUILT
    steps = re.findall(r"---> ([0-9a-f]{12})", "".join(each.get("stream", "") for each in told))
    for image in (BUILT, *reversed(steps), COMPOSE, PYTHON):
        with contextlib.suppress(docker.errors.APIError):  # gone with one that was made of it
            engine.remove_image(image, force=True)
