"""The line under a picture that is not the latest: where it stands between the beginning and the end.

❚❚ 0:42 / 3:05  4x  ━━━┿━━━━━━━●───┼───────┼────
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from durastream.player import Player
from durastream.replay import Marker
from durastream.views.frame import line
from durastream.views.words import clock

__all__ = ["Progress", "progress_line", "progress_of"]

_SHORTEST = 10


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a viewer stands, in seconds of the run; `marks` are the steps in the order of their time."""

    time: float
    start: float
    end: float
    marks: Sequence[Marker] = ()
    speed: float = 1.0
    paused: bool = False
    behind: float = 0.0

    @property
    def part(self) -> float:
        """How much of the whole is behind it, from 0 to 1."""
        return min(1.0, max(0.0, (self.time - self.start) / (self.end - self.start))) if self.end > self.start else 1.0


def progress_of(player: Player) -> Progress | None:
    """Where a player stands; None for who follows a run, who is at its end."""
    if player.following:
        return None
    start, end = player.span()
    marks = player.source.markers() if not player.live else ()
    return Progress(player.time, start, end, marks, player.speed, player.paused, player.behind)


def progress_line(progress: Progress, width: int) -> Text:
    """The line, `width` cells wide; where there is little room only the time is left."""
    speed = "max" if math.isinf(progress.speed) else f"{progress.speed:g}x"
    text = line("❚❚ " if progress.paused else "▶  ", "bold yellow" if progress.paused else "cyan")
    text.append_text(line(f"{clock(progress.time)} / {clock(progress.end)}", "bold"))
    text.append_text(line(f"  {speed}", "dim"))
    if progress.behind >= 1:
        text.append_text(line(f"  {clock(progress.behind)} behind", "yellow"))
    room = width - text.cell_len - 2
    if room < _SHORTEST:
        return text
    text.append_text(line("  "))
    text.append_text(_bar(progress, room))
    return text


def _bar(progress: Progress, room: int) -> Text:
    here = min(room - 1, int(progress.part * room))
    # Looked up for each cell instead of each step: there may be ten thousand of them.
    edges = [progress.start + (progress.end - progress.start) * cell / room for cell in range(room + 1)]
    places = [bisect_left(progress.marks, edge, key=lambda mark: mark.t) for edge in edges[:-1]]
    places.append(len(progress.marks))
    marked = {cell for cell in range(room) if places[cell] < places[cell + 1]} if edges[0] < edges[-1] else set()
    bar = line("".join("┿" if cell in marked else "━" for cell in range(here)), "cyan")
    bar.append_text(line("●", "bold cyan"))
    bar.append_text(line("".join("┼" if cell in marked else "─" for cell in range(here + 1, room)), "dim"))
    return bar
