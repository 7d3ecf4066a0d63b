"""Gemini API, streamed."""

from __future__ import annotations

from typing import Any

import pytest
from adapters_kit import Told, lines, read, trace

from durastream.sources.adapters import NO, STRONG, WEAK
from durastream.sources.adapters.gemini_api import GeminiAPI

ANSWER = "Mars has two moons: Phobos and Deimos [1]."


def chunk(*parts: Any, id_: str = "r1", used: dict[str, Any] | None = None, **candidate: Any) -> dict[str, Any]:
    content = {"role": "model", "parts": [{"text": part} if isinstance(part, str) else part for part in parts]}
    line = {"candidates": [{"content": content, **candidate}], "modelVersion": "m", "responseId": id_}
    return line if used is None else {**line, "usageMetadata": used}


def told(*values: Any) -> Told:
    return read([lines(*values)], "gemini-api")


def test_a_whole_response() -> None:
    told = trace("gemini_generate_content.sse")
    assert told.answer == ANSWER
    assert told.plan == {}
    assert told.steps() == {"web search": "ok"}
    assert told.steps("model") == {"request lookup": "ok"}
    assert told.state.steps["request/call_1"].input == {"topic": "moons of Mars"}
    assert told.state.steps["mockresp7/search"].input == {"queries": ["moons of Mars"]}
    assert [(s["url"], s["title"], s["origin"]) for s in told.of("source.added")] == [
        ("https://example.org/mars", "Mars", "native")
    ]
    assert told.state.reasoning.text == "Facts first."
    assert told.counts["usage.reported"] == 1
    assert told.state.usage == {
        "input_tokens": 1200, "cached_tokens": 800, "output_tokens": 60 + 20, "reasoning_tokens": 20
    }  # fmt: skip
    assert told.state.agent["model"] == "mock"
    assert told.of("artifact.created") == []
    assert told.status(0) == "completed"
    assert told.status(1) == "failed"
    assert told.findings() == []


