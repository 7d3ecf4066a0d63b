"""Rows 3, 7 and 8: a million events from the agent to the store, what they take there, and reading them again."""

from __future__ import annotations

import contextlib
import json
import os
import random
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.benchmarks.bench import Bench, NotMeasured, end, holder, memory_peak
from tests.benchmarks.figures import Row, at_least, at_most, ratio, spread

from durastream.follow import read_all
from durastream.spool import Spool, spools
from durastream.state import RunState, fold
from durastream.stores.folder import open_reader

__all__ = ["FEED", "FEED_AND_STAY", "events", "prepare"]

_TEXT = """the of and to in is that for it as with was on are by this be at from or an which model answer search result
because however source evidence report between temperature measured, according document. question value number has its
retrieval pipeline latency; therefore language system not have will one all would there their what so up out if about
who get go me when make can like time no just him know take people into year your good some could them see other than
then now look only come over think also back after use two how our work first well way even new want any these give day
most us café 23 1,024 2026-11-23 https://example.org/a"""
_WORDS = _TEXT.split()
FEED = 'cat "$1" >> "$DURASTREAM_EVENTS"'
_LAST = r'{"type":"text.delta","data":{"message_id":"answer","text":"\nw000000x\n"}}'
FEED_AND_STAY = f"""{FEED}; printf '%s\\n' '{_LAST}' >> "$DURASTREAM_EVENTS"; sleep 300"""


@dataclass(frozen=True)
class Prepared:
    """A file of native events, one a line."""

    path: Path
    count: int
    size: int


