"""A derived list of the finished runs of a folder, so that listing a thousand of them opens no thousand files.

It is never the truth: an entry counts only while its recording has the size and time it had when it was read, and the
file may be removed at any moment. Nothing here fails: where the catalog cannot be read or written, the recordings are.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing

from durastream.stores.protocols import RunInfo, run_info

__all__ = ["FILE", "Stamp", "load", "save", "stamp"]

FILE = ".catalog.db"
_TABLE = "CREATE TABLE runs (run_id text primary key, inode integer, size integer, mtime integer, info text)"

Stamp = tuple[int, int, int]
"""What tells that a recording is the one that was read: inode, size, time of its last change."""


def stamp(path: str) -> Stamp | None:
    """The stamp of a file; None when it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def load(folder: str) -> dict[str, tuple[Stamp, RunInfo]]:
    """What is known of finished runs, by run id."""
    path = os.path.join(folder, FILE)
    if not os.path.isfile(path):
        return {}
    try:
        with closing(sqlite3.connect(f"file:{_quoted(path)}?mode=ro", uri=True, timeout=0.2)) as db:
            if db.execute("select sql from sqlite_master where lower(name) = 'runs'").fetchall() != [(_TABLE,)]:
                return {}
            rows = db.execute("select run_id, inode, size, mtime, info from runs").fetchall()
        return {run_id: ((inode, size, mtime), _info(info)) for run_id, inode, size, mtime, info in rows}
    except (sqlite3.Error, ValueError, TypeError, RecursionError):
        return {}


def _info(text: str) -> RunInfo:
    return run_info(dict(zip(RunInfo._fields, json.loads(text), strict=True)))


def save(folder: str, entries: Mapping[str, tuple[Stamp, RunInfo]], gone: Iterable[str] = ()) -> None:
    """Remember finished runs and forget those that are gone, as far as the folder lets us."""
    path = os.path.join(folder, FILE)
    rows = [(run_id, *at, json.dumps(list(info))) for run_id, (at, info) in entries.items()]
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        os.fchmod(fd, 0o600)  # whatever the umask
        os.close(fd)
        with closing(sqlite3.connect(path, timeout=0.2)) as db, db:
            db.execute("pragma synchronous=off")
            db.execute(_TABLE.replace("TABLE runs", "TABLE IF NOT EXISTS runs"))
            db.executemany("delete from runs where run_id = ?", [(run_id,) for run_id in gone])
            db.executemany("insert or replace into runs values (?, ?, ?, ?, ?)", rows)
    except (OSError, sqlite3.Error):
        return


def _quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
