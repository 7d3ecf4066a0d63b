"""What is said in one event: sources, checks, usage, artifacts, errors, log lines, and events of your own."""

from __future__ import annotations

import os

from durastream import forks
from durastream.api.context import current
from durastream.api.steps import step_in
from durastream.api.values import clean, number, text_of

TYPE_CHECKING = False  # as in typing, which costs 4 ms to import
if TYPE_CHECKING:
    from typing import Any, Literal

__all__ = ["artifact", "check", "emit", "error", "log", "source", "usage"]


def emit(type_: str, /, **data: Any) -> None:
    """Write an event of any type, your own `noun.verb` included. A field that is None is left out.

    An event that does not fit its type is kept in the log as `raw.rejected`, with the reason.
    """
    sink = current()
    if sink is not None:
        sink.write(text_of(type_), data)


def source(
    url: str | None = None,
    title: str | None = None,
    snippet: str | None = None,
    *,
    source_id: str | None = None,
    step_id: str | None = None,
    origin: Literal["native", "tool", "text"] | None = None,
) -> str:
    """Write a source, by url or title, and return its id: the same source has the same id, in every process.

    It belongs to the step around the call, unless `step_id` names another.
    """
    if source_id is None:
        with forks.lock:  # as in `encode`, for a fork
            import hashlib  # 4 ms to import, for programs that name sources

        named = url if url is not None else title
        source_id = "src-" + hashlib.sha256(clean(text_of(named)).encode()).hexdigest()[:8]
    sink = current()
    if sink is not None:
        if step_id is None:
            step_id = step_in(sink)
        where = {"url": url, "title": title, "snippet": snippet, "step_id": step_id, "origin": origin}
        sink.write("source.added", {"source_id": source_id, **where})
    return source_id


def check(
    name: str,
    outcome: bool | Literal["pass", "fail", "warn"],
    *,
    score: float | None = None,
    detail: str | None = None,
    required: bool | None = None,
) -> None:
    """Write what a quality check found; True is `pass` and False is `fail`. A `required` one must not fail.

    Raises ValueError for an outcome that is none, in a run or not.
    """
    if isinstance(outcome, str) and outcome not in ("pass", "fail", "warn"):
        raise ValueError(f"outcome {outcome!r}: one of pass, fail, warn, or True or False")
    found = outcome if isinstance(outcome, str) else "pass" if outcome else "fail"
    emit(
        "quality.checked",
        name=text_of(name),
        outcome=found,
        score=number(score),
        detail=detail,
        by="agent",
        required=required,
    )


def usage(
    *,
    scope: Literal["request", "turn", "run", "thread"] | None = None,
    mode: Literal["add", "replace"] | None = None,
    model: str | None = None,
    input_tokens: int | None = None,
    output_tokens: int | None = None,
    cached_tokens: int | None = None,
    reasoning_tokens: int | None = None,
    cost_usd: float | None = None,
    **more: Any,
) -> None:
    """Write what was used. What you do not know you leave out: unknown is not 0.

    By default numbers add up over the run; `mode="replace"` gives a new total.
    """
    numbers = {
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "cached_tokens": cached_tokens,
        "reasoning_tokens": reasoning_tokens,
        "cost_usd": cost_usd,
    }
    known = {name: number(value) for name, value in numbers.items()}
    emit("usage.reported", **{**more, "scope": scope, "mode": mode, "model": model, **known})


def artifact(
    path: str | os.PathLike[str] | None = None,
    url: str | None = None,
    action: Literal["add", "update", "delete"] = "add",
    *,
    media_type: str | None = None,
    size: int | None = None,
    sha256: str | None = None,
) -> None:
    """Write that a file or page came to be, changed or went. The file itself is not read."""
    where = None if path is None else text_of(os.fspath(path))
    known = {"media_type": media_type, "size": number(size), "sha256": sha256}
    emit("artifact.created", path=where, url=url, action=action, **known)


def error(message: object, *, severity: str = "error", fatal: bool = False) -> None:
    """Write an error; `message` may be an exception. `fatal` says that the agent cannot go on."""
    emit("error.raised", message=text_of(message), severity=severity, fatal=bool(fatal))


def log(text: object) -> None:
    """Write a line for people, which is no part of the answer."""
    emit("log.line", text=text_of(text))
