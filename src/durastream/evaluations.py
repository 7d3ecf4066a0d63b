"""Evaluations of finished runs: what somebody finds of a recording later, kept beside it and chained to its seal.

    from durastream import evaluations

    evaluations.add("demo", "faithful", "pass", score=0.92, by="judge")
    for each in evaluations.read("demo"):
        print(each.name, each.outcome, each.score)

A run is named as on the command line: an id, a prefix of one, `latest`, a name, or the path of a recording.
"""

from __future__ import annotations

import os
import time
from math import isfinite

from durastream.configuration import asked_redaction
from durastream.errors import DurastreamError, RunNotFound, UsageError
from durastream.ledger import now_text
from durastream.location import find_store
from durastream.redaction.redactor import Redactor
from durastream.stores import FolderStore, Reader
from durastream.stores.addenda import Addendum as Evaluation
from durastream.stores.addenda import append, load
from durastream.stores.folder import open_reader

__all__ = ["OUTCOMES", "Evaluation", "add", "evaluate", "faults", "known", "read"]

OUTCOMES = ("pass", "fail", "warn")

_LONGEST = 64 * 1024


def add(
    run: str,
    name: str,
    outcome: str,
    *,
    score: float | None = None,
    detail: str | None = None,
    by: str | None = None,
    store: str | None = None,
) -> Evaluation:
    """Add an evaluation to a finished run; the recording stays as it was.

    Raises UsageError for a value that cannot be meant, RecordingError when the run cannot be read or its evaluations do
    not hold, DurastreamError when it has no end yet, StoreError when it cannot be written.
    """
    with_ = _reader(run, store)
    try:
        return evaluate(with_, name, outcome, score=score, detail=detail, by=by)
    finally:
        with_.close()


def read(run: str, *, store: str | None = None) -> list[Evaluation]:
    """The evaluations of a run, in the order in which they were added. Raises RecordingError.

    Whether they hold is what `durastream verify` tells.
    """
    reader = _reader(run, store)
    try:
        return known(reader)
    finally:
        reader.close()


def evaluate(
    reader: Reader,
    name: str,
    outcome: str,
    *,
    score: float | None = None,
    detail: str | None = None,
    by: str | None = None,
) -> Evaluation:
    """As `add`, of a recording that is open."""
    if outcome not in OUTCOMES:
        raise UsageError(f"outcome {outcome}: one of {', '.join(OUTCOMES)}")
    if not name.strip():
        raise UsageError("an evaluation has a name")
    if score is not None and not isfinite(score):
        raise UsageError(f"score {score}: a number")
    if sum(len(text) for text in (name, detail or "", by or "")) > _LONGEST:
        raise UsageError(f"name, detail and by of an evaluation take up to {_LONGEST} characters together")
    head = reader.head()
    last = reader.read(head.seq - 1, 1) if head.seq else []
    if not last or last[-1].type != "run.completed":
        raise DurastreamError(f"run {reader.run_id} is not over: only a finished run is evaluated")
    redactor = Redactor(asked_redaction(os.environ, os.getcwd()))
    fields = redactor.value({"name": name, "outcome": outcome, "score": score, "detail": detail, "by": by})
    return append(reader.path, head.hash, now_text(time.time()), fields)


def known(reader: Reader) -> list[Evaluation]:
    """The evaluations of a recording that is open."""
    return load(reader.path, reader.head().hash)[0]


def faults(reader: Reader) -> list[str]:
    """What does not hold of the evaluations of a recording that is open; the first bad place first."""
    return load(reader.path, reader.head().hash)[1]


def _reader(run: str, store: str | None) -> Reader:
    found = FolderStore(find_store(store, os.environ, os.getcwd())).find(run)
    if found.path is None:
        raise RunNotFound(f"run {found.run_id} was not recorded yet")
    return open_reader(found.path)
