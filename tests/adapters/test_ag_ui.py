"""AG-UI: the events of the Agent User Interaction Protocol."""

from __future__ import annotations

from typing import Any

import pytest
from adapters_kit import Told, lines, read, trace

from durastream.sources.adapters import NO, STRONG, WEAK
from durastream.sources.adapters.ag_ui import AgUi

START = {"type": "RUN_STARTED", "threadId": "t", "runId": "r"}
END = {"type": "RUN_FINISHED", "threadId": "t", "runId": "r"}


def run(*events: dict[str, Any], end: dict[str, Any] = END) -> Told:
    return read([lines(START, *events, end)])


def message(id_: str, *pieces: str, **more: Any) -> list[dict[str, Any]]:
    return [
        {"type": "TEXT_MESSAGE_START", "messageId": id_, "role": "assistant", **more},
        *({"type": "TEXT_MESSAGE_CONTENT", "messageId": id_, "delta": piece, **more} for piece in pieces),
        {"type": "TEXT_MESSAGE_END", "messageId": id_, **more},
    ]


def call(id_: str, name: str, *arguments: str, **more: Any) -> list[dict[str, Any]]:
    return [
        {"type": "TOOL_CALL_START", "toolCallId": id_, "toolCallName": name, **more},
        *({"type": "TOOL_CALL_ARGS", "toolCallId": id_, "delta": piece, **more} for piece in arguments),
        {"type": "TOOL_CALL_END", "toolCallId": id_, **more},
    ]


def result(id_: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "TOOL_CALL_RESULT", "messageId": f"of-{id_}", "toolCallId": id_, "content": content, **more}


def test_a_whole_run() -> None:
    told = trace("ag_ui_full_types.sse")
    assert told.answer == "Two: Phobos and Deimos."
    assert told.plan == {"Look up": "active", "Answer": "pending"}
    assert told.steps() == {"search": "ok"}
    assert told.steps("task") == {"Look up": "ok"}
    assert told.state.steps["c1"].parent == "plan/p1"
    assert told.state.steps["c1"].input == {"q": "moons of Mars"}
    assert [(source["url"], source["origin"]) for source in told.of("source.added")] == [
        ("https://example.org/mars", "tool"),
        ("https://example.org/mars", "native"),
    ]
    assert told.state.sources["https://example.org/mars"]["title"] == "Mars"
    assert told.state.agent["session_id"] == "t1"
    assert told.counts["text.delta"] == 2
    assert told.counts["plan.updated"] == 1
    assert told.state.usage == {}
    assert told.of("artifact.created") == []
    assert told.status() == "completed"
    assert told.findings() == []


def test_a_run_that_fails() -> None:
    told = trace("ag_ui_error.sse")
    assert told.answer == ""
    assert [(error["message"], error["fatal"]) for error in told.of("error.raised")] == [("API key not valid", True)]
    assert told.state.declared == {"status": "failed", "error": "API key not valid", "code": "invalid_key"}
    assert told.status(0) == "failed"


def test_its_times_are_milliseconds() -> None:
    assert AgUi.when({"type": "RUN_STARTED", "timestamp": 1795413187393}) == 1795413187.393
    assert AgUi.when({"type": "RUN_STARTED", "timestamp": "now"}) is None
    assert AgUi.when({"type": "RUN_STARTED", "timestamp": 10**400}) is None
    assert AgUi.when([]) is None


def test_what_others_may_print_too_takes_two_lines() -> None:
    assert AgUi.matches(START) == STRONG
    assert AgUi.matches({"type": "STATE_DELTA", "delta": []}) == STRONG
    assert AgUi.matches({"type": "RUN_STARTED"}) == WEAK
    assert AgUi.matches({"type": "CUSTOM", "name": "x", "messageId": "m", "value": 1}) == WEAK
    assert AgUi.matches({"type": "SHUTDOWN"}) == NO
    assert AgUi.matches({"type": ["RUN_STARTED"]}) == NO


def test_an_empty_message_is_none() -> None:
    told = run(*message("m1"), *message("m2", "Two."))
    assert list(told.state.messages) == ["m2"]
    assert told.answer == "Two."


