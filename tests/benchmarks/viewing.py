"""What it costs to look: a frame, the first one, a seek, and a hundred viewers at once."""

from __future__ import annotations

import contextlib
import io
import os
import random
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from statistics import median

from rich.console import Console
from tests.benchmarks.bench import Bench, NotMeasured, cpu_seconds, end, holder, wait_until
from tests.benchmarks.figures import Row, at_most, percentile, ratio, spread
from tests.benchmarks.latency import Screen
from tests.benchmarks.throughput import FEED, FEED_AND_STAY, prepare

from durastream.events import Event
from durastream.player import Player
from durastream.state import RunState
from durastream.stores.folder import open_reader
from durastream.timeline import Timeline
from durastream.views import live

__all__ = ["first_frame", "hundred_viewers", "painting", "seeking"]

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
    """A hundred `attach --view plain` on one run: what each costs while it is idle, and what the recorder loses."""
    if bench.quick:
        yield Row("viewers", "a hundred viewers", "", note="not with --quick: they take a minute to start")
        return
    viewers, made = 100, prepare(bench, 100_000)
    alone, watched = [], []
    for _ in range(2):
        bench.check_time()
        bench.wait_for_quiet()
        alone.append(_fed(bench, made.path, 0)[0])
        took, shares = _fed(bench, made.path, viewers)
        watched.append(took)
    slower = ratio(watched, alone)
    what = f"recorder, CPU for {made.count:,} events with {viewers} viewers attached, beside none"
    yield Row(
        "viewers", what, spread(watched, " ms", 1000), f"{slower:.2f} x", "≤ 1.20 x", at_most(slower, 1.2),
        f"alone {spread(alone, ' ms', 1000)}",
    )  # fmt: skip
    worst = percentile(shares, 0.95)
    what = f"an idle viewer among {viewers}"
    yield Row("viewers", what, f"p95 {worst:.2%} of a core", "", "≤ 1 % of a core", at_most(worst, 0.01), "in 20 s")


def _fed(bench: Bench, path: os.PathLike[str], viewers: int) -> tuple[float, list[float]]:
    """The recorder's CPU time (s) for a file of events, and the idle share of each viewer before they came."""
    go = bench.folder / f"go-{time.monotonic_ns()}"
    agent = 'while [ ! -e "$2" ]; do sleep 0.05; done; cat "$1" >> "$DURASTREAM_EVENTS"; sleep 600'
    with bench.running(bench.store(), "sh", "-c", agent, "feed", path, go) as spool:
        words = bench.words("attach", spool.run_id, "--store", spool.store, "--view", "plain")
        started: list[subprocess.Popen[bytes]] = []
        try:
            for _ in range(viewers):
                started.append(bench.start(words))
            shares = _idle_shares(started)
            recorder = holder(spool, "recorder")
            if recorder is None:
                raise NotMeasured("the recorder is gone")
            before = cpu_seconds(recorder)
            go.touch()
            db = sqlite3.connect(f"file:{bench.recording(spool)}?mode=ro", uri=True, isolation_level=None)
            wait_until(lambda: _head(db) >= 100_000, "the events were not stored", 120)
            db.close()
            return cpu_seconds(recorder) - before, shares
        finally:
            for process in started:
                process.terminate()
            for process in started:
                end(process)


def _idle_shares(started: list[subprocess.Popen[bytes]]) -> list[float]:
    if not started:
        return []
    last = -1.0
    for _ in range(60):  # until all of them are up and rest
        time.sleep(1)
        used = sum(cpu_seconds(process.pid) for process in started)
        if used - last < 1.0:
            break
        last = used
    time.sleep(2)
    before = [cpu_seconds(process.pid) for process in started]
    began = time.monotonic()
    time.sleep(20)
    took = time.monotonic() - began
    return [(cpu_seconds(process.pid) - used) / took for process, used in zip(started, before, strict=True)]
