"""Every rule catches the defect planted for it, at the event where it was planted; samples have no finding."""

from __future__ import annotations

import random
import re
import shutil
import sqlite3
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from corpus import DEFECTS, ROOT, SAMPLES, Defect

from durastream.checking import check
from durastream.errors import RecordingError
from durastream.importer import import_file
from durastream.rules import RULES, Finding
from durastream.rules.policy import Settings
from durastream.stores import FolderStore
from durastream.stores.folder import open_reader
from durastream.stores.shape import faults

sys.path.insert(0, str(ROOT / "docs"))

import rulebook

TRACES = ROOT / "tests" / "data" / "traces"

Plant = Callable[[sqlite3.Connection], int | None]


def found_in(path: Path, **options: object) -> list[Finding]:
    seal = options.pop("seal", None)
    reader = open_reader(str(path))
    try:
        return check(reader, Settings().policy({}, options), seal=None if seal is None else str(seal)).findings
    finally:
        reader.close()


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda each: f"{each.code}: {each.name}")
def test_a_planted_defect_is_caught_with_its_code_at_its_place(defect: Defect, tmp_path: Path) -> None:
    path, here = defect.make(tmp_path)
    found = found_in(path, **defect.options)
    assert (defect.code, here) in [(each.code, each.seq) for each in found], found


@pytest.mark.parametrize("name", SAMPLES)
def test_nothing_is_found_in_a_sample(name: str) -> None:
    left_open = ["plan-open"] if name == "codex" else []  # its agent answered, and never ticked that off
    assert [each.code for each in found_in(SAMPLES[name], severity="info")] == left_open


# what only a database holds


def chunk(db: sqlite3.Connection) -> None:
    db.execute("update message_chunks set text = 'lag' || text where chunk = (select max(chunk) from message_chunks)")


def lost_chunk(db: sqlite3.Connection) -> None:
    db.execute("delete from message_chunks where chunk = (select min(chunk) from message_chunks)")


def snapshot(db: sqlite3.Connection) -> int:
    seq, packed = db.execute("select seq, state from snapshots order by seq limit 1").fetchone()
    edited = zlib.decompress(packed).replace(b'"role":"assistant"', b'"role":"user"', 1)
    db.execute("update snapshots set state = ? where seq = ?", (zlib.compress(edited), seq))
    return int(seq)


def damaged_snapshot(db: sqlite3.Connection) -> int:
    seq = db.execute("select min(seq) from snapshots").fetchone()[0]
    db.execute("update snapshots set state = x'00' where seq = ?", (seq,))
    return int(seq)


def raw(db: sqlite3.Connection) -> int:
    number, packed = db.execute("select chunk, data from raw order by chunk limit 1").fetchone()
    data = zlib.decompress(packed)
    db.execute("update raw set data = ? where chunk = ?", (zlib.compress(data[:-2] + b"X" + data[-1:]), number))
    return int(db.execute("select max(seq) from log").fetchone()[0])


def run_field(db: sqlite3.Connection) -> None:
    db.execute("update run set name = 'another'")


def changed_view(db: sqlite3.Connection) -> None:
    db.executescript("drop view steps; create view steps as select 'search' as step_id, 'ok' as status")


def broken_view(db: sqlite3.Connection) -> None:
    """One letter: SQLite itself takes such a schema for malformed."""
    db.execute("pragma writable_schema=on")
    db.execute("update sqlite_master set sql = replace(sql, 'select seq', 'rdlect seq') where name = 'events'")


def added_table(db: sqlite3.Connection) -> None:
    db.execute("create table answers (text)")


def added_trigger(db: sqlite3.Connection) -> None:
    db.execute("create trigger later after insert on run begin delete from log; end")


