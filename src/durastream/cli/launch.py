"""Starts a recorded run: from the words of the command line to a running agent, with nothing slow on the way.

`read_words` understands the plain cases of `durastream run` without importing an argument parser, which would keep the
agent waiting for 60 ms; whatever else there is (help, mistakes) it leaves to the parser. A test holds the two together.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Mapping
from typing import NamedTuple

from durastream import probe, supervisor
from durastream.cli.ending import say
from durastream.configuration import asked_redaction
from durastream.errors import AgentNotStarted, UsageError
from durastream.location import find_store, make_store
from durastream.naming import LOGS, check_choice, check_name
from durastream.spool import Spool, boot_id
from durastream.terminal import DEFAULT_SIZE, size_of
from durastream.version import VERSION

__all__ = ["LOGS", "RUN_FORMATS", "VIEWS", "Request", "Started", "check", "current_folder", "launch", "read_words"]

VIEWS = ("auto", "live", "plain", "raw", "json", "none")
RUN_FORMATS = ("auto", "native", "text")


class Request(NamedTuple):
    """What `durastream run` was asked for."""

    command: tuple[str, ...]
    detach: bool = False
    view: str = "auto"
    name: str | None = None
    tags: tuple[str, ...] = ()
    store: str | None = None
    log: str = "sqlite"
    format: str = "auto"
    raw: bool = True
    line_buffered: bool = False
    strict: bool = False
    timestamps: bool = False
    tty: bool = False
    max_bytes: str | None = None
    max_duration: str | None = None
    redact: bool = True
    env: tuple[str, ...] = ()
    links: bool = False


class Started(NamedTuple):
    """A run that has begun: its spool, and the pid of its supervisor, which is a child of this process."""

    spool: Spool
    supervisor: int
    warning: str | None = None
    """What a person should know of how it is recorded."""


_OF_ANOTHER = ("COLUMNS", "LINES", "STY", "TERMCAP", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "TMUX", "TMUX_PANE")
"""Variables that tell of the terminal that we were started on."""

_FLAGS: dict[str, tuple[str, bool]] = {
    "-d": ("detach", True),
    "--detach": ("detach", True),
    "--no-raw": ("raw", False),
    "--no-redact": ("redact", False),
    "--line-buffered": ("line_buffered", True),
    "--strict": ("strict", True),
    "--timestamps": ("timestamps", True),
    "--tty": ("tty", True),
    "--links": ("links", True),
}
_VALUES = {
    "--view": "view",
    "--name": "name",
    "--tag": "tags",
    "--env": "env",
    "--store": "store",
    "--log": "log",
    "--format": "format",
    "--max-bytes": "max_bytes",
    "--max-duration": "max_duration",
}


def read_words(words: list[str]) -> Request | None:
    """The request that the words after `run` make; None when it takes the full parser to say."""
    given: dict[str, object] = {}
    lists: dict[str, list[str]] = {"--tag": [], "--env": []}
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] != "--":
        word, glued, value = words[at].partition("=")
        at += 1
        if word in _FLAGS and not glued:
            name, flag = _FLAGS[word]
            given[name] = flag
            continue
        if word not in _VALUES:
            return None
        if not glued:
            if at >= len(words):
                return None
            value = words[at]
            at += 1
        if word in lists:
            lists[word].append(value)
        else:
            given[_VALUES[word]] = value
    command = words[at + 1 :] if at < len(words) and words[at] == "--" else words[at:]
    if not command:
        return None
    named = Request(tuple(command), tags=tuple(lists["--tag"]), env=tuple(lists["--env"]))
    request = named._replace(**given)  # type: ignore[arg-type]
    try:
        check(request)
    except UsageError:
        return None
    return request


def check(request: Request) -> None:
    """Raises UsageError for words that cannot be meant."""
    for option, value, choices in (
        ("--view", request.view, VIEWS),
        ("--log", request.log, LOGS),
    ):
        check_choice(value, option, choices)
    if request.tty and (request.format != "auto" or request.line_buffered):
        other = "--line-buffered" if request.line_buffered else f"--format {request.format}"
        raise UsageError(f"--tty and {other} exclude each other: what a terminal is sent is recorded as it is")
    if request.format not in RUN_FORMATS:
        from durastream.sources.adapters import find  # 5 ms to import: only for who names the format of an agent

        find(request.format)
    if request.strict and request.detach:
        raise UsageError("--strict waits for the end of the run: not with --detach")
    for tag in request.tags:
        if not tag.partition("=")[0] or "=" not in tag:
            raise UsageError(f"--tag {tag}: a tag is key=value")
    _limits(request)
    for variable in request.env:
        if not variable or "=" in variable:
            raise UsageError(f"--env {variable}: the name of a variable; its value is taken from the environment")
    if request.name is not None:
        check_name(request.name, "--name")


def _limits(request: Request) -> dict[str, float]:
    """What the run must not go beyond. Raises UsageError."""
    if request.max_bytes is None and request.max_duration is None:
        return {}
    from durastream.cli.limits import bytes_of, seconds_of  # only for who asks for them

    found: dict[str, float] = {}
    if request.max_bytes is not None:
        found["max_bytes"] = bytes_of("--max-bytes", request.max_bytes)
    if request.max_duration is not None:
        found["max_duration"] = seconds_of("--max-duration", request.max_duration)
    return found


def launch(request: Request, environ: Mapping[str, str] = os.environ) -> Started:
    """Start the agent under a supervisor. Raises AgentNotStarted or StoreError, and then nothing runs."""
    argv = _resolve(request, environ)
    cwd = current_folder(environ)
    store = find_store(request.store, environ, cwd)
    redact = (
        asked_redaction({name: _text(value) for name, value in environ.items()}, cwd)
        if request.redact
        else {"on": False}
    )
    make_store(store)
    log, warning = probe.log_for(store, request.log)
    if not redact["on"]:
        sys.stderr.write("durastream: redaction is off: secrets are recorded as they are\n")
    for name in request.env:
        if name not in environ:
            say(f"--env {name}: there is no such variable here: nothing of it is recorded")
    started = time.time()
    parent = environ.get("DURASTREAM_RUN_ID")
    size = (next(filter(None, map(size_of, (1, 0, 2))), DEFAULT_SIZE)) if request.tty else None
    meta = {
        "command": [_text(word) for word in request.command],
        "callable": _text(request.command[0]) if argv[1:4] == ["-P", "-m", "durastream.callables"] else None,
        "cwd": _text(cwd),
        "name": request.name,
        "tags": dict(_text(tag).split("=", 1) for tag in request.tags),
        "pid": os.getpid(),
        "started": started,
        "started_at": _iso(started),
        "mono": time.monotonic(),
        "boot_id": boot_id(),
        "parent_run_id": _text(parent) if parent else None,
        "versions": {"durastream": VERSION, "python": ".".join(map(str, sys.version_info[:3]))},
        "log": log,
        "warning": warning,
        "format": "terminal" if request.tty else request.format,
        "terminal": size,
        "raw": request.raw,
        **_limits(request),
        "redact": redact,
        "env": {name: _text(environ[name]) for name in request.env if name in environ},
    }
    spool = Spool.create(store, meta)
    own = {**environ, "DURASTREAM_RUN_ID": spool.run_id, "DURASTREAM_EVENTS": spool.file("events")}
    own.setdefault("PYTHONUNBUFFERED", "1")
    own.pop("DURASTREAM_PARENT_RUN_ID", None)
    if parent:
        own["DURASTREAM_PARENT_RUN_ID"] = parent
    if size is not None:  # it is on a terminal of ours, whatever the one is that we were started on
        own |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        for name in _OF_ANOTHER:
            own.pop(name, None)
    return Started(spool, supervisor.launch(spool, argv, own, _stdin(), size), warning)


def current_folder(environ: Mapping[str, str] = os.environ) -> str:
    """The current folder; where it was, if it has been removed under us."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        known = environ.get("PWD", "")
        return known if os.path.isabs(known) else os.sep


