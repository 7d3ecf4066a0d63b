"""For the tests of programs that use durastream: a clock that a test moves, a log made by hand, a store in memory.

None of it is a mock: the store keeps what every store keeps and passes the same tests.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from durastream import answer
from durastream.errors import Damaged, RunNotFound, StoreConflict
from durastream.events import FORMAT, Event, chain, dumps, genesis, loads, show_hash
from durastream.state import RunState, fold
from durastream.stores.packed import unpack
from durastream.stores.protocols import REASONING, Batch, Head, RunInfo, completed_info, text_of

__all__ = ["FakeClock", "MemoryReader", "MemoryStore", "MemoryWriter", "scripted"]

_BEGAN = datetime(2026, 11, 23, 6, tzinfo=UTC)


class FakeClock:
    """A clock for whatever takes `clock` and `sleep`: time passes only when somebody sleeps."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass. Raises ValueError for a negative time, as `time.sleep` does."""
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        self.slept.append(seconds)
        self.now += seconds


def scripted(
    told: Iterable[tuple[Any, ...]], *, run_id: str = "k3v9p2", exit_status: Mapping[str, Any] | None = None
) -> list[Event]:
    """A log as a recorder would have stored it, from `(type, data)` or `(type, data, t)`; `t` stays where it was.

    It begins with `run.started`, told or not. With `exit_status`, such as `{"exit_code": 0}`, it has its end too.

        scripted([("text.delta", {"message_id": "answer", "text": "42"}, 1.5)], exit_status={"exit_code": 0})
    """
    lines = list(told)
    if not lines or lines[0][0] != "run.started":
        started = {"run_id": run_id, "command": ["agent"], "cwd": "/", "format": FORMAT}
        lines.insert(0, ("run.started", started))
    state = RunState()
    events: list[Event] = []
    digest = genesis(run_id)

    def add(type_: str, data: Mapping[str, Any], t: float) -> None:
        nonlocal digest
        ts = (_BEGAN + timedelta(seconds=t)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        body = dumps({"seq": len(events) + 1, "ts": ts, "t": t, "type": type_, "data": dict(data)})
        digest = chain(digest, body)
        events.append(loads(body, digest))
        state.apply(events[-1])

    for type_, data, *at in lines:
        add(type_, data, at[0] if at else state.t)
    if exit_status is not None:
        add("run.completed", {**answer.packet(state, exit_status), "events": len(events) + 1}, state.t)
    return events


class _Recording:
    """What a recording holds, whatever it is kept in."""

    def __init__(self, info: RunInfo) -> None:
        self.info = info
        self.batches: list[Batch] = []
        self.snapshots: dict[int, str] = {}

    @property
    def head(self) -> Head:
        rows = next((batch.rows for batch in reversed(self.batches) if batch.rows), None)
        return Head(rows[-1][0], rows[-1][2]) if rows else Head(0, genesis(self.info.run_id))


class MemoryStore:
    """A store whose recordings are gone when it is. Writers and readers of a run may be had again and again."""

    def __init__(self) -> None:
        self._runs: dict[str, _Recording] = {}

    def create(self, info: RunInfo) -> MemoryWriter:
        """A new recording. Raises StoreConflict when there is one of this run."""
        if info.run_id in self._runs:
            raise StoreConflict(f"there is a recording of run {info.run_id}")
        self._runs[info.run_id] = _Recording(info)
        return MemoryWriter(self._runs[info.run_id])

    def resume(self, run_id: str) -> MemoryWriter | None:
        """The recording of a run to go on with; None when there is none."""
        return MemoryWriter(self._runs[run_id]) if run_id in self._runs else None

    def reader(self, run_id: str) -> MemoryReader:
        """A view on a recording. Raises RunNotFound."""
        if run_id not in self._runs:
            raise RunNotFound(f"no run {run_id!r} in memory")
        return MemoryReader(self._runs[run_id])

    def infos(self) -> Iterator[RunInfo]:
        """The run-level fields of every run, newest first."""
        infos = (MemoryReader(run).info() for run in self._runs.values())
        return iter(sorted(infos, key=lambda info: (info.started_at, info.run_id), reverse=True))


class MemoryWriter:
    """The one writer of a recording in memory."""

    keeps_state = True

    def __init__(self, recording: _Recording) -> None:
        self._recording = recording
        self.path = f"memory:{recording.info.run_id}"
        self.head = recording.head

    def append(self, batch: Batch) -> None:
        if batch.rows and batch.rows[0][0] != self.head.seq + 1:
            raise StoreConflict(f"{self.path} ends at event {self.head.seq}, not before {batch.rows[0][0]}")
        kept = Batch(tuple(batch.rows), tuple(batch.chunks), tuple(batch.messages), tuple(batch.raw), batch.snapshot)
        if batch.snapshot is not None:
            self._recording.snapshots[batch.rows[-1][0] if batch.rows else self.head.seq] = batch.snapshot
        self._recording.batches.append(kept)
        self.head = self._recording.head

    def check(self) -> None:
        """It is in memory."""

    def raw_length(self, stream: str) -> int:
        return sum(chunk.length for batch in self._recording.batches for chunk in batch.raw if chunk.stream == stream)

    def finish(self, info: RunInfo) -> None:
        self._recording.info = info

    def close(self) -> None:
        """Nothing to let go of."""


class MemoryReader:
    """Reads a recording in memory, finished or while it is written."""

    def __init__(self, recording: _Recording) -> None:
        self._recording = recording
        self.run_id = recording.info.run_id
        self.path = f"memory:{self.run_id}"
        self.damage: list[str] = []

    def info(self) -> RunInfo:
        info, head = self._recording.info, self._recording.head
        if info.status != "running" or not head.seq:
            return info
        info = info._replace(last_seq=head.seq)
        last = self.read(head.seq - 1)
        return completed_info(info, fold(last), head, show_hash(head.hash)) if _ends(last) else info

    def head(self) -> Head:
        return self._recording.head

    def read(self, after: int = 0, limit: int = 5000, *, whole: bool = True) -> list[Event]:
        rows = [row for batch in self._recording.batches for row in batch.rows if row[0] > after]
        return [loads(body, digest) for _, body, digest in rows[:limit]]

    def rows(self, after: int, limit: int) -> list[tuple[bytes, bytes]]:
        return []

    def state(self, upto: int | None = None) -> RunState:
        upto = self.head().seq if upto is None else upto
        near = max((seq for seq in self.snapshots() if seq <= upto), default=0)
        state = self.snapshot(near) if near else RunState()
        return fold(self.read(state.seq, max(0, upto - state.seq)), state)

    def events_of(self, type_: str, after: int, upto: int) -> list[Event]:
        return [event for event in self.read(after, max(0, upto - after)) if event.type == type_]

    def text_behind(self, message_id: str, seq: int) -> Iterator[tuple[int, str]]:
        events = self.read(seq, self.head().seq)
        return ((e.seq, text) for e in events if (text := text_of(e, message_id)))

    def boundary(self, seq: int) -> int:
        return seq

    def forward(self, state: RunState, upto: int) -> RunState:
        return fold(self.read(state.seq, max(0, upto - state.seq)), state)

    def drafts(self) -> dict[str, str]:
        latest = {row.message_id: row.since for batch in self._recording.batches for row in batch.messages}
        last = self.head().seq
        thoughts = self._text(REASONING, 0, last)
        found = {message_id: self._text(message_id, since, last) for message_id, since in latest.items()}
        return found | ({REASONING: thoughts} if thoughts else {})

    def draft_pieces(self, at: RunState | None = None) -> Iterator[tuple[str, str]]:
        if at is None:
            return iter(self.drafts().items())
        sinces = {REASONING: 0, **{message.message_id: message.since for message in at.messages.values()}}
        return ((message_id, self._text(message_id, since, at.seq)) for message_id, since in sinces.items())

    def snapshots(self) -> Sequence[int]:
        return sorted(self._recording.snapshots)

    def snapshot(self, seq: int, *, text: bool = True) -> RunState:
        kept = self._recording.snapshots.get(seq)
        if kept is None:
            raise Damaged(f"{self.path} has no snapshot at event {seq}")
        saved = json.loads(kept)
        texts = {m["message_id"]: self._text(m["message_id"], m["since"], seq) for m in saved["messages"]}
        state = RunState.load(saved, texts, self._text(REASONING, 0, seq))
        for message in () if text else (*state.messages.values(), state.reasoning):
            message.drain()
        return state

    def raw(self, stream: str) -> Iterator[bytes]:
        for batch in self._recording.batches:
            yield from (unpack(chunk.data, chunk.length) for chunk in batch.raw if chunk.stream == stream)

    def close(self) -> None:
        """Nothing to let go of."""

    def _text(self, message_id: str, since: int, upto: int) -> str:
        chunks = (chunk for batch in self._recording.batches for chunk in batch.chunks)
        return "".join(text for id_, seq, text in chunks if id_ == message_id and since < seq <= upto)


def _ends(events: Sequence[Event]) -> bool:
    return bool(events) and events[-1].type == "run.completed"
