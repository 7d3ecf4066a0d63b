"""Bytes packed with zlib, unpacked up to a limit: a few kilobytes of a hostile recording may unpack to gigabytes."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from durastream.errors import Damaged
from durastream.stores.protocols import LONGEST_RAW, RawChunk

__all__ = ["MOST", "pieces", "unpack"]

MOST = 100 << 20
"""What one piece may unpack to where nothing says how long it is; as long as an event may be."""


def unpack(data: bytes, most: int = MOST) -> bytes:
    """The bytes that were packed. Raises ValueError when they are damaged or too many, TypeError when they are none."""
    machine = zlib.decompressobj()
    try:
        found = machine.decompress(data, most + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if len(found) > most:
        raise ValueError(f"it unpacks to more than {most} bytes")
    if not machine.eof:
        raise ValueError("its end is missing")
    return found


def pieces(chunks: Iterable[RawChunk], path: str) -> Iterator[bytes]:
    """The bytes in the raw chunks of one stream, each of which begins where the one before it ends.

    Or at 0 again: what an agent cut short is kept anew. Raises Damaged, with the place, where a chunk is not what it
    says.
    """
    at = 0
    for stream, offset, length, data in chunks:
        try:
            piece = unpack(data, min(max(length, 0), LONGEST_RAW))
        except (ValueError, TypeError) as error:
            raise Damaged(f"{path}: the raw bytes of {stream} are damaged from byte {at} on: {error}") from error
        if offset not in (at, 0) or len(piece) != length:
            raise Damaged(f"{path}: the raw bytes of {stream} are damaged from byte {at} on: some are missing")
        at = offset + length
        yield piece
