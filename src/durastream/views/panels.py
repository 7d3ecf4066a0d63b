"""The sections of the screen, made from the state of a run: plan, steps, draft, sources, checks, errors, log, result.

Each function gives a Section, or None when the run has nothing of the kind. Nothing here reads a clock: what depends
on the time takes `now`, in seconds of the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from rich.text import Text

from durastream.state import Message, RunState, Step
from durastream.views.draft import LIMIT, after_return, text_lines
from durastream.views.frame import Section, line, row, wrap
from durastream.views.words import (
    MARK,
    amount,
    by_durastream,
    duration,
    ending,
    finding,
    number,
    phrase,
    source,
    step_failure,
    verdict,
    word,
)

__all__ = [
    "STYLE",
    "answer_of",
    "check_row",
    "entry_row",
    "sections_of_text",
    "sections_of_work",
    "shown_steps",
    "source_row",
    "step_row",
]

STYLE = {
    "✓": "green",
    "✗": "red",
    "▶": "bold cyan",
    "●": "cyan",
    "!": "yellow",
    "?": "yellow",
    "·": "dim",
    "–": "dim",  # noqa: RUF001
}


def sections_of_work(state: RunState, now: float, seal: str = "") -> list[Section]:
    """What is done: result, approvals, plan, steps, checks, errors, files."""
    found = (_result(state, seal), _approvals(state), _plan(state), _steps(state, now), _checks(state))
    return [section for section in (*found, _errors(state), _files(state)) if section is not None]


def sections_of_text(state: RunState, reasoning: str = "some") -> list[Section]:
    """What is written: thoughts (some, all or none of them), draft, sources, log."""
    found = (_thinking(state, reasoning), _draft(state), _sources(state), _log(state))
    return [section for section in found if section is not None]


def answer_of(state: RunState) -> Message | None:
    """The message that the answer packet names, else the draft as it stands."""
    packet = (state.completed or {}).get("answer")
    if isinstance(packet, dict):
        named = packet.get("message_id")
        if isinstance(named, str) and named in state.messages:
            return state.messages[named]
    return state.answer


def _result(state: RunState, seal: str) -> Section | None:
    packet = state.completed
    if packet is None:
        return None
    mark = MARK.get(word(packet.get("status")), "?")
    findings = packet.get("findings")
    found = [finding(item) for item in findings[:20]] if isinstance(findings, list) else []
    said = verdict(packet)

    def pick(width: int, room: int) -> list[Text]:
        lines = [row(mark, STYLE[mark], ending(packet), width)]
        if said is not None:
            lines.append(row(said[0], STYLE[said[0]], said[1], width))
        for text in found:
            lines += wrap(line(f"! {text}", "yellow"), width, 2)[:3]
        if seal:
            lines += wrap(line(f"seal {phrase(seal)}", "dim"), width)
        return lines[:room]

    return Section("result", pick, least=3, weight=2, rank=0)


def _approvals(state: RunState) -> Section | None:
    waiting = [] if state.completed else [a for a in state.approvals.values() if not a.get("decision")]
    if not waiting:
        return None

    def pick(width: int, room: int) -> list[Text]:
        return [row("?", "bold yellow", phrase(each.get("title")), width) for each in waiting[-room:]]

    return Section("approve", pick, note="waiting", style="bold yellow", rank=1)


def _plan(state: RunState) -> Section | None:
    plan = state.plan
    if not plan:
        return None
    done = sum(1 for entry in plan if entry["status"] == "done")
    parents = {entry["id"]: entry["parent"] for entry in plan if isinstance(entry["parent"], str)}

    def pick(width: int, room: int) -> list[Text]:
        start, end = _window(len(plan), room, _focus(state))
        lines = [
            entry_row(entry, width, ended=state.completed is not None, indent=2 * _depth(entry["id"], parents))
            for entry in plan[start:end]
        ]
        if room >= 3 and start:
            lines[0] = line(f"↑ {start + 1} more", "dim")
        if room >= 3 and end < len(plan):
            lines[-1] = line(f"↓ {len(plan) - end + 1} more", "dim")
        return lines

    return Section("plan", pick, note=f"{done}/{len(plan)}", least=1, weight=3, rank=2)


def entry_row(entry: Mapping[str, Any], width: int, *, ended: bool, indent: int = 0) -> Text:
    """An entry of the plan on one line."""
    mark = MARK.get(entry["status"], "·")
    if ended and mark == "▶":
        mark = "·"  # nothing is active in a run that has ended
    style = "dim" if entry["status"] == "cancelled" else STYLE[mark]
    return row(mark, style, phrase(entry["title"]), width, indent=indent)


def _focus(state: RunState) -> int:
    """The place in the plan to look at: what is active, else what comes next, else the end."""
    for status in ("active", "pending"):
        for index, entry in enumerate(state.plan):
            if entry["status"] == status:
                return index
    return len(state.plan) - 1


def _window(total: int, room: int, focus: int) -> tuple[int, int]:
    start = max(0, min(focus - room // 2, total - room))
    return start, min(total, start + room)


def _depth(name: str, parents: dict[str, str]) -> int:
    depth = 0
    while depth < 3 and name in parents:
        name, depth = parents[name], depth + 1
    return depth


def shown_steps(state: RunState) -> list[Step]:
    """The steps, but for those that are entries of the plan."""
    planned = {entry["id"] for entry in state.plan}
    return [step for step in state.steps.values() if not (step.kind == "plan" and step.step_id in planned)]


def _steps(state: RunState, now: float) -> Section | None:
    steps = shown_steps(state)
    if not steps:
        return None
    planned = {entry["id"] for entry in state.plan}
    parents = {step.step_id: step.parent for step in steps[-200:] if isinstance(step.parent, str)}
    parents = {child: parent for child, parent in parents.items() if parent in state.steps and parent not in planned}
    active = {entry["id"] for entry in state.plan if entry["status"] == "active"}

    def pick(width: int, room: int) -> list[Text]:
        chosen: list[tuple[int, list[Text]]] = []
        for index in _telling(steps, active, room):
            lines = _step_lines(steps[index], now, width, 2 * _depth(steps[index].step_id, parents))[:room]
            room -= len(lines)
            chosen.append((index, lines))
        return [text for _, lines in sorted(chosen, key=lambda each: each[0]) for text in lines]

    note = f"{sum(1 for step in steps if step.status != 'active')}/{len(steps)}"
    return Section("steps", pick, note=note, least=2, weight=3, rank=3)


def _telling(steps: Sequence[Step], active: set[str], room: int) -> list[int]:
    """At most `room` steps by index, the most telling first: running, then of the active plan entry, then recent."""
    running = [index for index, step in enumerate(steps) if step.status == "active"]
    if len(running) > room:
        running = running[: room // 2] + running[len(running) - (room - room // 2) :]
    recent = [
        index for index in range(len(steps) - 1, max(-1, len(steps) - 201), -1) if steps[index].status != "active"
    ]
    recent.sort(key=lambda index: steps[index].parent not in active if isinstance(steps[index].parent, str) else True)
    return (running + recent)[:room]


def _step_lines(step: Step, now: float, width: int, indent: int) -> list[Text]:
    lines = [step_row(step, now, width, indent)]
    if why := step_failure(step):
        lines += [line(" " * (indent + 2)) + part for part in wrap(line(why, "red"), max(4, width - indent - 2))[:2]]
    return lines


def step_row(step: Step, now: float, width: int, indent: int = 0) -> Text:
    """A step on one line: how it stands, what it is, how long it takes."""
    mark = MARK.get(step.status, "?")
    going = step.status == "active"
    spent = duration(now - (number(step.started) or 0.0), whole=True) if going else duration(step.duration)
    detail = phrase(step.message) if going else ""
    fraction = number(step.fraction)
    if going and fraction is not None:
        detail = f"{min(max(fraction, 0), 1):.0%} {detail}".rstrip()
    kind = phrase(step.kind, 8) if width >= 40 else ""
    right = f"{kind:<5} {spent:>6}"
    return row(mark, STYLE[mark], phrase(step.title), width, detail=detail, right=right, indent=indent)


def _thinking(state: RunState, how: str) -> Section | None:
    length = state.reasoning.length
    if not length or (how == "some" and state.completed is not None):
        return None
    most = {"some": 2 if state.messages else 6, "all": 20, "none": 1}[how]

    def pick(width: int, room: int) -> list[Text]:
        if how == "none":
            return [line(f"{amount(length)} characters, folded", "dim")][:room]
        return text_lines(state.reasoning, width, min(room, most), style="dim italic", markup=False)

    return Section("thinking", pick, style="dim", least=4 if how == "all" else 1, rank=3 if how == "all" else 7)


def _draft(state: RunState) -> Section | None:
    message = answer_of(state)
    text = _packet_text(state)
    if message is None or (not message.length and text):
        if not text:
            return None
        message = Message("answer")
        message.append(text)
    note = f"{amount(message.length)} ch." if message.length else ""
    plain = message.message_id == "stdout"
    shown = message

    def pick(width: int, room: int) -> list[Text]:
        lines = text_lines(shown, width, room + 1, markup=not plain)
        cut = len(lines) > room or shown.length > LIMIT
        lines = lines[-room:]
        if cut and room > 3 and state.completed is not None:
            lines[0] = line(f"↑ this is the end of {amount(shown.length)} characters", "dim")
        if shown.retracted and room > 1:
            times = "once" if len(shown.retracted) == 1 else f"{len(shown.retracted)} times"
            why = f"rewritten {times}: {phrase(shown.retracted[-1])}"
            return [row("!", "yellow", why, width), *lines[-(room - 1) :]]
        return lines

    name = "answer" if state.completed is not None else "output" if plain else "draft"
    return Section(name, pick, note=note, least=4, weight=6, rank=3, most=500)


def _packet_text(state: RunState) -> str:
    packet = (state.completed or {}).get("answer")
    text = packet.get("text") if isinstance(packet, dict) else None
    return text if isinstance(text, str) else ""


def _sources(state: RunState) -> Section | None:
    count = len(state.sources)
    if not count:
        return None

    def pick(width: int, room: int) -> list[Text]:
        last = list(islice(reversed(state.sources.values()), room))
        lines = []
        for index, data in zip(range(count - len(last) + 1, count + 1), reversed(last), strict=True):
            lines.append(source_row(index, data, width))
        return lines

    return Section("sources", pick, note=amount(count), rank=6)


def source_row(index: int, data: Mapping[str, Any], width: int) -> Text:
    """A source on one line, with its number."""
    title, address = source(data)
    return row(f"{index:>2}", "cyan", title, width, detail=address)


def _checks(state: RunState) -> Section | None:
    checks = [check for check in state.checks if not by_durastream(check)]  # those are told by the verdict
    if not checks:
        return None
    passed = sum(1 for check in checks if check.get("outcome") == "pass")

    def pick(width: int, room: int) -> list[Text]:
        bad = [check for check in checks if check.get("outcome") != "pass"][-room:]
        good = [check for check in checks[-room:] if check.get("outcome") == "pass"]
        return [check_row(check, width) for check in (bad + good)[:room]]

    return Section("checks", pick, note=f"{passed}/{len(checks)}", rank=5)


def check_row(check: Mapping[str, Any], width: int) -> Text:
    """A quality check on one line."""
    mark = MARK.get(word(check.get("outcome")), "?")
    score = number(check.get("score"))
    name, detail = phrase(check.get("name"), 60), phrase(check.get("detail"))
    return row(mark, STYLE[mark], name, width, detail=detail, right="" if score is None else f"{score:.4g}")


def _errors(state: RunState) -> Section | None:
    if not state.errors:
        return None

    def pick(width: int, room: int) -> list[Text]:
        lines: list[Text] = []
        for error in state.errors[-room:]:
            lines += wrap(line(phrase(error.get("message"), 400) or "an error without a message", "red"), width)[:3]
        return lines[-room:]

    return Section("errors", pick, note=amount(len(state.errors)), style="red", rank=2)


def _files(state: RunState) -> Section | None:
    if not state.artifacts:
        return None
    signs = {"add": "+", "update": "~", "delete": "-"}

    def pick(width: int, room: int) -> list[Text]:
        last = state.artifacts[-room:]
        where = [
            (signs.get(word(each.get("action"), "add"), "+"), each.get("path") or each.get("url")) for each in last
        ]
        return [row(sign, "cyan", phrase(path), width) for sign, path in where]

    return Section("files", pick, note=amount(len(state.artifacts)), rank=8)


def _log(state: RunState) -> Section | None:
    if not state.log:
        return None

    def pick(width: int, room: int) -> list[Text]:
        last = reversed(list(islice(reversed(state.log), min(room, 8))))
        lines = [line(phrase(after_return(text), max(2 * width, 80)), "dim") for _, text in last]
        for text in lines:
            text.truncate(width, overflow="ellipsis")
        return lines

    return Section("log", pick, style="dim", rank=6, most=8)
