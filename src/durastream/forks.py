"""What a fork waits for, and what is new in a forked child.

A child has one thread. What another thread was in the middle of, half a line or half an import, would stay so in it
for ever: a fork waits for the locks here, and the child gets new ones. Loaded with `durastream` itself, because of
hooks that are registered while a fork waits only the later half would run.
"""

from __future__ import annotations

import itertools
import os
from _thread import RLock  # the one of threading, which costs 4 ms to import

__all__ = ["loading", "lock", "new_id"]

lock = RLock()
"""Held for every write: within a process, the order of lines is the order of calls. Reentrant for signal handlers."""

loading = RLock()
"""Held for what takes longer than a line: loading the calls, making a recorder. Never taken inside `lock`."""

_ids = itertools.count(1)
_mark = os.urandom(3).hex()
"""Tells the ids of this process from those of the run's other processes."""


def new_id(prefix: str) -> str:
    return f"{prefix}{next(_ids)}-{_mark}"


def _wait() -> None:
    loading.acquire()
    lock.acquire()


def _go_on() -> None:
    lock.release()
    loading.release()


def _renew() -> None:
    global lock, loading, _ids, _mark
    lock = RLock()
    loading = RLock()
    _ids = itertools.count(1)
    _mark = os.urandom(3).hex()


os.register_at_fork(before=_wait, after_in_parent=_go_on, after_in_child=_renew)
