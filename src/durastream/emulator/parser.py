"""Text with control sequences, in pieces of any size, into changes of a screen."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from durastream.emulator.grid import Grid

__all__ = ["Emulator"]

_TOKEN = re.compile(
    r"(?P<plain>(?:[\x20-\x7e]*+\r\n){100,}+)"
    r"|(?P<text>[^\x00-\x1f\x7f-\x9f]+)"
    r"|\x1b\[(?P<mark>[<-?]?)(?P<args>[0-9:;]*)(?P<middle>[ -/]*)(?P<final>[@-~])"
    r"|\x1b(?P<string>[\]P_^X])[^\x07\x1b]*(?:\x07|\x1b\\|(?=\x1b))"
    r"|\x1b(?P<escape>[ -/]*[0-OQ-WYZ\\`-~])"
    r"|(?P<control>[\x00-\x1f\x7f-\x9f])"
)
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[\]P_^X][^\x07\x1b]*\x1b?|[ -/]*)\Z")
_LONGEST = 4096
_BEHIND = 64 * 1024
_MODES = frozenset({1, 6, 7, 25, 1000, 1002, 1003, 1004, 1005, 1006, 2004})
_FLAGS = {1: 22, 2: 22, 3: 23, 4: 24, 5: 25, 7: 27, 8: 28, 9: 29}
"""Attributes that SGR sets, and what takes each back."""


class Emulator:
    """A terminal of so many columns and rows. Text is taken at little cost, and worked out when somebody looks."""

    def __init__(self, columns: int, rows: int) -> None:
        self._grid = Grid(columns, rows)
        self._waiting: list[str | tuple[int, int]] = []
        self._behind = 0
        self._held = ""
        self._attributes: dict[str, str] = {}
        self._answers: list[str] = []

    def feed(self, text: str) -> None:
        """Take what was printed."""
        self._waiting.append(text)
        self._behind += len(text)
        if self._behind > _BEHIND:
            self._settle()

    def resize(self, columns: int, rows: int) -> None:
        self._waiting.append((columns, rows))

    @property
    def grid(self) -> Grid:
        """The screen as it is now."""
        self._settle()
        return self._grid

    def answers(self) -> str:
        """What a terminal would have answered to questions since the last call: where the cursor is, what it is."""
        self._settle()
        said = "".join(self._answers)
        self._answers.clear()
        return said

    def _settle(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._behind = 0
        texts: list[str] = []
        for each in waiting:
            if isinstance(each, str):
                texts.append(each)
                continue
            self._take("".join(texts))
            texts.clear()
            self._grid.resize(*each)
        if texts:
            self._take("".join(texts))

    def _take(self, text: str) -> None:
        text = self._held + text
        end = len(text)
        at = text.rfind("\x1b")
        if at >= 0:
            before = text.rfind("\x1b", 0, at) if at == end - 1 else -1  # may be the first half of a string's end
            for start in (before, at):
                if start >= 0 and _UNFINISHED.match(text, start):
                    end = start
                    break
        self._held = text[end:]
        if len(self._held) > _LONGEST:  # a string, of which nothing is used; its beginning says what it is
            self._held = self._held[:2] + ("\x1b" if self._held.endswith("\x1b") else "")
        for match in _TOKEN.finditer(text, 0, end):
            kind = match.lastgroup
            if kind == "text":
                self._grid.draw(match["text"])
            elif kind == "plain":
                self._lines(match["plain"])
            elif kind == "final":
                if not match["middle"]:
                    self._sequence(match["final"], match["mark"], match["args"])
            elif kind == "control":
                self._control(match["control"])
            elif kind == "escape":
                self._escape(match["escape"])

    def _lines(self, text: str) -> None:
        """Many plain lines at once: those that have left the screen again at the end of them need not be drawn."""
        grid = self._grid
        lines = text.split("\r\n")
        last = lines[-2 * grid.rows - 1 :]
        if grid.scrolled is None and (grid.top, grid.bottom) == (0, grid.rows - 1) and any(last):
            lines = last
        for line in lines[:-1]:
            if line:
                grid.draw(line)
            grid.move(0, grid.y)
            grid.index()

    def _control(self, char: str) -> None:
        grid = self._grid
        if char in "\n\x0b\x0c":
            grid.index()
        elif char == "\r":
            grid.move(0, grid.y)
        elif char == "\b":
            grid.move(grid.x - 1, grid.y)
        elif char == "\t":
            grid.tab()
        elif char in "\x0e\x0f":
            grid.charset = 1 if char == "\x0e" else 0

    def _escape(self, code: str) -> None:
        grid = self._grid
        if code[0] in "()" and len(code) == 2:
            grid.charsets["()".index(code[0])] = code[1]
        elif code == "7":
            grid.save()
        elif code == "8":
            grid.restore()
            self._attributes = _parse_style(grid.style)
        elif code == "D":
            grid.index()
        elif code == "E":
            grid.index()
            grid.move(0, grid.y)
        elif code == "H":
            grid.tabs.add(grid.x)
        elif code == "M":
            grid.reverse_index()
        elif code in "=>":
            grid.keypad = code == "="
        elif code == "c":
            grid.reset()
            self._attributes.clear()

    def _sequence(self, final: str, mark: str, args: str) -> None:
        if mark == "?" and final in "hl":
            for number in _numbers(args):
                self._mode(number, final == "h")
        elif mark:
            return
        elif final == "m":
            self._style(args)
        elif final in "hl":
            if 4 in _numbers(args):
                self._grid.insert = final == "h"
        elif final in _ACTS:
            _ACTS[final](self._grid, _numbers(args))
        elif final == "u":
            self._escape("8")
        elif final == "c":
            self._answers.append("\x1b[?62;22c")
        elif final == "n":
            self._report(_numbers(args)[0])

    def _report(self, what: int) -> None:
        grid = self._grid
        if what == 5:
            self._answers.append("\x1b[0n")
        elif what == 6:
            y = grid.y - grid.top if 6 in grid.modes else grid.y
            self._answers.append(f"\x1b[{y + 1};{grid.x + 1}R")

    def _mode(self, number: int, on: bool) -> None:
        grid = self._grid
        if number in (47, 1047, 1049):
            if number == 1049 and on and grid.other is None:
                grid.save()
            left = not on and grid.other is not None
            grid.alternate(on)
            if number == 1049 and left:
                self._escape("8")
        elif number == 1048:
            self._escape("7" if on else "8")
        elif number in _MODES:
            (grid.modes.add if on else grid.modes.discard)(number)
            if number == 6:
                grid.go(0, 0)

    def _style(self, args: str) -> None:
        """SGR. A style is kept as the parameters that make it from the default one, always in the same order."""
        parts = args.split(";")
        style = self._attributes
        at = 0
        while at < len(parts):
            name, _, sub = parts[at].partition(":")
            at += 1
            number = int(name[:6] or 0)
            if number in (38, 48, 58):
                if sub:
                    colour = [part for part in sub.split(":") if part]
                    colour = colour[:1] + colour[-3:] if colour[:1] == ["2"] else colour[:2]
                else:
                    size = {"5": 2, "2": 4}.get(parts[at] if at < len(parts) else "", 1)
                    colour = parts[at : at + size]
                    at += size
                if len(colour) in (2, 4) and number != 58:
                    key = "fg" if number == 38 else "bg"
                    style[key] = ";".join([str(number), *(str(min(int(part[:6] or 0), 255)) for part in colour)])
            else:
                self._attribute(number, off=sub == "0")
        self._grid.style = ";".join(style[key] for key in sorted(style))
        self._grid.back = style.get("bg", "")

    def _attribute(self, number: int, *, off: bool) -> None:
        style = self._attributes
        if number == 0:
            style.clear()
        elif number in _FLAGS and not off:
            style[f"a{number}"] = str(number)
        elif number in _FLAGS.values() or number in _FLAGS or number == 21:
            for flag, taken_back in _FLAGS.items():
                if number in (taken_back, flag):
                    style.pop(f"a{flag}", None)
        elif 30 <= number <= 37 or 90 <= number <= 97:
            style["fg"] = str(number)
        elif 40 <= number <= 47 or 100 <= number <= 107:
            style["bg"] = str(number)
        elif number in (39, 49):
            style.pop("fg" if number == 39 else "bg", None)

    # kept

    def dump(self) -> dict[str, Any]:
        """All of it as plain JSON values; `load` gives it back."""
        return {"grid": self.grid.dump(), "held": self._held}

    @classmethod
    def load(cls, kept: dict[str, Any]) -> Emulator:
        made = cls(1, 1)
        made._grid = Grid.load(kept["grid"])
        made._held = kept["held"]
        made._attributes = _parse_style(made._grid.style)
        return made


def _numbers(args: str) -> list[int]:
    return [min(int(part[:6] or 0), 99_999) for part in args.replace(":", ";").split(";")]


def _parse_style(style: str) -> dict[str, str]:
    """The attributes of a style as it is kept."""
    made: dict[str, str] = {}
    parts = style.split(";") if style else []
    while parts:
        number = int(parts.pop(0))
        if number in (38, 48):
            size = 2 if parts[0] == "5" else 4
            made["fg" if number == 38 else "bg"] = ";".join([str(number), *parts[:size]])
            del parts[:size]
        else:
            key = "fg" if 30 <= number < 38 or 90 <= number < 98 else "bg" if number >= 40 else f"a{number}"
            made[key] = str(number)
    return made


Act = Callable[[Grid, list[int]], None]


def _count(args: list[int]) -> int:
    return args[0] or 1


def _go(grid: Grid, args: list[int]) -> None:
    grid.go((args[1] if len(args) > 1 else 0) - 1, (args[0] or 1) - 1)


def _tabs(grid: Grid, args: list[int]) -> None:
    grid.tabs = set() if args[0] == 3 else grid.tabs - ({grid.x} if args[0] == 0 else set())


def _next_line(grid: Grid, count: int) -> None:
    (grid.down if count > 0 else grid.up)(abs(count))
    grid.move(0, grid.y)


_ACTS: dict[str, Act] = {
    "@": lambda grid, args: grid.insert_cells(_count(args)),
    "A": lambda grid, args: grid.up(_count(args)),
    "B": lambda grid, args: grid.down(_count(args)),
    "C": lambda grid, args: grid.move(grid.x + _count(args), grid.y),
    "D": lambda grid, args: grid.move(grid.x - _count(args), grid.y),
    "E": lambda grid, args: _next_line(grid, _count(args)),
    "F": lambda grid, args: _next_line(grid, -_count(args)),
    "G": lambda grid, args: grid.move(_count(args) - 1, grid.y),
    "H": _go,
    "I": lambda grid, args: grid.tab(_count(args)),
    "J": lambda grid, args: grid.erase_screen(args[0]),
    "K": lambda grid, args: grid.erase_line(args[0]),
    "L": lambda grid, args: grid.insert_lines(_count(args)),
    "M": lambda grid, args: grid.delete_lines(_count(args)),
    "P": lambda grid, args: grid.delete_cells(_count(args)),
    "S": lambda grid, args: grid.scroll(_count(args)),
    "T": lambda grid, args: grid.scroll(-_count(args)),
    "X": lambda grid, args: grid.erase(grid.x, grid.x + _count(args)),
    "Z": lambda grid, args: grid.tab(-_count(args)),
    "`": lambda grid, args: grid.move(_count(args) - 1, grid.y),
    "a": lambda grid, args: grid.move(grid.x + _count(args), grid.y),
    "b": lambda grid, args: grid.repeat(_count(args)),
    "d": lambda grid, args: grid.go(grid.x, _count(args) - 1),
    "e": lambda grid, args: grid.down(_count(args)),
    "f": _go,
    "g": _tabs,
    "r": lambda grid, args: grid.region(_count(args) - 1, ((args[1] if len(args) > 1 else 0) or grid.rows) - 1),
    "s": lambda grid, args: grid.save(),
}
