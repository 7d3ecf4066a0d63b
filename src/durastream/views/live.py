"""The live screen: `render` makes a picture of a state, `show` paints it while events come in.

`render` is pure: the same state, size and time give the same lines, live, attached and replayed. `show` folds every
event as it comes and paints at most ten times a second, whatever the rate.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from durastream.events import show_hash
from durastream.state import RunState
from durastream.views.frame import beside, column, line, natural, pair
from durastream.views.keys import Keys, Signals
from durastream.views.outcome import Batches, Outcome
from durastream.views.panels import STYLE, sections_of_text, sections_of_work
from durastream.views.safe import visible
from durastream.views.words import MARK, amount, clock, headline, number, phrase

__all__ = ["picture", "render", "show", "suitable", "summary"]

PAINT_EVERY = 0.1
"""Seconds between two frames, at least."""

QUIET = 5.0
"""Seconds without an event before the screen says so in words."""

WIDE = 100
"""Cells from which on there are two columns."""

_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def render(
    state: RunState,
    *,
    width: int,
    height: int,
    now: float | None = None,
    run_id: str = "",
    note: str = "",
    hint: str = "",
    seal: str = "",
) -> RenderableType:
    """A picture of the state in at most `width` by `height` cells.

    `now` is the time in seconds of the run (without it: that of the last event). `note` and `hint` stand at the two
    ends of the last line; where there is no note, a run that has gone quiet says so there.
    """
    now = _now(state, now)
    head = _head(state, now, run_id, width, height)
    foot = _foot(state, now, note, hint, width) if height >= 4 else []
    room = max(0, height - len(head) - len(foot))
    body = _body(state, now, seal, width, room)
    body += [line()] * (room - len(body))
    return _Frame([*head, *body, *foot][:height], width)


def summary(state: RunState, *, width: int, run_id: str = "", note: str = "", seal: str = "") -> RenderableType:
    """What stays on the screen after a view: the same sections, one below the other, as long as they are."""
    now = _now(state, None)
    lines = _head(state, now, run_id, width, 24)
    lines += natural([*sections_of_work(state, now, seal), *sections_of_text(state)], width)
    if note:
        lines += [line(), line(note, "yellow")]
    return _Frame(lines, width)


def picture(
    state: RunState, *, run_id: str = "", width: int = 100, height: int = 30, title: str = "", now: float | None = None
) -> str:
    """The screen as an SVG document that refers to nothing outside itself."""
    console = Console(
        record=True, width=width, height=height, file=io.StringIO(), force_terminal=True, color_system="truecolor",
        legacy_windows=False, _environ={},
    )  # fmt: skip
    console.print(render(state, width=width, height=height, now=now, run_id=run_id))
    return _FONT.sub("", console.export_svg(title=visible(title or headline(state, run_id), keep="")))


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
    clock: Callable[[], float] = time.monotonic,
    wall: Callable[[], float] | None = None,
) -> Outcome:
    """Fold the events into `state` and paint it on the alternate screen until they end or the viewer leaves.

    `q`, `d` and Ctrl-C leave; with `on_interrupt` Ctrl-C calls that instead, and shows the note it returns. `rate` is
    seconds of the run per second of `clock`. With `wall` (seconds since the epoch, for a run that is going on) the
    age of the last event is known from the first frame on. The last picture stays in the scrollback. A terminal that
    goes away is a viewer who left.
    """
    screen = _Screen(state, console, run_id, note, hint or ("d leave · Ctrl-C stop" if on_interrupt else "q leave"))
    screen.seal = seal
    screen.rate, screen.clock, screen.wall = rate, clock, wall
    try:
        left = screen.run(batches, keys, on_interrupt)
    except KeyboardInterrupt:
        left = True
    if not screen.gone:
        with suppress(OSError):
            console.print(summary(state, width=console.width, run_id=run_id, seal=screen.seal))
    return Outcome(left)


class _Frame:
    """Lines of text that are already laid out. The last look at every one of them before it is printed."""

    def __init__(self, lines: list[Text], width: int) -> None:
        self.lines = [text if visible(text.plain, keep="") == text.plain else line(text.plain) for text in lines]
        for text in self.lines:
            text.truncate(max(0, width), overflow="ellipsis")

    def __rich__(self) -> Group:
        return Group(*(_ended(text) for text in self.lines))


def _ended(text: Text) -> Text:
    text.end = "\n"
    return text


class _Screen:
    """What the driver remembers between two frames."""

    def __init__(self, state: RunState, console: Console, run_id: str, note: str, hint: str) -> None:
        self.state = state
        self.console = console
        self.run_id = run_id
        self.note = note
        self.hint = hint
        self.seal = ""
        self.rate = 1.0
        self.clock: Callable[[], float] = time.monotonic
        self.wall: Callable[[], float] | None = None
        self.gone = False
        self._folded_at = 0.0
        self._painted_at = float("-inf")
        self._painted: tuple[object, ...] = ()

    def run(self, batches: Batches, keys: Keys | None, on_interrupt: Callable[[], str] | None) -> bool:
        """Whether the viewer left before the events ended."""
        with ExitStack() as stack:
            signals = stack.enter_context(Signals(take_interrupts=on_interrupt is not None))
            if keys is not None:
                stack.enter_context(keys)
            live = stack.enter_context(self._alternate())
            self._mark_time()
            self._paint(live)
            for batch in batches:
                for event in batch:
                    self.state.apply(event)
                if batch:
                    self._mark_time()
                    if batch[-1].type == "run.completed" and batch[-1].hash:
                        self.seal = show_hash(batch[-1].hash)
                if signals.suspend or signals.resumed:
                    self._pause(signals, keys)
                if keys is not None and not {"q", "d", "\x04"}.isdisjoint(keys.read()):
                    return True
                while signals.take_interrupt():
                    if on_interrupt is None:
                        return True
                    self.note = on_interrupt()
                self._paint(live)
                if self.gone:
                    return True
        return False

    @contextmanager
    def _alternate(self) -> Iterator[Live]:
        live = Live(console=self.console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        try:
            live.start()
            yield live
        finally:
            try:
                live.stop()
            except OSError:  # the terminal is gone, and with it all there was to put back
                self.gone = True

    def _mark_time(self) -> None:
        self._folded_at = self.clock()
        if self.wall is not None and self.state.ts is not None and self.state.completed is None:
            with suppress(ValueError, TypeError):
                self._folded_at -= max(0.0, self.wall() - datetime.fromisoformat(self.state.ts).timestamp())

    def _now(self) -> float:
        since = 0.0 if self.state.completed is not None else (self.clock() - self._folded_at) * self.rate
        return (number(self.state.t) or 0.0) + max(0.0, since)

    def _paint(self, live: Live) -> None:
        """Paint if something has changed, the running clock included, and the last frame is old enough."""
        at = self.clock()
        if at - self._painted_at < PAINT_EVERY:
            return
        width, height = self.console.size
        now = self._now()
        shown = (self.state.seq, int(now), self.note, width, height)
        if shown == self._painted:
            return
        frame = render(
            self.state, width=width, height=height, now=now,
            run_id=self.run_id, note=self.note, hint=self.hint, seal=self.seal,
        )  # fmt: skip
        try:
            live.update(frame, refresh=True)
        except OSError:
            self.gone = True
        self._painted_at, self._painted = at, shown

    def _pause(self, signals: Signals, keys: Keys | None) -> None:
        """Ctrl-Z: give the terminal back, stop, and take it again when the process goes on."""
        if signals.suspend:
            self.console.set_alt_screen(False)
            self.console.show_cursor(True)
            if keys is not None:
                keys.give_back()
            signals.stop_here()
        signals.resumed = False
        if keys is not None:
            keys.take()
        self.console.set_alt_screen(True)
        self.console.show_cursor(False)
        self._painted = ()


def _now(state: RunState, now: float | None) -> float:
    last = number(state.t) or 0.0
    return last if now is None or state.completed is not None else max(last, now)


def _head(state: RunState, now: float, run_id: str, width: int, height: int) -> list[Text]:
    status = phrase(state.status, 20)
    mark = MARK.get(status, "?")
    style = "yellow" if status in ("cancelled", "interrupted") else STYLE[mark]
    title = line(headline(state, run_id), "bold")
    if run_id and height >= 6:
        title.append_text(line(f"  {phrase(run_id, 80)}", "dim"))
    right = line(f"{mark} {status}", style)
    right.append_text(line(f"  {clock(now)}", "bold"))
    if width < right.cell_len + 10:
        return [right]
    lines = [pair(title, right, width)]
    if height >= 8:
        lines.append(pair(line(_about(state), "dim"), line(_spent(state), "dim"), width))
    if height >= 12:
        lines.append(_rule(state, style, width))
    return lines


def _rule(state: RunState, style: str, width: int) -> Text:
    """The line under the head; as much of it is drawn thick as the plan is done."""
    done = sum(1 for entry in state.plan if entry["status"] in ("done", "skipped", "cancelled"))
    thick = width * done // len(state.plan) if state.plan else 0
    text = line("━" * thick, style)
    text.append_text(line("─" * (width - thick), "dim"))
    return text


def _about(state: RunState) -> str:
    """Which models it uses and how the agent speaks."""
    models = dict.fromkeys(key.partition("/")[2] for key in state.usage_parts)
    known = [phrase(model, 40) for model in models if model][:3]
    spoken = (state.started or {}).get("format")
    if isinstance(spoken, str):
        known.append(phrase(spoken, 40))
    return " · ".join(known)


def _spent(state: RunState) -> str:
    """Tokens, cost and events; what was not reported is not there."""
    usage = state.usage
    parts = [
        f"{amount(usage[name])} {word}"
        for name, word in (("input_tokens", "tokens in"), ("output_tokens", "out"))
        if name in usage
    ]
    cost = number(usage.get("cost_usd"))
    if cost is not None:
        parts.append(f"${cost:.2f}" if cost >= 1 else f"${cost:.4f}")
    if bad := state.rejected + state.malformed:
        parts.append(f"{amount(bad)} not understood")
    return " · ".join([*parts, f"{amount(state.seq)} events"])


def _body(state: RunState, now: float, seal: str, width: int, height: int) -> list[Text]:
    work, written = sections_of_work(state, now, seal), sections_of_text(state)
    if not work and not written:
        return [line(), line("waiting for the first event" if not state.seq else "nothing to show yet", "dim")][:height]
    if width < WIDE or not work or not written:
        return column([*work, *written], width, height)
    left = min(width * 9 // 20, 72)
    return beside(column(work, left, height), column(written, width - left - 3, height), left + 3)


def _foot(state: RunState, now: float, note: str, hint: str, width: int) -> list[Text]:
    said = line(note, "yellow") if note else line(_silence(state, now), "dim")
    return [pair(said, line(hint, "dim"), width)]


def _silence(state: RunState, now: float) -> str:
    """That nothing has come for a while, and what the run is doing as far as it said."""
    quiet = now - (number(state.t) or 0.0)
    if state.completed is not None or quiet < QUIET:
        return ""
    words = f"no event for {clock(quiet) if quiet >= 60 else f'{int(quiet)} s'}"
    running = state.open_steps
    if any(not approval.get("decision") for approval in state.approvals.values()):
        return f"{words}; waiting for an approval"
    if len(running) == 1:
        return f"{words}; step '{phrase(running[0].title, 60)}' is running"
    return f"{words}; {len(running)} steps are running" if running else words
