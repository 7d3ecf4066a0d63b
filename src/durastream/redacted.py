"""Makes a finished recording anew, without what was found in it later. The old one stays as it was.

Every event is there again with its number, time and place; what is masked is as long as what it stands for. The chain,
the drafts, the hashes of texts and the end are those of the new recording.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections import deque
from typing import Any

from durastream import answer
from durastream.errors import Damaged, DurastreamError, UsageError
from durastream.events import Event, Pending, show_hash
from durastream.follow import read_all
from durastream.ledger import Ledger, judged, own
from durastream.newrun import Made, free_id, whole_or_none
from durastream.redaction.guard import Guard, Patch
from durastream.redaction.raw import RawGuard
from durastream.redaction.redactor import Redactor
from durastream.sources import ReplayedSource, replayed
from durastream.spool import STREAMS
from durastream.stores import FolderStore, RawChunk, Reader, RunInfo
from durastream.stores.protocols import completed_info

__all__ = ["redact"]

_TIME = re.compile(r"[0-9TZ:.+-]*")
_PIECE = 1 << 20
_EVERYWHERE = 1 << 62


class _NothingFound(Exception):
    """Nothing was taken out: the new recording is to go."""


def redact(store: FolderStore, reader: Reader, redactor: Redactor, *, log: str = "sqlite") -> Made | None:
    """A new recording of a finished run; None, and none is made, when there is nothing to take out.

    Raises DurastreamError when the run is not over, StoreError on writing.
    """
    try:
        return _redacted(store, reader, redactor, log)
    except _NothingFound:
        return None


def _redacted(store: FolderStore, reader: Reader, redactor: Redactor, log: str) -> Made:
    old = reader.state()
    if old.completed is None:
        raise DurastreamError(f"run {reader.run_id} is not over: only a finished run is redacted")
    info = reader.info()
    asked = {**info._asdict(), "name": f"{info.name}-redacted" if info.name else None}
    made = redactor.meta(asked)
    info = info._replace(run_id=free_id(store), **{name: made[name] for name in ("name", "tags", "command", "cwd")})
    writer = store.create(info, log)
    with whole_or_none(writer):
        ledger = Ledger(writer, redactor=redactor)
        guard = redactor.guard()
        assert guard is not None
        streams = {name: _Raw(name, reader, redactor, guard) for name in STREAMS}
        streams["stdout"].source = _source(old.started or {}, info)
        waiting: deque[Event] = deque()
        for batch in read_all(reader):
            waiting += batch
            events = [event for event in batch if event.type != "run.completed"]
            for stream in streams.values():
                stream.reach(events)
            _enter(ledger, waiting, guard.take([_told(event, info, reader) for event in events]))
            for stream in streams.values():
                stream.settle(guard)
            ledger.commit()
        for stream in streams.values():
            stream.reach_end()
        _enter(ledger, waiting, guard.close())
        ledger.commit([chunk for stream in streams.values() for chunk in stream.rest(guard)])
        same = all(made[name] == asked[name] for name in ("name", "tags", "command", "cwd"))
        if same and not redactor.counts and not any(stream.masked for stream in streams.values()):
            raise _NothingFound
        end = _end(ledger, old.completed, {name: each for name, each in streams.items() if each.length}, redactor)
        last = waiting[-1]
        ledger.append([own("run.completed", end)], (last.ts, last.t), last=True)
        info = completed_info(info, ledger.state, ledger.head, show_hash(ledger.head.hash))
        writer.finish(info)
        return Made(info, ledger.state)


def _source(started: dict[str, Any], info: RunInfo) -> ReplayedSource | None:
    """What read the stdout of a run; None when that is not known, or was no agent's stream."""
    try:
        return replayed(str(started.get("stdout", "text")), info.command)
    except UsageError:  # an adapter that is not installed here
        return None


def _told(event: Event, info: RunInfo, reader: Reader) -> Pending:
    """An event as it goes in; the first one tells of which run this one was made."""
    data = event.data
    if not _TIME.fullmatch(event.ts):
        raise Damaged(f"{reader.path}: event {event.seq} has no time, but {event.ts[:40]!r}: nothing was made of it")
    if event.type == "run.started":
        origin = {"run_id": reader.run_id, "seal": show_hash(reader.head().hash)}
        data = {**data, "run_id": info.run_id, "redacted_from": origin}
        data |= {"name": info.name} if info.name else {}
        if data.get("command"):
            data["command"] = info.command
    return own(event.type, data)._replace(src=event.src)


