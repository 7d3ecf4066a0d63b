"""What it costs to look: a frame, the first one, a seek, and a hundred viewers at once."""

from __future__ import annotations

import contextlib
import io
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import IO

from rich.console import Console
from tests.benchmarks.bench import Bench, NotMeasured, end, holder, memory_peak, running_seconds, wait_until
from tests.benchmarks.figures import Row, at_most, percentile, ratio, spread
from tests.benchmarks.latency import Screen
from tests.benchmarks.throughput import FEED, FEED_AND_STAY, prepare

from durastream.events import Event
from durastream.player import Player
from durastream.spool import Spool
from durastream.state import RunState, fold
from durastream.stores import Batch, RunInfo
from durastream.stores.folder import open_reader
from durastream.testing import MemoryStore, scripted
from durastream.timeline import Timeline
from durastream.views import live

__all__ = ["draft_memory", "first_frame", "hundred_viewers", "pacing", "painting", "seeking"]

_STEPS = 10_000
_DRAFT = 1_000_000
_SIZES = ((80, 24), (120, 40), (200, 60))


def painting(bench: Bench) -> Iterator[Row]:
    """The live view of a run with 10,000 steps and a draft of 1 MB, into which something comes ten times a second."""
    state = _large()
    frames = bench.pick(100, 40)
    shares = {}
    for width, height in _SIZES:
        _painted(state, width, height, 10)
        shares[f"{width}x{height}"] = _painted(state, width, height, frames) * 10
    worst = max(shares.values())
    shown = ", ".join(f"{size} {share:.1%}" for size, share in shares.items())
    what = f"painting 10 times a second, {_STEPS:,} steps, draft of 1 MB"
    note = f"of a core, by thread time over {frames} frames each"
    yield Row("paint", what, shown, "", "≤ 15 % of a core", at_most(worst, 0.15), note, dict(shares))


