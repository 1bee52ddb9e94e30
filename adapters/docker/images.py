"""Images: listing and pulling."""

from typing import Any, Final

from docker.utils import parse_repository_tag

from adapters.docker.describe import short_id
from adapters.docker.engine import Engine
from adapters.docker.errors import explained, explained_after_change, pull_failure
from domain.catalogue.system import EngineInfo, ImageList, ImagePulled, ImageRow, ListImages, PullImage, SystemInfo
from domain.catalogue.tool import Run
from domain.chain import timestamp
from domain.objects import Kind, column_name

_NO_TAG: Final = "<none>:<none>"


class DockerImages:
    """Satisfies ``domain.catalogue.system.Images``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def list(self, command: ListImages, run: Run) -> ImageList:
        with explained():
            found = self._engine.api.images()
        found = [image for image in found if _visible(image, run)]
        wanted = command.name or ""
        rows = [
            ImageRow(
                id=short_id(image["Id"]),
                tags=_tags(image),
                size_bytes=image["Size"],
                created=timestamp(image["Created"] * 1000),
            )
            for image in sorted(found, key=lambda image: -image["Created"])
            if any(wanted in tag for tag in _tags(image) or [""])
        ]
        return ImageList(images=rows[: command.limit], total=len(rows))

    def pull(self, command: PullImage, run: Run) -> ImagePulled:
        before = {state.id for state in run.pinned}
        self.fetch(command.image, run)
        with explained_after_change(Kind.IMAGE):
            found = self._engine.api.inspect_image(command.image)
        return ImagePulled(
            id=short_id(found["Id"]),
            image=command.image,
            digest=_digest(found, parse_repository_tag(command.image)[0]),
            changed=found["Id"] not in before,
        )

    def fetch(self, image: str, run: Run) -> None:
        """Pull ``image`` and report progress.

        Raises:
            EngineError: if the registry or the engine refuses.
        """
        repository, tag = parse_repository_tag(image)
        layers: dict[str, tuple[int, int]] = {}
        run.before_change()
        with explained(Kind.IMAGE):
            for line in self._engine.api.pull(repository, tag or "latest", stream=True, decode=True):
                run.before_change()
                if problem := line.get("error"):
                    raise pull_failure(str(problem))
                _report(line, layers, run)


class DockerSystem:
    """Satisfies ``domain.catalogue.system.System``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def info(self, _command: SystemInfo, _run: Run) -> EngineInfo:
        info = self._engine.identify()
        return EngineInfo(
            engine_id=info["ID"],
            name=info["Name"],
            version=info["ServerVersion"],
            api_version=self._engine.api.api_version,
            operating_system=info["OperatingSystem"],
            architecture=info["Architecture"],
            kernel=info["KernelVersion"],
            cpus=info["NCPU"],
            memory_bytes=info["MemTotal"],
            storage_driver=info["Driver"],
            cgroup_version=str(info.get("CgroupVersion", "1")),
            containers=info["Containers"],
            containers_running=info["ContainersRunning"],
            containers_paused=info["ContainersPaused"],
            containers_stopped=info["ContainersStopped"],
            images=info["Images"],
            warnings=(info.get("Warnings") or [])[:32],
        )


def _visible(image: dict[str, Any], run: Run) -> bool:
    names = _tags(image) or [short_id(image["Id"])]
    return any(run.may_see(column_name(Kind.IMAGE, name), image.get("Labels") or {}) for name in names)


def _tags(image: dict[str, Any]) -> list[str]:
    return [tag for tag in image.get("RepoTags") or [] if tag != _NO_TAG]


def _digest(found: dict[str, Any], repository: str) -> str | None:
    """Return the digest under which an image was pulled; one image may have come from several repositories."""
    digests = [digest.partition("@") for digest in found.get("RepoDigests") or []]
    return next((digest for name, _, digest in digests if name == repository), digests[0][2] if digests else None)


def _report(line: dict[str, Any], layers: dict[str, tuple[int, int]], run: Run) -> None:
    detail = line.get("progressDetail") or {}
    if line.get("id") and detail.get("total"):
        layers[line["id"]] = (detail.get("current", 0), detail["total"])
    done, total = (sum(part) for part in zip(*layers.values(), strict=True)) if layers else (0, 0)
    run.progress(done, total or None, " ".join(filter(None, (line.get("status"), line.get("id")))))
