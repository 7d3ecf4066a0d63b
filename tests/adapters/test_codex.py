"""Codex: `codex exec --json`."""

from __future__ import annotations

from adapters_kit import lines, read, trace

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
    assert steps["item_3"].parent == "p1"
    assert steps["item_6"].parent == "p2"
    assert steps["p1"].status == "ok"


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
