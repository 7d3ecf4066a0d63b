"""A stretch that was condensed says what its events say one by one, or is not made at all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from durastream.events import Event, Src, chain, genesis, loads_many
from durastream.rules.course import Course
from durastream.state import RunState, summary
from durastream.stretch import Pieces, Stretch, condense, joined
from durastream.verify import Checker

RUN = "k3v9p2"
Row = tuple[bytes, bytes]


def body(seq: int, text: bytes, *, t: str = "0.500000", id_: bytes = b"answer", place: bytes = b"") -> bytes:
    """A piece of text as the recorder writes it; `text` as it stands between the quotes."""
    place = place or b'"stream":"events","offset":%d' % (seq * 10)
    return (
        b'{"seq":%d,"ts":"2026-11-23T06:00:00.123456Z","t":%s,"type":"text.delta",'
        b'"data":{"message_id":"%s","text":"%s"},"src":{%s}}' % (seq, t.encode(), id_, text, place)
    )


def rows_of(bodies: Sequence[bytes], first: int = 1) -> list[Row]:
    digest, rows = genesis(RUN), []
    for seq, each in enumerate(bodies, first):
        digest = hashlib.sha256(digest + each).digest()
        rows.append((each, digest if seq % 3 else digest[:4]))
    return rows


def condensed(rows: Sequence[Row], first: int = 1) -> Stretch | None:
    return condense(genesis(RUN), first, rows)


def told(parts: Sequence[Event | Pieces]) -> tuple[object, object]:
    """What is known after these, however they are put together."""
    state, course = RunState(), Course()
    for part in parts:
        if isinstance(part, Event):
            course.follow((part,), state)
        else:
            for t, late, count, seq in part.moments:
                course.seen(t, count, seq, late=late)
            state.extend(part)
    return summary(state), vars(course)


def places(events: Sequence[Event]) -> dict[str, list[tuple[int, int, int | None]]]:
    found: dict[str, list[tuple[int, int, int | None]]] = {}
    for event in events:
        if event.src is not None:
            found.setdefault(event.src.stream, []).append((event.seq, event.src.offset, event.src.length))
    return found


def same(rows: Sequence[Row]) -> bool:
    """Whether a stretch was made; then it must say what its events say."""
    stretch = condensed(rows)
    if stretch is None:
        return False
    events = loads_many([(each.decode(), digest) for each, digest in rows])
    assert [event.seq for event in events] == list(range(1, len(rows) + 1))
    assert told(stretch.parts) == told(events) == told(list(joined(events)))
    assert places(events) == {
        name: list(zip(seqs, offsets, lengths or [None] * len(offsets), strict=True))
        for name, (seqs, offsets, lengths) in stretch.places.items()
    }
    times = [event.t for event in events]
    assert times == sorted(times)
    assert (stretch.first, stretch.last, stretch.began, stretch.t) == (1, len(rows), times[0], times[-1])
    return True


OTHER = (
    b'{"seq":%d,"ts":"","t":0.5,"type":"log.line","data":{"text":"x"},"src":{"stream":"stderr","offset":7,"length":3}}'
)
PLAIN = [
    [body(1, b"one "), body(2, b"two ")],
    [body(1, b"a"), body(2, b"b", id_=b"other"), body(3, b"c"), body(4, b"d", t="0.750000")],
    [body(1, 'caf\u00e9 \U0001f408'.encode()), body(2, rb"a\nb\t\"said\" \\ c"), body(3, rb"\u00e9\ud83d\ude00")],
    [body(1, b"a", place=b'"stream":"stdout","offset":0,"length":1'), OTHER % 2, body(3, b"b"), OTHER % 4],
    [OTHER % 1, OTHER % 2],
    [body(1, b"over"), body(2, b"x").replace(b'}}', b'},"late":true}'), body(3, b"y")],
    [body(1, rb"ends in a backslash \\"), body(2, b"n")],
    [body(1, b"x").replace(b",", b", ")],
    [body(1, b""), body(2, b"", id_=b"")],
]  # fmt: skip


@pytest.mark.parametrize("bodies", PLAIN, ids=str)
def test_what_is_in_order_is_condensed_and_says_what_its_events_say(bodies: list[bytes]) -> None:
    assert same(rows_of(bodies))


PIECES = st.sampled_from(
    [
        b"a", b" ", b"\\", b'"', b'\\"', b"\\\\", b"\\n", b"n", b"\\u00", b"41", b"\\u0041", b"\\ud83d", b"\\ude00",
        b"\n", b"\x00", b"\x1f", b"\x7f", b"\xc3", b"\xa9", b"\xc3\xa9", b"\xed\xa0\x80", b"[", b"]", b"{", b"}", b",",
        b'","x":"',
        b'"},"src":{"stream":"events","offset":1}}', b'"}}\n', b'{"seq":2,', b'"data":{"message_id":"answer","text":"',
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=4).map(b"".join)
PLACES = st.sampled_from([b"", b'"stream":"events","offset":007', b'"stream":"stdout","offset":0,"length":02'])


@given(st.lists(st.tuples(TEXTS, PLACES), min_size=1, max_size=4))
@example([(b"ends \\", b""), (b'n"', b"")])
@example([(b"\\u00", b""), (b"41", b"")])
@example([(b"\xc3", b""), (b"\xa9", b"")])
@example([(b"open", b""), (body(3, b"x") + b"\n" + body(4, b"y"), b"")])
@example([(b'a\\\\"', b""), (b'"b', b"")])
def test_bodies_that_conspire_are_never_taken_for_what_they_are_not(made: list[tuple[bytes, bytes]]) -> None:
    same(rows_of([body(seq, text, place=place) for seq, (text, place) in enumerate(made, 1)]))


@given(st.sampled_from(PLAIN), st.data())
def test_no_byte_of_a_body_can_be_changed_so_that_another_thing_is_condensed(
    bodies: list[bytes], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(bodies) - 1))
    place = data.draw(st.integers(0, len(bodies[at]) - 1))
    new = bodies[at][:place] + data.draw(PIECES) + bodies[at][place + data.draw(st.integers(0, 1)) :]
    same(rows_of([*bodies[:at], new, *bodies[at + 1 :]]))
    rows = rows_of(bodies)
    rows[at] = (new, rows[at][1])
    if new != bodies[at]:
        assert condensed(rows) is None, "its hash does not fit"


def test_what_is_not_in_order_is_not_condensed() -> None:
    good = [body(1, b"a"), body(2, b"b"), body(3, b"c")]
    rows = rows_of(good)
    assert condensed(rows) is not None
    assert condensed(rows[:1] + rows[2:]) is None
    assert condensed(rows, first=2) is None
    assert condense(b"", 1, rows) is None
    assert condensed([]) is None
    assert condensed([*rows[:2], (good[2], b"")]) is None
    assert condensed(rows_of([good[0], good[1].replace(b"0.5", b"0.4"), good[2]])) is None
    assert condensed(rows_of([good[0], body(3, b"b"), body(2, b"c")])) is None
    assert condensed(rows_of([good[0], good[1].replace(b"text.delta", b"run.completed"), good[2]])) is None
    assert condensed(rows_of([good[0], b"", good[2]])) is None


def test_a_checker_takes_a_stretch_only_where_it_follows() -> None:
    first, second = rows_of([body(1, b"a"), body(2, b"b")])
    start = condense(genesis(RUN), 1, [first])
    then = condense(chain(genesis(RUN), first[0].decode()), 2, [second])
    assert start is not None
    assert then is not None
    checker = Checker(RUN)
    assert not checker.take_stretch(then)
    assert checker.take_stretch(start)
    assert not checker.take_stretch(start)
    assert not checker.take_stretch(then._replace(before=bytes(32)))
    assert not checker.take_stretch(then._replace(began=0.1))
    assert checker.take_stretch(then)
    assert (checker.seq, checker.hash, checker.state.messages["answer"].length) == (2, then.hash, 2)
    ended = Checker(RUN)
    end = b'{"seq":1,"ts":"","t":0.0,"type":"run.completed","data":{}}'
    ended.take([Event(1, "", 0.0, "run.completed", {}, None, False, end.decode(), chain(genesis(RUN), end.decode()))])
    assert not ended.take_stretch(then._replace(before=ended.hash)), "each event after the end is named"


def test_the_places_of_pieces_are_looked_at_as_those_of_events_are() -> None:
    checker = Checker(RUN, streams={"stdout": [b"ab", b"cd"]})
    at = b'"stream":"stdout","offset":%d,"length":%d'
    start = b'{"seq":1,"ts":"","t":0.0,"type":"run.started","data":{}}'
    pieces = [body(2, b"a", place=at % (0, 1)), body(3, b"c", place=at % (2, 1)), body(4, b"d", place=at % (3, 1))]
    stretch = condensed(rows_of([start, *pieces]))
    assert stretch is not None
    assert stretch.places["stdout"] == ([2, 3, 4], [0, 2, 3], [1, 1, 1])
    assert checker.take_stretch(stretch)
    coverage = checker._coverage["stdout"]
    assert [each.code for each in coverage.report(gapless=True)] == ["bytes-unaccounted"]
    assert Src("stdout", 3, 1).end_in(b"abcd", 0) == 4
