"""Makes a run of what was recorded elsewhere: a transcript in a file, or the raw bytes that an earlier run kept.

The bytes go through the same sources, ledger and stores as those of a live run. Time is what the lines say of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from durastream import answer
from durastream.errors import DurastreamError, RecordingError, UsageError
from durastream.events import FORMAT, Aside, Event, Pending, show_hash
from durastream.ledger import Ledger, closing, judged, now_text, own
from durastream.redaction.guard import Guard
from durastream.redaction.raw import RawGuard
from durastream.redaction.redactor import Redactor
from durastream.sources import Source, replayed, source_for
from durastream.spool import STREAMS, new_run_id
from durastream.state import RunState
from durastream.stores import FolderStore, RawChunk, Reader, RunInfo
from durastream.stores.protocols import completed_info
from durastream.version import VERSION

__all__ = ["Imported", "import_file", "rederive"]

_PIECE = 1 << 20
_BATCH = 2000
_BATCH_SIZE = 8 << 20
_LATEST = 253402300799.0  # the last second of the year 9999

At = tuple[float, float]
"""When bytes were written: seconds since 1970, and seconds of the run."""


class Imported(NamedTuple):
    """The new run, and its state at the end."""

    info: RunInfo
    state: RunState


def import_file(
    store: FolderStore,
    path: str,
    *,
    format_: str = "auto",
    name: str | None = None,
    tags: Mapping[str, str] | None = None,
    log: str = "sqlite",
    raw: bool = True,
    redactor: Redactor | None = None,
) -> Imported:
    """A run of a file that holds what an agent printed on stdout, or the session file that it kept.

    Raises UsageError for an unknown format and for a recording, RecordingError when the file cannot be read, StoreError
    when the store does not take it.
    """
    if not os.path.isfile(path):
        raise RecordingError(f"{path} is not there, or not a plain file: nothing was imported")
    if _is_recording(path):
        at = path if os.sep in path else os.path.join(os.curdir, path)
        raise UsageError(f"{path} is a durastream recording already: use it by its path: durastream show {at}")
    source = replayed(format_) or source_for("stdout", format_)
    began = _first_time(path, format_)
    try:
        with open(path, "rb") as file:
            written = os.fstat(file.fileno()).st_mtime
            origin = {"path": os.path.abspath(path), "size": os.fstat(file.fileno()).st_size}
            clock = _Clock(written if began is None else began)
            called = name or os.path.splitext(os.path.basename(path))[0]
            new = _New(store, called, dict(tags or {}), log, clock.began, raw=raw, redactor=redactor)
            with new.writing():
                new.begin({"imported": origin, "stdout": format_})
                for line in _lines(file):
                    new.take("stdout", line, source, clock.at(source, line))
                return new.end({"stdout": source}, None)
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror}: nothing was imported") from error


def rederive(
    store: FolderStore,
    reader: Reader,
    *,
    format_: str = "auto",
    log: str = "sqlite",
    redactor: Redactor | None = None,
) -> Imported:
    """A new run out of the raw bytes that a finished one kept, read by today's adapters, with the times that it had.

    Raises RecordingError when it kept none, DurastreamError when it is not over.
    """
    info, old = reader.info(), reader.state()
    end = old.completed
    if end is None:
        raise DurastreamError(f"run {reader.run_id} is not over: only a finished run is derived anew")
    if old.terminal is not None:
        raise RecordingError(
            f"run {reader.run_id} was on a terminal, whose bytes have one reading: nothing was derived"
        )
    sources = {stream: _source(stream, format_, info.command) for stream in STREAMS}
    began = _seconds(info.started_at)
    name = f"{info.name}-rederived" if info.name else None  # the name itself stays that of the run it was given to
    new = _New(store, name, info.tags, log, began, command=info.command, cwd=info.cwd, redactor=redactor)
    origin = {"run_id": reader.run_id, "seal": show_hash(reader.head().hash)}
    fields = {
        key: value for key, value in (old.started or {}).items() if key in ("host", "callable", "imported", "prompt")
    }
    with new.writing():
        new.begin({**fields, "derived_from": origin, "stdout": format_})
        pieces = [_Pieces(stream, reader) for stream in STREAMS]
        for event in _events(reader):
            for each in pieces:
                data = each.upto(event)
                if data:
                    new.take(each.stream, data, sources[each.stream], (began + event.t, event.t))
            if event.type == "run.cancel_requested":  # stands in no raw bytes, and decides how the run ended
                new.repeat(event, (began + event.t, event.t))
        for each in pieces:
            for data in each.rest():
                new.take(each.stream, data, sources[each.stream], (began + old.t, old.t))
        if not new.kept:
            raise RecordingError(f"run {reader.run_id} keeps no raw bytes: it cannot be derived anew")
        status = {name: end[name] for name in ("exit_code", "signal") if end.get(name) is not None}
        return new.end(sources, status or None, at=(began + old.t, old.t))


def _is_recording(path: str) -> bool:
    """Whether durastream itself made a file: a database with its mark, or JSON Lines with its header."""
    try:
        with open(path, "rb") as file:
            start = file.read(72)
    except OSError:
        return False  # which is told where it is read
    return start.startswith((b'{"durastream":', b'{"durastream": ')) or (
        start.startswith(b"SQLite format 3\0") and start[68:72] == b"dura"
    )


def _events(reader: Reader) -> Iterator[Event]:
    after = 0
    while events := reader.read(after):
        yield from events
        after = events[-1].seq


def _source(stream: str, format_: str, words: list[str]) -> Source:
    known = replayed(format_, words) if stream == "stdout" else None
    return known or source_for(stream, format_)


class _New:
    """The run that is being made."""

    def __init__(
        self,
        store: FolderStore,
        name: str | None,
        tags: dict[str, str],
        log: str,
        began: float,
        *,
        command: list[str] | None = None,
        cwd: str | None = None,
        raw: bool = True,
        redactor: Redactor | None = None,
    ) -> None:
        self._redactor = redactor or Redactor()
        run_id = new_run_id()
        while store.path(run_id) is not None:
            run_id = new_run_id()
        clean, words = self._redactor.value, self._redactor.words(command or [])
        self.info = RunInfo(run_id, clean(name), clean(tags), words, clean(cwd or os.getcwd()), now_text(began))
        self.kept = 0
        self._writer = store.create(self.info, log)
        self._ledger = Ledger(self._writer, redactor=self._redactor)
        self.state = self._ledger.state
        self._keep = raw
        self._streams: dict[str, _Stream] = {}
        self._chunks: list[RawChunk] = []
        self._at: At = (began, 0.0)
        self._waiting = self._size = 0

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Remove what was made of a run that could not be made whole."""
        try:
            yield
        except BaseException:
            self._writer.close()
            for end in ("", "-wal", "-shm", "-journal"):
                with contextlib.suppress(OSError):
                    os.unlink(self._writer.path + end)
            raise
        self._writer.close()

    def begin(self, fields: Mapping[str, Any]) -> None:
        started = {"run_id": self.info.run_id, "command": self.info.command, "cwd": self.info.cwd, **fields}
        started |= {"name": self.info.name, "tags": self.info.tags or None, "format": FORMAT}
        started |= {"versions": {"durastream": VERSION}, "raw": self._keep, "redaction": self._redactor.disclosed()}
        known = {name: value for name, value in started.items() if value is not None}
        self._enter([own("run.started", known), own("message.started", {"message_id": "stdout", "role": "assistant"})])

    def take(self, stream: str, data: bytes, source: Source, at: At) -> None:
        """Bytes of a stream that were written at a time."""
        self.kept += len(data)
        self._at = (max(at[0], 0.0), max(at[1], self._at[1]))
        into = self._streams.get(stream)
        if into is None:
            into = self._streams[stream] = _Stream(stream, self._redactor, keep=self._keep)
        found = source.feed(data)
        self._enter(into.take(data, found, getattr(source, "asides", ())))
        self._chunks += into.packed()

    def end(self, sources: Mapping[str, Source], status: Mapping[str, Any] | None, at: At | None = None) -> Imported:
        """Close the run as a recorder does."""
        if at is not None:
            self._at = at
        for stream, source in sources.items():
            into = self._streams.get(stream)
            last = source.close()
            self._enter(last if into is None else into.close(last, getattr(source, "asides", ())))
            if unheard := getattr(source, "unheard", None):
                self._enter([_warning(unheard)])
        self._enter(closing(self.state))
        for into in self._streams.values():
            self._chunks += into.packed(rest=True)
        found, said = judged(self._ledger, status)
        self._enter(said)
        self._commit()
        made = answer.packet(self.state, status, found)
        made["raw"] = {
            stream: {"length": into.length, "sha256": into.digest.hexdigest()} for stream, into in self._streams.items()
        }
        if self._redactor.counts:
            made["redacted"] = dict(sorted(self._redactor.counts.items()))
        made["events"] = self._ledger.head.seq + 1
        self._ledger.append([own("run.completed", made)], self._when(), last=True)
        info = completed_info(self.info, self.state, self._ledger.head, show_hash(self._ledger.head.hash))
        self._writer.finish(info)
        return Imported(info, self.state)

    def repeat(self, event: Event, at: At) -> None:
        """Say again what durastream itself said of the run that this one is derived from."""
        self._at = at
        self._enter([own(event.type, event.data)])

    def _when(self) -> tuple[str, float]:
        wall, t = self._at
        return now_text(min(wall, _LATEST)), round(t, 6)

    def _enter(self, found: list[Pending]) -> None:
        if not found:
            return
        self._ledger.add(found, self._when())
        self._waiting += len(found)
        self._size += sum(len(each.json) for each in found)
        if self._waiting >= _BATCH or self._size >= _BATCH_SIZE:
            self._commit()

    def _commit(self) -> None:
        chunks, self._chunks = self._chunks, []
        self._waiting = self._size = 0
        self._ledger.commit(chunks)


