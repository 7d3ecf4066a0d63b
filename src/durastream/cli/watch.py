"""Views on a run: the one path by which run, attach and replay show events."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence

from durastream.cli.common import open_found
from durastream.cli.signals import Interrupts
from durastream.errors import RecordingError, UsageError
from durastream.events import Event, show_hash
from durastream.follow import follow, read_all, wait_for_reader
from durastream.replay import Position, cut, pace
from durastream.spool import Spool
from durastream.state import RunState, fold
from durastream.stores import FolderStore, Found, Reader
from durastream.terminal import Keyboard
from durastream.views.outcome import Batches

__all__ = ["attach", "choose_view", "replay", "watch_run"]


def choose_view(view: str) -> str:
    """What `auto` means here: the live screen in a terminal that can show it, else plain lines; the same for `live`."""
    if view not in ("auto", "live"):
        return view
    return "live" if sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "") else "plain"


def show(
    view: str,
    batches: Batches,
    state: RunState,
    *,
    run_id: str,
    interrupts: Interrupts | None = None,
    seal: str = "",
    rate: float = 1.0,
    running: bool = False,
    terminal: bool = False,
    keyboard: Keyboard | None = None,
) -> bool:
    """Show batches in a view until they end; returns whether the viewer left before that."""
    if view == "json":
        from durastream.views import jsonl

        return jsonl.show(batches, state=state, out=sys.stdout).left
    if view == "plain":
        from durastream.views import plain

        return plain.show(batches, state=state, out=sys.stdout).left
    if view == "none":
        for batch in batches:
            fold(batch, state)
        return False
    if terminal:
        from durastream.views import terminal as of_terminal

        return of_terminal.show(
            batches,
            state=state,
            keyboard=keyboard,
            keys_fd=0 if os.isatty(0) else None,
            colour=not os.environ.get("NO_COLOR"),
        ).left
    from rich.console import Console

    from durastream.views import live

    return live.show(
        batches,
        state=state,
        console=Console(),
        run_id=run_id,
        keys=live.Keys.of_stdin(),
        on_interrupt=interrupts.interrupt if interrupts is not None else None,
        seal=seal,
        rate=rate,
        wall=time.time if running else None,
    ).left


def watch_run(spool: Spool, view: str, interrupts: Interrupts) -> bool:
    """Watch a run of one's own from its start; returns whether the viewer left before its end."""
    view = choose_view(view)
    keyboard = _keyboard(spool, view) if (spool.read_json("meta.json") or {}).get("terminal") else None
    reader = wait_for_reader(FolderStore(spool.store), spool.run_id)
    return show(
        view,
        follow(reader, spool),
        RunState(),
        run_id=spool.run_id,
        interrupts=interrupts,
        running=True,
        terminal=_on_terminal(reader, spool),
        keyboard=keyboard,
    )


def _on_terminal(reader: Reader, spool: Spool | None = None) -> bool:
    """Whether the agent runs, or ran, on a terminal."""
    known = spool.read_json("meta.json") if spool is not None else None
    if known is not None:
        return bool(known.get("terminal"))
    return any(event.type == "terminal.resized" for event in reader.read(0, 2))


def _keyboard(spool: Spool, view: str) -> Keyboard | None:
    """What this viewer can type to the agent with, if it can type at all."""
    return Keyboard(spool) if view == "live" and os.isatty(0) else None


def attach(
    store: FolderStore, found: Found, view: str, start: str, *, read_only: bool = False
) -> tuple[RunState, bool]:
    """Join a run: its state so far, then what comes. Returns the state and whether the viewer left before the end."""
    reader = open_found(store, found)
    spool = Spool(found.store or store.folder, found.run_id)
    view = choose_view(view)
    after = _start(start, view, reader)
    state = reader.state(after) if after else RunState()
    if view == "raw":
        return _attach_raw(reader, spool)
    ended = state.completed is not None
    batches = iter(()) if ended else follow(reader, spool, after)
    if ended and view == "live":
        _print_end(state, found.run_id, reader)
        return state, False
    terminal = _on_terminal(reader, spool)
    keyboard = _keyboard(spool, view) if terminal and not read_only else None
    left = show(view, batches, state, run_id=found.run_id, running=not ended, terminal=terminal, keyboard=keyboard)
    reader.close()
    return state, left


