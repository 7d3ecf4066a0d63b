"""Bytes into frames: a line of JSON Lines, or the data of one server-sent event. One reader for both framings."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["LONGEST", "Frame", "Frames"]

LONGEST = 32 << 20
"""How long a line may be, in bytes; a longer one is given out in pieces, for memory is finite."""

_FIELDS = (b"event:", b"id:", b"retry:", b":")


class Frame(NamedTuple):
    """The bytes of one message and where they stood.

    `length` is None when they are exactly the line at `offset` with its newline. `sse` tells that they were the data
    of a server-sent event.
    """

    data: bytes
    offset: int
    length: int | None
    sse: bool = False


class Frames:
    """Cuts a stream into frames, from pieces of any size. The same bytes give the same frames."""

    def __init__(self, offset: int) -> None:
        self._offset = offset
        self._parts: list[bytes] = []
        self._size = 0
        self._data: list[Frame] = []

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that end in these bytes, which follow those fed before."""
        if b"\n" not in data and self._size < LONGEST:
            self._parts.append(data)
            self._size += len(data)
            return []
        lines = b"".join((*self._parts, data)).split(b"\n")
        rest = lines.pop()
        found: list[Frame] = []
        for line in lines:
            self._line(found, line, None)
            self._offset += len(line) + 1
        if len(rest) >= LONGEST:
            self._line(found, rest, len(rest))
            self._offset += len(rest)
            rest = b""
        self._parts = [rest] if rest else []
        self._size = len(rest)
        return found

    def close(self) -> list[Frame]:
        """The frames of a last line without its newline, and of an event without its blank line."""
        found: list[Frame] = []
        rest = b"".join(self._parts)
        self._parts.clear()
        if rest:
            self._line(found, rest, len(rest))
            self._offset += len(rest)
        self._end_event(found)
        return found

    def _line(self, found: list[Frame], line: bytes, length: int | None) -> None:
        first = line[:1]
        if first == b"{" or first == b"[":
            if self._data:
                self._end_event(found)
            found.append(Frame(line, self._offset, length))
        elif line.startswith(b"data:"):
            self._data.append(Frame(line[5:].strip(), self._offset, length, True))
        elif not line or line.isspace() or line.startswith(_FIELDS):
            self._end_event(found)
        else:
            self._end_event(found)
            found.append(Frame(line, self._offset, length))

    def _end_event(self, found: list[Frame]) -> None:
        lines, self._data = self._data, []
        if not lines:
            return
        first, last = lines[0], lines[-1]
        if len(lines) == 1:
            found.append(first)
            return
        span = self._offset - first.offset if last.length is None else last.offset + last.length - first.offset
        found.append(Frame(b"\n".join(line.data for line in lines), first.offset, span, True))
