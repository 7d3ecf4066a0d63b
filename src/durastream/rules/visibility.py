"""Could a viewer see how the work went, while it went? Rules over what was visible when."""

from __future__ import annotations

from typing import NamedTuple

from durastream.rules.course import Course
from durastream.rules.finding import Finding
from durastream.state import RunState

__all__ = ["Budgets", "visibility"]

_LONG_ENOUGH = 10.0
_LATE = 0.9


class Budgets(NamedTuple):
    """What a run may take, in seconds of it; `max_silent_share` from 0 to 1. None: as long as it likes."""

    first_event: float | None = None
    max_silence: float | None = None
    max_silent_share: float | None = None


def visibility(state: RunState, course: Course, budgets: Budgets = Budgets()) -> list[Finding]:
    """What a viewer could not see in time."""
    found = [*_order(state, course), *_budgets(state, course, budgets)]
    if state.t >= _LONG_ENOUGH and course.visible:
        share = course.share_after(_LATE * state.t)
        if share >= _LATE:
            message = (
                f"{share:.0%} of what was visible came in the last tenth of {state.t:.1f} s: "
                "until then a viewer saw a spinner"
            )
            found.append(Finding("burst-at-end", message))
    return found


def _order(state: RunState, course: Course) -> list[Finding]:
    found = []
    answer = state.answer
    if course.plan_seq is not None:
        if answer is not None and answer.message_id in course.written:
            message = f"the plan came with event {course.plan_seq}, when the answer had begun"
            found.append(Finding("plan-late", message, course.plan_seq))
        elif course.step_seq is not None and course.step_seq < course.plan_seq:
            message = f"the plan came with event {course.plan_seq}, the first step with event {course.step_seq}"
            found.append(Finding("plan-after-step", message, course.plan_seq))
    declared = (state.declared or {}).get("answer")
    final = answer is not None and (answer.final or isinstance(declared, dict))  # else it may be talk between steps
    whole = course.completed.get(answer.message_id) if answer is not None and final else None
    if whole is not None and course.last_step is not None and course.last_step[0] > whole:
        seq, title = course.last_step
        message = f"step {title!r} began after the answer was whole (event {whole})"
        found.append(Finding("step-after-answer", message, seq))
    return found


def _budgets(state: RunState, course: Course, budgets: Budgets) -> list[Finding]:
    found = []
    if budgets.first_event is not None and not course.missed:
        first = course.first
        if first is None and state.t > budgets.first_event:
            message = f"nothing was visible in {state.t:.1f} s, {budgets.first_event:g} s are allowed"
            found.append(Finding("first-event-late", message))
        elif first is not None and first > budgets.first_event:
            message = f"the first visible event came after {first:.1f} s, {budgets.first_event:g} s are allowed"
            found.append(Finding("first-event-late", message))
    longest, seq, silent = course.silences(state.t)
    if budgets.max_silence is not None and longest > budgets.max_silence:
        until = f"until event {seq}" if seq is not None else "until the end"
        message = f"nothing was visible for {longest:.1f} s {until}, {budgets.max_silence:g} s are allowed"
        found.append(Finding("silence-long", message, seq))
    if budgets.max_silent_share is not None and state.t > 0 and silent / state.t > budgets.max_silent_share:
        message = (
            f"{silent / state.t:.0%} of {state.t:.1f} s were pauses of more than 5 s, "
            f"{budgets.max_silent_share:.0%} are allowed"
        )
        found.append(Finding("silence-share", message))
    return found
