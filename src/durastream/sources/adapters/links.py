"""Which addresses are in a text that comes in pieces? Found without keeping the text."""

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
        if "://" not in text:
            self._rest = text[-8:]  # as much as may be the start of https://
            return
        end = max(text.rfind(" "), text.rfind("\n")) + 1
        words = [word[:_LONGEST] for word in text[:end].split() if "://" in word]
        self._words += words[: _MOST - len(self._words)]
        self._rest = text[end:][:_LONGEST]

    def cite(self, say: Narrator) -> None:
        """The message is complete: its addresses are sources."""
        if self._words or "://" in self._rest:
            say.cite(" ".join((*self._words, self._rest)), origin="text")
        self._rest = ""
        self._words.clear()
