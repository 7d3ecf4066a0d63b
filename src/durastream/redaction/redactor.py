"""What takes the secrets out of one run: made once, and asked by every path that leads into a recording."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from durastream.events import Pending, dumps
from durastream.redaction.catalogue import KINDS, SECRET_NAME, Rules, mask
from durastream.redaction.environment import looks_secret
from durastream.redaction.guard import Guard
from durastream.redaction.raw import RawGuard
from durastream.redaction.values import clean

__all__ = ["Redactor"]

_DERIVED = frozenset({"run.completed", "text.completed"})
"""The recorder makes these of what is stored: they hold nothing else."""


_WORDS = frozenset({"callable", "command", "cwd", "name", "prompt", "tags", "warning"})
"""What people say of a run; the rest of what it was asked for is ours."""


class Redactor:
    """Made of what `environment.settings` gives. Raises UsageError for a pattern that is none."""

    def __init__(
        self,
        settings: Mapping[str, Any] | None = None,
        texts: Iterable[str] = (),
        *,
        known: bool = True,
        patient: bool = False,
    ) -> None:
        settings = settings if settings is not None else {"on": True}
        self.on = bool(settings.get("on", True))
        self._values = dict(settings.get("values", {})) if self.on else {}
        self._names = tuple(settings.get("names", ()))
        self._patterns = tuple(settings.get("patterns", ())) if self.on else ()
        self._texts = tuple(texts)
        self._known = known
        self.rules = Rules(self._values, self._patterns, self._texts, known=known, patient=patient)
        self.counts: Counter[str] = Counter()
        """How many secrets were taken out of events, by kind."""

    def guard(self) -> Guard | None:
        """For the events of one stream; None when redaction is off."""
        return Guard(self.rules, self.counts) if self.on else None

    def raw(self) -> RawGuard | None:
        """For the bytes of one stream; None when redaction is off."""
        return RawGuard(self.rules) if self.on else None

    def own(self, pending: Pending) -> Pending:
        """An event that the recorder itself has to say, without secrets."""
        if not self.on or pending.type in _DERIVED or not self.rules.suspects(pending.json):
            return pending
        data = clean(self.rules, pending.data, self.counts)
        return pending if data == pending.data else Pending(pending.type, data, dumps(data), pending.src)

    def value(self, value: Any, name: str = "") -> Any:
        """A value of JSON, such as what a run was asked for, without secrets."""
        return clean(self.rules, value, Counter(), name) if self.on else value

    def words(self, command: list[str]) -> list[str]:
        """The words of a command: what follows an option such as `--token` is one, whatever it looks like."""
        if not self.on:
            return command
        made: list[str] = []
        for at, word in enumerate(command):
            option = command[at - 1] if at else ""
            if option.startswith("--") and SECRET_NAME.search(option) and not word.startswith("-"):
                made.append(mask("option", len(word)))
            else:
                made.append(self.value(word))
        return made

    def meta(self, meta: Mapping[str, Any]) -> dict[str, Any]:
        """What a run was asked for, as it may be stored."""
        if not self.on:
            return dict(meta)
        kept = {name: self.value(value, name) if name in _WORDS else value for name, value in meta.items()}
        for name in ("redact", "env"):
            kept.pop(name, None)
        if meta.get("command"):
            kept["command"] = self.words(list(meta["command"]))
        if meta.get("env"):
            kept["env"] = {name: self._variable(name, text) for name, text in meta["env"].items()}
        return kept

    def _variable(self, name: str, text: str) -> str:
        return mask("env", len(text)) if looks_secret(name, self._names) else str(self.value(text))

    def disclosed(self) -> dict[str, Any]:
        """What `run.started` says of it: which rules are on. The values themselves are in no recording."""
        if not self.on:
            return {"on": False}
        said: dict[str, Any] = {"on": True, "kinds": list(KINDS) if self._known else []}
        if self._values:
            said["variables"] = sorted(self._values)
        if self._patterns or self._texts:
            said["patterns"] = len(self._patterns) + len(self._texts)
        return said
