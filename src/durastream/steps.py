"""The steps of a run, and how they hang together: which are open, and which are under what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

__all__ = ["Branch", "Outline", "Step", "dump", "load"]

WENT_WELL = frozenset({"ok", "skipped", "active"})
"""How a step stands that has not failed."""


class Step:
    """A step of work. `status` is `active` until it is completed; `started` is in seconds of the run."""

    __slots__ = (
        "duration",
        "error",
        "fraction",
        "input",
        "kind",
        "message",
        "output",
        "parent",
        "place",
        "started",
        "status",
        "step_id",
        "title",
        "top",
    )

    def __init__(self, step_id: str, title: str, kind: str, started: float | None) -> None:
        self.step_id = step_id
        self.title = title
        self.kind = kind
        self.status = "active"
        self.parent: str | None = None
        self.top: str | None = None
        """The root of the branch that it is in, once there is an outline."""
        self.place = 0
        """How many steps are before it, once there is an outline."""
        self.started = started
        self.duration: float | None = None
        self.error: str | None = None
        self.message: str | None = None
        self.fraction: float | None = None
        self.input: Any = None
        self.output: Any = None

    def copy(self) -> Step:
        """The same, to go on from here by itself."""
        step = Step.__new__(Step)
        step.step_id, step.title, step.kind, step.status = self.step_id, self.title, self.kind, self.status
        step.started, step.duration, step.parent, step.error = self.started, self.duration, self.parent, self.error
        step.message, step.fraction, step.input, step.output = self.message, self.fraction, self.input, self.output
        step.top, step.place = None, 0
        return step


_REST = ("kind", "status", "started", "duration", "parent", "error", "message", "fraction", "input", "output")
_FIELDS = ("step_id", "title", *_REST)


def dump(steps: Iterable[Step]) -> dict[str, list[Any]]:
    """What is known of many steps, by columns: a run can have ten thousand, and is saved again and again.

    A column of which nothing is known is left out.
    """
    each = list(steps)
    columns = ((name, list(map(attrgetter(name), each))) for name in _FIELDS)
    return {name: column for name, column in columns if column.count(None) < len(column)}


def load(saved: Mapping[str, Sequence[Any]]) -> dict[str, Step]:
    """The steps that `dump` saved, by their ids. Raises ValueError, KeyError or TypeError for anything else."""
    if type(saved) is not dict or any(type(column) is not list for column in saved.values()):
        raise TypeError("steps are not saved by columns")
    ids = saved["step_id"] if saved else []
    unknown = [None] * len(ids)
    steps: dict[str, Step] = {}
    for step_id, title, kind, status, started, duration, parent, error, message, fraction, given, output in zip(
        ids, saved["title"] if saved else [], *(saved.get(name, unknown) for name in _REST), strict=True
    ):
        step = steps[step_id] = Step.__new__(Step)  # most of what a late joiner waits for: without a further call
        step.step_id, step.title, step.kind, step.status = step_id, title, kind, status
        step.started, step.duration, step.parent, step.error = started, duration, parent, error
        step.message, step.fraction, step.input, step.output = message, fraction, given, output
        step.top, step.place = None, 0
    return steps


class Branch:
    """All steps under one root, in the order in which they began, and how many of them are open or went wrong.

    `until` is when the last of them ended, in seconds of the run.
    """

    __slots__ = ("failed", "going", "steps", "until")

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.going = 0
        self.failed = 0
        self.until: float | None = None


class Outline:
    """The steps as branches, kept up step by step, so that a picture of ten thousand costs no more than one of ten.

    A branch goes by the name of its root: the step at its top, or a parent that is no step, such as an entry of the
    plan. A step of kind `plan` is a root wherever it is.
    """

    def __init__(self, steps: Mapping[str, Step]) -> None:
        self.open: dict[str, Step] = {}
        """Those that have begun and not ended, in the order of all steps."""
        self.branches: dict[str, Branch] = {}
        before: dict[str, Step] = {}
        for step in steps.values():
            self.begin(step, before)
            before[step.step_id] = step
            if step.status != "active":
                self.end(step)

    def begin(self, step: Step, before: Mapping[str, Step]) -> None:
        """Take in a step that was not there; `before` are the others."""
        step.top, step.place = _top(step, before), len(before)
        self.open[step.step_id] = step
        if step.top is not None:
            branch = self.branches.get(step.top)
            if branch is None:
                branch = self.branches[step.top] = Branch()
            branch.steps.append(step)
            branch.going += 1

    def end(self, step: Step) -> None:
        """Note that an open step has ended."""
        self.open.pop(step.step_id, None)
        branch = self.branches.get(step.top) if step.top is not None else None
        if branch is None:
            return
        branch.going -= 1
        branch.failed += step.status not in WENT_WELL
        if _is_number(step.started) and _is_number(step.duration):
            branch.until = max(branch.until or 0.0, step.started + step.duration)  # type: ignore[operator]


def _top(step: Step, before: Mapping[str, Step]) -> str | None:
    if not isinstance(step.parent, str):
        return None
    parent = before.get(step.parent)
    return step.parent if parent is None or parent.kind == "plan" or parent.top is None else parent.top


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and abs(value) < 1e15  # type: ignore[arg-type]
