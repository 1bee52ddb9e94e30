"""One declaration per tool, and all that is derived from it.

A tool is a record: the command model it takes, the port method that carries it out, its effect. From it follow the
MCP name, schema and annotations, how a call is decoded and authorised, what the log records, the metric label and
the row in the reference.
"""

import difflib
import string
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, Generic, Protocol, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from domain.canonical import JSON, is_storable
from domain.catalogue.recognise import Recogniser
from domain.errors import InvalidArgumentsError, UnknownToolError
from domain.host_safety.asks import Ask
from domain.objects import Kind, ObjectRef, ObjectState, Touched, column_name
from domain.principal import Principal
from domain.secrets import Seal, revealing_fields
from domain.text import column_text
from domain.token_shapes import masked

UNKNOWN_TOOL: Final = "_unknown"
"""What the log and the metrics call a tool that does not exist."""

_MOST_PROBLEMS: Final = 5
_LONGEST_NAME: Final = 64
_NOT_SHOWN: Final = frozenset({"maxItems", "maxLength", "maxProperties", "maximum", "minLength", "minimum", "pattern"})


class Effect(StrEnum):
    """What a tool does to Docker, from harmless to irreversible."""

    READ = "read"
    CREATE = "create"
    MUTATE = "mutate"
    DESTROY = "destroy"


class Surface(StrEnum):
    """How it is reached: by clients as an MCP tool or as an MCP prompt, or by people on the command line alone."""

    TOOL = "tool"
    PROMPT = "prompt"
    COMMAND_LINE = "command"


class Command(BaseModel):
    """An intention, as a caller states it. Unknown arguments and wrong types are refused, nothing is coerced."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class PromptCommand(Command):
    """A command whose arguments arrive as strings, since MCP prompts have no others."""

    model_config = ConfigDict(strict=False)


class Result(BaseModel):
    """What a tool answers. Never holds a secret value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @cached_property
    def content(self) -> dict[str, JSON]:
        """The result as a JSON tree; what is not set is left out."""
        return self.model_dump(mode="json", exclude_none=True)

    @cached_property
    def text(self) -> bytes:
        """The result as the bytes that the caller reads and the log digests: compact JSON with sorted keys."""
        return orjson.dumps(self.content, option=orjson.OPT_SORT_KEYS)

    def touched(self) -> tuple[ObjectRef, ...]:
        """Return the objects that the command made, beyond those it was aimed at."""
        return ()


class Plan(Protocol):
    """What a command will do, worked out from its arguments and recorded before it is decided."""

    @property
    def facts(self) -> Mapping[str, JSON]:
        """What a recogniser needs to tell whether the effect is complete."""
        ...

    @property
    def uses(self) -> tuple[tuple[Kind, str], ...]:
        """The objects that the command needs or makes besides the one that it is about, by kind and name."""
        ...

    @property
    def images(self) -> tuple[str, ...]:
        """The images that the command names, as it spells them."""
        ...

    def touched(self, found: Sequence[ObjectState]) -> Sequence[Touched]:
        """Return what the command touches or makes, for the policy; ``found`` is what stands of it now."""
        ...

    def sealed(self, seal: Seal) -> JSON:
        """Return the plan as the log keeps it; ``seal`` is applied to every value that may be a secret."""
        ...


class MaySee(Protocol):
    """Tells whether a list may show an object to the principal."""

    def __call__(self, name: str, labels: Mapping[str, str], parts: tuple[Touched, ...] = (), /) -> bool:
        """Return that of an object: its name, such as ``container/web``, its labels, and the parts of a stack."""
        ...


def sees_all(_name: str, _labels: Mapping[str, str], _parts: tuple[Touched, ...] = ()) -> bool:
    """Let lists show everything. Satisfies :class:`MaySee`."""
    return True


