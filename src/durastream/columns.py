"""Pieces of text out of many stored bodies, read by columns: what is alike in all of them is looked for once.

    {"seq":7,"ts":"2026-11-23T06:00:00.123456Z","t":0.500000,"type":"text.delta","data":{"message_id":"answer","text":"Hel"},
    "src":{"stream":"events","offset":260}}

Most bodies of a log differ from their neighbours in the number, the text and the offset alone, and these have as many
digits as those of the neighbours. So it is known where in a body each of them stands: at the same place from its
start, or from its end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

__all__ = ["Columns", "Mark", "read"]

_NUMBER = rb"(?:0|[1-9][0-9]{0,14})"
_SEQ = b'{"seq":'
_WHEN = re.compile(rb',"ts":"([0-9TZ:.+-]*)","t":((?:0|[1-9][0-9]{0,10})\.[0-9]{1,9})')
_PIECE = re.compile(
    rb'\{"seq":[0-9]+(,"ts":"[^"]*","t":[^,]*)'
    rb'(,"type":"text\.delta","data":\{"message_id":"([ !#-\[\]-~]*)","text":").*'
    rb'("\},"src":\{"stream":"([a-z0-9_]*)","offset":)(%s(,"length":%s)?\}\})' % (_NUMBER, _NUMBER)
)
_SIZE = b',"length":'
_SORTS = 12
"""How many sorts of pieces are looked for. They differ by message and stream, and by how many digits a number has."""

Mark = tuple[str, str, str, float]
"""Message, stream, wall clock time, and second of the run."""


class Columns(NamedTuple):
    """What is in each of many bodies that is a piece of text; None and 0 where it is something else."""

    marks: list[Mark | None]
    texts: list[str]
    offsets: list[int]
    lengths: list[int | None]
    """None for a piece that stood on one line."""


class _Sort(NamedTuple):
    """Where things stand in the pieces of one sort, from the start of a body or, if negative, from its end."""

    message_id: str
    stream: str
    head: bytes
    """What is between the time and the text."""
    tail: bytes
    """What is between the text and its place."""
    when_at: int
    head_at: int
    tail_at: int
    place_at: int
    sized: bool

    def fits(self, bodies: Sequence[bytes], among: Iterable[int]) -> list[int]:
        """Which bodies have what is alike in all of these where they have it."""
        _, _, head, tail, _, head_at, tail_at, place_at, _ = self
        text_at = head_at + len(head)
        return [at for at in among if (body := bodies[at])[head_at:text_at] == head and body[tail_at:place_at] == tail]


def read(first: int, bodies: Sequence[bytes]) -> Columns:
    """The pieces of text in the bodies of the events from `first` on, each wholly as the recorder writes one.

    Raises ValueError or TypeError when one looks like a piece, and is none.
    """
    count = len(bodies)
    found = Columns([None] * count, [""] * count, [0] * count, [None] * count)
    left: Sequence[int] = range(count)
    for _ in range(_SORTS):
        sort = next((sort for at in left if (sort := _sort(bodies[at])) is not None), None)
        if sort is None:
            break
        fits = sort.fits(bodies, left)
        _put(found, fits, _pieces(sort, [first + at for at in fits], [bodies[at] for at in fits]))
        left = [at for at in left if found.marks[at] is None]
    return found


def _put(found: Columns, places: Sequence[int], pieces: Columns) -> None:
    marks, texts, offsets, lengths = found
    for at, mark, text, offset in zip(places, pieces.marks, pieces.texts, pieces.offsets, strict=True):
        marks[at], texts[at], offsets[at] = mark, text, offset
    for at, length in zip(places, pieces.lengths, strict=False):  # there are none where all stood on one line
        lengths[at] = length


def _sort(body: bytes) -> _Sort | None:
    """The sort of piece that a body is; None when it is something else."""
    found = _PIECE.fullmatch(body)
    if found is None:
        return None
    when_at, head_at = found.span(1)
    tail_at, place_at = found.start(4) - len(body), found.start(6) - len(body)
    return _Sort(
        found[3].decode(), found[5].decode(), found[2], found[4], when_at, head_at, tail_at, place_at, bool(found[7])
    )


def _pieces(sort: _Sort, seqs: Sequence[int], bodies: Sequence[bytes]) -> Columns:
    """What is in bodies of one sort, of events that must bear these numbers."""
    from pydantic_core import to_json  # 50 ms to import, for who reads much

    text_at = sort.head_at + len(sort.head)
    if min(map(len, bodies)) < text_at - sort.tail_at:
        raise ValueError("a piece of text that ends before it begins")
    when_at, head_at, tail_at, place_at = sort.when_at, sort.head_at, sort.tail_at, sort.place_at
    starts = b"\n".join([body[:when_at] for body in bodies])
    if starts != _SEQ + to_json(seqs)[1:-1].replace(b",", b"\n" + _SEQ):
        raise ValueError("numbers of events that are not theirs")
    marks = _marks(sort, [body[when_at:head_at] for body in bodies])
    texts = _texts([body[text_at:tail_at] for body in bodies])
    offsets, lengths = _places([body[place_at:] for body in bodies], sized=sort.sized)
    return Columns(marks, texts, offsets, lengths)


def _marks(sort: _Sort, whens: Sequence[bytes]) -> list[Mark | None]:
    marks: list[Mark | None] = []
    for when, same in groupby(whens):
        found = _WHEN.fullmatch(when)
        if found is None:
            raise ValueError("no time of an event")
        mark = (sort.message_id, sort.stream, found[1].decode(), float(found[2]))
        marks += [mark] * len(list(same))
    return marks


def _texts(texts: Sequence[bytes]) -> list[str]:
    """Texts as they stand in JSON strings, decoded as one array.

    No text holds a newline, so one with a quote too many or too few is not made good by the next.
    """
    from pydantic_core import from_json

    values: list[str] = from_json(b'["' + b'",\n"'.join(texts) + b'"]', cache_strings="none")
    if len(values) != len(texts):
        raise ValueError("a text that goes on behind its quote")
    return values


def _places(places: Sequence[bytes], *, sized: bool) -> tuple[list[int], list[int | None]]:
    """Offsets and lengths, out of `260,"length":5}}`, or offsets alone, out of `260}}`.

    Written anew they must be the same again; with a newline between them none can lend anything to the next.
    """
    from pydantic_core import from_json, to_json

    together, count = b"\n,".join(places), len(places)
    values = from_json(b"[" + together.replace(b"}}", b"").replace(_SIZE, b",") + b"]")
    if {*map(type, values)} != {int} or len(values) != (2 if sized else 1) * count:
        raise ValueError("places of events that are no numbers")
    if sized:
        written = b"\n,".join([b'%d,"length":%d}}'] * count) % tuple(values)
    else:
        written = to_json(values)[1:-1].replace(b",", b"}}\n,") + b"}}"
    if written != together:
        raise ValueError("places of events that are not written as they are by us")
    return (values[0::2], values[1::2]) if sized else (values, [])
