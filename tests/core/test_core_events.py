"""What is stored is what is read: the two forms of an event, its escapes and its hash."""

from __future__ import annotations

import json
from typing import Any

import pytest
from core_kit import FORBIDDEN, hostile_text, json_values
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic_core import from_json

from durastream.events import (
    RESERVED,
    TYPES,
    Event,
    Src,
    chain,
    dumps,
    encode_string,
    escape_terminal,
    genesis,
    loads,
    loads_many,
    parse_hash,
    show_hash,
    valid_type,
)
from durastream.testing import scripted
from durastream.vocabulary import MODELS

BODY = '{"seq":3,"ts":"2026-11-23T06:00:00.000000Z","t":1.5,"type":"text.delta","data":{"message_id":"a","text":"x"}}'


def with_field(name: str, value: str) -> str:
    """The body with one field given as JSON text."""
    fields = json.loads(BODY) | {name: "@"}
    return json.dumps(fields).replace('"@"', value)


@given(json_values)
def test_what_dumps_writes_is_read_back_equal(value: Any) -> None:
    text = dumps(value)
    assert json.loads(text) == value
    assert from_json(text) == value


@given(json_values)
def test_what_dumps_writes_is_one_line_of_utf8_on_which_no_terminal_acts(value: Any) -> None:
    text = dumps(value)
    text.encode()
    assert not FORBIDDEN.intersection(text)


@given(json_values)
def test_escaping_changes_the_spelling_and_never_the_value(value: Any) -> None:
    for plain in (json.dumps(value, ensure_ascii=False), json.dumps(value)):
        escaped = escape_terminal(plain)
        assert json.loads(escaped) == value
        assert not FORBIDDEN.intersection(escaped)


@given(hostile_text)
def test_a_string_is_encoded_as_in_dumps(text: str) -> None:
    assert encode_string(text) == dumps(text)


def test_delete_is_escaped_though_it_is_ascii() -> None:
    assert dumps("a\x7fb") == '"a\\u007fb"'
    assert escape_terminal('"a\x7fb"') == '"a\\u007fb"'


def test_text_that_is_plain_stays_as_it_is() -> None:
    assert escape_terminal('"plain"') == '"plain"'
    assert dumps({"città": "東京 🙂"}) == '{"città":"東京 🙂"}'


