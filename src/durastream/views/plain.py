"""One line per change, for pipes, logs and plain terminals: no colour, no cursor movement, no Rich.

    +0:04.0 step     ▶ find papers (tool)
    +0:05.2 step     ✓ find papers (1.2 s)
    +0:06.1 text     Durable streaming keeps every event.

Text deltas are put together and printed when a line is complete, or at the end of its message. Of a terminal there are
the lines that leave its screen at the top, and at the end those that still stand on it. In a log of GitHub Actions each
step is a group that can be folded, and nothing that an agent wrote is a command to the runner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TextIO

from durastream.events import TYPES, Event, show_hash
from durastream.message import Message
from durastream.state import RunState
from durastream.views.outcome import Batches, Outcome
from durastream.views.safe import visible
from durastream.views.words import (
    MARK,
    amount,
    by_durastream,
    command,
    duration,
    ending,
    finding,
    headline,
    last_lines,
    number,
    phrase,
    source,
    status,
    step_failure,
    verdict,
    word,
)

__all__ = ["show"]

_ASCII = str.maketrans({"●": "*", "▶": ">", "✓": "+", "✗": "x", "·": "-", "–": "-", "…": "...", "⏎": "\\n"})  # noqa: RUF001
_COLORS = {"✓": 32, "✗": 31, "!": 33, "?": 33, "▶": 36, "●": 36}

LONGEST = 4096
"""Characters of a line that are held back for its end; a longer line is printed in pieces of this size."""


def show(
    batches: Batches,
    *,
    state: RunState,
    out: TextIO,
    timestamps: bool = False,
    groups: bool = False,
    color: bool = False,
) -> Outcome:
    """Print what each event changes, and fold it into `state`. Lets BrokenPipeError through; Ctrl-C leaves.

    A line begins with the time of the run (`+0:04.0`), or with `timestamps` the wall clock in UTC. A state that
    already has events in it is described first, from the unfinished lines of its messages on. `groups` marks steps for
    GitHub Actions; `color` paints the marks.
    """
    encoding = out.encoding or "utf-8"
    lines = _Lines(state, timestamps=timestamps, groups=groups, color=color)
    try:
        "✓▶".encode(encoding)
        spelled: dict[int, str] = {}
    except UnicodeEncodeError:
        spelled = _ASCII

    def put(said: Iterator[str]) -> None:
        for one in said:
            # A terminal that cannot show a mark gets another, and for any other character its escape.
            out.write(one.translate(spelled).encode(encoding, "backslashreplace").decode(encoding) + "\n")

    try:
        put(lines.joined())
        out.flush()
        for batch in batches:
            for event in batch:
                put(lines.of(event))
            if batch:
                put(lines.scrolled())
                out.flush()
                state.discard()  # a draft may be longer than memory
        put(lines.rest())
        put(lines.screen())
        put(lines.ended())
        out.flush()
    except KeyboardInterrupt:
        return Outcome(left=True)
    return Outcome()


class _Lines:
    """Events into lines. Keeps, beyond the state, the unfinished line of each message."""

    def __init__(self, state: RunState, *, timestamps: bool, groups: bool, color: bool) -> None:
        self._state = state
        self._timestamps, self._groups, self._color = timestamps, groups, color
        self._open: dict[str, str] = {}
        self._group = ""
        """The step whose group is open; groups cannot be nested."""
        self._silent = True
        self._unknown: dict[str, int] = {}
        self._shown: list[str] = []

    def joined(self) -> Iterator[str]:
        """What there is to say of a state that was joined late."""
        state = self._state
        if not state.seq:
            return
        yield self._line(
            "run", f"{MARK.get(status(state), '?')} {headline(state)}; joined at event {amount(state.seq)}"
        )
        yield from self._plan(state.plan, ())
        for step in state.open_steps:
            if _planned(state, {"kind": step.kind, "step_id": step.step_id}):
                continue
            yield self._line("step", f"▶ {phrase(step.title)}{_kind(step.kind)}")
        for message in state.messages.values():
            if not message.completed and (end := _unfinished(message)):
                self._open[message.message_id] = end
        yield from self.screen()
        if state.completed is not None:
            yield from self.rest()
            yield from self._ended(state.completed, "")

    def of(self, event: Event) -> Iterator[str]:
        """The lines that one event makes; folds it into the state."""
        before = self._state.plan
        finished = event.type == "run.completed"
        if finished or event.type == "message.started":
            yield from self.rest()
        if finished:
            yield from self.screen()
        elif event.type in ("step.started", "text.delta"):
            yield from self._flush("")  # thoughts have no end of their own: they end where doing or writing begins
        self._state.apply(event)
        if event.type == "terminal.resized" and self._state.terminal is not None:
            yield from self.scrolled()  # from here on they are collected
        data = event.data if isinstance(event.data, dict) else {}
        if event.type in ("plan.created", "plan.updated"):
            yield from self._plan(self._state.plan, before if event.type == "plan.updated" else ())
        elif finished:
            yield from self._ended(data, show_hash(event.hash) if event.hash else "")
        elif event.type in ("text.delta", "reasoning.delta"):
            yield from self._text(event.type, data)
        elif event.type in ("text.completed", "text.retracted"):
            yield from self._flush(data.get("message_id"))
            if event.type == "text.retracted":
                yield self._line("text", f"! taken back: {phrase(data.get('reason'))}")
        elif (say := _SAY.get(event.type)) is not None:
            yield from self._in_groups(event.type, data, say(self._state, data))
        elif event.type not in TYPES:
            self._unknown[event.type] = self._unknown.get(event.type, 0) + 1

    def _in_groups(self, type_: str, data: dict[str, Any], said: Iterator[str]) -> Iterator[str]:
        """The lines of an event; where there are groups, a step that is in no other begins one and ends it."""
        step_id = word(data.get("step_id"))
        if self._group and type_ == "step.completed" and step_id == self._group:
            yield self._end_group()
        kind = _KIND.get(type_, type_.partition(".")[0])
        for text in said:
            if self._groups and not self._group and type_ == "step.started" and step_id:
                self._group = step_id
                yield "::group::" + self._line(kind, text).replace("%", "%25")
            else:
                yield self._line(kind, text)

    def _end_group(self) -> str:
        self._group = ""
        return "::endgroup::"

    def ended(self) -> Iterator[str]:
        """What is left to say when no more events come."""
        if self._group:
            yield self._end_group()
        if self._silent and self._unknown:
            types = ", ".join(phrase(name, 40) for name in list(self._unknown)[:3])
            count = _count(sum(self._unknown.values()), "event")
            yield self._line("run", f"{count} of types that durastream does not know ({types}): see durastream events")

    def scrolled(self) -> Iterator[str]:
        """The lines that have left the screen of the agent's terminal since the last call."""
        if self._state.terminal is None:
            return
        grid = self._state.terminal.grid
        gone, grid.scrolled = grid.scrolled, []
        for text in gone or ():
            yield self._line("screen", visible(text, keep=""))

    def screen(self) -> Iterator[str]:
        """What stands on it; the same is not said twice."""
        yield from self.scrolled()
        lines = last_lines(self._state)
        if lines != self._shown:
            for text in lines:
                yield self._line("screen", text)
        self._shown = lines

    def rest(self) -> Iterator[str]:
        """The unfinished lines, at the end of the events."""
        for name in list(self._open):
            yield from self._flush(name)

    def _line(self, kind: str, text: str) -> str:
        self._silent = False
        if self._groups:
            text = text.replace("##[", "# #[")  # a command to the runner, wherever it stands
        if self._color and text[:1] in _COLORS and kind not in ("text", "thinking", "log", "screen"):
            text = f"\x1b[{_COLORS[text[0]]}m{text[0]}\x1b[0m{text[1:]}"
        return f"{self._prefix()} {kind:<8} {text}".rstrip()

    def _prefix(self) -> str:
        if self._timestamps:
            return phrase(self._state.ts, 40)
        tenths = int(max(0.0, number(self._state.t) or 0.0) * 10)
        minutes, rest = divmod(tenths, 600)
        hours, minutes = divmod(minutes, 60)
        second = f"{rest // 10:02}.{rest % 10}"
        return f"+{hours}:{minutes:02}:{second}" if hours else f"+{minutes}:{second}"

    def _plan(self, plan: list[dict[str, Any]], before: Any) -> Iterator[str]:
        """The plan as a list; after a change, only the entries that changed."""
        if not plan:
            return
        known = {entry["id"]: entry for entry in before}
        changed = [entry for entry in plan if known.get(entry["id"]) != entry]
        gone = len(known.keys() - {entry["id"] for entry in plan})
        done = sum(1 for entry in plan if entry["status"] == "done")
        if not changed and not gone:
            return
        yield self._line("plan", f"{done}/{len(plan)}" + (f"; {gone} taken out" if gone else ""))
        for entry in changed:
            yield self._line("", f"{MARK.get(entry['status'], '·')} {phrase(entry['title'])}")

    def _text(self, type_: str, data: dict[str, Any]) -> Iterator[str]:
        text = data.get("text")
        name = data.get("message_id") if type_ == "text.delta" else ""
        if not isinstance(text, str) or not isinstance(name, str):
            return
        *complete, rest = (self._open.get(name, "") + text).split("\n")
        for one in complete:
            yield from self._said(name, one)
        while len(rest) > LONGEST:
            yield from self._said(name, rest[:LONGEST])
            rest = rest[LONGEST:]
        self._open[name] = rest

    def _said(self, name: str, text: str) -> Iterator[str]:
        yield self._line("text" if name else "thinking", visible(text.removesuffix("\r")))

    def _flush(self, name: object) -> Iterator[str]:
        if isinstance(name, str) and (text := self._open.pop(name, "")):
            yield from self._said(name, text)

    def _ended(self, packet: dict[str, Any], seal: str) -> Iterator[str]:
        state = self._state
        if self._group:
            yield self._end_group()
        mark = MARK.get(word(packet.get("status")), "?")
        yield self._line("run", f"{mark} {ending(packet)} · {amount(state.seq)} events")
        answer = packet.get("answer")
        if isinstance(answer, dict):
            yield self._line(
                "answer", f"{amount(answer.get('length'))} characters · {_count(len(state.sources), 'source')}"
            )
        if (said := verdict(packet)) is not None:
            yield self._line("", " ".join(said))
        findings = packet.get("findings")
        for item in findings if isinstance(findings, list) else []:
            yield self._line("", f"! {finding(item)}")
        if seal:
            yield self._line("seal", seal)


