"""The outline of the steps: kept up step by step, it is what it would be if it were made anew."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from durastream.state import RunState
from durastream.steps import Outline

IDS = st.sampled_from(["a", "b", "c", "p1", "p2"])
PARENTS = st.one_of(st.none(), IDS, st.just("elsewhere"), st.just(7))
BEGIN = st.tuples(st.just("step.started"), IDS, PARENTS, st.sampled_from(["tool", "plan"]))
END = st.tuples(st.just("step.completed"), IDS, st.sampled_from(["ok", "failed", "denied", "active"]), st.none())


def outlined(outline: Outline) -> Any:
    return list(outline.open), {
        name: ([step.step_id for step in branch.steps], branch.going, branch.failed, branch.until)
        for name, branch in outline.branches.items()
    }


@given(st.lists(st.one_of(BEGIN, END), max_size=12), st.integers(0, 12))
def test_kept_up_or_made_anew_or_loaded_it_is_the_same(told: Any, asked: int) -> None:
    state = RunState()
    for number, (type_, step_id, third, kind) in enumerate(told, 1):
        data = {"step_id": step_id, "title": step_id, "kind": kind, "parent": third}
        if type_ == "step.completed":
            data = {"step_id": step_id, "status": third}
        state.take(number, "", float(number), type_, data)
        if number >= asked:
            assert outlined(state.outline) == outlined(Outline(state.steps))
    assert outlined(state.outline) == outlined(RunState.load(state.dump()).outline)
    assert list(state.outline.open.values()) == state.open_steps
    assert [step.place for step in state.steps.values()] == list(range(len(state.steps)))


def test_a_branch_has_all_steps_under_an_entry_of_the_plan() -> None:
    state = RunState()
    for number, (step_id, kind, parent) in enumerate(
        [("p1", "plan", None), ("a", "tool", "p1"), ("a1", "tool", "a"), ("b", "tool", "p2"), ("c", "tool", None)], 1
    ):
        data = {"step_id": step_id, "title": step_id, "kind": kind, "parent": parent}
        state.take(number, "", float(number), "step.started", data)
    state.take(6, "", 9.0, "step.completed", {"step_id": "a1", "status": "failed"})
    assert {name: [step.step_id for step in branch.steps] for name, branch in state.outline.branches.items()} == {
        "p1": ["a", "a1"], "p2": ["b"],
    }  # fmt: skip
    branch = state.outline.branches["p1"]
    assert (branch.going, branch.failed, branch.until) == (1, 1, 9.0)
