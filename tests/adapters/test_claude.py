"""Claude Code: `claude -p --output-format stream-json --verbose`."""

from __future__ import annotations

from typing import Any

import pytest
from adapters_kit import Told, lines, read, trace

from durastream.sources.adapters.claude import Claude

ANSWER = "Mars has two moons: Phobos and Deimos [1]. The note is in notes.md.\n\n[1] https://example.org/mars"
USAGE = {"input_tokens": 24 + 61000 + 5200, "output_tokens": 910, "cached_tokens": 61000, "cost_usd": 0.0412}
INIT = {"type": "system", "subtype": "init", "session_id": "s", "claude_code_version": "2.1.330", "model": "m"}


def assistant(*blocks: dict[str, Any], id_: str = "m1", **more: Any) -> dict[str, Any]:
    """A line with whole blocks of a message."""
    return {"type": "assistant", "session_id": "s", "message": {"id": id_, "content": list(blocks)}, **more}


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def call(id_: str, name: str, **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": name, "input": given}


def returned(id_: str, content: Any = "done", detail: Any = None, **more: Any) -> dict[str, Any]:
    """A line with a tool's result."""
    block = {"type": "tool_result", "tool_use_id": id_, "content": content, **more}
    return {"type": "user", "session_id": "s", "message": {"content": [block]}, "tool_use_result": detail}


def streamed(event: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "stream_event", "session_id": "s", "event": event, "parent_tool_use_id": None, **more}


def delta(kind: str, **more: Any) -> dict[str, Any]:
    return streamed({"type": "content_block_delta", "index": 0, "delta": {"type": kind, **more}})


def started(id_: str) -> dict[str, Any]:
    return streamed({"type": "message_start", "message": {"id": id_}})


def system(subtype: str, **more: Any) -> dict[str, Any]:
    return {"type": "system", "subtype": subtype, "session_id": "s", **more}


def result(words: str | None = None, **more: Any) -> dict[str, Any]:
    return {"type": "result", "subtype": "success", "is_error": False, "session_id": "s", "result": words, **more}


def told(*values: Any) -> Told:
    return read([lines(INIT, *values)])


# whole runs


def test_a_run_with_a_todo_list() -> None:
    run = trace("claude_code_todowrite.jsonl")
    assert run.answer == ANSWER
    assert run.plan == {"Look up the facts": "done", "Write notes.md": "done", "Answer": "done"}
    assert run.steps() == {
        "WebSearch moons of Mars": "ok",
        "Read /home/me/proj/missing.md": "failed",
        "Write /home/me/proj/notes.md": "ok",
    }
    assert run.steps("plan") == {"Look up the facts": "ok", "Write notes.md": "ok"}
    assert [(source["url"], source["title"], source["origin"]) for source in run.of("source.added")] == [
        ("https://example.org/mars", "Mars", "tool"),
        ("https://example.org/phobos", "Phobos", "tool"),
    ]
    assert run.of("artifact.created") == [{"path": "/home/me/proj/notes.md", "action": "add"}]
    assert run.state.usage == USAGE
    assert [message.text for message in run.state.messages.values()] == [
        "I will look the facts up, write a note, then answer.",
        ANSWER,
    ]
    assert run.state.agent == {
        "format": "claude",
        "terminal": True,
        "name": "claude",
        "version": "2.1.330",
        "model": "claude-sonnet-5",
        "session_id": "4b6a0c1e-6f0d-4f55-9a43-1f1a5d3c2b10",
        "cwd": "/home/me/proj",
    }
    assert run.counts["text.delta"] == 2
    assert "reasoning.delta" not in run.counts
    assert run.status() == "completed"
    assert run.findings() == []


def test_tools_stand_under_the_entry_in_progress() -> None:
    steps = trace("claude_code_todowrite.jsonl").state.steps
    assert {id_: step.parent for id_, step in steps.items() if step.kind == "tool"} == {
        "toolu_2": "plan/p1",
        "toolu_3": "plan/p1",
        "toolu_5": "plan/p2",
    }


def test_a_run_with_partial_messages_tasks_and_a_subagent() -> None:
    run = trace("claude_code_partial_tasks_subagent.jsonl")
    assert run.answer == ANSWER
    assert run.plan == {"Look up the facts": "done", "Answer": "done"}
    assert run.steps("agent") == {"Agent Check moons": "ok"}
    assert run.steps() == {"Bash echo sub": "ok"}
    assert run.state.steps["toolu_ag"].parent == "plan/1"
    assert run.state.steps["toolu_ag"].output == "Phobos and Deimos."
    assert run.state.steps["toolu_sub1"].parent == "toolu_ag"
    assert [step["message"] for step in run.of("step.progress")] == ["Sub-agent checking.", "5 s", "Check moons"]
    assert {id_: message.text for id_, message in run.state.messages.items()} == {
        "msg_02A/1": "I will make a plan.",
        "msg_02D/1": ANSWER,
    }
    assert run.state.reasoning.text == "Facts first, then the note.\n\n"
    assert [(source["url"], source["origin"]) for source in run.of("source.added")] == [
        ("https://example.org/mars", "text")
    ]
    assert [[entry["status"] for entry in plan["steps"]] for plan in run.of("plan.updated")] == [
        ["pending", "pending"],
        ["active", "pending"],
        ["done", "pending"],
        ["done", "done"],
    ]
    assert run.state.usage == USAGE
    assert run.of("text.completed")[-1]["length"] == len(ANSWER)
    assert run.status() == "completed"
    assert run.findings() == []


def test_an_api_error_that_poses_as_success_is_a_failure_and_no_answer() -> None:
    run = trace("claude_code_api_error.jsonl")
    assert run.answer == ""
    assert [(error["message"], error["fatal"]) for error in run.state.errors] == [
        ("Not logged in · Please run /login", True)
    ]
    assert list(run.state.log) == [("agent", "Not logged in · Please run /login")]
    assert run.state.usage == {}
    assert run.plan == {}
    assert run.steps() == {}
    assert run.status() == "failed"
    assert run.findings() == []


def test_a_run_that_used_up_its_turns_is_a_failure() -> None:
    run = trace("claude_code_max_turns.jsonl")
    assert run.answer == "Starting."
    assert run.steps() == {"Bash ls": "ok"}
    assert run.state.errors[0]["message"] == "Reached maximum number of turns (2)"
    assert run.of("run.declared") == [
        {"status": "failed", "error": "Reached maximum number of turns (2)", "subtype": "error_max_turns"}
    ]
    assert run.state.usage == USAGE
    assert run.status() == "failed"
    assert run.findings() == []


# texts


def test_text_that_was_streamed_and_is_repeated_is_told_once_before_the_stop_or_after_it() -> None:
    stop = streamed({"type": "content_block_stop", "index": 0})
    start = streamed({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "H"}})
    for order in ((assistant(text("Hi")), stop), (stop, streamed({"type": "message_stop"}), assistant(text("Hi")))):
        run = told(started("m1"), start, delta("text_delta", text="i"), *order, result("Hi"))
        assert run.answer == "Hi"
        assert list(run.state.messages) == ["m1/1"]
        assert run.findings() == []


