"""Tokens: only the server makes them, and they end by time, by a new key, or with their user."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.access.tokens import LONGEST_CREDENTIAL, Token, fingerprint, issue, key_matches, parse, refusal

SECRET = b"s" * 32
KEY = fingerprint("dmk_one")
NAMES = st.from_regex(r"[A-Za-z0-9._@-]{1,64}", fullmatch=True)
TIMES = st.integers(1, 10**11)


@given(NAMES, TIMES, st.binary(min_size=16, max_size=64))
def test_a_token_comes_back_from_its_text_and_is_believed(name: str, now_s: int, secret: bytes) -> None:
    token = issue(secret, name, KEY, now_s)
    assert token.text().count(":") == 2
    assert parse(token.text()) == token
    assert refusal(token, secret, KEY, now_s, 3600) is None


@given(st.text(max_size=700))
def test_other_text_is_no_token(text: str) -> None:
    token = parse(text)
    assert token is None or token.text() == text
    assert len(text) <= LONGEST_CREDENTIAL or token is None


@pytest.mark.promise("P7")
@given(NAMES, NAMES, TIMES, st.integers(1, 10**6))
def test_no_part_of_a_token_can_be_changed(name: str, other: str, now_s: int, seconds: int) -> None:
    token = issue(SECRET, name, KEY, now_s)
    forged = [Token(name, now_s + seconds, token.signature), Token(name, now_s, token.signature[::-1])]
    if other != name:
        forged.append(Token(other, now_s, token.signature))
    for each in forged:
        assert each == token or refusal(each, SECRET, KEY, now_s, 3600) == "forged"
    assert refusal(token, SECRET, fingerprint("dmk_two"), now_s, 3600) == "forged", "another key"
    assert refusal(token, b"t" * 32, KEY, now_s, 3600) == "forged", "another server"


@pytest.mark.promise("P7")
@given(NAMES, TIMES, st.data())
def test_a_token_with_any_character_changed_added_or_left_out_is_refused(
    name: str, now_s: int, data: st.DataObject
) -> None:
    text = issue(SECRET, name, KEY, now_s).text()
    place = data.draw(st.integers(0, len(text) - 1))
    sign = data.draw(st.sampled_from("0aA9:._@-\n\0é \u0660") | st.characters())
    for changed in (
        text[:place] + sign + text[place + 1 :],
        text[:place] + sign + text[place:],
        text[:place] + text[place + 1 :],
        text + sign,
    ):
        token = parse(changed)
        believed = token is not None and refusal(token, SECRET, KEY, now_s, 3600) is None
        assert believed == (changed == text)


@pytest.mark.promise("P7")
@given(NAMES, NAMES, TIMES, TIMES)
def test_no_two_tokens_are_signed_over_the_same_text(name: str, other: str, now_s: int, later_s: int) -> None:
    """Names and times are told apart wherever one ends and the next begins."""
    one, two = issue(SECRET, name, KEY, now_s), issue(SECRET, other, KEY, later_s)
    assert (one.signature == two.signature) == ((name, now_s) == (other, later_s))


@pytest.mark.parametrize(
    ("age_s", "why"),
    [(0, None), (3599, None), (3600, "expired"), (10**6, "expired"), (-59, None), (-61, "from_the_future")],
)
def test_a_token_is_good_for_its_lifetime(age_s: int, why: str | None) -> None:
    assert refusal(issue(SECRET, "alice", KEY, 10**7), SECRET, KEY, 10**7 + age_s, 3600) == why


@pytest.mark.parametrize(
    "text",
    [
        "a:1:" + "0" * 63,
        "a:0:" + "0" * 64,
        "a:1:" + "G" * 64,
        "a:-1:" + "0" * 64,
        "a:b:1:" + "0" * 64,
        "ä:1:" + "0" * 64,
        ":1:" + "0" * 64,
        "a:1:" + "0" * 64 + "\n",
        "a:١:" + "0" * 64,
        "a" * 65 + ":1:" + "0" * 64,
        "x" * 10_000,
        "",
    ],
)
def test_malformed_tokens_are_not_taken_apart(text: str) -> None:
    assert parse(text) is None


def test_a_key_is_known_by_its_fingerprint() -> None:
    assert key_matches("dmk_one", KEY)
    assert not key_matches("dmk_One", KEY)
    assert not key_matches("", KEY)
