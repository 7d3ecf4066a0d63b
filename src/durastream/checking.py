"""Verifies a recording through its reader: what the rules want is read here, once, and handed to them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from functools import partial
from itertools import chain

from durastream.follow import read_all
from durastream.rules.policy import Policy
from durastream.spool import STREAMS
from durastream.state import RunState
from durastream.stores import Reader
from durastream.verify import Checker, Kept, Report, cut_points

__all__ = ["check"]

_SNAPSHOTS = 3
_PIECE = 1 << 20


def check(reader: Reader, policy: Policy = Policy(), *, seal: str | None = None, live: bool = False) -> Report:
    """What does not hold in a recording, as far as a policy asks for it.

    `seal` is what its last hash must be; `live` says that it is still being recorded. Raises RecordingError when it
    cannot be read at all.
    """
    stored = reader.snapshots()
    tried = stored[:: max(1, len(stored) // _SNAPSHOTS)]
    checker = Checker(
        reader.run_id,
        cuts=cut_points(reader.head().seq),
        snapshots={seq: partial(reader.snapshot, seq, text=False) for seq in tried},
        streams=_streams(reader),
        budgets=policy.budgets,
        required=policy.required_checks,
    )
    for batch in read_all(reader):
        checker.take(batch)
    for damage in reader.damage:
        checker.found("unreadable", damage)
    if getattr(reader, "torn", False):
        checker.found("torn", "the file ends in the middle of a line")
    files = _files(checker.state) if policy.artifacts else None
    report = checker.report(Kept(drafts=reader.draft_pieces(), artifacts=files), partial(read_all, reader))
    found = report.findings
    if live and not report.sealed:
        found[:] = [each for each in found if each.code != "unsealed"]
        checker.found("unsealed", f"it is still being recorded: so far {report.events} events, and no end")
    if seal is not None and report.seal.removeprefix("sha256:") != seal.strip().lower().removeprefix("sha256:"):
        checker.found("seal", f"the seal is {report.seal}, not {seal}")
    return report._replace(findings=policy.chosen(found))


def _streams(reader: Reader) -> dict[str, Iterable[bytes]]:
    """The raw bytes of each stream, if any are kept."""
    pieces = {stream: iter(reader.raw(stream)) for stream in STREAMS}
    first = {stream: next(each, b"") for stream, each in pieces.items()}
    return {stream: chain([first[stream]], pieces[stream]) for stream in STREAMS} if any(first.values()) else {}


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
