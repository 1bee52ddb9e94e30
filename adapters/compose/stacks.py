"""Satisfies the port of the stack tools."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from adapters.compose.failures import (
    failure,
    not_in_time,
    service_failure,
    service_removed,
    told,
    unknown_service,
    with_states,
)
from adapters.compose.files import read_compose_file
from adapters.compose.logs import read_logs
from adapters.compose.observe import (
    all_containers,
    members,
    observe_stack,
    parts_of,
    projects,
    service_of,
    stack_containers,
    without_one_offs,
)
from adapters.compose.render import Renderer, compose_file_options
from adapters.compose.runner import ComposeRunner
from adapters.docker.describe import exit_code_of, health_in, name_of, row
from adapters.docker.engine import Engine
from adapters.docker.errors import explained, explained_after_change
from adapters.docker.images import DockerImages
from domain.canonical import JSON
from domain.catalogue.stack_results import (
    ServiceChange,
    StackChanged,
    StackContainer,
    StackList,
    StackLogs,
    StackRow,
    StackServices,
)
from domain.catalogue.stacks import (
    DEPLOY_LIMIT_S,
    ComposeDown,
    ComposeLogs,
    ComposePs,
    ComposeRestart,
    ComposeStart,
    ComposeStop,
    DeployCompose,
    ListStacks,
    OnServices,
    OnStack,
)
from domain.catalogue.tool import Run
from domain.errors import NotFoundError
from domain.host_safety import asks
from domain.objects import Kind, ObjectState, column_name
from domain.stacks.model import STACK_LABEL, StackModel
from domain.stacks.recorded import Deployed, RecordedStacks
from domain.stacks.state import Member, by_service, changes, members_of

_POLL_S: Final = 0.1
_RUN_S: Final = 60
_STOP_S: Final = 15
"""What stopping the containers of an earlier deployment may take, ten seconds each side by side."""


class ComposeStacks:
    """Satisfies ``domain.catalogue.stacks.Stacks``."""

    def __init__(
        self,
        engine: Engine,
        images: DockerImages,
        runner: ComposeRunner,
        recorded: RecordedStacks,
        roots: Sequence[Path],
    ) -> None:
        """Take what is needed; ``roots`` are the directories below which a caller's ``compose_file`` may be."""
        self._engine = engine
        self._images = images
        self._runner = runner
        self._recorded = recorded
        self._roots = roots
        self._renderer = Renderer(runner)

    def plan(self, command: DeployCompose) -> StackModel:
        return self._renderer.model(command.project_name, command.compose_yaml)

    def planned(self, command: DeployCompose, tree: JSON) -> StackModel:
        return self._renderer.with_hashes(StackModel(command.project_name, tree))

    def deploy(self, command: DeployCompose, run: Run) -> StackChanged:
        model = run.plan
        assert isinstance(model, StackModel)  # noqa: S101 (made by ``plan``)
        before = members_of(run.target(Kind.STACK))
        self._check_volumes(model, run)
        self._fetch_images(model, run)
        limit_s = command.timeout + (_STOP_S if before else 0)
        ends = time.monotonic() + limit_s
        options = compose_file_options(model.project)
        up = [*options, "up", "-d", "--no-build", "--pull", "never", "--remove-orphans"]
        self._compose(up, run, before, limit_s, model.text)
        after = self._now(model.project)
        if command.wait:
            after = self._wait(command, before, after, ends)
        return _changed(model.project, before, after)

    def stacks(self, command: ListStacks, run: Run) -> StackList:
        seen = [
            (name, without_one_offs(entries))
            for name, entries in projects(all_containers(self._engine))
            if run.may_see(column_name(Kind.STACK, name), {}, parts_of(entries))
        ]
        rows = [_stack_row(name, entries) for name, entries in seen if entries]
        return StackList(stacks=rows[: command.limit], total=len(rows))

    def services(self, command: ComposePs, _run: Run) -> StackServices:
        deployed = self._recorded.last_deployed(command.project_name)
        known = self._declared(command, deployed)
        entries = stack_containers(self._engine, command.project_name)
        if not entries and not known:
            raise _no_stack(command.project_name)
        standing = {service_of(entry) for entry in entries}
        rows = [_container_row(entry) for entry in entries]
        rows += [StackContainer(service=name, state="absent") for name in known if name not in standing]
        return StackServices(
            project=command.project_name,
            services=sorted(rows, key=lambda row: (row.service, row.container or "")),
            deployed_by=deployed.command_id if deployed else None,
        )

    def logs(self, command: ComposeLogs, _run: Run) -> StackLogs:
        entries = stack_containers(self._engine, command.project_name)
        self._check(command, [service_of(entry) for entry in entries])
        wanted = [entry for entry in entries if command.service in (None, service_of(entry))]
        return read_logs(self._engine, command, command.project_name, wanted)

    def start(self, command: ComposeStart, run: Run) -> StackChanged:
        return self._operate(command, run, ["start"], _RUN_S * 10)

    def stop(self, command: ComposeStop, run: Run) -> StackChanged:
        return self._operate(command, run, ["stop", "-t", str(command.timeout)], command.timeout)

    def restart(self, command: ComposeRestart, run: Run) -> StackChanged:
        return self._operate(command, run, ["restart", "-t", str(command.timeout)], command.timeout)

    def down(self, command: ComposeDown, run: Run) -> StackChanged:
        self._declared(command, None)
        stack = run.target(Kind.STACK)
        if not stack.id:
            raise _no_stack(command.project_name)
        before = members_of(stack)
        words = ["-p", command.project_name, "down", "-t", str(command.timeout), "--remove-orphans"]
        limit_s = min(_RUN_S + command.timeout * max(1, len(before)), DEPLOY_LIMIT_S)
        self._compose([*words, *(["--volumes"] if command.volumes else [])], run, before, limit_s)
        try:
            with explained_after_change(Kind.STACK):
                now: ObjectState | None = observe_stack(self._engine, command.project_name)
        except NotFoundError:
            now = None
        volumes = set(stack.facts["volumes"]) - set(now.facts["volumes"] if now else [])
        changed = _changed(command.project_name, before, members_of(now) if now else [])
        return changed.model_copy(update={"volumes_removed": sorted(volumes) or None})

    def _operate(self, command: OnServices, run: Run, verb: Sequence[str], each_s: int) -> StackChanged:
        before = members_of(run.target(Kind.STACK))
        self._check(command, [member.service for member in before])
        limit_s = min(_RUN_S + each_s * max(1, len(before)), DEPLOY_LIMIT_S)
        named = ["--", command.service] if command.service else []
        self._compose(["-p", command.project_name, *verb, *named], run, before, limit_s)
        return _changed(command.project_name, before, self._now(command.project_name), command.service)

    def _compose(
        self, words: Sequence[str], run: Run, before: Sequence[Member], limit_s: float, stdin: bytes = b""
    ) -> None:
        """Let Compose change the stack.

        Raises:
            EngineError: it did not succeed; the message tells how the services stand.
        """
        run.before_change()
        project = run.target(Kind.STACK).name
        finished = self._runner.run(words, stdin, limit_s=limit_s, patient=True, on_line=_reporter(run))
        if finished.code or finished.timed_out:
            raise failure(finished, before, self._now(project), limit_s)

    def _now(self, project: str) -> Sequence[Member]:
        """Return the containers after Compose has been at work: a failed look does not undo what it did."""
        with explained_after_change(Kind.STACK):
            return members(self._engine, project)

    def _check_volumes(self, model: StackModel, run: Run) -> None:
        """Refuse volumes that exist already and are a part of the host under another name."""
        for key, volume in model.tree.get("volumes", {}).items():
            try:
                with explained():
                    found = self._engine.api.inspect_volume(volume.get("name", key))
            except NotFoundError:
                continue
            run.check_host(asks.volume(f"volumes.{key}", found["Driver"], found.get("Options") or {}))

    def _fetch_images(self, model: StackModel, run: Run) -> None:
        """Pull what is missing as image-pull does: with progress, and with the credentials of the server's user."""
        wanted = {service["image"]: service.get("pull_policy") for service in model.services.values()}
        for image, policy in wanted.items():
            if policy == "always" or (policy != "never" and not self._has(image)):
                self._images.fetch(image, run)

    def _has(self, image: str) -> bool:
        try:
            with explained(Kind.IMAGE):
                self._engine.api.inspect_image(image)
        except NotFoundError:
            return False
        return True

    def _wait(
        self, command: DeployCompose, before: Sequence[Member], after: Sequence[Member], ends: float
    ) -> Sequence[Member]:
        """Return the containers once all are up.

        Compose's own waiting takes a job that has done its work for a failure, and looks twice a second only.

        Raises:
            EngineError: one has failed or somebody has removed it, or they are not up in time.
        """
        made = by_service(after)
        while not all(member.is_up for member in after):
            if failed := next(filter(None, map(service_failure, after)), None):
                raise with_states(failed, before, after)
            if time.monotonic() > ends:
                raise not_in_time(before, after)
            self._wait_for_news(command.project_name, ends)
            after = self._now(command.project_name)
            if removed := sorted(made.keys() - by_service(after).keys()):
                raise with_states(service_removed(removed[0]), before, after)
        return after

    def _wait_for_news(self, project: str, ends: float) -> None:
        """Return when a container changes its state or health; a list tells both, and costs one request."""
        seen = self._glance(project)
        while self._glance(project) == seen and time.monotonic() <= ends:
            time.sleep(_POLL_S)

    def _glance(self, project: str) -> list[tuple[str, str, str | None]]:
        with explained_after_change(Kind.STACK):
            return [(each["Id"], each["State"], health_in(each)) for each in stack_containers(self._engine, project)]

    def _check(self, command: OnServices, standing: Sequence[str]) -> None:
        """Refuse a stack or service that has no containers, saying what exists."""
        known = {*standing, *self._declared(command, self._recorded.last_deployed(command.project_name))}
        if command.service in standing or (standing and command.service is None):
            return
        if not known:
            raise _no_stack(command.project_name)
        if command.service and command.service not in known:
            raise unknown_service(command.service, sorted(known))
        what = f"service {command.service}" if command.service else f"stack {command.project_name}"
        raise NotFoundError(f"{what} has no containers", code="service_not_deployed", hint="deploy-compose makes them")

    def _declared(self, command: OnStack, deployed: Deployed | None) -> Sequence[str]:
        """Return the services of the file that the call names, else those of the last recorded deployment."""
        text = read_compose_file(command.compose_file, self._roots) if command.compose_file else None
        if text is not None:
            return sorted(self._renderer.model(command.project_name, text, with_hashes=False).services)
        return deployed.services if deployed else ()


