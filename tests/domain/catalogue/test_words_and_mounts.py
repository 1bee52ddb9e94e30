"""Command lines and mounts: what they mean, and that nothing else gets through."""

import functools
import itertools

import pytest
from hypothesis import given

from domain.catalogue.values import Mount, check_probe, parse_mount, parse_words
from tests.domain.catalogue.examples import label
from tests.domain.catalogue.texts import NEAR, quietly
from tests.domain.strategies import ANY_TEXT


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("sleep 1", ["sleep", "1"]),
        ("sh -c 'echo a b'", ["sh", "-c", "echo a b"]),
        ('echo "a \\"b\\""', ["echo", 'a "b"']),
        ("echo a\\ b", ["echo", "a b"]),
        ("echo # no comment", ["echo", "#", "no", "comment"]),
        ("echo ''", ["echo", ""]),
        ("''", [""]),
        (["sh", "-c", "it's fine"], ["sh", "-c", "it's fine"]),
        ([""], [""]),
    ],
)
def test_command_lines(command: str | list[str], words: list[str]) -> None:
    assert parse_words(command) == words


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("it's", "quotes are not balanced"),
        ('"', "quotes are not balanced"),
        ("a\\", "quotes are not balanced"),
        ("", "at least one word"),
        ("  \t\n", "at least one word"),
        ([], "at least one word"),
        ("a" * 1_000_000, "at most 32768 characters"),
    ],
    ids=label,
)
def test_what_is_no_command_line(command: str | list[str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_words(command)


@pytest.mark.parametrize(
    "command", ["curl -f http://localhost/ || exit 1", "it's up", "true # don't", ["true"], ["", "x"]]
)
def test_a_health_check_is_for_the_containers_own_shell_to_read(command: str | list[str]) -> None:
    check_probe(command)


@pytest.mark.parametrize("command", ["", "   ", "\n", [], [""], ["", " "]], ids=label)
def test_a_health_check_that_checks_nothing_is_refused(command: str | list[str]) -> None:
    with pytest.raises(ValueError, match="a health check needs a command"):
        check_probe(command)


@pytest.mark.parametrize(
    ("source", "target", "mount"),
    [
        ("/host", "/data", Mount("/host", "/data", "rw")),
        ("data", "/data", Mount("data", "/data", "rw")),
        ("my-data_1.x", "/data:ro", Mount("my-data_1.x", "/data", "ro")),
        ("/a b", "/c d:ro,z", Mount("/a b", "/c d", "ro,z")),
        ("data", "/data:", Mount("data", "/data", "rw")),
        ("/host", "/data:rw,rshared,Z", Mount("/host", "/data", "rw,rshared,Z")),
        ("data", "/data:nocopy", Mount("data", "/data", "nocopy")),
        ("/", "/host:ro", Mount("/", "/host", "ro")),
    ],
)
def test_mounts(source: str, target: str, mount: Mount) -> None:
    assert parse_mount(source, target) == mount


@pytest.mark.parametrize(
    ("source", "target", "told"),
    [
        ("/host", "data", "absolute path"),
        ("/host", "", "absolute path"),
        ("/host", "/", "absolute path"),
        ("/host", "/:ro", "absolute path"),
        ("/host", "./data", "absolute path"),
        ("/host", ":ro", "absolute path"),
        ("", "/data", "absolute host path or a volume name"),
        ("./host", "/data", "absolute host path or a volume name"),
        ("../host", "/data", "absolute host path or a volume name"),
        ("~/host", "/data", "absolute host path or a volume name"),
        ("-v", "/data", "absolute host path or a volume name"),
        (".data", "/data", "absolute host path or a volume name"),
        ("a", "/data", "absolute host path or a volume name"),
        ("da ta", "/data", "absolute host path or a volume name"),
        ("data\n", "/data", "absolute host path or a volume name"),
        ("dâta", "/data", "absolute host path or a volume name"),
        ("C:\\host", "/data", "absolute host path or a volume name"),
        ("/ho:st", "/data", "cannot contain a colon"),
        ("/host", "/data:rx", "1 unknown mount option"),
        ("/host", "/data:ro:rw", "1 unknown mount option"),
        ("/host", "/data:RO,exec", "2 unknown mount option"),
        ("/host", "/data: ro", "1 unknown mount option"),
    ],
)
def test_what_is_no_mount(source: str, target: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_mount(source, target)


@given(ANY_TEXT | NEAR, ANY_TEXT | NEAR)
def test_any_texts_are_a_mount_or_refused(source: str, target: str) -> None:
    for first, second in itertools.product((source, f"/{source}"), (target, f"/{target}")):
        mount = quietly(functools.partial(parse_mount, first, second))
        if mount is not None:
            assert mount.source == first
            assert mount.target.startswith("/")
            assert ":" not in mount.source + mount.target
            assert second in {mount.target, f"{mount.target}:", f"{mount.target}:{mount.options}"} or "," in second
