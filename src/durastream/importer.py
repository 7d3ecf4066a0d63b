"""Makes a run of a transcript: what an agent printed elsewhere, or the session file that it kept.

Time is what the lines say of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from durastream.errors import RecordingError, UsageError
from durastream.newrun import LATEST, At, Made, NewRun
from durastream.redaction.redactor import Redactor
from durastream.sources import Source, replayed, source_for
from durastream.stores import FolderStore

__all__ = ["import_file"]

_PIECE = 1 << 20


def import_file(
    store: FolderStore,
    path: str,
    *,
    format_: str = "auto",
    name: str | None = None,
    tags: Mapping[str, str] | None = None,
    log: str = "sqlite",
    raw: bool = True,
    redactor: Redactor | None = None,
) -> Made:
    """A run of a file that holds what an agent printed on stdout, or the session file that it kept.

    Raises UsageError for an unknown format and for a recording, RecordingError when the file cannot be read, StoreError
    when the store does not take it.
    """
    if not os.path.isfile(path):
        raise RecordingError(f"{path} is not there, or not a plain file: nothing was imported")
    if _is_recording(path):
        at = path if os.sep in path else os.path.join(os.curdir, path)
        raise UsageError(f"{path} is a durastream recording already: use it by its path: durastream show {at}")
    source = replayed(format_) or source_for("stdout", format_)
    began = _first_time(path, format_)
    try:
        with open(path, "rb") as file:
            written = os.fstat(file.fileno()).st_mtime
            origin = {"path": os.path.abspath(path), "size": os.fstat(file.fileno()).st_size}
            clock = _Clock(written if began is None else began)
            called = name or os.path.splitext(os.path.basename(path))[0]
            new = NewRun(store, called, dict(tags or {}), log, clock.began, raw=raw, redactor=redactor)
            with new.writing():
                new.begin({"imported": origin, "stdout": format_})
                for line in _lines(file):
                    new.take("stdout", line, source, clock.at(source, line))
                return new.end({"stdout": source}, None)
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror}: nothing was imported") from error


def _is_recording(path: str) -> bool:
    """Whether durastream itself made a file: a database with its mark, or JSON Lines with its header."""
    try:
        with open(path, "rb") as file:
            start = file.read(72)
    except OSError:
        return False  # which is told where it is read
    return start.startswith((b'{"durastream":', b'{"durastream": ')) or (
        start.startswith(b"SQLite format 3\0") and start[68:72] == b"dura"
    )


class _Clock:
    """The times of lines by what they say of themselves; one that says nothing has the time of the one before."""

    def __init__(self, began: float) -> None:
        self.began = began
        self._t = 0.0

    def at(self, source: Source, line: bytes) -> At:
        adapter = getattr(source, "adapter", None)
        when = _time_of(adapter, line) if adapter is not None else None
        if when is not None:
            self._t = max(self._t, when - self.began)
        return self.began + self._t, self._t


def _time_of(adapter: Any, line: bytes) -> float | None:
    from durastream.sources.decode import decode  # 60 ms to import, and only formats of agents tell a time

    try:
        when = adapter.when(decode(line.removeprefix(b"data:").strip()))
    except Exception:  # noqa: BLE001 - an adapter may come from anyone, and a line may hold anything
        return None
    return float(when) if isinstance(when, (int, float)) and 0 < when < LATEST else None


def _first_time(path: str, format_: str) -> float | None:
    """The first time that a line of the file tells; None when none of the first megabyte does."""
    source = replayed(format_)
    if source is None:
        return None
    try:
        with open(path, "rb") as file:
            lines = file.read(_PIECE).split(b"\n")
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror}: nothing was imported") from error
    for line in lines:
        source.feed(line + b"\n")
    if source.adapter is None:
        return None
    return next((when for line in lines if (when := _time_of(source.adapter, line)) is not None), None)


def _lines(file: Any) -> Iterator[bytes]:
    """The lines of a file with their newlines; a very long one in pieces."""
    while line := file.readline(_PIECE):
        yield line
