"""The fields of the run, which a recording keeps beside its events, held against them: no chain covers these."""

from __future__ import annotations

from collections.abc import Iterator

from durastream.errors import RecordingError
from durastream.events import show_hash
from durastream.rules import Finding
from durastream.state import RunState
from durastream.stores import Reader, RunInfo
from durastream.stores.protocols import completed_info, run_info

__all__ = ["run_fields"]

_STARTED = ("name", "tags", "command", "cwd", "parent_run_id")


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
