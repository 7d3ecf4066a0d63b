"""What a run promises, as rules: pure functions over events and state, and a catalogue that says what each means."""

from durastream.rules.catalogue import FAMILIES, RULES, SEVERITIES, Family, Rule, Severity, severity_of
from durastream.rules.course import Course
from durastream.rules.finding import Finding, Place, first_difference
from durastream.rules.visibility import Budgets

__all__ = [
    "FAMILIES",
    "RULES",
    "SEVERITIES",
    "Budgets",
    "Course",
    "Family",
    "Finding",
    "Place",
    "Rule",
    "Severity",
    "first_difference",
    "severity_of",
]
