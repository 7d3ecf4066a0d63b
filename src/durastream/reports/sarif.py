"""Reports as SARIF 2.1.0, the form in which code hosts take the findings of analysers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from durastream.reports.junit import Checked
from durastream.rules import RULES, Finding, Rule, severity_of
from durastream.version import VERSION
from durastream.views.safe import one_line

__all__ = ["sarif"]

_LEVEL = {"error": "error", "warning": "warning", "info": "note"}
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(checked: Iterable[Checked]) -> str:
    """The JSON, ended by a newline. Events are named by logical location: a line of the file would be a guess."""
    results: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    for each in checked:
        if each.report is None:
            notes.append({"level": "error", "message": {"text": one_line(each.error, 1000)}})
            continue
        results += [_result(finding, each) for finding in each.report.findings]
    driver = {"name": "durastream", "version": VERSION, "rules": [_rule(rule) for rule in RULES.values()]}
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": not notes, "toolExecutionNotifications": notes}],
        "results": results,
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "shortDescription": {"text": rule.promise},
        "fullDescription": {"text": rule.meaning},
        "help": {"text": rule.ask},
        "defaultConfiguration": {"level": _LEVEL[rule.severity]},
        "properties": {"family": rule.family},
    }


def _result(finding: Finding, checked: Checked) -> dict[str, Any]:
    at = f"event {finding.seq}: " if finding.seq is not None else ""
    where = f"/{finding.seq}" if finding.seq is not None else ""
    place: dict[str, Any] = {
        "physicalLocation": {"artifactLocation": {"uri": quote(checked.path.lstrip("/"))}, "region": {"startLine": 1}},
        "logicalLocations": [{"name": checked.name, "fullyQualifiedName": checked.name + where}],
    }
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "level": _LEVEL[severity_of(finding.code)],
        "message": {"text": one_line(f"run {checked.name}: {at}{finding.message}", 1000)},
        "locations": [place],
    }
    if finding.code in RULES:
        result["ruleIndex"] = list(RULES).index(finding.code)
    return result
