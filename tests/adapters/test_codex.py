"""Codex: `codex exec --json`."""

from __future__ import annotations

from adapters_kit import lines, read, trace

from durastream.sources.adapters.codex import Codex

ANSWER = "Mars has two moons: Phobos and Deimos [1]. The note is in notes.md.\n\n[1] https://example.org/mars"


def test_a_whole_run() -> None:
    told = trace("codex_exec_full.jsonl")
    assert told.answer == ANSWER
    assert told.plan == {"Look up the facts": "done", "Write notes.md": "done", "Answer": "active"}
    assert told.steps() == {
        "/bin/bash -lc 'echo beta >&2; exit 3'": "failed",
        "/bin/bash -lc 'echo alpha && sleep 1 && ls'": "ok",
        "facts.lookup": "ok",
        "change /home/dev/codex/notes.md": "ok",
        "web search": "ok",
    }
    assert [source["origin"] for source in told.of("source.added")] == ["tool"]
    assert [artifact["path"] for artifact in told.of("artifact.created")] == ["/home/dev/codex/notes.md"]
    assert told.state.usage == {
        "input_tokens": 7200, "cached_tokens": 4800, "output_tokens": 360, "reasoning_tokens": 120
    }  # fmt: skip
    assert told.counts["reasoning.delta"] == 2
    assert told.status() == "completed"
    assert told.findings() == []


def test_tools_stand_under_the_plan_entry_in_progress() -> None:
    steps = trace("codex_exec_full.jsonl").state.steps
    assert steps["item_3"].parent == "plan/p1"
    assert steps["item_6"].parent == "plan/p2"
    assert steps["plan/p1"].status == "ok"


def test_a_resumed_thread_tells_usage_of_the_whole_thread() -> None:
    told = trace("codex_exec_resume.jsonl")
    assert told.answer == "Done with the resumed turn."
    assert told.of("usage.reported")[0]["scope"] == "thread"
    assert told.of("usage.reported")[0]["mode"] == "replace"


def test_a_failed_turn_is_a_failed_run_and_its_error_is_raised_once() -> None:
    told = trace("codex_exec_error.jsonl")
    assert told.status(1) == "failed"
    assert [error["severity"] for error in told.of("error.raised")] == ["warning", "error"]


def test_a_killed_run_has_its_open_step_and_no_answer_of_its_own() -> None:
    told = trace("codex_exec_killed_sigterm.jsonl")
    assert told.steps() == {"/bin/bash -lc 'sleep 30'": "active"}
    assert told.status(signal="SIGTERM") == "interrupted"
    assert told.status(0) == "failed"
    assert "end-undeclared" in told.findings()


def test_an_answer_that_a_failure_cut_off_is_no_good_end() -> None:
    told = read(
        [lines(
            {"type": "thread.started", "thread_id": "t"},
            {"type": "item.completed", "item": {"id": "item_0", "type": "agent_message", "text": "Half an ans"}},
            {"type": "turn.failed", "error": {"message": "stream disconnected"}},
        )]
    )  # fmt: skip
    assert told.status(0) == "failed"


def test_addresses_that_only_the_answer_names_are_sources_and_those_of_words_before_it_are_not() -> None:
    said = [
        {"type": "item.completed", "item": {"id": f"item_{n}", "type": "agent_message", "text": f"https://{n}.example"}}
        for n in range(2)
    ]
    cut = read([lines({"type": "thread.started", "thread_id": "t"}, *said)])
    assert cut.of("source.added") == []
    told = read([lines({"type": "thread.started", "thread_id": "t"}, *said, {"type": "turn.completed"})])
    assert [(source["url"], source["origin"]) for source in told.of("source.added")] == [("https://1.example", "text")]


def test_an_unknown_item_is_kept() -> None:
    told = read(
        [
            lines(
                {"type": "thread.started", "thread_id": "t"}, {"type": "item.started", "item": {"id": "a", "type": "b"}}
            )
        ]
    )
    assert told.of("raw.event")[0]["json"]["item"] == {"id": "a", "type": "b"}
    assert told.of("raw.event")[0]["reason"] == "no mapping"


