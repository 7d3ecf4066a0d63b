"""What the call of a tool tells: its input, a title, its sources, the plan."""

from __future__ import annotations

from typing import Any

import pytest

from durastream.sources.adapters import Entry, Narrator, Unmapped
from durastream.sources.adapters.calls import Call, Calls, arguments, reads_web, sources_of, title_of
from durastream.sources.adapters.times import from_iso, from_number, told
from durastream.sources.adapters.usage import of_messages, total


@pytest.mark.parametrize("name", ["WebFetch", "google_web_search", "webfetch", "mcp__x__fetch", "lookup", "search"])
def test_tools_that_read_the_web(name: str) -> None:
    assert reads_web(name)


@pytest.mark.parametrize("name", ["bash", "search_file_content", "ToolSearch", "grep_search", "mcp__web__list"])
def test_tools_that_do_not_read_the_web(name: str) -> None:
    assert not reads_web(name)


def test_the_input_of_a_call_is_json_in_a_text_or_the_text() -> None:
    assert arguments('{"a": 1}') == arguments({"a": 1}) == {"a": 1}
    assert arguments("{half") == "{half"
    assert arguments("") is None


def test_a_title_tells_what_a_tool_is_called_for() -> None:
    assert title_of("bash", {"timeout": 3, "command": "ls"}) == "bash ls"
    assert title_of("bash", {"command": ["ls"]}) == title_of("bash", "ls") == "bash"


@pytest.mark.parametrize(
    ("name", "taken", "given", "found"),
    [
        ("fetch", {"url": "https://example.org/1"}, "see https://example.org/2", ["https://example.org/1"]),
        ("web_search", {"query": "x"}, ["https://example.org/2"], ["https://example.org/2"]),
        ("bash", {"command": "curl https://example.org/1"}, "https://example.org/2", []),
    ],
)
def test_sources_are_what_a_tool_was_sent_to_else_what_it_found(
    name: str, taken: Any, given: Any, found: list[str]
) -> None:
    say = Narrator()
    sources_of(say, "s", name, taken, given)
    assert [data["url"] for _, data in say.drain()] == found


def test_a_call_is_a_step_and_one_that_takes_the_plan_is_none() -> None:
    say = Narrator()
    calls = Calls(say)
    assert not calls.start("a", "bash", {"command": "ls"})
    assert not calls.start("a", "bash", {"command": "ls"}), "begun twice counts once"
    assert calls.end("a", output="x") == Call("bash", {"command": "ls"})
    assert calls.start("b", "TodoWrite", {"todos": [{"content": "Look"}]})
    assert calls.end("b") is None
    assert not calls.start("c", "TodoWrite", {"todos": [{"content": "Its own"}]}, own=False)
    assert calls.end("c") is calls.end("d", name="TodoWrite") is calls.end("e", "failed", name="bash") is None
    said = say.drain()
    assert [type_ for type_, _ in said] == [
        "step.started", "step.completed", "plan.created", "step.started", "step.completed"
    ]  # fmt: skip
    assert [entry["title"] for entry in said[2][1]["steps"]] == [Entry("Look").title]
    with pytest.raises(Unmapped):
        calls.start("f", None, {})  # type: ignore[arg-type]


def test_times_are_told_in_several_ways_or_not_at_all() -> None:
    assert from_iso("1970-01-01T00:01:00") == from_iso("1970-01-01T01:01:00+01:00") == 60
    assert from_iso("yesterday") is from_iso(60) is None
    assert from_number(60_500, 1000) == 60.5
    assert from_number(-1) is from_number("1") is from_number(True) is from_number(1e300) is None
    assert told({"a": {"b": 1}}, "a", "b") == 1
    assert told({"a": []}, "a", "b") is told(None, "a") is None


def test_a_sum_is_of_what_is_known() -> None:
    assert total(1, None, 2) == 3
    assert total(None, "x") is None


def test_the_prompt_is_all_of_it_whatever_went_through_a_cache() -> None:
    used = {"input_tokens": 4, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20, "output_tokens": 7}
    assert of_messages(used) == {
        "input_tokens": 124, "cached_tokens": 100, "output_tokens": 7, "reasoning_tokens": None
    }  # fmt: skip
    assert of_messages({"output_tokens": 7})["input_tokens"] is None
