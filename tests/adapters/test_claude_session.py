"""The session files that Claude Code keeps on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from adapters_kit import Told, lines, read
from hypothesis import given, settings
from hypothesis import strategies as st
from test_every_trace import _changed as changed

from durastream.sources.adapters.claude import Claude
from durastream.vocabulary import check

FILE = Path(__file__).parents[1] / "data" / "sessions" / "claude_session.jsonl"


def line(kind: str, content: Any = None, *, id_: str = "m1", stop: Any = None, **more: Any) -> dict[str, Any]:
    """A line of the conversation."""
    message = {"id": id_, "model": "m", "role": kind, "content": content, "stop_reason": stop}
    return {"type": kind, "sessionId": "s", "uuid": "u", "timestamp": "", "message": message, **more}


def said(words: str, *, stop: Any = "end_turn", **more: Any) -> dict[str, Any]:
    return line("assistant", [{"type": "text", "text": words}], stop=stop, **more)


def system(subtype: str, **more: Any) -> dict[str, Any]:
    return {"type": "system", "subtype": subtype, "sessionId": "s", "uuid": "u", **more}


def told(*values: Any) -> Told:
    return read([lines(*values)])


def test_a_whole_session() -> None:
    session = read([FILE.read_bytes()])
    assert session.state.agent == {
        "format": "claude",
        "terminal": True,
        "name": "claude",
        "version": "2.1.330",
        "model": "claude-sonnet-5",
        "session_id": "6f0e2a51-0b0c-4c5e-9a55-2f6f3f1f7c01",
        "cwd": "/home/me/proj",
        "prompt": "How many moons has Mars? Put it into notes.md.",
    }
    assert session.answer == "Venus has none."
    assert [(message.role, message.text) for message in session.state.messages.values()] == [
        ("assistant", "I will look it up."),
        ("assistant", "Mars has two moons: Phobos and Deimos."),
        ("user", "And Venus?"),
        ("assistant", "Venus has none."),
    ]
    assert session.plan == {"Look up the facts": "done", "Write notes.md": "active"}
    assert session.steps() == {
        "WebFetch https://example.org/mars": "ok",
        "Grep Mars": "ok",
        "Edit /home/me/proj/notes.md": "ok",
    }
    assert session.steps("agent") == {"Task Name the moons": "ok"}
    assert session.state.steps["toolu_s1"].parent == "toolu_3"
    assert [progress["message"] for progress in session.of("step.progress")] == [
        "Looking in the files.",
        "Phobos and Deimos.",
    ]
    assert [(source["url"], source["origin"]) for source in session.of("source.added")] == [
        ("https://example.org/mars", "tool")
    ]
    assert session.of("artifact.created") == [{"path": "/home/me/proj/notes.md", "action": "update"}]
    assert session.state.reasoning.text == "Facts first.\n\n"
    declared = session.of("run.declared")
    assert [end.get("status", "withdrawn") for end in declared] == ["completed", "withdrawn", "completed"]
    assert session.status() == "completed"
    assert session.findings() == []


def test_usage_counts_each_message_once_with_its_last_amounts() -> None:
    session = read([FILE.read_bytes()])
    assert session.state.usage == {
        "input_tokens": 8 * (4 + 12000 + 900),
        "cached_tokens": 8 * 12000,
        "output_tokens": 240,
    }
    assert session.state.usage_parts["run/claude-haiku-5"]["output_tokens"] == 30


def test_in_pieces_or_cut_off_it_tells_the_same() -> None:
    data = FILE.read_bytes()
    whole = read([data]).events
    assert read([data[at : at + 7] for at in range(0, len(data), 7)]).events == whole
    for at in range(0, len(data), 997):
        events = read([data[:at]], "claude").events
        upto = data.rfind(b"\n", 0, at) + 1
        before = [event for event in whole if event.src is not None and event.src.offset < upto]
        assert events[: len(before)] == before
    assert all(check(event.type, event.data) is None for event in whole)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_changed_line_raises_nothing_and_stays_valid(data: st.DataObject) -> None:
    values = [json.loads(one) for one in FILE.read_bytes().splitlines()]
    place = data.draw(st.integers(0, len(values) - 1))
    values[place] = changed(values[place], data)
    for event in read([lines(*values)], "claude").events:
        assert check(event.type, event.data) is None, event


def test_each_line_has_its_time() -> None:
    assert Claude.when(line("user") | {"timestamp": "2026-11-20T09:00:02.000Z"}) == 1795165202.0


def test_a_prompt_without_an_answer_leaves_the_session_unfinished() -> None:
    session = told(line("user", "One?"), said("One."), line("user", "Two?"))
    assert session.of("run.declared")[-1] == {"withdrawn": True}
    assert session.status() == "failed"
    assert told(line("user", "One?"), said("One.", stop="tool_use")).findings() == ["end-undeclared"]


def test_an_older_one_ends_its_turn_with_its_duration() -> None:
    session = told(line("user", "One?"), said("One.", stop=None), system("turn_duration"), system("turn_duration"))
    assert session.of("run.declared") == [{"status": "completed", "answer": {"message_id": "m1/1"}}]
    assert told(line("user", "One?"), system("turn_duration")).of("run.declared") == []


def test_an_interrupted_turn_is_no_answer() -> None:
    session = told(
        line("user", "One?"),
        said("On", stop=None),
        line("user", [{"type": "text", "text": "[Request interrupted by user]"}]),
        line("user", "<command-name>/exit</command-name>"),
        system("turn_duration"),
    )
    assert session.state.declared == {"status": "interrupted"}
    assert session.status() == "interrupted"


def test_an_error_of_the_api_ends_the_turn() -> None:
    wrong = said("API Error: 401", stop="stop_sequence", isApiErrorMessage=True, error="authentication_failed")
    session = told(line("user", "One?"), wrong)
    assert session.answer == ""
    assert session.state.errors[0]["fatal"]
    assert session.status() == "failed"


def test_an_agents_own_file_is_its_main_lane() -> None:
    assert told(line("user", "One?", isSidechain=True), said("One.", isSidechain=True)).answer == "One."


def test_a_side_chain_without_an_agent_is_no_draft() -> None:
    session = told(line("user", "One?"), said("Sub.", isSidechain=True), said("One.", id_="m2"))
    assert [message.text for message in session.state.messages.values()] == ["One."]


def test_a_subagent_may_be_told_as_progress() -> None:
    agent = {"type": "tool_use", "id": "a1", "name": "Agent", "input": {"description": "Look"}}
    shell = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls"}}
    back = [{"type": "tool_result", "tool_use_id": "t1", "content": "a.txt"}]
    used = {"input_tokens": 1, "output_tokens": "x"}

    def progress(message: Any) -> dict[str, Any]:
        data = {"type": "agent_progress", "agentId": "k", "message": message}
        return {"type": "progress", "sessionId": "s", "uuid": "u", "parentToolUseID": "a1", "data": data}

    session = told(
        line("assistant", [agent]),
        progress(None),
        progress({"type": "assistant", "message": {"id": "n", "model": "h", "content": [shell], "usage": used}}),
        progress({"type": "user", "message": {"content": back}}),
        progress({"type": "other"}),
    )
    assert session.steps() == {"Bash ls": "ok"}
    assert session.state.steps["t1"].parent == "a1"
    assert session.state.usage == {"input_tokens": 1}


def test_an_agent_in_the_background_is_not_waited_for_since_its_end_is_not_in_the_file() -> None:
    agent = {"type": "tool_use", "id": "a1", "name": "Agent", "input": {"description": "Look"}}
    back = [{"type": "tool_result", "tool_use_id": "a1", "content": "launched"}]
    session = told(line("assistant", [agent]), line("user", back, toolUseResult={"status": "async_launched"}))
    assert session.steps("agent") == {"Agent Look": "ok"}


def test_synthetic_messages_are_of_no_model_and_cost_nothing() -> None:
    synthetic = said("No response requested.", stop="stop_sequence")
    synthetic["message"] |= {"model": "<synthetic>", "usage": {"input_tokens": 0}}
    session = told(line("user", "One?"), synthetic)
    assert "model" not in session.state.agent
    assert session.state.usage == {}
    assert session.state.declared is None


def test_an_error_in_the_stream_is_not_ended_as_in_a_file() -> None:
    wrong = {"type": "assistant", "session_id": "s", "error": "unknown", "message": said("API Error")["message"]}
    assert told(wrong).of("run.declared") == []


@pytest.mark.parametrize(
    "first",
    [
        {"type": "summary", "summary": "Moons", "leafUuid": "u"},
        {"type": "file-history-snapshot", "messageId": "m", "snapshot": {}},
        {"type": "permission-mode", "permissionMode": "default", "sessionId": "s"},
        line("user", "One?"),
        line("user", "One?", session_id="s"),
        system("informational"),
    ],
)
def test_it_is_known_by_its_first_line(first: dict[str, Any]) -> None:
    assert told(first, said("One.")).answer == "One."


@pytest.mark.parametrize("other", [{"type": "user", "sessionId": "s"}, {"type": "x", "sessionId": "s", "uuid": "u"}])
def test_a_session_id_alone_is_no_sign(other: dict[str, Any]) -> None:
    assert Claude.matches(other) == 0


def test_unknown_lines_are_kept_and_bookkeeping_is_passed_over() -> None:
    session = told(line("user", "One?"), {"type": "unheard-of", "sessionId": "s"}, system("stop_hook_summary"))
    assert session.of("raw.event") == [{"json": {"type": "unheard-of", "sessionId": "s"}, "reason": "no mapping"}]
    assert session.counts == {"agent.identified": 1, "raw.event": 1}