def lost_index(db: sqlite3.Connection) -> None:
    db.execute("drop index idx_message_chunks_message_id_seq")


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in a database that is long enough for snapshots."""
    folder = tmp_path_factory.mktemp("long")
    (folder / "out.txt").write_text("".join(f"line {number}\n" for number in range(4500)), encoding="utf-8")
    made = import_file(FolderStore(str(folder)), str(folder / "out.txt"), format_="text")
    path = folder / f"{made.info.run_id}.db"
    assert found_in(path, severity="info") == []
    return path


@pytest.mark.parametrize(
    ("code", "plant"),
    [
        ("draft", chunk),
        ("draft", lost_chunk),
        ("snapshot", snapshot),
        ("snapshot", damaged_snapshot),
        ("raw", raw),
        ("run-fields", run_field),
        ("schema", changed_view),
        ("schema", broken_view),
        ("schema", added_table),
        ("schema", added_trigger),
        ("schema", lost_index),
    ],
)
def test_a_defect_beside_the_events_of_a_database_is_caught(
    code: str, plant: Plant, long_run: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(long_run, tmp_path))
    db = sqlite3.connect(path)
    here = plant(db)
    db.commit()
    db.close()
    assert (code, here) in [(each.code, each.seq) for each in found_in(path)]


def test_any_changed_bit_of_the_words_of_a_view_is_told_and_the_events_are_read(long_run: Path, tmp_path: Path) -> None:
    data = long_run.read_bytes()
    path = tmp_path / long_run.name
    for name in ("events", "plan", "steps", "sources", "checks", "usage"):
        match = re.search(rb'CREATE VIEW "%s" AS[^;\x00]*? from [a-z]+' % name.encode(), data)
        assert match is not None
        for at in range(match.start(), match.end(), 9):
            path.write_bytes(data[:at] + bytes([data[at] ^ (1 << at % 7)]) + data[at + 1 :])
            found = found_in(path)
            assert {each.code for each in found} == {"schema"}, (name, at, found)
            assert name in found[0].message, found


def test_what_is_called_twice_or_not_by_text_in_a_schema_is_told() -> None:
    script = "create table a (x); create view b as select x from a;"
    assert faults([("table", "a", "a", "CREATE TABLE a (x)"), ("view", b"\xff", 1, None)], script) == [
        "the file holds a view b'\\xff', which durastream did not make",
        "the view b is missing",
    ]
    twice = [("table", "a", "a", "CREATE TABLE a (x)")] * 2
    assert faults(twice, "create table a (x);") == ["the file holds a table a, which durastream did not make"]


def test_every_rule_has_a_defect() -> None:
    planted = {defect.code for defect in DEFECTS} | {"draft", "schema", "snapshot", "run-fields"}
    elsewhere = {"late-join", "end-undeclared"}  # a fault of durastream; a trace that was cut off
    elsewhere |= {"addendum", "signature"}  # files beside the recording: test_cli_check.py, test_cli_seal.py
    assert planted | elsewhere == RULES.keys()
    assert len(DEFECTS) >= 60


def test_a_stream_that_lost_its_last_record_is_caught(tmp_path: Path) -> None:
    trace = TRACES / "codex_exec_full.jsonl"
    lines = trace.read_bytes().splitlines(keepends=True)
    (tmp_path / "cut.jsonl").write_bytes(b"".join(lines[:-1]))
    made = import_file(FolderStore(str(tmp_path)), str(tmp_path / "cut.jsonl"))
    assert [each.code for each in found_in(tmp_path / f"{made.info.run_id}.db")] == ["end-undeclared"]


# any byte


@pytest.mark.parametrize("name", SAMPLES)
def test_any_changed_byte_of_a_stored_event_is_caught(name: str, tmp_path: Path) -> None:
    data = SAMPLES[name].read_bytes()
    chance = random.Random(name)
    starts = [match.start() for match in re.finditer(rb'^{"seq":', data, re.M)]
    for _ in range(150):
        start = chance.choice(starts)
        stop = data.index(b"\n", start) + 1
        at = chance.randrange(start, stop)
        other = chance.choice([byte for byte in range(256) if byte != data[at]])
        path = tmp_path / SAMPLES[name].name
        path.write_bytes(data[:at] + bytes([other]) + data[at + 1 :])
        try:
            found = found_in(path)
        except RecordingError:
            continue
        assert found, f"byte {at} ({data[at : at + 1]!r}) became {bytes([other])!r}"


@pytest.mark.parametrize("column", ["body", "hash", "seq"])
def test_any_changed_byte_of_an_event_in_a_database_is_caught(column: str, long_run: Path, tmp_path: Path) -> None:
    chance = random.Random(column)
    path = tmp_path / long_run.name
    for _ in range(12):
        shutil.copy(long_run, path)
        db = sqlite3.connect(path)
        seq = chance.randrange(1, 4504)
        if column == "seq":
            db.execute("update log set seq = seq + 100000 where seq = ?", (seq,))
        else:
            value = db.execute(f"select cast({column} as blob) from log where seq = ?", (seq,)).fetchone()[0]
            at = chance.randrange(len(value))
            changed = value[:at] + bytes([value[at] ^ (1 << chance.randrange(7))]) + value[at + 1 :]
            stored = changed.decode("latin-1") if column == "body" else changed
            db.execute(f"update log set {column} = ? where seq = ?", (stored, seq))
        db.commit()
        db.close()
        assert found_in(path), (column, seq)


# traces


def test_what_is_found_in_traces_is_what_the_page_explains(tmp_path: Path) -> None:
    assert rulebook.found(tmp_path) == rulebook.EXPLAINED.keys()
