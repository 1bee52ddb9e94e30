"""Tools for Compose stacks: their commands, and the port that carries them out."""

from typing import Annotated, Final, Protocol

from pydantic import Field, StringConstraints

from domain.canonical import JSON
from domain.catalogue import recognise_stacks as recognise
from domain.catalogue.containers import GraceSeconds
from domain.catalogue.fields import Grep, LogBytes, Moment, Page, Tail
from domain.catalogue.stack_results import StackChanged, StackList, StackLogs, StackServices
from domain.catalogue.tool import Command, Effect, Plan, Run, Target, Tool
from domain.host_safety.stack import stack_asks
from domain.objects import Kind
from domain.secrets import DIGESTED
from domain.stacks.model import StackModel

MOST_YAML: Final = 256 * 1024
"""Most characters of a Compose file."""

DEPLOY_LIMIT_S: Final = 3600
"""Seconds after which a deployment is given up, pulls and waiting included."""

ProjectName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=63)]
"""The name of a stack, as Compose restricts it."""
ServiceName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.][A-Za-z0-9_.-]*$", max_length=128)]
ComposeFile = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class DeployCompose(Command):
    """Deploy a stack from Compose YAML, or bring it up to date: only what changed is recreated, volumes stay.

    Waits until every service runs and is healthy, at most `timeout` seconds. Values are sealed in the log.
    """

    project_name: ProjectName
    compose_yaml: Annotated[str, StringConstraints(min_length=1, max_length=MOST_YAML), DIGESTED]
    wait: bool = True
    timeout: Annotated[int, Field(ge=1, le=1800)] = 120


class OnStack(Command):
    """What the commands on one stack take. A `compose_file` below the allowed directories tells its services."""

    project_name: ProjectName
    compose_file: ComposeFile | None = None


class OnServices(OnStack):
    """What the commands on a stack or one of its services take."""

    service: ServiceName | None = None


class ListStacks(Command):
    """List Compose stacks that have containers."""

    limit: Page = 50


class ComposePs(OnStack):
    """List the services of a stack with their containers: state, health, ports."""


class ComposeLogs(OnServices):
    """Read the newest log lines of a stack in the order of time. `grep` keeps lines that contain this text."""

    tail: Tail = 100
    since: Moment | None = None
    until: Moment | None = None
    grep: Grep | None = None
    timestamps: bool = False
    max_bytes: LogBytes = 32_768


class ComposeStart(OnServices):
    """Start the stopped containers of a stack or of one service, after the services they depend on."""


class ComposeStop(OnServices):
    """Stop the containers of a stack or of one service; each is killed after `timeout` seconds."""

    timeout: GraceSeconds = 10


class ComposeRestart(OnServices):
    """Restart the containers of a stack or of one service; each is killed after `timeout` seconds."""

    timeout: GraceSeconds = 10


class ComposeDown(OnStack):
    """Remove the containers and networks of a stack; with `volumes` also its named volumes and what they hold."""

    volumes: bool = False
    timeout: GraceSeconds = 10


class Stacks(Protocol):
    """Carries out commands on stacks. Every method may block; each raises ``EngineError`` and its kinds."""

    def plan(self, command: DeployCompose) -> Plan: ...
    def planned(self, command: DeployCompose, tree: JSON) -> Plan: ...
    def deploy(self, command: DeployCompose, run: Run) -> StackChanged: ...
    def stacks(self, command: ListStacks, run: Run) -> StackList: ...
    def services(self, command: ComposePs, run: Run) -> StackServices: ...
    def logs(self, command: ComposeLogs, run: Run) -> StackLogs: ...
    def start(self, command: ComposeStart, run: Run) -> StackChanged: ...
    def stop(self, command: ComposeStop, run: Run) -> StackChanged: ...
    def restart(self, command: ComposeRestart, run: Run) -> StackChanged: ...
    def down(self, command: ComposeDown, run: Run) -> StackChanged: ...


def _uses(command: OnStack) -> tuple[tuple[Kind, str], ...]:
    """The rules of some roles see what a stack consists of."""
    return ((Kind.STACK, command.project_name),)


_STACK = (Target("project_name", Kind.STACK, required=False),)

TOOLS = (
    Tool(
        name="deploy-compose",
        title="Deploy stack",
        command=DeployCompose,
        port=Stacks,
        apply=Stacks.deploy,
        prepare=Stacks.plan,
        restore=Stacks.planned,
        asks=lambda _command, plan: stack_asks(plan.tree) if isinstance(plan, StackModel) else (),
        effect=Effect.MUTATE,
        idempotent=True,
        summary="deploy stack {project_name}",
        targets=_STACK,
        recognise=recognise.stack_deployed,
        limit_s=DEPLOY_LIMIT_S,
        settle_s=lambda _command: 60,
        open_world=True,
    ),
    Tool(
        name="compose-list",
        title="List stacks",
        command=ListStacks,
        port=Stacks,
        apply=Stacks.stacks,
        effect=Effect.READ,
        idempotent=True,
        only_looks=True,
        summary="list stacks",
    ),
    Tool(
        name="compose-ps",
        title="Show stack",
        command=ComposePs,
        port=Stacks,
        apply=Stacks.services,
        effect=Effect.READ,
        idempotent=True,
        only_looks=True,
        summary="show stack {project_name}",
        about=_STACK[0],
        uses=_uses,
    ),
    Tool(
        name="compose-logs",
        title="Get stack logs",
        command=ComposeLogs,
        port=Stacks,
        apply=Stacks.logs,
        effect=Effect.READ,
        idempotent=True,
        summary="read logs of stack {project_name}, service {service}",
        about=_STACK[0],
        uses=_uses,
    ),
    Tool(
        name="compose-start",
        title="Start stack",
        command=ComposeStart,
        port=Stacks,
        apply=Stacks.start,
        effect=Effect.MUTATE,
        idempotent=True,
        summary="start stack {project_name}, service {service}",
        targets=_STACK,
        recognise=recognise.stack_started,
        limit_s=DEPLOY_LIMIT_S,
    ),
    Tool(
        name="compose-stop",
        title="Stop stack",
        command=ComposeStop,
        port=Stacks,
        apply=Stacks.stop,
        effect=Effect.MUTATE,
        idempotent=True,
        summary="stop stack {project_name}, service {service}",
        targets=_STACK,
        recognise=recognise.stack_stopped,
        limit_s=DEPLOY_LIMIT_S,
        settle_s=lambda command: command.timeout + 12,
    ),
    Tool(
        name="compose-restart",
        title="Restart stack",
        command=ComposeRestart,
        port=Stacks,
        apply=Stacks.restart,
        effect=Effect.MUTATE,
        idempotent=False,
        summary="restart stack {project_name}, service {service}",
        targets=_STACK,
        recognise=recognise.stack_restarted,
        limit_s=DEPLOY_LIMIT_S,
        settle_s=lambda command: command.timeout + 30,
    ),
    Tool(
        name="compose-down",
        title="Remove stack",
        command=ComposeDown,
        port=Stacks,
        apply=Stacks.down,
        effect=Effect.MUTATE,
        destroys=lambda command: command.volumes,
        idempotent=True,
        summary="remove stack {project_name} (volumes: {volumes})",
        targets=_STACK,
        recognise=recognise.stack_removed,
        limit_s=DEPLOY_LIMIT_S,
        settle_s=lambda command: command.timeout + 60,
    ),
)
