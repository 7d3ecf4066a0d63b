"""The screen of a terminal: cells, a cursor, a scrolling region, and what can be done to them.

Rows and columns count from 0. A character of two cells stands in the left one; the right one then holds no text.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from itertools import groupby
from typing import Any, TypeAlias

__all__ = ["LARGEST", "Cell", "Grid"]

Cell: TypeAlias = tuple[str, str]
"""A character with its combining marks, and its style: the parameters of an SGR sequence, none for the default."""

LARGEST = 1000
"""Columns and rows that a screen has at most, whatever a recording claims."""

_MARKS = 8
_BLANK: Cell = (" ", "")
_DRAWING = str.maketrans("`afgjklmnopqrstuvwxyz{|}~", "◆▒°±┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·")


@lru_cache(maxsize=4096)
def _width(char: str) -> int:
    """Cells that a character takes: 0 for a combining mark, -1 for what must not be in a cell."""
    category = unicodedata.category(char)
    if (category[0] == "C" and category != "Co") or category in ("Zl", "Zp") or "\ufe00" <= char <= "\ufe0f":
        return -1
    if category in ("Mn", "Me") or "\u1160" <= char <= "\u11ff":
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


class Grid:
    """A screen of blank cells, with the cursor in its upper left corner."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns = _size(columns)
        self.rows = _size(rows)
        self.scrolled: list[str] | None = None
        """Set to a list, it collects the text of the lines that leave the screen at its top."""
        self.reset()

    def reset(self) -> None:
        self.lines: list[list[Cell]] = [self._empty() for _ in range(self.rows)]
        self.other: list[list[Cell]] | None = None
        """The main screen, while the alternate one is shown."""
        self.x = self.y = 0
        self.wrap = False
        """The last column is written, and the next character goes to the next line."""
        self.style = ""
        self.back = ""
        """The background that erasing leaves."""
        self.top, self.bottom = 0, self.rows - 1
        self.modes: set[int] = {7, 25}
        """Private modes that are set: 1 cursor keys, 6 origin, 7 autowrap, 25 cursor, 1000… mouse, 2004 paste."""
        self.insert = self.keypad = False
        self.tabs = set(range(8, self.columns, 8))
        self.charsets = ["B", "B"]
        self.charset = 0
        self.saved: list[Any] | None = None
        self.last = " "

    def _empty(self) -> list[Cell]:
        return [_BLANK] * self.columns

    def _erased(self) -> Cell:
        return (" ", self.back)

    # printing

    def draw(self, text: str) -> None:
        """Print characters, none of them a control."""
        if self.charsets[self.charset] == "0":
            text = text.translate(_DRAWING)
        if text.isascii():
            self._draw_narrow(text)
        else:
            for char in text:
                self._draw_char(char)

    def _draw_narrow(self, text: str) -> None:
        at, style = 0, self.style
        self.last = text[-1]
        while at < len(text):
            self._wrap_around()
            room = self.columns - self.x
            piece = text[at : at + room]
            if self.insert:
                self.insert_cells(len(piece))
            self._put([(char, style) for char in piece])
            at += len(piece)
            if 7 not in self.modes and at < len(text) and self.wrap:
                at = max(at, len(text) - 1)  # without autowrap the rest is printed over the last column
                self.wrap = False

    def _draw_char(self, char: str) -> None:
        width = _width(char)
        if width == 0:
            self._combine(char)
        if width <= 0:
            return
        self.last = char
        self._wrap_around()
        if width > self.columns - self.x:
            if 7 not in self.modes or width > self.columns:
                return
            self.wrap = True
            self._wrap_around()
        if self.insert:
            self.insert_cells(width)
        self._put([(char, self.style), ("", self.style)][:width])

    def _put(self, cells: list[Cell]) -> None:
        line, start, end = self.lines[self.y], self.x, self.x + len(cells)
        self._split(line, start)
        self._split(line, end)
        line[start:end] = cells
        self.wrap = end >= self.columns
        self.x = min(end, self.columns - 1)

    def _split(self, line: list[Cell], at: int) -> None:
        """Blank a wide character that a change from `at` on cuts in two."""
        if 0 < at < self.columns and not line[at][0]:
            line[at - 1] = line[at] = (" ", line[at][1])

    def _combine(self, mark: str) -> None:
        line = self.lines[self.y]
        at = self.x if self.wrap else self.x - 1
        if at > 0 and not line[at][0]:
            at -= 1
        if at >= 0 and len(line[at][0]) <= _MARKS:
            line[at] = (line[at][0] + mark, line[at][1])

    def _wrap_around(self) -> None:
        if self.wrap and 7 in self.modes:
            self.x = 0
            self.index()
        self.wrap = False

    def repeat(self, count: int) -> None:
        self.draw(self.last * min(count, self.columns * self.rows))

    # moving

    def move(self, x: int, y: int) -> None:
        """Put the cursor somewhere on the screen."""
        self.wrap = False
        self.x = min(max(x, 0), self.columns - 1)
        self.y = min(max(y, 0), self.rows - 1)

    def go(self, x: int, y: int) -> None:
        """Put the cursor where a program says, which may count from the top of the scrolling region."""
        if 6 in self.modes:
            y = min(max(y + self.top, self.top), self.bottom)
        self.move(x, y)

    def up(self, count: int) -> None:
        self.move(self.x, max(self.y - count, self.top if self.y >= self.top else 0))

    def down(self, count: int) -> None:
        self.move(self.x, min(self.y + count, self.bottom if self.y <= self.bottom else self.rows - 1))

    def tab(self, count: int = 1) -> None:
        for _ in range(min(abs(count), self.columns)):
            stops = [stop for stop in self.tabs if (stop > self.x if count > 0 else stop < self.x)]
            end = self.columns - 1 if count > 0 else 0
            self.move((min(stops) if count > 0 else max(stops)) if stops else end, self.y)

    def index(self) -> None:
        """Down one line; at the bottom of the scrolling region it scrolls."""
        if self.y == self.bottom:
            self.scroll(1)
        elif self.y < self.rows - 1:
            self.y += 1
        self.wrap = False

    def reverse_index(self) -> None:
        if self.y == self.top:
            self.scroll(-1)
        elif self.y:
            self.y -= 1
        self.wrap = False

    def scroll(self, count: int, top: int | None = None) -> None:
        """Move the lines of the scrolling region, or of its part from `top` on, up by `count`, or down."""
        first = self.top if top is None else top
        height = self.bottom + 1 - first
        count = max(-height, min(count, height))
        blank = [self._erased()] * self.columns
        region = self.lines[first : self.bottom + 1]
        if count > 0:
            if self.scrolled is not None and first == 0 and top is None and self.other is None:
                self.scrolled += [_text(line) for line in region[:count]]
            region = region[count:] + [blank[:] for _ in range(count)]
        elif count < 0:
            region = [blank[:] for _ in range(-count)] + region[:count]
        self.lines[first : self.bottom + 1] = region

    def region(self, top: int, bottom: int) -> None:
        """Set the scrolling region."""
        bottom = min(bottom, self.rows - 1)
        if 0 <= top < bottom:
            self.top, self.bottom = top, bottom
            self.go(0, 0)

    # changing

    def erase(self, start: int, stop: int, y: int | None = None) -> None:
        """Blank the cells of a line from `start` up to `stop`."""
        line = self.lines[self.y if y is None else y]
        start, stop = max(0, start), min(stop, self.columns)
        self._split(line, start)
        self._split(line, stop)
        line[start:stop] = [self._erased()] * (stop - start)
        self.wrap = False

    def erase_line(self, how: int) -> None:
        self.erase(0 if how else self.x, self.columns if how != 1 else self.x + 1)

    def erase_screen(self, how: int) -> None:
        if how == 2 and self.scrolled is not None and self.other is None:
            self.scrolled += self.text()  # what a program clears away was there to be read
        for y in range(self.rows):
            if how in (2, 3) or (how == 0 and y > self.y) or (how == 1 and y < self.y):
                self.erase(0, self.columns, y)
        if how in (0, 1):
            self.erase_line(how)

    def insert_cells(self, count: int) -> None:
        line, count = self.lines[self.y], min(count, self.columns - self.x)
        self._split(line, self.x)
        self._split(line, self.columns - count)
        line[self.x :] = [self._erased()] * count + line[self.x : self.columns - count]

    def delete_cells(self, count: int) -> None:
        line, count = self.lines[self.y], min(count, self.columns - self.x)
        self._split(line, self.x)
        self._split(line, self.x + count)
        line[self.x :] = line[self.x + count :] + [self._erased()] * count
        self.wrap = False

    def insert_lines(self, count: int) -> None:
        if self.top <= self.y <= self.bottom:
            self.scroll(-count, self.y)
            self.move(0, self.y)

    def delete_lines(self, count: int) -> None:
        if self.top <= self.y <= self.bottom:
            self.scroll(count, self.y)
            self.move(0, self.y)

    # the whole screen

    def alternate(self, on: bool) -> None:
        """Show the alternate screen, blank, or the main one as it was left."""
        if on and self.other is None:
            self.other, self.lines = self.lines, [self._empty() for _ in range(self.rows)]
        elif not on and self.other is not None:
            self.lines, self.other = self.other, None

    def save(self) -> None:
        self.saved = [self.x, self.y, self.wrap, self.style, self.back, list(self.charsets), self.charset]

    def restore(self) -> None:
        if self.saved is None:
            self.move(0, 0)
            return
        x, y, wrap, self.style, self.back, charsets, self.charset = self.saved
        self.charsets = list(charsets)
        self.move(x, y)
        self.wrap = wrap and self.x == self.columns - 1

    def resize(self, columns: int, rows: int) -> None:
        """Cut at the right, and at the bottom as far as the cursor lets it, else at the top; or add blank cells."""
        columns, rows = _size(columns), _size(rows)
        if (columns, rows) == (self.columns, self.rows):
            return
        off = max(0, self.y + 1 - rows)
        if columns > self.columns:
            self.tabs |= set(range((self.columns + 7) // 8 * 8, columns, 8))
        self.tabs = {stop for stop in self.tabs if stop < columns}
        self.columns, self.rows = columns, rows
        if self.scrolled is not None and self.other is None:
            self.scrolled += [_text(line) for line in self.lines[:off]]
        self.lines = self._cut(self.lines, off)
        if self.other is not None:
            self.other = self._cut(self.other, 0)
        self.top, self.bottom = 0, rows - 1
        wrap = self.wrap
        self.move(self.x, self.y - off)
        self.wrap = wrap and self.x == columns - 1

    def _cut(self, lines: list[list[Cell]], off: int) -> list[list[Cell]]:
        kept = []
        for line in lines[off : off + self.rows]:
            if len(line) > self.columns and not line[self.columns][0]:
                line[self.columns - 1] = (" ", line[self.columns - 1][1])
            kept.append((line + [_BLANK] * (self.columns - len(line)))[: self.columns])
        return kept + [self._empty() for _ in range(self.rows - len(kept))]

    def text(self) -> list[str]:
        """The lines as text, down to the last one that is not blank."""
        lines = [_text(line) for line in self.lines]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    # kept

    def dump(self) -> dict[str, Any]:
        """The screen as plain JSON values; `load` gives it back."""
        return {
            "columns": self.columns, "rows": self.rows,
            "lines": [_runs(line) for line in self.lines],
            "other": None if self.other is None else [_runs(line) for line in self.other],
            "cursor": [self.x, self.y, self.wrap], "style": [self.style, self.back],
            "region": [self.top, self.bottom], "modes": sorted(self.modes), "insert": self.insert,
            "keypad": self.keypad, "tabs": sorted(self.tabs), "charsets": [*self.charsets, self.charset],
            "saved": self.saved, "last": self.last,
        }  # fmt: skip

    @classmethod
    def load(cls, kept: dict[str, Any]) -> Grid:
        grid = cls(kept["columns"], kept["rows"])
        grid.lines = grid._cut([grid._cells(runs) for runs in kept["lines"]], 0)
        grid.other = None if kept["other"] is None else grid._cut([grid._cells(runs) for runs in kept["other"]], 0)
        x, y, wrap = kept["cursor"]
        grid.move(x, y)
        grid.wrap = wrap
        grid.style, grid.back = kept["style"]
        grid.top, grid.bottom = kept["region"]
        grid.modes, grid.tabs = set(kept["modes"]), set(kept["tabs"])
        grid.insert, grid.keypad, grid.saved, grid.last = kept["insert"], kept["keypad"], kept["saved"], kept["last"]
        *grid.charsets, grid.charset = kept["charsets"]
        return grid

    def _cells(self, runs: list[list[str]]) -> list[Cell]:
        cells: list[Cell] = []
        for style, text in runs:
            for char in text:
                width = _width(char)
                if width == 0 and cells:
                    at = -2 if not cells[-1][0] else -1
                    cells[at] = (cells[at][0] + char, style)
                else:
                    cells += [(char, style), ("", style)][: max(1, width)]
        return (cells + [_BLANK] * (self.columns - len(cells)))[: self.columns]


def _size(count: int) -> int:
    return min(max(1, count), LARGEST)


def _text(line: list[Cell]) -> str:
    return "".join(char for char, _ in line).rstrip()


def _runs(line: list[Cell]) -> list[list[str]]:
    """A line as texts of one style each, without the blank cells at its end."""
    end = len(line)
    while end and line[end - 1] == _BLANK:
        end -= 1
    return [[style, "".join(char for char, _ in run)] for style, run in groupby(line[:end], lambda cell: cell[1])]
