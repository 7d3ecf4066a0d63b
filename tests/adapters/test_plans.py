"""Plans: in the input of a tool, in the state of an application, in patches of that state."""

from __future__ import annotations

from typing import Any

import pytest

from durastream.sources.adapters import Entry
from durastream.sources.adapters.plans import Document, entries, is_plan_tool, plan_in, plan_of

LOOK = {"title": "Look up", "status": "pending"}


@pytest.mark.parametrize(
    "name",
    ["TodoWrite", "write_todos", "todo_write", "todowrite", "updateTodos", "update-plan", "developer__todo_write"],
)
def test_names_of_plan_tools(name: str) -> None:
    assert is_plan_tool(name)
    assert not is_plan_tool(f"{name}_x")
    assert not is_plan_tool(None)


def test_a_tool_takes_a_plan_under_any_of_the_names_that_agents_use() -> None:
    assert plan_of("update_plan", {"explanation": "x", "plan": [{"step": "a", "status": "pending"}]}) == [Entry("a")]
    assert plan_of("update_plan", {"steps": ["a"]}) == [Entry("a")]
    assert plan_of("update_plan", {"todos": []}) == []
    assert plan_of("update_plan", {"todo_list": [{"content": "a", "status": "done"}]}) == [Entry("a", "done")]
    assert plan_of("update_plan", {"plan": "a"}) is plan_of("update_plan", "a") is None
    assert plan_of("lookup", {"plan": ["a"]}) is None


def test_a_plan_may_be_checkboxes() -> None:
    told = "# To do\n- [x] Look up\n* [-] Write\n1. [ ] Check\n"
    assert plan_of("todo_write", {"content": told}) == [
        Entry("Look up", "done"), Entry("Write", "active"), Entry("Check", "pending")
    ]  # fmt: skip


@pytest.mark.parametrize("value", [None, "x", [1], [{"status": "done"}], [{"title": 1, "status": "done"}]])
def test_what_is_no_list_of_entries(value: Any) -> None:
    assert entries(value) is None


def test_entries_have_many_names() -> None:
    told = [{"content": "a", "state": "done", "id": 7}, {"step": "b", "status": "x", "id": "k"}, {**LOOK, "id": None}]
    assert entries(told) == [("a", "done", "7"), ("b", "x", "k"), ("Look up", "pending", None)]
    assert entries([{"title": "a", "status": 3}, "b"]) == [Entry("a"), Entry("b")]


def test_what_no_tool_calls_a_plan_needs_titles_and_statuses() -> None:
    assert plan_in({"plan": [{"title": "a"}]}) is plan_in({"plan": ["a"]}) is plan_in({"plan": 1}) is None


def test_a_plan_is_found_under_a_key_that_names_it() -> None:
    assert plan_in({"rows": [LOOK], "tasks": []}) == []
    assert plan_in({"tasks": [], "plan": [LOOK]}) == [("Look up", "pending", None)]
    assert plan_in({"agent": {"plan": {"steps": [LOOK]}}}) == [("Look up", "pending", None)]
    assert plan_in({"a": {"b": {"c": {"plan": [LOOK]}}}}) is None


def _patched(start: Any, *operations: dict[str, Any]) -> list[tuple[str, str]]:
    document = Document()
    document.put(start)
    document.patch(list(operations))
    return [(entry.title, entry.status) for entry in document.plan()]


def test_patches_of_all_kinds() -> None:
    start = {"plan": {"steps": [LOOK, {"title": "Answer", "status": "pending"}]}}
    look, answer = ("Look up", "pending"), ("Answer", "pending")
    new = {"title": "New", "status": "done"}
    assert _patched(start, {"op": "remove", "path": "/plan/steps/0"}) == [answer]
    assert _patched(start, {"op": "add", "path": "/plan/steps/1", "value": new}) == [look, ("New", "done"), answer]
    assert _patched(start, {"op": "replace", "path": "/plan/steps/1", "value": new}) == [look, ("New", "done")]
    assert _patched(start, {"op": "replace", "path": "/plan/steps", "value": [new]}) == [("New", "done")]
    assert _patched(start, {"op": "replace", "path": "/plan", "value": {"steps": [new]}}) == [("New", "done")]
    assert _patched(start, {"op": "replace", "path": "", "value": {"plan": [new]}}) == [("New", "done")]
    assert _patched(start, {"op": "replace", "path": "", "value": {}}) == []
    assert _patched(start, {"op": "remove", "path": "/plan"}) == []
    assert _patched(start, {"op": "remove", "path": "/todos/3"}) == [look, answer]
    assert _patched(start, {"op": "test", "path": "/plan", "value": 1}) == [look, answer]
    assert _patched({}, {"op": "add", "path": "/agent/a~1b/todos", "value": [LOOK]}) == [look]
    assert _patched({}, {"op": "add", "path": "/agent", "value": {"todos": [LOOK], "mail": "x"}}) == [look]
