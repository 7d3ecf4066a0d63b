"""OpenAI Agents SDK: what `Runner.run_streamed().stream_events()` gives, one event a line.

    {"type":"raw_response_event","data":{"type":"response.output_text.delta","item_id":…,"delta":…}}
    {"type":"run_item_stream_event","name":"tool_called","item":{"type":"tool_call_item","raw_item":{…}}}
    {"type":"agent_updated_stream_event","new_agent":{"name":…}}

The pieces come raw, the whole as items. What `durastream.tap(result)` adds at the end is `result.final_output`, which
no event holds: {"type":"run_result","final_output":…}. Models of others give every message the same id.
"""

from __future__ import annotations

from typing import Any, ClassVar

from durastream.events import dumps
from durastream.sources.adapters import NO, STRONG, WEAK, Narrator, Unmapped
from durastream.sources.adapters.calls import Calls, arguments
from durastream.sources.adapters.usage import of_responses

__all__ = ["OpenAIAgents"]

_TYPES = frozenset({"raw_response_event", "run_item_stream_event", "agent_updated_stream_event"})
_NO_ID = "__fake_id__"
_APOLOGY = "An error occurred while running the tool"
_FAILED = ("failed", "incomplete")
_THOUGHTS = ("response.reasoning_summary_text.delta", "response.reasoning_text.delta")
_QUIET = frozenset({"mcp_list_tools", "tool_search_called", "tool_search_output_created"})


class OpenAIAgents:
    name: ClassVar[str] = "openai-agents"
    note: ClassVar[str] = "OpenAI Agents SDK: stream_events(), one event a line"
    proven: ClassVar[str] = "library"
    commands: ClassVar[tuple[str, ...]] = ()
    terminal: ClassVar[bool] = False

    def __init__(self, say: Narrator) -> None:
        self._say = say
        self._responses = 0
        self._answer: str | None = None
        self._calls = Calls(say)
        self._thought = False

    @staticmethod
    def matches(line: Any) -> int:
        kind = line.get("type") if type(line) is dict else None
        if type(kind) is not str or kind not in _TYPES:
            return NO
        return STRONG if kind == "agent_updated_stream_event" or "data" in line or "item" in line else WEAK

    @staticmethod
    def when(line: Any) -> float | None:
        return None

    def take(self, line: Any) -> None:
        match line["type"]:
            case "raw_response_event":
                self._raw(line["data"])
            case "run_item_stream_event":
                self._item(line["name"], line["item"])
            case "agent_updated_stream_event":
                self._say.identify(name=line["new_agent"]["name"])
            case "run_result":
                self._wait(line.get("interruptions") or [])
                self._end(line["final_output"])
            case _:
                raise Unmapped

    def _id(self, item_id: Any) -> str:
        return f"message-{self._responses}" if item_id in (None, "", _NO_ID) else str(item_id)

    def _raw(self, data: dict[str, Any]) -> None:
        """An event of the model's stream. What is whole in it comes again as an item."""
        kind = data["type"]
        if kind == "response.output_text.delta" or kind == "response.refusal.delta":
            self._say.text(self._id(data["item_id"]), data["delta"])
        elif kind in _THOUGHTS:
            self._thought = True
            self._say.think(data["delta"])
        elif kind == "response.created":
            self._responses += 1
            self._say.go_on()
            self._say.identify(model=data["response"].get("model"))
        elif kind in ("response.completed", "response.incomplete", "response.failed"):
            self._used(data["response"])
            if kind == "response.failed":
                error = data["response"].get("error") or {}
                self._say.fail(error.get("message") or "the model's response failed")
        elif kind == "error":
            self._say.fail(data["message"])
        elif kind == "response.output_text.annotation.added":
            self._cite(data["annotation"])
        elif not kind.startswith("response."):
            raise Unmapped

    def _used(self, response: dict[str, Any]) -> None:
        used = of_responses(response.get("usage") or {})
        self._say.use(scope="request", model=response.get("model"), **used)

    def _cite(self, note: dict[str, Any]) -> None:
        if note.get("type") == "url_citation":
            self._say.source(url=note["url"], title=note.get("title"))
        elif note.get("type") in ("file_citation", "container_file_citation"):
            self._say.source(title=note.get("filename") or note.get("file_id"))

    def _item(self, name: str, item: dict[str, Any]) -> None:
        raw = item["raw_item"]
        match name:
            case "message_output_created":
                self._message(raw)
            case "reasoning_item_created":
                if not self._thought:
                    self._say.think("".join(part["text"] for part in raw.get("summary") or []))
                self._thought = False
            case "tool_called":
                self._called(raw)
            case "tool_output":
                self._output(raw, item.get("output", raw.get("output")))
            case "handoff_requested":
                self._say.start(raw["call_id"], raw["name"], kind="agent", input=arguments(raw.get("arguments")))
            case "handoff_occured" | "handoff_occurred":
                self._say.end(raw["call_id"], output=arguments(raw.get("output")), title="handoff", kind="agent")
            case "mcp_approval_requested":
                self._say.ask(
                    raw["id"], f"{raw.get('server_label', '')} {raw['name']} {raw.get('arguments', '')}".strip()
                )
            case "mcp_approval_response":
                self._say.decide(raw["approval_request_id"], "approved" if raw["approve"] else "denied")
            case _ if name in _QUIET:
                pass
            case _:
                raise Unmapped

    def _message(self, raw: dict[str, Any]) -> None:
        parts = raw["content"]
        text = "".join(part.get("text") or part.get("refusal") or "" for part in parts)
        id_ = self._id(raw.get("id"))
        self._say.complete(id_, text)
        for part in parts:
            for note in part.get("annotations") or []:
                self._cite(note)
        self._say.cite(text, origin="text")
        self._answer = id_

    def _called(self, raw: dict[str, Any]) -> None:
        """A tool of the program's own is answered later; one that the provider ran is over."""
        call_id = raw.get("call_id") or raw["id"]
        name = raw.get("name") or str(raw["type"]).removesuffix("_call").replace("_", " ")
        given = arguments(raw.get("arguments", raw.get("input", raw.get("action"))))
        self._calls.start(call_id, name, given)
        if "call_id" not in raw:
            error, output = raw.get("error"), raw.get("output", raw.get("results"))
            failed = bool(error) or raw.get("status") in _FAILED
            self._calls.end(call_id, "failed" if failed else "ok", error=error, output=output)

    def _output(self, raw: dict[str, Any], output: Any) -> None:
        """What a tool gave. The SDK answers for a tool that raised."""
        if type(output) is str and output.startswith(_APOLOGY):
            self._calls.end(raw["call_id"], "failed", error=output)
        else:
            self._calls.end(raw["call_id"], output=output)

    def _wait(self, calls: list[dict[str, Any]]) -> None:
        """The run stopped to be asked for leave to make these calls."""
        for call in calls:
            self._say.ask(call["call_id"], f"{call['name']} {call.get('arguments', '')}".strip())
            if self._say.is_running(call["call_id"]):
                self._say.end(call["call_id"], "skipped", error="waits for approval")

    def _end(self, output: Any) -> None:
        """The program has `result.final_output`: the text of the last message, or a value made of it."""
        if output is None:
            return
        if self._answer is None:
            self._answer = "final-output"
            self._say.complete(self._answer, output if type(output) is str else dumps(output))
        text = output if type(output) is str else None
        self._say.declare("completed", message_id=self._answer, text=text)
