"""How a database keeps the hashes of its log: whole at the end of each batch and every 32 events, else the first bytes.

The chain gives the rest: a hash follows from the one before it and the body. What is kept of each is enough to tell
which event was changed; the whole ones hold the chain. It saves a tenth of the bytes of a recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from durastream.events import chain
from durastream.stores.protocols import Row

__all__ = ["EACH", "filled", "is_kept", "is_whole", "shortened"]

EACH = 32
"""At least one hash of so many is whole."""

_KEPT = 4
_WHOLE = 32
_first = itemgetter(slice(_KEPT))


def shortened(rows: Sequence[Row]) -> list[Any]:
    """The values of one batch as they are kept and bound: seq, body and hash of each row after the other.

    Hashes are byte arrays: `sqlite3` binds those as they are, and asks for an adapter of each `bytes`, which takes
    longer than all else of a row.
    """
    if not rows:
        return []
    kept: list[Any] = [None] * (3 * len(rows))
    kept[0::3], kept[1::3], digests = zip(*rows, strict=True)
    kept[2::3] = map(bytearray, map(_first, digests))
    for at in (*range(-rows[0][0] % EACH, len(rows), EACH), len(rows) - 1):
        kept[3 * at + 2] = bytearray(digests[at])
    return kept


def filled(rows: Sequence[Row], before: bytes) -> list[Row]:
    """Rows as they are kept, with whole hashes again; `before` is the hash of the event before the first.

    One that does not follow from what is before it is filled up with zeros: it fits no chain. Rows that hold anything
    else than a text and a hash are left as they are.
    """
    found: list[Row] = []
    for seq, body, digest in rows:
        if type(digest) is bytes and len(digest) == _KEPT and type(body) is str:
            follows = chain(before, body)
            digest = follows if follows[:_KEPT] == digest else digest.ljust(_WHOLE, b"\0")
        found.append((seq, body, digest))
        before = digest if type(digest) is bytes else b""
    return found


def is_kept(digest: object) -> bool:
    """Whether it is a hash as it may be kept: whole, or the first bytes of it."""
    return type(digest) is bytes and len(digest) in (_KEPT, _WHOLE)


def is_whole(digest: object) -> bool:
    """Whether it is a hash as the chain has it."""
    return type(digest) is bytes and len(digest) == _WHOLE
