"""What both kinds of file promise: private, refused when they are something else, readable when they are damaged."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from stores_kit import INFO, LOG, RUN, Files, fill, only, row, unhashed

from durastream.errors import NewerFormat, NotARecording, RecordingError, StoreUnwritable
from durastream.state import fold
from durastream.stores import Batch
from durastream.stores.folder import info_of, open_reader
from durastream.verify import verify


@pytest.fixture(params=["sqlite", "jsonl"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    return Files(tmp_path, request.param)


def test_a_recording_is_private_to_its_user_whatever_the_umask(kind: Files) -> None:
    before = os.umask(0)
    try:
        writer = kind.create()
        writer.append(only(*LOG[:3]))
        modes = {path.name: path.stat().st_mode & 0o777 for path in kind.path.parent.glob(RUN + "*")}
        writer.close()
    finally:
        os.umask(before)
    assert set(modes.values()) == {0o600}


def test_a_recording_is_never_made_over_a_file_that_is_there(kind: Files) -> None:
    fill(kind.create(), LOG)
    before = kind.path.read_bytes()
    with pytest.raises(StoreUnwritable, match="File exists"):
        kind.create()
    assert kind.path.read_bytes() == before


def test_a_recording_is_never_made_through_a_link(kind: Files, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    kind.path.symlink_to(tmp_path / "victim")
    with pytest.raises(StoreUnwritable):
        kind.create()
    assert (tmp_path / "victim").read_text() == "mine"


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    for log in ("sqlite", "jsonl"):
        with pytest.raises(StoreUnwritable, match="No such file or directory"):
            Files(tmp_path / "gone", log).create()


@pytest.mark.parametrize("name", ["r 1%?#.db", "a'b\".jsonl"])
def test_a_path_may_have_any_characters(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    for log in ("sqlite", "jsonl"):
        kind = Files(folder, log)
        fill(kind.create(), LOG)
        reader = kind.reader()
        assert reader.read() == LOG
        reader.close()


def test_a_recording_is_known_by_what_is_in_it_whatever_it_is_called(kind: Files, tmp_path: Path) -> None:
    fill(kind.create(), LOG)
    copy = tmp_path / "my recording"
    copy.write_bytes(kind.path.read_bytes())
    reader = open_reader(str(copy))
    assert (reader.run_id, reader.read()) == (RUN, LOG)
    reader.close()


def other_database(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("create table run (run_id text)")
        db.execute("insert into run values ('k3v9p2')")
    db.close()


OTHERS: dict[str, Any] = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("# Notes\n\n- milk\n"),
    "one line of text": lambda path: path.write_text("milk"),
    "zeros": lambda path: path.write_bytes(bytes(10_000)),
    "json": lambda path: path.write_text('{"name": "package", "version": "1.0"}\n'),
    "a list": lambda path: path.write_text("[1]\n"),
    "deep json": lambda path: path.write_text("[" * 100_000 + "\n"),
    "a number": lambda path: path.write_text("5\n"),
    "no run": lambda path: path.write_text('{"durastream":1}\n'),
    "a run id that leads elsewhere": lambda path: path.write_text('{"durastream":1,"run_id":"../../victim"}\n'),
    "a format that is no number": lambda path: path.write_text('{"durastream":"1","run_id":"k3v9p2"}\n'),
    "half a database": lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(50)),
    "noise called a database": lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 16),
    "another database": other_database,
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "nothing": lambda path: None,
}


@pytest.mark.parametrize("end", [".db", ".jsonl", ".txt"])
@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.timeout(20)
def test_another_file_is_refused_by_name(tmp_path: Path, other: str, end: str) -> None:
    path = tmp_path / f"{RUN}{end}"
    OTHERS[other](path)
    with pytest.raises(NotARecording, match=RUN):
        open_reader(str(path))


@pytest.mark.parametrize("other", ["text", "json", "another database", "a folder", "a pipe", "noise called a database"])
@pytest.mark.timeout(20)
def test_another_file_is_never_written_on_nor_removed(kind: Files, other: str) -> None:
    OTHERS[other](kind.path)
    before = kind.path.read_bytes() if kind.path.is_file() else None
    if kind.log == "sqlite" and other in ("a folder", "a pipe"):
        expected: Any = (StoreUnwritable, NotARecording)
    else:
        expected = NotARecording
    with pytest.raises(expected):
        kind.resume()
    assert os.path.lexists(kind.path)
    if before is not None:
        assert kind.path.read_bytes() == before


def make_newer(kind: Files) -> None:
    if kind.log == "sqlite":
        with sqlite3.connect(kind.path) as db:
            db.execute("pragma user_version=2")
        db.close()
    else:
        text = kind.path.read_text().replace('{"durastream":1,', '{"durastream":2,"future":{},', 1)
        kind.path.write_text(text)


def test_a_recording_of_a_later_version_is_neither_read_nor_written(kind: Files) -> None:
    fill(kind.create(), LOG[:-1])
    make_newer(kind)
    before = kind.path.read_bytes()
    with pytest.raises(NewerFormat, match=r"format 2.*reads up to 1: upgrade"):
        open_reader(str(kind.path))
    with pytest.raises(NewerFormat):
        kind.resume()
    assert kind.path.read_bytes() == before


@pytest.mark.parametrize(
    "field",
    [
        {"name": 5},
        {"tags": ["a"]},
        {"tags": {"a": 5}},
        {"command": "rm"},
        {"command": [5]},
        {"cwd": None},
        {"started_at": 5},
        {"parent_run_id": {}},
    ],
    ids=str,
)
def test_fields_that_are_not_what_they_must_be_are_damage_and_no_traceback(kind: Files, field: dict[str, Any]) -> None:
    fill(kind.create(), LOG)
    ((name, value),) = field.items()
    if kind.log == "sqlite":
        kept = json.dumps(value) if isinstance(value, (list, dict, str)) else value
        kept = b"\xff" if name in ("name", "started_at", "parent_run_id") else kept
        with sqlite3.connect(kind.path) as db:
            db.execute(f"update run set {name} = ?", (kept,))
        db.close()
    else:
        header, _, rest = kind.path.read_text().partition("\n")
        kind.path.write_text(json.dumps(json.loads(header) | field) + "\n" + rest)
    reader = kind.reader()
    with pytest.raises(RecordingError, match="does not say what run it is"):
        reader.info()
    assert reader.read() == LOG, "what can be read is read"
    reader.close()
    assert list(kind.store.infos()) == [], "and one such file is no reason not to list the others"


def test_a_run_whose_words_are_no_text_can_be_recorded(kind: Files) -> None:
    word = os.fsdecode(b"caf\xe9")
    meta = {"run_id": RUN, "command": ["ls", word], "cwd": f"/{word}", "name": word, "tags": {"a": word}}
    writer = kind.create(info_of({**meta, "started_at": "2026"}))
    writer.close()
    reader = kind.reader()
    assert reader.info().command == ["ls", "caf\ufffd"]
    assert (reader.info().name, reader.info().cwd, reader.info().tags) == (
        "caf\ufffd",
        "/caf\ufffd",
        {"a": "caf\ufffd"},
    )
    reader.close()


WORDS = {"command": ["x"], "cwd": "/", "started_at": ""}


@pytest.mark.parametrize(
    "meta", [{}, {"run_id": RUN}, {"run_id": RUN, **WORDS, "command": "x"}, {"run_id": "../../victim", **WORDS}]
)
def test_a_spool_that_does_not_say_what_run_it_is_is_refused(meta: dict[str, Any]) -> None:
    with pytest.raises(NotARecording):
        info_of(meta)


def test_an_event_that_is_not_one_is_named_and_the_rest_is_read(kind: Files) -> None:
    body = '{"seq":3,"ts":"","t":"soon","type":"a.b","data":{}}'
    writer = kind.create()
    writer.append(Batch([*map(row, LOG[:2]), (3, body, b"x" * 32), *map(row, LOG[3:])]))
    writer.close()
    reader = kind.reader()
    assert unhashed(reader.read()) == unhashed(LOG[:2] + LOG[3:])
    assert unhashed(reader.read(2, 1)) == unhashed(LOG[3:4])
    assert reader.read(1, 2) == [LOG[1], LOG[3]] if kind.log == "jsonl" else LOG[1:2]
    for n in range(len(LOG) + 1):
        assert reader.state(n).dump() == fold(event for event in LOG[:n] if event.seq != 3).dump()
    (damage,) = reader.damage
    assert ("event 3" if kind.log == "sqlite" else "line 4") in damage
    assert {"seq-gap", "hash-chain"} <= {finding.code for finding in verify(RUN, reader.read()).findings}
    assert INFO.name == reader.info().name
    reader.close()


def test_many_unreadable_events_do_not_hide_those_behind_them(kind: Files) -> None:
    writer = kind.create()
    broken = [(seq, "{", b"x" * 32) for seq in range(2, 20)]
    writer.append(Batch([row(LOG[0]), *broken, *map(row, LOG[19:])]))
    writer.close()
    reader = kind.reader()
    assert unhashed(reader.read(1, 3)) == unhashed(LOG[19:22])
    assert [event.seq for event in reader.read(0, 5)] == [1, 20, 21, 22][: len(reader.read(0, 5))]
    assert len(reader.damage) == 18
    reader.close()
