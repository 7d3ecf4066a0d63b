"""Rows 4 and 5: from the agent's write to the store, and to the eyes of somebody attached."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import sqlite3
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median

from tests.benchmarks.bench import AGENTS, Bench, NotMeasured, end, wait_until
from tests.benchmarks.figures import Row, at_most, ms, percentile, spread

from durastream.spool import Spool

__all__ = ["Screen", "shown", "stored"]

_LINE = re.compile(rb"w(\d{6})x(\d+)z")
_NUMBER = re.compile(rb"w(\d{6})x")
_FAST = 0.01
_TALK = 0.2
_RARE = 1.7

_Watch = Callable[[Bench, Spool], AbstractContextManager[dict[int, float]]]


def stored(bench: Bench) -> Iterator[Row]:
    """An outside reader asks the recording all the time, and notes when each event is there: that is, committed."""
    first: list[float] = []
    delays: list[float] = []
    count = bench.pick(500, 250)
    for _ in range(bench.pick(3, 1)):
        turn = _stored_once(bench, count)
        first.append(turn[0])
        delays += turn[1:]
    note = f"{len(delays)} events in {len(first)} runs; the reader looks every 0.5 ms, which is in it"
    what, reach = "agent's write → stored, 100 events/s", "median ≤ 15 ms, p99 ≤ 50 ms"
    yield Row("stored", what, ms(delays), "", reach, _within(delays, 0.015, 0.05), note, {"delay": delays})
    note = "one write, then silence: the recorder only now imports what it decodes native events with"
    yield Row("stored", "agent's first write → stored", spread(first, " ms", 1000), note=note, samples={"delay": first})


def _within(delays: list[float], middle: float, late: float) -> bool:
    return at_most(median(delays), middle) and at_most(percentile(delays, 0.99), late)


def _stored_once(bench: Bench, count: int) -> list[float]:
    """One event on its own, and then `count` of them at the fast pace."""
    go = bench.folder / "go"
    go.unlink(missing_ok=True)
    bench.wait_for_quiet()
    delays: list[float] = []
    with bench.running(bench.store(), *_ticks(go, "events:1:0.2", "events:1:1.0", f"events:{count}:{_FAST}")) as spool:
        db = sqlite3.connect(f"file:{bench.recording(spool)}?mode=ro", uri=True, isolation_level=None)
        seq = 0
        go.touch()
        deadline = time.monotonic() + count * _FAST + 20
        while len(delays) < count + 2:
            rows = db.execute("select seq, body from log where seq > ? order by seq", (seq,)).fetchall()
            now = time.monotonic_ns()
            for _, body in rows:
                found = _LINE.search(body.encode())
                if found:
                    delays.append((now - int(found[2])) / 1e9)
            seq = rows[-1][0] if rows else seq
            if time.monotonic() > deadline:
                raise NotMeasured(f"only {len(delays)} of {count + 2} events were stored")
            time.sleep(0.0005)
        db.close()
    return [delays[0], *delays[2:]]


def shown(bench: Bench) -> Iterator[Row]:
    """Two viewers, one after the other: JSON lines in a pipe, and the live view on a terminal."""
    many, some, few = bench.pick(500, 200), bench.pick(40, 10), bench.pick(5, 1)
    native = {
        "100 events/s": f"events:{many}:{_FAST}",
        "5 events/s": f"events:{some}:{_TALK}",
        "after silence, one in 1.7 s": f"events:{few}:{_RARE}",
    }
    text = {"text on stdout, 5 lines/s": f"stdout:{some}:{_TALK}"}
    for view, watch in (("json", _watch_pipe), ("live", _watch_screen)):
        for where, phases in (("events", native), ("stdout", text)):
            written, seen = _shown_once(bench, watch, [f"{where}:1:0.2", f"{where}:1:1.0", *phases.values()])
            at = 2  # the first two open the message and let the recorder warm up
            for name, phase in phases.items():
                numbers = range(at, at := at + int(phase.split(":")[1]))
                delays = [seen[number] - written[number] for number in numbers if number in seen]
                yield _shown_row(f"agent's write → shown, attach --view {view}, {name}", delays, len(numbers))


def _shown_row(what: str, delays: list[float], asked: int) -> Row:
    reach = "median ≤ 40 ms, p99 ≤ 120 ms" if " events/s" in what else ""
    if len(delays) < asked:
        return Row("shown", what, f"{len(delays)} of {asked} seen", "", reach, None, "some were never shown")
    met = _within(delays, 0.04, 0.12) if reach else None
    return Row("shown", what, ms(delays), "", reach, met, f"{asked} events", {"delay": delays})


def _shown_once(bench: Bench, watch: _Watch, phases: list[str]) -> tuple[dict[int, float], dict[int, float]]:
    """When each numbered line was written, and when it, or one after it, was first shown."""
    go = bench.folder / "go"
    go.unlink(missing_ok=True)
    bench.wait_for_quiet()
    seconds = sum(int(count) * float(pause) for _, count, pause in (phase.split(":") for phase in phases))
    total = sum(int(phase.split(":")[1]) for phase in phases)
    with bench.running(bench.store(), *_ticks(go, *phases)) as spool:
        with watch(bench, spool) as seen:
            go.touch()
            deadline = time.monotonic() + seconds + 20
            while total - 1 not in seen and time.monotonic() < deadline:
                time.sleep(0.05)
        db = sqlite3.connect(f"file:{bench.recording(spool)}?mode=ro", uri=True)
        bodies = [row[0].encode() for row in db.execute("select body from log order by seq")]
        db.close()
    written = {int(number): int(at) / 1e9 for body in bodies for number, at in _LINE.findall(body)}
    return written, dict(seen)


def _ticks(go: Path, *phases: str) -> list[str]:
    return [sys.executable, "-I", "-S", str(AGENTS / "ticks.py"), str(go), *phases]


class _Seen(dict[int, float]):
    """The first time at which each number was shown; a later number on the screen stands for those before it."""

    def __init__(self) -> None:
        super().__init__()
        self._next = 0
        self._rest = b""

    def feed(self, data: bytes, now: float) -> None:
        data = self._rest + data
        self._rest = data[-16:]
        highest = max((int(number) for number in _NUMBER.findall(data)), default=-1)
        while self._next <= highest:
            self[self._next] = now
            self._next += 1


@contextlib.contextmanager
def _watch_pipe(bench: Bench, spool: Spool) -> Iterator[dict[int, float]]:
    words = bench.words("attach", spool.run_id, "--store", spool.store, "--view", "json")
    process = bench.start(words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    seen, ready = _Seen(), threading.Event()
    reader = threading.Thread(target=_read, args=(process.stdout.fileno(), seen, ready), daemon=True)
    reader.start()
    try:
        if not ready.wait(20):
            raise NotMeasured("attach showed nothing")
        yield seen
    finally:
        end(process)
        reader.join(5)
        process.stdout.close()


@contextlib.contextmanager
def _watch_screen(bench: Bench, spool: Spool) -> Iterator[dict[int, float]]:
    with Screen(bench, "attach", spool.run_id, "--store", spool.store, "--view", "live") as screen:
        wait_until(lambda: screen.received, "attach painted nothing")
        yield screen.seen


class Screen:
    """A terminal of 100 by 40 cells with durastream in it, and when what was written to it came."""

    def __init__(self, bench: Bench, *words: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self.seen, self._ready = _Seen(), threading.Event()
        self.began = time.monotonic()
        self.process = bench.start(bench.words(*words), stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self._reader = threading.Thread(target=_read, args=(self.master, self.seen, self._ready), daemon=True)
        self._reader.start()

    @property
    def received(self) -> bool:
        return self._ready.is_set()

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        end(self.process)
        self._reader.join(5)
        os.close(self.master)


def _read(fd: int, seen: _Seen, ready: threading.Event) -> None:
    while True:
        try:
            data = os.read(fd, 1 << 16)
        except OSError:  # a terminal that nobody holds any more
            return
        if not data:
            return
        seen.feed(data, time.monotonic())
        ready.set()
