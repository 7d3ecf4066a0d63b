"""Room on the disk that a run gives back while it lasts: stretches of its spool that its recording holds byte for byte.

A stretch is given back as a hole in the file. The file keeps its length and no offset moves; who reads it finds the
hole and takes those bytes from the recording. Only blocks that are stored, synced, as they stand in the spool are given
back: what was masked stays. In the file `given` of the spool stands up to where there may be such holes, written before
each is made, so that a hole which the agent made itself is told from ours.

Standard library only: `durastream run` reads with it before anything slow is imported.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator

from durastream.errors import StoreDamaged
from durastream.spool import STREAMS, Spool

__all__ = ["KEPT", "Room", "try_out"]

KEPT = 64 << 20
"""Bytes at the end of each stream that stay: what a shorter run writes is in the spool until its end."""

_STEP = 8 << 20
_BLOCK = 64 << 10
_WIDTH = 20
_KEEP_SIZE, _PUNCH_HOLE = 1, 2


class Room:
    """One stream of a spool, open as `fd`. `stored` gives its bytes from the first on, as the recording keeps them."""

    def __init__(self, spool: Spool, stream: str, fd: int, stored: Callable[[], Iterable[bytes]]) -> None:
        self._spool = spool
        self._stream = stream
        self._fd = fd
        self._stored = stored
        self._place = STREAMS.index(stream) * _WIDTH
        self._mark = -1
        with contextlib.suppress(OSError):  # a spool of an older durastream has none: nothing is given back
            self._mark = spool.open("given", os.O_RDONLY)
        self._ready: list[tuple[int, int]] = []
        self._works: bool | None = None if self._mark >= 0 else False
        self._pieces: Iterator[bytes] = iter(())
        self._rest = b""
        self._at = sys.maxsize
        self._gone = 0

    @property
    def upto(self) -> int:
        """The offset behind the last byte that was given back; 0 when none was."""
        return int(os.pread(self._mark, _WIDTH, self._place).strip(b"\0 ") or 0) if self._mark >= 0 else 0

    def missing(self, kept: int) -> int:
        """Up to where bytes can be had from nowhere, as a recording that keeps only so many of them is not the one
        for which they were given back; 0 when it is. They are read as zeros from now on."""
        self._gone = self.upto if kept < self.upto else 0
        return self._gone

    def close(self) -> None:
        if self._mark >= 0:
            os.close(self._mark)
            self._mark = -1

    # for who reads

    def fill(self, at: int, data: bytes) -> bytes:
        """What was read from the file at an offset, with what was given back of it. Raises StoreDamaged when the
        recording does not have that any more.

        To be asked after the read: a hole that is made between the two is seen, too.
        """
        start, end = at, at + len(data)
        if self._mark < 0 or (hole := _hole(self._fd, start, end)) is None:
            return data
        upto = min(end, self.upto)
        made = bytearray(data)
        while hole is not None and hole[0] < upto:
            low, high = max(hole[0], self._gone), min(hole[1], upto)
            if low < high:
                made[low - at : high - at] = self._from_recording(low, high - low)
            hole = _hole(self._fd, max(low, high), end)
        return bytes(made)

    def _from_recording(self, start: int, size: int) -> bytes:
        """Bytes of the recording. One that is asked for them in their order is read once."""
        if start < self._at:
            self._pieces, self._rest, self._at = iter(self._stored()), b"", 0
        found = bytearray()
        while len(found) < size:
            if self._at + len(self._rest) > start + len(found):
                low = start + len(found) - self._at
                found += self._rest[low : low + size - len(found)]
            else:
                self._at += len(self._rest)
                self._rest = next(self._pieces, b"")
                if not self._rest:
                    self._at = sys.maxsize  # whoever asks again gets the same answer
                    raise StoreDamaged(
                        f"the recording of run {self._spool.run_id} lacks bytes of {self._stream} from {start} on,"
                        " which its spool gave back"
                    )
        return bytes(found)

    # for who records

    def give_back(self, offset: int, piece: bytes) -> None:
        """A piece of the stream is stored, synced. Gives back what is `KEPT` bytes and more before the end of it.

        Nobody may have cut the file short since it was read.
        """
        if self._works is False:
            return
        self._note(offset, piece)
        behind = offset + len(piece) - KEPT
        if not self._ready or self._ready[0][0] > behind - _STEP:
            return
        if self._works is None:
            self._works = try_out(self._spool.path) is None
        if not self._works:
            return
        behind -= behind % _BLOCK
        due = [(start, min(stop, behind)) for start, stop in self._ready if start < behind]
        self._ready = [(max(start, behind), stop) for start, stop in self._ready if stop > behind]
        try:
            self._mark_upto(due[-1][1])
            fd = self._spool.open(self._stream, os.O_WRONLY)
            try:
                for start, stop in due:
                    _punch(fd, start, stop - start)
            finally:
                os.close(fd)
        except OSError:  # it is a courtesy: the run goes on without it
            self._works = False

    def forget(self) -> None:
        """The file was cut short: nothing of what is in it now was given back, and nothing will be."""
        self._works = False
        self._ready.clear()
        if self.upto:
            self._mark_upto(0)

    def _note(self, offset: int, piece: bytes) -> None:
        """Find the blocks of a stored piece that stand in the spool as they are stored."""
        there = os.pread(self._fd, len(piece), offset)
        at = -offset % _BLOCK
        size = len(piece) - at if there == piece else _BLOCK
        while at + _BLOCK <= len(piece):
            size -= size % _BLOCK
            if there[at : at + size] == piece[at : at + size]:
                last = self._ready[-1] if self._ready else (0, -1)
                if last[1] == offset + at:
                    self._ready[-1] = (last[0], offset + at + size)
                else:
                    self._ready.append((offset + at, offset + at + size))
            at += size

    def _mark_upto(self, offset: int) -> None:
        """Synced, because a hole that nothing tells of would be read as zeros after a power cut."""
        fd = self._spool.open("given", os.O_WRONLY)
        try:
            os.pwrite(fd, str(offset).encode().ljust(_WIDTH), self._place)
            os.fsync(fd)
        finally:
            os.close(fd)


def try_out(folder: str) -> str | None:
    """Why the disk of a folder cannot give back the middle of a file; None when it can."""
    path = os.path.join(folder, f".room-{os.getpid()}")
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        return error.strerror
    try:
        os.write(fd, b"\1" * (3 * _BLOCK))
        _punch(fd, _BLOCK, _BLOCK)
        if _hole(fd, 0, 3 * _BLOCK) != (_BLOCK, 2 * _BLOCK):
            return "a hole is not seen"
        data = os.pread(fd, 3 * _BLOCK, 0)
        return None if data.count(b"\1") == 2 * _BLOCK and len(data) == 3 * _BLOCK else "a hole is not exact"
    except OSError as error:
        return error.strerror
    finally:
        os.close(fd)
        with contextlib.suppress(OSError):
            os.unlink(path)


def _hole(fd: int, start: int, end: int) -> tuple[int, int] | None:
    """The first hole in a stretch of a file, as far as it is in that; None when there is none that can be known of."""
    if start >= end or not hasattr(os, "SEEK_HOLE"):
        return None
    try:
        low = os.lseek(fd, start, os.SEEK_HOLE)
    except OSError:
        return None
    if low >= end:
        return None
    try:
        return low, min(end, os.lseek(fd, low, os.SEEK_DATA))
    except OSError:  # nothing but the hole up to its end
        return low, end


def _punch(fd: int, start: int, size: int) -> None:
    """Make a hole in a file, which keeps its length. Raises OSError where that cannot be done."""
    if sys.platform != "linux":
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
    import ctypes  # 10 ms to import: only for who writes more than `KEPT`

    libc = ctypes.CDLL(None, use_errno=True)
    call = getattr(libc, "fallocate64", None) or libc.fallocate
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    if call(fd, _KEEP_SIZE | _PUNCH_HOLE, start, size):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
