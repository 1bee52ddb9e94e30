"""Text that a caller chose is safe in a column, on a terminal and in the record hash."""

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.text import COLUMN_LIMIT, column_text, optional_column_text
from tests.domain.strategies import ANY_TEXT

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
LONG = st.integers(0, 300).flatmap(lambda n: ANY_TEXT.map(lambda text: text + "e" * n + text))
LIMITS = st.integers(1, 300)


@given(ANY_TEXT | LONG, LIMITS)
@example("e" * 256 + "\u0301", 256)
@example("\u0958" * 256, 256)
@example(" " * 300 + "x" + " " * 300, 256)
@example("x " * 300, 256)
@example("\ud800" * 300, 256)
@example("\u1100\u1161\u11a8" * 100, 256)
def test_column_text_is_a_protected_string_of_the_contract(text: str, limit: int) -> None:
    safe = column_text(text, limit)

    assert len(safe) <= limit
    assert len(safe.encode("utf-16-le")) // 2 <= 8192
    assert unicodedata.is_normalized("NFC", safe)
    assert safe == safe.strip(" ")
    assert not [character for character in safe if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}]
    assert not set(safe) & set(BIDI)


@given(ANY_TEXT | LONG, LIMITS)
def test_column_text_of_column_text_is_the_same(text: str, limit: int) -> None:
    assert column_text(column_text(text, limit), limit) == column_text(text, limit)


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=COLUMN_LIMIT))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert column_text(text) == unicodedata.normalize("NFC", text)[:COLUMN_LIMIT]


@given(st.text(st.characters(), max_size=20))
def test_nothing_that_was_written_disappears_but_spaces_at_the_ends(text: str) -> None:
    assert len(column_text(text)) >= len(unicodedata.normalize("NFC", text.strip(" ")))


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("x " * 128 + "x", "x " * 127 + "x"),
        ("web", "web"),
        ("  web  ", "web"),
        ("\tweb\n", "\\u0009web\\u000a"),
        ("a\x00b", "a\\u0000b"),
        ("a\x1b[31mred", "a\\u001b[31mred"),
        ("a\x7f\x9b", "a\\u007f\\u009b"),
        ("\ud800", "\\ud800"),
        ("a\u202eb", "a\\u202eb"),
        ("a\u2028b", "a\\u2028b"),
        ("cafe\u0301", "café"),
        ("\xa0web\u3000", "\xa0web\u3000"),
        ("name 🐳", "name 🐳"),
    ],
)
def test_unsafe_characters_are_written_out(text: str, safe: str) -> None:
    assert column_text(text) == safe


def test_text_after_many_spaces_is_not_lost() -> None:
    assert column_text(" " * 10_000 + "web") == "web"


def test_long_text_is_cut() -> None:
    assert column_text("x" * 10_000_000) == "x" * COLUMN_LIMIT
    assert column_text("x" * 10_000_000, 10) == "x" * 10


@pytest.mark.parametrize(("text", "kept"), [(None, None), ("", None), ("   ", None), (" a ", "a"), ("\n", "\\u000a")])
def test_optional_text_with_nothing_to_read_is_none(text: str | None, kept: str | None) -> None:
    assert optional_column_text(text) == kept


@given(ANY_TEXT)
def test_a_line_stays_one_line(text: str) -> None:
    assert re.fullmatch(r"[^\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]*", column_text(text))
    assert len(column_text(text).splitlines()) <= 1
