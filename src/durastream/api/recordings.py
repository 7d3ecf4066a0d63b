"""Recording a process from within it: how it begins, ends, and what a forked child lets go of."""

from __future__ import annotations

import os
import sys

from durastream import forks
from durastream.api.context import current, enter, leave
from durastream.api.sink import complain
from durastream.api.values import outcome, text_of

TYPE_CHECKING = False  # as in typing, which costs 4 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Any, Literal, Self

    from durastream.api.sink import Sink
    from durastream.inprocess import InProcess

__all__ = ["Recording", "recording"]

_running: list[InProcess] = []
"""The recorders of this process. A forked child keeps the objects, whose files are not its to close."""


def _let_go() -> None:
    """In a forked child: inherited locks would keep a run looking alive that the parent left by being killed."""
    for recorder in _running:
        try:
            recorder.forget()
        except OSError as trouble:  # the program closed our descriptors
            complain(f"a forked process may keep run {recorder.run_id} looking alive: {trouble.strerror}")


os.register_at_fork(after_in_child=_let_go)


class Recording:
    """A recording of this process, as `with recording()` yields it.

    `run_id` is there from the start; `path` and `completed` (the data of `run.completed`) after the end. Inside
    `durastream run` the run is that one, and `path` and `completed` stay None.
    """

    def __init__(self, name: str | None, store: str | None, tags: Mapping[str, str] | None, log: str) -> None:
        from durastream.naming import LOGS, check_choice, check_name, check_tags  # where a recording is, as the store

        if name is not None:
            check_name(name, "name")
        if tags is not None:
            check_tags(tags, "tags")
        check_choice(log, "log", LOGS)
        self.run_id: str | None = None
        self.path: str | None = None
        self.completed: dict[str, Any] | None = None
        self._name = name
        self._store = store
        self._tags = {text_of(key): text_of(value) for key, value in (tags or {}).items()}
        self._log = log
        self._recorder: InProcess  # from `_start` on
        self._sink: Sink | None = None
        self._pid = os.getpid()

    @property
    def env(self) -> dict[str, str]:
        """The environment variables with which a child process records into this run."""
        known = {"DURASTREAM_RUN_ID": self.run_id, "DURASTREAM_EVENTS": self._sink and self._sink.path}
        return {name: value for name, value in known.items() if value}

    def __enter__(self) -> Self:
        if not self._join():
            self._start()
            self._enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        end = self._leave(error)
        if end is not None:
            self._finish(*end)

    async def __aenter__(self) -> Self:
        if not self._join():
            await _off_loop(self._start)
            self._enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        end = self._leave(error)
        if end is not None:
            await _off_loop(lambda: self._finish(*end))

    def _join(self) -> bool:
        """Be a part of the `durastream run` around this process, if there is one that still takes events."""
        around = current()
        if around is None or around.own or not around.ready():
            return False
        self._sink = around
        self.run_id = around.run_id
        if self._name is not None or self._tags:
            around.write("recording.joined", {"name": self._name, "tags": self._tags or None})
        return True

    def _start(self) -> None:
        self._pid = os.getpid()
        with forks.loading:  # so that a child knows of every lock that it inherits
            from durastream.inprocess import InProcess
            from durastream.location import find_store  # these open a store, which no other call needs

            store = find_store(self._store, os.environ, os.getcwd())
            command = list(sys.orig_argv)
            self._recorder = InProcess(store=store, name=self._name, tags=self._tags, command=command, log=self._log)
            _running.append(self._recorder)

    def _enter(self) -> None:
        self.run_id = self._recorder.run_id
        self._sink = enter(self._recorder.events_path, self.run_id)

    def _leave(self, error: BaseException | None) -> tuple[int, str | None] | None:
        """Close the event file; the exit code and error to end with, or None when the run is not ours to end."""
        code, words = outcome(error)
        sink = self._sink
        if sink is None or os.getpid() != self._pid:  # a forked child that left the block
            return None
        if words is not None:
            sink.write("error.raised", {"message": words, "severity": "error", "fatal": sink.own})
        if not sink.own:
            return None
        leave(sink)
        return code, words

    def _finish(self, code: int, words: str | None) -> None:
        from durastream.errors import DurastreamError  # as the store: only where a recording ends

        try:
            self.completed = self._recorder.finish(exit_code=code, error=words) or None
        except (DurastreamError, OSError) as trouble:
            kept = f"what was recorded is kept: durastream recover {self.run_id}"
            complain(f"the end of run {self.run_id} could not be stored: {text_of(trouble)}; {kept}")
        else:
            _running.remove(self._recorder)
        self.path = self._recorder.path


def recording(
    name: str | None = None,
    *,
    store: str | None = None,
    tags: Mapping[str, str] | None = None,
    log: Literal["sqlite", "jsonl"] = "sqlite",
) -> Recording:
    """Record what this process does in the block, `with` or `async with`. Inside `durastream run`, be a part of that.

    The end of the block waits until all is stored. Raises UsageError for a name, tags or a log that cannot be meant,
    and StoreError when the recording cannot be made; after that nothing raises but your own code. Child processes
    record into it with `env`.
    """
    return Recording(name, store, tags, log)


async def _off_loop(work: Callable[[], None]) -> None:
    """Do what waits for the disk in a thread, so that other tasks go on; in place under another loop than asyncio's."""
    import asyncio  # loaded already by whoever gets here

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        work()
        return
    await asyncio.to_thread(work)
