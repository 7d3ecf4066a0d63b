"""Bytes packed with zlib, unpacked up to a limit: a few kilobytes of a hostile recording may unpack to gigabytes."""

from __future__ import annotations

import zlib

__all__ = ["MOST", "unpack"]

MOST = 512 << 20
"""What one piece may unpack to where nothing says how long it is; more than the longest event line."""


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
