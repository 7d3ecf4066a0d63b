"""A second process that condenses what comes next in a log while the first checks what came before: two cores for one.

It is a fork that reads the recording by itself and hands over stretches through a pipe, in order. It decides nothing:
who takes a stretch holds it against the hash that it has computed itself up to there. Whatever happens to the second
process, the first goes on without it.
"""

from __future__ import annotations

import os
import pickle
import sys
from contextlib import suppress

from durastream.stores import Reader
from durastream.stores.folder import open_reader
from durastream.stores.hashes import is_whole
from durastream.stretch import STRETCH, Stretch, condense

__all__ = ["Ahead", "start"]

_PIPE = 1 << 20  # of bytes that wait: about two stretches
_OURS = (0, 3)  # of seven stretches; the first process has the rest to do, too
_BROKEN = (EOFError, OSError, pickle.UnpicklingError)  # as when it was killed while it wrote


class Ahead:
    """The stretches that a second process makes. `close` ends it."""

    def __init__(self, pid: int, pipe: int) -> None:
        self.pid = pid
        self._pipe = os.fdopen(pipe, "rb")
        self._next: tuple[int, Stretch | None] = (0, None)
        self._over = False

    def take(self, first: int) -> Stretch | None:
        """The stretch that begins with this event; None when there is none. They are asked for in order."""
        while self._next[0] < first and not self._over:
            try:
                self._next = pickle.load(self._pipe)
            except _BROKEN:
                self._over = True
        return self._next[1] if self._next[0] == first else None

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
            _work(reader.path, mine, last)
        finally:
            os._exit(0)  # whatever was raised: it has nobody to tell, and the other goes on without it
    os.close(mine)
    return Ahead(pid, theirs)


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
                if turn % 7 in _OURS:
                    continue
                first = turn * STRETCH + 1
                rows = reader.rows(first - 2, STRETCH + 1)
                if len(rows) <= STRETCH or not is_whole(rows[0][1]):
                    return
                made = first, condense(rows[0][1], first, rows[1:])
                pickle.dump(made, pipe, pickle.HIGHEST_PROTOCOL)
                pipe.flush()
    finally:
        reader.close()
