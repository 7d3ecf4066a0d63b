"""What each event type must carry: the models against which an agent's own events are checked.

Fields beyond these pass untouched. A model is used to judge, never to rewrite: what is stored is what the agent wrote.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

__all__ = ["FIELDS", "MODELS", "VALIDATORS", "check"]

PlanStatus = Literal["pending", "active", "done", "skipped", "cancelled"]
StepKind = Literal["plan", "tool", "task", "model", "agent"]
StepStatus = Literal["ok", "failed", "skipped", "denied", "abandoned"]
RunStatus = Literal["completed", "failed", "cancelled", "interrupted", "unknown"]
MessageId = Annotated[str, Field(pattern="^[^#]", max_length=200)]
"""Ids that begin with # are the recorder's own."""


class _Data(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


class RunStarted(_Data):
    run_id: str
    command: list[str] | None = None
    callable: str | None = None
    cwd: str
    name: str | None = None
    tags: dict[str, str] = {}
    host: str | None = None
    pid: int | None = None
    format: int
    versions: dict[str, str] = {}
    prompt: str | None = None
    parent_run_id: str | None = None
    raw: bool | None = None
    imported: dict[str, JsonValue] | None = None
    derived_from: dict[str, JsonValue] | None = None
    redacted_from: dict[str, JsonValue] | None = None
    redaction: dict[str, JsonValue] | None = None
    env: dict[str, str] | None = None


class AgentIdentified(_Data):
    """What is learnt of the agent as it speaks. With `terminal`, a run that ends well has a `run.declared`."""

    format: str | None = None
    terminal: bool | None = None
    name: str | None = None
    version: str | None = None
    model: str | None = None
    session_id: str | None = None
    prompt: str | None = None
    cwd: str | None = None


class MessageStarted(_Data):
    message_id: MessageId
    role: str = "assistant"
    final: bool = False


class PlanEntry(_Data):
    id: str
    title: str
    status: PlanStatus = "pending"
    parent: str | None = None


class Plan(_Data):
    steps: list[PlanEntry]


class StepStarted(_Data):
    step_id: str
    title: str
    kind: StepKind = "task"
    parent: str | None = None
    input: JsonValue = None


class StepProgress(_Data):
    step_id: str
    message: str | None = None
    fraction: float | None = Field(default=None, ge=0, le=1)


class StepCompleted(_Data):
    step_id: str
    status: StepStatus
    output: JsonValue = None
    error: str | None = None
    duration: float | None = Field(default=None, ge=0)


class TerminalOutput(_Data):
    text: str


class TerminalResized(_Data):
    columns: int = Field(ge=1, le=1000)
    rows: int = Field(ge=1, le=1000)


class TextDelta(_Data):
    message_id: MessageId
    text: str


class TextCompleted(_Data):
    message_id: MessageId
    sha256: str
    length: int
    final: bool = False


class TextRetracted(_Data):
    message_id: MessageId
    reason: str


class ReasoningDelta(_Data):
    text: str
    message_id: MessageId | None = None


class SourceAdded(_Data):
    source_id: str
    url: str | None = None
    title: str | None = None
    snippet: str | None = None
    step_id: str | None = None
    origin: Literal["native", "tool", "text"] = "native"

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.url is None and self.title is None:
            raise ValueError("a source needs a url or a title")
        return self


class QualityChecked(_Data):
    name: str
    outcome: Literal["pass", "fail", "warn"]
    score: float | None = None
    detail: str | None = None
    by: str | None = None
    required: bool | None = None


class UsageReported(_Data):
    """What was used, alike in every format. What is unknown is absent, never 0.

    `input_tokens` are all tokens of the prompt, those read from or written to a cache included; `cached_tokens` are
    those of them that were read from a cache. `output_tokens` include reasoning; `reasoning_tokens` are those of them.
    """

    scope: Literal["request", "turn", "run", "thread"] = "run"
    mode: Literal["add", "replace"] = "add"
    model: str | None = None
    input_tokens: int | None = Field(default=None, ge=0)
    output_tokens: int | None = Field(default=None, ge=0)
    cached_tokens: int | None = Field(default=None, ge=0)
    reasoning_tokens: int | None = Field(default=None, ge=0)
    cost_usd: float | None = Field(default=None, ge=0)


class ApprovalRequested(_Data):
    approval_id: str
    title: str
    options: list[JsonValue] | None = None


class ApprovalResolved(_Data):
    approval_id: str
    decision: str


class ArtifactCreated(_Data):
    path: str | None = None
    url: str | None = None
    action: Literal["add", "update", "delete"] = "add"
    media_type: str | None = None
    size: int | None = None
    sha256: str | None = None

    @model_validator(mode="after")
    def _placed(self) -> Self:
        if self.path is None and self.url is None:
            raise ValueError("an artifact needs a path or a url")
        return self


class ErrorRaised(_Data):
    message: str
    severity: str = "error"
    fatal: bool = False


class LogLine(_Data):
    text: str
    stream: str | None = None


class RawRejected(_Data):
    reason: str
    text: str | None = None
    base64: str | None = None
    length: int | None = None


class RawEvent(_Data):
    json_: JsonValue = Field(alias="json")


class CancelRequested(_Data):
    by: str
    signal: str | None = None


class RunResumed(_Data):
    reason: str


class RunDeclared(_Data):
    """What the agent says of its own end; `answer.text` is its final answer.

    `withdrawn` takes the last one back: it was the end of a turn, and another turn has begun.
    """

    status: str | None = None
    withdrawn: bool = False
    answer: dict[str, JsonValue] | None = None


class RunCompleted(_Data):
    status: RunStatus
    exit_code: int | None = None
    signal: str | None = None
    events: int
    reconciled: bool
    findings: list[JsonValue] = []
    redacted: dict[str, int] = {}


MODELS: dict[str, type[BaseModel]] = {
    "agent.identified": AgentIdentified,
    "approval.requested": ApprovalRequested,
    "approval.resolved": ApprovalResolved,
    "artifact.created": ArtifactCreated,
    "error.raised": ErrorRaised,
    "log.line": LogLine,
    "message.started": MessageStarted,
    "plan.created": Plan,
    "plan.updated": Plan,
    "quality.checked": QualityChecked,
    "raw.event": RawEvent,
    "raw.rejected": RawRejected,
    "reasoning.delta": ReasoningDelta,
    "run.cancel_requested": CancelRequested,
    "run.completed": RunCompleted,
    "run.declared": RunDeclared,
    "run.resumed": RunResumed,
    "run.started": RunStarted,
    "source.added": SourceAdded,
    "step.completed": StepCompleted,
    "step.progress": StepProgress,
    "step.started": StepStarted,
    "terminal.output": TerminalOutput,
    "terminal.resized": TerminalResized,
    "text.completed": TextCompleted,
    "text.delta": TextDelta,
    "text.retracted": TextRetracted,
    "usage.reported": UsageReported,
}


def _fields() -> frozenset[str]:
    models = [_Data]
    for model in models:
        models += model.__subclasses__()
    return frozenset(field.alias or name for model in models for name, field in model.model_fields.items())


FIELDS = _fields()
"""The names of all fields that the format has, those within others included."""


def _text_delta(data: Any) -> None:
    """What `TextDelta` says, by hand: nine of ten events are of this type, and this takes a fifth of the time."""
    message_id = data["message_id"]
    if type(message_id) is not str or type(data["text"]) is not str or not 0 < len(message_id) <= 200:
        raise TypeError("not a text.delta")
    if message_id[0] == "#":
        raise ValueError("a message id must not begin with #")


VALIDATORS: dict[str, Callable[[Any], object]] = {
    **{name: model.__pydantic_validator__.validate_python for name, model in MODELS.items()},
    "text.delta": _text_delta,
}
"""Raise ValueError, TypeError or KeyError when data does not fit the type."""


def check(type_: str, data: dict[str, Any]) -> str | None:
    """Why data does not fit its type, in one line; None when it fits or the type is not ours to judge."""
    model = MODELS.get(type_)
    if model is None:
        return None
    try:
        model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{type_}: {'.'.join(str(part) for part in first['loc']) or 'data'}: {first['msg']}"
    return None