def sees_nothing(_name: str, _labels: Mapping[str, str], _parts: tuple[Touched, ...] = ()) -> bool:
    """Let lists show nothing. Satisfies :class:`MaySee`."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a port method learns of the command it carries out, besides its arguments.

    ``before_change`` is called right before each request that changes something in Docker; it raises when the
    command may not go on, for example because its time is over.
    """

    command_id: str
    principal: str
    role: str = ""
    pinned: tuple[ObjectState, ...] = ()
    plan: Plan | None = None
    progress: Callable[[int, int | None, str], None] = lambda _done, _total, _message: None
    """Tells the caller how far it has come: done, total (None: unknown), message. Any thread may call it."""
    before_change: Callable[[], None] = lambda: None
    may_see: MaySee = sees_all
    check_host: Callable[[Iterable[Ask]], None] = lambda _asks: None
    """Raises ``DeniedError`` if what is really sent to the engine asks too much of its host."""
    given_up: Callable[[], bool] = lambda: False
    """Tells whether the caller has cancelled the call."""
    sees_all_records: bool = True
    """Whether the audit trail may show the principal what others did."""
    reads_secrets: bool = False
    """Whether the answer may show the values of environments."""
    address: str = "stdio"
    """Where the caller comes from."""

    def target(self, kind: Kind) -> ObjectState:
        """Return the pinned object of this kind; the command acts on its id, never on a name."""
        return next(state for state in self.pinned if state.kind == kind)


@dataclass(frozen=True, slots=True)
class Target:
    """An argument that names an object. ``required=False``: the object need not exist."""

    field: str
    kind: Kind
    required: bool = True


C = TypeVar("C", bound=Command)
P = TypeVar("P")


