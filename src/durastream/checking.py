"""Verifies a recording through its reader: what the rules want is read here, once, and handed to them."""

from __future__ import annotations

import hashlib
import os
from functools import partial

from durastream import evaluations
from durastream.ahead import Ahead, start
from durastream.collector import uncollected
from durastream.follow import read_all
from durastream.kept import run_fields
from durastream.rules import Finding
from durastream.rules.policy import Policy
from durastream.seals import signature_faults
from durastream.spool import STREAMS
from durastream.state import RunState
from durastream.stores import Reader
from durastream.stores.sqlite_reader import SqliteReader
from durastream.stretch import STRETCH, condense
from durastream.verify import Checker, Kept, Report, cut_points

__all__ = ["check"]

_SNAPSHOTS = 3
_FEW = 1000
_MANY = 50_000
_PIECE = 1 << 20


def check(
    reader: Reader,
    policy: Policy = Policy(),
    *,
    seal: str | None = None,
    signed: tuple[str, str] | None = None,
    live: bool = False,
    cores: int = 1,
) -> Report:
    """What does not hold in a recording, as far as a policy asks for it.

    `seal` is what its last hash must be, `signed` the files of a signature of it and of a public key; `live` says that
    it is still being recorded. With more than one of `cores`, which takes a process of one thread, a long recording is
    read by two processes; what is found is the same. Raises RecordingError when it cannot be read at all.
    """
    stored = reader.snapshots()
    last = reader.head().seq
    tried = stored[:: max(1, len(stored) // _SNAPSHOTS)]
    checker = Checker(
        reader.run_id,
        cuts=cut_points(last),
        snapshots={seq: partial(reader.snapshot, seq, text=False) for seq in tried},
        streams={stream: reader.raw(stream) for stream in STREAMS},
        budgets=policy.budgets,
        required=policy.required_checks,
    )
    ahead = start(reader, last) if cores > 1 and last >= _MANY and isinstance(reader, SqliteReader) else None
    try:
        with uncollected():
            _read(reader, checker, ahead)
        sums = ahead.sums() if ahead is not None and not live else None  # of a live run they are older than its events
    finally:
        if ahead is not None:
            ahead.close()
    kept = Kept(
        drafts=reader.draft_pieces(checker.state if live else None) if sums is None else None,
        sums=sums,
        artifacts=_files(checker.state) if policy.artifacts else None,
    )
    report = checker.report(kept, partial(read_all, reader, whole=False))
    found = [*report.findings, *run_fields(reader, checker.state)]
    found += [Finding("unreadable", damage) for damage in reader.damage]
    found += [Finding("addendum", fault) for fault in evaluations.faults(reader)]
    if isinstance(reader, SqliteReader):
        found += [Finding("schema", fault) for fault in reader.schema_faults()]
    if getattr(reader, "torn", False):
        found.append(Finding("torn", "the file ends in the middle of a line"))
    if live and not report.sealed:
        found = [each for each in found if each.code != "unsealed"]
        found.append(Finding("unsealed", f"it is still being recorded: so far {report.events} events, and no end"))
    asked = []  # by hand, of this one run: no configuration filters it
    if seal is not None and report.seal.removeprefix("sha256:") != seal.strip().lower().removeprefix("sha256:"):
        asked.append(Finding("seal", f"the seal is {report.seal}, not {seal}"))
    for fault in signature_faults(*signed, report.run_id, report.seal) if signed is not None else ():
        asked.append(Finding("signature", fault))
    return report._replace(findings=[*asked, *policy.chosen(found)])


def _read(reader: Reader, checker: Checker, ahead: Ahead | None) -> None:
    """Give the checker all events: in stretches as long as nothing is wrong, and as they are where it may be."""
    while True:
        most = checker.until(STRETCH - checker.seq % STRETCH)
        stretch = ahead.take(checker.seq + 1) if ahead is not None and most == STRETCH else None
        if stretch is None and most >= _FEW:
            rows = reader.rows(checker.seq, most)
            stretch = condense(checker.hash, checker.seq + 1, rows) if rows else None
        if stretch is None or not checker.take_stretch(stretch):
            events = reader.read(checker.seq, max(most, _FEW), whole=False)
            if not events:
                return
            checker.take(events)


def _files(state: RunState) -> dict[str, tuple[int, str] | None]:
    """Length and SHA-256 of the files that a run named, where its folder was."""
    cwd = (state.started or {}).get("cwd")
    paths = {str(data["path"]) for data in state.artifacts if isinstance(data.get("path"), str)}
    return {path: _sum(os.path.join(cwd if isinstance(cwd, str) else "", path)) for path in paths}


def _sum(path: str) -> tuple[int, str] | None:
    if not os.path.isfile(path):
        return None
    digest, length = hashlib.sha256(), 0
    try:
        with open(path, "rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                length += len(piece)
    except OSError:
        return None
    return length, digest.hexdigest()
