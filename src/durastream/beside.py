"""A call in a thread of its own, while whoever made it goes on."""

from __future__ import annotations

from _thread import allocate_lock, start_new_thread
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Beside"]

_Made = TypeVar("_Made")


class Beside(Generic[_Made]):
    """Begins at once. The start of a `threading.Thread` waits until it runs: a millisecond while its maker is busy."""

    def __init__(self, call: Callable[[], _Made]) -> None:
        self._call = call
        self._made: list[_Made] = []
        self._error: BaseException | None = None
        self._held = allocate_lock()
        self._held.acquire()
        try:
            start_new_thread(self._run, ())
        except RuntimeError:  # no more threads: slower is better than not at all
            self._run()

    def _run(self) -> None:
        try:
            self._made.append(self._call())
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that goes on
            self._error = error
        finally:
            self._held.release()

    @property
    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return self._held.locked()

    def wait(self) -> None:
        """Wait until it has ended."""
        with self._held:
            pass

    def result(self) -> _Made:
        """Wait for what the call returns. Raises what it raises."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._made[0]
