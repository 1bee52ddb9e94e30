"""Images: listed as the engine has them, pulled from a registry with progress."""

from collections.abc import Callable

import docker
import pytest

from tests.conftest import caller
from tests.real.calls import Calls, Name
from tests.real.registry import Registry

pytestmark = pytest.mark.anyio

Remember = Callable[[str], str]


async def test_images_are_listed_and_found_by_a_part_of_their_tag(
    call: Calls, engine: docker.APIClient, image: str, name: Name, root_folder: bytes, forget_image: Remember
) -> None:
    engine.import_image_from_data(root_folder, repository=forget_image(f"{name()}:one"))
    engine.tag(f"{name()}:one", name(), "two", force=True)
    forget_image(f"{name()}:two")
    found = engine.inspect_image(f"{name()}:one")
    listed = await call("image-list", name=name())
    (row,) = listed["images"]
    assert row["id"] == found["Id"].removeprefix("sha256:")[:12]
    assert sorted(row["tags"]) == [f"{name()}:one", f"{name()}:two"]
    assert row["size_bytes"] == found["Size"]
    assert row["created"][:19] == found["Created"][:19]
    assert listed["total"] == 1
    everything = await call("image-list", limit=500)
    created = [each["created"] for each in everything["images"]]
    assert created == sorted(created, reverse=True)
    assert any(image in each["tags"] for each in everything["images"])
    assert len((await call("image-list", limit=1))["images"]) == 1
    assert await call("image-list", name="no/such/image") == {"images": [], "total": 0}


async def test_an_image_without_a_tag_has_none(
    call: Calls, engine: docker.APIClient, name: Name, root_folder: bytes, forget_image: Remember
) -> None:
    tag = forget_image(f"{name()}:one")
    engine.import_image_from_data(root_folder, repository=tag, changes=["LABEL test=first"])
    untagged = forget_image(engine.inspect_image(tag)["Id"])
    engine.import_image_from_data(root_folder, repository=tag, changes=["LABEL test=second"])
    listed = await call("image-list", limit=500)
    (row,) = [row for row in listed["images"] if row["id"] == untagged.removeprefix("sha256:")[:12]]
    assert row["tags"] == []
    assert all(row["tags"] for row in (await call("image-list", name="none", limit=500))["images"])


async def test_an_image_that_does_not_say_when_it_was_made_is_listed(call: Calls, registry: Registry) -> None:
    await call("image-pull", image=f"{registry.address}/timeless:one")
    listed = await call("image-list", name=f"{registry.address}/timeless")
    assert [row["tags"] for row in listed["images"]] == [[f"{registry.address}/timeless:one"]]


async def test_an_image_is_pulled_with_progress_and_then_up_to_date(
    call: Calls, engine: docker.APIClient, registry: Registry
) -> None:
    image = f"{registry.address}/app:one"
    progress: list[tuple[int, int | None, str]] = []
    application = call.application
    told = caller(application, progress=lambda *step: progress.append(step))
    answer = await application.dispatcher.dispatch("image-pull", {"image": image}, told)
    assert answer.error is None, answer.error.describe()
    assert answer.content() == {
        "id": registry.image_id.removeprefix("sha256:")[:12],
        "image": image,
        "digest": registry.digest,
        "changed": True,
    }
    assert engine.inspect_image(image)["Id"] == registry.image_id
    assert any(total and 0 < done <= total for done, total, _ in progress)
    assert any("Download" in message for _, _, message in progress)
    again = await call.answer("image-pull", image=image)
    assert again.content() == {**answer.content(), "changed": False}
    (before,), (after,) = call.started(answer)["pinned"], call.outcome(answer)["state_after"]
    assert (before["id"], after["id"]) == ("", registry.image_id)
    assert call.events(answer)[-1].object == f"image/{image}"


@pytest.mark.parametrize("reference", ["{address}/deep/er/app", "{address}/app@{digest}", "{address}/app:one@{digest}"])
async def test_images_are_pulled_by_every_kind_of_reference(
    call: Calls, engine: docker.APIClient, registry: Registry, reference: str
) -> None:
    image = reference.format(address=registry.address, digest=registry.digest)
    answer = await call.answer("image-pull", image=image)
    assert answer.error is None, answer.error.describe()
    assert answer.content()["digest"] == registry.digest
    assert registry.image_id.removeprefix("sha256:").startswith(answer.content()["id"])
    assert call.outcome(answer)["state_after"][0]["id"] == registry.image_id


async def test_the_digest_is_that_of_the_repository_that_was_asked(
    call: Calls, engine: docker.APIClient, registry: Registry
) -> None:
    for repository in ("a", "b"):
        image = f"{registry.address}/{repository}:one"
        assert (await call("image-pull", image=image))["digest"] == registry.digest
        registry.rewrite_manifest()


async def test_a_missing_image_is_pulled_to_create_a_container(
    call: Calls, engine: docker.APIClient, name: Name, registry: Registry
) -> None:
    image = f"{registry.address}/app:{name('tag')}"
    first = await call("create-container", image=image, name=name("a"))
    assert (first["pulled"], first["state"]) == (True, "running")
    assert engine.inspect_container(name("a"))["Image"] == registry.image_id
    second = await call("create-container", image=image, name=name("b"), start=False)
    assert not second["pulled"]


@pytest.mark.parametrize(
    ("status", "tag", "code"),
    [
        (200, "missing", "image_not_found"),
        (401, "one", "registry_denied"),
        (403, "one", "registry_denied"),
        (429, "one", "registry_limit"),
        (500, "one", "registry_unreachable"),
    ],
)
@pytest.mark.parametrize("tool", ["image-pull", "create-container"])
async def test_why_an_image_cannot_be_had_is_told(
    call: Calls, engine: docker.APIClient, name: Name, registry: Registry, status: int, tag: str, code: str, tool: str
) -> None:
    registry.status = status
    image = f"{registry.address}/app:{tag}"
    arguments = {"image": image} if tool == "image-pull" else {"image": image, "name": name()}
    answer = await call.answer(tool, **arguments)
    assert answer.error is not None
    assert (answer.error.code, answer.error.applied) == (code, "none"), answer.error.describe()
    assert answer.error.hint
    assert call.status(answer) == "failed"
    assert engine.images(image) == []
    assert engine.containers(all=True, filters={"name": name()}) == []


async def test_a_registry_that_nobody_serves_is_told(call: Calls) -> None:
    error = await call.refused("image-pull", image="127.0.0.1:1/app")
    assert error.code == "registry_unreachable"
    assert "image-list" in error.hint


async def test_a_malformed_reference_is_refused(call: Calls) -> None:
    error = await call.refused("image-pull", image="Upper/Case")
    assert error.code in ("refused_by_engine", "invalid_arguments")