@dataclass(frozen=True, kw_only=True)
class Tool(Generic[P, C]):
    """The declaration of one tool or prompt.

    Attributes:
        name: the MCP name, also the RBAC action and the metric label.
        command: the model of its arguments; its docstring is the description that agents read.
        port: the Protocol that has ``apply``; the adapter registered for it does the work.
        apply: the method of ``port`` that carries out the command.
        uses: the objects that a command needs besides its targets, by kind and name or id, for the policy.
        asks: what a command asks of the engine's host, for the rules of host safety.
        prepare: the method of ``port`` that works out what the command will do, without asking Docker for anything.
            Its plan is recorded before the command is decided; the errors it raises reject the command.
        restore: the method of ``port`` that makes the plan again from its record, with what was sealed in it opened.
        summary: one line for the audit trail; ``{field}`` stands for an argument.
        targets: the arguments that name existing objects: resolved to ids before anything is changed.
        about: the argument that names the object of a tool that looks it up by itself.
        creates: the kind of object it makes, with the field that names it.
        image: the argument that names the image which the command pulls or runs.
        destroys: tells of a command whether it destroys more than the tool's ``effect`` says. None: it never does.
        recognise: tells from observation whether an interrupted command took effect. None: it changes nothing.
        judge: tells why a principal may not carry out a command on these objects, beyond what roles say; None: it may.
        deferrable: an approval rule can make a change wait.
        only_looks: it asks the engine for nothing but lists and inspections, so that it may do so while its record is
            being written; what it sees is told only when the record is durable.
        limit_s: seconds after its start in which the command may send requests to the engine.
        open_to_all: callers without credentials may use it.
        settle_s: seconds after which the engine has certainly finished or dropped a request.
    """

    name: str
    title: str
    command: type[C]
    port: type[P]
    apply: Callable[[P, C, Run], Result]
    effect: Effect
    idempotent: bool
    summary: str
    targets: tuple[Target, ...] = ()
    about: Target | None = None
    creates: Target | None = None
    uses: Callable[[C], tuple[tuple[Kind, str], ...]] = lambda _command: ()
    asks: Callable[[C, Plan | None], Iterable[Ask]] = lambda _command, _plan: ()
    prepare: Callable[[P, C], Plan] | None = None
    restore: Callable[[P, C, JSON], Plan] | None = None
    judge: Callable[[Principal, Sequence[ObjectState]], str | None] | None = None
    deferrable: bool = True
    image: str | None = None
    destroys: Callable[[C], bool] | None = None
    recognise: Recogniser | None = None
    only_looks: bool = False
    limit_s: int = 60
    settle_s: Callable[[C], int] = lambda _command: 30
    open_world: bool = False
    open_to_all: bool = False
    surface: Surface = Surface.TOOL

    def __post_init__(self) -> None:
        fields = {name for _, name, _, _ in string.Formatter().parse(self.summary) if name is not None}
        named = {target.field for target in (*self.targets, self.creates, self.about) if target}
        named |= {self.image} if self.image else set()
        if unknown := (fields | named) - set(self.command.model_fields):
            raise ValueError(f"{self.name}: no such fields: {sorted(unknown)}")
        if leaking := (fields | named) & revealing_fields(self.command):
            raise ValueError(f"{self.name}: summary or object name would show secret fields: {sorted(leaking)}")
        if (self.recognise is None) != (self.effect is Effect.READ):
            raise ValueError(f"{self.name}: exactly the tools that change something need a recogniser")
        if (self.prepare is None) != (self.restore is None):
            raise ValueError(f"{self.name}: a plan that is made can also be made again")
        if self.only_looks and self.effect is not Effect.READ:
            raise ValueError(f"{self.name}: a tool that changes something does more than look")

    @cached_property
    def description(self) -> str:
        return " ".join((self.command.__doc__ or "").split())

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """The JSON Schema of the arguments, without the titles pydantic adds."""
        schema = self.command.model_json_schema(schema_generator=_CompactSchema)
        schema.pop("description", None)
        return schema

    @cached_property
    def shown_schema(self) -> dict[str, Any]:
        """The schema as agents are shown it: without limits and patterns, which cost tokens in every
        conversation and are told when one is broken."""
        shown: dict[str, Any] = _without_limits(self.input_schema)
        return shown

    def annotations(self) -> dict[str, bool]:
        """Return the four MCP hints; all are stated, since their defaults assume the worst."""
        return {
            "readOnlyHint": self.effect is Effect.READ,
            # By the protocol's letter: what is not destructive only adds to what is there.
            "destructiveHint": self.effect in (Effect.MUTATE, Effect.DESTROY),
            "idempotentHint": self.idempotent,
            "openWorldHint": self.open_world,
        }

    def parse(self, arguments: Mapping[str, Any]) -> C:
        """Return the command that ``arguments`` state.

        Raises:
            InvalidArgumentsError: naming each argument that does not fit and what it should be, without its value.
        """
        try:
            command = self.command.model_validate(arguments)
        except ValidationError as error:
            raise InvalidArgumentsError(self._explain(error), hint=self._known_arguments()) from None
        # The log would keep them in another form, and so would not say what was done.
        if altered := [name for name, value in command.model_dump().items() if not is_storable(value)]:
            problem = "NUL characters and lone surrogates have no place in text"
            raise InvalidArgumentsError(f"{self.name}: {', '.join(altered)}: {problem}", hint=self._known_arguments())
        return command

    def effect_of(self, command: C) -> Effect:
        """Return what this command does to Docker, as the policy judges it."""
        return Effect.DESTROY if self.destroys and self.destroys(command) else self.effect

    def images(self, command: C, plan: Plan | None) -> tuple[str, ...] | None:
        """Return the images that this command names; None if that takes its plan, which is not there yet."""
        if self.prepare:
            return plan.images if plan else None
        image = getattr(command, self.image) if self.image else None
        return (image,) if image else ()

    @property
    def effects(self) -> frozenset[Effect]:
        """Every effect that some call of it has."""
        return frozenset({self.effect, Effect.DESTROY} if self.destroys else {self.effect})

    def summarise(self, command: C) -> str:
        """Return the one line that the audit trail shows."""
        return column_text(self.summary.format_map(_Blanks(command)))

    def object_name(self, command: C) -> str | None:
        """Return what goes into the ``object`` column while nothing is resolved, None if the tool has no object."""
        target = self.creates or self.about or (self.targets[0] if self.targets else None)
        value = getattr(command, target.field, None) if target else None
        return column_text(column_name(target.kind, str(value))) if target and value else None

    def _explain(self, error: ValidationError) -> str:
        problems = []
        for problem in error.errors(include_url=False, include_input=False, include_context=False)[:_MOST_PROBLEMS]:
            place = ".".join(masked(column_text(str(part), _LONGEST_NAME))[0] for part in problem["loc"]) or "arguments"
            if problem["type"] == "extra_forbidden":
                close = difflib.get_close_matches(place, self.command.model_fields, 1)
                problems.append(f"{place}: no such argument" + (f", did you mean {close[0]}?" if close else ""))
            else:
                problems.append(f"{place}: {problem['msg'].removeprefix('Value error, ')}")
        return f"{self.name}: " + "; ".join(problems)

    def _known_arguments(self) -> str:
        names = [name if info.is_required() else f"[{name}]" for name, info in self.command.model_fields.items()]
        return "arguments: " + (", ".join(names) or "none")


