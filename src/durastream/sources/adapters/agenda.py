"""Which entry of the plan is which? An agent tells its plan again and again, and seldom with ids."""

from __future__ import annotations

from typing import Any, NamedTuple

from durastream.sources.adapters.cuts import line, string

__all__ = ["OWN", "Agenda", "Entry", "plan_status"]

OWN = "plan/"
"""What the ids of all entries begin with, and no other step's: an entry in progress is a step of the same id."""

_STATUS = {
    "active": "active",
    "blocked": "pending",
    "canceled": "cancelled",
    "cancelled": "cancelled",
    "complete": "done",
    "completed": "done",
    "deleted": "cancelled",
    "done": "done",
    "in_progress": "active",
    "inprogress": "active",
    "skipped": "skipped",
}


class Entry(NamedTuple):
    """One entry of a plan as an agent tells it. `status` may be in any spelling that agents use."""

    title: str
    status: str = "pending"
    id: str | None = None


class Agenda:
    """The plan as it was told last."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self._count = 0

    def identified(self, told: list[Entry]) -> list[dict[str, Any]]:
        """A plan as it is told now, with the ids that its entries had: known by their id, else by their title, else by
        their place."""
        known = {_normal(entry["title"]): entry["id"] for entry in self.entries}
        titles = {_normal(line(entry.title)) for entry in told}
        used: set[str] = set()
        plan = []
        for place, entry in enumerate(told):
            title = line(entry.title)
            id_ = known.get(_normal(title)) if entry.id is None else OWN + string(entry.id)
            if id_ is None and len(told) == len(self.entries):
                there = self.entries[place]
                id_ = there["id"] if _normal(there["title"]) not in titles else None
            while id_ is None or id_ in used:
                self._count += 1
                id_ = f"{OWN}p{self._count}"
            used.add(id_)
            plan.append({"id": id_, "title": title, "status": plan_status(entry.status)})
        return plan


def plan_status(told: Any) -> str:
    """A plan entry's status in our words: pending when it is unknown."""
    word = string(told).lower().removeprefix("todo_status_").replace("-", "_").replace(" ", "_")
    return _STATUS.get(word, "pending")


def _normal(title: str) -> str:
    return " ".join(title.casefold().split())
