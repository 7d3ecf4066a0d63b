"""How a database keeps the hashes of its log: whole at the end of each batch and every 32 events, else the first bytes.

The chain gives the rest: a hash follows from the one before it and the body. What is kept of each is enough to tell
which event was changed; the whole ones hold the chain. It saves a tenth of the bytes of a recording.
"""

from __future__ import annotations

from collections.abc import Sequence

from durastream.events import chain
from durastream.stores.protocols import Row

__all__ = ["EACH", "KEPT", "WHOLE", "filled", "is_kept", "is_whole", "shortened"]

EACH = 32
"""At least one hash of so many is whole."""

KEPT = 4
"""How many bytes are kept of the others."""

WHOLE = 32
"""How many bytes a hash has."""


def shortened(rows: Sequence[Row]) -> list[tuple[int, str, bytearray]]:
    """The rows of one batch as they are kept.

    Hashes are byte arrays: `sqlite3` binds those as they are, and asks for an adapter of each `bytes`, which takes
    longer than all else of a row.
    """
    kept = [(seq, body, bytearray(digest if seq % EACH == 0 else digest[:KEPT])) for seq, body, digest in rows]
    kept[-1:] = [(seq, body, bytearray(digest)) for seq, body, digest in rows[-1:]]
    return kept


def filled(rows: Sequence[Row], before: bytes) -> list[Row]:
    """Rows as they are kept, with whole hashes again; `before` is the hash of the event before the first.

    One that does not follow from what is before it is filled up with zeros: it fits no chain. Rows that hold anything
    else than a text and a hash are left as they are.
    """
    found: list[Row] = []
    for seq, body, digest in rows:
        if type(digest) is bytes and len(digest) == KEPT and type(body) is str:
            follows = chain(before, body)
            digest = follows if follows[:KEPT] == digest else digest.ljust(WHOLE, b"\0")
        found.append((seq, body, digest))
        before = digest if type(digest) is bytes else b""
    return found


def is_kept(digest: object) -> bool:
    """Whether it is a hash as it may be kept: whole, or the first bytes of it."""
    return type(digest) is bytes and len(digest) in (KEPT, WHOLE)


def is_whole(digest: object) -> bool:
    """Whether it is a hash as the chain has it."""
    return type(digest) is bytes and len(digest) == WHOLE
