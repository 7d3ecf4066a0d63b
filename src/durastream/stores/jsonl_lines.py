"""The lines of a `.jsonl` recording: an event with its hash at the end, or raw bytes.

{"seq":1,…,"hash":"sha256:…"}
{"raw":"stdout","offset":0,"length":812,"zlib":"eJx…"}
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import BinaryIO

from durastream.errors import Damaged
from durastream.events import Event, loads, loads_many, parse_hash
from durastream.stores.protocols import LONGEST_EVENT, LONGEST_RAW, UNREADABLE, RawChunk

__all__ = ["RAW", "entry_of", "raw_chunks", "raw_line", "rows_of"]

RAW = b'{"raw":'

_PIECE = 1 << 20
_HASH = ',"hash":"sha256:'
_HASH_LENGTH = len(_HASH) + 64 + len('"}')


def entry_of(line: bytes, *, many: bool = False) -> Event | RawChunk:
    """What a line holds; with `many` by a decoder that is faster, and takes a while to import."""
    text = line.decode()
    if line.startswith(RAW):
        return _raw_chunk(line)
    cut = len(text) - _HASH_LENGTH
    if cut < 0 or not text.startswith(_HASH, cut) or not text.endswith('"}'):
        raise ValueError("no hash at the end of the line")
    digest = parse_hash(text[cut + len(_HASH) - len("sha256:") : -2])
    body = text[:cut] + "}"
    return loads_many([(body, digest)])[0] if many else loads(body, digest)


def rows_of(after: int, lines: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    """Body and hash of the events in many lines; none when they are not those behind an event.

    Raises what a line raises that cannot be read.
    """
    for line in lines:
        if line.startswith(RAW):
            _raw_chunk(line)
    lines = [line for line in lines if not line.startswith(RAW)]
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


def raw_line(chunk: RawChunk) -> bytes:
    packed = base64.b64encode(chunk.data).decode()
    return f'{{"raw":"{chunk.stream}","offset":{chunk.offset},"length":{chunk.length},"zlib":"{packed}"}}\n'.encode()


def raw_chunks(file: BinaryIO, stream: str) -> Iterator[RawChunk]:
    """What is kept of a stream. A newline is always the end of a line, so the others need not be looked at."""
    rest, mark = b"", b"\n" + RAW
    while piece := file.read(_PIECE):
        lines = rest + piece
        at = 0
        while (start := lines.find(mark, at)) >= 0 and (at := lines.find(b"\n", start + 1)) >= 0:
            with suppress(*UNREADABLE):
                chunk = _raw_chunk(lines[start + 1 : at])
                if chunk.stream == stream:
                    yield chunk
        rest = lines[start:] if start >= 0 else lines[-len(mark) :]
        if len(rest) > LONGEST_EVENT:
            raise Damaged(f"{file.name}: a line is longer than {LONGEST_EVENT >> 20} MiB")


def _raw_chunk(line: bytes) -> RawChunk:
    raw = json.loads(line)
    stream, offset, length = raw["raw"], raw["offset"], raw["length"]
    if type(stream) is not str or type(offset) is not int or type(length) is not int or not 0 <= length <= LONGEST_RAW:
        raise ValueError("no place of raw bytes")
    data = base64.b64decode(raw["zlib"], validate=True)
    if base64.b64encode(data).decode() != raw["zlib"]:
        raise ValueError("raw bytes that are spelled in another way than they were written")
    return RawChunk(stream, offset, length, data)
