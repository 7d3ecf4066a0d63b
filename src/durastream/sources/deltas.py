"""Lines that add text to one message, decoded together: nine of ten lines of an agent that streams.

    {"type":"text.delta","data":{"message_id":"answer","text":"Hel"}}

What goes before the text is the same in each of them, so their texts are decoded as one array of strings, and encoded
as one. What is no such line is left to who reads lines one by one, and who gets the same events out of these.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import NamedTuple

from pydantic_core import from_json, to_json

from durastream.events import Deltas, escape_terminal

__all__ = ["Others", "together"]

_MARK = b'"text.delta"'
_ID = rb"[^\"\\#\x00-\x1f\x7f-\xff][^\"\\\x00-\x1f\x7f-\xff]{0,199}"
_HEAD = re.compile(rb'\{"type": ?"text\.delta", ?"data": ?\{"message_id": ?"(%s)", ?"text": ?"' % _ID)
_END = b'"}}\n'
_NEWLINE = 10  # asked for by its number: as bytes it takes ten times as long to find


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
    values = from_json(b'["' + b'",\n"'.join(texts) + b'"]', allow_inf_nan=False, cache_strings="none")
    if len(values) != len(texts) or set(map(type, values)) != {str}:
        return None
    encoded = to_json(values, indent=1).decode()
    jsons = encoded[4:-3].split('",\n "')
    if not encoded.isascii() or "\x7f" in encoded:
        jsons = [each if each.isascii() and "\x7f" not in each else escape_terminal(each) for each in jsons]
    return Deltas(named[1].decode(), values, jsons, stream, places), others


def _cut(block: bytes, at: int, head: bytes, offset: int) -> tuple[list[bytes], list[int], list[Others]]:
    """The texts behind each `head`, the offsets of their lines, and the lines that are something else."""
    texts: list[bytes] = []
    places: list[int] = []
    others = [Others(0, offset, block[:at])] if at else []
    around = len(head) + len(_END)
    offset += at

    def note(piece: bytes, end: bytes) -> None:
        """Take in a piece in which further lines follow the first."""
        nonlocal offset
        text, found, rest = piece.partition(_END)
        if found and _NEWLINE not in text:
            texts.append(text)
        else:
            rest = head + piece
        places.extend(accumulate([len(each) + around for each in texts[len(places) :]], initial=offset))
        offset = places.pop()
        if rest or end:
            others.append(Others(len(texts), offset, rest + end))
            offset += len(rest) + len(end)

    *pieces, last = block[at + len(head) :].split(_END + head)
    for piece in pieces:
        if _NEWLINE not in piece:
            texts.append(piece)
        else:
            note(piece, _END)
    note(last, b"")
    return texts, places, others
