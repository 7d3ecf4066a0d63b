"""Addresses in a text that comes in pieces: found without keeping the text."""

from __future__ import annotations

from durastream.sources.adapters.narrator import Narrator

__all__ = ["Links"]

_LONGEST = 2000
_MOST = 50


class Links:
    """The words of one message that hold an address; no more of the text is kept than its last word."""

    def __init__(self) -> None:
        self._rest = ""
        self._words: list[str] = []

    def add(self, text: str) -> None:
        """A piece of the message."""
        text = self._rest + text
        end = max(text.rfind(" "), text.rfind("\n")) + 1
        if end and "://" in text:
            self._words += [word[:_LONGEST] for word in text[:end].split() if "://" in word][: _MOST - len(self._words)]
        rest = text[end:]
        self._rest = rest[:_LONGEST] if "://" in rest else rest[-8:]  # 8: as long as https:// is

    def cite(self, say: Narrator) -> None:
        """The message is complete: its addresses are sources."""
        if self._words or "://" in self._rest:
            say.cite(" ".join((*self._words, self._rest)), origin="text")
        self._rest = ""
        self._words.clear()