def test_a_message_of_another_role_is_not_the_answer() -> None:
    told = run(*message("m1", "Two."), *message("m2", "Be short.", role="system"))
    assert told.answer == "Two."
    assert told.state.messages["m2"].role == "system"


def test_a_chunk_without_an_id_belongs_to_the_message_before() -> None:
    told = run(
        {"type": "TEXT_MESSAGE_CHUNK", "messageId": "m1", "role": "user", "delta": "How many?"},
        {"type": "TEXT_MESSAGE_CHUNK", "messageId": "m2", "delta": "Tw"},
        {"type": "CUSTOM", "name": "clock", "value": 1},
        {"type": "TEXT_MESSAGE_CHUNK", "delta": "o."},
        {"type": "TEXT_MESSAGE_CHUNK"},
    )
    assert told.answer == "Two."
    assert told.state.messages["m1"].role == "user"
    assert told.counts["text.completed"] == 2
    assert told.counts["raw.event"] == 1


def test_a_chunk_that_belongs_to_nothing_is_kept() -> None:
    assert run({"type": "TEXT_MESSAGE_CHUNK", "delta": "o."}).counts["raw.event"] == 1


def test_a_snapshot_of_the_messages_is_compared_and_not_doubled() -> None:
    def snapshot(text: str) -> dict[str, Any]:
        old = [{"id": "m0", "role": "assistant", "content": "Hello"}, {"id": "u1", "role": "user", "content": "Moons?"}]
        return {
            "type": "MESSAGES_SNAPSHOT",
            "messages": [*old, {"id": "m1", "role": "assistant", "content": text}, {"id": "a", "role": "activity"}],
        }

    earlier = run(*message("m1", "Tw", "o."), *message("m2", "There."), snapshot("Two."))
    assert earlier.answer == "There."
    assert earlier.findings() == []
    same = run(*message("m1", "Tw", "o."), snapshot("Two."))
    assert same.answer == "Two."
    assert list(same.state.messages) == ["m1"]
    assert same.findings() == []
    assert run(*message("m1", "Tw", "o."), snapshot("Three.")).findings() == ["answer-differs"]
    while_open = run(*message("m1", "Tw", "o.")[:-1], snapshot("Three."))
    assert "answer-differs" in while_open.findings()


def test_a_message_that_only_a_snapshot_tells_is_the_answer() -> None:
    messages = [
        {"id": "u1", "role": "user", "content": "Moons?"},
        {"id": "s1", "role": "assistant", "content": "Not mine", "subagentRunId": "a1"},
        {"id": "m1", "role": "assistant", "content": "Two, see https://example.org/mars."},
    ]
    told = run(*[{"type": "MESSAGES_SNAPSHOT", "messages": messages}] * 2)
    assert told.answer == "Two, see https://example.org/mars."
    assert told.counts["text.delta"] == 1
    assert [(source["url"], source["origin"]) for source in told.of("source.added")] == [
        ("https://example.org/mars", "text")
    ]


def test_a_snapshot_ends_a_message_in_chunks() -> None:
    told = run(
        {"type": "TEXT_MESSAGE_CHUNK", "messageId": "m1", "delta": "Two."},
        {"type": "MESSAGES_SNAPSHOT", "messages": [{"id": "m1", "role": "assistant", "content": "Two."}]},
    )
    assert told.counts["text.completed"] == 1
    assert told.findings() == []


def test_a_snapshot_tells_the_error_of_a_tool() -> None:
    messages = [{"id": "x", "role": "tool", "toolCallId": "c1", "content": "no", "error": "timed out"}]
    told = run(*call("c1", "look"), {"type": "MESSAGES_SNAPSHOT", "messages": messages})
    assert told.steps() == {"look": "failed"}
    assert told.state.steps["c1"].error == "timed out"


def test_the_messages_that_are_remembered_are_not_without_end() -> None:
    assert run(*[event for number in range(600) for event in message(f"m{number}", "x")]).answer == "x"


def test_the_result_of_the_run_is_compared_with_the_answer() -> None:
    assert run(*message("m1", "Two."), end={**END, "result": "Two."}).findings() == []
    assert run(*message("m1", "Two."), end={**END, "result": {"answer": "Three."}}).findings() == ["answer-differs"]
    assert run(*message("m1", "Two."), end={**END, "result": {"moons": 2}}).findings() == []


