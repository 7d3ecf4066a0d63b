"""Anthropic Messages, streamed."""

from __future__ import annotations

from typing import Any

import pytest
from adapters_kit import Told, lines, read, trace

from durastream.sources.adapters.anthropic import Anthropic

ANSWER = "Mars has two moons: Phobos and Deimos [1]."
STOP = {"type": "message_stop"}


def start(id_: str = "m1", **usage: Any) -> dict[str, Any]:
    message = {"id": id_, "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage}
    return {"type": "message_start", "message": message}


def block(index: int, *deltas: Any, **block: Any) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": block},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text(*pieces: str, index: int = 0) -> list[dict[str, Any]]:
    return block(index, *({"type": "text_delta", "text": piece} for piece in pieces), type="text", text="")


def why(reason: str | None, details: Any = None, **usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_details": details}, "usage": usage}


def told(*values: Any) -> Told:
    return read([lines(*values)], "anthropic")


@pytest.mark.parametrize("name", ["anthropic_messages.sse", "anthropic_messages_sdk_dump.jsonl"])
def test_a_whole_message_whose_deltas_the_sdk_repeats(name: str) -> None:
    told = trace(name)
    assert told.answer == ANSWER
    assert len(told.of("text.delta")) == 4
    assert told.plan == {}
    assert told.steps() == {}
    assert told.steps("model") == {"request lookup": "ok"}
    assert told.state.steps["request/call_1"].input == {"topic": "moons of Mars"}
    assert told.of("source.added") == [
        {
            "source_id": "https://example.org/mars",
            "url": "https://example.org/mars",
            "title": "Mars",
            "snippet": "Phobos and Deimos",
            "origin": "native",
        }
    ]
    assert told.state.reasoning.text == "Facts first."
    assert told.state.usage == {"input_tokens": 1200 + 800, "cached_tokens": 800, "output_tokens": 60}
    assert told.state.agent["model"] == "m"
    assert told.of("artifact.created") == []
    assert told.of("raw.event") == []
    assert told.status(0) == "completed"
    assert told.status(1) == "failed"
    assert told.findings() == []


def test_a_message_that_differs_from_its_deltas_is_found() -> None:
    whole = {"type": "message_stop", "message": {"content": [{"type": "text", "text": "Three."}]}}
    assert told(start(), *text("Two."), why("end_turn"), whole).findings() == ["answer-differs", "answer-differs"]


def test_messages_of_other_programs_are_another_format() -> None:
    assert not Anthropic.matches({"type": "message_start", "message": {"role": "user", "content": []}})
    assert not Anthropic.matches({"type": "content_block_stop"})
    assert Anthropic.matches({"type": "content_block_stop", "index": 0})
    assert Anthropic.when(start()) is None


def test_addresses_in_the_answer_are_sources_of_origin_text() -> None:
    found = told(start(), *text("See https://exam", "ple.org/a."), why("end_turn"), STOP)
    assert [(s["url"], s["origin"]) for s in found.of("source.added")] == [("https://example.org/a", "text")]


def test_what_a_document_says_is_a_source() -> None:
    places = [
        {"type": "char_location", "document_title": "Report", "cited_text": "two"},
        {"type": "search_result_location", "source": "https://a.b/c", "title": "C", "cited_text": "x"},
        {"type": "search_result_location", "source": "kb/7", "title": None, "cited_text": "y"},
    ]
    deltas = [{"type": "citations_delta", "citation": place} for place in places]
    found = told(start(), *block(0, *deltas, type="text", text="Two."), why("end_turn"), STOP)
    assert [(s.get("url"), s.get("title"), s["origin"]) for s in found.of("source.added")] == [
        (None, "Report", "native"),
        ("https://a.b/c", "C", "native"),
        (None, "kb/7", "native"),
    ]
    assert found.answer == "Two."


def test_tools_that_the_provider_runs_have_both_ends() -> None:
    query = {"type": "input_json_delta", "partial_json": '{"query": "Mars"}'}
    hit = {"type": "web_search_result", "url": "https://a.b/1", "title": "One", "encrypted_content": "AAAA"}
    call = block(0, query, type="server_tool_use", id="s1", name="web_search", input={})
    result = block(1, type="web_search_tool_result", tool_use_id="s1", content=[hit])
    found = told(start(), *call, *result, *text("Two.", index=2), why("end_turn"), STOP)
    step = found.state.steps["s1"]
    assert (step.title, step.kind, step.status, step.input) == ("web_search", "tool", "ok", {"query": "Mars"})
    assert step.output == [{"type": "web_search_result", "url": "https://a.b/1", "title": "One"}]
    assert [(s["title"], s["origin"], s["step_id"]) for s in found.of("source.added")] == [("One", "tool", "s1")]
    assert told(start(), *call).steps() == {"web_search": "active"}


def test_results_of_all_kinds_end_their_steps() -> None:
    page = {"type": "web_fetch_result", "url": "https://a.b/2", "content": {"type": "document", "title": "Two"}}
    found = told(
        start(),
        *block(0, type="mcp_tool_use", id="k", server_name="facts", name="lookup", input={"q": 1}),
        *block(1, type="mcp_tool_result", tool_use_id="k", is_error=True, content="no such fact"),
        *block(2, type="web_fetch_tool_result", tool_use_id="w", content=page),
        *block(3, type="bash_code_execution_tool_result", tool_use_id="b", content={"return_code": 2, "stdout": ""}),
        *block(4, type="code_execution_tool_result", tool_use_id="c", content={"return_code": 0, "stdout": "1"}),
        *block(5, type="web_search_tool_result", tool_use_id="e", content={"error_code": "max_uses_exceeded"}),
        *block(6, type="web_fetch_tool_result", tool_use_id="f", content={"url": "https://a.b/3", "content": None}),
    )
    assert {step.step_id: (step.title, step.status, step.error) for step in found.state.steps.values()} == {
        "k": ("facts.lookup", "failed", "no such fact"),
        "w": ("web_fetch", "ok", None),
        "b": ("bash_code_execution", "failed", "exit code 2"),
        "c": ("code_execution", "ok", None),
        "e": ("web_search", "failed", "max_uses_exceeded"),
        "f": ("web_fetch", "ok", None),
    }
    assert [(s["url"], s.get("title")) for s in found.of("source.added")] == [
        ("https://a.b/2", "Two"),
        ("https://a.b/3", None),
    ]


def test_a_plan_tool_is_the_plan() -> None:
    todos = {"todos": [{"content": "Look", "status": "completed"}, {"content": "Tell", "status": "pending"}]}
    found = told(start(), *block(0, type="tool_use", id="t", name="TodoWrite", input=todos), why("tool_use"), STOP)
    assert found.plan == {"Look": "done", "Tell": "pending"}
    assert found.state.steps == {}
    assert found.status(0) == "completed"


def test_usage_of_a_message_is_cumulative_and_messages_add_up() -> None:
    details = {"thinking_tokens": 4}
    found = told(
        start("m1", input_tokens=10, output_tokens=1),
        why("tool_use", output_tokens=7),
        why("tool_use", output_tokens=9, output_tokens_details=details),
        STOP,
        start("m2", input_tokens=20, output_tokens=2),
    )
    assert [usage.get("output_tokens") for usage in found.of("usage.reported")] == [None, 7, 9, 9]
    assert found.state.usage["input_tokens"] == 30
    assert found.of("usage.reported")[-1]["reasoning_tokens"] == 4


@pytest.mark.parametrize(
    ("reason", "details", "said"),
    [
        ("max_tokens", None, "the message ended with stop_reason max_tokens"),
        ("pause_turn", None, "the message ended with stop_reason pause_turn"),
        ("refusal", {"explanation": "not this"}, "the message ended with stop_reason refusal: not this"),
        (None, None, "the message ended with stop_reason None"),
    ],
)
def test_a_message_that_did_not_come_to_its_end_is_a_failed_run(reason: str | None, details: Any, said: str) -> None:
    found = told(start(), *text("Half"), why(reason, details), STOP)
    assert found.status(0) == "failed"
    assert [(e["message"], e["fatal"]) for e in found.of("error.raised")] == [(said, True)]


def test_an_error_is_a_failed_run_and_another_try_may_mend_it() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    failed = told(start(), *text("Half"), error)
    assert failed.status(0) == "failed"
    assert failed.of("error.raised")[0]["message"] == "overloaded_error: Overloaded"
    mended = told(start(), *text("Half"), error, start("m2"), *text("Whole."), why("end_turn"), STOP)
    assert mended.answer == "Whole."
    assert mended.status(0) == "completed"


def test_several_messages_are_turns_and_the_last_end_counts() -> None:
    first = [start("m1"), *text("Look. "), why("tool_use"), STOP]
    whole = told(*first, start("m2"), *text("Two."), why("end_turn"), STOP)
    assert whole.answer == "Two."
    assert whole.status() == "completed"
    cut = told(*first, start("m2"), *text("Tw"))
    assert cut.status(0) == "failed"
    assert cut.findings() == ["end-undeclared"]


def test_a_blank_line_stands_between_thoughts() -> None:
    def thought(index: int, text: str) -> list[dict[str, Any]]:
        return block(index, {"type": "thinking_delta", "thinking": text}, type="thinking", thinking="")

    assert told(start(), *thought(0, "One."), *thought(1, "Two.")).state.reasoning.text == "One.\n\nTwo."


def test_thought_that_is_hidden_says_nothing() -> None:
    found = told(start(), {"type": "ping"}, *block(0, type="redacted_thinking", data="AAAA"))
    assert "reasoning.delta" not in found.counts
    assert found.of("raw.event") == []


def test_what_has_no_mapping_is_kept() -> None:
    found = told(
        start(),
        *block(0, type="container_upload", file_id="f"),
        *block(1, {"type": "compaction_delta", "content": "x"}, type="text", text=""),
        {"type": "message_flag"},
    )
    assert [event["reason"] for event in found.of("raw.event")] == ["no mapping"] * 3
