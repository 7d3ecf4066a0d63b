"""Commands that change something: ending, finishing and removing runs, making a store."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from durastream.cli.common import find, finish_orphans, put
from durastream.cli.ending import say
from durastream.cli.foreground import run
from durastream.cli.launch import Request, check
from durastream.errors import DurastreamError, RunAmbiguous, StoreUnwritable, UsageError
from durastream.location import check_owner
from durastream.recorder import recover
from durastream.spool import Spool, spools, sweep
from durastream.stores import FolderStore
from durastream.stores.folder import open_reader, remove_files
from durastream.supervisor import spawn_recorder

__all__ = ["cancel", "demo", "init", "recover_runs", "remove"]

_IGNORE = (
    "# recordings are kept out of version control, unless they are JSON Lines\n*.db\n*.db-*\n.spool/\n.catalog.db*\n"
)


def demo(request: Request, *, fast: bool) -> int:
    """Record the scripted agent by the same path as `run`, and say what can be done now."""
    check(request)
    view = request.view
    if view == "auto" and not sys.stdout.isatty():
        view = "plain"  # the demo prints nothing itself: what there is to see is in its events
    words = (sys.executable, "-P", "-m", "durastream.demo", *(["--fast"] if fast else []))
    code = run(request._replace(command=words, view=view))
    store = f" --store {request.store}" if request.store else ""
    say(f"watch it again:  durastream replay demo --speed 4x{store}")
    say(f"check it:        durastream verify demo{store}")
    say(f"join one midway: durastream attach{store}, from a second terminal")
    return code


def cancel(store: FolderStore, ref: str, grace: float) -> int:
    """Ask for the end of a run and wait until it is recorded."""
    if not grace < 1e9:
        raise UsageError(f"--grace {grace}: a number of seconds")
    found = find(store, ref)
    spool = Spool(found.store or store.folder, found.run_id)
    supervised = spool.held("supervisor")
    if not supervised and not spool.agent_alive():
        return _over(spool, found.path)
    try:
        spool.request(act="cancel", by="cancel", grace=grace)
    except FileNotFoundError:  # it ended just now
        return _over(spool, found.path)
    if not supervised:
        say(f"run {found.run_id} has lost its supervisor: its recorder ends the agent, and nobody sees how it ends")
        if not spool.held("recorder"):
            spawn_recorder(spool)
    deadline = time.monotonic() + grace + 30
    while (spool.alive() or spool.agent_alive()) and time.monotonic() < deadline:
        time.sleep(0.02)
    say(f"{found.run_id} {FolderStore(spool.store).info(found.run_id).status}")
    return 0


def _over(spool: Spool, path: str | None) -> int:
    info = open_reader(path).info() if path is not None else FolderStore(spool.store).info(spool.run_id)
    say(f"run {spool.run_id} is over: {info.status}")
    return 1


def recover_runs(store: FolderStore, ref: str | None) -> int:
    """Finish orphaned recordings, and say of each what came of it."""
    if ref is None:
        check_owner(store.folder)
        sweep(store.folder)
        found = [Spool(store.folder, run_id) for run_id in spools(store.folder)]
    else:
        named = find(store, ref, finish=False)
        found = [Spool(named.store or store.folder, named.run_id)]
    failed = 0
    for spool in found:
        try:
            _recover_one(spool)
        except DurastreamError as error:
            say(f"run {spool.run_id}: {error}")
            failed = error.exit_code
    if not found:
        say(f"nothing to recover in {store.folder}")
    return failed


def _recover_one(spool: Spool) -> None:
    if not spool.exists() and FolderStore(spool.store).info(spool.run_id).status == "orphaned":
        say(f"run {spool.run_id} has lost its spool and cannot be finished: what was recorded stays")
    elif not spool.exists():
        say(f"run {spool.run_id} is finished: there is nothing to recover")
    elif spool.alive():
        say(f"run {spool.run_id} is being recorded: it was left alone")
    elif spool.agent_alive():
        spawn_recorder(spool)
        say(f"run {spool.run_id}: its agent still runs; a new recorder goes on with it")
    elif recover(spool):
        put(f"{spool.run_id} {FolderStore(spool.store).info(spool.run_id).status}")
    else:
        say(f"run {spool.run_id} is being recovered by somebody else: it was left alone")


def remove(store: FolderStore, refs: list[str]) -> int:
    """Remove runs; all are looked up before the first is removed."""
    finish_orphans(store)
    for ref in refs:
        same = [info.run_id for info in store.infos() if info.name == ref]
        if len(same) > 1:  # elsewhere the newest is meant, but what is removed is gone
            raise RunAmbiguous(f"{len(same)} runs are named {ref}: {', '.join(same[:8])}: remove them by id")
    for found in [find(store, ref, finish=False) for ref in refs]:
        at = FolderStore(found.store or store.folder)
        if found.path in (None, at.path(found.run_id)):
            at.remove(found.run_id)
            say(f"removed {found.run_id}")
        else:  # a copy under another name: the run itself stays
            remove_files(str(found.path))
            say(f"removed {found.path}")
    return 0


def init(folder: Path) -> int:
    """Make `recordings/` with its .gitignore."""
    made = folder / "recordings"
    try:
        if not made.is_dir():
            made.mkdir(mode=0o700, parents=True, exist_ok=True)
            made.chmod(0o700)
        check_owner(str(made))
        ignore = made / ".gitignore"
        if not ignore.exists():
            ignore.write_text(_IGNORE, encoding="utf-8")
    except OSError as error:
        raise StoreUnwritable(f"cannot make {made}: {error.strerror}") from error
    say(f"runs started below {folder.resolve()} are kept in {made.resolve()}")
    return 0
