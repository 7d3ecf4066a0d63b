"""Is the log whole, and what stands in it that should be looked at? Rules over every event, cheap ones first."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from durastream.events import TYPES, Event, genesis, show_hash
from durastream.rules.course import Course, by_durastream
from durastream.rules.finding import Finding, counted
from durastream.stretch import Stretch

__all__ = ["Log", "rejected"]

_SHOWN = 5
_MOST = 100


class Log:
    """Takes all events in order: numbers, times, hashes, one start, one end."""

    def __init__(self, run_id: str) -> None:
        self.findings: list[Finding] = []
        self.seq = 0
        self.ended: int | None = None
        self.hash = genesis(run_id)
        self._t = 0.0
        self._broken = False
        self._unknown: dict[str, list[int]] = {}
        self._unmapped: list[int] = []
        self._late: list[list[int]] = []
        self._resumed: list[int] = []

    @property
    def seal(self) -> str:
        return show_hash(self.hash)

    def take(self, events: Sequence[Event]) -> None:
        """Check the next events. This is the hot path of `verify`: nine of ten pass straight through."""
        seq, t, digest, broken, ended = self.seq, self._t, self.hash, self._broken, self.ended
        sha256, known = hashlib.sha256, _PLAIN
        for event in events:
            number, _, when, type_, _, _, late, body, told = event
            if number != seq + 1:
                self._found("seq-gap", f"event {number} follows event {seq}", number)
            seq = number
            if when < t:
                self._found("time-back", f"event {seq} is timed {when:.6f} s, before {t:.6f} s", seq)
            else:
                t = when
            digest = sha256(digest + body.encode()).digest()
            if digest != told:  # of most hashes a store keeps the first bytes
                if not (told and digest.startswith(told)) and not broken:
                    broken = True  # everything behind the first break differs: naming it again says nothing
                    self._found("hash-chain", f"event {seq} is not what was stored: its hash does not fit", seq)
                if len(told) == len(digest):
                    digest = told
            if ended is not None:
                self._found("after-end", f"event {seq} comes after run.completed", seq)
            if late:
                self._read_late(seq)
            if type_ not in known or seq == 1:
                self._special(event)
                ended = self.ended
        self.seq, self._t, self.hash, self._broken = seq, t, digest, broken

    def follows(self, stretch: Stretch) -> bool:
        """Whether a stretch goes on where this stands, with nothing before it that would have to be told of it."""
        return (
            not self._broken
            and self.ended is None
            and (stretch.first, stretch.before) == (self.seq + 1, self.hash)
            and stretch.began >= self._t
        )

    def pass_over(self, stretch: Stretch) -> None:
        """Take a stretch that follows: what is left to look at are its events."""
        for part in stretch.parts:
            if type(part) is Event:
                if part.late:
                    self._read_late(part.seq)
                if part.type not in _PLAIN or part.seq == 1:
                    self._special(part)
        self.seq, self._t, self.hash = stretch.last, stretch.t, stretch.hash

    def _found(self, code: str, message: str, seq: int | None = None) -> None:
        if len(self.findings) < _MOST:
            self.findings.append(Finding(code, message, seq))

    def _read_late(self, seq: int) -> None:
        if self._late and self._late[-1][1] == seq - 1:
            self._late[-1][1] = seq
        elif len(self._late) < _MOST:
            self._late.append([seq, seq])

    def _special(self, event: Event) -> None:
        """One start, one end, and what durastream would have to look at."""
        type_, seq = event.type, event.seq
        if (type_ == "run.started") != (seq == 1):
            self._found("run-start", "the first event, and no other, must be run.started", seq)
        if type_ not in TYPES:
            if type_ in self._unknown or len(self._unknown) < _MOST:
                self._unknown.setdefault(type_, []).append(seq)
        elif type_ == "run.completed":
            if self.ended is None:
                self.ended = seq
            count = event.data.get("events")
            if count != seq:
                self._found("event-count", f"run.completed counts {count} events, there are {seq}", seq)
        elif type_ == "run.resumed":
            self._resumed.append(seq)
        elif type_ == "raw.event":
            self._unmapped.append(seq)
        elif event.src is not None and by_durastream(event.data):
            self._found("check-forged", f"event {seq} says that durastream found it, and the agent wrote it", seq)

    def report(self, *, malformed: int, malformed_seq: int | None) -> list[Finding]:
        """What is to be said after the last event."""
        found = list(self.findings)
        if self.seq == 0:
            found.append(Finding("empty", "the recording holds no event"))
        elif self.ended is None:
            message = f"the log has no end: its last event is {self.seq}, not run.completed"
            found.append(Finding("unsealed", message, self.seq))
        if malformed:
            message = f"{counted(malformed, 'event')} without the fields of the type"
            found.append(Finding("malformed", message, malformed_seq))
        for type_, seqs in self._unknown.items():
            found.append(
                Finding(
                    "type-unknown",
                    f"{counted(len(seqs), 'event')} of the type {type_[:100]}, which is not ours",
                    seqs[0],
                )
            )
        if self._unmapped:
            message = f"{counted(len(self._unmapped), 'event')} of the agent without a mapping: kept as raw.event"
            found.append(Finding("event-unmapped", message, self._unmapped[0]))
        for first, last in self._late[:_SHOWN]:
            found.append(Finding("read-late", f"events {first} to {last} have the time of their reading", first))
        for seq in self._resumed[:_SHOWN] if not self._late else ():
            found.append(Finding("read-late", "a new recorder took over", seq))
        return found


_PLAIN = TYPES - {"quality.checked", "raw.event", "run.completed", "run.resumed", "run.started"}


def rejected(course: Course) -> list[Finding]:
    """Lines that claimed to be events, and were none."""
    if not course.rejected:
        return []
    seq, reason = course.rejected[0]
    lines = counted(len(course.rejected), "line")
    message = f"{lines} claimed to be an event, and not valid: {reason}"
    return [Finding("line-rejected", message, seq)]
