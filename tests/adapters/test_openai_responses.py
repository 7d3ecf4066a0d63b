"""OpenAI Responses, streamed."""

from __future__ import annotations

from typing import Any

import pytest
from adapters_kit import Told, lines, read, trace

from durastream.sources.adapters.openai_responses import OpenAIResponses

ANSWER = "Mars has two moons: Phobos and Deimos [1]."
CREATED = {"type": "response.created", "sequence_number": 0, "response": {"id": "r1", "object": "response"}}


def told(*values: Any) -> Told:
    return read([lines(CREATED, *values)], "openai-responses")


def delta(text: str, number: int | None = 1, item: str = "m") -> dict[str, Any]:
    line: dict[str, Any] = {"type": "response.output_text.delta", "item_id": item, "delta": text}
    return line if number is None else {**line, "sequence_number": number}


def item(**fields: Any) -> dict[str, Any]:
    return {"type": "response.output_item.done", "sequence_number": 50, "item": fields}


def added(**fields: Any) -> dict[str, Any]:
    return {"type": "response.output_item.added", "sequence_number": 1, "item": fields}


def message(text: str, id_: str = "m", **part: Any) -> dict[str, Any]:
    return {"id": id_, "type": "message", "content": [{"type": "output_text", "text": text, **part}]}


def ended(*output: Any, id_: str = "r1", status: str = "completed", **fields: Any) -> dict[str, Any]:
    response = {"id": id_, "object": "response", "status": status, "output": list(output), **fields}
    return {"type": f"response.{status}", "sequence_number": 99, "response": response}


@pytest.mark.parametrize("name", ["openai_responses.sse", "openai_responses_sdk_dump.jsonl"])
def test_a_whole_response(name: str) -> None:
    told = trace(name)
    assert told.answer == ANSWER
    assert len(told.of("text.delta")) == 4
    assert told.plan == {}
    assert told.steps() == {"web search": "ok"}
    assert told.steps("model") == {}
    step = next(iter(told.state.steps.values()))
    assert step.message == "moons of Mars"
    assert step.output == [{"type": "url", "url": "https://example.org/mars"}]
    assert [(source["url"], source["origin"]) for source in told.of("source.added")] == [
        ("https://example.org/mars", "tool"),
        ("https://example.org/mars", "native"),  # once more, for its title is learnt here
    ]
    assert list(told.state.sources) == ["https://example.org/mars"]
    assert told.state.reasoning.text == "Facts first."
    assert told.state.usage == {
        "input_tokens": 1200, "cached_tokens": 800, "output_tokens": 60, "reasoning_tokens": 20
    }  # fmt: skip
    assert told.state.agent["model"] == "text"
    assert told.of("artifact.created") == []
    assert told.state.declared is not None
    assert told.state.declared["answer"]["text"] == ANSWER
    assert told.status(0) == "completed"
    assert told.status(1) == "failed"
    assert told.findings() == []


def test_its_times_are_those_of_its_responses() -> None:
    assert OpenAIResponses.when({**CREATED, "response": {"created_at": 5}}) == 5.0
    assert OpenAIResponses.when({"type": "response.completed", "response": {"created_at": 5, "completed_at": 7}}) == 7.0
    assert OpenAIResponses.when({"type": "response.completed", "response": {"created_at": 5}}) is None
    assert OpenAIResponses.when(delta("a")) is None
    assert OpenAIResponses.when([]) is None


def test_the_realtime_api_is_another_format() -> None:
    realtime = {"type": "response.created", "event_id": "e", "response": {"object": "realtime.response", "id": "r"}}
    assert not OpenAIResponses.matches(realtime)
    assert OpenAIResponses.matches({"type": "response.in_progress", "response": {"id": "r", "object": "response"}})


def test_what_is_repeated_after_a_reconnection_is_told_once() -> None:
    again = [delta("Two ", 1), delta("moons.", 2)]
    thought = {
        "type": "response.reasoning_summary_text.delta", "item_id": "t", "sequence_number": 1, "delta": "Hm."
    }  # fmt: skip
    whole = {"type": "response.reasoning_summary_text.done", "item_id": "t", "sequence_number": 2, "text": "Hm."}
    more = {**thought, "sequence_number": 3, "delta": "So."}
    end = ended(message("Two moons."), usage={"input_tokens": 3})
    found = told(
        thought, thought, whole, more, whole, *again, CREATED, *again, item(**message("Two moons.")), *again, end, end
    )
    assert found.answer == "Two moons."
    assert found.state.reasoning.text == "Hm.\n\nSo."
    assert found.counts["run.declared"] == 1
    assert found.state.usage == {"input_tokens": 3}
    assert found.findings() == []


