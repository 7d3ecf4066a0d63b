"""The answer and other messages: streamed in pieces, taken back, declared whole."""

from __future__ import annotations

from durastream import forks
from durastream.api.context import current
from durastream.api.facts import emit
from durastream.api.values import clean, text_of

TYPE_CHECKING = False  # as in typing, which costs 4 ms to import
if TYPE_CHECKING:
    from durastream.api.sink import Sink

__all__ = ["complete", "final_answer", "finish", "reasoning", "retract", "stream", "text"]


def text(chunk: str | None, *, message_id: str = "answer") -> None:
    """Stream a piece of a message. None and the empty string, which models send too, are no event.

    One process streams a message: give each its own `message_id` when several write at once.
    """
    sink = current()
    if sink is not None and chunk is not None:
        stream(sink, clean(text_of(chunk)), message_id)


def stream(sink: Sink, chunk: str, message_id: str = "answer") -> None:
    """Stream a piece of a message of a run that is known."""
    if not chunk:
        return
    with forks.lock:
        _begin(sink, message_id)
        sink.write("text.delta", {"message_id": message_id, "text": chunk})


def _begin(sink: Sink, message_id: str) -> None:
    if message_id not in sink.drafts:
        sink.write("message.started", {"message_id": message_id, "role": "assistant"})


def complete(message_id: str = "answer") -> None:
    """Say that a message is whole. Its length and SHA-256 are recorded, so that a loss is noticed."""
    sink = current()
    if sink is not None:
        _complete(sink, message_id)


def final_answer(text: str | None = None, *, message_id: str = "answer") -> None:
    """Say which message is the answer, and that it is whole.

    With `text`, that is what you hand over: it is streamed now if nothing was streamed before, else compared with
    what was. A difference is recorded beside the streamed text, and every view of the run reports it.
    """
    sink = current()
    if sink is None:
        return
    with forks.lock:
        draft = sink.drafts.get(message_id)
        if text is not None:
            declared = clean(text_of(text))
            if draft is None or not draft.length:
                _begin(sink, message_id)
                stream(sink, declared, message_id)
            elif not draft.is_whole(declared):
                # The recorder takes an agent's `run.completed` as its word on its own end, and compares.
                sink.write("run.completed", {"answer": {"message_id": message_id, "text": declared}})
        _complete(sink, message_id, final=True)


def _complete(sink: Sink, message_id: str, *, final: bool | None = None) -> None:
    with forks.lock:
        draft = sink.drafts.get(message_id)
        if draft is None or (draft.completed and (draft.final or not final)):
            return
        sha256 = draft.digest.hexdigest()
        data = {"message_id": message_id, "sha256": sha256, "length": draft.length, "final": final}
        sink.write("text.completed", data)


def finish() -> None:
    """Declare the answer final at the end of an agent, unless it or another message was declared before."""
    sink = current()
    if sink is None:
        return
    with forks.lock:
        if not any(draft.final for draft in sink.drafts.values()):
            final_answer()


def retract(reason: str, message_id: str = "answer") -> None:
    """Take back all that was streamed of a message. It stays in the log; what follows is the message."""
    emit("text.retracted", message_id=message_id, reason=text_of(reason))


def reasoning(text: str | None, *, message_id: str | None = None) -> None:
    """Stream a piece of reasoning, which is no part of the answer."""
    if text:
        emit("reasoning.delta", text=text_of(text), message_id=message_id)
