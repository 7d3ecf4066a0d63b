"""What several formats share: plans within other values, addresses in a text that comes in pieces."""

from __future__ import annotations

from typing import Any

import pytest

from durastream.sources.adapters import Narrator
from durastream.sources.adapters.links import Links, reads_web
from durastream.sources.adapters.plans import Document, entries, is_plan_tool, plan_in

LOOK = {"title": "Look up", "status": "pending"}


@pytest.mark.parametrize("name", ["TodoWrite", "write_todos", "todo_write", "todowrite", "updateTodos", "update-plan"])
def test_names_of_plan_tools(name: str) -> None:
    assert is_plan_tool(name)


def test_names_of_other_tools() -> None:
    assert not is_plan_tool("todo")
    assert not is_plan_tool(None)
    assert reads_web("WebFetch")
    assert not reads_web("bash")


@pytest.mark.parametrize(
    "value", [None, "x", [1], [{"title": "a"}], [{"status": "done"}], [{"title": 1, "status": "done"}]]
)
def test_what_is_no_plan(value: Any) -> None:
    assert entries(value) is None


def test_entries_have_many_names() -> None:
    told = [{"content": "a", "state": "done", "id": 7}, {"step": "b", "status": "x", "id": "k"}, {**LOOK, "id": None}]
    assert entries(told) == [("a", "done", "7"), ("b", "x", "k"), ("Look up", "pending", None)]


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


def _cited(*pieces: str) -> list[str]:
    say, links = Narrator(), Links()
    for piece in pieces:
        links.add(piece)
    links.cite(say)
    links.cite(say)
    return [data["url"] for _, data in say.drain()]


def test_addresses_are_found_over_pieces_and_at_the_end() -> None:
    assert _cited("See (htt", "ps://example.", "org/a) and https://example.org/b") == [
        "https://example.org/a", "https://example.org/b",
    ]  # fmt: skip
    assert _cited("no address: ", "here") == []
    assert _cited("x" * 5000, "https://example.org/", "a") == ["https://example.org/a"]
    assert len(_cited("https://example.org/ " + "y" * 5000)) == 1


def test_addresses_without_end_are_not_kept_without_end() -> None:
    pieces = [f"https://example.org/{number} " for number in range(200)]
    assert len(_cited(*pieces)) == 50


def test_a_text_is_compared_with_what_was_streamed_of_an_open_message() -> None:
    say = Narrator()
    say.text("a", "Tw")
    say.text("a", "o.")
    assert say.repeats("a", "Two.")
    assert not say.repeats("a", "Three.")
    assert not say.repeats("b", "Two.")
