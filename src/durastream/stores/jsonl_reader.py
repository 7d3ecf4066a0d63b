"""Reads a recording as JSON Lines, from wherever it stands. There are no snapshots: a reader folds from the start."""

from __future__ import annotations

import json
import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

from durastream.errors import Damaged, NewerFormat, NotARecording
from durastream.events import FORMAT, Event, genesis, show_hash
from durastream.state import RunState, fold
from durastream.stores.jsonl_lines import RAW, entry_of, raw_chunks, rows_of
from durastream.stores.packed import pieces
from durastream.stores.protocols import (
    LONGEST_EVENT,
    RUN_ID,
    UNREADABLE,
    Head,
    RawChunk,
    RunInfo,
    completed_info,
    run_info,
    text_of,
)

__all__ = ["LONGEST_HEADER", "JsonlReader"]

LONGEST_HEADER = 16 << 20  # the words of a command may take 2 MiB, six times that when escaped

_PIECE = 1 << 20
_FEW = 200
_APART = 2000
_LONG = 4 << 20  # bytes of a line; one that is longer is read by itself
_LONGEST = LONGEST_EVENT


class JsonlReader:
    """Reads a `.jsonl` recording. A last line without its newline is not yet an event."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.damage: list[str] = []
        self.torn = False
        self.whole = 0
        """Bytes up to the end of the last line that could be read."""
        self._fd: int | None = None
        self._at = 0
        self._seq = 0
        self._line = 0
        self._told = 0
        self.header = self._read_header()
        self.run_id: str = self.header["run_id"]
        self._start = self._at
        self._places = [(0, self._at, 1)]
        """Where reading stood behind some events, for who goes back to them: seq, byte, line."""

    def _read_header(self) -> dict[str, Any]:
        if not os.path.isfile(self.path):
            raise NotARecording(f"{self.path} is not there, or not a plain file")
        try:
            with open(self.path, "rb") as file:
                line = file.readline(LONGEST_HEADER)
        except OSError as error:
            raise NotARecording(f"cannot read {self.path}: {error.strerror}") from error
        try:
            header = json.loads(line) if line.endswith(b"\n") else None
        except (ValueError, RecursionError):
            header = None
        version = header.get("durastream") if isinstance(header, dict) else None
        if not isinstance(header, dict) or type(version) is not int or version < 1:
            raise NotARecording(f"{self.path} is no durastream recording: its first line is no header")
        if version > FORMAT:
            raise NewerFormat(f"{self.path} has format {version}, this durastream reads up to {FORMAT}: upgrade it")
        if not isinstance(header.get("run_id"), str) or not RUN_ID.match(header["run_id"]):
            raise NotARecording(f"{self.path} is no durastream recording: its header names no run")
        self._at = self.whole = len(line)
        self._line = 1
        return header

    def _lines(self) -> Iterator[bytes]:
        """Whole lines from where reading stands; the position follows what was given out."""
        fd = self._open()
        parts: list[bytes] = []
        at = self._at
        while piece := os.pread(fd, _PIECE, at):
            at += len(piece)
            if b"\n" not in piece:
                parts.append(piece)
                if at - self._at > _LONGEST:
                    raise Damaged(f"{self.path}: line {self._line + 1} is longer than {_LONGEST >> 20} MiB")
                continue
            lines = b"".join((*parts, piece)).split(b"\n")
            parts = [lines.pop()]
            for line in lines:
                self._at += len(line) + 1
                self._line += 1
                yield line
        self.torn = any(parts)

    def _open(self) -> int:
        if self._fd is None:
            try:
                self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise NotARecording(f"cannot read {self.path}: {error.strerror}") from error
        return self._fd

    def scan(self) -> Iterator[Event | RawChunk]:
        """Everything from where reading stands, in file order."""
        for count, line in enumerate(self._lines()):
            try:
                entry = entry_of(line, many=count > _FEW)
            except UNREADABLE:
                if self._line > self._told:
                    self._told = self._line
                    self.damage.append(f"line {self._line} cannot be read: {line[:60]!r}")
                continue
            self.whole = max(self.whole, self._at)
            if isinstance(entry, Event):
                self._seq = entry.seq
                self._note_place()
            yield entry

    def _note_place(self) -> None:
        if self._seq - self._places[-1][0] >= _APART:
            self._places.append((self._seq, self._at, self._line))

    def _rewind(self, after: int) -> None:
        """Stand where reading was once, at or before an event."""
        place = bisect_right(self._places, after, key=lambda place: place[0]) - 1
        self._seq, self._at, self._line = self._places[place]

    def info(self) -> RunInfo:
        empty: dict[str, Any] = {"name": None, "tags": {}, "command": [], "cwd": "", "started_at": ""}
        last = self._last()
        try:
            info = run_info({**empty, **self.header})
            if last is not None and last.type == "run.completed":
                info = completed_info(info, fold([last]), Head(last.seq, last.hash), show_hash(last.hash))
                info = run_info(info._asdict())
        except (ValueError, TypeError) as error:
            raise Damaged(f"{self.path} does not say what run it is: {error}") from error
        return info if last is None else info._replace(last_seq=last.seq)

    def _last(self) -> Event | None:
        """The last whole event, found from the end of the file."""
        fd = self._open()
        size = os.fstat(fd).st_size
        reach = _PIECE
        while True:
            start = max(self._start, size - reach)
            lines = os.pread(fd, size - start, start).split(b"\n")[:-1]
            for line in reversed(lines if start == self._start else lines[1:]):
                try:
                    entry = entry_of(line)
                except UNREADABLE:
                    continue
                if isinstance(entry, Event):
                    return entry
            if start == self._start:
                return None
            if reach > _LONGEST:
                raise Damaged(f"{self.path}: no event in its last {reach >> 20} MiB")
            reach = reach * 8 if reach * 8 < _LONGEST else _LONGEST + _PIECE

    def head(self) -> Head:
        last = self._last()
        return Head(last.seq, last.hash) if last is not None else Head(0, genesis(self.run_id))

    def read(self, after: int = 0, limit: int = 5000, *, whole: bool = True) -> list[Event]:
        if after < self._seq:
            self._rewind(after)
        found: list[Event] = []
        for entry in self.scan():
            if isinstance(entry, Event) and entry.seq > after:
                found.append(entry)
                if len(found) >= limit:
                    break
        return found

    def rows(self, after: int, limit: int) -> list[tuple[bytes, bytes]]:
        if after < self._seq:
            self._rewind(after)
        if self._seq != after:
            return []
        lines = self._many(limit)
        try:
            rows = rows_of(after, lines) if lines else []
        except UNREADABLE:
            rows = []
        if rows:
            self._seq, self._at = after + limit, self._at + sum(map(len, lines)) + len(lines)
            self._line += len(lines)
            self._note_place()
        return rows

    def _many(self, events: int) -> list[bytes]:
        """The next lines up to so many events, at once; none when there are fewer. Reading stands where it did."""
        fd, at, rest = self._open(), self._at, b""
        lines: list[bytes] = []
        end = events
        while len(lines) < end and len(rest) < _LONG and (piece := os.pread(fd, _PIECE // 4, at)):
            at += len(piece)
            *more, rest = (rest + piece).split(b"\n")
            for place, line in enumerate(more, len(lines)):
                end += place < end and line.startswith(RAW)
            lines += more
        return lines[:end] if len(lines) >= end else []

    def state(self, upto: int | None = None) -> RunState:
        return self.forward(RunState(), upto)

    def boundary(self, seq: int) -> int:
        return seq

    def forward(self, state: RunState, upto: int | None = None) -> RunState:
        while upto is None or state.seq < upto:
            events = self.read(state.seq, 5000 if upto is None else min(5000, upto - state.seq))
            if not events:
                break
            fold((event for event in events if upto is None or event.seq <= upto), state)
            if events[-1].seq != state.seq:
                break  # behind a gap
        return state

    def events_of(self, type_: str, after: int, upto: int) -> list[Event]:
        return [event for event in self._between(after, upto) if event.type == type_]

    def text_behind(self, message_id: str, seq: int) -> Iterator[tuple[int, str]]:
        return ((e.seq, text) for e in self._between(seq) if (text := text_of(e, message_id)))

    def _between(self, after: int, upto: int | None = None) -> Iterator[Event]:
        while events := self.read(after):
            for event in events:
                if upto is not None and event.seq > upto:
                    return
                yield event
            after = events[-1].seq

    def drafts(self) -> None:
        return None

    def draft_pieces(self, at: RunState | None = None) -> None:
        return None

    def snapshots(self) -> Sequence[int]:
        return ()

    def snapshot(self, seq: int, *, text: bool = True) -> RunState:
        raise Damaged(f"{self.path} keeps no snapshots")

    def raw(self, stream: str) -> Iterator[bytes]:
        try:
            with open(self.path, "rb") as file:  # with a place of its own: whoever reads on meanwhile is not disturbed
                yield from pieces(raw_chunks(file, stream), self.path)
        except OSError as error:
            raise NotARecording(f"cannot read {self.path}: {error.strerror}") from error

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
