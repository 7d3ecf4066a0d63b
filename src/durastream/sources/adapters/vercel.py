"""The UI message stream of the Vercel AI SDK, version 1: server-sent events or JSON Lines.

    {"type":"start","messageId":…}
    {"type":"tool-input-available","toolCallId":…,"toolName":…,"input":…}
    {"type":"text-delta","id":"t1","delta":"Mars has "}
    {"type":"finish","finishReason":"stop"}

All text parts of a step are one message, for providers cut a text at its citations; that of the last step with text is
the answer, as in the SDK itself. Usage comes only if the application puts it into the metadata.
"""

from __future__ import annotations

from typing import Any, ClassVar

from durastream.sources.adapters import NO, STRONG, WEAK, Narrator, Unmapped
from durastream.sources.adapters.calls import Calls, title_of
from durastream.sources.adapters.links import Links
from durastream.sources.adapters.plans import plan_in

__all__ = ["Vercel"]

_KEYS = {
    "text-start": "id",
    "text-delta": "delta",
    "reasoning-start": "id",
    "reasoning-delta": "delta",
    "source-url": "sourceId",
    "source-document": "sourceId",
    "tool-input-start": "toolCallId",
    "tool-input-available": "toolCallId",
    "tool-output-available": "toolCallId",
}
"""Which field goes with a type. The other types are too common among programs to tell the format by."""
_ENDS_WELL = frozenset({None, "stop", "other", "unknown"})
_NOTHING = frozenset(
    {"start-step", "reasoning-start", "text-start", "text-end", "tool-input-start", "tool-input-delta"}
)


class Vercel:
    name: ClassVar[str] = "vercel"
    note: ClassVar[str] = "Vercel AI SDK: the UI message stream, version 1"
    proven: ClassVar[str] = "library"
    commands: ClassVar[tuple[str, ...]] = ()
    terminal: ClassVar[bool] = True

    def __init__(self, say: Narrator) -> None:
        self._say = say
        self._links = Links()
        self._step = 1
        self._answer: str | None = None
        self._calls = Calls(say)
        self._asked: dict[str, str] = {}  # open questions by call
        self._failed = False

    @staticmethod
    def matches(line: Any) -> int:
        kind = line.get("type") if type(line) is dict else None
        if type(kind) is not str:
            return NO
        if (key := _KEYS.get(kind)) is not None:
            if key not in line:
                return NO
            return STRONG if key == "toolCallId" else WEAK
        if kind.startswith("data-"):
            return WEAK if "data" in line and line.keys() <= {"type", "id", "data", "transient"} else NO
        if kind == "start":
            return WEAK if line.keys() <= {"type", "messageId", "messageMetadata"} else NO
        return WEAK if kind in ("start-step", "finish-step") and len(line) == 1 else NO

    @staticmethod
    def when(line: Any) -> float | None:
        return None

    def take(self, line: Any) -> None:
        kind = line["type"]
        if kind == "text-delta":
            self._text(line["delta"])
        elif kind == "reasoning-delta":
            self._say.think(line["delta"])
        elif kind.startswith("tool-") and kind not in _NOTHING:
            self._tool(kind, line)
        elif kind.startswith("data-"):
            self._data(kind[5:], line["data"])
        elif kind not in _NOTHING:
            self._other(kind, line)

    def _other(self, kind: str, line: dict[str, Any]) -> None:
        match kind:
            case "reasoning-end":
                self._say.think("\n\n")
            case "start":
                self._failed = False
                self._say.go_on()
                self._usage(line.get("messageMetadata"))
            case "message-metadata":
                self._usage(line.get("messageMetadata"))
            case "finish-step":
                self._end_step()
            case "source-url":
                self._say.source(url=line["url"], title=line.get("title"))
            case "source-document":
                self._say.source(title=line.get("title") or line["filename"])
            case "file":
                self._file(line["url"], line.get("mediaType"))
            case "finish":
                self._finish(line.get("finishReason"), line.get("messageMetadata"))
            case "abort":
                self._end_step()
                self._say.declare("cancelled", reason=line.get("reason"))
            case "error":
                self._end_step()
                self._failed = True
                self._say.fail(line["errorText"], fatal=True)
                self._say.declare("failed", error=str(line["errorText"])[:1000])
            case _:
                raise Unmapped

    def _text(self, delta: str) -> None:
        """Ids of text parts come again in the next step, so it is the step that names a message."""
        if delta:
            self._links.add(delta)
            self._answer = f"text-{self._step}"
            self._say.text(self._answer, delta)

    def _end_step(self) -> None:
        self._say.complete(f"text-{self._step}")
        self._links.cite(self._say)
        self._step += 1

    def _finish(self, reason: Any, metadata: Any) -> None:
        self._end_step()
        self._usage(metadata)
        if not self._failed:
            status = "waiting" if self._asked else "completed" if reason in _ENDS_WELL else "failed"
            self._say.declare(status, message_id=self._answer, reason=reason)

    def _usage(self, metadata: Any) -> None:
        told = (metadata.get("totalUsage") or metadata.get("usage")) if type(metadata) is dict else None
        if type(told) is not dict:
            return
        taken, given = told.get("inputTokenDetails") or {}, told.get("outputTokenDetails") or {}
        self._say.use(
            mode="replace",
            input_tokens=told.get("inputTokens"),
            output_tokens=told.get("outputTokens"),
            cached_tokens=told.get("cachedInputTokens", taken.get("cacheReadTokens")),
            reasoning_tokens=told.get("reasoningTokens", given.get("reasoningTokens")),
        )

    def _file(self, url: str, media_type: Any) -> None:
        """A file within its address is in the raw bytes: what is kept of it here is that it came."""
        url = url.partition(",")[0] if url.startswith("data:") else url
        self._say.artifact(None, url=url, media_type=str(media_type) if media_type else None)

    def _data(self, name: str, data: Any) -> None:
        """Parts that the application defines: a plan is known by its shape."""
        plan = plan_in({name: data})
        if plan is None:
            raise Unmapped
        self._say.plan(plan)

    def _tool(self, kind: str, line: dict[str, Any]) -> None:
        say, id_ = self._say, line["toolCallId"]
        match kind:
            case "tool-input-available":
                self._calls.start(id_, line["toolName"], line.get("input"), title=line.get("title"))
            case "tool-input-error":
                self._calls.start(id_, line["toolName"], line.get("input"), title=line.get("title"))
                self._ended(id_, "failed", error=line["errorText"])
            case "tool-output-available":
                self._gave(line)
            case "tool-output-error":
                self._ended(id_, "failed", error=line["errorText"])
            case "tool-output-denied":
                self._ended(id_, "denied", decision="denied")
            case "tool-approval-request":
                self._asked[id_] = line["approvalId"]
                call = self._calls.open.get(id_)
                say.ask(line["approvalId"], id_ if call is None else title_of(call.name, call.input))
            case _:
                raise Unmapped

    def _gave(self, line: dict[str, Any]) -> None:
        say, id_, output = self._say, line["toolCallId"], line.get("output")
        if line.get("preliminary"):
            say.progress(id_, output)
            return
        failed = type(output) is dict and output.get("isError") is True  # as tools of the Model Context Protocol say it
        self._ended(id_, "failed" if failed else "ok", output=output)

    def _ended(
        self, id_: str, status: str, *, decision: str = "approved", output: Any = None, error: Any = None
    ) -> None:
        """A call is over. That it was run says that a question about it was answered with yes."""
        if id_ in self._asked:
            self._say.decide(self._asked.pop(id_), decision)
        self._calls.end(id_, status, output=output, error=error)