def test_addresses_in_the_answer_are_sources() -> None:
    told = run(*message("m1", "See https://exa", "mple.org/mars, or\nhttps://example.org/2"))
    assert [(source["url"], source["origin"]) for source in told.of("source.added")] == [
        ("https://example.org/mars", "text"),
        ("https://example.org/2", "text"),
    ]


def test_a_tool_starts_when_its_input_is_known() -> None:
    told = run(*call("c1", "look", '{"q":', '"x"}'), result("c1", "found"))
    assert told.state.steps["c1"].input == {"q": "x"}
    assert told.state.steps["c1"].output == "found"
    assert run(*call("c1", "look", "not JSON"), result("c1", "found")).state.steps["c1"].input == "not JSON"


def test_a_call_in_chunks_ends_with_what_comes_next() -> None:
    told = run(
        {"type": "TOOL_CALL_CHUNK", "toolCallId": "c1", "toolCallName": "look", "delta": '{"q"'},
        {"type": "TOOL_CALL_CHUNK", "delta": ":1}"},
        {"type": "TOOL_CALL_CHUNK", "toolCallId": "c2", "toolCallName": "read"},
        result("c1", "a"),
        result("c2", "b"),
    )
    assert told.steps() == {"look": "ok", "read": "ok"}
    assert told.state.steps["c1"].input == {"q": 1}
    assert told.state.steps["c2"].input is None


@pytest.mark.parametrize(
    ("content", "status", "error"),
    [
        ("fine", "ok", None),
        ('{"error": "no such page"}', "failed", "no such page"),
        ('{"isError": true}', "failed", None),
        ('{"error": null, "rows": 1}', "ok", None),
        ("{not JSON", "ok", None),
        ([{"type": "text", "text": "fine"}], "ok", None),
    ],
)
def test_results_have_no_flag_so_an_error_is_read_from_what_they_say(
    content: Any, status: str, error: str | None
) -> None:
    step = run(*call("c1", "look"), result("c1", content)).state.steps["c1"]
    assert (step.status, step.error) == (status, error)


def test_a_result_of_a_call_of_an_earlier_run_is_a_step_too() -> None:
    assert run(result("c1", "found")).steps() == {"c1": "ok"}


def test_a_plan_tool_tells_the_plan_and_is_no_step() -> None:
    arguments = '{"todos":[{"content":"Look up","status":"in_progress"},{"content":"Answer","status":"pending"}]}'
    told = run(
        *call("c1", "write_todos", arguments),
        *call("c1", "write_todos")[1:],
        {"type": "TOOL_CALL_ARGS", "toolCallId": "c1", "delta": "late"},
        *call("c2", "look"),
        result("c1", "ok"),
        result("c2", "ok"),
    )
    assert told.plan == {"Look up": "active", "Answer": "pending"}
    assert told.steps() == {"look": "ok"}
    assert told.state.steps["c2"].parent == "plan/p1"


def test_steps_have_names_that_may_come_again() -> None:
    told = run(
        {"type": "STEP_STARTED", "stepName": "model"},
        {"type": "STEP_STARTED", "stepName": "model"},
        {"type": "STEP_STARTED", "stepName": "other"},
        {"type": "STEP_FINISHED", "stepName": "model"},
        {"type": "STEP_STARTED", "stepName": "model"},
        {"type": "STEP_FINISHED", "stepName": "other"},
        *call("c1", "look"),
        result("c1", "x"),
        {"type": "STEP_FINISHED", "stepName": "model"},
        {"type": "STEP_FINISHED", "stepName": "model"},
        {"type": "STEP_FINISHED", "stepName": "model"},
    )
    steps = told.state.steps
    assert {step.status for step in steps.values()} == {"ok"}
    assert told.steps("task") == {"model": "ok", "other": "ok"}
    assert (steps["step-2"].parent, steps["c1"].parent) == ("step-1", "step-4")
    assert told.counts["raw.event"] == 1


