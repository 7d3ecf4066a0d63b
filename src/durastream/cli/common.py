"""What the commands share: where the store is, how they talk, and finishing what was left orphaned."""

from __future__ import annotations

import contextlib
import os
import sys

from durastream.cli.launch import current_folder
from durastream.configuration import asked_redaction
from durastream.errors import DurastreamError, StoreUnwritable
from durastream.follow import wait_for_reader
from durastream.location import check_owner, find_store
from durastream.recorder import recover
from durastream.redaction.redactor import Redactor
from durastream.spool import Spool, spools, sweep
from durastream.stores import FolderStore, Found, Reader
from durastream.stores.database import settle
from durastream.stores.folder import open_reader
from durastream.supervisor import spawn_recorder

__all__ = ["attached_store", "find", "finish_orphans", "open_found", "put", "redactor_here"]


def put(text: str) -> None:
    """A line of data on stdout."""
    sys.stdout.write(text + "\n")


def attached_store(named: str | None) -> FolderStore:
    """The store that a command means."""
    return FolderStore(find_store(named, os.environ, current_folder()))


def redactor_here() -> Redactor:
    """What takes secrets out of a run that is made here and now. Raises UsageError for a bad configuration."""
    return Redactor(asked_redaction(os.environ, current_folder()))


def finish_orphans(store: FolderStore, only: str | None = None) -> None:
    """Finish the recordings that nobody works on any more, as far as the store lets us and is ours."""
    with contextlib.suppress(StoreUnwritable):
        check_owner(store.folder)
        _finish_orphans(store, only)


def _finish_orphans(store: FolderStore, only: str | None) -> None:
    sweep(store.folder)
    for run_id in spools(store.folder) if only is None else [only]:
        spool = Spool(store.folder, run_id)
        if spool.alive() or not spool.exists():
            continue
        with contextlib.suppress(DurastreamError, OSError, ValueError):  # one that cannot be finished hides no other
            if spool.agent_alive():
                spawn_recorder(spool)
            else:
                recover(spool)


def find(store: FolderStore, ref: str, *, finish: bool = True) -> Found:
    """The run that is meant, its recording finished if it was orphaned. Raises RunNotFound or RunAmbiguous."""
    found = store.find(ref)
    if found.store is None or not finish:
        return found
    at = FolderStore(found.store)
    finish_orphans(at, found.run_id)
    if found.path is None:
        return found._replace(path=at.path(found.run_id))
    if found.path.endswith(".db") and not Spool(found.store, found.run_id).exists():
        settle(found.path)
    return found


def open_found(store: FolderStore, found: Found) -> Reader:
    """A reader for a run that was asked for, recorded or just beginning."""
    begins = found.store is not None and Spool(found.store, found.run_id).exists()  # its file may be half made
    at = FolderStore(found.store) if found.store is not None else store
    return wait_for_reader(at, found.run_id) if begins or found.path is None else open_reader(found.path)
