"""A text that is scrolled back: laid out from any line on, and only as much of it as fits.

A place is the first row that is shown: the character with which its line begins, and which row of that line it is.
None stands for the end, which moves as the text grows. A line of thousands of characters is cut into pieces, so that
a row costs the same wherever it stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from rich.text import Text

from durastream.views.draft import after_return, is_fence, laid_out
from durastream.views.frame import line, wrap

__all__ = ["Place", "moved", "rows_from"]

Place: TypeAlias = tuple[int, int]

_PIECE = 2048
_LOOK_BACK = 8192


def rows_from(text: str, place: Place, width: int, room: int, *, markup: bool = True, hang: int = 0) -> list[Text]:
    """At most `room` rows of the text from a place on.

    Without `markup` a line is shown as it is, and what of it goes on in the next row is indented by `hang`.
    """
    rows: list[Text] = []
    skip = place[1]
    for piece in _forward(text, place[0], width, markup, hang):
        rows += piece[skip:]
        skip = 0
        if len(rows) >= room:
            break
    return rows[:room]


def moved(
    text: str, place: Place | None, by: int, width: int, room: int, *, markup: bool = True, hang: int = 0
) -> Place | None:
    """The place `by` rows further down, or up when it is negative; None when the end of the text is then in sight."""
    if place is None:
        if by >= 0:
            return None
        place, by = (len(text), 0), by - room
    at, row = place
    down = row + by
    while down < 0 and at > 0:
        end, at = at, _before(text, at)
        down += len(_rows(text[at:end], width, _in_code(text, at), markup, hang))
    row = max(0, down)
    for piece in _forward(text, at, width, markup, hang):
        if row < len(piece):
            break
        row -= len(piece)
        at = _behind(text, at)
    if len(rows_from(text, (at, row), width, room + 1, markup=markup, hang=hang)) <= room and by > 0:
        return None
    return at, row


def _forward(text: str, at: int, width: int, markup: bool, hang: int) -> Iterator[list[Text]]:
    """The rows of each line from one on."""
    code = _in_code(text, at)
    while at < len(text):
        end = _behind(text, at)
        yield _rows(text[at:end], width, code, markup, hang)
        code ^= is_fence(text[at:end])
        at = end


def _rows(part: str, width: int, code: bool, markup: bool, hang: int) -> list[Text]:
    part = part.rstrip("\r\n").expandtabs(4)
    if not markup:
        return wrap(line(after_return(part)), width, min(hang, width // 3))
    content, hang = laid_out(part, code=code)
    return wrap(content, width, min(hang, width // 3))


def _behind(text: str, at: int) -> int:
    """Where the line, or the piece of it, that begins here ends."""
    newline = text.find("\n", at, at + _PIECE)
    if newline >= 0 or at + _PIECE >= len(text):
        return newline + 1 or len(text)
    return text.rfind(" ", at + _PIECE // 2, at + _PIECE) + 1 or at + _PIECE


def _before(text: str, at: int) -> int:
    """Where the line, or the piece of it, that ends here begins."""
    newline = text.rfind("\n", max(0, at - _PIECE), at - 1)
    if newline >= 0 or at <= _PIECE:
        return newline + 1
    return text.find(" ", at - _PIECE, at - _PIECE // 2) + 1 or at - _PIECE


def _in_code(text: str, at: int) -> bool:
    """Whether a line is in a block of code, as far as the text before it tells."""
    return sum(map(is_fence, text[max(0, at - _LOOK_BACK) : at].split("\n"))) % 2 == 1
