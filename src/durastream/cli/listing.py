"""`durastream list`: one aligned line a run, cut to the width of the terminal."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import sys
import time
from datetime import datetime

from durastream.cli.board import suitable, watch_runs
from durastream.cli.common import finish_orphans, put
from durastream.cli.document import run_fields
from durastream.cli.ending import say
from durastream.errors import RecordingError, UsageError
from durastream.stores import FolderStore, RunInfo
from durastream.stores.folder import open_reader
from durastream.views.safe import json_line, one_line
from durastream.views.words import duration, phrase

__all__ = ["STATUSES", "list_runs", "to_be_watched", "watch"]

STATUSES = ("running", "orphaned", "completed", "failed", "cancelled", "interrupted", "unknown")
_NAME = 16
_LONGEST_NAME = 100
_NARROW = 120
_WIDE = 200


def list_runs(store: FolderStore, *, as_json: bool, status: str | None, limit: int | None) -> int:
    """One line a run, newest first; what cannot be read is named on stderr."""
    _check_status(status)
    finish_orphans(store)
    known = list(store.infos())
    infos = [info for info in known if status is None or info.status == status][:limit]
    if as_json:
        put("[" + ",\n ".join(json_line(json.dumps(run_fields(info))) for info in infos) + "]")
    else:
        names = max((len(info.name) for info in infos if isinstance(info.name, str)), default=0)
        width = shutil.get_terminal_size((_WIDE, 24)).columns if sys.stdout.isatty() else _WIDE
        for info in infos:
            command = info.command or _imported(store, info.run_id)
            line = _line(info._replace(command=command), min(names, _name_width(width)), time.time())
            put(_fitting(line, width))
    unreadable = _unreadable(store, known)
    for error in unreadable:
        say(error)
    if not as_json and not unreadable and not known:
        hint = "" if os.path.isfile(store.folder) else ": durastream run -- COMMAND records one"
        say(store.nothing() + hint)
    elif not as_json and status is not None and not infos and limit != 0:
        say(f"no runs in {store.folder} with status {status}")
    return 0


def to_be_watched(store: FolderStore) -> bool:
    """Whether `durastream` alone shows the table of runs: in a terminal, when there are any."""
    return suitable() and bool(store.run_ids())


def watch(store: FolderStore, *, as_json: bool, status: str | None, limit: int | None) -> int:
    """The runs as they stand, until the viewer leaves."""
    _check_status(status)
    if as_json:
        raise UsageError("--watch and --json exclude each other")
    return watch_runs(store, status=status, limit=limit)


def _check_status(status: str | None) -> None:
    if status is not None and status not in STATUSES:
        raise UsageError(f"--status {status}: one of {', '.join(STATUSES)}")


def _line(info: RunInfo, name_width: int, now: float) -> str:
    started = _started(info)
    spent = duration(info.duration)
    if info.duration is None and info.status == "running" and started is not None:
        spent = duration(max(0.0, now - started.timestamp()), whole=True)
    at = f"{started.astimezone():%Y-%m-%d %H:%M}" if started is not None else ""
    stands = phrase(info.status, 12) + (" !" if info.reconciled is False else "")
    name = f"{phrase(info.name, name_width):<{name_width}}  " if name_width else ""
    command = one_line(shlex.join(phrase(word, _WIDE) for word in info.command[:50]), _WIDE)
    return f"{phrase(info.run_id, 64):<6}  {at:<16}  {stands:<13}  {spent:>7}  {name}{command}".rstrip()


def _imported(store: FolderStore, run_id: str) -> list[str]:
    """The file that a run without a command came from, in place of one."""
    path = store.path(run_id)
    if path is None:
        return []
    try:
        with contextlib.closing(open_reader(path)) as reader:
            first = reader.read(limit=1)
    except RecordingError:
        return []
    origin = first[0].data.get("imported") if first else None
    return ["imported", str(origin["path"])] if isinstance(origin, dict) and "path" in origin else []


def _name_width(width: int) -> int:
    """How much of a name is shown: all of it, for it is what one types, unless the terminal is narrow."""
    return _LONGEST_NAME if width > _NARROW else _NAME


def _started(info: RunInfo) -> datetime | None:
    try:
        return datetime.fromisoformat(info.started_at)
    except (ValueError, TypeError):
        return None


def _fitting(text: str, width: int) -> str:
    if text.isascii() and len(text) <= width:
        return text
    from rich.cells import cell_len, set_cell_size  # 13 ms to import, where there is something to cut

    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def _unreadable(store: FolderStore, known: list[RunInfo]) -> list[str]:
    """Why the recordings that are not among the known runs cannot be read."""
    reasons = []
    for run_id in sorted(set(store.run_ids()) - {info.run_id for info in known}):
        try:
            store.info(run_id)
        except RecordingError as error:
            reasons.append(str(error))
    return reasons
