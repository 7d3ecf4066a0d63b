"""A recording as JSON Lines: a header, then one event a line with its hash; raw bytes in lines of their own.

    {"durastream":1,"run_id":"k3v9p2",…}
    {"seq":1,…,"hash":"sha256:…"}
    {"raw":"stdout","offset":0,"length":812,"zlib":"eJx…"}

Readable with any tool. There are no snapshots: a reader folds from the start.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

from durastream.errors import (
    TOO_BIG,
    Damaged,
    NewerFormat,
    NotARecording,
    StoreConflict,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreUnwritable,
)
from durastream.events import FORMAT, Event, dumps, genesis, loads, loads_many, parse_hash, show_hash
from durastream.state import RunState, fold
from durastream.stores.packed import pieces
from durastream.stores.protocols import (
    LONGEST_EVENT,
    LONGEST_RAW,
    RUN_ID,
    UNREADABLE,
    Batch,
    Head,
    RawChunk,
    Row,
    Rows,
    RunInfo,
    completed_info,
    run_info,
    text_of,
)

__all__ = ["JsonlReader", "JsonlWriter"]

_PIECE = 1 << 20
_FEW = 200
_APART = 2000
_LONG = 4 << 20  # bytes of a line; one that is longer is read by itself
_HEADER = b'{"durastream":'
_RAW = b'{"raw":'
_HASH = ',"hash":"sha256:'
_HASH_LENGTH = len(_HASH) + 64 + len('"}')
_LONGEST = LONGEST_EVENT
_LONGEST_HEADER = 16 << 20  # the words of a command may take 2 MiB, six times that when escaped


def _translate(error: OSError, path: str) -> StoreError:
    if error.errno == errno.EFBIG:
        return StoreFull(f"{TOO_BIG} for {path}: what was stored stays")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(f"no space left for {path}: free some; what was stored stays")
    return StoreUnwritable(f"cannot write {path}: {error.strerror}")


def _sync(fd: int) -> None:
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)  # fsync alone leaves it in the disk's cache there
    else:
        os.fdatasync(fd)


class JsonlWriter:
    """The one writer of a `.jsonl` recording."""

    keeps_state = False

    def __init__(self, path: str, fd: int, head: Head, raw: dict[str, int]) -> None:
        self.path = path
        self.head = head
        self._fd = fd
        self._raw = raw
        self._size = os.fstat(fd).st_size

    @classmethod
    def create(cls, path: str, info: RunInfo) -> JsonlWriter:
        """Make the file, which must not be there. Raises StoreFull or StoreUnwritable."""
        header = {"durastream": FORMAT, **{k: v for k, v in info._asdict().items() if v is not None and k != "status"}}
        fd = -1
        try:
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            os.fchmod(fd, 0o600)  # whatever the umask
            _write(fd, (dumps(header) + "\n").encode())
            _sync(fd)
            folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            _close(fd)
            raise _translate(error, path) from error
        return cls(path, fd, Head(0, genesis(info.run_id)), {})

    @classmethod
    def resume(cls, path: str) -> JsonlWriter | None:
        """Open a recording to write on, cut off behind the last line that can be read, so that the next is not lost.

        None when not even its header is whole. Raises NotARecording or NewerFormat for what is not ours to go on with,
        StoreDamaged when events are missing in its middle.
        """
        try:
            reader = JsonlReader(path)
        except NotARecording:
            if _is_torn_header(path):
                return None
            raise
        raw: dict[str, int] = {}
        head = Head(0, genesis(reader.run_id))
        for entry in reader.scan():
            if isinstance(entry, Event):
                if entry.seq != head.seq + 1:
                    reader.close()
                    raise StoreDamaged(f"{path} lost what was stored between event {head.seq} and {entry.seq}")
                head = Head(entry.seq, entry.hash)
            else:
                raw[entry.stream] = entry.offset + entry.length
        whole = reader.whole
        reader.close()
        fd = -1
        try:
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
            os.ftruncate(fd, whole)
        except OSError as error:
            _close(fd)
            raise _translate(error, path) from error
        return cls(path, fd, head, raw)

    def append(self, batch: Batch) -> None:
        if batch.rows and batch.rows[0][0] != self.head.seq + 1:
            raise StoreConflict(f"{self.path} ends at event {self.head.seq}, not before {batch.rows[0][0]}")
        lines = [_raw_line(chunk) for chunk in batch.raw]
        lines += [
            b'%b,"hash":"sha256:%b"}\n' % (body[:-1], digest.hex().encode()) for body, digest in _columns(batch.rows)
        ]
        data = b"".join(lines)
        try:
            self.check()  # what is appended would hide it
            _write(self._fd, data)
            _sync(self._fd)
        except OSError as error:
            raise _translate(error, self.path) from error
        self._size += len(data)
        for chunk in batch.raw:
            self._raw[chunk.stream] = chunk.offset + chunk.length
        if batch.rows:
            self.head = Head(batch.rows[-1][0], batch.rows[-1][2])

    def check(self) -> None:
        if os.fstat(self._fd).st_size < self._size:
            raise StoreDamaged(f"{self.path} was cut short while it was written")

    def raw_length(self, stream: str) -> int:
        return self._raw.get(stream, 0)

    def finish(self, info: RunInfo) -> None:
        """Nothing to do: the last event says it all."""

    def close(self) -> None:
        os.close(self._fd)


def _close(fd: int) -> None:
    if fd >= 0:
        os.close(fd)


def _is_torn_header(path: str) -> bool:
    """Whether a file is what is left when its recorder ended while it made it: part of a first line, or zeros."""
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        data = file.read(_LONGEST_HEADER)
    return b"\n" not in data and (_HEADER.startswith(data[: len(_HEADER)]) or not data.strip(b"\0"))


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _columns(rows: Sequence[Row]) -> Iterable[tuple[bytes, bytes]]:
    """UTF-8 of the body of each event, and its hash."""
    if isinstance(rows, Rows):
        return rows.columns()
    return ((body.encode(), digest) for _, body, digest in rows)


def _raw_line(chunk: RawChunk) -> bytes:
    packed = base64.b64encode(chunk.data).decode()
    return f'{{"raw":"{chunk.stream}","offset":{chunk.offset},"length":{chunk.length},"zlib":"{packed}"}}\n'.encode()


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
                line = file.readline(_LONGEST_HEADER)
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
                entry = _entry(line, many=count > _FEW)
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
                    entry = _entry(line)
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
            rows = _rows(after, lines) if lines else []
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
                end += place < end and line.startswith(_RAW)
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
                yield from pieces(_raw_chunks(file, stream), self.path)
        except OSError as error:
            raise NotARecording(f"cannot read {self.path}: {error.strerror}") from error

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _entry(line: bytes, *, many: bool = False) -> Event | RawChunk:
    """What a line holds; with `many` by a decoder that is faster, and takes a while to import."""
    text = line.decode()
    if line.startswith(_RAW):
        return _raw_chunk(line)
    cut = len(text) - _HASH_LENGTH
    if cut < 0 or not text.startswith(_HASH, cut) or not text.endswith('"}'):
        raise ValueError("no hash at the end of the line")
    digest = parse_hash(text[cut + len(_HASH) - len("sha256:") : -2])
    body = text[:cut] + "}"
    return loads_many([(body, digest)])[0] if many else loads(body, digest)


def _rows(after: int, lines: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    """Body and hash of the events in many lines; none when they are not those behind an event.

    Raises what a line raises that cannot be read.
    """
    for line in lines:
        if line.startswith(_RAW):
            _raw_chunk(line)
    lines = [line for line in lines if not line.startswith(_RAW)]
    around, start = (_HASH + '"}').encode(), len(_HASH)
    ends = [line[-_HASH_LENGTH:] for line in lines]
    digits = b"".join([end[start:-2] for end in ends]).decode()
    hashes = bytes.fromhex(digits)
    if hashes.hex() != digits or [end[:start] + end[-2:] for end in ends] != [around] * len(ends):
        return []
    bodies = [line[:-_HASH_LENGTH] + b"}" for line in lines]
    for body, seq in ((bodies[0], after + 1), (bodies[-1], after + len(lines))):
        if not body.startswith(b'{"seq":%d,' % seq):
            return []
    return [(body, hashes[at : at + 32]) for body, at in zip(bodies, range(0, len(hashes), 32), strict=True)]


def _raw_chunks(file: BinaryIO, stream: str) -> Iterator[RawChunk]:
    """What is kept of a stream. A newline is always the end of a line, so the others need not be looked at."""
    rest, mark = b"", b"\n" + _RAW
    while piece := file.read(_PIECE):
        lines = rest + piece
        at = 0
        while (start := lines.find(mark, at)) >= 0 and (at := lines.find(b"\n", start + 1)) >= 0:
            with suppress(*UNREADABLE):
                chunk = _raw_chunk(lines[start + 1 : at])
                if chunk.stream == stream:
                    yield chunk
        rest = lines[start:] if start >= 0 else lines[-len(mark) :]
        if len(rest) > _LONGEST:
            raise Damaged(f"{file.name}: a line is longer than {_LONGEST >> 20} MiB")


def _raw_chunk(line: bytes) -> RawChunk:
    raw = json.loads(line)
    stream, offset, length = raw["raw"], raw["offset"], raw["length"]
    if type(stream) is not str or type(offset) is not int or type(length) is not int or not 0 <= length <= LONGEST_RAW:
        raise ValueError("no place of raw bytes")
    data = base64.b64decode(raw["zlib"], validate=True)
    if base64.b64encode(data).decode() != raw["zlib"]:
        raise ValueError("raw bytes that are spelled in another way than they were written")
    return RawChunk(stream, offset, length, data)
