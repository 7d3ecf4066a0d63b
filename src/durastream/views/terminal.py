"""The terminal of a run on the viewer's own: what the emulator shows, painted again; nothing that a program printed.

Only cells, colours and the place of the cursor reach the viewer's terminal, so a recording can do nothing to it.
Whoever holds the keyboard types to the agent; every key is the agent's, but for one that begins a word to the viewer.
"""

from __future__ import annotations

import os
import re
import select
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from itertools import groupby
from typing import Protocol

from durastream.emulator import Cell, Grid
from durastream.player import Player
from durastream.state import RunState
from durastream.terminal import DEFAULT_SIZE, size_of
from durastream.views.keys import Keys, Signals
from durastream.views.moves import moves
from durastream.views.outcome import Batches, Outcome
from durastream.views.safe import one_line, visible
from durastream.views.words import last_lines, shortened

__all__ = ["LEAVE", "Keyboard", "Prefix", "painted", "show"]

LEAVE = r"Ctrl-\ then d"
"""How a viewer leaves a terminal, in words."""

PAINT_EVERY = 0.02
"""Seconds between two frames, at least."""

_KEYS = "space pause · ← → 5 s · . one event · + - speed · 0-9 home end · [ ] steps · q leave"
_PREFIX = b"\x1c"
_NOTED_FOR = 3.0
_ASKED_FOR = (1, 1000, 1002, 1003, 1004, 1006, 2004)  # modes that change what keys and the mouse send
_STYLE = re.compile(r"[0-9]+(?:;[0-9]+)*\Z")


class Keyboard(Protocol):
    """What a viewer may type to; `type` tells whether it was taken."""

    def take(self) -> bool: ...
    def release(self) -> None: ...
    def type(self, data: bytes) -> bool: ...
    def resize(self, columns: int, rows: int) -> None: ...


