"""pi: `pi --mode json`."""

from __future__ import annotations

from typing import Any

import pytest
from adapters_kit import Told, lines, read, trace

from durastream.sources.adapters.pi import Pi

SESSION = {"type": "session", "version": 3, "id": "s", "timestamp": "2026-11-23T05:57:21.514Z", "cwd": "/w"}


def told(*values: dict[str, Any]) -> Told:
    return read([lines(SESSION, *values)])


def message(*texts: str, role: str = "assistant", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text} for text in texts], "stopReason": "stop", **more}


def piece(text: str, kind: str = "text_delta") -> dict[str, Any]:
    return {"type": "message_update", "assistantMessageEvent": {"type": kind, "delta": text, "partial": {}}}


START = {"type": "message_start", "message": message()}


def end(*texts: str, **more: Any) -> dict[str, Any]:
    return {"type": "message_end", "message": message(*texts, **more)}


def over(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"type": "agent_end", "messages": list(messages)}


def began(id_: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": "tool_execution_start", "toolCallId": id_, "toolName": name, "args": {}, **more}


def ended(id_: str, name: str, text: str = "", *, error: bool = False) -> dict[str, Any]:
    result = {"content": [{"type": "text", "text": text}]}
    return {"type": "tool_execution_end", "toolCallId": id_, "toolName": name, "result": result, "isError": error}


def test_a_whole_run() -> None:
    whole = trace("pi_mode_json.jsonl")
    assert whole.answer == "Mars has two moons: Phobos and Deimos."
    assert whole.state.messages["m1"].text == "I will look around."
    assert whole.plan == {}
    assert whole.steps() == {"bash echo alpha": "ok", "read missing.txt": "failed"}
    assert whole.state.steps["p1"].message == "alpha"
    assert whole.state.steps["p1"].output == "alpha\n"
    assert whole.state.steps["p2"].error == "ENOENT: no such file or directory, access '/home/dev/pi/missing.txt'"
    assert whole.of("source.added") == []
    assert whole.of("artifact.created") == []
    assert whole.state.usage == {
        "input_tokens": 2400, "cached_tokens": 1600, "output_tokens": 120, "cost_usd": pytest.approx(0.00104)
    }  # fmt: skip
    assert whole.state.agent == {
        "format": "pi",
        "terminal": True,
        "name": "pi",
        "session_id": "01a206fa-fbe9-76e3-85c3-b90fb92981a2",
        "cwd": "/home/dev/pi",
        "prompt": "How many moons has Mars?",
        "model": "mock-model",
    }
    assert whole.status() == "completed"
    assert whole.findings() == []
    assert "raw.event" not in whole.counts


def test_the_answer_that_is_told_again_at_the_end_is_compared_and_not_doubled() -> None:
    whole = trace("pi_mode_json.jsonl")
    assert (whole.state.declared or {})["answer"]["text"] == whole.answer
    assert sum(len(event["text"]) for event in whole.of("text.delta")) == len("I will look around.") + len(whole.answer)
    assert told(START, piece("One"), end("One"), over(message("Two"))).findings() == ["answer-differs"]
    assert told(START, piece("One"), end("One!"), over(message("One"))).findings() == ["answer-differs"]


def test_a_message_of_which_nothing_was_streamed_is_told_at_its_end() -> None:
    whole = told(end("All", " of it: https://example.org/a"), over(message("All of it: https://example.org/a")))
    assert whole.answer == "All of it: https://example.org/a"
    assert [(source["url"], source["origin"]) for source in whole.of("source.added")] == [
        ("https://example.org/a", "text")
    ]
    assert whole.findings() == []


def test_thoughts_are_no_part_of_the_draft() -> None:
    whole = told(START, piece("Hm.", "thinking_delta"), piece("Yes.", "text_delta"), end("Yes."), over(message("Yes.")))
    assert whole.of("reasoning.delta") == [{"text": "Hm."}]
    assert whole.answer == "Yes."


def test_a_failed_request_is_a_failed_run_and_its_zeros_are_no_usage() -> None:
    failed = {"stopReason": "error", "errorMessage": "400 no such model", "usage": {"input": 0, "totalTokens": 0}}
    whole = told(START, end(**failed), over(message(**failed)))
    assert whole.status(0) == "failed"
    assert whole.of("error.raised")[0]["message"] == "400 no such model"
    assert whole.state.usage == {}
    assert told(START, piece("Half"), end("Half", stopReason="length"), over()).status(0) == "failed"


def test_a_message_that_failed_is_taken_back_when_it_is_asked_for_again() -> None:
    whole = told(
        START, piece("Half an"), end("Half an", stopReason="error", errorMessage="503"), over(),
        {"type": "auto_retry_start", "attempt": 1, "maxAttempts": 3, "delayMs": 0, "errorMessage": "503"},
        {"type": "agent_start"}, piece("Whole."), end("Whole."), over(message("Whole.")),
    )  # fmt: skip
    assert whole.answer == "Whole."
    assert whole.state.messages["m1"].text == ""
    assert whole.of("log.line")[0]["text"] == "retry 1 of 3: 503"
    assert whole.status() == "completed"
    assert "text.retracted" not in told(end(stopReason="error"), {"type": "auto_retry_start"}).counts


def test_an_agent_that_never_ends_is_no_good_end() -> None:
    whole = told(START, piece("Working."), end("Working.", stopReason="toolUse"), began("a", "bash"))
    assert whole.status(0) == "failed"
    assert whole.findings() == ["end-undeclared", "step-open"]


def test_an_end_without_a_word_declares_no_answer() -> None:
    assert told(over()).state.declared == {"status": "completed"}


def test_files_that_are_written_are_artifacts_once_that_went_well() -> None:
    whole = told(
        began("a", "write", args={"path": "a"}), ended("a", "write"),
        began("b", "edit", args={"path": "b"}), ended("b", "edit"),
        began("c", "write", args={"path": "c"}), ended("c", "write", "read-only", error=True),
        ended("d", "write"),
    )  # fmt: skip
    assert whole.of("artifact.created") == [{"path": "a", "action": "add"}, {"path": "b", "action": "update"}]
    assert whole.steps() == {"write a": "ok", "edit b": "ok", "write c": "failed", "write": "ok"}


def test_a_todo_tool_is_the_plan_and_no_step() -> None:
    todos = [{"content": "Look", "status": "in_progress"}, {"content": "Write", "status": "pending"}]
    whole = told(began("a", "TodoWrite", args={"todos": todos}), ended("a", "TodoWrite", "ok"), began("b", "ls"))
    assert whole.plan == {"Look": "active", "Write": "pending"}
    assert whole.steps() == {"ls": "active"}
    assert whole.state.steps["b"].parent == "plan/p1"


def test_a_call_that_a_tool_makes_stands_under_it() -> None:
    whole = told(began("a", "script"), began("b", "bash", parentToolCallId="a"), began("c", "ls", parentToolCallId="x"))
    assert whole.state.steps["b"].parent == "a"
    assert whole.state.steps["c"].parent is None


def test_a_tool_without_news_says_nothing() -> None:
    news = {"type": "tool_execution_update", "toolCallId": "a", "toolName": "bash", "partialResult": {"content": []}}
    assert "step.progress" not in told(began("a", "bash"), news).counts


def test_a_prompt_may_be_a_text_and_an_empty_one_is_none() -> None:
    texts = [{"type": "message_start", "message": {"role": "user", "content": text}} for text in ("Hello", "")]
    assert told(*texts).state.agent["prompt"] == "Hello"


def test_a_compaction_is_logged_and_what_has_no_mapping_is_kept() -> None:
    whole = told({"type": "compaction_start", "reason": "threshold"}, {"type": "compaction_end"}, {"type": "new"})
    assert whole.of("log.line") == [{"stream": "agent", "text": "compaction: threshold"}]
    assert [event["json"]["type"] for event in whole.of("raw.event")] == ["new"]


def test_a_line_tells_the_time_of_its_message() -> None:
    assert Pi.when(SESSION) == 1795413441.514
    assert Pi.when({"message": {"timestamp": 1795413441666}}) == 1795413441.666
    assert Pi.when({"message": {}}) is None
    assert Pi.when(None) is None


def test_lines_without_what_is_their_own_are_of_another_format() -> None:
    assert Pi.matches({"type": "session", "id": 1}) == 0
    assert Pi.matches({"type": "message_update"}) == 0
    assert Pi.matches(began("a", "b")) == 2
