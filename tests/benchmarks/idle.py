"""Row 6: what it costs to wait."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

from tests.benchmarks.bench import Bench, NotMeasured, cpu_seconds, end, holder, wait_until
from tests.benchmarks.figures import Row, at_most
from tests.benchmarks.latency import Screen

__all__ = ["waiting"]


def waiting(bench: Bench) -> Iterator[Row]:
    """A silent run with two viewers: the share of one core that each process uses."""
    seconds = bench.pick(20, 6)
    with bench.running(bench.store(), "sleep", 300) as spool:
        where = (spool.run_id, "--store", spool.store)
        plain = bench.start(bench.words("attach", *where, "--view", "plain"), stdout=subprocess.PIPE)
        with Screen(bench, "attach", *where, "--view", "live") as screen:
            wait_until(lambda: screen.received, "attach painted nothing")
            time.sleep(3)
            bench.wait_for_quiet()
            pids = {
                "recorder": holder(spool, "recorder"),
                "viewer, --view live on a terminal": screen.process.pid,
                "viewer, --view plain in a pipe": plain.pid,
                "supervisor": holder(spool, "supervisor"),
            }
            before = {who: _used(who, pid) for who, pid in pids.items()}
            began = time.monotonic()
            time.sleep(seconds)
            took = time.monotonic() - began
            used = {who: _used(who, pid) - before[who] for who, pid in pids.items()}
        end(plain)
        if plain.stdout is not None:
            plain.stdout.close()
    for who, cpu in used.items():
        share = cpu / took
        reach = "≤ 1 % of a core" if who != "supervisor" else ""
        met = at_most(share, 0.01) if reach else None
        note = f"{cpu * 1000:.0f} ms in {took:.0f} s"
        yield Row("idle", f"idle {who}", f"{share:.2%} of a core", "", reach, met, note, {"share": share})


def _used(who: str, pid: int | None) -> float:
    try:
        if pid is not None:
            return cpu_seconds(pid)
    except OSError:
        pass
    raise NotMeasured(f"the {who} is gone")
