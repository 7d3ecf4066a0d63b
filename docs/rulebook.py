"""Writes what docs/rules.md shows: the catalogue, and what the rules find in the traces. `cog -r docs/rules.md`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from durastream.checking import check
from durastream.importer import import_file
from durastream.rules import FAMILIES, RULES
from durastream.rules.policy import Policy
from durastream.stores import FolderStore
from durastream.stores.folder import open_reader

__all__ = ["EXPLAINED", "catalogue", "found", "traces"]

TRACES = Path(__file__).resolve().parents[1] / "tests" / "data" / "traces"

_OPEN = "The agent answered, and left entries of its list open."
_TEXT = "The answer names the address, and no tool or citation in the stream does."

EXPLAINED: dict[tuple[str, str], str] = {
    **dict.fromkeys(
        [
            (f"{name}.jsonl", "plan-open")
            for name in (
                "acp_codex",
                "acp_codex_both_directions",
                "acp_opencode",
                "codex_exec_full",
                "gemini_stream_json",
                "langchain_astream_events_v2",
                "langchain_astream_events_v3",
                "langgraph_stream_multi",
                "opencode_run_json",
                "pydantic_ai_events",
                "qwen_stream_json",
            )
        ],
        _OPEN,
    ),
    **dict.fromkeys(
        [
            (f"{name}.jsonl", "source-unseen")
            for name in (
                "acp_gemini",
                "acp_opencode",
                "claude_code_partial_tasks_subagent",
                "gemini_stream_json",
                "opencode_run_json",
                "qwen_stream_json",
            )
        ],
        _TEXT,
    ),
    **dict.fromkeys(
        [
            (f"{name}.jsonl", code)
            for name in ("langchain_astream_events_v2", "langchain_astream_events_v3", "langgraph_stream_multi")
            for code in ("plan-after-step", "step-unplanned")
        ],
        "The graph keeps its list as state, changed by a node that runs as a step: work begins before it.",
    ),
    ("acp_v2_plan_update.jsonl", "end-undeclared"): "The trace ends without the response to its prompt.",
    ("acp_v2_plan_update.jsonl", "plan-open"): "The agent took its plan away when it had answered, with entries open.",
    ("ag_ui_full_types.sse", "plan-open"): "Hand-made to hold every type: its list is never ticked off.",
    ("ag_ui_full_types.sse", "step-unplanned"): "Hand-made to hold every type: its step is no entry of the list.",
    ("codex_exec_killed_sigterm.jsonl", "end-undeclared"): "The agent was killed, which is what the trace is for.",
    ("codex_exec_killed_sigterm.jsonl", "step-abandoned"): "The agent was killed while a command ran.",
    ("cursor_agent_stream_json.jsonl", "plan-late"): "Its text has no message ids: the words before the plan, "
    "“I'll look it up.”, stand in the same message as the answer.",
    ("cursor_agent_stream_json.jsonl", "plan-open"): _OPEN,
    ("openai_chat_sdk_dump.jsonl", "step-after-answer"): "One response, which says its text and then asks for a tool: "
    "what was to follow is in no trace.",
    (
        "vercel_ui_stream_ai_sdk.sse",
        "event-unmapped",
    ): "A part of data that belongs to the page, and to no type of ours.",
    ("vercel_ui_stream_ai_sdk.sse", "plan-open"): _OPEN,
}
"""Why each of these is so: file of the trace and code of the rule."""


def found(folder: Path) -> set[tuple[str, str]]:
    """What the rules find in the traces, notes included: imported, for their programs are not here to be run."""
    store = FolderStore(str(folder))
    said = set()
    for path in sorted(TRACES.iterdir()):
        if path.suffix in (".jsonl", ".sse"):
            made = import_file(store, str(path), log="jsonl")
            reader = open_reader(str(folder / f"{made.info.run_id}.jsonl"))
            said |= {(path.name, each.code) for each in check(reader, Policy(severity="info")).findings}
            reader.close()
    return said


def catalogue() -> str:
    """A section for each family, a table of its rules, and each rule in full."""
    parts = []
    for family, question in FAMILIES.items():
        parts += [f"### {family}", "", f"{question}", ""]
        for rule in RULES.values():
            if rule.family == family:
                parts += [
                    f"**`{rule.code}`** ({rule.severity}) {rule.promise}",
                    "",
                    f"- When it fails: {rule.meaning}",
                    f"- What to do or ask: {rule.ask}",
                    f"- Example: {rule.example}",
                    "",
                ]
    return "\n".join(parts)


def traces() -> str:
    """One line for each finding in a trace."""
    with tempfile.TemporaryDirectory() as folder:
        said = sorted(found(Path(folder)))
    rows = [f"| `{name}` | `{code}` | {RULES[code].severity} | {EXPLAINED[name, code]} |" for name, code in said]
    return "\n".join(["| trace | rule | severity | why |", "|---|---|---|---|", *rows, ""])
