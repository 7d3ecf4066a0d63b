"""The objects that `show --json` and `list --json` print: stable names, documented in docs/format.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from durastream.evaluations import Evaluation
from durastream.state import RunState
from durastream.stores import RunInfo

__all__ = ["run_document", "run_fields"]


def run_fields(info: RunInfo) -> dict[str, Any]:
    """The run-level fields, as in an entry of `list --json`."""
    return {
        "run_id": info.run_id,
        "name": info.name,
        "tags": info.tags,
        "command": info.command,
        "cwd": info.cwd,
        "parent_run_id": info.parent_run_id,
        "status": info.status,
        "exit_code": info.exit_code,
        "signal": info.signal,
        "started_at": info.started_at,
        "duration": info.duration,
        "last_seq": info.last_seq,
        "reconciled": info.reconciled,
        "seal": info.seal,
    }


def run_document(info: RunInfo, state: RunState, evaluations: Sequence[Evaluation] = ()) -> dict[str, Any]:
    """Everything known of a run after its last stored event, and what was found of it later."""
    end = state.completed or {}
    message = state.answer
    draft = message.text if message is not None else ""
    answer = None
    if message is not None and state.completed is not None and "answer" in end:
        answer = {
            "message_id": message.message_id,
            "text": draft,
            "sha256": message.sha256(),
            "length": message.length,
        }
    return {
        **run_fields(info),
        "duration": info.duration if info.duration is not None else round(state.t, 6),
        "last_seq": state.seq,
        "agent": state.agent,
        "plan": state.plan,
        "steps": [
            {
                "step_id": step.step_id,
                "title": step.title,
                "kind": step.kind,
                "status": step.status,
                "parent": step.parent,
                "started": step.started,
                "duration": step.duration,
                "error": step.error,
            }
            for step in state.steps.values()
        ],
        "draft": draft,
        "answer": answer,
        "reasoning": state.reasoning.text,
        "sources": list(state.sources.values()),
        "checks": state.checks,
        "usage": state.usage,
        "approvals": list(state.approvals.values()),
        "artifacts": state.artifacts,
        "errors": state.errors,
        "log": [{"stream": stream, "text": text} for stream, text in state.log],
        "terminal": _terminal(state),
        "reconciled": end.get("reconciled"),
        "findings": end.get("findings", []),
        "env": (state.started or {}).get("env") or {},
        "redaction": (state.started or {}).get("redaction"),
        "redacted": end.get("redacted", {}),
        "evaluations": [each._asdict() for each in evaluations],
    }


def _terminal(state: RunState) -> dict[str, Any] | None:
    if state.terminal is None:
        return None
    grid = state.terminal.grid
    return {"columns": grid.columns, "rows": grid.rows, "lines": grid.text()}
