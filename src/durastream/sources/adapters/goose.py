"""goose: `goose run --output-format stream-json`.

    {"type":"message","message":{"id":…,"role":"assistant","created":…,"content":[{"type":"text","text":"Hel"}],…}}
    {"type":"notification","extension_id":…,"log":{"message":…}}
    {"type":"complete","total_tokens":…}

Each message line is a piece; pieces of one message share its id. An error is followed by `complete` all the same, and
an error of the provider is told as if the model had said it.
"""

from __future__ import annotations

from typing import Any, ClassVar

from durastream.sources.adapters import NO, STRONG, WEAK, Narrator, Unmapped
from durastream.sources.adapters.calls import Calls, title_of
from durastream.sources.adapters.links import Links
from durastream.sources.adapters.times import from_number, told

__all__ = ["Goose"]

_ERROR = "Ran into this error: "
_DECLINED = "The user has declined to run this tool"


class Goose:
    name: ClassVar[str] = "goose"
    note: ClassVar[str] = "goose: goose run --output-format stream-json"
    proven: ClassVar[str] = "hand-made"
    commands: ClassVar[tuple[str, ...]] = ("goose",)
    terminal: ClassVar[bool] = True

    def __init__(self, say: Narrator) -> None:
        self._say = say
        self._messages = 0
        self._open: str | None = None
        self._answer: str | None = None
        self._links = Links()
        self._model: str | None = None
        self._failed: str | None = None
        self._calls = Calls(say)

    @staticmethod
    def matches(line: Any) -> int:
        if type(line) is not dict:
            return NO
        match line.get("type"):
            case "message":
                message = line.get("message")
                if type(message) is not dict or type(message.get("content")) is not list or "created" not in message:
                    return NO
                metadata = message.get("metadata")
                return STRONG if type(metadata) is dict and "userVisible" in metadata else WEAK
            case "notification":
                return WEAK if "extension_id" in line else NO
            case "complete":
                return WEAK if "total_tokens" in line else NO
            case _:
                return NO

    @staticmethod
    def when(line: Any) -> float | None:
        return from_number(told(line, "message", "created"))

    def take(self, line: Any) -> None:
        match line["type"]:
            case "message":
                self._message(line["message"])
            case "notification":
                self._notification(line)
            case "model_change":
                self._say.identify(model=line["model"])
            case "error":
                self._fail(line["error"])
            case "complete":
                self._complete(line)
            case _:
                raise Unmapped

    def _message(self, message: dict[str, Any]) -> None:
        metadata, spoken = message.get("metadata") or {}, message["role"] == "assistant"
        shown = spoken and metadata.get("userVisible") is not False
        for part in message["content"]:
            match part["type"]:
                case "text":
                    if shown:
                        self._piece(message.get("id"), part["text"])
                case "thinking" | "reasoning":
                    self._say.think(part.get("thinking") or part.get("text"))
                case "toolRequest":
                    self._use(part["id"], part["toolCall"])
                case "toolResponse":
                    self._result(part["id"], part["toolResult"])
                case "toolConfirmationRequest":
                    self._say.ask(part["id"], title_of(part["toolName"], part.get("arguments")))
                case "systemNotification":
                    self._say.log(part["msg"])
                case "redactedThinking" | "image":
                    pass
                case _:
                    raise Unmapped
        inference = metadata.get("inference")
        if spoken and type(inference) is dict and inference.get("requestedModel") != self._model:
            self._model = inference.get("requestedModel")
            self._say.identify(model=self._model)

    def _piece(self, id_: str | None, text: str) -> None:
        if type(text) is not str:
            raise Unmapped
        if id_ is None:
            id_ = self._open or f"m{self._messages + 1}"
        if id_ != self._open:
            self._close()
            self._messages += 1
            self._answer = self._open = id_
            self._links = Links()
            if text.startswith(_ERROR):
                self._fail(text.removeprefix(_ERROR))
        self._links.add(text)
        self._say.text(id_, text)

    def _close(self) -> None:
        if self._open is not None:
            self._say.complete(self._open)
            self._open = None

    def _use(self, id_: str, call: dict[str, Any]) -> None:
        if self._open == f"m{self._messages}":  # a message without an id ends here; one with an id may go on
            self._close()
        if call.get("status") == "error":
            self._say.end(id_, "failed", title="a call that could not be read", error=call.get("error"))
            return
        value = call.get("value", call)
        self._calls.start(id_, value["name"], value.get("arguments"))

    def _result(self, id_: str, result: dict[str, Any]) -> None:
        value = result.get("value")
        if result["status"] != "success":
            self._calls.end(id_, "failed", error=result.get("error") or "")
            return
        content = value["content"] if type(value) is dict else value
        text = "\n".join(str(item["text"]) for item in content or [] if "text" in item)
        denied = text.startswith(_DECLINED)  # which counts as a success there
        if denied or (type(value) is dict and value.get("isError")):
            self._calls.end(id_, "denied" if denied else "failed", error=text)
        else:
            self._calls.end(id_, output=text or None)

    def _notification(self, line: dict[str, Any]) -> None:
        """News of the last call of that extension that is open; without one it is worth a line in the log."""
        progress = line.get("progress")
        message = (progress or line["log"])["message"]
        extension = f"{line['extension_id']}__"
        running = [
            id_ for id_, call in self._calls.open.items() if call is not None and call.name.startswith(extension)
        ]
        if not running:
            self._say.log(message or "")
            return
        done, total = (progress["progress"], progress.get("total")) if progress else (None, None)
        fraction = done / total if done is not None and total and 0 <= done <= total else None
        self._say.progress(running[-1], message, fraction)

    def _fail(self, message: Any) -> None:
        self._say.fail(message, fatal=True)
        self._failed = str(message)[:1000]

    def _complete(self, line: dict[str, Any]) -> None:
        say = self._say
        self._close()
        say.use(
            mode="replace",
            input_tokens=line.get("input_tokens"),
            output_tokens=line.get("output_tokens"),
            cached_tokens=line.get("cache_read_input_tokens"),
            cost_usd=line.get("cost_usd"),
        )
        if self._failed is not None:
            say.declare("failed", error=self._failed)
            return
        self._links.cite(say)
        say.declare("completed", message_id=self._answer)
