"""Plans in the input of a tool."""

from __future__ import annotations

import pytest

from durastream.sources.adapters import Entry
from durastream.sources.adapters.todos import entries, is_plan_tool, planned


@pytest.mark.parametrize("name", ["TodoWrite", "write_todos", "todo_write", "todowrite", "updateTodos", "update-plan"])
def test_names_are_matched_however_they_are_written(name: str) -> None:
    assert is_plan_tool(name)
    assert not is_plan_tool(f"{name}_x")
    assert not is_plan_tool(None)


def test_a_plan_is_a_list_under_any_of_the_names_that_agents_use() -> None:
    assert planned("update_plan", {"explanation": "x", "plan": [{"step": "a", "status": "pending"}]}) == [Entry("a")]
    assert planned("update_plan", {"steps": ["a"]}) == [Entry("a")]
    assert planned("update_plan", {"plan": "a"}) is None
    assert planned("update_plan", "a") is planned("lookup", {"plan": ["a"]}) is None


def test_an_entry_has_a_title_and_may_have_a_status_and_an_id() -> None:
    assert entries([{"content": "a", "status": "done", "id": 1}]) == [Entry("a", "done", "1")]
    assert entries([{"title": "a", "status": 3, "id": None}]) == [Entry("a")]
    assert entries([{"status": "done"}]) is entries([3]) is entries(None) is None
