"""OpenAI Agents SDK: `stream_events()`."""

from __future__ import annotations

from typing import Any

from adapters_kit import Told, lines, read, trace

from durastream.sources.adapters.openai_agents import OpenAIAgents


def told(*values: Any) -> Told:
    return read([lines(*values)], "openai-agents")


def raw(type_: str, **data: Any) -> dict[str, Any]:
    return {"type": "raw_response_event", "data": {"type": type_, **data}}


def item(name: str, raw_item: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "run_item_stream_event", "name": name, "item": {"raw_item": raw_item, **more}}


def message(id_: str, text: str, *notes: dict[str, Any]) -> dict[str, Any]:
    return {"id": id_, "type": "message", "content": [{"type": "output_text", "text": text, "annotations": notes}]}


def test_a_whole_run() -> None:
    told = trace("openai_agents_events.jsonl")
    assert told.answer == "Mars has two moons: Phobos and Deimos [1]."
    assert told.steps() == {"lookup": "ok", "flaky": "failed"}
    assert told.steps("agent") == {"transfer_to_writer": "ok"}
    assert told.state.agent["name"] == "writer"
    assert [source["origin"] for source in told.of("source.added")] == ["native"]
    assert [thought["text"] for thought in told.of("reasoning.delta")] == ["Facts first."]
    assert [done["length"] for done in told.of("text.completed")] == [18, 42]
    assert told.state.usage == {
        "input_tokens": 3600, "output_tokens": 180, "cached_tokens": 2400, "reasoning_tokens": 60
    }  # fmt: skip
    assert told.of("raw.event") == []
    assert told.status() == "completed"
    assert told.findings() == []


def test_the_final_output_is_compared_with_what_was_streamed() -> None:
    whole = item("message_output_created", message("m", "Half"))
    assert told(whole, {"type": "run_result", "final_output": "Half"}).findings() == []
    assert told(whole, {"type": "run_result", "final_output": "Half of it"}).findings() == ["answer-differs"]
    assert told(whole, {"type": "run_result", "final_output": {"a": 1}}).findings() == []


def test_a_final_output_that_nobody_streamed_is_the_answer() -> None:
    assert told({"type": "run_result", "final_output": {"a": 1}}).answer == '{"a":1}'
    assert told({"type": "run_result", "final_output": "from a tool"}).answer == "from a tool"
    assert told({"type": "run_result", "final_output": None}).of("run.declared") == []


def test_calls_that_wait_for_leave_were_not_made() -> None:
    waiting = {"call_id": "c", "name": "rm", "arguments": "{}"}
    found = told(
        item("tool_called", waiting),
        {"type": "run_result", "final_output": None, "interruptions": [waiting, {"call_id": "d", "name": "ls"}]},
    )
    assert [asked["title"] for asked in found.of("approval.requested")] == ["rm {}", "ls"]
    assert found.steps() == {"rm": "skipped"}
    assert found.status() == "completed"


def test_messages_with_the_same_id_are_kept_apart_by_their_response() -> None:
    found = told(
        raw("response.created", response={}),
        raw("response.output_text.delta", item_id="__fake_id__", delta="one"),
        item("message_output_created", message("__fake_id__", "one")),
        raw("response.created", response={}),
        raw("response.output_text.delta", item_id="__fake_id__", delta="two"),
        item("message_output_created", message("__fake_id__", "two")),
    )
    assert [message.text for message in found.state.messages.values()] == ["one", "two"]
    assert found.findings() == []


def test_a_refusal_is_the_text_of_its_message() -> None:
    refusal = {"id": "m", "content": [{"type": "refusal", "refusal": "No."}]}
    found = told(
        raw("response.refusal.delta", item_id="m", delta="No."), item("message_output_created", refusal)
    )  # fmt: skip
    assert (found.answer, found.findings()) == ("No.", [])


def test_thought_that_was_not_streamed_comes_with_its_item() -> None:
    summary = {"summary": [{"text": "Hm."}]}
    found = told(item("reasoning_item_created", summary), item("reasoning_item_created", {"summary": None}))
    assert found.of("reasoning.delta") == [{"text": "Hm."}]


def test_a_plan_tool_is_the_plan_and_no_step() -> None:
    steps = '{"plan":[{"step":"Look","status":"completed"},{"step":"Write","status":"in_progress"}]}'
    found = told(
        item("tool_called", {"call_id": "a", "name": "update_plan", "arguments": steps}),
        item("tool_output", {"call_id": "a"}, output="Plan updated"),
        item("tool_called", {"call_id": "b", "name": "update_plan", "arguments": "no plan"}),
    )
    assert found.plan == {"Look": "done", "Write": "active"}
    assert found.steps() == {"update_plan": "active"}, "a plan that cannot be read is a call like any other"


def test_a_tool_that_the_provider_ran_is_over_when_it_is_told() -> None:
    search = {"id": "w", "type": "web_search_call", "status": "completed", "action": {"query": "moons"}}
    remote = {"id": "m", "type": "mcp_call", "name": "fetch", "arguments": "{}", "error": "no route"}
    found = told(item("tool_called", search), item("tool_called", remote))
    assert found.steps() == {"web search moons": "ok", "fetch": "failed"}


def test_what_a_tool_gave_holds_sources() -> None:
    found = told(
        item("tool_called", {"call_id": "a", "name": "lookup", "arguments": "{}"}),
        item("tool_output", {"call_id": "a", "output": "see https://example.org/m"}),
    )
    assert [(source["url"], source["origin"]) for source in found.of("source.added")] == [
        ("https://example.org/m", "tool")
    ]


def test_files_are_cited_by_their_name() -> None:
    note = {"type": "file_citation", "filename": "notes.pdf", "file_id": "f"}
    found = told(item("message_output_created", message("m", "Two.", note, {"type": "file_path"})))
    assert [source["title"] for source in found.of("source.added")] == ["notes.pdf"]


def test_approvals_are_asked_for_and_given() -> None:
    found = told(
        item("mcp_approval_requested", {"id": "q", "server_label": "files", "name": "rm", "arguments": "{}"}),
        item("mcp_approval_response", {"approval_request_id": "q", "approve": False}),
        item("mcp_list_tools", {}),
    )
    assert found.of("approval.requested")[0]["title"] == "files rm {}"
    assert found.of("approval.resolved") == [{"approval_id": "q", "decision": "denied"}]


def test_failures_of_the_model_are_errors() -> None:
    found = told(
        raw("response.failed", response={"error": {"message": "overloaded"}}),
        raw("response.incomplete", response={"usage": {"input_tokens": 1}}),
        raw("error", message="cut off"),
    )
    assert [error["message"] for error in found.of("error.raised")] == ["overloaded", "cut off"]
    assert found.state.usage == {"input_tokens": 1}


def test_what_is_not_known_is_kept() -> None:
    found = told(raw("new.event"), item("new_item", {}), {"type": "new"})
    assert [kept["reason"] for kept in found.of("raw.event")] == ["no mapping"] * 3


def test_a_line_of_that_type_and_nothing_in_it_is_a_weak_match() -> None:
    assert OpenAIAgents.matches({"type": "raw_response_event"}) == 1
    assert OpenAIAgents.when({"type": "raw_response_event"}) is None