def test_two_blocks_of_a_message_with_the_same_text_are_two() -> None:
    run = told(assistant(text("Hi")), assistant(text("Hi")), result("Hi"))
    assert list(run.state.messages) == ["m1/1", "m1/2"]


def test_a_streamed_text_that_is_repeated_otherwise_is_found() -> None:
    run = told(started("m1"), delta("text_delta", text="Two"), assistant(text("Three")), result("Two"))
    assert run.findings() == ["answer-differs"]


def test_a_result_that_says_something_else_than_the_last_text_is_found() -> None:
    run = told(assistant(text("Two moons.")), result("Three moons."))
    assert run.findings() == ["answer-differs"]


def test_a_streamed_text_that_is_never_repeated_is_complete_with_the_next_message_or_the_result() -> None:
    start = streamed({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    run = told(started("m1"), start, started("m2"), delta("text_delta", text="Hi"), result("Hi"))
    assert run.answer == "Hi"
    assert [done["message_id"] for done in run.of("text.completed")] == ["m2/1"]
    assert run.findings() == []


def test_an_empty_text_is_no_message_and_no_answer() -> None:
    run = told(assistant(text("Hi")), assistant(text("")), result(""))
    assert run.answer == "Hi"
    assert run.findings() == []


def test_thought_is_told_once_whether_it_was_streamed_or_not() -> None:
    thinking = {"type": "thinking", "thinking": "Hm."}
    assert told(assistant(thinking)).state.reasoning.text == "Hm.\n\n"
    run = told(
        started("m1"), delta("thinking_delta", thinking="Hm."), assistant(thinking, {"type": "redacted_thinking"})
    )
    assert run.state.reasoning.text == "Hm.\n\n"
    empty = {"type": "thinking", "thinking": ""}
    assert told(started("m1"), delta("thinking_delta", thinking=""), assistant(empty)).of("reasoning.delta") == []


def test_citations_are_native_sources() -> None:
    one = {"url": "https://a.example", "title": "A", "cited_text": "words"}
    for line in (assistant(text("Hi", citations=[one])), delta("citations_delta", citation=one)):
        assert told(line).of("source.added") == [
            {
                "source_id": "https://a.example",
                "url": "https://a.example",
                "title": "A",
                "snippet": "words",
                "origin": "native",
            }
        ]


def test_what_was_superseded_is_taken_back() -> None:
    run = told(
        assistant(text("Wrong."), call("t1", "Bash", command="ls"), uuid="u1"),
        assistant(text("Right."), id_="m2", uuid="u2", supersedes=["u1", "u0"]),
        result("Right."),
    )
    assert [message.text for message in run.state.messages.values()] == ["", "Right."]
    assert run.steps() == {"Bash ls": "skipped"}
    assert run.status() == "completed"
    assert run.findings() == []


def test_the_answer_that_was_superseded_is_no_answer() -> None:
    run = told(
        assistant(text("First."), call("p1", "TaskList"), uuid="u1"),
        assistant(text("Wrong."), id_="m2", uuid="u2"),
        assistant(id_="m3", supersedes=["u2", "u1"]),
        result(),
    )
    assert run.answer == ""
    assert run.of("run.declared") == [{"status": "completed"}]


def test_of_lines_that_may_be_superseded_a_few_hundred_are_remembered() -> None:
    many = [assistant(text("x"), id_=f"m{n}", uuid=f"u{n}") for n in range(300)]
    run = told(*many, assistant(id_="z", supersedes=["u0", "u299"]))
    assert [taken["message_id"] for taken in run.of("text.retracted")] == ["m299/1"]


def test_what_a_subagent_streams_is_no_draft() -> None:
    run = told({**delta("text_delta", text="sub"), "parent_tool_use_id": "t1"})
    assert run.state.messages == {}


def test_unknown_events_of_a_stream_are_kept() -> None:
    odd = [
        streamed({"type": "unheard_of"}),
        delta("unheard_of"),
        assistant({"type": "unheard_of"}),
        system("unheard_of"),
        {"type": "unheard_of"},
        {"type": "control_request", "request_id": "r", "request": {"subtype": "unheard_of"}},
    ]
    assert [event["reason"] for event in told(*odd).of("raw.event")] == ["no mapping"] * len(odd)


def test_what_means_nothing_to_a_recording_is_passed_over() -> None:
    quiet = [
        system("status", status="requesting"),
        system("hook_started"),
        INIT,
        streamed({"type": "ping"}),
        streamed({"type": "message_delta", "delta": {}}),
        delta("input_json_delta", partial_json="{"),
        delta("signature_delta", signature="x"),
        {"type": "keep_alive"},
        {"type": "rate_limit_event", "rate_limit_info": {"status": "allowed"}, "session_id": "s"},
    ]
    assert told(*quiet).counts == {"agent.identified": 1}


# errors and ends


@pytest.mark.parametrize(
    "line",
    [
        assistant(text("API Error: 529"), error="overloaded"),
        assistant(text("API Error: 529"), isApiErrorMessage=True),
        {**assistant(), "message": {"id": "m1", "model": "<synthetic>", "content": [text("API Error: 529")]}},
    ],
)
def test_an_error_in_the_place_of_an_answer_is_no_text(line: dict[str, Any]) -> None:
    run = told(line, result("API Error: 529", is_error=True, terminal_reason="api_error"))
    assert run.state.messages == {}
    assert [error["message"] for error in run.state.errors] == ["API Error: 529"]
    assert run.status() == "failed"


def test_an_error_that_was_streamed_as_text_is_taken_back() -> None:
    run = told(started("m1"), delta("text_delta", text="API"), assistant(text("API Error"), error="unknown"))
    assert run.answer == ""
    assert run.counts["text.retracted"] == 1


def test_a_synthetic_message_that_is_no_error_is_text() -> None:
    line = assistant(text("No response requested."))
    line["message"]["model"] = "<synthetic>"
    assert told(line).answer == "No response requested."


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"subtype": "error_during_execution", "errors": ["one", "two"]}, "one; two"),
        ({"subtype": "error_during_execution", "error": {"message": "broke"}}, "broke"),
        ({"subtype": "error_max_turns", "error": "too many"}, "too many"),
        ({"subtype": "error_max_budget_usd"}, "error_max_budget_usd"),
        ({"terminal_reason": "aborted_tools"}, "aborted_tools"),
        ({"is_error": True}, "success"),
    ],
)
def test_a_bad_end_is_a_failure_whatever_its_flags_say(more: dict[str, Any], words: str) -> None:
    run = told(assistant(text("Half")), result(**more))
    assert run.of("error.raised")[0]["message"] == words
    assert run.status() == "failed"


