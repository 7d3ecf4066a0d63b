"""OpenAI Chat Completions: the chunks of a streamed completion, as servers of many vendors send them.

    {"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Mars"}}]}
    {"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

A completion is a turn. It ends with its finish_reason, and with no repetition of its text. Several may follow: the end
of the last one is the run's. A tool call is only requested here, see `providers`: a turn that ends with `tool_calls`
has ended well. One that was cut, by `length` or a filter, has not.
"""

from __future__ import annotations

from typing import Any, ClassVar

from durastream.sources.adapters import NO, STRONG, WEAK, Narrator, Unmapped
from durastream.sources.adapters.calls import arguments
from durastream.sources.adapters.links import Links
from durastream.sources.adapters.providers import request
from durastream.sources.adapters.times import from_number, told
from durastream.sources.adapters.usage import Tally

__all__ = ["OpenAIChat"]

_CHUNK = "chat.completion.chunk"
_GOOD = frozenset({"stop", "tool_calls", "function_call"})
_DERIVED = ("content.", "refusal.", "tool_calls.function.arguments.", "logprobs.")
"""What the SDK's `stream()` makes of the chunks that it gives out too."""


class _Turn:
    """A choice of a completion, until its finish_reason."""

    __slots__ = ("calls", "latest", "links", "message_id", "refused")

    def __init__(self, message_id: str) -> None:
        self.message_id = message_id
        self.links = Links()
        self.calls: list[dict[str, Any]] = []
        self.latest: dict[Any, dict[str, Any]] = {}  # the call at an index
        self.refused = False


class OpenAIChat:
    name: ClassVar[str] = "openai-chat"
    note: ClassVar[str] = (
        "OpenAI Chat Completions and compatible servers, streamed: chunks as server-sent events or lines"
    )
    proven: ClassVar[str] = "hand-made"
    commands: ClassVar[tuple[str, ...]] = ()
    terminal: ClassVar[bool] = True

    def __init__(self, say: Narrator) -> None:
        self._say = say
        self._tally = Tally(say)
        self._open: dict[tuple[Any, Any], _Turn] = {}
        self._turns = 0
        self._model: Any = None
        self._finished: Any = None

    @staticmethod
    def matches(line: Any) -> int:
        if type(line) is not dict:
            return NO
        if line.get("object") == _CHUNK:
            return STRONG
        if line.get("type") == "chunk" and type(chunk := line.get("chunk")) is dict and chunk.get("object") == _CHUNK:
            return STRONG
        choices = line.get("choices")
        first = choices[0] if type(choices) is list and choices else None
        return WEAK if type(first) is dict and type(first.get("delta")) is dict else NO

    @staticmethod
    def when(line: Any) -> float | None:
        """When the completion was begun: all of its chunks tell the same."""
        return from_number(told(line, "created"))

    def take(self, line: Any) -> None:
        error = line.get("error")
        if error:
            self._fail(error)
            return
        if "choices" not in line:
            self._other(line)
            return
        for choice in line["choices"]:
            self._choice(line, choice)
        if "citations" in line or "search_results" in line:
            self._cited(line)
        usage = line.get("usage")
        if usage:
            self._usage(line.get("id"), usage)

    def _other(self, line: dict[str, Any]) -> None:
        """The SDK's own events: a chunk, or what it made of one."""
        if line["type"] == "chunk":
            self.take(line["chunk"])
        elif not line["type"].startswith(_DERIVED):
            raise Unmapped

    def _choice(self, line: dict[str, Any], choice: dict[str, Any]) -> None:
        key = line.get("id"), choice.get("index", 0)
        turn = self._open.get(key)
        delta = choice.get("delta") or {}
        content = delta.get("content")
        if content and type(content) is not str:
            raise Unmapped
        if len(delta) > 1 or not content:
            turn = self._more(line, key, turn, delta)
        if content:
            turn = turn or self._begin(line, key)
            turn.links.add(content)
            self._say.text(turn.message_id, content)
        reason = choice.get("finish_reason")
        if reason:
            self._finish(key, turn, reason)

    def _more(
        self, line: dict[str, Any], key: tuple[Any, Any], turn: _Turn | None, delta: dict[str, Any]
    ) -> _Turn | None:
        """What a delta may hold beside text. Thought has two names, and under both it is the same."""
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        refusal, calls = delta.get("refusal"), delta.get("tool_calls") or []
        if delta.get("function_call"):
            calls = [*calls, {"function": delta["function_call"]}]
        if thought or refusal or calls:
            turn = turn or self._begin(line, key)
            self._say.think(thought)
            for call in calls:
                _collect(turn, call)
            if refusal:
                self._say.text(turn.message_id, refusal)
                turn.refused = True
        for annotation in delta.get("annotations") or []:
            if annotation.get("type") == "url_citation":
                self._say.source(url=annotation["url_citation"]["url"], title=annotation["url_citation"].get("title"))
        return turn

    def _begin(self, line: dict[str, Any], key: tuple[Any, Any]) -> _Turn:
        """The first words of a choice. Servers repeat ids, so from the second on ours has a number too."""
        id_, index = key
        self._turns += 1
        turn = self._open[key] = _Turn(str(id_) if self._turns == 1 else f"{id_}/{self._turns}")
        if line.get("model") != self._model:
            self._model = line.get("model")
            self._say.identify(model=self._model)
        if index == 0:
            self._say.go_on()
        else:
            self._say.begin(turn.message_id, role="alternative")
        return turn

    def _finish(self, key: tuple[Any, Any], turn: _Turn | None, reason: Any) -> None:
        say, (id_, index) = self._say, key
        if turn is None and id_ == self._finished:
            return  # some servers say it twice
        message_id = None
        if turn is not None:
            message_id = turn.message_id
            say.complete(message_id)
            turn.links.cite(say)
            for number, call in enumerate(turn.calls):
                request(say, call["id"] or f"{message_id}/{number}", call["name"], arguments("".join(call["input"])))
            if turn.refused:
                say.fail("the model refuses", severity="warning")
            del self._open[key]
        if index != 0:
            return
        self._finished = id_
        if reason in _GOOD:
            say.declare("completed", message_id=message_id)
        else:
            self._fail(f"the completion ended with finish_reason {reason}")

    def _cited(self, line: dict[str, Any]) -> None:
        """Where some vendors name the pages that the answer rests on, in every chunk again."""
        for result in line.get("search_results") or []:
            self._say.source(url=result["url"], title=result.get("title"))
        for url in line.get("citations") or []:
            self._say.source(url=url)

    def _usage(self, id_: Any, usage: dict[str, Any]) -> None:
        self._tally.report(
            id_,
            input_tokens=usage.get("prompt_tokens"),
            cached_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens"),
            output_tokens=usage.get("completion_tokens"),
            reasoning_tokens=(usage.get("completion_tokens_details") or {}).get("reasoning_tokens"),
        )

    def _fail(self, error: Any) -> None:
        if type(error) is dict:
            error = error.get("message") or error
        self._say.fail(error, fatal=True)
        self._say.declare("failed", error=str(error)[:1000])


def _collect(turn: _Turn, piece: dict[str, Any]) -> None:
    """A piece of a call: by its index, for only the first piece has the id. Some servers give all calls index 0."""
    index, id_ = piece.get("index", 0), piece.get("id")
    told = piece.get("function") or piece.get("custom") or {}
    call = turn.latest.get(index)
    if call is None or (id_ and call["id"] and id_ != call["id"]):
        call = turn.latest[index] = {"id": id_, "name": told.get("name"), "input": []}
        turn.calls.append(call)
    call["input"].append(told.get("arguments") or told.get("input") or "")
