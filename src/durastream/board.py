"""The runs of a store as they stand, looked at again and again: it reads what is new, and of finished runs once.

What a look costs grows with the runs that are live and have said something since, not with those that the store has.
"""

from __future__ import annotations

import os
import shlex
import time
from contextlib import suppress
from datetime import datetime

from durastream.errors import RecordingError
from durastream.spool import Spool
from durastream.standing import LAST, Standing, doing, last_words, progress
from durastream.state import RunState, fold
from durastream.stores import FolderStore, Reader, RunInfo
from durastream.stores.folder import open_reader

__all__ = ["Board"]

_LIVE = ("running", "orphaned")
_LOOK_AGAIN = 2.0
_MOST = 500


class Board:
    """A store as a list of standings: what is live first, then the newest."""

    def __init__(self, store: FolderStore, *, statuses: frozenset[str] = frozenset(), limit: int | None = None) -> None:
        self._store = store
        self._statuses = statuses
        self._limit = _MOST if limit is None else limit
        self._infos: list[RunInfo] = []
        self._stamp: tuple[int, ...] = ()
        self._looked_at = float("-inf")
        self._live: dict[str, _Followed] = {}
        self._over: dict[str, Standing] = {}

    def look(self, seconds: float = 1.0) -> list[Standing]:
        """How every run stands now. Those that were not read before are read until so much time has passed."""
        self._list()
        until = time.monotonic() + seconds
        infos = sorted(self._infos[: self._limit], key=lambda info: info.status not in _LIVE)
        return [self._standing(info, late=time.monotonic() >= until) for info in infos]

    def _standing(self, info: RunInfo, *, late: bool) -> Standing:
        if info.status in _LIVE:
            followed = self._live.get(info.run_id)
            if followed is None:
                followed = self._live[info.run_id] = _Followed(self._store, info)
            return followed.standing if late and not followed.standing.read else followed.look()
        known = self._over.get(info.run_id)
        if known is None:
            known = _of_info(info)
            if not late:
                known = self._over[info.run_id] = _read(self._store, info, known)._replace(read=True)
        return known

    def _list(self) -> None:
        """List the runs anew when one has come or gone, or when it was some time ago: one may have been left alone."""
        now = time.monotonic()
        stamp = tuple(_changed(path) for path in (self._store.folder, os.path.join(self._store.folder, ".spool")))
        if stamp == self._stamp and now - self._looked_at < _LOOK_AGAIN:
            return
        if stamp != self._stamp or any(not each.alive() for each in self._live.values()):
            infos = list(self._store.infos())
            self._infos = [info for info in infos if not self._statuses or info.status in self._statuses]
            live = {info.run_id for info in self._infos if info.status in _LIVE}
            for run_id in self._live.keys() - live:
                self._live.pop(run_id).close()
            for info in self._infos:
                if info.run_id in self._live:
                    self._live[info.run_id].info = info
        self._stamp, self._looked_at = stamp, now


class _Followed:
    """A live run: what is stored of it is read as it comes, and of its text only the end is kept."""

    def __init__(self, store: FolderStore, info: RunInfo) -> None:
        self.info = info
        self._store = store
        self._spool = Spool(store.folder, info.run_id)
        self._reader: Reader | None = None
        self._state = RunState()
        self._bell = -1
        self.standing = _of_info(info)
        """How it stood when it was looked at last."""

    def alive(self) -> bool:
        return self._spool.alive()

    def look(self) -> Standing:
        bell = _changed(self._spool.file("bell"))  # before reading: what is stored after it is for the next look
        if bell != self._bell or self._reader is None:
            with suppress(RecordingError, OSError):
                self._read()
                self._bell = bell
        status = self._state.status if self._state.completed is not None else self.info.status
        self.standing = self.standing._replace(status=status, read=True)
        return self.standing

    def _read(self) -> None:
        if self._reader is None:
            path = self._store.path(self.info.run_id)
            if path is None:
                return
            self._reader = open_reader(path)
            self._state = self._reader.state()
        while events := self._reader.read(self._state.seq, whole=False):
            fold(events, self._state)
        self.standing = _with_state(_of_info(self.info), self._state)
        for message in (*self._state.messages.values(), self._state.reasoning):
            end = message.end(LAST)
            message.drain()
            message.append(end)  # its length is then no longer true, and nobody here asks for it

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()


def _read(store: FolderStore, info: RunInfo, known: Standing) -> Standing:
    path = store.path(info.run_id)
    if path is None:
        return known
    try:
        reader = open_reader(path)
        try:
            state = reader.state()
        finally:
            reader.close()
    except RecordingError:
        return known
    return _with_state(known, state)


def _of_info(info: RunInfo) -> Standing:
    started = None
    with suppress(ValueError, TypeError):
        started = datetime.fromisoformat(info.started_at).timestamp()
    name = str(info.name or shlex.join(info.command[:20]))
    return Standing(info.run_id, name, info.status, info.reconciled, started, info.duration, read=False)


def _with_state(known: Standing, state: RunState) -> Standing:
    done, planned = progress(state)
    return known._replace(done=done, planned=planned, step=doing(state), words=last_words(state))


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return -1
