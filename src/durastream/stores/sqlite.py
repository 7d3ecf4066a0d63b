"""A recording as one SQLite file: written by one process in WAL mode, left behind as a plain file.

What keeps it whole, each learned from a measured loss: one process writes and checkpoints, ever; readers open `mode=ro`
and read in short statements; nobody opens the file by hand while its writer lives (closing it would drop the locks);
*stored* means synced, so `synchronous=FULL`; after an error the head is read anew, never assumed.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import sys
import zlib
from collections.abc import Sequence
from contextlib import suppress
from itertools import accumulate
from typing import Any

from durastream.errors import NotARecording, StoreConflict, StoreDamaged, StoreError, StoreFull, StoreUnwritable
from durastream.events import FORMAT, genesis
from durastream.stores.database import APPLICATION_ID, checked, connect, leave_wal, prepare, schema
from durastream.stores.hashes import EACH, KEPT, WHOLE, shortened
from durastream.stores.protocols import Batch, Head, Row, Rows, RunInfo
from durastream.stores.texts import pack

__all__ = ["SqliteWriter"]

_INSERT = "insert into log (seq, body, hash) values (?, ?, ?)"
_MANY = 16
"""From how many rows on they are quicker in one statement."""

_LONG = 10**6  # bytes; a longer body goes in by itself
_MOST = 10**8
_INSERT_MANY = f"""insert into log (seq, body, hash)
select ?1 + key, cast(substr(?2, value / {_LONG}, value % {_LONG}) as text), substr(?3, {WHOLE} * key + 1,
case when (?1 + key) % {EACH} = 0 or key + 1 = ?5 then {WHOLE} else {KEPT} end) from json_each(?4)"""
"""Rows out of their bodies and hashes, each all in one, and the places of the bodies. SQLite takes no longer than for
rows of their own, and Python, which need not hand them over one by one, goes on in its other thread meanwhile."""
_INFO = ", ".join(RunInfo._fields)


def _translate(error: sqlite3.Error, path: str) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return StoreFull(f"no space left for {path}: free some; what was stored stays")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreDamaged(f"{path} was damaged while it was written: {error}")
    return StoreUnwritable(f"cannot write {path}: {error}")


class SqliteWriter:
    """The one writer of a `.db` recording."""

    keeps_state = True

    def __init__(self, path: str, connection: sqlite3.Connection, head: Head) -> None:
        self.path = path
        self.head = head
        self._db = connection
        try:
            connection.execute("select 1 from json_each('[]')").close()
            self._reads_json = True
        except sqlite3.Error:  # it may have been left out before SQLite 3.38
            self._reads_json = False

    @classmethod
    def create(cls, path: str, info: RunInfo) -> SqliteWriter:
        """Make the file, which must not be there. Raises StoreFull or StoreUnwritable."""
        db = None
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
            os.chmod(path, 0o600)  # whatever the umask; SQLite gives its log the mode of the file
            db = connect(path)
            prepare(db)
            db.execute("begin immediate")
            db.execute(f"pragma application_id={APPLICATION_ID}")
            db.execute(f"pragma user_version={FORMAT}")
            for statement in schema().split(";\n"):
                if statement.strip():
                    db.execute(statement)
            names = RunInfo._fields
            db.execute(
                f"insert into run ({_INFO}) values ({', '.join('?' * len(names))})", [_flat(value) for value in info]
            )
            db.execute("commit")
        except sqlite3.Error as error:
            if db is not None:
                db.close()
            raise _translate(error, path) from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreFull(f"no space left for {path}: free some; nothing was stored") from error
            raise StoreUnwritable(f"cannot make {path}: {error.strerror}") from error
        return cls(path, db, Head(0, genesis(info.run_id)))

    @classmethod
    def resume(cls, path: str) -> SqliteWriter | None:
        """Open a recording to write on; None when its creation was cut short and it holds nothing.

        Raises NotARecording or NewerFormat for what is not ours to go on with.
        """
        db = None
        try:
            db = connect(path)
            if not db.execute("select 1 from sqlite_master").fetchone():
                db.close()
                return None
            checked(db, path)  # before anything is changed in it
            prepare(db)
            run_id = db.execute("select run_id from run").fetchone()[0]
            row = db.execute("select seq, hash from log order by seq desc limit 1").fetchone()
        except sqlite3.Error as error:
            if db is not None:
                db.close()
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_NOTADB:
                raise NotARecording(f"{path} is no durastream recording: {error}") from error
            raise _translate(error, path) from error
        return cls(path, db, Head(*row) if row else Head(0, genesis(run_id)))

    def append(self, batch: Batch) -> None:
        if batch.rows and batch.rows[0][0] != self.head.seq + 1:
            raise StoreConflict(f"{self.path} ends at event {self.head.seq}, not before {batch.rows[0][0]}")
        db = self._db
        try:
            db.execute("begin immediate")
            self._insert(batch.rows)
            if batch.chunks:
                chunks = [(id_, seq, pack(text)) for id_, seq, text in batch.chunks]
                db.executemany("insert into message_chunks (message_id, seq, text) values (?, ?, ?)", chunks)
            if batch.messages:
                db.executemany(
                    "insert or replace into messages (message_id, role, since, length, completed)"
                    " values (?, ?, ?, ?, ?)",
                    batch.messages,
                )
            if batch.raw:
                db.executemany("insert into raw (stream, offset, length, data) values (?, ?, ?, ?)", batch.raw)
            if batch.snapshot is not None:
                packed = zlib.compress(batch.snapshot.encode(), 1)
                seq = batch.rows[-1][0] if batch.rows else self.head.seq
                db.execute("insert into snapshots values (?, ?)", (seq, packed))
            db.execute("commit")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                db.execute("rollback")
            raise _translate(error, self.path) from error
        if batch.rows:
            self.head = Head(batch.rows[-1][0], batch.rows[-1][2])

    def _insert(self, rows: Sequence[Row]) -> None:
        if not (isinstance(rows, Rows) and self._reads_json and len(rows) >= _MANY and _are_short(rows)):
            self._db.executemany(_INSERT, shortened(rows))
            return
        starts = accumulate([size + 1 for size in rows.sizes], initial=1)
        places = [start * _LONG + size for start, size in zip(starts, rows.sizes, strict=False)]
        self._db.execute(_INSERT_MANY, (rows.first, rows.lines, rows.hashes, _array(places), len(rows)))

    def check(self) -> None:
        """Nothing to do: SQLite writes where it likes."""

    def raw_length(self, stream: str) -> int:
        row = self._db.execute("select sum(length) from raw where stream = ?", (stream,)).fetchone()
        return row[0] or 0

    def finish(self, info: RunInfo) -> None:
        names = RunInfo._fields
        try:
            self._db.execute(f"update run set {', '.join(f'{name} = ?' for name in names)}", [_flat(v) for v in info])
            self._db.execute("pragma wal_checkpoint(passive)")  # waits for no viewer
        except sqlite3.Error as error:
            raise _translate(error, self.path) from error
        leave_wal(self._db)

    def close(self) -> None:
        self._db.close()


def _are_short(rows: Rows) -> bool:
    """Whether SQLite takes the rows as one value."""
    return max(rows.sizes) < _LONG and len(rows.lines) < _MOST


def _array(numbers: list[int]) -> str:
    """JSON of many numbers: in a fourth of the time by the library that decodes events, where a run has loaded it."""
    if "pydantic_core" in sys.modules:
        from pydantic_core import to_json

        return to_json(numbers).decode()
    return str(numbers)


def _flat(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value
