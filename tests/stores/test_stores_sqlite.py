"""A recording as one SQLite file: plain when it is finished, readable when its writer was killed, by any tool."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from stores_kit import INFO, LOG, RUN, SRC, Files, batches, fill, only, python, raw_chunk, row, unhashed

from durastream.errors import Damaged, NewerFormat, NotARecording, StoreFull, StoreUnwritable
from durastream.events import FORMAT, dumps
from durastream.state import fold
from durastream.stores import Batch, Reader, Rows, database, packed, schema
from durastream.stores import sqlite as module
from durastream.stores.database import settle
from durastream.stores.hashes import EACH
from durastream.stores.sqlite import SqliteWriter
from durastream.stores.sqlite_reader import SqliteReader
from durastream.testing import scripted
from durastream.verify import verify


@pytest.fixture
def kind(tmp_path: Path) -> Files:
    return Files(tmp_path, "sqlite")


@pytest.fixture
def finished(kind: Files) -> Path:
    fill(kind.create(), LOG)
    return kind.path


def edit(path: Path, sql: str, *values: Any) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("pragma writable_schema=on")
        db.execute(sql, values)


def rows(path: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return db.execute(sql).fetchall()


def test_the_schema_that_is_shipped_is_the_one_that_is_made() -> None:
    shipped = Path(schema.__file__).with_name("schema.sql").read_text(encoding="utf-8")
    assert shipped == schema.script()
    assert module.APPLICATION_ID == schema.APPLICATION_ID


class TestFinished:
    def test_it_is_one_plain_file(self, finished: Path) -> None:
        assert [path.name for path in finished.parent.iterdir()] == [finished.name]
        assert rows(finished, "pragma journal_mode") == [("delete",)]
        assert rows(finished, "pragma application_id") == [(schema.APPLICATION_ID,)]
        assert rows(finished, "pragma user_version") == [(schema.VERSION,)]
        assert rows(finished, "pragma integrity_check") == [("ok",)]

    def test_reading_it_changes_nothing(self, finished: Path) -> None:
        before = finished.read_bytes(), finished.stat().st_mtime_ns
        with closing(SqliteReader(str(finished))) as reader:
            reader.state()
            reader.info()
        assert (finished.read_bytes(), finished.stat().st_mtime_ns) == before
        assert len(list(finished.parent.iterdir())) == 1

    def test_its_views_show_what_the_run_did(self, finished: Path) -> None:
        assert rows(finished, "select count(*), min(seq), max(seq) from events") == [(len(LOG), 1, len(LOG))]
        assert rows(finished, "select seq, type, t, ts from events where seq = 3") == [
            (3, "plan.created", 0.1, LOG[2].ts)
        ]
        assert rows(finished, "select * from plan") == [("1", "look", "done", None)]
        assert rows(finished, "select step_id, title, kind, status, started from steps") == [
            ("s", "search", "tool", "ok", 0.5),
            ("t", "write", "task", "failed", 1.6),
        ]
        assert rows(finished, "select * from sources") == [("1", "https://example.org", "Example", "tool", 17)]
        assert rows(finished, "select * from checks") == [("cites", "pass", 0.5, None, "agent", 18)]
        assert rows(finished, "select * from usage") == [("run", "add", "m", 12, None, 0.5, 19)]
        assert rows(finished, "select run_id, status, exit_code, last_seq, reconciled from run") == [
            (RUN, "completed", 0, len(LOG), 1)
        ]

    def test_a_step_is_active_until_it_is_completed(self, kind: Files) -> None:
        log = scripted([("step.started", {"step_id": "s", "title": "x"})] * 2, run_id=RUN)
        fill(kind.create(), log)
        assert rows(kind.path, "select status from steps") == [("active",), ("active",)]

    def test_its_text_can_be_read_by_hand(self, finished: Path) -> None:
        chunks = rows(finished, "select text from message_chunks where message_id = 'stdout'")
        assert chunks == [("a line\n",)]
        assert {type(text) for (text,) in rows(finished, "select text from message_chunks")} == {str, bytes}

    @pytest.mark.skipif(shutil.which("sqlite3") is None, reason="no sqlite3 on the path")
    def test_the_shell_of_sqlite_opens_it(self, finished: Path) -> None:
        done = subprocess.run(
            ["sqlite3", "-readonly", str(finished), "select step_id || ' ' || status from steps"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "s ok\nt failed\n"

    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("steps", [{"step_id": "s", "status": "ok"}, {"step_id": "t", "status": "failed"}]),
            ("plan", [{"id": "1", "status": "done"}]),
            ("run", [{"run_id": RUN}]),
        ],
    )
    def test_datasette_serves_it(self, finished: Path, path: str, expected: list[dict[str, str]]) -> None:
        pytest.importorskip("datasette")
        done = subprocess.run(
            [sys.executable, "-m", "datasette", str(finished), "--get", f"/{RUN}/{path}.json?_shape=array"],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONWARNINGS": "ignore"},
        )
        found = json.loads(done.stdout)
        assert [{name: line[name] for name in expected[0]} for line in found] == expected


@pytest.fixture
def shared(kind: Files) -> Iterator[Path]:
    """A folder that other users can enter, which the folders of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="durastream-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
        Path(folder).chmod(0o755)


