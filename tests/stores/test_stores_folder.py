"""A store is a folder of recordings: finding, listing and removing runs."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from stores_kit import INFO, LOG, RUN, Files, fill, only

from durastream.errors import (
    DurastreamError,
    NotARecording,
    RecordingError,
    RunAmbiguous,
    RunNotFound,
    StoreConflict,
    StoreError,
)
from durastream.spool import Spool
from durastream.stores import FolderStore, Found, RunInfo, catalog, open_store
from durastream.testing import MemoryStore, scripted

META = {"command": ["agent"], "cwd": "/", "started_at": "2026-11-25T00:00:00.000000Z", "name": "fresh"}


def add(
    folder: Path, run_id: str, day: int, *, name: str | None = None, log: str = "jsonl", end: bool = True
) -> RunInfo:
    info = INFO._replace(run_id=run_id, name=name, started_at=f"2026-11-{day:02}T06:00:00.000000Z")
    writer = FolderStore(str(folder)).create(info, log)
    events = scripted([], run_id=run_id, exit_status={"exit_code": 0} if end else None)
    writer.append(only(*events))
    writer.close()
    return info


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    add(tmp_path, "abc234", 1, name="nightly")
    add(tmp_path, "abd345", 3, name="nightly", log="sqlite")
    add(tmp_path, "xyz789", 2, name="abc")
    return open_store(str(tmp_path))


@pytest.mark.parametrize(
    ("ref", "run_id"),
    [
        ("abc234", "abc234"),
        ("abc2", "abc234"),
        ("x", "xyz789"),
        ("latest", "abd345"),
        ("@1", "abd345"),
        ("@2", "xyz789"),
        ("@3", "abc234"),
        ("nightly", "abd345"),
        ("abc", "xyz789"),
    ],
    ids=str,
)
def test_a_run_is_found_by_id_unique_prefix_age_or_name(store: FolderStore, ref: str, run_id: str) -> None:
    path = store.path(run_id)
    assert path is not None
    assert store.find(ref) == Found(run_id, path, store.folder)


@pytest.mark.parametrize(
    "ref", ["", "q", "@4", "@0", "@x", "nobody", "ABC234", "abc234x", "../abc234x", "a b", "%", "@" + "9" * 30]
)
def test_what_fits_no_run_is_said(store: FolderStore, ref: str) -> None:
    with pytest.raises(RunNotFound):
        store.find(ref)


def test_what_fits_several_runs_is_answered_with_them(store: FolderStore, tmp_path: Path) -> None:
    with pytest.raises(RunAmbiguous, match="ab fits 2 runs: abc234, abd345: type more of the id"):
        store.find("ab")
    for n in range(9):
        (tmp_path / f"q{n}.jsonl").touch()
    with pytest.raises(RunAmbiguous, match="q fits 9 runs: q0, q1, q2, q3, q4, q5, q6, q7, …"):
        store.find("q")


def test_there_is_no_latest_run_of_an_empty_store(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(RunNotFound, match="there is no run latest: no runs in "):
            FolderStore(str(folder)).find("latest")


@pytest.mark.parametrize("log", ["sqlite", "jsonl"])
def test_a_run_is_found_by_the_path_of_its_file(
    tmp_path: Path, store: FolderStore, log: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    fill(Files(elsewhere, log).create(), LOG)
    file = Files(elsewhere, log).path
    assert store.find(str(file)) == Found(RUN, str(file), str(elsewhere))
    monkeypatch.chdir(elsewhere)
    assert store.find(file.name) == Found(RUN, str(file), str(elsewhere))
    copy = file.rename(elsewhere / f"copy{file.suffix}")
    assert store.find(str(copy)) == Found(RUN, str(copy), None), "a copy has no spool of its own"


def test_a_path_that_leads_nowhere_or_to_something_else_is_said(store: FolderStore, tmp_path: Path) -> None:
    with pytest.raises(RunNotFound, match="there is no file"):
        store.find(str(tmp_path / "gone.db"))
    with pytest.raises(RunNotFound, match="there is no file"):
        store.find("gone.jsonl")
    (tmp_path / "notes.txt").write_text("milk")
    with pytest.raises(NotARecording):
        store.find(str(tmp_path / "notes.txt"))
    with pytest.raises(NotARecording, match="not a plain file"):
        store.find(str(tmp_path))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotARecording, match="not a plain file"):
        store.find(str(tmp_path / "pipe"))


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_said(store: FolderStore, tmp_path: Path) -> None:
    for name in ("x.db", "x.jsonl", "x"):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0)
        with pytest.raises(RecordingError):
            store.find(str(tmp_path / name))


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "recording"
    fill(Files(tmp_path, "jsonl").create(), LOG)
    Files(tmp_path, "jsonl").path.rename(path)
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(NotARecording, match="Permission denied"):
        FolderStore(str(tmp_path)).find(str(path))
    with pytest.raises(NotARecording, match="Permission denied"):
        FolderStore(str(tmp_path)).find(str(path.rename(tmp_path / "x.jsonl")))


def test_runs_are_listed_newest_first(store: FolderStore, tmp_path: Path) -> None:
    assert [info.run_id for info in store.infos()] == ["abd345", "xyz789", "abc234"]
    assert {info.status for info in store.infos()} == {"completed"}
    (tmp_path / "broken.jsonl").write_text("milk\n")
    (tmp_path / "Notes.db").write_text("milk\n")
    (tmp_path / "folder.db").mkdir()
    assert [info.run_id for info in store.infos()] == ["abd345", "xyz789", "abc234"]
    assert set(store.run_ids()) == {"abc234", "abd345", "xyz789", "broken", "folder"}


@pytest.mark.parametrize("log", ["sqlite", "jsonl"])
def test_a_run_without_an_end_on_which_nobody_works_is_orphaned(tmp_path: Path, log: str) -> None:
    add(tmp_path, "abc234", 1, end=False, log=log)
    assert FolderStore(str(tmp_path)).info("abc234").status == "orphaned"
    assert [info.status for info in FolderStore(str(tmp_path)).infos()] == ["orphaned"]


def test_a_run_that_only_just_begins_is_listed_from_its_spool(tmp_path: Path) -> None:
    spool = Spool.create(str(tmp_path), META)
    store = FolderStore(str(tmp_path))
    assert store.find("fresh") == Found(spool.run_id, None, store.folder)
    fresh = RunInfo(spool.run_id, "fresh", {}, ["agent"], "/", META["started_at"])
    lock = spool.lock("supervisor")
    try:
        assert store.info(spool.run_id) == fresh
        (tmp_path / f"{spool.run_id}.db").touch()
        assert store.info(spool.run_id) == fresh, "its recorder is just making the file"
    finally:
        os.close(lock)
    assert store.info(spool.run_id) == fresh._replace(status="orphaned")


def test_what_is_asked_for_and_not_there_is_said(tmp_path: Path) -> None:
    store = FolderStore(str(tmp_path))
    with pytest.raises(RunNotFound):
        store.info("abc234")
    (tmp_path / "abc234.jsonl").write_text("milk\n")
    with pytest.raises(NotARecording):
        store.info("abc234")
    assert store.path("abd345") is None
    assert store.resume("abd345") is None


def test_a_run_that_only_just_begins_is_listed_without_the_secrets_of_its_command(tmp_path: Path) -> None:
    secret = {"on": True, "values": {"A_TOKEN": "of the moment"}, "names": [], "patterns": ["ACME-[0-9]{6}"]}
    asked = {"command": ["agent", "of the moment", "--token", "other"], "name": "ACME-123456", "cwd": "/ACME-123456"}
    spool = Spool.create(str(tmp_path), META | asked | {"tags": {"k": "of the moment"}, "redact": secret})
    info = FolderStore(str(tmp_path)).info(spool.run_id)
    assert (info.command, info.name) == (["agent", "[redacted]***", "--token", "*****"], "[redacted]*")
    assert (info.cwd, info.tags) == ("/[redacted]*", {"k": "[redacted]***"})


@pytest.mark.parametrize("log", ["sqlite", "jsonl"])
def test_a_run_is_removed_with_all_that_belongs_to_it_and_nothing_else(tmp_path: Path, log: str) -> None:
    add(tmp_path, "abc234", 1, log=log, end=False)
    add(tmp_path, "abd345", 2, log=log)
    spool = Spool.create(str(tmp_path), META)
    os.close(spool.lock("supervisor"))
    os.rename(spool.path, tmp_path / ".spool" / "abc234")
    for end in ("-wal", "-shm"):
        (tmp_path / f"abc234.{'db' if log == 'sqlite' else log}{end}").touch()
    FolderStore(str(tmp_path)).remove("abc234")
    assert FolderStore(str(tmp_path)).run_ids() == ["abd345"]
    assert not list(tmp_path.glob("abc234*"))
    assert not (tmp_path / ".spool" / "abc234").exists()
    FolderStore(str(tmp_path)).remove("abc234")


def test_a_run_is_not_removed_while_it_is_recorded(tmp_path: Path) -> None:
    spool = Spool.create(str(tmp_path), META)
    add(tmp_path, spool.run_id, 1, end=False)
    store = FolderStore(str(tmp_path))
    lock = spool.lock("supervisor")
    try:
        with pytest.raises(DurastreamError, match=f"durastream cancel {spool.run_id}"):
            store.remove(spool.run_id)
    finally:
        os.close(lock)
    assert store.path(spool.run_id) is not None
    store.remove(spool.run_id)
    assert store.run_ids() == []


def test_a_file_that_cannot_be_removed_is_said(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("durastream.stores.folder.os.unlink", refuse)
    with pytest.raises(StoreError, match=r"cannot remove .*abc234\.jsonl: Permission denied"):
        store.remove("abc234")


class TestCatalog:
    def rewrite(self, store: FolderStore, *sqls: str, info: Any = None) -> None:
        list(store.infos())
        with closing(sqlite3.connect(os.path.join(store.folder, catalog.FILE))) as db, db:
            if info is not None:
                db.execute("update runs set info = ?", (info,))
            for sql in sqls:
                db.execute(sql)

    @pytest.mark.parametrize(
        "info", ["{", "[]", "5", json.dumps([5] * len(RunInfo._fields)), "[" * 100_000, json.dumps(list(INFO)[:-1])]
    )
    def test_what_it_says_of_a_run_is_believed_only_if_it_can_be_true(self, store: FolderStore, info: str) -> None:
        read = list(store.infos())
        self.rewrite(store, info=info)
        assert catalog.load(store.folder) == {}
        assert list(store.infos()) == read

    @pytest.mark.timeout(20)
    def test_a_catalog_that_never_ends_is_not_read(self, store: FolderStore) -> None:
        read = list(store.infos())
        endless = "with recursive n(x) as (select 1 union all select x + 1 from n) select x as run_id from n"
        self.rewrite(store, "drop table runs", f"create view RUNS as {endless}")
        assert list(store.infos()) == read

    def test_a_file_that_went_away_has_no_stamp(self, tmp_path: Path) -> None:
        assert catalog.stamp(str(tmp_path / "gone")) is None

    def test_a_catalog_is_never_written_through_a_link(self, store: FolderStore, tmp_path: Path) -> None:
        victim = tmp_path / "victim"
        victim.write_text("")
        (tmp_path / catalog.FILE).symlink_to(victim)
        list(store.infos())
        assert victim.read_text() == ""


class TestMemory:
    def test_a_run_is_recorded_once(self) -> None:
        store = MemoryStore()
        store.create(INFO)
        with pytest.raises(StoreConflict):
            store.create(INFO)

    def test_a_run_that_is_not_there_is_said(self) -> None:
        with pytest.raises(RunNotFound):
            MemoryStore().reader(RUN)

    def test_runs_are_listed_newest_first(self) -> None:
        store = MemoryStore()
        for run_id, day in (("a", 1), ("b", 3), ("c", 2)):
            store.create(INFO._replace(run_id=run_id, started_at=f"2026-11-0{day}"))
        assert [info.run_id for info in store.infos()] == ["b", "c", "a"]

    def test_a_log_told_by_hand_may_begin_as_it_likes(self) -> None:
        started = ("run.started", {"run_id": RUN, "cwd": "/", "format": 1, "name": "mine"}, 0.0)
        (first,) = scripted([started])
        assert first.data["name"] == "mine"
        assert [event.t for event in scripted([("log.line", {"text": "x"}, 2.5), ("log.line", {"text": "y"})])] == [
            0.0,
            2.5,
            2.5,
        ]
