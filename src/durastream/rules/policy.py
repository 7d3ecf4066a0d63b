"""Which rules count, from where on, and with what budgets: options of a command line over those of a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from durastream.errors import UsageError
from durastream.rules.catalogue import FAMILIES, RULES, SEVERITIES, Rule, Severity, severity_of
from durastream.rules.finding import Finding
from durastream.rules.visibility import Budgets

__all__ = ["Policy", "Settings", "seconds"]

_SECONDS = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|m|h)?\Z")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


class Policy(NamedTuple):
    """What `verify` looks at in one run. `select` and `ignore` hold codes and families; nothing selected is all."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    severity: Severity = "warning"
    """The least severity that counts."""
    budgets: Budgets = Budgets()
    required_checks: tuple[str, ...] = ()
    artifacts: bool = False

    def takes(self, rule: Rule) -> bool:
        """Whether findings of a rule count."""
        if SEVERITIES.index(rule.severity) > SEVERITIES.index(self.severity):
            return False
        if self.select and not {rule.code, rule.family} & set(self.select):
            return False
        return not {rule.code, rule.family} & set(self.ignore)

    def asks(self, rule: Rule) -> bool:
        """Whether a rule is told what to look for, if it is one that says nothing before it is."""
        asked = {
            "first-event-late": self.budgets.first_event is not None,
            "silence-long": self.budgets.max_silence is not None,
            "silence-share": self.budgets.max_silent_share is not None,
            "check-failed": bool(self.required_checks),
            "artifact-missing": self.artifacts,
            "artifact-differs": self.artifacts,
        }
        return asked.get(rule.code, True)

    def chosen(self, findings: Iterable[Finding]) -> list[Finding]:
        """The findings that count, the gravest of each family first."""
        kept = [each for each in findings if each.code not in RULES or self.takes(RULES[each.code])]
        families = list(FAMILIES)

        def place(finding: Finding) -> tuple[int, int]:
            rule = RULES.get(finding.code)
            return (families.index(rule.family) if rule else -1, SEVERITIES.index(severity_of(finding.code)))

        return sorted(kept, key=place)


class Settings:
    """Options by name, as they stand in a file; those under `tags` hold for runs that carry the tag `key=value`."""

    def __init__(self, table: Mapping[str, Any] | None = None, where: str = "") -> None:
        table = dict(table or {})
        tags = table.pop("tags", {})
        if not isinstance(tags, dict) or not all(isinstance(each, dict) for each in tags.values()):
            raise UsageError(
                f'{where}: tags: a table for each tag, such as [tool.durastream.verify.tags."kind=nightly"]'
            )
        self._base = {name: _read(name, value, where) for name, value in table.items()}
        self._tags = {
            tag: {name: _read(name, value, f"{where}: tags: {tag}") for name, value in each.items()}
            for tag, each in tags.items()
        }

    def policy(self, tags: Mapping[str, str], over: Mapping[str, Any]) -> Policy:
        """What holds for a run with these tags; `over` are options that were given by hand, None where not."""
        options = dict(self._base)
        for tag, each in self._tags.items():
            key, _, value = tag.partition("=")
            if tags.get(key) == value:
                options |= each
        given = {name: _read(name, value, f"--{name}") for name, value in over.items() if value is not None}
        options |= given
        return Policy(
            select=options.get("select", ()),
            ignore=options.get("ignore", ()),
            severity=options.get("severity", "warning"),
            budgets=Budgets(options.get("first-event"), options.get("max-silence"), options.get("max-silent-share")),
            required_checks=options.get("required-checks", ()),
            artifacts=options.get("artifacts", False),
        )


def seconds(value: object) -> float | None:
    """A time such as 30s, 1.5m, 500ms or 2; None for anything else."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value) if value >= 0 else None
    match = _SECONDS.match(value.strip()) if isinstance(value, str) else None
    return float(match[1]) * _UNITS[match[2]] if match is not None else None


def _read(name: str, value: Any, where: str) -> Any:
    """An option as it is used. Raises UsageError for one that cannot be meant."""
    match name:
        case "select" | "ignore":
            return _codes(name, value, where)
        case "severity":
            if value not in SEVERITIES:
                raise UsageError(f"{_said(where, name, value)}: one of {', '.join(SEVERITIES)}")
            return value
        case "first-event" | "max-silence":
            found = seconds(value)
            if found is None:
                raise UsageError(f"{_said(where, name, value)}: a time such as 30s or 500ms")
            return found
        case "max-silent-share":
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
                raise UsageError(f"{_said(where, name, value)}: a share from 0 to 1")
            return float(value)
        case "required-checks":
            return tuple(_words(name, value, where))
        case "artifacts":
            if not isinstance(value, bool):
                raise UsageError(f"{_said(where, name, value)}: true or false")
            return value
        case _:
            pass
    raise UsageError(
        f"{where}: there is no option {name!r}: artifacts, first-event, ignore, max-silence, max-silent-share, "
        "required-checks, select, severity, tags"
    )


def _said(where: str, name: str, value: object) -> str:
    """What was given, as it stands in a file or on a command line."""
    return f"{where} {value}" if where == f"--{name}" else f"{where}: {name} = {value!r}"


def _words(name: str, value: Any, where: str) -> list[str]:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, (list, tuple)) or not all(isinstance(word, str) for word in words):
        raise UsageError(f"{_said(where, name, value)}: a list of words")
    return list(words)


def _codes(name: str, value: Any, where: str) -> tuple[str, ...]:
    words = [part.strip() for word in _words(name, value, where) for part in word.split(",") if part.strip()]
    for word in words:
        if word not in RULES and word not in FAMILIES:
            raise UsageError(f"{where}: there is no rule or family {word!r}: `durastream rules` lists them")
    return tuple(words)
