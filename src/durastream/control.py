"""What is asked of a run while it goes on: the requests in the file `control` of its spool, each read once, in order.

Standard library only: the supervisor reads with it, and the recorder when the supervisor was killed.
"""

from __future__ import annotations

import contextlib
import json
import math
import signal
from collections.abc import Iterator
from typing import Any, NamedTuple

from durastream.spool import Spool

__all__ = ["GRACE", "Asked", "Requests"]

GRACE = 10.0
"""Seconds that an agent has between SIGTERM and SIGKILL, unless something else is asked for."""


class Asked(NamedTuple):
    """A signal that is to be sent to the agent; with `grace`, the seconds until it is to be killed."""

    signal: int
    by: str
    grace: float | None
    again: bool
    """Whether somebody who is gone was at it already."""


class Requests:
    """Those of one run, from the first on. How far they were carried out is in `obeyed.json` of the spool: a second
    Ctrl-C would mean something else, so nothing is done twice, whoever goes on."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._read = 0
        self._rest = b""

    def new(self) -> Iterator[Asked]:
        """Those that came since the last look, to be carried out at once. What is no request, or none to signal, is
        passed over."""
        if self._spool.size("control") <= self._read:
            return
        with open(self._spool.file("control"), "rb") as file:
            file.seek(self._read)
            new = file.read()
        done = (self._spool.read_json("obeyed.json") or {}).get("upto")
        obeyed = done if type(done) is int else 0
        at = self._read - len(self._rest)
        self._read += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        for line in lines:
            at += len(line) + 1
            asked = None
            with contextlib.suppress(ValueError, KeyError, TypeError, OverflowError, RecursionError):
                asked = _asked(json.loads(line), again=at <= obeyed)
            if asked is None:
                continue
            if not asked.again:
                with contextlib.suppress(OSError):  # a full disk keeps nobody from ending a run
                    self._spool.write_json("obeyed.json", {"upto": at})
            yield asked


def _asked(request: dict[str, Any], *, again: bool) -> Asked | None:
    if request["act"] == "cancel":
        grace = float(request.get("grace", GRACE))
        by = str(request.get("by", "cancel"))
        return Asked(signal.SIGTERM, by, grace, again) if 0 <= grace < math.inf else None
    if request["act"] == "signal":
        return Asked(signal.Signals[request["signal"]], str(request.get("by", "signal")), None, again)
    return None
