"""Views on a run: the one path by which run, attach and replay show events."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from durastream.cli import raw
from durastream.cli.common import open_found
from durastream.cli.signals import Interrupts
from durastream.errors import RecordingError, UsageError
from durastream.events import Event
from durastream.follow import follow, read_all, wait_for_reader
from durastream.replay import Position, pace
from durastream.spool import Spool
from durastream.state import RunState, fold
from durastream.stores import FolderStore, Found, Reader
from durastream.terminal import Keyboard
from durastream.views.outcome import Batches

__all__ = ["attach", "choose_view", "replay", "watch_run"]


def choose_view(view: str) -> str:
    """What `auto` means here: the live screen in a terminal that can show it, else plain lines; the same for `live`.

    A terminal cannot that does not move its cursor, or has another encoding than UTF-8.
    """
    if view not in ("auto", "live"):
        return view
    if not sys.stdout.isatty() or os.environ.get("TERM", "dumb") in ("dumb", ""):
        return "plain"
    return "live" if (sys.stdout.encoding or "").lower().replace("-", "") == "utf8" else "plain"


def show(view: str, batches: Batches, state: RunState, *, timestamps: bool = False) -> bool:
    """Show batches in a view for lines until they end; returns whether the viewer left before that."""
    if view == "json":
        from durastream.views import jsonl

        return jsonl.show(batches, state=state, out=sys.stdout).left
    if view == "plain":
        from durastream.views import plain

        return plain.show(
            batches, state=state, out=sys.stdout, timestamps=timestamps,
            groups=os.environ.get("GITHUB_ACTIONS") == "true",
            color=bool(os.environ.get("FORCE_COLOR")) and not os.environ.get("NO_COLOR"),
        ).left  # fmt: skip
    for batch in batches:
        fold(batch, state)
        state.discard()
    return False


def play(
    reader: Reader,
    state: RunState,
    *,
    follow: Callable[[int], Batches] | None = None,
    interrupts: Interrupts | None = None,
    links: bool = False,
    **how: Any,
) -> bool:
    """Show a run on the screen, with a player for the keys; returns whether the viewer left before the end."""
    from rich.console import Console

    from durastream.player import Player
    from durastream.timeline import Timeline
    from durastream.views import live

    keys = live.Keys.of_stdin()
    sleep = keys.wait if keys is not None else time.sleep
    player = Player(Timeline(reader), state, follow=follow, clock=time.monotonic, sleep=sleep, wall=time.time, **how)
    return live.show(
        player,
        state=state,
        console=Console(),
        run_id=reader.run_id,
        keys=keys,
        on_interrupt=interrupts.interrupt if interrupts is not None else None,
        player=player,
        links=links,
        sleep=sleep,
    ).left


def show_terminal(batches: Batches, state: RunState, **how: Any) -> bool:
    """Show the terminal of a run with `--tty` on the viewer's own; returns whether the viewer left before the end."""
    from durastream.views import terminal

    keys_fd, colour = 0 if os.isatty(0) else None, not os.environ.get("NO_COLOR")
    return terminal.show(batches, state=state, keys_fd=keys_fd, colour=colour, **how).left


def watch_run(
    spool: Spool, view: str, interrupts: Interrupts, *, timestamps: bool = False, links: bool = False
) -> bool:
    """Watch a run of one's own from its start; returns whether the viewer left before its end."""
    view = choose_view(view)
    reader = wait_for_reader(FolderStore(spool.store), spool.run_id)
    if view == "live" and _on_terminal(reader, spool):
        return show_terminal(follow(reader, spool), RunState(), keyboard=_keyboard(spool))
    if view == "live":
        return play(reader, RunState(), follow=partial(follow, reader, spool), interrupts=interrupts, links=links)
    return show(view, follow(reader, spool), RunState(), timestamps=timestamps)


def _on_terminal(reader: Reader, spool: Spool | None = None) -> bool:
    """Whether the agent runs, or ran, on a terminal."""
    known = spool.read_json("meta.json") if spool is not None else None
    if known is not None:
        return bool(known.get("terminal"))
    return any(event.type == "terminal.resized" for event in reader.read(0, 2))


def _keyboard(spool: Spool) -> Keyboard | None:
    """What this viewer can type to the agent with, if it can type at all."""
    return Keyboard(spool) if os.isatty(0) else None


def attach(
    store: FolderStore,
    found: Found,
    view: str,
    start: str,
    *,
    timestamps: bool = False,
    read_only: bool = False,
    links: bool = False,
) -> tuple[RunState, bool]:
    """Join a run: its state so far, then what comes. Returns the state and whether the viewer left before the end."""
    reader = open_found(store, found)
    spool = Spool(found.store or store.folder, found.run_id)
    view = choose_view(view)
    after = _start(start, view, reader)
    state = reader.state(after) if after else RunState()
    if view == "raw":
        return raw.attach(reader, spool)
    ended = state.completed is not None
    if ended and view == "live":
        _print_end(state, found.run_id)
        return state, False
    if view == "live" and _on_terminal(reader, spool):
        left = show_terminal(follow(reader, spool, after), state, keyboard=None if read_only else _keyboard(spool))
    elif view == "live":
        left = play(reader, state, follow=partial(follow, reader, spool), links=links)
    else:
        left = show(view, iter(()) if ended else follow(reader, spool, after), state, timestamps=timestamps)
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


def _print_end(state: RunState, run_id: str) -> None:
    from rich.console import Console

    from durastream.views.live import summary

    console = Console()
    console.print(summary(state, width=console.width, run_id=run_id))


def replay(
    reader: Reader,
    view: str,
    *,
    speed: float,
    idle_limit: float | None,
    start: Position | None = None,
    stop: Position | None = None,
    loop: bool = False,
    timestamps: bool = False,
    links: bool = False,
    on_skip: Callable[[Event, float], None] | None = None,
) -> bool:
    """Play a recording at its own pace or another; returns whether the viewer left before its end.

    `on_skip` is told of each silence that is cut, but for the screen, which tells it itself.
    """
    from durastream.timeline import Timeline

    view = choose_view(view)
    if view == "raw" and not any(True for _ in reader.raw("stdout")):
        raise RecordingError(f"{reader.path} keeps no raw bytes of stdout: another --view shows its events")
    timeline = Timeline(reader)
    first = max(1, timeline.first_of(start, "--from")) if start is not None else 1
    last = timeline.last_of(stop, "--to") if stop is not None else None
    if last is not None and start is not None and last < first:
        raise UsageError(f"--to is before --from: it ends at event {last}, before event {first}")
    loop = loop and first <= timeline.last()  # with nothing to play it would have no end
    how: dict[str, Any] = {"speed": speed, "idle_limit": idle_limit}
    if view == "live":
        state, how = timeline.state(first - 1), how | {"first": first, "last": last, "loop": loop}
        return (
            _replay_terminal(reader, state, **how) if _on_terminal(reader) else play(reader, state, links=links, **how)
        )
    while True:
        batches = pace(
            read_all(reader, first - 1, last), **how, clock=time.monotonic, sleep=time.sleep, on_skip=on_skip
        )
        state = timeline.state(first - 1)
        left = raw.replay(batches, reader) if view == "raw" else show(view, batches, state, timestamps=timestamps)
        if left or not loop:
            return left


def _replay_terminal(reader: Reader, state: RunState, **how: Any) -> bool:
    from durastream.player import Player
    from durastream.timeline import Timeline

    player = Player(Timeline(reader), state, clock=time.monotonic, sleep=time.sleep, **how)
    return show_terminal(player, state, player=player)
