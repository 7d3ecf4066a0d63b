"""OpenAI Responses: what `POST /v1/responses` streams, as server-sent events or as the objects of the SDK, one a line.

    {"type":"response.output_text.delta","sequence_number":15,"item_id":"msg_1","delta":"Mars has",…}
    {"type":"response.output_item.done","sequence_number":22,"item":{"id":"msg_1","type":"message",…}}

A response is a turn. Several may follow in one stream: the end of the last one is the run's. A text comes up to five
times: the deltas are told, the item and the response are compared with them. What a stream that was picked up again
repeats is known by its sequence number. A function call is only requested here, see `providers`.
"""

from __future__ import annotations

import contextlib
import math
from collections import OrderedDict
from typing import Any, ClassVar

from durastream.sources.adapters import NO, STRONG, Narrator, Unmapped
from durastream.sources.adapters.calls import arguments
from durastream.sources.adapters.openai_items import cite, is_served, parts, tell, title
from durastream.sources.adapters.providers import Thoughts
from durastream.sources.adapters.times import from_number, told
from durastream.sources.adapters.usage import Tally, of_responses

__all__ = ["OpenAIResponses"]

_REMEMBERED = 512
_LATE = frozenset({"mcp_call", "code_interpreter_call"})
_QUIET = frozenset(
    {
        "code_interpreter_call_code.delta", "content_part.added", "content_part.done", "custom_tool_call_input.delta",
        "custom_tool_call_input.done", "function_call_arguments.delta", "function_call_arguments.done",
        "image_generation_call.partial_image", "mcp_call_arguments.delta", "output_text.done",
        "reasoning_summary_part.added", "reasoning_summary_part.done", "refusal.done", "shell_call_command.added",
        "shell_call_command.delta", "shell_call_command.done", "shell_call_output_content.delta",
        "shell_call_output_content.done",
    }
)  # fmt: skip
"""Parts of what the item that is done tells whole."""

_THOUGHTS = frozenset({"reasoning_summary_text.delta", "reasoning_text.delta"})
_THOUGHTS_END = frozenset({"reasoning_summary_text.done", "reasoning_text.done"})
_STATES = frozenset({"in_progress", "searching", "generating", "interpreting", "completed", "failed"})


