"""OpenAI Chat Completions, streamed."""

from __future__ import annotations

from typing import Any

import pytest
from adapters_kit import Told, lines, read, trace

from durastream.sources.adapters import NO, STRONG, WEAK
from durastream.sources.adapters.openai_chat import OpenAIChat

ANSWER = "Mars has two moons: Phobos and Deimos [1]."
STOP = {"finish_reason": "stop"}


def chunk(delta: dict[str, Any] | None = None, id_: str = "c1", **choice: Any) -> dict[str, Any]:
    choices = [{"index": 0, "delta": delta or {}, **choice}]
    return {"id": id_, "object": "chat.completion.chunk", "created": 5, "model": "m", "choices": choices}


def call(index: int | None, id_: str | None, name: str | None, arguments: str) -> dict[str, Any]:
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    piece = {"index": index, "id": id_, "function": function}
    return {"tool_calls": [{key: value for key, value in piece.items() if value is not None}]}


def told(*values: Any) -> Told:
    return read([lines(*values)], "openai-chat")


def test_a_whole_completion() -> None:
    told = trace("openai_chat_sdk_dump.jsonl")
    assert told.answer == ANSWER
    assert told.plan == {}
    assert told.steps() == {}
    assert told.steps("model") == {"request lookup": "ok"}
    assert told.state.steps["request/call_1"].input == {"topic": "moons of Mars"}
    assert told.of("source.added") == []
    assert told.state.reasoning.text == "Facts first."
    assert told.state.usage == {
        "input_tokens": 1200, "cached_tokens": 800, "output_tokens": 60, "reasoning_tokens": 20
    }  # fmt: skip
    assert told.state.agent["model"] == "m"
    assert told.of("artifact.created") == []
    assert told.of("error.raised") == []
    assert told.findings() == []


def test_a_turn_that_ends_in_a_request_has_ended_well_and_claims_no_result() -> None:
    told = trace("openai_chat_sdk_dump.jsonl")
    assert told.status(0) == "completed"
    step = told.state.steps["request/call_1"]
    assert (step.kind, step.output, step.error) == ("model", None, None)


def test_a_chunk_is_known_by_its_object_and_less_surely_by_its_shape() -> None:
    assert OpenAIChat.matches(chunk()) == STRONG
    assert OpenAIChat.matches({"type": "chunk", "chunk": chunk(), "snapshot": {}}) == STRONG
    assert OpenAIChat.matches({"choices": [{"delta": {"content": "a"}}]}) == WEAK
    assert OpenAIChat.matches({"choices": [{"text": "a"}]}) == NO
    assert OpenAIChat.matches({"choices": []}) == NO


def test_its_time_is_when_the_completion_was_begun() -> None:
    assert OpenAIChat.when(chunk()) == 5.0
    assert OpenAIChat.when({"created": "x"}) is None
    assert OpenAIChat.when([]) is None


def test_tool_calls_are_keyed_by_their_index() -> None:
    found = told(
        chunk(call(0, "a", "one", '{"x"')),
        chunk(call(1, "b", "two", '{"y"')),
        chunk(call(0, None, None, ": 1}")),
        chunk(call(1, None, None, ": 2}")),
        chunk(**{"finish_reason": "tool_calls"}),
    )
    assert {step.title: step.input for step in found.state.steps.values()} == {
        "request one": {"x": 1},
        "request two": {"y": 2},
    }
    assert found.status() == "completed"


def test_calls_that_share_an_index_are_told_apart_by_their_ids() -> None:
    found = told(chunk(call(0, "a", "one", "{}")), chunk(call(None, "b", "two", "{}")), chunk(**STOP))
    assert found.steps("model") == {"request one": "ok", "request two": "ok"}


def test_calls_without_ids_and_of_the_old_kind_are_requests_too() -> None:
    old = {"function_call": {"name": "old", "arguments": "{}"}}
    custom = {"tool_calls": [{"index": 3, "type": "custom", "custom": {"name": "sql", "input": "select 1"}}]}
    found = told(chunk(old), chunk(custom), chunk(**{"finish_reason": "function_call"}))
    assert {step_id: step.title for step_id, step in found.state.steps.items()} == {
        "request/c1/0": "request old",
        "request/c1/1": "request sql",
    }
    assert found.state.steps["request/c1/1"].input == "select 1"


def test_a_plan_tool_is_the_plan() -> None:
    plan = '{"todos": [{"content": "Look", "status": "in_progress"}]}'
    found = told(chunk(call(0, "a", "todo_write", plan)), chunk(**STOP))
    assert found.plan == {"Look": "active"}
    assert found.steps("model") == {}


def test_thought_has_the_names_that_vendors_give_it_and_counts_once() -> None:
    both = {"role": "assistant", "content": "", "reasoning": "Hm. ", "reasoning_content": "Hm. "}
    found = told(chunk(both), chunk({"reasoning": "So."}), chunk({"content": "Two."}), chunk(**STOP))
    assert found.state.reasoning.text == "Hm. So."
    assert found.answer == "Two."


def test_usage_in_each_chunk_replaces_and_requests_add_up() -> None:
    def used(id_: str, prompt: int, completion: int) -> dict[str, Any]:
        return {**chunk({"content": "a"}, id_), "usage": {"prompt_tokens": prompt, "completion_tokens": completion}}

    found = told(used("c1", 10, 1), used("c1", 10, 2), used("c1", 10, 2), chunk(**STOP), used("c2", 20, 5))
    assert [usage["output_tokens"] for usage in found.of("usage.reported")] == [1, 2, 7]
    assert found.state.usage == {"input_tokens": 30, "output_tokens": 7}