START = {"type": "thread.started", "thread_id": "t"}


def item(state: str, **fields: object) -> dict[str, object]:
    return {"type": f"item.{state}", "item": fields}


def test_the_query_of_a_search_comes_with_its_end() -> None:
    search = trace("codex_exec_full.jsonl").state.steps["ws_resp_mock009_0"]
    assert search.title == "web search"
    assert search.input is None
    assert search.message == "moons of Mars"
    assert search.output == {"type": "search", "query": "moons of Mars", "queries": ["moons of Mars"]}


def test_a_page_that_a_search_opens_is_a_source() -> None:
    action = {"type": "open_page", "url": "https://example.org/a"}
    told = read([lines(START, item("completed", id="ws", type="web_search", query="", action=action))])
    assert told.of("source.added")[0]["origin"] == "tool"
    assert told.of("source.added")[0]["step_id"] == "ws"
    assert told.of("step.completed")[0]["output"] == action


def test_a_command_that_was_declined_is_denied_and_news_of_one_is_progress() -> None:
    command = {"type": "command_execution", "command": "rm -r x"}
    told = read(
        [lines(
            START,
            item("started", id="a", **command, aggregated_output="", status="in_progress"),
            item("updated", id="a", **command, aggregated_output="one line", status="in_progress"),
            item("completed", id="a", **command, aggregated_output="", status="declined"),
        )]
    )  # fmt: skip
    assert told.steps() == {"rm -r x": "denied"}
    assert told.of("step.progress") == [{"step_id": "a", "message": "one line"}]


def test_a_call_of_an_mcp_server_that_fails_says_why() -> None:
    call = {"type": "mcp_tool_call", "server": "s", "tool": "t", "status": "failed"}
    told = read(
        [lines(
            START,
            item("completed", id="a", **call, error={"message": "no such tool"}),
            item("completed", id="b", **call, error="gone"),
        )]
    )  # fmt: skip
    assert [event["error"] for event in told.of("step.completed")] == ["no such tool", "gone"]


def test_a_change_of_files_that_failed_makes_none() -> None:
    changes = [{"path": "a", "kind": "update"}]
    told = read([lines(START, item("completed", id="a", type="file_change", changes=changes, status="failed"))])
    assert told.steps() == {"change a": "failed"}
    assert told.of("artifact.created") == []


def test_a_subagent_is_a_step_and_its_words_are_news_of_it() -> None:
    call = {"type": "collab_tool_call", "tool": "spawn_agent", "prompt": "Count moons", "receiver_thread_ids": ["t2"]}
    states = {"t2": {"status": "running", "message": "Two."}, "t3": {"status": "pending_init", "message": None}}
    told = read(
        [lines(
            START,
            item("started", id="a", **call, agents_states={}, status="in_progress"),
            item("completed", id="a", **call, agents_states=states, status="completed"),
        )]
    )  # fmt: skip
    assert told.steps("agent") == {"spawn_agent": "ok"}
    assert told.of("step.progress") == [{"step_id": "a", "message": "t2: Two."}]
    assert told.state.messages == {}


def test_messages_and_thoughts_count_once_they_are_complete() -> None:
    told = read(
        [lines(
            START,
            item("started", id="a", type="agent_message", text=""),
            item("started", id="b", type="reasoning", text=""),
            {"type": "turn.completed"},
        )]
    )  # fmt: skip
    assert told.counts == {"agent.identified": 1, "run.declared": 1}
    assert told.status() == "completed"


def test_lines_of_older_builds_and_of_later_ones_are_kept_or_text() -> None:
    told = read([lines(START, {"id": "0", "msg": {"type": "task_started"}}, {"type": "turn.new"})])
    assert len(told.of("raw.event")) == 2
    assert not read([lines({"id": "0", "msg": {"type": "task_started"}})]).state.agent
    assert Codex.when(START) is None
    some = (START, item("started", type="a"), item("started"), {"type": "turn.new"})
    assert [Codex.matches(line) for line in some] == [2, 2, 0, 0]
