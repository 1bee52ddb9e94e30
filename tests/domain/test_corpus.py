"""The corpora against the rules: nothing hostile passes, nothing legitimate is refused."""

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from adapters.compose.render import Renderer
from adapters.compose.runner import ComposeRunner
from domain.catalogue.containers import CreateContainer
from domain.errors import DockerMcpError
from domain.host_safety import HostSafety, Violation, container_violations, stack_violations
from domain.stacks.source import accepted_source
from domain.stacks.strict_yaml import parse_strict
from tests.corpus import hostile, legitimate

pytestmark = pytest.mark.promise("P7")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "site").mkdir(parents=True)
    return root


@pytest.fixture
def trap(root: Path) -> Path:
    """The root with everything in it that the hostile corpus uses."""
    (root / hostile.PROTECTED).mkdir()
    (root / "deep").mkdir()
    (root.parent / "outside").mkdir()
    for link, target in hostile.LINKS.items():
        (root / link).symlink_to(target)
    return root


def placed(value: Any, root: Path) -> Any:
    """``value`` with a real directory and image."""
    if isinstance(value, str):
        return value.replace("ROOT", str(root)).replace("IMAGE", "shop/web:1")
    if isinstance(value, dict):
        return {placed(key, root): placed(item, root) for key, item in value.items()}
    return [placed(item, root) for item in value] if isinstance(value, list) else value


def rules(root: Path) -> HostSafety:
    return HostSafety(mount_roots=(str(root),))


def of_container(arguments: dict[str, Any], root: Path, own: Path) -> list[Violation]:
    command = CreateContainer.model_validate(placed(arguments, root))
    return container_violations(command, rules(root), os.path.realpath, [str(own)])


def of_stack(text: str, root: Path, own: Path) -> list[Violation]:
    renderer = Renderer(ComposeRunner(None, {}, root.parent / "state"))
    model = renderer.model("shop", placed(text, root), with_hashes=False)
    return stack_violations(model.tree, rules(root), os.path.realpath, [str(own)])


def refused_unread(text: str) -> bool:
    """Whether a file is refused before Compose sees it."""
    try:
        accepted_source(parse_strict(text))
    except DockerMcpError:
        return True
    return False


UNREAD = {name for name, text in hostile.STACKS.items() if refused_unread(text)}


def test_the_corpora_are_large() -> None:
    assert len(hostile.STACKS) >= 100
    assert len(hostile.CONTAINERS) >= 60
    assert len(legitimate.STACKS) >= 30
    assert len(legitimate.CONTAINERS) >= 30


@pytest.mark.parametrize("name", hostile.CONTAINERS)
def test_a_hostile_container_is_refused(trap: Path, name: str) -> None:
    try:
        found = of_container(hostile.CONTAINERS[name], trap, trap / hostile.PROTECTED)
    except ValidationError:
        return
    assert found


@pytest.mark.parametrize("name", legitimate.CONTAINERS)
def test_a_legitimate_container_passes(root: Path, name: str) -> None:
    assert of_container(legitimate.CONTAINERS[name], root, root.parent / "state") == []


@pytest.mark.parametrize("name", sorted(UNREAD))
def test_a_hostile_file_is_refused_unread(name: str) -> None:
    with pytest.raises(DockerMcpError):
        accepted_source(parse_strict(hostile.STACKS[name]))


@pytest.mark.engine
@pytest.mark.parametrize("name", [name for name in hostile.STACKS if name not in UNREAD])
def test_a_hostile_stack_is_refused(trap: Path, name: str) -> None:
    try:
        found = of_stack(hostile.STACKS[name], trap, trap / hostile.PROTECTED)
    except DockerMcpError as error:
        assert error.code == "invalid_arguments"  # noqa: PT017 (refused either way)
        return
    assert found


@pytest.mark.engine
@pytest.mark.parametrize("name", legitimate.STACKS)
def test_a_legitimate_stack_passes(root: Path, name: str) -> None:
    assert of_stack(legitimate.STACKS[name], root, root.parent / "state") == []
