"""The auth file: users, roles, host safety; strictly read, with line, place and fix for what is wrong."""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from domain.access.images import Image, ImagePattern
from domain.access.patterns import matches
from domain.canonical import canonical_json, sha256_hex
from domain.catalogue.tool import Effect
from domain.errors import ConfigurationError
from domain.host_safety import HostSafety
from domain.objects import Kind
from domain.principal import Role
from domain.stacks.strict_yaml import Document, StrictYamlError, parse_strict

_MOST_PROBLEMS: Final = 5
_MEMBER: Final = re.compile(r"<Effect\.[A-Z]+: ('[a-z]+')>")
"""How pydantic names a member of an enumeration in its messages, and the word that stands in the file."""

_IMAGES: Final = f"{Kind.IMAGE}/"

UserName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._@-]{1,64}$")]
RoleName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=160)]

CHANGES: Final = (Effect.CREATE, Effect.MUTATE, Effect.DESTROY)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class User(_Section):
    """A user, known by the SHA-256 of the API key; the key itself stands nowhere."""

    role: RoleName
    key_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    created: str | None = Field(default=None, description="When the key was made, for people.")


class Rule(_Section):
    """Which calls a rule is about: all given conditions hold. Patterns use `*` and `?`."""

    tools: list[Pattern] = Field(default=["*"], description="Names of tools and prompts, such as `compose-*`.")
    effects: list[Effect] = Field(
        default=list(Effect), description="What the call does: read, create, mutate, destroy."
    )
    objects: list[Pattern] | None = Field(
        default=None, description="Objects such as `container/team-a-*`; the call may touch no others."
    )
    labels: dict[str, Pattern] | None = Field(
        default=None, description="Labels that the objects bear, with patterns for their values."
    )

    images: list[Pattern] | None = Field(
        default=None, description="Images that the call names, such as `nginx:1.*` or `registry.example/team-a/*`."
    )

    def fits_call(self, tool: str, effect: Effect) -> bool:
        return effect in self.effects and any(matches(tool, pattern) for pattern in self.tools)

    @property
    def about_objects(self) -> bool:
        return self.objects is not None or self.labels is not None

    def allows_images(self, images: Sequence[Image]) -> bool:
        """Return whether all ``images`` are of those that the rule names; it stands for others as for none at all."""
        patterns = self._images
        return patterns is None or all(any(pattern.surely_fits(image) for pattern in patterns) for image in images)

    def denies_images(self, images: Sequence[Image]) -> bool:
        """Return whether one of ``images`` may be of those that the rule names."""
        patterns = self._images
        return patterns is None or any(pattern.may_fit(image) for pattern in patterns for image in images)

    def fits_name(self, name: str, *, surely: bool) -> bool:
        """Return whether the rule is about an object of this name: ``surely`` if it allows, else if it may be."""
        if self.objects is None:
            return True
        kind, _, image = name.partition("/")
        return any(
            _fits_image(pattern.removeprefix(_IMAGES), image, surely=surely)
            if kind == Kind.IMAGE and pattern.startswith(_IMAGES)
            else matches(name, pattern)
            for pattern in self.objects
        )

    def fits_labels(self, labels: Mapping[str, str]) -> bool:
        wanted = (self.labels or {}).items()
        return all(key in labels and matches(labels[key], pattern) for key, pattern in wanted)

    @cached_property
    def _images(self) -> list[ImagePattern] | None:
        return None if self.images is None else [ImagePattern.parse(pattern) for pattern in self.images]


class RoleRules(_Section):
    """What a role may do: what an `allow` rule fits and no `deny` rule fits."""

    allow: list[Rule] = []
    deny: list[Rule] = []
    audit: Literal["own", "all"] = Field(default="own", description="Whose records the role sees in the audit trail.")
    secrets: Literal["hidden", "readable"] = Field(
        default="hidden", description="Whether inspections show the role the values of environments, or names only."
    )


class ApprovalRule(Rule):
    """Which changes wait until somebody else approves them: one of its objects fits, if the rule names any."""

    effects: list[Literal[Effect.CREATE, Effect.MUTATE, Effect.DESTROY]] = Field(  # type: ignore[assignment]
        default=list(CHANGES), description="What the call does: create, mutate, destroy; reads never wait."
    )
    roles: list[Pattern] = Field(default=["*"], description="Whose calls wait.")
    approvers: list[RoleName] = Field(default=["admin"], min_length=1, description="Roles that may approve them.")
    expires_s: int = Field(
        default=3600, ge=60, le=2_592_000, description="Seconds after which nobody can approve the call any more."
    )

    def fits_caller(self, role: str) -> bool:
        return any(matches(role, pattern) for pattern in self.roles)


