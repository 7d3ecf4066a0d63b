"""What a rule says when it does not hold, and where."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Finding", "Place", "between", "counted", "first_difference"]

_AROUND = 16


class Place(NamedTuple):
    """A character of a message, counted from 0; or, with `declared`, the first where the message is not that text."""

    message_id: str
    at: int | None
    declared: str | None = None


class Finding(NamedTuple):
    """Something that does not hold. `seq` names the event to look at, where there is one.

    `place` stands for an event that is not known yet: the one that wrote this character.
    """

    code: str
    message: str
    seq: int | None = None
    place: Place | None = None


def counted(count: int, noun: str) -> str:
    """`1 step`, `2 steps`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def first_difference(left: str, right: str) -> int | None:
    """The first position (in characters) where two texts differ; None when they are equal."""
    if left == right:
        return None
    low, high = 0, min(len(left), len(right))
    while low < high:  # by halves: a text may have millions of characters
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def between(text: str, at: int) -> str:
    """The words around a position, for people to find it by."""
    start, stop = max(0, at - _AROUND), at + _AROUND
    return repr(("…" if start else "") + text[start:stop] + ("…" if stop < len(text) else ""))
