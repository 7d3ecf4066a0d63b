"""The bytes of one spool stream while it grows, each of them once; and the moment when somebody cut the file short.

The agent appends. But a `>` of a shell on /dev/stdout, /dev/stderr or $DURASTREAM_EVENTS opens the same file anew and
empties it, and it may have grown to its old length again before anybody looks. So the last bytes that were read are
kept, and compared with what stands there now.

Standard library only: `durastream run` reads with it before anything slow is imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

__all__ = ["Spooled"]

_MEMORY = 4096
_PIECE = 1 << 20
_Fill = Callable[[int, bytes], bytes]


class Spooled:
    """Reads an open file of a spool from an offset on. Once `cut`, it has nothing more to give before `seek`.

    A file in which the same bytes stand at the same length was not cut, even if its time of change is another: that
    is what `touch` leaves, and what an append leaves that found no room on the disk. To take it for a cut would double
    what an honest agent wrote.

    `fill` makes of an offset and what was read there what stood there, if some of it was given back to the disk.
    """

    def __init__(self, fd: int, at: int = 0, fill: _Fill | None = None) -> None:
        self._fd = fd
        self._fill = fill
        self.seek(at)

    @property
    def at(self) -> int:
        """The offset behind what was read."""
        return self._at

    @property
    def unfinished(self) -> bool:
        """Whether what was read ends within a line."""
        return bool(self._before) and not self._before.endswith(b"\n")

    def seek(self, at: int) -> None:
        """Go on at an offset, with what stands before it now."""
        self._at = at
        start = max(0, at - _MEMORY)
        self._before = self._pread(at - start, start)
        self._seen: tuple[int, int] | None = None
        self.cut = False

    def waiting(self) -> int:
        """How many bytes were not read yet; -1 when the file was cut short. Costs one fstat while nothing changes."""
        found = os.fstat(self._fd)
        seen = found.st_size, found.st_mtime_ns
        if found.st_size >= self._at and seen != self._seen:
            self._compare()
        self._seen = seen
        self.cut = self.cut or found.st_size < self._at
        return -1 if self.cut else found.st_size - self._at

    def read(self, most: int) -> bytes:
        """Up to so many bytes that come next; none at the end, and none once the file was cut short."""
        if self.waiting() <= 0:
            return b""
        data = self._pread(most, self._at)
        self._compare()  # after it was read: bytes of a file that began anew in between are not taken for the next
        if self.cut:
            return b""
        self._at += len(data)
        self._before = data[-_MEMORY:] if len(data) >= _MEMORY else (self._before + data)[-_MEMORY:]
        return data

    def _compare(self) -> None:
        """Look whether what was read last still stands there."""
        size = len(self._before)
        self.cut = self.cut or self._pread(size, self._at - size) != self._before

    def _pread(self, size: int, at: int) -> bytes:
        data = os.pread(self._fd, size, at)
        return data if self._fill is None else self._fill(at, data)

    def pieces(self, start: int, stop: int) -> Iterator[bytes]:
        """What stands in a stretch of the file now, without moving."""
        while start < stop and (piece := self._pread(min(_PIECE, stop - start), start)):
            start += len(piece)
            yield piece

    def look_again(self) -> None:
        """Compare once more at the next look: within a tick of the clock of its disk a file may change unseen."""
        self._seen = None
