"""What a ledger promises whoever writes a recording: the recorder, or an importer with times of its own."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stores_kit import INFO, RUN

from durastream import ledger
from durastream.errors import StoreFull
from durastream.events import Deltas, Found, Pending, Src, dumps, expanded
from durastream.ledger import Ledger, now_text
from durastream.state import fold
from durastream.stores import Batch, Writer
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


together = st.builds(
    lambda name, stream, texts, first: Deltas(
        name,
        texts,
        [dumps(each)[1:-1].encode() for each in texts],
        stream,
        list(range(first, first + 5 * len(texts), 5)),
    ),
    st.sampled_from(["answer", "draft", "na\u00efve\u202e"]),
    st.sampled_from(["events", "stdout"]),
    st.lists(st.sampled_from(["a", "two words ", '"\u00e9\n\u2028']), min_size=1, max_size=4),
    st.integers(0, 30),
)
said = st.one_of(
    together,
    st.builds(
        lambda words, src, name: pending("text.delta", src, message_id=name, text=words),
        st.sampled_from(["a", "two words ", "\u00e9\n"]),
        st.sampled_from(
            [Src("events", 10), Src("events", 10), Src("events", 20), Src("events", 5, 3), Src("stdout", 10), None]
        ),
        st.sampled_from(["answer", "answer", "answer", "draft"]),
    ),
    st.sampled_from(
        [
            pending("log.line", Src("stderr", 3), text="x"),
            pending("text.retracted", Src("events", 30), message_id="answer", reason="no"),
            pending("text.completed", message_id="answer", sha256="0" * 64, length=1),
            pending("message.started", Src("events", 40), message_id="draft", role="assistant"),
            pending("plan.created", Src("stdout", 50), steps=[{"id": "1", "title": "look"}]),
        ]
    ),
)


@given(st.lists(said, max_size=30), st.sampled_from([None, {"events": 15, "stdout": 0, "stderr": 9}]))
def test_events_that_are_added_together_are_the_same_as_one_by_one(
    found: list[Found], late_until: dict[str, int] | None
) -> None:
    at_once, apart = MemoryStore(), MemoryStore()
    one, other = Ledger(at_once.create(INFO)), Ledger(apart.create(INFO))
    one.add(found, LATER, late_until)
    for each in expanded(found):
        other.add([each], LATER, late_until)
    assert one.state.dump() == other.state.dump()
    assert late_until or vars(one.course) == vars(other.course)
    one.commit()
    other.commit()
    assert at_once.reader(RUN).read() == apart.reader(RUN).read()
    assert at_once.reader(RUN).drafts() == apart.reader(RUN).drafts()


class _Gate:
    """A writer that stores when it is told to, or fails."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.path, self.head, self.keeps_state = writer.path, writer.head, writer.keeps_state
        self.asked, self.open = threading.Event(), threading.Event()
        self.error: Exception | None = None

    def append(self, batch: Batch) -> None:
        self.asked.set()
        assert self.open.wait(60)
        if self.error is not None:
            raise self.error
        self._writer.append(batch)


def test_a_large_batch_is_stored_while_the_next_is_made_and_the_bell_rings_behind_it(
    store: MemoryStore, tmp_path: Path
) -> None:
    bell = tmp_path / "bell"
    fd = os.open(bell, os.O_WRONLY | os.O_CREAT)
    gate = _Gate(store.create(INFO))
    book = Ledger(cast("Writer", gate), fd, ahead=True)
    many = [text("a", Src("events", at)) for at in range(1200)]
    book.append(many, AT)
    assert gate.asked.wait(60)
    book.add(many, LATER)
    assert (book.state.seq, store.reader(RUN).read(), bell.read_bytes()) == (2401, [], b"")
    gate.open.set()
    book.commit()
    assert book.head.seq == 2401, "who asks what is stored waits for it"
    assert bell.read_bytes() == b"."
    assert len(store.reader(RUN).read()) == 2401
    os.close(fd)


@pytest.mark.parametrize("asked", ["commit", "rest", "head"])
def test_what_kept_a_batch_from_being_stored_is_raised_by_what_is_asked_next(store: MemoryStore, asked: str) -> None:
    gate = _Gate(store.create(INFO))
    gate.error = StoreFull("no space left")
    gate.open.set()
    book = Ledger(cast("Writer", gate), ahead=True)
    book.append([text("a") for _ in range(1200)], AT)
    book.wait()
    book.add([text("b")], LATER)
    with pytest.raises(StoreFull):
        book.head if asked == "head" else getattr(book, asked)()
    assert store.reader(RUN).read() == []


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
