"""Replay: stored events given out when they are due. Small generators over batches, with the clock passed in.

Deadlines are absolute, from the start of the replay: an event that is late does not delay the ones after it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from durastream.errors import UsageError
from durastream.events import Event
from durastream.state import RunState

__all__ = ["IDLE_LIMIT", "Marker", "Position", "pace", "parse_idle_limit", "parse_position", "parse_speed", "squeeze"]

_SPEED = re.compile(r"([0-9]{0,12}\.?[0-9]{1,12})x?\Z")
_SECONDS = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)s?\Z")
_SEQ = re.compile(r"(?:event )?([0-9]{1,18})\Z")
_TIME = re.compile(r"(?:(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9}(?:\.[0-9]{1,9})?)s)?)\Z")
_CLOCK = re.compile(r"(?:([0-9]{1,9}):)?([0-9]{1,9}):([0-9]{2}(?:\.[0-9]{1,9})?)\Z")

IDLE_LIMIT = 5.0
"""Seconds that a silence lasts in a replay unless something else is asked for."""

Position = tuple[str, float | str]
"""`("seq", n)`, `("t", seconds)` or `("step", title)`."""


class Marker(NamedTuple):
    """A step on the line of time: when it began, in seconds of the run."""

    step_id: str
    title: str
    t: float

    def is_begun(self, state: RunState) -> bool:
        """Whether it has begun by then; not when another of the same id has."""
        step = state.steps.get(self.step_id)
        return step is not None and step.started == self.t


def parse_speed(text: str) -> float:
    """`4x`, `0.5x`, `2` or `max`, as a factor. Raises UsageError."""
    if text == "max":
        return math.inf
    match = _SPEED.match(text)
    speed = float(match[1]) if match else 0.0
    if not 0.001 <= speed <= 1_000_000:
        raise UsageError(f"--speed {text}: a factor above 0 such as 4x or 0.5x, or max")
    return speed


def parse_idle_limit(text: str | None) -> float | None:
    """Seconds as a number, or `off` for None; `IDLE_LIMIT` when nothing was said. Raises UsageError."""
    if text is None:
        return IDLE_LIMIT
    if text == "off":
        return None
    match = _SECONDS.match(text)
    if match is None:
        raise UsageError(f"--idle-limit {text}: a number of seconds, or off")
    return float(match[1])


def parse_position(text: str, option: str) -> Position:
    """A place in a run: an event's seq (`1200`, `event 1200`), a time (`90s`, `1m30s`, `1:30`), else a step's title.

    Raises UsageError for what can be none of them.
    """
    seq = _SEQ.match(text)
    if seq:
        return "seq", int(seq[1])
    clock = _CLOCK.match(text)
    if clock:
        return "t", int(clock[1] or 0) * 3600 + int(clock[2]) * 60 + float(clock[3])
    match = _TIME.match(text)
    if text and match:
        return "t", int(match[1] or 0) * 3600 + int(match[2] or 0) * 60 + float(match[3] or 0)
    if not text.strip() or text.startswith("-") or len(text) > 200:
        raise UsageError(f"{option} {text[:80]}: an event's number, a time such as 90s or 1:30, or the title of a step")
    return "step", text


def squeeze(
    events: Iterable[Event],
    limit: float | None,
    *,
    since: float | None = None,
    on_skip: Callable[[Event, float], None] | None = None,
) -> Iterator[tuple[float, Event]]:
    """Each event with its time in the replay: no gap is longer than `limit` seconds, none is below zero.

    With `since` the time begins there, in seconds of the run, instead of at the first event. `on_skip` is told of
    each silence that is cut: the event behind it, and how many seconds it was.
    """
    shown = 0.0
    before = since
    for event in events:
        gap = 0.0 if before is None else max(0.0, event.t - before)
        if limit is not None and gap > limit:
            if on_skip is not None:
                on_skip(event, gap)
            gap = limit
        shown += gap
        before = event.t if before is None else max(before, event.t)
        yield shown, event


def pace(
    batches: Iterable[Sequence[Event]],
    *,
    speed: float = 1.0,
    idle_limit: float | None = None,
    since: float | None = None,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    tick: float = 0.1,
    on_skip: Callable[[Event, float], None] | None = None,
) -> Iterator[list[Event]]:
    """Batches of events when they are due, and empty ones while time passes.

    `speed` is a factor, infinite for all at once; `idle_limit` is in seconds of the run, `since` and `on_skip` are
    those of `squeeze`. Time stands still while the consumer holds a batch only in so far as the clock that is passed
    in does.
    """
    if math.isinf(speed):
        for batch in batches:
            yield list(batch)
        return
    began = clock()
    due: list[Event] = []
    events = (event for batch in batches for event in batch)
    for at, event in squeeze(events, idle_limit, since=since, on_skip=on_skip):
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
