"""Does what was declared agree with what was streamed? Rules over the state of a run at its end."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from durastream.message import Message
from durastream.rules.claims import missing
from durastream.rules.course import Course, by_durastream
from durastream.rules.finding import Finding, Place, between, counted, first_difference
from durastream.state import RunState

__all__ = ["ENDS", "artifacts", "reconcile"]

ENDS: Mapping[str, str] = {
    "completed": "completed", "ok": "completed", "success": "completed",
    "cancelled": "cancelled", "canceled": "cancelled",
    "interrupted": "interrupted", "unfinished": "interrupted", "waiting": "interrupted",
}  # fmt: skip
"""What an agent calls its end, and the status that stands for it; any other word is `failed`."""

_SHOWN = 5
_PARTS = ("request", "turn")


def reconcile(
    state: RunState,
    course: Course | None = None,
    exit_status: Mapping[str, Any] | None = None,
    *,
    required: Iterable[str] = (),
) -> list[Finding]:
    """What does not agree: nothing found means that it does.

    `exit_status` has `exit_code` or `signal`, if the end was seen; `required` names checks that must have passed.
    """
    course = course or Course()
    found = [*_end(state, course, exit_status), *_steps(state, course), *course.findings]
    for message in state.messages.values():
        seq = course.completed.get(message.message_id)
        what = "its text.completed"
        found += _compare(message, message.declared_sha256, message.declared_length, None, what, seq, "answer-differs")
    declared = (state.declared or {}).get("answer")
    if isinstance(declared, dict):
        found += _compare_answer(state, course, declared)
    found += missing(state)
    found += [*_declared_sources(state, course), *_checks(state, course, required), *_usage(state)]
    return [*found, *_plan(state, course), *_approvals(state, course)]


def _end(state: RunState, course: Course, exit_status: Mapping[str, Any] | None) -> list[Finding]:
    """How the agent says it ended, against how it did."""
    found = []
    if state.declared is None and state.agent.get("terminal"):
        name = state.agent.get("name") or state.agent.get("format")
        found.append(Finding("end-undeclared", f"{name} ended without the record that ends its stream"))
    code = (exit_status or {}).get("exit_code")
    said = (state.declared or {}).get("status")
    if type(code) is int and said is not None and state.cancel is None:
        status = ENDS.get(str(said), "failed")
        good = status == "completed"
        if status in ("completed", "failed") and good != (code == 0):
            message = f"the agent says {str(said)!r} of its end, and exited with {code}"
            found.append(Finding("status-disagrees", message, course.declared_seq))
        if good and code == 0:
            fatal = [error for error in state.errors if error.get("fatal") is True and not by_durastream(error)]
            if fatal:
                what = str(fatal[-1].get("message"))[:100]
                found.append(
                    Finding("error-ignored", f"a fatal error was raised before a good end: {what}", course.fatal_seq)
                )
    return found


def _steps(state: RunState, course: Course) -> list[Finding]:
    found = []
    for step in state.steps.values():
        if step.kind == "plan":
            continue  # an entry that was left open is told by the plan, and is no work that was cut off
        named, seq = f"step {step.title!r} ({step.step_id})", course.steps.get(step.step_id)
        if step.status == "active":
            found.append(Finding("step-open", f"{named} was never completed", seq))
        elif step.status == "abandoned":
            found.append(Finding("step-abandoned", f"{named} was still open at the end", seq))
    return found


def _compare_answer(state: RunState, course: Course, declared: Mapping[str, Any]) -> list[Finding]:
    message = state.messages.get(str(declared.get("message_id"))) or state.answer
    text, seq = declared.get("text"), course.declared_seq
    if message is None:
        unstreamed = Finding("answer-unstreamed", "the agent declared an answer, and streamed no text", seq)
        return [unstreamed] if text else []
    sha256, length = declared.get("sha256"), declared.get("length")
    if isinstance(text, str):
        sha256, length = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest(), len(text)
    else:
        text = None
    found = _compare(message, sha256, length, text, "the declared answer", seq, "answer-differs")
    if found and _plain(sha256) in {kept for _, kept, _ in course.retracted.get(message.message_id, ())}:
        back = next(s for _, kept, s in course.retracted[message.message_id] if kept == _plain(sha256))
        found.append(Finding("answer-retracted", f"the declared answer is the text that event {back} took back", seq))
    return found


def _plain(sha256: object) -> str:
    return str(sha256).lower().removeprefix("sha256:")


def _compare(
    message: Message, sha256: Any, length: Any, text: str | None, what: str, seq: int | None, code: str
) -> list[Finding]:
    """Compare a message with a hash and a length that were declared of it, each if there is one."""
    same_length = length is None or length == message.length
    if same_length and (sha256 is None or _plain(sha256) == message.sha256()):
        return []
    streamed = message.short()
    where, place = "", None
    if text is not None:
        place = Place(message.message_id, None, text)
    if text is not None and streamed is not None:
        at = first_difference(streamed, text) or 0
        where = f", first at character {at}: {between(streamed, at)} streamed, {between(text, at)} declared"
    lengths = f"{message.length} characters streamed, {length} declared" if not same_length else "same length"
    return [Finding(code, f"message {message.message_id!r} differs from {what}{where} ({lengths})", seq, place)]


def _declared_sources(state: RunState, course: Course) -> list[Finding]:
    """The sources that the agent names at its end, against those that were streamed."""
    told = (state.declared or {}).get("sources")
    if not isinstance(told, list):
        return []
    named = [str(each.get("source_id") or each.get("url")) if isinstance(each, dict) else str(each) for each in told]
    known = set(state.sources) | {str(data.get("url")) for data in state.sources.values()}
    lost = [name for name in named if name not in known]
    if not lost:
        return []
    message = f"declared at the end and never streamed: {counted(len(lost), 'source')}: {', '.join(lost[:_SHOWN])}"
    return [Finding("sources-differ", message, course.declared_seq)]


def _checks(state: RunState, course: Course, required: Iterable[str]) -> list[Finding]:
    """Required checks that did not pass, and checks that the agent counts otherwise than it streamed them."""
    found = []
    last: dict[str, dict[str, Any]] = {}
    must = set(required)
    for check in state.checks:
        if not by_durastream(check):
            name = str(check.get("name"))
            last[name] = check
            if check.get("required") is True:
                must.add(name)
    for name in sorted(must):
        outcome = last[name].get("outcome") if name in last else None
        if outcome is None:
            found.append(Finding("check-failed", f"the required check {name!r} was never made"))
        elif outcome == "fail":
            why = f": {last[name]['detail']}" if last[name].get("detail") else ""
            found.append(Finding("check-failed", f"the required check {name!r} failed{why}"))
    told = (state.declared or {}).get("checks")
    if isinstance(told, dict):
        for outcome in ("pass", "fail", "warn"):
            count = sum(check.get("outcome") == outcome and not by_durastream(check) for check in state.checks)
            said = told.get(outcome, 0)
            if said != count:
                message = f"the agent declares {said} checks with outcome {outcome}, and streamed {count}"
                found.append(Finding("checks-differ", message, course.declared_seq))
    return found


def _usage(state: RunState) -> list[Finding]:
    """Totals of the run against the parts that were reported of it."""
    totals = _by_scope(state, "run")
    found = []
    for scope in _PARTS:
        for name, parts in _by_scope(state, scope).items():
            total = totals.get(name)
            if total is not None and abs(total - parts) > max(1e-6, 1e-6 * abs(total)):
                message = f"usage of the run says {name} {total:g}, the {scope}s of it add up to {parts:g}"
                found.append(Finding("usage-differs", message))
        if found:
            break
    told = (state.declared or {}).get("usage")
    told = told if isinstance(told, dict) else {}
    for name, value in state.usage.items():
        said = told.get(name)
        if isinstance(said, (int, float)) and abs(said - value) > 1e-6:
            found.append(Finding("usage-differs", f"the agent declares {name} {said:g}, and reported {value:g}"))
    return found


def _by_scope(state: RunState, scope: str) -> dict[str, float]:
    totals: dict[str, float] = {}
    for key, part in state.usage_parts.items():
        if key.partition("/")[0] == scope:
            for name, value in part.items():
                totals[name] = totals.get(name, 0) + value
    return totals


def _plan(state: RunState, course: Course) -> list[Finding]:
    """Entries that were left open though the agent ended well, and work outside of the plan."""
    found = []
    open_ = [entry for entry in state.plan if entry["status"] in ("pending", "active")]
    if open_:
        named = ", ".join(repr(entry["title"]) for entry in open_[:_SHOWN])
        message = f"{len(open_)} of {len(state.plan)} entries of the plan were left open: {named}"
        found.append(Finding("plan-open", message, state.plan_seq))
    if state.plan:
        entries = {entry["id"] for entry in state.plan}
        outside = [step for step in state.steps.values() if not _planned(step.step_id, state, entries)]
        if outside and len(outside) < len(state.steps):
            named = ", ".join(repr(step.title) for step in outside[:_SHOWN])
            message = f"{counted(len(outside), 'step')} under no entry of the plan: {named}"
            found.append(Finding("step-unplanned", message, course.steps.get(outside[0].step_id)))
    return found


def _planned(step_id: str, state: RunState, entries: set[str]) -> bool:
    for _ in range(20):
        if step_id in entries:
            return True
        step = state.steps.get(step_id)
        if step is None or not isinstance(step.parent, str):
            return False
        step_id = step.parent
    return False


def _approvals(state: RunState, course: Course) -> list[Finding]:
    waiting = [(key, data) for key, data in state.approvals.items() if not data.get("decision")]
    return [
        Finding(
            "approval-open",
            f"approval {data.get('title')!r} was asked for and never resolved",
            course.approvals.get(key),
        )
        for key, data in waiting[:_SHOWN]
    ]


def artifacts(state: RunState, found: Mapping[str, tuple[int, str] | None]) -> list[Finding]:
    """The files that were named, against length and SHA-256 (hex) of those that are there; None for one that is not."""
    out = []
    last = {str(data["path"]): data for data in state.artifacts if data.get("path")}
    for path, data in last.items():
        if path not in found:
            continue
        there = found[path]
        if data.get("action") == "delete":
            if there is not None:
                out.append(Finding("artifact-differs", f"{path} was deleted by the run, and is there"))
        elif there is None:
            out.append(Finding("artifact-missing", f"{path} was made by the run, and is not there"))
        elif data.get("sha256") and _plain(data["sha256"]) != there[1]:
            out.append(Finding("artifact-differs", f"{path} is not the file that was recorded: its SHA-256 differs"))
        elif type(data.get("size")) is int and data["size"] != there[0]:
            out.append(Finding("artifact-differs", f"{path} has {there[0]} bytes, {data['size']} were recorded"))
    return out