def show(
    batches: Batches,
    *,
    state: RunState,
    fd: int = 1,
    keyboard: Keyboard | None = None,
    keys_fd: int | None = None,
    colour: bool = True,
    note: str = "",
    player: Player | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Fold the events into `state` and paint its terminal on the one that `fd` is until they end or the viewer leaves.

    With a keyboard, what comes from `keys_fd` is typed to the agent, and the size of this terminal becomes the agent's;
    without one `q`, `d` and Ctrl-C leave. With a `player`, whose batches these are, the keys move it as in any replay,
    and the last line tells where it stands. The last lines of a run that ended stay in the scrollback. A terminal that
    goes away is a viewer who left.
    """
    screen = _Screen(state, fd, keyboard, colour, clock, sleep)
    screen.moves = moves(player) if player is not None else {}
    screen.player = player
    if note:
        screen.note(note)
    try:
        left = screen.run(batches, keys_fd)
    except KeyboardInterrupt:
        left = True
    finally:
        if keyboard is not None:
            keyboard.release()
    if not left:
        with suppress(OSError):
            _write(fd, "".join(line + "\r\n" for line in last_lines(state)))
    return Outcome(left)


def painted(line: list[Cell], *, colour: bool = True) -> str:
    """A line of cells with the sequences that give it its styles."""
    parts = []
    for style, cells in groupby(line, lambda cell: cell[1]):
        text = "".join(char for char, _ in cells)
        if visible(text, keep="") != text:
            text = "".join(char if visible(char, keep="") == char else "\ufffd" for char in text)
        known = style if _STYLE.match(style) else ""
        parts.append(f"\x1b[0;{_uncoloured(known) if not colour else known}m{text}")
    return "".join(parts) + "\x1b[0m"


def _uncoloured(style: str) -> str:
    """The attributes of a style, which stand before its colours."""
    parts = style.split(";")
    end = next((at for at, part in enumerate(parts) if int(part or 0) >= 30), len(parts))
    return ";".join(parts[:end])


class Prefix:
    """Takes the words to the viewer out of what is typed: Ctrl-\\ and a letter."""

    def __init__(self) -> None:
        self._begun = False

    def feed(self, data: bytes) -> tuple[bytes, str]:
        """What is for the agent, and the letters that were said to the viewer."""
        rest, said = bytearray(), ""
        for number in data:
            byte = bytes([number])
            if not self._begun:
                if byte == _PREFIX:
                    self._begun = True
                else:
                    rest += byte
                continue
            self._begun = False
            if byte == _PREFIX:
                rest += byte
            else:
                said += byte.decode("latin-1")
        return bytes(rest), said


class _Typist(threading.Thread):
    """Passes keys on as they are pressed, also while nothing happens on the screen."""

    def __init__(self, fd: int, keyboard: Keyboard, note: Callable[[str], None]) -> None:
        super().__init__(daemon=True)
        self.left = False
        self._fd = fd
        self._keyboard = keyboard
        self._note = note
        self._prefix = Prefix()
        self._wake, self._woken = os.pipe()

    @contextmanager
    def typing(self) -> Iterator[None]:
        """Have the terminal raw, and every key of it, until it is put back."""
        before = termios.tcgetattr(self._fd)
        tty.setraw(self._fd, termios.TCSANOW)
        self.start()
        try:
            yield
        finally:
            os.close(self._woken)
            self.join()
            os.close(self._wake)
            with suppress(termios.error, OSError):
                termios.tcsetattr(self._fd, termios.TCSANOW, before)

    def run(self) -> None:
        while True:
            ready, _, _ = select.select([self._fd, self._wake], [], [])
            if self._wake in ready:
                return
            try:
                data = os.read(self._fd, 4096)
            except OSError:
                data = b""
            if not data:
                self.left = True
                return
            typed, said = self._prefix.feed(data)
            if typed and not self._keyboard.type(typed):
                self._note(f"read only: another viewer has the keyboard; {LEAVE} leaves")
            if "d" in said:
                self.left = True
                return
            if said:
                self._note(rf"{LEAVE} leaves; Ctrl-\ twice types one Ctrl-\ ")


class _Screen:
    """What the driver remembers between two frames."""

    def __init__(
        self,
        state: RunState,
        fd: int,
        keyboard: Keyboard | None,
        colour: bool,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self.state = state
        self.fd = fd
        self.keyboard = keyboard
        self.colour = colour
        self.clock = clock
        self.sleep = sleep
        self.gone = False
        self.player: Player | None = None
        self.moves: Mapping[str, Callable[[], None]] = {}
        self._noted = ""
        self._silence = ""
        self._last_line = ""
        self._noted_until = self._placed_until = 0.0
        self._size: tuple[int, int] = DEFAULT_SIZE
        self._rows: list[str] = []
        self._cursor = ""
        self._modes: set[int] = set()
        self._seq = -1
        self._painted_at = float("-inf")

    def note(self, text: str) -> None:
        """Say something on the last line, for a while."""
        self._noted, self._noted_until = text, self.clock() + _NOTED_FOR

    def run(self, batches: Batches, keys_fd: int | None) -> bool:
        """Whether the viewer left before the events ended."""
        typist = keys = None
        with ExitStack() as stack:
            signals = stack.enter_context(Signals(keyboard=keys_fd is not None))
            if self.keyboard is not None and keys_fd is not None:
                typist = _Typist(keys_fd, self.keyboard, self.note)
                self.keyboard.resize(*(size_of(self.fd) or DEFAULT_SIZE))
                if not self.keyboard.take():
                    self.note(f"read only: another viewer has the keyboard; {LEAVE} leaves")
                stack.enter_context(typist.typing())
            elif keys_fd is not None:
                keys = stack.enter_context(Keys(keys_fd))
            stack.callback(self._leave)
            self._write("\x1b[?1049h\x1b[H\x1b[2J")
            self._answer(say=False)
            self._paint()
            for batch in batches:
                for event in batch:
                    self.state.apply(event)
                if batch:
                    self._answer(say=True)
                if signals.suspend or signals.resumed:
                    self._pause(signals, keys)
                pressed = keys.read() if keys is not None else ""
                if not {"q", "d", "\x04"}.isdisjoint(pressed) or (typist is not None and typist.left):
                    return self.player is None or not self.player.over
                for key in pressed:
                    self._press(key)
                if signals.take_interrupt():
                    return self.player is None or not self.player.over
                self._paint()
                if self.gone:
                    return True
        return False

    def _answer(self, *, say: bool) -> None:
        """Whoever holds the keyboard answers for the terminal: where its cursor is, what it is."""
        if self.state.terminal is not None and self.keyboard is not None:
            said = self.state.terminal.answers()
            if said and say and self.keyboard.take():
                self.keyboard.type(said.encode())

    def _press(self, key: str) -> None:
        """A key of the player, if there is one; what it did is told for a while."""
        if key == "?" and self.player is not None:
            self.note(_KEYS)
        elif key in self.moves:
            self.moves[key]()
            self._noted, self._seq = "", -1
            self._placed_until = self.clock() + _NOTED_FOR

    def _told(self, width: int) -> str:
        """What the last line says instead of showing the terminal's: a note, else where the player stands."""
        player = self.player
        if player is None or self._noted:
            return self._noted
        silence = shortened(player.silence, player.idle_limit)
        if silence and silence != self._silence:  # told of once, as it begins
            self.note(silence)
        self._silence = silence
        if not self._noted and (player.paused or self.clock() < self._placed_until):
            from durastream.views.progress import progress_line, progress_of  # Rich: only for who presses a key

            progress = progress_of(player)
            said = progress_line(progress, max(1, width - 2 - len(player.note) - 3)).plain if progress else ""
            return f"{said} · {player.note}" if player.note else said
        return self._noted

    def _paint(self) -> None:
        """Paint what has changed since the last frame."""
        size = size_of(self.fd) or DEFAULT_SIZE
        now = self.clock()
        if self._noted and now >= self._noted_until:
            self._noted, self._seq = "", -1
        if size != self._size:
            self._size, self._rows, self._seq = size, [], -1
            if self.keyboard is not None:
                self.keyboard.resize(*size)
        elif (told := self._told(size[0])) != self._last_line:
            self._last_line = told
        elif self.state.seq == self._seq:
            return
        if now - self._painted_at < PAINT_EVERY:
            self.sleep(PAINT_EVERY - (now - self._painted_at))
        self._seq = self.state.seq
        rows, cursor = self._frame(*size)
        changed = [
            f"\x1b[{number};1H{row}\x1b[K"
            for number, row in enumerate(rows, 1)
            if number > len(self._rows) or self._rows[number - 1] != row
        ]
        if changed or cursor != self._cursor:
            self._write("\x1b[?25l" + "".join(changed) + cursor)
        self._rows, self._cursor = rows, cursor
        self._painted_at = self.clock()

    def _frame(self, width: int, height: int) -> tuple[list[str], str]:
        """The lines of the screen, and the sequences that place its cursor. Its bottom is what does not fit last."""
        if self.state.terminal is None:
            return self._with_told([""] * height, width), ""
        grid = self.state.terminal.grid
        self._mirror(grid)
        top = max(0, min(grid.y + 1, grid.rows) - height)
        rows = [painted(_cut(line, width), colour=self.colour) for line in grid.lines[top : top + height]]
        rows += [""] * (height - len(rows))
        rows = self._with_told(rows, width)
        x, y = min(grid.x, width - 1), grid.y - top
        shown = "\x1b[?25h" if 25 in grid.modes else ""
        return rows, f"\x1b[{y + 1};{x + 1}H{shown}"

    def _with_told(self, rows: list[str], width: int) -> list[str]:
        if told := self._told(width):
            rows[-1] = f"\x1b[0;7m {one_line(told, max(1, width - 2))} \x1b[0m"
        return rows

    def _mirror(self, grid: Grid) -> None:
        """Make the viewer's keys and mouse send what the program asked its terminal for."""
        if self.keyboard is None:
            return
        wanted = {mode for mode in _ASKED_FOR if mode in grid.modes} | ({66} if grid.keypad else set())
        if wanted != self._modes:
            self._write("".join(f"\x1b[?{mode}l" for mode in sorted(self._modes - wanted)))
            self._write("".join(f"\x1b[?{mode}h" for mode in sorted(wanted - self._modes)))
            self._modes = wanted

    def _leave(self) -> None:
        modes = "".join(f"\x1b[?{mode}l" for mode in sorted(self._modes))
        self._modes = set()
        self._write(f"{modes}\x1b[0m\x1b[?25h\x1b[?1049l")

    def _pause(self, signals: Signals, keys: Keys | None) -> None:
        """Ctrl-Z, where it is not the agent's: give the terminal back, stop, and take it again."""
        if signals.suspend:
            self._leave()
            if keys is not None:
                keys.give_back()
            signals.stop_here()
        signals.resumed = False
        if keys is not None:
            keys.take()
        self._write("\x1b[?1049h\x1b[H\x1b[2J")
        self._rows, self._seq = [], -1

    def _write(self, text: str) -> None:
        try:
            _write(self.fd, text)
        except OSError:
            self.gone = True


def _cut(line: list[Cell], width: int) -> list[Cell]:
    if len(line) > width and not line[width][0]:
        return [*line[: width - 1], (" ", "")]
    return line[:width]


def _write(fd: int, text: str) -> None:
    data = memoryview(text.encode("utf-8", "replace"))
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            select.select([], [fd], [])