def _warning(message: str) -> Pending:
    return own("error.raised", {"message": message, "severity": "warning", "fatal": False, "by": "durastream"})


class _Stream:
    """The events of one stream on their way into the run, and its raw bytes: both without secrets."""

    def __init__(self, stream: str, redactor: Redactor, *, keep: bool) -> None:
        self.length = 0
        self.digest = hashlib.sha256()
        self._stream = stream
        self._keep = keep
        self._guard = redactor.guard()
        self._raw = redactor.raw()
        self._waiting = bytearray()
        self._kept = 0

    def take(self, data: bytes, found: list[Pending], asides: Sequence[Aside]) -> list[Pending]:
        """The next bytes and what they hold; returns the events that are decided."""
        self.length += len(data)
        if self._guard is None or self._raw is None:
            self._add(data)
            return found
        self._raw.feed(data)
        self._guard.overhear(asides)
        found = self._guard.take(found)
        self._settle(self._guard, self._raw)
        return found

    def close(self, found: list[Pending], asides: Sequence[Aside]) -> list[Pending]:
        """The last events of the stream, and all that waited."""
        if self._guard is None or self._raw is None:
            return found
        self._guard.overhear(asides)
        found = self._guard.take(found) + self._guard.close()
        self._raw.close()
        self._settle(self._guard, self._raw)
        return found

    def _settle(self, guard: Guard, raw: RawGuard) -> None:
        self._add(raw.settled(guard))

    def _add(self, data: bytes) -> None:
        self.digest.update(data)
        if self._keep:
            self._waiting += data

    def packed(self, *, rest: bool = False) -> Iterator[RawChunk]:
        """Raw bytes that are due to be kept: whole pieces, with `rest` all."""
        while len(self._waiting) >= _PIECE or (rest and self._waiting):
            piece = bytes(self._waiting[:_PIECE])
            yield RawChunk(self._stream, self._kept, len(piece), zlib.compress(piece, 1))
            self._kept += len(piece)
            del self._waiting[:_PIECE]


