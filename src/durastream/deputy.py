"""Holds a run to its limits when its supervisor was killed: then the recorder is the only one left who can."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from collections.abc import Mapping
from typing import Any

from durastream.spool import Spool
from durastream.supervisor import GRACE, beyond, stop_all

__all__ = ["Deputy"]


class Deputy:
    """`limits` may have `max_bytes` and `max_duration`; `began` is when the run did, on the monotonic clock."""

    def __init__(self, spool: Spool, limits: Mapping[str, Any], began: float) -> None:
        self._spool = spool
        self._limits = limits
        self._began = began
        self._kill_at = math.inf
        self._asked = False

    def look(self, *, told: bool) -> None:
        """To be called now and then while the agent lives and its supervisor does not. `told` is whether the log has
        it that the run is to end. Asks once, as a supervisor does, and ends what does not listen."""
        now = time.monotonic()
        if self._asked:
            if now >= self._kill_at:
                self._signal(signal.SIGKILL)
                self._kill_at = now + GRACE
            return
        by = beyond(self._spool, self._limits, self._began)
        if by is not None:
            self._asked = True
            self._kill_at = now + GRACE
            if not told:
                self._spool.request(act="cancel", by=by, grace=GRACE)
            self._signal(signal.SIGTERM)

    def agent_gone(self) -> None:
        """End what an agent left behind that was ended here."""
        if self._asked:
            stop_all(self._spool.run_id, gently=False)

    def _signal(self, number: int) -> None:
        agent = self._spool.read_json("agent.json") or {}
        if not self._spool.agent_alive():  # its pid may be somebody else's by now
            return
        for each in (number, signal.SIGCONT):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(int(agent["pid"]), each)
