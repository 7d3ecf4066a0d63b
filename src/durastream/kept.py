"""What a recording keeps beside its events, held against them: the fields of the run, and the agent's raw bytes.

The chain does not cover these, so each is compared with what the log says of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from durastream.answer import Finding
from durastream.errors import RecordingError
from durastream.events import show_hash
from durastream.spool import STREAMS
from durastream.state import RunState
from durastream.stores import Reader, RunInfo
from durastream.stores.protocols import completed_info, run_info

__all__ = ["RawSums", "drafts", "raw_sums", "run_fields"]

RawSums = dict[str, tuple[int, str]]
"""Length in bytes and SHA-256 (hex) of what is kept of each stream, if anything is."""

_STARTED = ("name", "tags", "command", "cwd", "parent_run_id")


def drafts(reader: Reader) -> tuple[dict[str, str] | None, list[Finding]]:
    """The drafts that are kept, if any are, and why they cannot be read."""
    try:
        return reader.drafts(), []
    except RecordingError as error:
        return None, [Finding("draft", str(error))]


def raw_sums(reader: Reader, state: RunState) -> tuple[RawSums, list[Finding]]:
    """The sums of the raw bytes that are kept; what cannot be read of them, from where on, and what is not there."""
    sums, found = {}, []
    told = (state.completed or {}).get("raw") if (state.started or {}).get("raw") is True else None
    for stream in STREAMS:
        digest, length = hashlib.sha256(), 0
        try:
            for piece in reader.raw(stream):
                digest.update(piece)
                length += len(piece)
        except RecordingError as error:
            found.append(Finding("raw", str(error)))
            continue
        named = told.get(stream) if isinstance(told, dict) else None
        if length:
            sums[stream] = (length, digest.hexdigest())
        elif isinstance(named, dict) and named.get("length"):
            found.append(Finding("raw", f"the raw bytes of {stream} are not there: {named['length']} were recorded"))
    return sums, found


def run_fields(reader: Reader, state: RunState) -> Iterator[Finding]:
    """The run-level fields, which `list` shows, against the first and the last event."""
    try:
        info = reader.info()
    except RecordingError as error:
        yield Finding("run-fields", str(error))
        return
    told = _told(info, reader, state)
    for name, mine, logged in zip(RunInfo._fields, info, told, strict=True):
        if mine != logged:
            yield Finding("run-fields", f"its {name} is {_brief(mine)}, its events say {_brief(logged)}")


def _told(info: RunInfo, reader: Reader, state: RunState) -> RunInfo:
    """The same fields as the events tell them; one that they do not tell is believed."""
    started = state.started or {}
    fields = {"name": None, "tags": {}, "command": [], "parent_run_id": None} | started
    told = info
    if state.started is not None and state.started_at is not None:
        told = info._replace(started_at=state.started_at, **{name: fields[name] for name in _STARTED if name in fields})
    if state.completed is not None:
        head = reader.head()
        told = completed_info(told, state, head, show_hash(head.hash))
    try:
        return run_info(told._asdict())
    except (TypeError, ValueError):
        return info  # the events themselves say nothing that could be compared


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