def _enter(ledger: Ledger, waiting: deque[Event], found: list[Pending]) -> None:
    """Put events in that are decided, each with the time of the one that it was."""
    for pending in found:
        event = waiting.popleft()
        late = {event.src.stream: _EVERYWHERE} if event.late and event.src is not None else None
        ledger.add([pending], (event.ts, event.t), late)


def _end(ledger: Ledger, told: dict[str, Any], streams: dict[str, _Raw], redactor: Redactor) -> dict[str, Any]:
    """The end that the new events have, as far as nobody but the recorder of the old ones saw it."""
    status = {name: told[name] for name in ("exit_code", "signal") if told.get(name) is not None}
    found, _ = judged(ledger, status or None)
    end = answer.packet(ledger.state, status or None, found)
    end["status"] = told.get("status", end["status"])
    raw = told.get("raw")
    if isinstance(raw, dict):
        end["raw"] = {**raw, **{name: each.told() for name, each in streams.items() if name in raw}}
    before = told.get("redacted")
    counts = {**(before if isinstance(before, dict) else {})}
    for kind, count in redactor.counts.items():
        counts[kind] = counts.get(kind, 0) + count
    return {**end, "redacted": dict(sorted(counts.items())), "events": ledger.head.seq + 1}


class _Raw:
    """The raw bytes of one stream, from the old recording into the new one."""

    def __init__(self, stream: str, reader: Reader, redactor: Redactor, guard: Guard) -> None:
        self.length = 0
        self.source: ReplayedSource | None = None
        """What reads the stream anew, for what no event shows in pieces."""
        self._guard = guard
        self._stream = stream
        self._was = hashlib.sha256()
        self._digest = hashlib.sha256()
        self._pieces = iter(reader.raw(stream))
        self._raw: RawGuard = redactor.raw() or RawGuard(redactor.rules)
        self._fed = 0
        self._reached = 0
        self._patches: list[Patch] = []
        self._chunks: list[RawChunk] = []
        self._waiting = bytearray()

    def reach(self, events: list[Event]) -> None:
        """Read as far as the last of some events stands, so that what is split over events is masked in its bytes."""
        ends = [
            e.src.offset + (e.src.length or 1) for e in events if e.src is not None and e.src.stream == self._stream
        ]
        self._reached = max([self._reached, *(e.src.offset for e in events if e.src and e.src.stream == self._stream)])
        while ends and self._fed < max(ends) + _PIECE and self._feed():
            continue

    def reach_end(self) -> None:
        """Read the rest, in which there may be what no event shows."""
        while self._feed():
            continue

    def _feed(self) -> bool:
        piece = next(self._pieces, b"")
        self._fed += len(piece)
        self._was.update(piece)
        self._raw.feed(piece)
        if self.source is not None:
            _ = self.source.feed(piece) if piece else self.source.close()
            self._guard.overhear(self.source.asides)
            self.source = self.source if piece else None
        return bool(piece)

    def settle(self, guard: Guard) -> None:
        """Mask what was decided, as far as the bytes of it are, and take in the bytes before."""
        self._patches += [patch for patch in guard.patches if patch.src.stream == self._stream]
        guard.patches[:] = [patch for patch in guard.patches if patch.src.stream != self._stream]
        self._patches = [patch for patch in self._patches if not self._raw.patch(patch)]
        first = guard.first_undecided(self._stream)
        at = [patch.src.offset for patch in self._patches] + ([] if first is None else [first])
        self._add(self._raw.take(min([self._reached, *at])))

    def _add(self, data: bytes) -> None:
        self._digest.update(data)
        self._waiting += data
        while len(self._waiting) >= _PIECE:
            self._pack()

    def _pack(self) -> None:
        piece = bytes(self._waiting[:_PIECE])
        del self._waiting[:_PIECE]
        self._chunks.append(RawChunk(self._stream, self.length, len(piece), zlib.compress(piece, 1)))
        self.length += len(piece)

    def rest(self, guard: Guard) -> list[RawChunk]:
        """All that is kept of the stream, of which all is decided."""
        self._raw.close()
        self.settle(guard)
        self._add(self._raw.take(self._raw.at))
        while self._waiting:
            self._pack()
        return self._chunks

    @property
    def masked(self) -> bool:
        """Whether something was taken out of the bytes so far."""
        return self._was.digest() != self._digest.digest()

    def told(self) -> dict[str, Any]:
        """What the end of the run says of the stream."""
        return {"length": self.length, "sha256": self._digest.hexdigest()}
