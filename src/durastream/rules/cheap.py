"""The rules that the recorder runs itself at the end of every run, and what it says of them in the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from durastream.rules.catalogue import RULES, Family, severity_of
from durastream.rules.course import Course
from durastream.rules.finding import Finding
from durastream.rules.log import rejected
from durastream.rules.reconcile import reconcile
from durastream.rules.visibility import visibility
from durastream.state import RunState

__all__ = ["as_json", "checks", "judge", "reconciles"]

_JUDGED: tuple[tuple[str, tuple[Family, ...]], ...] = (
    ("visible", ("visibility",)),
    ("reconciled", ("log", "reconcile")),
)
_MOST = 50


def judge(state: RunState, course: Course, exit_status: Mapping[str, Any] | None) -> list[Finding]:
    """What does not hold at the end of a run, as far as its state tells: errors and warnings."""
    found = [*rejected(course), *visibility(state, course), *reconcile(state, course, exit_status)]
    return [finding for finding in found if severity_of(finding.code) != "info"][:_MOST]


def checks(found: Sequence[Finding]) -> list[dict[str, Any]]:
    """The data of the `quality.checked` events that say so, one for each question."""
    said = []
    for name, families in _JUDGED:
        mine = [each for each in found if each.code in RULES and RULES[each.code].family in families]
        grave = any(severity_of(each.code) == "error" for each in mine)
        data: dict[str, Any] = {
            "name": name,
            "outcome": "fail" if grave else "warn" if mine else "pass",
            "by": "durastream",
        }
        if mine:
            data["detail"] = mine[0].message
            data["findings"] = as_json(mine)
        said.append(data)
    return said


def as_json(found: Sequence[Finding]) -> list[dict[str, Any]]:
    """Findings as they stand in the log."""
    made = []
    for finding in found:
        data: dict[str, Any] = {"code": finding.code, "severity": severity_of(finding.code), "message": finding.message}
        if finding.seq is not None:
            data["seq"] = finding.seq
        made.append(data)
    return made


def reconciles(found: Sequence[Mapping[str, Any]]) -> bool:
    """Whether findings, as they stand in a packet, let a run reconcile. One without a severity is an error."""
    return not any(each.get("severity", "error") == "error" for each in found if isinstance(each, dict))
