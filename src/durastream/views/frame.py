"""The layout of a screen: sections that share the lines there are, each with its name in a gutter.

    plan      ✓ Find papers
    3/7       ▶ Read them

A section is asked for at most so many lines and chooses the most telling ones, so a frame costs what fits on the
screen, however long the run is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from typing import TypeAlias

from rich.cells import cell_len, chop_cells
from rich.text import Text

from durastream.views.safe import visible

__all__ = [
    "GUTTER",
    "Pick",
    "Section",
    "beside",
    "column",
    "first",
    "kept",
    "line",
    "natural",
    "pair",
    "row",
    "share",
    "wrap",
]

GUTTER = 10
"""Cells for the names of sections; a column narrower than four gutters has none."""

Pick: TypeAlias = Callable[[int, int], Sequence[Text]]
"""`pick(width, room)`: at most `room` lines of at most `width` cells."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the screen. It gets `least` lines first, in order of `rank`, then `weight` lines in each round.

    `most` is how many lines it takes where there is no screen to fit, as in the summary after the run.
    """

    name: str
    pick: Pick
    note: str = ""
    style: str = "cyan"
    least: int = 1
    weight: int = 1
    rank: int = 5
    most: int = 40


def line(text: str = "", style: str = "") -> Text:
    """One line of text that is safe to print. Everything shown is made here, or of pieces made here."""
    return Text(visible(text, keep=""), style=style, no_wrap=True, overflow="ellipsis", end="")


def pair(left: Text, right: Text, width: int) -> Text:
    """Two texts at the two ends of a line; the left one is cut first, and the right one goes if there is no room."""
    room = width - right.cell_len - 2
    if not right or room < min(left.cell_len, 8):
        return _fit(left, width)
    both = line()  # without a style of its own, which what is appended would take on
    both.append_text(_fit(left, room, pad=True))
    both.append("  ")
    both.append_text(right)
    return both


@lru_cache(maxsize=1024)
def row(mark: str, style: str, title: str, width: int, *, detail: str = "", right: str = "", indent: int = 0) -> Text:
    """`  ▶ title  detail …  right`: the mark in `style`, the title as it is, all else dim.

    What comes out is kept for the next frame, and is not to be changed.
    """
    left = line(" " * indent)
    left.append_text(line(mark + " ", style))
    left.append_text(line(title, "bold" if mark == "▶" else "dim" if mark in "·–" else ""))  # noqa: RUF001
    if detail:
        left.append_text(line("  " + detail, "dim"))
    return pair(left, line(right, "dim"), width)


def _fit(text: Text, width: int, *, pad: bool = False) -> Text:
    if not pad and text.cell_len <= width:
        return text
    fitted = text.copy()
    fitted.truncate(max(0, width), overflow="ellipsis", pad=pad)
    return fitted


def first(lines: list[Text], most: int, width: int) -> list[Text]:
    """At most so many lines; the last of them ends with an ellipsis when there were more."""
    if len(lines) <= most:
        return lines
    last = lines[most - 1].copy()
    last.rstrip()
    last.truncate(max(0, width - 1))
    last.append("…")
    return [*lines[: most - 1], last]


def wrap(text: Text, width: int, hang: int = 0) -> list[Text]:
    """The text in lines of at most `width` cells, broken between words where possible; `hang` indents all but one."""
    offsets: list[int] = []
    at = used = 0
    for word in _words(text.plain):
        end = at + len(word)
        size = cell_len(word.rstrip())
        if used + size > (width if not offsets else width - hang):
            if used:
                offsets.append(at)
                used = 0
            if size > (width if not offsets else width - hang):
                *pieces, word = chop_cells(word, max(2, width - hang))
                for piece in pieces:
                    at += len(piece)
                    offsets.append(at)
        at = end
        used += cell_len(word)
    if not offsets:
        return [_fit(text, width)]
    first, *others = text.divide(offsets)
    margin = line(" " * hang)
    for part in (first, *others):
        part.rstrip()
    return [_fit(part, width) for part in (first, *(margin + other for other in others))]


def _words(text: str) -> list[str]:
    """The words of a text, each with the blanks after it."""
    words: list[str] = []
    for piece in text.split(" "):
        if piece or not words:
            words.append(piece + " ")
        else:
            words[-1] += " "
    words[-1] = words[-1][:-1]
    return words if words[-1] else words[:-1]


def share(room: int, sections: Sequence[Section], wants: Sequence[int]) -> list[int]:
    """How many of the lines each section gets; never more than it wants, never more than there are."""
    given = [0] * len(sections)
    for index in sorted(range(len(sections)), key=lambda index: sections[index].rank):
        given[index] = min(sections[index].least, wants[index], room)
        room -= given[index]
    while room > 0 and given != list(wants):
        for index, section in enumerate(sections):
            more = min(section.weight, wants[index] - given[index], room)
            given[index] += more
            room -= more
    return given


def column(sections: Sequence[Section], width: int, height: int) -> list[Text]:
    """The sections one below the other, at most `height` lines; blank lines between them when there is room."""
    if height <= 0:
        return []
    inner = _inner(width)
    picked = [section.pick(inner, height) for section in sections]
    wants = [len(lines) for lines in picked]
    shown = sum(1 for want in wants if want)
    gap = 1 if height >= 4 * shown or sum(wants) + shown - 1 <= height else 0
    given = share(height - gap * max(0, shown - 1), sections, wants)
    blocks = [
        _named(section, lines if count == len(lines) else section.pick(inner, count), width)
        for section, lines, count in zip(sections, picked, given, strict=True)
        if count > 0
    ]
    return _stack(blocks, gap)[:height]


def natural(sections: Sequence[Section], width: int) -> list[Text]:
    """The sections one below the other, each as long as it likes up to its `most`."""
    return _stack([_named(section, section.pick(_inner(width), section.most), width) for section in sections], 1)


def beside(left: Sequence[Text], right: Sequence[Text], left_width: int) -> list[Text]:
    """Two columns as one list of lines."""
    return [_joined(one, other, left_width) for one, other in zip_longest(left, right)]


_JOINED: dict[tuple[int, int, int], tuple[Text | None, Text | None, Text]] = {}
_MOST_JOINED = 2048


def _joined(left: Text | None, right: Text | None, left_width: int) -> Text:
    """Two lines as one. Most of a picture is that of the frame before: the same two lines are joined once."""
    key = (id(left), id(right), left_width)
    known = _JOINED.get(key)
    if known is not None:
        return known[2]
    joined = line()
    joined.append_text(_fit(left if left is not None else line(), left_width, pad=True))
    if right is not None:
        joined.append_text(right)
    if len(_JOINED) >= _MOST_JOINED:
        _JOINED.clear()
    _JOINED[key] = (left, right, joined)  # with the two, so that no other line gets their ids
    return joined


def _inner(width: int) -> int:
    return width - GUTTER if width >= 4 * GUTTER else width


def _named(section: Section, lines: Sequence[Text], width: int) -> list[Text]:
    """The lines with the name of their section in the gutter, and its note below the name."""
    if _inner(width) == width:
        return list(lines)
    if len(lines) == 1 and len(section.name) + len(section.note) < GUTTER - 1:
        return beside([_name(section.name + " ", section.note, section.style)], lines, GUTTER)
    names = [_name(section.name, "", section.style), _name("", section.note, "")]
    return beside(names[: len(lines)], lines, GUTTER)


@lru_cache(maxsize=256)
def _name(name: str, note: str, style: str) -> Text:
    return line(name, style) + line(note, "dim")


@lru_cache(maxsize=1024)
def kept(text: str, style: str = "") -> Text:
    """A line as `line` makes it, the same one each time; nobody changes it."""
    return line(text, style)


def _stack(blocks: Sequence[list[Text]], gap: int) -> list[Text]:
    lines: list[Text] = []
    for block in blocks:
        if block and lines:
            lines += [kept("")] * gap
        lines += block
    return lines