def prepare(bench: Bench, count: int) -> Prepared:
    """Text as an agent streams it, with steps, plan and log lines between: 124 bytes a line on average."""
    path = bench.folder / f"events-{count}.jsonl"
    if path.exists():
        return Prepared(path, count, path.stat().st_size)
    chance = random.Random(20261123)  # the same file every time
    size = 0
    with open(path, "wb") as file:
        for at in range(count):
            line = json.dumps(_event(at, chance), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
            size += file.write(line)
    return Prepared(path, count, size)


def _event(at: int, chance: random.Random) -> dict[str, object]:
    step = f"step-{at // 100}"
    if at % 100 == 10:
        data: dict[str, object] = {"step_id": step, "title": "Search the archive", "kind": "tool", "input": {"q": "x"}}
        return {"type": "step.started", "data": data}
    if at % 100 == 90:
        data = {"step_id": step, "status": "ok", "output": "12 documents", "duration": 1.25}
        return {"type": "step.completed", "data": data}
    if at % 1000 == 500:
        plan = [{"id": str(n), "title": f"Part {n}", "status": "active" if n == 2 else "pending"} for n in range(4)]
        return {"type": "plan.updated", "data": {"steps": plan}}
    words = " ".join(chance.choices(_WORDS, k=chance.randint(7, 15)))
    if at % 100 in (30, 60):
        return {"type": "log.line", "data": {"stream": "agent", "text": f"debug: {words}"}}
    return {"type": "text.delta", "data": {"message_id": "answer", "text": words + chance.choice((" ", " ", ".\n"))}}


def events(bench: Bench) -> Iterator[Row]:
    """End to end beside bare executemany of the same rows; then the size of the file, and reading it."""
    made = prepare(bench, bench.pick(1_000_000, 100_000))
    ours, theirs, peaks = [], [], []
    store = bench.store()
    recording = Path()
    bench.timed(bench.wrapped(store, "true"))
    until = time.monotonic() + bench.pick(70, 10)
    for _ in range(bench.pick(4, 2)):
        if ours and time.monotonic() > until:
            break
        if recording.is_file():
            recording.unlink()
        bench.wait_for_quiet()
        took, peak, recording = _record(bench, made, store, "sqlite")
        ours.append(took)
        peaks.append(peak)
        theirs.append(_bare_sqlite(bench, recording))
    reach = "≥ 100,000 events/s" if not bench.quick else "≥ 100,000 events/s (of a million)"
    yield _rate(made, "SQLite, durable, hash, draft, raw", ours, theirs, reach)
    yield from _size(recording, made)
    yield from _reading(bench, recording, store)
    yield Row(
        "events", "memory of the recorder at its highest", f"{median(peaks) / 1e6:.0f} MB", samples={"bytes": peaks}
    )
    bench.check_time()
    lines = bench.store()
    bench.wait_for_quiet()
    took, _, kept = _record(bench, made, lines, "jsonl")
    yield _rate(made, "--log jsonl", [took], theirs[-1:], "")
    size = kept.stat().st_size / made.count
    yield Row(
        "size", "bytes on disk per event, JSON Lines, raw kept", f"{size:.0f}", f"{size * made.count / made.size:.2f} x"
    )


def _rate(made: Prepared, name: str, ours: list[float], theirs: list[float], reach: str) -> Row:
    rates = [made.count / took for took in ours]
    bare = [made.count / took for took in theirs]
    met = at_least(median(rates), 100_000) if reach else None
    return Row(
        "events",
        f"end to end, {made.count:,} native events ({made.size / made.count:.0f} bytes a line), {name}",
        spread(rates, " events/s"),
        f"{ratio(rates, bare):.2f} x",
        reach,
        met,
        f"bare executemany of the same rows, FULL: {spread(bare, '/s')}",
        {"seconds": ours, "executemany_seconds": theirs},
    )


def _record(bench: Bench, made: Prepared, store: Path, log: str) -> tuple[float, int, Path]:
    """Wall time of the whole `durastream run`, the recorder's memory, and the recording."""
    os.sync()
    known = set(store.iterdir())
    began = time.monotonic()
    words = bench.wrapped(store, "sh", "-c", FEED, "feed", made.path, options=("--log", log))
    process = bench.start(words, stderr=subprocess.PIPE)
    spool: Spool | None = None
    pid, peak = None, 0
    while process.poll() is None:
        if spool is None:
            spool = next((Spool(str(store), run_id) for run_id in spools(str(store))), None)
        elif pid is None:
            pid = holder(spool, "recorder")
        else:
            peak = max(peak, memory_peak(pid))
        time.sleep(0.02)
        if time.monotonic() - began > 200:
            end(process)
    took = time.monotonic() - began
    said = process.communicate()[1].decode(errors="replace").strip()
    if process.returncode:
        raise NotMeasured(f"durastream run ended with {process.returncode}: {said[-300:]}")
    new = [path for path in store.iterdir() if path not in known and path.suffix in (".db", ".jsonl")]
    if len(new) != 1:
        raise NotMeasured(f"{len(new)} recordings were made: {said[-300:]}")
    return took, peak, new[0]


def _bare_sqlite(bench: Bench, recording: Path) -> float:
    """The rows of a recording into a table of the same form, as fast as Python can with full durability."""
    source = sqlite3.connect(f"file:{recording}?mode=ro", uri=True)
    rows = source.execute("select seq, body, hash from log order by seq").fetchall()
    source.close()
    copy = bench.folder / "bare.db"
    os.sync()
    began = time.monotonic()
    db = sqlite3.connect(copy, isolation_level=None)
    for pragma in ("journal_mode=wal", "synchronous=full", "wal_autocheckpoint=4000"):
        db.execute(f"pragma {pragma}").close()
    db.execute("create table log (seq integer primary key, body text, hash blob)")
    for at in range(0, len(rows), 4000):
        db.execute("begin immediate")
        db.executemany("insert into log (seq, body, hash) values (?, ?, ?)", rows[at : at + 4000])
        db.execute("commit")
    db.execute("pragma wal_checkpoint(truncate)")
    db.close()
    took = time.monotonic() - began
    copy.unlink()
    return took


def _size(recording: Path, made: Prepared) -> Iterator[Row]:
    whole = recording.stat().st_size
    factor = whole / made.size
    with contextlib.closing(sqlite3.connect(f"file:{recording}?mode=ro", uri=True)) as db:
        parts = _parts(db)
        body = db.execute("select avg(length(cast(body as blob))) from log").fetchone()[0]
    note = ", ".join(f"{name} {size / made.size:.2f}" for name, size in parts.items())
    yield Row(
        "size",
        "bytes on disk per event, SQLite, raw kept",
        f"{whole / made.count:.0f} (raw line {made.size / made.count:.0f})",
        f"{factor:.2f} x",
        "≤ 2.5 x raw line",
        at_most(factor, 2.5),
        f"{note}; mean body {body:.0f}",
        {"file": whole, "raw": made.size, **parts},
    )


def _parts(db: sqlite3.Connection) -> dict[str, int]:
    """Bytes per table, largest first: pages where this SQLite counts them, else what the columns hold."""
    with contextlib.suppress(sqlite3.OperationalError):
        return dict(db.execute("select name, sum(pgsize) from dbstat group by name order by 2 desc limit 4").fetchall())
    columns = {
        "log": "length(cast(body as blob)) + length(hash)",
        "message_chunks": "length(cast(text as blob))",
        "raw": "length(data)",
    }
    return {name: db.execute(f"select sum({held}) from {name}").fetchone()[0] or 0 for name, held in columns.items()}


def _reading(bench: Bench, recording: Path, store: Path) -> Iterator[Row]:
    took = []
    count = 0
    for _ in range(bench.pick(2, 1)):
        bench.wait_for_quiet()
        reader = open_reader(str(recording))
        state = RunState()
        began = time.monotonic()
        for batch in read_all(reader):
            fold(batch, state)
        took.append(time.monotonic() - began)
        count = state.seq
        reader.close()
    yield Row(
        "read",
        f"read and fold {count:,} events",
        spread([count / t for t in took], " events/s"),
        samples={"seconds": took},
    )
    bench.check_time()
    yield from _verifying(bench, recording, store, count)


def _verifying(bench: Bench, recording: Path, store: Path, count: int) -> Iterator[Row]:
    """How fast a run is verified, and whether the memory for that grows with its length."""
    took, peaks = [], []
    for _ in range(bench.pick(2, 1)):
        bench.wait_for_quiet()
        seconds, peak = _verified(bench, recording.stem, store)
        took.append(seconds)
        peaks.append(peak)
    rates = [count / seconds for seconds in took]
    reach = "≥ 200,000 events/s" if not bench.quick else "≥ 200,000 events/s (of a million)"
    met = at_least(median(rates), 200_000)
    yield Row("read", f"verify {count:,} events", spread(rates, " events/s"), "", reach, met, samples={"seconds": took})
    made = prepare(bench, count // 10)
    short = bench.store()
    _, _, tenth = _record(bench, made, short, "sqlite")
    _, small = _verified(bench, tenth.stem, short)
    growth = median(peaks) / small
    what = f"memory of verify, {count:,} events beside {made.count:,}"
    shown = f"{median(peaks) / 1e6:.0f} MB, {small / 1e6:.0f} MB"
    note = "what grows is the state: one step in a hundred events"
    yield Row("read", what, shown, f"{growth:.2f} x", "≤ 1.50 x", at_most(growth, 1.5), note, {"bytes": peaks})


def _verified(bench: Bench, run_id: str, store: Path) -> tuple[float, int]:
    """Wall time of `durastream verify`, and the most memory (bytes) that it held."""
    began = time.monotonic()
    process = bench.start(bench.words("verify", run_id, "--store", store, "--ignore", "visibility"))
    peak = 0
    while process.poll() is None:
        peak = max(peak, memory_peak(process.pid))
        time.sleep(0.005)
    took = time.monotonic() - began
    if process.returncode:
        raise NotMeasured(f"verify ended with {process.returncode}")
    end(process)
    return took, peak
