"""What goes into a view and what comes out of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

from durastream.events import Event

__all__ = ["Batches", "Outcome"]

Batches: TypeAlias = Iterable[Sequence[Event]]
"""Events as follow and replay give them; an empty batch (about every 0.1 s) says that time passed and nothing came."""


class Outcome(NamedTuple):
    """How a view ended. `left`: the viewer went away before the events ended; it says nothing about the run."""

    left: bool = False
