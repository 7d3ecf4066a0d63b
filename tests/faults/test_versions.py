"""A recording of another version, or one whose change to another was cut off, is refused and never changed."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from faults_kit import Box, prepared, written

from durastream.errors import NewerFormat, NotARecording
from durastream.recorder import Recorder, recover


def _sql(*statements: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with closing(sqlite3.connect(path)) as db:
            for statement in statements:
                db.execute(statement)
            db.commit()

    return change


def _header(old: bytes, new: bytes) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        data = path.read_bytes()
        assert old in data.split(b"\n", 1)[0]
        path.write_bytes(data.replace(old, new, 1))

    return change


NEWER = "has format 2, this durastream reads up to 1: upgrade it"
OTHER = {
    "sqlite": {
        "newer": (_sql("pragma user_version=2"), NEWER),
        "newer, half of its tables there": (_sql("pragma user_version=2", "drop table raw"), NEWER),
        "without a version": (_sql("pragma user_version=0"), "durastream did not make it"),
        "a table moved away": (_sql("alter table snapshots rename to snapshots_old"), "did not make it"),
    },
    "jsonl": {
        "newer": (_header(b'{"durastream":1', b'{"durastream":2'), NEWER),
        "without a version": (_header(b'{"durastream":1,', b"{"), "is no durastream recording"),
        "older than any": (_header(b'{"durastream":1', b'{"durastream":0'), "is no durastream recording"),
    },
}  # fmt: skip


def test_a_recording_of_another_version_is_refused_by_every_command_and_never_changed(box: Box, tmp_path: Path) -> None:
    spool = prepared(box, written(100))
    assert recover(spool)
    sound = Path(box.path(spool.run_id))
    for name, (change, said) in OTHER[box.log].items():
        folder = tmp_path / name
        folder.mkdir()
        path = Path(shutil.copy(sound, folder))
        change(path)
        before = hashlib.sha256(path.read_bytes()).digest()
        for command in ("show", "events", "verify", "cat"):
            result = box.ask(command, str(path))
            assert result.code == 3, (name, command, result)
            assert said in result.err, (name, command)
            assert result.err.count("\n") == 1
        assert hashlib.sha256(path.read_bytes()).digest() == before
        assert os.listdir(folder) == [path.name], "nor is anything put beside it"


def test_a_recording_of_another_version_that_is_not_finished_is_left_with_its_spool(box: Box) -> None:
    """Such as when durastream was replaced by an older one while a run lasted."""
    for name, (change, said) in OTHER[box.log].items():
        spool = prepared(box, written(100), exit_code=None)
        supervisor = spool.lock("supervisor")
        begun = Recorder(spool)
        while begun.step():
            pass
        begun.release()
        spool.write_exit({"exit_code": 0, "ts": 0.0, "sent": [], "left": []})
        os.close(supervisor)
        path = Path(box.path(spool.run_id))
        change(path)
        before = path.read_bytes()
        with pytest.raises((NewerFormat, NotARecording), match=said.split(":", maxsplit=1)[0]):
            recover(spool)
        result = box.ask("recover", spool.run_id)
        assert (result.code, said in result.err) == (3, True), (name, result)
        assert path.read_bytes() == before, name
        assert spool.exists()
        assert [each.name for each in Path(box.folder).iterdir() if "damaged" in each.name] == []


def test_a_list_goes_on_beside_a_recording_of_another_version(box: Box) -> None:
    for change, _ in OTHER[box.log].values():
        spool = prepared(box, written(50))
        assert recover(spool)
        change(Path(box.path(spool.run_id)))
    sound, _ = box.run("true")
    result = box.ask("list")
    assert result.code == 0
    assert sound in result.out