def test_usage_that_is_no_number_is_unknown() -> None:
    found = told({**chunk({"content": "a"}), "usage": {"prompt_tokens": None, "completion_tokens": -1}})
    assert found.state.usage == {}


@pytest.mark.parametrize("reason", ["length", "content_filter", "error"])
def test_a_completion_that_was_cut_is_a_failed_run(reason: str) -> None:
    found = told(chunk({"content": "Half"}), chunk(**{"finish_reason": reason}))
    assert found.status(0) == "failed"
    assert found.of("error.raised")[0]["fatal"] is True


@pytest.mark.parametrize("error", [{"message": "overloaded", "code": 529}, "overloaded"])
def test_an_error_in_the_stream_is_a_failed_run(error: Any) -> None:
    found = told(chunk({"content": "Half"}), {"error": error})
    assert found.status(0) == "failed"
    assert [e["message"] for e in found.of("error.raised")] == ["overloaded"]


def test_a_stream_that_stops_has_no_end() -> None:
    found = told(chunk({"content": "Half"}))
    assert found.status(0) == "failed"
    assert found.findings() == ["end-undeclared"]


def test_several_completions_are_turns_even_if_the_server_repeats_the_id() -> None:
    first = [chunk({"content": "Look. "}), chunk(**{"finish_reason": "tool_calls"})]
    found = told(*first, chunk({"content": "Two."}), chunk(**STOP))
    assert found.answer == "Two."
    assert list(found.state.messages) == ["c1", "c1/2"]
    assert found.status() == "completed"
    assert found.findings() == []
    cut = told(*first, chunk({"content": "Tw"}))
    assert cut.status(0) == "failed"
    assert cut.findings() == ["end-undeclared"]


def test_an_end_that_is_said_twice_counts_once_and_an_empty_answer_ends_too() -> None:
    assert told(chunk({"content": "a"}), chunk(**STOP), chunk(**STOP)).counts["run.declared"] == 1
    assert told(chunk({"role": "assistant"}), chunk(**STOP)).status() == "completed"


def test_other_choices_are_no_answer() -> None:
    found = told(
        chunk({"content": "Two."}),
        chunk({"content": "Zwei."}, index=1),
        chunk(index=1, **STOP),
        chunk(**STOP),
    )
    assert found.answer == "Two."
    assert [message.role for message in found.state.messages.values()] == ["assistant", "alternative"]
    assert found.counts["run.declared"] == 1


def test_a_refusal_is_text_and_a_warning() -> None:
    found = told(chunk({"refusal": "I "}), chunk({"refusal": "can't."}), chunk(**STOP))
    assert found.answer == "I can't."
    assert [e["severity"] for e in found.of("error.raised")] == ["warning"]


def test_citations_of_vendors_are_native_and_addresses_in_the_text_are_not() -> None:
    noted = {"annotations": [
        {"type": "url_citation", "url_citation": {"url": "https://a.b/1", "title": "One"}}, {"type": "file"}
    ]}  # fmt: skip
    named = {
        **chunk({"content": "ttps://a.b/1 and https://a.b/4."}),
        "search_results": [{"url": "https://a.b/2", "title": "Two"}],
        "citations": ["https://a.b/2", "https://a.b/3"],
    }
    found = told(chunk({"content": "See h"}), chunk(noted), named, chunk(**STOP))
    assert [(s["url"], s["origin"]) for s in found.of("source.added")] == [
        ("https://a.b/1", "native"),
        ("https://a.b/2", "native"),
        ("https://a.b/3", "native"),
        ("https://a.b/4", "text"),
    ]


def test_server_sent_events_with_comments_and_an_end_marker_are_read() -> None:
    events = [lines(line).decode() for line in (chunk({"content": "Two."}), chunk(**STOP))]
    stream = ": PROCESSING\n\n" + "".join(f"data: {event}\n" for event in events) + "data: [DONE]\n\n"
    found = read([stream.encode()])
    assert found.answer == "Two."
    assert found.status() == "completed"
    assert found.of("log.line") == []


def test_a_line_of_an_odd_shape_takes_no_text_along() -> None:
    odd = chunk({"content": "a", "tool_calls": 5})
    found = told(chunk({"content": "Two."}), odd, chunk(**STOP))
    assert found.counts["raw.event"] == 1
    assert found.answer == "Two."
    assert found.findings() == []


def test_what_the_sdk_makes_of_a_chunk_is_not_counted_again() -> None:
    found = told(
        {"type": "chunk", "chunk": chunk({"content": "Two."}), "snapshot": {}},
        {"type": "content.delta", "delta": "Two.", "snapshot": "Two."},
        {"type": "chunk", "chunk": chunk(**STOP), "snapshot": {}},
        {"type": "content.done", "content": "Two."},
    )
    assert found.answer == "Two."
    assert found.status() == "completed"


def test_what_has_no_mapping_is_kept() -> None:
    found = told(chunk({"content": [{"type": "text", "text": "a"}]}), {"type": "other"})
    assert [event["reason"] for event in found.of("raw.event")] == ["no mapping", "no mapping"]


def test_an_address_is_found_in_however_many_pieces_it_comes() -> None:
    text = "(see [Mars](https://example.org/mars), or https://example.org/" + "x" * 2000 + " too)"
    found = told(*(chunk({"content": letter}) for letter in text), chunk(**STOP))
    assert [len(s["url"]) for s in found.of("source.added")] == [24, 2000]
