"""Reads a recording that is one SQLite file, finished or while it is written; in short statements, and never writes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from durastream.collector import uncollected
from durastream.errors import Damaged, NotARecording
from durastream.events import Event, dumps, fields_many, genesis, loads, loads_many, show_hash
from durastream.message import Kept
from durastream.state import RunState, fold
from durastream.stores.database import BROKEN, Opened, schema
from durastream.stores.hashes import EACH, filled, is_kept, is_whole
from durastream.stores.packed import pieces, unpack
from durastream.stores.protocols import (
    REASONING,
    RUN_ID,
    UNREADABLE,
    Head,
    RawChunk,
    RunInfo,
    completed_info,
    run_info,
    text_of,
)
from durastream.stores.shape import faults
from durastream.stores.texts import Texts

__all__ = ["SqliteReader"]

_INFO = ", ".join(RunInfo._fields)
_AT_THE_END = RunInfo._fields[RunInfo._fields.index("status") :]
_PROBED = 2000
_FAR = 4000
"""From how many events on it is quicker to read their text out of the chunks."""

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
        self._file = Opened(path)
        self._texts = Texts(self._file, self._text_of_events)
        row = self._file.query("select run_id from run") if self._file.query("select 1 from sqlite_master") else []
        if not row or not isinstance(row[0][0], str) or not RUN_ID.match(row[0][0]):
            self.close()
            raise NotARecording(f"{path} holds no run yet, or is no durastream recording")
        self.run_id: str = row[0][0]

    def info(self) -> RunInfo:
        row = self._file.query(f"select {_INFO} from run")[0]
        values = dict(zip(RunInfo._fields, row, strict=True))
        try:
            values["tags"] = json.loads(values["tags"] or "{}")
            values["command"] = json.loads(values["command"] or "[]")
            if values["reconciled"] is not None:
                values["reconciled"] = bool(values["reconciled"])
            return run_info(self._as_logged(run_info(values))._asdict())
        except UNREADABLE as error:
            raise Damaged(f"{self.path} does not say what run it is: {error}") from error

    def _as_logged(self, info: RunInfo) -> RunInfo:
        """Where the log and the run's row differ, as the log has it: only the log ends a run.

        Its recorder was killed between the two, or somebody cut the end off.
        """
        head = self.head()
        last = self.read(head.seq - 1, 1)
        if last and last[0].type == "run.completed":
            return info if info.status != "running" else completed_info(info, fold(last), head, show_hash(head.hash))
        nothing = RunInfo._field_defaults
        return info._replace(**{name: nothing[name] for name in _AT_THE_END} | {"last_seq": head.seq or None})

    def head(self) -> Head:
        try:
            row = self._file.query("select seq, body, hash from log order by seq desc limit 1")
        except Damaged:
            row = self._file.sound("select seq, body, hash from log order by seq")[-1:]
            # the cursor is one row ahead of what it gives out: the last sound one is asked for by its seq
            row += self._file.sound("select seq, body, hash from log where seq = ?", row[-1][0] + 1 if row else 1)
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
            rows = self._file.query("select seq, body, hash from log where seq < ? and seq >= ?", seq, seq - 1 - EACH)
        except Damaged:
            rows = self._file.sound("select seq, body, hash from log where seq < ? and seq >= ?", seq, seq - 1 - EACH)
        start = next((at for at in range(len(rows) - 1, -1, -1) if is_whole(rows[at][2])), None)
        if start is None:
            before = genesis(self.run_id) if rows and rows[0][0] == 1 else b""
            return filled(rows, before)[-1][2] if rows else b""
        return filled(rows[start:], b"")[-1][2]

    def read(self, after: int = 0, limit: int = 5000, *, whole: bool = True) -> list[Event]:
        while True:
            try:
                rows = self._file.query(
                    "select seq, body, hash from log where seq > ? order by seq limit ?", after, limit
                )
            except Damaged:
                rows = self._rows_around(after, limit)
            found = self._events(self._with_hashes(rows) if whole else rows)
            if found or not rows:
                return found
            after = rows[-1][0]  # none of these can be read: what is behind them can

    def rows(self, after: int, limit: int) -> list[tuple[bytes, bytes]]:
        try:
            rows = self._file.db.execute(_ROWS, (after, after + limit)).fetchall()
            if len(rows) < limit:  # without a gap, the last of them bears the number that it has here
                ends = self._file.query("select max(seq) from log where seq > ? and seq <= ?", after, after + limit)
                return rows if ends == [(after + len(rows),)] else []
        except (*BROKEN, Damaged):
            return []
        return rows

    def _events(self, rows: list[tuple[int, str, bytes]]) -> list[Event]:
        if rows and is_whole(rows[-1][2]):
            self._read = (rows[-1][0], rows[-1][2])
        try:
            found = loads_many([(body, digest) for _, body, digest in rows])
            if _fit(rows, found):
                return found
        except UNREADABLE:
            pass
        found = []
        for row in rows:
            try:
                event = loads(row[1], row[2])
                if not _fits(row, event):
                    raise ValueError("its seq, body or hash is of another event")
                found.append(event)
            except UNREADABLE:
                self._tell(row[0], f"event {row[0]} cannot be read: {str(row[1])[:60]!r}")
        return found

    def _tell(self, seq: int, what: str) -> None:
        if seq not in self._told:
            self._told.add(seq)
            self.damage.append(what)

    def _rows_around(self, after: int, limit: int) -> list[Any]:
        """The rows after a seq where a page is broken: those before it, or the first behind it."""
        rows = self._file.sound("select seq, body, hash from log where seq > ? order by seq limit ?", after, limit)
        for seq in range(after + 1, after + 1 + _PROBED):
            if rows:
                break
            rows = self._file.sound("select seq, body, hash from log where seq = ?", seq)
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
            except (*UNREADABLE, Damaged):
                state = self._at_snapshot(upto)
        return self._fold_on(state, upto)

    def boundary(self, seq: int) -> int:
        return self._texts.last_of_any(seq) or seq

    def _at_snapshot(self, upto: int) -> RunState:
        """The state at the last snapshot that can be read up to a seq; before the first event without one."""
        near = self._file.query("select max(seq) from snapshots where seq <= ?", upto)[0][0]
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
        after, ids = state.seq, [REASONING, *(row[0] for row in self._file.query("select message_id from messages"))]
        ends = [self._texts.last(id_, after, upto) for id_ in ids]
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
                message.append(self._texts.text(id_, max(after, message.since), end))

    def _no_text(self, after: int, end: int) -> Iterator[str]:
        """The bodies of the events behind `after` that are no text, and of event `end`, whatever it is."""
        sides = self._file.query("select body from log where seq in (?, ?) order by seq", after + 1, end)
        # The type stands where that of the first does, or later by the digits that seq and t gained. Another "type"
        # may be in the data: behind the whole of the own one.
        near = sides[0][0].index('"type":"') + 20 if sides else 0
        for (body,) in self._file.query(_NO_TEXT, after, end, near, near):
            yield body
        yield from sides[-1] if sides else ()

    def _fold_on(self, state: RunState, upto: int) -> RunState:
        with suppress(*UNREADABLE, Damaged):
            while state.seq < upto:
                rows = self._file.query(_BODIES, state.seq, upto)
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
        rows = self._file.query(_OF_TYPE, after, upto, f'"type":{dumps(type_)}')
        return [event for event in self._events(rows) if event.type == type_]

    def drafts(self) -> dict[str, str]:
        return self._texts.drafts()

    def draft_pieces(self, at: RunState | None = None) -> Iterator[tuple[str, str]]:
        return self._texts.draft_pieces(at)

    def text_behind(self, message_id: str, seq: int) -> Iterator[tuple[int, str]]:
        end = self._texts.first(message_id, seq)
        while seq < end and (events := self.read(seq, min(5000, end - seq), whole=False)):
            yield from ((e.seq, text) for e in events if e.seq <= end and (text := text_of(e, message_id)))
            seq = events[-1].seq
        if end:
            yield from self._texts.chunks(message_id, end, 1 << 62)

    def snapshots(self) -> Sequence[int]:
        return [row[0] for row in self._file.query("select seq from snapshots order by seq")]

    def snapshot(self, seq: int, *, text: bool = True) -> RunState:
        return self._snapshot(seq, lazy=False) if text else self._texts.count(self._snapshot(seq, lazy=True), seq)

    def _snapshot(self, seq: int, *, lazy: bool) -> RunState:
        rows = self._file.query("select state from snapshots where seq = ?", seq)

        def text(message_id: str, since: int, length: int | None) -> str | Kept:
            if not lazy or length is None:
                return self._texts.text(message_id, since, seq)
            return self._texts.kept(message_id, since, seq, length)

        try:
            saved = _parsed(unpack(rows[0][0]))
            if saved["seq"] != seq:
                raise ValueError(f"it is of event {saved['seq']}")
            texts = {m["message_id"]: text(m["message_id"], m["since"], m.get("length")) for m in saved["messages"]}
            return RunState.load(saved, texts, text(REASONING, 0, saved.get("reasoning_length")))
        except (*UNREADABLE, AttributeError) as error:
            raise Damaged(f"{self.path}: the snapshot at event {seq} cannot be read: {error}") from error

    def _text_of_events(self, message_id: str, upto: int, why: str) -> str:
        """What a message says up to an event, when the text that is kept beside them cannot be read."""
        self._tell(-upto, f"{self.path}: the stored draft of {message_id!r} cannot be read: {why}")
        state = self._fold_on(RunState(), upto)
        message = state.reasoning if message_id == REASONING else state.messages.get(message_id)
        return message.text if message is not None else ""

    def raw(self, stream: str) -> Iterator[bytes]:
        yield from pieces(self._raw_chunks(stream), self.path)

    def _raw_chunks(self, stream: str) -> Iterator[RawChunk]:
        chunk = 0
        sql = "select chunk, offset, length, data from raw where stream = ? and chunk > ? order by chunk limit 1"
        while rows := self._file.query(sql, stream, chunk):
            chunk, *found = rows[0]
            yield RawChunk(stream, *found)

    def schema_faults(self) -> list[str]:
        """How its tables, indexes, views and triggers differ from those of a recording, one sentence each."""
        return faults(self._file.query("select type, name, tbl_name, sql from sqlite_master"), schema())

    def close(self) -> None:
        self._file.close()


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
