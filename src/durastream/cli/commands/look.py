"""The commands that show runs: live, again, in a list, or piece by piece."""

from __future__ import annotations

from typing import Annotated

import typer

from durastream.cli import completing, inspect, listing
from durastream.cli.commands.options import Json, Links, Run, Store, Timestamps, View, whole
from durastream.cli.common import attached_store

__all__ = ["attach_command", "cat_command", "events_command", "list_command", "replay_command", "show_command"]


def attach_command(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", autocompletion=completing.runs, help="The run; the newest live one if left out."),
    ] = None,
    start: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="WHERE",
            help="start, now, or an event's number. [default: now; with --view json start]",
            show_default=False,
        ),
    ] = "auto",
    view: View = "auto",
    timestamps: Timestamps = False,
    links: Links = False,
    read_only: Annotated[
        bool, typer.Option("-r", "--read-only", help="Leave the keyboard of a run with --tty to others.")
    ] = False,
    store: Store = None,
) -> int:
    """Join a run: all that is known of it at once, then live."""
    return inspect.attach(
        attached_store(store), run, start, view, timestamps=timestamps, read_only=read_only, links=links
    )


def replay_command(
    run: Run,
    speed: Annotated[str, typer.Option("--speed", metavar="FACTOR", help="4x, 0.5x or max.")] = "1x",
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="PLACE", help="Where to begin: 90s, 1:30, event 1200, or a step's title."),
    ] = None,
    stop: Annotated[str | None, typer.Option("--to", metavar="PLACE", help="Where to end, included.")] = None,
    idle_limit: Annotated[
        str | None,
        typer.Option(
            "--idle-limit",
            metavar="SECONDS",
            help="Make longer silences this short, or off. [default: 5, and it says so]",
            show_default=False,
        ),
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Begin again at the end, until you leave.")] = False,
    view: View = "auto",
    timestamps: Timestamps = False,
    links: Links = False,
    store: Store = None,
) -> int:
    """Watch a run again, at the pace it had or another. In a terminal, ? shows the keys."""
    return inspect.replay(
        attached_store(store), run, speed, start, stop, idle_limit, view, loop=loop, timestamps=timestamps, links=links
    )


def list_command(
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON array, an object a run.")] = False,
    status: Annotated[
        str | None, typer.Option("--status", metavar="S", help="Only these, e.g. running, failed.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", parser=whole("--limit"), help="At most this many.")
    ] = None,
    watch: Annotated[bool, typer.Option("-w", "--watch", help="Keep them on the screen; Enter attaches.")] = False,
    store: Store = None,
) -> int:
    """List the runs, newest first."""
    if watch:
        return listing.watch(attached_store(store), as_json=json_, status=status, limit=limit)
    return listing.list_runs(attached_store(store), as_json=json_, status=status, limit=limit)


def show_command(run: Run, json_: Json = False, store: Store = None) -> int:
    """Show all that is known of a run, also while it lasts."""
    return inspect.show(attached_store(store), run, as_json=json_)


def events_command(
    run: Run,
    after: Annotated[
        int, typer.Option("--after", metavar="SEQ", parser=whole("--after"), help="Only events behind this one.")
    ] = 0,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Wait for more until the run ends.")] = False,
    type_: Annotated[
        list[str] | None, typer.Option("--type", metavar="T", help="Only this type; may be repeated.")
    ] = None,
    store: Store = None,
) -> int:
    """Print events as they are stored, one JSON object a line."""
    return inspect.events(attached_store(store), run, after, follow=follow, types=frozenset(type_ or ()))


def cat_command(run: Run, store: Store = None) -> int:
    """Print the answer, or the draft so far, and nothing else."""
    return inspect.cat(attached_store(store), run)
