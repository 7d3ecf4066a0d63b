"""AG-UI, the Agent User Interaction Protocol: server-sent events or JSON Lines.

    {"type":"RUN_STARTED","threadId":…,"runId":…}
    {"type":"TEXT_MESSAGE_CONTENT","messageId":"m1","delta":"Mars has "}
    {"type":"RUN_FINISHED","threadId":…,"runId":…}

A plan is the application's own: it is looked for in the state, in activities and in the input of plan tools.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from durastream.sources.adapters import NO, STRONG, WEAK, Narrator, Unmapped
from durastream.sources.adapters.ag_ui_tools import Tools
from durastream.sources.adapters.links import Links
from durastream.sources.adapters.plans import Document, plan_in
from durastream.sources.adapters.times import from_number, told

__all__ = ["AgUi"]

_REMEMBERED = 512
_WEAK = frozenset({"CUSTOM", "RAW", "STEP_STARTED", "STEP_FINISHED", "RUN_ERROR"})
_KEYS = ("threadId", "messageId", "toolCallId", "toolCallName", "snapshot", "messages", "patch", "subagentRunId")
_OUTCOMES = {"interrupt": "waiting", "cancelled": "cancelled"}
_SOURCES = ("source", "sources", "citation", "citations")

_WORK: dict[str, Callable[[Tools, dict[str, Any]], None]] = {
    "STEP_FINISHED": Tools.step_finished,
    "STEP_STARTED": Tools.step_started,
    "SUBAGENT_ERROR": Tools.agent_error,
    "SUBAGENT_FINISHED": Tools.agent_finished,
    "SUBAGENT_STARTED": Tools.agent_started,
    "TOOL_CALL_ARGS": Tools.arguments,
    "TOOL_CALL_CHUNK": Tools.call_chunk,
    "TOOL_CALL_END": Tools.call_end,
    "TOOL_CALL_RESULT": Tools.result,
    "TOOL_CALL_START": Tools.call,
}
_NOTHING = frozenset(  # RAW repeats in another form what the other events tell
    {
        "RAW", "REASONING_START", "REASONING_MESSAGE_START", "REASONING_END", "REASONING_ENCRYPTED_VALUE",
        "THINKING_START", "THINKING_TEXT_MESSAGE_START", "THINKING_END",
    }
)  # fmt: skip


class AgUi:
    name: ClassVar[str] = "ag-ui"
    note: ClassVar[str] = "AG-UI: the events of the Agent User Interaction Protocol"
    proven: ClassVar[str] = "library"
    commands: ClassVar[tuple[str, ...]] = ()
    terminal: ClassVar[bool] = True

    def __init__(self, say: Narrator) -> None:
        self._say = say
        self._links = Links()
        self._roles: dict[str, str] = {}  # of open messages that are not the assistant's
        self._told: dict[str, None] = {}  # the last messages that are complete
        self._chunk: str | None = None
        self._answer: str | None = None
        self._repeated: str | None = None
        self._tools = Tools(say)
        self._asides: dict[str, str] = {}
        self._state = Document()
        self._activity: tuple[str, Document] = ("", Document())
        self._questions = 0
        self._waiting = False

    @staticmethod
    def matches(line: Any) -> int:
        kind = line.get("type") if type(line) is dict else None
        if type(kind) is not str or not (kind in AgUi._takes or kind in _WORK or kind in _NOTHING):
            return NO
        if kind in _WEAK:
            return WEAK
        return STRONG if kind == "STATE_DELTA" or any(key in line for key in _KEYS) else WEAK

    @staticmethod
    def when(line: Any) -> float | None:
        return from_number(told(line, "timestamp"), 1000)

    def take(self, line: Any) -> None:
        kind = line["type"]
        if self._tools.chunk is not None and kind != "TOOL_CALL_CHUNK":
            self._tools.close_chunk()
        if (take := self._takes.get(kind)) is not None:
            take(self, line)
        elif (of_tools := _WORK.get(kind)) is not None:
            of_tools(self._tools, line)
        elif kind not in _NOTHING:
            raise Unmapped

    # the run

    def _run_started(self, line: dict[str, Any]) -> None:
        self._waiting = False
        messages = (line.get("input") or {}).get("messages") or []
        asked = [message["content"] for message in messages if message["role"] == "user"]
        self._say.identify(session_id=line["threadId"], prompt=asked[-1] if asked else None)
        self._say.go_on()

    def _run_finished(self, line: dict[str, Any]) -> None:
        say, outcome, result = self._say, line.get("outcome") or {}, line.get("result")
        self._close_chunk()
        self._usage(line)
        for call in outcome.get("pendingToolCallIds") or []:
            say.end(call, "skipped", error="left to the client")
        status = _OUTCOMES.get(str(outcome.get("type")), "completed")
        for question in outcome.get("interrupts") or []:
            say.ask(question["id"], question.get("message") or question["reason"])
        if status == "completed" and self._waiting:
            status = "waiting"
        if type(result) is dict:
            result = result.get("answer")
        text = result if type(result) is str else self._repeated
        say.declare(status, message_id=self._answer, text=text)

    def _run_error(self, line: dict[str, Any]) -> None:
        self._close_chunk()
        self._usage(line)
        self._say.fail(line["message"], fatal=True)
        self._say.declare("failed", error=str(line["message"])[:1000], code=line.get("code"))

    def _usage(self, line: dict[str, Any]) -> None:
        """One entry per model, for this run of the protocol: a turn of the thread."""
        for part in line.get("usage") or []:
            self._say.use(
                scope="turn",
                model=part.get("model"),
                input_tokens=part.get("inputTokens"),
                output_tokens=part.get("outputTokens"),
                cached_tokens=part.get("cachedInputTokens"),
                reasoning_tokens=part.get("reasoningTokens"),
            )

    # text

    def _text_start(self, line: dict[str, Any]) -> None:
        if not line.get("subagentRunId"):
            self._role(line["messageId"], line.get("role"))

    def _text_content(self, line: dict[str, Any]) -> None:
        if line.get("subagentRunId"):
            id_ = line["messageId"]
            self._asides[id_] = (self._asides.get(id_, "") + line["delta"])[-500:]
        else:
            self._text(line["messageId"], line["delta"])

    def _text_end(self, line: dict[str, Any]) -> None:
        id_ = line["messageId"]
        if line.get("subagentRunId"):
            self._say.progress(line["subagentRunId"], self._asides.pop(id_, None))
        else:
            self._complete(id_)

    def _text_chunk(self, line: dict[str, Any]) -> None:
        """A piece without a start or an end of its own: the next message ends it, and only the first need name it."""
        if line.get("subagentRunId"):
            self._say.progress(line["subagentRunId"], line.get("delta"))
            return
        id_ = line.get("messageId") or self._chunk
        if id_ is None:
            raise Unmapped
        if id_ != self._chunk:
            self._close_chunk()
            self._role(id_, line.get("role"))
            self._chunk = id_
        self._text(id_, line.get("delta"))

    def _close_chunk(self) -> None:
        if self._chunk is not None:
            ended, self._chunk = self._chunk, None
            self._complete(ended)

    def _role(self, id_: str, role: str | None) -> None:
        if role and role != "assistant":
            self._roles[id_] = role
            self._say.begin(id_, str(role))

    def _text(self, id_: str, delta: str | None) -> None:
        if not delta:
            return
        if id_ not in self._roles:
            self._links.add(delta)
            self._answer = id_
            self._repeated = None
        self._say.text(id_, delta)

    def _complete(self, id_: str, whole: str | None = None) -> None:
        self._say.complete(id_, whole)
        if self._roles.pop(id_, None) is None:
            self._links.cite(self._say)
        self._told[id_] = None
        if len(self._told) > _REMEMBERED:
            del self._told[next(iter(self._told))]

    def _messages(self, line: dict[str, Any]) -> None:
        """All messages of the thread. Those after the last of the user are of this run: told, or told now."""
        tail: list[dict[str, Any]] = []
        for message in line["messages"]:
            if message["role"] == "user":
                tail.clear()
            elif not message.get("subagentRunId"):
                tail.append(message)
        for message in tail:
            id_, content = message["id"], message.get("content")
            if message["role"] == "tool" and self._say.is_running(message["toolCallId"]):
                self._tools.result(message)
            elif message["role"] == "assistant" and content:
                if self._say.is_open(id_) or id_ not in self._told:
                    self._complete(id_, content)
                    self._say.cite(content, origin="text")
                    self._answer = id_
                    self._chunk = None if id_ == self._chunk else self._chunk
                if id_ == self._answer:
                    self._repeated = content

    def _think(self, line: dict[str, Any]) -> None:
        if not line.get("subagentRunId"):
            self._say.think(line.get("delta"))

    def _thought(self, line: dict[str, Any]) -> None:
        if not line.get("subagentRunId"):
            self._say.think("\n\n")

    # what the application tells

    def _snapshot(self, line: dict[str, Any]) -> None:
        if not line.get("subagentRunId"):
            self._state.put(line["snapshot"])
            self._say.plan(self._state.plan())

    def _delta(self, line: dict[str, Any]) -> None:
        if not line.get("subagentRunId"):
            self._state.patch(line["delta"])
            self._say.plan(self._state.plan())

    def _activity_snapshot(self, line: dict[str, Any]) -> None:
        plan = plan_in(line["content"])
        known = line["messageId"] == self._activity[0] and line.get("replace") is False
        if plan is not None and not known and not line.get("subagentRunId"):
            document = Document()
            document.put(line["content"])
            self._activity = (line["messageId"], document)
            self._say.plan(plan)

    def _activity_delta(self, line: dict[str, Any]) -> None:
        if line["messageId"] == self._activity[0]:
            self._activity[1].patch(line["patch"])
            self._say.plan(self._activity[1].plan())

    def _custom(self, line: dict[str, Any]) -> None:
        name, value = line["name"], line["value"]
        if name in _SOURCES:
            for source in value if type(value) is list else [value]:
                self._say.source(url=source.get("url"), title=source.get("title"), snippet=source.get("snippet"))
        elif name == "on_interrupt":  # LangGraph: the run that ends after it is not at its end
            self._questions += 1
            self._say.ask(f"interrupt-{self._questions}", value)
            self._waiting = True
        elif not line.get("subagentRunId") and (plan := plan_in({name: value})) is not None:
            self._say.plan(plan)
        else:
            raise Unmapped

    _takes: ClassVar[dict[str, Callable[[AgUi, dict[str, Any]], None]]] = {
        "ACTIVITY_DELTA": _activity_delta,
        "ACTIVITY_SNAPSHOT": _activity_snapshot,
        "CUSTOM": _custom,
        "MESSAGES_SNAPSHOT": _messages,
        "REASONING_MESSAGE_CHUNK": _think,
        "REASONING_MESSAGE_CONTENT": _think,
        "REASONING_MESSAGE_END": _thought,
        "RUN_ERROR": _run_error,
        "RUN_FINISHED": _run_finished,
        "RUN_STARTED": _run_started,
        "STATE_DELTA": _delta,
        "STATE_SNAPSHOT": _snapshot,
        "TEXT_MESSAGE_CHUNK": _text_chunk,
        "TEXT_MESSAGE_CONTENT": _text_content,
        "TEXT_MESSAGE_END": _text_end,
        "TEXT_MESSAGE_START": _text_start,
        "THINKING_TEXT_MESSAGE_CONTENT": _think,
        "THINKING_TEXT_MESSAGE_END": _thought,
    }
