"""The text of messages, which a database keeps beside its events, in chunks: a draft is read without its log."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from durastream.errors import Damaged
from durastream.message import Kept, Message
from durastream.state import RunState
from durastream.stores.database import Opened
from durastream.stores.packed import unpack
from durastream.stores.protocols import REASONING, UNREADABLE

__all__ = ["Texts", "pack"]

_PLAIN = 16 * 1024
_CHUNKS = "select text from message_chunks where message_id = ? and seq > ? and seq <= ?"
_END = 32_000
_MUCH = 1 << 20
_LAST_CHUNK = "select max(seq) from message_chunks where message_id = ? and seq > ? and seq <= ?"
_LAST_CHUNK_OF_ANY = """select max(seq) from message_chunks where message_id in
(select message_id from messages union all select ?) and seq <= ?"""


def pack(text: str) -> str | bytes:
    """Text as it is kept in a chunk: plain, so that people can read it, and compressed where it comes by the page."""
    return text if len(text) < _PLAIN else zlib.compress(text.encode(), 1)


def _unpack(kept: str | bytes) -> str:
    return kept if isinstance(kept, str) else unpack(kept).decode()


class Texts:
    """The stored text of messages up to an event, of a file that is read.

    `instead` gives the text of a message up to an event when what is kept of it cannot be read, and is told why.
    """

    def __init__(self, file: Opened, instead: Callable[[str, int, str], str]) -> None:
        self._file = file
        self._instead = instead
        self._counted_so_far: dict[tuple[str, int], tuple[Message, int]] = {}

    def last(self, message_id: str, after: int, upto: int) -> int:
        """The last event between two for which text of a message is kept; 0 when there is none."""
        return self._file.query(_LAST_CHUNK, message_id, after, upto)[0][0] or 0

    def last_of_any(self, upto: int) -> int:
        """The last event up to one for which text of some message is kept; 0 when there is none."""
        return self._file.query(_LAST_CHUNK_OF_ANY, REASONING, upto)[0][0] or 0

    def first(self, message_id: str, after: int) -> int:
        """The first event behind one for which text of a message is kept; 0 when there is none."""
        sql = "select min(seq) from message_chunks where message_id = ? and seq > ?"
        return self._file.query(sql, message_id, after)[0][0] or 0

    def drafts(self) -> dict[str, str]:
        """All text of each message. Raises Damaged when it cannot be read."""
        texts: dict[str, list[str]] = {}
        for message_id, piece in self.draft_pieces():
            texts.setdefault(message_id, []).append(piece)
        found = {message_id: "".join(each) for message_id, each in texts.items()}
        if not found[REASONING]:
            del found[REASONING]
        return found

    def draft_pieces(self, at: RunState | None = None) -> Iterator[tuple[str, str]]:
        """The same piece by piece; with a state, as it was there."""
        sinces = {REASONING: 0, **dict(self._file.query("select message_id, since from messages"))}
        upto = 1 << 62
        if at is not None:
            upto = at.seq
            sinces |= {message.message_id: message.since for message in at.messages.values()}
        for message_id, since in sinces.items():
            yield message_id, ""
            try:
                for piece in self._pieces(message_id, since or 0, upto):
                    yield message_id, piece
            except UNREADABLE as error:
                raise Damaged(
                    f"{self._file.path}: the stored draft of {message_id!r} cannot be read: {error}"
                ) from error

    def _pieces(self, message_id: str, since: int, upto: int) -> Iterator[str]:
        return (text for _, text in self.chunks(message_id, since, upto))

    def chunks(self, message_id: str, since: int, upto: int) -> Iterator[tuple[int, str]]:
        """The chunks of a message in order, some at a time: a draft may be larger than memory."""
        at, chunk, some = since, 1 << 62, 4  # behind all of the last retraction
        while rows := self._file.query(
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

    def text(self, message_id: str, since: int, upto: int) -> str:
        """The text that came behind one event up to another."""
        rows = self._file.query(f"{_CHUNKS} order by seq, chunk", message_id, since, upto)
        return "".join(_unpack(row[0]) for row in rows)

    def count(self, state: RunState, seq: int) -> RunState:
        """A state of event `seq`, with the text of its messages counted and not held."""
        for message in (*state.messages.values(), state.reasoning):
            message_id, since = message.message_id, message.since
            if message is state.reasoning:
                message_id, since = REASONING, 0
            told = message.length
            message.forget()
            try:
                message.carry(self._count(message_id, since, seq))
            except UNREADABLE as error:
                raise Damaged(f"{self._file.path}: the snapshot at event {seq} cannot be read: {error}") from error
            if message.length != told:
                raise Damaged(f"{self._file.path}: the snapshot at event {seq} counts on another draft than is kept")
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

    def kept(self, message_id: str, since: int, upto: int, length: int) -> Kept:
        """The text that a snapshot counts on, read when it is asked for."""
        return _Kept(
            length, partial(self._kept, message_id, since, upto, length), partial(self._end, message_id, since, upto)
        )

    def _kept(self, message_id: str, since: int, upto: int, length: int) -> str:
        """The text that a snapshot counts on; out of the events when what is kept beside them is not it."""
        with self._file.briefly():
            try:
                text = self.text(message_id, since, upto)
                if len(text) == length:
                    return text
                why = f"{len(text)} characters in place of {length}"
            except (*UNREADABLE, Damaged) as error:
                why = str(error)
            return self._instead(message_id, upto, why)

    def _end(self, message_id: str, since: int, upto: int, count: int) -> str:
        """The last `count` characters or some more; fewer when not so many can be read."""
        parts: list[str] = []
        with self._file.briefly(), suppress(sqlite3.DatabaseError, *UNREADABLE):
            rows = self._file.db.execute(f"{_CHUNKS} order by seq desc, chunk desc", (message_id, since, upto))
            while count > 0 and (row := rows.fetchone()):
                parts.append(_unpack(row[0]))
                count -= len(parts[-1])
            rows.close()
        return "".join(reversed(parts))


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
