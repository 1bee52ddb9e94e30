"""Of a Compose file only what is known to be harmless reaches Compose; what is refused is told with its place."""

from typing import Any

import orjson
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from domain.errors import InvalidArgumentsError
from domain.stacks.source import MOST_SERVICES, accepted_source
from domain.stacks.strict_yaml import Document, parse_strict
from tests.domain.catalogue.examples import label
from tests.domain.strategies import TEXT

MARKER = "marker4711"
WEB = "services:\n  web:\n    image: nginx\n"
FROM_HOST = "it would be read from the server's own files or environment"
NOT_KNOWN = "not a key that this server knows of Compose"
PROGRAM = "it would run a program on the server"


def accepted(text: str) -> Any:
    return orjson.loads(accepted_source(parse_strict(text)))


def refused(text: str) -> str:
    with pytest.raises(InvalidArgumentsError) as error:
        accepted_source(parse_strict(text))
    assert error.value.code == "invalid_arguments"
    assert MARKER not in error.value.describe()
    return error.value.message


FULL = """\
name: shop
version: "3.8"
services:
  web:
    image: nginx:1.27
    command: [serve, --port, "80"]
    extends: base
    environment: {TOKEN: secret, x-header: kept}
    labels: {x-team: blue}
    ports: ["80:80"]
    volumes: [{type: volume, source: data, target: /data}]
    configs: [site]
    secrets: [key]
    networks: [front]
    depends_on: {db: {condition: service_healthy}}
    deploy: {replicas: 2}
    healthcheck: {test: [CMD, "true"]}
    post_start: [{command: [warm, up]}]
  base:
    image: base
    extends: {service: db}
  db: {image: postgres}
networks: {front: {driver: bridge}, back: }
volumes: {data: }
configs: {site: {content: hello}}
secrets: {key: {external: true}}
"""


def test_what_is_harmless_reaches_compose_as_it_is() -> None:
    assert accepted(FULL) == parse_strict(FULL).tree


IN_SERVICE = {
    "env_file": f"{FROM_HOST}; write the values under environment",
    "label_file": f"{FROM_HOST}; write the labels under labels",
    "credential_spec": FROM_HOST,
    "build": "images are not built here; name one that exists under image",
    "develop": "it watches files of a developer's machine",
    "profiles": "all services of the file are deployed; leave out what shall not run",
    "provider": PROGRAM,
    "models": PROGRAM,
    "use_api_socket": "it would hand the Docker socket to the container",
    "imagee": NOT_KNOWN,
    "Image": NOT_KNOWN,
    "": NOT_KNOWN,
    "services": NOT_KNOWN,
    "include": f"{FROM_HOST}; write everything into one file",
}


@pytest.mark.parametrize("key", IN_SERVICE)
@pytest.mark.parametrize("value", [MARKER, f"[{MARKER}]", f"{{path: {MARKER}}}", "", "true"])
def test_a_service_has_no_key_that_is_not_known_to_be_harmless(key: str, value: str) -> None:
    assert refused(f'{WEB}    "{key}": {value}\n') == f"line 4: services.web.{key}: {IN_SERVICE[key]}"


AT_TOP = {
    "include": f"{FROM_HOST}; write everything into one file",
    "models": PROGRAM,
    "env_file": f"{FROM_HOST}; write the values under environment",
    "build": "images are not built here; name one that exists under image",
    "service": NOT_KNOWN,
    "Services": NOT_KNOWN,
    "X-base": NOT_KNOWN,
}


@pytest.mark.parametrize("key", AT_TOP)
@pytest.mark.parametrize("value", [MARKER, f"[{MARKER}]", ""])
def test_the_file_has_no_key_that_is_not_known_to_be_harmless(key: str, value: str) -> None:
    assert refused(f"{WEB}{key}: {value}\n") == f"line 4: {key}: {AT_TOP[key]}"


@pytest.mark.parametrize("section", ["configs", "secrets"])
@pytest.mark.parametrize("key", ["file", "environment"])
def test_configs_and_secrets_come_from_no_file_and_no_environment(section: str, key: str) -> None:
    told = refused(f"{WEB}{section}:\n  site:\n    {key}: {MARKER}\n")

    instead = "write the text under content" if section == "configs" else "pass the value under the service's"
    assert told.startswith(f"line 6: {section}.site.{key}: {FROM_HOST}; {instead}")


@pytest.mark.parametrize("extends", [f"{{service: base, file: {MARKER}}}", f"{{file: {MARKER}}}", "{file: }"])
def test_a_service_extends_no_other_file(extends: str) -> None:
    assert refused(f"{WEB}    extends: {extends}\n") == f"line 4: services.web.extends.file: {FROM_HOST}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"x-b: &b\n  build: {MARKER}\n{WEB}    <<: *b\n", "line 4: services.web.build"),
        (f"x-b: &b {{env_file: {MARKER}}}\nservices:\n  web: *b\n", "line 3: services.web.env_file"),
        (f"x-s: &s {{web: {{build: {MARKER}}}}}\nservices: *s\n", "line 2: services.web.build"),
        (f"services:\n  x-web: {{build: {MARKER}}}\n", "line 2: services.x-web.build"),
        (f"{WEB}    extends:\n      <<: {{file: {MARKER}}}\n", "line 4: services.web.extends.file"),
        (f"<<: {{include: {MARKER}}}\n{WEB}", "line 1: include"),
        (f"{WEB}secrets:\n  <<: {{key: {{file: {MARKER}}}}}\n", "line 4: secrets.key.file"),
        (f'{WEB}    "build": {MARKER}\n', "line 4: services.web.build"),
        (f'{WEB}    "b\\u0075ild": {MARKER}\n', "line 4: services.web.build"),
    ],
)
def test_no_way_of_writing_hides_a_key(text: str, told: str) -> None:
    assert refused(text).startswith(f"{told}: ")


