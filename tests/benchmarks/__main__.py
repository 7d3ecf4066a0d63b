"""`python -m tests.benchmarks`: measure durastream on this machine, and print one table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

from tests.benchmarks import adapters, idle, latency, memory, redaction, starting, throughput, viewing, writing
from tests.benchmarks.bench import Bench, NotMeasured, others_busy
from tests.benchmarks.figures import Row, table

BENCHES: dict[str, tuple[Callable[[Bench], Iterator[Row]], ...]] = {
    "start": (starting.wrapping, starting.agent_start),
    "write": (writing.lines,),
    "stored": (latency.stored,),
    "shown": (latency.shown,),
    "idle": (idle.waiting,),
    "seq": (starting.long_output,),
    "events": (throughput.events,),
    "frame": (viewing.first_frame,),
    "paint": (viewing.painting, viewing.draft_memory),
    "pace": (viewing.pacing,),
    "seek": (viewing.seeking,),
    "redaction": (redaction.cost, redaction.formats),
    "adapters": (adapters.reading,),
    "viewers": (viewing.hundred_viewers,),
    "memory": (memory.many_events,),
    "line": (memory.long_line,),
    "stopped": (memory.viewers,),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(BENCHES), help="measure just this; may be repeated")
    parser.add_argument("--quick", action="store_true", help="smaller counts, within a minute")
    parser.add_argument("--json", metavar="FILE", help="also write every sample to a file")
    asked = parser.parse_args()
    began = time.monotonic()
    rows: list[Row] = []
    busy: dict[str, float] = {}
    with Bench(quick=asked.quick) as bench:
        for name in asked.only or BENCHES:
            shares = [others_busy()]
            for measure in BENCHES[name]:
                rows += _measured(name, measure, bench)
            shares.append(others_busy())
            busy[name] = max(share or 0.0 for share in shares)
    print(table(rows))
    print(f"\n{_about(asked.quick, time.monotonic() - began, busy)}")
    if asked.json:
        report = {"about": platform.platform(), "others_busy": busy, "rows": [asdict(row) for row in rows]}
        Path(asked.json).write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 1 if any(row.met is False for row in rows) else 0


def _measured(name: str, measure: Callable[[Bench], Iterator[Row]], bench: Bench) -> list[Row]:
    began = time.monotonic()
    print(f"{name}: {(measure.__doc__ or '').splitlines()[0]}", end="", file=sys.stderr, flush=True)
    rows: list[Row] = []
    try:
        bench.check_time()
        rows.extend(measure(bench))
    except (NotMeasured, OSError, sqlite3.Error) as error:
        rows.append(Row(name, (measure.__doc__ or name).splitlines()[0], "", "", "?", None, str(error)[:300]))
    print(f" {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return rows


def _about(quick: bool, seconds: float, busy: dict[str, float]) -> str:
    others = ", ".join(f"{name} {share:.0%}" for name, share in busy.items())
    lines = [
        f"Python {platform.python_version()}, {platform.platform()}, {os.cpu_count()} cores, {seconds:.0f} s.",
        "median (smallest-largest); ratios are medians over pairs taken in turn within this run.",
        f"share of the cores that others used just before or after each part: {others or 'unknown'}",
    ]
    if quick:
        lines.append("--quick: fewer events and repetitions; the reaches are meant for the full counts.")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
