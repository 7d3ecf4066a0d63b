"""Codex: the session files on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from adapters_kit import Told, changed, lines, read
from hypothesis import given, settings
from hypothesis import strategies as st

from durastream.sources.adapters.codex_session import CodexSession
from durastream.vocabulary import check

FILE = Path(__file__).parents[1] / "data" / "sessions" / "codex_rollout.jsonl"
AT = "2026-11-23T06:10:00.100Z"
ANSWER = "Mars has two moons: Phobos and Deimos [1]. The note is in notes.md.\n\n[1] https://example.org/mars"


def line(type_: str, **payload: Any) -> dict[str, Any]:
    return {"timestamp": AT, "type": type_, "payload": payload}


def item(type_: str, **fields: Any) -> dict[str, Any]:
    return line("response_item", type=type_, **fields)


def event(type_: str, **fields: Any) -> dict[str, Any]:
    return line("event_msg", type=type_, **fields)


def done(**fields: Any) -> dict[str, Any]:
    return event("item_completed", thread_id="t", turn_id="u", item=fields)


def called(id_: str, name: str, **taken: Any) -> dict[str, Any]:
    return item("function_call", call_id=id_, name=name, arguments=json.dumps(taken))


def gave(id_: str, output: Any) -> dict[str, Any]:
    return item("function_call_output", call_id=id_, output=output)


def said(text: str, id_: str | None = None) -> dict[str, Any]:
    return item("message", role="assistant", id=id_, content=[{"type": "output_text", "text": text}])


def told(*values: dict[str, Any]) -> Told:
    return read([lines(line("session_meta", id="s", cwd="/w", cli_version="1"), *values)])


def test_a_whole_session() -> None:
    whole = read([FILE.read_bytes()])
    assert whole.answer == ANSWER
    assert [message.text for message in whole.state.messages.values()] == [
        "I will look the facts up, write a note, then answer.",
        ANSWER,
    ]
    assert whole.plan == {"Look up the facts": "done", "Write notes.md": "done", "Answer": "active"}
    assert whole.steps() == {
        "exec_command echo beta >&2; exit 3": "failed",
        "exec_command echo alpha && sleep 1 && ls": "ok",
        "facts.lookup": "ok",
        "change notes.md": "ok",
        "web search moons of Mars": "ok",
    }
    assert [(source["url"], source["step_id"], source["origin"]) for source in whole.of("source.added")] == [
        ("https://example.org/mars", "call_4", "tool")
    ]
    assert whole.of("artifact.created") == [{"path": "/home/dev/codex/notes.md", "action": "add"}]
    assert whole.state.usage == {
        "input_tokens": 7200, "cached_tokens": 4800, "output_tokens": 360, "reasoning_tokens": 120
    }  # fmt: skip
    assert whole.counts["reasoning.delta"] == 1
    assert whole.of("log.line") == [{"stream": "agent", "text": "the context was compacted"}]
    assert whole.state.agent == {
        "format": "codex-session",
        "terminal": True,
        "name": "codex",
        "version": "0.169.0",
        "session_id": "01a20800-0000-7000-8000-000000000001",
        "cwd": "/home/dev/codex",
        "model": "gpt-5.5",
        "prompt": "How many moons has Mars? Write notes.md",
    }
    assert whole.status() == "completed"
    assert whole.findings() == []
    assert "raw.event" not in whole.counts
    for one in whole.events:
        assert check(one.type, one.data) is None, one


def test_what_is_told_twice_is_one_step_whichever_comes_first() -> None:
    steps = read([FILE.read_bytes()]).state.steps
    assert steps["call_2"].error == "exit code 3"
    assert steps["call_3"].output == "alpha\n"
    assert steps["call_4"].parent == "plan/p1"
    assert steps["call_6"].parent == "plan/p2"


def test_in_pieces_or_cut_it_tells_the_same() -> None:
    data = FILE.read_bytes()
    whole = read([data]).events
    assert read([data[at : at + 7] for at in range(0, len(data), 7)]).events == whole
    for at in range(0, len(data), 97):
        line = data.rfind(b"\n", 0, at) + 1
        events = [e for e in read([data[:at]], "codex-session").events if e.src is not None and e.src.offset < line]
        assert events == whole[: len(events)]


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_changed_line_raises_nothing_and_stays_valid(data: st.DataObject) -> None:
    raw = FILE.read_bytes().splitlines()
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] = json.dumps(changed(json.loads(raw[place]), data)).encode()
    for one in read([b"\n".join(raw)], "codex-session").events:
        assert check(one.type, one.data) is None, one


def test_each_line_tells_its_time() -> None:
    assert CodexSession.when(line("event_msg")) == 1795414200.1
    assert CodexSession.when({"timestamp": "2026-11-23T06:10:00"}) == 1795414200
    assert CodexSession.when({}) is None
    assert CodexSession.when(3) is None
    assert CodexSession.matches({"timestamp": AT, "type": "compacted", "payload": None}) == 0


def test_a_session_whose_last_turn_did_not_end_is_no_good_end() -> None:
    turn = [event("task_started"), said("Done."), event("task_complete", last_agent_message="Done.")]
    assert told(*turn).status() == "completed"
    assert told(*turn, event("task_started"), said("Half")).status() == "failed"
    assert told(event("task_started"), said("Half")).findings() == ["end-undeclared"]


def test_older_builds_tell_no_end_of_a_turn_and_that_is_no_finding() -> None:
    assert told(said("Done.")).findings() == []
    assert told(said("Done.")).status() == "completed"


def test_an_aborted_turn_is_a_failure_with_its_step_open() -> None:
    whole = told(
        event("task_started"), called("a", "exec_command", cmd="sleep 30"), event("turn_aborted", reason="interrupted")
    )
    assert whole.status() == "failed"
    assert whole.state.declared == {"status": "failed", "error": "the turn was aborted: interrupted"}
    assert whole.findings() == ["step-open"]


@pytest.mark.parametrize("error", [{"message": "usage limit"}, "usage limit"])
def test_a_turn_that_failed_is_a_failure_though_it_is_complete(error: Any) -> None:
    whole = told(event("task_started"), event("task_complete", last_agent_message=None, error=error))
    assert whole.status() == "failed"
    assert whole.of("error.raised")[0]["message"] == "usage limit"


def test_an_answer_that_differs_from_what_the_turn_says_is_found() -> None:
    assert told(said("One"), event("task_complete", last_agent_message="Two")).findings() == ["answer-differs"]


def test_the_first_prompt_is_the_runs_and_later_ones_are_messages_of_the_user() -> None:
    whole = told(
        event("task_started"), event("user_message", message="First"), said("One"),
        event("task_complete", last_agent_message="One"),
        event("task_started"), event("user_message", message="Second"),
        done(type="UserMessage", id="u", content=[{"type": "text", "text": "Second"}]), said("Two"),
        event("task_complete", last_agent_message="Two"),
    )  # fmt: skip
    assert whole.state.agent["prompt"] == "First"
    assert [(message.role, message.text) for message in whole.state.messages.values()] == [
        ("assistant", "One"),
        ("user", "Second"),
        ("assistant", "Two"),
    ]
    assert whole.answer == "Two"
    assert whole.status() == "completed"


def test_a_prompt_may_be_an_item_with_pictures() -> None:
    content = [{"type": "text", "text": "Look"}, {"type": "local_image", "path": "/w/a.png"}]
    assert told(done(type="UserMessage", id="u", content=content)).state.agent["prompt"] == "Look"


def test_a_fork_repeats_the_lines_it_began_from() -> None:
    whole = told(line("session_meta", id="parent"), said("One", "msg_1"), said("One", "msg_1"), said(""))
    assert whole.state.agent["session_id"] == "s"
    assert whole.of("text.delta") == [{"message_id": "msg_1", "text": "One"}]
    assert read([lines(line("session_meta", session_id="s"))]).state.agent["session_id"] == "s"


def test_the_model_is_told_when_it_changes() -> None:
    contexts = [line("turn_context", model=model) for model in ("a", "a", "b", None)]
    assert [event.get("model") for event in told(*contexts).of("agent.identified")] == [None, "a", "b"]


@pytest.mark.parametrize(
    ("output", "status", "error", "text"),
    [
        ('{"output":"x\\n","metadata":{"exit_code":1,"duration_seconds":0.5}}', "failed", "exit code 1", "x\n"),
        ('{"output":"x\\n"}', "ok", None, "x\n"),
        ('{"output":"x', "ok", None, '{"output":"x'),
        ("Exit code: 2\nWall time: 0 seconds\nOutput:\nx", "failed", "exit code 2", None),
        ("exec command rejected by user", "denied", "exec command rejected by user", None),
        ("aborted by user after 3.2s", "failed", "aborted by user after 3.2s", None),
        ("Wall time: 3.2 seconds\naborted by user", "failed", "Wall time: 3.2 seconds\naborted by user", None),
        ([{"type": "input_text", "text": "Script failed\n"}], "failed", "Script failed\n", "Script failed\n"),
        ([{"type": "input_text", "text": "a"}, {"type": "input_image"}], "ok", None, "a"),
    ],
)
def test_how_a_call_ended_is_read_from_what_it_gave(
    output: Any, status: str, error: str | None, text: str | None
) -> None:
    step = told(called("a", "shell", command=["bash", "-lc", "x"]), gave("a", output)).state.steps["a"]
    assert step.title == "shell bash -lc x"
    assert (step.status, step.error) == (status, error)
    assert step.output == (output if text is None else text)


def test_an_output_is_taken_once_and_one_without_its_call_is_kept() -> None:
    whole = told(called("a", "ls"), gave("a", "x"), gave("a", "y"), gave("b", "z"))
    assert whole.steps() == {"ls": "ok"}
    assert whole.of("raw.event")[0]["json"]["payload"]["call_id"] == "b"


def test_what_was_told_is_remembered_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("durastream.sources.adapters.codex_session._REMEMBERED", 1)
    assert told(said("a", "m1"), said("b", "m2"), said("b", "m2")).counts["text.delta"] == 2


def test_the_files_of_a_patch_are_told_once_by_its_text_or_by_its_end() -> None:
    patch = "*** Begin Patch\n*** Add File: a\n+a\n*** Update File: b\n@@\n*** Delete File: c\n*** End Patch"
    call = item("custom_tool_call", call_id="a", name="apply_patch", input=patch)
    output = item("custom_tool_call_output", call_id="a", output="Success.")
    end = event(
        "patch_apply_end", call_id="a", success=True, changes={"/w/a": {"type": "add"}, "/w/b": {"type": "new"}}
    )
    whole = told(call, output, end)
    assert whole.steps() == {"change a, b, c": "ok"}
    assert [(file["path"], file["action"]) for file in whole.of("artifact.created")] == [
        ("a", "add"), ("b", "update"), ("c", "delete"),
    ]  # fmt: skip
    whole = told(call, end, output)
    assert whole.of("artifact.created") == [{"path": "/w/a", "action": "add"}, {"path": "/w/b", "action": "update"}]
    failed = event("patch_apply_end", call_id="a", success=False, stderr="no such file", changes={})
    whole = told(call, failed, output)
    assert whole.of("artifact.created") == []
    assert whole.state.steps["a"].error == "no such file"


def test_what_a_script_ran_stands_under_it() -> None:
    command = ["bash", "-lc", "pwd"]
    changes = {"/w/a": {"type": "update"}}
    whole = told(
        item("custom_tool_call", call_id="s", name="exec", input="await tools.exec_command({cmd: 'pwd'})"),
        done(type="CommandExecution", id="e1", command=command, status="completed", exit_code=0,
             aggregated_output="/w\n", duration={"secs": 1, "nanos": 500_000_000}),
        done(type="CommandExecution", id="e2", command="pwd", status="declined"),
        done(type="FileChange", id="e3", changes=changes, status="completed"),
        done(type="FileChange", id="e4", changes=changes, status="failed", stderr="read-only"),
        done(type="McpToolCall", id="e5", server="s", tool="t", arguments={}, status="failed",
             error={"message": "unknown server"}),
        item("custom_tool_call_output", call_id="s", output=[{"type": "input_text", "text": "Script completed\n"}]),
        event("exec_command_end", call_id="e6", exit_code=0, stdout="x"),
    )  # fmt: skip
    steps = whole.state.steps
    assert {id_: step.status for id_, step in steps.items()} == {
        "s": "ok", "e1": "ok", "e2": "denied", "e3": "ok", "e4": "failed", "e5": "failed", "e6": "ok",
    }  # fmt: skip
    assert {steps[f"e{n}"].parent for n in range(1, 6)} == {"s"}
    assert steps["e6"].parent is None
    assert (steps["e1"].title, steps["e6"].title) == ("bash -lc pwd", "command")
    assert steps["e5"].error == "unknown server"
    assert whole.of("artifact.created") == [{"path": "/w/a", "action": "update"}]
    assert [event.get("duration") for event in whole.of("step.completed")][:2] == [1.5, None]


@pytest.mark.parametrize(
    ("result", "status", "error"),
    [
        ({"Ok": {"content": [], "isError": True}}, "failed", None),
        ({"Err": "timed out"}, "failed", "timed out"),
        (None, "ok", None),
    ],
)
def test_a_call_of_an_mcp_server_ends_as_its_result_says(result: Any, status: str, error: str | None) -> None:
    end = event("mcp_tool_call_end", call_id="a", invocation={"server": "s", "tool": "t"}, result=result)
    for calls in ([], [called("a", "mcp__s__t")]):
        step = told(*calls, end, end, *([gave("a", "x")] if calls else [])).state.steps["a"]
        assert (step.title, step.status, step.error) == ("s.t", status, error)


def test_a_page_that_was_opened_is_a_source_and_a_search_without_a_word_is_a_step() -> None:
    whole = told(
        item(
            "web_search_call", id="ws_1", status="completed", action={"type": "open_page", "url": "https://a.example"}
        ),
        item("web_search_call", action={"type": "search", "queries": ["moons", "of Mars"]}),
        item("web_search_call", status="failed"),
    )
    assert whole.steps() == {
        "web search https://a.example": "ok", "web search moons of Mars": "ok", "web search": "failed"
    }  # fmt: skip
    assert whole.of("source.added")[0]["step_id"] == "ws_1"


def test_a_subagent_is_a_step_of_its_kind_and_a_shell_call_of_the_model_a_tool() -> None:
    whole = told(
        called("a", "spawn_agent", prompt="Count moons"),
        item("local_shell_call", call_id="b", action={"type": "exec", "command": ["ls", "-l"]}),
        item("function_call", call_id="c", name="odd", arguments="not JSON"),
    )
    assert whole.steps("agent") == {"spawn_agent Count moons": "active"}
    assert whole.steps() == {"shell ls -l": "active", "odd": "active"}
    assert whole.state.steps["c"].input == "not JSON"


def test_what_means_nothing_here_is_passed_over_and_what_has_no_mapping_is_kept() -> None:
    whole = told(
        line("world_state"), item("ghost_snapshot"), event("agent_message", message="x"),
        event("token_count", info=None), done(type="AgentMessage", id="a", content=[]), item("reasoning", summary=None),
    )  # fmt: skip
    assert whole.counts == {"agent.identified": 1}
    whole = told(line("new"), item("new"), event("new"), done(type="New"))
    assert [event["reason"] for event in whole.of("raw.event")] == ["no mapping"] * 4


def test_errors_and_what_was_rolled_back_are_told() -> None:
    whole = told(event("error", message="stream disconnected"), event("thread_rolled_back", num_turns=2))
    assert whole.of("error.raised")[0]["fatal"] is False
    assert whole.of("log.line")[0]["text"] == "rolled back by 2 turns"