def test_a_chunk_is_known_by_its_candidates_and_more_surely_by_what_stands_beside_them() -> None:
    assert GeminiAPI.matches(chunk("a")) == STRONG
    assert GeminiAPI.matches({"candidates": [{"content": {"parts": []}}]}) == WEAK
    assert GeminiAPI.matches({"candidates": [{"finish_reason": "STOP"}], "model_version": "m"}) == STRONG
    assert GeminiAPI.matches({"candidates": [{"name": "Smith"}], "modelVersion": "m"}) == NO
    assert GeminiAPI.matches({"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "m"}) == STRONG
    assert GeminiAPI.matches({"candidates": ["Smith"]}) == NO
    assert GeminiAPI.when(chunk("a")) is None


def test_the_snake_case_of_the_sdk_is_read_too() -> None:
    call = {"text": None, "thought": None, "function_call": {"id": None, "name": "lookup", "args": {"a": 1}}}
    line = {
        "candidates": [{
            "content": {"parts": [{"text": "Two.", "function_call": None}, call], "role": "model"},
            "finish_reason": "STOP",
            "grounding_metadata": {
                "web_search_queries": None, "grounding_chunks": [{"retrieved_context": {"uri": "gs://a", "title": "A"}}]
            },
        }],
        "usage_metadata": {"prompt_token_count": 5, "thoughts_token_count": None},
        "model_version": "m",
        "prompt_feedback": None,
    }  # fmt: skip
    found = read([lines(line)])
    assert found.state.agent["format"] == "gemini-api"
    assert found.answer == "Two."
    assert found.state.steps["request/response/1"].input == {"a": 1}
    assert [source["url"] for source in found.of("source.added")] == ["gs://a"]
    assert found.state.usage == {"input_tokens": 5}
    assert found.status() == "completed"


def test_usage_grows_within_a_response_and_responses_add_up() -> None:
    found = told(
        chunk("a", used={"promptTokenCount": 5, "candidatesTokenCount": 1}),
        chunk("b", used={"promptTokenCount": 5, "candidatesTokenCount": 3}, finishReason="STOP"),
        {"usageMetadata": {"candidatesTokenCount": 4}},
        chunk("c", id_="r2", used={"promptTokenCount": 9, "candidatesTokenCount": 1}),
    )
    assert found.state.usage == {"input_tokens": 14, "output_tokens": 5}


def test_several_responses_are_turns_and_the_last_end_counts() -> None:
    first = [chunk("Look. ", {"functionCall": {"name": "lookup", "args": {}}}, finishReason="STOP")]
    whole = told(*first, chunk("Two.", id_="r2", finishReason="STOP"))
    assert whole.answer == "Two."
    assert list(whole.state.messages) == ["r1", "r2/2"]
    assert whole.steps("model") == {"request lookup": "ok"}
    assert whole.status() == "completed"
    cut = told(*first, chunk("Tw", id_="r2"))
    assert cut.status(0) == "failed"
    assert cut.findings() == ["end-undeclared"]


def test_lines_after_the_end_of_a_response_begin_no_other() -> None:
    ground = {"groundingChunks": [{"maps": {"uri": "https://a.b/m", "title": "Map"}}, {"image": {}}]}
    found = told(chunk("Two.", finishReason="STOP"), chunk("", groundingMetadata=ground), chunk(finishReason="STOP"))
    assert found.counts["run.declared"] == 1
    assert [source["title"] for source in found.of("source.added")] == ["Map"]
    assert found.status() == "completed"


def test_a_search_is_told_once_however_often_its_sources_grow() -> None:
    def grounded(*urls: str) -> dict[str, Any]:
        return {"webSearchQueries": ["Mars"], "groundingChunks": [{"web": {"uri": url, "title": "T"}} for url in urls]}

    found = told(
        chunk("a", groundingMetadata=grounded("https://a.b/1")),
        chunk("b", groundingMetadata=grounded("https://a.b/1", "https://a.b/2")),
    )
    assert found.counts["step.started"] == 1
    assert [source["url"] for source in found.of("source.added")] == ["https://a.b/1", "https://a.b/2"]


def test_citations_pages_that_were_opened_and_addresses_in_the_text() -> None:
    pages = [
        {"retrievedUrl": "https://a.b/3", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_SUCCESS"},
        {"retrievedUrl": "https://a.b/4", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_ERROR"},
    ]
    cited = {"citationSources": [{"uri": "https://a.b/1"}]}
    more = {"citationMetadata": {"citations": [{"uri": "https://a.b/2", "title": "Two"}]}}
    found = told(
        chunk("https://a.b/1 https://a.b", citationMetadata=cited, urlContextMetadata={"urlMetadata": pages}),
        chunk("/5", **more, finishReason="STOP"),
    )
    assert [(source["url"], source["origin"]) for source in found.of("source.added")] == [
        ("https://a.b/1", "native"),
        ("https://a.b/3", "tool"),
        ("https://a.b/2", "native"),
        ("https://a.b/5", "text"),
    ]


def test_code_and_tools_that_the_provider_runs_have_both_ends() -> None:
    found = told(
        chunk({"executableCode": {"language": "PYTHON", "code": "1+1"}}),
        chunk({"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}}),
        chunk({"executableCode": {"id": "x", "code": "1/0"}}),
        chunk({"codeExecutionResult": {"id": "x", "outcome": "OUTCOME_FAILED", "output": "no"}}),
        chunk({"toolCall": {"id": "t", "toolType": "GOOGLE_SEARCH_WEB", "args": {"q": 1}}}),
        chunk({"toolResponse": {"id": "t", "toolType": "GOOGLE_SEARCH_WEB", "response": {"n": 3}}}),
        chunk({"toolCall": {"id": "u"}}),
    )
    steps = found.state.steps
    assert {id_: (step.title, step.status) for id_, step in steps.items()} == {
        "code/1": ("run code", "ok"),
        "x": ("run code", "failed"),
        "t": ("GOOGLE_SEARCH_WEB", "ok"),
        "u": ("tool", "active"),
    }
    assert steps["code/1"].output == "2"
    assert steps["x"].error == "OUTCOME_FAILED"
    assert steps["t"].output == {"n": 3}


def test_a_plan_tool_is_the_plan() -> None:
    todos = [{"description": "Look", "status": "in_progress"}]
    found = told(chunk({"functionCall": {"name": "write_todos", "args": {"todos": todos}}}, finishReason="STOP"))
    assert found.plan == {"Look": "active"}
    assert found.steps("model") == {}


def test_parts_without_a_place_of_their_own_are_in_the_log() -> None:
    found = told(
        chunk({"fileData": {"fileUri": "https://a.b/img.png"}}),
        chunk({"inlineData": {"mimeType": "image/png", "data": "AAAA"}}),
        chunk({"functionCall": {"name": "lookup", "willContinue": True}}),
        chunk("Zwei.", index=1),
    )
    assert [made["url"] for made in found.of("artifact.created")] == ["https://a.b/img.png"]
    assert len(found.of("log.line")) == 3
    assert found.answer == ""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (chunk("Half", finishReason="MAX_TOKENS"), "the response ended with finishReason MAX_TOKENS"),
        (
            {"candidates": [{"finishReason": "SAFETY", "finishMessage": "no"}], "modelVersion": "m"},
            "the response ended with finishReason SAFETY: no",
        ),
        ({"promptFeedback": {"blockReason": "OTHER"}, "modelVersion": "m"}, "the prompt was blocked: OTHER"),
        ({"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}, "UNAVAILABLE: busy"),
    ],
)
def test_a_response_that_did_not_come_to_its_end_is_a_failed_run(line: Any, said: str) -> None:
    found = told(line)
    assert found.status(0) == "failed"
    assert [(e["message"], e["fatal"]) for e in found.of("error.raised")] == [(said, True)]


def test_what_has_no_mapping_is_kept() -> None:
    found = told({"modelVersion": "m"})
    assert [event["reason"] for event in found.of("raw.event")] == ["no mapping"]
