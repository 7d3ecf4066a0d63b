"""The file of a `.db` recording: made in WAL mode, opened to be written or read, left behind as a plain file.

What is no recording of a version that is known is refused before anything in it is read or changed.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from durastream.errors import Damaged, NewerFormat, NotARecording, RecordingError
from durastream.events import FORMAT
from durastream.stores.protocols import LONGEST_EVENT

__all__ = ["APPLICATION_ID", "BROKEN", "Opened", "checked", "connect", "leave_wal", "prepare", "schema", "settle"]

APPLICATION_ID = 0x64757261
BROKEN = (sqlite3.DatabaseError, UnicodeDecodeError)  # the second where a broken schema is in the message of the first
_TABLES = ("run", "log", "messages", "message_chunks", "snapshots", "raw")
_PAGE = 8192
_CHECKPOINT_PAGES = 4000
_PATIENCE = 1.0


def connect(path: str) -> sqlite3.Connection:
    """A connection to write with; the file is made if it is not there."""
    # one thread makes it and another may go on with it, never both at a time
    return sqlite3.connect(path, isolation_level=None, timeout=5.0, check_same_thread=False)


def prepare(db: sqlite3.Connection) -> None:
    """What is stored shall be on the disk, before the next thing is."""
    for pragma in (
        f"page_size={_PAGE}",  # of a new file; events are 300 bytes, and half of one is left over in each page
        "journal_mode=wal",
        "synchronous=full",
        "fullfsync=1",
        "checkpoint_fullfsync=1",
        "mmap_size=0",
        f"wal_autocheckpoint={_CHECKPOINT_PAGES}",
    ):
        db.execute(f"pragma {pragma}").close()


def leave_wal(db: sqlite3.Connection) -> bool:
    """Make it one plain file. Viewers hold it for moments: wait for them, but not for one that was stopped."""
    db.execute("pragma busy_timeout=0")
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            if db.execute("pragma journal_mode=delete").fetchone()[0] == "delete":
                return True
        except sqlite3.OperationalError:
            pass
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.005)


def settle(path: str) -> None:
    """Make a finished recording one plain file when a viewer kept its recorder from doing so."""
    if not os.path.isfile(path):
        return  # opening a pipe would wait for ever
    try:
        with open(path, "rb") as file:
            if file.read(20)[18:19] != b"\x02":
                return
        db = connect(path)
        prepare(db)
        leave_wal(db)
        db.close()
    except (OSError, sqlite3.Error):
        return  # read-only, or somebody reads: it is readable as it is


class Opened:
    """A recording to read from. Opens when asked something, `close` lets go."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.copy: Any = None
        """The folder of a copy that is read in place of the file."""
        self._open: sqlite3.Connection | None = None

    @property
    def db(self) -> sqlite3.Connection:
        """The connection. Raises NotARecording, NewerFormat, or Damaged when the file cannot be opened."""
        if self._open is None:
            self._open = self._connect(self.path)
        return self._open

    def _connect(self, path: str) -> sqlite3.Connection:
        if not os.path.isfile(path):
            raise NotARecording(f"{path} is not there, or not a plain file")
        try:
            return checked(_open(path), path)
        except sqlite3.OperationalError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code not in (
                sqlite3.SQLITE_CANTOPEN,
                sqlite3.SQLITE_READONLY,
                sqlite3.SQLITE_IOERR,
                sqlite3.SQLITE_FULL,
            ):
                raise Damaged(f"{path} cannot be read: {error}") from error
        except BROKEN as error:
            raise NotARecording(f"{path} is no durastream recording: {error}") from error
        return self._connect_copy(path)

    def _connect_copy(self, path: str) -> sqlite3.Connection:
        """A recording whose recorder was killed wants its log replayed; where that cannot be written, a copy can."""
        import shutil  # these two take 10 ms to import, for a case that is rare
        import tempfile

        self.copy = tempfile.TemporaryDirectory(prefix="durastream-")
        try:
            for end in ("", "-wal"):
                if os.path.exists(path + end):
                    shutil.copyfile(path + end, os.path.join(self.copy.name, "copy.db" + end))
            return checked(sqlite3.connect(os.path.join(self.copy.name, "copy.db"), isolation_level=None), path)
        except RecordingError:
            self.close()
            raise
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise Damaged(f"{path} cannot be read, nor a copy of it: {error}") from error

    def query(self, sql: str, *values: Any) -> list[Any]:
        """All rows. Raises Damaged when they cannot be read."""
        while True:
            try:
                return self.db.execute(sql, values).fetchall()
            except BROKEN as error:
                if "decode to UTF-8" in str(error) and self.db.text_factory is str:
                    self.db.text_factory = _readable  # one broken byte is no reason not to show the rest
                    continue
                self.close()
                raise Damaged(f"{self.path} is damaged: {error}") from error

    def sound(self, sql: str, *values: Any) -> list[Any]:
        """The rows before the first page that cannot be read."""
        rows: list[Any] = []
        with suppress(*BROKEN):
            rows.extend(self.db.execute(sql, values))
        return rows

    @contextmanager
    def briefly(self) -> Iterator[None]:
        """Text may be asked for after `close`: then nothing stays open."""
        closed = self._open is None
        try:
            yield
        finally:
            if closed:
                self.close()

    def close(self) -> None:
        """Let go of the file, and of the copy."""
        if self._open is not None:
            self._open.close()
            self._open = None
        if self.copy is not None:
            self.copy.cleanup()
            self.copy = None


def _open(path: str) -> sqlite3.Connection:
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    db = sqlite3.connect(f"file:{quoted}?mode=ro", uri=True, isolation_level=None, timeout=5.0)
    try:
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_EVENT)  # a row of gigabytes is an error, and not our memory
        db.execute("pragma trusted_schema=off").close()
        try:
            db.execute("select 1 from sqlite_master").close()
        except sqlite3.DatabaseError as error:
            if "malformed database schema" not in str(error):
                raise
            db.execute("pragma writable_schema=on").close()  # a broken view hides no event: what is sound is read
            db.execute("select 1 from sqlite_master").close()
    except BaseException:
        db.close()
        raise
    return db


def checked(db: sqlite3.Connection, path: str) -> sqlite3.Connection:
    """The connection, if it is to a recording that this version reads; else it is closed."""
    try:
        _check(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _check(db: sqlite3.Connection, path: str) -> None:
    """Refuse what is no recording, or one made by a later version."""
    application_id = db.execute("pragma application_id").fetchone()[0]
    version = db.execute("pragma user_version").fetchone()[0]
    if application_id != APPLICATION_ID:
        raise NotARecording(f"{path} is no durastream recording (another SQLite database)")
    if version > FORMAT:
        raise NewerFormat(f"{path} has format {version}, this durastream reads up to {FORMAT}: upgrade it")
    marks = ", ".join("?" * len(_TABLES))
    tables = db.execute(f"select type, sql from sqlite_master where lower(name) in ({marks})", _TABLES).fetchall()
    if db.execute("select 1 from sqlite_master").fetchone() and (
        version < 1
        or len(tables) != len(_TABLES)
        or not all(kind == "table" and f"{sql};" in schema() for kind, sql in tables)
    ):
        raise NotARecording(f"{path} has no version or other tables than a recording has: durastream did not make it")


def _readable(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def schema() -> str:
    """The schema as durastream makes it. A file whose tables read otherwise is never queried."""
    with open(os.path.join(os.path.dirname(__file__), "schema.sql"), encoding="utf-8") as file:
        return file.read()
