"""Writes what docs/guarantees.md shows of the last full run of the faults. `cog -r docs/guarantees.md`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["contents", "table", "versions"]

RUN = Path(__file__).with_name("guarantees.json")


def _run() -> dict[str, Any]:
    run: dict[str, Any] = json.loads(RUN.read_text(encoding="utf-8"))
    return run


def versions() -> str:
    """What the figures are of, in a sentence."""
    run = _run()
    return (
        f"The last full run: {run['date']}, seed {run['seed']}, durastream {run['durastream']}, "
        f"Python {run['python']}, SQLite {run['sqlite']}, Linux {run['kernel']}. {run.get('note', '')}".rstrip()
        + "\n"
    )


def table() -> str:
    """The strikes of the run, and what they come to."""
    rows = [row for row in _run()["rows"] if "lost" in row]
    lines = [
        "| what was done | times | lost | doubled | otherwise wrong | one that is wrong was caught |",
        "|---|---|---|---|---|---|",
    ]
    lines += ["| {what} | {points} | {lost} | {doubled} | {wrong} | {control} |".format(**row) for row in rows]
    sums = {name: sum(row[name] for row in rows) for name in ("points", "lost", "doubled", "wrong")}
    lines.append("| **all** | {points} | {lost} | {doubled} | {wrong} | |".format(**sums))
    return "\n".join(lines) + "\n"


def contents() -> str:
    """What was put into recordings, what of it came through, and how much of it does where nothing guards."""
    rows = [row for row in _run()["rows"] if "lost" not in row]
    if not rows:
        return "The last full run is older than these rows, and has none of them.\n"
    lines = [
        "| what was put in, and how it was looked at | times | came through | without the guard it was caught |",
        "|---|---|---|---|",
    ]
    lines += [
        "| {what} | {points} | {wrong} | {control} |".format(**row) for row in _run()["rows"] if "lost" not in row
    ]
    return "\n".join(lines) + "\n"
