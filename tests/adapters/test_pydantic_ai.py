"""Pydantic AI: `run_stream_events()`."""

from __future__ import annotations

from typing import Any

from adapters_kit import Told, lines, read, trace

from durastream.sources.adapters.pydantic_ai import PydanticAI

ANSWER = "Mars has two moons: Phobos and Deimos [1].\n\n[1] https://example.org/mars"


def told(*values: Any) -> Told:
    return read([lines(*values)], "pydantic-ai")


def start(index: int, kind: str, content: Any = None, **more: Any) -> dict[str, Any]:
    return {"event_kind": "part_start", "index": index, "part": {"part_kind": kind, "content": content, **more}}


def delta(kind: str, content: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "event_kind": "part_delta", "index": 0, "delta": {"part_delta_kind": kind, "content_delta": content, **more}
    }  # fmt: skip


def end(kind: str, content: Any = None, following: str | None = None, **more: Any) -> dict[str, Any]:
    part = {"part_kind": kind, "content": content, **more}
    return {"event_kind": "part_end", "index": 0, "part": part, "next_part_kind": following}


def result(output: Any, **usage: Any) -> dict[str, Any]:
    return {"event_kind": "agent_run_result", "result": {"output": output, "usage": usage}}


def tool(event: str, id_: str, name: str, kind: str = "tool-call", **part: Any) -> dict[str, Any]:
    return {"event_kind": event, "part": {"part_kind": kind, "tool_call_id": id_, "tool_name": name, **part}}


def test_a_whole_run() -> None:
    told = trace("pydantic_ai_events.jsonl")
    assert told.answer == ANSWER
    assert told.plan == {"Look up": "active", "Answer": "pending"}
    tools = [step for step in told.state.steps.values() if step.kind == "tool"]
    assert [(step.title, step.status) for step in tools] == [("lookup", "ok"), ("flaky", "failed"), ("flaky", "ok")]
    assert {step.parent for step in tools} == {"plan/p1"}
    assert [step["error"] for step in told.of("step.completed") if "error" in step] == ["x must be 2"]
    assert [(source["url"], source["origin"]) for source in told.of("source.added")] == [
        ("https://example.org/mars", "tool")
    ]
    assert "".join(thought["text"] for thought in told.of("reasoning.delta")) == "Facts first, then the note."
    assert [done["length"] for done in told.of("text.completed")] == [38, len(ANSWER)]
    assert told.state.usage == {"input_tokens": 200, "output_tokens": 66}
    assert told.of("raw.event") == []
    assert told.status() == "completed"
    assert told.findings() == []


def test_a_run_without_its_result_did_not_end_well() -> None:
    found = told(start(0, "text", "Ha"))
    assert found.status(0) == "failed"


def test_what_was_streamed_is_compared_with_the_whole() -> None:
    assert told(start(0, "text", "Ha"), end("text", "Half")).findings()[-1] == "answer-differs"
    assert told(start(0, "text", "Ha"), end("text", "Ha"), result("Half")).findings() == ["answer-differs"]


def test_the_index_begins_again_with_each_response() -> None:
    found = told(start(0, "text", "one"), start(0, "text", "two"), result("two"))
    assert [message.text for message in found.state.messages.values()] == ["one", "two"]
    assert found.findings() == []


def test_parts_of_text_with_nothing_but_thought_between_them_are_one_message() -> None:
    found = told(
        start(0, "text", "Two "),
        end("text", "Two ", "thinking"),
        start(1, "thinking", "Hm."),
        start(2, "text", "moons"),
        delta("text", "."),
        end("text", "moons."),
        result("Two moons."),
    )
    assert (found.answer, found.findings()) == ("Two moons.", [])


def test_a_tool_of_the_provider_ends_a_message() -> None:
    found = told(
        start(0, "text", "Let me look."),
        start(1, "builtin-tool-call", tool_call_id="b", tool_name="web_search", args=""),
        end("builtin-tool-call", tool_call_id="b", tool_name="web_search", args='{"query":"moons"}'),
        start(2, "builtin-tool-call", tool_call_id="c", tool_name="code", args={"x": 1}),
        start(3, "builtin-tool-return", {"u": "https://example.org/m"}, tool_call_id="b", tool_name="web_search"),
        start(4, "text", "Two."),
        end("text", "Two."),
        result("Two."),
    )
    assert (found.answer, found.findings()) == ("Two.", ["step-open"])
    assert found.steps() == {"web_search moons": "ok", "code": "active"}
    assert found.of("step.started")[0]["input"] == {"query": "moons"}
    assert [source["origin"] for source in found.of("source.added")] == ["tool"]


