"""Writes the tables of docs/formats.md from a run of the adapters over the traces. `cog -r docs/formats.md` does it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "adapters"))

from adapters_kit import EXIT_OF, FORMAT_OF, Told, trace

from durastream.sources.adapters import BUILTIN, find

__all__ = ["formats", "table"]


def formats() -> str:
    """One line for each format that comes along, in the order in which they are tried."""
    rows = [f"| `{name}` | {find(name).note} | {find(name).proven} |" for name in BUILTIN]
    return "\n".join(["| format | what prints it | proven by |", "|---|---|---|", *rows, ""])


def table() -> str:
    """One line for each trace."""
    head = "| trace | events | plan | steps | draft | answer | usage | status |"
    return "\n".join([head, "|---|---|---|---|---|---|---|---|", *map(_row, sorted(FORMAT_OF)), ""])


def _row(name: str) -> str:
    told = trace(name)
    code = EXIT_OF.get(name, 0)
    status = told.status(signal=code) if isinstance(code, str) else told.status(code)
    cells = (
        f"`{name}`",
        ", ".join(f"{count} {type_}" for type_, count in told.counts.items()),
        _plan(told),
        _steps(told),
        f"{len(told.answer)} ch." if told.answer else "",
        _answer(told),
        ", ".join(f"{word} {amount:g}" for word, amount in _usage(told).items()),
        status,
    )
    return f"| {' | '.join(cells)} |"


def _plan(told: Told) -> str:
    done = sum(status == "done" for status in told.plan.values())
    return f"{done}/{len(told.plan)}" if told.plan else ""


def _steps(told: Told) -> str:
    """Tools and agents by status; what is active here is abandoned in a recording."""
    by_status: dict[str, int] = {}
    for step in told.state.steps.values():
        if step.kind != "plan":
            status = "abandoned" if step.status == "active" else step.status
            by_status[status] = by_status.get(status, 0) + 1
    return ", ".join(f"{count} {status}" for status, count in sorted(by_status.items()))


def _answer(told: Told) -> str:
    if any(code.startswith("answer") for code in told.findings()):
        return "differs"
    answer = (told.state.declared or {}).get("answer") or {}
    return "equal" if "text" in answer or "sha256" in answer else ""


def _usage(told: Told) -> dict[str, float]:
    short = {"input_tokens": "in", "output_tokens": "out", "cached_tokens": "cached", "reasoning_tokens": "reasoning"}
    return {short.get(name, "$"): value for name, value in told.state.usage.items()}
