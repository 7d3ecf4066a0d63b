"""A picture of a run: the state laid out for a screen of a given size, without clock, console or terminal.

head    what it is called, how it stands, what it has used; the line below fills up as the plan is done
body    the sections of `panels`, in two columns where there is room
foot    a note, or that nothing has come for a while; which keys there are
"""

from __future__ import annotations

import io
import re
from functools import lru_cache

from rich.console import Console, Group
from rich.text import Text

from durastream.state import RunState
from durastream.views.frame import beside, column, kept, line, natural, pair, wrap
from durastream.views.look import Look
from durastream.views.overlay import over
from durastream.views.panels import sections_of_text, sections_of_work
from durastream.views.plan import QUIET
from durastream.views.progress import progress_line
from durastream.views.safe import visible
from durastream.views.words import MARK, STYLE, amount, clock, duration, headline, last_lines, number, phrase, status
from durastream.views.zoom import zoomed

__all__ = ["Frame", "picture", "render", "summary"]

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
    look: Look | None = None,
) -> Frame:
    """A picture of the state in at most `width` by `height` cells.

    `now` is the time in seconds of the run (without it: that of the last event). `note` and `hint` stand at the two
    ends of the last line; where there is no note, a run that has gone quiet says so there. `look` is what the viewer
    has chosen to see of it.
    """
    now = _now(state, now)
    look = look or Look()
    head = _head(state, now, run_id, width, height, look.flow)
    foot = _foot(state, now, note, hint, width, look) if height >= 4 else []
    room = max(0, height - len(head) - len(foot))
    body = over(look, width, room)
    if not body and look.panel:
        body = zoomed(state, look.panel, look.place, now, width, room, links=look.links)
    body = body or _body(state, now, seal, width, room, look)
    body += [kept("")] * (room - len(body))
    return Frame([*head, *body, *foot][:height], width, room)


def summary(
    state: RunState, *, width: int, run_id: str = "", note: str = "", seal: str = "", stands: str = ""
) -> Frame:
    """What stays on the screen after a view: the same sections, one below the other, as long as they are.

    `stands` is how the run stands where more than its log is known, such as orphaned.
    """
    now = _now(state, None)
    lines = _head(state, now, run_id, width, 24, stands=stands)
    lines += natural([*sections_of_work(state, now), *sections_of_text(state)], width)
    if shown := last_lines(state):
        lines += [line(), *map(line, shown)]
    if seal:  # on a line of its own, whole, to be copied
        lines += [line(), line(f"seal {phrase(seal)}", "dim")]
    if note:
        lines += [line(), line(note, "yellow")]
    return Frame(lines, width)


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


class Frame:
    """Lines of text that are already laid out. The last look at every one of them before it is printed.

    `room` is how many of them are neither head nor foot.
    """

    def __init__(self, lines: list[Text], width: int, room: int = 0) -> None:
        self.room = room
        self.lines = [_checked(text, max(0, width)) for text in lines]

    def __rich__(self) -> Group:
        return Group(*map(_ended, self.lines))


def _checked(text: Text, width: int) -> Text:
    if not _is_safe(text.plain):
        text = line(text.plain)
    if text.cell_len > width:
        text = text.copy()
        text.truncate(width, overflow="ellipsis")
    return text


@lru_cache(maxsize=1024)
def _is_safe(plain: str) -> bool:
    return visible(plain, keep="") == plain


def _ended(text: Text) -> Text:
    text = text.copy()
    text.end = "\n"
    return text


def _now(state: RunState, now: float | None) -> float:
    last = number(state.t) or 0.0
    return last if now is None or state.completed is not None else max(last, now)


