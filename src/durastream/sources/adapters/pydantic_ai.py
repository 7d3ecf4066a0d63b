"""Pydantic AI: what `agent.run_stream_events()` gives, one event a line.

    {"index":0,"part":{"content":"Mars has two m","part_kind":"text"},"event_kind":"part_start"}
    {"index":0,"delta":{"content_delta":"oons","part_delta_kind":"text"},"event_kind":"part_delta"}
    {"part":{"tool_name":…,"content":…,"tool_call_id":…,"outcome":"success"},"event_kind":"function_tool_result"}
    {"result":{"output":…,"usage":{…}},"event_kind":"agent_run_result"}

The first piece of a part is in its start. `index` begins again with each response of the model, and `final_result` is
no end. Text parts of one response with no call between them are one message, as they are one output.
"""

from __future__ import annotations

from typing import Any, ClassVar

from durastream.events import dumps
from durastream.sources.adapters import NO, STRONG, Narrator, Unmapped
from durastream.sources.adapters.calls import Calls, arguments

__all__ = ["PydanticAI"]

_PARTS = frozenset({"part_start", "part_delta", "part_end"})
_OTHERS = frozenset(
    {"final_result", "function_tool_call", "function_tool_result", "output_tool_call", "output_tool_result"}
)
_OUTCOMES = {None: "ok", "denied": "denied", "interrupted": "skipped", "success": "ok"}
_SAME_MESSAGE = ("text", "thinking")


class PydanticAI:
    name: ClassVar[str] = "pydantic-ai"
    note: ClassVar[str] = "Pydantic AI: run_stream_events(), one event a line"
    proven: ClassVar[str] = "library"
    commands: ClassVar[tuple[str, ...]] = ()
    terminal: ClassVar[bool] = True

    def __init__(self, say: Narrator) -> None:
        self._say = say
        self._messages = 0
        self._open: str | None = None
        self._parts = 0
        self._answer: str | None = None
        self._deferred: list[str] = []
        self._calls = Calls(say)

    @staticmethod
    def matches(line: Any) -> int:
        if type(line) is not dict or type(kind := line.get("event_kind")) is not str:
            return NO
        if kind in _PARTS:
            return STRONG if "index" in line else NO
        return STRONG if kind in _OTHERS or (kind == "agent_run_result" and "result" in line) else NO

    @staticmethod
    def when(line: Any) -> float | None:
        return None

    def take(self, line: Any) -> None:
        match line["event_kind"]:
            case "part_delta":
                self._delta(line["delta"])
            case "part_start":
                self._start(line["index"], line["part"])
            case "part_end":
                self._part_end(line["part"], line.get("next_part_kind"))
            case "function_tool_call":
                self._call(line["part"])
            case "function_tool_result":
                self._result(line.get("part") or line["result"])
            case "deferred_tool_requests":
                self._defer(line["requests"])
            case "deferred_tool_results":
                for id_, decision in (line["results"].get("approvals") or {}).items():
                    said = decision if type(decision) is bool else (decision or {}).get("kind") != "tool-denied"
                    self._say.decide(id_, "approved" if said else "denied")
            case "agent_run_result":
                self._end(line["result"])
            case "final_result" | "output_tool_call" | "output_tool_result":
                pass
            case _:
                raise Unmapped

    # text

    def _text(self, text: Any) -> None:
        if self._open is None:
            self._messages += 1
            self._open, self._parts = f"message-{self._messages}", 0
        self._say.text(self._open, text)

    def _close(self, whole: Any = None) -> None:
        """What follows is another message."""
        if self._open is not None:
            self._say.complete(self._open, whole)
            self._answer, self._open = self._open, None

    def _start(self, index: int, part: dict[str, Any]) -> None:
        kind = part["part_kind"]
        if index == 0 or kind not in _SAME_MESSAGE:
            self._close()
        self._say.go_on()
        if kind == "text":
            self._text(part["content"])
            self._parts += 1
        elif kind == "thinking":
            self._say.think(part["content"])
        elif kind == "builtin-tool-call":
            if part.get("args"):  # else they come with the part's end
                self._call(part)
        elif kind == "builtin-tool-return":
            self._result(part)
        elif kind not in ("tool-call", "file", "compaction"):
            raise Unmapped

    def _delta(self, delta: dict[str, Any]) -> None:
        kind = delta["part_delta_kind"]
        if kind == "text":
            if delta.get("content_delta"):
                self._text(delta["content_delta"])
            self._cite(delta.get("citations_delta"))
        elif kind == "thinking":
            self._say.think(delta.get("content_delta"))
        elif kind != "tool_call":
            raise Unmapped

    def _part_end(self, part: dict[str, Any], following: Any) -> None:
        kind = part["part_kind"]
        if kind == "builtin-tool-call":
            self._call(part)
        elif kind == "text":
            self._cite(part.get("citations"))
            if following not in _SAME_MESSAGE:
                self._say.cite(part["content"], origin="text")
                self._close(part["content"] if self._parts == 1 else None)

    def _cite(self, citations: Any) -> None:
        for citation in citations or []:
            for source in citation["sources"]:
                excerpts = source.get("excerpts") or [None]
                title = source.get("title") or source.get("document_id")
                self._say.source(url=source.get("url"), title=title, snippet=excerpts[0])

    # tools

    def _call(self, part: dict[str, Any]) -> None:
        self._calls.start(part["tool_call_id"], part["tool_name"], arguments(part.get("args")))

    def _result(self, part: dict[str, Any]) -> None:
        """What a tool gave. In releases before 2 a call that has to be made again had a part of another kind."""
        id_, name, content = part["tool_call_id"], part.get("tool_name"), part.get("content")
        outcome = "retried" if part["part_kind"] == "retry-prompt" else part.get("outcome")
        status = _OUTCOMES.get(outcome, "failed")
        if status == "ok":
            self._calls.end(id_, output=content, name=name)
        else:
            self._calls.end(id_, status, error=content, name=name)

    def _defer(self, requests: dict[str, Any]) -> None:
        """Calls that wait for leave, or for someone else to make them; if nobody does here, the run ends with them."""
        approvals = requests.get("approvals") or []
        self._deferred = [call["tool_call_id"] for call in (*approvals, *(requests.get("calls") or []))]
        for call in approvals:
            self._say.ask(call["tool_call_id"], f"{call['tool_name']} {dumps(arguments(call.get('args')))}")

    # the end

    def _end(self, result: dict[str, Any]) -> None:
        self._close()
        self._usage(result.get("usage") or {})
        output = result.get("output")
        waiting = [id_ for id_ in self._deferred if self._say.is_running(id_)]
        for id_ in waiting:
            self._say.end(id_, "skipped", error="deferred")
        if waiting:  # the output is what is asked
            self._say.declare("completed", message_id=self._answer)
        elif type(output) is str:
            if self._answer is None:
                self._say.complete("output", output)
                self._answer = "output"
            self._say.declare("completed", message_id=self._answer, text=output)
        else:  # a value, given by a call of the output tool: the answer is its JSON
            self._say.complete("output", dumps(output))
            self._say.declare("completed", message_id="output")

    def _usage(self, usage: dict[str, Any]) -> None:
        """Of the whole run, and told once. What a provider does not count is 0 here, and so unknown."""
        self._say.use(
            input_tokens=usage.get("input_tokens"),
            output_tokens=usage.get("output_tokens"),
            cached_tokens=usage.get("cache_read_tokens") or None,
            reasoning_tokens=usage.get("output_reasoning_tokens") or None,
            cost_usd=usage.get("cost"),
        )