def test_without_sequence_numbers_what_is_done_is_not_told_again() -> None:
    found = told(delta("Two ", None), delta("Two ", None), item(**message("Two Two ")), delta("Two ", None), ended())
    assert found.answer == "Two Two "
    assert found.findings() == []


def test_texts_that_were_not_streamed_are_told_from_the_item_or_the_response() -> None:
    thought = {
        "id": "t", "type": "reasoning", "summary": [{"text": "Sum."}], "content": [{"text": "All."}]
    }  # fmt: skip
    found = told(item(**thought), ended(thought, {"id": "x", "type": "new_thing"}, message("Whole.")))
    assert found.answer == "Whole."
    assert found.state.reasoning.text == "Sum.\n\nAll."
    assert found.status() == "completed"
    assert found.findings() == []


def test_a_text_that_differs_from_what_was_streamed_is_found() -> None:
    assert told(delta("Two"), ended(message("Three"))).findings() == ["answer-differs", "answer-differs"]


def test_addresses_in_the_answer_are_sources_of_origin_text() -> None:
    found = told(ended(message("See https://example.org/a.")))
    assert [(s["url"], s["origin"]) for s in found.of("source.added")] == [("https://example.org/a", "text")]


def test_citations_of_pages_and_files_and_files_that_were_made() -> None:
    notes = [
        {"type": "url_citation", "url": "https://example.org/a", "title": "A"},
        {"type": "file_citation", "filename": "a.pdf", "file_id": "f"},
        {"type": "container_file_citation", "filename": "plot.png", "file_id": "g"},
        {"type": "file_path", "file_id": "h"},
    ]
    found = told(item(**message("a", annotations=notes)))
    assert [(s.get("url"), s["title"], s["origin"]) for s in found.of("source.added")] == [
        ("https://example.org/a", "A", "native"),
        (None, "a.pdf", "native"),
    ]
    assert [made["path"] for made in found.of("artifact.created")] == ["plot.png"]


def test_a_function_call_is_a_request_of_the_model_and_no_tool_that_ran() -> None:
    call = {"id": "fc", "type": "function_call", "call_id": "c1", "name": "lookup", "arguments": '{"topic": "Mars"}'}
    found = told(
        added(**call),
        {"type": "response.function_call_arguments.done", "item_id": "fc", "arguments": call["arguments"]},
        item(**call),
        ended(call),
    )
    step = found.state.steps["request/c1"]
    assert (step.title, step.kind, step.status, step.input) == ("request lookup", "model", "ok", {"topic": "Mars"})
    assert found.steps() == {}
    assert found.counts["step.started"] == 1
    assert found.status(0) == "completed"
    assert found.findings() == []


def test_all_calls_that_the_agent_runs_are_requests() -> None:
    found = told(
        item(id="a", type="custom_tool_call", call_id="c1", name="sql", input="select 1"),
        item(id="b", type="local_shell_call", call_id="c2", action={"command": ["ls"]}),
        item(id="c", type="apply_patch_call", call_id="c3", operation={"type": "create_file", "path": "a"}),
        item(id="d", type="computer_call", action={"type": "click"}),
        item(id="e", type="shell_call", call_id="c5", action={"commands": ["ls"]}, environment=None),
        item(type="function_call", call_id="c6", name="f", arguments="no JSON"),
        ended(),
    )
    assert {step.title: step.input for step in found.state.steps.values()} == {
        "request sql": "select 1",
        "request local shell": {"command": ["ls"]},
        "request apply patch a": {"type": "create_file", "path": "a"},
        "request computer": {"type": "click"},
        "request shell": {"commands": ["ls"]},
        "request f": "no JSON",
    }
    assert found.status(0) == "completed"


