"""Reports as JUnit XML: a suite for each run, a case for each rule that was asked. CI systems show it as tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from xml.etree import ElementTree

from durastream.rules import RULES, Finding, Rule, severity_of
from durastream.verify import Report
from durastream.views.safe import one_line

__all__ = ["Checked", "junit"]


class Checked(NamedTuple):
    """A run that was verified: its name, where it lies, and which rules were asked. `error`: it cannot be read."""

    name: str
    path: str
    rules: Sequence[Rule]
    report: Report | None
    error: str = ""


def junit(checked: Iterable[Checked]) -> str:
    """The XML, ended by a newline."""
    root = ElementTree.Element("testsuites", name="durastream verify")
    for each in checked:
        suite = ElementTree.SubElement(root, "testsuite", name=_text(each.name))
        if each.report is None:
            case = ElementTree.SubElement(suite, "testcase", classname="log", name="readable")
            ElementTree.SubElement(case, "error", message=_text(each.error))
            suite.attrib |= {"tests": "1", "failures": "0", "errors": "1"}
            continue
        by_code: dict[str, list[Finding]] = {rule.code: [] for rule in each.rules}
        for finding in each.report.findings:
            by_code.setdefault(finding.code, []).append(finding)
        for code, findings in by_code.items():
            family = RULES[code].family if code in RULES else "log"
            case = ElementTree.SubElement(suite, "testcase", classname=family, name=code)
            if findings:
                _failure(case, findings)
        failures = sum(bool(findings) for findings in by_code.values())
        suite.attrib |= {"tests": str(len(by_code)), "failures": str(failures), "errors": "0"}
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.attrib[count]) for suite in root)))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _failure(case: ElementTree.Element, findings: Sequence[Finding]) -> None:
    first = findings[0]
    failure = ElementTree.SubElement(case, "failure", type=severity_of(first.code), message=_text(first.message))
    lines = [f"event {each.seq}: {each.message}" if each.seq is not None else each.message for each in findings]
    rule = RULES.get(first.code)
    failure.text = "\n".join([_text(line) for line in lines] + ([rule.meaning, rule.ask] if rule else []))


def _text(text: str) -> str:
    """One line in which nothing acts on anything, and no character is forbidden in XML."""
    return one_line(text, 1000)
