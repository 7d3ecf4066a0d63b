"""The end of a run: what its log says the answer is, and how the run ended.

The recorder writes the packet into `run.completed`; `verify` builds it again and compares.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from durastream.message import SHORT
from durastream.rules.cheap import as_json, judge, reconciles
from durastream.rules.course import Course
from durastream.rules.finding import Finding
from durastream.rules.reconcile import ENDS
from durastream.state import RunState

__all__ = ["LIMITS", "end_status", "packet"]

LIMITS = ("max-bytes", "max-duration")
"""Who asks for the end of a run that went beyond what it was given."""

_ASKED_TO_END = frozenset({"SIGHUP", "SIGINT", "SIGKILL", "SIGQUIT", "SIGTERM"})


def end_status(state: RunState, exit_status: Mapping[str, Any] | None) -> str:
    """How a run ended. Success flags lie: `completed` takes exit code 0, no step left open and no word against it.

    `exit_status` has `exit_code` or `signal`; None when nobody saw the agent end, which is `unknown`, never a guess. Of
    what was imported only the agent's own word is known.
    """
    if exit_status is None:
        imported = "imported" in (state.started or {}) and state.declared is not None
        return _own_word(state) if imported else "unknown"
    if state.cancel is not None and state.cancel.get("by") == "cancel":
        return "cancelled"
    if state.cancel is not None and state.cancel.get("by") in LIMITS:
        return "interrupted"  # however well it took it
    signal = exit_status.get("signal")
    if signal is not None:
        return "interrupted" if str(signal) in _ASKED_TO_END else "failed"
    code = exit_status.get("exit_code")
    if code in (130, 143) and state.cancel is not None:
        return "interrupted"
    if code != 0:
        return "failed"
    if state.declared is None and state.agent.get("terminal"):
        return "interrupted" if state.cancel is not None else "failed"
    return _own_word(state)


def _own_word(state: RunState) -> str:
    """How a run ended whose process has nothing against it."""
    if any(step.status in ("active", "abandoned") and step.kind != "plan" for step in state.steps.values()):
        return "failed"
    declared = (state.declared or {}).get("status")
    return "completed" if declared is None else ENDS.get(str(declared), "failed")


def packet(
    state: RunState, exit_status: Mapping[str, Any] | None, found: Sequence[Finding] | None = None
) -> dict[str, Any]:
    """The data of `run.completed`, without the count of events. What is unknown is absent.

    `found` is what the rules found; they are asked here when it is left out.
    """
    findings = as_json(judge(state, Course(), exit_status) if found is None else found)
    made: dict[str, Any] = {"status": end_status(state, exit_status)}
    for name in ("exit_code", "signal"):
        value = (exit_status or {}).get(name)
        if value is not None:
            made[name] = value
    answer = state.answer
    if answer is not None:
        made["answer"] = {"message_id": answer.message_id, "sha256": answer.sha256(), "length": answer.length}
        text = answer.short()
        if text is not None and len(text.encode()) <= SHORT:
            made["answer"]["text"] = text
    if state.declared is not None:
        made["declared"] = state.declared
    made["sources"] = list(state.sources)
    made["checks"] = dict(Counter(str(check.get("outcome")) for check in state.checks))
    made["steps"] = dict(Counter(step.status for step in state.steps.values()))
    if state.usage:
        made["usage"] = state.usage
    made["reconciled"] = reconciles(findings)
    made["findings"] = findings
    return made