def _large() -> RunState:
    state = RunState()
    piece = "Some words of a **draft** that go on and on, with `code` here.\n- a bullet\n"
    plan = [{"id": f"p{n}", "title": f"Part {n}", "status": "active" if n == 2 else "pending"} for n in range(5)]
    told = [("run.started", {"run_id": "k3v9p2", "command": ["agent"], "cwd": "/"}), ("plan.created", {"steps": plan})]
    for number in range(_STEPS):
        begun = {"step_id": f"s{number}", "title": f"step number {number}", "kind": "tool", "parent": f"p{number % 6}"}
        told.append(("step.started", begun))
        if number % 1000:
            status = "failed" if number % 50 == 7 else "ok"
            told.append(("step.completed", {"step_id": f"s{number}", "status": status, "error": "no such thing"}))
    told += [("text.delta", {"message_id": "a", "text": piece})] * (_DRAFT // len(piece))
    for seq, (type_, data) in enumerate(told, 1):
        state.take(seq, "2026-11-23T06:00:00.000000Z", seq / 1000, type_, data)
    return state


def _painted(state: RunState, width: int, height: int, frames: int) -> float:
    """Seconds of a core per frame, folding and all else that the view does included."""
    environ = {"TERM": "xterm-256color"}
    out = io.StringIO()
    console = Console(
        file=out, force_terminal=True, width=width, height=height, legacy_windows=False, _environ=environ
    )  # fmt: skip
    took = [0.0, 0.0]
    clock = [1000.0]

    def batches() -> Iterator[list[Event]]:
        took[0] = time.thread_time()
        for number in range(frames):
            clock[0] += 0.1
            text = "some more words of it" + ("\n" if number % 5 == 0 else " ")
            data = {"message_id": "a", "text": text}
            yield [Event(state.seq + 1, state.ts or "", state.t + 0.1, "text.delta", data, "", b"")]
        took[1] = time.thread_time()

    live.show(batches(), state=state, console=console, clock=lambda: clock[0])
    return (took[1] - took[0]) / frames


def draft_memory(bench: Bench) -> Iterator[Row]:
    """The memory of the live view while a draft grows before its eyes."""
    line = '{"type":"text.delta","data":{"message_id":"a","text":"' + "some words and " * 60 + '\\n"}}\n'
    path = bench.folder / "draft.jsonl"
    path.write_text(line * 10_000)  # 9 MB of draft
    times = bench.pick(16, 4)
    agent = (
        'n=0; while [ $n -lt "$3" ]; do n=$((n+1)); while [ ! -e "$2$n" ]; do sleep 0.05; done; '
        'cat "$1" >> "$DURASTREAM_EVENTS"; done; sleep 300'
    )
    go = bench.folder / "more"
    with bench.running(bench.store(), "sh", "-c", agent, "feed", path, go, times) as spool:
        db = sqlite3.connect(f"file:{bench.recording(spool)}?mode=ro", uri=True, isolation_level=None)
        peaks = []
        with Screen(bench, "attach", spool.run_id, "--store", spool.store, "--view", "live") as screen:
            wait_until(lambda: screen.received, "attach showed nothing")
            for turn in range(1, times + 1):
                bench.check_time()
                Path(f"{go}{turn}").touch()
                wait_until(lambda turn=turn: _head(db) >= turn * 10_000, "the events were not stored", 60)
                time.sleep(0.5)
                peaks.append(memory_peak(screen.process.pid))
        db.close()
    early, most = peaks[len(peaks) // 4 - 1], peaks[-1]
    what = f"live view, memory with a draft of {times * 9} MB"
    yield Row(
        "paint", what, f"{most / 1e6:.0f} MB", f"{most / early:.2f} x of a quarter", "≤ 1.25 x of a quarter",
        at_most(most / early, 1.25), samples={"peaks": peaks},
    )  # fmt: skip


def pacing(bench: Bench) -> Iterator[Row]:
    """How far from its moment an event is given out by the player, with 200 events a second."""
    count = bench.pick(2000, 600)
    told = [("log.line", {"stream": "stderr", "text": f"line {n}"}, n / 200) for n in range(count)]
    events = scripted(told)
    store = MemoryStore()
    writer = store.create(RunInfo("k3v9p2", None, {}, [], "/", ""))
    writer.append(Batch([(event.seq, event.body, event.hash) for event in events]))
    state = RunState()
    player = Player(Timeline(store.reader("k3v9p2")), state, clock=time.monotonic, sleep=time.sleep)
    began, late = time.monotonic(), []
    for batch in player:
        now = time.monotonic() - began
        late += [abs(now - event.t) for event in batch]
        fold(batch, state)
    worst = percentile(late, 0.99)
    what = f"replay at the pace of the run, {len(late):,} events, from their moment"
    said = f"median {median(late) * 1000:.2f} ms, p99 {worst * 1000:.2f} ms"
    yield Row("pace", what, said, "", "p99 ≤ 10 ms", at_most(worst, 0.01), samples={"seconds": late})


def first_frame(bench: Bench) -> Iterator[Row]:
    """From the start of `attach` to the last words of the draft on the screen, for a short and a long running run."""
    counts = (1000, bench.pick(1_000_000, 20_000))
    delays: dict[int, list[float]] = {count: [] for count in counts}
    with contextlib.ExitStack() as stack:
        running = {}
        for count in counts:
            bench.check_time()
            made = prepare(bench, count)
            spool = stack.enter_context(bench.running(bench.store(), "sh", "-c", FEED_AND_STAY, "feed", made.path))
            db = sqlite3.connect(f"file:{bench.recording(spool)}?mode=ro", uri=True, isolation_level=None)
            wait_until(lambda db=db, count=count: _head(db) >= count + 2, "the events were not stored", 120)
            db.close()
            running[count] = spool
        for _ in range(bench.pick(7, 2)):
            bench.wait_for_quiet()
            for count, spool in running.items():
                with Screen(bench, "attach", spool.run_id, "--store", spool.store, "--view", "live") as screen:
                    wait_until(lambda screen=screen: 0 in screen.seen, "attach did not show the draft")
                    delays[count].append(screen.seen[0] - screen.began)
    short, long = (delays[count] for count in counts)
    what = f"first frame of attach, running run of {counts[0]:,} events"
    yield Row("frame", what, spread(short, " ms", 1000), samples={"delay": short})
    times = ratio(long, short)
    what = f"first frame of attach, running run of {counts[1]:,} events, beside it"
    yield Row(
        "frame", what, spread(long, " ms", 1000), f"{times:.2f} x", "≤ 1.50 x", at_most(times, 1.5),
        samples={"delay": long},
    )  # fmt: skip


def _head(db: sqlite3.Connection) -> int:
    return db.execute("select coalesce(max(seq), 0) from log").fetchone()[0]


def seeking(bench: Bench) -> Iterator[Row]:
    """From a key to the state at the other place, in a run that wrote as fast as it could."""
    made = prepare(bench, bench.pick(1_000_000, 50_000))
    store = bench.store()
    bench.timed(bench.wrapped(store, "sh", "-c", FEED, "feed", made.path))
    (path,) = store.glob("*.db")
    player = Player(Timeline(open_reader(str(path))), RunState(), clock=time.monotonic, sleep=time.sleep)
    player.toggle_pause()
    player.source.markers()
    chance = random.Random(20261123)
    parts = [chance.random() for _ in range(bench.pick(20, 8))]
    steps = [1, -1, -1, 1, 1, 1, -1, -1]
    words = ["step 12", f"step {made.count // 200}", "Part 3", "nowhere to be found"]
    moves: dict[str, tuple[float, list[Callable[[], None]]]] = {
        "to any place": (0.1, [lambda part=part: player.to_part(part) for part in parts]),
        "to the step before or behind": (0.1, [lambda by=by: player.to_step(by) for by in steps]),
        "search": (0.0, [lambda text=text: player.search(text) for text in words]),
    }
    for name, (reach, calls) in moves.items():
        bench.wait_for_quiet()
        took = []
        for call in calls:
            began = time.thread_time()
            call()
            took.append(time.thread_time() - began)
        said = f"median {median(took) * 1000:.0f} ms, p95 {percentile(took, 0.95) * 1000:.0f} ms"
        met = at_most(percentile(took, 0.95), reach) if reach else None
        what = f"seek in {made.count:,} events, {name}"
        yield Row("seek", what, said, "", "p95 ≤ 100 ms" if reach else "", met, "thread time", {"seconds": took})


def hundred_viewers(bench: Bench) -> Iterator[Row]:
    """A hundred `attach --view plain` on one run: what each costs while it is idle, and what the recorder loses.

    All in one run: the same events at the same pace without viewers, with them, and without them again.
    """
    if bench.quick:
        yield Row("viewers", "a hundred viewers", "", note="not with --quick: they take a minute to start")
        return
    viewers = min(100, _memory_available() // _VIEWER_MEMORY)
    with contextlib.ExitStack() as stack:
        spool = stack.enter_context(bench.running(bench.store(), sys.executable, "-c", _PACED, bench.folder / "go"))
        recorder = holder(spool, "recorder")
        if recorder is None:
            raise NotMeasured("the recorder is gone")
        _paced(bench, spool, recorder, 1)  # what it imports and makes once does not count
        alone = [_paced(bench, spool, recorder, 2)]
        started = _started(bench, stack, spool, viewers)
        idle = _shares([process.pid for process in started], lambda: time.sleep(10))
        busy: list[float] = []
        watched = []
        for turn in (3, 4):
            busy = _shares(
                [process.pid for process in started],
                lambda turn=turn: watched.append(_paced(bench, spool, recorder, turn)),
            )
        for process in started:
            process.terminate()
        for process in started:
            end(process)
        alone += [_paced(bench, spool, recorder, 5)]
    slower = sum(watched) / sum(alone)
    what = f"recorder, CPU for {_EVENTS:,} events in {_SECONDS} s with {viewers} viewers attached, beside none"
    yield Row(
        "viewers", what, spread(watched, " ms", 1000), f"{slower:.2f} x", "≤ 1.20 x", at_most(slower, 1.2),
        f"alone {spread(alone, ' ms', 1000)}", {"alone": alone, "watched": watched},
    )  # fmt: skip
    worst = percentile(idle, 0.95)
    what = f"an idle viewer among {viewers}"
    yield Row(
        "viewers", what, f"median {median(idle):.2%}, p95 {worst:.2%}", "", "≤ 1 % of a core", at_most(worst, 0.01),
        f"over 10 s; while the events come {median(busy):.1%}", {"idle": idle, "busy": busy},
    )  # fmt: skip


_EVENTS = 5000
_SECONDS = 10
_VIEWER_MEMORY = 80 << 20
"""More than a viewer takes."""

_PACED = f"""
import os, sys, time
turn = 1
with open(os.environ["DURASTREAM_EVENTS"], "a") as file:
    while turn < 6:
        while not os.path.exists(sys.argv[1] + str(turn)):
            time.sleep(0.02)
        began = time.monotonic()
        for n in range({_SECONDS} * 10):
            for _ in range({_EVENTS} // {_SECONDS} // 10):
                file.write('{{"type":"text.delta","data":{{"message_id":"a","text":"some words of it "}}}}\\n')
            file.flush()
            time.sleep(max(0.0, began + (n + 1) / 10 - time.monotonic()))
        turn += 1
    time.sleep(600)
"""


def _paced(bench: Bench, spool: Spool, recorder: int, turn: int) -> float:
    """The recorder's CPU time (s) for one turn of events."""
    db = sqlite3.connect(f"file:{bench.recording(spool)}?mode=ro", uri=True, isolation_level=None)
    stored = _head(db)
    before = running_seconds(recorder)
    (bench.folder / f"go{turn}").touch()
    wait_until(lambda: _head(db) >= stored + _EVENTS, "the events were not stored", 120, every=0.2)
    db.close()
    return running_seconds(recorder) - before


def _started(bench: Bench, stack: contextlib.ExitStack, spool: Spool, viewers: int) -> list[subprocess.Popen[bytes]]:
    """Viewers that have shown what there was; a few are started at a time, for each takes a core for a moment."""
    words = bench.words("attach", spool.run_id, "--store", spool.store, "--view", "plain", "--from", "start")
    started: list[subprocess.Popen[bytes]] = []
    shown: list[IO[bytes]] = []
    for number in range(viewers):
        if number % 4 == 0:
            bench.check_time()
            wait_until(lambda: all(os.fstat(out.fileno()).st_size for out in shown[-4:]), "a viewer showed nothing", 60)
        shown.append(stack.enter_context(tempfile.TemporaryFile(dir=bench.folder)))  # noqa: SIM115 - the stack closes it
        started.append(bench.start(words, stdout=shown[-1]))
    wait_until(lambda: all(os.fstat(out.fileno()).st_size for out in shown), "a viewer showed nothing", 60)
    time.sleep(3)  # the last of them come to rest
    return started


def _shares(pids: list[int], during: Callable[[], object]) -> list[float]:
    """The share of a core that each of these processes uses while something happens."""
    before = [running_seconds(pid) for pid in pids]
    began = time.monotonic()
    during()
    took = time.monotonic() - began
    return [(running_seconds(pid) - used) / took for pid, used in zip(pids, before, strict=True)]


def _memory_available() -> int:
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 1 << 62
