"""Plans that a tool call carries: TodoWrite, write_todos, update_plan and their like."""

from __future__ import annotations

from typing import Any

from durastream.sources.adapters.narrator import Entry

__all__ = ["entries", "is_plan_tool", "planned"]

_TOOLS = frozenset({"todowrite", "updateplan", "updatetodos", "writetodos"})
_LISTS = ("todos", "plan", "steps", "items", "tasks", "entries")
_TITLES = ("content", "title", "step", "description", "text", "name", "task")


def is_plan_tool(name: Any) -> bool:
    """Whether a tool of this name takes the whole plan."""
    return type(name) is str and name.lower().replace("_", "").replace("-", "") in _TOOLS


def planned(name: Any, given: Any) -> list[Entry] | None:
    """The plan that a call of this tool carries; None when the tool is no plan tool, or its input no plan."""
    if not is_plan_tool(name) or type(given) is not dict:
        return None
    for key in _LISTS:
        if (found := entries(given.get(key))) is not None:
            return found
    return None


def entries(value: Any) -> list[Entry] | None:
    """A list of titles, or of objects with a title and a status, as the entries of a plan; None for anything else."""
    if type(value) is not list:
        return None
    found = []
    for item in value:
        entry = _entry(item)
        if entry is None:
            return None
        found.append(entry)
    return found


def _entry(item: Any) -> Entry | None:
    if type(item) is str:
        return Entry(item)
    if type(item) is not dict:
        return None
    title = next((item[key] for key in _TITLES if type(item.get(key)) is str), None)
    if title is None:
        return None
    status, id_ = item.get("status"), item.get("id")
    known = status if type(status) is str else "pending"
    return Entry(title, known, str(id_) if type(id_) in (str, int) else None)
