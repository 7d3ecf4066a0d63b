"""Bytes into events: nothing is lost, nothing hangs on where a piece ends, and nothing that is written can stop it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from unittest import mock

import pytest
from core_kit import FORBIDDEN
from hypothesis import example, given
from hypothesis import strategies as st

from durastream.errors import UsageError
from durastream.events import RESERVED, Pending, Src
from durastream.sources import Source, replayed, source_for
from durastream.sources import log as log_module
from durastream.sources import native as native_module
from durastream.sources import text as text_module
from durastream.sources.auto import AutoSource
from durastream.sources.log import LogSource
from durastream.sources.native import NativeSource
from durastream.sources.text import MESSAGE, TextSource
from durastream.vocabulary import check

GOOD = b'{"type":"text.delta","data":{"message_id":"answer","text":"Hel"}}'
OTHER = b'{"type": "myapp.cache_hit", "data": {"key": [1, null]}}'
RESERVED_LINE = b'{"type":"run.started","data":{"run_id":"x","cwd":"/","format":1}}'

fragments = st.sampled_from(
    [
        GOOD, OTHER, RESERVED_LINE, b"\n", b"\n", b"\n", b"\r", b"\r\n", b"{", b"}", b'"', b"plain text",
        "wörld 🙂".encode(), b"\xe2\x82", b"\xac", b"\xff", b"\xf0\x9f", b"\x00", b"\x1b[31m", b"\xef\xbb\xbf",
        "\u2028\u202e".encode(),
        b'{"type":"a.b","data":5}', b'{"type":5,"data":{}}', b'{"data":{}}', b'{"type":"A","data":{}}', b"[1]", b"null",
        b'{"type":"a.b","data":{"x":"\\ud800"}}', b'{"type":"a.b","data":{"n":1e999}}', b'{"answer": 42}',
        b'{"type":"text.delta","data":{}}', b'{"type":"run.completed","data":{"status":"completed"}}',
    ]
)  # fmt: skip
streams = st.lists(fragments | st.binary(max_size=6), max_size=14).map(b"".join)

SOURCES: dict[str, Callable[[int], Source]] = {
    "events": lambda offset: NativeSource("events", offset, strict=True),
    "native": lambda offset: NativeSource("stdout", offset, strict=False),
    "text": lambda offset: TextSource("stdout", offset, events=False),
    "auto": lambda offset: AutoSource("stdout", ()) if offset == 0 else TextSource("stdout", offset),
    "stderr": lambda offset: LogSource("stderr", offset),
}
kinds = pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)


def fed(source: Source, pieces: list[bytes]) -> list[Pending]:
    found = [pending for piece in pieces for pending in source.feed(piece)]
    return found + source.close()


def cut_up(data: bytes, places: list[int]) -> list[bytes]:
    ends = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:stop] for start, stop in pairwise(ends)]


def joined(found: list[Pending]) -> list[Pending]:
    """With neighbouring pieces of printed text as one."""
    whole: list[Pending] = []
    for pending in found:
        last = whole[-1] if whole else None
        if pending.type == "text.delta" and pending.src and pending.src.length is not None and (
            last and last.type == "text.delta" and last.src and last.src.length is not None
        ):  # fmt: skip
            text = last.data["text"] + pending.data["text"]
            assert pending.src.offset == last.src.offset + last.src.length
            src = Src(last.src.stream, last.src.offset, last.src.length + pending.src.length)
            whole[-1] = Pending("text.delta", {**last.data, "text": text}, "", src)
        else:
            whole.append(pending)
    return [pending._replace(json="") for pending in whole]


def ends(data: bytes, src: Src) -> int:
    """Where the bytes of an event end: a whole line with its newline when no length is said."""
    return src.offset + src.length if src.length is not None else data.index(b"\n", src.offset) + 1


@kinds
@given(data=streams, places=st.lists(st.integers(0, 10_000), max_size=8))
@example(data=b"\xe2\x82\xac\n" + GOOD + b"\nx", places=[1, 2, 3, 4, 5])
@example(data=b"a\r\r\nb\r", places=[2, 3])
@example(data=GOOD[:-1], places=[0, 0])
def test_pieces_of_any_size_give_the_same_events_as_the_whole(
    make: Callable[[int], Source], data: bytes, places: list[int]
) -> None:
    whole = joined(fed(make(0), [data]))
    assert joined(fed(make(0), cut_up(data, places))) == whole
    assert joined(fed(make(0), [data[at : at + 1] for at in range(len(data))])) == whole


@kinds
@given(data=streams, places=st.lists(st.integers(0, 10_000), max_size=3))
def test_every_byte_is_in_one_event_and_in_order(make: Callable[[int], Source], data: bytes, places: list[int]) -> None:
    at = 0
    for pending in fed(make(0), cut_up(data, places)):
        assert pending.src is not None
        assert data[at : pending.src.offset].strip() == b""
        at = ends(data, pending.src)
        assert pending.src.offset < at <= len(data)
    assert data[at:].strip() == b""


@pytest.mark.parametrize("kind", ["text", "auto", "stderr"])
@given(data=streams, places=st.lists(st.integers(0, 10_000), max_size=3))
def test_of_what_is_printed_not_even_a_blank_line_is_left_out(kind: str, data: bytes, places: list[int]) -> None:
    at = 0
    for pending in fed(SOURCES[kind](0), cut_up(data, places)):
        assert pending.src is not None
        assert pending.src.offset == at
        at = ends(data, pending.src)
    assert at == len(data)


@given(streams, st.lists(st.integers(0, 10_000), max_size=5))
def test_printed_text_is_what_was_printed(data: bytes, places: list[int]) -> None:
    found = fed(TextSource("stdout", 0, events=False), cut_up(data, places))
    assert "".join(pending.data["text"] for pending in found) == data.decode("utf-8", "replace")


@kinds
@given(data=streams)
def test_what_a_source_gives_can_be_stored_and_shown(make: Callable[[int], Source], data: bytes) -> None:
    for pending in fed(make(0), [data]):
        pending.json.encode()
        assert json.loads(pending.json, parse_constant=pytest.fail) == pending.data
        assert not FORBIDDEN.intersection(pending.json)
        assert check(pending.type, pending.data) is None
        assert pending.type not in RESERVED - {"raw.rejected"}


@kinds
@given(data=streams)
def test_starting_at_any_line_gives_the_rest_of_the_events(make: Callable[[int], Source], data: bytes) -> None:
    *lines, last = data.replace(b"\r", b"").split(b"\n")
    pieces = [*(line + b"\n" for line in lines), last]
    whole = fed(make(0), pieces)
    offset = 0
    for number, piece in enumerate(pieces):
        tail = fed(make(offset), pieces[number:])
        assert tail == [pending for pending in whole if pending.src is not None and pending.src.offset >= offset]
        offset += len(piece)


class TestLog:
    def test_a_line_ends_at_a_newline_or_at_a_carriage_return(self) -> None:
        found = fed(LogSource("stderr", 10), [b"one\ntwo\r\n50%\r100%\rlast"])
        assert [pending.data["text"] for pending in found] == ["one", "two", "50%", "100%", "last"]
        assert [pending.src for pending in found] == [
            Src("stderr", 10),
            Src("stderr", 14),
            Src("stderr", 19, 4),
            Src("stderr", 23, 5),
            Src("stderr", 28, 4),
        ]
        assert found[0] == Pending(
            "log.line", {"stream": "stderr", "text": "one"}, '{"stream":"stderr","text":"one"}', Src("stderr", 10)
        )

    def test_a_carriage_return_waits_for_the_newline_that_may_follow(self) -> None:
        source = LogSource("stderr", 0)
        assert source.feed(b"a\r") == []
        assert [pending.data["text"] for pending in source.feed(b"\nb")] == ["a"]
        assert [pending.data["text"] for pending in source.close()] == ["b"]
        assert source.close() == []

    @given(st.integers(0, 3), st.sampled_from(["é", "🙂", "x"]))
    def test_a_line_without_end_is_given_out_in_pieces_that_cut_no_character(self, before: int, character: str) -> None:
        line = ("x" * before + character * 200_000).encode()
        source = LogSource("stderr", 0)
        found = source.feed(line)
        assert len(found) >= 3
        found += source.close()
        assert "".join(pending.data["text"] for pending in found) == line.decode()

    def test_bytes_that_are_no_text_are_cut_all_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(log_module, "_PIECE", 8)
        found = fed(LogSource("stderr", 0), [b"\x80" * 20])
        assert [pending.src and pending.src.length for pending in found] == [8, 8, 4]


class TestText:
    def test_partial_lines_are_given_out_at_once(self) -> None:
        source = TextSource("stdout", 100)
        (first,) = source.feed(b"Hel")
        (second,) = source.feed(b"lo\n")
        assert first == Pending(
            "text.delta",
            {"message_id": MESSAGE, "text": "Hel"},
            '{"message_id":"stdout","text":"Hel"}',
            Src("stdout", 100, 3),
        )
        assert (second.data["text"], second.src) == ("lo\n", Src("stdout", 103, 3))
        assert source.close() == []

    def test_a_character_waits_for_its_last_byte(self) -> None:
        source = TextSource("stdout", 0)
        euro = "€".encode()
        assert source.feed(euro[:2]) == []
        (found,) = source.feed(euro[2:] + b"x")
        assert (found.data["text"], found.src) == ("€x", Src("stdout", 0, 4))
        assert source.feed(euro[:1]) == []
        (last,) = source.close()
        assert (last.data["text"], last.src) == ("\ufffd", Src("stdout", 4, 1))

    def test_event_lines_among_printed_text_are_events(self) -> None:
        found = fed(TextSource("stdout", 0), [b"thinking\n" + GOOD + b"\n" + OTHER + b"\r\ndone\n"])
        assert [pending.type for pending in found] == ["text.delta", "text.delta", "myapp.cache_hit", "text.delta"]
        assert [pending.src for pending in found] == [
            Src("stdout", 0, 9),
            Src("stdout", 9),
            Src("stdout", 9 + len(GOOD) + 1),
            Src("stdout", 9 + len(GOOD) + 1 + len(OTHER) + 2, 5),
        ]
        assert found[1].data == {"message_id": "answer", "text": "Hel"}

    def test_a_line_that_begins_like_an_event_waits_for_its_end(self) -> None:
        source = TextSource("stdout", 0)
        assert [pending.data["text"] for pending in source.feed(b"ok\n" + GOOD[:20])] == ["ok\n"]
        assert source.feed(GOOD[20:]) == []
        (event,) = source.feed(b"\n")
        assert (event.type, event.src) == ("text.delta", Src("stdout", 3))

    def test_an_event_in_a_last_line_without_newline_is_one(self) -> None:
        (event,) = fed(TextSource("stdout", 0), [GOOD])
        assert (event.data["message_id"], event.src) == ("answer", Src("stdout", 0, len(GOOD)))

    @pytest.mark.parametrize(
        "line",
        [
            b'{"answer": 42}',
            b'{"type": "myapp.x", "data": {}, "note": "of somebody else"}',
            b'{"type": "Note", "data": {}}',
            b'{"type": 5, "data": {}}',
            b'{"type": "text.delta", "data": "x"}',
            b'{"type": "text.delta", "data": {',
            b'"type" "data"',
            b' {"type":"myapp.x","data":{}}',
            b'{not JSON "type" "data"}',
        ],
    )
    def test_json_that_is_no_event_is_text(self, line: bytes) -> None:
        found = fed(TextSource("stdout", 0), [line + b"\n"])
        assert "".join(pending.data["text"] for pending in found) == line.decode() + "\n"
        assert {pending.data["message_id"] for pending in found} == {MESSAGE}

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            (b'{"type":"text.delta","data":{"message_id":"#a","text":"x"}}', "text.delta: message_id: "),
            (b'{"type":"text.delta","data":{},"note":1}', "text.delta: message_id: Field required"),
            (RESERVED_LINE, "run.started: only the recorder writes this type"),
        ],
    )
    def test_a_line_that_claims_to_be_an_event_and_is_not_valid_is_rejected_and_kept(
        self, line: bytes, reason: str
    ) -> None:
        (found,) = fed(TextSource("stdout", 0), [line + b"\n"])
        assert found.type == "raw.rejected"
        assert found.data["reason"].startswith(reason)
        assert found.data["text"] == line.decode()

    def test_as_plain_text_an_event_line_is_text(self) -> None:
        (found,) = fed(TextSource("stdout", 0, events=False), [GOOD + b"\n"])
        assert found.data["text"] == GOOD.decode() + "\n"

    def test_in_the_middle_of_a_line_nothing_is_an_event(self) -> None:
        found = fed(TextSource("stdout", 7, line_start=False), [GOOD + b"\n" + GOOD + b"\n"])
        assert [pending.data["message_id"] for pending in found] == [MESSAGE, "answer"]
        found = fed(TextSource("stdout", 0), [b"x", GOOD + b"\n"])
        assert {pending.data["message_id"] for pending in found} == {MESSAGE}

    def test_an_empty_piece_changes_nothing(self) -> None:
        source = TextSource("stdout", 0)
        source.feed(b"x\n")
        assert source.feed(b"") == []
        assert [pending.data["message_id"] for pending in source.feed(GOOD + b"\n")] == ["answer"]

    @pytest.mark.parametrize("size", [5, 1000])
    def test_a_line_too_long_to_wait_for_is_text(self, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
        monkeypatch.setattr(text_module, "_HELD", 100)
        line = b'{"type":"a.b","data":{"x":"' + b"x" * 400
        found = fed(TextSource("stdout", 0), [line[at : at + size] for at in range(0, len(line), size)])
        assert "".join(pending.data["text"] for pending in found) == line.decode()
        found = fed(TextSource("stdout", 0), [b"ok\n" + line, b"\n" + GOOD + b"\n"])
        assert [pending.data["message_id"] for pending in found] == [MESSAGE, MESSAGE, "answer"]


REJECTED: list[tuple[bytes, str]] = [
    (b"plain text", "not JSON: "),
    (b"[1]", "not a JSON object"),
    (b"5", "not a JSON object"),
    (b"null", "not a JSON object"),
    (b'{"data":{}}', "no type: an event is "),
    (b'{"type":null,"data":{}}', "no type: an event is "),
    (b'{"type":[],"data":{}}', "no type: an event is "),
    (b'{"type":"text.delta","data":[]}', "text.delta: data is not an object"),
    (b'{"type":"myapp.x","data":"x"}', "myapp.x: data is not an object"),
    (b'{"type":"A.b","data":{}}', "'A.b' is not of the form noun.verb"),
    (b'{"type":"note","data":{}}', "'note' is not of the form noun.verb"),
    (b'{"type":"a.' + b"b" * 100 + b'","data":{}}', "'a.bbb"),
    (b'{"type":"text.delta"}', "text.delta: message_id: Field required"),
    (b'{"type":"text.delta","data":{"message_id":"a","text":5}}', "text.delta: text: "),
    (b'{"type":"step.completed","data":{"step_id":"s","status":"done"}}', "step.completed: status: "),
    (b'{"type":"run.completed","data":{"answer":"42"}}', "run.declared: answer: "),
    (b'{"type":"myapp.x","data":{"n":1e999}}', "myapp.x: a number is out of range"),
    (b'{"type":"usage.reported","data":{"cost_usd":-1e999}}', "usage.reported: cost_usd: Input should be greater"),
    (b'{"type":"myapp.x","data":{"n":NaN}}', "not JSON: "),
    (b'{"type":"myapp.x","data":{"n":' + b"9" * 5000 + b"}}", "not JSON: "),
    (b'{"type":"myapp.x","data":' + b'{"x":' * 1000 + b"1" + b"}" * 1000 + b"}", "not JSON: "),
    (b'{"type":"myapp.x","data":{"x":' + b"[" * 100_000, "not JSON: "),
    (b"\x00" * 40, "not JSON: "),
    *[
        (f'{{"type":"{name}","data":{{}}}}'.encode(), f"{name}: only the recorder writes this type")
        for name in sorted(RESERVED - {"run.completed"} | {"run.declared"})
    ],
]


heads = st.sampled_from(
    [
        '{"type":"text.delta","data":{"message_id":"answer","text":"',
        '{"type":"text.delta","data":{"message_id":"answer","text":"',
        '{"type":"text.delta","data":{"message_id":"answer","text":"',
        '{"type": "text.delta", "data": {"message_id": "answer", "text": "',
        '{"type":"text.delta","data":{"message_id":"another one","text":"',
        '{"type":"text.delta","data":{"message_id":"#x","text":"',
        '{"type":"text.delta","data":{"message_id":"","text":"',
        '{"type":"text.delta","data":{"message_id":"caf\u00e9 \\u0041","text":"',
        '{"type":"text.delta","data":{"text":"x","message_id":"',
        '{"data":{"message_id":"answer","text":"x"},"type":"text.delta","more":{"x":"',
        '[{"type":"text.delta","data":{"message_id":"answer","text":"',
    ]
).map(str.encode)  # fmt: skip
inner = st.lists(
    st.sampled_from(
        [
            b"a", b",", b'\\"', b"\\n", b"\\\\", b"\\/", b"\\u0041", b"\\u001b", b"\\u2028", b"\\ud83d\\ude00",
            "\u00e9\u2028\U0001f642\u0301".encode(), b"\x7f", b"Infinity", b"]", b"{", b"1e999", b"}}",
        ]
    ) | st.sampled_from(
        [b'"', b"\\", b'","', b'",["', b'"],"', b'":"', b"\\ud800", b"\xff", b"\xe2\x82", b"\t", b"\x00", b"\r", b'"}}']
    ),
    max_size=5,
).map(b"".join)  # fmt: skip
tails = st.sampled_from(
    [b'"}}', b'"}}', b'"}}', b'"}}', b'"}} ', b'"}}\r', b'"},"more":1}', b'","text":"y"}}', b'"}', b"}}"]
)
delta_lines = st.tuples(heads, inner, tails).map(b"".join) | st.sampled_from(
    [GOOD, GOOD, OTHER, RESERVED_LINE, b"", b"?"]
)


@given(st.lists(delta_lines, max_size=12), st.lists(st.integers(0, 10_000), max_size=4), st.booleans())
@example([GOOD, GOOD.replace(b"Hel", b'a","b'), GOOD.replace(b"Hel", b"c\\"), GOOD], [], True)
@example([GOOD, *(GOOD.replace(b"Hel", each) for each in (b'a",["b', b"c", b'd"],"e')), GOOD], [], True)
@example([GOOD, GOOD.replace(b"Hel", b"\xe2\x80\xa8 and \x7f"), OTHER, GOOD, GOOD], [], True)
@example([OTHER, GOOD[:-1] + b',"x":2}', GOOD, GOOD.replace(b"answer", b"other"), GOOD], [], True)
def test_lines_that_are_read_together_are_the_same_events_as_one_by_one(
    lines: list[bytes], places: list[int], strict: bool
) -> None:
    data = b"".join(line + b"\n" for line in lines)
    with mock.patch.object(native_module, "_BRIEF", 1 << 40):
        one_by_one = fed(NativeSource("events", 5, strict=strict), [data])
    with mock.patch.object(native_module, "_BRIEF", 0):
        assert fed(NativeSource("events", 5, strict=strict), [data]) == one_by_one
        assert fed(NativeSource("events", 5, strict=strict), cut_up(data, places)) == one_by_one


def test_most_lines_of_an_agent_that_streams_are_read_together(monkeypatch: pytest.MonkeyPatch) -> None:
    spaced = json.dumps({"type": "text.delta", "data": {"message_id": "answer", "text": "Hel\nlo é"}}).encode()
    monkeypatch.setattr(NativeSource, "_each", lambda *_: pytest.fail("read one by one"))
    for line in (GOOD, spaced):
        data = (line + b"\n") * 50
        found = NativeSource("events", 0, strict=True).feed(data)
        assert [pending.src for pending in found] == [Src("events", at * (len(line) + 1)) for at in range(50)]


class TestNative:
    def test_a_line_is_an_event(self) -> None:
        found = fed(NativeSource("events", 7, strict=True), [GOOD + b"\n\n \r\n" + OTHER + b"\r\n"])
        assert found == [
            Pending(
                "text.delta",
                {"message_id": "answer", "text": "Hel"},
                '{"message_id":"answer","text":"Hel"}',
                Src("events", 7),
            ),
            Pending("myapp.cache_hit", {"key": [1, None]}, '{"key":[1,null]}', Src("events", 7 + len(GOOD) + 5)),
        ]

    def test_a_last_line_without_newline_says_its_length(self) -> None:
        (found,) = fed(NativeSource("events", 0, strict=True), [GOOD])
        assert found.src == Src("events", 0, len(GOOD))
        assert fed(NativeSource("events", 0, strict=True), [b"  "]) == []

    def test_a_type_of_others_needs_an_object_too_whether_it_was_seen_before_or_not(self) -> None:
        bad = b'{"type":"myapp.cache_hit","data":5}'
        found = fed(NativeSource("events", 0, strict=True), [b"\n".join([OTHER, bad, OTHER])])
        assert [pending.type for pending in found] == ["myapp.cache_hit", "raw.rejected", "myapp.cache_hit"]

    @pytest.mark.parametrize(("line", "reason"), REJECTED, ids=[str(line[:60]) for line, _ in REJECTED])
    def test_a_line_that_is_no_event_is_rejected_with_the_reason_and_its_bytes(self, line: bytes, reason: str) -> None:
        found = fed(NativeSource("events", 0, strict=True), [line + b"\n" + GOOD + b"\n"])
        assert [pending.type for pending in found] == ["raw.rejected", "text.delta"]
        data = found[0].data
        assert data["reason"].startswith(reason)
        assert (data["text"].encode(), data["length"]) == (line, len(line))
        assert check("raw.rejected", data) is None

    def test_bytes_that_are_no_text_are_kept_as_base64(self) -> None:
        (found,) = fed(NativeSource("events", 0, strict=True), [b"\xff\xfe{broken\n"])
        assert base64.b64decode(found.data["base64"]) == b"\xff\xfe{broken"
        assert "text" not in found.data

    def test_of_a_huge_line_that_is_no_event_the_beginning_is_kept(self) -> None:
        (found,) = fed(NativeSource("events", 0, strict=True), [b"x" * (2 << 20)])
        assert (len(found.data["text"]), found.data["length"]) == (1 << 20, 2 << 20)

    @pytest.mark.parametrize(
        ("data", "read"),
        [
            (b'"\\ud83d\\ude42"', "🙂"),
            (b'"a\\ud800"', "a\ufffd"),
            (b'"a\xffb"', "a\ufffdb"),
            (b'"a\x01b"', "a\x01b"),
            ('"a\u2028b\u202e"'.encode(), "a\u2028b\u202e"),
            (b'"a\\u0000b"', "a\x00b"),
            (b"9223372036854775808", 1 << 63),
            (b"-123456789012345678901234567890", -123456789012345678901234567890),
            (b'"Infinity"', "Infinity"),
            (b'"-Infinity\\ud800"', "-Infinity\ufffd"),
            (b"[" * 150 + b"]" * 150, json.loads("[" * 150 + "]" * 150)),
        ],
    )
    def test_what_other_encoders_write_is_read(self, data: bytes, read: Any) -> None:
        (found,) = fed(NativeSource("events", 0, strict=True), [b'{"type":"myapp.x","data":{"x":' + data + b"}}\n"])
        assert (found.type, found.data) == ("myapp.x", {"x": read})
        assert json.loads(found.json) == {"x": read}
        assert not FORBIDDEN.intersection(found.json)

    def test_a_byte_order_mark_is_no_part_of_the_first_line(self) -> None:
        found = fed(NativeSource("events", 0, strict=True), [b"\xef\xbb\xbf" + GOOD + b"\n" + GOOD + b"\n"])
        assert [pending.data.get("text") for pending in found] == ["Hel", "Hel"]
        assert [pending.src for pending in found] == [Src("events", 0), Src("events", 3 + len(GOOD) + 1)]

    def test_every_depth_of_nesting_is_an_event_or_rejected(self) -> None:
        for depth in (*range(180, 220), *range(900, 1100)):
            for opened, closed in ((b"[", b"]"), (b'{"x":', b"}")):
                line = b'{"type":"a.b","data":{"x":' + opened * depth + b"1" + closed * depth + b"}}\n"
                (found,) = fed(NativeSource("events", 0, strict=True), [line])
                assert found.type in ("a.b", "raw.rejected")

    def test_the_word_of_an_agent_on_its_own_end_is_kept_as_its_word(self) -> None:
        line = b'{"type":"run.completed","data":{"status":"completed","answer":{"text":"42"}}}\n'
        (found,) = fed(NativeSource("events", 0, strict=True), [line])
        assert (found.type, found.data["answer"]) == ("run.declared", {"text": "42"})

    def test_in_a_stream_of_mostly_events_the_rest_is_log_lines(self) -> None:
        lines = [b"warming up", GOOD, RESERVED_LINE, b"\xffbroken", b'{"note":1}', b""]
        found = fed(NativeSource("stdout", 0, strict=False), [b"\n".join(lines)])
        assert [pending.type for pending in found] == ["log.line", "text.delta", "raw.rejected", "log.line", "log.line"]
        assert found[0].data == {"stream": "stdout", "text": "warming up"}
        assert found[3].data["text"] == "\ufffdbroken"

    def test_a_line_that_never_ends_is_given_up_and_what_follows_is_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(native_module, "_LONGEST", 100)
        source = NativeSource("events", 0, strict=True)
        found = [pending for piece in [b"x" * 60] * 3 for pending in source.feed(piece)]
        (given_up,) = found
        assert given_up.data["length"] == 180
        assert given_up.data["reason"].startswith("a line longer than")
        assert given_up.src == Src("events", 0, 180)
        found = source.feed(b"tail\n" + GOOD + b"\n")
        assert [(pending.type, pending.src) for pending in found] == [
            ("raw.rejected", Src("events", 180)),
            ("text.delta", Src("events", 185)),
        ]

    def test_somebody_with_ever_new_types_does_not_fill_the_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(native_module, "_judges", dict.fromkeys(map(str, range(10_000))))
        line = b'{"type":"myapp.another","data":{}}\n'
        assert [pending.type for pending in fed(NativeSource("events", 0, strict=True), [line])] == ["myapp.another"]
        assert len(native_module._judges) == 10_000


@pytest.mark.parametrize("kind", ["events", "auto"])
def test_a_line_of_thirty_megabytes_is_an_event(kind: str) -> None:
    text = "x" * (30 << 20)
    line = b'{"type":"text.delta","data":{"message_id":"a","text":"' + text.encode() + b'"}}\n'
    source = SOURCES[kind](0)
    found = [pending for at in range(0, len(line), 1 << 19) for pending in source.feed(line[at : at + (1 << 19)])]
    assert [(pending.type, len(pending.data["text"])) for pending in found] == [("text.delta", len(text))]


@pytest.mark.parametrize(
    ("stream", "format_", "kind"),
    [
        ("stderr", "auto", LogSource),
        ("stderr", "native", LogSource),
        ("stdout", "auto", TextSource),
        ("stdout", "text", TextSource),
        ("stdout", "native", NativeSource),
        ("events", "auto", NativeSource),
        ("events", "text", NativeSource),
    ],
)
def test_each_stream_has_its_source(stream: str, format_: str, kind: type) -> None:
    assert isinstance(source_for(stream, format_), kind)


def test_a_source_is_told_how_strict_to_be() -> None:
    line = b'{"note":1}\n'
    assert fed(source_for("events", "auto"), [line])[0].type == "raw.rejected"
    assert fed(source_for("stdout", "native"), [line])[0].type == "log.line"
    assert fed(source_for("stdout", "text"), [GOOD])[0].data["message_id"] == MESSAGE
    assert fed(source_for("stdout", "auto", 5, line_start=False), [GOOD])[0].data["message_id"] == MESSAGE
    assert fed(source_for("stdout", "auto", 5), [GOOD])[0].src == Src("stdout", 5, len(GOOD))


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown format 'yaml': `durastream formats` lists them"):
        replayed("yaml")
