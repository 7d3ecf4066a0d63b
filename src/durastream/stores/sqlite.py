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
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import accumulate
from typing import Any

from durastream.collector import uncollected
from durastream.errors import (
    Damaged,
    NewerFormat,
    NotARecording,
    RecordingError,
    StoreConflict,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreUnwritable,
)
from durastream.events import FORMAT, Event, dumps, fields_many, genesis, loads, loads_many, show_hash
from durastream.state import Kept, Message, RunState, fold
from durastream.stores.hashes import EACH, KEPT, WHOLE, filled, is_kept, is_whole, shortened
from durastream.stores.packed import pieces, unpack
from durastream.stores.protocols import (
    LONGEST_EVENT,
    REASONING,
    RUN_ID,
    Batch,
    Head,
    RawChunk,
    Row,
    Rows,
    RunInfo,
    completed_info,
    run_info,
    text_of,
)
from durastream.stores.shape import faults

__all__ = ["REASONING", "SqliteReader", "SqliteWriter", "settle"]

_APPLICATION_ID = 0x64757261
_TABLES = ("run", "log", "messages", "message_chunks", "snapshots", "raw")
_PAGE = 8192
_CHECKPOINT_PAGES = 4000
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
_PATIENCE = 1.0
_PLAIN = 16 * 1024
_INFO = ", ".join(RunInfo._fields)
_PROBED = 2000
_UNREADABLE = (ValueError, KeyError, TypeError)
_CHUNKS = "select text from message_chunks where message_id = ? and seq > ? and seq <= ?"
_END = 32_000
_MUCH = 1 << 20
_BROKEN = (sqlite3.DatabaseError, UnicodeDecodeError)  # the second where a broken schema is in the message of the first


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
            db = _connect(path)
            _prepare(db)
            db.execute("begin immediate")
            db.execute(f"pragma application_id={_APPLICATION_ID}")
            db.execute(f"pragma user_version={FORMAT}")
            for statement in _schema().split(";\n"):
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
            db = _connect(path)
            if not db.execute("select 1 from sqlite_master").fetchone():
                db.close()
                return None
            _checked(db, path)  # before anything is changed in it
            _prepare(db)
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
                chunks = [(id_, seq, _pack(text)) for id_, seq, text in batch.chunks]
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
        _leave_wal(self._db)

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


def _connect(path: str) -> sqlite3.Connection:
    # one thread makes it and another may go on with it, never both at a time
    return sqlite3.connect(path, isolation_level=None, timeout=5.0, check_same_thread=False)


def _prepare(db: sqlite3.Connection) -> None:
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


def _leave_wal(db: sqlite3.Connection) -> bool:
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
        db = _connect(path)
        _prepare(db)
        _leave_wal(db)
        db.close()
    except (OSError, sqlite3.Error):
        return  # read-only, or somebody reads: it is readable as it is


def _pack(text: str) -> str | bytes:
    """Text as it is kept in a chunk: plain, so that people can read it, and compressed where it comes by the page."""
    return text if len(text) < _PLAIN else zlib.compress(text.encode(), 1)


def _unpack(kept: str | bytes) -> str:
    return kept if isinstance(kept, str) else unpack(kept).decode()


