"""A recording is judged the same event by event, in stretches, and by two processes, whatever is wrong with it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from durastream import ahead, checking
from durastream.events import Event, Pending, Src, genesis
from durastream.ledger import Ledger
from durastream.rules.policy import Settings
from durastream.stores import RawChunk, RunInfo, Writer
from durastream.stores.jsonl import JsonlWriter
from durastream.stores.jsonl_reader import JsonlReader
from durastream.stores.sqlite import SqliteWriter
from durastream.stores.sqlite_reader import SqliteReader
from durastream.verify import Report, summed

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="a second process is started on Linux only"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]
RUN = "k3v9p2"
SMALL = 64


def pendings() -> Iterator[Pending]:
    """What an agent says: text of two messages, with steps, foreign types and escapes between."""
    dice, offset = random.Random(7), 0
    for at in range(800):
        kind = dice.randrange(20)
        if kind == 0:
            type_, data = "step.started", {"step_id": f"s{at}", "title": "look"}
        elif kind == 1:
            type_, data = "log.line", {"stream": "stderr", "text": "hm"}
        elif kind == 2:
            type_, data = "myapp.cache", {"hit": True}
        else:
            words = dice.choice(
                ["some words ", 'a "quoted" word ', "caf\u00e9 \U0001f408 ", "back\\slash\\", "line\n", ""]
            )
            type_, data = "text.delta", {"message_id": dice.choice("aab"), "text": words}
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        stream = "stdout" if kind == 1 else "events"
        yield Pending(type_, data, text, Src(stream, offset))
        offset += len(text.encode()) + 1


INFO = RunInfo(RUN, None, {}, ["agent"], "/", "2026-11-23T06:00:00.000000Z")


def record(writer: Writer, raw: RawChunk | None = None) -> None:
    """What the agent says, in batches of fifty; with each second one a chunk of raw bytes, if there is one."""
    ledger = Ledger(writer)
    start = {"run_id": RUN, "command": ["agent"], "cwd": "/", "format": 1}
    ledger.append([Pending("run.started", start, json.dumps(start, separators=(",", ":")))], (INFO.started_at, 0.0))
    told = list(pendings())
    for at in range(0, len(told), 50):
        chunks = [raw._replace(offset=at * raw.length // 100)] if raw is not None and at % 100 == 0 else []
        ledger.append(told[at : at + 50], (INFO.started_at, at / 100), raw=chunks, last=at == 400)
    writer.close()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / f"{RUN}.db"
    record(SqliteWriter.create(str(path), INFO))
    return path


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretches of few events, and states compared at three places: what takes a million events takes a thousand."""
    for module in (ahead, checking):
        monkeypatch.setattr(module, "STRETCH", SMALL)
    monkeypatch.setattr(checking, "_FEW", 2)
    monkeypatch.setattr(checking, "_MANY", 0)
    monkeypatch.setattr(checking, "cut_points", lambda last: sorted({1, last // 2, last} - {0}))


def judged(path: Path, cores: int = 1) -> Report:
    reader = SqliteReader(str(path))
    try:
        return checking.check(reader, Settings().policy({}, {"severity": "info"}), cores=cores)
    finally:
        reader.close()


def test_two_processes_take_what_they_make_of_a_recording_that_holds(
    original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[bool] = []
    take = ahead.Ahead.take
    monkeypatch.setattr(
        ahead.Ahead, "take", lambda self, first: [got := take(self, first), taken.append(got is not None)][0]
    )
    assert judged(original, 2) == judged(original)
    assert sum(taken) >= 6, "of thirteen stretches; those where states are compared are not asked for"


def test_a_second_process_adds_up_the_drafts_and_one_that_cannot_says_nothing(original: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copy(original, tmp_path / f"{RUN}.db"))
    with contextlib.closing(sqlite3.connect(broken)) as db, db:
        db.execute("update message_chunks set text = x'00' where chunk = 3")
    for path in (original, broken):
        reader = SqliteReader(str(path))
        helper = ahead.start(reader, 800)
        assert helper is not None
        found = helper.sums()
        helper.close()
        assert found == (summed(reader.draft_pieces()) if path == original else None)
        reader.close()
    assert "draft" in {finding.code for finding in judged(broken, 2).findings}


def body(db: sqlite3.Connection, seq: int, edit: Callable[[str], str]) -> None:
    (text,) = db.execute("select body from log where seq = ?", (seq,)).fetchone()
    db.execute("update log set body = ? where seq = ?", (edit(text), seq))


def chained(db: sqlite3.Connection) -> None:
    """All hashes anew, by somebody who knows how they are made."""
    digest = genesis(RUN)
    for seq, text in db.execute("select seq, cast(body as blob) from log order by seq").fetchall():
        digest = hashlib.sha256(digest + text).digest()
        db.execute("update log set hash = ? where seq = ?", (digest, seq))


EDITS: list[Callable[[sqlite3.Connection, int], object]] = [
    lambda db, at: body(db, at, lambda text: text.replace("e", "E", 1)),
    lambda db, at: body(db, at, lambda text: text[:-1]),
    lambda db, at: body(db, at, lambda text: text.replace('"seq":', '"seq":1', 1)),
    lambda db, at: body(db, at, lambda text: text.replace('"t":', '"t":-', 1)),
    lambda db, at: body(db, at, lambda text: text.replace('"offset":', '"offset":9', 1)),
    lambda db, at: body(db, at, lambda text: text.replace("text.delta", "run.completed")),
    lambda db, at: body(db, at, lambda text: text.replace('"},"src"', '\\"},"src"')),
    lambda db, at: body(db, at, lambda text: text.replace('"},"src"', '","more":1},"src"')),
    lambda db, at: body(db, at, lambda text: text.replace('}}', '},"late":true}')),
    lambda db, at: db.execute("delete from log where seq = ?", (at,)),
    lambda db, at: db.execute("delete from log where seq > ?", (at,)),
    lambda db, at: db.execute("update log set seq = seq + 5000 where seq = ?", (at,)),
    lambda db, at: db.execute("update log set seq = seq + 9007199254740993 where seq > ?", (at,)),
    lambda db, at: db.execute("update log set hash = zeroblob(length(hash)) where seq = ?", (at,)),
    lambda db, at: db.execute("update log set hash = substr(hash, 1, 4)"),
    lambda db, at: db.execute("update log set hash = 'text' where seq = ?", (at,)),
    lambda db, at: db.execute("update log set hash = x'' where seq = ?", (at,)),
    lambda db, at: db.execute("update log set body = cast(body as blob) where seq = ?", (at,)),
    lambda db, at: db.execute("update log set body = cast(cast(body as blob) || x'c3' as text) where seq = ?", (at,)),
    lambda db, at: db.execute("update message_chunks set text = 'x' where chunk = 5"),
]  # fmt: skip


def test_what_is_found_is_the_same_event_by_event_in_stretches_and_by_two_processes(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(20261125)
    found = set()
    for number, edit in enumerate(EDITS * 2):
        path = Path(shutil.copy(original, tmp_path / f"{RUN}.db"))
        with contextlib.closing(sqlite3.connect(path)) as db, db:
            at = dice.choice([SMALL * dice.randrange(1, 12), dice.randrange(2, 800)])  # at a seam, and anywhere
            edit(db, at)
            if number % 2:
                chained(db)
        alone, both = judged(path), judged(path, 2)
        with monkeypatch.context() as patch:
            patch.setattr(checking, "_FEW", 5000)
            each = judged(path)
        assert alone == each, (number, at)
        assert both == each, (number, at)
        found |= {finding.code for finding in each.findings}
    told = {"after-end", "draft", "hash-chain", "read-late", "seq-gap", "time-back", "unreadable"}
    assert told <= found, told - found


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The same as JSON Lines, with the raw bytes of one stream between."""
    path = tmp_path_factory.mktemp("store") / f"{RUN}.jsonl"
    record(JsonlWriter.create(str(path), INFO), RawChunk("stderr", 0, 100, zlib.compress(b"x\n" * 50)))
    return path.read_bytes().splitlines(keepends=True)


def judged_lines(path: Path) -> Report:
    reader = JsonlReader(str(path))
    try:
        return checking.check(reader, Settings().policy({}, {"severity": "info"}))
    finally:
        reader.close()


def test_json_lines_are_read_in_stretches(lines: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / f"{RUN}.jsonl"
    path.write_bytes(b"".join(lines))
    reader = JsonlReader(str(path))
    events = JsonlReader(str(path)).read(0, 2000)
    found = []
    while rows := reader.rows(len(found), 100):
        found += rows
    assert len(found) == 800, "and one that is less than a hundred"
    assert found == [(event.body.encode(), event.hash) for event in events[:800]]
    assert reader.read(len(found)) == events[800:]
    assert reader.rows(100, 100) == [], "it stands where it has read to"
    assert [event.seq for event in reader.read(99, 1)] == [100]
    assert reader.rows(100, 100) == found[100:200]


def test_json_lines_are_judged_the_same_line_by_line_and_in_stretches(
    lines: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(20261125)
    path = tmp_path / f"{RUN}.jsonl"
    found = set()
    for number in range(40):
        edited, at = list(lines), dice.randrange(1, len(lines))
        raw = [at for at, line in enumerate(lines) if line.startswith(b'{"raw"')]
        if number % 6 == 0:
            at = dice.choice(raw)
        match number % 5:
            case 0:
                edited[at] = edited[at][:-1][: dice.randrange(len(edited[at]))] + b"\n"
            case 1:
                edited[at : at + 2] = reversed(edited[at : at + 2])
            case 2:
                edited.insert(at, dice.choice([edited[at], b"\n", b"{}\n", b'{"raw":"stderr"}\n']))
            case 3:
                place = dice.randrange(len(edited[at]) - 1)
                byte = edited[at][place : place + 1]
                edited[at] = edited[at][:place] + (byte.upper() if number % 2 else b"0") + edited[at][place + 1 :]
            case _:
                del edited[at]
        path.write_bytes(b"".join(edited))
        together = judged_lines(path)
        with monkeypatch.context() as patch:
            patch.setattr(checking, "_FEW", 5000)
            assert together == judged_lines(path), (number, at)
        found |= {finding.code for finding in together.findings}
    assert {"hash-chain", "seq-gap", "unreadable"} <= found, found


class Behind(SqliteReader):
    """Reads a recording as it was after one of its batches, as far as its events go."""

    end = 0

    def read(self, after: int = 0, limit: int = 5000, *, whole: bool = True) -> list[Event]:
        return super().read(after, min(limit, self.end - after), whole=whole) if after < self.end else []

    def rows(self, after: int, limit: int) -> list[tuple[bytes, bytes]]:
        return super().rows(after, limit) if after + limit <= self.end else []


def test_text_that_comes_while_a_run_is_verified_is_no_finding(original: Path) -> None:
    reader = Behind(str(original))
    reader.end = reader.boundary(400)
    told: set[str]
    for live, told in ((True, set()), (False, {"draft"})):
        report = checking.check(reader, live=live)
        assert report.events == reader.end < 400
        assert {finding.code for finding in report.findings} - {"unsealed"} == told
    reader.close()


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_second_process_that_is_killed_is_done_without_and_leaves_nothing(original: Path) -> None:
    reader = SqliteReader(str(original))
    helper = ahead.start(reader, 800)
    assert helper is not None
    os.kill(helper.pid, signal.SIGKILL)
    made = [helper.take(turn * SMALL + 1) for turn in range(12)]
    assert made[-1] is None
    assert helper.sums() is None
    checker = checking.Checker(RUN)
    checking._read(reader, checker, helper)
    assert checker.seq == reader.head().seq
    assert "unsealed" in {each.code for each in checker.report().findings}
    helper.close()
    assert gone(helper.pid)
    helper.close()
    reader.close()


ORPHAN = """
import os, sys
from durastream import ahead
from durastream.stores.sqlite_reader import SqliteReader
ahead.STRETCH = 64
helper = ahead.start(SqliteReader(sys.argv[1]), 800)
helper.take(65)
print(helper.pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_second_process_ends_with_the_first(original: Path) -> None:
    done = subprocess.run([sys.executable, "-c", ORPHAN, str(original)], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    until = time.monotonic() + 20
    while not gone(int(done.stdout)):
        assert time.monotonic() < until, "it goes on without anybody who takes what it makes"
        time.sleep(0.01)


def test_there_is_no_second_process_where_there_is_nothing_for_it(
    original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = SqliteReader(str(original))
    assert ahead.start(reader, 2 * SMALL - 1) is None

    def refuse() -> int:
        raise OSError("no process left")

    monkeypatch.setattr(os, "fork", refuse)
    assert ahead.start(reader, 800) is None
    assert judged(original, 2) == judged(original)
    reader.close()
