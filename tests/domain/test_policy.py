"""What no rule of the auth file allows is denied."""

import orjson
import pytest

from domain.access.auth_file import AuthFile, read_auth_file
from domain.catalogue.tool import Effect
from domain.objects import Touched
from domain.policy import Narrowing, Policy, Verdict
from domain.principal import ANONYMOUS, SYSTEM, Principal, Role

TEAM = {
    "allow": [
        {"effects": ["read"], "tools": ["list-*", "get-logs", "inspect-container"], "objects": ["container/team-a-*"]},
        {"tools": ["*-container"], "objects": ["container/team-a-*"], "labels": {"tier": "test*"}},
        {"tools": ["image-list"]},
    ],
    "deny": [{"tools": ["remove-container"], "objects": ["container/team-a-db"]}, {"tools": ["restart-container"]}],
}
ALICE = Principal("alice", "team")
OURS = Touched("container/team-a-web", {"tier": "testing"})
PRODUCTION = Touched("container/team-a-web", {"tier": "production"})
THEIRS = Touched("container/team-b-web", {"tier": "testing"})
DATABASE = Touched("container/team-a-db", {"tier": "test"})


def policy(**roles: object) -> Policy:
    return Policy(read_auth_file(orjson.dumps({"roles": roles}).decode()))


@pytest.mark.promise("P7")
@pytest.mark.parametrize("effect", Effect)
@pytest.mark.parametrize(
    ("principal", "allowed"),
    [
        (Principal("a", Role.ADMIN), set(Effect)),
        (Principal("u", Role.USER), {Effect.READ}),
        (Principal("x", "undefined"), set()),
        (ANONYMOUS, set()),
        (SYSTEM, set()),
    ],
    ids=lambda value: value.role if isinstance(value, Principal) else "",
)
def test_without_an_auth_file_admins_do_everything_and_users_read(
    principal: Principal, allowed: set[Effect], effect: Effect
) -> None:
    decision = Policy(AuthFile()).decide(principal, "any-tool", effect, [Touched("container/x")])
    assert decision.allowed == (effect in allowed)
    assert decision.rule == f"role-{principal.role}"


@pytest.mark.promise("P7")
@pytest.mark.parametrize(
    ("tool", "effect", "touched", "verdict"),
    [
        ("stop-container", Effect.MUTATE, [OURS], Verdict.ALLOW),
        ("stop-container", Effect.MUTATE, [PRODUCTION], Verdict.DENY),
        ("stop-container", Effect.MUTATE, [THEIRS], Verdict.DENY),
        ("stop-container", Effect.MUTATE, [OURS, THEIRS], Verdict.DENY),
        ("stop-container", Effect.MUTATE, None, Verdict.OPEN),
        ("get-logs", Effect.READ, [PRODUCTION], Verdict.ALLOW),
        ("remove-container", Effect.DESTROY, [OURS], Verdict.ALLOW),
        ("remove-container", Effect.DESTROY, [DATABASE], Verdict.DENY),
        ("restart-container", Effect.MUTATE, [OURS], Verdict.DENY),
        ("restart-container", Effect.MUTATE, None, Verdict.DENY),
        ("list-containers", Effect.READ, [], Verdict.ALLOW),
        ("network-remove", Effect.DESTROY, [Touched("network/team-a-net")], Verdict.DENY),
        ("image-list", Effect.READ, None, Verdict.ALLOW),
        ("create-container", Effect.CREATE, [Touched("container/team-a-new", {"tier": "test"})], Verdict.ALLOW),
        ("create-container", Effect.CREATE, [Touched("container/team-a-new")], Verdict.DENY),
        ("create-container", Effect.CREATE, [OURS, Touched("network/prod")], Verdict.DENY),
        ("create-container", Effect.CREATE, [Touched("container/")], Verdict.DENY),
    ],
)
def test_rules_look_at_tools_effects_names_and_labels(
    tool: str, effect: Effect, touched: list[Touched] | None, verdict: Verdict
) -> None:
    assert policy(team=TEAM).decide(ALICE, tool, effect, touched).verdict is verdict


@pytest.mark.promise("P7")
def test_lists_show_what_the_role_may_see() -> None:
    may_see = policy(team=TEAM).sight(ALICE, "list-containers", Effect.READ)
    assert [may_see(each.name, each.labels) for each in (OURS, PRODUCTION, THEIRS)] == [True, True, False]