def test_several_problems_are_told_at_once() -> None:
    told = refused(f"{WEB}    build: {MARKER}\n    env_file: {MARKER}\ninclude: [{MARKER}]\n")

    assert told.split("; ") == [
        "line 6: include: it would be read from the server's own files or environment",
        "write everything into one file",
        "line 4: services.web.build: images are not built here",
        "name one that exists under image",
        "line 5: services.web.env_file: it would be read from the server's own files or environment",
        "write the values under environment",
    ]


@pytest.mark.promise("P9")
@pytest.mark.parametrize(("problems", "more"), [(5, ""), (6, "; and 1 more"), (5_000, "; and 4995 more")])
def test_of_many_problems_the_first_are_told_and_the_others_counted(problems: int, more: str) -> None:
    told = refused(WEB + "".join(f"    key{number}: {MARKER}\n" for number in range(problems)))

    assert told.count(NOT_KNOWN) == 5
    assert told.endswith(NOT_KNOWN + more)


@pytest.mark.promise("P9")
@pytest.mark.parametrize("name", ["k" * 100_000, "a\\nb", "\\e[2J", "\\u202eb"], ids=label)
def test_names_are_told_in_a_form_that_is_safe_to_show(name: str) -> None:
    for text in (f'{WEB}    ? "{name}"\n', f'{WEB}? "{name}"\n', f'services: {{? "{name}" : {{build: x}}}}\n'):
        told = refused(text)
        assert len(told) < 1_000
        assert told.isprintable()


@pytest.mark.parametrize(
    "text",
    ["", "services:", "services: []", "services: {}", "services: web", "- services", "x-a: 1", "name: shop", MARKER,
     "version: '3'\nservices: 0", "services: [web]", '"services ": {web: {image: nginx}}'],
)  # fmt: skip
def test_a_file_without_services_is_refused(text: str) -> None:
    assert refused(text) == "a Compose file has a mapping `services` with at least one service"


@pytest.mark.promise("P9")
def test_a_stack_has_a_limited_number_of_services() -> None:
    services = [f"  s{number}: {{image: {MARKER}}}\n" for number in range(MOST_SERVICES + 1)]

    assert len(accepted("services:\n" + "".join(services[:-1]))["services"]) == 100
    assert refused("services:\n" + "".join(services)) == "a stack has at most 100 services"


def test_extension_fields_are_left_out() -> None:
    text = f"""\
x-base: &base {{image: nginx, x-note: {MARKER}}}
services:
  web: {{<<: *base, x-secret: {MARKER}, labels: {{x-team: blue}}, environment: {{x-y: 1}}}}
  x-web: {{image: nginx}}
networks: {{front: {{x-note: {MARKER}, driver: bridge}}}}
volumes: {{x-data: {{x-note: {MARKER}}}}}
x-list: [{MARKER}]
"""

    assert accepted(text) == {
        "services": {
            "web": {"image": "nginx", "labels": {"x-team": "blue"}, "environment": {"x-y": 1}},
            "x-web": {"image": "nginx"},
        },
        "networks": {"front": {"driver": "bridge"}},
        "volumes": {"x-data": {}},
    }


@pytest.mark.parametrize(
    "text", ["services: {web: }", "services: {web: nginx}", "services: {web: [image]}", f"{WEB}networks: [front]",
             f"{WEB}configs: {MARKER}", f"{WEB}secrets:\n  key: {MARKER}", f"{WEB}volumes: 5"],
)  # fmt: skip
def test_what_has_the_wrong_form_is_left_to_compose(text: str) -> None:
    assert accepted(text) == parse_strict(text).tree


@given(TEXT, TEXT)
@example("a \u2028 b", "a\x85b")
@example("\x7f", "\ufffe")
@example("é🐳", "\b\x1b\ufeff")
def test_compose_reads_the_text_that_was_written(name: str, value: str) -> None:
    """It reads the JSON as YAML, which folds more line breaks than JSON knows and refuses more characters."""
    tree = {"services": {"web": {"environment": {f"X{name}": value}}}}
    source = accepted_source(Document(tree, {}))

    assert parse_strict(source.decode()).tree == tree


KEYS = st.sampled_from(["image", "build", "env_file", "labels", "x-note", "configs", "services", "include", "file"])
VALUES = st.recursive(
    st.sampled_from([MARKER, f"{MARKER}/{MARKER}", f"${{{MARKER}}}", f"{MARKER}: {MARKER}\n{MARKER}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)


@pytest.mark.promise("P6")
@given(st.dictionaries(st.sampled_from(["services", "configs", "secrets", "include", "x-a", "name"]), VALUES))
def test_no_value_is_repeated(tree: dict[str, Any]) -> None:
    document = parse_strict(yaml.safe_dump(tree))
    told = ""
    try:
        accepted_source(document)
    except InvalidArgumentsError as error:
        told = error.describe()
    assert MARKER not in told


SERVICES = st.dictionaries(
    st.sampled_from(["web", "db", "x-job"]),
    st.dictionaries(st.sampled_from([*IN_SERVICE, "image", "command", "x-note", "labels"]), VALUES),
    min_size=1,
)


@given(SERVICES)
def test_what_is_accepted_holds_no_key_that_was_refused(services: dict[str, Any]) -> None:
    document = parse_strict(yaml.safe_dump({"services": services}))
    bad = any(key in IN_SERVICE for service in services.values() for key in service)
    if bad:
        with pytest.raises(InvalidArgumentsError):
            accepted_source(document)
    else:
        assert orjson.loads(accepted_source(document)) == {
            "services": {
                name: {key: value for key, value in service.items() if key != "x-note"}
                for name, service in services.items()
            }
        }