READ = """
import os, pydantic_core, random, shutil, sys, tempfile
from durastream.stores.folder import open_reader
if os.getuid() == 0:  # for whom no folder is closed: be somebody who owns nothing, now that all is imported
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
reader = open_reader(sys.argv[1])
print(len(reader.read()), reader.state().seq, len(reader.drafts()), reader.info().status)
reader.close()
"""

RECORD = """
import os, sys
sys.path.insert(0, sys.argv[2])
from stores_kit import Files, LOG, batches
writer = Files(sys.argv[1], "sqlite").create()
for batch in batches(LOG[:-1]):
    writer.append(batch)
os._exit(9)
"""


def crashed(folder: Path) -> Path:
    """What is left of a recording whose writer was killed."""
    words = [sys.executable, "-c", RECORD, str(folder), str(Path(__file__).parent)]
    assert subprocess.run(words, env=os.environ | {"PYTHONPATH": SRC}, check=False).returncode == 9
    path = folder / f"{RUN}.db"
    assert path.with_name(path.name + "-wal").stat().st_size > 0
    return path


def lock_up(folder: Path) -> None:
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)


def test_a_finished_recording_is_read_in_a_folder_that_cannot_be_written(finished: Path, shared: Path) -> None:
    copy = Path(shutil.copy(finished, shared))
    lock_up(shared)
    assert python(READ, str(copy)) == f"{len(LOG)} {len(LOG)} 3 completed\n"


def test_a_recording_whose_writer_was_killed_is_read_and_gone_on_with(tmp_path: Path) -> None:
    path = crashed(tmp_path)
    with closing(SqliteReader(str(path))) as reader:
        assert reader.read() == LOG[:-1]
        assert reader.info() == INFO._replace(last_seq=len(LOG) - 1)
    writer = SqliteWriter.resume(str(path))
    assert writer is not None
    writer.append(only(LOG[-1]))
    writer.close()
    with closing(SqliteReader(str(path))) as reader:
        assert reader.read() == LOG


@pytest.mark.parametrize("lost", ["", "-shm"])
def test_a_recording_whose_writer_was_killed_is_read_in_a_folder_that_cannot_be_written(
    shared: Path, lost: str
) -> None:
    path = crashed(shared)
    if lost:
        path.with_name(path.name + lost).unlink()
    lock_up(shared)
    assert python(READ, str(path)) == f"{len(LOG) - 1} {len(LOG) - 1} 3 running\n"


def test_a_recording_that_cannot_be_opened_is_read_from_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = crashed(tmp_path)

    def refuse(*_: str) -> sqlite3.Connection:
        error = sqlite3.OperationalError("unable to open database file")
        error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
        raise error

    monkeypatch.setattr(database, "_open", refuse)
    reader = SqliteReader(str(path))
    copy = Path(reader._file.copy.name)
    assert reader.read() == LOG[:-1]
    reader.close()
    assert not copy.exists()
    with monkeypatch.context() as patch:
        patch.setattr(database, "FORMAT", 0)
        with pytest.raises(NewerFormat):
            SqliteReader(str(path))
    path.with_name(path.name + "-wal").unlink()
    with pytest.raises(NotARecording, match=r"holds no run yet|another SQLite database"):
        SqliteReader(str(path))
    monkeypatch.setattr(shutil, "copyfile", refuse)
    with pytest.raises(Damaged, match="nor a copy of it"):
        SqliteReader(str(path))


