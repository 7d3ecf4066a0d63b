"""Does every byte that the agent wrote stand in an event? Rules over the places of events in the raw streams."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from durastream.errors import RecordingError
from durastream.events import Src
from durastream.rules.finding import Finding
from durastream.stretch import Places

__all__ = ["Coverage"]

_MOST = 100


class Coverage:
    """One stream: the events that came from it, in order, against its bytes, which are read once beside them.

    An event without a length came from one line; several may come from the same bytes.
    """

    def __init__(self, stream: str, raw: Iterable[bytes]) -> None:
        self.stream = stream
        self.length = 0
        """Bytes of the stream, after `report`."""
        self.fault: str | None = None
        """Why the bytes cannot be read to their end, after `report`."""
        self._digest = hashlib.sha256()
        self._raw: Iterator[bytes] = iter(raw)
        self._window = b""
        self._window_at = 0
        self._at = 0
        self._start = -1
        self._lost: list[tuple[int, int, int | None]] = []
        self._doubled: list[tuple[int, int]] = []
        self._beyond: tuple[int, int] | None = None

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of the stream, after `report`."""
        return self._digest.hexdigest()

    def take(self, seq: int, src: Src) -> None:
        """The place of the next event of this stream."""
        _, offset, length = src
        if offset == self._start:
            return
        if offset < self._at:
            if len(self._doubled) < _MOST:
                self._doubled.append((seq, offset))
            return
        self._skip(offset, seq)
        end = self._line_end(offset) if length is None else offset + length
        if not self._reach(end) and self._beyond is None:
            self._beyond = (seq, end)
        self._start, self._at = offset, end

    def take_many(self, places: Places) -> None:
        """The places of the next events; line after line, or piece after piece, as nearly all are, at once."""
        seqs, offsets, lengths = places
        if len(offsets) > 1 and offsets[0] == self._at and self._follows(offsets, lengths):
            seqs, offsets, self._at = seqs[-1:], offsets[-1:], offsets[-1]
            lengths = None if lengths is None else lengths[-1:]
        for at, seq in enumerate(seqs):
            self.take(seq, Src(self.stream, offsets[at], None if lengths is None else lengths[at]))

    def _follows(self, offsets: Sequence[int], lengths: Sequence[int | None] | None) -> bool:
        """Whether each of these places, which are all there, begins where the one before it ends."""
        if not self._reach(offsets[-1]):
            return False
        if lengths is None:
            start = self._at - self._window_at
            lines = self._window[start : offsets[-1] - self._window_at].split(b"\n")
            ends = accumulate([len(line) + 1 for line in lines[:-1]], initial=self._at)
            return not lines[-1] and list(ends) == offsets
        sizes = [length for length in lengths if length]
        return len(sizes) == len(offsets) and list(accumulate(sizes[:-1], initial=self._at)) == offsets

    def _skip(self, offset: int, seq: int | None) -> None:
        """Pass over bytes without an event: a blank line is none."""
        while self._at < offset:
            if not self._reach(self._at + 1):
                return
            index = self._at - self._window_at
            piece = self._window[index : index + offset - self._at]
            if not piece.isspace() and len(self._lost) < _MOST:
                self._lost.append((self._at, self._at + len(piece), seq))
            self._at += len(piece)

    def _line_end(self, offset: int) -> int:
        """The place behind the newline that ends the line at an offset, or behind the last byte."""
        search = offset
        while True:
            index = self._window.find(b"\n", max(0, search - self._window_at))
            if index >= 0:
                return self._window_at + index + 1
            search = max(search, self._window_at + len(self._window))
            if not self._more():
                return max(search, offset + 1)

    def _reach(self, upto: int) -> bool:
        while self._window_at + len(self._window) < upto:
            if not self._more():
                return False
        return True

    def _more(self) -> bool:
        try:
            piece = next(self._raw, b"")
        except RecordingError as error:  # after which an iterator gives nothing
            self.fault, piece = str(error), b""
        self._digest.update(piece)
        done = min(max(0, self._at - self._window_at), len(self._window))
        self._window = self._window[done:] + piece
        self._window_at += done
        return bool(piece)

    def report(self, *, gapless: bool) -> list[Finding]:
        """What is to be said when all events were taken.

        Without `gapless` bytes between events are none of our business: an adapter read them, and had nothing to say.
        """
        reached = self._at
        while self._reach(self._at + 1):
            self._skip(self._window_at + len(self._window), None)
        self.length = self._window_at + len(self._window)
        found = []
        if self._beyond is not None:
            seq, end = self._beyond
            message = f"event {seq} stands at bytes up to {end} of {self.stream}, which has {self.length}"
            found.append(Finding("bytes-unaccounted", message, seq))
        elif gapless and self._lost:
            start, stop, at = self._lost[0]
            more = f", and those of {len(self._lost) - 1} more places" if len(self._lost) > 1 else ""
            where = f" (before event {at})" if at is not None else f" (behind byte {reached}, the last of an event)"
            message = f"bytes {start} to {stop} of {self.stream} stand in no event{where}{more}"
            found.append(Finding("bytes-unaccounted", message, at))
        if gapless and self._doubled:
            seq, offset = self._doubled[0]
            message = f"event {seq} stands at byte {offset} of {self.stream}, which an event before it has"
            found.append(Finding("bytes-doubled", message, seq))
        return found
