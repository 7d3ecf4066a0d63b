"""Bytes of a spool stream into events. A source is fed a stream from one offset on, in pieces of any size.

Sources are pure: no file, no clock. The same bytes give the same events, so that ingest can start again anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from durastream.events import Aside, Pending
from durastream.sources.log import LogSource
from durastream.sources.terminal import TerminalSource
from durastream.sources.text import TextSource

if TYPE_CHECKING:
    from durastream.sources.adapters import Adapter

__all__ = ["FORMATS", "TERMINAL", "ReplayedSource", "Source", "replayed", "source_for"]

TERMINAL = "terminal"
"""The format of the stdout of an agent that runs on a terminal. Nobody can ask for it but by `run --tty`."""

FORMATS = {
    "auto": "found by what the first lines hold: one of these, else text; lines in durastream's own form are events",
    "native": "every line is an event in durastream's own form; what is not is a log line",
    "text": "all of it is the answer's text",
}


class Source(Protocol):
    def feed(self, data: bytes) -> list[Pending]:
        """The events of these bytes, which follow those fed before."""

    def close(self) -> list[Pending]:
        """The events of what was held back, at the end of the stream."""


class ReplayedSource(Source, Protocol):
    """A source with a memory: to go on in the middle of a stream, it is fed from where the stream is first known."""

    @property
    def framed(self) -> bool:
        """Whether each event is of a frame: what is stored of the last frame may be a part of its events."""

    @property
    def settled(self) -> bool:
        """Whether it has found that the stream is plain text, which any source can go on with."""

    @property
    def asides(self) -> list[Aside]:
        """The pieces of inputs in what was fed last."""

    @property
    def adapter(self) -> type[Adapter] | None:
        """The adapter that reads it, once it is known."""


def replayed(
    format_: str, words: Sequence[str] = (), offset: int = 0, *, line_start: bool = True
) -> ReplayedSource | None:
    """The source of stdout in a format that has to be read from its start; None for one that can begin anywhere.

    `words` are those of the command, a hint at its format. With `offset` what was before is lost: it is read from the
    first whole line. Raises UsageError for an unknown format.
    """
    if format_ in ("native", "text", TERMINAL):
        return None
    if format_ == "auto":
        from durastream.sources.auto import AutoSource

        return AutoSource("stdout", words, offset, line_start=line_start)
    from durastream.sources.adapted import AdaptedSource
    from durastream.sources.adapters import find

    return AdaptedSource("stdout", offset, find(format_))


def source_for(stream: str, format_: str, offset: int = 0, *, line_start: bool = True) -> Source:
    """The source that reads a spool stream from an offset on, which may be inside a line.

    For stdout in a `replayed` format that has proved to be plain text, this is how it goes on.
    """
    if stream == "stderr":
        return LogSource(stream, offset)
    if stream == "stdout" and format_ == TERMINAL:
        return TerminalSource(stream, offset)
    if stream == "stdout" and format_ != "native":
        return TextSource(stream, offset, events=format_ != "text", line_start=line_start)
    from durastream.sources.native import NativeSource  # 50 ms to import: only for runs that emit events

    return NativeSource(stream, offset, strict=stream == "events")
