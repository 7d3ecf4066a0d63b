"""How a run stands, in one line of a table: its status, how much of its plan is done, what it does, its last words."""

from __future__ import annotations

from typing import NamedTuple

from durastream.state import RunState

__all__ = ["LAST", "Standing", "doing", "last_words", "progress"]

LAST = 400
"""How many characters at the end of a text the last words are looked for in."""


class Standing(NamedTuple):
    """One run as a table shows it. `started` in seconds since the epoch, `duration` in seconds, once it has ended."""

    run_id: str
    name: str
    status: str
    reconciled: bool | None
    started: float | None
    duration: float | None
    done: int = 0
    planned: int = 0
    step: str = ""
    words: str = ""
    read: bool = True
    """Whether its events were looked at; before that there is what the run says of itself."""


def progress(state: RunState) -> tuple[int, int]:
    """How many entries of the plan are done with, and how many there are."""
    done = sum(1 for entry in state.plan if entry["status"] in ("done", "skipped", "cancelled"))
    return done, len(state.plan)


def doing(state: RunState) -> str:
    """The title of the step that was begun last and is open, else of the active entry of the plan."""
    for step in reversed(state.steps.values()):
        if step.status == "active" and step.kind != "plan":
            return step.title
    return next((str(entry["title"]) for entry in state.plan if entry["status"] == "active"), "")


def last_words(state: RunState) -> str:
    """The last line that the run has to show: of its terminal, its draft, its thoughts or its log."""
    if state.terminal is not None:
        texts = ["\n".join(state.terminal.grid.text())]
    else:
        texts = [state.answer.end(LAST) if state.answer is not None else "", state.reasoning.end(LAST)]
        texts.append(state.log[-1][1] if state.log else "")
    for text in texts:
        if lines := text[-LAST:].strip().splitlines():
            return lines[-1].strip()
    return ""
