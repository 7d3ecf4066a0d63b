"""Reads the raw bytes of a finished run anew, by the adapters of today, into a new run with the times that it had.

The old one stays as it was.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import datetime

from durastream.errors import DurastreamError, RecordingError
from durastream.events import Event, show_hash
from durastream.newrun import Made, NewRun
from durastream.redaction.redactor import Redactor
from durastream.sources import Source, replayed, source_for
from durastream.spool import STREAMS
from durastream.stores import FolderStore, Reader

__all__ = ["rederive"]


def rederive(
    store: FolderStore,
    reader: Reader,
    *,
    format_: str = "auto",
    log: str = "sqlite",
    redactor: Redactor | None = None,
) -> Made:
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
    new = NewRun(store, name, info.tags, log, began, command=info.command, cwd=info.cwd, redactor=redactor)
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
            why = "wrote nothing" if (old.started or {}).get("raw") is True else "keeps no raw bytes"
            raise RecordingError(f"run {reader.run_id} {why}: it cannot be derived anew")
        status = {name: end[name] for name in ("exit_code", "signal") if end.get(name) is not None}
        return new.end(sources, status or None, at=(began + old.t, old.t))


def _events(reader: Reader) -> Iterator[Event]:
    after = 0
    while events := reader.read(after):
        yield from events
        after = events[-1].seq


def _source(stream: str, format_: str, words: list[str]) -> Source:
    known = replayed(format_, words) if stream == "stdout" else None
    return known or source_for(stream, format_)


def _seconds(text: str) -> float:
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
