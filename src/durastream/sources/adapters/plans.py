"""What is the plan? It stands in the input of a tool, in the state of an application, or in patches of that state."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

from durastream.sources.adapters.narrator import Entry

__all__ = ["Document", "bare", "entries", "is_plan_tool", "plan_in", "plan_of"]

_TOOLS = frozenset({"todowrite", "updateplan", "updatetodos", "writetodos"})
_LISTS = ("todos", "plan", "steps", "items", "tasks", "entries", "content")
_TITLES = ("title", "subject", "content", "step", "text", "description", "task", "name")
_CHECKBOX = re.compile(r"^\s*(?:[-*+]|\d+\.)\s+\[(.)\]\s+(\S.*)$", re.M)
_CHECKED = {"x": "done", "X": "done", " ": "pending"}
_KEY = re.compile(r"plan|todo|steps|tasks", re.IGNORECASE)
_DEPTH = 3


def bare(name: str) -> str:
    """A tool's name as it is compared: TodoWrite, todo_write and todo-write are one."""
    return name.lower().replace("_", "").replace("-", "")


def is_plan_tool(name: Any) -> bool:
    """Whether a tool of this name takes the whole plan, on whatever server it may be."""
    return type(name) is str and bare(name.rpartition("__")[2]) in _TOOLS


def plan_of(name: Any, taken: Any) -> list[Entry] | None:
    """The plan that the call of a tool takes: a list, or checkboxes in Markdown. None for any other tool or input."""
    if not is_plan_tool(name) or type(taken) is not dict:
        return None
    for key in _LISTS:
        told = taken.get(key)
        if type(told) is str and (boxes := _CHECKBOX.findall(told)):
            return [Entry(title.strip(), _CHECKED.get(box, "active")) for box, title in boxes]
        if (found := entries(told)) is not None:
            return found
    return plan_in(taken)


def entries(value: Any) -> list[Entry] | None:
    """A list of titles, or of objects with a title, as the entries of a plan; None for anything else."""
    if type(value) is not list:
        return None
    found = [_entry(item) for item in value]
    return None if None in found else found  # type: ignore[return-value]  # None is not in it


def _entry(item: Any) -> Entry | None:
    if type(item) is str:
        return Entry(item)
    title = next((item[key] for key in _TITLES if type(item.get(key)) is str), None) if type(item) is dict else None
    if title is None:
        return None
    status, id_ = item.get("status", item.get("state")), item.get("id")
    known = status if type(status) is str else "pending"
    return Entry(title, known, str(id_) if type(id_) in (str, int) else None)


def plan_in(value: Any) -> list[Entry] | None:
    """The plan in any value: a list in which each item has a title and a status, under a key such as plan or todos."""
    path = _find(value)
    for key in path or ():
        value = value[key]
    return entries(value) if _is_plan(value) else None


def _is_plan(value: Any) -> bool:
    """Whether a list is a plan by its form alone."""
    if type(value) is not list or entries(value) is None:
        return False
    return all(type(item) is dict and type(item.get("status", item.get("state"))) is str for item in value)


def _find(value: Any, depth: int = _DEPTH) -> tuple[str, ...] | None:
    """Where in an object the plan is; one with entries before an empty one."""
    if type(value) is not dict:
        return None
    empty = None
    for key, item in value.items():
        if _KEY.search(key) and _is_plan(item):
            if item:
                return (key,)
            empty = (key,)
    if depth > 1:
        for key, item in value.items():
            inner = _find(item, depth - 1)
            if inner is not None:
                return (key, *inner)
    return empty


class Document:
    """Of a state that is told by snapshots and JSON patches, the part that is the plan."""

    def __init__(self) -> None:
        self._value: Any = {}

    def put(self, value: Any) -> None:
        self._value = _pruned(value)

    def patch(self, operations: list[dict[str, Any]]) -> None:
        """Apply what adds, replaces or removes in the plan or around it. Raises when it does not fit."""
        value = deepcopy(self._value)
        for operation in operations:
            if operation["op"] in ("add", "replace", "remove"):
                value = _patched(value, operation)
        self._value = _pruned(value)

    def plan(self) -> list[Entry]:
        return plan_in(self._value) or []


def _pruned(value: Any) -> Any:
    """An object without what is not on the way to its plan."""
    path = _find(value)
    if path is None:
        return {}
    for key in path:
        value = value[key]
    for key in reversed(path):
        value = {key: value}
    return value


def _patched(value: Any, operation: dict[str, Any]) -> Any:
    op = operation["op"]
    path = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
    new = None if op == "remove" else operation["value"]
    if not any(map(_KEY.search, path)):
        new = _pruned(new)
        if not new:
            op = "remove"  # whatever stood there, no plan is in its place
    if not path:
        return new or {}
    at = value
    for part in path[:-1]:
        if type(at) is list:
            at = at[int(part)]
        elif op == "remove" and part not in at:
            return value
        else:
            at = at.setdefault(part, {})
    _set(at, path[-1], op, new)
    return value


def _set(at: Any, last: str, op: str, new: Any) -> None:
    if type(at) is list:
        if op == "add":
            at.insert(len(at) if last == "-" else int(last), new)
        elif op == "replace":
            at[int(last)] = new
        else:
            del at[int(last)]
    elif op == "remove":
        at.pop(last, None)
    else:
        at[last] = new
