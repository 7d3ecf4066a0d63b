"""Several turns in one process: the end that one declared is not the end of the next."""

from __future__ import annotations

from typing import Any

import pytest
from adapters_kit import FORMAT_OF, TRACES, lines, read

INIT = {"type": "system", "subtype": "init", "session_id": "s"}
UPDATE = {"event": "on_chain_start", "name": "graph", "run_id": "r2", "parent_ids": [], "data": {}}

BEGINS: dict[str, Any] = {
    "acp_codex_both_directions.jsonl": {
        "dir": "client->agent",
        "msg": {"jsonrpc": "2.0", "id": 9, "method": "session/prompt", "params": {"sessionId": "s", "prompt": []}},
    },
    "ag_ui_full_types.sse": {"type": "RUN_STARTED", "threadId": "t", "runId": "r2"},
    "amp_stream_json.jsonl": {**INIT, "session_id": "T-1"},
    "anthropic_messages.sse": {"type": "message_start", "message": {"id": "m2", "type": "message", "content": []}},
    "claude_code_todowrite.jsonl": INIT,
    "claude_code_partial_tasks_subagent.jsonl": {
        "type": "stream_event", "session_id": "s", "parent_tool_use_id": None,
        "event": {"type": "message_start", "message": {"id": "m2"}},
    },
    "codex_exec_full.jsonl": {"type": "turn.started"},
    "cursor_agent_stream_json.jsonl": INIT,
    "gemini_stream_json.jsonl": {"type": "message", "timestamp": "2026", "role": "user", "content": "And?"},
    "gemini_generate_content.sse": {"responseId": "r2", "candidates": [{"content": {"parts": [{"text": "On"}]}}]},
    "langchain_astream_events_v2.jsonl": UPDATE,
    "openai_chat_sdk_dump.jsonl": {
        "id": "2", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "On"}}],
    },
    "openai_responses.sse": {"type": "response.created", "response": {"id": "r2", "object": "response"}},
    "opencode_run_json.jsonl": {"type": "step_start", "sessionID": "s", "part": {}},
    "pi_mode_json.jsonl": {"type": "message_start", "message": {"role": "user", "content": "And?"}},
    "pydantic_ai_events.jsonl": {
        "event_kind": "part_start", "index": 0, "part": {"part_kind": "text", "content": "On"},
    },
    "qwen_stream_json.jsonl": INIT,
    "vercel_ui_stream_ai_sdk.sse": {"type": "start"},
}  # fmt: skip
"""The line that begins a turn, by the trace that it is put after."""


@pytest.mark.parametrize("name", BEGINS)
def test_an_agent_that_is_killed_in_its_second_turn_is_not_complete(name: str) -> None:
    first = (TRACES / name).read_bytes().rstrip() + b"\n\n"
    assert read([first], FORMAT_OF[name]).status(0) == "completed"
    begun = read([first, lines(BEGINS[name])], FORMAT_OF[name])
    assert begun.of("run.declared")[-1] == {"withdrawn": True}
    assert begun.status(0) == "failed"
    assert "end-undeclared" in begun.findings()


def test_a_turn_that_begins_takes_back_nothing_where_nothing_was_declared() -> None:
    told = read([lines({"type": "thread.started", "thread_id": "t"}, {"type": "turn.started"})], "codex")
    assert told.of("run.declared") == []
