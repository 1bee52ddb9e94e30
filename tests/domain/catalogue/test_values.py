"""The small languages of Docker's command line: what they mean, and that nothing else gets through."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.catalogue.values import (
    check_probe,
    parse_bytes,
    parse_duration_ns,
    parse_moment_ms,
    parse_nano_cpus,
    parse_restart_policy,
    parse_words,
)
from tests.domain.catalogue.examples import label
from tests.domain.catalogue.texts import NEAR, quietly
from tests.domain.strategies import ANY_TEXT

MOST = 2**63 - 1
LONG = "9" * 1_100_000
"""More digits than a decimal number may have."""


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0s", 0),
        ("1ns", 1),
        ("1us", 1_000),
        ("1µs", 1_000),
        ("500ms", 500_000_000),
        ("30s", 30 * 10**9),
        ("1m30s", 90 * 10**9),
        ("1.5h", 5_400 * 10**9),
        ("1h2m3s4ms5us6ns", 3_723_004_005_006),
        ("0.1s", 10**8),
        ("0.0000000001s", 0),
        ("1s1s", 2 * 10**9),
        ("9223372036854775807ns", MOST),
    ],
)
def test_durations(text: str, nanoseconds: int) -> None:
    assert parse_duration_ns(text) == nanoseconds


@pytest.mark.parametrize(
    "text",
    ["", "30", "s", "-1s", "+1s", "1 s", " 1s", "1s ", "1s\n", "1d", "1S", "1,5s", ".5s", "5.s", "1e3s", "٣s", "1s\x00",
     "9223372036854775808ns", "2562048h", "never", f"{LONG}h"],
    ids=label,
)  # fmt: skip
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="a duration is"):
        parse_duration_ns(text)


@given(st.integers(0, MOST))
def test_a_duration_in_nanoseconds_is_exact(nanoseconds: int) -> None:
    assert parse_duration_ns(f"{nanoseconds}ns") == nanoseconds


NOW = 1_780_000_000_000


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("10m", NOW - 600_000),
        ("2h", NOW - 7_200_000),
        ("3d", NOW - 259_200_000),
        ("1d12h", NOW - 129_600_000),
        ("now", NOW),
        ("today", 1_779_926_400_000),
        ("yesterday", 1_779_840_000_000),
        ("1.5s", NOW - 1_500),
        ("999us", NOW),
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.001Z", 1),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:59:59.999Z", -1),
        ("2026-01-31", 1_769_817_600_000),
        ("2026-01-31T12:00:00", 1_769_860_800_000),
        ("2026-01-31 12:00:00Z", 1_769_860_800_000),
        ("2026-01-31T12:00:00.123456Z", 1_769_860_800_123),
    ],
)
def test_moments(text: str, milliseconds: int) -> None:
    assert parse_moment_ms(text, NOW) == milliseconds


@pytest.mark.parametrize(
    "text",
    ["", "tomorrow", "d", "1.5d", "3d ago", "999999d", "10", "12:00", "2026-13-01", "2026-02-30",
     "2026-01-31T25:00:00Z", "2026-01-31T12:00:00X",
     "0000-01-01", "10000-01-01", "-1s", "2026-01-31T12:00:00Z\n", "\ud800", "2026-01-31\x00", LONG],
    ids=label,
)  # fmt: skip
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match="a time is written like"):
        parse_moment_ms(text, NOW)


@given(
    st.datetimes(
        min_value=datetime(2, 1, 1),  # noqa: DTZ001
        max_value=datetime(9998, 1, 1),  # noqa: DTZ001
        timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    )
)
def test_a_moment_is_exact_to_the_millisecond(moment: datetime) -> None:
    exact = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)

    assert parse_moment_ms(moment.isoformat(), NOW) == exact


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("1b", 1),
        ("512", 512),
        ("512m", 512 * 2**20),
        ("512M", 512 * 2**20),
        ("512mb", 512 * 2**20),
        ("512MiB", 512 * 2**20),
        ("512 m", 512 * 2**20),
        (" 1g ", 2**30),
        ("1.5g", 3 * 2**29),
        ("0.5k", 512),
        ("2T", 2**41),
        ("1073741824", 2**30),
        ("9223372036854775807", MOST),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    "text",
    ["", " ", "m", "-1", "+1", "1x", "1mm", "1,5g", "1.g", ".5g", "1e9", "0x10", "NaN", "inf", "512m\x00",
     "5\n12m", "５g", "0", "0m", "0.4", "0.0001k", "9223372036854775808", "8388608t", LONG, f"{LONG}g", f"1.{LONG}g"],
    ids=label,
)  # fmt: skip
def test_what_is_no_size(text: str) -> None:
    """Zero neither: to the engine it means no limit, which is the opposite of what was asked."""
    with pytest.raises(ValueError, match="a size is written like"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("text", "nano"),
    [("0.5", 500_000_000), ("2", 2 * 10**9), (".25", 250_000_000), ("1.50", 1_500_000_000), ("0.000000001", 1)],
)
def test_processors(text: str, nano: int) -> None:
    assert parse_nano_cpus(text) == nano


@pytest.mark.parametrize(
    "text",
    ["", "0", "0.0", ".0", "-1", "1.", "1e1", "1/2", "half", " 1", "1\n", "0.0000000001", "nan", "inf", "٣", LONG],
    ids=label,
)  # fmt: skip
def test_what_is_no_share_of_processors(text: str) -> None:
    with pytest.raises(ValueError, match="a CPU limit is"):
        parse_nano_cpus(text)


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("no", ("no", 0)),
        ("always", ("always", 0)),
        ("unless-stopped", ("unless-stopped", 0)),
        ("on-failure", ("on-failure", 0)),
        ("on-failure:5", ("on-failure", 5)),
        ("on-failure:0", ("on-failure", 0)),
        ("on-failure:999999", ("on-failure", 999_999)),
    ],
)
def test_restart_policies(text: str, policy: tuple[str, int]) -> None:
    assert parse_restart_policy(text) == policy


@pytest.mark.parametrize(
    "text",
    ["", "never", "Always", "always:3", "no:1", "unless-stopped:1", "on-failure:", "on-failure:-1", "on-failure:x",
     "on-failure:1.5", "on-failure:1000000", " no", "no\n", "on_failure", LONG],
    ids=label,
)  # fmt: skip
def test_what_is_no_restart_policy(text: str) -> None:
    with pytest.raises(ValueError, match="one of no, always, unless-stopped, on-failure"):
        parse_restart_policy(text)


@given(ANY_TEXT | NEAR)
@example(LONG)
@example("1" + LONG + ".5h")
def test_any_text_is_a_value_or_refused(text: str) -> None:
    durations = quietly(lambda: parse_duration_ns(text)), quietly(lambda: parse_bytes(text))
    assert all(
        0 <= number <= MOST for number in (*durations, quietly(lambda: parse_nano_cpus(text))) if number is not None
    )
    assert isinstance(quietly(lambda: parse_moment_ms(text, NOW)), int | None)
    name, retries = quietly(lambda: parse_restart_policy(text)) or ("no", 0)
    assert name in {"no", "always", "unless-stopped", "on-failure"}
    assert 0 <= retries < 1_000_000
    assert quietly(lambda: parse_words(text)) != []
    quietly(lambda: check_probe(text))
