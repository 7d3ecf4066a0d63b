"""Amp: `amp -x --stream-json`."""

from __future__ import annotations

from adapters_kit import lines, read, trace

from durastream.sources.adapters.amp import Amp

INIT = {"type": "system", "subtype": "init", "session_id": "T-1", "tools": []}


def test_a_whole_run() -> None:
    run = trace("amp_stream_json.jsonl")
    assert run.answer == "Mars has two moons."
    assert [message.text for message in run.state.messages.values()] == ["Looking.", "Mars has two moons."]
    assert run.plan == {}
    assert run.steps() == {"Bash ls": "ok"}
    assert run.of("source.added") == []
    assert run.of("artifact.created") == []
    assert run.state.usage == {"input_tokens": 22, "output_tokens": 12}
    assert run.state.agent["name"] == "amp"
    assert run.state.agent["session_id"] == "T-5d9f0000-0000-4000-8000-000000000001"
    assert run.state.agent["prompt"] == "How many moons has Mars?"
    assert run.status() == "completed"
    assert run.findings() == []


def test_a_failure_says_why_under_error() -> None:
    end = {"type": "result", "subtype": "error_during_execution", "is_error": True, "error": "no credits"}
    run = read([lines(INIT, {**end, "session_id": "T-1"})])
    assert run.state.errors[0]["message"] == "no credits"
    assert run.status() == "failed"


def test_the_usage_of_the_result_stands_for_that_of_the_messages() -> None:
    message = {"id": "m1", "content": [{"type": "text", "text": "Hi"}], "usage": {"input_tokens": 3}}
    end = {"type": "result", "subtype": "success", "result": "Hi", "usage": {"input_tokens": 5}, "session_id": "T-1"}
    run = read([lines(INIT, {"type": "assistant", "message": message, "session_id": "T-1"}, end)])
    assert run.state.usage == {"input_tokens": 5}


def test_it_is_known_by_the_id_of_its_thread() -> None:
    assert Amp.matches({"type": "user", "session_id": "T-1"}) == 2
    assert Amp.matches({"type": "user", "session_id": "1"}) == 0


def test_the_files_that_its_tools_write() -> None:
    def call(id_: str, name: str) -> dict[str, object]:
        block = {"type": "tool_use", "id": id_, "name": name, "input": {"path": f"/{id_}"}}
        return {"type": "assistant", "session_id": "T-1", "message": {"id": id_, "content": [block]}}

    def back(id_: str) -> dict[str, object]:
        block = {"type": "tool_result", "tool_use_id": id_, "content": "ok", "is_error": False}
        return {"type": "user", "session_id": "T-1", "message": {"content": [block]}}

    run = read([lines(INIT, call("a", "create_file"), back("a"), call("b", "edit_file"), back("b"))])
    assert run.of("artifact.created") == [{"path": "/a", "action": "add"}, {"path": "/b", "action": "update"}]