def test_a_byte_that_is_no_utf8_becomes_visible_and_can_be_stored() -> None:
    argument = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert dumps([argument]) == '["caf\ufffd"]'
    assert json.loads(dumps({argument: "\x7f\u2028"})) == {"caf\ufffd": "\x7f\u2028"}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_json_is_never_stored(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dumps(value)


@given(json_values)
def test_an_event_keeps_its_stored_text_and_all_its_fields(value: Any) -> None:
    data = {"message_id": "answer", "text": "Hel", "extra": value}
    body = dumps({"seq": 12, "ts": "now", "t": 4.018273, "type": "myapp.cache_hit", "data": data, "future": value})
    event = loads(body, b"\1" * 32)
    assert event == Event(12, "now", 4.018273, "myapp.cache_hit", data, None, False, body, b"\1" * 32)
    assert loads_many([(body, b"\1" * 32)]) == [event]


def test_an_event_printed_is_its_stored_text_with_the_hash() -> None:
    event = loads(BODY, b"\xab" * 32)
    assert json.loads(event.line()) == json.loads(BODY) | {"hash": "sha256:" + "ab" * 32}
    assert event.line().startswith(BODY[:-1])


@pytest.mark.parametrize(
    ("src", "expected"),
    [
        ('{"stream":"stdout","offset":1034}', Src("stdout", 1034)),
        ('{"stream":"events","offset":0,"length":7}', Src("events", 0, 7)),
        ('{"stream":"events","offset":0,"future":true}', Src("events", 0)),
        ("null", None),
    ],
)
def test_an_event_says_where_its_bytes_stood(src: str, expected: Src | None) -> None:
    event = loads(with_field("src", src))
    assert event.src == expected
    assert not event.late


def test_an_event_read_late_says_so() -> None:
    assert loads(with_field("late", "true")).late


NO_EVENTS = [
    "",
    "null",
    "5",
    '"seq"',
    "[1]",
    "{}",
    BODY[:-1],
    BODY + "x",
    with_field("seq", '"3"'),
    with_field("seq", "true"),
    with_field("seq", "3.0"),
    with_field("ts", "5"),
    with_field("t", '"1.5"'),
    with_field("t", "NaN"),
    with_field("t", "Infinity"),
    with_field("t", "1e999"),
    with_field("t", "-1e400"),
    with_field("type", "null"),
    with_field("data", "[]"),
    with_field("data", "null"),
    with_field("data", '{"text":NaN}'),
    with_field("data", '{"text":"\\ud800"}'),
    with_field("data", '{"text":"\\uDC00x"}'),
    with_field("data", '{"n":' + "9" * 5000 + "}"),
    with_field("data", '{"x":' + "[" * 300 + "]" * 300 + "}"),
    with_field("data", "[" * 100_000),
    with_field("src", '"stdout"'),
    with_field("src", '{"stream":5,"offset":0}'),
    with_field("src", '{"stream":"stdout","offset":"0"}'),
    with_field("src", '{"stream":"stdout","offset":0,"length":"1"}'),
    with_field("src", '{"stream":"stdout"}'),
]


@pytest.mark.parametrize("body", NO_EVENTS, ids=lambda body: body[-40:])
def test_text_that_is_no_event_is_refused_by_both_ways_of_reading(body: str) -> None:
    for read in (loads, lambda text: loads_many([(text, b"")])):
        with pytest.raises((ValueError, KeyError, TypeError)):
            read(body)


def outcome(read: Any, body: str) -> Any:
    try:
        return read(body)
    except (ValueError, KeyError, TypeError):
        return None


@given(
    st.builds(with_field, st.sampled_from(["seq", "ts", "t", "type", "data", "src"]), json_values.map(json.dumps))
    | st.text(max_size=20)
    | st.integers(0, len(BODY) - 1).flatmap(
        lambda at: st.characters().map(lambda character: BODY[:at] + character + BODY[at + 1 :])
    )
)
@example(with_field("data", '{"x":"\\ud83d\\ude42"}'))
@example(with_field("data", '{"x":' + "[" * 150 + "]" * 150 + "}"))
@example(with_field("data", '{"x":' + "[" + "[]," * 300 + "1]}"))
def test_reading_one_by_one_and_many_at_once_agree_on_every_text(body: str) -> None:
    many = outcome(lambda text: loads_many([(text, b"h")])[0], body)
    assert outcome(lambda text: loads(text, b"h"), body) == many


def test_the_chain_binds_an_event_to_its_run_its_past_and_every_byte() -> None:
    first = chain(genesis("k3v9p2"), BODY)
    assert first != chain(genesis("k3v9p3"), BODY)
    assert first != chain(genesis("k3v9p2"), BODY + " ")
    assert chain(first, BODY) != first
    digest = genesis("k3v9p2")
    for event in scripted([("text.delta", {"message_id": "a", "text": "é"})]):
        digest = chain(digest, event.body)
        assert event.hash == digest


@given(st.binary(min_size=32, max_size=32))
def test_a_hash_is_read_back_as_printed(digest: bytes) -> None:
    assert parse_hash(show_hash(digest)) == digest


@pytest.mark.parametrize(
    "text", ["", "sha256:", "ab" * 32, "md5:" + "ab" * 32, "sha256:" + "ab" * 31, "sha256:" + "zz" * 32,
             "sha256:" + "ab" * 31 + "  ", "sha256:" + "a b " * 16]
)  # fmt: skip
def test_anything_else_is_no_hash(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - said by the library for some
        parse_hash(text)


def test_every_type_that_has_a_meaning_has_a_model() -> None:
    assert set(MODELS) == TYPES
    assert RESERVED < TYPES
    assert all(valid_type(name) for name in TYPES)


@pytest.mark.parametrize("name", ["a.b", "myapp.cache_hit", "a1.b2.c3"])
def test_anybody_may_add_a_type(name: str) -> None:
    assert valid_type(name)


@pytest.mark.parametrize("name", ["", "a", "a.", ".b", "A.b", "a b.c", "a.b\n", "1a.b", "a..b", "a.é", 'a".b'])
def test_a_type_is_lower_case_words_joined_by_dots(name: str) -> None:
    assert not valid_type(name)
