"""Who is wrong on purpose: recorders, supervisors and viewers with a mistake that somebody might make.

They are struck as the real ones are, and judged by the same judge: a harness that works catches them. As long as
nothing happens to them, most of them do all that they should.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import durastream.cli.common
import durastream.follow
import durastream.stores.jsonl
import durastream.stores.sqlite
import durastream.supervisor
from durastream.recorder import Recorder
from durastream.spool import boot_id, process_token
from durastream.stores.folder import open_reader
from durastream.stores.jsonl import JsonlWriter
from durastream.stores.sqlite import SqliteWriter
from durastream.supervisor import _Supervisor
from durastream.tail import Place, Tail

__all__ = ["be", "tells"]

_PIECE = 1500
_SET_PDEATHSIG = 1


def tells(acks: str, mode: str) -> None:
    """Have the recorder of this process write down what it holds for stored.

    `early` tells it before the commit, `deaf` does not hear that a commit failed.
    """
    ack = os.open(acks, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def tell(batch: Any) -> None:
        if batch.rows:
            os.write(ack, b"%d\n" % batch.rows[-1][0])

    for cls in (SqliteWriter, JsonlWriter):

        def append(self: Any, batch: Any, honest: Callable[..., None] = cls.append) -> None:
            if mode == "early":
                tell(batch)
            try:
                honest(self, batch)
            except Exception:
                if mode != "deaf":
                    raise
                self.head = type(self.head)(*batch.rows[-1][::2])
            if mode != "early":
                tell(batch)

        cls.append = append  # type: ignore[method-assign]


def lazy() -> None:
    """A recorder that does not sync."""
    prepare = durastream.stores.sqlite.prepare
    durastream.stores.jsonl._sync = lambda fd: None
    durastream.stores.sqlite.prepare = lambda db: (prepare(db), db.execute("pragma synchronous=off").close())


def forgetful() -> None:
    """A recorder that does not know where exactly the one before had read to: it begins again where the piece began."""
    init = Tail.__init__

    def anew(self: Tail, spool: Any, stream: str, format_: str, place: Place, *words: Any, **more: Any) -> None:
        if place != Place():
            offset = place.start if place.end is None else place.end
            place = Place(offset - offset % _PIECE, None, 0)
        init(self, spool, stream, format_, place, *words, **more)

    Tail.__init__ = anew  # type: ignore[method-assign]


def hasty() -> None:
    """A recorder that removes the spool when all is read, and stores the end after that."""
    packed = Recorder._packed

    def first(self: Recorder, *, rest: bool) -> Any:
        if rest:
            self.spool.remove()
        return packed(self, rest=rest)

    Recorder._packed = first  # type: ignore[method-assign]


def leash() -> None:
    """A supervisor that takes its agent with it when it dies, as most of those do that start a child."""
    become = durastream.supervisor._become_agent

    def tied(*words: Any) -> None:
        ctypes.CDLL(None).prctl(_SET_PDEATHSIG, signal.SIGKILL)
        become(*words)

    durastream.supervisor._become_agent = tied  # type: ignore[assignment]


def stranger() -> None:
    """A supervisor that writes down who the agent is when it runs, in place of the agent before it does."""
    become, start = durastream.supervisor._become_agent, _Supervisor._start_agent

    def unnamed(spool: Any, *words: Any) -> None:
        spool.write_json = lambda *told: None
        become(spool, *words)

    def named(self: _Supervisor, *words: Any, **more: Any) -> None:
        start(self, *words, **more)
        me = {"pid": self.agent, "token": process_token(self.agent), "boot_id": boot_id()}
        self.spool.write_json("agent.json", me)

    durastream.supervisor._become_agent = unnamed  # type: ignore[assignment]
    _Supervisor._start_agent = named  # type: ignore[method-assign]


def rash() -> None:
    """A supervisor that writes an end down at once, and how the agent ended when it has looked for what that left."""
    end = _Supervisor._end

    def twice(self: _Supervisor, how: Any) -> None:
        self.spool.write_exit({"exit_code": 0, "ts": time.time(), "sent": [], "left": []})
        end(self, how)

    _Supervisor._end = twice  # type: ignore[method-assign]


def tidy() -> None:
    """A viewer that settles the file that it looks at: it writes the log of SQLite back, and a file of lines anew."""

    def mending(path: str) -> Any:
        if path.endswith(".db"):
            with contextlib.closing(sqlite3.connect(path)) as db:
                db.execute("pragma wal_checkpoint(truncate)").close()
        else:
            shutil.copyfile(path, path + ".mended")
            os.replace(path + ".mended", path)
        return open_reader(path)

    for opener in (durastream.follow, durastream.cli.common):
        opener.open_reader = mending  # type: ignore[attr-defined]


_MODES = {each.__name__: each for each in (lazy, forgetful, hasty, leash, stranger, rash, tidy)}


def be(mode: str) -> None:
    """Make this process wrong in that way; `honest`, and what `tells` does, change nothing here."""
    if mode in _MODES:
        _MODES[mode]()
