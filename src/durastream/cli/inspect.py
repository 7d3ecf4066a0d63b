"""Commands that look at runs and change nothing."""

from __future__ import annotations

import json
import shutil
import sys
from functools import partial
from textwrap import wrap
from typing import Any

from durastream import evaluations
from durastream.cli.common import find, finish_orphans, open_found, put
from durastream.cli.document import run_document
from durastream.cli.ending import say
from durastream.cli.foreground import exit_code_of
from durastream.cli.launch import VIEWS
from durastream.cli.watch import attach as attach_view
from durastream.cli.watch import replay as replay_view
from durastream.errors import RecordingError, RunNotFound, UsageError
from durastream.events import Event
from durastream.follow import follow as follow_events
from durastream.follow import read_all
from durastream.kept import drafts, raw_sums, run_fields
from durastream.replay import parse_idle_limit, parse_position, parse_speed
from durastream.seals import signature_faults
from durastream.spool import Spool
from durastream.stores import FolderStore, Reader
from durastream.verify import Checker, Report, cut_points
from durastream.views.safe import json_line, one_line, visible
from durastream.views.words import evaluated, last_lines

__all__ = ["attach", "cat", "events", "replay", "show", "verify"]

_WIDE = 1000


def _check_view(view: str) -> None:
    if view not in VIEWS:
        raise UsageError(f"--view {view}: one of {', '.join(VIEWS)}")


def attach(
    store: FolderStore, ref: str | None, start: str, view: str, *, timestamps: bool = False, read_only: bool = False
) -> int:
    """Join a run; returns the run's exit code when it was seen to end."""
    _check_view(view)
    if ref is None:
        finish_orphans(store)
        live = next((info for info in store.infos() if info.status == "running"), None)
        if live is None:
            raise RunNotFound(f"no run is live in {store.folder}: name one, `durastream list` shows them")
        ref = live.run_id
    found = find(store, ref)
    state, left = attach_view(store, found, view, start, timestamps=timestamps, read_only=read_only)
    if state.completed is not None:
        return exit_code_of(state.completed.get("exit_code"), state.completed.get("signal"))
    if not left:
        say(f"run {found.run_id} is orphaned: nobody records it any more: durastream recover {found.run_id}")
        return 125
    return 0


def replay(
    store: FolderStore,
    ref: str,
    speed: str,
    start: str | None,
    stop: str | None,
    idle_limit: str | None,
    view: str,
    *,
    loop: bool,
    timestamps: bool,
) -> int:
    """Play a recording."""
    _check_view(view)
    factor = parse_speed(speed)
    first = parse_position(start, "--from") if start is not None else None
    last = parse_position(stop, "--to") if stop is not None else None
    limit = parse_idle_limit(idle_limit)
    reader = open_found(store, find(store, ref))

    told: list[float] = []

    def skipped(event: Event, seconds: float) -> None:
        if not told:
            say(f"silences longer than {limit:g} s are played as {limit:g} s: --idle-limit off plays them whole")
        told.append(seconds)

    replay_view(
        reader, view, speed=factor, idle_limit=limit, start=first, stop=last, loop=loop, timestamps=timestamps,
        on_skip=skipped if idle_limit is None else None,
    )  # fmt: skip
    _tell_damage(reader)
    return 0


def _tell_damage(reader: Reader) -> None:
    if reader.damage:
        say(f"{reader.path}: {len(reader.damage)} events cannot be read: {reader.damage[0]}: durastream verify")
    if getattr(reader, "torn", False):
        say(f"{reader.path} ends in the middle of a line: what was whole is shown")


def show(store: FolderStore, ref: str, *, as_json: bool) -> int:
    """All that is known of a run."""
    found = find(store, ref)
    reader = open_found(store, found)
    info = reader.info()
    state = reader.state()
    if state.completed is not None and info.seal is None:
        info = reader.info()  # it ended between the two
    if info.status == "running" and not Spool(found.store or "", found.run_id).alive():
        info = info._replace(status="orphaned")
    if as_json:
        put(json_line(json.dumps(run_document(info, state, evaluations.known(reader)))))
    else:
        from rich.console import Console

        from durastream.views.live import summary

        console = Console()
        now = f"{info.status}: as of event {state.seq}" if state.completed is None else ""
        console.print(summary(state, width=console.width, run_id=info.run_id, note=now, seal=info.seal or ""))
        for line in evaluated(evaluations.known(reader)):
            put(line)
    _tell_damage(reader)
    return 0


