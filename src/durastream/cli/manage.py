"""Commands that change something: ending, finishing and removing runs, making a store."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from durastream.cli.common import find, finish_orphans, put
from durastream.cli.ending import say
from durastream.cli.foreground import run
from durastream.cli.launch import VIEWS, Request
from durastream.errors import DurastreamError, StoreUnwritable, UsageError
from durastream.recorder import recover
from durastream.spool import Spool, spools
from durastream.stores import FolderStore
from durastream.supervisor import spawn_recorder

__all__ = ["cancel", "demo", "init", "recover_runs", "remove"]

_IGNORE = (
    "# recordings are kept out of version control, unless they are JSON Lines\n*.db\n*.db-*\n.spool/\n.catalog.db*\n"
)


def demo(request: Request, *, fast: bool) -> int:
    """Record the scripted agent by the same path as `run`, and say what can be done now."""
    if request.view not in VIEWS:
        raise UsageError(f"--view {request.view}: one of {', '.join(VIEWS)}")
    view = request.view
    if view == "auto" and not sys.stdout.isatty():
        view = "plain"  # the demo prints nothing itself: what there is to see is in its events
    words = (sys.executable, "-P", "-m", "durastream.demo", *(["--fast"] if fast else []))
    code = run(request._replace(command=words, view=view))
    store = f" --store {request.store}" if request.store else ""
    say(f"watch it again:  durastream replay latest --speed 4x{store}")
    say(f"check it:        durastream verify latest{store}")
    say("join a live one: durastream demo, and durastream attach in another terminal")
    return code


def cancel(store: FolderStore, ref: str, grace: float) -> int:
    """Ask for the end of a run and wait until it is recorded."""
    found = find(store, ref)
    spool = Spool(found.store or store.folder, found.run_id)
    if not spool.held("supervisor"):
        info = FolderStore(spool.store).info(found.run_id)
        if spool.agent_alive():
            raise DurastreamError(
                f"run {found.run_id} has lost its supervisor: end its agent by hand, then durastream recover"
            )
        say(f"run {found.run_id} is over: {info.status}")
        return 1
    spool.request(act="cancel", by="cancel", grace=grace)
    deadline = time.monotonic() + grace + 30
    while spool.alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    say(f"{found.run_id} {FolderStore(spool.store).info(found.run_id).status}")
    return 0


def recover_runs(store: FolderStore, ref: str | None) -> int:
    """Finish orphaned recordings, and say of each what came of it."""
    ids = spools(store.folder) if ref is None else [store.find(ref).run_id]
    failed = 0
    for run_id in ids:
        spool = Spool(store.folder, run_id)
        if not spool.exists():
            say(f"run {run_id} is finished: there is nothing to recover")
            continue
        if spool.alive():
            say(f"run {run_id} is being recorded: it was left alone")
            continue
        if spool.agent_alive():
            spawn_recorder(spool)
            say(f"run {run_id}: its agent still runs; a new recorder goes on with it")
            continue
        try:
            recover(spool)
            put(f"{run_id} {store.info(run_id).status}")
        except DurastreamError as error:
            say(f"run {run_id}: {error}")
            failed = error.exit_code
    if not ids:
        say(f"nothing to recover in {store.folder}")
    return failed


def remove(store: FolderStore, refs: list[str]) -> int:
    """Remove runs; all are looked up before the first is removed."""
    finish_orphans(store)
    for found in [store.find(ref) for ref in refs]:
        FolderStore(found.store or store.folder).remove(found.run_id)
        say(f"removed {found.run_id}")
    return 0


def init(folder: Path) -> int:
    """Make `recordings/` with its .gitignore."""
    made = folder / "recordings"
    try:
        made.mkdir(mode=0o700, parents=True, exist_ok=True)
        ignore = made / ".gitignore"
        if not ignore.exists():
            ignore.write_text(_IGNORE, encoding="utf-8")
    except OSError as error:
        raise StoreUnwritable(f"cannot make {made}: {error.strerror}") from error
    say(f"runs started below {folder.resolve()} are kept in {made}")
    return 0
