"""Bytes of a spool stream into events. A source is fed a stream from one offset on, in pieces of any size.

Sources are pure: no file, no clock. The same bytes give the same events, so that ingest can start again anywhere.
"""

from __future__ import annotations

from typing import Protocol

from durastream.errors import UsageError
from durastream.events import Pending
from durastream.sources.log import LogSource
from durastream.sources.text import TextSource

__all__ = ["FORMATS", "Source", "source_for"]

FORMATS = {
    "auto": "text, and lines in durastream's own event form are events",
    "native": "every line is an event; what is not is a log line",
    "text": "all of it is the answer's text",
}


class Source(Protocol):
    def feed(self, data: bytes) -> list[Pending]:
        """The events of these bytes, which follow those fed before."""

    def close(self) -> list[Pending]:
        """The events of what was held back, at the end of the stream."""


def source_for(stream: str, format_: str, offset: int = 0, *, line_start: bool = True) -> Source:
    """The source that reads a spool stream from an offset on, which may be inside a line.

    Raises UsageError for an unknown format.
    """
    if stream == "stderr":
        return LogSource(stream, offset)
    if stream == "stdout" and format_ == "text":
        return TextSource(stream, offset, events=False, line_start=line_start)
    if stream == "stdout" and format_ == "auto":
        return TextSource(stream, offset, line_start=line_start)
    if stream == "stdout" and format_ != "native":
        raise UsageError(f"unknown format {format_!r}: one of {', '.join(FORMATS)}")
    from durastream.sources.native import NativeSource  # 50 ms to import: only for runs that emit events

    return NativeSource(stream, offset, strict=stream == "events")
