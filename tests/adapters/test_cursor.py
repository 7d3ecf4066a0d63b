"""Cursor: `cursor-agent -p --output-format stream-json`."""

from __future__ import annotations

from typing import Any

import pytest
from adapters_kit import Told, lines, read, trace

from durastream.sources.adapters.cursor import Cursor

INIT = {"type": "system", "subtype": "init", "apiKeySource": "login", "session_id": "s", "model": "Auto"}


def said(words: str, **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": [{"type": "text", "text": words}]}
    return {"type": "assistant", "message": message, "session_id": "s", **more}


def tool(subtype: str, name: str, args: Any = None, result: Any = None, id_: str = "c1") -> dict[str, Any]:
    call: dict[str, Any] = {"args": args} if result is None else {"args": args, "result": result}
    told = {f"{name}ToolCall": call}
    return {"type": "tool_call", "subtype": subtype, "call_id": id_, "tool_call": told, "session_id": "s"}


def result(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "result", "subtype": "success", "is_error": False, "result": words, "session_id": "s", **more}


def told(*values: Any) -> Told:
    return read([lines(INIT, *values)])


def test_a_whole_run() -> None:
    run = trace("cursor_agent_stream_json.jsonl")
    assert run.answer == "I'll look it up.Mars has two moons."
    assert run.plan == {"Look up the facts": "active", "Answer": "pending"}
    assert run.steps() == {"shell ls": "ok", "read missing.md": "failed", "write notes.md": "ok"}
    assert run.state.steps["call_2"].parent == "plan/1"
    assert run.state.steps["call_3"].error == "not found"
    assert run.of("source.added") == []
    assert run.of("artifact.created") == [{"path": "/home/me/proj/notes.md", "action": "add"}]
    assert run.state.usage == {"input_tokens": 1200, "output_tokens": 60, "cached_tokens": 800}
    assert run.state.agent["name"] == "cursor"
    assert run.state.agent["prompt"] == "How many moons has Mars?"
    assert run.counts["text.delta"] == 2
    assert run.status() == "completed"
    assert run.findings() == []


def test_segments_that_are_repeated_after_their_pieces_are_told_once() -> None:
    run = told(
        said("I lo", timestamp_ms=1),
        said("ok.", timestamp_ms=2),
        said("I look.", timestamp_ms=3, model_call_id="m-0"),
        tool("started", "shell", {"command": "ls"}),
        tool("completed", "shell", {"command": "ls"}, {"success": {"exitCode": 0}}),
        said("Two ", timestamp_ms=4),
        said("moons.", timestamp_ms=5),
        said("Two moons."),
        result("I look.Two moons."),
    )
    assert run.answer == "I look.Two moons."
    assert run.counts["text.delta"] == 4
    assert run.findings() == []


def test_equal_segments_without_pieces_are_two() -> None:
    run = told(said("Hm."), said("Hm."), result("Hm.Hm."))
    assert run.answer == "Hm.Hm."
    assert run.findings() == []


def test_a_result_that_is_not_what_was_said_is_found() -> None:
    assert told(said("Two."), result("Three.")).findings() == ["answer-differs"]


def test_a_stream_that_just_stops_has_no_end() -> None:
    run = told(said("I lo", timestamp_ms=1), tool("started", "shell", {"command": "sleep 9"}))
    assert run.status(1) == "failed"
    assert run.findings() == ["end-undeclared", "step-open"]


def test_a_failure_is_a_failure() -> None:
    run = told(result("no credits", is_error=True))
    assert run.state.errors[0]["message"] == "no credits"
    assert run.status() == "failed"


def test_thought_is_no_text() -> None:
    run = told(
        {"type": "thinking", "subtype": "delta", "text": "Hm.", "session_id": "s"},
        {"type": "thinking", "subtype": "completed", "session_id": "s"},
    )
    assert run.state.reasoning.text == "Hm.\n\n"


def test_a_plan_may_be_told_in_part_and_the_result_has_all_of_it() -> None:
    def todo(id_: str, status: str) -> dict[str, str]:
        return {"id": id_, "content": f"Do {id_}", "status": status}

    first = [todo("1", "TODO_STATUS_IN_PROGRESS"), todo("2", "TODO_STATUS_PENDING")]
    run = told(
        tool("started", "updateTodos", {"todos": first, "merge": False}),
        tool("completed", "updateTodos", {"todos": first}, {"error": {"message": "no"}}),
        tool("started", "updateTodos", {"todos": [todo("1", "completed")], "merge": True}),
    )
    assert run.plan == {"Do 1": "done", "Do 2": "pending"}
    assert run.steps() == {}
    patch = [{"id": "1", "status": "TODO_STATUS_COMPLETED"}, {"id": "2", "content": "", "status": "in_progress"}]
    run = told(
        tool("started", "updateTodos", {"todos": first}),
        tool("started", "updateTodos", {"todos": patch, "merge": True}),
        tool("started", "updateTodos", {"todos": [{"id": "9", "status": "completed"}], "merge": True}),
    )
    assert run.plan == {"Do 1": "done", "Do 2": "active"}
    assert run.counts["raw.event"] == 1  # it changes an entry that nobody knows
    full = [todo("1", "completed"), todo("2", "in_progress"), todo("3", "pending")]
    run = told(
        tool("started", "updateTodos", {"todos": first}),
        tool("completed", "updateTodos", {"todos": []}, {"success": {"todos": full}}),
        tool("started", "readTodos"),
        tool("completed", "readTodos", {}, {"success": {}}),
    )
    assert run.plan == {"Do 1": "done", "Do 2": "active", "Do 3": "pending"}
    assert run.steps() == {}


@pytest.mark.parametrize(
    ("outcome", "status", "error"),
    [
        ({"success": {"exitCode": 0}}, "ok", None),
        ({"success": {"exitCode": 3}}, "failed", "exit code 3"),
        ({"success": "text"}, "ok", None),
        ({"failure": {"exitCode": 2}}, "failed", '{"exitCode":2}'),
        ({"error": {"message": "broke"}}, "failed", "broke"),
        ({"rejected": {"reason": "no"}}, "denied", "no"),
        ({"permissionDenied": {"error": "no"}}, "denied", "no"),
        ({"timeout": {}}, "failed", "timeout"),
    ],
)
def test_each_outcome_of_a_tool(outcome: Any, status: str, error: str | None) -> None:
    run = told(tool("started", "shell", {"command": "x"}), tool("completed", "shell", {"command": "x"}, outcome))
    assert run.steps() == {"shell x": status}
    assert run.state.steps["c1"].error == error


def test_a_tool_that_is_told_only_when_it_is_done_and_without_a_result_is_a_step() -> None:
    assert told(tool("completed", "task", {"description": "Look"})).steps("agent") == {"task Look": "ok"}


def test_a_tool_may_be_told_as_a_function() -> None:
    call = {"function": {"name": "lookup", "arguments": "{}"}}
    line = {"type": "tool_call", "subtype": "started", "call_id": "c1", "tool_call": call, "session_id": "s"}
    run = told(line, {**line, "tool_call": {"odd": 1}}, {**line, "subtype": "odd"})
    assert run.steps() == {"lookup": "active"}
    assert run.state.steps["c1"].input == "{}"
    assert run.counts["raw.event"] == 2


def test_files_and_pages() -> None:
    run = told(
        tool("completed", "edit", {"path": "/a"}, {"success": {}}, "c1"),
        tool("completed", "delete", {"path": "/b"}, {"success": {"path": "/full/b"}}, "c2"),
        tool("completed", "edit", {"path": "/c"}, {"error": {}}, "c3"),
        tool(
            "completed", "webFetch", {"url": "https://a.example"}, {"success": {"markdown": "https://x.example"}}, "c4"
        ),
        tool("completed", "webSearch", {"searchTerm": "q"}, {"success": {"references": "https://b.example"}}, "c5"),
    )
    assert [(file["path"], file["action"]) for file in run.of("artifact.created")] == [
        ("/a", "update"),
        ("/full/b", "delete"),
    ]
    assert [(source["url"], source["step_id"], source["origin"]) for source in run.of("source.added")] == [
        ("https://a.example", "c4", "tool"),
        ("https://b.example", "c5", "tool"),
    ]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (INIT, 2),
        ({**INIT, "tools": []}, 0),
        (tool("started", "shell"), 2),
        ({"type": "thinking", "subtype": "delta", "session_id": "s"}, 2),
        (said("Hi"), 0),
    ],
)
def test_it_is_known_by_its_init_and_by_its_own_lines(line: dict[str, Any], found: int) -> None:
    assert Cursor.matches(line) == found


@pytest.mark.parametrize(("told_", "time"), [(1795165200000, 1795165200.0), (None, None), (True, None), (-1, None)])
def test_a_line_says_when_it_was_written(told_: Any, time: float | None) -> None:
    assert Cursor.when({"timestamp_ms": told_}) == time
    assert Cursor.when([]) is None


def test_a_list_that_is_no_plan_is_kept_as_it_came() -> None:
    assert told(tool("started", "updateTodos", {"todos": [3]})).of("raw.event")[0]["reason"] == "no mapping"
