"""The plan: the list of what is to be done, written again whole at each change."""

from __future__ import annotations

import itertools

from durastream import forks
from durastream.api.context import current
from durastream.api.sink import complain
from durastream.api.values import text_of

TYPE_CHECKING = False  # as in typing, which costs 4 ms to import
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

__all__ = ["Plan", "plan"]


class Plan:
    """A plan that `plan` wrote. Each change writes the whole list again.

    A step is named by its position in the list (from 0), its id or its title; a name that is not there is added.
    """

    def __init__(self, steps: Iterable[str | Mapping[str, Any]]) -> None:
        self._sink = current()
        self._entries: list[dict[str, Any]] = []
        given: Any = steps
        for entry in given if not isinstance(given, str) and hasattr(given, "__iter__") else [given]:
            self._enter(entry)
        self._write()

    @property
    def steps(self) -> list[dict[str, Any]]:
        return [dict(entry) for entry in self._entries]

    def start(self, step: int | str) -> None:
        self._set(step, "active")

    def done(self, step: int | str) -> None:
        self._set(step, "done")

    def skip(self, step: int | str) -> None:
        self._set(step, "skipped")

    def cancel(self, step: int | str) -> None:
        self._set(step, "cancelled")

    def add(self, step: str | Mapping[str, Any]) -> str:
        """Add a step at the end; returns its id."""
        with forks.lock:
            entry = self._enter(step)
            self._write()
            return str(entry["id"])

    def _enter(self, step: str | Mapping[str, Any]) -> dict[str, Any]:
        given = step if hasattr(step, "items") else {"title": text_of(step)}
        entry = {name: value for name, value in given.items() if value is not None}
        taken = {other["id"] for other in self._entries}
        places = itertools.count(len(self._entries) + 1)
        id_ = text_of(entry["id"]) if "id" in entry else next(p for n in places if (p := f"p{n}") not in taken)
        title = text_of(entry.get("title", id_))
        whole = {**entry, "id": id_, "title": title, "status": entry.get("status", "pending")}
        if "parent" in whole:
            whole["parent"] = text_of(whole["parent"])
        self._entries.append(whole)
        return whole

    def _set(self, step: int | str, status: str) -> None:
        with forks.lock:
            entry = self._find(step)
            if entry is not None and entry["status"] != status:
                entry["status"] = status
                self._write()

    def _find(self, step: int | str) -> dict[str, Any] | None:
        if isinstance(step, int):
            if -len(self._entries) <= step < len(self._entries):
                return self._entries[step]
            complain(f"the plan has no step at {step}: it has {len(self._entries)}, counted from 0")
            return None
        for name in ("id", "title"):
            for entry in self._entries:
                if entry[name] == step:
                    return entry
        return self._enter(text_of(step))

    def _write(self) -> None:
        with forks.lock:
            if self._sink is not None:
                type_ = "plan.updated" if self._sink.planned else "plan.created"
                self._sink.planned = True
                self._sink.write(type_, {"steps": self._entries})


def plan(steps: Iterable[str | Mapping[str, Any]]) -> Plan:
    """Write the plan: titles, or mappings with `title` and, if you like, `id`, `status`, `parent`.

    Ids are given by position (`p1`, `p2` …) where there is none. A second plan replaces the first.
    """
    return Plan(steps)
