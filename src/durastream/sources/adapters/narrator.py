"""Says in durastream's words what an adapter has understood, and remembers what is open: plan, steps, messages.

What every format needs is here once: an answer that is told again is compared and not doubled, plan entries keep their
identity, a tool's step stands under the entry in progress, a source is named once. Nothing here grows with the run
except what is open.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterable
from itertools import islice
from typing import Any

from durastream.events import dumps
from durastream.sources.adapters.agenda import OWN, Agenda, Entry
from durastream.sources.adapters.cuts import SHORT, as_message, clip, is_amount, line, short, string, trimmed

__all__ = ["Entry", "Narrator", "Said", "Unmapped"]

Said = tuple[str, dict[str, Any]]
"""The type and the data of an event."""

_REMEMBERED = 512
_URLS = 50
_URL = re.compile(r"https?://[^\s<>\"'`\\\x00-\x1f]+")
_ENDED = {"done": "ok", "skipped": "skipped", "cancelled": "skipped"}


class Unmapped(Exception):
    """Raised by an adapter for a line that it has no mapping for: the line is kept as `raw.event`."""


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
        self._plan = Agenda()
        self._cited: OrderedDict[str, bool] = OrderedDict()
        self._declared = False

    def drain(self) -> list[Said]:
        """What was said since the last call."""
        said, self._said = self._said, []
        return said

    def unsay(self) -> None:
        """The line cannot be taken: what was said of it is not told, and what it began or ended is as it was before."""
        for type_, data in reversed(self.drain()):
            if type_ == "step.started":
                self._steps.pop(data["step_id"], None)
            elif type_ == "step.completed":
                self._steps[data["step_id"]] = "plan" if data["step_id"].startswith(OWN) else "tool"
            elif type_ == "run.declared":
                self._declared = "withdrawn" in data

    def say(self, type_: str, **data: Any) -> None:
        """An event with those fields that are not None."""
        self._said.append((type_, {name: value for name, value in data.items() if value is not None}))

    # the agent

    def identify(self, **what: Any) -> None:
        """What is learnt of the agent: format, name, version, model, session_id, prompt, cwd."""
        known = {name: string(value) if name != "terminal" else value for name, value in what.items() if value}
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
            answer["message_id"] = as_message(message_id)
        if text is not None:
            text = string(text)
            self.cite(text, origin="text")
            if len(text) <= SHORT * 4:
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
        self.say("message.started", message_id=as_message(message_id), role=role)

    def text(self, message_id: Any, text: Any) -> None:
        """A piece of a message."""
        if not text:
            return
        message_id, text = as_message(message_id), string(text)
        known = self._texts.get(message_id)
        if known is None:
            known = self._texts[message_id] = _Text()
        known.digest.update(text.encode())
        known.length += len(text)
        self._said.append(("text.delta", {"message_id": message_id, "text": text}))

    def complete(self, message_id: Any, whole: Any = None) -> None:
        """The message is complete. `whole` is its text as the agent repeats it: told if none of it was streamed, else
        declared, so that a difference is found and not doubled."""
        message_id = as_message(message_id)
        known = self._texts.pop(message_id, None)
        if known is None and not whole:
            return
        if known is not None and whole is None:
            sha256, length = known.digest.hexdigest(), known.length
        else:
            whole = string(whole)
            sha256, length = hashlib.sha256(whole.encode()).hexdigest(), len(whole)
        if known is None:
            self._said.append(("text.delta", {"message_id": message_id, "text": whole}))
        self._said.append(("text.completed", {"message_id": message_id, "sha256": sha256, "length": length}))

    def is_open(self, message_id: Any) -> bool:
        """Whether some of a message was streamed and it is not complete."""
        return as_message(message_id) in self._texts

    def repeats(self, message_id: Any, text: Any) -> bool:
        """Whether a text is what was streamed of a message that is not complete."""
        known = self._texts.get(as_message(message_id))
        return known is not None and known.digest.digest() == hashlib.sha256(string(text).encode()).digest()

    def retract(self, message_id: Any, reason: str) -> None:
        """All text of the message so far is taken back."""
        self._texts.pop(as_message(message_id), None)
        self.say("text.retracted", message_id=as_message(message_id), reason=reason)

    def think(self, text: Any) -> None:
        """Thought, no part of the answer."""
        if text:
            self.say("reasoning.delta", text=string(text))

    # steps

    def start(self, step_id: Any, title: Any, *, kind: str = "tool", parent: Any = None, input: Any = None) -> None:  # noqa: A002 - the field's name
        """A step begins; under the plan entry in progress unless it has another parent. Begun twice counts once."""
        step_id = _step(step_id)
        if step_id in self._steps:
            return
        self._steps[step_id] = kind
        parent = self.active_entry if parent is None or parent == self.active_entry else _step(parent)
        self.say("step.started", step_id=step_id, title=line(title), kind=kind, parent=parent, input=short(input))

    def progress(self, step_id: Any, message: Any = None, fraction: float | None = None) -> None:
        """News of a step that is open; of any other it is passed over."""
        step_id = _step(step_id)
        if step_id in self._steps:
            self.say("step.progress", step_id=step_id, message=line(message) if message else None, fraction=fraction)

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
        step_id = _step(step_id)
        self.start(step_id, title if title is not None else step_id, kind=kind)
        del self._steps[step_id]
        self.say(
            "step.completed",
            step_id=step_id,
            status=status,
            output=short(output),
            error=None if error is None else clip(string(error)),
            duration=duration if is_amount(duration) else None,
        )

    def cut(
        self, error: Any, status: str = "failed", *, kinds: Iterable[str] = ("agent", "model", "task", "tool")
    ) -> None:
        """The agent was stopped half way: the steps that are open end so. Entries of the plan stay as they are."""
        for step_id in [step_id for step_id, kind in self._steps.items() if kind in kinds]:
            self.end(step_id, status, error=error)

    def is_running(self, step_id: Any) -> bool:
        return _step(step_id) in self._steps

    # the plan

    @property
    def active_entry(self) -> str | None:
        """The plan entry in progress, which is a step of the same id."""
        for entry in self._plan.entries:
            if entry["status"] == "active" and entry["id"] in self._steps:
                return str(entry["id"])
        return None

    def plan(self, entries: Iterable[Entry]) -> None:
        """The whole plan as it stands now. Entries that come into progress or leave it begin and end steps.

        An entry is known by its id, else by its title, else by its place. An empty plan says nothing.
        """
        plan = self._plan.identified(list(entries))
        if not plan or plan == self._plan.entries:
            return
        before = {entry["id"]: entry for entry in self._plan.entries}
        first = not self._plan.entries
        self._plan.entries = plan
        self.say("plan.created" if first else "plan.updated", steps=[dict(entry) for entry in plan])
        for entry in plan:
            self._follow(before.pop(entry["id"], None), entry)
        for gone in before.values():
            self._follow(gone, {**gone, "status": "cancelled"})

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
        url = string(url) if url else None
        title = line(title) if title else None
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
        snippet = clip(string(snippet)) if snippet else None
        step_id = _step(step_id) if step_id is not None else None
        self.say(
            "source.added", source_id=key[:500], url=url, title=title, snippet=snippet, step_id=step_id, origin=origin
        )

    def cite(self, text: Any, *, origin: str, step_id: Any = None) -> bool:
        """The addresses in a text, or in the texts of any value, as sources. Whether there are any."""
        text = text if type(text) is str else dumps(text)
        if "://" not in text:
            return False
        found = list(islice(_URL.finditer(text), _URLS))
        for match in found:
            self.source(url=trimmed(match[0]), step_id=step_id, origin=origin)
        return bool(found)

    def use(self, *, scope: str = "run", mode: str = "add", model: Any = None, **amounts: Any) -> None:
        """Tokens and cost, as far as they are numbers: what is unknown is absent."""
        known = {name: value for name, value in amounts.items() if is_amount(value)}
        for name, value in known.items():
            known[name] = value if name == "cost_usd" else int(value)
        if known:
            self.say("usage.reported", scope=scope, mode=mode, model=string(model) if model else None, **known)

    def artifact(self, path: Any, action: str = "add", *, url: Any = None, **more: Any) -> None:
        """A file that was made, changed or removed."""
        path, url = string(path) if path else None, string(url) if url else None
        if path or url:
            self.say("artifact.created", path=path, url=url, action=action, **more)

    def fail(self, message: Any, *, severity: str = "error", fatal: bool = False) -> None:
        self.say("error.raised", message=clip(string(message)), severity=severity, fatal=fatal, by="agent")

    def ask(self, approval_id: Any, title: Any, options: list[Any] | None = None) -> None:
        self.say("approval.requested", approval_id=string(approval_id), title=line(title), options=short(options))

    def decide(self, approval_id: Any, decision: str) -> None:
        self.say("approval.resolved", approval_id=string(approval_id), decision=decision)

    def log(self, text: Any, stream: str = "agent") -> None:
        """Something worth a line in the log and no event of its own."""
        self.say("log.line", stream=stream, text=clip(string(text)))


def _step(id_: Any) -> str:
    """The id of a step that is no entry of the plan, and is never taken for one."""
    text = string(id_)
    return f"call/{text}" if text.startswith(OWN) else text
