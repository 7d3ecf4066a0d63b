"""What `durastream run` does after the start: it watches its own run like any viewer, and ends with its exit code."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from durastream.cli.ending import drop_output, say
from durastream.cli.launch import Request, Started, launch
from durastream.cli.signals import Detached, Interrupts
from durastream.errors import NotARecording, RecordingError
from durastream.room import Room
from durastream.spool import Spool
from durastream.spooled import Spooled

if TYPE_CHECKING:
    from durastream.stores import FolderStore, RunInfo

__all__ = ["conclude", "exit_code_of", "run", "tell_end"]

_PIECE = 1 << 18
_NOT_RECONCILED = 120
_LIMIT_REACHED = 124  # as of timeout(1)


def run(request: Request) -> int:
    """Start, watch, and return the exit code for the process."""
    if request.detach:
        return _print_id(_start(request).spool.run_id)
    interrupts = Interrupts()
    started: Started | None = None
    try:
        with interrupts.handled():
            started = _start(request)
            interrupts.begin(started.spool)
            return _watch(started, request, interrupts)
    except Detached as left:
        assert started is not None
        _tell_detached(started)
        return left.code
    except OSError as error:
        if started is None or error.filename is not None:
            raise  # of a file, not of what we write to
        return _cannot_write(started.spool.run_id, error)


def _start(request: Request) -> Started:
    started = launch(request)
    if started.warning is not None:
        say(started.warning)
    return started


def _watch(started: Started, request: Request, interrupts: Interrupts) -> int:
    """Show the run until its end, or until the person leaves."""
    view = request.view
    if view == "auto" and not sys.stdout.isatty():
        view = "raw"
    if view == "raw":
        _pass_through(started)
    elif view != "none":
        from durastream.cli.watch import watch_run

        with contextlib.suppress(NotARecording):  # the recorder could not even begin: `conclude` says why
            left = watch_run(started.spool, view, interrupts, timestamps=request.timestamps, links=request.links)
            if left and not _agent_over(started):
                _tell_detached(started)
                return 0
    _wait(started)
    limits = {"max-bytes": request.max_bytes, "max-duration": request.max_duration}
    return conclude(started.spool, strict=request.strict, limits=limits)


def _tell_detached(started: Started) -> None:
    run_id = started.spool.run_id
    say(f"detached: run {run_id} goes on: durastream attach {run_id}")


def _print_id(run_id: str) -> int:
    try:
        print(run_id, flush=True)  # noqa: T201 - the one thing that scripts read
    except OSError as error:
        return _cannot_write(run_id, error)
    return 0


def _cannot_write(run_id: str, error: OSError) -> int:
    """Say that the run goes on which is not seen here any more."""
    closed = isinstance(error, BrokenPipeError)
    drop_output()
    why = "output closed" if closed else f"cannot write the output: {error.strerror}"
    say(f"{why}: run {run_id} goes on: durastream attach {run_id}")
    return 128 + signal.SIGPIPE if closed else 1


def _wait(started: Started) -> None:
    """Wait until nobody works on the run any more: the supervisor outlives its recorder."""
    import durastream.stores  # noqa: F401 - while the recorder starts: `conclude` will need it

    with contextlib.suppress(ChildProcessError):
        os.waitpid(started.supervisor, 0)
    while started.spool.alive():  # the supervisor was killed, and the recorder goes on alone
        time.sleep(0.05)


def _pass_through(started: Started) -> None:
    """Copy the agent's stdout and stderr, byte for byte, from the write-ahead log to ours."""
    spool = started.spool
    names = ("stdout", "stderr")
    fds = [spool.open(stream, os.O_RDONLY) for stream in names]
    rooms = [Room(spool, stream, fd, partial(_recorded, spool, stream)) for stream, fd in zip(names, fds, strict=True)]
    pairs = [(Spooled(fd, fill=room.fill), target) for target, (fd, room) in enumerate(zip(fds, rooms, strict=True), 1)]
    try:
        pause = 0.002
        over = False
        last = pairs[0][0]
        while True:
            copied = [source for source, target in pairs if _copy(source, target)]
            if copied:
                last = copied[-1]
                pause = 0.002
                continue
            if over:
                return _end_line(last)
            over = _agent_over(started)
            if over:
                for source, _ in pairs:
                    source.look_again()
            else:
                time.sleep(pause)
                pause = min(pause * 1.5, 0.02)
    finally:
        for room in rooms:
            room.close()
        for fd in fds:
            os.close(fd)


