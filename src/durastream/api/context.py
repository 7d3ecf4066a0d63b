"""Which run a call belongs to: the innermost recording around it, else the `durastream run` around the process."""

from __future__ import annotations

import contextvars
import os

from durastream import forks
from durastream.api.sink import Sink

__all__ = ["active", "current", "enter", "leave", "run_id"]

_innermost: contextvars.ContextVar[Sink | None] = contextvars.ContextVar("durastream_recording", default=None)
_recordings: list[Sink] = []
"""The recordings of this process, for threads that were started without a copy of the context."""

_environment: Sink | None = None


def current() -> Sink | None:
    """The run that a call belongs to; None outside of any."""
    global _environment
    sink = _innermost.get()
    while sink is not None and sink.ended:
        sink = sink.outer
    if sink is not None:
        return sink
    if _recordings:
        with forks.lock:
            if _recordings:
                return _recordings[-1]
    path = os.environ.get("DURASTREAM_EVENTS")
    if not path:
        return None
    around = _environment
    if around is None or around.path != path:
        with forks.lock:
            around = _environment  # another thread may have been first: two sinks would keep two drafts
            if around is None or around.path != path:
                if around is not None:
                    around.end()
                around = _environment = Sink(path, os.environ.get("DURASTREAM_RUN_ID"), own=False)
    return None if around.ended else around


def active() -> bool:
    """Whether events go anywhere."""
    sink = current()
    return sink is not None and sink.ready()


def run_id() -> str | None:
    """The id of the run that this code is in; None outside of any."""
    sink = current()
    return None if sink is None else sink.run_id


def enter(path: str, run_id: str | None) -> Sink:
    """Make a recording of this process the innermost one."""
    sink = Sink(path, run_id, own=True, outer=_innermost.get())
    _innermost.set(sink)
    with forks.lock:
        _recordings.append(sink)
    return sink


def leave(sink: Sink) -> None:
    """End it. What is written from here on belongs to what is around it."""
    with forks.lock:
        _recordings.remove(sink)
        sink.end()
    if _innermost.get() is sink:
        _innermost.set(sink.outer)
