"""The live screen: fold every event as it comes, paint at most sixty times a second, whatever the rate.

What is painted is `screen.render`; this is the driver, which has the clock, the terminal, the keys and the signals.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import datetime

from rich.console import Console

from durastream.events import show_hash
from durastream.player import Player
from durastream.state import RunState
from durastream.views.controls import Controls
from durastream.views.keys import Keys, Signals
from durastream.views.outcome import Batches, Outcome
from durastream.views.paint import Painter
from durastream.views.screen import picture, render, summary
from durastream.views.words import number, shortened

__all__ = ["Keys", "picture", "render", "show", "suitable", "summary"]

PAINT_EVERY = 1 / 60
"""Seconds between two frames, at least."""

_PAINTS_FOR = 1 / 4
"""The share of the time that goes into painting at most; where frames are dear there are fewer of them."""

_SLOWEST = 0.25
_REPAINT = "\x0c"
_FEW = 500
"""A batch of more events than this is of a run that is being caught up with: nobody waits to show it."""


def suitable(console: Console) -> bool:
    """Whether a console can show this view: a terminal that can move its cursor. If not, `plain` is the view."""
    return console.is_terminal and not console.is_dumb_terminal


def show(
    batches: Batches,
    *,
    state: RunState,
    console: Console,
    run_id: str = "",
    keys: Keys | None = None,
    on_interrupt: Callable[[], str] | None = None,
    note: str = "",
    hint: str = "",
    seal: str = "",
    rate: float = 1.0,
    player: Player | None = None,
    links: bool = False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] | None = None,
    wall: Callable[[], float] | None = None,
) -> Outcome:
    """Fold the events into `state` and paint it on the alternate screen until they end or the viewer leaves.

    `q`, `d` and Ctrl-C leave; with `on_interrupt` Ctrl-C calls that instead, and shows the note it returns. `rate` is
    seconds of the run per second of `clock`. With `wall` (seconds since the epoch, for a run that is going on) the
    age of the last event is known from the first frame on. With `sleep`, an event that comes too soon after a frame is
    shown as soon as the next frame may be, not when something else happens. With a `player`, whose batches these are,
    the keys move it, and its time is the one that is shown. With `links` sources can be clicked. The last picture stays
    in the scrollback. A terminal that goes away is a viewer who left.
    """
    screen = _Screen(state, console, run_id, note, hint or _hint(keys, on_interrupt), player)
    screen.seal, screen.controls.look.links = seal, links
    screen.rate, screen.clock, screen.wall, screen.sleep = rate, clock, wall, sleep
    try:
        left = screen.run(batches, keys, on_interrupt)
    except KeyboardInterrupt:
        left = True
    if not screen.painter.gone:
        with suppress(OSError):
            console.print(summary(state, width=console.width, run_id=run_id))  # the line that is said next has the seal
    return Outcome(left)


def _hint(keys: Keys | None, on_interrupt: Callable[[], str] | None) -> str:
    if on_interrupt is not None:
        return "? keys · d detach · Ctrl-C stop" if keys is not None else "Ctrl-C stop"
    return "? keys · q leave" if keys is not None else "Ctrl-C leave"


class _Screen:
    """What the driver remembers between two frames."""

    def __init__(
        self, state: RunState, console: Console, run_id: str, note: str, hint: str, player: Player | None
    ) -> None:
        self.state = state
        self.console = console
        self.run_id = run_id
        self.note = note
        self.hint = hint
        self.player = player
        self.controls = Controls(state, player)
        self.seal = ""
        self.rate = 1.0
        self.clock: Callable[[], float] = time.monotonic
        self.wall: Callable[[], float] | None = None
        self.sleep: Callable[[float], None] | None = None
        self.painter = Painter(console)
        self._folded_at = 0.0
        self._painted_at = float("-inf")
        self._every = PAINT_EVERY
        self._painted: tuple[object, ...] = ()

    def run(self, batches: Batches, keys: Keys | None, on_interrupt: Callable[[], str] | None) -> bool:
        """Whether the viewer left before the events ended."""
        with ExitStack() as stack:
            taken = on_interrupt is not None
            signals = stack.enter_context(Signals(take_interrupts=taken, keyboard=keys is not None))
            if keys is not None:
                stack.enter_context(keys)
            stack.enter_context(self.painter.screen())
            self._mark_time()
            self._paint()
            for batch in batches:
                for event in batch:
                    self.state.apply(event)
                if batch:
                    self._mark_time()
                    if batch[-1].type == "run.completed" and batch[-1].hash:
                        self.seal = show_hash(batch[-1].hash)
                if signals.suspend or signals.resumed:
                    self._pause(signals, keys)
                if keys is not None and any([self._press(key) for key in keys.read()]):  # noqa: C419 - all of them
                    return not self._over
                while signals.take_interrupt():
                    if on_interrupt is None or self._over:
                        return not self._over
                    self.note = on_interrupt()
                self._paint(wait=0 < len(batch) <= _FEW)
                if self.painter.gone:
                    return True
        return False

    def _press(self, key: str) -> bool:
        if key == _REPAINT:
            self.painter.forget()
        return self.controls.press(key)

    @property
    def _over(self) -> bool:
        return self.player is not None and self.player.over

    def _mark_time(self) -> None:
        self._folded_at = self.clock()
        if self.wall is not None and self.state.ts is not None and self.state.completed is None:
            with suppress(ValueError, TypeError):
                self._folded_at -= max(0.0, self.wall() - datetime.fromisoformat(self.state.ts).timestamp())

    def _now(self) -> float:
        if self.player is not None:
            return self.player.time
        since = 0.0 if self.state.completed is not None else (self.clock() - self._folded_at) * self.rate
        return (number(self.state.t) or 0.0) + max(0.0, since)

    def _paint(self, *, wait: bool = False) -> None:
        """Paint if something has changed, the running clock included, and the last frame is old enough.

        With `wait` it waits until the last frame is that old.
        """
        at = self.clock()
        if (early := self._painted_at + self._every - at) > 0:
            if not wait or self.sleep is None or (self.player is not None and not self.player.following):
                return
            self.sleep(early)
            at = self.clock()
        width, height = self.console.size
        now = self._now()
        look, note = self.controls.now(), self._said()
        place = None if look.progress is None else (int(look.progress.part * width), int(look.progress.behind))
        shown = (self.state.seq, int(now), note, width, height, self.controls.changed, place)
        if shown == self._painted:
            return
        frame = render(
            self.state, width=width, height=height, now=now,
            run_id=self.run_id, note=note, hint=self.hint, seal=self.seal, look=look,
        )  # fmt: skip
        self.controls.room = (width, frame.room)
        self.painter.paint(frame.lines, (width, height))
        self._painted_at, self._painted = at, shown
        self._every = max(PAINT_EVERY, min(_SLOWEST, (self.clock() - at) / _PAINTS_FOR))

    def _said(self) -> str:
        """What there is to tell: what was done last, else that a silence is cut short."""
        if self.player is None or self.note:
            return self.note
        return shortened(self.player.silence, self.player.idle_limit) or self.player.note

    def _pause(self, signals: Signals, keys: Keys | None) -> None:
        """Ctrl-Z: give the terminal back, stop, and take it again when the process goes on."""
        if signals.suspend:
            self.painter.give_back()
            if keys is not None:
                keys.give_back()
            signals.stop_here()
        signals.resumed = False
        if keys is not None:
            keys.take()
        self.painter.take()
        self._painted = ()
