"""A run that is made afterwards, of bytes whose times are known.

They go through the same guards, ledger and stores as those of a live run.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from durastream import answer
from durastream.events import FORMAT, Aside, Event, Pending, show_hash
from durastream.ledger import Ledger, closing, judged, now_text, own
from durastream.notes import warning
from durastream.redaction.guard import Guard
from durastream.redaction.raw import RawGuard
from durastream.redaction.redactor import Redactor
from durastream.sources import Source
from durastream.spool import new_run_id
from durastream.state import RunState
from durastream.stores import FolderStore, RawChunk, RunInfo, Writer
from durastream.stores.protocols import completed_info
from durastream.version import VERSION

__all__ = ["LATEST", "At", "Made", "NewRun", "free_id", "whole_or_none"]

LATEST = 253402300799.0
"""The last second of the year 9999, in seconds since 1970."""

_PIECE = 1 << 20
_BATCH = 2000
_BATCH_SIZE = 8 << 20

At = tuple[float, float]
"""When bytes were written: seconds since 1970, and seconds of the run."""


class Made(NamedTuple):
    """The new run, and its state at the end."""

    info: RunInfo
    state: RunState


def free_id(store: FolderStore) -> str:
    """An id that no run of a store has."""
    run_id = new_run_id()
    while store.path(run_id) is not None:
        run_id = new_run_id()
    return run_id


@contextlib.contextmanager
def whole_or_none(writer: Writer) -> Iterator[None]:
    """Close a recording; what was made of one that could not be made whole is removed."""
    try:
        yield
    except BaseException:
        writer.close()
        for end in ("", "-wal", "-shm", "-journal"):
            with contextlib.suppress(OSError):
                os.unlink(writer.path + end)
        raise
    writer.close()


class NewRun:
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
        clean, words = self._redactor.value, self._redactor.words(command or [])
        self.info = RunInfo(free_id(store), clean(name), clean(tags), words, clean(cwd or os.getcwd()), now_text(began))
        self.kept = 0
        self._writer = store.create(self.info, log)
        self._ledger = Ledger(self._writer, redactor=self._redactor)
        self.state = self._ledger.state
        self._keep = raw
        self._streams: dict[str, _Stream] = {}
        self._chunks: list[RawChunk] = []
        self._at: At = (began, 0.0)
        self._waiting = self._size = 0

    def writing(self) -> contextlib.AbstractContextManager[None]:
        """Close it in the end; remove what was made of it when it could not be made whole."""
        return whole_or_none(self._writer)

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

    def end(self, sources: Mapping[str, Source], status: Mapping[str, Any] | None, at: At | None = None) -> Made:
        """Close the run as a recorder does."""
        if at is not None:
            self._at = at
        for stream, source in sources.items():
            into = self._streams.get(stream)
            last = source.close()
            self._enter(last if into is None else into.close(last, getattr(source, "asides", ())))
            if unheard := getattr(source, "unheard", None):
                self._enter([warning(unheard)])
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
        return Made(info, self.state)

    def repeat(self, event: Event, at: At) -> None:
        """Say again what durastream itself said of the run that this one is derived from."""
        self._at = at
        self._enter([own(event.type, event.data)])

    def _when(self) -> tuple[str, float]:
        wall, t = self._at
        return now_text(min(wall, LATEST)), round(t, 6)

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
