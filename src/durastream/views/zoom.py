"""One panel as large as the screen, to be scrolled: all there is of it, where the picture shows the most telling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from rich.text import Text

from durastream.message import Message
from durastream.state import RunState
from durastream.steps import Step
from durastream.views.frame import line, pair
from durastream.views.panels import answer_of, check_row, source_row
from durastream.views.plan import entry_row, other_steps, step_row, steps_under
from durastream.views.scroll import Place, moved, rows_from
from durastream.views.words import amount, step_failure

__all__ = ["move", "panels", "zoomed"]

_Row: TypeAlias = Callable[[Any, int], Text]

_TEXTS = ("draft", "thinking", "errors", "log")
"""Panels that are read and not looked through: no line of them is cut."""

_STYLES = {"errors": "red", "log": "dim"}


class _Read(NamedTuple):
    """The text of such a panel, and how it is laid out."""

    text: str
    lines: int = 0
    markup: bool = False
    hang: int = 0


def panels(state: RunState) -> list[str]:
    """The names of the panels that have something in them."""
    return [
        name
        for name in ("plan", "steps", "draft", "thinking", "sources", "checks", "errors", "log")
        if _is_there(state, name)
    ]


def _is_there(state: RunState, name: str) -> bool:
    if name in ("draft", "thinking"):
        message = _message(state, name)
        return message is not None and message.length > 0
    if name in ("errors", "log"):
        return bool(state.errors if name == "errors" else state.log)
    return bool(_items(state, name, 0.0)[0])


def zoomed(
    state: RunState, name: str, place: Place | None, now: float, width: int, height: int, *, links: bool = False
) -> list[Text]:
    """At most `height` lines: the panel from a place on, or its end."""
    room = height - 1
    if room < 1:
        return []
    if name in _TEXTS:
        text, lines, markup, hang = _read(state, name)
        at = place or moved(text, None, -1, width, max(0, room - 1), markup=markup, hang=hang) or (0, 0)
        rows = rows_from(text, at, width, room, markup=markup, hang=hang)
        for row in rows:
            row.stylize(_STYLES.get(name, ""))
        where = f"from character {at[0] + 1:,} of {len(text):,}" if place is not None else f"{amount(len(text))} ch."
        if lines:
            first = text.count("\n", 0, at[0]) + 1
            where = (
                f"from line {first} of {lines}" if place is not None else f"{amount(lines)} line{'s' * (lines != 1)}"
            )
        return [_title(name, where, width), *rows]
    items, show = _items(state, name, now, links)
    first = place[0] if place is not None else max(0, len(items) - room)
    rows = [show(item, width) for item in items[first : first + room]]
    return [_title(name, f"{first + 1} to {first + len(rows)} of {len(items)}", width), *rows]


def move(state: RunState, name: str, place: Place | None, by: int, width: int, height: int) -> Place | None:
    """The place that is `by` lines further down a panel, or up; None at its end."""
    room = max(1, height - 1)
    if name in _TEXTS:
        read = _read(state, name)
        return moved(read.text, place, by, width, room, markup=read.markup, hang=read.hang)
    last = max(0, len(_items(state, name, 0.0)[0]) - room)
    first = max(0, (place[0] if place is not None else last) + by)
    return None if first >= last else (first, 0)


def _title(name: str, where: str, width: int) -> Text:
    return pair(line(name, "bold cyan"), line(where, "dim"), width)


def _message(state: RunState, name: str) -> Message | None:
    return state.reasoning if name == "thinking" else answer_of(state)


def _read(state: RunState, name: str) -> _Read:
    if name in ("errors", "log"):
        errors = [str(error.get("message") or "an error without a message") for error in state.errors]
        lines = errors if name == "errors" else [text for _, text in state.log]
        text = "\n".join(each.rstrip("\n") for each in lines)
        return _Read(text, text.count("\n") + 1, hang=2)
    message = _message(state, name)
    if message is None:
        return _Read("")
    return _Read(message.text, markup=message.message_id != "stdout")


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
    return state.checks, check_row


def _planned(state: RunState, item: Any, now: float, width: int) -> Text:
    """An entry of the plan, or a step under it."""
    if isinstance(item, Step):
        return _step(state, item, now, width, 2)
    return entry_row(item, width, ended=state.completed is not None)


def _step(state: RunState, step: Step, now: float, width: int, indent: int = 0) -> Text:
    why = step_failure(step)
    text = step_row(state, step, now, width if not why else max(20, width // 2), indent)
    return text + line(f"  {why}", "red") if why else text
