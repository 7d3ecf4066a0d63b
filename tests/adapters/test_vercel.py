"""The UI message stream of the Vercel AI SDK."""

from __future__ import annotations

from typing import Any

import pytest
from adapters_kit import Told, lines, read, trace

from durastream.sources.adapters import NO, STRONG, WEAK
from durastream.sources.adapters.vercel import Vercel

END = {"type": "finish", "finishReason": "stop"}


def run(*parts: dict[str, Any], end: dict[str, Any] | None = END) -> Told:
    return read([lines({"type": "start", "messageId": "m"}, *parts, *([end] if end else []))], "vercel")


def text(id_: str, *deltas: str) -> list[dict[str, Any]]:
    pieces = [{"type": "text-delta", "id": id_, "delta": delta} for delta in deltas]
    return [{"type": "text-start", "id": id_}, *pieces, {"type": "text-end", "id": id_}]


def call(id_: str, name: str, taken: Any = None, **more: Any) -> dict[str, Any]:
    return {"type": "tool-input-available", "toolCallId": id_, "toolName": name, "input": taken, **more}


def output(id_: str, given: Any, **more: Any) -> dict[str, Any]:
    return {"type": "tool-output-available", "toolCallId": id_, "output": given, **more}


STEP = {"type": "finish-step"}


def test_a_whole_run() -> None:
    told = trace("vercel_ui_stream_ai_sdk.sse")
    assert told.answer == "Mars has two moons: Phobos and Deimos [1]."
    assert told.state.messages["text-1"].text == "I will look the facts up."
    assert told.plan == {"Look up": "active", "Answer": "pending"}
    assert told.steps() == {"lookup": "ok", "flaky": "failed"}
    assert told.state.steps["c1"].parent == "plan/p1"
    assert told.state.steps["c1"].input == {"topic": "moons of Mars"}
    assert told.state.steps["c2"].error == "An error occurred."
    assert [(source["url"], source.get("title"), source["origin"]) for source in told.of("source.added")] == [
        ("https://example.org/mars", None, "tool"), ("https://example.org/mars", "Mars", "native")
    ]  # fmt: skip
    assert told.state.usage == {
        "input_tokens": 2400, "cached_tokens": 1600, "output_tokens": 120, "reasoning_tokens": 40
    }  # fmt: skip
    assert told.state.reasoning.text == "Facts first, then the note.\n\n"
    assert [raw["json"]["type"] for raw in told.of("raw.event")] == ["data-progress"]
    assert told.of("artifact.created") == []
    assert told.status() == "completed"
    assert told.findings() == []


def test_what_others_may_print_too_takes_two_lines() -> None:
    assert Vercel.matches(call("c", "x")) == STRONG
    assert Vercel.matches({"type": "tool-input-available"}) == NO
    assert Vercel.matches({"type": "text-delta", "id": "0", "delta": "x"}) == WEAK
    assert Vercel.matches({"type": "data-x", "data": 1}) == WEAK
    assert Vercel.matches({"type": "data-x", "rows": 1}) == NO
    assert Vercel.matches({"type": "start"}) == WEAK
    assert Vercel.matches({"type": "start", "port": 1}) == NO
    assert Vercel.matches({"type": "start-step"}) == WEAK
    assert Vercel.matches({"type": "finish"}) == NO
    assert Vercel.matches({"type": 1}) == NO
    assert Vercel.when({}) is None
    assert read([lines({"type": "start"}, {"type": "start-step"})]).state.agent["format"] == "vercel"
    assert read([b'data: {"type":"start"}\n\n']).state.agent["format"] == "vercel"
    assert not read([lines({"type": "start"}), b"\nlistening\n"]).state.agent


def test_ids_of_text_parts_come_again_in_the_next_step() -> None:
    told = run(*text("0", "I look."), STEP, *text("0", "Tw", "o."), STEP)
    assert [message.text for message in told.state.messages.values()] == ["I look.", "Two."]
    assert told.answer == "Two."
    assert told.findings() == []


def test_parts_of_one_step_are_one_text() -> None:
    source = {"type": "source-url", "sourceId": "s", "url": "https://example.org/1"}
    told = run(*text("0", "Mars has "), source, *text("1", "two moons."), STEP)
    assert told.answer == "Mars has two moons."


def test_a_last_step_without_text_leaves_the_answer_before_it() -> None:
    assert run(*text("0", "Two.", ""), STEP, call("c", "save"), output("c", 1), STEP).answer == "Two."


@pytest.mark.parametrize(
    ("reason", "status"),
    [("stop", "completed"), (None, "completed"), ("length", "failed"), ("tool-calls", "failed"), ("error", "failed")],
)
def test_an_answer_that_was_cut_is_no_good_end(reason: str | None, status: str) -> None:
    assert run(*text("0", "Tw"), end={"type": "finish", "finishReason": reason}).status(0) == status


def test_an_error_is_not_made_good_by_a_finish() -> None:
    told = run(*text("0", "Tw"), {"type": "error", "errorText": "overloaded"})
    assert told.status(0) == "failed"
    assert [(error["message"], error["fatal"]) for error in told.of("error.raised")] == [("overloaded", True)]
    assert run({"type": "error", "errorText": "overloaded"}, end=None).status(0) == "failed"


