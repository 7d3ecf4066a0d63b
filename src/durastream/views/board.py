"""A table of runs that stays on the screen, a line each. The one that is chosen can be attached to."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text

from durastream.standing import Standing
from durastream.views.frame import line, pair
from durastream.views.keys import Keys, Signals
from durastream.views.overlay import key_lines
from durastream.views.paint import Painter
from durastream.views.screen import Frame
from durastream.views.words import MARK, STYLE, duration, phrase

__all__ = ["Board", "render", "show"]

LOOK_EVERY = 0.5
"""Seconds between two looks at the runs."""

_HINT = "↑↓ choose · Enter attach · ? keys · q leave"
_AT_ONCE = 0.1

KEYS = (
    ("↑ ↓ or k j", "choose a run"),
    ("PgUp PgDn", "a screen up, down"),
    ("home end", "the first, the last"),
    ("Enter", "attach; q comes back"),
    ("?", "these keys, and back"),
    ("q d", "leave; the runs go on"),
)
"""Keys of the table, and what they do, for people."""

_SIGNS = (
    ("●", "runs"), ("✓", "completed"), ("✗", "failed, or did not come to its end"),
    ("!", "its answer is not what it streamed: durastream verify RUN"),
    ("3/7", "of seven entries of its plan three are done"), ("▶", "the step it is at; then its last words"),
)  # fmt: skip

Board = Callable[[float], Sequence[Standing]]
"""`board(seconds)`: how the runs stand now; for so long it reads more of those that it only has the fields of."""


def render(
    runs: Sequence[Standing],
    *,
    width: int,
    height: int,
    now: float,
    chosen: str = "",
    title: str = "",
    helping: bool = False,
) -> Frame:
    """The table in at most `width` by `height` cells, or its keys. `now` is in seconds since the epoch."""
    live = sum(1 for run in runs if run.status == "running")
    head = line("durastream", "bold")
    head.append_text(line(f"  {title}", "dim"))
    count = line(f"{live} running", "green" if live else "dim")
    count.append_text(line(f" of {len(runs)}", "dim"))
    lines = [pair(head, count, width), _titles(width)][: 2 if height >= 8 else 1]
    foot = [pair(line(), line(_HINT, "dim"), width)] if height >= 4 else []
    room = max(0, height - len(lines) - len(foot))
    if helping:
        return _help(lines[0], width, height)
    place = next((at for at, run in enumerate(runs) if run.run_id == chosen), 0)
    first = min(max(0, place - room // 2), max(0, len(runs) - room))
    names = min(max((len(run.name) for run in runs[first : first + room]), default=0), 24 if width >= 100 else 14)
    rows = [_row(run, width, names, now, chosen=run.run_id == chosen) for run in runs[first : first + room]]
    if not runs:
        rows = [line(), line("no runs here yet: durastream run -- COMMAND", "dim")][:room]
    rows += [line()] * (room - len(rows))
    return Frame([*lines, *rows, *foot][:height], width)


def _help(head: Text, width: int, height: int) -> Frame:
    lines = [head, *key_lines(KEYS, width, height - 1)]
    if height > len(lines) + len(_SIGNS) + 1:
        lines += [line(), *key_lines(_SIGNS, width, len(_SIGNS) + 1)[1:]]
    return Frame([*lines, *[line()] * height][:height], width)


def _titles(width: int) -> Text:
    text = line(f"  {'run':<6}  {'status':<12}{'time':>7}  {'plan':>5}  name, step and last words", "dim underline")
    text.truncate(width, overflow="ellipsis", pad=True)
    return text


def _row(run: Standing, width: int, names: int, now: float, *, chosen: bool) -> Text:
    mark = MARK.get(run.status, "?")
    style = "yellow" if run.status in ("cancelled", "interrupted", "orphaned") else STYLE.get(mark, "")
    text = line(f"{mark} ", style)
    text.append_text(line(f"{phrase(run.run_id, 64):<6}  ", "dim"))
    stands = phrase(run.status, 12) + (" !" if run.reconciled is False else "")
    spent = duration(run.duration)
    if run.duration is None and run.status == "running" and run.started is not None:
        spent = duration(max(0.0, now - run.started), whole=True)
    text.append_text(line(f"{stands:<12}", style))
    text.append_text(line(f"{spent:>7}  "))
    text.append_text(line(f"{f'{run.done}/{run.planned}' if run.planned else '':>5}  "))
    name = line(phrase(run.name, 80), "bold" if run.status == "running" else "")
    name.truncate(names, overflow="ellipsis", pad=True)
    text.append_text(name)
    if run.step and run.status == "running":
        text.append_text(line(f"  ▶ {phrase(run.step, 60)}", "cyan"))
    if run.words:
        text.append_text(line(f"  {phrase(run.words, 200)}", "dim"))
    text.truncate(width, overflow="ellipsis", pad=chosen)
    if chosen:
        text.stylize("reverse")
    return text


def show(
    board: Board,
    *,
    console: Console,
    keys: Keys,
    title: str = "",
    chosen: str = "",
    wall: Callable[[], float] = time.time,
) -> str:
    """Show the table until a run is chosen, whose id is returned, or the viewer leaves, which returns nothing.

    `q` and Ctrl-C leave.
    """
    painter = Painter(console)
    with Signals(keyboard=True) as signals, keys, painter.screen():
        try:
            return _choose(board, painter, console, keys, signals, title, chosen, wall)
        except KeyboardInterrupt:
            return ""


def _choose(
    board: Board,
    painter: Painter,
    console: Console,
    keys: Keys,
    signals: Signals,
    title: str,
    chosen: str,
    wall: Callable[[], float],
) -> str:
    runs: Sequence[Standing] = ()
    painted: object = None
    looked_at = float("-inf")
    helping, filling = False, True
    while True:
        width, height = console.size
        if filling or not 0 <= wall() - looked_at < LOOK_EVERY:
            runs, looked_at = (
                board(_AT_ONCE if painted else 0.0),
                wall(),
            )  # first what there is to show, then more of it
            filling = not all(run.read for run in runs)
        ids = [run.run_id for run in runs]
        place = ids.index(chosen) if chosen in ids else 0
        chosen = ids[place] if ids else ""
        now = wall()
        if painted != (shown := (runs, chosen, int(now), width, height, helping)):
            painted = shown
            frame = render(runs, width=width, height=height, now=now, chosen=chosen, title=title, helping=helping)
            painter.paint(frame.lines, (width, height))
            if painter.gone:
                return ""
        keys.wait(0.0 if filling else LOOK_EVERY)
        if signals.suspend or signals.resumed:
            _pause(painter, keys, signals)
            painted = None
        if signals.take_interrupt():
            return ""
        for key in keys.read():
            if helping or key == "?":
                helping = not helping and key == "?"
                continue
            if key in ("q", "d", "\x04"):
                return ""
            if key == "enter" and chosen:
                return chosen
            step = {"up": -1, "k": -1, "down": 1, "j": 1, "pgup": 3 - height, "pgdn": height - 3}.get(key, 0)
            step = {"home": -len(ids), "end": len(ids)}.get(key, step)
            place = min(max(place + step, 0), max(0, len(ids) - 1))
            chosen = ids[place] if ids else ""


def _pause(painter: Painter, keys: Keys, signals: Signals) -> None:
    """Ctrl-Z: give the terminal back, stop, and take it again when the process goes on."""
    if signals.suspend:
        painter.give_back()
        keys.give_back()
        signals.stop_here()
    signals.resumed = False
    keys.take()
    painter.take()
