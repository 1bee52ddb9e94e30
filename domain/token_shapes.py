"""Credentials in log lines, recognised by their shape and masked on the way out.

What it finds is what a program prints by mistake in a well-known form. A password that looks like any other word is
not found, so a masked line is no proof that nothing secret is left. Each line is looked at by itself: of a private key
that takes several lines, those are masked that hold a full line of it.

Every pattern takes time in proportion to the text: where a run of characters is repeated, the run is either bounded,
or can begin at one place only and is never given back (possessive).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MASK: Final = "«masked»"


@dataclass(frozen=True, slots=True)
class _Shape:
    """A pattern whose group ``secret`` is masked. It is tried only on text that holds one of ``signs``."""

    signs: tuple[str, ...]
    """Lower case."""
    pattern: re.Pattern[str]
    is_secret: Callable[[re.Match[str]], bool] = lambda _match: True


def masked(text: str) -> tuple[str, int]:
    """Return a log line with its credentials replaced by ``«masked»``, and how many were."""
    lower, count = text.lower(), 0
    for shape in _SHAPES:
        if any(sign in lower for sign in shape.signs):
            text, found = _mask(text, shape)
            count += found
    if key_line := _KEY_LINE.fullmatch(text):
        return key_line["stamp"] + MASK, count + 1
    return text, count


def _mask(text: str, shape: _Shape) -> tuple[str, int]:
    count = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal count
        whole, start = match.group(), match.start()
        if match["secret"].startswith(MASK) or not shape.is_secret(match):
            return whole
        count += 1
        return whole[: match.start("secret") - start] + MASK + whole[match.end("secret") - start :]

    return shape.pattern.sub(replace, text), count


def _token(*signs: str, pattern: str) -> _Shape:
    """A token that begins with a sign of its own and is no part of a longer word."""
    return _Shape(signs, re.compile(rf"(?<![A-Za-z0-9])(?P<secret>{pattern})"))


def _assigned(match: re.Match[str]) -> bool:
    """Tell a credential from prose: ``token: expected`` and ``password=true`` are none."""
    value, name = match["secret"], match["name"].lower()
    if value.lower() in _PLAIN_VALUES or value.startswith(("${", "$(", "<", "*", "{{")):
        return False
    if not name.endswith(_PASSWORDS) and (len(value) < _SHORTEST_TOKEN or value.isdecimal()):
        return False
    if match["quote"] or match["sign"] == "=":
        return True
    return len(value) >= _SHORTEST_IN_PROSE and not value.isalpha() and any(map(str.isalpha, value))


_PLAIN_VALUES: Final = frozenset({"true", "false", "yes", "no", "none", "null", "nil", "undefined", "set", "unset"})
_PASSWORDS: Final = ("password", "passwd", "passphrase", "pwd")
_SHORTEST_TOKEN: Final = 8
_SHORTEST_IN_PROSE: Final = 6

_NAMES: Final = (
    r"passw(?:or)?d|passphrase|(?<=[a-z][_-])pwd|secret|token"
    r"|(?:api|access|account|encryption|private|secret|shared|signing)[_-]?key"
)
_ASSIGNMENT: Final = re.compile(
    rf"(?P<name>{_NAMES})\\?[\"']?(?P<sign>=|\s{{0,4}}[:=]\s{{0,4}})"
    r"(?:\\?(?P<quote>[\"']))?(?P<secret>(?(quote)[^\"'\\\n]{1,4096}+|[^\s\"'`,;&|)\]}]{1,4096}+))",
    re.IGNORECASE,
)

_SHAPES: Final = (
    _Shape(
        ("private key",),
        re.compile(r"-----BEGIN (?:[A-Z]{1,16} ){0,2}PRIVATE KEY(?: BLOCK)?-----(?P<secret>(?:(?!-----END ).)++)"),
    ),
    _token("akia", "asia", pattern=r"A(?:KI|SI)A[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _token("ghp_", "gho_", "ghu_", "ghs_", "ghr_", pattern=r"gh[oprsu]_[A-Za-z0-9]{36,255}+"),
    _token("github_pat_", pattern=r"github_pat_[A-Za-z0-9_]{22,255}+"),
    _token("dmk_", pattern=r"dmk_[A-Za-z0-9_-]{20,64}"),
    _token("glpat-", pattern=r"glpat-[A-Za-z0-9_.-]{20,255}+"),
    _token("xox", "xapp-", pattern=r"(?:xox[a-z]|xapp)-[A-Za-z0-9-]{10,255}+"),
    _token("k_live_", pattern=r"[rs]k_live_[A-Za-z0-9]{16,255}+"),
    _token("aiza", pattern=r"AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"),
    _token("dckr_pat_", pattern=r"dckr_pat_[A-Za-z0-9_-]{20,255}+"),
    _token("npm_", pattern=r"npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])"),
    _token("sk-ant-", "sk-proj-", pattern=r"sk-(?:ant|proj)-[A-Za-z0-9_-]{20,255}+"),
    _Shape(
        ("eyj",),
        re.compile(r"(?<![A-Za-z0-9_-])(?P<secret>eyJ[A-Za-z0-9_-]{8,}+\.eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]*+)"),
    ),
    _Shape(
        ("authorization",),
        re.compile(
            r"authorization\\?[\"']?\s{0,4}[:=]\s{0,4}\\?[\"']?(?:basic|bearer|token)\s{1,4}(?P<secret>[^\s\"'\\,;]{1,8192}+)",
            re.IGNORECASE,
        ),
    ),
    _Shape(("://",), re.compile(r"://[^\s/@:\"'<>]{0,255}+:(?P<secret>[^\s/@\"'<>]{1,1024}+)@")),
    _Shape(("pass", "pwd", "secret", "token", "key"), _ASSIGNMENT, _assigned),
)

_KEY_LINE: Final = re.compile(
    r"(?P<stamp>(?:\d{4}-\d\d-\d\dT[0-9:.]{8,18}(?:Z|[+-]\d\d:?\d\d) )?\s{0,8})"
    r"(?=[^\n]*[a-z])(?=[^\n]*[A-Z])(?=[^\n]*[0-9+/])[A-Za-z0-9+/]{60,76}={0,2}"
)
"""A full line of base64, as private keys are written; digests in hexadecimal have no capitals beside small letters."""
