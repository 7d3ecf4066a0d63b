"""pi: `pi --mode json`.

    {"type":"session","version":3,"id":…,"timestamp":…,"cwd":…}
    {"type":"message_update","assistantMessageEvent":{"type":"text_delta","contentIndex":0,"delta":"Hel",…},…}
    {"type":"tool_execution_end","toolCallId":…,"toolName":…,"result":{…},"isError":false}
    {"type":"agent_end","messages":[…]}

Messages have no id: they are counted. Each text comes five times: as pieces, at its end, and in whole messages at the
end of the message, of the turn and of the agent. The `partial` that every piece carries is passed over.
"""

from __future__ import annotations

from typing import Any, ClassVar

from durastream.sources.adapters import NO, STRONG, Narrator, Unmapped
from durastream.sources.adapters.calls import Calls
from durastream.sources.adapters.times import from_iso, from_number, told
from durastream.sources.adapters.usage import total

__all__ = ["Pi"]

_WRITES = {"write": "add", "edit": "update"}
_FAILED = ("error", "aborted", "length")
_SILENT = frozenset({
    "agent_start", "agent_settled", "turn_start", "turn_end", "queue_update", "auto_retry_end", "compaction_end",
    "auto_compaction_end", "thinking_level_changed", "session_info_changed",
})  # fmt: skip
_OURS = frozenset({"message_update", "tool_execution_start", "tool_execution_update", "tool_execution_end"})


class Pi:
    name: ClassVar[str] = "pi"
    note: ClassVar[str] = "pi: pi --mode json"
    proven: ClassVar[str] = "real traces"
    commands: ClassVar[tuple[str, ...]] = ("pi",)
    terminal: ClassVar[bool] = True

    def __init__(self, say: Narrator) -> None:
        self._say = say
        self._messages = 0
        self._open: str | None = None
        self._answer: str | None = None
        self._model: str | None = None
        self._failed: str | None = None  # what the last message says went wrong
        self._calls = Calls(say)

    @staticmethod
    def matches(line: Any) -> int:
        if type(line) is not dict:
            return NO
        kind = line.get("type")
        if kind == "session":
            return STRONG if "version" in line and "id" in line and "cwd" in line else NO
        if kind in _OURS:
            return STRONG if "assistantMessageEvent" in line or "toolCallId" in line else NO
        return NO

    @staticmethod
    def when(line: Any) -> float | None:
        """A line about a message tells when that message began."""
        return from_number(told(line, "message", "timestamp"), 1000) or from_iso(told(line, "timestamp"))

    def take(self, line: Any) -> None:
        say, kind = self._say, line["type"]
        if kind in _SILENT:
            return
        match kind:
            case "message_update":
                self._update(line["assistantMessageEvent"])
            case "message_start":
                self._start(line["message"])
            case "message_end":
                if line["message"]["role"] == "assistant":
                    self._end(line["message"])
            case "tool_execution_start":
                self._use(line)
            case "tool_execution_update":
                if text := _text(line["partialResult"]):
                    say.progress(line["toolCallId"], text[-500:])
            case "tool_execution_end":
                self._result(line)
            case "agent_end":
                self._declare(line["messages"])
            case "session":
                say.identify(name="pi", session_id=line["id"], cwd=line["cwd"])
            case "auto_retry_start":
                self._retry(line)
            case "compaction_start" | "auto_compaction_start":
                say.log(f"compaction: {line.get('reason', '')}")
            case _:
                raise Unmapped

    # messages

    def _start(self, message: dict[str, Any]) -> None:
        self._say.go_on()
        if message["role"] == "assistant":
            self._begin()
        elif message["role"] == "user" and (prompt := _text(message)):
            self._say.identify(prompt=prompt)

    def _begin(self) -> str:
        self._messages += 1
        self._open = f"m{self._messages}"
        return self._open

    def _update(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "text_delta":
                self._say.text(self._open or self._begin(), event["delta"])
            case "thinking_delta":
                self._say.think(event["delta"])
            case _:
                pass  # its start and its end, and the arguments of calls: they come again, whole

    def _end(self, message: dict[str, Any]) -> None:
        say, id_, text = self._say, self._open or self._begin(), _text(message)
        self._open = None
        if message.get("model") and message["model"] != self._model:
            self._model = message["model"]
            say.identify(model=self._model)
        if text or say.is_open(id_):
            say.complete(id_, text)
            self._answer = id_
        self._usage(message)
        self._failed = None
        if message.get("stopReason") in _FAILED:
            self._failed = str(message.get("errorMessage") or f"the model stopped: {message['stopReason']}")
            say.fail(self._failed)

    def _usage(self, message: dict[str, Any]) -> None:
        usage = message.get("usage") or {}
        if not usage.get("totalTokens"):
            return  # a request that failed tells zeros: nobody knows
        self._say.use(  # cached input is told apart: here it is in the sum, as elsewhere
            scope="request",
            model=message.get("model"),
            input_tokens=total(usage["input"], usage.get("cacheRead"), usage.get("cacheWrite")),
            cached_tokens=usage.get("cacheRead"),
            output_tokens=usage["output"],
            cost_usd=(usage.get("cost") or {}).get("total"),
        )

    def _retry(self, line: dict[str, Any]) -> None:
        """The last message failed: pi drops it and asks again."""
        message = line.get("errorMessage") or self._failed
        self._say.log(f"retry {line.get('attempt')} of {line.get('maxAttempts')}: {message}")
        if self._failed is not None and self._answer == f"m{self._messages}":
            self._say.retract(self._answer, "the request failed and is made again")
            self._answer = None

    def _declare(self, messages: list[dict[str, Any]]) -> None:
        """The end of what was asked for; after a failure that is retried, of this attempt."""
        if self._failed is not None:
            self._say.declare("failed", error=self._failed[:1000])
            return
        last = next((message for message in reversed(messages) if message["role"] == "assistant"), None)
        text = _text(last) if last else ""
        self._say.declare("completed", message_id=self._answer, text=text or None)

    # tools

    def _use(self, line: dict[str, Any]) -> None:
        parent = line.get("parentToolCallId")
        if parent is not None and not self._say.is_running(parent):
            parent = None
        self._calls.start(line["toolCallId"], line["toolName"], line.get("args"), parent=parent)

    def _result(self, line: dict[str, Any]) -> None:
        id_, name, text = line["toolCallId"], line["toolName"], _text(line["result"])
        if line["isError"]:
            self._calls.end(id_, "failed", error=text, name=name)
            return
        call = self._calls.end(id_, output=text or None, name=name)
        if call is not None and name in _WRITES and type(call.input) is dict:
            self._say.artifact(call.input.get("path"), _WRITES[name])


def _text(message: Any) -> str:
    """The text of a message or of a tool's result."""
    content = message["content"]
    if type(content) is str:
        return content
    return "".join(block["text"] for block in content if block["type"] == "text")
