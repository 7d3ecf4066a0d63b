"""The end of a run: what its log says the answer is, how the run ended, and whether the two agree.

The recorder writes the packet into `run.completed`; `verify` builds it again and compares.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any, NamedTuple

from durastream.state import SHORT, Message, RunState

__all__ = ["Finding", "end_status", "first_difference", "packet", "reconcile"]

_ASKED_TO_END = frozenset({"SIGHUP", "SIGINT", "SIGKILL", "SIGQUIT", "SIGTERM"})
_WORDS = {
    "completed": "completed", "ok": "completed", "success": "completed",
    "cancelled": "cancelled", "canceled": "cancelled",
    "interrupted": "interrupted", "unfinished": "interrupted", "waiting": "interrupted",
}  # fmt: skip


class Finding(NamedTuple):
    """Something that does not hold. `seq` names the event to look at, where there is one."""

    code: str
    message: str
    seq: int | None = None


def first_difference(left: str, right: str) -> int | None:
    """The first position (in characters) where two texts differ; None when they are equal."""
    if left == right:
        return None
    return next(at for at, (a, b) in enumerate(zip_longest(left, right)) if a != b)


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
    return "completed" if declared is None else _WORDS.get(str(declared), "failed")


def reconcile(state: RunState) -> list[Finding]:
    """What was streamed against what was declared: nothing found means that they agree."""
    found = []
    if state.declared is None and state.agent.get("terminal"):
        name = state.agent.get("name") or state.agent.get("format")
        found.append(Finding("end-undeclared", f"{name} ended without the record that ends its stream"))
    for step in state.steps.values():
        if step.kind == "plan":
            continue  # an entry that was left open is told by the plan, and is no work that was cut off
        if step.status == "active":
            found.append(Finding("step-open", f"step {step.title!r} ({step.step_id}) was never completed"))
        elif step.status == "abandoned":
            found.append(Finding("step-abandoned", f"step {step.title!r} ({step.step_id}) was still open at the end"))
    for message in state.messages.values():
        found += _compare(message, message.declared_sha256, message.declared_length, None, "its text.completed")
    declared = (state.declared or {}).get("answer")
    if isinstance(declared, dict):
        found += _compare_answer(state, declared)
    return found


def _compare_answer(state: RunState, declared: Mapping[str, Any]) -> list[Finding]:
    message = state.messages.get(str(declared.get("message_id"))) or state.answer
    text = declared.get("text")
    if message is None:
        return [Finding("answer-unstreamed", "the agent declared an answer, and streamed no text")] if text else []
    sha256, length = declared.get("sha256"), declared.get("length")
    if isinstance(text, str):
        sha256, length = hashlib.sha256(text.encode()).hexdigest(), len(text)
    else:
        text = None
    return _compare(message, sha256, length, text, "the declared answer")


def _compare(message: Message, sha256: Any, length: Any, text: str | None, what: str) -> list[Finding]:
    """Compare a message with a hash and a length that were declared of it, each if there is one."""
    same_length = length is None or length == message.length
    if same_length and (sha256 is None or str(sha256).lower().removeprefix("sha256:") == message.sha256()):
        return []
    streamed = message.short()
    where = ""
    if text is not None and streamed is not None:
        where = f", first at character {first_difference(streamed, text)}"
    lengths = f"{message.length} characters streamed, {length} declared" if not same_length else "same length"
    return [Finding("answer-differs", f"message {message.message_id!r} differs from {what}{where} ({lengths})")]


def packet(state: RunState, exit_status: Mapping[str, Any] | None) -> dict[str, Any]:
    """The data of `run.completed`, without the count of events. What is unknown is absent."""
    found = reconcile(state)
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
    made["reconciled"] = not found
    made["findings"] = [{k: v for k, v in finding._asdict().items() if v is not None} for finding in found]
    return made
