"""What a Python agent calls. Each call appends one line, whole, to the event file of the run it is in.

The run is the innermost `recording()` of this context, else of this process, else the `durastream run` around the
process (`$DURASTREAM_EVENTS`). Outside a run every call does nothing and costs a microsecond.

The program is never hurt by being recorded: no call raises for a full disk, a run that is over or a value that JSON
does not know. Trouble is one line on stderr; events that were lost are counted in the log as soon as it takes more.

Imports are few and cheap, because every agent pays for them.
"""

from __future__ import annotations

import contextvars
import itertools
import os
import sys
import threading
import time

TYPE_CHECKING = False  # as in typing, which costs 4 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType
    from typing import Any, Literal, Self

__all__ = [
    "Approval",
    "Plan",
    "Recording",
    "Step",
    "active",
    "approval",
    "artifact",
    "check",
    "complete",
    "emit",
    "error",
    "final_answer",
    "finish",
    "log",
    "plan",
    "reasoning",
    "recording",
    "retract",
    "run_id",
    "source",
    "step",
    "text",
    "usage",
]

_DEEPEST = 64  # the recorder's JSON reader stops at 200 levels
_LONGEST_STAND_IN = 2000

_lock = threading.RLock()
"""Held for every write: within a process, the order of lines is the order of calls. Reentrant for signal handlers."""

_ids = itertools.count(1)
_mark = os.urandom(3).hex()
"""Tells the ids of this process from those of the run's other processes."""


def _renew() -> None:
    global _lock, _ids, _mark
    _lock = threading.RLock()
    _ids = itertools.count(1)
    _mark = os.urandom(3).hex()


# A fork waits for the line that another thread is writing, so that the child never inherits a held lock.
os.register_at_fork(
    before=lambda: _lock.acquire() and None, after_in_parent=lambda: _lock.release(), after_in_child=_renew
)


def _new_id(prefix: str) -> str:
    return f"{prefix}{next(_ids)}-{_mark}"


# values


def _words(value: object) -> str:
    """The text of any value, bounded."""
    if isinstance(value, str):
        return value
    try:
        if isinstance(value, (bytes, bytearray)):
            words = repr(value[:_LONGEST_STAND_IN])
        elif isinstance(value, BaseException):
            words = f"{type(value).__name__}: {value}".removesuffix(": ")
        else:
            words = str(value)
    except Exception as trouble:  # noqa: BLE001 - a program's own __str__ may raise anything
        words = f"<{type(value).__name__} without text: {type(trouble).__name__}>"
    return words if len(words) <= _LONGEST_STAND_IN else words[:_LONGEST_STAND_IN] + "…"


def _clean(text: str) -> str:
    """The text with every lone surrogate, which UTF-8 cannot hold, replaced by U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _plain(value: Any, inside: tuple[int, ...] = ()) -> Any:
    """A value as JSON can hold it: no cycle, no NaN, not too deep."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, int):
        return value if value.bit_length() < 4096 else f"an integer of {value.bit_length()} bits"
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    if len(inside) < _DEEPEST and id(value) not in inside:
        inside = (*inside, id(value))
        if isinstance(value, dict):
            return {_words(key): _plain(held, inside) for key, held in list(value.items())}
        if isinstance(value, (list, tuple)):
            return [_plain(held, inside) for held in list(value)]
        if isinstance(value, (set, frozenset)):
            return [_plain(held, inside) for held in sorted(value, key=_words)]
    return _words(value)


