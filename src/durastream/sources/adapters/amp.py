"""Amp: `amp -x --stream-json`. Claude Code's stream without a version, of a thread whose id begins with T-."""

from __future__ import annotations

from typing import Any, ClassVar

from durastream.sources.adapters import NO, STRONG
from durastream.sources.adapters.claude_stream import ClaudeStream
from durastream.sources.adapters.usage import of_messages

__all__ = ["Amp"]

_TYPES = ("assistant", "result", "system", "user")


class Amp(ClaudeStream):
    name: ClassVar[str] = "amp"
    note: ClassVar[str] = "Amp: amp -x --stream-json"
    proven: ClassVar[str] = "hand-made"
    commands: ClassVar[tuple[str, ...]] = ("amp",)

    @staticmethod
    def matches(line: Any) -> int:
        if type(line) is not dict or line.get("type") not in _TYPES:
            return NO
        return STRONG if str(line.get("session_id")).startswith("T-") else NO

    def _assistant(self, line: dict[str, Any], lane: str | None) -> str | None:
        """Usage is told with each message, and each message is one line."""
        last = super()._assistant(line, lane)
        self._say.use(**of_messages(line["message"].get("usage") or {}))
        return last