def _unfinished(message: Message) -> str:
    return message.end(LONGEST).rpartition("\n")[2]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _kind(kind: str) -> str:
    return "" if kind == "task" else f" ({phrase(kind, 20)})"


def _run_started(state: RunState, data: dict[str, Any]) -> Iterator[str]:
    named, words = headline(state), command(data)
    yield f"● {named}" + (f": {words}" if words and words != named else "")


def _agent_identified(state: RunState, data: dict[str, Any]) -> Iterator[str]:
    said = [phrase(data.get(name), 80) for name in ("name", "version", "model") if data.get(name)]
    if said:
        yield " ".join(said)


def _planned(state: RunState, data: dict[str, Any]) -> bool:
    """Whether a step is an entry of the plan, of which the plan has told already."""
    return data.get("kind") == "plan" and any(entry["id"] == data.get("step_id") for entry in state.plan)


def _step_started(state: RunState, data: dict[str, Any]) -> Iterator[str]:
    if _planned(state, data):
        return
    yield f"▶ {phrase(data.get('title'))}{_kind(word(data.get('kind'), 'task'))}"


def _step_progress(state: RunState, data: dict[str, Any]) -> Iterator[str]:
    step = state.steps.get(word(data.get("step_id")))
    if step is not None and data.get("message"):
        part = number(data.get("fraction"))
        yield f"  {phrase(step.title, 60)}: " + (f"{part:.0%} " if part is not None else "") + phrase(data["message"])


