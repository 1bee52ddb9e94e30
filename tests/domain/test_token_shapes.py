"""Well-known credentials in log lines are masked, ordinary lines stay as they are, and no line takes long."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.token_shapes import MASK, masked

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"
KEY_LINE = "MIIEpAIBAAKCAQEAabcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJ+/"
LONGEST = 262_144

# Put together here, so that no scanner of this repository takes them for leaked ones.
AWS_ID = "AKIA" + "IOSFODNN7EXAMPLE"
GITHUB = "ghp_" + "a1B2" * 9
BEGIN = "-----" + "BEGIN"

PIECES = [
    *("password", "password=", "://", "://a:", "eyJ", "eyJaaaaaaaaa.", "authorization", "authorization: bearer "),
    *(f"{BEGIN} PRIVATE KEY-----", f"{BEGIN} A ", "ghp_", "github_pat_", "glpat-", "xox-", "AKIA", "token='"),
    *("token", "secret_", "_key", "a", "aA1", "+/aA1", " ", "    ", '"', "\\", ":", "@", "=", "0000-00-00T", "."),
]


@pytest.mark.promise("P6")
@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (f"using {AWS_ID} for s3", f"using {MASK} for s3"),
        ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", f"aws_secret_access_key = {MASK}"),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG", f"AWS_SECRET_ACCESS_KEY={MASK}"),
        (f"clone with {GITHUB}.", f"clone with {MASK}."),
        ("gho_" + "x" * 36, MASK),
        ("ghs_" + "x" * 36, MASK),
        ("github_pat_" + "1a_" * 20, MASK),
        ("glpat-" + "x" * 20, MASK),
        ("xoxb-" + "123456789012-abcdef", MASK),
        ("sk_live_" + "x" * 24, MASK),
        ("AIza" + "x" * 35, MASK),
        ("dckr_pat_" + "x" * 27, MASK),
        (f"session {JWT} ended", f"session {MASK} ended"),
        ("Authorization: Bearer abc.def", f"Authorization: Bearer {MASK}"),
        ("> authorization: basic dTpw", f"> authorization: basic {MASK}"),
        ('{"Authorization":"Bearer abc"}', f'{{"Authorization":"Bearer {MASK}"}}'),
        ("postgresql://app:p%40ss@db:5432/shop", f"postgresql://app:{MASK}@db:5432/shop"),
        ("redis://:hidden@cache", f"redis://:{MASK}@cache"),
        ("DB_PASSWORD=x&user=y", f"DB_PASSWORD={MASK}&user=y"),
        ("--password=hidden start", f"--password={MASK} start"),
        ("MYSQL_PWD=abc", f"MYSQL_PWD={MASK}"),
        ("password: hunter2", f"password: {MASK}"),
        ('{"password":"two words","a":1}', f'{{"password":"{MASK}","a":1}}'),
        (r'"{\"password\":\"hunter2\"}"', rf'"{{\"password\":\"{MASK}\"}}"'),
        ("clientSecret: 'abcd-efgh'", f"clientSecret: '{MASK}'"),
        ("token=abcdefgh", f"token={MASK}"),
        (
            f"{BEGIN} RSA PRIVATE KEY-----\\nMIIE\\n-----END RSA PRIVATE KEY-----",
            f"{BEGIN} RSA PRIVATE KEY-----{MASK}-----END RSA PRIVATE KEY-----",
        ),
        (KEY_LINE, MASK),
        (f"2026-01-31T12:00:00.000000000Z {KEY_LINE}", f"2026-01-31T12:00:00.000000000Z {MASK}"),
    ],
)
def test_a_credential_is_masked_and_what_stands_around_it_stays(line: str, shown: str) -> None:
    assert masked(line) == (shown, 1)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "GET /healthz 200",
        "Unexpected token: } in JSON at position 3",
        "Invalid access token: expired",
        "password: incorrect",
        "Access denied for user 'root'@'localhost' (using password: YES)",
        "passwd: all authentication tokens updated successfully",
        "password=",
        "password=true",
        "token=${TOKEN}",
        "token: <redacted>",
        "max_tokens=4096, prompt_token=512",
        "token: 1234567890",
        "PWD=/root",
        'secret "db-1" not found',
        "secretName: web-tls",
        "http://host:8080/path@x and user@host: hello",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "nginx@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        f"{BEGIN} CERTIFICATE-----",
        f"{BEGIN} PRIVATE KEY-----",
        "eyJ is how they begin",
        "the ghp_ prefix, the AKIA prefix",
        "Authorization: none",
    ],
)
def test_a_line_without_a_credential_stays_as_it_is(line: str) -> None:
    assert masked(line) == (line, 0)


def test_every_credential_of_a_line_counts_once() -> None:
    line = f"password={GITHUB} url=https://a:b@c token: '{JWT}'"
    assert masked(line) == (f"password={MASK} url=https://a:{MASK}@c token: '{MASK}'", 3)


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
    | st.lists(st.sampled_from(PIECES) | st.text(max_size=9), max_size=20).map("".join)
)
def test_what_was_masked_is_not_masked_again(text: str) -> None:
    once, count = masked(text)
    assert masked(once) == (once, 0)
    assert (once == text) == (count == 0)


@pytest.mark.promise("P6")
@given(st.text(st.characters(codec="ascii", exclude_characters="\n"), max_size=20), st.text("ab1Z", min_size=36))
def test_a_token_is_found_wherever_it_stands(before: str, secret: str) -> None:
    line, count = masked(f"{before} ghp_{secret[:36]} after")
    assert secret[:36] not in line
    assert count >= 1


@pytest.mark.promise("P9")
@given(st.lists(st.sampled_from(PIECES), max_size=4), st.lists(st.sampled_from(PIECES), min_size=1, max_size=4))
def test_the_longest_line_takes_little_time_whatever_it_repeats(first: list[str], repeated: list[str]) -> None:
    piece = "".join(repeated)
    line = "".join(first) + piece * (LONGEST // len(piece))
    began = time.process_time()
    masked(line)
    assert time.process_time() - began < 1
