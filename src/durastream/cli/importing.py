"""Commands that make a run of what is there: `import` of a file, `rederive` and `redact` of an earlier run."""

from __future__ import annotations

import os
import sys
from collections import Counter

from durastream import redacted
from durastream.cli.common import find, open_found, put, redactor_here
from durastream.cli.ending import say
from durastream.cli.launch import Request, check, current_folder
from durastream.errors import UsageError
from durastream.events import show_hash
from durastream.importer import import_file
from durastream.location import find_store, make_store
from durastream.newrun import Made
from durastream.redaction.redactor import Redactor
from durastream.rederived import rederive
from durastream.state import RunState
from durastream.stores import FolderStore
from durastream.stores.folder import remove_files

__all__ = ["derive", "import_", "redact"]


def import_(path: str, request: Request) -> int:
    """Make a run of a transcript; its id goes to stdout."""
    check(request._replace(command=("import",)))
    folder = find_store(request.store, os.environ, current_folder())
    make_store(folder)
    redactor = redactor_here() if request.redact else Redactor({"on": False})
    if not request.redact:
        say("redaction is off: secrets are recorded as they are")
    tags = dict(tag.split("=", 1) for tag in request.tags)
    made = import_file(
        FolderStore(folder),
        path,
        format_=request.format,
        name=request.name,
        tags=tags,
        log=request.log,
        raw=request.raw,
        redactor=redactor,
    )
    _tell(made)
    return 0


def derive(store: FolderStore, ref: str, format_: str, log: str) -> int:
    """Make a run anew from its raw bytes, and show what changed."""
    check(Request(("rederive",), format=format_, log=log))
    found = find(store, ref)
    at = FolderStore(found.store) if found.store is not None else store
    make_store(at.folder)
    reader = open_found(store, found)
    made = rederive(at, reader, format_=format_, log=log, redactor=redactor_here())
    _tell(made)
    changes = _changes(reader.state(), made.state)
    for line in changes or ["nothing changed: today's adapters say the same"]:
        say(line)
    return 0


def redact(
    store: FolderStore, ref: str, patterns: list[str], literals: list[str], log: str, *, remove_old: bool
) -> int:
    """Make a recording anew without what was found in it later; the old one stays unless it is to be removed."""
    check(Request(("redact",), log=log))
    texts = [line for each in literals for line in (sys.stdin.read().splitlines() if each == "-" else [each]) if line]
    if not (patterns or texts):
        raise UsageError("redact: what is to be taken out is named with --pattern or --literal")
    found = find(store, ref)
    at = FolderStore(found.store) if found.store is not None else store
    make_store(at.folder)
    reader = open_found(store, found)
    redactor = Redactor({"on": True, "patterns": patterns}, texts, known=False, patient=True)
    made = redacted.redact(at, reader, redactor, log=log)
    if made is None:
        reader.close()
        say(f"nothing to take out of {found.run_id}: it stays as it is, and no other is made")
        return 0
    _tell(made)
    counts = ", ".join(f"{kind} {count}" for kind, count in sorted(redactor.counts.items()))
    counts = counts or "what no event shows: in the command, name or tags, or in raw bytes"
    say(f"taken out: {counts}")
    old = f"{reader.run_id} {show_hash(reader.head().hash)}"
    reader.close()
    if remove_old:
        if found.path is not None and found.path != at.path(found.run_id):
            remove_files(found.path)
        else:
            at.remove(found.run_id)
        say(f"removed {old}")
    else:
        say(f"the old one stays: {old}: durastream rm {found.run_id}, or --remove-old")
    return 0


def _tell(made: Made) -> None:
    put(made.info.run_id)
    info = made.info
    verdict = "reconciled" if info.reconciled else "NOT reconciled"
    say(f"{info.run_id} {info.status} · {info.last_seq} events · {verdict} · {info.seal}")


def _changes(old: RunState, new: RunState) -> list[str]:
    """What two readings of the same bytes differ in, one line each."""
    lines = []
    for what, before, after in (
        ("status", old.status, new.status),
        ("format", old.agent.get("format"), new.agent.get("format")),
        ("events", old.seq, new.seq),
        ("plan", _plan(old), _plan(new)),
        ("steps", _steps(old), _steps(new)),
        ("answer", _answer(old), _answer(new)),
        ("sources", len(old.sources), len(new.sources)),
        ("usage", old.usage, new.usage),
    ):
        if before != after:
            lines.append(f"{what}: {before if before not in (None, {}) else 'none'} -> {after or 'none'}")
    return lines


def _plan(state: RunState) -> str:
    done = sum(entry["status"] == "done" for entry in state.plan)
    return f"{done}/{len(state.plan)}" if state.plan else "none"


def _steps(state: RunState) -> str:
    counts = Counter(step.status for step in state.steps.values())
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "none"


def _answer(state: RunState) -> str:
    message = state.answer
    if message is None or not message.length:
        return "none"
    return f"{message.length} characters of {message.message_id} (sha256 {message.sha256()[:12]})"
