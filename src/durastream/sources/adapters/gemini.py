"""Gemini CLI: `gemini -p … --output-format stream-json`.

    {"type":"init","timestamp":…,"session_id":…,"model":…}
    {"type":"message","timestamp":…,"role":"assistant","content":"Hel","delta":true}
    {"type":"tool_use","timestamp":…,"tool_name":…,"tool_id":…,"parameters":{…}}
    {"type":"result","timestamp":…,"status":"success","stats":{…}}

Messages have no id: one ends where a tool is used. The text after the last tool is the answer; nothing repeats it.
"""

from __future__ import annotations

from typing import Any, ClassVar

from durastream.sources.adapters import NO, STRONG, WEAK, Narrator, Unmapped
from durastream.sources.adapters.calls import Calls
from durastream.sources.adapters.links import Links
from durastream.sources.adapters.times import from_iso, told

__all__ = ["Gemini"]

_WRITES = {"write_file": "add", "replace": "update", "edit": "update"}


class Gemini:
    name: ClassVar[str] = "gemini"
    note: ClassVar[str] = "Gemini CLI: gemini -p … --output-format stream-json"
    proven: ClassVar[str] = "real traces"
    commands: ClassVar[tuple[str, ...]] = ("gemini",)
    terminal: ClassVar[bool] = True

    def __init__(self, say: Narrator) -> None:
        self._say = say
        self._messages = 0
        self._open: str | None = None
        self._answer: str | None = None
        self._links = Links()
        self._calls = Calls(say)

    @staticmethod
    def matches(line: Any) -> int:
        if type(line) is not dict or type(line.get("timestamp")) is not str:
            return NO
        match line.get("type"):
            case "init":
                return STRONG if "session_id" in line else NO
            case "tool_use":
                return STRONG if "tool_id" in line and "tool_name" in line else NO
            case "tool_result":
                return STRONG if "tool_id" in line and "status" in line else NO
            case "result":
                return STRONG if "stats" in line and "status" in line else NO
            case "message":
                return WEAK if "role" in line and "content" in line else NO
            case _:
                return NO

    @staticmethod
    def when(line: Any) -> float | None:
        return from_iso(told(line, "timestamp"))

    def take(self, line: Any) -> None:
        match line["type"]:
            case "message":
                self._message(line["role"], line["content"])
            case "tool_use":
                self._close()
                self._answer = None
                self._calls.start(line["tool_id"], line["tool_name"], line.get("parameters"))
            case "tool_result":
                self._result(line)
            case "init":
                self._say.identify(name="gemini", session_id=line["session_id"], model=line.get("model"))
            case "error":
                self._say.fail(line["message"], severity=str(line.get("severity", "error")))
            case "result":
                self._end(line)
            case _:
                raise Unmapped

    def _message(self, role: str, content: str) -> None:
        if role == "user":
            self._say.identify(prompt=content)
            self._say.go_on()
            return
        if role != "assistant" or type(content) is not str:
            raise Unmapped
        if self._open is None:
            self._messages += 1
            self._answer = self._open = f"m{self._messages}"
            self._links = Links()
        self._links.add(content)
        self._say.text(self._open, content)

    def _close(self) -> None:
        if self._open is not None:
            self._say.complete(self._open)
            self._open = None

    def _result(self, line: dict[str, Any]) -> None:
        given, error = line.get("output"), None
        self._close()
        if line["status"] != "success":
            error = line["error"]["message"] if line.get("error") else given or ""
        call = self._calls.end(line["tool_id"], "ok" if error is None else "failed", output=given, error=error)
        if call is not None and call.name in _WRITES and type(call.input) is dict:
            self._say.artifact(call.input.get("file_path"), _WRITES[call.name])

    def _end(self, line: dict[str, Any]) -> None:
        say, stats, error = self._say, line.get("stats") or {}, line.get("error")
        self._close()
        prompt, answer, whole = (stats.get(name) for name in ("input_tokens", "output_tokens", "total_tokens"))
        if whole:  # where no request went well, zeros are told: nobody knows
            if type(prompt) is type(whole) is int:
                answer = whole - prompt  # thought is in the total alone
            say.use(mode="replace", input_tokens=prompt, cached_tokens=stats.get("cached"), output_tokens=answer)
        if line["status"] == "success" and not error:
            if self._answer is not None:
                self._links.cite(say)
            say.declare("completed", message_id=self._answer)
            return
        message = error["message"] if error else f"status {line['status']}"
        say.fail(message, fatal=True)
        say.declare("failed", error=str(message)[:1000])
