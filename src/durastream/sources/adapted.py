"""A stream in some agent's own format, read by the adapter for that format."""

from __future__ import annotations

from typing import Any

from durastream.events import Aside, Pending, Src
from durastream.sources.adapters import Adapter, Narrator, Unmapped
from durastream.sources.asides import add_pieces, has_pieces
from durastream.sources.decode import decode, encode, rejected
from durastream.sources.frames import Frame, Frames
from durastream.sources.log import log_line
from durastream.sources.native import claimed

__all__ = ["AdaptedSource"]

_KEPT = 1 << 20
_LONG_LOG = 64 << 10


class AdaptedSource:
    """Frames into events. Whatever a frame holds, it is an event or a line of the log: nothing raises, nothing is lost.

    An adapter has a memory, so a stream is always read from its start.
    `asides` are the pieces of inputs in the frames of the last `feed`, which adapters collect, or pass over because
    they come again whole.
    """

    framed = True
    settled = False

    def __init__(self, stream: str, offset: int, adapter: type[Adapter]) -> None:
        self.stream = stream
        self._start = offset
        self.asides: list[Aside] = []
        self._frames = Frames(offset)
        self._say = Narrator()
        self.adapter = adapter
        self._reads = adapter(self._say)
        self._say.identify(format=adapter.name, terminal=adapter.terminal)
        self._heard = self._named = False

    @property
    def unheard(self) -> str | None:
        """That no record of the format has been seen, in words; None once there was one."""
        return None if self._heard else f"no record of {self.adapter.name} was seen on {self.stream}: see --format"

    def feed(self, data: bytes) -> list[Pending]:
        self.asides = []
        return self._take(self._frames.feed(data))

    def close(self) -> list[Pending]:
        """At the end of a stream that held nothing, its format is told all the same: no end of it was declared."""
        self.asides = []
        found = self._take(self._frames.close())
        return found + self._told(Src(self.stream, self._start, 0))

    def _told(self, src: Src) -> list[Pending]:
        self._named = True
        return [Pending(type_, data, encode(data), src) for type_, data in self._say.drain()]

    def _take(self, frames: list[Frame]) -> list[Pending]:
        """The events of some frames."""
        found: list[Pending] = []
        take, drain = self._reads.take, self._say.drain
        for frame in frames:  # the hot path
            src = Src(self.stream, frame.offset, frame.length)
            try:
                value = decode(frame.data)
            except ValueError:
                found += self._told(src)  # the first line may be none of the agent's, and still the format is known
                if not frame.sse or frame.data != b"[DONE]":
                    found.append(self._unread(frame, src))
                continue
            if has_pieces(frame.data) and (type(value) is dict or type(value) is list):
                add_pieces(self.asides, value, src)
            try:
                take(value)
                found += [Pending(type_, data, encode(data), src) for type_, data in drain()]
                self._heard = self._named = True
            except Exception as error:  # noqa: BLE001 - an adapter may come from anyone: no line is lost for its fault
                self._say.unsay()
                if not self._named:  # it was unsaid with the line, and is true all the same
                    opening = {"format": self.adapter.name, **({"terminal": True} if self.adapter.terminal else {})}
                    found.append(Pending("agent.identified", opening, encode(opening), src))
                    self._named = True
                found.append(self._unmapped(value, frame, src, error))
        return found

    def _unread(self, frame: Frame, src: Src) -> Pending:
        if len(frame.data) > _LONG_LOG or frame.data.startswith(b"{"):
            return rejected("not JSON", frame.data, src)
        return log_line(self.stream, frame.data.removesuffix(b"\r"), src)

    def _unmapped(self, value: Any, frame: Frame, src: Src, error: Exception) -> Pending:
        """A frame that its adapter could not take: an event of our own form, or kept as it is."""
        own = claimed(frame.data, src) if type(value) is dict else None
        if own is not None:
            return own
        reason = "no mapping" if isinstance(error, Unmapped) else f"unexpected shape: {error!r}"[:200]
        if len(frame.data) <= _KEPT:
            try:
                data = {"json": value, "reason": reason}
                return Pending("raw.event", data, encode(data), src)
            except (ValueError, RecursionError) as unwritable:  # such as an integer of 5,000 digits
                reason = str(unwritable)[:200]
        return rejected(reason, frame.data, src)
