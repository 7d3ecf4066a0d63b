"""Row 2: what the agent itself feels while it writes, measured by the agent."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.bench import AGENTS, Bench
from tests.benchmarks.figures import Row, at_most, ratio, spread

__all__ = ["lines"]


def lines(bench: Bench) -> Iterator[Row]:
    """The agent's own time for lines of 100 bytes, recorder running, beside the same to a plain file."""
    count = bench.pick(1_000_000, 200_000)
    program = bench.compiled("lines")
    python = [sys.executable, "-I", "-S", str(AGENTS / "lines.py")]
    ways = [("Python", python, "buffered"), ("Python", python, "line")]
    if program is not None:
        ways = [("C", [program], "buffered"), ("C", [program], "line"), ("Python", python, "line")]
    for name, agent, mode in ways:
        what = "block buffered" if mode == "buffered" else "one write a line"
        yield _pairs(bench, f"{name}, {what}", [*agent, str(count), mode], count)


def _pairs(bench: Bench, name: str, agent: list[str], count: int) -> Row:
    took = bench.folder / "took"
    plain = bench.folder / "plain.txt"
    recorded, bare = [], []
    for turn in range(bench.pick(4, 2) + 1):
        plain.unlink(missing_ok=True)
        os.sync()
        bench.wait_for_quiet()
        with open(plain, "wb") as file:
            bench.timed([*agent, str(took)], bench.bare, out=file)
        without = float(took.read_text())
        plain.unlink()
        os.sync()
        store = bench.store()
        bench.timed(bench.wrapped(store, *agent, took))
        if turn:  # the first pair warms up
            bare.append(without)
            recorded.append(float(took.read_text()))
        _empty(store)
    factor = ratio(recorded, bare)
    return Row(
        "write",
        f"agent's own time, {count:,} lines of 100 bytes ({name})",
        spread(recorded, " s", digits=2),
        f"{factor:.2f} x",
        "≤ 1.1 x plain file",
        at_most(factor, 1.1),
        f"plain file {spread(bare, ' s', digits=2)}",
        {"durastream": recorded, "plain": bare},
    )


def _empty(store: Path) -> None:
    for entry in store.iterdir():
        if entry.is_file():
            entry.unlink()