def test_of_several_results_the_last_one_counts() -> None:
    run = told(
        assistant(text("One.")),
        result("One.", modelUsage={"m": {"inputTokens": 1, "costUSD": 0.5}}),
        INIT,
        assistant(text("Two."), id_="m2"),
        result("Two.", modelUsage={"m": {"inputTokens": 3, "costUSD": 0.75}, "n": {"outputTokens": 2}}),
    )
    assert run.answer == "Two."
    assert run.state.usage == {"input_tokens": 3, "cost_usd": 0.75, "output_tokens": 2}
    assert run.status() == "completed"
    assert run.findings() == []


def test_usage_without_models_is_that_of_the_result_and_zeros_are_unknown() -> None:
    used = {"input_tokens": 4, "output_tokens": 2, "cache_read_input_tokens": 1}
    assert told(result(usage=used, total_cost_usd=0.1)).state.usage == {
        "input_tokens": 5, "output_tokens": 2, "cached_tokens": 1, "cost_usd": 0.1
    }  # fmt: skip
    assert told(result(usage={"input_tokens": 0})).state.usage == {}
    assert told(result()).state.usage == {}


def test_structured_output_is_kept_with_the_end() -> None:
    assert told(result(structured_output={"moons": 2})).of("run.declared") == [
        {"status": "completed", "structured_output": {"moons": 2}}
    ]


