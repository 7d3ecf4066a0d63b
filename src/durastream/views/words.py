"""The words and marks that every view for people shares: states, durations, amounts. No Rich in here.

A recording may hold anything where a number or a word should be, so each of these takes any value.
"""

from __future__ import annotations

import reprlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import dropwhile
from typing import Any

from durastream.state import RunState, Step
from durastream.views.safe import one_line, visible

__all__ = [
    "MARK",
    "STYLE",
    "amount",
    "by_durastream",
    "clock",
    "command",
    "duration",
    "ending",
    "evaluated",
    "finding",
    "headline",
    "last_lines",
    "number",
    "phrase",
    "shortened",
    "source",
    "status",
    "step_failure",
    "taken_out",
    "verdict",
    "word",
]

MARK: Mapping[str, str] = {
    "active": "▶",
    "abandoned": "✗",
    "cancelled": "✗",
    "completed": "✓",
    "denied": "✗",
    "done": "✓",
    "fail": "✗",
    "failed": "✗",
    "interrupted": "✗",
    "ok": "✓",
    "pass": "✓",
    "pending": "·",
    "running": "●",
    "skipped": "–",  # noqa: RUF001 - a dash as a mark
    "unknown": "?",
    "warn": "!",
}

STYLE: Mapping[str, str] = {
    "✓": "green",
    "✗": "red",
    "▶": "bold cyan",
    "●": "cyan",
    "!": "yellow",
    "?": "yellow",
    "·": "dim",
    "–": "dim",  # noqa: RUF001
}
"""How a mark is coloured."""

_REASONS = {
    "abandoned": "abandoned: the agent ended before the step did",
    "denied": "denied",
    "failed": "failed, without a reason",
}


def number(value: object) -> float | None:
    """The value as a float when it is a number that people can read, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e15:
        return None
    return float(value)


def amount(value: object) -> str:
    """`950`, `12.3k`, `1.2M`; nothing for what is no number."""
    count = number(value)
    if count is None:
        return ""
    if abs(count) < 1_000:
        return f"{count:g}"
    return f"{count / 1e3:.1f}k" if abs(count) < 999_950 else f"{count / 1e6:.1f}M"


def clock(seconds: object) -> str:
    """`0:42`, `1:02:03`: a moment of the run."""
    whole = int(max(0.0, number(seconds) or 0.0))
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def duration(seconds: object, *, whole: bool = False) -> str:
    """`1.2 s`, `42 s`, `3:05`; whole seconds for what is still going on, so that it does not flicker."""
    value = number(seconds)
    if value is None or value < 0:
        return ""
    if value >= 59.5:
        return clock(value + 0.5)
    if value >= 9.95 or whole:
        return f"{int(value) if whole else round(value)} s"
    return f"{value:.1f} s" if value >= 0.0995 else f"{value * 1000:.0f} ms"


def word(value: object, default: str = "") -> str:
    """The value if it is a string."""
    return value if isinstance(value, str) else default


def status(state: RunState) -> str:
    """How the run stands, in one safe word."""
    return "running" if state.completed is None else phrase(state.completed.get("status", "unknown"), 20)


def phrase(value: object, limit: int = 200) -> str:
    """Any value of a recording as one safe line."""
    if value is None:
        return ""
    if not isinstance(value, str):
        try:
            value = reprlib.repr(value)
        except ValueError:  # an integer of more than 4,300 digits
            value = "(a very long number)"
    return one_line(value, limit)


def command(started: Mapping[str, Any] | None) -> str:
    """The command line of a run as a shell would read it, or its callable, as one line."""
    words = (started or {}).get("command")
    if isinstance(words, list) and words:
        return one_line(shlex.join(phrase(word, 120) for word in words[:20]))
    return phrase((started or {}).get("callable"))


def shortened(silence: float, limit: float | None) -> str:
    """That a silence of so many seconds is played as another; nothing of none."""
    if not silence or limit is None:
        return ""
    return f"a silence of {duration(silence)} is played as {limit:g} s; --idle-limit off keeps it"


def headline(state: RunState, run_id: str = "") -> str:
    """What a run is called: its name, else its command, else its id."""
    return phrase((state.started or {}).get("name"), 80) or command(state.started) or phrase(run_id, 80) or "run"


def last_lines(state: RunState) -> list[str]:
    """What the agent's terminal shows, if it runs on one, from the first line that is not blank: safe to print."""
    if state.terminal is None:
        return []
    return [visible(text, keep="") for text in dropwhile(lambda text: not text, state.terminal.grid.text())]