def test_a_result_that_is_in_the_stream_is_a_tool_that_ran() -> None:
    shell = [{"stdout": "", "stderr": "no", "outcome": {"type": "exit", "exit_code": 2}}]
    slow = [{"stdout": "", "stderr": "", "outcome": {"type": "timeout"}}]
    fine = [{"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]
    found = told(
        item(id="a", type="function_call_output", call_id="c1", output="12", status="completed"),
        item(id="b", type="apply_patch_call_output", call_id="c2", status="failed", output="conflict"),
        item(id="c", type="shell_call_output", call_id="c3", output=shell, status="completed"),
        item(id="d", type="shell_call_output", call_id="c4", output=slow, status="completed"),
        item(id="e", type="shell_call_output", call_id="c5", output=fine, status="completed"),
    )
    assert {step.step_id: (step.title, step.status, step.error) for step in found.state.steps.values()} == {
        "c1": ("function", "ok", None),
        "c2": ("apply patch", "failed", "failed"),
        "c3": ("shell", "failed", "exit code 2"),
        "c4": ("shell", "failed", "timeout"),
        "c5": ("shell", "ok", None),
    }


def test_a_shell_of_the_providers_is_open_until_its_output_is_there() -> None:
    call = {
        "id": "s", "type": "shell_call", "call_id": "c1", "action": {"commands": ["ls", "pwd"]},
        "environment": {"type": "container_reference", "container_id": "k"},
    }  # fmt: skip
    assert told(added(**call), item(**call)).steps() == {"ls; pwd": "active"}
    out = [{"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]
    result = item(id="o", type="shell_call_output", call_id="c1", output=out, status="completed")
    assert told(added(**call), item(**call), result).steps() == {"ls; pwd": "ok"}


def test_mcp_calls_begin_with_their_input_and_end_with_their_result() -> None:
    call = {
        "id": "k", "type": "mcp_call", "server_label": "facts", "name": "lookup", "arguments": '{"q": 1}',
        "output": "see https://example.org/m", "status": "completed",
    }  # fmt: skip
    known = {"type": "response.mcp_call_arguments.done", "item_id": "k", "arguments": '{"q": 1}'}
    open_ = told(added(**call), {"type": "response.mcp_call.in_progress", "item_id": "k"}, known)
    assert open_.state.steps["k"].status == "active"
    assert open_.state.steps["k"].input == {"q": 1}
    found = told(added(**call), known, known, item(**call), added(**call))
    assert found.steps() == {"facts.lookup": "ok"}
    assert found.counts["step.started"] == 1
    assert [(s["url"], s["origin"]) for s in found.of("source.added")] == [("https://example.org/m", "tool")]
    failed = told(item(**{**call, "output": None, "error": {"type": "http", "message": "no such tool"}}))
    assert failed.state.steps["k"].input == {"q": 1}
    assert failed.state.steps["k"].error == "no such tool"


def test_the_tools_that_the_provider_runs() -> None:
    hit = {"filename": "a.pdf", "text": "two moons"}
    found = told(
        added(id="a", type="file_search_call", status="in_progress", queries=[]),
        item(id="a", type="file_search_call", status="completed", queries=["moons"], results=[hit]),
        added(id="b", type="code_interpreter_call", status="in_progress"),
        {"type": "response.code_interpreter_call_code.done", "item_id": "b", "code": "1+1"},
        item(id="b", type="code_interpreter_call", status="completed", code="1+1", outputs=[{"logs": "2"}]),
        item(id="c", type="image_generation_call", status="failed", result=None, revised_prompt="A moon"),
        item(id="d", type="mcp_list_tools", server_label="facts", tools=[{"name": "lookup"}], error="half of them"),
        item(id="e", type="web_search_call", status="completed", action={"type": "open_page", "url": "https://a.b/c"}),
        item(id="f", type="file_search_call", status="completed", queries=["late"]),
    )
    steps = found.state.steps
    assert {id_: (step.title, step.status) for id_, step in steps.items()} == {
        "a": ("file search", "ok"),
        "b": ("run code", "ok"),
        "c": ("make an image", "failed"),
        "d": ("list tools of facts", "failed"),
        "e": ("web search", "ok"),
        "f": ("file search", "ok"),
    }
    assert steps["a"].message == '["moons"]'
    assert (steps["b"].input, steps["b"].output) == ({"code": "1+1"}, [{"logs": "2"}])
    assert (steps["c"].output, steps["c"].error) == ("A moon", "failed")
    assert (steps["d"].output, steps["d"].error) == (["lookup"], "half of them")
    assert steps["f"].input == {"queries": ["late"]}
    assert [(s["source_id"], s["origin"]) for s in found.of("source.added")] == [
        ("a.pdf", "tool"),
        ("https://a.b/c", "tool"),
    ]


def test_code_that_was_not_announced_is_known_from_the_item() -> None:
    found = told(
        {"type": "response.code_interpreter_call_code.done", "item_id": "b", "code": "1+1"},
        item(id="b", type="code_interpreter_call", status="completed", code="1+1"),
    )
    assert found.state.steps["b"].input == {"code": "1+1"}


def test_approvals_are_asked_and_decided() -> None:
    found = told(
        item(id="a", type="mcp_approval_request", server_label="facts", name="drop", arguments="{}"),
        item(id="b", type="mcp_approval_response", approval_request_id="a", approve=False),
        item(id="c", type="mcp_approval_response", approval_request_id="d", approve=True),
    )
    assert [asked["title"] for asked in found.of("approval.requested")] == ["facts.drop"]
    assert [decided["decision"] for decided in found.of("approval.resolved")] == ["denied", "approved"]


def test_a_plan_tool_is_the_plan() -> None:
    plan = '{"plan": [{"step": "Look", "status": "completed"}, {"step": "Tell", "status": "in_progress"}]}'
    call = {"type": "function_call", "name": "update_plan", "arguments": plan}
    found = told(item(id="a", call_id="c1", **call), item(id="b", call_id="c2", **{**call, "name": "lookup"}))
    assert found.plan == {"Look": "done", "Tell": "active"}
    assert found.steps("model") == {"request lookup": "ok"}
    parent = found.state.steps["request/c2"].parent
    assert parent is not None
    assert found.state.steps[parent].title == "Tell"


def test_a_refusal_is_text_and_a_warning() -> None:
    refused = {"id": "m", "type": "message", "content": [{"type": "refusal", "refusal": "I can't."}]}
    piece = {"type": "response.refusal.delta", "item_id": "m", "sequence_number": 2, "delta": "I can't."}
    found = told(piece, item(**refused), ended(refused))
    assert found.answer == "I can't."
    assert [(e["severity"], e["fatal"]) for e in found.of("error.raised")] == [("warning", False)]
    assert found.findings() == []


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (ended(status="failed", error={"code": "server_error", "message": "oops"}), "server_error: oops"),
        (
            ended(message("Half"), status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
            "the response is incomplete: max_output_tokens",
        ),
        ({**ended(status="cancelled"), "type": "response.completed"}, "the response is cancelled"),
        (
            {"type": "error", "sequence_number": 4, "code": "rate_limit", "message": "slow down"},
            "rate_limit: slow down",
        ),
        ({"type": "error", "error": {"type": "invalid", "message": "no"}}, "error: no"),
    ],
)
def test_a_response_that_did_not_complete_is_a_failed_run(end: Any, said: str) -> None:
    found = told(delta("Half"), end)
    assert found.status(0) == "failed"
    assert [(e["message"], e["fatal"]) for e in found.of("error.raised")] == [(said, True)]


def test_several_responses_are_turns_and_the_last_end_counts() -> None:
    first = [delta("Look. ", 1, "m1"), ended(message("Look. ", "m1"), usage={"input_tokens": 5, "output_tokens": 1})]
    second = {"type": "response.created", "sequence_number": 0, "response": {"id": "r2", "object": "response"}}
    usage = {"input_tokens": 7, "input_tokens_details": {"cached_tokens": 5}}
    whole = told(*first, second, delta("Two.", 1, "m2"), ended(message("Two.", "m2"), id_="r2", usage=usage))
    assert whole.answer == "Two."
    assert whole.state.usage == {"input_tokens": 12, "output_tokens": 1, "cached_tokens": 5}
    assert whole.status() == "completed"
    cut = told(*first, second, delta("Tw", 1, "m2"))
    assert cut.status(0) == "failed"
    assert cut.findings() == ["end-undeclared"]


def test_an_answer_without_text_is_none() -> None:
    found = told(ended())
    assert found.status() == "completed"
    assert found.state.declared == {"status": "completed"}


def test_what_is_known_of_items_is_bounded() -> None:
    adapter_items = [item(**message("x", f"m{number}")) for number in range(600)]
    assert len(told(*adapter_items).of("text.completed")) == 600


def test_what_has_no_mapping_is_kept() -> None:
    found = told({"type": "response.audio.delta", "delta": "AAAA"}, item(id="x", type="compaction"))
    assert [event["reason"] for event in found.of("raw.event")] == ["no mapping", "no mapping"]
