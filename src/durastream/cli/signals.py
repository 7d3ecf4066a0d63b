"""Signals of a foreground run: Ctrl-C is passed to the agent, harder each time; a lost terminal only detaches."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
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
    """Turns what is done to this process into requests to the run's supervisor.

    The handlers are there before the run is: what comes while the agent is being started is passed on by `begin`.
    """

    def __init__(self) -> None:
        self._spool: Spool | None = None
        self._early: list[int] = []
        self._step = 0

    def begin(self, spool: Spool) -> None:
        """The run is there. Raises Detached when the terminal is not any more."""
        self._spool = spool
        for number in self._early:
            signal.raise_signal(number)

    def interrupt(self) -> str:
        """Pass Ctrl-C on: SIGINT, then SIGTERM, then SIGKILL. Returns what to tell the person."""
        name = _LADDER[min(self._step, len(_LADDER) - 1)]
        self._step += 1
        self._ask(name, "ctrl-c")
        following = _LADDER[self._step] if self._step < len(_LADDER) else None
        return f"sent {name}" + (f"; Ctrl-C again sends {following}" if following else "")

    def _ask(self, name: str, by: str) -> None:
        assert self._spool is not None
        with contextlib.suppress(OSError):  # the run is over, and its spool gone
            self._spool.request(act="signal", signal=name, by=by)

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Install the handlers for the time of a foreground run. A view may take Ctrl-C over, to show what was sent."""

        def caught(number: int, frame: FrameType | None) -> None:
            if self._spool is None:
                self._early.append(number)
            else:
                handlers[number](number, frame)

        def passed_on(number: int, frame: FrameType | None) -> None:
            self._ask(signal.Signals(number).name, "signal")

        def interrupted(number: int, frame: FrameType | None) -> None:
            said = ("\n" if os.isatty(2) else "") + f"durastream: {self.interrupt()}\n"
            with contextlib.suppress(OSError):  # not through sys.stderr, which this may have interrupted
                os.write(2, said.encode())

        def hung_up(number: int, frame: FrameType | None) -> None:
            raise Detached(128 + number)

        handlers: dict[int, Callable[[int, FrameType | None], None]] = {
            signal.SIGINT: interrupted,
            signal.SIGTERM: passed_on,
            signal.SIGQUIT: passed_on,
            signal.SIGHUP: hung_up,
        }
        before = {
            number: signal.signal(number, caught)
            for number in handlers
            if signal.getsignal(number) != signal.SIG_IGN  # as nohup wants it, and a shell of its background jobs
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
