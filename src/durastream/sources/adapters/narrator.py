"""Says in durastream's words what an adapter has understood, and remembers what is open: plan, steps, messages.

What every format needs is here once: an answer that is told again is compared and not doubled, plan entries keep their
identity, a tool's step stands under the entry in progress, a source is named once. Nothing here grows with the run
except what is open.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import OrderedDict
from collections.abc import Iterable
from itertools import islice
from typing import Any, NamedTuple

from durastream.events import dumps

__all__ = ["Entry", "Narrator", "Said", "Unmapped"]

Said = tuple[str, dict[str, Any]]
"""The type and the data of an event."""

_SHORT = 4096
_REMEMBERED = 512
_URLS = 50
_URL = re.compile(r"https?://[^\s<>\"'`\\\x00-\x1f]+")
_PLAN_STATUS = {
    "active": "active",
    "blocked": "pending",
    "canceled": "cancelled",
    "cancelled": "cancelled",
    "complete": "done",
    "completed": "done",
    "deleted": "cancelled",
    "done": "done",
    "in_progress": "active",
    "inprogress": "active",
    "skipped": "skipped",
}
_ENDED = {"done": "ok", "skipped": "skipped", "cancelled": "skipped"}


class Unmapped(Exception):
    """Raised by an adapter for a line that it has no mapping for: the line is kept as `raw.event`."""


class Entry(NamedTuple):
    """One entry of a plan as an agent tells it. `status` may be in any spelling that agents use."""

    title: str
    status: str = "pending"
    id: str | None = None


class _Text:
    """What was streamed of a message that is not complete yet."""

    __slots__ = ("digest", "length")

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.length = 0


class Narrator:
    """Collects the events of the line that is being read; `drain` gives them out."""

    def __init__(self) -> None:
        self._said: list[Said] = []
        self._texts: dict[str, _Text] = {}
        self._steps: dict[str, str] = {}
        self._plan: list[dict[str, Any]] = []
        self._entries = 0
        self._cited: OrderedDict[str, bool] = OrderedDict()
        self._declared = False

    def drain(self) -> list[Said]:
        """What was said since the last call."""
        said, self._said = self._said, []
        return said

    def say(self, type_: str, **data: Any) -> None:
        """An event with those fields that are not None."""
        self._said.append((type_, {name: value for name, value in data.items() if value is not None}))

    # the agent

    def identify(self, **what: Any) -> None:
        """What is learnt of the agent: format, name, version, model, session_id, prompt, cwd."""
        known = {name: _string(value) if name != "terminal" else value for name, value in what.items() if value}
        if not known:
            return
        if self._said and self._said[-1][0] == "agent.identified":
            self._said[-1][1].update(known)
        else:
            self.say("agent.identified", **known)

    def declare(self, status: str, *, message_id: Any = None, text: Any = None, **more: Any) -> None:
        """The agent's own word on its end: `completed` or `failed`, with its final answer if it gives one.

        `message_id` names the message that is the answer, `text` repeats it, to be compared with what was streamed.
        """
        answer: dict[str, Any] = {}
        if message_id is not None:
            answer["message_id"] = _id(message_id)
        if text is not None:
            text = _string(text)
            self.cite(text, origin="text")
            if len(text) <= _SHORT * 4:
                answer["text"] = text
            else:
                answer |= {"sha256": hashlib.sha256(text.encode()).hexdigest(), "length": len(text)}
        self.say("run.declared", status=status, answer=answer or None, **more)
        self._declared = True

    def go_on(self) -> None:
        """A turn begins. An end that was declared before it is taken back: it was the end of a turn, not of the run."""
        if self._declared:
            self._declared = False
            self.say("run.declared", withdrawn=True)

    # text

    def begin(self, message_id: Any, role: str = "assistant") -> None:
        """A message of another role than the assistant's, or one whose start is worth an event."""
        self.say("message.started", message_id=_id(message_id), role=role)

    def text(self, message_id: Any, text: Any) -> None:
        """A piece of a message."""
        if not text:
            return
        message_id, text = _id(message_id), _string(text)
        known = self._texts.get(message_id)
        if known is None:
            known = self._texts[message_id] = _Text()
        known.digest.update(text.encode())
        known.length += len(text)
        self._said.append(("text.delta", {"message_id": message_id, "text": text}))

    def complete(self, message_id: Any, whole: Any = None, *, final: bool = False) -> None:
        """The message is complete. `whole` is its text as the agent repeats it: told if none of it was streamed, else
        declared, so that a difference is found and not doubled."""
        message_id = _id(message_id)
        if whole is not None and message_id not in self._texts:
            self.text(message_id, whole)
        known = self._texts.pop(message_id, None)
        if known is None:
            return
        sha256, length = known.digest.hexdigest(), known.length
        if whole is not None:
            whole = _string(whole)
            sha256, length = hashlib.sha256(whole.encode()).hexdigest(), len(whole)
        self.say("text.completed", message_id=message_id, sha256=sha256, length=length, final=final or None)

    def is_open(self, message_id: Any) -> bool:
        """Whether some of a message was streamed and it is not complete."""
        return _id(message_id) in self._texts

    def repeats(self, message_id: Any, text: Any) -> bool:
        """Whether a text is what was streamed of a message that is not complete."""
        known = self._texts.get(_id(message_id))
        return known is not None and known.digest.digest() == hashlib.sha256(_string(text).encode()).digest()

    def retract(self, message_id: Any, reason: str) -> None:
        """All text of the message so far is taken back."""
        self._texts.pop(_id(message_id), None)
        self.say("text.retracted", message_id=_id(message_id), reason=reason)

    def think(self, text: Any) -> None:
        """Thought, no part of the answer."""
        if text:
            self.say("reasoning.delta", text=_string(text))

    # steps

    def start(self, step_id: Any, title: Any, *, kind: str = "tool", parent: Any = None, input: Any = None) -> None:  # noqa: A002 - the field's name
        """A step begins; under the plan entry in progress unless it has another parent. Begun twice counts once."""
        step_id = _string(step_id)
        if step_id in self._steps:
            return
        self._steps[step_id] = kind
        parent = self.active_entry if parent is None else _string(parent)
        self.say("step.started", step_id=step_id, title=_line(title), kind=kind, parent=parent, input=_short(input))

    def progress(self, step_id: Any, message: Any = None, fraction: float | None = None) -> None:
        """News of a step that is open; of any other it is passed over."""
        step_id = _string(step_id)
        if step_id in self._steps:
            self.say("step.progress", step_id=step_id, message=_line(message) if message else None, fraction=fraction)

    def end(
        self,
        step_id: Any,
        status: str = "ok",
        *,
        output: Any = None,
        error: Any = None,
        duration: Any = None,
        title: Any = None,
        kind: str = "tool",
    ) -> None:
        """A step ends: ok, failed, skipped or denied. One that was never begun begins first."""
        step_id = _string(step_id)
        self.start(step_id, title if title is not None else step_id, kind=kind)
        del self._steps[step_id]
        self.say(
            "step.completed",
            step_id=step_id,
            status=status,
            output=_short(output),
            error=None if error is None else _clip(_string(error)),
            duration=duration if _is_amount(duration) else None,
        )

    def cut(
        self, error: Any, status: str = "failed", *, kinds: Iterable[str] = ("agent", "model", "task", "tool")
    ) -> None:
        """The agent was stopped half way: the steps that are open end so. Entries of the plan stay as they are."""
        for step_id in [step_id for step_id, kind in self._steps.items() if kind in kinds]:
            self.end(step_id, status, error=error)

    def is_running(self, step_id: Any) -> bool:
        return _string(step_id) in self._steps

    # the plan

    @property
    def active_entry(self) -> str | None:
        """The plan entry in progress, which is a step of the same id."""
        for entry in self._plan:
            if entry["status"] == "active" and entry["id"] in self._steps:
                return str(entry["id"])
        return None

    def plan(self, entries: Iterable[Entry]) -> None:
        """The whole plan as it stands now. Entries that come into progress or leave it begin and end steps.

        An entry is known by its id, else by its title, else by its place. An empty plan says nothing.
        """
        plan = self._identified(list(entries))
        if not plan or plan == self._plan:
            return
        before = {entry["id"]: entry for entry in self._plan}
        first = not self._plan
        self._plan = plan
        self.say("plan.created" if first else "plan.updated", steps=[dict(entry) for entry in plan])
        for entry in plan:
            self._follow(before.pop(entry["id"], None), entry)
        for gone in before.values():
            self._follow(gone, {**gone, "status": "cancelled"})

    def _identified(self, entries: list[Entry]) -> list[dict[str, Any]]:
        titles = {_normal(entry["title"]): entry["id"] for entry in self._plan}
        told = {_normal(_line(entry.title)) for entry in entries}
        used: set[str] = set()
        plan = []
        for place, entry in enumerate(entries):
            title = _line(entry.title)
            id_ = None if entry.id is None else _string(entry.id)
            if id_ is None:
                id_ = titles.get(_normal(title))
            if id_ is None and len(entries) == len(self._plan):
                there = self._plan[place]
                id_ = there["id"] if _normal(there["title"]) not in told else None
            if id_ is None or id_ in used:
                self._entries += 1
                id_ = f"p{self._entries}"
            used.add(id_)
            plan.append({"id": id_, "title": title, "status": plan_status(entry.status)})
        return plan

    def _follow(self, before: dict[str, Any] | None, now: dict[str, Any]) -> None:
        """The step of a plan entry whose status may have changed."""
        step_id, status = now["id"], now["status"]
        if status == "active":
            if step_id not in self._steps:
                self._steps[step_id] = "plan"
                self.say("step.started", step_id=step_id, title=now["title"], kind="plan")
        elif status in _ENDED and step_id in self._steps:
            del self._steps[step_id]
            self.say("step.completed", step_id=step_id, status=_ENDED[status])

    # facts

    def source(
        self, *, url: Any = None, title: Any = None, snippet: Any = None, step_id: Any = None, origin: str = "native"
    ) -> None:
        """A source, named once; once more when its title is learnt later."""
        url = _string(url) if url else None
        title = _line(title) if title else None
        key = url or title
        if key is None:
            return
        known = self._cited.get(key)
        if known is not None and (known or title is None):
            self._cited.move_to_end(key)
            return
        self._cited[key] = title is not None
        if len(self._cited) > _REMEMBERED:
            self._cited.popitem(last=False)
        snippet = _clip(_string(snippet)) if snippet else None
        step_id = _string(step_id) if step_id is not None else None
        self.say(
            "source.added", source_id=key[:500], url=url, title=title, snippet=snippet, step_id=step_id, origin=origin
        )

    def cite(self, text: Any, *, origin: str, step_id: Any = None) -> bool:
        """The addresses in a text, or in the texts of any value, as sources. Whether there are any."""
        text = text if type(text) is str else dumps(text)
        found = list(islice(_URL.finditer(text), _URLS))
        for match in found:
            self.source(url=_trimmed(match[0]), step_id=step_id, origin=origin)
        return bool(found)

    def use(self, *, scope: str = "run", mode: str = "add", model: Any = None, **amounts: Any) -> None:
        """Tokens and cost, as far as they are numbers: what is unknown is absent."""
        known = {name: value for name, value in amounts.items() if _is_amount(value)}
        for name, value in known.items():
            known[name] = value if name == "cost_usd" else int(value)
        if known:
            self.say("usage.reported", scope=scope, mode=mode, model=_string(model) if model else None, **known)

    def artifact(self, path: Any, action: str = "add", *, url: Any = None, **more: Any) -> None:
        """A file that was made, changed or removed."""
        path, url = _string(path) if path else None, _string(url) if url else None
        if path or url:
            self.say("artifact.created", path=path, url=url, action=action, **more)

    def fail(self, message: Any, *, severity: str = "error", fatal: bool = False) -> None:
        self.say("error.raised", message=_clip(_string(message)), severity=severity, fatal=fatal, by="agent")

    def ask(self, approval_id: Any, title: Any, options: list[Any] | None = None) -> None:
        self.say("approval.requested", approval_id=_string(approval_id), title=_line(title), options=_short(options))

    def decide(self, approval_id: Any, decision: str) -> None:
        self.say("approval.resolved", approval_id=_string(approval_id), decision=decision)

    def log(self, text: Any, stream: str = "agent") -> None:
        """Something worth a line in the log and no event of its own."""
        self.say("log.line", stream=stream, text=_clip(_string(text)))


