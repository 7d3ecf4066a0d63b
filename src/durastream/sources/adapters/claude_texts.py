"""What an agent of Claude Code's family says and thinks itself: block by block, streamed and then repeated whole.

Each text block is a message of its own, `<message id>/<n>`, for the result of a run repeats the last one. The whole
block comes before the stop of the streamed one (Claude Code) or after it (Qwen Code): the n-th whole text of a message
is the n-th that was streamed.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Any

from durastream.sources.adapters import Narrator, Unmapped

__all__ = ["Texts"]

_REMEMBERED = 256


class Texts:
    """The texts of one lane, the agent's own. `answer` is the last one, by its id."""

    def __init__(self, say: Narrator) -> None:
        self.answer: str | None = None
        self._say = say
        self._message: Any = "message"
        self._count = 0
        self._block: str | None = None
        self._streamed: deque[str] = deque()
        self._thought = False
        self._told: OrderedDict[str, list[str]] = OrderedDict()

    def stream(self, event: dict[str, Any]) -> None:
        """An event of the Messages API."""
        match event["type"]:
            case "content_block_delta":
                self._delta(event["delta"])
            case "content_block_start":
                block = event["content_block"]
                self._block = self._begin() if block["type"] == "text" else None
                if self._block is not None:
                    self._say.text(self._block, block.get("text"))
            case "content_block_stop":
                self._block = None
            case "message_start":
                self._say.go_on()
                self.enter(event["message"]["id"])
            case "message_delta" | "message_stop" | "ping":
                pass
            case _:
                raise Unmapped

    def _delta(self, delta: dict[str, Any]) -> None:
        match delta["type"]:
            case "text_delta":
                if self._block is None:
                    self._block = self._begin()
                self._say.text(self._block, delta["text"])
            case "thinking_delta":
                self._say.think(delta["thinking"])
                self._thought = self._thought or bool(delta["thinking"])
            case "citations_delta":
                self.cite([delta["citation"]])
            case "input_json_delta" | "signature_delta":
                pass  # the whole input comes with the whole block
            case _:
                raise Unmapped

    def _begin(self) -> str:
        block = self._new()
        self._streamed.append(block)
        return block

    def _new(self) -> str:
        self._count += 1
        return f"{self._message}/{self._count}"

    def enter(self, message_id: Any) -> None:
        """Blocks are of this message from now on."""
        if message_id != self._message:
            self.leave()
            self._message, self._count, self._block, self._thought = message_id, 0, None, False

    def leave(self) -> None:
        """What was streamed and not repeated is complete as it is."""
        for block in self._streamed:
            if self._say.is_open(block):
                self._say.complete(block)
                self.answer = block
        self._streamed.clear()

    def next_whole(self) -> str:
        """The id of the next whole text."""
        return self._streamed.popleft() if self._streamed else self._new()

    def whole(self, id_: str, text: str, citations: Iterable[dict[str, Any]]) -> None:
        self._say.complete(id_, text)
        self.cite(citations)
        if text:
            self.answer = id_

    def thought(self, text: str) -> None:
        """A whole thought, which may have been streamed before and may be empty. An empty line ends it."""
        if text or self._thought:
            self._say.think("\n\n" if self._thought else text + "\n\n")
        self._thought = False

    def cite(self, citations: Iterable[dict[str, Any]]) -> None:
        for one in citations:
            self._say.source(url=one.get("url"), title=one.get("title"), snippet=one.get("cited_text"))

    # what is taken back

    def remember(self, uuid: Any, told: list[str]) -> None:
        """The texts of a line, and the calls, for the next few hundred lines."""
        if uuid and told:
            self._told[uuid] = told
            if len(self._told) > _REMEMBERED:
                self._told.popitem(last=False)

    def recall(self, uuid: str) -> list[str]:
        return self._told.pop(uuid, [])

    def retract(self, id_: str, reason: str) -> None:
        self._say.retract(id_, reason)
        if self.answer == id_:
            self.answer = None
