"""stdout of a program that nobody has said the format of: text, until its lines show that it is an agent's stream."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from durastream.events import Aside, Pending
from durastream.sources.text import TextSource

if TYPE_CHECKING:
    from durastream.sources.adapted import AdaptedSource
    from durastream.sources.adapters import Adapter
    from durastream.sources.detect import Detector

__all__ = ["AutoSource"]

_LINES = 60
_LONGEST = 32 << 20
_BEFORE_DATA = (b"event:", b"id:")
_JSON = (b"{", b'["', b"[[")  # LangGraph prints arrays; [INFO] is no JSON
_STARTS = (*_JSON, b"data:", *_BEFORE_DATA)
_MARKED = (b"\x1b", b"\xef")
_MARK = re.compile(rb"\xef\xbb?|\x1b(?:\[[0-9;?]*|\][^\x07\x1b]*\x1b?)?")
"""A byte order mark, or an escape of a terminal, of which the end has not come."""


class AutoSource:
    """Text is given out as it comes; only a line that may be the first of a known format waits for its end.

    Once decided it stays so: text after 60 lines without a match, else that format to the end of the stream.
    """

    def __init__(self, stream: str, words: Sequence[str], offset: int = 0, *, line_start: bool = True) -> None:
        self.stream = stream
        self._words = words
        self._text = TextSource(stream, offset, line_start=line_start)
        self._adapted: AdaptedSource | None = None
        self._detector: Detector | None = None
        self._rest = b""
        self._at = offset  # of the first byte of _rest
        self._held = 0  # bytes of _rest that are whole lines kept until the next line decides
        self._line_start = line_start
        self._lines = 0
        self.settled = False
        """Whether the stream is text for good: its events depend on nothing that came before."""

    @property
    def framed(self) -> bool:
        """Whether the stream is an agent's: its events depend on all that came before."""
        return self._adapted is not None

    @property
    def asides(self) -> list[Aside]:
        """As those of the agent's stream."""
        return self._adapted.asides if self._adapted is not None else []

    @property
    def adapter(self) -> type[Adapter] | None:
        """The adapter for the stream, once it is known."""
        return self._adapted.adapter if self._adapted is not None else None

    def feed(self, data: bytes) -> list[Pending]:
        if self._adapted is not None:
            return self._adapted.feed(data)
        if self.settled:
            return self._text.feed(data)
        self._rest += data
        return self._look()

    def close(self) -> list[Pending]:
        found = [] if self.framed or self.settled else self._look(last=True)
        if self._adapted is not None:
            return found + self._adapted.close()
        return found + self._give_out(len(self._rest)) + self._text.close()

    def _look(self, *, last: bool = False) -> list[Pending]:
        """Look at the lines that are whole. With `last`, the one without a newline is whole too."""
        found: list[Pending] = []
        while self._rest[self._held :] and not self.framed:
            end = self._rest.find(b"\n", self._held)
            if not self._line_start:  # the rest of a line that was given out in part
                found += self._give_out(end + 1 if end >= 0 else len(self._rest))
                self._line_start = end >= 0
                continue
            line = self._rest[self._held : end] if end >= 0 else self._rest[self._held :]
            if end >= 0:
                found += self._line(line, end + 1)
            elif last:
                found += self._line(line, len(self._rest))
                break
            elif _may_begin(line) and len(line) < _LONGEST:
                break
            else:
                self._line_start = False
                found += self._give_out(len(self._rest))
        return found

    def _line(self, line: bytes, upto: int) -> list[Pending]:
        """Look at one line, which ends at `upto`."""
        sse = line.startswith(b"data:")
        if not sse and not _bare(line).startswith(_JSON):
            if line.startswith(_BEFORE_DATA) or (self._held and not line.strip()):
                self._held = upto
                return []
            return self._go_on(upto)
        from durastream.sources.decode import decode  # 60 ms to import with the adapters: few programs print JSON
        from durastream.sources.detect import Detector

        if self._detector is None:
            self._detector = Detector(self._words)
        try:
            adapter = self._detector.look(decode(line[5:].strip() if sse else line), sse=sse)
        except ValueError:
            return self._go_on(upto)
        if adapter is not None:
            return self._decide(adapter)
        if self._detector.undecided:
            self._held = upto
            return []
        return self._go_on(upto)

    def _go_on(self, upto: int) -> list[Pending]:
        """What was held and this line are text."""
        self._lines += 1
        if self._detector is not None:
            self._detector.forget()
        if self._lines >= _LINES:
            self.settled = True
            upto = len(self._rest)
        return self._give_out(upto)

    def _give_out(self, upto: int) -> list[Pending]:
        data, self._rest = self._rest[:upto], self._rest[upto:]
        self._at += len(data)
        self._held = 0
        return self._text.feed(data)

    def _decide(self, adapter: type[Adapter]) -> list[Pending]:
        """The stream is that adapter's from the first line that was held on."""
        from durastream.sources.adapted import AdaptedSource

        found = self._text.close()
        self._adapted = AdaptedSource(self.stream, self._at, adapter)
        rest, self._rest = self._rest, b""
        return found + self._adapted.feed(rest)


def _may_begin(line: bytes) -> bool:
    """Whether a line that has no end yet may be one that is looked at."""
    line = _bare(line)
    if _MARK.fullmatch(line):
        return True
    return line.startswith(_STARTS) or any(start.startswith(line) for start in _STARTS)


def _bare(line: bytes) -> bytes:
    """The line without what may stand before its JSON."""
    if not line.startswith(_MARKED):
        return line
    from durastream.sources.decode import without_prefix  # few programs print either

    return without_prefix(line)