def _step_completed(state: RunState, data: dict[str, Any]) -> Iterator[str]:
    step = state.steps.get(word(data.get("step_id")))
    if step is not None and not _planned(state, {"kind": step.kind, "step_id": step.step_id}):
        spent, why = duration(step.duration), step_failure(step)
        said = f"{MARK.get(step.status, '?')} {phrase(step.title)}" + (f" ({spent})" if spent else "")
        yield said + (f": {why}" if why else "")


def _source_added(state: RunState, data: dict[str, Any]) -> Iterator[str]:
    source_id = word(data.get("source_id"))
    place = len(state.sources)
    if next(reversed(state.sources), "") != source_id:  # known before: find where it stands
        place = next((n for n, known in enumerate(state.sources, 1) if known == source_id), 0)
    title, address = source(state.sources.get(source_id, data))
    yield f"[{place}] {title}" + (f" {address}" if address else "")


def _quality_checked(state: RunState, data: dict[str, Any]) -> Iterator[str]:
    if by_durastream(data):
        return  # the end tells the verdict
    outcome, detail, score = word(data.get("outcome")), phrase(data.get("detail")), number(data.get("score"))
    said = f"{MARK.get(outcome, '?')} {phrase(data.get('name'))}: {phrase(outcome, 20)}"
    yield said + (f" ({score:.4g})" if score is not None else "") + (f"; {detail}" if detail else "")


