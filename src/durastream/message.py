"""A message as it grows: its text in blocks, its length, and its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ["SHORT", "Kept", "Message"]

SHORT = 64 * 1024
"""How long an answer may be, in characters, to be repeated whole in `run.completed`."""

_BLOCK = 1024


class Kept(Protocol):
    """Text that a store keeps. How long it is is known; it is read when somebody asks for it."""

    length: int

    def text(self) -> str:
        """All of it."""

    def end(self, count: int) -> str:
        """The last `count` characters, or more."""


class Message:
    """A message as it grows. Text is kept in blocks: appending costs the same at 10 bytes and at 10 MB."""

    __slots__ = (
        "_blocks",
        "_digest",
        "_kept",
        "_short",
        "_tail",
        "completed",
        "declared_length",
        "declared_sha256",
        "final",
        "length",
        "message_id",
        "retracted",
        "role",
        "since",
    )

    def __init__(self, message_id: str, role: str = "assistant") -> None:
        self.message_id = message_id
        self.role = role
        self.final = False
        self.completed = False
        self.declared_sha256: str | None = None
        self.declared_length: int | None = None
        self.retracted: list[str] = []
        self.since = 0
        """The seq of the last retraction: the text is what came after it."""
        self.length = 0
        """Length of the text in characters (code points)."""
        self._blocks: list[str] = []
        self._tail: list[str] = []
        self._digest = hashlib.sha256()
        self._short = ""
        self._kept: Kept | None = None

    def append(self, text: str) -> None:
        self.length += len(text)
        tail = self._tail
        tail.append(text)
        if len(tail) >= _BLOCK:
            self._blocks.append("".join(tail))
            tail.clear()

    def keep(self, text: str | Kept) -> None:
        """Begin with text that was there before."""
        if isinstance(text, str):
            if text:
                self.append(text)
        else:
            self._kept = text
            self.length = text.length

    def retract(self, reason: str, seq: int) -> None:
        """Take back all text so far; what was written stays in the log."""
        self.retracted.append(reason)
        self.since = seq
        self.completed = False
        self.declared_sha256 = self.declared_length = None
        self.forget()

    @property
    def text(self) -> str:
        """The text: all of it, unless `drain` took some away."""
        if self._kept is not None:
            self._blocks.insert(0, self._kept.text())
            self._kept = None
        if self._tail or len(self._blocks) > 1:
            self._blocks = ["".join((*self._blocks, *self._tail))]
            self._tail.clear()
        return self._blocks[0] if self._blocks else ""

    def end(self, count: int) -> str:
        """The last `count` characters, without putting the whole text together."""
        parts: list[str] = []
        missing = count
        for pieces in (self._tail, self._blocks):
            for piece in reversed(pieces):
                if missing <= 0:
                    break
                parts.append(piece if len(piece) <= missing else piece[-missing:])
                missing -= len(piece)
        if missing > 0 and self._kept is not None:
            parts.append(self._kept.end(missing)[-missing:])
        return "".join(reversed(parts))

    def drain(self) -> str:
        """Take the text out of memory and return it; length, hash and `short` go on counting it.

        The recorder calls this after each batch, so that its memory does not grow with the draft.
        """
        text = self.text
        self._blocks.clear()
        self._digest.update(text.encode())
        self._short = self._short + text if self.length <= SHORT else ""
        return text

    def discard(self) -> None:
        """Let go of the text that came, for who asks neither for it nor for its hash; it is not read for that."""
        self._blocks.clear()
        self._tail.clear()

    def forget(self) -> None:
        """Begin to count from nothing."""
        self.length = 0
        self._blocks.clear()
        self._tail.clear()
        self._digest = hashlib.sha256()
        self._short = ""
        self._kept = None

    def carry(self, other: Message) -> None:
        """Count the text of another message as one's own, drained."""
        other.drain()
        self.length = other.length
        self._digest = other._digest.copy()
        self._short = other._short

    def short(self) -> str | None:
        """The whole text, drained parts included, if it has at most `SHORT` characters."""
        return self._short + self.text if self.length <= SHORT else None

    def sha256(self) -> str:
        """SHA-256 (hex) of the whole text as UTF-8, drained parts included."""
        return str(self.digest().hexdigest())

    def digest(self) -> Any:
        """The hash of the whole text so far, to go on with."""
        digest = self._digest.copy()
        digest.update(self.text.encode())
        return digest

    def copy(self) -> Message:
        """The same, to go on from here by itself; text is shared, for no piece of it ever changes."""
        other = Message(self.message_id)
        for name in Message.__slots__:
            setattr(other, name, getattr(self, name))
        other.retracted, other._blocks, other._tail = [*self.retracted], [*self._blocks], [*self._tail]
        other._digest = self._digest.copy()
        return other

    def dump(self) -> dict[str, Any]:
        """All but the text."""
        return {
            "message_id": self.message_id,
            "role": self.role,
            "final": self.final,
            "completed": self.completed,
            "declared_sha256": self.declared_sha256,
            "declared_length": self.declared_length,
            "retracted": list(self.retracted),
            "since": self.since,
            "length": self.length,
        }

    @classmethod
    def load(cls, saved: Mapping[str, Any], text: str | Kept) -> Message:
        message = cls(saved["message_id"], saved["role"])
        message.final = saved["final"]
        message.completed = saved["completed"]
        message.declared_sha256 = saved["declared_sha256"]
        message.declared_length = saved["declared_length"]
        message.retracted = list(saved["retracted"])
        message.since = saved["since"]
        message.keep(text)
        return message
