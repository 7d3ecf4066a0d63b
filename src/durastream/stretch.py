"""A stretch of a log, condensed: its hashes followed, and its pieces of text, nine of ten events, read by columns.

What is condensed is exactly what reading event by event gives, several times as fast. It is for whoever reads a whole
log, and only for what is in order: of anything else `condense` says None, and the events tell what it is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from durastream.events import Event, loads_many

__all__ = ["Moment", "Pieces", "Places", "Stretch", "condense", "joined"]

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


_WORDS = rb"[ !#-\[\]-~]*"
_ROW = re.compile(
    rb'\{"seq":([0-9]+),"ts":"([0-9TZ:.+-]*)","t":((?:0|[1-9][0-9]{0,10})\.[0-9]{1,9}),"type":"text\.delta",'
    rb'"data":\{"message_id":"(' + _WORDS + rb')","text":"([^"]*(?:(?<=\\)"[^"]*)*)(?<!\\)"\},'
    rb'"src":\{"stream":"(' + _WORDS + rb')","offset":([0-9]{1,15})(?:,"length":(0|[1-9][0-9]{0,14}))?\}\}\n'
    rb"|(.*)\n"
)
"""A piece of text exactly as the recorder writes it; else the row as it is.

Of the text only the bounds are looked at: a quote behind a backslash is in it, one without ends it, and it does not end
in a backslash. What is between is checked when it is decoded, and numbers are when they are read.
"""

_Columns = Sequence[Sequence[bytes]]


def condense(before: bytes, first: int, rows: Sequence[tuple[int, bytes, bytes]]) -> Stretch | None:
    """Stored rows (seq, UTF-8 of the body, hash as it is kept) in short; None when anything about them is in doubt.

    `before` is the hash of the event before the `first`.
    """
    digest = _chained(before, rows)
    blob = b"\n".join([row[1] for row in rows]) + b"\n"
    if digest is None or blob.count(b"\n") != len(rows):
        return None
    try:
        blob.isascii() or blob.decode()  # here, where each body is followed by a newline, none lends half a character
        found = _ROW.findall(blob)
        if len(found) != len(rows):
            return None  # each takes at least one line: as many as there are lines, each took one
        columns = list(zip(*found, strict=True))
        where = [at for at, other in enumerate(columns[8]) if other]
        events = dict(zip(where, loads_many([(columns[8][at].decode(), rows[at][2]) for at in where]), strict=True))
        if not _numbered(first, rows, columns[0], events):
            return None
        parts = list(_parts(first, columns, events))
        began = _began(parts)
        places = _places(first, columns, events)
    except (ValueError, TypeError, KeyError):
        return None
    if began is None:
        return None
    return Stretch(first, first + len(rows) - 1, before, digest, began, parts[-1].t, parts, places)


def _chained(digest: bytes, rows: Iterable[tuple[int, bytes, bytes]]) -> bytes | None:
    """The hash after these rows; None when one of them does not follow."""
    sha256 = hashlib.sha256
    for _, body, told in rows:
        digest = sha256(digest + body).digest()
        if not (told and digest.startswith(told)):
            return None
    return digest


def _numbered(
    first: int, rows: Sequence[tuple[int, bytes, bytes]], numbers: Sequence[bytes], events: Mapping[int, Event]
) -> bool:
    """Whether rows and what is in them bear the numbers from `first` on."""
    told = list(numbers)
    for at, event in events.items():
        told[at] = b"%d" % event.seq
    expected = list(range(first, first + len(rows)))
    return b", ".join(told) == str(expected)[1:-1].encode() and [row[0] for row in rows] == expected


def _parts(first: int, columns: _Columns, events: Mapping[int, Event]) -> Iterator[Event | Pieces]:
    """The events, pieces of one message put together."""
    _, stamps, times, ids, texts, *_ = columns
    named: list[bytes | None] = list(ids)
    for at in events:
        named[at] = None
    start = 0
    for message_id, same in groupby(named):
        end = start + len(list(same))
        if message_id is None:
            yield from [events[at] for at in range(start, end)]
        else:
            moments: list[Moment] = []
            seq = first + start
            for t, together in groupby(times[start:end]):
                count = len(list(together))
                moments.append((float(t), False, count, seq))
                seq += count
            text = _text(texts[start:end])
            yield Pieces(message_id.decode(), text, seq - 1, stamps[end - 1].decode(), moments[-1][0], moments)
        start = end


def _text(texts: Sequence[bytes]) -> str:
    """The text of pieces as they stand in JSON strings. Raises ValueError when one of them cannot stand there."""
    from pydantic_core import from_json  # as in `loads_many`

    together = b"".join(texts)
    if b"\\u" not in together:  # any other escape is whole: no piece ends in a backslash
        return str(from_json(b'"' + together + b'"'))
    return "".join([from_json(b'"' + text + b'"') for text in texts])


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


def _places(first: int, columns: _Columns, events: Mapping[int, Event]) -> dict[str, Places]:
    """Where the bytes of all of them stood, stream by stream."""
    *_, streams, starts, sizes, _ = columns
    names: list[bytes | None] = list(streams)
    told, lengths = list(starts), list(sizes)
    for at, event in events.items():
        names[at], told[at] = None, b"0"
        if event.src is not None:
            stream, offset, length = event.src
            names[at], told[at], lengths[at] = (
                stream.encode(),
                b"%d" % offset,
                b"" if length is None else b"%d" % length,
            )
    offsets = _whole_numbers(told)
    sized = [int(length) if length else None for length in lengths] if any(lengths) else None
    kinds = set(names)
    if len(kinds) == 1:
        mine: Iterable[int] = range(len(names))
        return {name.decode(): Places(range(first, first + len(names)), offsets, sized) for name in kinds if name}
    found = {}
    for name in kinds:
        if name is not None:
            mine = [at for at, each in enumerate(names) if each == name]
            lines = None if sized is None else [sized[at] for at in mine]
            found[name.decode()] = Places([first + at for at in mine], [offsets[at] for at in mine], lines)
    return found


def _whole_numbers(told: Sequence[bytes]) -> list[int]:
    """Numbers as they stand in JSON. Raises ValueError when one cannot stand there."""
    from pydantic_core import from_json

    return list(from_json(b"[" + b",".join(told) + b"]"))