def _approval_requested(state: RunState, data: dict[str, Any]) -> Iterator[str]:
    yield f"? {phrase(data.get('title'))}"


def _approval_resolved(state: RunState, data: dict[str, Any]) -> Iterator[str]:
    known = state.approvals.get(word(data.get("approval_id")), {})
    yield f"{phrase(known.get('title'), 80)}: {phrase(data.get('decision'), 40)}"


def _artifact_created(state: RunState, data: dict[str, Any]) -> Iterator[str]:
    yield f"{phrase(data.get('action') or 'add', 20)} {phrase(data.get('path') or data.get('url'))}"


def _error_raised(state: RunState, data: dict[str, Any]) -> Iterator[str]:
    yield f"✗ {phrase(data.get('message'), 400)}"


def _log_line(state: RunState, data: dict[str, Any]) -> Iterator[str]:
    if isinstance(data.get("text"), str):
        yield from visible(data["text"].rstrip("\r\n")).split("\n")


def _raw_rejected(state: RunState, data: dict[str, Any]) -> Iterator[str]:
    yield f"! a line that claims to be an event is none: {phrase(data.get('reason'))}"


def _cancel_requested(state: RunState, data: dict[str, Any]) -> Iterator[str]:
    by = phrase(data.get("by"), 80)
    yield "! cancel requested" + (f" by {by}" if by else "")


def _run_resumed(state: RunState, data: dict[str, Any]) -> Iterator[str]:
    yield f"! recorder resumed: {phrase(data.get('reason'))}"


_SAY: dict[str, Callable[[RunState, dict[str, Any]], Iterator[str]]] = {
    "agent.identified": _agent_identified,
    "approval.requested": _approval_requested,
    "approval.resolved": _approval_resolved,
    "artifact.created": _artifact_created,
    "error.raised": _error_raised,
    "log.line": _log_line,
    "quality.checked": _quality_checked,
    "raw.rejected": _raw_rejected,
    "run.cancel_requested": _cancel_requested,
    "run.resumed": _run_resumed,
    "run.started": _run_started,
    "source.added": _source_added,
    "step.completed": _step_completed,
    "step.progress": _step_progress,
    "step.started": _step_started,
}

_KIND = {"artifact.created": "file", "quality.checked": "check", "raw.rejected": "rejected"}
