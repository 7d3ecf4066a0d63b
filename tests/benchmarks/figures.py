"""What a benchmark says: rows of one table, and the few statistics in them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

__all__ = ["Row", "at_least", "at_most", "ms", "percentile", "ratio", "spread", "table"]


@dataclass(frozen=True)
class Row:
    """One line of the table. `met` is None where there is no reach, or where `note` says why nothing was measured."""

    name: str
    what: str
    measured: str
    ratio: str = ""
    reach: str = ""
    met: bool | None = None
    note: str = ""
    samples: dict[str, object] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        if self.met is not None:
            return "yes" if self.met else "NO"
        return "not measured" if self.reach else ""


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median over the pairs of ours by theirs: what disturbs both halves of a pair cancels out."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def spread(values: Sequence[float], unit: str = "", scale: float = 1.0, digits: int = 0) -> str:
    """`median (smallest-largest)`."""
    low, mid, high = (value * scale for value in (min(values), median(values), max(values)))
    return f"{mid:,.{digits}f}{unit} ({low:,.{digits}f}-{high:,.{digits}f})"


def ms(seconds: Sequence[float]) -> str:
    """Latencies: median, 99th percentile and the worst, in milliseconds."""
    mid, late, worst = (1000 * value for value in (median(seconds), percentile(seconds, 0.99), max(seconds)))
    return f"median {mid:.1f} ms, p99 {late:.1f} ms, max {worst:.1f} ms"


def at_most(value: float, limit: float) -> bool:
    return value <= limit


def at_least(value: float, limit: float) -> bool:
    return value >= limit


def table(rows: Iterable[Row]) -> str:
    """The rows as one Markdown table."""
    head = ("what", "measured", "ratio", "reach", "met", "note")
    lines = [head, *((row.what, row.measured, row.ratio, row.reach, row.verdict, row.note) for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    shown = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    shown.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(shown)
