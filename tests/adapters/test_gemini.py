"""Gemini CLI: `gemini -p … --output-format stream-json`."""

from __future__ import annotations

from typing import Any

from adapters_kit import Told, lines, read, trace

from durastream.sources.adapters.gemini import Gemini

AT = "2026-11-23T05:45:27.499Z"
INIT = {"type": "init", "timestamp": AT, "session_id": "s", "model": "gemini-2.5-pro"}
ANSWER = "Mars has two moons: Phobos and Deimos [1]. The note is in notes.md.\n\n[1] https://example.org/mars"


def told(*values: dict[str, Any]) -> Told:
    return read([lines(INIT, *({"timestamp": AT, **value} for value in values))])


def said(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": text, "delta": True}


def used(id_: str, name: str, **taken: Any) -> dict[str, Any]:
    return {"type": "tool_use", "tool_id": id_, "tool_name": name, "parameters": taken}


def gave(id_: str, **result: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_id": id_, "status": "success", **result}


DONE = {"type": "result", "status": "success", "stats": {"total_tokens": 3, "input_tokens": 2, "output_tokens": 1}}


def test_a_whole_run() -> None:
    whole = trace("gemini_stream_json.jsonl")
    assert whole.answer == ANSWER
    assert whole.state.messages["m1"].text == "I will look the facts up, write a note, then answer."
    assert whole.plan == {"Look up the facts": "done", "Write notes.md": "done", "Answer": "active"}
    assert whole.steps() == {
        "run_shell_command echo alpha": "ok",
        "read_file missing.txt": "failed",
        "google_web_search moons of Mars": "ok",
        "write_file notes.md": "ok",
    }
    assert [(source["url"], source["origin"]) for source in whole.of("source.added")] == [
        ("https://example.org/mars", "text")
    ]
    assert whole.of("artifact.created") == [{"path": "notes.md", "action": "add"}]
    assert whole.state.usage == {"input_tokens": 8400, "cached_tokens": 5600, "output_tokens": 8960 - 8400}
    assert whole.state.agent["session_id"] == "c82f2e5e-0c0a-4204-84ab-bd0aca8d7771"
    assert whole.state.agent["model"] == "gemini-2.5-pro"
    assert whole.state.agent["prompt"] == "How many moons has Mars? Write notes.md"
    assert whole.status() == "completed"
    assert whole.findings() == []
    assert "raw.event" not in whole.counts


def test_tools_stand_under_the_plan_entry_in_progress_and_keep_what_they_took_and_gave() -> None:
    steps = trace("gemini_stream_json.jsonl").state.steps
    shell, missing = steps["run_shell_command__g2"], steps["read_file__g3"]
    assert shell.parent == "plan/p1"
    assert shell.input == {"command": "echo alpha", "description": "alpha"}
    assert shell.output == "alpha"
    assert missing.error == "File not found: /home/dev/gemini/missing.txt"
    assert steps["write_file__g6"].parent == "plan/p2"


def test_an_error_of_the_provider_is_a_failed_run_and_its_zeros_are_no_usage() -> None:
    whole = trace("gemini_stream_json_error.jsonl")
    assert whole.status(144) == "failed"
    assert whole.status(0) == "failed"
    assert whole.answer == ""
    [error] = whole.of("error.raised")
    assert error["message"].startswith("[API Error: ")
    assert error["fatal"] is True
    assert whole.state.usage == {}
    assert whole.findings() == []


def test_without_the_tokens_of_the_prompt_those_of_the_answer_are_as_they_are_told() -> None:
    whole = told({**DONE, "stats": {"total_tokens": 3, "output_tokens": 1}})
    assert whole.state.usage == {"output_tokens": 1}


def test_interrupted_in_a_tool_it_exits_0_without_a_result_and_that_is_no_good_end() -> None:
    whole = told(said("Working."), used("a", "run_shell_command", command="sleep 30"))
    assert whole.steps() == {"run_shell_command sleep 30": "active"}
    assert whole.status(0) == "failed"
    assert whole.findings() == ["end-undeclared", "step-open"]


def test_a_message_ends_where_a_tool_is_used_or_gives_its_result() -> None:
    whole = told(said("One"), said(" and"), used("a", "ls"), said("two"), gave("a"), said("three."), DONE)
    assert [message.text for message in whole.state.messages.values()] == ["One and", "two", "three."]
    assert whole.answer == "three."


def test_the_answer_is_the_text_after_the_last_tool_and_only_its_addresses_are_sources() -> None:
    whole = told(said("See https://example.org/a"), used("a", "ls"), gave("a"), DONE)
    assert (whole.state.declared or {}).get("answer") is None
    assert whole.of("source.added") == []


def test_an_output_that_is_missing_is_none_and_a_failure_without_words_is_one() -> None:
    whole = told(used("a", "ls"), gave("a", status="error"), used("b", "ls", path="x"), gave("b"), DONE)
    assert whole.steps() == {"ls": "failed", "ls x": "ok"}
    assert whole.state.steps["a"].error == ""
    assert whole.state.steps["b"].output is None
    assert whole.status() == "completed"  # a tool that fails fails no run


def test_the_result_of_a_tool_that_nobody_saw_begin_is_a_step_of_its_own() -> None:
    assert told(gave("a", output="x"), DONE).steps() == {"a": "ok"}


def test_a_fetch_names_its_addresses_and_a_search_those_it_found() -> None:
    whole = told(
        used("a", "web_fetch", prompt="Sum up https://example.org/a."),
        gave("a", output="It links to https://example.org/elsewhere"),
        used("b", "google_web_search", query="b"),
        gave("b", output="[1] b (https://example.org/b)"),
        DONE,
    )
    assert [(source["url"], source["step_id"], source["origin"]) for source in whole.of("source.added")] == [
        ("https://example.org/a", "a", "tool"),
        ("https://example.org/b", "b", "tool"),
    ]


def test_a_topic_is_a_step_with_its_title() -> None:
    assert told(used("a", "update_topic", title="Facts", summary="…"), gave("a")).steps() == {
        "update_topic Facts": "ok"
    }


def test_a_replaced_file_is_an_update() -> None:
    whole = told(used("a", "replace", file_path="a.txt", old_string="a", new_string="b"), gave("a"), DONE)
    assert whole.of("artifact.created") == [{"path": "a.txt", "action": "update"}]


def test_an_error_beside_the_result_is_told_and_fails_nothing() -> None:
    whole = told({"type": "error", "severity": "warning", "message": "loop detected"}, said("Done."), DONE)
    assert whole.of("error.raised")[0]["severity"] == "warning"
    assert whole.status() == "completed"


def test_a_result_that_is_no_success_needs_no_error_to_be_a_failure() -> None:
    assert told({"type": "result", "status": "cancelled", "stats": {}}).status(0) == "failed"
    assert told({"type": "result", "status": "success", "error": {"message": "no"}, "stats": {}}).status(0) == "failed"


def test_what_has_no_mapping_is_kept() -> None:
    whole = told({"type": "message", "role": "system", "content": "x"}, {"type": "new"}, said(None), DONE)  # type: ignore[arg-type]
    assert [event["reason"] for event in whole.of("raw.event")] == ["no mapping"] * 3


def test_each_line_tells_its_time() -> None:
    assert Gemini.when(INIT) == 1795412727.499
    assert Gemini.when({"timestamp": "yesterday"}) is None
    assert Gemini.when([]) is None


def test_its_lines_are_known_alone_except_a_message() -> None:
    known = [Gemini.matches({"timestamp": AT, **line}) for line in (INIT, said("x"), used("a", "b"), gave("a"), DONE)]
    assert known == [2, 1, 2, 2, 2]
    assert Gemini.matches({"timestamp": AT, "type": "error"}) == 0