def _end_line(last: Spooled) -> None:
    """Keep what we say of the run off the last line of its output, where both go to the same place."""
    if last.unfinished and os.path.sameopenfile(1, 2):
        sys.stderr.write("\n")


def _recorded(spool: Spool, stream: str) -> Iterator[bytes]:
    """The bytes of a stream that are recorded, for who comes so late that the spool has given them back."""
    from durastream.stores import FolderStore
    from durastream.stores.folder import open_reader

    path = FolderStore(spool.store).path(spool.run_id)
    if path is not None:
        with contextlib.closing(open_reader(path)) as reader:
            yield from reader.raw(stream)


def _agent_over(started: Started) -> bool:
    spool = started.spool
    return spool.exit_status() is not None or not spool.exists() or not (spool.alive() or spool.agent_alive())


def _copy(source: Spooled, target: int) -> bool:
    """Whether there was anything to copy. A file that was cut short is read again from its start."""
    data = source.read(_PIECE)
    if source.cut:
        source.seek(0)
        return True
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(target, view) :]
        except BlockingIOError:  # whoever shares it with us made it so
            select.select([], [target], [])
    return bool(data)


def conclude(spool: Spool, *, strict: bool = False, limits: Mapping[str, str | None] | None = None) -> int:
    """Say how a run ended, in one line on stderr, and return the exit code.

    With `strict` it must have completed, and reconcile. `limits` is what the run was given, by the name of its option:
    one that a limit ended has an exit code of its own.
    """
    from durastream.stores import FolderStore

    store = FolderStore(spool.store)
    try:
        info = store.info(spool.run_id)
    except RecordingError:
        info = None
    if info is not None and info.status not in ("running", "orphaned"):
        tell_end(info)
        limit = _limit_reached(store, info.run_id) if any((limits or {}).values()) else None
        if limit is not None:
            say(f"ended by --{limit} {(limits or {}).get(limit)}: what it wrote until then is recorded")
            return _LIMIT_REACHED
        code = exit_code_of(info.exit_code, info.signal)
        held = info.reconciled and info.status == "completed"
        return _NOT_RECONCILED if strict and code == 0 and not held else code
    if info is not None and not spool.exists():
        say(
            f"the spool of run {spool.run_id} was removed: what was read of it is recorded:"
            f" durastream show {spool.run_id}"
        )
        return 125
    trouble = spool.read_json("trouble.json") or {}
    message = trouble.get("message", f"the supervisor and the recorder of run {spool.run_id} were killed")
    say(message)
    say(f"run {spool.run_id} is not finished; what was recorded is kept: durastream recover {spool.run_id}")
    status = spool.exit_status()
    if status is None:
        return 125
    return exit_code_of(status.get("exit_code"), status.get("signal")) or 125


def tell_end(info: RunInfo) -> None:
    """How a run ended, in one line on stderr, and where to look when its answer is not what was streamed."""
    verdict = "reconciled" if info.reconciled else "NOT reconciled"
    say(f"{info.run_id} {info.status} · {info.last_seq} events · {verdict} · {info.seal}")
    if not info.reconciled:
        say(f"see what differs: durastream verify {info.run_id}")


def _limit_reached(store: FolderStore, run_id: str) -> str | None:
    from durastream.answer import LIMITS
    from durastream.stores.folder import open_reader

    path = store.path(run_id)
    by = (open_reader(path).state().cancel or {}).get("by") if path is not None else None
    return by if by in LIMITS else None


def exit_code_of(exit_code: int | None, signal_name: str | None) -> int:
    """The exit code that stands for how an agent ended: its own, 128+n for signal n, 125 when nobody saw it."""
    number = getattr(signal, signal_name, None) if isinstance(signal_name, str) else None
    if isinstance(number, signal.Signals):
        return 128 + number
    return exit_code if isinstance(exit_code, int) and 0 <= exit_code < 256 else 125
