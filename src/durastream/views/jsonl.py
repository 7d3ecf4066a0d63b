"""The events as they are stored, one line of JSON each: the view for programs."""

from __future__ import annotations

from typing import TextIO

from durastream.state import RunState
from durastream.views.outcome import Batches, Outcome
from durastream.views.safe import json_line

__all__ = ["show"]


def show(batches: Batches, *, state: RunState, out: TextIO) -> Outcome:
    """Print each event as stored, and fold it into `state`. Lets BrokenPipeError through; Ctrl-C leaves."""
    try:
        for batch in batches:
            for event in batch:
                out.write(json_line(event.line()) + "\n")
                state.apply(event)
            if batch:
                out.flush()
                state.discard()  # a draft may be longer than memory
    except KeyboardInterrupt:
        return Outcome(left=True)
    return Outcome()