def test_a_stream_without_a_result_has_no_end() -> None:
    run = told(assistant(text("Half"), call("t1", "Bash", command="sleep 9")))
    assert run.steps() == {"Bash sleep 9": "active"}
    assert run.findings() == ["end-undeclared", "step-open"]
    assert run.status(0) == "failed"
    assert run.status(signal="SIGTERM") == "interrupted"


# tools


def test_a_call_that_is_told_twice_is_one_step_and_a_result_without_a_call_is_one_too() -> None:
    run = told(assistant(call("t1", "Bash", command="ls")), assistant(call("t1", "Bash", command="ls")), returned("t0"))
    assert run.steps() == {"Bash ls": "active", "t0": "ok"}


def test_the_result_of_a_tool_is_a_text_or_a_list() -> None:
    run = told(
        assistant(call("t1", "Look"), call("t2", "Look"), call("t3", "Look")),
        returned("t1", [text("a"), text("b")]),
        returned("t2", [{"type": "image"}]),
        returned("t3", []),
    )
    assert [step.output for step in run.state.steps.values()] == ["a\nb", [{"type": "image"}], None]


def test_several_results_may_come_in_one_line() -> None:
    line = returned("t1")
    line["message"]["content"] += returned("t2")["message"]["content"]
    line["tool_use_result"] = {"type": "create", "filePath": "/a"}
    run = told(assistant(call("t1", "A"), call("t2", "B")), line)
    assert run.steps() == {"A": "ok", "B": "ok"}
    assert run.of("artifact.created") == []


