"""Where events come to be: numbered, timed, chained, folded and stored in one place, for every way of recording."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from durastream.events import Pending, dumps
from durastream.state import Message, RunState
from durastream.stores import Batch, Chunk, Head, MessageRow, RawChunk, Row, Writer
from durastream.stores.sqlite import REASONING

__all__ = ["Ledger", "closing", "drained", "now_text", "own"]

_SNAPSHOT_EVENTS = 2000
_MESSAGE_TYPES = frozenset({"text.delta", "message.started", "text.completed", "text.retracted"})


def now_text(seconds: float | None = None) -> str:
    """A wall clock time as it stands in events: ISO 8601, UTC, microseconds."""
    seconds = time.time() if seconds is None else seconds
    whole = int(seconds // 1)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{int((seconds - whole) * 1e6):06d}Z"


def own(type_: str, data: dict[str, Any]) -> Pending:
    """An event that the recorder itself has to say."""
    return Pending(type_, data, dumps(data))


def closing(state: RunState) -> list[Pending]:
    """What is said at the end of what is still open: steps are abandoned, messages are whole."""
    steps = [
        own("step.completed", {"step_id": step.step_id, "status": "abandoned", "error": "the agent ended"})
        for step in state.open_steps
    ]
    return steps + [
        own("text.completed", {"message_id": m.message_id, "sha256": m.sha256(), "length": m.length})
        for m in state.messages.values()
        if not m.completed and (m.length or m is state.answer)
    ]


def drained(state: RunState) -> list[Chunk]:
    """Take new text out of a state: the store has it, memory need not."""
    chunks = [Chunk(m.message_id, state.seq, text) for m in state.messages.values() if (text := m.drain())]
    if thought := state.reasoning.drain():
        chunks.append(Chunk(REASONING, state.seq, thought))
    return chunks


class Ledger:
    """Appends to one recording, and holds the state after its last event. `state` is what is stored already."""

    def __init__(self, writer: Writer, state: RunState) -> None:
        self.state = state
        self.head = writer.head
        self._writer = writer
        self._rows: list[Row] = []
        self._touched: set[str] = set()
        self._snapshot_seq = state.seq
        self._snapshot_after = 0.0

    def enter(
        self, found: Sequence[Pending], at: tuple[str, float], late_until: Mapping[str, int] | None = None
    ) -> None:
        """Number, time, chain and fold events, all of the same time `at` (`ts`, and `t` in seconds of the run).

        Those of a stream whose bytes stand before `late_until` were read late. Nothing is stored before `commit`.
        """
        ts, t = at
        middle = f',"ts":"{ts}","t":{t:.6f},"type":"'
        state, messages, touched = self.state, self.state.messages, self._touched
        seq, digest = self.head
        sha256, take, add = hashlib.sha256, state.take, self._rows.append

        def store(type_: str, text: str, where: str) -> None:
            nonlocal seq, digest
            seq += 1
            body = f'{{"seq":{seq}{middle}{type_}","data":{text}{where}}}'
            digest = sha256(digest + body.encode()).digest()
            add((seq, body, digest))

        for type_, data, text, src in found:
            where = ""
            if src is not None:
                stream, offset, length = src
                where = (
                    f',"src":{{"stream":"{stream}","offset":{offset}}}'
                    if length is None
                    else f',"src":{{"stream":"{stream}","offset":{offset},"length":{length}}}'
                )
                if late_until and offset < late_until[stream]:
                    where += ',"late":true'
            if type_ in _MESSAGE_TYPES:
                message_id = data["message_id"]
                if message_id not in messages and type_ != "message.started":
                    opening = {"message_id": message_id, "role": "assistant"}
                    store("message.started", dumps(opening), "")
                    take(seq, ts, t, "message.started", opening)
                touched.add(message_id)
            store(type_, text, where)
            take(seq, ts, t, type_, data)
        self.head = Head(seq, digest)

    def commit(self, raw: Sequence[RawChunk] = (), *, last: bool = False) -> None:
        """Store what was entered, with these raw bytes, in one batch. Raises StoreError.

        How much of the batch is stored then only a new writer can say: this ledger is not to be used again.
        """
        rows, touched = self._rows, self._touched
        self._rows, self._touched = [], set()
        chunks = drained(self.state)
        keeps = self._writer.keeps_state
        batch = Batch(
            rows,
            chunks if keeps else (),
            [_row(self.state.messages[id_]) for id_ in touched] if keeps else (),
            raw,
            self._snapshot(last=last) if keeps and rows else None,
        )
        self._writer.append(batch)

    def _snapshot(self, *, last: bool) -> str | None:
        """The state as JSON now and then: often enough for late joiners, at most a twentieth of our time."""
        now = time.monotonic()
        if self.state.seq - self._snapshot_seq < _SNAPSHOT_EVENTS or (now < self._snapshot_after and not last):
            return None
        saved = dumps(self.state.dump(text=False))
        self._snapshot_seq = self.state.seq
        self._snapshot_after = now + 20 * (time.monotonic() - now)
        return saved


def _row(message: Message) -> MessageRow:
    return MessageRow(message.message_id, message.role, message.since, message.length, message.completed)
