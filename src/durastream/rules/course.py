"""What the rules must remember of a run beside its state: what was seen when, and which event said it.

The recorder and `verify` feed it the same way. Nearly all events are pieces of text, of which it takes only a count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from durastream.events import Event
from durastream.rules.finding import Finding
from durastream.state import RunState

__all__ = ["VISIBLE", "WATCHED", "Course", "by_durastream"]

VISIBLE = frozenset(
    {
        "approval.requested",
        "artifact.created",
        "error.raised",
        "log.line",
        "plan.created",
        "plan.updated",
        "quality.checked",
        "reasoning.delta",
        "source.added",
        "step.completed",
        "step.progress",
        "step.started",
        "text.delta",
        "text.retracted",
    }
)
"""Types by which a viewer sees that something happens, when they come from the agent."""

_BINS = 512
_PAUSE = 5.0
_MOST = 100


class Course:
    """How a run went. `note` takes the events of WATCHED types before the state does, `seen` all visible ones."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        """What was wrong in the order of events when it came: steps opened twice, or closed without."""
        self.plan_seq: int | None = None
        self.step_seq: int | None = None
        """The first step that is no entry of the plan."""
        self.last_step: tuple[int, str] | None = None
        self.written: frozenset[str] = frozenset()
        """The messages that had text before there was a plan."""
        self.completed: dict[str, int] = {}
        self.steps: dict[str, int] = {}
        self.unopened: set[str] = set()
        """The steps whose progress was told while they were not open: each is named once."""
        self.sources: dict[str, int] = {}
        self.approvals: dict[str, int] = {}
        self.retracted: dict[str, list[tuple[int, str, int]]] = {}
        """Length, SHA-256 and seq of the retraction, for each text that was taken back."""
        self.declared_seq: int | None = None
        self.fatal_seq: int | None = None
        self.rejected: list[tuple[int, str]] = []
        self.judged = False
        """Whether durastream has said its own part already."""
        self.first: float | None = None
        """Seconds of the run at which the first thing was visible."""
        self.missed = False
        """Whether something was read late before anything was seen: when the first was visible, nobody knows."""
        self.silence = 0.0
        self.silence_seq: int | None = None
        self.silent = 0.0
        """Seconds of all pauses of more than five."""
        self.visible = 0
        self._last = 0.0
        self._bins = [0] * _BINS
        self._width = 0.01

    def note(self, seq: int, type_: str, data: Any, state: RunState, *, own: bool) -> None:
        """Take an event of a WATCHED type, before the state does. `own` is what durastream itself has to say."""
        try:
            _NOTES[type_](self, seq, data, state, own)
        except (KeyError, TypeError, ValueError, AttributeError):
            return  # not what its type must be: the fold counts it

    def follow(self, events: Iterable[Event], state: RunState) -> None:
        """Take stored events, and fold them into the state: the same as to note and see them when they came."""
        apply, t, late, count, first = state.apply, -1.0, False, 0, 0
        for event in events:
            type_ = event.type
            if type_ in VISIBLE and event.src is not None:
                if event.t == t and event.late == late:
                    count += 1
                else:
                    if count:
                        self.seen(t, count, first, late=late)
                    t, late, count, first = event.t, event.late, 1, event.seq
            if type_ in WATCHED:
                self.note(event.seq, type_, event.data, state, own=event.src is None)
            apply(event)
        if count:
            self.seen(t, count, first, late=late)

    def seen(self, t: float, count: int, seq: int, *, late: bool = False) -> None:
        """That many visible events came at this second of the run, the first of them `seq`.

        Those that were read `late` came before, nobody knows when: they end no silence, and are no burst.
        """
        if late:
            self.missed = self.missed or self.first is None
            self.visible += count
            self._last = max(self._last, t)
            return
        if self.first is None:
            self.first = t
        self._pause(t, seq)
        self._last = t
        self.visible += count
        at = int(t / self._width) if t > 0 else 0
        while at >= _BINS:
            halves = [self._bins[i] + self._bins[i + 1] for i in range(0, _BINS, 2)]
            self._bins = halves + [0] * (_BINS // 2)
            self._width *= 2
            at = int(t / self._width)
        self._bins[at] += count

    def _pause(self, t: float, seq: int | None) -> None:
        gap = t - self._last
        if gap > self.silence:
            self.silence, self.silence_seq = gap, seq
        if gap > _PAUSE:
            self.silent += gap

    def silences(self, end: float) -> tuple[float, int | None, float]:
        """The longest pause (seconds), the event that ended it, and the seconds of all long ones, up to the end."""
        gap = end - self._last
        longest = (gap, None) if gap > self.silence else (self.silence, self.silence_seq)
        return (*longest, self.silent + (gap if gap > _PAUSE else 0.0))

    def share_after(self, t: float) -> float:
        """The share of visible events that came at or after a second of the run, to a 512th of it."""
        start = int(t / self._width) + 1 if t >= 0 else 0
        return sum(self._bins[start:]) / self.visible if self.visible else 0.0

    def _found(self, code: str, message: str, seq: int) -> None:
        if len(self.findings) < _MOST:
            self.findings.append(Finding(code, message, seq))


def by_durastream(data: Any) -> bool:
    """Whether it claims to be said by durastream itself."""
    return bool(data.get("by") == "durastream")


def _plan(course: Course, seq: int, data: Any, state: RunState, own: bool) -> None:
    if course.plan_seq is None and data["steps"]:
        course.plan_seq = seq
        course.written = frozenset(message.message_id for message in state.messages.values() if message.length)


def _step_started(course: Course, seq: int, data: Any, state: RunState, own: bool) -> None:
    step_id = data["step_id"]
    known = state.steps.get(step_id)
    if known is not None and known.status == "active":
        course._found("step-reopened", f"step {step_id} was started again while it was open", seq)  # noqa: SLF001
    course.steps[step_id] = seq
    if data.get("kind") != "plan":
        course.step_seq = course.step_seq or seq
        course.last_step = (seq, str(data["title"]))


def _step_completed(course: Course, seq: int, data: Any, state: RunState, own: bool) -> None:
    step_id = data["step_id"]
    known = state.steps.get(step_id)
    if known is None or known.status != "active":
        course._found("step-unopened", f"step {step_id} was completed, and not open", seq)  # noqa: SLF001


def _step_progress(course: Course, seq: int, data: Any, state: RunState, own: bool) -> None:
    step_id = data["step_id"]
    known = state.steps.get(step_id)
    if (known is None or known.status != "active") and step_id not in course.unopened and type(step_id) is str:
        if len(course.unopened) < _MOST:
            course.unopened.add(step_id)
        course._found("step-unopened", f"step {step_id} told its progress, and was not open", seq)  # noqa: SLF001


def _text_completed(course: Course, seq: int, data: Any, state: RunState, own: bool) -> None:
    course.completed.setdefault(data["message_id"], seq)


def _retracted(course: Course, seq: int, data: Any, state: RunState, own: bool) -> None:
    message_id = data["message_id"]
    course.completed.pop(message_id, None)
    message = state.messages.get(message_id)
    if message is not None and message.length:
        kept = course.retracted.setdefault(message_id, [])
        kept.append((message.length, message.sha256(), seq))
        del kept[:-20]


def _source(course: Course, seq: int, data: Any, state: RunState, own: bool) -> None:
    course.sources.setdefault(data["source_id"], seq)


def _approval(course: Course, seq: int, data: Any, state: RunState, own: bool) -> None:
    course.approvals[data["approval_id"]] = seq


def _declared(course: Course, seq: int, data: Any, state: RunState, own: bool) -> None:
    course.declared_seq = seq


def _error(course: Course, seq: int, data: Any, state: RunState, own: bool) -> None:
    if data.get("fatal") is True and not by_durastream(data):
        course.fatal_seq = seq


def _rejected(course: Course, seq: int, data: Any, state: RunState, own: bool) -> None:
    if len(course.rejected) < _MOST:
        course.rejected.append((seq, str(data["reason"])))


def _checked(course: Course, seq: int, data: Any, state: RunState, own: bool) -> None:
    if own and by_durastream(data):
        course.judged = True


_NOTES: dict[str, Callable[[Course, int, Any, RunState, bool], None]] = {
    "approval.requested": _approval,
    "error.raised": _error,
    "plan.created": _plan,
    "plan.updated": _plan,
    "quality.checked": _checked,
    "raw.rejected": _rejected,
    "run.declared": _declared,
    "source.added": _source,
    "step.completed": _step_completed,
    "step.progress": _step_progress,
    "step.started": _step_started,
    "text.completed": _text_completed,
    "text.retracted": _retracted,
}

WATCHED = frozenset(_NOTES)
"""The types that a course takes note of."""