def test_citations_are_native_sources() -> None:
    web = {"kind": "web", "url": "https://example.org/m", "title": "Mars", "excerpts": ["two moons"]}
    file = {"kind": "document", "document_id": "file-1"}
    found = told(
        start(0, "text", "Two"),
        delta("text", None, citations_delta=[{"sources": [web]}]),
        end("text", "Two", citations=[{"sources": [web, file]}]),
    )
    assert [(source.get("url"), source["title"], source["origin"]) for source in found.of("source.added")] == [
        ("https://example.org/m", "Mars", "native"),
        (None, "file-1", "native"),
    ]


def test_how_tools_end() -> None:
    returned = "tool-return"
    found = told(
        tool("function_tool_call", "a", "one", args="not JSON"),
        tool("function_tool_result", "a", "one", returned, content="x", outcome="failed"),
        tool("function_tool_result", "b", "two", returned, content="not allowed", outcome="denied"),
        tool("function_tool_result", "c", "three", returned, content="", outcome="interrupted"),
        tool("function_tool_result", "d", "four", "retry-prompt", content="again"),
        {"event_kind": "function_tool_result", "result": {**_part("e", "five"), "content": "fine"}},
    )
    assert found.steps() == {"one": "failed", "two": "denied", "three": "skipped", "four": "failed", "five": "ok"}


def _part(id_: str, name: str) -> dict[str, Any]:
    return {"part_kind": "tool-return", "tool_call_id": id_, "tool_name": name}


def test_a_plan_tool_whose_input_is_no_plan_is_a_step() -> None:
    found = told(tool("function_tool_call", "a", "update_plan", args={"x": 1}))
    assert found.steps() == {"update_plan": "active"}


def test_an_output_that_is_no_text_is_the_answer_as_json() -> None:
    found = told(
        start(0, "text", "I will say."), end("text", "I will say."), result({"moons": 2}, cache_read_tokens=3, cost=1.5)
    )
    assert (found.answer, found.findings()) == ('{"moons":2}', [])
    assert found.state.usage == {"cached_tokens": 3, "cost_usd": 1.5}


def test_an_output_that_was_never_streamed_is_the_answer() -> None:
    assert told(result("From a function")).answer == "From a function"


def test_calls_that_wait_for_leave_are_asked_for() -> None:
    waiting = {"approvals": [{"tool_call_id": "a", "tool_name": "rm", "args": {"path": "x"}}]}
    denied = {"approvals": {"a": {"kind": "tool-denied"}, "b": True, "c": None}}
    found = told(
        {"event_kind": "deferred_tool_requests", "requests": waiting},
        {"event_kind": "deferred_tool_results", "results": denied},
    )
    assert [asked["title"] for asked in found.of("approval.requested")] == ['rm {"path":"x"}']
    assert [answer["decision"] for answer in found.of("approval.resolved")] == ["denied", "approved", "approved"]


def test_a_run_that_ends_with_what_it_asks_has_no_answer() -> None:
    requests = {"approvals": [{"tool_call_id": "a", "tool_name": "rm", "args": {}}], "calls": [{"tool_call_id": "b"}]}
    found = told(
        tool("function_tool_call", "a", "rm", args={}),
        {"event_kind": "deferred_tool_requests", "requests": requests},
        result(requests),
    )
    assert found.steps() == {"rm": "skipped"}
    assert (found.answer, found.status()) == ("", "completed")


def test_what_is_not_known_is_kept() -> None:
    found = told(start(0, "hologram"), delta("hologram"), {"event_kind": "custom"}, end("hologram"), start(1, "file"))
    assert [kept["reason"] for kept in found.of("raw.event")] == ["no mapping"] * 3
    assert not PydanticAI.matches({"event_kind": "part_start"})
    assert not PydanticAI.matches({"event_kind": "custom"})
    assert PydanticAI.when({"event_kind": "custom"}) is None
