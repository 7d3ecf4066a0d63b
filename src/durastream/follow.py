"""Read to the end, then wait: the events of a run as they are committed, for whoever watches it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from durastream.errors import NotARecording
from durastream.events import Event
from durastream.spool import Spool
from durastream.stores import FolderStore, Reader
from durastream.stores.folder import open_reader

__all__ = ["Bell", "follow", "read_all", "wait_for_reader"]

_BATCH = 5000
_POLL = 0.01
_POLL_FOR = 1.0
_LIVENESS = 0.5


class Bell:
    """Waits until something may have been committed. It is a hint: the caller reads, waits, and reads again.

    While data flows it looks at the bell's time every 10 ms; after a second of silence the kernel tells.
    """

    def __init__(self, spool: Spool, tick: float) -> None:
        self._path = spool.file("bell")
        self._tick = tick
        self._seen = self._stamp()
        self._busy_until = time.monotonic() + _POLL_FOR
        self._watch: Iterator[object] | None = None

    def _stamp(self) -> int:
        try:
            return os.stat(self._path).st_mtime_ns
        except OSError:
            return -1

    def wait(self) -> None:
        """Return when the bell rang, or after a tick; half a tick while data flows."""
        now = time.monotonic()
        deadline = now + (self._tick / 2 if now < self._busy_until else self._tick)
        while now < deadline:
            stamp = self._stamp()
            if stamp != self._seen:
                self._seen = stamp
                self._busy_until = now + _POLL_FOR
                self._watch = None
                return
            if now >= self._busy_until and stamp != -1:
                self._listen()
            else:
                time.sleep(min(_POLL, deadline - now))
            now = time.monotonic()

    def _listen(self) -> None:
        if self._watch is None:
            from watchfiles import watch  # 45 ms to import: only for a viewer that has time

            self._watch = watch(
                self._path,
                watch_filter=None,
                debounce=40,
                step=20,
                rust_timeout=max(1, int(self._tick * 1000)),
                yield_on_timeout=True,
                recursive=False,
            )
        next(self._watch, None)


def wait_for_reader(store: FolderStore, run_id: str) -> Reader:
    """A reader for a run whose recorder may only just be making the file. Raises NotARecording when it never does."""
    spool = Spool(store.folder, run_id)
    while True:
        alive = spool.alive()
        path = store.path(run_id)
        if path is not None:
            try:
                return open_reader(path)
            except NotARecording:
                if not alive:
                    raise
        elif not alive:
            raise NotARecording(f"run {run_id} was never recorded: its recorder ended before it began")
        time.sleep(0.005)


def follow(reader: Reader, spool: Spool, after: int = 0, *, tick: float = 0.1) -> Iterator[list[Event]]:
    """Batches of events after a seq, as they are committed, until the log ends the run.

    An empty batch means that time has passed. Ends also when nobody records the run any more: then it is orphaned, and
    the last event given out is not `run.completed`.
    """
    bell = Bell(spool, tick)
    asked = 0.0
    while True:
        now = time.monotonic()
        alive = True
        if now >= asked:
            alive = spool.alive()  # asked before reading: what was stored before the end is then read
            asked = now + _LIVENESS
        read = False
        while events := reader.read(after, _BATCH):
            read = True
            after = events[-1].seq
            if events[-1].type == "run.completed":
                reader.close()
                yield events
                return
            yield events
        if not alive and not read:
            return
        if not read:
            bell.wait()
            yield []


def read_all(reader: Reader, after: int = 0, upto: int | None = None, *, whole: bool = True) -> Iterator[list[Event]]:
    """Batches of what is stored now, without waiting; `whole` as in `Reader.read`."""
    while upto is None or after < upto:
        events = reader.read(after, _BATCH if upto is None else min(_BATCH, upto - after), whole=whole)
        if not events:
            return
        after = events[-1].seq
        yield events