class AutoApprove(_Section):
    """What client configurations mark as safe to call without asking a person. It permits nothing here."""

    add: list[Pattern] = []
    remove: list[Pattern] = []


DEFAULT_ROLES: Final[Mapping[str, RoleRules]] = {
    Role.ADMIN: RoleRules(allow=[Rule()], audit="all"),
    Role.USER: RoleRules(allow=[Rule(effects=[Effect.READ])]),
}


class AuthFile(_Section):
    """The whole file."""

    users: dict[UserName, User] = {}
    roles: dict[RoleName, RoleRules] = Field(default={}, description="Besides `admin` and `user`, or instead of them.")
    host_safety: HostSafety = HostSafety()
    approvals: list[ApprovalRule] = Field(default=[], description="Changes that wait until somebody else approves.")
    auto_approve: AutoApprove = AutoApprove()

    def role(self, name: str) -> RoleRules | None:
        return self.roles.get(name) or DEFAULT_ROLES.get(name)

    @property
    def digest(self) -> str:
        """Names this set of rules in every decision that is recorded."""
        return sha256_hex(canonical_json(_pairs(self.model_dump(mode="json"))))[:16]


def read_auth_file(text: str) -> AuthFile:
    """Return what ``text`` (JSON) says.

    Raises:
        ConfigurationError: with line, place and problem of each thing that is wrong.
    """
    try:
        orjson.loads(text)
        document = parse_strict(text)  # also refuses repeated keys, and knows the line of everything
    except orjson.JSONDecodeError as error:
        raise ConfigurationError(f"the auth file: line {error.lineno}: not JSON", hint="correct the JSON") from None
    except StrictYamlError as error:
        raise ConfigurationError(f"the auth file: {error.message}", hint="correct the JSON") from None
    try:
        read = AuthFile.model_validate_json(orjson.dumps(document.tree))
    except ValidationError as error:
        raise ConfigurationError(f"the auth file: {_explained(error, document)}", hint=_HINT) from None
    if problems := [f"{document.place(path)}: {problem}" for path, problem in _contradictions(read)]:
        raise ConfigurationError(f"the auth file: {'; '.join(problems[:_MOST_PROBLEMS])}", hint=_HINT)
    return read


_HINT: Final = "config/docker_mcp_auth.schema.json describes the file"


def _fits_image(pattern: str, name: str, *, surely: bool) -> bool:
    image, wanted = Image.parse(name), ImagePattern.parse(pattern)
    return wanted.surely_fits(image) if surely else wanted.may_fit(image)


def _contradictions(read: AuthFile) -> list[tuple[tuple[str | int, ...], str]]:
    known = {*DEFAULT_ROLES, *read.roles}
    problems: list[tuple[tuple[str | int, ...], str]] = [
        (("users", name, "role"), f"no such role; roles: {', '.join(sorted(known))}")
        for name, user in read.users.items()
        if user.role not in known
    ]
    problems += [
        (("approvals", number, "approvers"), f"no such role; roles: {', '.join(sorted(known))}")
        for number, rule in enumerate(read.approvals)
        if not known.issuperset(rule.approvers)
    ]
    if Role.SYSTEM in read.roles:
        problems.append((("roles", Role.SYSTEM), "the server's own role cannot be defined"))
    by_key: dict[str, str] = {}
    for name, user in read.users.items():
        if (other := by_key.setdefault(user.key_sha256, name)) != name:
            problems.append((("users", name, "key_sha256"), f"the same key as {other}'s"))
    return problems


def _explained(error: ValidationError, document: Document) -> str:
    problems = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False)[:_MOST_PROBLEMS]:
        path = tuple(part for part in problem["loc"] if part != "[key]")
        said = _MEMBER.sub(r"\1", problem["msg"].removeprefix("Value error, "))
        what = "no such key" if problem["type"] == "extra_forbidden" else said
        problems.append(f"{document.place(path)}: {what}" if path else what)
    return "; ".join(problems)


def _pairs(tree: Any) -> Any:
    """Return the tree in a form that canonical JSON takes: maps as sorted pairs."""
    if isinstance(tree, Mapping):
        return [[key, _pairs(value)] for key, value in sorted(tree.items())]
    return [_pairs(item) for item in tree] if isinstance(tree, list) else tree
