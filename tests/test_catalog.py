"""The catalog is a shortcut and never the truth."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from durastream.stores import FolderStore, catalog


@pytest.fixture
def store(tmp_path: Path) -> Path:
    for _ in range(2):
        command = [sys.executable, "-P", "-m", "durastream", "run", "--view", "none", "--store", str(tmp_path)]
        subprocess.run([*command, "--", "true"], check=True, capture_output=True)
    return tmp_path


def test_listing_from_the_catalog_gives_what_the_recordings_say(store: Path) -> None:
    read = list(FolderStore(str(store)).infos())
    assert catalog.load(str(store)).keys() == {info.run_id for info in read}
    assert list(FolderStore(str(store)).infos()) == read


def test_the_catalog_is_private_to_the_user(store: Path) -> None:
    list(FolderStore(str(store)).infos())
    assert os.stat(store / catalog.FILE).st_mode & 0o777 == 0o600


def test_a_recording_that_changed_is_read_again(store: Path) -> None:
    first = next(FolderStore(str(store)).infos())
    with sqlite3.connect(store / f"{first.run_id}.db") as db:
        db.execute("update run set name = 'renamed'")
    db.close()
    assert {info.name for info in FolderStore(str(store)).infos()} == {None, "renamed"}


def test_a_removed_run_is_forgotten(store: Path) -> None:
    first, second = FolderStore(str(store)).infos()
    FolderStore(str(store)).remove(first.run_id)
    assert [info.run_id for info in FolderStore(str(store)).infos()] == [second.run_id]
    assert catalog.load(str(store)).keys() == {second.run_id}


@pytest.mark.parametrize("damage", [b"", b"no database", b"SQLite format 3\0" + bytes(200)])
def test_a_damaged_catalog_changes_nothing(store: Path, damage: bytes) -> None:
    read = list(FolderStore(str(store)).infos())
    (store / catalog.FILE).write_bytes(damage)
    assert list(FolderStore(str(store)).infos()) == read


def test_a_catalog_that_cannot_be_written_changes_nothing(store: Path) -> None:
    (store / catalog.FILE).mkdir()
    assert len(list(FolderStore(str(store)).infos())) == 2