def test_the_text_of_a_subagent_is_progress_of_its_step() -> None:
    mine = {"subagentRunId": "a1"}
    told = run(
        *call("c0", "delegate"),
        {"type": "SUBAGENT_STARTED", **mine, "name": "reader", "parentToolCallId": "c0", "description": "Read"},
        *message("s1", "I re", "ad.", **mine),
        {"type": "TEXT_MESSAGE_CHUNK", "messageId": "s2", "delta": "More.", **mine},
        {"type": "REASONING_MESSAGE_CONTENT", "messageId": "s3", "delta": "Hm", **mine},
        {"type": "REASONING_MESSAGE_END", "messageId": "s3", **mine},
        {"type": "STEP_STARTED", "stepName": "its own", **mine},
        *call("c1", "write_todos", '{"todos":[{"content":"Its own","status":"pending"}]}', **mine),
        result("c1", "ok", **mine),
        *call("c2", "look", **mine),
        result("c2", "ok", **mine),
        {"type": "STATE_SNAPSHOT", "snapshot": {"plan": [{"title": "x", "status": "done"}]}, **mine},
        {"type": "STATE_DELTA", "delta": [{"op": "add", "path": "/plan", "value": []}], **mine},
        {"type": "STEP_FINISHED", "stepName": "its own", **mine},
        {"type": "SUBAGENT_FINISHED", **mine, "result": "Two"},
        result("c0", "Two"),
        *message("m1", "Two."),
    )
    assert told.answer == "Two."
    assert list(told.state.messages) == ["m1"]
    assert told.plan == {}
    assert told.counts.get("reasoning.delta") is None
    assert [progress["message"] for progress in told.of("step.progress")] == ["I read.", "More."]
    assert told.steps("agent") == {"reader": "ok"}
    assert told.state.steps["a1"].parent == "c0"
    assert told.state.steps["c2"].parent == "a1"
    assert "c1" not in told.state.steps
    assert told.status() == "completed"


def test_a_subagent_may_fail_or_wait() -> None:
    told = run(
        {"type": "SUBAGENT_STARTED", "subagentRunId": "a1", "name": "reader"},
        {"type": "SUBAGENT_ERROR", "subagentRunId": "a1", "message": "no pages"},
        {"type": "SUBAGENT_STARTED", "subagentRunId": "a2", "name": "writer"},
        {"type": "SUBAGENT_FINISHED", "subagentRunId": "a2", "outcome": {"type": "suspended"}},
    )
    assert told.steps("agent") == {"reader": "failed", "writer": "skipped"}
    assert told.state.steps["a1"].error == "no pages"


def test_a_plan_in_the_state_is_patched() -> None:
    todos = [{"title": "Look up", "status": "pending"}]
    told = run(
        {"type": "STATE_SNAPSHOT", "snapshot": {"user": "x", "agent": {"todos": todos}}},
        {"type": "STATE_DELTA", "delta": [{"op": "replace", "path": "/agent/todos/0/status", "value": "done"}]},
        {"type": "STATE_DELTA", "delta": [{"op": "replace", "path": "/user", "value": "y"}]},
        {
            "type": "STATE_DELTA",
            "delta": [{"op": "add", "path": "/agent/todos/-", "value": {"title": "Answer", "status": "in_progress"}}],
        },
    )
    assert told.plan == {"Look up": "done", "Answer": "active"}
    assert told.counts["plan.updated"] == 2


def test_a_patch_that_does_not_fit_is_kept_and_changes_nothing() -> None:
    told = run(
        {"type": "STATE_SNAPSHOT", "snapshot": {"todos": [{"title": "Look up", "status": "pending"}]}},
        {"type": "STATE_DELTA", "delta": [{"op": "replace", "path": "/todos/7/status", "value": "done"}]},
        {"type": "STATE_DELTA", "delta": [{"op": "replace", "path": "/todos/0/status", "value": "done"}]},
    )
    assert told.counts["raw.event"] == 1
    assert told.plan == {"Look up": "done"}