def _encode(type_: str, data: dict[str, Any]) -> bytes:
    import json  # 10 ms to import: a program that nobody records does not pay it

    event = {"type": type_, "data": data}
    try:
        line = json.dumps(event, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        deep = line.count("[") + line.count("{") > _DEEPEST
    except (TypeError, ValueError, RuntimeError):
        deep = True
        line = ""
    if deep:
        line = json.dumps(_plain(event), ensure_ascii=False, separators=(",", ":"))
    return _clean(line).encode() + b"\n"


def _number(value: Any) -> Any:
    """A number as JSON can hold it, foreign numbers (numpy) included; None for what is not finite, and so unknown."""
    if value is None or type(value) is int:
        return value
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return value
    if number - number != 0:
        return None
    return int(number) if number.is_integer() else number


# where lines go


class _Draft:
    """What was streamed of a message since it began or was last taken back."""

    def __init__(self) -> None:
        import hashlib  # 4 ms to import, for programs that are recorded

        self.digest = hashlib.sha256()
        self.length = 0
        self.completed = False
        self.final = False

    def append(self, text: str) -> None:
        self.digest.update(text.encode())
        self.length += len(text)
        self.completed = False


class _Sink:
    """The event file of one run. `ended` is final: the run is over, or its file cannot be opened."""

    def __init__(self, path: str, run_id: str | None, *, own: bool, outer: _Sink | None = None) -> None:
        self.path = path
        self.run_id = run_id
        self.own = own
        self.outer = outer
        self.ended = False
        self.planned = False
        self.drafts: dict[str, _Draft] = {}
        self._fd = -1
        self._file = (0, 0)
        self._torn = False
        self._lost = 0
        self._warned = False

    def write(self, type_: str, data: dict[str, Any]) -> None:
        """Append one event. What is unknown (None) is left out."""
        known = {name: value for name, value in data.items() if value is not None}
        line = _encode(type_, known)
        with _lock:
            if not self.ended:
                self._follow(type_, known)
                self._append(line)

    def ready(self) -> bool:
        """Whether the run still takes events."""
        with _lock:
            return not self.ended and self._descriptor() is not None

    def end(self) -> None:
        with _lock:
            self.ended = True
            if self._still_ours() is not None:
                os.close(self._fd)
            self._fd = -1

    def _follow(self, type_: str, data: dict[str, Any]) -> None:
        """Keep length and hash of each message, however its events are written."""
        message_id = data.get("message_id")
        if not type_.startswith(("text.", "message.")) or not isinstance(message_id, str):
            return
        draft = self.drafts.get(message_id)
        if draft is None or type_ == "text.retracted":
            draft = self.drafts[message_id] = _Draft()
        if type_ == "text.delta":
            draft.append(_clean(_words(data.get("text", ""))))
        elif type_ == "text.completed":
            draft.completed = True
            draft.final = draft.final or bool(data.get("final"))

    def _append(self, line: bytes) -> None:
        fd = self._descriptor()
        if fd is None:
            return
        if self._lost:
            loss = {"message": f"{self._lost} events could not be written and are lost", "severity": "warning"}
            line = _encode("error.raised", loss) + line
        if self._torn:
            line = b"\n" + line
        written = 0
        try:
            written = os.write(fd, line)
            while written < len(line):
                written += os.write(fd, line[written:])
            self._lost = 0
        except OSError as trouble:
            self._lost += 1
            self._complain(f"cannot write to {self.path}: {trouble.strerror}; events are lost, the program goes on")
        finally:
            if written:
                self._torn = written < len(line)

    def _still_ours(self) -> os.stat_result | None:
        """What our descriptor is; None when the program closed it, or made its number another file."""
        if self._fd < 0:
            return None
        try:
            status = os.fstat(self._fd)
        except OSError:
            return None
        return status if (status.st_dev, status.st_ino) == self._file else None

    def _descriptor(self) -> int | None:
        status = self._still_ours()
        try:
            if status is None:
                # Never created here: the file of a run that is over must stay away.
                self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
                status = os.fstat(self._fd)
                self._file = (status.st_dev, status.st_ino)
        except OSError as trouble:
            self._fd = -1
            self.ended = True
            self._complain(f"cannot open {self.path}: {trouble.strerror}; the program goes on unrecorded")
            return None
        if status.st_nlink == 0:
            self.end()
            self._complain(f"run {self.run_id or self.path} is over; the program goes on unrecorded")
            return None
        return self._fd

    def _complain(self, message: str) -> None:
        if not self._warned:
            self._warned = True
            _complain(message)


def _complain(message: str) -> None:
    """One line on stderr, past Python's buffer: what stays in there on a full disk turns the exit code into 120."""
    try:
        os.write(2, f"durastream: {message}\n".encode(errors="replace"))
    except OSError:
        return


_innermost: contextvars.ContextVar[_Sink | None] = contextvars.ContextVar("durastream_recording", default=None)
_place: contextvars.ContextVar[_Place | None] = contextvars.ContextVar("durastream_step", default=None)
_recordings: list[_Sink] = []
"""The recordings of this process, for threads that were started without a copy of the context."""

_environment: _Sink | None = None


def _sink() -> _Sink | None:
    """The run that a call belongs to; None outside of any."""
    global _environment
    sink = _innermost.get()
    while sink is not None and sink.ended:
        sink = sink.outer
    if sink is not None:
        return sink
    if _recordings:
        with _lock:
            if _recordings:
                return _recordings[-1]
    path = os.environ.get("DURASTREAM_EVENTS")
    if not path:
        return None
    around = _environment
    if around is None or around.path != path:
        with _lock:
            around = _environment  # another thread may have been first: two sinks would keep two drafts
            if around is None or around.path != path:
                if around is not None:
                    around.end()
                around = _environment = _Sink(path, os.environ.get("DURASTREAM_RUN_ID"), own=False)
    return None if around.ended else around


def active() -> bool:
    """Whether events go anywhere."""
    sink = _sink()
    return sink is not None and sink.ready()


def run_id() -> str | None:
    """The id of the run that this code is in; None outside of any."""
    sink = _sink()
    return None if sink is None else sink.run_id


def emit(type_: str, /, **data: Any) -> None:
    """Write an event of any type, your own `noun.verb` included. A field that is None is left out.

    An event that does not fit its type is kept in the log as `raw.rejected`, with the reason.
    """
    sink = _sink()
    if sink is not None:
        sink.write(_words(type_), data)


# the answer


def text(chunk: str | None, *, message_id: str = "answer") -> None:
    """Stream a piece of a message. None and the empty string, which models send too, are no event.

    One process streams a message: give each its own `message_id` when several write at once.
    """
    sink = _sink()
    if sink is not None and chunk is not None:
        _stream(sink, _clean(_words(chunk)), message_id)


def _stream(sink: _Sink, chunk: str, message_id: str) -> None:
    if not chunk:
        return
    with _lock:
        _begin(sink, message_id)
        sink.write("text.delta", {"message_id": message_id, "text": chunk})


def _begin(sink: _Sink, message_id: str) -> None:
    if message_id not in sink.drafts:
        sink.write("message.started", {"message_id": message_id, "role": "assistant"})


def complete(message_id: str = "answer") -> None:
    """Say that a message is whole. Its length and SHA-256 are recorded, so that a loss is noticed."""
    sink = _sink()
    if sink is not None:
        _complete(sink, message_id)


def final_answer(text: str | None = None, *, message_id: str = "answer") -> None:
    """Say which message is the answer, and that it is whole.

    With `text`, that is what you hand over: it is streamed now if nothing was streamed before, else compared with
    what was. A difference is recorded beside the streamed text, and every view of the run reports it.
    """
    sink = _sink()
    if sink is None:
        return
    with _lock:
        draft = sink.drafts.get(message_id)
        if text is not None:
            declared = _clean(_words(text))
            if draft is None or not draft.length:
                _begin(sink, message_id)
                _stream(sink, declared, message_id)
            elif not _same(draft, declared):
                # The recorder takes an agent's `run.completed` as its word on its own end, and compares.
                sink.write("run.completed", {"answer": {"message_id": message_id, "text": declared}})
        _complete(sink, message_id, final=True)


def _same(draft: _Draft, text: str) -> bool:
    other = _Draft()
    other.append(text)
    return draft.digest.digest() == other.digest.digest()


def _complete(sink: _Sink, message_id: str, *, final: bool | None = None) -> None:
    with _lock:
        draft = sink.drafts.get(message_id)
        if draft is None or (draft.completed and (draft.final or not final)):
            return
        sha256 = draft.digest.hexdigest()
        data = {"message_id": message_id, "sha256": sha256, "length": draft.length, "final": final}
        sink.write("text.completed", data)


def finish() -> None:
    """Declare the answer final at the end of an agent, unless it or another message was declared before."""
    sink = _sink()
    if sink is not None and not any(draft.final for draft in sink.drafts.values()):
        final_answer()


def retract(reason: str, message_id: str = "answer") -> None:
    """Take back all that was streamed of a message. It stays in the log; what follows is the message."""
    emit("text.retracted", message_id=message_id, reason=_words(reason))


def reasoning(text: str | None, *, message_id: str | None = None) -> None:
    """Stream a piece of reasoning, which is no part of the answer."""
    if text:
        emit("reasoning.delta", text=_words(text), message_id=message_id)


# the work


class _Place:
    """Where in the work a piece of code stands: in a step, in what was around it, in a run."""

    __slots__ = ("around", "open", "sink", "step_id")

    def __init__(self, step_id: str) -> None:
        self.step_id = step_id
        self.around = _enclosing()
        self.sink = _sink()
        self.open = True


def _enclosing() -> _Place | None:
    """The innermost open step of this context: a task may outlive the step that it was started in."""
    place = _place.get()
    while place is not None and not place.open:
        place = place.around
    return place


def _step_in(sink: _Sink, place: _Place | None) -> str | None:
    """The id of the step at a place, if it is a step of this run."""
    return place.step_id if place is not None and place.sink is sink else None


class Step:
    """A step of work, as `with step(...)` or `async with step(...)` yields it. Its parent is the step around it."""

    def __init__(self, title: str, kind: str, step_id: str | None, parent: Step | str | None, input_: object) -> None:
        self.title = _words(title)
        self.kind = kind
        self.step_id = _new_id("s") if step_id is None else _words(step_id)
        self._parent = parent
        self._input = input_
        self._place: _Place | None = None
        self._started = 0.0
        self._status = "ok"
        self._reason: str | None = None
        self._output: object = None

    def __enter__(self) -> Self:
        place = self._place = _Place(self.step_id)
        _place.set(place)
        if place.sink is not None:
            parent = self._parent.step_id if isinstance(self._parent, Step) else self._parent
            if parent is None:
                parent = _step_in(place.sink, place.around)
            fields = {"step_id": self.step_id, "title": self.title, "kind": self.kind, "parent": parent}
            place.sink.write("step.started", {**fields, "input": self._input})
        self._started = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        duration = round(time.perf_counter() - self._started, 6)
        place = self._place
        if place is None or not place.open:
            return
        place.open = False
        if _place.get() is place:  # in a generator closed elsewhere it is not, and a token would raise
            _place.set(place.around)
        if error is not None and self._status not in ("failed", "denied") and _outcome(error)[0] != 0:
            self._status, self._reason = "failed", _words(error)
        if place.sink is not None:
            fields = {"step_id": self.step_id, "status": self._status, "output": self._output, "error": self._reason}
            place.sink.write("step.completed", {**fields, "duration": duration})

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def progress(self, message: str | None = None, fraction: float | None = None) -> None:
        """Say how far the work is; `fraction` is from 0 to 1, and held within."""
        place = self._place
        if place is None or place.sink is None or not place.open:
            return
        done = _number(fraction)
        if isinstance(done, (int, float)):
            done = min(max(done, 0), 1)
        words = None if message is None else _words(message)
        place.sink.write("step.progress", {"step_id": self.step_id, "message": words, "fraction": done})

    def output(self, value: object) -> None:
        """Keep what came out; it is written when the step ends. What JSON does not know is kept as its text."""
        self._output = value

    def fail(self, reason: object) -> None:
        """The step failed, though nothing was raised. `reason` may be an exception."""
        self._status, self._reason = "failed", _words(reason)

    def skip(self, reason: object) -> None:
        """The step turned out not to be needed."""
        self._status, self._reason = "skipped", _words(reason)

    def deny(self, reason: object) -> None:
        """The step was not allowed."""
        self._status, self._reason = "denied", _words(reason)


def step(
    title: str,
    *,
    kind: Literal["plan", "tool", "task", "model", "agent"] = "task",
    step_id: str | None = None,
    parent: Step | str | None = None,
    input: object = None,  # noqa: A002 - the name of the field
) -> Step:
    """A step of work: `with step("search") as s:` (or `async with`). It is written before the work starts.

    An exception makes it failed and goes on its way; `sys.exit(0)` does not. Steps nest, in async tasks too; a new
    thread starts outside of any, unless you name its `parent`.
    """
    return Step(title, kind, step_id, parent, input)


class Plan:
    """A plan that `plan` wrote. Each change writes the whole list again.

    A step is named by its position in the list (from 0), its id or its title; a name that is not there is added.
    """

    def __init__(self, steps: Iterable[str | Mapping[str, Any]]) -> None:
        self._sink = _sink()
        self._entries: list[dict[str, Any]] = []
        for entry in [steps] if isinstance(steps, str) else steps:
            self._enter(entry)
        self._write()

    @property
    def steps(self) -> list[dict[str, Any]]:
        return [dict(entry) for entry in self._entries]

    def start(self, step: int | str) -> None:
        self._set(step, "active")

    def done(self, step: int | str) -> None:
        self._set(step, "done")

    def skip(self, step: int | str) -> None:
        self._set(step, "skipped")

    def cancel(self, step: int | str) -> None:
        self._set(step, "cancelled")

    def add(self, step: str | Mapping[str, Any]) -> str:
        """Add a step at the end; returns its id."""
        with _lock:
            entry = self._enter(step)
            self._write()
            return str(entry["id"])

    def _enter(self, step: str | Mapping[str, Any]) -> dict[str, Any]:
        given = {"title": step} if isinstance(step, str) else step
        entry = {name: value for name, value in given.items() if value is not None}
        taken = {other["id"] for other in self._entries}
        places = itertools.count(len(self._entries) + 1)
        id_ = _words(entry["id"]) if "id" in entry else next(p for n in places if (p := f"p{n}") not in taken)
        title = _words(entry.get("title", id_))
        whole = {**entry, "id": id_, "title": title, "status": entry.get("status", "pending")}
        if "parent" in whole:
            whole["parent"] = _words(whole["parent"])
        self._entries.append(whole)
        return whole

    def _set(self, step: int | str, status: str) -> None:
        with _lock:
            entry = self._find(step)
            if entry is not None and entry["status"] != status:
                entry["status"] = status
                self._write()

    def _find(self, step: int | str) -> dict[str, Any] | None:
        if isinstance(step, int):
            if -len(self._entries) <= step < len(self._entries):
                return self._entries[step]
            _complain(f"the plan has no step at {step}: it has {len(self._entries)}, counted from 0")
            return None
        for name in ("id", "title"):
            for entry in self._entries:
                if entry[name] == step:
                    return entry
        return self._enter(_words(step))

    def _write(self) -> None:
        with _lock:
            if self._sink is not None:
                type_ = "plan.updated" if self._sink.planned else "plan.created"
                self._sink.planned = True
                self._sink.write(type_, {"steps": self._entries})


def plan(steps: Iterable[str | Mapping[str, Any]]) -> Plan:
    """Write the plan: titles, or mappings with `title` and, if you like, `id`, `status`, `parent`.

    Ids are given by position (`p1`, `p2` …) where there is none. A second plan replaces the first.
    """
    return Plan(steps)


class Approval:
    """A question that someone decides."""

    def __init__(self, approval_id: str, sink: _Sink | None) -> None:
        self.approval_id = approval_id
        self._sink = sink

    def resolve(self, decision: str) -> None:
        if self._sink is not None:
            data = {"approval_id": self.approval_id, "decision": _words(decision)}
            self._sink.write("approval.resolved", data)


def approval(title: str, options: Iterable[str] | None = None, *, approval_id: str | None = None) -> Approval:
    """Write that the agent asks for leave; call `resolve(decision)` on what this returns. Nobody is asked by it."""
    asked = Approval(approval_id or _new_id("a"), _sink())
    choices = None if options is None else list(options)
    emit("approval.requested", approval_id=asked.approval_id, title=_words(title), options=choices)
    return asked


# what came of it


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
        import hashlib  # 4 ms to import, for programs that name sources

        named = url if url is not None else title
        source_id = "src-" + hashlib.sha256(_clean(_words(named)).encode()).hexdigest()[:8]
    sink = _sink()
    if sink is not None:
        if step_id is None:
            step_id = _step_in(sink, _enclosing())
        where = {"url": url, "title": title, "snippet": snippet, "step_id": step_id, "origin": origin}
        sink.write("source.added", {"source_id": source_id, **where})
    return source_id


def check(
    name: str,
    outcome: bool | Literal["pass", "fail", "warn"],
    *,
    score: float | None = None,
    detail: str | None = None,
) -> None:
    """Write what a quality check found; True is `pass` and False is `fail`."""
    found = outcome if isinstance(outcome, str) else "pass" if outcome else "fail"
    emit("quality.checked", name=_words(name), outcome=found, score=_number(score), detail=detail, by="agent")


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
    known = {name: _number(value) for name, value in numbers.items()}
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
    where = None if path is None else _words(os.fspath(path))
    known = {"media_type": media_type, "size": _number(size), "sha256": sha256}
    emit("artifact.created", path=where, url=url, action=action, **known)


def error(message: object, *, severity: str = "error", fatal: bool = False) -> None:
    """Write an error; `message` may be an exception. `fatal` says that the agent cannot go on."""
    emit("error.raised", message=_words(message), severity=severity, fatal=bool(fatal))


def log(text: object) -> None:
    """Write a line for people, which is no part of the answer."""
    emit("log.line", text=_words(text))


# recording in the process itself


class Recording:
    """A recording of this process, as `with recording()` yields it.

    `run_id` is there from the start; `path` and `completed` (the data of `run.completed`) after the end. Inside
    `durastream run` the run is that one, and `path` and `completed` stay None.
    """

    def __init__(self, name: str | None, store: str | None, tags: Mapping[str, str] | None, log: str) -> None:
        self.run_id: str | None = None
        self.path: str | None = None
        self.completed: dict[str, Any] | None = None
        self._name = name
        self._store = store
        self._tags = {_words(key): _words(value) for key, value in (tags or {}).items()}
        self._log = log
        self._recorder: Any = None
        self._sink: _Sink | None = None
        self._pid = os.getpid()

    @property
    def env(self) -> dict[str, str]:
        """The environment variables with which a child process records into this run."""
        known = {"DURASTREAM_RUN_ID": self.run_id, "DURASTREAM_EVENTS": self._sink and self._sink.path}
        return {name: value for name, value in known.items() if value}

    def __enter__(self) -> Self:
        if not self._join():
            self._start()
            self._enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        end = self._leave(error)
        if end is not None:
            self._finish(*end)

    async def __aenter__(self) -> Self:
        if not self._join():
            await _off_loop(self._start)
            self._enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        end = self._leave(error)
        if end is not None:
            await _off_loop(lambda: self._finish(*end))

    def _join(self) -> bool:
        """Be a part of the `durastream run` around this process, if there is one that still takes events."""
        around = _sink()
        if around is None or around.own or not around.ready():
            return False
        self._sink = around
        self.run_id = around.run_id
        if self._name is not None or self._tags:
            around.write("recording.joined", {"name": self._name, "tags": self._tags or None})
        return True

    def _start(self) -> None:
        from durastream.location import find_store  # these open a store, which no other call of this module needs
        from durastream.recorder import InProcess

        self._pid = os.getpid()
        store = find_store(self._store, os.environ, os.getcwd())
        self._recorder = InProcess(
            store=store, name=self._name, tags=self._tags, command=list(sys.orig_argv), log=self._log
        )

    def _enter(self) -> None:
        self.run_id = self._recorder.run_id
        self._sink = _Sink(self._recorder.events_path, self.run_id, own=True, outer=_innermost.get())
        _innermost.set(self._sink)
        with _lock:
            _recordings.append(self._sink)

    def _leave(self, error: BaseException | None) -> tuple[int, str | None] | None:
        """Close the event file; the exit code and error to end with, or None when the run is not ours to end."""
        code, words = _outcome(error)
        sink = self._sink
        if sink is None or os.getpid() != self._pid:  # a forked child that left the block
            return None
        if words is not None:
            sink.write("error.raised", {"message": words, "severity": "error", "fatal": sink.own})
        if not sink.own:
            return None
        with _lock:
            _recordings.remove(sink)
            sink.end()
        if _innermost.get() is sink:
            _innermost.set(sink.outer)
        return code, words

    def _finish(self, code: int, words: str | None) -> None:
        from durastream.errors import DurastreamError  # as the store: only where a recording ends

        try:
            self.completed = self._recorder.finish(exit_code=code, error=words) or None
        except (DurastreamError, OSError) as trouble:
            _complain(f"the end of run {self.run_id} could not be stored: {_words(trouble)}")
        self.path = self._recorder.path


def recording(
    name: str | None = None,
    *,
    store: str | None = None,
    tags: Mapping[str, str] | None = None,
    log: Literal["sqlite", "jsonl"] = "sqlite",
) -> Recording:
    """Record what this process does in the block, `with` or `async with`. Inside `durastream run`, be a part of that.

    The end of the block waits until all is stored. Raises StoreError when the recording cannot be made; after that
    nothing raises but your own code. Child processes record into it with `env`.
    """
    return Recording(name, store, tags, log)


def _outcome(error: BaseException | None) -> tuple[int, str | None]:
    """The exit code that an exception means for a process, and the error to record."""
    if error is None:
        return 0, None
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return error.code or 0, None
        return 1, _words(error.code)
    return 130 if isinstance(error, KeyboardInterrupt) else 1, _words(error)


async def _off_loop(work: Callable[[], None]) -> None:
    """Do what waits for the disk in a thread, so that other tasks go on; in place under another loop than asyncio's."""
    import asyncio  # loaded already by whoever gets here

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        work()
        return
    await asyncio.to_thread(work)
