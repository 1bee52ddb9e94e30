"""The auth file is read strictly: what is wrong is told by line, place and fix."""

import json
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest

from domain.access.auth_file import AuthFile, read_auth_file
from domain.access.tokens import fingerprint
from domain.errors import ConfigurationError

ROOT = Path(__file__).parents[2]
KEY = fingerprint("dmk_x")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "line 1"),
        ("[]", "Input should be"),
        ('{\n "users": {\n  "a": {"role": "admin"}\n }\n}', "line 3: users.a.key_sha256: Field required"),
        ('{\n "user": {}\n}', "line 2: user: no such key"),
        ('{"users": {"a b": {"role": "admin", "key_sha256": "KEY"}}}', "line 1: users.a b"),
        ('{"users": {"local:root": {"role": "admin", "key_sha256": "KEY"}}}', "users.local:root"),
        ('{\n"users": {\n"a": {"role": "boss", "key_sha256": "KEY"}}}', "line 3: users.a.role: no such role"),
        ('{"users": {"a": {"role": "user", "key_sha256": "secret-in-clear"}}}', "users.a.key_sha256"),
        (
            '{"users": {"a": {"role": "user", "key_sha256": "KEY"},\n"b": {"role": "user", "key_sha256": "KEY"}}}',
            "line 2: users.b.key_sha256: the same key as a's",
        ),
        ('{"roles": {"system": {}}}', "roles.system: the server's own role"),
        ('{"roles": {"x": {"allow": [{"effects": ["write"]}]}}}', "roles.x.allow.0.effects.0"),
        ('{"approvals": [{"effects": ["read"]}]}', "effects.0: Input should be 'create', 'mutate' or 'destroy'"),
        ('{"roles": {"x": {"allow": "all"}}}', "roles.x.allow"),
        ('{"roles": {"x": {}, "x": {}}}', "roles.x stands here twice"),
    ],
)
def test_what_is_wrong_is_told_by_line_and_place(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        read_auth_file(text.replace("KEY", KEY))
    assert told in error.value.message
    assert "secret-in-clear" not in error.value.describe()


def test_a_right_file_is_read() -> None:
    read = read_auth_file(json.dumps({"users": {"a": {"role": "team", "key_sha256": KEY}}, "roles": {"team": {}}}))
    assert read.users["a"].role == "team"
    assert read.role("admin") is not None
    assert read.role("nobody") is None


def test_the_shipped_schema_is_current_and_the_example_fits_it() -> None:
    schema = json.loads((ROOT / "config/docker_mcp_auth.schema.json").read_text())
    assert schema == {"$schema": "https://json-schema.org/draft/2020-12/schema", **AuthFile.model_json_schema()}
    example = (ROOT / "config/docker_mcp_auth.json").read_text()
    jsonschema.Draft202012Validator(schema).validate(json.loads(example))
    assert read_auth_file(example).users
