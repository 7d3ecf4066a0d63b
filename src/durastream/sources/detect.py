"""Which agent prints this? Decided by what its first lines hold; the words of the command are a hint."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from durastream.sources.adapters import NO, STRONG, Adapter, adapters

__all__ = ["Detector"]

_WORDS = 4


class Detector:
    """Looks at JSON lines until it knows. A weak match needs a second one, the framing of server-sent events or a hint.

    `words` are those of the command: `codex exec --json`, `npx codex`, `node /opt/codex.js`.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._named = {os.path.splitext(os.path.basename(word))[0].lower() for word in words[:_WORDS]}
        self._adapters: list[type[Adapter]] | None = None
        self._weak: type[Adapter] | None = None

    @property
    def undecided(self) -> bool:
        """Whether the last line was a weak match: the next one decides."""
        return self._weak is not None

    def forget(self) -> None:
        """The line after a weak match was no JSON."""
        self._weak = None

    def look(self, value: Any, *, sse: bool) -> type[Adapter] | None:
        """The adapter for the stream that this line is of, once it is known."""
        if self._adapters is None:
            self._adapters = list(adapters())
        before, self._weak = self._weak, None
        for adapter in self._adapters:
            found = _matches(adapter, value)
            if not found:
                continue
            if found == STRONG or sse or adapter is before or not self._named.isdisjoint(adapter.commands):
                return adapter
            self._weak = self._weak or adapter
        return None


def _matches(adapter: type[Adapter], value: Any) -> int:
    try:
        return adapter.matches(value)
    except Exception:  # noqa: BLE001 - an adapter may come from anyone, and a line may hold anything
        return NO
