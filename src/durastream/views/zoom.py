"""One panel as large as the screen, to be scrolled: all there is of it, where the picture shows the most telling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from rich.text import Text

from durastream.state import Message, RunState
from durastream.steps import Step
from durastream.views.frame import line, pair
from durastream.views.panels import answer_of, check_row, source_row
from durastream.views.plan import entry_row, other_steps, step_row, steps_under
from durastream.views.scroll import Place, moved, rows_from
from durastream.views.words import amount, phrase, step_failure

__all__ = ["move", "panels", "zoomed"]

_Row: TypeAlias = Callable[[Any, int], Text]

_TEXTS = ("draft", "thinking")


def panels(state: RunState) -> list[str]:
    """The names of the panels that have something in them."""
    return [
        name
        for name in ("plan", "steps", "draft", "thinking", "sources", "checks", "errors", "log")
        if (_message(state, name) if name in _TEXTS else _items(state, name, 0.0)[0])
    ]


def zoomed(
    state: RunState, name: str, place: Place | None, now: float, width: int, height: int, *, links: bool = False
) -> list[Text]:
    """At most `height` lines: the panel from a place on, or its end."""
    room = height - 1
    if room < 1:
        return []
    if name in _TEXTS:
        message = _message(state, name)
        text, markup = (message.text, _marked_up(message)) if message is not None else ("", True)
        at = place or moved(text, None, -1, width, max(0, room - 1), markup=markup) or (0, 0)
        rows = rows_from(text, at, width, room, markup=markup)
        where = f"from character {at[0] + 1:,} of {len(text):,}" if place is not None else f"{amount(len(text))} ch."
        return [_title(name, where, width), *rows]
    items, show = _items(state, name, now, links)
    first = place[0] if place is not None else max(0, len(items) - room)
    rows = [show(item, width) for item in items[first : first + room]]
    return [_title(name, f"{first + 1} to {first + len(rows)} of {len(items)}", width), *rows]


def move(state: RunState, name: str, place: Place | None, by: int, width: int, height: int) -> Place | None:
    """The place that is `by` lines further down a panel, or up; None at its end."""
    room = max(1, height - 1)
    if name in _TEXTS:
        message = _message(state, name)
        if message is None:
            return None
        return moved(message.text, place, by, width, room, markup=_marked_up(message))
    last = max(0, len(_items(state, name, 0.0)[0]) - room)
    first = max(0, (place[0] if place is not None else last) + by)
    return None if first >= last else (first, 0)


def _title(name: str, where: str, width: int) -> Text:
    return pair(line(name, "bold cyan"), line(where, "dim"), width)


def _message(state: RunState, name: str) -> Message | None:
    message = state.reasoning if name == "thinking" else answer_of(state)
    return message if message is not None and message.length else None


def _marked_up(message: Message) -> bool:
    return message.message_id != "stdout"


def _items(state: RunState, name: str, now: float, links: bool = False) -> tuple[Sequence[Any], _Row]:
    """What a panel is a list of, and how one of them is shown."""
    if name == "plan":
        items = [item for entry in state.plan for item in (entry, *steps_under(state, entry))]
        return items, lambda item, width: _planned(state, item, now, width)
    if name == "steps":
        return other_steps(state), lambda step, width: _step(state, step, now, width)
    if name == "sources":
        return list(enumerate(state.sources.values(), 1)), lambda item, width: source_row(
            item[0], item[1], width, links=links
        )
    if name == "checks":
        return state.checks, check_row
    if name == "errors":
        return state.errors, lambda error, width: line(phrase(error.get("message"), 400), "red")
    return list(state.log), lambda item, width: line(phrase(item[1], max(2 * width, 80)), "dim")


def _planned(state: RunState, item: Any, now: float, width: int) -> Text:
    """An entry of the plan, or a step under it."""
    if isinstance(item, Step):
        return _step(state, item, now, width, 2)
    return entry_row(item, width, ended=state.completed is not None)


def _step(state: RunState, step: Step, now: float, width: int, indent: int = 0) -> Text:
    why = step_failure(step)
    text = step_row(state, step, now, width if not why else max(20, width // 2), indent)
    return text + line(f"  {why}", "red") if why else text