def test_files_are_known_by_the_structured_result_else_by_the_call() -> None:
    run = told(
        assistant(*(call(f"t{n}", "Edit", file_path=f"/{n}") for n in range(6)), call("t6", "Read", file_path="/6")),
        returned("t0", detail={"filePath": "/0", "structuredPatch": []}),
        returned("t1", detail={"filePath": "/1", "type": "create"}),
        returned("t2", detail={"filePath": "/2", "type": "update"}),
        returned("t3"),
        returned("t4", "Successfully created"),
        returned("t5", "no such file", is_error=True),
        returned("t6", detail={"filePath": "/6"}),
        system("files_persisted", files=[{"filename": "/f", "file_id": "1"}]),
    )
    assert [(file["path"], file["action"]) for file in run.of("artifact.created")] == [
        ("/0", "update"), ("/1", "add"), ("/2", "update"), ("/3", "update"), ("/4", "add"), ("/f", "add")
    ]  # fmt: skip


def test_sources_are_the_page_that_was_fetched_else_what_the_search_found_else_what_its_text_names() -> None:
    found = {"results": [{"content": [{"url": "https://b.example"}]}, "a text"]}
    run = told(
        assistant(call("t1", "WebFetch", url="https://a.example", prompt="?")),
        returned("t1", "see https://link.example"),
        assistant(call("t2", "WebSearch", query="q"), call("t3", "WebSearch"), call("t4", "web_search")),
        returned("t2", detail=found),
        returned("t3", "https://c.example."),
        returned("t4", None),
        assistant(call("t5", "WebFetch", url="https://bad.example")),
        returned("t5", "404", is_error=True),
        assistant(call("t6", "Grep", pattern="http")),
        returned("t6", "https://code.example"),
    )
    assert [(source["url"], source["origin"], source["step_id"]) for source in run.of("source.added")] == [
        ("https://a.example", "tool", "t1"),
        ("https://b.example", "tool", "t2"),
        ("https://c.example", "tool", "t3"),
    ]


