"""`durastream verify` and `durastream rules`: recordings against the rules, and what the rules are."""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from durastream.checking import check
from durastream.cli.common import find, finish_orphans, open_found, put
from durastream.cli.ending import say
from durastream.cli.launch import current_folder
from durastream.configuration import find_settings
from durastream.errors import DurastreamError, RecordingError, RunNotFound, UsageError
from durastream.reports.document import report_fields, rule_fields
from durastream.reports.junit import Checked, junit
from durastream.reports.sarif import sarif
from durastream.reports.table import report_lines, rule_lines
from durastream.rules import FAMILIES, RULES
from durastream.rules.policy import Settings
from durastream.spool import Spool
from durastream.stores import FolderStore, Reader
from durastream.views.safe import json_line

__all__ = ["Output", "list_rules", "verify"]

_WIDE = 1000
_SEAL = re.compile(r"(?:sha256:)?[0-9a-f]{64}\Z")


class Output(NamedTuple):
    """Where the reports go besides the lines for people."""

    as_json: bool = False
    junit: str | None = None
    sarif: str | None = None


def verify(
    store: FolderStore,
    refs: list[str],
    *,
    all_runs: bool,
    seal: str | None,
    signed: tuple[str, str] | None,
    options: Mapping[str, Any],
    output: Output,
) -> int:
    """Check runs; 0 when all hold, 1 with findings, 3 when one cannot be read."""
    if all_runs and refs:
        raise UsageError("name runs or say --all, not both")
    if seal is not None and not _SEAL.match(seal.strip().lower()):
        raise UsageError(f"--seal {seal[:80]!r} is no seal: `durastream seal` prints it, sha256: and 64 digits")
    if (seal is not None or signed is not None) and (all_runs or len(refs) > 1):
        raise UsageError("--seal is of one run" if seal is not None else "--signature is of one run")
    if output.junit and output.sarif and os.path.realpath(output.junit) == os.path.realpath(output.sarif):
        raise UsageError(f"--junit and --sarif name the same file, {output.junit}: give each its own")
    refs = list(dict.fromkeys(refs))
    gc.freeze()  # as in the recorder: a batch is thousands of small objects without a cycle
    gc.set_threshold(200_000, 20, 100)
    settings = find_settings(current_folder())
    settings.policy({}, options)  # words that are off are told before anything is read
    finish_orphans(store)
    if all_runs:
        refs = list(dict.fromkeys([info.run_id for info in store.infos()] + sorted(store.run_ids())))
        if not refs:
            raise RunNotFound(f"{store.nothing()}: nothing was verified")
    checked = []
    for ref in refs if all_runs else refs or ["latest"]:
        try:
            one = _verify_one(store, ref, settings, options, seal, signed)
        except RecordingError as error:
            if len(refs) < 2 and output.junit is None and output.sarif is None:
                raise
            one = Checked(ref, "", (), None, str(error))
            say(str(error))
        checked.append(one)
        _put(one, as_json=output.as_json, with_seal=len(refs) < 2)
    if len(checked) > 1 and not output.as_json:
        say(_sum(checked))
    for option, path, text in (("--junit", output.junit, junit), ("--sarif", output.sarif, sarif)):
        if path is not None:
            _write(option, path, text(checked))
    return max((_code(each) for each in checked), default=0)


def _sum(checked: Sequence[Checked]) -> str:
    """What came of many runs."""
    codes = Counter(_code(each) for each in checked)
    parts = [f"{codes[0]} hold"]
    parts += [f"{codes[1]} with findings"] * bool(codes[1])
    parts += [f"{codes[RecordingError.exit_code]} cannot be read"] * bool(codes[RecordingError.exit_code])
    return f"{len(checked)} runs: {', '.join(parts)}"


def _code(checked: Checked) -> int:
    if checked.report is None:
        return RecordingError.exit_code
    return 0 if checked.report.ok else 1


def _verify_one(
    store: FolderStore,
    ref: str,
    settings: Settings,
    options: Mapping[str, Any],
    seal: str | None,
    signed: tuple[str, str] | None,
) -> Checked:
    found = find(store, ref)
    reader = open_found(store, found)
    try:
        policy = settings.policy(_tags(reader), options)
        alive = Spool(found.store or store.folder, found.run_id).alive()
        report = check(reader, policy, seal=seal, signed=signed, live=alive, cores=_cores())
    finally:
        reader.close()
    by_hand = {"seal": seal is not None, "signature": signed is not None}
    rules = [r for r in RULES.values() if by_hand.get(r.code, policy.takes(r) and policy.asks(r))]
    return Checked(report.run_id, os.path.relpath(reader.path, current_folder()), rules, report)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1


def _tags(reader: Reader) -> dict[str, str]:
    try:
        return reader.info().tags
    except RecordingError:  # which is a finding like others
        return {}


def _put(checked: Checked, *, as_json: bool, with_seal: bool) -> None:
    report = checked.report
    if report is None:
        return
    if as_json:
        put(json_line(json.dumps(report_fields(report))))
        return
    for line in report_lines(report, _width(), with_seal=with_seal):
        put(line)


def _width() -> int:
    return shutil.get_terminal_size((_WIDE, 24)).columns if sys.stdout.isatty() else _WIDE


def _write(option: str, path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise DurastreamError(f"{option} {path}: {error.strerror}: the report was not written") from error


def list_rules(code: str | None, *, as_json: bool) -> int:
    """The catalogue, or one rule of it in full."""
    if code is not None and code not in RULES and code not in FAMILIES:
        raise UsageError(f"there is no rule {code!r}: `durastream rules` lists them")
    chosen = [rule for rule in RULES.values() if code in (None, rule.code, rule.family)]
    if as_json:
        put(json.dumps([rule_fields(rule) for rule in chosen]))
        return 0
    width = _width()
    if code is not None and code in RULES:
        for line in rule_lines(RULES[code], width):
            put(line)
        return 0
    family = None
    for rule in chosen:
        if rule.family != family:
            put(("" if family is None else "\n") + f"{rule.family}: {FAMILIES[rule.family]}")
            family = rule.family
        line = f"  {rule.code:<18} {rule.severity:<8} {rule.promise}"
        put(line if len(line) <= width else line[: width - 1] + "…")
    return 0
