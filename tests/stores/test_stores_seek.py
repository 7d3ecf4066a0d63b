"""A state far behind a snapshot, in SQLite: put together from stored text, it is the fold of the events."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from durastream.events import Event
from durastream.state import RunState, fold, summary
from durastream.stores import Batch, RunInfo
from durastream.stores.protocols import REASONING, Chunk, MessageRow
from durastream.stores.sqlite import SqliteWriter
from durastream.stores.sqlite_reader import SqliteReader
from durastream.testing import scripted


def test_a_state_far_behind_a_snapshot_is_put_together_from_chunks_and_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[Any, ...]] = [("message.started", {"message_id": "m", "role": "assistant"})]
    for number in range(60):
        told.append(("text.delta", {"message_id": "m", "text": f'{number} "type":"step.started" '}))
        told.append(("reasoning.delta", {"text": f"thought {number} "}))
        if number % 7 == 0:
            told.append(("step.started", {"step_id": str(number), "title": '"type":"text.delta"'}))
        if number == 40:
            told.append(("text.retracted", {"message_id": "m", "reason": "no"}))
    path, events = _chunked(tmp_path, told)
    reader = SqliteReader(path)
    fell_back: list[int] = []
    monkeypatch.setattr("durastream.stores.sqlite_reader._FAR", 1)
    fold_on = SqliteReader._fold_on
    monkeypatch.setattr(
        SqliteReader,
        "_fold_on",
        lambda self, state, upto: fell_back.append(upto - state.seq) or fold_on(self, state, upto),
    )
    for upto in range(1, len(events) + 1):
        assert summary(reader.state(upto)) == summary(fold(events[:upto]))
    assert max(fell_back) < 10, "no more than the events of one batch are read"
    reader.close()


def test_where_chunks_do_not_fit_the_events_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = [("text.delta", {"message_id": "m", "text": f"{number} "}) for number in range(30)]
    path, events = _chunked(tmp_path, told)
    db = sqlite3.connect(path)
    db.execute("update log set body = 'x' where seq = 20")
    db.commit()
    db.close()
    monkeypatch.setattr("durastream.stores.sqlite_reader._FAR", 1)
    reader = SqliteReader(path)
    assert summary(reader.state(18)) == summary(fold(events[:18]))
    assert reader.state(len(events)).seq == len(events), "what is behind the damage is there"
    reader.close()


def _chunked(tmp_path: Path, told: list[tuple[Any, ...]]) -> tuple[str, list[Event]]:
    """A recording without snapshots, eight events a batch, with their text in chunks as a recorder keeps it."""
    events = scripted(told)
    path = str(tmp_path / "k3v9p2.db")
    writer = SqliteWriter.create(path, RunInfo("k3v9p2", None, {}, ["agent"], "/", events[0].ts))
    state = RunState()
    for at in range(0, len(events), 8):
        batch = events[at : at + 8]
        fold(batch, state)
        ids = [*state.messages.values(), state.reasoning]
        chunks = [
            Chunk(REASONING if message is state.reasoning else message.message_id, state.seq, text)
            for message in ids
            if (text := message.drain())
        ]
        rows = [MessageRow(m.message_id, m.role, m.since, m.length, m.completed) for m in state.messages.values()]
        writer.append(Batch([(e.seq, e.body, e.hash) for e in batch], chunks=chunks, messages=rows))
    writer.close()
    return path, events
