"""`durastream check`: what somebody finds of a finished run, kept beside its recording."""

from __future__ import annotations

from durastream.cli.common import find, open_found
from durastream.cli.ending import say
from durastream.evaluations import evaluate
from durastream.stores import FolderStore

__all__ = ["check"]


def check(
    store: FolderStore, ref: str, name: str, outcome: str, score: float | None, detail: str | None, by: str | None
) -> int:
    """Add an evaluation to a finished run."""
    reader = open_found(store, find(store, ref))
    added = evaluate(reader, name, outcome, score=score, detail=detail, by=by)
    say(f"{reader.run_id} {added.name}: {added.outcome} · {added.hash}")
    return 0