def _head(
    state: RunState,
    now: float,
    run_id: str,
    width: int,
    height: int,
    flow: tuple[float, float] | None = None,
    stands: str = "",
) -> list[Text]:
    stands = stands or status(state)
    mark = MARK.get(stands, "?")
    style = "yellow" if stands in ("cancelled", "interrupted") else STYLE[mark]
    name = headline(state, run_id)
    title = line(name, "bold")
    if run_id not in ("", name) and height >= 6:
        title.append_text(line(f"  {phrase(run_id, 80)}", "dim"))
    right = line(f"{mark} {stands}", style)
    if width >= right.cell_len + 8:
        right.append_text(line(f"  {clock(now)}", "bold"))
    if width < right.cell_len + 10:
        return [right]
    lines = [pair(title, right, width)]
    if height >= 8:
        lines.append(pair(line(_about(state), "dim"), line(_spent(state, flow), "dim"), width))
    if height >= 12:
        lines.append(_rule(state, style, width))
    return lines


def _rule(state: RunState, style: str, width: int) -> Text:
    """The line under the head; as much of it is drawn thick as the plan is done."""
    done = sum(1 for entry in state.plan if entry["status"] in ("done", "skipped", "cancelled"))
    return _drawn_rule(width * done // len(state.plan) if state.plan else 0, style, width)


@lru_cache(maxsize=64)
def _drawn_rule(thick: int, style: str, width: int) -> Text:
    return line("━" * thick, style) + line("─" * (width - thick), "dim")


def _about(state: RunState) -> str:
    """Which agent it is and which models it uses."""
    models = dict.fromkeys(key.partition("/")[2] for key in state.usage_parts)
    known = [phrase(model, 40) for model in models if model][:3]
    model = phrase(state.agent.get("model"), 40)
    if model and not known:
        known.append(model)
    name = phrase(state.agent.get("name") or state.agent.get("format"), 40)
    return " · ".join([name, *known] if name else known)


def _spent(state: RunState, flow: tuple[float, float] | None) -> str:
    """Tokens, cost and events; what was not reported is not there. While events flow, how fast and how late."""
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
    parts.append(f"{amount(state.seq)} events")
    if flow is not None and state.completed is None:
        rate, lag = flow
        parts += [f"{amount(round(rate, 1 if rate < 10 else None))}/s", f"lag {duration(round(lag, 2))}"]
    return " · ".join(parts)


def _body(state: RunState, now: float, seal: str, width: int, height: int, look: Look) -> list[Text]:
    work, written = sections_of_work(state, now, seal), sections_of_text(state, look.reasoning, links=look.links)
    if not work and not written:
        told = "waiting for the first event"
        if state.seq:
            told = f"nothing to show here yet: {amount(state.seq)} events so far; durastream events prints them"
        return [line(), *wrap(line(told, "dim"), max(1, width))][:height]
    if width < WIDE or not work or not written:
        return column([*work, *written], width, height)
    left = min(width * 9 // 20, 72)
    return beside(column(work, left, height), column(written, width - left - 3, height), left + 3)


def _foot(state: RunState, now: float, note: str, hint: str, width: int, look: Look) -> list[Text]:
    place = [progress_line(look.progress, width)] if look.progress is not None else []
    if look.prompt is not None:
        return [*place, line(f"/{look.prompt}█", "bold")]
    if not note and (look.progress is None or not look.progress.paused):
        return [*place, pair(line(_silence(state, now), "dim"), line(hint, "dim"), width)]
    said = line(note, "yellow")
    return [*place, pair(said, line(hint if said.cell_len + len(hint) < width - 2 else "", "dim"), width)]


def _silence(state: RunState, now: float) -> str:
    """That nothing has come for a while, and what the run is doing as far as it said."""
    quiet = now - (number(state.t) or 0.0)
    if state.completed is not None or quiet < QUIET:
        return ""
    words = f"no event for {clock(quiet) if quiet >= 60 else f'{int(quiet)} s'}"
    running = [step for step in state.outline.open.values() if step.kind != "plan"] or state.outline.open.values()
    if any(not approval.get("decision") for approval in state.approvals.values()):
        return f"{words}; waiting for an approval"
    if len(running) == 1:
        return f"{words}; step '{phrase(next(iter(running)).title, 60)}' is running"
    return f"{words}; {len(running)} steps are running" if running else words
