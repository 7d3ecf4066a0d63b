"""What a ledger promises whoever writes a recording: the recorder, or an importer with times of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from stores_kit import INFO, RUN

from durastream import ledger
from durastream.events import Pending, Src, dumps
from durastream.ledger import Ledger, now_text
from durastream.state import fold
from durastream.testing import MemoryStore
from durastream.verify import Kept, verify

AT = ("2026-11-23T06:00:00.000000Z", 0.0)
LATER = ("2026-11-23T06:00:01.500000Z", 1.5)


def pending(type_: str, src: Src | None = None, **data: object) -> Pending:
    return Pending(type_, data, dumps(data), src)


def text(words: str, src: Src | None = None) -> Pending:
    return pending("text.delta", src, message_id="answer", text=words)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def book(store: MemoryStore) -> Ledger:
    return Ledger(store.create(INFO))


def test_each_event_has_the_time_it_is_given_and_all_are_stored_in_one_commit(book: Ledger, store: MemoryStore) -> None:
    book.add([pending("run.started", command=["x"])], AT)
    book.add([text("Hel"), text("lo")], LATER)
    assert (book.head.seq, store.reader(RUN).read()) == (0, []), "nothing is there before the commit"
    book.commit()
    events = store.reader(RUN).read()
    assert [(event.type, event.ts, event.t) for event in events] == [
        ("run.started", *AT), ("message.started", *LATER), ("text.delta", *LATER), ("text.delta", *LATER)
    ]  # fmt: skip
    assert (book.head.seq, book.head.hash) == (4, events[-1].hash)
    assert {finding.code for finding in verify(RUN, events, Kept(drafts=store.reader(RUN).drafts())).findings} == {
        "unsealed"
    }


def test_the_state_is_the_fold_of_what_was_added(book: Ledger, store: MemoryStore) -> None:
    book.append([text("first "), pending("plan.created", steps=[{"id": "1", "title": "look"}]), text("last")], AT)
    book.append([pending("text.retracted", message_id="answer", reason="no"), pending("log.line", text="x")], LATER)
    folded = fold(store.reader(RUN).read())
    assert book.state.dump(text=False) == folded.dump(text=False)
    assert store.reader(RUN).drafts() == {"answer": ""}


def test_where_bytes_stood_is_kept_and_what_was_read_late_is_marked(book: Ledger, store: MemoryStore) -> None:
    found = [text("a", Src("events", 0)), text("b", Src("events", 9)), text("c", Src("stdout", 3, 1))]
    book.append(found, AT, late_until={"events": 9, "stdout": 0})
    _, *events = store.reader(RUN).read()
    assert [(event.src, event.late) for event in events] == [
        (Src("events", 0), True), (Src("events", 9), False), (Src("stdout", 3, 1), False)
    ]  # fmt: skip


def test_a_recording_is_written_on_where_it_ends(book: Ledger, store: MemoryStore) -> None:
    book.append([text("one ")], AT)
    writer = store.resume(RUN)
    assert writer is not None
    again = Ledger(writer)
    again.known(store.reader(RUN).read())
    again.append([text("two")], LATER)
    assert [event.seq for event in store.reader(RUN).read()] == [1, 2, 3]
    assert store.reader(RUN).drafts() == {"answer": "one two"}
    assert again.state.messages["answer"].length == 7


def test_a_moment_of_rest_leaves_a_snapshot_of_all_there_is(
    book: Ledger, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "_SNAPSHOT_EVENTS", 4)
    book.append([text("a"), text("b")], AT)
    book.rest()
    assert list(store.reader(RUN).snapshots()) == [], "so few are quickly read"
    book.add([text("c")], LATER)
    monkeypatch.setattr(book, "_snapshot_after", float("inf"))
    book.commit()
    book.rest()
    assert list(store.reader(RUN).snapshots()) == [], "at most a twentieth of our time"
    monkeypatch.setattr(book, "_snapshot_after", 0.0)
    for _ in range(2):
        book.rest()
    reader = store.reader(RUN)
    assert list(reader.snapshots()) == [4]
    assert reader.snapshot(4).dump() == fold(reader.read()).dump()


def test_the_bell_rings_after_a_commit(store: MemoryStore, tmp_path: Path) -> None:
    bell = tmp_path / "bell"
    fd = os.open(bell, os.O_WRONLY | os.O_CREAT)
    book = Ledger(store.create(INFO), fd)
    book.add([text("a")], AT)
    assert bell.read_bytes() == b""
    book.commit()
    assert bell.read_bytes() == b"."
    os.close(fd)
    book.append([text("b")], LATER)  # who cannot be woken will look


def test_times_are_written_in_utc_with_microseconds() -> None:
    assert now_text(0.25) == "1970-01-01T00:00:00.250000Z"
    assert json.dumps(now_text())[-2] == "Z"
