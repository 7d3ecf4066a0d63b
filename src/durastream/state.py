"""What is known of a run after its first n events: a fold over the log, without clock, file or terminal.

`RunState.apply` takes one event and never fails on one: what a recording claims of itself is checked by `verify`, and
a view must show the rest of a log that has a bad event in it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from durastream import steps
from durastream.events import Event
from durastream.message import Kept, Message
from durastream.steps import Outline, Step

if TYPE_CHECKING:
    from durastream.emulator import Emulator
    from durastream.stretch import Pieces

__all__ = ["LOG_LINES", "RunState", "Step", "fold", "fork", "summary"]

LOG_LINES = 200
"""How many of the last log lines a state keeps."""

_USAGE_FIELDS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cost_usd")
_MOST = 1e18
_USAGE_SCOPES = ("run", "turn", "request", "thread")


class RunState:
    """Everything a view shows. Read it freely; only `apply` changes it."""

    __slots__ = (
        "agent",
        "approvals",
        "artifacts",
        "cancel",
        "checks",
        "completed",
        "declared",
        "errors",
        "log",
        "malformed",
        "malformed_seq",
        "messages",
        "outlined",
        "plan",
        "plan_seq",
        "reasoning",
        "rejected",
        "seq",
        "sources",
        "started",
        "started_at",
        "steps",
        "t",
        "terminal",
        "ts",
        "usage_parts",
    )

    def __init__(self) -> None:
        self.seq = 0
        self.ts: str | None = None
        self.t = 0.0
        self.started: dict[str, Any] | None = None
        """The data of `run.started`."""
        self.started_at: str | None = None
        self.completed: dict[str, Any] | None = None
        """The data of `run.completed`, the answer packet included."""
        self.declared: dict[str, Any] | None = None
        """What the agent said of its own end."""
        self.cancel: dict[str, Any] | None = None
        self.agent: dict[str, Any] = {}
        """What the agent said of itself: format, name, version, model, session_id, prompt."""
        self.plan: list[dict[str, Any]] = []
        self.plan_seq: int | None = None
        self.steps: dict[str, Step] = {}
        self.outlined: Outline | None = None
        """Kept up with the steps once somebody has asked for the outline; whoever only folds pays nothing for it."""
        self.messages: dict[str, Message] = {}
        self.reasoning = Message("reasoning", "reasoning")
        self.sources: dict[str, dict[str, Any]] = {}
        self.checks: list[dict[str, Any]] = []
        self.usage_parts: dict[str, dict[str, float]] = {}
        self.approvals: dict[str, dict[str, Any]] = {}
        self.artifacts: list[dict[str, Any]] = []
        self.errors: list[dict[str, Any]] = []
        self.log: deque[tuple[str, str]] = deque(maxlen=LOG_LINES)
        self.terminal: Emulator | None = None
        """What the agent's terminal shows, if it runs on one."""
        self.rejected = 0
        self.malformed = 0
        self.malformed_seq: int | None = None
        """The first event that did not have the fields of its type, if this state was folded from the start."""

    @property
    def status(self) -> str:
        """`running` until the log holds `run.completed`; then what that says. Only the log ends a run."""
        return str(self.completed.get("status", "unknown")) if self.completed is not None else "running"

    @property
    def answer(self) -> Message | None:
        """The message declared final, else the last one with text, else what was printed; None before any text."""
        declared = (self.declared or {}).get("answer")
        named = self.messages.get(str(declared.get("message_id"))) if isinstance(declared, dict) else None
        if named is not None:
            return named
        last = printed = None
        for message in self.messages.values():
            if message.role != "assistant":
                continue
            if message.final:
                return message
            if message.message_id == "stdout":
                printed = message
            elif message.length or last is None:
                last = message
        return last if last is not None and (last.length or printed is None) else printed

    @property
    def outline(self) -> Outline:
        """The steps by what they are under, and those that are open."""
        if self.outlined is None:
            self.outlined = Outline(self.steps)
        return self.outlined

    @property
    def open_steps(self) -> list[Step]:
        return [step for step in self.steps.values() if step.status == "active"]

    @property
    def usage(self) -> dict[str, float]:
        """Totals over models, from the widest scope that was reported. What is unknown is absent."""
        for scope in _USAGE_SCOPES:
            totals: dict[str, float] = {}
            for key, part in self.usage_parts.items():
                if key.partition("/")[0] == scope:
                    for name, value in part.items():
                        totals[name] = totals.get(name, 0) + value
            if totals:
                return totals
        return {}

    def apply(self, event: Event) -> None:
        """Take one event into the state."""
        self.take(event.seq, event.ts, event.t, event.type, event.data)

    def take(self, seq: int, ts: str, t: float, type_: str, data: dict[str, Any]) -> None:
        """Take one event, given as its fields: what the recorder has before there is an `Event`."""
        self.seq = seq
        self.ts = ts
        self.t = t
        try:
            if type_ == "text.delta":  # nine of ten events, and the hot path of every reader and of the recorder
                message = self.messages.get(data["message_id"])
                if message is not None:
                    message.append(_str(data["text"]))
                    return
            self._take(type_, data)
        except (KeyError, TypeError, ValueError, AttributeError):
            self.malformed += 1
            if self.malformed_seq is None:
                self.malformed_seq = seq

    def extend(self, pieces: Pieces) -> None:
        """Take pieces of one message that follow each other in the log, put together."""
        _, text, self.seq, self.ts, self.t, _ = pieces
        self._message(pieces.message_id).append(text)

    def drain(self) -> None:
        """Take the text of all messages out of memory; it goes on being counted."""
        for message in self.messages.values():
            message.drain()
        self.reasoning.drain()

    def discard(self) -> None:
        """Let go of the text of all messages, for a view that shows each event and asks for nothing before it."""
        for message in self.messages.values():
            message.discard()
        self.reasoning.discard()

    def _message(self, message_id: str) -> Message:
        message = self.messages.get(message_id)
        if message is None:
            message = self.messages[_str(message_id)] = Message(message_id)
        return message

    def _take(self, type_: str, data: dict[str, Any]) -> None:  # noqa: C901 - one flat table of types
        if type(data) is not dict:
            raise TypeError("not an object")
        match type_:
            case "text.delta":
                self._message(data["message_id"]).append(_str(data["text"]))
            case "log.line":
                self.log.append((_str(data.get("stream") or ""), _str(data["text"])))
            case "terminal.output":
                if self.terminal is not None:
                    self.terminal.feed(_str(data["text"]))
            case "terminal.resized":
                columns, rows = _int(data["columns"]), _int(data["rows"])
                if self.terminal is None:
                    from durastream.emulator import Emulator  # few runs have a terminal, and all wait for imports

                    self.terminal = Emulator(columns, rows)
                else:
                    self.terminal.resize(columns, rows)
            case "reasoning.delta":
                self.reasoning.append(_str(data["text"]))
            case "step.started":
                self._step_started(data, self.t)
            case "step.progress":
                step = self.steps.get(_str(data["step_id"]))
                if step is not None:  # of one that nobody started there is nothing to show; a rule tells it
                    step.message = data.get("message", step.message)
                    step.fraction = data.get("fraction", step.fraction)
            case "step.completed":
                self._step_completed(data, self.t)
            case "plan.created" | "plan.updated":
                self.plan = [_plan_entry(entry) for entry in data["steps"]]
                self.plan_seq = self.seq
            case "message.started":
                message = self._message(data["message_id"])
                message.role = _str(data.get("role", "assistant"))
                message.final = bool(data.get("final", False))
            case "text.completed":
                message = self._message(data["message_id"])
                message.completed = True
                message.final = message.final or bool(data.get("final", False))
                message.declared_sha256 = data.get("sha256")
                message.declared_length = data.get("length")
            case "text.retracted":
                self._message(data["message_id"]).retract(_str(data.get("reason", "")), self.seq)
            case "source.added":
                source_id = _str(data["source_id"])
                self.sources[source_id] = {**self.sources.get(source_id, {}), **data}
            case "quality.checked":
                self.checks.append(data)
            case "usage.reported":
                self._usage(data)
            case "approval.requested":
                self.approvals[_str(data["approval_id"])] = {**data, "decision": None}
            case "approval.resolved":
                self.approvals.setdefault(_str(data["approval_id"]), {}).update(data)
            case "artifact.created":
                self.artifacts.append(data)
            case "error.raised":
                self.errors.append(data)
            case "raw.rejected":
                self.rejected += 1
            case "agent.identified":
                self.agent = {**self.agent, **data}
            case "run.started":
                self.started = data
                self.started_at = self.ts
            case "run.declared":
                self.declared = None if data.get("withdrawn") is True else data
            case "run.cancel_requested":
                self.cancel = data
            case "run.completed":
                self.completed = data
            case _:
                pass  # run.resumed, raw.event and types of others change nothing that is shown

    def _step_started(self, data: dict[str, Any], t: float) -> None:
        step_id = _str(data["step_id"])
        step = Step(step_id, _str(data["title"]), _str(data.get("kind", "task")), t)
        step.parent = data.get("parent")
        step.input = data.get("input")
        if self.outlined is not None:
            if step_id in self.steps:
                self.outlined = None  # begun again, maybe elsewhere
            else:
                self.outlined.begin(step, self.steps)
        self.steps[step_id] = step

    def _step_completed(self, data: dict[str, Any], t: float) -> None:
        step_id = _str(data["step_id"])
        step = self.steps.get(step_id)
        if step is None:
            step = self.steps[step_id] = Step(step_id, _str(data.get("title", step_id)), "task", None)
            self.outlined = None
        before, step.status = step.status, _str(data["status"])
        step.output = data.get("output")
        step.error = data.get("error")
        step.duration = data.get("duration")
        if step.duration is None and step.started is not None:
            step.duration = round(t - step.started, 6)
        if self.outlined is not None:
            if before == "active" and step.status != "active":
                self.outlined.end(step)
            else:
                self.outlined = None

    def _usage(self, data: dict[str, Any]) -> None:
        key = f"{_str(data.get('scope', 'run'))}/{_str(data.get('model') or '')}"
        part = {name: data[name] for name in _USAGE_FIELDS if _is_amount(data.get(name))}
        if data.get("mode", "add") == "add":
            before = self.usage_parts.get(key, {})
            part = {**before, **{name: before.get(name, 0) + value for name, value in part.items()}}
        self.usage_parts[key] = part

    def copy(self) -> RunState:
        """The same, to go on from here by itself. What came with an event is shared: nobody changes that."""
        other = RunState()
        for name in RunState.__slots__:
            setattr(other, name, getattr(self, name))
        other.steps = {step_id: step.copy() for step_id, step in self.steps.items()}
        other.outlined = None  # it holds the steps
        other.messages = {message_id: message.copy() for message_id, message in self.messages.items()}
        other.reasoning = self.reasoning.copy()
        other.sources, other.usage_parts = {**self.sources}, {**self.usage_parts}
        other.checks, other.artifacts, other.errors = [*self.checks], [*self.artifacts], [*self.errors]
        other.approvals = {key: {**approval} for key, approval in self.approvals.items()}
        other.log = self.log.copy()
        if self.terminal is not None:
            other.terminal = type(self.terminal).load(self.terminal.dump())
        return other

    def dump(self, *, text: bool = True) -> dict[str, Any]:
        """The state as plain JSON values; `load` gives it back. Without text, the store keeps that elsewhere."""
        saved: dict[str, Any] = {
            "seq": self.seq,
            "ts": self.ts,
            "t": self.t,
            "started": self.started,
            "started_at": self.started_at,
            "completed": self.completed,
            "declared": self.declared,
            "cancel": self.cancel,
            "agent": self.agent,
            "plan": self.plan,
            "plan_seq": self.plan_seq,
            "steps": steps.dump(self.steps.values()),
            "messages": [message.dump() for message in self.messages.values()],
            "sources": list(self.sources.values()),
            "checks": self.checks,
            "usage_parts": self.usage_parts,
            "approvals": self.approvals,
            "artifacts": self.artifacts,
            "errors": self.errors,
            "log": [list(line) for line in self.log],
            "terminal": self.terminal.dump() if self.terminal is not None else None,
            "rejected": self.rejected,
            "malformed": self.malformed,
        }
        if text:
            saved["texts"] = {message.message_id: message.text for message in self.messages.values()}
            saved["reasoning"] = self.reasoning.text
        saved["reasoning_length"] = self.reasoning.length
        return saved

    @classmethod
    def load(
        cls,
        saved: Mapping[str, Any],
        texts: Mapping[str, str | Kept] | None = None,
        reasoning: str | Kept | None = None,
    ) -> RunState:
        """The state that `dump` saved; texts and reasoning come along when they were kept elsewhere."""
        state = cls()
        for name in ("seq", "ts", "t", "started", "started_at", "completed", "declared", "cancel", "plan_seq"):
            setattr(state, name, saved[name])
        state.agent = dict(saved.get("agent", {}))
        state.plan = list(saved["plan"])
        state.steps = steps.load(saved["steps"])
        known = saved.get("texts", {}) if texts is None else texts
        state.messages = {m["message_id"]: Message.load(m, known.get(m["message_id"], "")) for m in saved["messages"]}
        state.reasoning.keep(saved.get("reasoning", "") if reasoning is None else reasoning)
        state.sources = {source["source_id"]: source for source in saved["sources"]}
        state.checks = list(saved["checks"])
        state.usage_parts = {key: dict(part) for key, part in saved["usage_parts"].items()}
        state.approvals = {key: dict(approval) for key, approval in saved["approvals"].items()}
        state.artifacts = list(saved["artifacts"])
        state.errors = list(saved["errors"])
        state.log.extend((stream, text) for stream, text in saved["log"])
        terminal = saved.get("terminal")
        if terminal is not None:
            from durastream.emulator import Emulator

            state.terminal = Emulator.load(terminal)
        state.rejected = saved["rejected"]
        state.malformed = saved["malformed"]
        return state


