"""One spool stream as the recorder reads it: from where the recording ends, as much as there is, never twice."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from durastream.events import Found, Pending, Src, dumps, expanded
from durastream.message import Message
from durastream.packing import RAW_PIECE, Packing
from durastream.redaction.redactor import Redactor
from durastream.room import KEPT, Room
from durastream.sources import TERMINAL, Source, replayed, source_for
from durastream.spool import Spool
from durastream.spooled import Spooled

__all__ = ["Control", "Place", "Tail"]

_READ = 1 << 19  # a batch at most: who seeks folds half of one on average
_COALESCE = 0.03
_COALESCE_TERMINAL = 0.01  # somebody types and waits for the echo
_COALESCE_BYTES = 32 * 1024


class Place(NamedTuple):
    """Where the last stored event of a stream came from.

    `end` is None when it came from exactly one line; `stored` is how many stored events came from these same bytes.
    """

    start: int = 0
    end: int | None = None
    stored: int = 0

    def then(self, offset: int, length: int | None) -> Place:
        """The place of the next event."""
        end = None if length is None else offset + length
        return Place(offset, end, self.stored + 1 if (self.start, self.end) == (offset, end) else 1)


class Control:
    """Requests to the supervisor, as events: to end a run is an act that is recorded, and so is a terminal's size."""

    def __init__(self, offset: int) -> None:
        self._offset = offset
        self._rest = b""
        self.resized_at: list[int] = []
        """At which byte of stdout each of the `terminal.resized` came, in their order."""

    def feed(self, data: bytes) -> list[Pending]:
        found = []
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
                asked = json.loads(line)
                type_, fields = _asked(asked)
                found.append(Pending(type_, fields, dumps(fields), Src("control", self._offset)))
                if type_ == "terminal.resized":
                    self.resized_at.append(int(asked["offset"]))
            self._offset += len(line) + 1
        self._rest = rest
        return found

    def close(self) -> list[Pending]:
        return []


