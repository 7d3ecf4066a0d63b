"""Cursor: `cursor-agent -p --output-format stream-json`, with `--stream-partial-output` or without it.

    {"type":"assistant","message":{"content":[{"type":"text",…}]},"timestamp_ms":…,"session_id":…}
    {"type":"tool_call","subtype":"started","call_id":…,"tool_call":{"shellToolCall":{"args":{…}}},…}
    {"type":"result","subtype":"success","result":…,…}

The result is all that the agent said, put together: so it is one message. With partial output each piece has a
`timestamp_ms`; then the whole segment is repeated, without one or with a `model_call_id`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from durastream.sources.adapters import NO, STRONG, Entry, Narrator, Unmapped
from durastream.sources.adapters.calls import sources_of, title_of
from durastream.sources.adapters.claude_stream import ClaudeStream
from durastream.sources.adapters.plans import bare, entries
from durastream.sources.adapters.times import from_number, told

__all__ = ["Cursor"]

_ANSWER = "answer"
_GOOD = frozenset({"complete", "registered", "startSuccess", "success"})
_STATUS = {"rejected": "denied", "permissionDenied": "denied"}
_PLANS = frozenset({"readtodos", "updatetodos"})
_FILES = {"write": "add", "edit": "update", "delete": "delete"}


class Cursor(ClaudeStream):
    name: ClassVar[str] = "cursor"
    note: ClassVar[str] = "Cursor: cursor-agent -p --output-format stream-json"
    proven: ClassVar[str] = "hand-made"
    commands: ClassVar[tuple[str, ...]] = ("cursor-agent",)
    version_key: ClassVar[str] = "version"

    def __init__(self, say: Narrator) -> None:
        super().__init__(say)
        self._repeats = False
        self._todos: dict[str, Entry] = {}

    @staticmethod
    def matches(line: Any) -> int:
        if type(line) is not dict or "session_id" not in line:
            return NO
        match line.get("type"):
            case "system":
                found = line.get("subtype") == "init" and "apiKeySource" in line and "tools" not in line
            case "tool_call":
                found = type(line.get("tool_call")) is dict and "call_id" in line
            case "thinking":
                found = line.get("subtype") in ("delta", "completed")
            case _:
                found = False
        return STRONG if found else NO

    @staticmethod
    def when(line: Any) -> float | None:
        return from_number(told(line, "timestamp_ms"), 1000)

    def take(self, line: Any) -> None:
        match line["type"], line.get("subtype"):
            case "tool_call", "started":
                self._started(line["call_id"], *_tool(line["tool_call"]))
            case "tool_call", "completed":
                self._completed(line["call_id"], *_tool(line["tool_call"]))
            case "thinking", "delta":
                self._say.think(line["text"])
            case "thinking", "completed":
                self._say.think("\n\n")
            case _:
                super().take(line)

    def _assistant(self, line: dict[str, Any], lane: str | None) -> str | None:
        text = "".join(block["text"] for block in line["message"]["content"] if block["type"] == "text")
        piece = "timestamp_ms" in line and not line.get("model_call_id")
        if piece or not self._repeats:
            self._say.text(_ANSWER, text)
            self._texts.answer = _ANSWER
        self._repeats = piece
        return None

    def _result(self, line: dict[str, Any]) -> None:
        self._say.complete(_ANSWER)
        super()._result(line)

    def _usage(self, line: dict[str, Any]) -> None:
        used = line.get("usage") or {}
        self._say.use(
            mode="replace",
            input_tokens=used.get("inputTokens"),
            output_tokens=used.get("outputTokens"),
            cached_tokens=used.get("cacheReadTokens"),
        )

    # tools

    def _started(self, id_: str, name: str, call: dict[str, Any]) -> None:
        given = call.get("args") or {}
        if bare(name) not in _PLANS:
            kind = "agent" if name == "task" else "tool"
            self._say.start(id_, title_of(name, given), kind=kind, input=given or call.get("arguments"))
        elif "todos" in given:
            self._plan(given["todos"], merge=bool(given.get("merge")))

    def _completed(self, id_: str, name: str, call: dict[str, Any]) -> None:
        given = call.get("args") or {}
        outcome, detail = next(iter((call.get("result") or {"success": None}).items()))
        known = detail if type(detail) is dict else {}
        good = outcome in _GOOD
        if bare(name) in _PLANS:
            if good and "todos" in known:
                self._plan(known["todos"])
            return
        self._started(id_, name, call)  # counts once
        if good and name in _FILES:
            self._say.artifact(known.get("path") or given.get("path"), _FILES[name])
        if good:
            sources_of(self._say, id_, name, given, detail)
        code = known.get("exitCode")
        if not good:
            words = known.get("message") or known.get("reason") or known.get("error") or detail or outcome
            self._say.end(id_, _STATUS.get(outcome, "failed"), error=words)
        elif code:
            self._say.end(id_, "failed", output=detail, error=f"exit code {code}")
        else:
            self._say.end(id_, output=detail)

    def _plan(self, todos: Any, *, merge: bool = False) -> None:
        """The list as it stands; with `merge` a patch of it, by id, which need not repeat what stays as it is."""
        before = self._todos if merge else {}
        if merge and type(todos) is list:
            todos = [_patched(before.get(str(todo.get("id"))), todo) if type(todo) is dict else todo for todo in todos]
        if (found := entries(todos)) is None:
            raise Unmapped
        self._todos = before | {entry.id or entry.title: entry for entry in found}
        self._say.plan(self._todos.values())


def _patched(before: Entry | None, todo: dict[str, Any]) -> dict[str, Any]:
    told = {key: value for key, value in todo.items() if value not in (None, "")}
    return told if before is None else {"content": before.title, "status": before.status, **told}


def _tool(told: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name of a tool and its call: `{"shellToolCall": {…}}`, or `{"function": {"name": …, "arguments": …}}`."""
    for key, call in told.items():
        if key.endswith("ToolCall"):
            return key.removesuffix("ToolCall"), call
    if "function" in told:
        return told["function"]["name"], told["function"]
    raise Unmapped
