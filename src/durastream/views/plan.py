"""The plan with the steps under its entries, and the steps that are under none: folded to what fits.

What runs comes first, then what failed, then what ended last; the rest is a number. An entry that is done with is one
line, with how many steps it had and how many of them failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

from rich.text import Text

from durastream.state import RunState
from durastream.steps import WENT_WELL, Branch, Step
from durastream.views.frame import Section, kept, line, row, wrap
from durastream.views.words import MARK, STYLE, amount, duration, number, phrase, step_failure

__all__ = ["QUIET", "entry_row", "other_steps", "plan_section", "step_row", "steps_section", "steps_under"]

QUIET = 5.0
"""Seconds without an event before the screen says so in words; nothing turns from then on."""

_TURNS = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_TURNS_PER_SECOND = 8
_FAILED = 6
"""How many lines are there for the failed steps of one entry once the run has ended."""

_LOOKED_BACK = 200
"""How many of the steps that came last are looked at for those to show."""


def plan_section(state: RunState, now: float) -> Section | None:
    """The plan; under an entry that is active, its steps."""
    plan = state.plan
    if not plan:
        return None
    done = sum(1 for entry in plan if entry["status"] == "done")
    return Section(
        "plan", lambda width, room: _plan_lines(state, now, width, room), note=f"{done}/{len(plan)}",
        least=1, weight=3, rank=2,
    )  # fmt: skip


def steps_section(state: RunState, now: float) -> Section | None:
    """The steps that are under no entry of the plan."""
    count, going = _count_others(state)
    if not count:
        return None

    def pick(width: int, room: int) -> list[Text]:
        entries = {entry["id"] for entry in state.plan}
        running = [step for step in state.outline.open.values() if not _planned(step, entries)]
        return _telling(state, running, _others_back(state, entries), now, width, room)[1]

    return Section("steps", pick, note=f"{count - going}/{count}", least=2, weight=3, rank=3)


# The plan


def _plan_lines(state: RunState, now: float, width: int, room: int) -> list[Text]:
    plan = state.plan
    depths = _depths(plan)
    active = [index for index, entry in enumerate(plan) if _branch(state, entry) and _is_going(state, entry)]
    wanted = [_under(state, plan[index], now, width, room, depths[index]) for index in active]
    spare = max(room - sum(map(len, wanted)), room - room // 2)
    start, end = _window(len(plan), max(1, min(len(plan), spare)), _focus(state))
    rest = room - (end - start)
    below: dict[int, list[Text]] = {}
    for index, lines in zip(active, wanted, strict=True):
        if start <= index < end and rest > 0:
            fitting = lines if len(lines) <= rest else _under(state, plan[index], now, width, rest, depths[index])
            below[index] = fitting
            rest -= len(fitting)
    if state.completed is not None:
        for index in range(start, end):
            below[index] = _failed(state, plan[index], now, width, min(rest, _FAILED), depths[index])
            rest -= len(below[index])
    lines = []
    for index in range(start, end):
        if index == start > 0 and end - start >= 3:
            lines.append(kept(f"↑ {_counted(plan[: start + 1])}", "dim"))
        elif index == end - 1 < len(plan) - 1 and end - start >= 3:
            lines.append(kept(f"↓ {_counted(plan[end - 1 :])}", "dim"))
        else:
            lines.append(_entry_line(state, plan[index], now, width, depths[index]))
        lines += below.get(index, [])
    return lines


def _entry_line(state: RunState, entry: Mapping[str, Any], now: float, width: int, depth: int) -> Text:
    """An entry, with how many of its steps have ended, how many went wrong, and how long it takes."""
    branch = _branch(state, entry)
    own = state.steps.get(entry["id"])
    own = own if own is not None and own.kind == "plan" else None
    right = _spent(state, own, branch, now)
    detail = step_failure(own) if own is not None else ""
    if branch is not None:
        count = len(branch.steps)
        ended = f"{count - branch.going}/{count}" if branch.going else f"{count}"
        right = f"{ended} step{'s' * (count != 1)}  {right:>6}"
        if branch.failed and not detail:
            detail = f"{branch.failed} failed"
    return entry_row(entry, width, ended=state.completed is not None, indent=2 * depth, detail=detail, right=right)


def entry_row(
    entry: Mapping[str, Any], width: int, *, ended: bool, indent: int = 0, detail: str = "", right: str = ""
) -> Text:
    """An entry of the plan on one line."""
    mark = MARK.get(entry["status"], "·")
    if ended and mark == "▶":
        mark = "·"  # nothing is active in a run that has ended
    style = "dim" if entry["status"] == "cancelled" else STYLE[mark]
    return row(mark, style, phrase(entry["title"]), width, detail=detail, right=right.rstrip(), indent=indent)


def _spent(state: RunState, own: Step | None, branch: Branch | None, now: float) -> str:
    """How long an entry takes: its own step, else from its first step to the end of its last."""
    if own is not None:
        return duration(own.duration) if own.status != "active" else _going(state, own, now)
    if branch is None:
        return ""
    first = branch.steps[0]
    if branch.going:
        return _going(state, first, now)
    began = number(first.started)
    return duration(branch.until - began) if branch.until is not None and began is not None else ""


def _under(state: RunState, entry: Mapping[str, Any], now: float, width: int, room: int, depth: int) -> list[Text]:
    """The steps of an entry in at most so many lines; those that are not shown are counted."""
    branch = _branch(state, entry)
    if branch is None or room <= 0:
        return []
    running = [step for step in state.outline.open.values() if step.top == entry["id"]] if branch.going else []
    others = (step for step in islice(reversed(branch.steps), _LOOKED_BACK) if step.status != "active")
    fold = len(branch.steps) > room >= 3
    indent = 2 * (depth + 1)
    shown, lines = _telling(state, running, others, now, width, room - fold, indent)
    if fold:
        lines.insert(0, kept(f"{' ' * indent}… {amount(len(branch.steps) - shown)} more", "dim"))
    return lines


def _failed(state: RunState, entry: Mapping[str, Any], now: float, width: int, room: int, depth: int) -> list[Text]:
    """The steps of an entry that went wrong, the last of them, in at most so many lines."""
    branch = _branch(state, entry)
    if branch is None or not branch.failed or room <= 0:
        return []
    failed = (step for step in islice(reversed(branch.steps), _LOOKED_BACK) if step.status not in WENT_WELL)
    return _telling(state, [], failed, now, width, room, 2 * (depth + 1))[1]


def _is_going(state: RunState, entry: Mapping[str, Any]) -> bool:
    return state.completed is None and (entry["status"] == "active" or bool(state.outline.branches[entry["id"]].going))


def _branch(state: RunState, entry: Mapping[str, Any]) -> Branch | None:
    return state.outline.branches.get(entry["id"])


def _counted(entries: Sequence[Mapping[str, Any]]) -> str:
    """`12 done, 1 skipped`; of what is to come only how many."""
    counts: dict[str, int] = {}
    for entry in entries:
        counts[entry["status"]] = counts.get(entry["status"], 0) + 1
    if set(counts) == {"pending"}:
        return f"{len(entries)} more"
    return ", ".join(f"{count} {phrase(status, 20)}" for status, count in counts.items())


def _focus(state: RunState) -> int:
    """The place in the plan to look at: what is active, else what comes next, else the end."""
    for status in ("active", "pending"):
        for index, entry in enumerate(state.plan):
            if entry["status"] == status:
                return index
    return len(state.plan) - 1


def _window(total: int, room: int, focus: int) -> tuple[int, int]:
    start = max(0, min(focus - room // 2, total - room))
    return start, min(total, start + room)


def _depths(plan: Sequence[Mapping[str, Any]]) -> list[int]:
    parents = {entry["id"]: entry["parent"] for entry in plan if isinstance(entry["parent"], str)}
    return [_depth(entry["id"], parents) for entry in plan]


def _depth(name: str, parents: Mapping[str, str]) -> int:
    depth = 0
    while depth < 3 and name in parents:
        name, depth = parents[name], depth + 1
    return depth


# Steps


def steps_under(state: RunState, entry: Mapping[str, Any]) -> Sequence[Step]:
    """All steps of an entry, in the order in which they began."""
    branch = _branch(state, entry)
    return branch.steps if branch is not None else ()


def other_steps(state: RunState) -> list[Step]:
    """All steps that are under no entry of the plan."""
    entries = {entry["id"] for entry in state.plan}
    return [step for step in state.steps.values() if not _planned(step, entries)] if state.outline else []


def _planned(step: Step, entries: set[str]) -> bool:
    return step.top in entries or (step.kind == "plan" and step.step_id in entries)


def _count_others(state: RunState) -> tuple[int, int]:
    """How many steps are under no entry, and how many of them are open."""
    outline = state.outline
    count, going = len(state.steps), len(outline.open)
    entries = {entry["id"]: entry for entry in state.plan}
    for entry in entries.values():
        own = state.steps.get(entry["id"])
        if own is not None and own.kind == "plan" and own.top not in entries:
            count -= 1
            going -= own.status == "active"
        if (branch := _branch(state, entry)) is not None:
            count -= len(branch.steps)
            going -= branch.going
    return count, going


def _others_back(state: RunState, entries: set[str]) -> Iterator[Step]:
    """The last of the steps that have ended and are under no entry, the latest first."""
    back = islice(reversed(state.steps.values()), _LOOKED_BACK)
    return (step for step in back if step.status != "active" and not _planned(step, entries))


def _telling(
    state: RunState, running: Sequence[Step], back: Iterable[Step], now: float, width: int, room: int, indent: int = 0
) -> tuple[int, list[Text]]:
    """How many steps are shown, and they in their order: those that run, then what failed, then what ended last.

    There are at most `room` lines. A step stands under another where that is shown, too.
    """
    if len(running) > room:
        running = [*running[: room // 2], *running[len(running) - (room - room // 2) :]]
    ended = list(back)
    ended.sort(key=lambda step: step.status in WENT_WELL)
    chosen: dict[str, Step] = {}
    left = room
    for step in (*running, *ended):
        if left <= 0:
            break
        left -= len(_step_lines(state, step, now, width, indent))
        chosen[step.step_id] = step
    order = sorted(chosen.values(), key=lambda step: step.place)
    lines = [_step_lines(state, step, now, width, indent + 2 * _depth_in(chosen, step)) for step in order]
    return len(chosen), [text for each in lines for text in each][:room]


def _depth_in(chosen: Mapping[str, Step], step: Step) -> int:
    """How many of the others it is under."""
    depth = 0
    while depth < 3 and isinstance(step.parent, str) and (parent := chosen.get(step.parent)) is not None:
        step, depth = parent, depth + 1
    return depth


def _step_lines(state: RunState, step: Step, now: float, width: int, indent: int) -> list[Text]:
    shown = step_row(state, step, now, width, indent)
    why = step_failure(step)
    return [shown, *_failure_lines(why, width, indent + 2)] if why else [shown]


def step_row(state: RunState, step: Step, now: float, width: int, indent: int = 0) -> Text:
    """A step on one line: how it stands, what it is, how long it takes."""
    going = step.status == "active"
    spent = _going(state, step, now) if going else duration(step.duration)
    message, fraction = (step.message, number(step.fraction)) if going else (None, None)
    return _step_row(step.status, step.title, step.kind, spent, message, fraction, width, indent)


@lru_cache(maxsize=1024)
def _step_row(
    status: str, title: str, kind: str, spent: str, message: str | None, fraction: float | None, width: int, indent: int
) -> Text:
    mark = MARK.get(status, "?")
    detail = phrase(message)
    if fraction is not None:
        detail = f"{min(max(fraction, 0), 1):.0%} {detail}".rstrip()
    right = f"{phrase(kind, 8) if width >= 40 else '':<5} {spent:>6}"
    return row(mark, STYLE[mark], phrase(title), width, detail=detail, right=right, indent=indent)


@lru_cache(maxsize=256)
def _failure_lines(why: str, width: int, indent: int) -> tuple[Text, ...]:
    return tuple(line(" " * indent) + part for part in wrap(line(why, "red"), max(4, width - indent))[:2])


def _going(state: RunState, step: Step, now: float) -> str:
    """How long a step has been going on. It turns while events come, so that silence is not dressed up as work."""
    spent = duration(now - (number(step.started) or 0.0), whole=True)
    if state.completed is not None or now - (number(state.t) or 0.0) >= QUIET:
        return spent
    return f"{_TURNS[int(now * _TURNS_PER_SECOND) % len(_TURNS)]} {spent}"