def test_a_plan_in_an_activity_is_patched() -> None:
    def activity(id_: str, **content: Any) -> dict[str, Any]:
        return {"type": "ACTIVITY_SNAPSHOT", "messageId": id_, "activityType": "PLAN", "content": content}

    patch = [{"op": "replace", "path": "/steps/0/status", "value": "completed"}]
    told = run(
        activity("p", steps=[{"description": "Look up", "status": "pending"}]),
        {**activity("p", steps=[{"description": "Wrong", "status": "pending"}]), "replace": False},
        activity("s", query="moons"),
        {"type": "ACTIVITY_DELTA", "messageId": "p", "activityType": "PLAN", "patch": patch},
        {"type": "ACTIVITY_DELTA", "messageId": "s", "activityType": "SEARCH", "patch": []},
    )
    assert told.plan == {"Look up": "done"}


def test_an_application_may_tell_its_sources_and_plan_in_its_own_events() -> None:
    told = run(
        {"type": "CUSTOM", "name": "sources", "value": [{"url": "https://example.org/1"}, {"title": "A book"}]},
        {"type": "CUSTOM", "name": "plan", "value": [{"title": "Look up", "status": "done"}]},
        {"type": "CUSTOM", "name": "PredictState", "value": [{"state_key": "todos"}]},
    )
    assert [source["origin"] for source in told.of("source.added")] == ["native", "native"]
    assert told.plan == {"Look up": "done"}
    assert told.counts["raw.event"] == 1


def test_thoughts_are_no_part_of_the_answer() -> None:
    told = run(
        {"type": "REASONING_START", "messageId": "r"},
        {"type": "REASONING_MESSAGE_CONTENT", "messageId": "r", "delta": "Facts."},
        {"type": "REASONING_MESSAGE_END", "messageId": "r"},
        {"type": "THINKING_TEXT_MESSAGE_CONTENT", "delta": "Then words."},
        {"type": "RAW", "event": {"what": "ever"}},
        *message("m1", "Two."),
    )
    assert told.state.reasoning.text == "Facts.\n\nThen words."
    assert told.answer == "Two."
    assert "raw.event" not in told.counts


def test_usage_is_of_one_turn_of_the_thread() -> None:
    usage = [
        {"model": "a", "inputTokens": 5, "outputTokens": 2, "reasoningTokens": 1},
        {"model": "b", "inputTokens": 1},
    ]
    told = read([lines(START, {**END, "usage": usage}, START, {**END, "usage": usage})])
    assert told.state.usage == {"input_tokens": 12, "output_tokens": 4, "reasoning_tokens": 2}


def test_the_prompt_is_the_last_message_of_the_user() -> None:
    given = [{"id": "u", "role": "user", "content": "Moons?"}, {"id": "m", "role": "assistant"}]
    assert read([lines({**START, "input": {"messages": given}})]).state.agent["prompt"] == "Moons?"


def test_a_run_that_stops_to_ask_is_not_complete() -> None:
    outcome = {"type": "interrupt", "interrupts": [{"id": "q1", "reason": "confirm", "message": "Delete it?"}]}
    told = run(end={**END, "outcome": outcome})
    assert told.state.approvals["q1"]["title"] == "Delete it?"
    assert told.state.declared is not None
    assert told.state.declared["status"] == "waiting"
    assert told.status(0) == "interrupted"
    by_graph = run({"type": "CUSTOM", "name": "on_interrupt", "value": "Delete it?"})
    assert by_graph.state.approvals["interrupt-1"]["title"] == "Delete it?"
    assert by_graph.status(0) == "interrupted"


def test_a_cancelled_run_is_not_complete() -> None:
    assert run(end={**END, "outcome": {"type": "cancelled"}}).status(0) == "cancelled"


def test_calls_that_are_left_to_the_client_are_not_open() -> None:
    told = run(*call("c1", "ask_user"), end={**END, "outcome": {"type": "success", "pendingToolCallIds": ["c1"]}})
    assert told.steps() == {"ask_user": "skipped"}
    assert told.status() == "completed"


def test_an_event_that_is_not_known_is_kept() -> None:
    assert run({"type": "META", "x": 1}).of("raw.event")[0]["reason"] == "no mapping"


def test_a_result_ends_a_call_whose_input_has_no_end() -> None:
    told = run({"type": "TOOL_CALL_START", "toolCallId": "c", "toolCallName": "look"}, result("c", "ok"))
    assert told.steps() == {"look": "ok"}
