"""What the call of a tool says, whoever makes it: a title, a plan, sources; and the times that lines tell."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from durastream.sources.adapters.narrator import Entry, Narrator

__all__ = ["from_iso", "from_number", "plan_of", "sources_of", "title_of"]

_PLAN_TOOLS = frozenset({"todowrite", "writetodos", "updatetodos", "updateplan"})
_TELLING = (
    "command",
    "cmd",
    "file_path",
    "filePath",
    "path",
    "pattern",
    "query",
    "url",
    "title",
    "description",
    "prompt",
)
_TITLES = ("content", "description", "step", "text", "title")
_CHECKBOX = re.compile(r"^\s*(?:[-*+]|\d+\.)\s+\[(.)\]\s+(\S.*)$", re.M)
_CHECKED = {"x": "done", "X": "done", " ": "pending"}


def title_of(name: str, taken: Any) -> str:
    """A title for the step of a call: the tool and the first thing that tells what it is called for."""
    if type(taken) is dict:
        for key in _TELLING:
            word = taken.get(key)
            if type(word) is str and word:
                return f"{name} {word[:200]}"
    return name


def plan_of(name: str, taken: Any) -> list[Entry] | None:
    """The plan that a call writes; None when it is a call of another tool.

    Entries are objects in a list, or a list of checkboxes in Markdown.
    """
    if _plain(name) not in _PLAN_TOOLS or type(taken) is not dict:
        return None
    told = taken.get("todos", taken.get("plan", taken.get("content")))
    if type(told) is str:
        return [Entry(title.strip(), _CHECKED.get(box, "active")) for box, title in _CHECKBOX.findall(told)] or None
    if type(told) is not list:
        return None
    return [_entry(item) for item in told]


def _entry(item: dict[str, Any]) -> Entry:
    title = next(item[key] for key in _TITLES if item.get(key))
    return Entry(title, item.get("status") or "pending", item.get("id"))


def sources_of(say: Narrator, step_id: Any, name: str, taken: Any, given: Any) -> None:
    """The addresses that a fetch was sent to, or that a search on the web found, as sources."""
    word = _plain(name)
    if "fetch" in word:
        say.cite(taken, origin="tool", step_id=step_id)
    elif "websearch" in word or "searchweb" in word:
        say.cite(given, origin="tool", step_id=step_id)


def _plain(name: str) -> str:
    """A tool's name as it is compared: without what it belongs to, in lower case, without - and _."""
    return name.rpartition("__")[2].lower().replace("-", "").replace("_", "")


def from_iso(stamp: Any) -> float | None:
    """Seconds since 1970 of a time as in ISO 8601, in UTC unless it says otherwise; None when it is no such time."""
    if type(stamp) is not str:
        return None
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def from_number(stamp: Any, per_second: int = 1) -> float | None:
    """Seconds since 1970 of a time that is counted from there; None when it is no such time."""
    return float(stamp / per_second) if type(stamp) in (int, float) and 0 < stamp < per_second * 1e11 else None