def step_failure(step: Step) -> str:
    """Why a step did not go well, in words; nothing when it did."""
    if step.status not in _REASONS:
        return ""
    reason = phrase(step.error, 300)
    if not reason:
        return _REASONS[step.status]
    return reason if step.status == "failed" else f"{step.status}: {reason}"


def source(data: Mapping[str, Any]) -> tuple[str, str]:
    """The title of a source and, when it has both, its address."""
    title, url = phrase(data.get("title")), phrase(data.get("url"), 500)
    return (title, url) if title else (url, "")


def finding(value: object) -> str:
    """A finding of the answer packet, in words."""
    if isinstance(value, dict):
        said = [phrase(value[key], 300) for key in ("message", "detail", "code", "kind") if value.get(key)]
        if said:
            return said[0]
    return phrase(value, 300)


def by_durastream(data: Mapping[str, Any]) -> bool:
    """Whether durastream itself said it, or somebody in its name."""
    return data.get("by") == "durastream"


def _answered(completed: Mapping[str, Any]) -> bool:
    answer = completed.get("answer")
    return isinstance(answer, dict) and bool(answer.get("length"))


def verdict(completed: Mapping[str, Any]) -> tuple[str, str] | None:
    """Whether the answer agrees with what was streamed: a mark and words, if the packet says."""
    found = completed.get("findings")
    if completed.get("reconciled") is True:
        return "✓", "reconciled: " + ("the answer is what was streamed" if _answered(completed) else "nothing found")
    if completed.get("reconciled") is False:
        listed = found if isinstance(found, list) else []
        grave = [each for each in listed if not isinstance(each, dict) or each.get("severity", "error") == "error"]
        count = len(grave)
        return "✗", "not reconciled" + (f": {count} finding{'s' * (count != 1)}" if count else "")
    return None


def ending(completed: Mapping[str, Any]) -> str:
    """How a run ended: `failed · exit code 1`, `interrupted · SIGTERM`."""
    parts = [phrase(completed.get("status", "unknown"), 20)]
    if completed.get("exit_code") is not None:
        parts.append(f"exit code {phrase(completed['exit_code'], 20)}")
    if completed.get("signal") is not None:
        parts.append(f"signal {phrase(completed['signal'], 20)}")
    return " · ".join(parts)


def taken_out(started: Mapping[str, Any], completed: Mapping[str, Any]) -> str:
    """How many secrets were taken out, by kind, or that nobody looked for any; nothing when there were none."""
    counts, asked = completed.get("redacted"), started.get("redaction")
    if isinstance(counts, dict) and counts:
        return "redacted: " + ", ".join(f"{phrase(kind, 40)} {phrase(count, 20)}" for kind, count in counts.items())
    return "redaction was off" if isinstance(asked, dict) and asked.get("on") is False else ""


def evaluated(evaluations: Sequence[Any]) -> Iterator[str]:
    """The evaluations of a run, apart from what it said itself."""
    if evaluations:
        yield ""
        yield "evaluations, added after the end"
    for each in evaluations:
        score = number(each.score)
        said = f"  {MARK.get(each.outcome, '?')} {phrase(each.name, 80)}: {phrase(each.outcome, 20)}"
        said += f" ({score:.4g})" if score is not None else ""
        said += f" by {phrase(each.by, 80)}" if each.by else ""
        yield said + f" · {phrase(each.ts[:19], 19)}Z" + (f" · {phrase(each.detail)}" if each.detail else "")
