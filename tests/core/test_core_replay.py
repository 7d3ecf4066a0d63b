"""Replay gives stored events out when they are due, by a clock that is passed in."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durastream.errors import UsageError
from durastream.events import Event
from durastream.replay import (
    IDLE_LIMIT,
    Position,
    pace,
    parse_idle_limit,
    parse_position,
    parse_speed,
    squeeze,
)
from durastream.testing import FakeClock

times = st.lists(st.floats(-10, 30) | st.sampled_from([0.0, 1.0, 1.0, 2.5]), max_size=12)


def at(*ts: float) -> list[Event]:
    return [Event(seq, "", t, "log.line", {}) for seq, t in enumerate(ts, start=1)]


def batched(events: list[Event], sizes: list[int]) -> list[list[Event]]:
    batches = []
    for size in sizes:
        batches.append(events[:size])
        events = events[size:]
    return [*batches, events]


def played(events: list[Event], *, speed: float = 1.0, idle_limit: float | None = None) -> list[tuple[float, int]]:
    """When each event came out, on a clock that began at 50."""
    clock = FakeClock(50.0)
    found = []
    for batch in pace([events], speed=speed, idle_limit=idle_limit, clock=clock, sleep=clock.sleep):
        found += [(round(clock.now - 50.0, 6), event.seq) for event in batch]
    return found


def test_an_event_comes_out_as_long_after_the_first_as_it_did_in_the_run() -> None:
    assert played(at(2.0, 2.5, 2.5, 4.0)) == [(0.0, 1), (0.5, 2), (0.5, 3), (2.0, 4)]


def test_speed_divides_time() -> None:
    assert played(at(0.0, 1.0, 4.0), speed=4) == [(0.0, 1), (0.25, 2), (1.0, 3)]
    assert played(at(0.0, 1.0), speed=0.5) == [(0.0, 1), (2.0, 2)]


def test_no_gap_is_longer_than_the_idle_limit() -> None:
    assert played(at(0.0, 1.0, 100.0, 100.5), idle_limit=2) == [(0.0, 1), (1.0, 2), (3.0, 3), (3.5, 4)]
    assert played(at(0.0, 1.0, 100.0), idle_limit=0) == [(0.0, 1), (0.0, 2), (0.0, 3)]
    assert played(at(0.0, 100.0), idle_limit=2, speed=2) == [(0.0, 1), (1.0, 2)]


def test_a_clock_that_jumped_back_in_the_run_makes_no_gap() -> None:
    assert played(at(5.0, 2.0, 6.0)) == [(0.0, 1), (0.0, 2), (1.0, 3)]


@given(times, st.floats(0.2, 1000), st.none() | st.floats(0, 10), st.lists(st.integers(0, 5), max_size=5))
def test_every_event_comes_out_once_in_order_never_early_and_without_a_negative_sleep(
    ts: list[float], speed: float, idle_limit: float | None, sizes: list[int]
) -> None:
    events = at(*ts)
    clock = FakeClock()  # which refuses to sleep for less than no time
    due = [shown / speed for shown, _ in squeeze(events, idle_limit)]
    out = []
    for batch in pace(batched(events, sizes), speed=speed, idle_limit=idle_limit, clock=clock, sleep=clock.sleep):
        for event in batch:
            out.append(event)
            assert clock.now == pytest.approx(due[event.seq - 1], abs=1e-6)
    assert out == events
    assert all(seconds > 0 for seconds in clock.slept)


def test_a_slow_viewer_is_late_and_what_follows_is_not() -> None:
    clock = FakeClock()
    came = []
    for batch in pace([at(0.0, 1.0, 2.0, 30.0)], clock=clock, sleep=clock.sleep):
        came += [(round(clock.now, 6), event.seq) for event in batch]
        if batch and batch[0].seq == 1:
            clock.now += 10
    assert came == [(0.0, 1), (10.0, 2), (10.0, 3), (30.0, 4)]


def test_a_viewer_is_told_that_time_passes() -> None:
    clock = FakeClock()
    batches = list(pace([at(0.0, 0.35)], clock=clock, sleep=clock.sleep, tick=0.1))
    assert [len(batch) for batch in batches] == [1, 0, 0, 0, 1]
    assert clock.slept == pytest.approx([0.1, 0.1, 0.1, 0.05])


def test_many_events_at_one_moment_come_out_in_batches_that_can_be_painted() -> None:
    clock = FakeClock()
    batches = list(pace([at(*[0.0] * 12_000)], clock=clock, sleep=clock.sleep))
    assert [len(batch) for batch in batches] == [5000, 5000, 2000]
    assert clock.slept == []
    batches = list(pace([at(*[0.0] * 5000, 0.05)], clock=clock, sleep=clock.sleep))
    assert [len(batch) for batch in batches] == [5000, 1]
    assert [len(batch) for batch in pace([at(*[0.0] * 5000)], clock=clock, sleep=clock.sleep)] == [5000]


def test_at_full_speed_nobody_sleeps() -> None:
    clock = FakeClock()
    batches = [at(0.0, 100.0), [], at(1000.0)]
    assert list(pace(batches, speed=math.inf, clock=clock, sleep=clock.sleep)) == batches
    assert clock.slept == []


def test_nothing_is_nothing() -> None:
    clock = FakeClock()
    assert list(pace([], clock=clock, sleep=clock.sleep)) == []


def test_the_clock_of_a_test_refuses_to_go_back() -> None:
    with pytest.raises(ValueError, match="non-negative"):
        FakeClock().sleep(-0.1)


@pytest.mark.parametrize(
    ("text", "speed"),
    [
        ("1x", 1),
        ("4x", 4),
        ("0.5x", 0.5),
        (".5", 0.5),
        ("2", 2),
        ("0.001", 0.001),
        ("1000000x", 1e6),
        ("max", math.inf),
    ],
)
def test_a_speed_is_a_factor(text: str, speed: float) -> None:
    assert parse_speed(text) == speed


@pytest.mark.parametrize(
    "text",
    ["", "x", "0", "0x", "0.0001", "-1", "1 x", "1e3", "nan", "inf", "Max", "4xx", "1.", "2x\n", "٤x", "9" * 5000],
)
def test_anything_else_is_no_speed(text: str) -> None:
    with pytest.raises(UsageError, match="--speed"):
        parse_speed(text)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("0", ("seq", 0)),
        ("1200", ("seq", 1200)),
        ("90s", ("t", 90)),
        ("0.5s", ("t", 0.5)),
        ("2m", ("t", 120)),
        ("1m30s", ("t", 90)),
        ("1h", ("t", 3600)),
        ("1h0m1.5s", ("t", 3601.5)),
        ("1:30", ("t", 90)),
        ("1:02:03.5", ("t", 3723.5)),
        ("100:00", ("t", 6000)),
    ],
)
def test_a_place_is_the_number_of_an_event_or_a_time(text: str, place: Position) -> None:
    assert parse_position(text, "--from") == place


def test_an_empty_place_is_none_and_any_other_words_are_the_title_of_a_step() -> None:
    for text in ("", " ", "-1", "x" * 201):
        with pytest.raises(UsageError, match="--from"):
            parse_position(text, "--from")
    for text in ("Write the answer", "1.5", "1s2m", "1:2", "90s\n", "²"):
        assert parse_position(text, "--from") == ("step", text)


@pytest.mark.parametrize(
    ("text", "limit"), [(None, IDLE_LIMIT), ("off", None), ("0", 0.0), ("2.5", 2.5), ("10s", 10.0)]
)
def test_an_idle_limit_is_seconds_or_off(text: str | None, limit: float | None) -> None:
    assert parse_idle_limit(text) == limit


@pytest.mark.parametrize("text", ["", "-1", "nan", "inf", "1e3", "OFF", "2 s"])
def test_anything_else_is_no_idle_limit(text: str) -> None:
    with pytest.raises(UsageError, match="--idle-limit"):
        parse_idle_limit(text)


def test_time_can_begin_before_the_first_event_and_after_it() -> None:
    assert [shown for shown, _ in squeeze(at(2.0, 3.0), None, since=0.5)] == [1.5, 2.5]
    assert [shown for shown, _ in squeeze(at(2.0, 3.0), 1.0, since=0.5)] == [1.0, 2.0]
    assert [shown for shown, _ in squeeze(at(2.0, 3.0), None, since=9.0)] == [0.0, 0.0]


def test_each_silence_that_is_cut_is_told_before_it_is_played() -> None:
    told: list[tuple[int, float]] = []
    shown = squeeze(at(0.0, 1.0, 61.0, 62.0), 5.0, on_skip=lambda event, gap: told.append((event.seq, gap)))
    assert [round(each) for each, _ in shown] == [0, 1, 6, 7]
    assert told == [(3, 60.0)]
