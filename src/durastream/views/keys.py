"""The keyboard and the signals of a view: read without waiting, and leave the terminal as it was found.

A view asks on its next turn what has happened; nothing is done inside a signal handler but to make a note. Only
SIGTERM and SIGHUP end the view from there, as SystemExit, so that every terminal setting is put back on the way out.
"""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import termios
import threading
import time
import tty
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["Keys", "Signals"]

_PRESSED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b|[^\[O\]])?|.", re.DOTALL)

_NAMES = {
    "\x1b[A": "up", "\x1b[B": "down", "\x1b[C": "right", "\x1b[D": "left",
    "\x1bOA": "up", "\x1bOB": "down", "\x1bOC": "right", "\x1bOD": "left",
    "\x1b[H": "home", "\x1b[F": "end", "\x1bOH": "home", "\x1bOF": "end",
    "\x1b[1~": "home", "\x1b[4~": "end", "\x1b[7~": "home", "\x1b[8~": "end",
    "\x1b[5~": "pgup", "\x1b[6~": "pgdn", "\x1b[Z": "backtab",
    "\x1b[1;2C": "]", "\x1b[1;2D": "[",
    "\t": "tab", "\r": "enter", "\n": "enter", "\x7f": "backspace", "\x08": "backspace", "\x1b": "esc",
}  # fmt: skip


class Keys:
    """The keys pressed on a terminal, as a context manager over its file descriptor.

    Inside, keys come one by one and are not echoed. With a descriptor that is no terminal, or in the background,
    nothing is touched and no key comes.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._found: list[Any] | None = None
        self._held = False
        self._begun = b""

    @classmethod
    def of_stdin(cls) -> Keys | None:
        """The keys of standard input, or None when that is not a terminal."""
        with suppress(OSError, ValueError, AttributeError):
            if os.isatty(sys.stdin.fileno()):
                return cls(sys.stdin.fileno())
        return None

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_back()

    def take(self) -> None:
        """Begin to read keys (again)."""
        if not self._in_foreground():
            return
        with suppress(termios.error, OSError):
            if self._found is None:
                self._found = termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd, termios.TCSANOW)
            self._held = True

    def give_back(self) -> None:
        """Put the terminal back as it was found."""
        if self._held and self._found is not None and self._in_foreground():
            # NOW, not DRAIN: with output stopped by Ctrl-S, draining waits for ever.
            with suppress(termios.error, OSError):
                termios.tcsetattr(self._fd, termios.TCSANOW, self._found)
        self._held = False

    def read(self) -> list[str]:
        """The keys pressed since the last call; does not wait. A terminal that is gone reads as Ctrl-D.

        A key is its character, or a name: up, down, left, right, home, end, pgup, pgdn, tab, backtab, enter,
        backspace, esc. Shift and an arrow are `[` and `]`. Keys without a name are dropped.
        """
        if not self._held:
            return []
        pressed = b""
        try:
            while len(pressed) < 4096 and select.select([self._fd], [], [], 0)[0]:
                if not (some := os.read(self._fd, 1024)):
                    return ["\x04"]
                pressed += some
        except OSError:
            return ["\x04"]
        if pressed and self._begun:
            pressed = self._begun + pressed
        elif self._begun:  # nothing came behind it: it was the key itself
            self._begun = b""
            return ["esc"]
        self._begun = b"\x1b" if pressed.endswith(b"\x1b") else b""
        text = pressed.removesuffix(b"\x1b").decode("utf-8", "replace")
        keys = (match[0] for match in _PRESSED.finditer(text))
        return [key for each in keys if len(key := _NAMES.get(each, each)) == 1 or key in _NAMES.values()]

    def wait(self, seconds: float) -> None:
        """Let time pass, until a key is pressed."""
        if not self._held:
            time.sleep(seconds)
            return
        with suppress(OSError, ValueError):
            select.select([self._fd], [], [], seconds)

    def _in_foreground(self) -> bool:
        # To set a terminal from the background would stop this process.
        try:
            return os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:
            return False


class Signals:
    """What signals have asked for, as a context manager that puts the earlier handlers back.

    `interrupts` counts Ctrl-C not yet taken; `suspend` and `resumed` note Ctrl-Z and its end. A handler that somebody
    else has set, or a signal that is ignored, is left alone, save SIGINT: a handler of it gives way with
    `take_interrupts`, and with `keyboard` Ctrl-C is heard even if it was ignored. Outside the main thread it does
    nothing.
    """

    def __init__(self, *, take_interrupts: bool = False, keyboard: bool = False) -> None:
        self.interrupts = 0
        self.suspend = False
        self.resumed = False
        self._take_interrupts = take_interrupts
        self._keyboard = keyboard
        self._earlier: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP, signal.SIGCONT):
                earlier = signal.getsignal(number)
                ours = earlier in (signal.SIG_DFL, signal.default_int_handler)
                if number == signal.SIGINT:
                    ignored = earlier == signal.SIG_IGN  # as by a shell for what it starts in the background
                    ours = self._keyboard if ignored else ours or self._take_interrupts
                if ours:
                    self._earlier[number] = earlier
                    signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, earlier in self._earlier.items():
            signal.signal(number, signal.SIG_DFL if earlier is None else earlier)
        self._earlier.clear()

    def take_interrupt(self) -> bool:
        """Whether Ctrl-C was pressed since; takes one press."""
        if self.interrupts:
            self.interrupts -= 1
            return True
        return False

    def stop_here(self) -> None:
        """Stop this process as Ctrl-Z does; returns when it goes on."""
        self.suspend = False
        if signal.SIGTSTP in self._earlier:
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTSTP)
            signal.signal(signal.SIGTSTP, self._note)
        self.resumed = True

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            self.interrupts += 1
            if self.interrupts > 2:  # nobody takes them: the events have come to a stop, so get out of there
                raise KeyboardInterrupt
        elif number == signal.SIGTSTP:
            self.suspend = True
        elif number == signal.SIGCONT:
            self.resumed = True
        else:
            raise SystemExit(128 + number)