def plan_status(told: Any) -> str:
    """A plan entry's status in our words: pending when it is unknown."""
    word = _string(told).lower().removeprefix("todo_status_").replace("-", "_").replace(" ", "_")
    return _PLAN_STATUS.get(word, "pending")


def _normal(title: str) -> str:
    return " ".join(title.casefold().split())


def _string(value: Any) -> str:
    return value if type(value) is str else dumps(value)


def _id(value: Any) -> str:
    """A message id as ours may be: 1 to 200 characters, and # is the recorder's."""
    text = _string(value)[:200]
    return text if text and text[0] != "#" else f"m{text}"[:200]


def _line(value: Any) -> str:
    """Words for a title or a message: one line, not too long."""
    text = " ".join(_string(value)[: 4 * _SHORT].split())
    return text if len(text) <= 500 else text[:499] + "…"


def _clip(text: str) -> str:
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}… ({len(text)} characters)"


def _short(value: Any, depth: int = 0) -> Any:
    """A value of which long texts and lists are cut: what a tool took and gave is in the raw bytes, whole."""
    if type(value) is str:
        return _clip(value)
    if type(value) is list:
        if depth > 5:
            return f"… ({len(value)} items)"
        short = [_short(item, depth + 1) for item in value[:50]]
        return [*short, f"… ({len(value)} items)"] if len(value) > 50 else short
    if type(value) is dict:
        if depth > 5:
            return f"… ({len(value)} fields)"
        return {_clip(_string(key)): _short(item, depth + 1) for key, item in list(value.items())[:200]}
    return value


def _is_amount(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 1e18 and not math.isnan(value)


def _trimmed(url: str) -> str:
    """An address without the punctuation of the sentence around it."""
    url = url[:2000].rstrip(".,;:!?*_|")
    while url and url[-1] in ")]}" and url.count(url[-1]) > url.count({")": "(", "]": "[", "}": "{"}[url[-1]]):
        url = url[:-1].rstrip(".,;:!?*_|")
    return url
