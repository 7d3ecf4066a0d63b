"""Replay: stored events given out when they are due. Small generators over batches, with the clock passed in.

Deadlines are absolute, from the start of the replay: an event that is late does not delay the ones after it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from durastream.errors import UsageError
from durastream.events import Event

__all__ = ["cut", "pace", "parse_position", "parse_speed", "squeeze"]

_SPEED = re.compile(r"([0-9]{0,12}\.?[0-9]{1,12})x?\Z")
_SEQ = re.compile(r"[0-9]{1,18}\Z")
_TIME = re.compile(r"(?:(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9}(?:\.[0-9]{1,9})?)s)?)\Z")
_CLOCK = re.compile(r"(?:([0-9]{1,9}):)?([0-9]{1,9}):([0-9]{2}(?:\.[0-9]{1,9})?)\Z")

Position = tuple[str, float]
"""`("seq", n)` or `("t", seconds)`."""


def parse_speed(text: str) -> float:
    """`4x`, `0.5x`, `2` or `max`, as a factor. Raises UsageError."""
    if text == "max":
        return math.inf
    match = _SPEED.match(text)
    speed = float(match[1]) if match else 0.0
    if not 0.001 <= speed <= 1_000_000:
        raise UsageError(f"--speed {text}: a factor above 0 such as 4x or 0.5x, or max")
    return speed


def parse_position(text: str, option: str) -> Position:
    """A place in a run: an event's seq (`1200`), or a time (`90s`, `1m30s`, `1:30`). Raises UsageError."""
    if _SEQ.match(text):
        return "seq", int(text)
    clock = _CLOCK.match(text)
    if clock:
        return "t", int(clock[1] or 0) * 3600 + int(clock[2]) * 60 + float(clock[3])
    match = _TIME.match(text)
    if text and match:
        return "t", int(match[1] or 0) * 3600 + int(match[2] or 0) * 60 + float(match[3] or 0)
    raise UsageError(f"{option} {text}: an event's number, or a time such as 90s, 1m30s or 1:30")


def cut(
    batches: Iterable[Sequence[Event]], start: Position | None, stop: Position | None
) -> Iterator[tuple[bool, Sequence[Event]]]:
    """Split batches at `start` and end them at `stop`, which is included: (whether it is to be shown, events)."""
    for batch in batches:
        first = 0 if start is None else _count_before(batch, start)
        last = len(batch) if stop is None else _count_until(batch, stop)
        if min(first, last):
            yield False, batch[: min(first, last)]
        if last > first:
            yield True, batch[first:last]
        if last < len(batch):
            return


def _count_before(batch: Sequence[Event], place: Position) -> int:
    kind, value = place
    return sum(1 for event in batch if (event.seq if kind == "seq" else event.t) < value)


def _count_until(batch: Sequence[Event], place: Position) -> int:
    kind, value = place
    return sum(1 for event in batch if (event.seq if kind == "seq" else event.t) <= value)


def squeeze(events: Iterable[Event], limit: float | None) -> Iterator[tuple[float, Event]]:
    """Each event with its time in the replay: no gap is longer than `limit` seconds, none is below zero."""
    shown = 0.0
    before: float | None = None
    for event in events:
        gap = 0.0 if before is None else max(0.0, event.t - before)
        shown += gap if limit is None else min(gap, limit)
        before = event.t if before is None else max(before, event.t)
        yield shown, event


def pace(
    batches: Iterable[Sequence[Event]],
    *,
    speed: float = 1.0,
    idle_limit: float | None = None,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    tick: float = 0.1,
) -> Iterator[list[Event]]:
    """Batches of events when they are due, and empty ones while time passes.

    `speed` is a factor, infinite for all at once; `idle_limit` is in seconds of the run. Time stands still while the
    consumer holds a batch only in so far as the clock that is passed in does.
    """
    if math.isinf(speed):
        for batch in batches:
            yield list(batch)
        return
    began = clock()
    due: list[Event] = []
    events = (event for batch in batches for event in batch)
    for at, event in squeeze(events, idle_limit):
        deadline = began + at / speed
        if clock() < deadline:
            if due:
                yield due
                due = []
            while (left := deadline - clock()) > 0:
                sleep(min(left, tick))
                if left > tick:
                    yield []
        due.append(event)
        if len(due) >= 5000:
            yield due
            due = []
    if due:
        yield due
