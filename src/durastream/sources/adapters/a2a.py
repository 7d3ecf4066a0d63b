"""A2A, the Agent2Agent protocol: the events of a task, versions 1 and 0.3, as JSON-RPC results or bare.

    {"jsonrpc":"2.0","id":1,"result":{"statusUpdate":{"taskId":…,"status":{"state":"TASK_STATE_WORKING",…}}}}
    {"jsonrpc":"2.0","id":1,"result":{"kind":"artifact-update","artifact":{…},"append":true,…}}

The text of artifacts is the draft; the messages of a status tell what the agent is doing. A terminal state ends it.
"""

from __future__ import annotations

from typing import Any, ClassVar

from durastream.sources.adapters import NO, STRONG, Narrator, Unmapped
from durastream.sources.adapters.links import Links
from durastream.sources.adapters.plans import plan_in
from durastream.sources.adapters.times import from_iso, told

__all__ = ["A2a"]

_KINDS = {
    "task": {"id", "status"},
    "status-update": {"taskId", "status"},
    "artifact-update": {"taskId", "artifact"},
    "message": {"messageId", "parts"},
}
_WRAPPERS = {"artifactUpdate": "artifact-update", "statusUpdate": "status-update", "task": "task", "message": "message"}
_ENDS = {"completed": "ok", "failed": "failed", "rejected": "failed", "canceled": "skipped"}
_QUESTIONS = frozenset({"input-required", "auth-required"})


class A2a:
    name: ClassVar[str] = "a2a"
    note: ClassVar[str] = "A2A: the stream of a task, versions 1 and 0.3"
    proven: ClassVar[str] = "library"
    commands: ClassVar[tuple[str, ...]] = ()
    terminal: ClassVar[bool] = True

    def __init__(self, say: Narrator) -> None:
        self._say = say
        self._links = Links()
        # The artifacts with text, by id: the title, empty once it was told. All are open, for any may be replaced.
        self._artifacts: dict[str, str] = {}
        self._step: str | None = None
        self._asked: str | None = None

    @staticmethod
    def matches(line: Any) -> int:
        if type(line) is not dict:
            return NO
        kind, event = _event(line)
        return STRONG if kind is not None and event.keys() >= _KINDS[kind] else NO

    @staticmethod
    def when(line: Any) -> float | None:
        return from_iso(told(_event(line)[1], "status", "timestamp")) if type(line) is dict else None

    def take(self, line: Any) -> None:
        kind, event = _event(line)
        match kind:
            case "artifact-update":
                self._artifact(event["artifact"], append=bool(event.get("append")), last=bool(event.get("lastChunk")))
            case "status-update":
                self._status(event["status"], event["taskId"])
            case "task":
                self._task(event)
            case "message":
                self._message(event)
            case _:
                if "error" not in line:
                    raise Unmapped
                self._failed(str(line["error"]["message"]))

    def _task(self, task: dict[str, Any]) -> None:
        """A task as it stands: all artifacts whole."""
        asked = [_text(message["parts"]) for message in task.get("history") or [] if "user" in message["role"].lower()]
        self._say.identify(session_id=task.get("contextId"), prompt=asked[-1] if asked else None)
        for artifact in task.get("artifacts") or []:
            if not self._say.repeats(artifact["artifactId"], _text(artifact["parts"])):
                self._artifact(artifact, append=False, last=True)
        self._status(task["status"], task["id"])

    def _message(self, message: dict[str, Any]) -> None:
        """An agent may answer with a message and no task: it is the answer."""
        text = _text(message["parts"])
        self._say.complete(message["messageId"], text)
        self._say.declare("completed", message_id=message["messageId"], text=text)

    def _artifact(self, artifact: dict[str, Any], *, append: bool, last: bool) -> None:
        say, id_, parts = self._say, artifact["artifactId"], artifact["parts"]
        text, title = _text(parts), artifact.get("name") or id_
        if not append and say.is_open(id_):
            say.retract(id_, "the agent replaces the artifact")
            self._links = Links()
        for part in parts:
            if "text" in part:
                continue
            file = part.get("file") or part
            if (url := file.get("uri") or file.get("url")) or "bytes" in file or "raw" in file:
                media_type = str(file.get("mimeType") or file.get("mediaType") or "") or None
                say.artifact(file.get("name") or file.get("filename") or title, url=url or None, media_type=media_type)
            elif (plan := plan_in(part.get("data"))) is not None:
                say.plan(plan)
        if text:
            self._links.add(text)
            say.text(id_, text)
            known = self._artifacts.pop(id_, title)
            self._artifacts[id_] = "" if last else known  # at the end: the last that grew is the answer
            if last:
                say.artifact(title, "add" if known else "update")

    def _status(self, status: dict[str, Any], task_id: str) -> None:
        say, message = self._say, status.get("message") or {}
        state = status["state"].lower().removeprefix("task_state_").replace("_", "-")
        text = _text(message.get("parts") or [])
        if self._asked is not None and state not in _QUESTIONS:
            say.decide(self._asked, "answered")
            self._asked = None
            say.go_on()
        if state in _ENDS:
            self._end(state, message, text)
        elif state in _QUESTIONS:
            self._asked = message.get("messageId") or task_id
            say.ask(self._asked, text or state)
            say.declare("waiting", reason=state)
        elif text and message["messageId"] != self._step:
            self._end_step("ok")
            self._step = message["messageId"]
            say.start(self._step, text, kind="task")

    def _end_step(self, status: str) -> None:
        if self._step is not None:
            ended, self._step = self._step, None
            self._say.end(ended, status, kind="task")

    def _end(self, state: str, message: Any, text: str) -> None:
        """The last message may repeat the answer, be it or say something about it: it is it if there is no other."""
        say, answer = self._say, next(reversed(self._artifacts), None)
        self._end_step(_ENDS[state])
        repeated = answer is not None and say.repeats(answer, text)
        for id_, title in self._artifacts.items():
            say.complete(id_)
            say.artifact(title)
        self._artifacts.clear()
        self._links.cite(say)
        if state == "completed":
            if text and not repeated:
                say.complete(message["messageId"], text)
                say.cite(text, origin="text")
                answer = answer or message["messageId"]
            say.declare("completed", message_id=answer, text=text if repeated else None)
        elif state == "canceled":
            say.declare("cancelled", reason=text or None)
        else:
            self._failed(text or state)

    def _failed(self, error: str) -> None:
        self._say.fail(error, fatal=True)
        self._say.declare("failed", error=error[:1000])


def _event(line: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """What kind of event a line is, and the event: of version 0.3 with its kind, of version 1 within a wrapper."""
    result = line.get("result", line)
    if type(result) is dict:
        kind = result.get("kind")
        if type(kind) is str and kind in _KINDS:
            return kind, result
        for wrapper, kind in _WRAPPERS.items():
            if type(event := result.get(wrapper)) is dict:
                return kind, event
    return None, {}


def _text(parts: list[dict[str, Any]]) -> str:
    return "".join([part["text"] for part in parts if type(part.get("text")) is str])
