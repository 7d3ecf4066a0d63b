"""`durastream list --watch`, and `durastream` alone in a terminal: the runs as they stand, and into one of them."""

from __future__ import annotations

import os
import sys

from durastream.board import Board
from durastream.cli import inspect
from durastream.cli.common import finish_orphans
from durastream.cli.ending import say
from durastream.errors import DurastreamError, UsageError
from durastream.stores import FolderStore

__all__ = ["suitable", "watch_runs"]


def suitable() -> bool:
    """Whether there is a terminal that a table can stay on, and a keyboard."""
    return sys.stdout.isatty() and os.isatty(0) and os.environ.get("TERM", "dumb") not in ("dumb", "")


def watch_runs(store: FolderStore, *, status: str | None = None, limit: int | None = None) -> int:
    """Show the table; a run that is chosen is attached to, and after it the table is there again."""
    if not suitable():
        raise UsageError("--watch needs a terminal; in a pipe there are `durastream list` and `durastream list --json`")
    from rich.console import Console

    from durastream.views import board as view
    from durastream.views.keys import Keys

    finish_orphans(store)
    board = Board(store, statuses=frozenset([status] if status else []), limit=limit)
    chosen = ""
    while chosen := view.show(board.look, console=Console(), keys=Keys(0), title=store.folder, chosen=chosen):
        try:
            _into(store, chosen)
        except DurastreamError as error:
            say(str(error))
            _wait_for_a_key()
    return 0


def _into(store: FolderStore, run_id: str) -> None:
    over = store.info(run_id).status not in ("running", "orphaned")
    inspect.attach(store, run_id, "auto", "live")
    if over:
        _wait_for_a_key()


def _wait_for_a_key() -> None:
    from durastream.views.keys import Keys

    say("a key goes back to the table")
    with Keys(0) as keys:
        while not keys.read():
            keys.wait(60.0)
