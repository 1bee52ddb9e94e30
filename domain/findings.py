"""What a verification reports."""

from dataclasses import dataclass, field
from typing import Final

MOST_FINDINGS: Final = 100
"""So many are kept; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: with what, since which record if one can be named, and in what way."""

    part: str
    problem: str
    position: int | None = None

    def describe(self) -> str:
        """Return the finding as one line."""
        where = f"record {self.position}" if self.part == "record" else self.part
        return f"{where}: {self.problem}"


@dataclass(slots=True)
class Report:
    """What was verified, and what came out."""

    log: str | None = None
    """The identity of the log: the hash of its first record; None for an empty one."""
    first: int = 1
    """The first position that was looked at."""
    last: int = 0
    head: str | None = None
    records: int = 0
    checkpoints: int = 0
    """Signed checkpoints that agree with the log, in it or elsewhere."""
    unchecked_signatures: int = 0
    """Checkpoints and files that agree with the log, but whose key is not at hand."""
    segments: int = 0
    findings: list[Finding] = field(default_factory=list)
    found: int = 0
    """How many findings there are, also those beyond what is kept."""
    notes: list[str] = field(default_factory=list)

    def add(self, finding: Finding) -> None:
        """Count a finding and keep it, if there are not too many."""
        self.found += 1
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(finding)

    @property
    def intact(self) -> bool:
        return not self.found

    @property
    def first_finding(self) -> Finding | None:
        """The finding with the lowest position; those that name no record come last."""
        return min(self.findings, key=_place, default=None)


def _place(finding: Finding) -> tuple[bool, int]:
    return finding.position is None, finding.position or 0
