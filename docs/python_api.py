"""Writes what docs/python.md shows: every public name with its signature, its promise and an example."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator

import durastream

__all__ = ["EXAMPLES", "calls", "markdown"]

EXAMPLES = {
    "approval": 'durastream.approval("Delete 3 files?", ["yes", "no"]).resolve("yes")',
    "artifact": 'durastream.artifact("report.md", action="add")',
    "check": 'durastream.check("cites a source", True, score=0.9)',
    "complete": 'durastream.complete("answer")',
    "emit": 'durastream.emit("myapp.cache_hit", key="wal")',
    "error": 'durastream.error("no route to host", severity="warning")',
    "final_answer": 'durastream.final_answer("The log comes first.")',
    "log": 'durastream.log("reading 3 pages")',
    "plan": 'plan = durastream.plan(["Search", "Write"])\nplan.start("Search")\nplan.done("Search")',
    "reasoning": 'durastream.reasoning("It may be older than that.")',
    "recording": 'with durastream.recording("research", tags={"try": "1"}) as run:\n    durastream.text("Forty-two.")',
    "retract": 'durastream.retract("it was wrong")',
    "run_id": "print(durastream.run_id())",
    "source": 'durastream.source("https://www.sqlite.org/wal.html", "Write-Ahead Logging")',
    "step": 'with durastream.step("search", kind="tool") as step:\n    step.output({"results": 1})',
    "tap": 'for piece in durastream.tap(iter(["The log ", "comes first."])):\n    print(piece)',
    "text": 'durastream.text("The log ")',
    "usage": 'durastream.usage(input_tokens=120, output_tokens=4, model="m1")',
}
"""One for each call; a test runs them all."""


def calls() -> list[str]:
    """The names of what is called."""
    return [name for name in durastream.__all__ if inspect.isfunction(getattr(durastream, name))]


def markdown() -> str:
    """A section for each call, then one for each object that a call gives."""
    parts = [_section(name, getattr(durastream, name), EXAMPLES[name]) for name in calls()]
    for name in durastream.__all__:
        kind = getattr(durastream, name)
        if inspect.isclass(kind):
            parts.append("\n".join([f"## {name}", "", inspect.getdoc(kind) or "", "", *_members(kind), ""]))
    return "\n".join(parts)


def _section(name: str, call: Callable[..., object], example: str) -> str:
    head = f"{name}{_signature(call)}"
    return f"## {name}\n\n```text\n{head}\n```\n\n{inspect.getdoc(call)}\n\n```py\n{example}\n```\n"


def _members(kind: type) -> Iterator[str]:
    for name, member in vars(kind).items():
        if name[0] == "_":
            continue
        said = (inspect.getdoc(member) or "").split("\n\n")[0].replace("\n", " ")
        shown = f"`{name}{_signature(member)}`" if inspect.isfunction(member) else f"`{name}`"
        yield f"- {shown}{' ' + said if said else ''}"


class _Raw:
    """An annotation as it stands in the code, without the quotes of a string."""

    def __init__(self, text: object) -> None:
        self._text = text

    def __repr__(self) -> str:
        return str(self._text)


def _signature(call: Callable[..., object]) -> str:
    found = inspect.signature(call)
    shown = [
        each.replace(annotation=_Raw(each.annotation)) for each in found.parameters.values() if each.name != "self"
    ]
    return str(found.replace(parameters=shown, return_annotation=_Raw(found.return_annotation)))
