"""Does a recording hold? Checks over its events, without a store: what reading gives is what is judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from durastream import answer
from durastream.answer import Finding, first_difference
from durastream.errors import RecordingError
from durastream.events import Event, chain, genesis, show_hash
from durastream.state import RunState

__all__ = ["Checker", "Report", "cut_points", "verify"]

_CUTS = 16
_PACKET = ("status", "answer", "sources", "checks", "steps", "usage", "reconciled")


class Report(NamedTuple):
    """What verifying found. `sealed` is whether the log has its end; `seal` the last hash, as printed."""

    run_id: str
    events: int
    sealed: bool
    seal: str
    findings: list[Finding]

    @property
    def ok(self) -> bool:
        return not self.findings


class Checker:
    """Takes the events of a run in order, then tells what does not hold.

    `cuts` are seqs at which late join is tried; `snapshots` are stored states, by the seq they were taken at, each
    fetched when its event has been read.
    """

    def __init__(
        self,
        run_id: str,
        *,
        cuts: Iterable[int] = (),
        snapshots: Mapping[int, Callable[[], RunState]] | None = None,
    ) -> None:
        self.state = RunState()
        self.findings: list[Finding] = []
        self._run_id = run_id
        self._hash = genesis(run_id)
        self._broken = False
        self._seq = 0
        self._t = 0.0
        self._open: set[str] = set()
        self._ended: int | None = None
        self._packet: dict[str, Any] | None = None
        self._cuts = sorted(set(cuts), reverse=True)
        self._joined: list[tuple[int, RunState]] = []
        self._snapshots = dict(snapshots or {})

    def take(self, events: Sequence[Event]) -> None:
        """Check and fold the next events."""
        for event in events:
            self._sequence(event)
            self._chain(event)
            if event.type.startswith(("run.", "step.")):
                self._order(event)
            self.state.apply(event)
            for _, joined in self._joined:
                joined.apply(event)
            while self._cuts and self._cuts[-1] <= event.seq:
                self._cuts.pop()
                self._joined.append((event.seq, RunState.load(self.state.dump())))
            if event.seq in self._snapshots:
                self._compare_snapshot(event.seq, self._snapshots.pop(event.seq))

    def found(self, code: str, message: str, seq: int | None = None) -> None:
        """Note something that does not hold."""
        self.findings.append(Finding(code, message, seq))

    def _sequence(self, event: Event) -> None:
        if event.seq != self._seq + 1:
            self.found("seq-gap", f"event {event.seq} follows event {self._seq}", event.seq)
        self._seq = event.seq
        if event.t < self._t:
            self.found("time-back", f"event {event.seq} is timed {event.t:.6f} s, before {self._t:.6f} s", event.seq)
        self._t = max(self._t, event.t)
        if (event.type == "run.started") != (event.seq == 1):
            self.found("run-start", "the first event, and no other, must be run.started", event.seq)
        if self._ended is not None:
            self.found("after-end", f"event {event.seq} comes after run.completed", event.seq)

    def _chain(self, event: Event) -> None:
        if chain(self._hash, event.body) != event.hash and not self._broken:
            self._broken = True  # everything behind the first break differs: naming it again says nothing
            self.found("hash-chain", f"event {event.seq} is not what was stored: its hash does not fit", event.seq)
        self._hash = event.hash

    def _order(self, event: Event) -> None:
        """One end, and steps opened before they are closed."""
        type_, data, seq = event.type, event.data, event.seq
        if type_ == "run.completed":
            self._ended = seq
            self._packet = data
            if data.get("events") != seq:
                self.found("event-count", f"run.completed counts {data.get('events')} events, there are {seq}", seq)
            self._compare_packet(data, seq)
        step_id = str(data.get("step_id"))
        if type_ == "step.started":
            if step_id in self._open:
                self.found("step-reopened", f"step {step_id} was started again while it was open", seq)
            self._open.add(step_id)
        elif type_ == "step.completed":
            if step_id not in self._open:
                self.found("step-unopened", f"step {step_id} was completed, and not open", seq)
            self._open.discard(step_id)

    def _compare_packet(self, packet: Mapping[str, Any], seq: int) -> None:
        """The packet that was stored against the one that the events give."""
        given = {"exit_code": packet.get("exit_code"), "signal": packet.get("signal")}
        known = given if given["exit_code"] is not None or given["signal"] is not None else None
        mine = answer.packet(self.state, known)
        for name in _PACKET:
            if mine.get(name) == packet.get(name):
                continue
            if name == "answer":
                self._compare_answer(_object(packet.get(name)), _object(mine.get(name)), seq)
            else:
                told, found = _brief(packet.get(name)), _brief(mine.get(name))
                self.found("packet", f"run.completed says {name} {told}, its events say {found}", seq)

    def _compare_answer(self, told: Mapping[str, Any], folded: Mapping[str, Any], seq: int) -> None:
        """The final answer against the text that was streamed: which message, how long, where they part."""
        if told.get("message_id") != folded.get("message_id"):
            names = f"{told.get('message_id')!r}, its events {folded.get('message_id')!r}"
            self.found("answer-differs", f"run.completed says the answer is message {names}", seq)
            return
        where = ""
        if isinstance(told.get("text"), str) and isinstance(folded.get("text"), str):
            at = first_difference(folded["text"], told["text"])
            where = f", first at character {at}" if at is not None else ", in what is said of it and not in the text"
        lengths = f"{folded.get('length')} characters streamed, {told.get('length')} in the answer"
        hashes = f"sha256 {str(folded.get('sha256'))[:12]}… and {str(told.get('sha256'))[:12]}…"
        self.found("answer-differs", f"the final answer differs from the stream{where} ({lengths}; {hashes})", seq)

    def report(
        self, drafts: Mapping[str, str] | None = None, raw: Mapping[str, tuple[int, str]] | None = None
    ) -> Report:
        """What does not hold after the last event.

        `drafts` are the texts that the store kept beside the events, `raw` is length and SHA-256 (hex) of the bytes it
        kept of each stream.
        """
        if self._seq == 0:
            self.found("empty", "the recording holds no event")
        elif self._ended is None:
            self.found("unsealed", f"the log has no end: its last event is {self._seq}, not run.completed")
        if self._ended is not None:
            for finding in answer.reconcile(self.state):
                self.findings.append(finding)
        self._compare_drafts(drafts)
        self._compare_raw(raw or {})
        self._compare_joined()
        if self.state.malformed:
            self.found("malformed", f"{self.state.malformed} events do not have the fields of their type")
        return Report(self._run_id, self._seq, self._ended is not None, show_hash(self._hash), self.findings)

    def _compare_drafts(self, drafts: Mapping[str, str] | None) -> None:
        if drafts is None:
            return
        folded = {message.message_id: message.text for message in self.state.messages.values()}
        folded["#reasoning"] = self.state.reasoning.text
        for message_id in sorted(folded.keys() | drafts.keys()):
            at = first_difference(folded.get(message_id, ""), drafts.get(message_id, ""))
            if at is not None:
                self.found("draft", f"the stored draft of {message_id!r} differs from its events at character {at}")

    def _compare_snapshot(self, seq: int, fetch: Callable[[], RunState]) -> None:
        try:
            same = fetch().dump() == self.state.dump()
        except RecordingError as error:
            self.found("snapshot", str(error), seq)
            return
        if not same:
            self.found("snapshot", f"the snapshot stored at event {seq} differs from its events", seq)

    def _compare_raw(self, raw: Mapping[str, tuple[int, str]]) -> None:
        for stream, (length, sha256) in raw.items():
            told = _object(_object(self._packet).get("raw"))
            named = _object(told.get(stream))
            if stream in told and (named.get("length"), named.get("sha256")) != (length, sha256):
                self.found("raw", f"the raw bytes kept of {stream} are not those that were recorded")

    def _compare_joined(self) -> None:
        """Late join: who came at a cut point knows what everybody knows."""
        whole = self.state.dump()
        for seq, joined in self._joined:
            if joined.dump() != whole:
                self.found("late-join", f"joining at event {seq} gives another state than reading from the start", seq)


def _object(value: object) -> Mapping[str, Any]:
    """What is said of something, if anything is: a recording may hold whatever was put into it."""
    return value if isinstance(value, dict) else {}


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def cut_points(last: int) -> list[int]:
    """Where late join is tried: spread over the run, its ends included."""
    if last <= _CUTS:
        return list(range(1, last + 1))
    count = _CUTS if last <= 20_000 else 3  # each is a second fold of what follows
    return [1 + index * (last - 1) // (count - 1) for index in range(count)]


def verify(run_id: str, events: Sequence[Event], drafts: Mapping[str, str] | None = None) -> Report:
    """Check a run given whole."""
    checker = Checker(run_id, cuts=cut_points(len(events)))
    checker.take(events)
    return checker.report(drafts)
