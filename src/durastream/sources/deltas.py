"""Lines that add text to one message, decoded together: nine of ten lines of an agent that streams.

    {"type":"text.delta","data":{"message_id":"answer","text":"Hel"}}

What goes before the text is the same in each of them, so their texts are decoded as one array of strings, and encoded
as one. What is no such line is left to who reads lines one by one, and who gets the same events out of these.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from itertools import accumulate, compress, repeat
from operator import contains
from typing import NamedTuple

from pydantic_core import SchemaValidator, core_schema, from_json, to_json

from durastream.events import ACTIVE, Deltas, escape_terminal

__all__ = ["Others", "together"]

_MARK = b'"text.delta"'
_ID = rb"[^\"\\#\x00-\x1f\x7f-\xff][^\"\\\x00-\x1f\x7f-\xff]{0,199}"
_HEAD = re.compile(rb'\{"type": ?"text\.delta", ?"data": ?\{"message_id": ?"(%s)", ?"text": ?"' % _ID)
_END = b'"}}\n'
_NEWLINE = 10  # asked for by its number: as bytes it takes ten times as long to find


@cache
def _needs_care() -> Callable[[bytes], bool]:
    """Whether a JSON text may not be stored as it stands: some of it is never written like that."""
    pattern = rf"[{ACTIVE}]|\\[u/]"
    return SchemaValidator(core_schema.str_schema(pattern=pattern)).isinstance_python


class Others(NamedTuple):
    """Lines that are something else: behind how many of the pieces they stand, at which offset of the stream."""

    behind: int
    offset: int
    lines: bytes


def together(block: bytes, stream: str, offset: int) -> tuple[Deltas, list[Others]] | None:
    """The pieces of the first message that a block adds to, and what else is in it; None if that cannot be told.

    The block is of whole lines, at an offset of the stream. Raises ValueError when the text of a line is no JSON. As no
    text holds a newline, one with a quote too many or too few is not made good by the next: it is found, and so is one
    that goes on behind its quote as an array would.
    """
    named = _HEAD.search(block, max(0, block.find(_MARK) - 16))
    if named is None or block[named.start() - 1 : named.start()] not in (b"", b"\n"):
        return None
    texts, places, others = _cut(block, named.start(), named[0], offset)
    array = b'["' + b'",\n"'.join(texts) + b'"]'
    values = from_json(array, allow_inf_nan=False, cache_strings="none")
    if len(values) != len(texts) or set(map(type, values)) != {str}:
        return None
    jsons = texts
    if _needs_care()(array):
        encoded = to_json(values, indent=1).decode()
        jsons = [escape_terminal(each).encode() for each in encoded[4:-3].split('",\n "')]
    return Deltas(named[1].decode(), values, jsons, stream, places), others


def _cut(block: bytes, at: int, head: bytes, offset: int) -> tuple[list[bytes], list[int], list[Others]]:
    """The texts behind each `head`, the offsets of their lines, and the lines that are something else."""
    others = [Others(0, offset, block[:at])] if at else []
    pieces = block[at + len(head) :].split(_END + head)
    around = len(head) + len(_END)
    starts = [*accumulate([len(piece) + around for piece in pieces], initial=offset + at)]
    texts: list[bytes] = []
    places: list[int] = []
    done, last = 0, len(pieces) - 1
    for at in (*compress(range(last), map(contains, pieces, repeat(_NEWLINE))), last):  # few: further lines are in them
        texts += pieces[done:at]
        places += starts[done:at]
        done, start = at + 1, starts[at]
        text, found, rest = pieces[at].partition(_END)
        if found and _NEWLINE not in text:
            texts.append(text)
            places.append(start)
            start += around + len(text)
        else:
            rest = head + pieces[at]
        if at == last:
            others += [Others(len(texts), start, rest)] if rest else []
            continue
        line, found, text = rest.rpartition(b"\n" + head)  # of the next text, if the line before ended in another way
        if found and _NEWLINE not in text:
            others.append(Others(len(texts), start, line + b"\n"))
            texts.append(text)
            places.append(start + len(line) + 1)
        else:
            others.append(Others(len(texts), start, rest + _END))
    return texts, places, others