def _text(word: str) -> str:
    """A word of the command line as it can be stored: bytes that are no UTF-8 become visible escapes."""
    return word.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _iso(seconds: float) -> str:
    whole = int(seconds)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{int((seconds - whole) * 1e6):06d}Z"


def _stdin() -> int | None:
    """What the agent reads: a pipe or a file is passed on; a terminal is not, for some agents hang on an open one."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return None
    return 0 if stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode) else None


def _resolve(request: Request, environ: Mapping[str, str]) -> list[str]:
    """The argv to execute. Raises AgentNotStarted with 127 (not found) or 126 (not executable)."""
    word = request.command[0]
    program = _which(word, environ)
    if program is None and ":" in word:
        from durastream.callables import looks_like_target

        if looks_like_target(word):
            return [sys.executable, "-P", "-m", "durastream.callables", *request.command]
    if program is None:
        raise AgentNotStarted(f"{word or 'an empty word'}: command not found: nothing was started", exit_code=127)
    if not os.access(program, os.X_OK) or os.path.isdir(program):
        raise AgentNotStarted(f"{word}: not an executable file: nothing was started", exit_code=126)
    if request.line_buffered:
        stdbuf = _which("stdbuf", environ)
        if stdbuf is None:
            raise UsageError("--line-buffered needs stdbuf (GNU coreutils), which is not on the PATH")
        return [stdbuf, "-oL", "-eL", *request.command]
    return list(request.command)


def _which(word: str, environ: Mapping[str, str]) -> str | None:
    """The file that a command word names; one that is not executable only if no other fits."""
    if os.sep in word:
        return word if os.path.exists(word) else None
    second = None
    for folder in os.get_exec_path(environ):
        path = os.path.join(folder, word)
        if os.path.isfile(path):
            if os.access(path, os.X_OK):
                return path
            second = second or path
    return second