def test_a_recording_that_is_locked_for_good_is_said(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> sqlite3.Connection:
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise error

    monkeypatch.setattr(database, "_open", refuse)
    with pytest.raises(Damaged, match="database is locked"):
        SqliteReader(str(finished))


class TestMaking:
    def test_one_whose_making_was_cut_short_is_made_anew(self, kind: Files) -> None:
        for left in (b"", None):
            if left is None:
                with closing(sqlite3.connect(kind.path)) as db:
                    db.execute("pragma journal_mode=wal")
            else:
                kind.path.write_bytes(left)
            assert kind.resume() is None
            assert not kind.path.exists()
        fill(kind.create(), LOG)

    def test_before_it_holds_its_run_it_is_no_recording(self, kind: Files) -> None:
        with closing(sqlite3.connect(kind.path)) as db:
            db.execute(f"pragma application_id={schema.APPLICATION_ID}")
            db.execute(f"pragma user_version={FORMAT}")
        with pytest.raises(NotARecording, match="holds no run yet"):
            kind.reader()

    def test_no_inode_left_is_a_full_disk(self, kind: Files, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: Any) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(module.os, "open", full)
        with pytest.raises(StoreFull):
            kind.create()

    def test_a_file_that_sqlite_does_not_open_is_said(self, kind: Files, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(path: str) -> sqlite3.Connection:
            raise sqlite3.OperationalError("unable to open database file")

        monkeypatch.setattr(module, "connect", refuse)
        for attempt in (kind.create, kind.resume):
            with pytest.raises(StoreUnwritable, match="unable to open database file"):
                attempt()

    @pytest.mark.parametrize(
        ("code", "expected"), [(sqlite3.SQLITE_FULL, StoreFull), (sqlite3.SQLITE_IOERR, StoreUnwritable)]
    )
    def test_a_disk_that_fails_is_said(
        self, kind: Files, monkeypatch: pytest.MonkeyPatch, code: int, expected: type[Exception]
    ) -> None:
        def fail(db: sqlite3.Connection) -> None:
            error = sqlite3.OperationalError("it failed")
            error.sqlite_errorcode = code
            raise error

        monkeypatch.setattr(module, "prepare", fail)
        with pytest.raises(expected, match=RUN):
            kind.create()
        kind.path.unlink()
        monkeypatch.undo()
        kind.create().close()
        monkeypatch.setattr(module, "prepare", fail)
        with pytest.raises(expected):
            kind.resume()

    def test_many_events_in_one_statement_are_stored_as_row_by_row(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bodies = [f'{{"seq":{at},"data":"' + "\u00e9\U0001f408x\0" * (at % 90) + '"}' for at in range(1, 300)]
        bodies[20], bodies[250] = "", "x" * (module._LONG - 1)
        events = [(at, body, bytes([at % 256]) * 32) for at, body in enumerate(bodies, start=1)]
        stored = []
        for name, most, reads_json in (("one", 10**9, True), ("long", 1000, True), ("old", 10**9, False)):
            monkeypatch.setattr(module, "_MOST", most)
            (tmp_path / name).mkdir()
            kind = Files(tmp_path / name, "sqlite")
            writer = kind.create()
            assert isinstance(writer, SqliteWriter)
            monkeypatch.setattr(writer, "_reads_json", reads_json)
            asked: list[str] = []
            writer._db.set_trace_callback(asked.append)
            for first, last in ((0, 1), (1, 40), (40, 299)):
                columns = [(body.encode(), digest) for _, body, digest in events[first:last]]
                writer.append(Batch(Rows.of(first + 1, columns)))
            writer.close()
            assert sum(each.startswith("insert into log") for each in asked) == (3 if name == "one" else 299)
            stored.append(rows(kind.path, "select seq, body, hash, typeof(body), typeof(hash) from log order by seq"))
        assert stored[0] == stored[1] == stored[2]
        assert [row[1] for row in stored[0]] == bodies
        assert [(row[0], len(row[2])) for row in stored[0] if len(row[2]) != 4] == [
            (at, 32) for at in range(1, 300) if at % EACH == 0 or at in (1, 40, 299)
        ]

    def test_a_batch_is_stored_whole_or_not_at_all(self, kind: Files) -> None:
        writer = kind.create()
        first, second, *_ = batches(LOG)
        writer.append(first)
        with pytest.raises(StoreUnwritable):
            writer.append(second._replace(rows=[*second.rows, second.rows[0]], raw=[raw_chunk("stdout", 0, b"x")]))
        writer.close()
        with closing(SqliteReader(str(kind.path))) as reader:
            assert reader.read() == LOG[: first.rows[-1][0]]
            assert list(reader.raw("stdout")) == []
            assert reader.drafts() == {"stdout": ""}

    def test_finishing_on_a_disk_that_fails_is_said(self, kind: Files) -> None:
        writer = kind.create()
        edit(kind.path, "drop table run")
        with pytest.raises(StoreUnwritable):
            writer.finish(INFO)
        writer.close()


class TestLeavingTheLog:
    """A viewer that reads at the end keeps the writer from leaving one plain file: not for long, and not for good."""

    @pytest.fixture
    def held(self, kind: Files, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(database, "_PATIENCE", 0.02)
        writer = kind.create()
        for batch in batches(LOG):
            writer.append(batch)
        with closing(sqlite3.connect(f"file:{kind.path}?mode=ro", uri=True)) as viewer:
            viewer.execute("begin")
            viewer.execute("select * from log").fetchone()
            writer.finish(INFO._replace(status="completed"))
            writer.close()
        return kind.path

    def test_the_recording_is_complete_all_the_same(self, held: Path) -> None:
        assert held.read_bytes()[18] == 2
        with closing(SqliteReader(str(held))) as reader:
            assert reader.read() == LOG
            assert reader.info().status == "completed"

    def test_it_is_settled_later(self, held: Path) -> None:
        settle(str(held))
        assert held.read_bytes()[18] == 1
        assert [path.name for path in held.parent.iterdir()] == [held.name]
        before = held.stat().st_mtime_ns
        settle(str(held))
        assert held.stat().st_mtime_ns == before

    @pytest.mark.parametrize("content", [None, b"", b"x" * 18 + b"\x02\x02"])
    def test_what_cannot_be_settled_is_left_alone(self, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "x.db"
        if content is not None:
            path.write_bytes(content)
        settle(str(path))
        assert (path.read_bytes() if content is not None else None) == content


ENDLESS = "with recursive n(x) as (select 1 union all select x + 1 from n) select x as run_id, x as seq from n"
TAMPERED: dict[str, list[str]] = {
    "a view in place of a table": ["drop table log", f"create view log as {ENDLESS}"],
    "a view under another spelling": ["drop table run", f"create view RUN as {ENDLESS}"],
    "nothing but views": [
        *(f"drop table {name}" for name in ("run", "log", "messages", "message_chunks", "snapshots", "raw")),
        f"create view RUN as {ENDLESS}",
        f"create view LOG as {ENDLESS}",
    ],
    "a generated column": [
        "drop table run",
        "create table run (run_id text generated always as (hex(zeroblob(1000000000))), name text)",
    ],
    "a missing table": ["drop table snapshots"],
    "another column": ["alter table log add column note text"],
    "a rewritten schema": ["update sqlite_master set sql = replace(sql, 'BLOB', 'TEXT') where name = 'log'"],
    "a run id that leads elsewhere": ["update run set run_id = '../../victim'"],
    "a run id that is no text": ["update run set run_id = x'00'"],
    "no run": ["delete from run"],
}


@pytest.mark.parametrize("how", TAMPERED)
@pytest.mark.timeout(20)
def test_a_file_that_durastream_did_not_make_so_is_refused_before_it_is_queried(finished: Path, how: str) -> None:
    for sql in TAMPERED[how]:
        edit(finished, sql)
    with pytest.raises(NotARecording):
        SqliteReader(str(finished))


@pytest.mark.timeout(20)
def test_what_others_add_is_not_looked_at(finished: Path) -> None:
    edit(finished, f"create view endless as {ENDLESS}")
    edit(finished, "create table notes (text)")
    edit(finished, "create trigger t after insert on log begin delete from log; end")
    with closing(SqliteReader(str(finished))) as reader:
        assert reader.read() == LOG


def opened(path: Path) -> Reader:
    return SqliteReader(str(path))


BROKEN_ROWS: dict[str, tuple[str, Any]] = {
    "no json": ("update log set body = ? where seq = 5", "{"),
    "no text": ("update log set body = ? where seq = 5", None),
    "bytes": ("update log set body = ? where seq = 5", LOG[4].body.encode()),
    "an event of another place": ("update log set body = ? where seq = 5", LOG[0].body),
    "a seq of none": ("update log set body = ? where seq = 5", LOG[4].body.replace('"seq":5', '"seq":0')),
    "no hash": ("update log set hash = ? where seq = 5", None),
    "a short hash": ("update log set hash = ? where seq = 5", b"x"),
    "a hash in words": ("update log set hash = ? where seq = 5", "x" * 32),
    "deep": ("update log set body = ? where seq = 5", LOG[4].body.replace("search", "x") + "[" * 100_000),
}


@pytest.mark.parametrize("how", BROKEN_ROWS)
@pytest.mark.timeout(20)
def test_a_broken_row_is_named_once_and_the_rest_is_read(finished: Path, how: str) -> None:
    edit(finished, *BROKEN_ROWS[how])
    with closing(opened(finished)) as reader:
        for _ in range(2):
            assert reader.read() == LOG[:4] + LOG[5:]
        assert reader.read(4, 1) == LOG[5:6]
        (damage,) = reader.damage
        assert damage.startswith("event 5 cannot be read: ")


@pytest.mark.timeout(20)
def test_a_log_whose_end_is_gone_is_that_of_no_finished_run(finished: Path) -> None:
    with closing(SqliteReader(str(finished))) as reader:
        before = reader.info()
    assert before.status == "completed"
    edit(finished, "delete from log where seq = (select max(seq) from log)")
    with closing(SqliteReader(str(finished))) as reader:
        assert reader.info() == INFO._replace(last_seq=(before.last_seq or 0) - 1)


def test_seqs_that_do_not_move_come_to_an_end(finished: Path) -> None:
    edit(finished, "update log set body = ?", LOG[0].body)
    with closing(opened(finished)) as reader:
        assert reader.read() == LOG[:1]
        assert reader.read(1) == []
        assert len(reader.damage) == len(LOG) - 1


def test_a_byte_that_is_no_utf8_spoils_its_event_and_no_other(finished: Path) -> None:
    edit(
        finished,
        "update log set body = cast(replace(cast(body as blob), x'6c6f6f6b', x'6cff6f6b') as text) where seq = 3",
    )
    with closing(opened(finished)) as reader:
        events = reader.read()
        assert [event for event in events if event.seq != 3] == LOG[:2] + LOG[3:]
        assert events[2].data["steps"][0]["title"] == "l\ufffdok"
        found = {(finding.code, finding.seq) for finding in verify(RUN, events).findings}
        assert ("hash-chain", 3) in found


@pytest.mark.parametrize("place", range(0, 4096, 97))
def test_a_flipped_bit_anywhere_ends_in_an_error_of_ours_or_in_a_finding_or_changed_nothing(
    finished: Path, place: int
) -> None:
    data = bytearray(finished.read_bytes())
    for page in range(0, len(data), 4096):
        at = page + (place * 31 + page // 4096) % 4096
        broken = bytearray(data)
        broken[at] ^= 1 << (place % 8)
        finished.write_bytes(broken)
        try:
            with closing(opened(finished)) as reader:
                reader.info()
                events = reader.read()
                reader.state()
                assert events == LOG or reader.damage or not verify(RUN, events).ok
        except (Damaged, NotARecording):
            pass


@pytest.fixture
def long(kind: Files) -> tuple[Path, list[Any]]:
    """A recording of some hundred pages, without snapshots."""
    log = scripted([("myapp.note", {"n": n, "x": "x" * 300}) for n in range(1500)], run_id=RUN)
    fill(kind.create(), log, sizes=[500], snapshot_every=0)
    return kind.path, log


def leaves(path: Path) -> list[tuple[int, int, int]]:
    """Place, first and last seq of each leaf page of the log."""
    with closing(sqlite3.connect(path)) as db:
        try:
            found = db.execute("select pageno from dbstat where name = 'log' and pagetype = 'leaf'").fetchall()
            size = db.execute("pragma page_size").fetchone()[0]
        except sqlite3.OperationalError:
            pytest.skip("this SQLite has no dbstat")
    data = path.read_bytes()
    pages = []
    for (number,) in found:
        page = data[(number - 1) * size : number * size]
        seqs = [int(text.split(b",")[0]) for text in page.split(b'{"seq":')[1:]]
        pages.append(((number - 1) * size, min(seqs), max(seqs)))
    return pages


@pytest.mark.parametrize("which", [0, 1, 40, -2, -1])
def test_where_a_sector_was_lost_the_events_around_it_are_read(long: tuple[Path, list[Any]], which: int) -> None:
    path, log = long
    place, first, last = sorted(leaves(path), key=lambda leaf: leaf[1])[which]
    with path.open("r+b") as file:
        file.seek(place)
        file.write(bytes(4096))
    with closing(opened(path)) as reader:
        seen: list[Any] = []
        while events := reader.read(seen[-1].seq if seen else 0, 400):
            seen += events
        assert unhashed(seen) == unhashed(event for event in log if not first <= event.seq <= last)
        assert [event.hash for event in seen if event.seq > last + EACH] == [e.hash for e in log if e.seq > last + EACH]
        state = reader.state()
        assert state.seq == seen[-1].seq
        assert reader.head().seq == seen[-1].seq
        assert any(f"event {first} cannot be read" in damage for damage in reader.damage) or which == -1


def test_a_file_cut_short_is_damaged_and_no_traceback(long: tuple[Path, list[Any]]) -> None:
    path, log = long
    data = path.read_bytes()
    for size in range(0, len(data), 65_000):
        path.write_bytes(data[:size])
        try:
            with closing(opened(path)) as reader:
                for event in reader.read():
                    assert event == log[event.seq - 1]
                reader.info()
        except (Damaged, NotARecording):
            pass


class TestKeptState:
    def test_a_snapshot_that_cannot_be_read_is_left_out(self, finished: Path) -> None:
        with closing(opened(finished)) as reader:
            seqs = list(reader.snapshots())
        saved = dumps(fold(LOG[: seqs[1]]).dump(text=False))
        bad: list[Any] = [
            b"noise",
            None,
            "text",
            zlib.compress(b"[]"),
            zlib.compress(b"{}"),
            zlib.compress(b"[" * 100_000),
            zlib.compress(saved.encode()),
            zlib.compress(saved.replace('"messages":[', '"messages":[5,').encode()),
            zlib.compress(saved.encode())[:-3],
        ]
        for value in bad:
            edit(finished, "update snapshots set state = ? where seq = ?", value, seqs[0])
            with closing(opened(finished)) as reader:
                with pytest.raises(Damaged, match=f"the snapshot at event {seqs[0]} cannot be read"):
                    reader.snapshot(seqs[0])
                for _ in range(2):
                    assert reader.state(seqs[0] + 1).dump() == fold(LOG[: seqs[0] + 1]).dump()
                assert len(reader.damage) == 1

    def test_drafts_that_cannot_be_read_are_damage(self, finished: Path) -> None:
        for value in (b"noise", zlib.compress(b"\xff")):
            edit(finished, "update message_chunks set text = ?", value)
            with closing(opened(finished)) as reader:
                with pytest.raises(Damaged, match=r"the stored draft of .* cannot be read"):
                    reader.drafts()
                assert reader.state().dump() == fold(LOG).dump()

    @pytest.mark.parametrize("value", [b"noise", "of another run", zlib.compress(b"\xff")])
    def test_a_draft_that_cannot_be_read_comes_out_of_the_events(self, finished: Path, value: Any) -> None:
        edit(finished, "update message_chunks set text = ?", value)
        known = fold(LOG)
        with closing(opened(finished)) as reader:
            for id_, message in reader.state().messages.items():
                if value != "of another run":  # what can be read is shown; only all of it can be measured
                    assert message.end(10**6) == known.messages[id_].text
                assert message.text == known.messages[id_].text
            assert reader.state().reasoning.text == known.reasoning.text
            assert len(reader.damage) == 1
            assert "the stored draft of" in reader.damage[0]

    def test_a_snapshot_of_before_there_were_lengths_in_it_is_read(self, finished: Path) -> None:
        with closing(opened(finished)) as reader:
            seq = list(reader.snapshots())[-1]
            saved = fold(LOG[:seq]).dump(text=False)
            del saved["reasoning_length"]
            for message in saved["messages"]:
                del message["length"]
            edit(finished, "update snapshots set state = ? where seq = ?", zlib.compress(dumps(saved).encode()), seq)
            assert reader.state(seq).dump() == reader.snapshot(seq).dump() == fold(LOG[:seq]).dump()
            assert reader.damage == []

    def test_a_length_that_is_none_makes_no_snapshot(self, finished: Path) -> None:
        with closing(opened(finished)) as reader:
            seq = list(reader.snapshots())[-1]
            for length in (-1, "5", 1.5):
                saved = fold(LOG[:seq]).dump(text=False) | {"reasoning_length": length}
                packed = zlib.compress(dumps(saved).encode())
                edit(finished, "update snapshots set state = ? where seq = ?", packed, seq)
                assert reader.state(seq).dump() == fold(LOG[:seq]).dump()
            assert len(reader.damage) == 1

    def test_a_few_bytes_that_unpack_to_gigabytes_are_refused(
        self, finished: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bomb = zlib.compress(bytes(8 << 20))
        monkeypatch.setattr(packed.unpack, "__defaults__", (1 << 20,))
        edit(finished, "update message_chunks set text = ?", bomb)
        edit(finished, "insert into raw (stream, offset, length, data) values ('stdout', 0, 5, ?)", bomb)
        with closing(opened(finished)) as reader:
            with pytest.raises(Damaged, match="more than"):
                reader.drafts()
            with pytest.raises(Damaged, match="more than 5 bytes"):
                list(reader.raw("stdout"))

    @pytest.mark.parametrize(
        ("length", "data"),
        [(5, b"noise"), (5, None), ("x", zlib.compress(b"x")), (-1, zlib.compress(b"x")), (None, zlib.compress(b"x"))],
    )
    def test_raw_bytes_that_cannot_be_read_are_damage(self, finished: Path, length: Any, data: Any) -> None:
        edit(finished, "insert into raw (stream, offset, length, data) values ('stdout', 0, ?, ?)", length, data)
        with closing(opened(finished)) as reader, pytest.raises(Damaged, match="the raw bytes of stdout are damaged"):
            list(reader.raw("stdout"))

    def test_a_message_row_without_its_place_is_read_from_the_start(self, finished: Path) -> None:
        edit(finished, "update messages set since = null")
        with closing(opened(finished)) as reader:
            assert reader.drafts()["answer"].startswith("Wrong")


def test_the_fields_of_a_run_that_are_no_json_are_damage(finished: Path) -> None:
    for value in ("{", "[" * 100_000):
        edit(finished, "update run set tags = ?", value)
        with closing(opened(finished)) as reader, pytest.raises(Damaged, match="does not say what run it is"):
            reader.info()


def test_a_hostile_end_gives_damage_and_no_traceback(kind: Files) -> None:
    log = scripted([("run.completed", {"status": "completed", "exit_code": "0"})], run_id=RUN)
    fill(kind.create(), log, finish=False)
    with closing(opened(kind.path)) as reader, pytest.raises(Damaged, match="exit_code"):
        reader.info()


def test_a_batch_without_events_keeps_raw_bytes(kind: Files) -> None:
    writer = kind.create()
    writer.append(Batch([], raw=[raw_chunk("stdout", 0, b"x")]))
    assert (writer.head.seq, writer.raw_length("stdout")) == (0, 1)
    writer.append(Batch([row(LOG[0])]))
    writer.close()


def test_hostile_views_do_not_slow_a_reader_down(finished: Path) -> None:
    edit(finished, "create index slow on log (body) where length(body) > 0")
    with closing(opened(finished)) as reader:
        assert reader.read() == LOG
