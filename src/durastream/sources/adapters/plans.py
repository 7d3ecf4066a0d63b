"""Plans as agents tell them inside other things: in the input of a tool, in the state of an application, in patches."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

from durastream.sources.adapters.narrator import Entry

__all__ = ["Document", "entries", "is_plan_tool", "plan_in"]

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
