"""opencode: `opencode run --format json`.

    {"type":"tool_use","timestamp":…,"sessionID":…,"part":{"tool":…,"callID":…,"state":{…}}}
    {"type":"text","timestamp":…,"sessionID":…,"part":{"id":…,"messageID":…,"text":…}}
    {"type":"step_finish","timestamp":…,"sessionID":…,"part":{"reason":"stop","tokens":{…},"cost":…}}

Texts come whole and tools once they are finished, so a tool can stand before the text that led to it. There is no last
record: the model call that ends for another reason than to call tools is the last one, and its text is the answer.
"""

from __future__ import annotations

from typing import Any, ClassVar

from durastream.sources.adapters import NO, STRONG, Narrator, Unmapped
from durastream.sources.adapters.calls import sources_of, title_of
from durastream.sources.adapters.plans import plan_of
from durastream.sources.adapters.times import from_number, told
from durastream.sources.adapters.usage import total

__all__ = ["Opencode"]

_TYPES = frozenset({"step_start", "text", "reasoning", "tool_use", "step_finish", "error"})
_GOES_ON = ("tool-calls", "unknown")
_CUT_OFF = ("length", "content-filter", "error")
_REFUSED = "this specific tool call"
"""Both words for a permission that was not given end with this."""


class Opencode:
    name: ClassVar[str] = "opencode"
    note: ClassVar[str] = "opencode: opencode run --format json"
    proven: ClassVar[str] = "real traces"
    commands: ClassVar[tuple[str, ...]] = ("opencode",)
    terminal: ClassVar[bool] = True

    def __init__(self, say: Narrator) -> None:
        self._say = say
        self._session: str | None = None
        self._last = ("", "", "")  # of the last text: its message, its id, and what it says

    @staticmethod
    def matches(line: Any) -> int:
        if type(line) is not dict or line.get("type") not in _TYPES or type(line.get("sessionID")) is not str:
            return NO
        return STRONG if "part" in line or "error" in line else NO

    @staticmethod
    def when(line: Any) -> float | None:
        return from_number(told(line, "timestamp"), 1000)

    def take(self, line: Any) -> None:
        kind, say = line["type"], self._say
        if kind not in _TYPES:
            raise Unmapped
        if self._session is None:
            say.identify(name="opencode", session_id=line["sessionID"])
            self._session = line["sessionID"]
        if kind == "error":
            error = line["error"]
            data = error.get("data")
            message = (data.get("message") if type(data) is dict else None) or error["name"]
            say.fail(message, fatal=True)
            say.declare("failed", error=str(message)[:1000])
            return
        part = line["part"]
        match kind:
            case "text":
                say.complete(part["id"], part["text"])
                self._last = part["messageID"], part["id"], part["text"]
            case "reasoning":
                say.think(part["text"] + "\n\n")
            case "tool_use":
                self._tool(part)
            case "step_finish":
                self._finish(part)
            case _:
                say.go_on()  # step_start

    def _tool(self, part: dict[str, Any]) -> None:
        say, id_, name, state = self._say, part["callID"], part["tool"], part["state"]
        taken, given = state.get("input"), state.get("output")
        failed = state["status"] != "completed"
        plan = None if failed else plan_of(name, taken)
        if plan is not None:
            say.plan(plan)
            return
        metadata, time = state.get("metadata") or {}, state.get("time") or {}
        duration = time["end"] - time["start"] if "end" in time and "start" in time else None
        error = str(state.get("error") or "") if failed else None
        code = metadata.get("exit")
        if not failed and code:
            failed, error = True, f"exit code {code}"
        say.start(id_, title_of(name, taken), kind="agent" if name == "task" else "tool", input=taken)
        say.end(
            id_,
            "denied" if error and _REFUSED in error else "failed" if failed else "ok",
            output=given,
            error=error,
            duration=None if duration is None else duration / 1000,
        )
        if not failed:
            sources_of(say, id_, name, taken, given)
            self._artifacts(name, taken, metadata)

    def _artifacts(self, name: str, taken: Any, metadata: dict[str, Any]) -> None:
        if name == "write":
            action = "add" if metadata.get("exists") is False else "update"
            self._say.artifact(metadata.get("filepath") or taken["filePath"], action)
        elif name == "edit":
            self._say.artifact(taken["filePath"], "update")

    def _finish(self, part: dict[str, Any]) -> None:
        """The end of one model call."""
        say, reason, tokens = self._say, part["reason"], part.get("tokens") or {}
        cache = tokens.get("cache") or {}
        say.use(  # cached input and reasoning are told apart there: here they are in the sums, as in other formats
            scope="request",
            input_tokens=total(tokens.get("input"), cache.get("read"), cache.get("write")),
            cached_tokens=cache.get("read"),
            output_tokens=total(tokens.get("output"), tokens.get("reasoning")),
            reasoning_tokens=tokens.get("reasoning"),
            cost_usd=part.get("cost"),
        )
        if reason in _GOES_ON:
            return
        if reason in _CUT_OFF:
            say.fail(f"the model stopped: {reason}", fatal=True)
            say.declare("failed", error=f"the model stopped: {reason}")
            return
        message, id_, text = self._last
        if message != part["messageID"]:
            say.declare("completed")
            return
        say.cite(text, origin="text")
        say.declare("completed", message_id=id_)
