"""Plans as agents tell them inside other things: in the input of a tool, in the state of an application, in patches."""

from __future__ import annotations

import re
from typing import Any

from durastream.sources.adapters.narrator import Entry

__all__ = ["entries", "is_plan_tool", "plan_in"]

_TOOLS = frozenset({"todowrite", "writetodos", "updatetodos", "updateplan"})
_KEY = re.compile(r"plan|todo|steps|tasks", re.IGNORECASE)
_TITLES = ("title", "content", "description", "text", "step", "task", "name")
_DEPTH = 3


def is_plan_tool(name: Any) -> bool:
    """Whether a tool of this name takes the whole plan: TodoWrite, write_todos, update_plan and their like."""
    return type(name) is str and name.lower().replace("_", "").replace("-", "") in _TOOLS


def entries(value: Any) -> list[Entry] | None:
    """A list in which every item has a title and a status, as the entries of a plan; None when it is no such list."""
    if type(value) is not list:
        return None
    found = []
    for item in value:
        if type(item) is not dict:
            return None
        title = next((item[key] for key in _TITLES if type(item.get(key)) is str), None)
        status, id_ = item.get("status", item.get("state")), item.get("id")
        if title is None or type(status) is not str:
            return None
        found.append(Entry(title, status, str(id_) if type(id_) in (str, int) else None))
    return found


def plan_in(value: Any) -> list[Entry] | None:
    """The plan in a value: the value itself, or a list under a key such as todos, plan, steps or tasks."""
    path = _find(value)
    for key in path or ():
        value = value[key]
    return entries(value)


def _find(value: Any, depth: int = _DEPTH) -> tuple[str, ...] | None:
    """Where in an object the plan is; one with entries before an empty one."""
    if type(value) is not dict:
        return None
    empty = None
    for key, item in value.items():
        if _KEY.search(key) and (found := entries(item)) is not None:
            if found:
                return (key,)
            empty = (key,)
    if depth > 1:
        for key, item in value.items():
            inner = _find(item, depth - 1)
            if inner is not None:
                return (key, *inner)
    return empty
