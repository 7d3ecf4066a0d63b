"""Where a viewer stands in a run, and how time passes there: the same for who follows it and who plays it again.

A player gives batches of events, as `follow` and `pace` do, and what is told to it meanwhile (pause, seek, speed)
changes what comes next. It is at one of two places:

    following   at the end of a run that goes on: events come as they are committed
    playing     anywhere else: events come when they are due, from what is stored

Whoever runs out of stored events while the run goes on follows it again. A seek puts the state at the new place into
the state that the viewer folds into; it costs what a late join costs.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Protocol

from durastream.events import Event
from durastream.replay import Marker, pace
from durastream.state import RunState, fold

__all__ = ["SPEEDS", "Player", "Source"]

SPEEDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 125.0, 250.0, 500.0, 1000.0, math.inf)
"""What + and - choose from."""

_AHEAD = 5000
_HELD = 16 << 20
"""How many characters of events are folded before their text is let go of: the store has it."""
_NEAR = 2000
_GRACE = 1.0
_WINDOW = 5.0


class Source(Protocol):
    """A run that can be asked for its state at any event, and for the events behind it."""

    def last(self) -> int:
        """The seq of the last event there is."""

    def read(self, after: int, limit: int) -> Sequence[Event]:
        """At most `limit` events behind a seq."""

    def state(self, seq: int) -> RunState:
        """The state after an event, for the caller to keep."""

    def light(self, seq: int) -> RunState | None:
        """The same, with text left in the store as far as it can be; None where it is not kept there."""

    def at(self, t: float) -> int:
        """The seq of the last event at or before a time, in seconds of the run."""

    def markers(self) -> Sequence[Marker]:
        """The steps in the order in which they began."""

    def began(self, marker: Marker) -> int:
        """The seq of the event that began a step."""

    def find(self, words: str, after: int, upto: int | None = None) -> int | None:
        """The seq of the first event behind `after`, up to `upto`, with which these words stand in a step or a text."""


class Player:
    """Batches of events of a run, from the place in `state` on. The caller folds each into `state` before the next.

    With `follow` (batches of what is committed behind a seq, until the run ends) the run goes on, and it begins there.
    Else it begins with the event behind `state`, at once. `first` and `last` are the events between which it plays;
    None stands for the end. `speed` is a factor, infinite for
    all at once; no silence is longer than `idle_limit` seconds. `wall` is the time of day in seconds since the epoch.
    """

    def __init__(
        self,
        source: Source,
        state: RunState,
        *,
        follow: Callable[[int], Iterable[Sequence[Event]]] | None = None,
        first: int = 1,
        last: int | None = None,
        speed: float = 1.0,
        idle_limit: float | None = None,
        loop: bool = False,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        wall: Callable[[], float] | None = None,
        tick: float = 0.1,
    ) -> None:
        self.source = source
        self.state = state
        self.live = follow is not None
        """Whether the run goes on as far as is known."""
        self.following = self.live
        self.paused = False
        self.held = False
        """Whether the viewer chose where to be: then the end of the events does not end the view."""
        self.over = False
        """Whether all events were given out once."""
        self.speed = speed
        self.note = ""
        """What there is to tell of the last thing that happened."""
        self._follow = follow
        self._first = first
        self._last = last
        self.idle_limit = idle_limit
        self._loop = loop
        self._clock, self._sleep, self._wall, self._tick = clock, sleep, wall, tick
        self._single = False
        self._turn = 0
        self._held = 0
        self._read: Sequence[Event] = ()
        self._silence = (0, 0.0)
        self._span = (-1, 0.0, 0.0)
        self._came: deque[tuple[float, int]] = deque()
        self._lag, self._began = 0.0, clock()
        following = () if self.live else source.read(state.seq, 1)
        self._stood, self._since = 0.0, 0.0
        self._mark(state.ts, following[0].t if following else state.t)

    def __iter__(self) -> Iterator[Sequence[Event]]:
        while True:
            turn = self._turn
            exhausted = True
            for batch in self._batches():
                if batch:
                    self._count(batch)
                    self._mark(batch[-1].ts, batch[-1].t)
                yield batch
                self._lighten(batch)
                if self._turn != turn:
                    exhausted = False
                    break
            if exhausted and self._turn == turn:
                if not self._at_end():
                    return
                yield ()

    def _batches(self) -> Iterator[Sequence[Event]]:
        if self._single:
            self._single = False
            if self._last is None or self.state.seq < self._last:
                yield self.source.read(self.state.seq, 1)
        if self.paused:
            while True:
                self._sleep(self._tick)
                yield ()
        if self.following and self._follow is not None:
            yield from self._follow(self.state.seq)
            return
        yield from pace(
            self._ahead(), speed=self.speed, idle_limit=self.idle_limit, since=self._stood,
            clock=self._clock, sleep=self._sleep, tick=self._tick, on_skip=self._skipped,
        )  # fmt: skip

    def _ahead(self) -> Iterator[Sequence[Event]]:
        """What is stored behind the place, in batches; what was read already is not read again."""
        after = self.state.seq
        while self._last is None or after < self._last:
            known = self._read
            if not (known and known[0].seq <= after + 1 and known[-1].seq > after):
                known = self._read = self.source.read(after, _AHEAD)
            events = [event for event in known if event.seq > after and (self._last is None or event.seq <= self._last)]
            if not events:
                return
            after = events[-1].seq
            yield events

    def _at_end(self) -> bool:
        """Whether there is something to do yet, when no more events come."""
        if self.live and not self.following:
            self.following = True
            self._mark(self.state.ts, self.state.t)
            return True
        self.live, self.following, self.over = False, False, True
        if self._loop:
            self._sleep(self._tick)
            self._go(self._first)
            return True
        if self.held:
            self._pause("the end")
            return True
        return False

    # Time

    @property
    def time(self) -> float:
        """Where the viewer stands, in seconds of the run."""
        if self.paused or self.state.completed is not None:
            return self._stood
        rate = 1.0 if self.following else self.speed
        return self._stood if math.isinf(rate) else self._stood + max(0.0, self._clock() - self._since) * rate

    @property
    def behind(self) -> float:
        """How long ago it was what is shown of a run that goes on, in seconds; 0 for who follows."""
        if not self.live or self.following or self._wall is None:
            return 0.0
        return max(0.0, self._age(self.state.ts) - (self.time - self.state.t))

    def _age(self, ts: str | None) -> float:
        with suppress(ValueError, TypeError):
            if self._wall is not None and ts is not None:
                return max(0.0, self._wall() - datetime.fromisoformat(ts).timestamp())
        return 0.0

    @property
    def silence(self) -> float:
        """How long the silence was that is being played shorter, in seconds; 0 when none is."""
        seq, seconds = self._silence
        return seconds if self.state.seq < seq and not self.paused else 0.0

    def _mark(self, ts: str | None, t: float) -> None:
        """Stand at an event; in a run that goes on, as long after it as the clock says."""
        self._stood, self._since = t, self._clock()
        if self.following:
            self._since -= self._age(ts)

    def _stand(self) -> None:
        """Stand where time has come to, and begin anew from there."""
        self._stood, self._since = self.time, self._clock()
        self._silence = (0, 0.0)
        self._turn += 1

    def _count(self, batch: Sequence[Event]) -> None:
        if self.following:
            self._lag = self._age(batch[-1].ts)
            self._came.append((self._clock(), len(batch)))

    @property
    def flow(self) -> tuple[float, float] | None:
        """Events per second over the last five, and how many seconds ago the recorder took in what came last.

        None when nothing came in that time, and for who does not follow.
        """
        now = self._clock()
        while self._came and self._came[0][0] < now - _WINDOW:
            self._came.popleft()
        if not self.following or not self._came:
            return None
        return sum(count for _, count in self._came) / max(1.0, min(_WINDOW, now - self._began)), self._lag

    # What a viewer may want

    def toggle_pause(self) -> None:
        """Stand still, or go on."""
        if not self.paused:
            self._pause("paused")
            return
        if self._ended():
            self._go(self._first)
        self._stand()
        self.paused = False
        self.note = ""

    def _pause(self, note: str) -> None:
        self._stand()
        self.paused = self.held = True
        self.following = False
        self.note = note

    def _ended(self) -> bool:
        return not self.live and self.state.seq >= (self._last if self._last is not None else self.source.last())

    def faster(self, by: int = 1) -> None:
        """The next speed up, or with -1 down."""
        others = [speed for speed in SPEEDS if (speed > self.speed if by > 0 else speed < self.speed)]
        self._stand()
        if others:
            self.speed = others[0] if by > 0 else others[-1]
        self.following = self.following and self.speed >= 1
        self.note = ""

    def follow(self) -> None:
        """Go to the end and stay with it; the view ends when the run does."""
        if self.live:
            self._load(self.source.last())
            self.following, self.paused, self.held, self.note = True, False, False, ""
            self._mark(self.state.ts, self.state.t)
            self._turn += 1
        else:
            self.held = self.paused = False
            self._stand()

    def one_event(self) -> None:
        """Stand still one event further."""
        self._pause("")
        self._single = True

    def skip(self, seconds: float) -> None:
        """Forward or back by so many seconds of the run."""
        self.to_time(self.time + seconds)

    def to_time(self, t: float) -> None:
        """To a moment of the run."""
        last = self.source.last()
        seq = self.source.at(t)
        if seq >= last and self.live:
            self.follow()
            return
        self._go(seq)
        if seq < last and t > self._stood:
            self._stood = t

    def to_seq(self, seq: int) -> None:
        """To the state after an event."""
        self._go(seq)

    def to_part(self, part: float) -> None:
        """To a part of the whole: 0 is its beginning, 1 its end."""
        start, end = self.span()
        if end > start:
            self.to_time(start + (end - start) * part)
        else:
            self._go(round(self._first + ((self._last or self.source.last()) - self._first) * part))

    def to_start(self) -> None:
        """To the first event."""
        self._go(self._first)

    def to_end(self) -> None:
        """To the last event; in a run that goes on, that is to follow it."""
        if self.live:
            self.follow()
        else:
            self._go(self.source.last())

    def to_step(self, by: int) -> None:
        """To where the next step began, or with -1 the one before; there is nothing to do if there is none."""
        markers = self.source.markers()
        begun = bisect_left(markers, True, key=lambda mark: not mark.is_begun(self.state))
        if by > 0:
            place = begun
        else:
            place = begun - 1
            grace = 0 if self.paused else _GRACE * min(self.speed, 10)
            if begun and self.time - markers[place].t <= grace:
                place -= not (self.paused and self.source.began(markers[place]) < self.state.seq)
        if not 0 <= place < len(markers):
            self.note = "no step behind this one" if by > 0 else "no step before this one"
            return
        self._go(self.source.began(markers[place]))

    def search(self, words: str, *, after: int | None = None) -> None:
        """To the next event with which these words stand in a text or a step, around the end if need be."""
        after = self.state.seq if after is None else after
        seq = self.source.find(words, after)
        wrapped = seq is None
        if wrapped:
            seq = self.source.find(words, 0, after)
        if seq is None:
            self.note = f"nowhere in this run: {words}"
            return
        self.paused = True
        self._go(seq)
        self.note = f"found from the start: {words}" if wrapped else f"found: {words}"

    def span(self) -> tuple[float, float]:
        """When what is played begins and ends, in seconds of the run."""
        last = self._last if self._last is not None else self.source.last()
        if self._span[0] != last:
            times = [event.t for seq in (self._first, last) for event in self.source.read(max(0, seq - 1), 1)]
            self._span = last, (times[0] if len(times) > 1 and self._first > 1 else 0.0), max([0.0, *times[-1:]])
        return self._span[1:]

    def event(self) -> Event | None:
        """The event at the place where the viewer stands."""
        found = self.source.read(self.state.seq - 1, 1) if self.state.seq else ()
        return found[0] if found else None

    # Going there

    def _go(self, seq: int) -> None:
        """Stand at an event, and stay when the end comes."""
        top = self._last if self._last is not None else self.source.last()
        self._load(max(min(self._first, top), min(seq, top)))
        self.following, self.held, self.note = False, True, ""
        self._silence = (0, 0.0)
        self._mark(self.state.ts, self.state.t)
        self._turn += 1

    def _load(self, seq: int) -> None:
        """Put the state after an event into the state that the viewer has."""
        if 0 <= seq - self.state.seq <= _NEAR:
            while self.state.seq < seq and (events := self.source.read(self.state.seq, seq - self.state.seq)):
                fold((event for event in events if event.seq <= seq), self.state)
                if events[-1].seq > seq:
                    return
            return
        self._take_over(self.source.state(seq))

    def _take_over(self, other: RunState) -> None:
        for name in RunState.__slots__:
            setattr(self.state, name, getattr(other, name))

    def _lighten(self, batch: Sequence[Event]) -> None:
        """Hold no more text than a late joiner does: who watches for hours would hold all of it."""
        self._held += sum(len(event.body) for event in batch)
        if self._held >= _HELD:
            self._held = 0
            if (other := self.source.light(self.state.seq)) is not None:
                self._take_over(other)

    def _skipped(self, event: Event, seconds: float) -> None:
        self._silence = (event.seq, seconds)
