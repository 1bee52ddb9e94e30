"""The public contract for audit records: checks those of anybody, and makes the attestation manifest of our own.

It is ``audit-record-contract/1`` (MCP SEP-3004, "Tamper-Evident Audit Record Contract"): sections 2.1 to 2.4 say what
a record is, 2.7 what a manifest is.

A record is one line of JSON. What a line holds besides the protected fields is ignored, as the contract asks.
Messages name fields and never repeat what stands in them.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from domain.chain import hash_record
from domain.text import column_text

CANONICAL_FORM: Final = "audit-record-contract/1"
_KNOWN_FORMS: Final = (CANONICAL_FORM, "gif-audit/2")
"""The second is the name that drafts of the contract used for the same form."""
CHAIN_ALGORITHM: Final = "SHA-256"
MOST_LINE_BYTES: Final = 1024 * 1024
"""Longest line that is looked at: a record with all its fields at their limits is shorter."""

_MOST_UNITS: Final = 8192
_DEEPEST: Final = 8
_FIELD_LIMIT: Final = 64
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_KEY: Final = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_POLICY: Final = re.compile(r"[^/]+/.+@.+")
_EVIDENCE: Final = re.compile(r"[A-Za-z0-9-]+:[0-9a-fA-F]+")
_OUTCOMES: Final = ("allowed", "denied", "deferred", "error")
_RUNTIME_WORDS: Final = {
    "drift_status": ("none", "observed", "confirmed"),
    "severity": ("info", "low", "medium", "high"),
    "quarantine_decision": ("release", "hold", "quarantine"),
}
_PROTECTED: Final = (
    "event_id",
    "occurred_at",
    "principal_id",
    "event_type",
    "tool_name",
    "outcome",
    "extensions",
    "previous_hash",
)
_MANIFEST: Final = ("storage_mechanism", "chain_algorithm", "canonical_form_version", "verification_procedure_ref")


class BreachError(ValueError):
    """A record or manifest is not what the contract demands; the message says in which way."""


class _Number(str):
    """A JSON number, which has no place in a protected field."""

    __slots__ = ()


class Segment(NamedTuple):
    """A contiguous run of records: how many, what its first record links to, and the hash of its last."""

    records: int
    first_previous_hash: str | None
    last_event_hash: str | None


def parse_record(line: bytes) -> dict[str, Any]:
    """Return the JSON object of one line.

    Raises:
        BreachError: if it is none, repeats a key, is nested too deeply, or holds what JSON does not know.
    """
    try:
        record = json.loads(
            line.decode(),
            object_pairs_hook=_without_repeats,
            parse_constant=_no_constant,
            parse_int=_Number,
            parse_float=_Number,
        )
    except UnicodeDecodeError:
        raise BreachError("is not UTF-8") from None
    except RecursionError:
        raise BreachError("is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise BreachError(f"is not JSON: column {error.colno}") from None
    if not isinstance(record, dict):
        raise BreachError("is not a JSON object")
    return record


class RecordChain:
    """Checks records in the order of their chain. What it keeps does not grow with their number."""

    def __init__(self) -> None:
        self._records = 0
        self._first: str | None = None
        self._last: str | None = None

    def check(self, record: Mapping[str, Any]) -> str:
        """Check the form, hash and link of the next record; return its event id.

        Raises:
            BreachError: with the first thing that is wrong.
        """
        body = {name: _normalised(_present(record, name), name) for name in _PROTECTED}
        _check_core(body)
        _check_extensions(body["extensions"], body["outcome"])
        if record.get("anchor_witness") is not None:
            raise BreachError("anchor_witness: is reserved, and has to be absent or null")
        event_hash = _digest(_present(record, "event_hash"), "event_hash")
        previous = body["previous_hash"]
        if previous is not None:
            _digest(previous, "previous_hash")
        if hash_record(body) != event_hash:
            raise BreachError("event_hash: is not the hash of the record; a protected field was changed")
        if self._records and previous != self._last:
            what = "a record was removed, inserted or moved" if previous else "another segment begins here"
            raise BreachError(f"previous_hash: does not link to the record before; {what}")
        if not self._records:
            self._first = previous
        self._records, self._last = self._records + 1, event_hash
        return str(body["event_id"])

    @property
    def segment(self) -> Segment:
        """The records that were checked and found to be right."""
        return Segment(self._records, self._first, self._last)


def manifest(storage_mechanism: str, first_position: int, last_position: int, segment: Segment) -> dict[str, Any]:
    """Return the attestation manifest of an export: what the contract asks for, and what our log promises beyond."""
    return {
        "storage_mechanism": storage_mechanism,
        "chain_algorithm": CHAIN_ALGORITHM,
        "canonical_form_version": CANONICAL_FORM,
        "verification_procedure_ref": (
            "https://github.com/notboatanchor/audit-record-contract (section 2.6, vectors/); "
            "`docker-mcp audit import-verify` of docker-mcp-ledger runs it"
        ),
        "emission": (
            "stricter than section 2.9: an operation whose record cannot be written is refused, and nothing is done"
        ),
        "segment": {
            "first_position": first_position,
            "last_position": last_position,
            **segment._asdict(),
        },
    }


def check_manifest(content: bytes, segment: Segment) -> None:
    """Check a manifest, and that it is about these records if it tells of them as ours do.

    Raises:
        BreachError: with the first thing that is wrong.
    """
    stated = parse_record(content)
    for name in _MANIFEST:
        if type(stated.get(name)) is not str or not stated[name].strip():
            raise BreachError(f"{name}: has to be a text that says something")
    if stated["chain_algorithm"].upper().replace("-", "") != CHAIN_ALGORITHM.replace("-", ""):
        raise BreachError(f"chain_algorithm: only {CHAIN_ALGORITHM} can be checked")
    if stated["canonical_form_version"] not in _KNOWN_FORMS:
        raise BreachError(f"canonical_form_version: only {CANONICAL_FORM} can be checked")
    told = stated.get("segment")
    if not isinstance(told, dict):
        return
    for name, found in segment._asdict().items():
        if name in told and told[name] != (str(found) if isinstance(found, int) else found):
            raise BreachError(f"segment.{name}: is not that of these records; some are missing, or it is about others")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) != len(pairs):
        raise BreachError("repeats a key")
    return tree


def _no_constant(_word: str) -> Any:
    raise BreachError("holds NaN or Infinity, which JSON does not know")


def _present(record: Mapping[str, Any], name: str) -> Any:
    if name not in record:
        raise BreachError(f"{name}: is missing")
    return record[name]


def _normalised(value: Any, place: str, level: int = 0) -> Any:
    """Return a protected value as it is hashed."""
    if value is None or isinstance(value, bool):
        return value
    if type(value) is str:
        return _normalised_text(value, place)
    if isinstance(value, dict):
        if level == _DEEPEST:
            raise BreachError(f"{place}: is nested too deeply")
        return {key: _normalised(item, _inside(place, key), level + 1) for key, item in value.items()}
    what = "number" if isinstance(value, _Number) else "list"
    raise BreachError(f"{place}: holds a {what}; only strings, booleans and null are allowed")


def _normalised_text(text: str, place: str) -> str:
    normal = unicodedata.normalize("NFC", text).strip(" ")
    try:
        units = len(normal.encode("utf-16-le")) // 2
    except UnicodeEncodeError:
        raise BreachError(f"{place}: holds half of a surrogate pair") from None
    if units > _MOST_UNITS:
        raise BreachError(f"{place}: is longer than {_MOST_UNITS} UTF-16 units")
    if _CONTROL.search(normal):
        raise BreachError(f"{place}: holds a control character")
    return normal


def _inside(place: str, key: str) -> str:
    if not _KEY.fullmatch(key):
        raise BreachError(f"{place}: holds a name that is no plain ASCII name")
    return f"{place}.{column_text(key, _FIELD_LIMIT)}"


def _digest(value: Any, place: str) -> str:
    if type(value) is not str or not _DIGEST.fullmatch(value):
        raise BreachError(f"{place}: has to be 64 lower-case hexadecimal digits")
    return value


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str) or not value:
        raise BreachError(f"{place}: has to be a string that is not empty")
    return value


def _one_of(value: Any, place: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise BreachError(f"{place}: has to be one of {', '.join(allowed)}")


def _check_core(body: Mapping[str, Any]) -> None:
    for name in ("event_id", "principal_id", "event_type"):
        _text(body[name], name)
    if not isinstance(body["tool_name"], str | None):
        raise BreachError("tool_name: has to be a string or null")
    _one_of(body["outcome"], "outcome", _OUTCOMES)
    _check_time(body["occurred_at"])
    if not isinstance(body["extensions"], dict) or not body["extensions"]:
        raise BreachError("extensions: has to be an object with at least one registered extension")


def _check_time(value: Any) -> None:
    problem = BreachError("occurred_at: has to be RFC 3339 in UTC with milliseconds, as 2026-06-06T12:00:00.000Z")
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise problem
    try:
        datetime.fromisoformat(value)
    except ValueError:
        raise problem from None


def _check_extensions(extensions: Mapping[str, Any], outcome: str) -> None:
    for kind, data in extensions.items():
        place = f"extensions.{kind}"
        if kind not in _EXTENSIONS:
            raise BreachError(f"extensions: holds a type that is not registered; types: {', '.join(_EXTENSIONS)}")
        if not isinstance(data, dict):
            raise BreachError(f"{place}: has to be an object")
        _EXTENSIONS[kind](data, place, outcome)


def _check_caller_governance(data: Mapping[str, Any], place: str, _outcome: str) -> None:
    if not isinstance(data.get("purpose_declared"), str):
        raise BreachError(f"{place}.purpose_declared: has to be a string")
    if not isinstance(data.get("flagged"), bool | None):
        raise BreachError(f"{place}.flagged: has to be a boolean or null")
    for name in (
        "session_id",
        "invoked_by_principal_id",
        "sources_touched",
        "sensitivity_encountered",
        "output_disposition",
        "human_actor_id",
    ):
        if not isinstance(data.get(name), str | None):
            raise BreachError(f"{place}.{name}: has to be a string or null")
    if data.get("sources_touched") is not None:
        _check_sources(data["sources_touched"], f"{place}.sources_touched")


def _check_sources(text: str, place: str) -> None:
    """The set is written as one JSON array: sorted, without repeats, and never empty."""
    problem = BreachError(f"{place}: has to be a JSON array of strings, sorted, without repeats and without spaces")
    try:
        sources = json.loads(text)
    except (ValueError, RecursionError):
        raise problem from None
    if not isinstance(sources, list) or not sources or not all(isinstance(each, str) and each for each in sources):
        raise problem
    normal = sorted({_normalised_text(each, place) for each in sources})
    if text != json.dumps(normal, ensure_ascii=False, separators=(",", ":")):
        raise problem


def _check_runtime_security(data: Mapping[str, Any], place: str, outcome: str) -> None:
    for name, words in _RUNTIME_WORDS.items():
        _one_of(data.get(name), f"{place}.{name}", words)
    if not _POLICY.fullmatch(_text(data.get("policy_id"), f"{place}.policy_id")):
        raise BreachError(f"{place}.policy_id: has to have the form scope/name@revision")
    if "evidence_hash" in data and not _EVIDENCE.fullmatch(_text(data["evidence_hash"], f"{place}.evidence_hash")):
        raise BreachError(f"{place}.evidence_hash: has to have the form algorithm:hexadecimal")
    for name, value in data.items():
        if not isinstance(value, str):
            raise BreachError(f"{place}.{column_text(name, _FIELD_LIMIT)}: has to be a string")
    if outcome == "allowed" and data["quarantine_decision"] == "quarantine":
        raise BreachError(f"{place}.quarantine_decision: contradicts the outcome: what is quarantined was not allowed")


def _check_admission_control(_data: Mapping[str, Any], _place: str, _outcome: str) -> None:
    """The contract registers the name; its fields are defined elsewhere."""


_EXTENSIONS: Final[Mapping[str, Callable[[Mapping[str, Any], str, str], None]]] = {
    "caller-governance": _check_caller_governance,
    "runtime-security": _check_runtime_security,
    "admission-control": _check_admission_control,
}
