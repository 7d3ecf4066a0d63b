"""Raw bytes on their way into a recording: compressed beside, kept in the order in which they came."""

from __future__ import annotations

import zlib
from collections import deque
from functools import partial

from durastream.beside import Beside
from durastream.stores import RawChunk

__all__ = ["RAW_PIECE", "Packing", "Queue"]

RAW_PIECE = 1 << 20
"""How many raw bytes are kept in one chunk."""

_AT_ONCE = 2  # pieces that are being packed


class Packing:
    """Compresses raw bytes on the other core, while this one goes on with the next batch."""

    def __init__(self, stream: str, offset: int, piece: bytes) -> None:
        self.stream = stream
        self.offset = offset
        self.piece = piece
        self._packed = Beside(partial(zlib.compress, piece, 1))

    @property
    def ready(self) -> bool:
        return not self._packed.runs

    def wait(self) -> None:
        self._packed.wait()

    def chunk(self) -> RawChunk:
        return RawChunk(self.stream, self.offset, len(self.piece), self._packed.result())


class Queue:
    """Pieces that are being packed, in their order."""

    def __init__(self) -> None:
        self._packing: deque[Packing] = deque()

    def add(self, packing: Packing) -> None:
        self._packing.append(packing)
        if len(self._packing) > _AT_ONCE:
            self._packing[-_AT_ONCE].wait()  # a thread takes memory

    def ready(self, *, rest: bool) -> list[Packing]:
        """Those that are packed, or more than may wait; with `rest` all of them."""
        ready = []
        while self._packing and (rest or len(self._packing) > _AT_ONCE or self._packing[0].ready):
            ready.append(self._packing.popleft())
        return ready
