"""Does a recording hold? The rules over its events, without a store: what reading gives is what is judged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from durastream import answer
from durastream.errors import RecordingError
from durastream.events import Event
from durastream.rules import Budgets, Course, Finding, first_difference
from durastream.rules.catalogue import RULES
from durastream.rules.cheap import reconciles
from durastream.rules.claims import late, places, wanted
from durastream.rules.coverage import Coverage
from durastream.rules.finding import between
from durastream.rules.log import Log, rejected
from durastream.rules.policy import Policy
from durastream.rules.reconcile import artifacts, reconcile
from durastream.rules.visibility import visibility
from durastream.state import RunState, fork, summary
from durastream.stretch import Pieces, Places, Stretch, joined

__all__ = ["Checker", "Kept", "Report", "Timing", "cut_points", "summed", "verify"]

_CUTS = 16
_ALL_CUTS = 2000
_JOINED = 20_000  # events
_MANY = 20_000
_PACKET = ("status", "answer", "sources", "checks", "steps", "usage")


class Timing(NamedTuple):
    """What a viewer saw when, in seconds of the run; `silent` is the sum of all pauses of more than five."""

    duration: float = 0.0
    first_event: float | None = None
    longest_silence: float = 0.0
    silent: float = 0.0


class Report(NamedTuple):
    """What verifying found. `sealed` is whether the log has its end; `seal` the last hash, as printed."""

    run_id: str
    events: int
    sealed: bool
    seal: str
    findings: list[Finding]
    timing: Timing = Timing()

    @property
    def ok(self) -> bool:
        return not self.findings


class Kept(NamedTuple):
    """What a store holds beside the events, as far as it is known."""

    drafts: Mapping[str, str] | Iterable[tuple[str, str]] | None = None
    """Pieces of the text of each message, in order, those of one message together."""
    sums: Mapping[str, tuple[int, str]] | None = None
    """What `summed` gives of the drafts, where it is known already."""
    raw: Mapping[str, tuple[int, str]] | None = None
    """Length and SHA-256 (hex) of the bytes of each stream."""
    artifacts: Mapping[str, tuple[int, str] | None] | None = None
    """The same of the files that the run named; None for one that is not there."""


class Checker:
    """Takes the events of a run in order, then tells what does not hold.

    `cuts` are seqs at which late join is tried; `snapshots` are stored states, by the seq they were taken at, each
    fetched when its event has been read; `streams` are the raw bytes kept of each stream, if any are. What it
    holds in memory does not grow with the length of the run, but with its steps, sources and messages.
    """

    def __init__(
        self,
        run_id: str,
        *,
        cuts: Iterable[int] = (),
        snapshots: Mapping[int, Callable[[], RunState]] | None = None,
        streams: Mapping[str, Iterable[bytes]] | None = None,
        budgets: Budgets = Budgets(),
        required: Iterable[str] = (),
    ) -> None:
        self.state = RunState()
        self.course = Course()
        self.findings: list[Finding] = []
        self._run_id = run_id
        self._log = Log(run_id)
        self._budgets = budgets
        self._required = frozenset(required)
        self._cuts = sorted(set(cuts), reverse=True)
        self._joined: RunState | None = None
        self._joined_at = 0
        self._snapshots = dict(snapshots or {})
        self._coverage = {name: Coverage(name, raw) for name, raw in (streams or {}).items()}
        self._packets: list[tuple[int, dict[str, Any], dict[str, Any]]] = []

    @property
    def seq(self) -> int:
        """The number of the last event that was taken."""
        return self._log.seq

    @property
    def hash(self) -> bytes:
        """The hash that the chain has there."""
        return self._log.hash

    def until(self, most: int) -> int:
        """How many of the next events may come as one stretch: states are compared at the end of one."""
        stops = [*self._cuts[-1:], *self._snapshots]
        return min([most, *(stop - self.seq for stop in stops if stop > self.seq)])

    def take_stretch(self, stretch: Stretch) -> bool:
        """Check and fold the next events, condensed; False, and nothing is taken, when they do not simply go on.

        Then, or when there is no stretch to be made of them, `take` says of the same events what does not hold.
        """
        if not self._log.follows(stretch):
            return False
        self._log.pass_over(stretch)
        self._fold(stretch.parts, stretch.last)
        for name, coverage in self._coverage.items():
            if name in stretch.places:
                coverage.take_many(stretch.places[name])
        self._drain()
        return True

    def take(self, events: Sequence[Event]) -> None:
        """Check and fold the next events."""
        self._log.take(events)
        for part in self._parts(events):
            if not part:
                continue
            if part[0].type == "run.completed" and not self._packets:
                self._packets.append((part[0].seq, part[0].data, self._packet(part[0].data)))
            self._fold(joined(part), part[-1].seq)
        for name, coverage in self._coverage.items():
            mine = [(event[0], event[5]) for event in events if event[5] is not None and event[5][0] == name]
            lengths = [src[2] for _, src in mine]
            lined = lengths.count(None) == len(lengths)
            coverage.take_many(Places([e[0] for e in mine], [src[1] for _, src in mine], None if lined else lengths))
        self._drain()

    def _drain(self) -> None:
        """Let go of text that was folded."""
        self.state.drain()
        if self._joined is not None:
            self._joined.drain()

    def _parts(self, events: Sequence[Event]) -> Iterable[Sequence[Event]]:
        """The events up to each place where states are compared, then the rest: nearly always all of them."""
        last = events[-1].seq if events else 0
        ends = self._log.ended is not None and not self._packets
        if not (ends or (self._cuts and self._cuts[-1] <= last) or any(seq <= last for seq in self._snapshots)):
            yield events
            return
        start = 0
        for at, event in enumerate(events):
            end = ends and event.type == "run.completed"
            if end and at > start:
                yield events[start:at]
                start = at
            if end or event.seq in self._snapshots or (self._cuts and self._cuts[-1] <= event.seq):
                yield events[start : at + 1]
                start = at + 1
        yield events[start:]

    def _fold(self, parts: Iterable[Event | Pieces], seq: int) -> None:
        """Fold events up to this one, and compare states if this is a place for it."""
        for part in parts:
            if isinstance(part, Event):
                self.course.follow((part,), self.state)
                if self._joined is not None:
                    self._joined.apply(part)
                continue
            for t, late_, count, first in part.moments:
                self.course.seen(t, count, first, late=late_)
            self.state.extend(part)
            if self._joined is not None:
                self._joined.extend(part)
        if seq in self._snapshots:
            self._compare_snapshot(seq, self._snapshots.pop(seq))
        if self._cuts and self._cuts[-1] <= seq:
            while self._cuts and self._cuts[-1] <= seq:
                self._cuts.pop()
            self._join(seq)
        elif seq - self._joined_at >= _JOINED:
            self._leave()

    def _join(self, seq: int) -> None:
        """A late joiner comes; the one before leaves."""
        self._leave()
        self._joined, self._joined_at = fork(self.state), seq

    def _leave(self) -> None:
        """Who joined late must have come to the same state as who read from the start: then it stays the same."""
        if self._joined is not None and summary(self._joined) != summary(self.state):
            self.found(
                "late-join",
                f"joining at event {self._joined_at} gives another state than reading from the start",
                self._joined_at,
            )
        self._joined = None

    def found(self, code: str, message: str, seq: int | None = None) -> None:
        """Note something that does not hold."""
        self.findings.append(Finding(code, message, seq))

    def _packet(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """The packet that the events so far give."""
        return answer.packet(self.state, _ended(told), ())

    def report(self, kept: Kept = Kept(), again: Callable[[], Iterable[Sequence[Event]]] | None = None) -> Report:
        """What does not hold after the last event.

        `again` reads the events once more, which is done when the place of some words in the log is wanted.
        """
        state = self.state
        found = [
            *self._log.report(malformed=state.malformed, malformed_seq=state.malformed_seq),
            *rejected(self.course),
        ]
        found += self._covered()
        if self._log.ended is not None:
            found += visibility(state, self.course, self._budgets)
            found += reconcile(state, self.course, _ended(state.completed or {}), required=self._required)
            found += artifacts(state, kept.artifacts or {})
        self.findings += self._placed(found, again)
        for seq, told, mine in self._packets:
            self._compare_packet(told, mine, seq)
        self._compare_drafts(kept)
        if self._coverage or kept.raw is not None:
            self._compare_raw(kept.raw or {})
        self._leave()
        order = {code: at for at, code in enumerate(RULES)}
        self.findings.sort(key=lambda each: order.get(each.code, len(order)))
        ended = self._log.ended is not None
        return Report(self._run_id, self._log.seq, ended, self._log.seal, self.findings, self._timing())

    def _timing(self) -> Timing:
        longest, _, silent = self.course.silences(self.state.t)
        first = self.course.first
        return Timing(
            round(self.state.t, 6), None if first is None else round(first, 6), round(longest, 6), round(silent, 6)
        )

    def _covered(self) -> list[Finding]:
        """Bytes that stand in no event, of streams that were read to their end without a break."""
        found = []
        whole = _object((self.state.completed or {}).get("raw"))
        for name, coverage in self._coverage.items():
            adapted = name == "stdout" and self.state.agent.get("format") is not None
            said = coverage.report(gapless=not adapted)
            told = _object(whole.get(name))
            if coverage.fault is not None:
                found.append(Finding("raw", coverage.fault))
            elif (told.get("length"), told.get("sha256")) == (coverage.length, coverage.sha256):
                found += said  # of other bytes than were recorded it says nothing that is not known
        return found

    def _placed(self, found: list[Finding], again: Callable[[], Iterable[Sequence[Event]]] | None) -> list[Finding]:
        """Findings with the events that wrote what they are about, and sources that came after their claims."""
        asked = [each.place for each in found if each.place is not None]
        claimed = wanted(self.state) if self._log.ended is not None else []
        if again is None or not (asked or claimed):
            return found
        written = places(again(), (*asked, *claimed))
        placed = []
        for each in found:
            seq = written.get(each.place) if each.place is not None else None
            if seq is not None and each.seq is not None and seq != each.seq:
                placed.append(each._replace(message=f"{each.message}; event {seq} wrote it"))
            else:
                placed.append(each._replace(seq=each.seq if seq is None else seq))
        return placed + late(self.state, self.course, written)

    def _compare_packet(self, packet: Mapping[str, Any], mine: Mapping[str, Any], seq: int) -> None:
        """The packet that was stored against the one that the events give."""
        for name in _PACKET:
            if mine.get(name) == packet.get(name):
                continue
            if name == "answer":
                self._compare_answer(_object(packet.get(name)), _object(mine.get(name)), seq)
            else:
                told, found = _brief(packet.get(name)), _brief(mine.get(name))
                self.found("packet", f"run.completed says {name} {told}, its events say {found}", seq)
        listed = packet.get("findings")
        agrees = reconciles(listed if isinstance(listed, list) else [])
        if packet.get("reconciled") is not agrees:
            told = _brief(packet.get("reconciled"))
            self.found("packet", f"run.completed says reconciled {told}, its own findings say {agrees}", seq)

    def _compare_answer(self, told: Mapping[str, Any], folded: Mapping[str, Any], seq: int) -> None:
        """The final answer against the text that was streamed: which message, how long, where they part."""
        if told.get("message_id") != folded.get("message_id"):
            names = f"{told.get('message_id')!r}, its events {folded.get('message_id')!r}"
            self.found("answer-differs", f"run.completed says the answer is message {names}", seq)
            return
        where = ""
        left, right = folded.get("text"), told.get("text")
        if isinstance(left, str) and isinstance(right, str):
            at = first_difference(left, right)
            where = ", in what is said of it and not in the text"
            if at is not None:
                where = f", first at character {at} ({between(left, at)} streamed, {between(right, at)} in the answer)"
        lengths = f"{folded.get('length')} characters streamed, {told.get('length')} in the answer"
        hashes = f"sha256 {str(folded.get('sha256'))[:12]}… and {str(told.get('sha256'))[:12]}…"
        self.found("answer-differs", f"the final answer differs from the stream{where} ({lengths}; {hashes})", seq)

    def _compare_drafts(self, kept: Kept) -> None:
        if kept.drafts is None and kept.sums is None:
            return
        try:
            drafts = kept.drafts if kept.drafts is not None else ()
            sums = kept.sums if kept.sums is not None else summed(drafts)
        except RecordingError as error:
            self.found("draft", str(error))
            return
        messages = {**self.state.messages, "#reasoning": self.state.reasoning}
        for message_id in sorted(messages.keys() | sums.keys()):
            message = messages.get(message_id)
            length, sha256 = sums.get(message_id) or (0, hashlib.sha256().hexdigest())
            streamed = message.length if message is not None else 0
            if length != streamed or (message is not None and sha256 != message.sha256()):
                lengths = f"{length} characters kept, {streamed} streamed"
                self.found("draft", f"the stored draft of {message_id!r} differs from its events ({lengths})")

    def _compare_snapshot(self, seq: int, fetch: Callable[[], RunState]) -> None:
        try:
            same = summary(fetch()) == summary(self.state)
        except RecordingError as error:
            self.found("snapshot", str(error), seq)
            return
        if not same:
            self.found("snapshot", f"the snapshot stored at event {seq} differs from its events", seq)

    def _compare_raw(self, raw: Mapping[str, tuple[int, str]]) -> None:
        broken = {name for name, each in self._coverage.items() if each.fault is not None}
        read = {name: (each.length, each.sha256) for name, each in self._coverage.items() if name not in broken}
        sums = {**raw, **read}
        keeps = (self.state.started or {}).get("raw") is True or bool(broken) or any(each[0] for each in sums.values())
        for stream, told in _object((self.state.completed or {}).get("raw")).items():
            named, (length, sha256) = _object(told), sums.get(stream, (0, ""))
            if not keeps or stream in broken:
                continue  # there is nothing to compare, or it cannot be read, which was said
            if not length and named.get("length"):
                message = f"the raw bytes of {stream} are not there: {named['length']} were recorded"
                self.found("raw", message, self._log.ended)
            elif stream in sums and (named.get("length"), named.get("sha256")) != (length, sha256):
                self.found("raw", f"the raw bytes kept of {stream} are not those that were recorded", self._log.ended)


def _object(value: object) -> Mapping[str, Any]:
    """What is said of something, if anything is: a recording may hold whatever was put into it."""
    return value if isinstance(value, dict) else {}


def _ended(packet: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """How the agent's process ended, if that was seen."""
    known = packet.get("exit_code") is not None or packet.get("signal") is not None
    return {"exit_code": packet.get("exit_code"), "signal": packet.get("signal")} if known else None


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def summed(drafts: Mapping[str, str] | Iterable[tuple[str, str]]) -> dict[str, tuple[int, str]]:
    """Length in characters and SHA-256 (hex) of each draft. Raises RecordingError when one cannot be read."""
    sums: dict[str, tuple[int, Any]] = {}
    for message_id, text in drafts.items() if isinstance(drafts, Mapping) else drafts:
        length, digest = sums.get(message_id) or (0, hashlib.sha256())
        digest.update(text.encode("utf-8", "replace"))
        sums[message_id] = (length + len(text), digest)
    return {message_id: (length, digest.hexdigest()) for message_id, (length, digest) in sums.items()}


def cut_points(last: int) -> list[int]:
    """Where late join is tried: everywhere in a short run, spread over a long one, its ends included."""
    if last <= _ALL_CUTS:
        return list(range(1, last + 1))
    count = _CUTS if last <= _MANY else 3  # each looks at the whole state, which may be large by then
    return [1 + index * (last - 1) // (count - 1) for index in range(count)]


def verify(run_id: str, events: Sequence[Event], kept: Kept = Kept(), policy: Policy = Policy()) -> Report:
    """Check a run given whole."""
    checker = Checker(run_id, cuts=cut_points(len(events)), budgets=policy.budgets, required=policy.required_checks)
    checker.take(events)
    report = checker.report(kept, lambda: [events])
    return report._replace(findings=policy.chosen(report.findings))