def _flat(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value


_FAR = 4000
"""From how many events on it is quicker to read their text out of the chunks."""

_LAST_CHUNK = "select max(seq) from message_chunks where message_id = ? and seq > ? and seq <= ?"
_LAST_CHUNK_OF_ANY = """select max(seq) from message_chunks where message_id in
(select message_id from messages union all select ?) and seq <= ?"""
_NO_TEXT = """select body from log where seq > ? and seq < ? and
instr(body, '"type":"text.delta"') not between 1 and ? and instr(body, '"type":"reasoning.delta"') not between 1 and ?
order by seq"""
_BODIES = "select seq, body from log where seq > ? and seq <= ? order by seq limit 5000"
_OF_TYPE = "select seq, body, hash from log where seq > ? and seq <= ? and instr(body, ?) > 0 order by seq"
_DELTAS = frozenset({"text.delta", "reasoning.delta"})


_ROWS = "select cast(body as blob), hash from log where seq > ? and seq <= ? and typeof(body) = 'text' order by seq"


class SqliteReader:
    """Reads a `.db` recording, finished or while it is written. Opens when asked something, `close` lets go."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.damage: list[str] = []
        self._told: set[int] = set()
        self._read: tuple[int, bytes] = (-1, b"")  # the last event that was read, and its hash
        self._counted_so_far: dict[tuple[str, int], tuple[Message, int]] = {}
        self._copy: Any = None
        self._open: sqlite3.Connection | None = None
        row = self._query("select run_id from run") if self._query("select 1 from sqlite_master") else []
        if not row or not isinstance(row[0][0], str) or not RUN_ID.match(row[0][0]):
            self.close()
            raise NotARecording(f"{path} holds no run yet, or is no durastream recording")
        self.run_id: str = row[0][0]

    @property
    def _db(self) -> sqlite3.Connection:
        if self._open is None:
            self._open = self._connect(self.path)
        return self._open

    def _connect(self, path: str) -> sqlite3.Connection:
        if not os.path.isfile(path):
            raise NotARecording(f"{path} is not there, or not a plain file")
        try:
            return _checked(_open_to_read(path), path)
        except sqlite3.OperationalError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code not in (
                sqlite3.SQLITE_CANTOPEN,
                sqlite3.SQLITE_READONLY,
                sqlite3.SQLITE_IOERR,
                sqlite3.SQLITE_FULL,
            ):
                raise Damaged(f"{path} cannot be read: {error}") from error
        except _BROKEN as error:
            raise NotARecording(f"{path} is no durastream recording: {error}") from error
        return self._connect_copy(path)

    def _connect_copy(self, path: str) -> sqlite3.Connection:
        """A recording whose recorder was killed wants its log replayed; where that cannot be written, a copy can."""
        import shutil  # these two take 10 ms to import, for a case that is rare
        import tempfile

        self._copy = tempfile.TemporaryDirectory(prefix="durastream-")
        try:
            for end in ("", "-wal"):
                if os.path.exists(path + end):
                    shutil.copyfile(path + end, os.path.join(self._copy.name, "copy.db" + end))
            return _checked(sqlite3.connect(os.path.join(self._copy.name, "copy.db"), isolation_level=None), path)
        except RecordingError:
            self.close()
            raise
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise Damaged(f"{path} cannot be read, nor a copy of it: {error}") from error

    def _query(self, sql: str, *values: Any) -> list[Any]:
        while True:
            try:
                return self._db.execute(sql, values).fetchall()
            except _BROKEN as error:
                if "decode to UTF-8" in str(error) and self._db.text_factory is str:
                    self._db.text_factory = _readable  # one broken byte is no reason not to show the rest
                    continue
                self.close()
                raise Damaged(f"{self.path} is damaged: {error}") from error

    def info(self) -> RunInfo:
        row = self._query(f"select {_INFO} from run")[0]
        values = dict(zip(RunInfo._fields, row, strict=True))
        try:
            values["tags"] = json.loads(values["tags"] or "{}")
            values["command"] = json.loads(values["command"] or "[]")
            if values["reconciled"] is not None:
                values["reconciled"] = bool(values["reconciled"])
            info = run_info(values)
            return info if info.status != "running" else run_info(self._ended(info)._asdict())
        except (*_UNREADABLE, RecursionError) as error:
            raise Damaged(f"{self.path} does not say what run it is: {error}") from error

    def _ended(self, info: RunInfo) -> RunInfo:
        """What the log says of a run whose recorder was killed before it wrote the run's row."""
        head = self.head()
        last = self.read(head.seq - 1, 1)
        info = info._replace(last_seq=head.seq or None)
        if last and last[0].type == "run.completed":
            info = completed_info(info, fold(last), head, show_hash(head.hash))
        return info

    def head(self) -> Head:
        try:
            row = self._query("select seq, body, hash from log order by seq desc limit 1")
        except Damaged:
            row = self._sound_rows("select seq, body, hash from log order by seq")[-1:]
            # the cursor is one row ahead of what it gives out: the last sound one is asked for by its seq
            row += self._sound_rows("select seq, body, hash from log where seq = ?", row[-1][0] + 1 if row else 1)
            row = row[-1:]
        if not row:
            return Head(0, genesis(self.run_id))
        ((seq, _, digest),) = row if is_whole(row[0][2]) else self._with_hashes(row)  # the end of a batch is whole
        return Head(seq, digest)

    def _with_hashes(self, rows: list[tuple[int, str, bytes]]) -> list[tuple[int, str, bytes]]:
        """The rows with their hashes as the chain has them."""
        return filled(rows, self._hash_before(rows[0][0])) if rows else rows

    def _hash_before(self, seq: int) -> bytes:
        """The hash of the event before this one: what was read last, else from the last one that is kept whole."""
        if self._read[0] == seq - 1:
            return self._read[1]
        if seq == 1:
            return genesis(self.run_id)
        try:
            rows = self._query("select seq, body, hash from log where seq < ? and seq >= ?", seq, seq - 1 - EACH)
        except Damaged:
            rows = self._sound_rows("select seq, body, hash from log where seq < ? and seq >= ?", seq, seq - 1 - EACH)
        start = next((at for at in range(len(rows) - 1, -1, -1) if is_whole(rows[at][2])), None)
        if start is None:
            before = genesis(self.run_id) if rows and rows[0][0] == 1 else b""
            return filled(rows, before)[-1][2] if rows else b""
        return filled(rows[start:], b"")[-1][2]

    def read(self, after: int = 0, limit: int = 5000, *, whole: bool = True) -> list[Event]:
        while True:
            try:
                rows = self._query("select seq, body, hash from log where seq > ? order by seq limit ?", after, limit)
            except Damaged:
                rows = self._rows_around(after, limit)
            found = self._events(self._with_hashes(rows) if whole else rows)
            if found or not rows:
                return found
            after = rows[-1][0]  # none of these can be read: what is behind them can

    def rows(self, after: int, limit: int) -> list[tuple[bytes, bytes]]:
        try:
            rows = self._db.execute(_ROWS, (after, after + limit)).fetchall()
            if len(rows) < limit:  # without a gap, the last of them bears the number that it has here
                ends = self._query("select max(seq) from log where seq > ? and seq <= ?", after, after + limit)
                return rows if ends == [(after + len(rows),)] else []
        except (*_BROKEN, Damaged):
            return []
        return rows

    def _events(self, rows: list[tuple[int, str, bytes]]) -> list[Event]:
        if rows and is_whole(rows[-1][2]):
            self._read = (rows[-1][0], rows[-1][2])
        try:
            found = loads_many([(body, digest) for _, body, digest in rows])
            if _fit(rows, found):
                return found
        except _UNREADABLE:
            pass
        found = []
        for row in rows:
            try:
                event = loads(row[1], row[2])
                if not _fits(row, event):
                    raise ValueError("its seq, body or hash is of another event")
                found.append(event)
            except _UNREADABLE:
                self._tell(row[0], f"event {row[0]} cannot be read: {str(row[1])[:60]!r}")
        return found

    def _tell(self, seq: int, what: str) -> None:
        if seq not in self._told:
            self._told.add(seq)
            self.damage.append(what)

    def _sound_rows(self, sql: str, *values: Any) -> list[Any]:
        """The rows before the first page that cannot be read."""
        rows: list[Any] = []
        with suppress(*_BROKEN):
            rows.extend(self._db.execute(sql, values))
        return rows

    def _rows_around(self, after: int, limit: int) -> list[Any]:
        """The rows after a seq where a page is broken: those before it, or the first behind it."""
        rows = self._sound_rows("select seq, body, hash from log where seq > ? order by seq limit ?", after, limit)
        for seq in range(after + 1, after + 1 + _PROBED):
            if rows:
                break
            rows = self._sound_rows("select seq, body, hash from log where seq = ?", seq)
            if not rows:
                self._tell(seq, f"event {seq} cannot be read: its place in {self.path} is damaged")
        return rows

    def state(self, upto: int | None = None) -> RunState:
        upto = self.head().seq if upto is None else upto
        with uncollected():
            return self._onward(self._at_snapshot(upto), upto)

    def forward(self, state: RunState, upto: int) -> RunState:
        with uncollected():
            return self._onward(state, upto)

    def _onward(self, state: RunState, upto: int) -> RunState:
        if upto - state.seq >= _FAR:
            try:
                self._pass_text(state, upto)
            except (*_UNREADABLE, Damaged):
                state = self._at_snapshot(upto)
        return self._fold_on(state, upto)

    def boundary(self, seq: int) -> int:
        return self._query(_LAST_CHUNK_OF_ANY, REASONING, seq)[0][0] or seq

    def _at_snapshot(self, upto: int) -> RunState:
        """The state at the last snapshot that can be read up to a seq; before the first event without one."""
        near = self._query("select max(seq) from snapshots where seq <= ?", upto)[0][0]
        if near:
            try:
                return self._snapshot(near, lazy=True)
            except Damaged as error:
                self._tell(-near, str(error))
        return RunState()

    def _pass_text(self, state: RunState, upto: int) -> None:
        """Take a state on to the end of a batch near `upto`: nine of ten events are text, which is there in chunks.

        Raises Damaged, or what an event or chunk that cannot be read raises; the state is then of no use.
        """
        after, ids = state.seq, [REASONING, *(row[0] for row in self._query("select message_id from messages"))]
        ends = [self._query(_LAST_CHUNK, id_, after, upto)[0][0] or 0 for id_ in ids]
        if (end := max(ends)) <= after:
            return
        for seq, ts, t, type_, event in fields_many(self._no_text(after, end)):
            if type_ in _DELTAS:
                state.seq, state.ts, state.t = seq, ts, t
            else:
                state.take(seq, ts, t, type_, event)
        if state.seq != end:
            raise Damaged(f"{self.path}: event {end} is missing")
        for id_, last in zip(ids, ends, strict=True):
            if last > after:
                message = state.reasoning if id_ == REASONING else state.messages[id_]
                message.append(self._text(id_, max(after, message.since), end))

    def _no_text(self, after: int, end: int) -> Iterator[str]:
        """The bodies of the events behind `after` that are no text, and of event `end`, whatever it is."""
        sides = self._query("select body from log where seq in (?, ?) order by seq", after + 1, end)
        # The type stands where that of the first does, or later by the digits that seq and t gained. Another "type"
        # may be in the data: behind the whole of the own one.
        near = sides[0][0].index('"type":"') + 20 if sides else 0
        for (body,) in self._query(_NO_TEXT, after, end, near, near):
            yield body
        yield from sides[-1] if sides else ()

    def _fold_on(self, state: RunState, upto: int) -> RunState:
        with suppress(*_UNREADABLE, Damaged):
            while state.seq < upto:
                rows = self._query(_BODIES, state.seq, upto)
                found = fields_many(body for _, body in rows)
                if not found or [row[0] for row in rows] != [fields[0] for fields in found]:
                    break
                for fields in found:
                    state.take(*fields)
        while state.seq < upto:  # one by one, past what cannot be read
            events = self.read(state.seq, min(5000, upto - state.seq), whole=False)
            fold((event for event in events if event.seq <= upto), state)
            if not events or events[-1].seq != state.seq:
                break
        return state

    def events_of(self, type_: str, after: int, upto: int) -> list[Event]:
        rows = self._query(_OF_TYPE, after, upto, f'"type":{dumps(type_)}')
        return [event for event in self._events(rows) if event.type == type_]

    def drafts(self) -> dict[str, str]:
        since = {REASONING: 0, **dict(self._query("select message_id, since from messages"))}
        texts: dict[str, str] = {}
        for message_id, seq in since.items():
            try:
                texts[message_id] = self._text(message_id, seq or 0, 1 << 62)
            except _UNREADABLE as error:
                raise Damaged(f"{self.path}: the stored draft of {message_id!r} cannot be read: {error}") from error
        if not texts[REASONING]:
            del texts[REASONING]
        return texts

    def draft_pieces(self, at: RunState | None = None) -> Iterator[tuple[str, str]]:
        sinces = {REASONING: 0, **dict(self._query("select message_id, since from messages"))}
        upto = 1 << 62
        if at is not None:
            upto = at.seq
            sinces |= {message.message_id: message.since for message in at.messages.values()}
        for message_id, since in sinces.items():
            yield message_id, ""
            try:
                for piece in self._pieces(message_id, since or 0, upto):
                    yield message_id, piece
            except _UNREADABLE as error:
                raise Damaged(f"{self.path}: the stored draft of {message_id!r} cannot be read: {error}") from error

    def text_behind(self, message_id: str, seq: int) -> Iterator[tuple[int, str]]:
        near = self._query("select min(seq) from message_chunks where message_id = ? and seq > ?", message_id, seq)
        end = near[0][0] or 0
        while seq < end and (events := self.read(seq, min(5000, end - seq), whole=False)):
            yield from ((e.seq, text) for e in events if e.seq <= end and (text := text_of(e, message_id)))
            seq = events[-1].seq
        if end:
            yield from self._chunks(message_id, end, 1 << 62)

    def _pieces(self, message_id: str, since: int, upto: int) -> Iterator[str]:
        return (text for _, text in self._chunks(message_id, since, upto))

    def _chunks(self, message_id: str, since: int, upto: int) -> Iterator[tuple[int, str]]:
        """The chunks of a message in order, some at a time: a draft may be larger than memory."""
        at, chunk, some = since, 1 << 62, 4  # behind all of the last retraction
        while rows := self._query(
            "select seq, chunk, text from message_chunks"
            " where message_id = ? and (seq, chunk) > (?, ?) and seq <= ? order by seq, chunk limit ?",
            message_id,
            at,
            chunk,
            upto,
            some,
        ):
            at, chunk, _ = rows[-1]
            some = min(200, 2 * some) if sum(len(row[2]) for row in rows) < _MUCH else max(1, some // 2)
            for seq, _, text in rows:
                yield seq, _unpack(text)

    def _text(self, message_id: str, since: int, upto: int) -> str:
        rows = self._query(f"{_CHUNKS} order by seq, chunk", message_id, since, upto)
        return "".join(_unpack(row[0]) for row in rows)

    def snapshots(self) -> Sequence[int]:
        return [row[0] for row in self._query("select seq from snapshots order by seq")]

    def snapshot(self, seq: int, *, text: bool = True) -> RunState:
        return self._snapshot(seq, lazy=False) if text else self._counted(seq)

    def _counted(self, seq: int) -> RunState:
        """The state with the text of messages counted and not held."""
        state = self._snapshot(seq, lazy=True)
        for message in (*state.messages.values(), state.reasoning):
            message_id, since = message.message_id, message.since
            if message is state.reasoning:
                message_id, since = REASONING, 0
            told = message.length
            message.forget()
            try:
                message.carry(self._count(message_id, since, seq))
            except _UNREADABLE as error:
                raise Damaged(f"{self.path}: the snapshot at event {seq} cannot be read: {error}") from error
            if message.length != told:
                raise Damaged(f"{self.path}: the snapshot at event {seq} counts on another draft than is kept")
        return state

    def _count(self, message_id: str, since: int, upto: int) -> Message:
        """The text of a message up to a seq, counted; it goes on from the snapshot that was asked for before."""
        counted, after = self._counted_so_far.pop((message_id, since), (Message(message_id), since))
        if after > upto:
            counted, after = Message(message_id), since
        for piece in self._pieces(message_id, after, upto):
            counted.append(piece)
            counted.drain()
        self._counted_so_far[message_id, since] = (counted, upto)
        return counted

    def _snapshot(self, seq: int, *, lazy: bool) -> RunState:
        rows = self._query("select state from snapshots where seq = ?", seq)

        def text(message_id: str, since: int, length: int | None) -> str | Kept:
            place = (message_id, since, seq)
            if not lazy or length is None:
                return self._text(*place)
            return _Kept(length, partial(self._kept, *place, length), partial(self._kept_end, *place))

        try:
            saved = _parsed(unpack(rows[0][0]))
            if saved["seq"] != seq:
                raise ValueError(f"it is of event {saved['seq']}")
            texts = {m["message_id"]: text(m["message_id"], m["since"], m.get("length")) for m in saved["messages"]}
            return RunState.load(saved, texts, text(REASONING, 0, saved.get("reasoning_length")))
        except (*_UNREADABLE, IndexError, AttributeError, RecursionError) as error:
            raise Damaged(f"{self.path}: the snapshot at event {seq} cannot be read: {error}") from error

    def _kept(self, message_id: str, since: int, upto: int, length: int) -> str:
        """The text that a snapshot counts on; out of the events when what is kept beside them is not it."""
        with self._briefly():
            try:
                text = self._text(message_id, since, upto)
                if len(text) == length:
                    return text
                why = f"{len(text)} characters in place of {length}"
            except (*_UNREADABLE, Damaged) as error:
                why = str(error)
            self._tell(-upto, f"{self.path}: the stored draft of {message_id!r} cannot be read: {why}")
            state = self._fold_on(RunState(), upto)
            message = state.reasoning if message_id == REASONING else state.messages.get(message_id)
            return message.text if message is not None else ""

    def _kept_end(self, message_id: str, since: int, upto: int, count: int) -> str:
        """The last `count` characters or some more; fewer when not so many can be read."""
        parts: list[str] = []
        with self._briefly(), suppress(sqlite3.DatabaseError, *_UNREADABLE):
            rows = self._db.execute(f"{_CHUNKS} order by seq desc, chunk desc", (message_id, since, upto))
            while count > 0 and (row := rows.fetchone()):
                parts.append(_unpack(row[0]))
                count -= len(parts[-1])
            rows.close()
        return "".join(reversed(parts))

    @contextmanager
    def _briefly(self) -> Iterator[None]:
        """Text may be asked for after `close`: then nothing stays open."""
        closed = self._open is None
        try:
            yield
        finally:
            if closed:
                self.close()

    def raw(self, stream: str) -> Iterator[bytes]:
        yield from pieces(self._raw_chunks(stream), self.path)

    def _raw_chunks(self, stream: str) -> Iterator[RawChunk]:
        chunk = 0
        sql = "select chunk, offset, length, data from raw where stream = ? and chunk > ? order by chunk limit 1"
        while rows := self._query(sql, stream, chunk):
            chunk, *found = rows[0]
            yield RawChunk(stream, *found)

    def schema_faults(self) -> list[str]:
        """How its tables, indexes, views and triggers differ from those of a recording, one sentence each."""
        return faults(self._query("select type, name, tbl_name, sql from sqlite_master"), _schema())

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None
        if self._copy is not None:
            self._copy.cleanup()
            self._copy = None


class _Kept:
    """Text of a message up to a snapshot, read when it is asked for: who joins late wants no more than its end."""

    def __init__(self, length: int, whole: Callable[[], str], last: Callable[[int], str]) -> None:
        if type(length) is not int or length < 0:
            raise ValueError("the length of a message is no number")
        self.length = length
        self.text = whole
        self._last = last
        self._end = ""

    def end(self, count: int) -> str:
        count = min(count, self.length)
        if len(self._end) < count:
            self._end = self._last(max(count, _END))
        if len(self._end) < count:
            self._end = self.text()
        return self._end


def _open_to_read(path: str) -> sqlite3.Connection:
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


def _checked(db: sqlite3.Connection, path: str) -> sqlite3.Connection:
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
    if application_id != _APPLICATION_ID:
        raise NotARecording(f"{path} is no durastream recording (another SQLite database)")
    if version > FORMAT:
        raise NewerFormat(f"{path} has format {version}, this durastream reads up to {FORMAT}: upgrade it")
    marks = ", ".join("?" * len(_TABLES))
    tables = db.execute(f"select type, sql from sqlite_master where lower(name) in ({marks})", _TABLES).fetchall()
    if db.execute("select 1 from sqlite_master").fetchone() and (
        version < 1
        or len(tables) != len(_TABLES)
        or not all(kind == "table" and f"{sql};" in _schema() for kind, sql in tables)
    ):
        raise NotARecording(f"{path} has no version or other tables than a recording has: durastream did not make it")


def _fits(row: tuple[int, str, bytes], event: Event) -> bool:
    """Whether an event is the one that its row says; what the chain hashes must be text, and the hash one."""
    return row[0] == event.seq and type(row[1]) is str and is_kept(row[2])


def _parsed(snapshot: bytes) -> Any:
    from pydantic_core import from_json  # as in `loads_many`: three times as fast, and who joins late waits for it

    try:
        return from_json(snapshot, cache_strings="keys")
    except ValueError:  # or nested deeper than it reads
        return json.loads(snapshot)


def _fit(rows: Sequence[tuple[int, str, bytes]], events: Sequence[Event]) -> bool:
    """The same for many, which nearly always fit."""
    return (
        [row[0] for row in rows] == [event[0] for event in events]
        and {type(row[1]) for row in rows} <= {str}
        and all(map(is_kept, [row[2] for row in rows]))
    )


def _readable(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def _schema() -> str:
    """The schema as durastream makes it. A file whose tables read otherwise is never queried."""
    with open(os.path.join(os.path.dirname(__file__), "schema.sql"), encoding="utf-8") as file:
        return file.read()