def test_an_abort_and_a_stream_that_is_cut_are_no_good_end() -> None:
    assert run(*text("0", "Tw"), {"type": "abort", "reason": "user"}, end=None).status(0) == "cancelled"
    cut = run(*text("0", "Tw"), end=None)
    assert cut.status(0) == "failed"
    assert cut.findings() == ["end-undeclared"]


def test_preliminary_output_is_progress() -> None:
    told = run(call("c", "look", title="Look"), output("c", "half", preliminary=True), output("c", "whole"))
    assert told.of("step.progress") == [{"step_id": "c", "message": "half"}]
    assert told.state.steps["c"].output == "whole"
    assert told.steps() == {"Look": "ok"}


def test_a_tool_whose_input_is_wrong_or_whose_output_says_so_has_failed() -> None:
    wrong = {"type": "tool-input-error", "toolCallId": "a", "toolName": "look", "input": "x", "errorText": "no JSON"}
    told = run(wrong, call("b", "mcp"), output("b", {"isError": True, "content": []}), output("d", {"isError": False}))
    assert told.steps() == {"look": "failed", "mcp": "failed", "d": "ok"}


def test_a_question_about_a_tool_is_answered_by_what_becomes_of_it() -> None:
    ask = [{"type": "tool-approval-request", "approvalId": f"q{id_}", "toolCallId": id_} for id_ in "abc"]
    told = run(
        call("a", "write"), ask[0], output("a", 1), call("b", "delete"), ask[1],
        {"type": "tool-output-denied", "toolCallId": "b"}, call("c", "pay"), ask[2],
    )  # fmt: skip
    assert [told.state.approvals[f"q{id_}"]["decision"] for id_ in "abc"] == ["approved", "denied", None]
    assert told.state.approvals["qa"]["title"] == "write"
    assert told.steps() == {"write": "ok", "delete": "denied", "pay": "active"}
    assert told.state.declared is not None
    assert told.state.declared["status"] == "waiting"


def test_a_plan_tool_tells_the_plan_and_is_no_step() -> None:
    told = run(
        call("c", "todo_write", {"todos": [{"content": "Look up", "status": "in_progress"}]}),
        output("c", "ok"),
        call("d", "todo_write", "nothing"),
        output("d", "ok"),
    )
    assert told.plan == {"Look up": "active"}
    assert told.steps() == {"todo_write": "ok"}


def test_a_plan_in_a_data_part_is_replaced_by_the_next() -> None:
    told = run(
        {"type": "data-todos", "id": "1", "data": [{"title": "Look up", "status": "pending"}]},
        {"type": "data-todos", "id": "1", "data": [{"title": "Look up", "status": "done"}]},
        {"type": "data-weather", "data": {"sky": "clear"}},
    )
    assert told.plan == {"Look up": "done"}
    assert told.counts["raw.event"] == 1


def test_sources_of_all_kinds() -> None:
    told = run(
        call("c", "web_search", {"url": "https://example.org/1"}),
        output("c", {"hits": ["https://example.org/2"]}),
        call("d", "bash", "curl https://example.org/no"),
        output("d", "https://example.org/no"),
        {"type": "source-document", "sourceId": "s", "mediaType": "application/pdf", "title": "A book"},
        *text("0", "See https://example.org/3."),
    )
    assert [(source.get("url") or source["title"], source["origin"]) for source in told.of("source.added")] == [
        ("https://example.org/1", "tool"),
        ("A book", "native"),
        ("https://example.org/3", "text"),
    ]


def test_files_are_artifacts_without_their_bytes() -> None:
    told = run(
        {"type": "file", "url": "https://example.org/a.png", "mediaType": "image/png"},
        {"type": "file", "url": "data:image/png;base64,AAAA"},
    )
    assert told.of("artifact.created") == [
        {"url": "https://example.org/a.png", "action": "add", "media_type": "image/png"},
        {"url": "data:image/png;base64", "action": "add"},
    ]


def test_usage_comes_from_the_metadata_if_the_application_puts_it_there() -> None:
    told = run({"type": "message-metadata", "messageMetadata": {"usage": {"inputTokens": 1, "outputTokens": 2}}})
    assert told.state.usage == {"input_tokens": 1, "output_tokens": 2}
    assert run({"type": "message-metadata", "messageMetadata": {"usage": 3}}).state.usage == {}
    details = {"inputTokenDetails": {"cacheReadTokens": 3}, "outputTokenDetails": {"reasoningTokens": 4}}
    told = run(end={**END, "messageMetadata": {"totalUsage": details}})
    assert told.state.usage == {"cached_tokens": 3, "reasoning_tokens": 4}


def test_parts_that_are_not_known_are_kept() -> None:
    told = run({"type": "tool-new", "toolCallId": "c"}, {"type": "reasoning-file", "url": "x"})
    assert [raw["reason"] for raw in told.of("raw.event")] == ["no mapping"] * 2
