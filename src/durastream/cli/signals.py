"""Signals of a foreground run: Ctrl-C is passed to the agent, harder each time; a lost terminal only detaches."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType

from durastream.spool import Spool

__all__ = ["Detached", "Interrupts"]

_LADDER = ("SIGINT", "SIGTERM", "SIGKILL")


class Detached(Exception):
    """The viewer is to leave; the run goes on. `code` is what the process should exit with."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Interrupts:
    """Turns what is done to this process into requests to the run's supervisor."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._step = 0

    def interrupt(self) -> str:
        """Pass Ctrl-C on: SIGINT, then SIGTERM, then SIGKILL. Returns what to tell the person."""
        name = _LADDER[min(self._step, len(_LADDER) - 1)]
        self._step += 1
        self._ask(name, "ctrl-c")
        following = _LADDER[self._step] if self._step < len(_LADDER) else None
        return f"sent {name}" + (f"; Ctrl-C again sends {following}" if following else "")

    def _ask(self, name: str, by: str) -> None:
        with contextlib.suppress(OSError):  # the run is over, and its spool gone
            self._spool.request(act="signal", signal=name, by=by)

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Install the handlers for the time of a foreground run. A view may take Ctrl-C over, to show what was sent."""

        def passed_on(number: int, frame: FrameType | None) -> None:
            self._ask(signal.Signals(number).name, "signal")

        def interrupted(number: int, frame: FrameType | None) -> None:
            said = ("\n" if os.isatty(2) else "") + f"durastream: {self.interrupt()}\n"
            with contextlib.suppress(OSError):  # not through sys.stderr, which this may have interrupted
                os.write(2, said.encode())

        def hung_up(number: int, frame: FrameType | None) -> None:
            raise Detached(128 + number)

        handlers = {
            signal.SIGINT: interrupted,
            signal.SIGTERM: passed_on,
            signal.SIGQUIT: passed_on,
            signal.SIGHUP: hung_up,
        }
        before = {
            number: signal.signal(number, handler)
            for number, handler in handlers.items()
            if signal.getsignal(number) != signal.SIG_IGN  # as nohup wants it, and a shell of its background jobs
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
