"""A second process that condenses what comes next in a log while the first checks what came before: two cores for one.

It is a fork that reads the recording by itself and hands over stretches through a pipe, in order, and in the end what
it has added up of the drafts. It decides nothing: who takes a stretch holds it against the hash that it has computed
itself up to there. Whatever happens to the second process, the first goes on without it.
"""

from __future__ import annotations

import os
import pickle
import sys
from contextlib import suppress
from typing import Any

from durastream.collector import uncollected
from durastream.errors import RecordingError
from durastream.events import Event, Src
from durastream.stores import Reader
from durastream.stores.folder import open_reader
from durastream.stores.hashes import is_whole
from durastream.stretch import STRETCH, Pieces, Places, Stretch, condense
from durastream.verify import summed

__all__ = ["Ahead", "start"]

_PIPE = 1 << 20  # of bytes that wait: about two stretches
_OURS = (0, 3, 5)  # of eight stretches; the first process has the rest to do, too
_SUMS = sys.maxsize  # where an event would stand: behind all of them
_FIELDS = 7  # of an event without its body and hash; of pieces there are six
_BROKEN = (EOFError, OSError, pickle.UnpicklingError)  # as when it was killed while it wrote


class Ahead:
    """The stretches that a second process makes. `close` ends it."""

    def __init__(self, pid: int, pipe: int) -> None:
        self.pid = pid
        self._pipe = os.fdopen(pipe, "rb")
        self._next: tuple[int, Any] = (0, None)
        self._over = False

    def take(self, first: int) -> Stretch | None:
        """The stretch that begins with this event; None when there is none. They are asked for in order."""
        at, made = self._wait(first)
        return _named(made) if at == first and made is not None else None

    def sums(self) -> dict[str, tuple[int, str]] | None:
        """What `summed` gives of the stored drafts; None when it is not known. It is the last to be asked for."""
        at, made = self._wait(_SUMS)
        return made if at == _SUMS else None

    def _wait(self, first: int) -> tuple[int, Any]:
        """What comes next that is not before an event; something before it when nothing comes any more."""
        while self._next[0] < first and not self._over:
            try:
                self._next = pickle.load(self._pipe)
            except _BROKEN:
                self._over = True
        return self._next

    def close(self) -> None:
        """End the process, wherever it is."""
        if self._pipe.closed:
            return  # and its number may be that of another by now
        self._pipe.close()
        with suppress(ProcessLookupError):
            os.kill(self.pid, 9)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def start(reader: Reader, last: int) -> Ahead | None:
    """Begin to condense a recording of so many events; None where that cannot be. The process must have one thread."""
    if sys.platform != "linux" or last < 2 * STRETCH:
        return None
    reader.close()  # a connection of SQLite is of no use in a fork, and harmful there
    try:
        theirs, mine = os.pipe()
    except OSError:
        return None
    try:
        pid = os.fork()
    except OSError:
        os.close(theirs)
        os.close(mine)
        return None
    if pid == 0:
        try:
            os.close(theirs)
            with uncollected():
                _work(reader.path, mine, last)
        finally:
            os._exit(0)  # whatever was raised: it has nobody to tell, and the other goes on without it
    os.close(mine)
    return Ahead(pid, theirs)


def _plain(stretch: Stretch) -> tuple[Any, ...]:
    """A stretch as tuples and lists alone, which are written and read in half the time; without bodies and hashes."""
    parts = [
        (*part[:5], part.src and tuple(part.src), part.late) if isinstance(part, Event) else tuple(part)
        for part in stretch.parts
    ]
    return *stretch[:-2], parts, {stream: tuple(places) for stream, places in stretch.places.items()}


def _named(plain: tuple[Any, ...]) -> Stretch:
    *_, parts, places = plain
    named = [
        Event._make((*part[:5], part[5] and Src(*part[5]), part[6], "", b""))
        if len(part) == _FIELDS
        else Pieces._make(part)
        for part in parts
    ]
    return Stretch._make((*plain[:-2], named, {stream: Places(*columns) for stream, columns in places.items()}))


def _work(path: str, fd: int, last: int) -> None:
    """Make stretches until all are made, or nobody is there to take them; it waits while nobody takes them.

    It ends where one is missing or does not begin with a whole hash: such a recording is read by one.
    """
    import fcntl

    with suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE)
    reader = open_reader(path)
    try:
        with os.fdopen(fd, "wb") as pipe:
            for turn in range(last // STRETCH):
                if turn % 8 in _OURS:
                    continue
                first = turn * STRETCH + 1
                rows = reader.rows(first - 2, STRETCH + 1)
                if len(rows) <= STRETCH or not is_whole(rows[0][1]):
                    return
                stretch = condense(rows[0][1], first, rows[1:])
                made = first, None if stretch is None else _plain(stretch)
                pickle.dump(made, pipe, pickle.HIGHEST_PROTOCOL)
                pipe.flush()
            with suppress(RecordingError):
                pickle.dump((_SUMS, summed(reader.draft_pieces() or ())), pipe)
    finally:
        reader.close()