def _asked(asked: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if asked["act"] == "resized":
        return "terminal.resized", {"columns": int(asked["columns"]), "rows": int(asked["rows"])}
    fields = {"by": str(asked.get("by") or asked["act"]), "signal": str(asked.get("signal", "SIGTERM"))}
    return "run.cancel_requested", fields


class Tail:
    """One spool stream, read from where the recording ends.

    `settled` says that the machine went down since: a file shorter than what is stored of it then lost its end, and
    nothing in it is new.
    """

    def __init__(
        self,
        spool: Spool,
        stream: str,
        format_: str,
        place: Place,
        words: Sequence[str] = (),
        *,
        late: bool,
        settled: bool = False,
        redactor: Redactor | None = None,
        kept: int | None = None,
        stored: Mapping[str, Message] | None = None,
        recorded: Callable[[], Iterable[bytes]] = tuple,
    ) -> None:
        self.stream = stream
        self._fd = spool.open(stream, os.O_RDONLY)
        self._recorded = recorded
        self._room = Room(spool, stream, self._fd, recorded) if stream != "control" else None
        self._file = Spooled(self._fd, fill=self._room.fill if self._room is not None else None)
        self.begin = self._room.missing(kept or 0) if self._room is not None else 0
        """Where what can still be read begins; not at 0 when bytes were given back whose recording is gone."""
        self.missed = max(0, self.begin - (place.start if place.end is None else place.end))
        """How many bytes that are not recorded are lost by that."""
        if self.missed:
            place = Place(self.begin, self.begin)
        self.at = place.start if place.end is None else place.end
        self.skip = place.stored if place.end is None else 0
        self.digest = hashlib.sha256()
        self.shrunk = False
        self.gapless = not self.begin
        """Whether all that was read can still be read; not when the file was cut short in between."""
        self._stop: int | None = None
        self._format = format_
        self._words = words
        self._read_at = 0.0
        size = os.fstat(self._fd).st_size
        self.late_until = size if late else 0
        self._guard = redactor.guard() if redactor is not None else None
        self._masked = redactor.raw() if redactor is not None else None
        self._kept = None if self.begin else kept
        self._keeping = bytearray()
        self._source: Source | None = None
        self._lost = settled and size < self.at
        if self._guard is not None and not self._lost:
            self._go_on(place, stored or {})
        elif self._guard is None and stream == "stdout" and place.stored:
            self._source = self._replay(place)
        self._skip_at = self.at
        if self._lost:
            self.gapless = False
        if self._guard is None:
            for piece in self._file.pieces(self.begin, self.at):
                self.digest.update(piece)

    @property
    def at(self) -> int:
        """The offset behind what was read."""
        return self._file.at

    @at.setter
    def at(self, offset: int) -> None:
        self._file.seek(offset)

    def _go_on(self, place: Place, stored: Mapping[str, Message]) -> None:
        """Read again what is stored: what was masked, and what may have begun, is a function of all bytes before."""
        if not place.stored:
            return
        self.at = self.begin
        source = self.source
        for piece in self._file.pieces(self.begin, place.start):
            self._take(piece)
        self.at = place.start
        if not getattr(source, "framed", False):
            self.skip = 0
            self.at = place.end if place.end is not None else self._line_end(place.start)
            for piece in self._file.pieces(place.start, self.at):
                self._take(piece)
        else:
            self.skip = place.stored
        assert self._guard is not None
        # some of the last frame is stored and comes again: then no hash is that of what came before
        self._guard.forget({} if self.skip else {name: message.digest() for name, message in stored.items()})
        if isinstance(source, Control):
            source.resized_at.clear()

    def _line_end(self, at: int) -> int:
        """The place behind the newline that ends the line at an offset."""
        for piece in self._file.pieces(at, os.fstat(self._fd).st_size):
            end = piece.find(b"\n") + 1
            if end:
                return at + end
            at += len(piece)
        return at

    def _take(self, data: bytes) -> list[Found]:
        """The events of the next bytes, without secrets; the raw bytes to be kept, as far as that is decided."""
        if self._guard is None or self._masked is None:
            self.digest.update(data)
            return self._find(data)
        self._masked.feed(data)
        found = self._find(data)
        self._guard.overhear(getattr(self.source, "asides", ()))
        found = self._guard.sift(found)
        self._settle()
        return found

    def _find(self, data: bytes) -> list[Found]:
        find: Callable[[bytes], list[Found]] | None = getattr(self.source, "find", None)
        return [*self.source.feed(data)] if find is None else find(data)

    def _settle(self) -> None:
        assert self._guard is not None
        assert self._masked is not None
        piece = self._masked.settled(self._guard)
        self.digest.update(piece)
        if self._kept is not None:
            past = self._kept + len(self._keeping)
            start = self.settled - len(piece)
            self._keeping += piece[max(0, past - start) :]

    @property
    def settled(self) -> int:
        """Up to where raw bytes may be kept: what is masked in them is decided."""
        return self.at if self._masked is None else self._masked.taken

    def _replay(self, place: Place) -> Source | None:
        """The source as it was when the recording ended; None for one that needs to know nothing of that."""
        source = replayed(self._format, self._words, self.begin, line_start=not self.begin)
        if source is None:
            return None
        for piece in self._file.pieces(self.begin, place.start):
            source.feed(piece)
            if source.settled:
                return None
        if source.framed:
            self.at, self.skip = place.start, place.stored
        else:
            for piece in self._file.pieces(place.start, self.at):
                source.feed(piece)
        return source

    @property
    def source(self) -> Source:
        """Made when the first byte comes: most runs emit no events, and never pay for their decoder."""
        if self._source is None:
            if self.stream == "control":
                self._source = Control(self.at)
            elif self.stream == "stdout" and self.at == self.begin:
                self._source = replayed(self._format, self._words, self.begin, line_start=not self.begin)
            if self._source is None:
                whole = self.at == 0 or os.pread(self._fd, 1, self.at - 1) == b"\n"
                self._source = source_for(self.stream, self._format, self.at, line_start=whole)
        return self._source

    @property
    def unheard(self) -> str | None:
        """What is to be said of a format that was named and never came."""
        return getattr(self._source, "unheard", None)

    def waiting(self) -> int:
        """Bytes not yet read; negative when the file was cut short."""
        if self._lost:
            return 0
        waiting = self._file.waiting()
        return waiting if self._stop is None else min(waiting, self._stop - self.at)

    def stop_here(self) -> None:
        """The agent has ended: what others still write to its files is no part of the run."""
        if self._stop is None:
            self._stop = os.fstat(self._fd).st_size
            self._file.look_again()

    def read(self, now: float, *, at_once: bool, upto: int | None = None) -> list[Found] | None:
        """What the next bytes hold; None when there are none, or so few that more may come at once.

        With `upto` only those before that offset.
        """
        waiting = self.waiting() if upto is None else min(self.waiting(), upto - self.at)
        if waiting <= 0:
            if waiting < 0 and upto is None:
                return self._start_over()
            return self.overdue(now)
        pause = _COALESCE_TERMINAL if self._format == TERMINAL else _COALESCE
        if self.stream == "stdout" and not at_once and waiting < _COALESCE_BYTES and now - self._read_at < pause:
            return None
        self._read_at = now
        _ = self.source  # made for where these bytes stand
        data = self._file.read(min(_READ, waiting))
        if self._file.cut:
            return self._start_over() if upto is None else self.overdue(now)
        found = self._take(data)
        late = self._guard.overdue(now) if self._guard is not None else None  # what comes need not decide what waits
        return self._new([*found, *late] if late else found)

    def overdue(self, now: float) -> list[Found] | None:
        """Events that waited too long to be told from the beginning of a secret."""
        found = self._guard.overdue(now) if self._guard is not None else None
        return self._new(found) if found is not None else None

    def flush(self) -> list[Found]:
        """Events that wait, for what comes from elsewhere is to be behind them."""
        return self._new(self._guard.flush()) if self._guard is not None else []

    def close(self) -> list[Found]:
        source = self._source
        if source is None and self.stream == "stdout" and not self.at:
            source = replayed(self._format, self._words)  # a named format is told of a stream without a byte too
        found = source.close() if source is not None else []
        if self._guard is not None and self._masked is not None:
            self._guard.overhear(getattr(source, "asides", ()))
            found = self._guard.take(found) + self._guard.close()
            self._masked.close()
            self._settle()
        return self._new(found)

    def _new(self, found: Sequence[Found]) -> list[Found]:
        """Leave out what was stored before: the first events of the line that a torn batch ended in."""
        if not self.skip:
            return list(found)
        found = expanded(found)
        while self.skip and found:
            if found[0].src is None or found[0].src.offset != self._skip_at:
                self.skip = 0
                break
            found = found[1:]
            self.skip -= 1
        return list(found)

    def _start_over(self) -> list[Found] | None:
        """Somebody truncated the file (`>` in place of `>>`): what is in it now is new."""
        left = self.flush()
        self.shrunk = True
        self.gapless = False
        self.at = self.late_until = 0
        self._source = None
        if self._room is not None:
            self._room.forget()
        if self._masked is not None:
            self._masked = self._masked.anew()
            self._keeping.clear()
            self._kept = None if self._kept is None else 0
        return left or None

    def raw(self, kept: int, upto: int) -> Iterable[Packing]:
        """The bytes from `kept` to `upto`, being packed."""
        for piece in self._file.pieces(kept, upto) if self._masked is None else self._kept_pieces(kept, upto):
            yield Packing(self.stream, kept, piece)
            kept += len(piece)

    def _kept_pieces(self, kept: int, upto: int) -> Iterable[bytes]:
        while kept < upto:
            size = min(RAW_PIECE, upto - kept)
            yield bytes(self._keeping[:size])
            del self._keeping[:size]
            kept += size
            self._kept = kept

    def give_back(self, offset: int, piece: bytes) -> None:
        """Raw bytes from an offset on are stored, synced: the spool need not keep them for ever."""
        if self._room is not None and self.gapless and self._file.waiting() >= 0:
            self._room.give_back(offset, piece)

    def give_back_more(self) -> None:
        """What the recorder before this one had stored, and not given back when it died."""
        if self._room is None or not self.gapless or self.at <= KEPT:
            return
        at, given = 0, self._room.upto
        for piece in self._recorded():
            if at + len(piece) > given:
                self.give_back(at, piece)
            at += len(piece)

    def release(self) -> None:
        if self._room is not None:
            self._room.close()
        os.close(self._fd)
