"""Where things stand in a recording: the event at a time, a step by its title, the words of a search.

A recording with snapshots is probed where it is asked for, so that a million events cost what a thousand do. One
without is short, or is JSON Lines, which can only be read from the start: there the times are noted once.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeGuard

from durastream.errors import UsageError
from durastream.events import Event
from durastream.replay import Marker, Position
from durastream.state import Message, RunState
from durastream.stores import Reader

__all__ = ["Timeline"]

_BATCH = 5000
_LOOK = 500


class Timeline:
    """A recording as a line of events, for a player; it may still grow."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._seqs = array("q")
        self._times = array("d")
        self._markers: tuple[int, list[Marker]] = (-1, [])
        self._latest: tuple[int, RunState] = (-1, RunState())

    def last(self) -> int:
        """The seq of the last event stored."""
        return self._reader.head().seq

    def read(self, after: int, limit: int) -> Sequence[Event]:
        """At most `limit` events behind a seq."""
        return self._reader.read(after, limit)

    def state(self, seq: int) -> RunState:
        """The state after an event."""
        return self._reader.state(seq) if seq > 0 else RunState()

    def _now(self) -> RunState:
        """The state at the end, not to be changed: kept with its text, so that searching on costs no more reading."""
        if self._latest[0] != (last := self.last()):
            self._latest = last, self.state(last)
        return self._latest[1]

    def before(self, t: float) -> int:
        """The seq of the last event before a time, in seconds of the run; 0 when there is none."""
        return self._search(t, bisect_left)

    def at(self, t: float) -> int:
        """The seq of the last event at or before a time; 0 when there is none."""
        return self._search(t, bisect_right)

    def _search(self, t: float, bisect: Callable[..., int]) -> int:
        if not self._reader.snapshots():
            self._note_times()
            place = bisect(self._times, t)
            return self._seqs[place - 1] if place else 0
        return bisect(range(1, self.last() + 1), t, key=self._time)

    def _time(self, seq: int) -> float:
        found = self._reader.read(seq - 1, 1)
        return found[0].t if found else float("inf")

    def _note_times(self) -> None:
        after = self._seqs[-1] if self._seqs else 0
        while after < self.last() and (events := self._reader.read(after, _BATCH)):
            self._seqs.extend(event.seq for event in events)
            self._times.extend(event.t for event in events)
            after = events[-1].seq

    def markers(self) -> Sequence[Marker]:
        """The steps in the order in which they began."""
        last = self.last()
        if self._markers[0] != last:
            steps = self._now().steps.values()
            marks = [Marker(s.step_id, s.title, s.started) for s in steps if _is_time(s.started)]
            self._markers = last, sorted(marks, key=lambda mark: mark.t)
        return self._markers[1]

    def began(self, marker: Marker) -> int:
        """The seq of the event that began a step."""
        after = self.before(marker.t)
        while events := self._reader.read(after, _LOOK):
            for event in events:
                if event.t > marker.t:
                    break
                if event.type == "step.started" and event.data.get("step_id") == marker.step_id:
                    return event.seq
            if events[-1].t > marker.t:
                break
            after = events[-1].seq
        return self._reached(lambda state: marker.is_begun(state)) or self.last()

    def ended(self, marker: Marker) -> int:
        """The seq of the event that ended a step; the last one there is while none has."""
        return self._reached(lambda state: marker.is_begun(state) and _is_done(state, marker)) or self.last()

    def _reached(self, holds: Callable[[RunState], bool]) -> int | None:
        """The seq of the event with which something came to hold that holds from there on."""
        snapshots = self._reader.snapshots()
        place = bisect_left(snapshots, True, key=lambda seq: holds(self.state(seq)))
        low = snapshots[place - 1] if place else 0
        high = snapshots[place] if place < len(snapshots) else self.last()
        while snapshots and high - low > _BATCH:
            middle = (low + high) // 2
            low, high = (low, middle) if holds(self.state(middle)) else (middle, high)
        state = self.state(low)
        while events := self._reader.read(state.seq, _BATCH if state.seq else 500):
            for event in events:
                state.apply(event)
                if holds(state):
                    return state.seq
        return None

    def first_of(self, place: Position, option: str) -> int:
        """The seq of the first event at a place. Raises UsageError when there is no such step."""
        kind, value = place
        if isinstance(value, str):
            return self.began(self._step(value, option))
        return int(value) if kind == "seq" else self.before(value) + 1

    def last_of(self, place: Position, option: str) -> int:
        """The seq of the last event at a place: of a step, that at its end. Raises UsageError as `first_of` does."""
        kind, value = place
        if isinstance(value, str):
            return self.ended(self._step(value, option))
        return int(value) if kind == "seq" else self.at(value)

    def _step(self, title: str, option: str) -> Marker:
        """The first step of this title; else the first that begins so; else the first that has it in it."""
        wanted = title.casefold()
        marks = [(mark.title.casefold(), mark) for mark in self.markers()]
        for fits in (str.__eq__, str.startswith, str.__contains__):
            for known, mark in marks:
                if fits(known, wanted):
                    return mark
        raise UsageError(
            f"{option} {title}: no event's number, no time such as 90s or 1:30, and no step of run "
            f"{self._reader.run_id}: durastream show {self._reader.run_id}"
        )

    def find(self, words: str, after: int) -> int | None:
        """The seq of the first event behind `after` with which these words stand in a step or in a text.

        Looks into the steps and texts as they are now: what was taken back is not found.
        """
        pattern = re.compile(re.escape(words), re.IGNORECASE)
        now, then = self._now(), self.state(after)
        found = [self._find_step(pattern, then)]
        for message in (*now.messages.values(), now.reasoning):
            known = _same(then, message)
            if match := pattern.search(message.text, max(0, (known.length if known else 0) - len(words) + 1)):
                found.append(self._reached(partial(_has_text, message=message, length=match.end())))
        return min((seq for seq in found if seq is not None), default=None)

    def _find_step(self, pattern: re.Pattern[str], then: RunState) -> int | None:
        for marker in self.markers():
            if pattern.search(marker.title) and not marker.is_begun(then):
                return self.began(marker)
        return None


def _is_done(state: RunState, marker: Marker) -> bool:
    return state.steps[marker.step_id].status != "active"


def _same(state: RunState, message: Message) -> Message | None:
    """The message as it was in an earlier state; None when it was not there, or was taken back since."""
    known = state.reasoning if message.role == "reasoning" else state.messages.get(message.message_id)
    return known if known is not None and known.since == message.since else None


def _has_text(state: RunState, *, message: Message, length: int) -> bool:
    known = _same(state, message)
    return known is not None and known.length >= length


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
