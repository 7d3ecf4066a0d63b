"""A store as a folder of recordings: making, naming, finding, listing and removing them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from durastream.errors import DurastreamError, NotARecording, RecordingError, RunAmbiguous, RunNotFound, StoreError
from durastream.events import dumps
from durastream.location import check_owner
from durastream.spool import Spool, spools
from durastream.stores import catalog
from durastream.stores.addenda import addenda_path
from durastream.stores.jsonl import JsonlWriter
from durastream.stores.jsonl_reader import JsonlReader
from durastream.stores.protocols import RUN_ID, Reader, RunInfo, Writer, run_info
from durastream.stores.sqlite import SqliteWriter
from durastream.stores.sqlite_reader import SqliteReader

__all__ = ["SIGNATURE", "FolderStore", "Found", "open_reader", "open_store", "remove_files"]

SIGNATURE = ".sig"
"""What the name of a signature file ends with, behind the name of its recording."""

_ENDS = {"sqlite": ".db", "jsonl": ".jsonl"}
_BACK = re.compile(r"@([1-9][0-9]{0,8})\Z")


class Found(NamedTuple):
    """A run that was asked for. `path` is None while its recorder has not made the file yet."""

    run_id: str
    path: str | None
    store: str | None
    """The folder that holds its spool, if it may have one."""


def open_store(folder: str) -> FolderStore:
    return FolderStore(folder)


def open_reader(path: str) -> Reader:
    """A reader for a recording. Raises NotARecording, NewerFormat or Damaged.

    What ends in .db or .jsonl is believed to be that: to open a database by hand would, in the process that writes it,
    drop the locks on it. Any other file is looked into.
    """
    if path.endswith(_ENDS["sqlite"]):
        return SqliteReader(path)
    if path.endswith(_ENDS["jsonl"]):
        return JsonlReader(path)
    if not os.path.isfile(path):  # opening a pipe would wait for ever
        raise NotARecording(f"{path} is not there, or not a plain file")
    try:
        with open(path, "rb") as file:
            magic = file.read(16)
    except OSError as error:
        raise NotARecording(f"cannot read {path}: {error.strerror}") from error
    return SqliteReader(path) if magic.startswith(b"SQLite format 3") else JsonlReader(path)


class FolderStore:
    """The recordings of one folder, and the spools of the runs that are not finished."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    # writing

    def create(self, info: RunInfo, log: str) -> Writer:
        """A new recording; `log` is `sqlite` or `jsonl`."""
        path = os.path.join(self.folder, info.run_id + _ENDS[log])
        return SqliteWriter.create(path, info) if log == "sqlite" else JsonlWriter.create(path, info)

    def resume(self, run_id: str) -> Writer | None:
        """The recording of a run to go on with; None when there is none, or nothing in it."""
        path = self.path(run_id)
        if path is None:
            return None
        writer: Writer | None = (
            SqliteWriter.resume(path) if path.endswith(_ENDS["sqlite"]) else JsonlWriter.resume(path)
        )
        if writer is None:
            _unlink(path)
        return writer

    # finding

    def path(self, run_id: str) -> str | None:
        """The file of a run; None when there is none."""
        for end in _ENDS.values():
            path = os.path.join(self.folder, run_id + end)
            if os.path.lexists(path):
                return path
        return None

    def run_ids(self) -> list[str]:
        """All runs of the store, finished or not, in no particular order.

        Raises StoreUnwritable for a store that others can put files into.
        """
        check_owner(self.folder)
        found = set(spools(self.folder))
        try:
            names = os.listdir(self.folder)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            names = []
        for name in names:
            stem, end = os.path.splitext(name)
            if end in _ENDS.values() and RUN_ID.match(stem):
                found.add(stem)
        return list(found)

    def nothing(self) -> str:
        """What to say of a store without runs, and why there are none if the folder cannot be read."""
        try:
            os.listdir(self.folder)
        except OSError as error:
            return f"no runs in {self.folder}: {error.strerror}"
        return f"no runs in {self.folder}"

    def infos(self) -> Iterator[RunInfo]:
        """The run-level fields of every run, newest first. What cannot be read is passed over."""
        known = catalog.load(self.folder)
        ids = self.run_ids()
        found, new = [], {}
        for run_id in ids:
            path = self.path(run_id)
            at = catalog.stamp(path) if path is not None else None
            if run_id in known and known[run_id][0] == at:
                found.append(known[run_id][1])
                continue
            try:
                info = self.info(run_id)
            except RecordingError:
                continue
            found.append(info)
            if at is not None and info.status not in ("running", "orphaned"):
                new[run_id] = (at, info)
        gone = known.keys() - ids
        if new or gone:
            catalog.save(self.folder, new, gone)
        found.sort(key=lambda info: (info.started_at, info.run_id), reverse=True)
        return iter(found)

    def info(self, run_id: str) -> RunInfo:
        """The run-level fields of one run; `orphaned` when its log has no end and nobody works on it."""
        path = self.path(run_id)
        info = None
        if path is not None:
            try:
                reader = open_reader(path)
                try:
                    info = reader.info()
                finally:
                    reader.close()
            except NotARecording:
                if not Spool(self.folder, run_id).exists():
                    raise
        spool = Spool(self.folder, run_id)
        if info is None:
            info = _beginning(spool.meta())
        if info.status == "running" and not spool.alive():
            info = info._replace(status="orphaned")
        return info

    def find(self, ref: str) -> Found:
        """The run that an id, a unique prefix, `latest`, `@2`, a name or a path means.

        Raises RunNotFound, or RunAmbiguous with the candidates.
        """
        if os.sep in ref or (ref.endswith(tuple(_ENDS.values())) and (os.path.exists(ref) or not self._named(ref))):
            return self._find_path(ref)
        ids = self.run_ids()
        if ref in ids:
            return self._found(ref)
        back = _BACK.match(ref)
        if ref == "latest" or back:
            number = int(back[1]) if back else 1
            infos = list(self.infos())
            if number > len(infos):
                holds = f"{self.folder} holds {len(infos)} run{'s' * (len(infos) != 1)}" if infos else self.nothing()
                raise RunNotFound(f"there is no run {ref}: {holds}")
            return self._found(infos[number - 1].run_id)
        fitting = sorted(id_ for id_ in ids if id_.startswith(ref)) if RUN_ID.match(ref) else []
        named = self._named(ref)
        if named:
            return self._found(named[0])
        if len(fitting) == 1:
            return self._found(fitting[0])
        if fitting:
            shown = ", ".join(fitting[:8]) + (", …" if len(fitting) > 8 else "")
            raise RunAmbiguous(f"{ref} fits {len(fitting)} runs: {shown}: type more of the id")
        raise RunNotFound(f"no run {ref!r} in {self.folder}: `durastream list` shows what there is")

    def _named(self, name: str) -> list[str]:
        return [info.run_id for info in self.infos() if info.name == name]

    def _found(self, run_id: str) -> Found:
        return Found(run_id, self.path(run_id), self.folder)

    def _find_path(self, ref: str) -> Found:
        path = os.path.abspath(os.path.expanduser(ref))
        if not os.path.exists(path):
            raise RunNotFound(f"there is no file {ref}")
        reader = open_reader(path)
        reader.close()
        folder, name = os.path.split(path)
        own = name in (
            reader.run_id + end for end in _ENDS.values()
        )  # a copy has no spool: it is of another file's run
        return Found(reader.run_id, path, folder if own else None)

    # removing

    def remove(self, run_id: str) -> None:
        """Remove a run for good. Raises DurastreamError while it is being recorded."""
        spool = Spool(self.folder, run_id)
        if spool.alive() or spool.agent_alive():
            raise DurastreamError(f"run {run_id} is not over: `durastream cancel {run_id}` first")
        path = self.path(run_id)
        if path is not None:
            remove_files(path)
        spool.remove()


