"""Ends a run whose supervisor was killed, when somebody asks for it or a limit is reached: nobody else can then."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from collections.abc import Mapping
from typing import Any

from durastream.control import GRACE, Requests
from durastream.spool import Spool
from durastream.supervisor import beyond, stop_all

__all__ = ["Deputy"]


class Deputy:
    """`limits` may have `max_bytes` and `max_duration`; `began` is when the run did, on the monotonic clock."""

    def __init__(self, spool: Spool, limits: Mapping[str, Any], began: float) -> None:
        self._spool = spool
        self._limits = limits
        self._began = began
        self._requests = Requests(spool)
        self._by: set[str] = set()
        self._kill_at = math.inf

    def look(self) -> None:
        """To be called now and then while the agent lives and its supervisor does not. Carries out what was asked for,
        as a supervisor does, and asks for the end of what is beyond its limits, once."""
        self._obey()
        by = beyond(self._spool, self._limits, self._began)
        if by is not None and by not in self._by:
            self._spool.request(act="cancel", by=by, grace=GRACE)
            self._obey()
        if time.monotonic() >= self._kill_at:
            self._signal(signal.SIGKILL)
            self._kill_at = time.monotonic() + GRACE

    def agent_gone(self) -> None:
        """End what an agent left behind whose end was asked for."""
        self._obey()
        if self._by:
            stop_all(self._spool.run_id, gently=False)

    def _obey(self) -> None:
        """Send what is asked for, and of what was sent before only the SIGTERM of a `cancel`, which means the same."""
        for number, by, grace, again in self._requests.new():
            if grace is not None:
                self._by.add(by)
                self._kill_at = time.monotonic() + grace
            if grace is not None or not again:
                self._signal(number)

    def _signal(self, number: int) -> None:
        agent = self._spool.read_json("agent.json") or {}
        if not self._spool.agent_alive():  # its pid may be somebody else's by now
            return
        for each in (number, *([signal.SIGCONT] if number == signal.SIGTERM else [])):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(int(agent["pid"]), each)