def test_tools_that_the_provider_runs_are_steps_too() -> None:
    run = told(
        assistant(
            {**call("s1", "web_search", query="q"), "type": "server_tool_use"},
            {
                "type": "web_search_tool_result",
                "tool_use_id": "s1",
                "content": [{"type": "web_search_result", "url": "https://a.example", "title": "A"}],
            },
            {**call("s2", "web_search", query="r"), "type": "server_tool_use"},
            {
                "type": "web_search_tool_result",
                "tool_use_id": "s2",
                "content": {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"},
            },
            {**call("s3", "web_fetch", url="https://b.example"), "type": "server_tool_use"},
            {"type": "web_fetch_tool_result", "tool_use_id": "s3", "content": {"type": "web_fetch_result"}},
        )
    )
    assert run.steps() == {
        "web_search q": "ok",
        "web_search r": "failed",
        "web_fetch https://b.example": "ok",
    }
    assert [source["url"] for source in run.of("source.added")] == ["https://a.example", "https://b.example"]


def test_a_tool_that_may_not_run_is_denied_however_often_it_is_told() -> None:
    run = told(
        assistant(call("t1", "Bash", command="rm x"), call("t2", "Write"), call("t3", "Edit"), call("t4", "Bash")),
        system("permission_denied", tool_use_id="t1", tool_name="Bash", message="not allowed"),
        returned("t1", "Permission to use Bash has been denied.", is_error=True),
        returned("t2", "Claude requested permissions to write to /x, but you haven't granted it yet.", is_error=True),
        returned("t3", "The file does not exist.", is_error=True),
        returned("t0", "Permission to use Bash has been denied.", is_error=True),
        assistant(text("I could not.")),
        result(
            "I could not.",
            permission_denials=[
                {"tool_name": "Bash", "tool_use_id": "t1"},
                {"tool_name": "Write", "tool_use_id": "t2"},
                {"tool_name": "Bash", "tool_use_id": "t4"},
            ],
        ),
    )
    assert run.steps() == {"Bash rm x": "denied", "Write": "denied", "Edit": "failed", "Bash": "denied"}
    assert run.state.steps["t1"].error == "not allowed"
    assert [(one["approval_id"], one["decision"]) for one in run.of("approval.resolved")] == [
        ("t1", "denied"), ("t2", "denied"), ("t0", "denied"), ("t4", "denied")
    ]  # fmt: skip
    assert run.status() == "completed"


def test_a_result_after_its_step_was_denied_says_nothing_new() -> None:
    run = told(
        assistant(call("t1", "Bash")),
        system("permission_denied", tool_use_id="t1", tool_name="Bash"),
        returned("t1", "denied by a hook", is_error=True),
    )
    assert run.steps() == {"Bash": "denied"}
    assert run.counts["step.completed"] == 1


def test_a_question_for_permission_is_answered_by_what_happens() -> None:
    def ask(id_: str) -> dict[str, Any]:
        request = {"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": "ls"}, "tool_use_id": id_}
        return {"type": "control_request", "request_id": "r", "request": request}

    run = told(
        assistant(call("t1", "Bash"), call("t2", "Bash")),
        ask("t1"),
        returned("t1"),
        ask("t2"),
        returned("t2", "The user doesn't want to proceed with this tool use.", is_error=True),
    )
    assert [approval["title"] for approval in run.of("approval.requested")] == ["Bash ls", "Bash ls"]
    assert [approval["decision"] for approval in run.of("approval.resolved")] == ["allowed", "denied"]


