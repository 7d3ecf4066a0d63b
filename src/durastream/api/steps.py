"""The steps of the work: which step a piece of code is in, and how each ends."""

from __future__ import annotations

import contextvars
import time

from durastream.api.context import current
from durastream.api.values import number, outcome, text_of
from durastream.forks import new_id

TYPE_CHECKING = False  # as in typing, which costs 4 ms to import
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Literal, Self

    from durastream.api.sink import Sink

__all__ = ["Step", "step", "step_in"]

_place: contextvars.ContextVar[_Place | None] = contextvars.ContextVar("durastream_step", default=None)


class _Place:
    """Where in the work a piece of code stands: in a step, in what was around it, in a run."""

    __slots__ = ("around", "open", "sink", "step_id")

    def __init__(self, step_id: str) -> None:
        self.step_id = step_id
        self.around = _enclosing()
        self.sink = current()
        self.open = True


def _enclosing() -> _Place | None:
    """The innermost open step of this context: a task may outlive the step that it was started in."""
    place = _place.get()
    while place is not None and not place.open:
        place = place.around
    return place


def step_in(sink: Sink) -> str | None:
    """The id of the step around the call, if it is a step of this run."""
    return _at(_enclosing(), sink)


def _at(place: _Place | None, sink: Sink) -> str | None:
    return place.step_id if place is not None and place.sink is sink else None


class Step:
    """A step of work, as `with step(...)` or `async with step(...)` yields it. Its parent is the step around it."""

    def __init__(self, title: str, kind: str, step_id: str | None, parent: Step | str | None, input_: object) -> None:
        self.title = text_of(title)
        self.kind = kind
        self.step_id = new_id("s") if step_id is None else text_of(step_id)
        self._parent = parent
        self._input = input_
        self._place: _Place | None = None
        self._started = 0.0
        self._status = "ok"
        self._reason: str | None = None
        self._output: object = None

    def __enter__(self) -> Self:
        place = self._place = _Place(self.step_id)
        _place.set(place)
        if place.sink is not None:
            parent = self._parent.step_id if isinstance(self._parent, Step) else self._parent
            if parent is None:
                parent = _at(place.around, place.sink)
            fields = {"step_id": self.step_id, "title": self.title, "kind": self.kind, "parent": parent}
            place.sink.write("step.started", {**fields, "input": self._input})
        self._started = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        duration = round(time.perf_counter() - self._started, 6)
        place = self._place
        if place is None or not place.open:
            return
        place.open = False
        if _place.get() is place:  # in a generator closed elsewhere it is not, and a token would raise
            _place.set(place.around)
        if error is not None and self._status not in ("failed", "denied") and outcome(error)[0] != 0:
            self._status, self._reason = "failed", text_of(error)
        if place.sink is not None:
            fields = {"step_id": self.step_id, "status": self._status, "output": self._output, "error": self._reason}
            place.sink.write("step.completed", {**fields, "duration": duration})

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def progress(self, message: str | None = None, fraction: float | None = None) -> None:
        """Say how far the work is; `fraction` is from 0 to 1, and held within."""
        place = self._place
        if place is None or place.sink is None or not place.open:
            return
        done = number(fraction)
        if isinstance(done, (int, float)):
            done = min(max(done, 0), 1)
        words = None if message is None else text_of(message)
        place.sink.write("step.progress", {"step_id": self.step_id, "message": words, "fraction": done})

    def output(self, value: object) -> None:
        """Keep what came out; it is written when the step ends. What JSON does not know is kept as its text."""
        self._output = value

    def fail(self, reason: object) -> None:
        """The step failed, though nothing was raised. `reason` may be an exception."""
        self._status, self._reason = "failed", text_of(reason)

    def skip(self, reason: object) -> None:
        """The step turned out not to be needed."""
        self._status, self._reason = "skipped", text_of(reason)

    def deny(self, reason: object) -> None:
        """The step was not allowed."""
        self._status, self._reason = "denied", text_of(reason)


def step(
    title: str,
    *,
    kind: Literal["plan", "tool", "task", "model", "agent"] = "task",
    step_id: str | None = None,
    parent: Step | str | None = None,
    input: object = None,  # noqa: A002 - the name of the field
) -> Step:
    """A step of work: `with step("search") as s:` (or `async with`). It is written before the work starts.

    An exception makes it failed and goes on its way; `sys.exit(0)` does not. Steps nest, in async tasks too; a new
    thread starts outside of any, unless you name its `parent`.
    """
    return Step(title, kind, step_id, parent, input)
