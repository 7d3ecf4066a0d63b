"""G9: the same promise on every store. One suite for SQLite, JSON Lines and memory."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores_kit import INFO, LOG, RUN, Kind, batches, fill, make, only, raw_chunk

from durastream.errors import Damaged, StoreConflict
from durastream.events import Event, Pending, dumps, genesis
from durastream.ledger import Ledger
from durastream.rules.policy import Policy
from durastream.state import RunState, fold
from durastream.stores import Batch, Head, Rows
from durastream.stores.protocols import REASONING, text_of
from durastream.testing import scripted
from durastream.verify import Checker, Kept, cut_points, summed, verify

KINDS = ("sqlite", "jsonl", "memory")
SIZES = [(1,), (3,), (2, 7), (len(LOG),)]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    return make(request.param, tmp_path)


def test_a_new_recording_holds_nothing(kind: Kind) -> None:
    writer = kind.create()
    reader = kind.reader()
    assert writer.head == reader.head() == Head(0, genesis(RUN))
    assert reader.read() == []
    assert reader.state().dump() == RunState().dump()
    assert (reader.run_id, reader.info(), list(reader.snapshots())) == (RUN, INFO, [])
    assert not reader.drafts()
    assert (list(reader.raw("stdout")), writer.raw_length("stdout"), reader.damage) == ([], 0, [])
    reader.close()
    writer.close()


@pytest.mark.parametrize("sizes", SIZES)
def test_what_was_appended_is_read_exactly(kind: Kind, sizes: tuple[int, ...]) -> None:
    fill(kind.create(), LOG, sizes=sizes)
    reader = kind.reader()
    assert reader.read() == LOG
    assert [event.body for event in reader.read()] == [event.body for event in LOG]
    assert reader.damage == []
    reader.close()


@pytest.mark.parametrize("count", [1, 5, len(LOG)])
def test_events_by_columns_are_stored_as_those_that_are_given_one_by_one(kind: Kind, count: int) -> None:
    writer = kind.create()
    for at in range(0, len(LOG), count):
        events = LOG[at : at + count]
        rows = Rows.of(at + 1, [(event.body.encode(), event.hash) for event in events])
        assert [*rows] == [rows[place] for place in range(len(rows))] == rows[:] == [*only(*events).rows]
        writer.append(Batch(rows))
        assert writer.head == Head(events[-1].seq, events[-1].hash)
    writer.close()
    reader = kind.reader()
    assert (reader.read(), reader.damage) == (LOG, [])
    reader.close()


def test_reading_begins_after_a_seq_and_ends_at_a_limit(kind: Kind) -> None:
    fill(kind.create(), LOG)
    reader = kind.reader()
    for after in (0, 5, 1, len(LOG) - 1, len(LOG), len(LOG) + 9, 3):
        for limit in (1, 2, 7, 5000):
            assert reader.read(after, limit) == LOG[after : after + limit]
    reader.close()


def test_the_head_is_the_last_event_that_was_stored(kind: Kind) -> None:
    writer, reader = kind.create(), kind.reader()
    for batch in batches(LOG):
        writer.append(batch)
        seq, _, digest = batch.rows[-1]
        assert writer.head == reader.head() == Head(seq, digest)
    reader.close()
    writer.close()


def test_a_reader_sees_what_is_committed_while_it_reads(kind: Kind) -> None:
    writer, reader = kind.create(), kind.reader()
    seen: list[Event] = []
    for batch in batches(LOG):
        assert reader.read(len(seen)) == []
        writer.append(batch)
        seen += reader.read(len(seen))
        assert len(seen) == batch.rows[-1][0]
        assert reader.state().dump() == fold(LOG[: len(seen)]).dump()
    assert seen == LOG
    reader.close()
    assert reader.read(0, 2) == LOG[:2], "a reader that was closed opens again when it is asked"
    reader.close()
    writer.close()


@pytest.mark.parametrize("start", [1, 2, 4, 9])
def test_events_that_do_not_follow_the_head_are_refused_and_nothing_of_them_is_stored(kind: Kind, start: int) -> None:
    writer = kind.create()
    writer.append(only(*LOG[:2]))
    with pytest.raises(StoreConflict, match="ends at event 2"):
        writer.append(Batch([(start, LOG[start].body, LOG[start].hash)], raw=[raw_chunk("stdout", 0, b"x")]))
    assert (writer.head, writer.raw_length("stdout")) == (Head(2, LOG[1].hash), 0)
    writer.append(only(*LOG[2:4]))
    writer.close()
    reader = kind.reader()
    assert reader.read() == LOG[:4]
    reader.close()


def test_there_is_nothing_to_go_on_with_before_there_is_a_recording(kind: Kind) -> None:
    assert kind.resume() is None


@pytest.mark.parametrize("count", [0, 1, 6, len(LOG) - 1])
def test_a_recording_opened_anew_goes_on_where_it_was(kind: Kind, count: int) -> None:
    writer = fill(kind.create(), LOG[:count])
    again = kind.resume()
    assert again is not None
    assert again.head == writer.head
    again.append(only(*LOG[count:]))
    again.close()
    reader = kind.reader()
    assert reader.read() == LOG
    assert verify(RUN, reader.read()).ok
    reader.close()


@pytest.mark.parametrize("snapshot_every", [0, 1, 3])
@pytest.mark.parametrize("sizes", SIZES)
def test_joining_at_any_event_gives_the_state_of_reading_from_the_start(
    kind: Kind, sizes: tuple[int, ...], snapshot_every: int
) -> None:
    fill(kind.create(), LOG, sizes=sizes, snapshot_every=snapshot_every)
    reader = kind.reader()
    for n in range(len(LOG) + 1):
        state = reader.state(n)
        assert state.dump() == fold(LOG[:n]).dump()
        assert fold(reader.read(n), state).dump() == fold(LOG).dump()
    assert reader.state().dump() == reader.state(len(LOG) + 5).dump() == fold(LOG).dump()
    for seq in reader.snapshots():
        assert reader.snapshot(seq).dump() == fold(LOG[:seq]).dump()
    reader.close()


@pytest.mark.parametrize("sizes", SIZES)
def test_going_on_from_an_earlier_state_gives_the_same(kind: Kind, sizes: tuple[int, ...]) -> None:
    fill(kind.create(), LOG, sizes=sizes, snapshot_every=3)
    reader = kind.reader()
    for n in range(len(LOG) + 1):
        assert 0 <= reader.boundary(n) <= n
        earlier = reader.state(n // 2)
        copied = earlier.copy()
        assert reader.forward(copied, n).dump() == fold(LOG[:n]).dump()
        assert earlier.dump() == fold(LOG[: n // 2]).dump(), "the copy went on by itself"
    reader.close()


@pytest.mark.parametrize("sizes", SIZES)
def test_events_of_one_type_and_text_of_one_message_are_had_alone(kind: Kind, sizes: tuple[int, ...]) -> None:
    fill(kind.create(), LOG, sizes=sizes)
    reader = kind.reader()
    for type_ in {event.type for event in LOG} | {"no.such"}:
        for after, upto in ((0, len(LOG)), (2, 7), (5, 5)):
            found = [(event.seq, event.data) for event in reader.events_of(type_, after, upto)]
            assert found == [(e.seq, e.data) for e in LOG[after:upto] if e.type == type_]
    for message_id in ["answer", "stdout", "no such", REASONING]:
        taken_back = max(
            (e.seq for e in LOG if e.type == "text.retracted" and e.data["message_id"] == message_id), default=0
        )
        for after in range(taken_back, len(LOG)):
            pieces = list(reader.text_behind(message_id, after))
            assert "".join(text for _, text in pieces) == "".join(text_of(e, message_id) for e in LOG[after:])
            assert [seq for seq, _ in pieces] == sorted(seq for seq, _ in pieces if seq > after)
    reader.close()


def test_what_is_passed_over_as_text_is_text(kind: Kind) -> None:
    """A long way is gone without the text of it; an event that only speaks of text is none."""
    quoted = {"json": {"type": "text.delta", "data": 1}}
    told: list[tuple[str, dict[str, object]]] = []
    for n in range(1200):
        told += [("text.delta", {"message_id": "m", "text": f"{n} "}), ("raw.event", quoted)]
        told += [("reasoning.delta", {"text": "hm "}), ("error.raised", {"type": "text.delta", "message": f"no {n}"})]
    log = scripted(told, run_id=RUN)
    fill(kind.create(), log, sizes=[4700])
    reader = kind.reader()
    for n in (4700, 4801):
        assert reader.state(n).dump() == fold(log[:n]).dump()
    reader.close()


words = st.tuples(
    st.sampled_from(["text.delta"] * 4 + ["text.retracted", "text.completed", "message.started", "reasoning.delta"]),
    st.fixed_dictionaries(
        {"message_id": st.sampled_from(["a", "b", "stdout"])},
        optional={"text": st.text(max_size=4), "reason": st.just("x"), "role": st.sampled_from(["user", "assistant"])},
    ),
)


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=30)
@given(
    events=st.lists(words, max_size=12),
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    snapshot_every=st.integers(0, 2),
)
def test_drafts_and_late_join_agree_with_the_events_of_any_log(
    name: str, events: list[tuple[str, dict[str, str]]], sizes: list[int], snapshot_every: int
) -> None:
    log = scripted(events, run_id=RUN)
    with tempfile.TemporaryDirectory() as folder:
        kind = make(name, folder)
        fill(kind.create(), log, sizes=sizes, snapshot_every=snapshot_every)
        reader = kind.reader()
        for n in range(len(log) + 1):
            assert reader.state(n).dump() == fold(log[:n]).dump()
        drafts = reader.drafts()
        assert drafts is None or drafts == told(fold(log))
        reader.close()


def told(state: RunState) -> dict[str, str]:
    """The texts that a state holds, by what they are kept under."""
    texts = {message.message_id: message.text for message in state.messages.values()}
    return texts | ({"#reasoning": state.reasoning.text} if state.reasoning.text else {})


def test_the_kept_drafts_are_what_the_events_say(kind: Kind) -> None:
    fill(kind.create(), LOG)
    reader = kind.reader()
    drafts = reader.drafts()
    if drafts is not None:
        assert drafts == told(fold(LOG))
        assert list(reader.snapshots()) != []
    else:
        assert list(reader.snapshots()) == []
    reader.close()


@pytest.mark.parametrize("snapshot_every", [0, 1, 3])
def test_the_end_of_a_draft_is_there_without_the_rest_and_the_rest_when_it_is_asked_for(
    kind: Kind, snapshot_every: int
) -> None:
    fill(kind.create(), LOG, snapshot_every=snapshot_every)
    for n in range(len(LOG) + 1):
        reader = kind.reader()
        state, known = reader.state(n), fold(LOG[:n])
        for count in (0, 1, 5, 40_000, 100_000):
            for message, same in [*zip(state.messages.values(), known.messages.values(), strict=True),
                                  (state.reasoning, known.reasoning)]:  # fmt: skip
                assert message.length == same.length
                assert message.end(count) == same.end(count)
        reader.close()
        assert (state.answer and state.answer.short()) == (known.answer and known.answer.short()), "also after close"
        assert state.dump() == known.dump()


def test_a_snapshot_may_come_after_its_events(kind: Kind) -> None:
    writer = kind.create()
    writer.append(only(*LOG[:3]))
    if writer.keeps_state:
        writer.append(Batch((), snapshot=dumps(fold(LOG[:3]).dump(text=False))))
    writer.append(only(*LOG[3:4]))
    assert writer.head.seq == 4
    writer.close()
    reader = kind.reader()
    assert list(reader.snapshots()) == ([3] if writer.keeps_state else [])
    assert reader.state().dump() == fold(LOG[:4]).dump()
    reader.close()


def test_a_snapshot_that_is_not_there_is_not_made_up(kind: Kind) -> None:
    fill(kind.create(), LOG)
    reader = kind.reader()
    with pytest.raises(Damaged):
        reader.snapshot(2)
    reader.close()


def test_raw_bytes_come_back_as_they_were(kind: Kind) -> None:
    writer = kind.create()
    out, err = bytes(range(256)) * 5, b"hm\n"
    writer.append(Batch([], raw=[raw_chunk("stdout", 0, out), raw_chunk("stderr", 0, err)]))
    writer.append(only(LOG[0]))
    writer.append(Batch([(2, LOG[1].body, LOG[1].hash)], raw=[raw_chunk("stdout", len(out), b"end")]))
    writer.close()
    again = kind.resume()
    assert again is not None
    assert (again.raw_length("stdout"), again.raw_length("stderr"), again.raw_length("events")) == (len(out) + 3, 3, 0)
    again.close()
    reader = kind.reader()
    assert b"".join(reader.raw("stdout")) == out + b"end"
    assert b"".join(reader.raw("stderr")) == err
    assert list(reader.raw("events")) == []
    assert reader.read() == LOG[:2]
    reader.close()


def test_reading_events_and_raw_bytes_at_once_disturbs_neither(kind: Kind) -> None:
    writer = kind.create()
    for n, event in enumerate(LOG[:4]):
        writer.append(Batch([(event.seq, event.body, event.hash)], raw=[raw_chunk("stdout", n, b"x")]))
    writer.close()
    reader = kind.reader()
    found = []
    for piece in reader.raw("stdout"):
        found += [piece, reader.read(len(found) // 2, 1)]
    assert found == [b"x", LOG[:1], b"x", LOG[1:2], b"x", LOG[2:3], b"x", LOG[3:4]]
    reader.close()


def test_the_fields_of_a_run_are_known_before_and_after_its_end(kind: Kind) -> None:
    writer = kind.create()
    reader = kind.reader()
    assert reader.info() == INFO
    writer.append(only(*LOG[:3]))
    assert reader.info() == INFO._replace(last_seq=3)
    writer.append(only(*LOG[3:]))
    killed = reader.info()  # before it could write the fields that follow from the end
    reader.close()
    writer.close()
    assert killed == INFO._replace(
        status="completed", exit_code=0, duration=2.1, last_seq=len(LOG), reconciled=True,
        seal=f"sha256:{LOG[-1].hash.hex()}",
    )  # fmt: skip
    again = kind.resume()
    assert again is not None
    again.finish(killed)
    again.close()
    reader = kind.reader()
    assert reader.info() == killed
    reader.close()


def test_a_finished_recording_holds_under_every_check(kind: Kind) -> None:
    fill(kind.create(), LOG)
    reader = kind.reader()
    checker = Checker(
        RUN,
        cuts=cut_points(reader.head().seq),
        snapshots={seq: lambda seq=seq: reader.snapshot(seq, text=False) for seq in reader.snapshots()},  # type: ignore[misc]
    )
    checker.take(reader.read())
    report = checker.report(Kept(drafts=reader.draft_pieces()))
    assert Policy().chosen(report.findings) == []
    reader.close()


def test_drafts_are_told_as_they_were_at_a_state_that_was_read_before(kind: Kind) -> None:
    """A run goes on while it is verified: text, a new message and a retraction that came since are no finding."""
    events: list[tuple[str, dict[str, Any]]] = [
        ("run.started", {"run_id": RUN, "command": ["agent"], "cwd": "/", "format": 1}),
        ("text.delta", {"message_id": "a", "text": "one "}),
        ("text.delta", {"message_id": "b", "text": "two "}),
    ]
    since: list[tuple[str, dict[str, Any]]] = [
        ("text.retracted", {"message_id": "a", "reason": "no"}),
        ("text.delta", {"message_id": "b", "text": "three"}),
        ("text.delta", {"message_id": "c", "text": "new"}),
        ("reasoning.delta", {"text": "hm"}),
    ]
    ledger = Ledger(kind.create())
    state = RunState()
    for some in (events, since):
        for type_, data in some:
            ledger.append([Pending(type_, data, dumps(data))], ("2026-11-23T06:00:00.000000Z", 0.5))
        reader = kind.reader()
        if not state.seq:
            state = fold(reader.read())
        pieces = reader.draft_pieces(state)
        if pieces is not None:
            told = {id_: length for id_, (length, _) in summed(pieces).items() if length}
            assert told == {"a": 4, "b": 4}
        reader.close()


def test_the_end_of_a_run_is_found_behind_a_long_tail(kind: Kind) -> None:
    """What reads a file from its end has to look further back than one piece."""
    padding = [dumps({"n": n, "x": "x" * 400_000}) for n in range(12)]
    log = scripted([("myapp.blob", json.loads(data)) for data in padding], run_id=RUN)
    fill(kind.create(), log, sizes=[4])
    noise = b"".join((n * 7919 % 2**32).to_bytes(4, "big") for n in range(400_000))
    again = kind.resume()
    assert again is not None
    again.append(Batch([], raw=[raw_chunk("stdout", 0, noise)]))
    again.close()
    reader = kind.reader()
    assert reader.head() == Head(len(log), log[-1].hash)
    assert reader.state(len(log)).seq == len(log)
    reader.close()
