"""What has been streamed of each message: its length and its hash."""

from __future__ import annotations

from durastream.api.values import clean, text_of

TYPE_CHECKING = False  # as in typing, which costs 4 ms to import
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Draft", "follow"]


class Draft:
    """What was streamed of a message since it began or was last taken back."""

    def __init__(self) -> None:
        import hashlib  # 4 ms to import, for programs that are recorded

        self.digest = hashlib.sha256()
        self.length = 0
        self.completed = False
        self.final = False

    def append(self, text: str) -> None:
        self.digest.update(text.encode())
        self.length += len(text)
        self.completed = False

    def is_whole(self, text: str) -> bool:
        """Whether a text is exactly what was streamed."""
        other = Draft()
        other.append(text)
        return self.digest.digest() == other.digest.digest()


def follow(drafts: dict[str, Draft], type_: str, data: dict[str, Any]) -> None:
    """Keep length and hash of each message, however its events are written."""
    message_id = data.get("message_id")
    if not type_.startswith(("text.", "message.")) or not isinstance(message_id, str):
        return
    draft = drafts.get(message_id)
    if draft is None or type_ == "text.retracted":
        draft = drafts[message_id] = Draft()
    if type_ == "text.delta":
        draft.append(clean(text_of(data.get("text", ""))))
    elif type_ == "text.completed":
        draft.completed = True
        draft.final = draft.final or bool(data.get("final"))
