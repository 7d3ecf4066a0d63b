"""The judge of what a strike left behind: what was lost, doubled, or is not as it should be in another way."""

from __future__ import annotations

import hashlib
import os
from typing import Any, NamedTuple

from faults_kit import Box, Recording, Written, same_bytes

from durastream.errors import DurastreamError
from durastream.spool import Spool
from durastream.stores.database import settle

__all__ = ["COMPLETED", "Outcome", "Point", "judged", "stored_now"]

COMPLETED = ("completed", 0)
_OF_TIME = {"burst-at-end", "silence"}  # of an agent that is held back at a gate


class Point(NamedTuple):
    """Where to strike: who, on which log, at the nth of which call, and how (`KILL` or the name of an error)."""

    who: str
    log: str
    call: str
    n: int
    how: str = "KILL"
    mode: str = "honest"
    files: bool = False
    """Whether only the calls on the files of the recording count."""


class Outcome(NamedTuple):
    """What a strike did: whether it hit, and how many events were lost, doubled, or wrong in another way."""

    point: Point
    hit: bool
    lost: int = 0
    doubled: int = 0
    wrong: str = ""

    @property
    def sound(self) -> bool:
        return not (self.lost or self.doubled or self.wrong)


def stored_now(box: Box, run_id: str) -> list[str]:
    """The events that anybody finds who repairs nothing; none when there is no recording yet."""
    try:
        return [event.body for event in box.look(run_id).events]
    except (DurastreamError, OSError, AssertionError, ValueError):
        return []


def judged(
    box: Box,
    run_id: str,
    wrote: Written,
    point: Point,
    *,
    told: int = 0,
    before: list[str] | None = None,
    ends: tuple[tuple[str, int | None], ...] = (COMPLETED,),
) -> Outcome:
    """What became of a run that was struck and then recovered.

    `told` is how many events were told as stored, `before` those that were there before anybody repaired anything: the
    ones must be among the others, and these must be where they were. `ends` are the status and exit codes it may have.
    """
    before = before or []
    if len(before) < told:
        return Outcome(point, True, lost=told - len(before))
    try:
        found = box.look(run_id)
    except (DurastreamError, OSError, AssertionError) as error:
        return Outcome(point, True, wrong=f"it cannot be read: {error}")
    counted = [data["n"] for data in found.of("test.counted")]
    kept = found.raw["stdout"]
    lost = len(set(range(wrote.events.count(b"\n"))) - set(counted)) + max(0, len(wrote.stdout) - len(kept))
    doubled = len(counted) - len(set(counted)) + max(0, len(kept) - len(wrote.stdout))
    wrong = ""
    if not (lost or doubled):
        wrong = _wrong(found, wrote, before, ends) or _left(box, run_id, settled=point.how != "KILL")
    return Outcome(point, True, lost, doubled, wrong)


def _wrong(found: Recording, wrote: Written, before: list[str], ends: tuple[tuple[str, int | None], ...]) -> str:
    """What is wrong in a recording that has all events and no event twice."""
    findings = [str(each) for each in found.report.findings if each.code not in _OF_TIME]
    if findings or found.state.completed is None:
        return "; ".join(findings) or "it has no end"
    try:
        same_bytes(found, wrote)
    except AssertionError as error:
        return f"it is not what was written: {error}"[:200]
    if [event.body for event in found.events[: len(before)]] != before:
        return "what was stored before is not there as it was"
    at = dict.fromkeys(wrote._fields, 0)
    for event in found.events:
        if event.src is not None and event.src.stream in at:
            if event.src.offset < at[event.src.stream]:
                return f"event {event.seq} stands behind what was written after it"
            at[event.src.stream] = event.src.offset
    end = found.end
    if (end["status"], end.get("exit_code")) not in ends:
        return f"a dishonest end: {end['status']}, {end.get('exit_code')}"
    if (found.info.status, found.info.exit_code) != (end["status"], end.get("exit_code")):
        return f"`list` shows another end: {found.info.status}, {found.info.exit_code}"
    if found.info.seal != found.report.seal:
        return "its seal is not the hash of its last event"
    sums = {name: {"length": len(each), "sha256": _sum(each)} for name, each in wrote._asdict().items()}
    if end["raw"] != sums:
        return "its end names other bytes than were written"
    return ""


def _sum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _left(box: Box, run_id: str, *, settled: bool) -> str:
    """What a run has left beside its recording, that should have gone; with `settled`, after somebody looked at it."""
    if Spool(box.folder, run_id).exists():
        return "its spool is still there"
    path = box.path(run_id)
    if settled and path.endswith(".db"):
        settle(path)
    others = sorted({*os.listdir(box.folder)} - {".spool", os.path.basename(path)})
    others += [name for name in os.listdir(os.path.join(box.folder, ".spool")) if name.startswith(".")]
    return f"files are left beside it: {', '.join(others)}" if others else ""


def resumed(box: Box, run_id: str) -> int:
    """How many recorders took a run over from another."""
    found: Any = box.look(run_id)
    return len(found.of("run.resumed"))
