"""What happens around a run while it is recorded: to the disk, to the clock, to the files of the recording."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from durastream.errors import StoreConflict, StoreDamaged
from durastream.events import Pending
from durastream.notes import warning
from durastream.spool import Spool

__all__ = ["Surroundings"]

_LOW_WATER = 64 << 20
_JUMP = 2.0


class Surroundings:
    """Those of one run. Whoever records asks now and then what is to be said of them."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._path = ""
        self._check: Callable[[], None]
        self._files: list[tuple[int, int, int]] = []
        self._told_low = False
        self._ahead = time.time() - time.monotonic()
        self._disk_at = 0.0

    def watch(self, path: str, check: Callable[[], None]) -> None:
        """From now on the files of a recording are looked at; `check` is how their writer does so."""
        self._path, self._check = path, check
        self._files = _files(path)

    def look(self, now: float) -> list[Pending]:
        """What is to be said of the disk and the clock. Raises as `check_files`, which is asked once a second."""
        return self._disk(now) + self._clock(now)

    def check_files(self) -> None:
        """Notice what others did to the files of the recording, which is silent to who writes them."""
        if not self._path:
            return
        files = _files(self._path)
        if [at[:2] for at in files] != [at[:2] for at in self._files]:
            raise StoreConflict(f"{self._path} was removed, moved or replaced while it was written")
        self._check()
        if any(at[2] < before[2] for at, before in zip(files, self._files, strict=True)):
            raise StoreDamaged(f"{self._path} was cut short while it was written")
        self._files = files

    def _disk(self, now: float) -> list[Pending]:
        """Warn once, early: a full disk is the one thing that the agent can feel."""
        if now < self._disk_at:
            return []
        self._disk_at = now + 1.0
        self.check_files()
        if self._told_low:
            return []
        if not self._spool.exists():
            return []
        room = os.statvfs(self._spool.path)
        free = room.f_bavail * room.f_frsize
        self._told_low = free < _LOW_WATER
        text = f"only {free >> 20} MiB are left on the disk of {self._spool.store}"
        return [warning(text)] if self._told_low else []

    def _clock(self, now: float) -> list[Pending]:
        """Note a wall clock that jumps, also because the machine slept: `t` goes on, `ts` does not."""
        ahead = time.time() - now
        if time.monotonic() - now > _JUMP / 2:
            return []  # stopped between the two looks: that is no jump
        jump, self._ahead = ahead - self._ahead, ahead
        return [warning(f"the clock jumped by {jump:+.0f} s")] if abs(jump) > _JUMP else []


def _files(path: str) -> list[tuple[int, int, int]]:
    """What tells the files of a recording from others of the same name, and their sizes, which only grow."""
    found = []
    for end in ("", "-wal"):
        try:
            at = os.stat(path + end)
            found.append((at.st_dev, at.st_ino, at.st_size))
        except OSError:
            found.append((0, 0, 0))
    return found