def _no_stack(project: str) -> NotFoundError:
    return NotFoundError(f"no stack {project}", code="stack_not_found", hint="compose-list shows what exists")


def _reporter(run: Run) -> Callable[[str], None]:
    said = 0

    def report(line: str) -> None:
        nonlocal said
        if line:
            said += 1
            run.progress(said, None, line)

    return report


def _changed(project: str, before: Sequence[Member], after: Sequence[Member], only: str | None = None) -> StackChanged:
    standing = {
        service: [member for member in after if member.service == service] for service in changes(before, after)
    }
    return StackChanged(
        project=project,
        services=[
            ServiceChange(
                service=service, change=change, containers=len(standing[service]), state=told(standing[service]) or None
            )
            for service, change in changes(before, after).items()
            if only in (None, service) or change != "unchanged"
        ],
        members=tuple(member.ref for member in after),
    )


def _stack_row(name: str, entries: list[dict[str, Any]]) -> StackRow:
    return StackRow(
        name=name,
        services=len({service_of(entry) for entry in entries}),
        running=sum(entry["State"] == "running" for entry in entries),
        containers=len(entries),
        recorded=any(STACK_LABEL in entry["Labels"] for entry in entries),
    )


def _container_row(entry: dict[str, Any]) -> StackContainer:
    return StackContainer(
        service=service_of(entry),
        container=name_of(entry),
        state=entry["State"],
        health=health_in(entry),
        exit_code=exit_code_of(entry),
        ports=row(entry, ["ports"]).ports or None,
    )
