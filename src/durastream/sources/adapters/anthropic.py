"""Anthropic Messages: what `POST /v1/messages` streams, as server-sent events or as the objects of the SDK, one a line.

    {"type":"message_start","message":{"id":"msg_1","model":…,"usage":{…}}}
    {"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"Mars has"}}
    {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":60}}

A message is a turn. Several may follow in one stream: the end of the last one is the run's. The SDK's
`messages.stream()` gives each delta out twice, the second time as an event of its own with all that came before: only
the first counts, and the whole message at the end is compared. A call of the agent's own tools is only requested here,
see `providers`: a message that ends with `tool_use` has ended well. One that was cut, paused or refused has not.
"""

from __future__ import annotations

from typing import Any, ClassVar

from durastream.sources.adapters import NO, STRONG, Narrator, Unmapped
from durastream.sources.adapters.calls import arguments
from durastream.sources.adapters.links import Links
from durastream.sources.adapters.providers import Thoughts, request
from durastream.sources.adapters.usage import Tally, of_messages

__all__ = ["Anthropic"]

_GOOD = frozenset({"end_turn", "stop_sequence", "tool_use"})
_BLOCK = frozenset({"content_block_start", "content_block_delta", "content_block_stop"})
_QUIET = frozenset({"ping", "text", "thinking", "signature", "input_json", "citation"})
_CALLS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})


class Anthropic:
    name: ClassVar[str] = "anthropic"
    note: ClassVar[str] = "Anthropic Messages API, streamed: server-sent events, or the SDK's events as JSON lines"
    proven: ClassVar[str] = "hand-made"
    commands: ClassVar[tuple[str, ...]] = ()
    terminal: ClassVar[bool] = True

    def __init__(self, say: Narrator) -> None:
        self._say = say
        self._tally = Tally(say)
        self._thoughts = Thoughts(say)
        self._model: Any = None
        self._reset("message")

    def _reset(self, message_id: str) -> None:
        self._id = message_id
        self._links = Links()
        self._blocks: dict[int, tuple[dict[str, Any], list[str]]] = {}  # open ones, with the pieces of their input
        self._used: dict[str, Any] = {}
        self._why: dict[str, Any] = {}

    @staticmethod
    def matches(line: Any) -> int:
        kind = line.get("type") if type(line) is dict else None
        if kind == "message_start":
            message = line.get("message")
            return STRONG if type(message) is dict and message.get("type") == "message" else NO
        return STRONG if type(kind) is str and kind in _BLOCK and type(line.get("index")) is int else NO

    @staticmethod
    def when(line: Any) -> float | None:
        return None

    def take(self, line: Any) -> None:
        kind: str = line["type"]
        match kind:
            case "content_block_delta":
                self._delta(line["index"], line["delta"])
            case "content_block_start":
                self._block(line["index"], line["content_block"])
            case "content_block_stop":
                self._block_end(line["index"])
            case "message_start":
                self._begin(line["message"])
            case "message_delta":
                self._use(line.get("usage") or {})
                self._why = line["delta"]
            case "message_stop":
                self._end(line.get("message"))
            case "error":
                error = line["error"]
                self._fail(f"{error.get('type')}: {error['message']}")
            case _:
                if kind not in _QUIET:
                    raise Unmapped

    def _begin(self, message: dict[str, Any]) -> None:
        id_, model = message["id"], message.get("model")
        if model != self._model:
            self._say.identify(model=model)
        self._say.go_on()
        self._model = model
        self._reset(id_)
        usage = message.get("usage") or {}
        self._use({**usage, "output_tokens": None})  # what it tells of that is a guess

    def _use(self, usage: dict[str, Any]) -> None:
        """What a message has used so far; of that, what is not told again stays."""
        self._used |= {name: amount for name, amount in usage.items() if amount is not None}
        self._tally.report(self._id, **of_messages(self._used))

    def _block(self, index: int, block: dict[str, Any]) -> None:
        say, kind = self._say, block["type"]
        if kind == "text":
            self._links.add(block["text"])
            say.text(self._id, block["text"])
        elif kind == "thinking":
            self._thoughts.add(block["thinking"])
        elif kind.endswith("_tool_result"):
            _result(say, block)
        elif kind not in _CALLS and kind != "redacted_thinking":
            raise Unmapped
        self._blocks[index] = (block, [])

    def _delta(self, index: int, delta: dict[str, Any]) -> None:
        match delta["type"]:
            case "text_delta":
                text = delta["text"]
                self._links.add(text)
                self._say.text(self._id, text)
            case "thinking_delta":
                self._thoughts.add(delta["thinking"])
            case "input_json_delta":
                self._blocks[index][1].append(delta["partial_json"])
            case "citations_delta":
                _cite(self._say, delta["citation"])
            case "signature_delta":
                pass
            case _:
                raise Unmapped

    def _block_end(self, index: int) -> None:
        block, pieces = self._blocks.get(index) or ({}, [])
        kind = block.get("type")
        if kind == "thinking":
            self._thoughts.end()
        elif kind in _CALLS:
            written = "".join(pieces)
            given = arguments(written) if written else block.get("input")
            if kind == "tool_use":
                request(self._say, block["id"], block["name"], given)
            else:
                server = block.get("server_name")
                self._say.start(block["id"], f"{server}.{block['name']}" if server else block["name"], input=given)
        self._blocks.pop(index, None)

    def _end(self, whole: dict[str, Any] | None) -> None:
        """The message is over. `whole` is the SDK's repetition of it."""
        say, text = self._say, None
        if whole is not None:
            text = "".join(block["text"] for block in whole["content"] if block["type"] == "text") or None
        say.complete(self._id, text)
        self._links.cite(say)
        reason = self._why.get("stop_reason")
        if reason in _GOOD:
            say.declare("completed", message_id=self._id, text=text)
        else:
            explained = (self._why.get("stop_details") or {}).get("explanation")
            self._fail(f"the message ended with stop_reason {reason}" + (f": {explained}" if explained else ""))

    def _fail(self, message: str) -> None:
        self._say.fail(message, fatal=True)
        self._say.declare("failed", error=message[:1000])


def _cite(say: Narrator, citation: dict[str, Any]) -> None:
    """What stands behind a place of the answer: a page, a search result of the agent's, or a document."""
    url = citation.get("url") or citation.get("source")
    title = citation.get("title") or citation.get("document_title")
    if url and "://" not in url:
        url, title = None, title or url
    say.source(url=url, title=title, snippet=citation.get("cited_text"))


def _result(say: Narrator, block: dict[str, Any]) -> None:
    """What a tool that the provider ran gave back."""
    id_, content, name = block["tool_use_id"], block["content"], block["type"].removesuffix("_tool_result")
    error: Any = None
    if block.get("is_error"):
        error = content
    elif type(content) is dict:
        code = content.get("return_code") or 0
        error = content.get("error_code") or (f"exit code {code}" if code else None)
    for result in content if type(content) is list else [content]:
        if type(result) is dict and result.get("url"):
            page = result.get("content")
            title = result.get("title") or (page.get("title") if type(page) is dict else None)
            say.source(url=result["url"], title=title, step_id=id_, origin="tool")
    say.end(id_, "ok" if error is None else "failed", output=_readable(content), error=error, title=name)


def _readable(value: Any) -> Any:
    """A result without what only the provider can read."""
    if type(value) is list:
        return [_readable(item) for item in value]
    if type(value) is dict:
        return {name: item for name, item in value.items() if not name.startswith("encrypted_")}
    return value