def _beginning(meta: dict[str, Any]) -> RunInfo:
    """What is known of a run that has no recording yet, as it will be recorded: its spool has the command as typed."""
    from durastream.redaction.redactor import Redactor  # takes a while to import: few runs are just beginning

    info, settings = info_of(meta), meta.get("redact")
    made = Redactor(settings if isinstance(settings, dict) else None).meta(info._asdict())
    return info._replace(**{name: made[name] for name in ("name", "tags", "command", "cwd")})


def info_of(meta: dict[str, Any]) -> RunInfo:
    """The run-level fields of a run that has only a spool yet. What is no text in them is replaced visibly."""
    known = ("run_id", "name", "tags", "command", "cwd", "started_at", "parent_run_id")
    fields = {"name": None, **{name: meta[name] for name in known if meta.get(name) is not None}}
    try:
        return run_info({"tags": {}, **json.loads(dumps(fields))})
    except (TypeError, ValueError) as error:
        raise NotARecording(f"the spool of a run does not say what run it is: {error}") from error


def remove_files(path: str) -> None:
    """Remove a recording and what goes by its name: what SQLite leaves beside it, addenda, a signature."""
    beside = addenda_path(path), os.path.splitext(path)[0] + SIGNATURE, f"{path}.damaged", f"{path}-wal.damaged"
    for name in (*(path + end for end in ("", "-wal", "-shm", "-journal")), *beside):
        _unlink(name)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"cannot remove {path}: {error.strerror}") from error
