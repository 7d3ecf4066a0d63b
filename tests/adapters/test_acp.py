"""ACP: a transcript of the lines between an agent and its client."""

from __future__ import annotations

from typing import Any

import pytest
from adapters_kit import Told, lines, read, trace

from durastream.sources.adapters import NO, STRONG
from durastream.sources.adapters.acp import Acp

OPENCODE = "Mars has two moons: Phobos and Deimos [1]. The note is in notes.md.\n\n[1] https://example.org/mars"


def rpc(**more: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", **more}


def update(kind: str, /, **more: Any) -> dict[str, Any]:
    return rpc(method="session/update", params={"sessionId": "s", "update": {"sessionUpdate": kind, **more}})


def chunk(text: str, **more: Any) -> dict[str, Any]:
    return update("agent_message_chunk", content={"type": "text", "text": text}, **more)


def end(reason: str = "end_turn", **more: Any) -> dict[str, Any]:
    return rpc(id=2, result={"stopReason": reason, **more})


def tool(id_: str, **more: Any) -> dict[str, Any]:
    return update("tool_call", toolCallId=id_, title="look", **more)


def patch(id_: str, **more: Any) -> dict[str, Any]:
    return update("tool_call_update", toolCallId=id_, **more)


def permission(id_: int, call: str, **more: Any) -> dict[str, Any]:
    options = [{"optionId": "yes", "name": "Allow", "kind": "allow_once"}, {"optionId": "no", "kind": "reject_once"}]
    params = {"sessionId": "s", "toolCall": {"toolCallId": call, **more}, "options": options}
    return rpc(id=id_, method="session/request_permission", params=params)


def chose(id_: int, option: str | None) -> dict[str, Any]:
    outcome = {"outcome": "cancelled"} if option is None else {"outcome": "selected", "optionId": option}
    return rpc(id=id_, result={"outcome": outcome})


def run(*messages: dict[str, Any], last: dict[str, Any] | None = None) -> Told:
    return read([lines(*messages, last or end())], "acp")


@pytest.mark.parametrize("name", ["acp_codex.jsonl", "acp_codex_both_directions.jsonl"])
def test_a_whole_run_of_codex(name: str) -> None:
    told = trace(name)
    assert told.answer == "Mars has two moons: Phobos and Deimos."
    assert [message.text[:20] for message in told.state.messages.values()] == [
        "Model metadata for `", "I will make a plan.", "Mars has two moons: ",
    ]  # fmt: skip
    assert told.plan == {"Look up the facts": "done", "Write notes.md": "done", "Answer": "active"}
    assert told.steps() == {"echo alpha": "ok", "echo beta >&2; exit 3": "failed"}
    assert told.state.steps["c2"].parent == "plan/p1"
    assert told.state.steps["c3"].error == "exit code 3"
    assert told.state.reasoning.text == "\n\n**Planning**\n\nFacts first."
    assert told.of("source.added") == []
    assert told.of("artifact.created") == []
    assert told.state.usage == {}
    agent = told.state.agent
    assert (agent["name"], agent["version"], agent["model"]) == ("codex-acp", "0.16.0", "gpt-5.1-codex")
    assert agent["session_id"] == "01a20702-b615-7523-8ce9-977c601981c6"
    assert "raw.event" not in told.counts
    assert told.status() == "completed"
    assert told.findings() == []


def test_the_lines_of_the_client_tell_the_prompt() -> None:
    agent = trace("acp_codex_both_directions.jsonl").state.agent
    assert agent["prompt"] == "How many moons has Mars? Write notes.md"
    assert agent["cwd"] == "/home/dev/codexacp"


def test_a_whole_run_of_opencode() -> None:
    told = trace("acp_opencode.jsonl")
    assert told.answer == OPENCODE
    assert told.plan == {"Look up the facts": "done", "Write notes.md": "done", "Answer": "active"}
    assert told.counts["plan.updated"] == 2
    assert told.steps() == {"echo alpha": "ok", "read": "failed", "write": "ok"}
    assert told.steps("agent") == {"Check moons": "ok"}
    assert told.state.steps["o2"].input == {"command": "echo alpha", "description": "alpha", "cwd": "/home/dev/oc"}
    assert told.state.steps["o3"].error == "File not found: /home/dev/oc/missing.txt"
    assert told.state.steps["o6"].parent == "plan/2"
    assert told.of("artifact.created") == [{"path": "/home/dev/oc/notes.md", "action": "add"}]
    assert [(source["url"], source["origin"]) for source in told.of("source.added")] == [
        ("https://example.org/mars", "text")
    ]
    assert told.state.usage == {
        "input_tokens": 400 + 800, "output_tokens": 40 + 20, "cached_tokens": 800, "reasoning_tokens": 20,
        "cost_usd": 0.00312,
    }  # fmt: skip
    assert told.state.agent["name"] == "OpenCode"
    assert told.counts["text.completed"] == 2
    assert told.status() == "completed"
    assert told.findings() == []


def test_a_whole_run_of_gemini() -> None:
    told = trace("acp_gemini.jsonl")
    assert told.answer == OPENCODE
    assert told.plan == {}
    assert [(step.step_id, step.status) for step in told.state.steps.values()] == [
        ("write_todos__g1", "ok"),
        ("run_shell_command__g2", "ok"),
        ("read_file__g3", "failed"),
        ("google_web_search__g4", "ok"),
        ("write_todos__g5", "ok"),
        ("write_file__g6", "ok"),
        ("write_todos__g7", "ok"),
    ]
    assert [(asked["title"], asked["decision"]) for asked in told.state.approvals.values()] == [
        ("Set 3 todo(s)", "approved"),
        ("Writing to notes.md", "approved"),
    ]
    assert told.of("artifact.created") == [{"path": "/home/dev/gemini/notes.md", "action": "add"}]
    assert [source["origin"] for source in told.of("source.added")] == ["text"]
    assert list(told.state.log) == [("agent", "[MODE_UPDATE] autoEdit")]
    assert told.state.usage == {}
    assert told.state.agent["model"] == "gemini-2.5-pro"
    assert told.status() == "completed"
    assert told.findings() == []


def test_a_plan_of_version_2_and_no_end() -> None:
    told = trace("acp_v2_plan_update.jsonl")
    assert told.answer == "Two."
    assert told.plan == {"Look up": "active", "Answer": "pending"}
    assert "raw.event" not in told.counts
    assert told.status(0) == "failed"
    assert told.findings() == ["end-undeclared"]


def test_its_lines_are_known() -> None:
    assert Acp.matches(chunk("x")) == STRONG
    assert Acp.matches({"dir": "agent->client", "msg": chunk("x")}) == STRONG
    assert Acp.matches(rpc(id=0, method="initialize", params={"protocolVersion": 1})) == STRONG
    assert Acp.matches(rpc(id=0, method="initialize", params={"capabilities": {}})) == NO
    assert Acp.matches(rpc(id=0, result={"protocolVersion": 1, "agentCapabilities": {}})) == STRONG
    assert Acp.matches(rpc(id=0, result={"protocolVersion": "2025-06-18", "capabilities": {}})) == NO
    assert Acp.matches({"dir": "x"}) == NO
    assert Acp.matches({"jsonrpc": "1.0"}) == NO
    assert Acp.when({}) is None


def test_a_text_without_an_id_lasts_until_something_else_is_told() -> None:
    told = run(
        chunk("I "), update("usage_update", used=1, size=2), chunk("look."), tool("c", status="in_progress"),
        patch("c", status="completed"), chunk(""), chunk("Two."),
    )  # fmt: skip
    assert [message.text for message in told.state.messages.values()] == ["I look.", "Two."]


def test_a_text_with_an_id_goes_on_after_other_things() -> None:
    told = run(
        chunk("I look. ", messageId="a"), tool("c", status="in_progress"), patch("c", status="completed"),
        chunk("Tw", messageId="a"), chunk("o.", messageId="a"), chunk("Done.", messageId="b"),
    )  # fmt: skip
    assert [message.text for message in told.state.messages.values()] == ["I look. Two.", "Done."]
    assert told.answer == "Done."
    assert told.findings() == []


def test_chunks_that_are_no_text_and_chunks_of_the_user_are_passed_over() -> None:
    image = update("agent_message_chunk", content={"type": "image", "data": "AAAA", "text": "x"})
    told = run(update("user_message_chunk", content={"type": "text", "text": "Moons?"}), image, chunk("Two."))
    assert told.answer == "Two."
    assert "raw.event" not in told.counts


@pytest.mark.parametrize(
    ("reason", "declared"),
    [("end_turn", "completed"), ("cancelled", "cancelled"), ("max_tokens", "failed"), ("refusal", "failed")],
)
def test_the_reason_of_the_end(reason: str, declared: str) -> None:
    told = run(chunk("Tw"), last=end(reason))
    assert told.state.declared is not None
    assert told.state.declared["status"] == declared
    assert told.status(0) == declared


def test_a_prompt_that_fails_is_a_failed_run() -> None:
    failed = rpc(id=2, error={"code": -32000, "message": "Authentication required"})
    told = run(chunk("Tw"), last=failed)
    assert told.status(0) == "failed"
    assert [error["fatal"] for error in told.of("error.raised")] == [True]
    assert told.counts["text.completed"] == 1


def test_an_error_of_another_request_does_not_end_the_run() -> None:
    asked = rpc(id=2, method="session/prompt", params={"sessionId": "s", "prompt": [{"type": "text", "text": "?"}]})
    told = run(
        asked,
        rpc(id=7, error={"code": -32601, "message": "no such mode"}),
        {"dir": "client->agent", "msg": rpc(id=2, error={"code": -32601, "message": "no such file"})},
        chunk("Two."),
    )
    assert [(error["severity"], error["fatal"]) for error in told.of("error.raised")] == [("warning", False)]
    assert told.status() == "completed"


def test_a_session_that_is_loaded_tells_its_past_which_is_not_of_this_run() -> None:
    told = run(
        rpc(id=1, method="session/load", params={"sessionId": "s", "cwd": "/w"}),
        chunk("Old answer."),
        rpc(id=1, result=None),
        chunk("Two."),
    )
    assert [message.text for message in told.state.messages.values()] == ["Two."]
    assert told.state.agent["session_id"] == "s"


def test_the_text_of_another_session_stays_out() -> None:
    other = chunk("Not mine.")
    other["params"]["sessionId"] = "other"
    told = run(chunk("Two."), other)
    assert told.answer == "Two."
    assert told.counts["raw.event"] == 1


def test_ids_of_both_directions_overlap() -> None:
    told = run(
        rpc(id=0, result={"protocolVersion": 1}), permission(0, "c", title="rm"), chose(0, "yes"),
        rpc(id=1, result={}), permission(1, "d"), chose(1, "no"), chose(1, "no"),
    )  # fmt: skip
    assert {id_: asked["decision"] for id_, asked in told.state.approvals.items()} == {"0": "approved", "1": "denied"}
    assert told.counts["approval.resolved"] == 2


def test_a_tool_that_was_not_allowed_is_denied() -> None:
    told = run(
        tool("c", status="pending", rawInput={"q": 1}), permission(0, "c"), chose(0, "no"), patch("c", status="failed"),
        permission(1, "d", title="rm"), chose(1, None), patch("d", status="failed"),
    )  # fmt: skip
    assert told.steps() == {"look": "denied", "rm": "denied"}
    assert [asked["decision"] for asked in told.state.approvals.values()] == ["denied", "cancelled"]


def test_a_question_for_words_is_a_question_too() -> None:
    told = run(
        rpc(id=3, method="elicitation/create", params={"message": "Which planet?"}),
        rpc(id=3, result={"action": "accept", "content": {}}),
    )
    assert told.state.approvals["3"]["title"] == "Which planet?"
    assert told.state.approvals["3"]["decision"] == "approved"


def test_a_step_starts_when_the_input_is_known() -> None:
    early = run(tool("c", rawInput={"q": 1}), last=chunk("x"))
    assert early.state.steps["c"].input == {"q": 1}
    late = run(tool("c", rawInput={"cwd": "/w"}), tool("d", rawInput={}), last=chunk("x"))
    assert late.state.steps == {}
    never = run(tool("c"), patch("c", status="completed"))
    assert never.steps() == {"look": "ok"}


def test_the_first_of_a_tool_may_be_an_update() -> None:
    told = run(patch("c", status="completed", content=[{"type": "content", "content": {"type": "text", "text": "x"}}]))
    assert told.steps() == {"c": "ok"}
    assert told.state.steps["c"].output == "x"


def test_a_command_that_failed_within_a_completed_call_has_failed() -> None:
    told = run(
        tool("c", status="in_progress"),
        patch("c", status="completed", rawOutput={"output": "", "metadata": {"exit": 3}}),
    )
    assert told.steps() == {"look": "failed"}
    assert told.state.steps["c"].error == "exit code 3"


def test_the_error_of_a_tool_is_its_text_when_it_tells_no_other() -> None:
    told = run(patch("c", status="failed", content=[{"type": "content", "content": {"type": "text", "text": "no"}}]))
    assert told.state.steps["c"].error == "no"
    assert run(patch("c", status="failed")).state.steps["c"].error is None


def test_todos_are_the_plan_and_no_step() -> None:
    todos = [{"content": "Look up", "status": "in_progress"}]
    told = run(
        update("tool_call", toolCallId="a", title="TodoWrite", rawInput={"todos": todos}),
        patch("a", status="completed", title="1 todo"),
        update("tool_call", toolCallId="b", title="update_plan", status="in_progress"),
        patch("b", status="completed"),
        tool("c", status="in_progress"),
        patch("c", rawInput={"todos": [{"content": "Look up", "status": "completed"}]}),
        patch("c", status="completed"),
    )
    assert told.plan == {"Look up": "done"}
    assert told.steps() == {"update_plan": "ok", "look": "ok"}


def test_a_plan_in_markdown_is_kept_as_it_is() -> None:
    told = run(update("plan_update", plan={"type": "markdown", "planId": "p", "content": "# Plan"}), update("new"))
    assert [raw["reason"] for raw in told.of("raw.event")] == ["no mapping"] * 2


def test_sources_come_from_tools_that_read_the_web() -> None:
    told = run(
        tool("a", kind="fetch", status="in_progress", rawInput={"url": "https://example.org/1"}),
        patch("a", status="completed", rawOutput="to https://example.org/2"),
        tool("web_search", kind="search", status="in_progress", rawInput={"q": "x"}),
        patch("web_search", status="completed", rawOutput={"hits": ["https://example.org/3"]}),
        tool("grep", kind="search", status="in_progress"),
        patch("grep", status="completed", rawOutput="https://example.org/no"),
    )
    assert [(source["url"][-2:], source["origin"], source["step_id"]) for source in told.of("source.added")] == [
        ("/1", "tool", "a"), ("/3", "tool", "web_search"),
    ]  # fmt: skip


def test_files_that_tools_change_are_artifacts() -> None:
    diff = [{"type": "diff", "path": "/w/a", "oldText": "x", "newText": "y"}]
    told = run(
        tool("a", kind="edit", locations=[{"path": "/w/a"}]),
        patch("a", status="completed", content=diff),
        tool("b", kind="delete", locations=[{"path": "/w/b"}]),
        patch("b", status="completed"),
        tool("c", kind="edit"),
        patch("c", status="completed", locations=[{"path": "/w/c"}], rawOutput="done"),
        tool("d", kind="edit", locations=[{"path": "/w/d"}]),
        patch("d", status="failed"),
        tool("e", kind="edit"),
        patch("e", status="completed"),
    )
    assert [(made["path"], made["action"]) for made in told.of("artifact.created")] == [
        ("/w/a", "update"), ("/w/b", "delete"), ("/w/c", "update"),
    ]  # fmt: skip


def test_usage_and_cost_are_of_the_whole_session() -> None:
    def cost(amount: float, currency: str = "USD") -> dict[str, Any]:
        return update("usage_update", used=1, size=2, cost={"amount": amount, "currency": currency})

    told = run(cost(0.1), cost(0.1), cost(0.2), cost(9, "EUR"), last=end(usage={"inputTokens": 5, "outputTokens": 1}))
    assert told.state.usage == {"cost_usd": 0.2, "input_tokens": 5, "output_tokens": 1}
    assert told.counts["usage.reported"] == 3


def test_what_is_said_beside_the_session_is_passed_over() -> None:
    told = run(
        rpc(id=5, method="fs/read_text_file", params={"path": "/w/a"}), rpc(id=5, result={"content": "x"}),
        rpc(method="session/cancel", params={"sessionId": "s"}), rpc(id=9, result=None), chunk("Two."),
    )  # fmt: skip
    assert told.answer == "Two."
    assert "raw.event" not in told.counts


def test_the_model_of_a_session_may_be_unknown() -> None:
    told = run(rpc(id=1, result={"sessionId": "s"}), rpc(id=1, result={"sessionId": "s", "models": {}}))
    assert "model" not in told.state.agent


def test_a_message_that_is_neither_is_kept() -> None:
    assert run(rpc(id=4)).of("raw.event")[0]["reason"] == "no mapping"
