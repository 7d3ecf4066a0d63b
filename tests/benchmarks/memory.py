"""Whether memory stays flat: millions of events, a line of gigabytes, many viewers of which one is stopped."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.benchmarks.bench import Bench, end, holder, memory_peak, wait_until
from tests.benchmarks.figures import Row, at_most
from tests.benchmarks.throughput import prepare

from durastream.spool import Spool, spools
from durastream.stores.folder import open_reader

__all__ = ["long_line", "many_events", "viewers"]

_RECORDER = 300 << 20
_VIEWER = 200 << 20
_WAL = 64 << 20
_FEED = 'i=0; while [ $i -lt "$2" ]; do cat "$1" >> "$DURASTREAM_EVENTS"; i=$((i+1)); done'
_LINE = """
import os, sys
piece = b"x" * (1 << 20)
for _ in range(int(sys.argv[1])):
    at = 0
    while at < len(piece):
        at += os.write(1, piece[at:])
os.write(1, b"\\n")
"""
_PACED = """
import os, sys, time
until = time.monotonic() + float(sys.argv[1])
line = b'{"type":"text.delta","data":{"message_id":"a","text":"' + b"word " * 60 + b'"}}\\n'
with open(os.environ["DURASTREAM_EVENTS"], "ab", buffering=0) as file:
    while time.monotonic() < until:
        file.write(line * 100)
        time.sleep(0.02)
"""


def many_events(bench: Bench) -> Iterator[Row]:
    """Millions of events: the recorder's memory, and that of a viewer, after a third of them and at their end."""
    made = prepare(bench, bench.pick(100_000, 20_000))
    count = bench.pick(30, 6)
    store = bench.store()
    for log in ("sqlite", "jsonl"):
        words = bench.wrapped(store, "sh", "-c", _FEED, "feed", made.path, count, options=("--log", log))
        process = bench.start(words)
        spool = _spool(store)
        viewer = bench.start(bench.words("attach", spool.run_id, "--view", "json", "--store", store))
        early: dict[str, int] = {}
        peaks: dict[str, int] = {"recorder": 0, "viewer": 0}
        pid = None
        third = made.size * count // 3
        while process.poll() is None:
            pid = pid or holder(spool, "recorder")
            for who, number in (("recorder", pid), ("viewer", viewer.pid)):
                peaks[who] = max(peaks[who], memory_peak(number) if number else 0)
            if not early and _read_so_far(store, spool, log) > third // 2:
                early = dict(peaks)
            time.sleep(0.02)
        viewer.wait(120)
        total = made.count * count
        for who, most in (("recorder", _RECORDER), ("viewer", _VIEWER)):
            grown = peaks[who] / max(1, early.get(who) or peaks[who])
            yield Row(
                "memory",
                f"{who}, {total:,} events, {log}",
                f"{peaks[who] / 1e6:.0f} MB",
                f"{grown:.2f} x of a third",
                f"≤ {most >> 20} MiB",
                at_most(peaks[who], most),
                samples={"early": early.get(who), "peak": peaks[who]},
            )


def _read_so_far(store: Path, spool: Spool, log: str) -> int:
    with contextlib.suppress(OSError):
        return (store / f"{spool.run_id}.{'db' if log == 'sqlite' else 'jsonl'}").stat().st_size
    return 0


def _spool(store: Path) -> Spool:
    wait_until(lambda: spools(str(store)), "the run did not begin")
    return Spool(str(store), spools(str(store))[0])


def long_line(bench: Bench) -> Iterator[Row]:
    """One line of gigabytes, as text, as a line that looks like an event, and in the event file: no byte is lost."""
    size = bench.pick(2048, 64)
    whole = hashlib.sha256()
    piece = b"x" * (1 << 20)
    for _ in range(size):
        whole.update(piece)
    whole.update(b"\n")
    store = bench.store()
    for what, script, options in (
        ("text", _LINE, ()),
        ("stderr", _LINE.replace("os.write(1", "os.write(2"), ()),
        ("claims to be an event", _LINE, ("--format", "native")),
    ):
        stream = "stderr" if what == "stderr" else "stdout"
        words = bench.wrapped(store, sys.executable, "-S", "-c", script, size, options=options)
        process = bench.start(words)
        spool = _spool(store)
        pid, peak = None, 0
        while process.poll() is None:
            pid = pid or holder(spool, "recorder")
            peak = max(peak, memory_peak(pid) if pid else 0)
            time.sleep(0.02)
        path = str(store / f"{spool.run_id}.db")
        kept = hashlib.sha256()
        reader = open_reader(path)
        for data in reader.raw(stream):
            kept.update(data)
        reader.close()
        same = kept.digest() == whole.digest()
        yield Row(
            "memory",
            f"recorder, one line of {size} MiB, {what}",
            f"{peak / 1e6:.0f} MB",
            "",
            f"≤ {_RECORDER >> 20} MiB, no byte lost",
            same and at_most(peak, _RECORDER),
            "" if same else "the raw bytes differ",
        )
        os.unlink(path)


def viewers(bench: Bench) -> Iterator[Row]:
    """50 viewers, one of them stopped: the log of the database, and the slowest of the others' memory."""
    store = bench.store()
    seconds = bench.pick(30, 8)
    spool = bench.detached(store, sys.executable, "-S", "-c", _PACED, seconds)
    words = bench.words("attach", spool.run_id, "--view", "json", "--from", "now", "--store", store)
    watching = [bench.start(words) for _ in range(bench.pick(50, 10))]
    wal = store / f"{spool.run_id}.db-wal"
    most = peak = 0
    stopped = False
    while spool.exists():
        with contextlib.suppress(OSError):
            most = max(most, wal.stat().st_size)
        peak = max(peak, *(memory_peak(each.pid) for each in watching))
        if not stopped and peak:
            watching[0].send_signal(signal.SIGSTOP)
            stopped = True
        time.sleep(0.1)
    watching[0].send_signal(signal.SIGCONT)
    _end_all(watching)
    made = json.loads(_shown(bench, store, spool.run_id))
    yield Row(
        "memory",
        f"WAL with {len(watching)} viewers, one of them stopped, {made['last_seq']:,} events",
        f"{most / 1e6:.1f} MB",
        "",
        f"< {_WAL >> 20} MiB",
        most < _WAL,
        samples={"wal": most},
    )
    yield Row(
        "memory", f"a viewer, of {len(watching)}", f"{peak / 1e6:.0f} MB", "", f"≤ {_VIEWER >> 20} MiB",
        at_most(peak, _VIEWER),
    )  # fmt: skip


def _shown(bench: Bench, store: Path, run_id: str) -> bytes:
    words = bench.words("show", run_id, "--json", "--store", store)
    return subprocess.run(words, env=bench.environ, capture_output=True, check=True, timeout=120).stdout


def _end_all(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        end(process)