AnyTool = Tool[Any, Any]


class Catalogue:
    """All tools and prompts of a server, by name."""

    def __init__(self, tools: Iterable[AnyTool]) -> None:
        self._tools: dict[str, AnyTool] = {}
        for tool in tools:
            if tool.name in self._tools:
                raise ValueError(f"two tools are named {tool.name}")
            self._tools[tool.name] = tool

    def __iter__(self) -> Iterator[AnyTool]:
        return iter(self._tools.values())

    def on(self, surface: Surface) -> list[AnyTool]:
        """Return the entries that clients reach in this way, in catalogue order."""
        return [tool for tool in self if tool.surface is surface]

    def find(self, name: str, surface: Surface) -> AnyTool:
        """Return the entry.

        Raises:
            UnknownToolError: with the closest name as hint.
        """
        tool = self._tools.get(name)
        if tool is None or tool.surface is not surface:
            names = [each.name for each in self.on(surface)]
            close = difflib.get_close_matches(name[:_LONGEST_NAME], names, 1)
            hint = f"did you mean {close[0]}?" if close else f"{surface}s: {', '.join(names)}"
            raise UnknownToolError(f"there is no {surface} of that name", hint=hint)
        return tool

    def with_effect(self, effect: Effect) -> frozenset[str]:
        """Return the names of the tools and prompts of which some call has this effect."""
        return frozenset(tool.name for tool in self if effect in tool.effects)

    def by_name(self, name: str | None) -> AnyTool | None:
        """Return the entry that the log calls ``name``, None if this version has no such entry."""
        return self._tools.get(name) if name else None


class _Blanks:
    """Reads a command's fields for a summary; what was left out shows as ``-``."""

    def __init__(self, command: Command) -> None:
        self._command = command

    def __getitem__(self, name: str) -> str:
        value = getattr(self._command, name)
        return "-" if value is None else str(value)


def _without_limits(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_limits(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _without_limits(part) for name, part in value.items()}
        if key in ("properties", "$defs")
        else _without_limits(value)
        for key, value in schema.items()
        if key not in _NOT_SHOWN
    }


class _CompactSchema(GenerateJsonSchema):
    """JSON Schema without what only costs tokens: titles, and null for what can be left out."""

    def field_title_should_be_set(self, _schema: Any) -> bool:
        return False

    def nullable_schema(self, schema: Any) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> dict[str, Any]:
        inner = super().default_schema(schema)
        if inner.get("default", ...) is None:
            del inner["default"]
        return inner

    def generate(self, schema: Any, mode: JsonSchemaMode = "validation") -> dict[str, Any]:
        generated = super().generate(schema, mode)
        for model in (generated, *generated.get("$defs", {}).values()):
            model.pop("title", None)
        return generated