def events(store: FolderStore, ref: str, after: int, *, follow: bool, types: frozenset[str]) -> int:
    """Events as stored."""
    found = find(store, ref)
    reader = open_found(store, found)
    batches: Any = read_all(reader, after)
    if follow:
        batches = follow_events(reader, Spool(found.store or store.folder, found.run_id), after)
    for batch in batches:
        for event in batch:
            if not types or event.type in types:
                put(json_line(event.line()))
        if batch:
            sys.stdout.flush()
    _tell_damage(reader)
    return 0


def cat(store: FolderStore, ref: str) -> int:
    """The answer's text; without one, what the agent's terminal shows. In a pipe it is exactly that.

    In a terminal nothing in it can act.
    """
    reader = open_found(store, find(store, ref))
    state = reader.state()
    text = state.answer.text if state.answer is not None else "".join(text + "\n" for text in last_lines(state))
    if sys.stdout.isatty():
        put(visible(text.removesuffix("\n")))
    else:
        sys.stdout.buffer.write(text.encode("utf-8", "replace"))
    _tell_damage(reader)
    return 0


def verify(
    store: FolderStore,
    refs: list[str],
    *,
    all_runs: bool,
    seal: str | None,
    signed: tuple[str, str] | None,
    as_json: bool,
) -> int:
    """Check runs; 0 when all hold, 1 with findings, 3 when one cannot be read."""
    if all_runs and refs:
        raise UsageError("name runs or say --all, not both")
    if (seal is not None or signed is not None) and (all_runs or len(refs) > 1):
        raise UsageError("--seal is of one run" if seal is not None else "--signature is of one run")
    finish_orphans(store)
    if all_runs:
        refs = list(dict.fromkeys([info.run_id for info in store.infos()] + sorted(store.run_ids())))
        if not refs:
            say(f"no runs in {store.folder}: nothing was verified")
            return 0
    worst = 0
    for ref in refs or ["latest"]:
        try:
            report = _verify_one(store, ref, seal, signed)
        except RecordingError as error:
            if len(refs) < 2:
                raise
            say(str(error))
            worst = 3
            continue
        _put_report(report, as_json=as_json, with_seal=len(refs) < 2)
        worst = max(worst, 0 if report.ok else 1)
    return worst


def _verify_one(store: FolderStore, ref: str, seal: str | None, signed: tuple[str, str] | None) -> Report:
    found = find(store, ref)
    reader = open_found(store, found)
    stored = reader.snapshots()
    tried = stored[:: max(1, len(stored) // 6)]
    checker = Checker(
        reader.run_id,
        cuts=cut_points(reader.head().seq),
        snapshots={seq: partial(reader.snapshot, seq) for seq in tried},
    )
    for batch in read_all(reader):
        checker.take(batch)
    texts, unreadable = drafts(reader)
    sums, damaged = raw_sums(reader, checker.state)
    for finding in (*unreadable, *damaged, *run_fields(reader, checker.state)):
        checker.found(*finding)
    for damage in reader.damage:
        checker.found("unreadable", damage)
    for fault in evaluations.faults(reader):
        checker.found("addendum", fault)
    if getattr(reader, "torn", False):
        checker.found("torn", "the file ends in the middle of a line")
    report = checker.report(texts, sums)
    if not report.sealed and Spool(found.store or store.folder, found.run_id).alive():
        report.findings[:] = [each for each in report.findings if each.code != "unsealed"]
        checker.found("unsealed", f"it is still being recorded: so far {report.events} events, and no end")
    if seal is not None and report.seal.removeprefix("sha256:") != seal.strip().lower().removeprefix("sha256:"):
        checker.found("seal", f"the seal is {report.seal}, not {seal}")
    for fault in signature_faults(*signed, report.run_id, report.seal) if signed is not None else ():
        checker.found("signature", fault)
    return report


def _put_report(report: Report, *, as_json: bool, with_seal: bool) -> None:
    if as_json:
        document = {
            "run_id": report.run_id,
            "ok": report.ok,
            "events": report.events,
            "sealed": report.sealed,
            "seal": report.seal,
            "findings": [finding._asdict() for finding in report.findings],
        }
        put(json_line(json.dumps(document)))
        return
    if report.ok:
        put(f"{report.run_id}  ok: {report.events} events, sealed")
        if with_seal:
            put(f"{'':<{len(report.run_id)}}  {report.seal}")
        return
    count = len(report.findings)
    put(f"{report.run_id}  {count} finding{'s' * (count != 1)} in {report.events} events")
    width = shutil.get_terminal_size((_WIDE, 24)).columns if sys.stdout.isatty() else _WIDE
    for finding in report.findings:
        for line in wrap(one_line(finding.message, 300), max(20, width - 17), break_long_words=False):
            put(f"  {finding.code:<14} {line}")
            finding = finding._replace(code="")
