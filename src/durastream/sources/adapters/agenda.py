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
        titles = [line(entry.title) for entry in told]
        names = [_normal(title) for title in titles]
        replaced: dict[int, str] = {}
        if len(told) == len(self.entries):
            kept = set(names)
            before = enumerate(self.entries)
            replaced = {place: entry["id"] for place, entry in before if _normal(entry["title"]) not in kept}
        used: set[str] = set()
        plan = []
        for place, entry in enumerate(told):
            id_ = OWN + string(entry.id) if entry.id is not None else known.get(names[place], replaced.get(place))
            while id_ is None or id_ in used:
                self._count += 1
                id_ = f"{OWN}p{self._count}"
            used.add(id_)
            plan.append({"id": id_, "title": titles[place], "status": plan_status(entry.status)})
        return plan


def plan_status(told: Any) -> str:
    """A plan entry's status in our words: pending when it is unknown."""
    word = string(told).lower().removeprefix("todo_status_").replace("-", "_").replace(" ", "_")
    return _STATUS.get(word, "pending")


def _normal(title: str) -> str:
    return " ".join(title.casefold().split())
