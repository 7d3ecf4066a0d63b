"""Commands that look at runs and change nothing."""

from __future__ import annotations

import json
import sys
from typing import Any

from durastream import evaluations
from durastream.cli.common import find, finish_orphans, open_found, put
from durastream.cli.document import run_document
from durastream.cli.ending import say
from durastream.cli.foreground import exit_code_of, tell_end
from durastream.cli.launch import VIEWS
from durastream.cli.watch import attach as attach_view
from durastream.cli.watch import replay as replay_view
from durastream.errors import RunNotFound, UsageError
from durastream.events import Event
from durastream.follow import follow as follow_events
from durastream.follow import read_all
from durastream.replay import parse_idle_limit, parse_position, parse_speed
from durastream.spool import Spool
from durastream.stores import FolderStore, Reader
from durastream.views.safe import json_line, visible
from durastream.views.words import evaluated, last_lines, taken_out

__all__ = ["attach", "cat", "events", "replay", "show"]


def _check_view(view: str) -> None:
    if view not in VIEWS:
        raise UsageError(f"--view {view}: one of {', '.join(VIEWS)}")


def attach(
    store: FolderStore,
    ref: str | None,
    start: str,
    view: str,
    *,
    timestamps: bool = False,
    read_only: bool = False,
    links: bool = False,
) -> int:
    """Join a run; returns the run's exit code when it was seen to end."""
    _check_view(view)
    if ref is None:
        finish_orphans(store)
        live = next((info for info in store.infos() if info.status == "running"), None)
        if live is None:
            raise RunNotFound(f"no run is live in {store.folder}: name one, `durastream list` shows them")
        ref = live.run_id
    found = find(store, ref)
    state, left = attach_view(store, found, view, start, timestamps=timestamps, read_only=read_only, links=links)
    if state.completed is not None:
        if not left and view in ("auto", "live") and sys.stdout.isatty():
            tell_end(open_found(store, found).info())  # the screen may be longer than the window, or another's
        return exit_code_of(state.completed.get("exit_code"), state.completed.get("signal"))
    if not left:
        say(f"run {found.run_id} is orphaned: nobody records it any more: durastream recover {found.run_id}")
        return 125
    say(f"detached: run {found.run_id} goes on: durastream attach {found.run_id}")
    return 0


def replay(
    store: FolderStore,
    ref: str,
    speed: str,
    start: str | None,
    stop: str | None,
    idle_limit: str | None,
    view: str,
    *,
    loop: bool,
    timestamps: bool,
    links: bool,
) -> int:
    """Play a recording."""
    _check_view(view)
    factor = parse_speed(speed)
    first = parse_position(start, "--from") if start is not None else None
    last = parse_position(stop, "--to") if stop is not None else None
    limit = parse_idle_limit(idle_limit)
    reader = open_found(store, find(store, ref))

    told: list[float] = []

    def skipped(event: Event, seconds: float) -> None:
        if not told:
            say(f"silences longer than {limit:g} s are played as {limit:g} s: --idle-limit off plays them whole")
        told.append(seconds)

    left = replay_view(
        reader, view, speed=factor, idle_limit=limit, start=first, stop=last, loop=loop, timestamps=timestamps,
        links=links, on_skip=skipped if idle_limit is None else None,
    )  # fmt: skip
    info = reader.info()
    if not left and last is None and info.seal is not None and view in ("auto", "live") and sys.stdout.isatty():
        tell_end(info)
    _tell_damage(reader)
    return 0


def _tell_damage(reader: Reader) -> None:
    if reader.damage:
        count = f"{len(reader.damage)} event{'s' * (len(reader.damage) != 1)}"
        say(f"{count} cannot be read: {reader.damage[0]}: durastream verify {reader.path}")
    if getattr(reader, "torn", False):
        say(f"{reader.path} ends in the middle of a line: what was whole is shown")


def show(store: FolderStore, ref: str, *, as_json: bool) -> int:
    """All that is known of a run."""
    found = find(store, ref)
    reader = open_found(store, found)
    info = reader.info()
    state = reader.state()
    if state.completed is not None and info.seal is None:
        info = reader.info()  # it ended between the two
    if info.status == "running" and not Spool(found.store or "", found.run_id).alive():
        info = info._replace(status="orphaned")
    if as_json:
        put(json_line(json.dumps(run_document(info, state, evaluations.known(reader)))))
    else:
        from rich.console import Console

        from durastream.views.live import summary

        console = Console()
        now = f"{info.status}: as of event {state.seq}" if state.completed is None else ""
        stands = info.status if state.completed is None else ""
        told = summary(state, width=console.width, run_id=info.run_id, note=now, seal=info.seal or "", stands=stands)
        console.print(told)
        said = taken_out(state.started or {}, state.completed or {})
        if said:
            put(said)
        for line in evaluated(evaluations.known(reader)):
            put(line)
    _tell_damage(reader)
    return 0


def events(store: FolderStore, ref: str, after: int, *, follow: bool, types: frozenset[str]) -> int:
    """Events as stored."""
    found = find(store, ref)
    reader = open_found(store, found)
    batches: Any = read_all(reader, after)
    if follow:
        batches = follow_events(reader, Spool(found.store or store.folder, found.run_id), after)
    for batch in batches:
        for event in batch:
            if not types or event.type in types:
                put(json_line(event.line()))
        if batch:
            sys.stdout.flush()
    _tell_damage(reader)
    return 0


def cat(store: FolderStore, ref: str) -> int:
    """The answer's text; without one, what the agent's terminal shows. In a pipe it is exactly that.

    In a terminal nothing in it can act.
    """
    reader = open_found(store, find(store, ref))
    state = reader.state()
    text = state.answer.text if state.answer is not None else "".join(text + "\n" for text in last_lines(state))
    if sys.stdout.isatty():
        put(visible(text.removesuffix("\n")))
    else:
        sys.stdout.buffer.write(text.encode("utf-8", "replace"))
    _tell_damage(reader)
    return 0
