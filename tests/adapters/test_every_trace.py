"""Laws that hold for every format, tried on every trace."""

from __future__ import annotations

import json
import random

import pytest
from adapters_kit import FORMAT_OF, TRACES, changed, read, trace
from hypothesis import given, settings
from hypothesis import strategies as st

from durastream.sources.adapters import BUILTIN, find
from durastream.vocabulary import check

KNOWN = sorted(name for name, format_ in FORMAT_OF.items() if format_ in BUILTIN)
every_trace = pytest.mark.parametrize("name", KNOWN)
every_format = pytest.mark.parametrize("format_", BUILTIN)

LINES = [line for name in KNOWN for line in (TRACES / name).read_bytes().splitlines() if line.startswith(b"{")]


def test_every_trace_is_of_a_known_format() -> None:
    assert sorted(path.name for path in TRACES.iterdir() if path.suffix in (".jsonl", ".sse")) == sorted(FORMAT_OF)
    assert sorted(FORMAT_OF) == KNOWN


@every_trace
def test_its_format_is_found_by_what_it_prints(name: str) -> None:
    assert trace(name).state.agent["format"] == FORMAT_OF[name]


@every_trace
def test_each_event_has_the_fields_of_its_type(name: str) -> None:
    for event in trace(name).events:
        assert check(event.type, event.data) is None, event
        assert json.loads(event.json) == event.data
        assert event.src is not None


@every_trace
def test_no_line_has_a_shape_that_the_adapter_did_not_expect(name: str) -> None:
    for event in trace(name).events:
        assert event.type != "raw.rejected"
        assert event.type != "raw.event" or event.data["reason"] == "no mapping", event


@every_trace
def test_pieces_of_any_size_give_the_same_events(name: str) -> None:
    data = (TRACES / name).read_bytes()
    whole = trace(name).events
    chance = random.Random(name)
    assert read([data[at : at + 1] for at in range(len(data))]).events == whole
    for _ in range(3):
        places = sorted(chance.randrange(len(data)) for _ in range(40))
        pieces = [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]
        assert read(pieces).events == whole


@every_trace
def test_cut_anywhere_it_tells_what_came_before_the_cut(name: str) -> None:
    data = (TRACES / name).read_bytes()
    format_ = FORMAT_OF[name]
    whole = read([data], format_).events
    chance = random.Random(name)
    for at in [0, 1, *sorted(chance.randrange(len(data)) for _ in range(60))]:
        events = read([data[:at]], format_).events
        line = data.rfind(b"\n", 0, at) + 1
        before = [event for event in whole if event.src is not None and event.src.offset < line]
        known = [event for event in events if event.src is not None and event.src.offset < line]
        assert known == before[: len(known)]
        assert len(known) >= len(before) - 10  # of a server-sent event the blank line may be what was cut off


@every_format
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_lines_in_any_order_twice_or_of_other_formats_raise_nothing_and_stay_valid(
    format_: str, data: st.DataObject
) -> None:
    some = data.draw(st.lists(st.sampled_from(LINES), max_size=12))
    for event in read([b"\n".join(some)], format_).events:
        assert check(event.type, event.data) is None, event


@every_trace
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_changed_line_raises_nothing_and_stays_valid(name: str, data: st.DataObject) -> None:
    raw = (TRACES / name).read_bytes().split(b"\n")
    place = data.draw(st.integers(0, len(raw) - 1))
    line = raw[place]
    prefix = b"data: " if line.startswith(b"data:") else b""
    try:
        value = json.loads(line.removeprefix(b"data:"))
    except ValueError:
        return
    other = prefix + json.dumps(changed(value, data)).encode()
    for event in read([b"\n".join([*raw[:place], other, *raw[place + 1 :]])], FORMAT_OF[name]).events:
        assert check(event.type, event.data) is None, event


@every_format
@given(st.binary(max_size=60))
@settings(max_examples=40, deadline=None)
def test_any_bytes_are_taken(format_: str, data: bytes) -> None:
    read([data], format_)


@every_format
def test_each_format_says_what_it_is(format_: str) -> None:
    adapter = find(format_)
    assert adapter.name == format_
    assert adapter.note
    assert adapter.proven in ("real traces", "library", "hand-made")
    assert not adapter.matches(None)
    assert not adapter.matches([])
    assert not adapter.matches({})


@pytest.mark.parametrize(
    "line",
    [
        '{"type":"text.delta","data":{"message_id":"a","text":"b"}}',
        '{"type":"start"}',
        '{"level":"info","msg":"listening","time":1}',
        '{"id":1,"name":"x"}',
        '{"type":"error","message":"no such file"}',
        '{"type":"message","content":"hello"}',
        '{"type":"result","ok":true}',
        '{"event":"push","data":{}}',
        '{"jsonrpc":"2.0","method":"ping","id":1}',
    ],
)
def test_a_program_that_prints_some_json_is_no_agent(line: str) -> None:
    told = read([f"{line}\n".encode(), b"done\n", f"{line}\n".encode(), b"bye\n"])
    assert not told.state.agent
