"""How much of it is kept? Values of agents as strings, lines and cut values: what is whole is in the raw bytes."""

from __future__ import annotations

import math
from typing import Any

from durastream.events import dumps

__all__ = ["SHORT", "as_message", "clip", "is_amount", "line", "short", "string", "trimmed"]

SHORT = 4096


def string(value: Any) -> str:
    return value if type(value) is str else dumps(value)


def as_message(value: Any) -> str:
    """A message id as ours may be: 1 to 200 characters, and # is the recorder's."""
    text = (value if type(value) is str else dumps(value))[:200]
    return text if text and text[0] != "#" else f"m{text}"[:200]


def line(value: Any) -> str:
    """Words for a title or a message: one line, not too long."""
    text = " ".join(string(value)[: 4 * SHORT].split())
    return text if len(text) <= 500 else text[:499] + "…"


def clip(text: str) -> str:
    return text if len(text) <= SHORT else f"{text[:SHORT]}… ({len(text)} characters)"


def short(value: Any, depth: int = 0) -> Any:
    """A value of which long texts and lists are cut: what a tool took and gave is in the raw bytes, whole."""
    if type(value) is str:
        return clip(value)
    if type(value) is list:
        if depth > 5:
            return f"… ({len(value)} items)"
        some = [short(item, depth + 1) for item in value[:50]]
        return [*some, f"… ({len(value)} items)"] if len(value) > 50 else some
    if type(value) is dict:
        if depth > 5:
            return f"… ({len(value)} fields)"
        return {clip(string(key)): short(item, depth + 1) for key, item in list(value.items())[:200]}
    return value


def is_amount(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 1e18 and not math.isnan(value)


def trimmed(url: str) -> str:
    """An address without the punctuation of the sentence around it."""
    url = url[:2000].rstrip(".,;:!?*_|")
    while url and url[-1] in ")]}" and url.count(url[-1]) > url.count({")": "(", "]": "[", "}": "{"}[url[-1]]):
        url = url[:-1].rstrip(".,;:!?*_|")
    return url
