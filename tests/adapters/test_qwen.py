"""Qwen Code: `qwen -p --output-format stream-json`."""

from __future__ import annotations

from typing import Any

from adapters_kit import Told, lines, read, trace

INIT = {"type": "system", "subtype": "init", "session_id": "s", "qwen_code_version": "0.15.10", "model": "m"}
ERROR = "[API Error: 429 slow down]\nPlease wait and try again later."


def assistant(words: str, id_: str = "m1", tokens: int = 0) -> dict[str, Any]:
    message = {"id": id_, "content": [{"type": "text", "text": words}], "usage": {"output_tokens": tokens}}
    return {"type": "assistant", "session_id": "s", "message": message}


def result(words: str) -> dict[str, Any]:
    return {"type": "result", "subtype": "success", "is_error": False, "result": words, "session_id": "s"}


def told(*values: Any) -> Told:
    return read([lines(INIT, *values)])


def test_a_whole_run() -> None:
    run = trace("qwen_stream_json.jsonl")
    assert run.answer == (
        "Mars has two moons: Phobos and Deimos [1]. The note is in notes.md.\n\n[1] https://example.org/mars"
    )
    assert run.plan == {"Look up the facts": "done", "Write notes.md": "done", "Answer": "active"}
    assert run.steps() == {
        "run_shell_command echo alpha": "ok",
        "read_file /home/dev/qwen/missing.txt": "failed",
        "run_shell_command echo sub": "ok",
        "write_file /home/dev/qwen/notes.md": "ok",
    }
    assert run.steps("agent") == {"agent Check moons": "ok"}
    assert run.steps("plan") == {"Look up the facts": "ok", "Write notes.md": "ok", "Answer": "active"}
    parents = {id_: step.parent for id_, step in run.state.steps.items() if step.kind != "plan"}
    assert parents == {"q2": "plan/1", "q3": "plan/1", "q4": "plan/1", "s1": "q4", "q6": "plan/2"}
    assert [(source["url"], source["origin"]) for source in run.of("source.added")] == [
        ("https://example.org/mars", "text")
    ]
    assert run.of("artifact.created") == [{"path": "/home/dev/qwen/notes.md", "action": "add"}]
    assert run.state.usage == {"input_tokens": 9600, "output_tokens": 480, "cached_tokens": 6400}
    assert run.state.reasoning.text == "Facts first, then the note.\n\n"
    assert run.state.agent["name"] == "qwen"
    assert run.state.agent["version"] == "0.15.10"
    assert run.status(0) == "completed"
    assert run.findings() == []


def test_an_error_of_the_api_that_says_it_is_a_success_is_a_failure() -> None:
    run = trace("qwen_stream_json_error.jsonl")
    words = "[API Error: 400 API key not valid. Please pass a valid API key.]"
    assert run.answer == ""
    assert [error["message"] for error in run.state.errors] == [words]
    assert list(run.state.log) == [("agent", words)]
    assert run.state.usage == {}
    assert run.steps() == {}
    assert run.plan == {}
    assert run.status(0) == "failed"
    assert run.findings() == []


def test_an_error_after_good_work_is_a_failure_too() -> None:
    run = told(assistant("I begin.", tokens=5), assistant(ERROR, "m2"), result(ERROR))
    assert run.status(0) == "failed"


def test_an_error_that_was_streamed_is_taken_back() -> None:
    start = {"type": "message_start", "message": {"id": "m1"}}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": ERROR}}
    events = [{"type": "stream_event", "session_id": "s", "event": event} for event in (start, delta)]
    run = told(*events, assistant(ERROR), result(ERROR))
    assert run.answer == ""
    assert run.status(0) == "failed"


def test_an_answer_of_the_model_about_such_an_error_is_an_answer() -> None:
    run = told(assistant(ERROR, tokens=20), result(ERROR))
    assert run.answer == ERROR
    assert run.status(0) == "completed"


def test_a_run_that_goes_on_after_an_error_is_good() -> None:
    run = told(assistant(ERROR), assistant("Done.", "m2", 5), result("Done."))
    assert run.answer == "Done."
    assert run.status(0) == "completed"


def test_block_numbers_that_start_again_in_a_message_double_nothing() -> None:
    def event(**more: Any) -> dict[str, Any]:
        return {"type": "stream_event", "session_id": "s", "parent_tool_use_id": None, "event": more}

    run = told(
        event(type="message_start", message={"id": "m1"}),
        event(type="content_block_start", index=0, content_block={"type": "thinking", "thinking": ""}),
        event(type="content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "Hm."}),
        event(type="content_block_stop", index=0),
        event(type="content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event(type="content_block_delta", index=0, delta={"type": "text_delta", "text": "Two."}),
        event(type="content_block_stop", index=0),
        assistant("Two.", tokens=2),
        result("Two."),
    )
    assert run.counts["text.delta"] == 1
    assert run.findings() == []
