"""A report for people: the questions that have no good answer, what was found, and what to do or ask."""

from __future__ import annotations

from collections import Counter
from textwrap import wrap

from durastream.rules import FAMILIES, RULES, SEVERITIES, Finding, Rule, severity_of
from durastream.verify import Report
from durastream.views.safe import one_line
from durastream.views.words import duration

__all__ = ["report_lines", "rule_lines"]

_MARK = {"error": "✗", "warning": "!", "info": "·"}
_MESSAGE = 600


def report_lines(report: Report, width: int, *, with_seal: bool) -> list[str]:
    """The lines for one run."""
    if report.ok:
        lines = [f"{report.run_id}  ok: {report.events} events, sealed"]
        return [*lines, f"{'':<{len(report.run_id)}}  {report.seal}"] if with_seal else lines
    lines = [f"{report.run_id}  {_counts(report.findings)} in {report.events} events{_timing(report)}"]
    family = None
    for finding in report.findings:
        rule = RULES.get(finding.code)
        if rule is not None and rule.family != family:
            family = rule.family
            lines.append(f"  {FAMILIES[family]}")
        lines += _finding(finding, rule, width)
    return lines


def _counts(findings: list[Finding]) -> str:
    """`2 errors, 1 warning`."""
    counts = Counter(severity_of(each.code) for each in findings)
    names = {"error": "error", "warning": "warning", "info": "note"}
    parts = [f"{counts[each]} {names[each]}{'s' * (counts[each] != 1)}" for each in SEVERITIES if counts[each]]
    return ", ".join(parts)


def _timing(report: Report) -> str:
    if not any(RULES[each.code].family == "visibility" for each in report.findings if each.code in RULES):
        return ""
    first, silence = report.timing.first_event, report.timing.longest_silence
    shown = f"first event after {duration(first)}" if first is not None else "nothing visible"
    return f" ({shown}, longest silence {duration(silence)})"


def _finding(finding: Finding, rule: Rule | None, width: int) -> list[str]:
    mark = _MARK[severity_of(finding.code)]
    where = f"event {finding.seq}" if finding.seq is not None else ""
    lines = [f"  {mark} {finding.code:<18} {where}".rstrip()]
    lines += _wrapped(one_line(finding.message, _MESSAGE), width, "      ")
    if rule is not None:
        lines += _wrapped(rule.ask, width, "    → ")
    return lines


def _wrapped(text: str, width: int, lead: str) -> list[str]:
    return wrap(text, max(30, width), initial_indent=lead, subsequent_indent="      ", break_long_words=True)


def rule_lines(rule: Rule, width: int) -> list[str]:
    """A rule, told in full."""
    lines = [f"{rule.code}  {rule.severity}", f"{rule.family}: {FAMILIES[rule.family]}", ""]
    for lead, text in (("", rule.promise), ("", rule.meaning), ("→ ", rule.ask), ("  ", rule.example)):
        lines += wrap(text, max(30, width), initial_indent=lead, subsequent_indent=" " * len(lead))
    return lines
