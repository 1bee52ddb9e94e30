"""A bar for each figure: how much of what its aim allows it takes. One SVG file that needs nothing else."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

_LINE_PX: Final = 22
_LABELS_PX: Final = 560
_AIM_PX: Final = 240
"""Where the aim stands, from the beginning of the bars."""
_MOST: Final = 2.0
"""Bars end at so many times the aim; what is beyond is told in figures."""
_FIGURES_PX: Final = 190
_TOP_PX: Final = 64
_STYLE: Final = """
svg { font: 12px system-ui, sans-serif; background: #fff; }
text { fill: #1f2328; } .dim { fill: #59636e; } .h { font-size: 15px; font-weight: 600; }
.met { fill: #2f7d4f; } .missed { fill: #c2410c; } .aim { stroke: #1f2328; stroke-dasharray: 3 3; }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117; } text { fill: #e6edf3; } .dim { fill: #9198a1; }
.met { fill: #4cb075; } .missed { fill: #f0803c; } .aim { stroke: #e6edf3; }
}"""


def chart(title: str, conditions: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return an SVG picture of the rows that have an aim, in the form of ``Row.as_json``."""
    drawn = [row for row in rows if row["share_of_aim"] is not None]
    width, height = _LABELS_PX + _AIM_PX * _MOST + _FIGURES_PX, _TOP_PX + _LINE_PX * len(drawn) + 12
    aim = _LABELS_PX + _AIM_PX
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<text class="h" x="12" y="22">{escape(title)}</text>',
        f'<text class="dim" x="12" y="40">{escape(conditions)}</text>',
        f'<text class="dim" x="{aim}" y="{_TOP_PX - 8}" text-anchor="middle">aim: up to here</text>',
        *(_bar(row, _TOP_PX + _LINE_PX * number) for number, row in enumerate(drawn)),
        f'<line class="aim" x1="{aim}" x2="{aim}" y1="{_TOP_PX - 4}" y2="{height - 8}"/>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _bar(row: Mapping[str, Any], y: int) -> str:
    share = row["share_of_aim"]
    length = max(1.0, min(share, _MOST) * _AIM_PX)
    told = f"{share * 100:.0f} % of the aim" if share <= 1 else f"{share:.2f} x the aim"
    return (
        f'<text x="{_LABELS_PX - 8}" y="{y + 14}" text-anchor="end">{escape(str(row["what"]))}</text>'
        f'<rect class="{row["verdict"]}" x="{_LABELS_PX}" y="{y + 3}" width="{length:.0f}" height="{_LINE_PX - 8}"/>'
        f'<text class="dim" x="{_LABELS_PX + length + 6:.0f}" y="{y + 14}">{told}</text>'
    )
