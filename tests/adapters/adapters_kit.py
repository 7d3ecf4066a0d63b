"""What the tests of adapters share: traces read as a recorder reads them, and the laws that hold for every format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

from durastream import answer
from durastream.events import Pending
from durastream.rules import severity_of
from durastream.rules.reconcile import reconcile
from durastream.sources import replayed
from durastream.state import RunState

TRACES = Path(__file__).parents[1] / "data" / "traces"

FORMAT_OF = {
    "a2a_v03_stream.sse": "a2a",
    "a2a_v1_stream.sse": "a2a",
    "acp_codex.jsonl": "acp",
    "acp_codex_both_directions.jsonl": "acp",
    "acp_gemini.jsonl": "acp",
    "acp_opencode.jsonl": "acp",
    "acp_v2_plan_update.jsonl": "acp",
    "ag_ui_error.sse": "ag-ui",
    "ag_ui_full_types.sse": "ag-ui",
    "amp_stream_json.jsonl": "amp",
    "anthropic_messages.sse": "anthropic",
    "anthropic_messages_sdk_dump.jsonl": "anthropic",
    "claude_code_api_error.jsonl": "claude",
    "claude_code_max_turns.jsonl": "claude",
    "claude_code_partial_tasks_subagent.jsonl": "claude",
    "claude_code_todowrite.jsonl": "claude",
    "codex_exec_error.jsonl": "codex",
    "codex_exec_full.jsonl": "codex",
    "codex_exec_killed_sigterm.jsonl": "codex",
    "codex_exec_resume.jsonl": "codex",
    "cursor_agent_stream_json.jsonl": "cursor",
    "gemini_generate_content.sse": "gemini-api",
    "gemini_stream_json.jsonl": "gemini",
    "gemini_stream_json_error.jsonl": "gemini",
    "goose_stream_json.jsonl": "goose",
    "langchain_astream_events_v2.jsonl": "langchain",
    "langchain_astream_events_v3.jsonl": "langchain",
    "langgraph_stream_multi.jsonl": "langgraph",
    "openai_agents_events.jsonl": "openai-agents",
    "openai_chat_sdk_dump.jsonl": "openai-chat",
    "openai_responses.sse": "openai-responses",
    "openai_responses_sdk_dump.jsonl": "openai-responses",
    "opencode_run_json.jsonl": "opencode",
    "pi_mode_json.jsonl": "pi",
    "pydantic_ai_events.jsonl": "pydantic-ai",
    "qwen_stream_json.jsonl": "qwen",
    "qwen_stream_json_error.jsonl": "qwen",
    "vercel_ui_stream_ai_sdk.sse": "vercel",
}
"""The format of each trace."""


EXIT_OF: dict[str, int | str] = {
    "claude_code_api_error.jsonl": 1,
    "claude_code_max_turns.jsonl": 1,
    "codex_exec_error.jsonl": 1,
    "codex_exec_killed_sigterm.jsonl": "SIGTERM",
    "gemini_stream_json_error.jsonl": 144,
}
"""How the program of a trace ended, where that was not with exit code 0."""


class Told(NamedTuple):
    """What a stream was read as."""

    events: list[Pending]
    state: RunState

    def of(self, type_: str) -> list[dict[str, Any]]:
        """The data of all events of a type."""
        return [event.data for event in self.events if event.type == type_]

    @property
    def counts(self) -> dict[str, int]:
        """How many events there are of each type."""
        return dict(sorted(Counter(event.type for event in self.events).items()))

    @property
    def answer(self) -> str:
        """The text of the answer."""
        message = self.state.answer
        return "" if message is None else message.text

    def steps(self, kind: str = "tool") -> dict[str, str]:
        """The status of each step of a kind, by its title."""
        return {step.title: step.status for step in self.state.steps.values() if step.kind == kind}

    @property
    def plan(self) -> dict[str, str]:
        """The status of each entry of the plan, by its title."""
        return {entry["title"]: entry["status"] for entry in self.state.plan}

    def status(self, exit_code: int | None = 0, signal: str | None = None) -> str:
        """How the run would be said to have ended."""
        ended = {"exit_code": exit_code} if signal is None else {"signal": signal}
        return answer.end_status(self.state, ended)

    def findings(self) -> list[str]:
        """The codes of what does not reconcile."""
        return [each.code for each in reconcile(self.state) if severity_of(each.code) == "error"]


def read(pieces: Iterable[bytes], format_: str = "auto", words: Sequence[str] = ()) -> Told:
    """Feed a stream to the source for its format."""
    source = replayed(format_, words)
    assert source is not None
    events = [event for piece in pieces for event in source.feed(piece)]
    events += source.close()
    state = RunState()
    for seq, event in enumerate(events, 1):
        state.take(seq, "", seq / 100, event.type, event.data)
    return Told(events, state)


def trace(name: str, format_: str = "auto") -> Told:
    """A trace, read whole."""
    return read([(TRACES / name).read_bytes()], format_)


def lines(*values: Any) -> bytes:
    """Values as JSON Lines."""
    import json

    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def changed(value: object, data: st.DataObject) -> object:
    """A JSON value in which one thing is not what it was."""
    odd = st.sampled_from([None, True, 0, -1, 1e300, 10**30, "", "x", [], {}, [[]], {"type": "x"}, "\U0001f642" * 3])
    if isinstance(value, dict) and value and data.draw(st.booleans()):
        key = data.draw(st.sampled_from(sorted(value)))
        return {**value, key: changed(value[key], data)}
    if isinstance(value, list) and value and data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(value) - 1))
        return [*value[:place], changed(value[place], data), *value[place + 1 :]]
    return data.draw(odd)