@pytest.mark.promise("P7")
def test_the_operator_narrows_every_role() -> None:
    admin = Principal("a", Role.ADMIN)
    narrowed = Policy(AuthFile(), Narrowing(read_only=True, tools=frozenset({"get-logs", "stop-container"})))
    assert narrowed.decide(admin, "get-logs", Effect.READ).allowed
    assert not narrowed.decide(admin, "stop-container", Effect.MUTATE).allowed
    assert not narrowed.decide(admin, "list-containers", Effect.READ).allowed
    assert narrowed.decide(admin, "stop-container", Effect.MUTATE).reason == "this server is read-only"


def test_a_role_can_be_defined_anew() -> None:
    decision = policy(user={"allow": [{"tools": ["get-logs"]}]}).decide(
        Principal("u", "user"), "image-list", Effect.READ
    )
    assert not decision.allowed


def test_who_sees_whose_records() -> None:
    rules = policy(auditor={"allow": [{"tools": ["audit-logs"]}], "audit": "all"})
    roles = (Role.ADMIN, Role.USER, "auditor", "none")
    assert [rules.sees_all_records(Principal("p", role)) for role in roles] == [True, False, True, False]


def test_who_reads_secrets_is_said_in_the_role_and_nowhere_else() -> None:
    rules = policy(auditor={"secrets": "readable"}, other={"allow": [{}]}, reader={"secrets": "hidden"})
    roles = ("auditor", "other", "reader", Role.ADMIN, Role.USER, "none")
    assert [rules.reads_secrets(Principal("p", role)) for role in roles] == [True, *[False] * 5]
    assert policy(admin={"allow": [{}], "secrets": "readable"}).reads_secrets(Principal("a", Role.ADMIN))


# --- images ---------------------------------------------------------------------------------------------------------

TEAM_IMAGES = {
    "allow": [
        {"tools": ["create-container", "stop-container", "deploy-compose"], "images": ["nginx:1.*", "reg.example/a/*"]},
        {"tools": ["image-pull"], "objects": ["image/reg.example/a/*"]},
    ],
    "deny": [{"images": ["reg.example/a/bad:*"]}, {"images": ["nginx:1.0"], "objects": ["container/web"]}],
}


@pytest.mark.promise("P7")
@pytest.mark.parametrize(
    ("tool", "objects", "images", "verdict"),
    [
        ("create-container", [], ["nginx:1.27"], Verdict.ALLOW),
        ("create-container", [], ["docker.io/library/nginx:1.27"], Verdict.ALLOW),
        ("create-container", [], ["nginx"], Verdict.DENY),
        ("create-container", [], ["nginx:1.27@sha256:0a"], Verdict.DENY),
        ("create-container", [], ["evil/nginx:1.27"], Verdict.DENY),
        ("create-container", [], ["0a1b2c"], Verdict.DENY),
        ("create-container", [], ["reg.example/a/b/c@sha256:0a"], Verdict.ALLOW),
        ("create-container", [], ["reg.example/a/bad:2"], Verdict.DENY),
        ("create-container", [], ["reg.example:443/a/bad@sha256:0a"], Verdict.DENY),
        ("create-container", [Touched("container/web")], ["nginx:1.0"], Verdict.DENY),
        ("create-container", [Touched("container/other")], ["nginx:1.0"], Verdict.ALLOW),
        ("create-container", None, ["nginx:1.0"], Verdict.OPEN),
        ("create-container", None, ["evil/nginx:1.0"], Verdict.DENY),
        ("deploy-compose", [], ["nginx:1.1", "reg.example/a/b"], Verdict.ALLOW),
        ("deploy-compose", [], ["nginx:1.1", "redis"], Verdict.DENY),
        ("deploy-compose", None, None, Verdict.OPEN),
        ("deploy-compose", [], None, Verdict.OPEN),
        ("stop-container", [Touched("container/web")], [], Verdict.ALLOW),
        ("stop-container", None, [], Verdict.ALLOW),
        ("image-pull", [Touched("image/reg.example/a/b")], ["reg.example/a/b"], Verdict.ALLOW),
        ("image-pull", [Touched("image/REG.example:443/a/b")], ["REG.example:443/a/b"], Verdict.ALLOW),
        ("image-pull", [Touched("image/reg.example/b/b")], ["reg.example/b/b"], Verdict.DENY),
    ],
)
def test_rules_look_at_images(
    tool: str, objects: list[Touched] | None, images: list[str] | None, verdict: Verdict
) -> None:
    """Calls that name no image are left alone by conditions about images."""
    rules = policy(team=TEAM_IMAGES)
    assert rules.decide(ALICE, tool, Effect.CREATE, objects, images).verdict is verdict


