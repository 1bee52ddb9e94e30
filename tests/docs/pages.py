"""What the pages show in fenced blocks, and what is to be done with it.

A block is carried out or checked unless a comment above it, which no reader sees, says why it cannot be::

    <!-- not run: needs a registry -->

Another comment says what a JSON block is: ``<!-- auth file -->`` or ``<!-- arguments of create-container -->``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent.parent
PAGES: Final = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "dashboards/README.md"])

_BLOCK: Final = re.compile(
    r"^(?:<!-- (?P<note>(?:(?!-->).)+) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S
)
SHELL: Final = "bash"
"""The language of blocks that hold commands."""

_NOT_RUN: Final = "not run:"


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page; ``note`` is the comment right above it."""

    page: str
    line: int
    language: str
    note: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def reason(self) -> str:
        """Why it is not run; empty if it is."""
        return self.note.removeprefix(_NOT_RUN).strip() if self.note.startswith(_NOT_RUN) else ""


def blocks() -> Iterator[Block]:
    """Yield the blocks of all pages."""
    for path in PAGES:
        text = path.read_text()
        for found in _BLOCK.finditer(text):
            line = text.count("\n", 0, found.start("language")) + 1
            note = " ".join((found["note"] or "").split())
            yield Block(str(path.relative_to(ROOT)), line, found["language"], note, found["text"])


def page(name: str) -> str:
    """Return the text of a page, such as ``docs/log.md``."""
    return (ROOT / name).read_text()
