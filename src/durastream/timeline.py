"""Where things stand in a recording: the event at a time, a step by its title, the words of a search.

A recording with snapshots is probed where it is asked for, so that a million events cost what a thousand do. One
without is short, or is JSON Lines, which can only be read from the start: there the times are noted once. The states at
the places that were asked for last are kept, and others near them begin from there.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import TypeGuard

from durastream.errors import UsageError
from durastream.events import Event
from durastream.follow import read_all
from durastream.message import Message
from durastream.replay import Marker, Position
from durastream.state import RunState
from durastream.stores import Reader
from durastream.stores.protocols import REASONING, text_of

__all__ = ["Timeline"]

_BATCH = 5000
_APART = 1500
"""How many events the places are apart at which a state is kept, where batches are not larger."""

_FAR = 2000

_KEPT = 6
"""How many such states are kept: that of ten thousand steps takes some megabytes."""


class Timeline:
    """A recording as a line of events, for a player; it may still grow."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._seqs = array("q")
        self._times = array("d")
        self._markers: tuple[int, list[Marker]] = (-1, [])
        self._latest: tuple[int, RunState] = (-1, RunState())
        self._began: dict[Marker, int] = {}
        self._kept: OrderedDict[int, RunState] = OrderedDict()

    def last(self) -> int:
        """The seq of the last event stored."""
        return self._reader.head().seq

    def read(self, after: int, limit: int) -> Sequence[Event]:
        """At most `limit` events behind a seq."""
        return self._reader.read(after, limit)

    def state(self, seq: int) -> RunState:
        """The state after an event."""
        if seq <= 0:
            return RunState()
        place = self._place(seq)
        near = max((kept for kept in self._kept if kept <= place), default=0)
        if near == place and near:
            self._kept.move_to_end(near)
        elif near and not any(near < snapshot <= place for snapshot in self._reader.snapshots()):
            self._keep(self._reader.forward(self._kept[near].copy(), place))
        elif place:
            self._keep(self._reader.state(place))
        start = self._kept.get(place)
        return self._reader.state(seq) if start is None else self._reader.forward(start.copy(), seq)

    def light(self, seq: int) -> RunState | None:
        """The same, with text left in the store as far as it can be; None where it is not kept there."""
        self._kept.clear()
        return self._reader.state(seq) if self._reader.snapshots() else None

    def _place(self, seq: int) -> int:
        """Where to keep a state for those who want one at this event, or not far from it."""
        place = self._reader.boundary(seq - seq % _APART) if seq >= _APART else 0
        return place if seq - place < _FAR else self._reader.boundary(seq)

    def _keep(self, state: RunState) -> None:
        self._kept[state.seq] = state
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)

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
        found = self._reader.read(seq - 1, 1, whole=False)
        return found[0].t if found else float("inf")

    def _note_times(self) -> None:
        after = self._seqs[-1] if self._seqs else 0
        while after < self.last() and (events := self._reader.read(after, _BATCH, whole=False)):
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
        if marker not in self._began:
            found = self._reader.events_of("step.started", self.before(marker.t), self.at(marker.t))
            begun = [event.seq for event in found if event.data.get("step_id") == marker.step_id]
            self._began[marker] = begun[0] if begun else self._reached(marker.is_begun) or self.last()
        return self._began[marker]

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

    def find(self, words: str, after: int, upto: int | None = None) -> int | None:
        """The seq of the first event behind `after` with which these words stand in a step or in a text.

        None when there is none, or none up to event `upto`. Case does not matter. Looks into the steps and
        texts as they are now: what was taken back is not found.
        """
        now, then = self._now(), self.state(after)
        wanted = _Words(words)
        best = self._find_step(wanted, then)
        if upto is not None:
            best = min(upto + 1, best or upto + 1)
        for message in (*now.messages.values(), now.reasoning):
            if message.length:
                best = self._find_text(wanted, message, then, best)
        return None if best is not None and upto is not None and best > upto else best

    def _find_text(self, wanted: _Words, message: Message, then: RunState, best: int | None) -> int | None:
        """The seq of the event that completes the words in a message, if it is before `best`; else that."""
        known = _same(then, message)
        message_id = REASONING if message.role == "reasoning" else message.message_id
        before, after = known.end(wanted.overlap) if known else "", max(then.seq, message.since)
        for seq, piece in self._reader.text_behind(message_id, after):
            if best is not None and after >= best:
                break
            if wanted.end_in(before + piece):
                for at, part in self._events_of_text(message_id, after, seq):
                    if wanted.end_in(before + part):
                        return at if best is None else min(at, best)
                    before = (before + part)[-wanted.overlap :] if wanted.overlap else ""
            before = (before + piece)[-wanted.overlap :] if wanted.overlap else ""
            after = seq
        return best

    def _events_of_text(self, message_id: str, after: int, upto: int) -> Iterator[tuple[int, str]]:
        for events in read_all(self._reader, after, upto, whole=False):
            yield from ((event.seq, text) for event in events if (text := text_of(event, message_id)))

    def _find_step(self, wanted: _Words, then: RunState) -> int | None:
        for marker in self.markers():
            if wanted.end_in(marker.title) and not marker.is_begun(then):
                return self.began(marker)
        return None


class _Words:
    """What is searched for, whatever its case."""

    def __init__(self, words: str) -> None:
        self.overlap = len(words) - 1
        """How many characters of one piece may belong to words that end in the next."""
        self._bytes = words.lower().encode() if words.isascii() else b""
        self._pattern = re.compile(re.escape(words), re.IGNORECASE)

    def end_in(self, text: str) -> bool:
        if self._bytes:  # the case of a byte is turned twenty times as fast as that of a character
            return self._bytes in text.encode(errors="surrogatepass").lower()
        return self._pattern.search(text) is not None


def _is_done(state: RunState, marker: Marker) -> bool:
    return state.steps[marker.step_id].status != "active"


def _same(state: RunState, message: Message) -> Message | None:
    """The message as it was in an earlier state; None when it was not there, or was taken back since."""
    known = state.reasoning if message.role == "reasoning" else state.messages.get(message.message_id)
    return known if known is not None and known.since == message.since else None


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
