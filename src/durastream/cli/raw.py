"""`--view raw`: the bytes of stdout, as the agent wrote them, when the events that came from them are shown."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from functools import partial

from durastream.events import Event
from durastream.follow import follow
from durastream.room import Room
from durastream.spool import Spool
from durastream.spooled import Spooled
from durastream.state import RunState, fold
from durastream.stores import Reader
from durastream.views.outcome import Batches

__all__ = ["Output", "attach", "replay"]


def attach(reader: Reader, spool: Spool) -> tuple[RunState, bool]:
    """Write what a run prints, once it is stored. Returns its state and whether the viewer left before its end."""
    state = RunState()
    with contextlib.closing(Output(reader, spool)) as out:
        try:
            for batch in follow(reader, spool):
                fold(batch, state)
                for event in batch:
                    out.write_upto(event)
        except KeyboardInterrupt:
            return state, True
        out.write_rest()
    return state, state.completed is None


def replay(batches: Batches, reader: Reader) -> bool:
    """Write the raw bytes of a recording as its events come; returns whether the viewer left before its end."""
    out = Output(reader, Spool(os.devnull, reader.run_id))
    try:
        for batch in batches:
            for event in batch:
                out.write_upto(event)
    except KeyboardInterrupt:
        return True
    out.write_rest()
    return False


class Output:
    """Writes the bytes that events came from, when the events do; from the spool while there is one."""

    def __init__(self, reader: Reader, spool: Spool) -> None:
        self._pieces: Iterator[bytes] | None = None
        self._reader = reader
        self._file: Spooled | None = None
        self._open = contextlib.ExitStack()
        if spool.exists():
            fd = spool.open("stdout", os.O_RDONLY)
            self._open.callback(os.close, fd)
            room = self._open.enter_context(
                contextlib.closing(Room(spool, "stdout", fd, partial(reader.raw, "stdout")))
            )
            self._file = Spooled(fd, fill=room.fill)
        self._rest = b""
        self._at = 0

    def close(self) -> None:
        """Leave the spool, which the disk keeps as long as it is open."""
        self._open.close()

    def _next(self) -> bytes:
        if self._file is not None:
            data = self._file.read(1 << 18)
            return self._begin_again() if self._file.cut else data
        if self._pieces is None:
            self._pieces = self._reader.raw("stdout")
        return next(self._pieces, b"")

    def _begin_again(self) -> bytes:
        """The agent cut its file short: what was read of it before is written, and what is in it now comes next."""
        assert self._file is not None
        self._write(self._rest)
        self._rest, self._at = b"", 0
        self._file.seek(0)
        return self._file.read(1 << 18)

    def _cut(self) -> bool:
        return self._file is not None and self._file.waiting() < 0

    def write_upto(self, event: Event) -> None:
        """Write what was printed up to the end of this event's bytes; they may have been written for one before it."""
        if event.src is None or event.src.stream != "stdout" or (event.src.offset < self._at and not self._cut()):
            return
        while not (end := event.src.end_in(self._rest, self._at)):
            more = self._next()
            if not more:
                end = len(self._rest)
                break
            self._rest += more
        self._write(self._rest[:end])
        self._rest = self._rest[end:]
        self._at += end

    def write_rest(self) -> None:
        self._write(self._rest)
        self._rest = b""
        while more := self._next():
            self._write(more)

    def _write(self, data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
