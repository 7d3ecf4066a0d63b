"""Two runs side by side: what one has and the other has not, and what differs in what both have.

Runs are compared by what they say, never by ids or times, which are new in every run: entries of the plan and steps
are paired by their titles, sources by their address, checks by their name.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from durastream.rules import first_difference
from durastream.rules.course import by_durastream
from durastream.state import RunState, Step

__all__ = ["ASPECTS", "DEFAULT", "Difference", "diff"]

ASPECTS = ("status", "plan", "steps", "answer", "sources", "checks", "usage", "cost", "duration")
"""What can be compared, in the order in which it is told."""

DEFAULT = tuple(aspect for aspect in ASPECTS if aspect != "duration")
"""What is compared unless something else is asked for: no two runs take the same time."""

_T = TypeVar("_T")
_Pair = tuple[_T | None, _T | None]

_FACTOR = 2.0
_LEAST = 0.1


class Difference(NamedTuple):
    """Something that differs: `missing` in the second run, `added` in it, or `changed`.

    `what` names it, `left` and `right` are what the first and the second run have: JSON values, None where there is
    nothing.
    """

    aspect: str
    change: str
    what: str
    left: Any
    right: Any


def diff(left: RunState, right: RunState, aspects: Iterable[str] = DEFAULT) -> list[Difference]:
    """What differs between two runs under these aspects, in the order of `ASPECTS`. Raises KeyError for an unknown one.

    Durations differ when one is more than twice the other and they are more than 0.1 s apart.
    """
    asked = set(aspects)
    if unknown := asked.difference(ASPECTS):
        raise KeyError(f"no aspect of a run: {', '.join(sorted(unknown))}")
    return [found for aspect in ASPECTS if aspect in asked for found in _COMPARE[aspect](left, right)]


def _status(left: RunState, right: RunState) -> Iterator[Difference]:
    ends = left.completed or {}, right.completed or {}
    if left.status != right.status:
        yield Difference("status", "changed", "status", left.status, right.status)
    for name in ("exit_code", "signal", "reconciled"):
        told = ends[0].get(name), ends[1].get(name)
        if told[0] != told[1]:
            yield Difference("status", "changed", name, *told)


def _plan(left: RunState, right: RunState) -> Iterator[Difference]:
    pairs = _paired(left.plan, right.plan, lambda entry: entry["title"], lambda entry: entry["id"])
    for one, other in pairs:
        if one is None or other is None:
            yield _alone("plan", one and one["title"], other and other["title"], _plan_words(one), _plan_words(other))
        elif (one["title"], one["status"]) != (other["title"], other["status"]):
            yield Difference("plan", "changed", one["title"], _plan_words(one), _plan_words(other))
    kept = [(left.plan.index(one), right.plan.index(other)) for one, other in pairs if one and other]
    if [place for _, place in sorted(kept)] != sorted(place for _, place in kept):
        titles = [[entry["title"] for entry in state.plan] for state in (left, right)]
        yield Difference("plan", "changed", "order", *titles)


def _plan_words(entry: Mapping[str, Any] | None) -> Any:
    return None if entry is None else {"title": entry["title"], "status": entry["status"]}


def _steps(left: RunState, right: RunState) -> Iterator[Difference]:
    pairs = _step_pairs(left, right)
    for one, other in pairs:
        told = _step_words(one), _step_words(other)
        if one is None or other is None:
            yield _alone("steps", one and one.title, other and other.title, *told)
        elif any(told[0][name] != told[1][name] for name in ("title", "kind", "status")):
            yield Difference("steps", "changed", one.title, *told)
    yield from _step_order([(one, other) for one, other in pairs if one and other])


def _step_pairs(left: RunState, right: RunState) -> list[_Pair[Step]]:
    here, there = ([step for step in state.steps.values() if step.kind != "plan"] for state in (left, right))
    return _paired(here, there, lambda step: (step.kind, step.title), lambda step: step.step_id)


def _step_words(step: Step | None) -> Any:
    if step is None:
        return None
    fields = ("title", "kind", "status", "duration", "error")
    return {name: getattr(step, name) for name in fields if getattr(step, name) is not None}


def _step_order(pairs: Sequence[tuple[Step, Step]]) -> Iterator[Difference]:
    """The first two steps of which one was over before the other began, and in the second run the other way round.

    Steps that overlap, or share a moment, have no order: what runs side by side may begin in any.
    """
    timed = [(one.title, span, there) for one, other in pairs if (span := _span(one)) and (there := _span(other))]
    begun = [there[0] for _, _, there in timed]
    if begun == sorted(begun):
        return
    for at, (title, here, there) in enumerate(timed):
        for then, later, earlier in timed[at + 1 :]:
            if _before(here, later) and _before(earlier, there):
                yield Difference("steps", "changed", "order", [title, then], [then, title])
                return


def _span(step: Step) -> tuple[float, float] | None:
    """When a step began and was over, in seconds of the run."""
    if step.started is None or not isinstance(step.duration, (int, float)):
        return None
    return step.started, step.started + step.duration


def _before(first: tuple[float, float], then: tuple[float, float]) -> bool:
    return first[0] < then[0] and first[1] <= then[0]


def _answer(left: RunState, right: RunState) -> Iterator[Difference]:
    texts = [state.answer.text if state.answer is not None else None for state in (left, right)]
    if texts[0] == texts[1]:
        return
    if texts[0] is None or texts[1] is None:
        yield _alone("answer", texts[0] and "text", texts[1] and "text", *texts)
        return
    at = first_difference(texts[0], texts[1])
    yield Difference("answer", "changed", f"text from character {at} on", *texts)


def _sources(left: RunState, right: RunState) -> Iterator[Difference]:
    here, there = (list(state.sources.values()) for state in (left, right))
    for one, other in _paired(here, there, _address, lambda _: None):
        if one is None or other is None:
            yield _alone("sources", one and _address(one), other and _address(other), one, other)


def _address(source: Mapping[str, Any]) -> str:
    return str(source.get("url") or source.get("title") or source.get("source_id"))


def _checks(left: RunState, right: RunState) -> Iterator[Difference]:
    said = [[check for check in state.checks if not by_durastream(check)] for state in (left, right)]
    for one, other in _paired(said[0], said[1], lambda check: str(check.get("name")), lambda _: None):
        told = _check_words(one), _check_words(other)
        if one is None or other is None:
            yield _alone("checks", one and str(one.get("name")), other and str(other.get("name")), *told)
        elif told[0] != told[1]:
            yield Difference("checks", "changed", str(one.get("name")), *told)


def _check_words(check: Mapping[str, Any] | None) -> Any:
    return (
        None if check is None else {name: check[name] for name in ("outcome", "score") if check.get(name) is not None}
    )


def _usage(left: RunState, right: RunState) -> Iterator[Difference]:
    for name in sorted((left.usage.keys() | right.usage.keys()) - {"cost_usd"}):
        yield from _amounts("usage", name, left.usage.get(name), right.usage.get(name))


def _cost(left: RunState, right: RunState) -> Iterator[Difference]:
    yield from _amounts("cost", "cost_usd", left.usage.get("cost_usd"), right.usage.get("cost_usd"))


def _amounts(aspect: str, name: str, left: float | None, right: float | None) -> Iterator[Difference]:
    if left != right:
        yield _alone(aspect, left is not None and name, right is not None and name, left, right)


def _duration(left: RunState, right: RunState) -> Iterator[Difference]:
    if _far(left.t, right.t):
        yield Difference("duration", "changed", "run", left.t, right.t)
    for one, other in _step_pairs(left, right):
        if one is not None and other is not None and _far(one.duration, other.duration):
            yield Difference("duration", "changed", one.title, one.duration, other.duration)


def _far(left: object, right: object) -> bool:
    """Whether two durations are further apart than runs of one program are anyway."""
    if not isinstance(left, (int, float)) or not isinstance(right, (int, float)):
        return False
    less, more = sorted((left, right))
    return more - less > _LEAST and more > _FACTOR * less


def _alone(aspect: str, left_name: Any, right_name: Any, left: Any, right: Any) -> Difference:
    """A difference by which run has it: the name of what is not there is none."""
    if left_name and right_name:
        return Difference(aspect, "changed", left_name, left, right)
    return Difference(aspect, "missing" if left_name else "added", left_name or right_name or "", left, right)


def _paired(
    left: Sequence[_T], right: Sequence[_T], key: Callable[[_T], Hashable], second: Callable[[_T], Hashable]
) -> list[_Pair[_T]]:
    """What belongs together: the nth of a key with the nth of it there, what is left over by its second key.

    In the order of the first run; what only the second has comes last.
    """
    there = _places(right, key)
    pairs: list[tuple[_T | None, _T | None]] = [(one, _take(there, key(one))) for one in left]
    again = _places([other for places in there.values() for other in places], second)
    again.pop(None, None)
    pairs = [(one, other if other is not None or one is None else _take(again, second(one))) for one, other in pairs]
    used = {id(other) for _, other in pairs}
    return pairs + [(None, other) for other in right if id(other) not in used]


def _places(items: Iterable[_T], key: Callable[[_T], Hashable]) -> dict[Hashable, list[_T]]:
    places: dict[Hashable, list[_T]] = {}
    for item in items:
        places.setdefault(key(item), []).append(item)
    return places


def _take(places: Mapping[Hashable, list[_T]], key: Hashable) -> _T | None:
    found = places.get(key)
    return found.pop(0) if found else None


_COMPARE: Mapping[str, Callable[[RunState, RunState], Iterator[Difference]]] = {
    "status": _status,
    "plan": _plan,
    "steps": _steps,
    "answer": _answer,
    "sources": _sources,
    "checks": _checks,
    "usage": _usage,
    "cost": _cost,
    "duration": _duration,
}
