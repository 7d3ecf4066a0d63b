"""opencode: `opencode run --format json`."""

from __future__ import annotations

from typing import Any

import pytest
from adapters_kit import Told, lines, read, trace

from durastream.sources.adapters.opencode import Opencode

ANSWER = "Mars has two moons: Phobos and Deimos [1]. The note is in notes.md.\n\n[1] https://example.org/mars"


def line(type_: str, **more: Any) -> dict[str, Any]:
    return {"type": type_, "timestamp": 1795412995320, "sessionID": "ses_1", **more}


def told(*values: dict[str, Any]) -> Told:
    return read([lines(line("step_start", part={"messageID": "m"}), *values)])


def said(id_: str, text: str) -> dict[str, Any]:
    return line("text", part={"id": id_, "messageID": "m", "text": text})


def used(id_: str, tool: str, **state: Any) -> dict[str, Any]:
    return line("tool_use", part={"tool": tool, "callID": id_, "state": {"status": "completed", "input": {}, **state}})


def finished(reason: str = "stop", **more: Any) -> dict[str, Any]:
    return line("step_finish", part={"reason": reason, "messageID": "m", **more})


def test_a_whole_run() -> None:
    whole = trace("opencode_run_json.jsonl")
    assert whole.answer == ANSWER
    assert [message.text for message in whole.state.messages.values()] == [
        "I will look the facts up, write a note, then answer.",
        ANSWER,
    ]
    assert whole.plan == {"Look up the facts": "done", "Write notes.md": "done", "Answer": "active"}
    assert whole.steps() == {
        "read /home/dev/oc/missing.txt": "failed",
        "bash echo alpha": "ok",
        "write /home/dev/oc/notes.md": "ok",
    }
    assert [(source["url"], source["origin"]) for source in whole.of("source.added")] == [
        ("https://example.org/mars", "text")
    ]
    assert whole.of("artifact.created") == [{"path": "/home/dev/oc/notes.md", "action": "add"}]
    assert whole.of("reasoning.delta") == [{"text": "Facts first, then the note.\n\n"}]
    assert whole.state.agent["session_id"] == "ses_df90bdc3cffeeEflf04kTQ9Luv"
    assert whole.status() == "completed"
    assert whole.findings() == []
    assert "raw.event" not in whole.counts


def test_usage_is_told_per_request_and_added_with_cached_input_and_reasoning_in_the_sums() -> None:
    whole = trace("opencode_run_json.jsonl")
    assert whole.of("usage.reported")[0] == {
        "scope": "request",
        "mode": "add",
        "input_tokens": 1200,
        "cached_tokens": 800,
        "output_tokens": 60,
        "reasoning_tokens": 20,
        "cost_usd": 0.00052,
    }
    assert whole.state.usage["input_tokens"] == 7200
    assert whole.state.usage["output_tokens"] == 360
    assert whole.state.usage["cost_usd"] == pytest.approx(0.00312)


def test_plan_entries_keep_their_ids_and_tools_stand_under_the_one_in_progress() -> None:
    steps = trace("opencode_run_json.jsonl").state.steps
    assert steps["o2"].parent == "plan/1"
    assert steps["o6"].parent == "plan/2"
    assert steps["plan/1"].status == "ok"


def test_a_subagent_is_one_step_and_its_words_are_no_part_of_the_draft() -> None:
    whole = trace("opencode_run_json.jsonl")
    assert whole.steps("agent") == {"task Check moons": "ok"}
    assert "Sub-agent says" in whole.state.steps["o4"].output
    assert not any("Sub-agent" in message.text for message in whole.state.messages.values())


def test_a_tool_tells_how_long_it_took() -> None:
    ended = {event["step_id"]: event for event in trace("opencode_run_json.jsonl").of("step.completed")}
    assert ended["o3"]["duration"] == 0.012
    assert ended["o2"]["duration"] == 0.14
    assert "duration" not in told(used("a", "bash", time={"start": 1})).of("step.completed")[0]


def test_a_run_that_ends_without_the_last_model_call_is_no_good_end() -> None:
    whole = told(said("a", "Working."), finished("tool-calls"))
    assert whole.status(0) == "failed"
    assert whole.findings() == ["end-undeclared"]
    assert told(said("a", "Working."), finished("unknown")).status(0) == "failed"


def test_the_answer_is_text_of_the_last_model_call() -> None:
    whole = told(said("a", "See https://example.org/a"), line("step_finish", part={"reason": "stop", "messageID": "n"}))
    assert whole.state.declared == {"status": "completed"}
    assert whole.of("source.added") == []


def test_an_answer_that_was_cut_off_is_a_failure() -> None:
    whole = told(said("a", "Mars has"), finished("length"))
    assert whole.status(0) == "failed"
    assert whole.of("error.raised")[0]["message"] == "the model stopped: length"


def test_an_error_is_a_failed_run_and_its_headers_are_not_told() -> None:
    error = {"name": "APIError", "data": {"message": "no credit", "responseHeaders": {"set-cookie": "secret"}}}
    whole = read([lines(line("error", error=error))])
    assert whole.status(1) == "failed"
    assert whole.of("error.raised")[0]["message"] == "no credit"
    assert not any("secret" in event.json for event in whole.events)
    assert read([lines(line("error", error={"name": "Aborted"}))]).of("error.raised")[0]["message"] == "Aborted"


def test_a_command_that_fails_is_a_failure_whatever_its_state() -> None:
    step = told(used("a", "bash", metadata={"exit": 3}, output="beta\n")).state.steps["a"]
    assert (step.status, step.error, step.output) == ("failed", "exit code 3", "beta\n")


def test_a_permission_that_was_not_given_is_denied() -> None:
    refused = "The user rejected permission to use this specific tool call."
    assert told(used("a", "bash", status="error", error=refused)).steps() == {"bash": "denied"}


def test_a_plan_that_could_not_be_written_is_a_tool_that_failed() -> None:
    whole = told(used("a", "todowrite", status="error", error="bad input"))
    assert whole.plan == {}
    assert whole.steps() == {"todowrite": "failed"}


def test_files_that_are_edited_or_written_over_are_updates() -> None:
    whole = told(
        used("a", "edit", input={"filePath": "a"}),
        used("b", "write", input={"filePath": "b"}, metadata={"exists": True}),
    )
    assert whole.of("artifact.created") == [{"path": "a", "action": "update"}, {"path": "b", "action": "update"}]


def test_an_address_that_is_fetched_is_a_source() -> None:
    whole = told(used("a", "webfetch", input={"url": "https://example.org/a"}, output="https://example.org/b"))
    assert [source["url"] for source in whole.of("source.added")] == ["https://example.org/a"]


def test_amounts_that_are_not_told_are_absent() -> None:
    assert told(finished(tokens={"output": 3})).state.usage == {"output_tokens": 3}


def test_what_has_no_mapping_is_kept() -> None:
    assert told(line("new", part={})).of("raw.event")[0]["reason"] == "no mapping"


def test_each_line_tells_its_time() -> None:
    assert Opencode.when(line("text")) == 1795412995.32
    assert Opencode.when({"timestamp": "x"}) is None
    assert Opencode.when(None) is None


def test_a_line_without_a_part_is_of_another_format() -> None:
    assert Opencode.matches(line("text")) == 0
    assert Opencode.matches(line("error", error={})) == 2