class OpenAIResponses:
    name: ClassVar[str] = "openai-responses"
    note: ClassVar[str] = "OpenAI Responses API, streamed: server-sent events, or the SDK's events as JSON lines"
    proven: ClassVar[str] = "hand-made"
    commands: ClassVar[tuple[str, ...]] = ()
    terminal: ClassVar[bool] = True

    def __init__(self, say: Narrator) -> None:
        self._say = say
        self._tally = Tally(say)
        self._thoughts = Thoughts(say)
        self._model: Any = None
        self._response: Any = None
        self._over: Any = None
        self._answer: str | None = None
        self._titles: dict[str, str] = {}  # of calls that have begun and whose input is still being written
        self._seen: OrderedDict[str, float] = OrderedDict()  # the last number told of an item; infinite: it is done

    @staticmethod
    def matches(line: Any) -> int:
        kind = line.get("type") if type(line) is dict else None
        if type(kind) is not str or not kind.startswith("response."):
            return NO
        response = line.get("response")
        whole = type(response) is dict and response.get("object") == "response"
        return STRONG if whole or "sequence_number" in line else NO

    @staticmethod
    def when(line: Any) -> float | None:
        """A response tells when it was made and when it was complete; what is between tells nothing."""
        over = told(line, "type") == "response.completed"
        return from_number(told(line, "response", "completed_at" if over else "created_at"))

    def take(self, line: Any) -> None:
        kind: str = line["type"]
        if kind == "response.output_text.delta" or kind == "response.refusal.delta":
            if self._is_new(line):
                self._say.text(line["item_id"], line["delta"])
            return
        kind = kind.removeprefix("response.")
        match kind:
            case "created" | "queued" | "in_progress":
                self._begin(line["response"])
            case "completed" | "failed" | "incomplete":
                self._end(line["response"])
            case "error":
                error = line["error"] if type(line.get("error")) is dict else line
                self._fail(f"{error.get('code') or 'error'}: {error['message']}")
            case "output_item.added":
                self._added(line["item"])
            case "output_item.done":
                self._done(line["item"])
            case "output_text.annotation.added":
                cite(self._say, line["annotation"])
            case "mcp_call_arguments.done" | "code_interpreter_call_code.done":
                self._input(line)
            case _:
                self._thought(kind, line)

    def _thought(self, kind: str, line: dict[str, Any]) -> None:
        """Thought that is streamed, as a summary or as it is; or nothing that is not told whole later."""
        if kind in _THOUGHTS:
            if self._is_new(line):
                self._thoughts.add(line["delta"])
        elif kind in _THOUGHTS_END:
            if self._is_new(line):
                self._thoughts.end()
        elif kind not in _QUIET and kind.rpartition(".")[2] not in _STATES:
            raise Unmapped

    def _is_new(self, line: dict[str, Any]) -> bool:
        """Whether this was not told of its item before."""
        item, number = line["item_id"], line.get("sequence_number")
        last = self._seen.get(item, -1)
        if number is None:
            self._seen.setdefault(item, 0)
            return last != math.inf
        if number <= last:
            return False
        self._seen[item] = number
        return True

    def _begin(self, response: dict[str, Any]) -> None:
        id_, model = response["id"], response.get("model")
        if id_ == self._response:
            return
        if model != self._model:
            self._say.identify(model=model)
        self._say.go_on()
        self._model, self._response, self._answer = model, id_, None

    def _added(self, item: dict[str, Any]) -> None:
        """What the provider runs begins; where its input is told before its end, it begins with that."""
        id_ = item["id"]
        if id_ in self._seen or not is_served(item) or item["type"] == "shell_call":
            return
        if item["type"] in _LATE:
            self._titles[id_] = title(item)
        else:
            self._say.start(id_, title(item))

    def _input(self, line: dict[str, Any]) -> None:
        given = {"code": line["code"]} if "code" in line else arguments(line["arguments"])
        known = self._titles.pop(line["item_id"], None)
        if known is not None:
            self._say.start(line["item_id"], known, input=given)

    def _done(self, item: dict[str, Any]) -> None:
        """An item is whole: it is told by itself, and again in the response."""
        id_ = item.get("id") or item["call_id"]
        last = self._seen.get(id_)
        if last == math.inf:
            return
        match item["type"]:
            case "message":
                self._message(id_, item)
            case "reasoning":
                if last is None:  # none of it was streamed
                    for part in [*(item.get("summary") or []), *(item.get("content") or [])]:
                        self._thoughts.add(part["text"])
                        self._thoughts.end()
            case _:
                tell(self._say, item)
        self._titles.pop(id_, None)
        self._seen[id_] = math.inf
        self._seen.move_to_end(id_)
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)

    def _message(self, id_: str, item: dict[str, Any]) -> None:
        for part in item["content"]:
            for annotation in part.get("annotations") or []:
                cite(self._say, annotation)
            if part.get("refusal"):
                self._say.fail(f"the model refuses: {part['refusal']}", severity="warning")
        self._say.complete(id_, "".join(parts(item)))
        self._answer = id_

    def _end(self, response: dict[str, Any]) -> None:
        """The response is over. Whether it ended well is in its status, whatever the event is called."""
        if response["id"] == self._over:
            return
        answer = None
        for item in response.get("output") or []:
            with contextlib.suppress(Unmapped):  # it was kept when it was done
                self._done(item)
            if item["type"] == "message":
                answer = "".join(parts(item))
        self._tally.report(response["id"], **of_responses(response.get("usage") or {}))
        self._over = response["id"]
        status, error = response.get("status"), response.get("error")
        if error:
            self._fail(f"{error.get('code')}: {error.get('message')}")
        elif status != "completed":
            reason = (response.get("incomplete_details") or {}).get("reason")
            self._fail(f"the response is {status}" + (f": {reason}" if reason else ""))
        else:
            self._say.declare("completed", message_id=self._answer, text=answer or None)

    def _fail(self, message: str) -> None:
        self._say.fail(message, fatal=True)
        self._say.declare("failed", error=message[:1000])