@pytest.mark.promise("P7")
def test_all_images_of_a_call_have_to_fit_one_rule() -> None:
    rules = policy(team={"allow": [{"images": ["nginx"]}, {"images": ["redis"]}]})
    decisions = [rules.decide(ALICE, "t", Effect.CREATE, [], images) for images in (["nginx"], ["nginx", "redis"])]
    assert [decision.allowed for decision in decisions] == [True, False]


# --- stacks ---------------------------------------------------------------------------------------------------------


def stack(*parts: Touched) -> Touched:
    return Touched("stack/shop", {}, parts)


WEB, DB = Touched("container/shop-web-1", {"team": "a"}), Touched("container/db", {"team": "b"})


@pytest.mark.promise("P7")
@pytest.mark.parametrize(
    ("role", "touched", "allowed"),
    [
        ({"allow": [{"objects": ["stack/shop"]}]}, stack(WEB, DB), True),
        ({"allow": [{"objects": ["container/*"]}]}, stack(WEB, DB), False),
        ({"allow": [{"labels": {"team": "a"}}]}, stack(WEB), True),
        ({"allow": [{"labels": {"team": "a"}}]}, stack(WEB, DB), False),
        ({"allow": [{"labels": {"team": "a"}}, {"labels": {"team": "b"}}]}, stack(WEB, DB), False),
        ({"allow": [{"labels": {"team": "a"}}]}, stack(), False),
        ({"allow": [{"labels": {"team": "a"}, "objects": ["stack/other"]}]}, stack(WEB), False),
        ({"allow": [{}], "deny": [{"objects": ["container/db"]}]}, stack(WEB, DB), False),
        ({"allow": [{}], "deny": [{"objects": ["container/db"]}]}, stack(WEB), True),
        ({"allow": [{}], "deny": [{"labels": {"team": "b"}}]}, stack(WEB, DB), False),
        ({"allow": [{}], "deny": [{"labels": {"team": "b"}}]}, stack(WEB), True),
        ({"allow": [{}], "deny": [{"objects": ["stack/s*"]}]}, stack(), False),
    ],
)
def test_a_stack_is_judged_by_its_parts(role: dict[str, object], touched: Touched, allowed: bool) -> None:
    """Allowed by its name, and by labels that all parts bear; denied by any part."""
    rules = policy(team=role)
    assert rules.decide(ALICE, "compose-stop", Effect.MUTATE, [touched]).allowed == allowed
    assert rules.sight(ALICE, "compose-list", Effect.READ)(touched.name, {}, touched.parts) == allowed


@pytest.mark.promise("P7")
@pytest.mark.parametrize(
    ("rule", "images", "verdict"),
    [
        ({"images": ["reg.example/*"]}, ["nginx", "REG.example:443/a"], Verdict.DEFER),
        ({"images": ["reg.example/*"]}, ["nginx"], Verdict.ALLOW),
        ({"images": ["reg.example/*"]}, [], Verdict.ALLOW),
        ({"images": ["reg.example/*"]}, ["0a1b"], Verdict.DEFER),
        ({"images": ["reg.example/*"]}, None, Verdict.OPEN),
        ({"objects": ["container/db"]}, [], Verdict.DEFER),
        ({"labels": {"team": "b"}}, [], Verdict.DEFER),
        ({"labels": {"team": "c"}}, [], Verdict.ALLOW),
        ({"objects": ["container/db"], "images": ["nginx"]}, ["redis"], Verdict.ALLOW),
    ],
)
def test_what_waits_for_approval_is_recognised_as_what_is_denied_is(
    rule: dict[str, object], images: list[str] | None, verdict: Verdict
) -> None:
    """One image, or one part of a stack, is enough."""
    rules = Policy(read_auth_file(orjson.dumps({"approvals": [rule]}).decode()))
    admin = Principal("a", Role.ADMIN)
    assert rules.decide(admin, "deploy-compose", Effect.MUTATE, [stack(WEB, DB)], images).verdict is verdict


def test_the_digest_names_the_rules() -> None:
    texts = ["{}", '{"roles": {"a": {}}}', '{"roles": {"a": {"allow": [{}]}}}', '{"roles": {"b": {"allow": [{}]}}}']
    digests = [Policy(read_auth_file(text)).digest for text in texts]
    assert len(set(digests)) == len(texts)
    assert all(len(digest) == 16 and int(digest, 16) >= 0 for digest in digests)
    one, other = '{"roles": {"a": {}, "b": {"audit": "all"}}}', '{"roles": {"b": {"audit": "all"}, "a": {}}}'
    assert Policy(read_auth_file(one)).digest == Policy(read_auth_file(other)).digest