class _Clock:
    """The times of lines by what they say of themselves; one that says nothing has the time of the one before."""

    def __init__(self, began: float) -> None:
        self.began = began
        self._t = 0.0

    def at(self, source: Source, line: bytes) -> At:
        adapter = getattr(source, "adapter", None)
        when = _time_of(adapter, line) if adapter is not None else None
        if when is not None:
            self._t = max(self._t, when - self.began)
        return self.began + self._t, self._t


def _time_of(adapter: Any, line: bytes) -> float | None:
    from durastream.sources.decode import decode  # 60 ms to import, and only formats of agents tell a time

    try:
        when = adapter.when(decode(line.removeprefix(b"data:").strip()))
    except Exception:  # noqa: BLE001 - an adapter may come from anyone, and a line may hold anything
        return None
    return float(when) if isinstance(when, (int, float)) and 0 < when < _LATEST else None


def _first_time(path: str, format_: str) -> float | None:
    """The first time that a line of the file tells; None when none of the first megabyte does."""
    source = replayed(format_)
    if source is None:
        return None
    try:
        with open(path, "rb") as file:
            lines = file.read(_PIECE).split(b"\n")
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror}: nothing was imported") from error
    for line in lines:
        source.feed(line + b"\n")
    if source.adapter is None:
        return None
    return next((when for line in lines if (when := _time_of(source.adapter, line)) is not None), None)


def _lines(file: Any) -> Iterator[bytes]:
    """The lines of a file with their newlines; a very long one in pieces."""
    while line := file.readline(_PIECE):
        yield line


def _seconds(text: str) -> float:
    from datetime import datetime

    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return time.time()


class _Pieces:
    """The raw bytes of a stream, given out as far as events came from them."""

    def __init__(self, stream: str, reader: Reader) -> None:
        self.stream = stream
        self._chunks: Iterable[bytes] = iter(reader.raw(stream))
        self._rest = b""
        self._at = 0

    def upto(self, event: Event) -> bytes:
        """The bytes up to the end of those that an event came from; none when they were given out before."""
        if event.src is None or event.src.stream != self.stream or event.src.offset < self._at:
            return b""
        while not (end := event.src.end_in(self._rest, self._at)):
            more = next(iter(self._chunks), b"")
            if not more:
                end = len(self._rest)
                break
            self._rest += more
        data, self._rest = self._rest[:end], self._rest[end:]
        self._at += end
        return data

    def rest(self) -> Iterator[bytes]:
        if self._rest:
            yield self._rest
        yield from self._chunks
