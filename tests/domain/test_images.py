"""However an image is spelled, rules see the same one; what cannot be told is never allowed and always denied."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.access.images import Image, ImagePattern

pytestmark = pytest.mark.promise("P7")

DIGEST = "sha256:" + "0a" * 32
WORDS = st.from_regex(r"[a-z][a-z0-9]{0,6}([._-][a-z0-9]{1,4}){0,2}", fullmatch=True)
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,8}", fullmatch=True)
DIGESTS = st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)
REGISTRIES = st.sampled_from(["registry.example", "localhost", "10.0.0.1:5000", "ghcr.io", "[::1]:5000", "reg:80"])


@st.composite
def spellings(draw: st.DrawFn) -> tuple[str, str]:
    """Two spellings of one image."""
    if draw(st.booleans()):
        registry = draw(REGISTRIES)
        path = "/".join(draw(st.lists(WORDS, min_size=1, max_size=3)))
        others = [f"{registry}/{path}", f"{registry.upper()}/{path}", f"{registry.title()}/{path}"]
        if ":" not in registry:
            others.append(f"{registry}:443/{path}")
    else:
        namespace, name = draw(st.sampled_from(["library", "team"])), draw(WORDS)
        hosts = ["docker.io", "index.docker.io", "registry-1.docker.io", "docker.io:443", "Docker.IO"]
        others = [f"{host}/{namespace}/{name}" for host in hosts] + [f"{namespace}/{name}"]
        others += [name, f"docker.io/{name}", f"index.docker.io/{name}"] if namespace == "library" else []
    tag, digest = draw(TAGS), draw(DIGESTS)
    versions = draw(
        st.sampled_from([["", ":latest"], [f":{tag}"], [f"@{digest}", f":{tag}@{digest}", f":latest@{digest}"]])
    )
    one, other = (draw(st.sampled_from(others)) + draw(st.sampled_from(versions)) for _ in range(2))
    for spelling in (one, other):
        assume(not set(spelling) <= set("0123456789abcdef"))  # it could be an id
    return one, other


@given(spellings())
def test_every_spelling_of_an_image_is_the_same_image(pair: tuple[str, str]) -> None:
    one, other = map(Image.parse, pair)
    assert one == other
    assert one.name
    assert Image.parse(one.text()) == one


@given(spellings(), spellings())
def test_no_pattern_tells_spellings_apart(pair: tuple[str, str], pattern: tuple[str, str]) -> None:
    one, other = map(Image.parse, pair)
    for rule in map(ImagePattern.parse, (*pattern, *pair)):
        assert rule.surely_fits(one) == rule.surely_fits(other)
        assert rule.may_fit(one) == rule.may_fit(other)


@given(spellings())
def test_an_image_fits_every_spelling_of_itself(pair: tuple[str, str]) -> None:
    image = Image.parse(pair[0])
    for spelling in (*pair, image.text()):
        rule = ImagePattern.parse(spelling)
        assert rule.surely_fits(image)
        assert rule.may_fit(image)


@given(st.text(max_size=40), st.text(max_size=40))
def test_what_is_surely_one_of_these_may_be_one_and_no_text_breaks_it(pattern: str, reference: str) -> None:
    rule, image = ImagePattern.parse(pattern), Image.parse(reference)
    assert not rule.surely_fits(image) or rule.may_fit(image)


@pytest.mark.parametrize(
    "reference",
    [
        *("0a1b", "0" * 64, "sha256:0a1b", DIGEST, "SHA256:0A", "e"),
        *("", ":", "a:", "@", "a@", "a@x", "/a", "a/", "a//b", "reg.example/", "a b", "a:b c", "nginx\n", "ä", "a:b:c"),
        *("HOST/app", "a@sha256:0a@sha256:0b", "reg.example/../a", "x.y/a/./b"),
    ],
)
def test_what_may_be_an_id_or_is_no_reference_is_no_known_image(reference: str) -> None:
    """The engine takes the id of an image that it has, under whatever name that was pulled."""
    image = Image.parse(reference)
    assert image == Image()
    assert not any(ImagePattern.parse(each).surely_fits(image) for each in ("docker.io/*", "library/*", "*/*", "*:*a"))
    assert ImagePattern.parse("*").surely_fits(image)
    assert ImagePattern.parse("evil/*").may_fit(image)


@pytest.mark.parametrize(
    ("pattern", "reference", "allowed", "denied"),
    [
        ("nginx", "nginx", True, True),
        ("nginx", "nginx:1.27", True, True),
        ("nginx", f"nginx@{DIGEST}", True, True),
        ("nginx", "other/nginx", False, False),
        ("nginx:*", f"nginx@{DIGEST}", True, True),
        ("nginx:latest", "nginx", True, True),
        ("nginx:1.*", "nginx:1.27", True, True),
        ("nginx:1.*", "nginx:2", False, False),
        ("nginx:1.*", f"nginx:1.27@{DIGEST}", False, True),
        (f"nginx@{DIGEST}", f"nginx:evil@{DIGEST}", True, True),
        (f"nginx@{DIGEST}", "nginx:1", False, False),
        ("nginx@sha256:*", "nginx:1", False, False),
        ("registry.example/team-a/*", "registry.example/team-a/app:1", True, True),
        ("registry.example/team-a/*", "registry.example/team-a/deep/app", True, True),
        ("registry.example/team-a/*", "registry.example:443/team-a/app", True, True),
        ("registry.example/team-a/*", "registry.example:5000/team-a/app", False, False),
        ("registry.example/team-a/*", "registry.example/team-ab/app", False, False),
        ("registry.example/team-a/*", "registry.example.evil/team-a/app", False, False),
        ("registry.example/*:stable", "registry.example/a/b:stable", True, True),
        ("registry.example/*:stable", "registry.example/a/b", False, False),
        ("localhost:5000/*", "LOCALHOST:5000/a", True, True),
        ("team/*", "docker.io/team/app", True, True),
        ("team/*", "registry.example/team/app", False, False),
        ("library/*", "nginx", True, True),
        ("docker.io/*", "team/app", True, True),
        ("index.docker.io/library/nginx", "nginx:1", True, True),
        ("ngin?", "nginx", True, True),
        ("*/nginx", "registry.example/x/nginx:2", True, True),
        ("*/nginx", "nginx", True, True),
        ("*:latest", "registry.example/x", True, True),
        ("*", "anything/at-all:1", True, True),
        ("[::1]:5000/a", "[::1]:5000/a:2", True, True),
        ("[abc]/x", "a/x", False, False),
    ],
)
def test_patterns(pattern: str, reference: str, allowed: bool, denied: bool) -> None:
    rule, image = ImagePattern.parse(pattern), Image.parse(reference)
    assert (rule.surely_fits(image), rule.may_fit(image)) == (allowed, denied)
