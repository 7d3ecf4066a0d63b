"""Claude Code: `claude -p --output-format stream-json --verbose`, and the session files that it keeps on disk.

A session file (`~/.claude/projects/<folder>/<session>.jsonl`) has the same messages in another envelope, with a time:

    {"type":"user","sessionId":…,"uuid":…,"parentUuid":…,"isSidechain":false,"timestamp":…,"message":{…}}

It has no result: the last message that ended its turn is the answer, and its end. A prompt takes that end back.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

from durastream.sources.adapters import NO, STRONG, Narrator, Unmapped
from durastream.sources.adapters.claude_stream import ClaudeStream
from durastream.sources.adapters.usage import of_messages

__all__ = ["Claude"]

_HAS = {
    "assistant": "message",
    "rate_limit_event": "rate_limit_info",
    "result": "subtype",
    "stream_event": "event",
    "system": "subtype",
    "user": "message",
}
"""What a line of the stream has beside its session's id."""

_MESSAGES = frozenset({"assistant", "progress", "system", "user"})
_BOOKS = frozenset(
    {
        "agent-color",
        "agent-name",
        "ai-title",
        "attachment",
        "custom-title",
        "file-history-snapshot",
        "last-prompt",
        "mode",
        "permission-mode",
        "pr-link",
        "queue-operation",
        "summary",
        "tag",
    }
)
"""Lines of a session file that are no part of the conversation."""

_WITHOUT_SESSION = {"file-history-snapshot": "snapshot", "summary": "leafUuid"}


class Claude(ClaudeStream):
    name: ClassVar[str] = "claude"
    note: ClassVar[str] = "Claude Code: claude -p --output-format stream-json --verbose, and its session files"
    proven: ClassVar[str] = "hand-made"
    commands: ClassVar[tuple[str, ...]] = ("claude",)

    def __init__(self, say: Narrator) -> None:
        super().__init__(say)
        self._filed = self._aside = self._ended = False
        self._model: Any = None
        self._used: dict[str, Counter[str]] = {}
        self._last: dict[bool, tuple[Any, Counter[str]]] = {}

    @staticmethod
    def matches(line: Any) -> int:
        if type(line) is not dict:
            return NO
        kind = line.get("type")
        if type(kind) is not str:
            return NO
        if kind in _WITHOUT_SESSION and _WITHOUT_SESSION[kind] in line:
            return STRONG
        if type(line.get("sessionId")) is str:
            return STRONG if kind in _BOOKS or (kind in _MESSAGES and "uuid" in line) else NO
        return STRONG if type(line.get("session_id")) is str and _HAS.get(kind, "") in line else NO

    def take(self, line: Any) -> None:
        if "sessionId" in line or line["type"] in _WITHOUT_SESSION:
            self._file(line)
        else:
            super().take(line)

    def _file(self, line: dict[str, Any]) -> None:
        """A line of a session file."""
        kind = line["type"]
        if kind in _BOOKS:
            return
        if kind not in _MESSAGES:
            raise Unmapped
        if not self._filed:
            self._aside = bool(line.get("isSidechain"))  # an agent's own file is its main lane
            self._calls.waits = False
            self._filed = True
        if kind == "progress":
            self._progress(line)
            return
        lane = (self._calls.agent() or "sidechain") if line.get("isSidechain") and not self._aside else None
        if not self._identified:
            self._identify(line, line.get("version"), line["sessionId"])
        if kind == "assistant":
            self._filed_answer(line, lane)
        elif kind == "user":
            self._user(line, lane)
        elif line["subtype"] == "turn_duration":  # older ones have no stop_reason, and write this when a turn ended
            if self._texts.answer is not None and not self._ended:
                self._end("completed", message_id=self._texts.answer)
        elif line["subtype"] != "stop_hook_summary":
            self._system(line)

    def _progress(self, line: dict[str, Any]) -> None:
        """A message of a subagent, wrapped; other progress is of no use later."""
        inner = line["data"].get("message")
        if type(inner) is not dict:
            return
        if inner["type"] == "assistant":
            self._count(inner["message"], own=False)
            self._assistant(inner, line["parentToolUseID"])
        elif inner["type"] == "user":
            self._user(inner, line["parentToolUseID"])

    def _filed_answer(self, line: dict[str, Any], lane: str | None) -> None:
        message = line["message"]
        model = message.get("model")
        if lane is None and model not in (self._model, "<synthetic>"):
            self._say.identify(model=model)
            self._model = model
        text = self._assistant(line, lane)
        self._count(message, own=lane is None)
        if text is not None and message.get("stop_reason") == "end_turn":
            self._end("completed", message_id=self._texts.answer, text=text)

    def _count(self, message: dict[str, Any], *, own: bool) -> None:
        """Each line of a message repeats its usage so far: the last one stands."""
        usage, model = message.get("usage"), message.get("model")
        if type(usage) is not dict or type(model) is not str or model == "<synthetic>":
            return
        now = Counter({name: amount for name, amount in of_messages(usage).items() if type(amount) is int})
        total = self._used.setdefault(model, Counter())
        last_id, last = self._last.get(own, (None, now))
        if last_id is not None and last_id == message.get("id"):
            total.subtract(last)
        total.update(now)
        self._say.use(mode="replace", model=model, **dict[str, Any](total))
        self._last[own] = message.get("id"), now

    def _end(self, status: str, **more: Any) -> None:
        self._say.declare(status, **more)
        self._calls.forget_denials()
        self._ended = True

    def _failed_instead(self, id_: str, text: str) -> None:
        if not self._filed:
            super()._failed_instead(id_, text)
            return
        self._say.fail(text, fatal=True)
        self._end("failed", error=text[:1000])

    def _notice(self, text: str) -> None:
        super()._notice(text)
        if self._filed and text.startswith("[Request interrupted"):
            self._end("interrupted")

    def _prompt(self, text: str, id_: str) -> None:
        super()._prompt(text, id_)
        if self._filed:
            self._ended, self._texts.answer = False, None