def test_a_summary_a_limit_and_news_are_lines_of_the_log() -> None:
    run = told(
        {"type": "tool_use_summary", "summary": "Read two files", "preceding_tool_use_ids": []},
        {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected"}, "session_id": "s"},
        {"type": "auth_status", "isAuthenticating": True, "output": ["wait"]},
        {"type": "auth_status", "isAuthenticating": False, "output": [], "error": "no key"},
        system("api_retry", attempt=1, error="overloaded"),
        system("api_error", error={"headers": {"x-secret": "1"}}),
    )
    assert [line for _, line in run.state.log] == [
        "Read two files", "rate limit: rejected", '["wait"]', "no key", "api_retry: overloaded", "api_error"
    ]  # fmt: skip


# plans


def test_a_task_has_its_number_from_its_result_and_misspelt_keys_are_read() -> None:
    run = told(
        assistant(call("p1", "TaskCreate", title="One", active_form="Doing"), call("p2", "task_create", subject="Two")),
        returned("p1", "Task #1 created successfully: One"),
        returned("p2", detail={"task": {"id": "2", "subject": "Two"}}),
        assistant(call("p3", "TaskUpdate", task_id="1", status="in_progress"), call("t1", "Bash", command="ls")),
        assistant(call("p4", "TaskUpdate", id="2", status="deleted", subject="Zwei")),
        returned("p3", detail={"success": True}),
    )
    assert run.plan == {"One": "active", "Zwei": "cancelled"}
    assert run.state.steps["t1"].parent == "plan/1"
    assert run.steps() == {"Bash ls": "active"}


def test_a_task_that_could_not_be_made_or_changed_is_as_before() -> None:
    run = told(
        assistant(call("p1", "TaskCreate", subject="One"), call("p2", "TaskCreate", subject="Two")),
        returned("p1", detail={"task": {"id": "1"}}),
        returned("p2", "no", is_error=True),
        assistant(call("p3", "TaskUpdate", taskId="1", status="completed")),
        returned("p3", "a hook says no", {"success": False}),
        assistant(call("p4", "TaskUpdate", taskId="9", status="completed")),
        returned("p4", "Task not found", is_error=True),
        assistant(call("p5", "TaskList")),
        returned("p5", "no", is_error=True),
    )
    assert run.plan == {"One": "pending"}
    assert run.of("raw.event") == []


def test_a_task_whose_number_is_not_told_is_kept_as_it_came() -> None:
    run = told(assistant(call("p1", "TaskCreate", subject="One")), returned("p1", "made"))
    assert run.plan == {}
    assert run.counts["raw.event"] == 1


def test_a_plan_of_an_unexpected_shape_is_a_step() -> None:
    run = told(assistant(call("p1", "TodoWrite", todos=[{"status": "pending"}])))
    assert run.of("step.started")[0]["input"] == {"todos": [{"status": "pending"}]}


def test_a_list_of_tasks_tells_those_of_before_a_resume() -> None:
    run = told(
        assistant(call("p1", "TaskUpdate", taskId="3", status="in_progress")),
        assistant(call("p2", "TaskList"), call("p3", "TaskGet", taskId="3")),
        returned("p2", detail={"tasks": [{"id": "3", "subject": "Three", "status": "in_progress"}]}),
        returned("p3"),
    )
    assert run.of("plan.created")[0]["steps"][0]["title"] == "Task #3"
    assert run.plan == {"Three": "active"}


def test_each_lane_has_its_own_tasks_and_a_subagents_plan_is_its_progress() -> None:
    def below(line: dict[str, Any]) -> dict[str, Any]:
        return {**line, "parent_tool_use_id": "a1"}

    todos = [{"content": "Look", "status": "completed"}, {"content": "Tell", "status": "in_progress"}]
    run = told(
        assistant(call("p1", "TaskCreate", subject="Main")),
        returned("p1", detail={"task": {"id": "1"}}),
        assistant(call("a1", "Agent", description="Look")),
        below(assistant({"type": "thinking", "thinking": "Hm."}, call("p2", "TaskCreate", subject="Sub"))),
        below(returned("p2", detail={"task": {"id": "1"}})),
        below(assistant(call("p3", "TodoWrite", todos=todos))),
        below(assistant(call("p4", "TaskUpdate", taskId="7", status="pending"))),
        below(returned("p4", "not found", is_error=True)),
        returned("a1", "done"),
    )
    assert run.plan == {"Main": "pending"}
    assert run.of("step.progress") == [
        {"step_id": "a1", "fraction": 0.0},
        {"step_id": "a1", "message": "Tell", "fraction": 0.5},
        {"step_id": "a1", "fraction": 0.0},
        {"step_id": "a1", "fraction": 0.0},
    ]
    assert run.state.reasoning.text == ""


def test_a_subagent_that_loses_its_only_task_says_nothing_of_a_plan() -> None:
    update = {**assistant(call("p1", "TaskUpdate", taskId="7", status="pending")), "parent_tool_use_id": "a1"}
    run = told(assistant(call("a1", "Agent")), update, returned("p1", "not found", is_error=True))
    assert len(run.of("step.progress")) == 1


def test_an_empty_todo_list_leaves_the_plan() -> None:
    todos = [{"content": "One", "status": "completed"}]
    run = told(assistant(call("p1", "TodoWrite", todos=todos)), assistant(call("p2", "TodoWrite", todos=[])))
    assert run.plan == {"One": "done"}


# agents in the background


def launched(**more: Any) -> list[dict[str, Any]]:
    """An agent is set to work in the background and its call returns at once."""
    return [
        assistant(call("a1", "Agent", description="Look")),
        system("task_started", task_id="k", tool_use_id="a1", is_backgrounded=True),
        returned("a1", "Async agent launched", more.get("detail")),
    ]


def finished(**more: Any) -> dict[str, Any]:
    return system("task_notification", **{"task_id": "k", "status": "completed", "summary": "Two moons", **more})


def test_an_agent_in_the_background_is_at_work_until_it_is_told_to_be_done() -> None:
    assert told(*launched()).steps("agent") == {"Agent Look": "active"}
    run = told(*launched(), system("task_progress", task_id="k", description="Reading"), finished(tool_use_id="a1"))
    assert run.steps("agent") == {"Agent Look": "ok"}
    assert run.state.steps["a1"].output == "Two moons"
    assert [step["message"] for step in run.of("step.progress")] == ["Async agent launched", "Reading"]


def test_its_call_may_be_all_that_says_that_it_works_in_the_background() -> None:
    start, _, back = launched(detail={"status": "async_launched"})
    assert told(start, back).steps("agent") == {"Agent Look": "active"}
    assert told(start, back, finished(tool_use_id="a1", status="stopped")).steps("agent") == {"Agent Look": "failed"}


def test_an_agent_may_be_put_into_the_background_and_fail_there() -> None:
    run = told(
        assistant(call("a1", "Agent", description="Look")),
        system("task_started", task_id="k", tool_use_id="a1"),
        system("task_updated", task_id="k", patch={"is_backgrounded": True}),
        returned("a1"),
        system("task_updated", task_id="k", patch={"status": "killed"}),
        finished(status="stopped", summary="It was stopped"),
    )
    assert run.steps("agent") == {"Agent Look": "failed"}
    assert run.state.steps["a1"].error == "killed"
    assert list(run.state.log) == [("agent", "It was stopped")]


def test_a_command_left_running_is_done_when_its_call_returns() -> None:
    run = told(
        assistant(call("t1", "Bash", command="serve &")),
        system("task_started", task_id="k", tool_use_id="t1", is_backgrounded=True, task_type="local_bash"),
        returned("t1", "Running in the background"),
        finished(summary=None),
    )
    assert run.steps() == {"Bash serve &": "ok"}
    assert run.status() == "failed"  # no result yet
    assert list(run.state.log) == []


def test_work_without_a_call_is_a_step_of_its_own() -> None:
    run = told(
        system("task_started", task_id="k", description="Tidy up"),
        system("task_updated", task_id="k", patch={"status": "running"}),
        finished(status="failed", summary=None),
    )
    assert run.steps("agent") == {"Tidy up": "failed"}
    assert run.state.steps["task/k"].error == "failed"


# who speaks


def test_the_first_words_of_the_user_are_the_prompt_and_later_ones_a_message() -> None:
    def user(content: Any, **more: Any) -> dict[str, Any]:
        return {"type": "user", "session_id": "s", "message": {"content": content}, **more}

    run = told(
        user("Reminder", isSynthetic=True),
        user("How many?"),
        user([text("Sub-agent's task")], parent_tool_use_id="a1"),
        user([text("And "), {"type": "image"}, text("Venus?")], uuid="u2"),
        user("[Request interrupted by user]"),
        user([]),
    )
    assert run.state.agent["prompt"] == "How many?"
    assert [(message.role, message.text) for message in run.state.messages.values()] == [("user", "And \nVenus?")]
    assert run.state.answer is None
    assert [line for _, line in run.state.log] == ["[Request interrupted by user]"]


# detection and time


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (system("hook_started"), 2),
        (assistant(), 2),
        (result(), 2),
        ({"type": "result", "session_id": "s"}, 0),
        ({"type": "system", "subtype": "init"}, 0),
        ({"type": [], "session_id": "s"}, 0),
        ({"type": "other", "session_id": "s"}, 0),
        ({"type": "user", "session_id": 1, "message": {}}, 0),
    ],
)
def test_any_line_with_a_session_and_the_shape_of_its_type_is_of_this_format(line: dict[str, Any], found: int) -> None:
    assert Claude.matches(line) == found


@pytest.mark.parametrize(
    ("told_", "time"),
    [
        ("2026-11-20T09:00:00.000Z", 1795165200.0),
        ("2026-11-20T09:00:00", 1795165200.0),
        ("2026-11-20T10:00:00+01:00", 1795165200.0),
        ("soon", None),
        (5, None),
    ],
)
def test_a_line_says_when_it_was_written(told_: Any, time: float | None) -> None:
    assert Claude.when({"timestamp": told_}) == time
    assert Claude.when([]) is None


def test_a_change_of_a_task_that_names_none_is_kept_as_it_came() -> None:
    run = told(assistant(call("p1", "TaskUpdate", status="completed")))
    assert run.of("raw.event")[0]["reason"] == "unexpected shape: KeyError('taskId')"
