"""What lies over the picture while somebody looks at it: the keys, or one event as it is stored."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from rich.text import Text

from durastream.events import Event
from durastream.views.frame import line, wrap
from durastream.views.look import Look
from durastream.views.words import phrase

__all__ = ["KEYS", "key_lines", "over"]

KEYS = (
    ("space", "stand still, go on"),
    ("← →", "5 seconds back, on"),
    ("[ ]", "the step before, the next"),
    (".", "one event on"),
    ("+ -", "faster, slower"),
    ("0 … 9", "to a tenth of the run"),
    ("home end", "to its start, its end"),
    ("f", "follow: to the end and stay there"),
    ("/ n", "search in text and steps, the next"),
    ("tab", "one panel after the other"),
    ("↑ ↓ PgUp PgDn", "scroll it; at first, the draft"),
    ("r", "more thoughts, or none"),
    ("l", "the log"),
    ("e", "the event that came last, as stored"),
    ("? ctrl-L", "these keys; paint it all anew"),
    ("q d", "leave; the run goes on"),
)
"""Keys, and what they do, for people."""

_NAMES = 15


def over(look: Look, width: int, height: int) -> list[Text]:
    """At most `height` lines in place of the body; none when there is nothing over it."""
    if look.help:
        return key_lines(KEYS, width, height)
    if look.event is not None:
        return _event(look.event, width, height)
    return []


def key_lines(keys: Sequence[tuple[str, str]], width: int, height: int) -> list[Text]:
    """Keys and what they do, in as many columns as fit."""
    columns = -(-len(keys) // max(1, height - 1)) if height > 1 and width >= 60 else 1
    rows = -(-len(keys) // columns)
    lines = [line("keys", "bold")]
    for row in range(rows):
        text = line()
        for name, what in keys[row::rows]:
            text.append_text(line(f"{name:<{_NAMES}}", "bold cyan"))
            text.append_text(line(what))
            text.pad_right(max(0, width // columns - text.cell_len % max(1, width // columns)))
        lines.append(text)
    return lines[: max(0, height)]


def _event(event: Event, width: int, height: int) -> list[Text]:
    """An event with its data spread out; no more of it is written down than there is room for."""
    lines = [line(f"event {event.seq}  {phrase(event.type, 60)}  {phrase(event.ts, 40)}", "bold")]
    for text in islice(_spread(event.data, width * height), height):
        lines += wrap(line(text), max(1, width), min(4, width // 4))
        if len(lines) >= height:
            break
    return lines[: max(0, height)]


def _spread(data: dict[str, Any], limit: int) -> Iterator[str]:
    for name, value in data.items():
        text = json.dumps(value, ensure_ascii=False, indent=2, default=str) if not isinstance(value, str) else value
        first, *others = text[:limit].split("\n")
        yield f"{phrase(name, 60)}: {first}"
        for other in others:
            yield f"  {other}"