def _start(start: str, view: str, reader: Reader) -> int:
    """The seq after which events are given out one by one; what is before it is given as state."""
    if start == "auto":
        start = "start" if view == "json" else "now"
    if start == "start":
        return 0
    if start == "now":
        return reader.head().seq
    if not start.isdecimal():
        raise UsageError(f"--from {start}: start, now, or an event's number")
    last = reader.head().seq
    if int(start) > last + 1:
        raise UsageError(f"--from {start}: run {reader.run_id} has {last} events so far")
    return max(0, int(start) - 1)


def _print_end(state: RunState, run_id: str, reader: Reader) -> None:
    from rich.console import Console

    from durastream.views.live import summary

    console = Console()
    seal = show_hash(reader.head().hash)
    console.print(summary(state, width=console.width, run_id=run_id, seal=seal))


def _attach_raw(reader: Reader, spool: Spool) -> tuple[RunState, bool]:
    """The agent's stdout, byte for byte, as far as it is stored."""
    state = RunState()
    raw = _Raw(reader, spool)
    try:
        for batch in follow(reader, spool):
            fold(batch, state)
            for event in batch:
                raw.write_upto(event)
    except KeyboardInterrupt:
        return state, True
    raw.write_rest()
    return state, state.completed is None


class _Raw:
    """Writes the bytes that events came from, when the events do; from the spool while there is one."""

    def __init__(self, reader: Reader, spool: Spool) -> None:
        self._pieces: Iterator[bytes] | None = None
        self._reader = reader
        self._file = open(spool.file("stdout"), "rb") if spool.exists() else None  # noqa: SIM115 - as long as we live
        self._rest = b""
        self._at = 0

    def _next(self) -> bytes:
        if self._file is not None:
            return self._file.read(1 << 18)
        if self._pieces is None:
            self._pieces = self._reader.raw("stdout")
        return next(self._pieces, b"")

    def write_upto(self, event: Event) -> None:
        """Write what was printed up to the end of this event's bytes."""
        if event.src is None or event.src.stream != "stdout":
            return
        _, offset, length = event.src
        while True:
            line_end = self._rest.find(b"\n", max(0, offset - self._at))
            end = offset + length - self._at if length is not None else line_end + 1
            if end > 0 and end <= len(self._rest):
                break
            more = self._next()
            if not more:
                end = len(self._rest)
                break
            self._rest += more
        self._write(self._rest[:end])
        self._rest = self._rest[end:]
        self._at += end

    def write_rest(self) -> None:
        self._write(self._rest)
        while more := self._next():
            self._write(more)

    def _write(self, data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def replay(
    reader: Reader,
    view: str,
    *,
    speed: float,
    idle_limit: float | None,
    start: Position | None,
    stop: Position | None,
) -> bool:
    """Play a recording at its own pace or another; returns whether the viewer left before its end."""
    view = choose_view(view)
    if view == "raw" and not any(True for _ in reader.raw("stdout")):
        raise RecordingError(f"{reader.path} keeps no raw bytes of stdout: another --view shows its events")
    state = RunState()
    parts = cut(read_all(reader), start, stop)
    first: Sequence[Event] = ()
    for shown, events in parts:
        if shown:
            first = events
            break
        fold(events, state)
    batches = pace(_chained(first, parts), speed=speed, idle_limit=idle_limit, clock=time.monotonic, sleep=time.sleep)
    if view == "raw":
        return _replay_raw(batches, reader)
    rate = 0.0 if speed == float("inf") else speed
    return show(view, batches, state, run_id=reader.run_id, rate=rate, terminal=_on_terminal(reader))


def _chained(first: Sequence[Event], rest: Iterator[tuple[bool, Sequence[Event]]]) -> Iterator[Sequence[Event]]:
    if first:
        yield first
    for _, events in rest:
        yield events


def _replay_raw(batches: Batches, reader: Reader) -> bool:
    raw = _Raw(reader, Spool(os.devnull, reader.run_id))
    try:
        for batch in batches:
            for event in batch:
                raw.write_upto(event)
    except KeyboardInterrupt:
        return True
    raw.write_rest()
    return False
