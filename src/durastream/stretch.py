"""A stretch of a log, condensed: its hashes followed, and its pieces of text, nine of ten events, read by columns.

What is condensed is exactly what reading event by event gives, several times as fast. It is for whoever reads a whole
log, and only for what is in order: of anything else `condense` says None, and the events tell what it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from durastream.columns import Mark, read
from durastream.events import Event, loads_many

__all__ = ["STRETCH", "Moment", "Pieces", "Places", "Stretch", "condense", "joined"]

STRETCH = 4992
"""How many events are condensed at once: from the start on, so many that the hash of each last one is kept whole."""

Moment = tuple[float, bool, int, int]
"""A second of the run, whether it is only that of a late reading, how many events came then, and the first of them."""


class Pieces(NamedTuple):
    """Pieces of one message that follow each other in the log; `seq`, `ts` and `t` are those of the last."""

    message_id: str
    text: str
    seq: int
    ts: str
    t: float
    moments: list[Moment]
    """When they were seen; of those that the agent wrote."""


class Places(NamedTuple):
    """Where events of one stream stood, by columns; without a length each stood on one line."""

    seqs: Sequence[int]
    offsets: Sequence[int]
    lengths: Sequence[int | None] | None


class Stretch(NamedTuple):
    """Events `first` to `last`, which bear these numbers without a gap, and whose hashes lead from `before` to `hash`.

    Their times run from `began` to `t` and never back. None of them is `run.completed`.
    """

    first: int
    last: int
    before: bytes
    hash: bytes
    began: float
    t: float
    parts: list[Event | Pieces]
    places: dict[str, Places]


def joined(events: Sequence[Event]) -> Iterator[Event | Pieces]:
    """The events in order, pieces of one message put together."""
    start = 0
    message_id: str | None = None
    texts: list[str] = []
    for at, event in enumerate(events):
        if event[3] == "text.delta":
            data = event[4]
            text, named = data.get("text"), data.get("message_id")
            if type(text) is str and type(named) is str:
                if named != message_id:
                    if message_id is not None:
                        yield _pieces(message_id, texts, events[start:at])
                    start, message_id, texts = at, named, []
                texts.append(text)
                continue
        if message_id is not None:
            yield _pieces(message_id, texts, events[start:at])
            message_id, texts = None, []
        yield event
    if message_id is not None:
        yield _pieces(message_id, texts, events[start:])


def _pieces(message_id: str, texts: list[str], events: Sequence[Event]) -> Pieces:
    last, moments = events[-1], []
    for (t, late), same in groupby((event for event in events if event.src is not None), key=lambda e: (e.t, e.late)):
        together = list(same)
        moments.append((t, late, len(together), together[0].seq))
    return Pieces(message_id, "".join(texts), last.seq, last.ts, last.t, moments)


_KEPT = {4, 32}

_Row = tuple[bytes, bytes]
"""UTF-8 of the body of an event, and its hash as it is kept."""


def condense(before: bytes, first: int, rows: Sequence[_Row]) -> Stretch | None:
    """Stored rows in short, those of the events from `first` on; None when anything about them is in doubt.

    `before` is the hash of the event before the first.
    """
    try:
        digest = _chained(before, rows)
        return None if digest is None else _condensed(before, digest, first, [row[0] for row in rows])
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _chained(digest: bytes, rows: Sequence[_Row]) -> bytes | None:
    """The hash after these rows; None when one of them does not follow."""
    sha256 = hashlib.sha256
    for body, told in rows:
        digest = sha256(digest + body).digest()
        if not digest.startswith(told):
            return None
    return digest if {len(row[1]) for row in rows} <= _KEPT else None


def _condensed(before: bytes, digest: bytes, first: int, bodies: Sequence[bytes]) -> Stretch | None:
    marks, texts, offsets, lengths = read(first, bodies)
    where = [at for at, mark in enumerate(marks) if mark is None]
    events = dict(zip(where, loads_many([(bodies[at].decode(), b"") for at in where]), strict=True))
    streams = [mark and mark[1] for mark in marks]
    for at, event in events.items():
        if event.seq != first + at:
            return None
        if event.src is not None:
            streams[at], offsets[at], lengths[at] = event.src
    parts = list(_parts(first, marks, texts, events))
    began = _began(parts)
    if began is None:
        return None
    places = _places(first, streams, offsets, lengths)
    return Stretch(first, first + len(bodies) - 1, before, digest, began, parts[-1].t, parts, places)


def _parts(
    first: int, marks: Sequence[Mark | None], texts: Sequence[str], events: Mapping[int, Event]
) -> Iterator[Event | Pieces]:
    """The events, pieces of one message put together."""
    start = at = 0
    last: Mark | None = None
    moments: list[Moment] = []
    for mark, same in groupby(marks):
        count = len(list(same))
        if last is not None and (mark is None or mark[0] != last[0]):
            yield Pieces(last[0], "".join(texts[start:at]), first + at - 1, *last[2:], moments)
            moments = []
        if mark is None:
            yield from [events[each] for each in range(at, at + count)]
        else:
            start = start if moments else at
            moments.append((mark[3], False, count, first + at))
        last = mark
        at += count
    if last is not None:
        yield Pieces(last[0], "".join(texts[start:at]), first + at - 1, *last[2:], moments)


def _began(parts: Iterable[Event | Pieces]) -> float | None:
    """The time of the first; None when time runs back, or one of them is the end, which is judged by itself."""
    began, t = None, 0.0
    for part in parts:
        if isinstance(part, Event):
            times: Iterable[float] = (part.t,)
            if part.type == "run.completed":
                return None
        else:
            times = [moment[0] for moment in part.moments]
        for now in times:
            if now < t:
                return None
            t = now
            began = now if began is None else began
    return began


def _places(
    first: int, names: Sequence[str | None], offsets: Sequence[int], lengths: Sequence[int | None]
) -> dict[str, Places]:
    """Where the bytes of all of them stood, stream by stream."""
    found = {}
    kinds = {*names}
    if len(kinds) == 1 and (only := kinds.pop()) is not None:
        sized = None if lengths.count(None) == len(lengths) else lengths
        return {only: Places(range(first, first + len(names)), offsets, sized)}
    for name in kinds - {None}:
        mine = [at for at, each in enumerate(names) if each == name]
        sizes = [lengths[at] for at in mine]
        lined = sizes.count(None) == len(sizes)
        found[str(name)] = Places([first + at for at in mine], [offsets[at] for at in mine], None if lined else sizes)
    return found