def fork(state: RunState) -> RunState:
    """What a late joiner knows: the state as it is saved and loaded, with text that was drained counted, not held."""
    joined = RunState.load(state.dump(text=False))
    for message in (*state.messages.values(), state.reasoning):
        known = joined.reasoning if message is state.reasoning else joined.messages.get(message.message_id)
        if known is not None:
            known.carry(message)
    return joined


def summary(state: RunState) -> dict[str, Any]:
    """Equal for two states that know the same; of text it holds length and hash."""
    texts = {message.message_id: (message.length, message.sha256()) for message in state.messages.values()}
    thought = (state.reasoning.length, state.reasoning.sha256())
    return {**state.dump(text=False), "texts": texts, "reasoning": thought}


def fold(events: Iterable[Event], state: RunState | None = None) -> RunState:
    """The state after these events; fold(a + b) is fold(b, fold(a))."""
    state = RunState() if state is None else state
    apply = state.apply
    for event in events:
        apply(event)
    return state


def _str(value: object) -> str:
    if type(value) is not str:
        raise TypeError("not a string")
    return value


def _int(value: object) -> int:
    if type(value) is not int:
        raise TypeError("not an integer")
    return value


def _is_amount(value: object) -> bool:
    """Whether it is a number that can be added to others: 10**400 is an int in JSON, and no float can take it."""
    return type(value) in (int, float) and abs(value) < _MOST  # type: ignore[arg-type]


def _plan_entry(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": _str(entry["id"]),
        "title": _str(entry["title"]),
        "status": _str(entry.get("status", "pending")),
        "parent": entry.get("parent"),
    }
