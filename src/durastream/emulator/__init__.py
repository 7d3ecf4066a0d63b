"""What a terminal shows after the text that a program printed on it: a fold, without a terminal.

`Emulator` reads the text and its control sequences, `Grid` is the screen that they act on. No more of them is
understood than moves, erases, colours and switches modes: nothing reaches a clipboard, a title or a file, and what
stands in a cell is a visible character.
"""

from __future__ import annotations

from durastream.emulator.grid import Cell, Grid
from durastream.emulator.parser import Emulator

__all__ = ["Cell", "Emulator", "Grid"]
