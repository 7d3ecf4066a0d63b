"""A report as JSON: stable names, documented in docs/format.md."""

from __future__ import annotations

from typing import Any

from durastream.rules import RULES, Finding, Rule, severity_of
from durastream.verify import Report

__all__ = ["finding_fields", "report_fields", "rule_fields"]


def report_fields(report: Report) -> dict[str, Any]:
    """A line of `verify --json`."""
    return {
        "run_id": report.run_id,
        "ok": report.ok,
        "events": report.events,
        "sealed": report.sealed,
        "seal": report.seal,
        "timing": report.timing._asdict(),
        "findings": [finding_fields(finding) for finding in report.findings],
    }


def finding_fields(finding: Finding) -> dict[str, Any]:
    rule = RULES.get(finding.code)
    return {
        "code": finding.code,
        "severity": severity_of(finding.code),
        "family": rule.family if rule is not None else None,
        "message": finding.message,
        "seq": finding.seq,
    }


def rule_fields(rule: Rule) -> dict[str, Any]:
    """A rule as `durastream rules --json` prints it."""
    return {
        "code": rule.code,
        "family": rule.family,
        "severity": rule.severity,
        "promise": rule.promise,
        "meaning": rule.meaning,
        "ask": rule.ask,
        "example": rule.example,
    }
