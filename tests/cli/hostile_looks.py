"""What every command prints of recordings in which all is hostile, and the oracle's word on it.

A recording is data: whatever is in it, nothing acts on the terminal of whoever uses any command on it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import select
import struct
import sys
import termios
import time
import traceback
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import typer
from hostile_payloads import PAYLOADS, escaped

import durastream.events
import durastream.views.safe
from durastream.cli.app import app
from durastream.cli.app import main as app_main
from durastream.cli.ending import ended, open_streams
from durastream.recorder import recover
from durastream.spool import STREAMS, Spool, boot_id

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
ALL = "".join(PAYLOADS.values())
WORD = "".join(PAYLOADS[name] for name in ("title", "clipboard", "C1 CSI", "bidi override", "tags", "Rich action"))
VIEWS = ("plain", "json", "live", "auto")
WORD += "\udcff\u2028\r\n" + "z" + "\u0301" * 20


def native(payload: str) -> list[tuple[str, dict[str, Any]]]:
    """Events with a payload wherever an agent can put text."""
    return [
        ("plan.created", {"steps": [{"id": payload, "title": payload, "status": "active", "parent": payload}]}),
        ("step.started", {"step_id": payload, "title": payload, "kind": payload, "input": {payload: payload}}),
        ("step.progress", {"step_id": payload, "message": payload, "fraction": 0.5}),
        ("step.completed", {"step_id": payload, "status": "failed", "output": [payload], "error": payload}),
        ("reasoning.delta", {"text": payload}),
        ("source.added", {"source_id": payload, "url": payload, "title": payload, "snippet": payload}),
        ("quality.checked", {"name": payload, "outcome": "fail", "detail": payload, "by": payload}),
        ("approval.requested", {"approval_id": payload, "title": payload, "options": [payload]}),
        ("artifact.created", {"path": payload, "action": "add", "media_type": payload}),
        ("error.raised", {"message": payload, "severity": payload}),
        ("usage.reported", {"scope": "turn", "mode": "add", "model": payload, "input_tokens": 3}),
        ("log.line", {"stream": payload, "text": payload}),
        ("agent.identified", {"name": payload, "version": payload, "model": payload, "prompt": payload}),
        ("text.delta", {"message_id": (payload.strip("#") or "m")[:200], "text": payload}),
        ("app.noted", {payload: {payload: [payload]}}),
        ("step.started", {"step_id": "open " + payload, "title": payload}),
    ]


def events_file() -> bytes:
    lines = [
        json.dumps({"type": type_, "data": data}) for payload in PAYLOADS.values() for type_, data in native(payload)
    ]
    raw = [f'{{"type":"{payload}"}}\n{{"type":"text.delta","data":{{"{payload}"' for payload in PAYLOADS.values()]
    declared = json.dumps({"type": "run.completed", "data": {"status": "failed", "answer": {"text": "not " + ALL}}})
    return "\n".join([*lines, *raw, declared, ""]).encode("utf-8", "surrogatepass")


def record(folder: Path, run_log: str, *, streams: tuple[bytes, ...] = (), **meta: Any) -> str:
    """A finished run in which all is hostile: what it was called, what was asked for, what it printed."""
    told = {"command": [ALL, WORD], "cwd": ALL, "host": ALL, "prompt": ALL, "versions": {ALL: ALL}, "callable": ALL}
    fixed = {
        "pid": 1, "started": time.time(), "started_at": "2026-11-23T06:00:00.000000Z", "mono": time.monotonic(),
        "boot_id": boot_id(), "log": run_log, "format": "auto", "raw": True, "tags": {ALL: ALL}, "parent_run_id": ALL,
    }  # fmt: skip
    spool = Spool.create(str(folder), {**fixed, **told, **meta})
    os.close(spool.lock("supervisor"))
    printed = "".join(f"{payload}\n" for payload in PAYLOADS.values()).encode("utf-8", "surrogatepass")
    for stream, data in zip(STREAMS, streams or (printed, printed, events_file()), strict=True):
        Path(spool.file(stream)).write_bytes(b"" if meta.get("terminal") and stream == "stderr" else data)
    spool.write_exit({"exit_code": 1, "ts": time.time(), "sent": [], "left": [{"pid": 7, "name": ALL[:400]}]})
    assert recover(spool)
    return spool.run_id


class Store(NamedTuple):
    folder: Path
    run: str
    lines: str
    screen: str
    forged: str
    transcript: str

    @property
    def runs(self) -> tuple[str, str, str, str]:
        return self.run, self.lines, self.screen, self.forged


def made(at: Path) -> Store:
    """A store in a new folder in which all is hostile."""
    folder = at / "recordings"
    folder.mkdir(mode=0o700)
    run = record(folder, "sqlite", name=ALL)
    lines = record(folder, "jsonl", name="lines")
    screen = record(folder, "sqlite", name="screen", format="terminal", terminal=(80, 24))
    forged = folder / "forged.jsonl"  # as somebody else might write it: nothing in it is escaped
    text = (folder / f"{lines}.jsonl").read_text("utf-8").replace(lines, "forged")
    whole = [json.loads(line) for line in text.split("\n") if line]
    raw = "\n".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in whole)
    forged.write_bytes((raw + "\n" + ALL + "\n").encode("utf-8", "replace"))
    beside = json.dumps({"name": ALL, ALL: ALL}, ensure_ascii=False)[:4000] + "\n"
    (folder / "forged.addenda.jsonl").write_bytes(beside.encode("utf-8", "replace"))
    transcript = folder.parent / f"{ALL.replace(chr(0), '').replace('/', '')[:60]}.jsonl"
    said = [
        {"type": "system", "subtype": "init", "session_id": ALL, "model": ALL, "tools": [ALL], "cwd": ALL},
        {"type": "assistant", "message": {"id": ALL, "model": ALL, "content": [
            {"type": "text", "text": ALL}, {"type": "tool_use", "id": ALL, "name": ALL, "input": {ALL: ALL}}]}},
        {"type": "result", "subtype": ALL, "is_error": True, "result": ALL},
    ]  # fmt: skip
    transcript.write_text("".join(json.dumps(line) + "\n" for line in said))
    return Store(folder, run, lines, screen, str(forged), str(transcript))


class Done(NamedTuple):
    code: int
    out: bytes
    err: bytes


def looked(words: list[str], folder: Path, *, terminal: bool = False, keys: bytes = b"") -> Done:
    """What a command prints, on pipes or on a terminal, in a fork of this process: an import costs half a second."""
    pairs = [os.openpty()] * 2 if terminal else [os.pipe(), os.pipe()]
    if terminal:
        fcntl.ioctl(pairs[0][0], termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    pid = os.fork()
    if not pid:
        code = 99
        try:
            os.setsid()
            stdin = pairs[0][1] if terminal else os.open(os.devnull, os.O_RDONLY)
            for fd, mine in ((0, stdin), (1, pairs[0][1]), (2, pairs[1][1])):
                os.dup2(mine, fd)
            if terminal:
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            fresh_streams()
            os.chdir(folder.parent)
            os.environ |= {"TERM": "xterm-256color", "DURASTREAM_STORE": str(folder)}
            for name in ("COLUMNS", "LINES", "NO_COLOR"):
                os.environ.pop(name, None)
            code = ended(lambda: app_main(words))
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 98
        except BaseException:  # noqa: BLE001 - the fork must not return, and what it has to say is looked at
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                for stream in (sys.stdout, sys.stderr):
                    stream.flush()
            os._exit(code)
    for _, theirs in set(pairs):
        os.close(theirs)
    out, err = read_all(pairs, keys)
    return Done(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), out, err)


def read_all(pairs: list[tuple[int, int]], keys: bytes) -> tuple[bytes, bytes]:
    """Both outputs to their ends, in step: a full pipe would stop who writes to it."""
    data = {ours: b"" for ours, _ in pairs}
    left = set(data)
    while left:
        for fd in select.select(list(left), [], [])[0]:
            try:
                piece = os.read(fd, 1 << 16)
            except OSError:  # a terminal that nobody has open any more
                piece = b""
            data[fd] += piece
            if not piece:
                left.remove(fd)
                os.close(fd)
            elif keys:
                os.write(fd, keys)
    out, err = pairs[0][0], pairs[1][0]
    return data[out], b"" if out == err else data[err]


def fresh_streams() -> None:
    """Streams of Python's own on the descriptors, in place of those that pytest put there."""
    sys.stdin, sys.stdout, sys.stderr = (open(fd, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
                                         for fd, mode in ((0, "r"), (1, "w"), (2, "w")))  # fmt: skip
    open_streams()


def looks(store: Store) -> dict[str, list[list[str]]]:
    """Every command, with all the ways it has to show what is in a recording."""
    run = store.run
    each = list(store.runs)
    return {
        "list": [["list"], ["list", "--json"], ["list", "--status", "failed", "--limit", "2"], ["list", "--watch"]],
        "show": [[*words] for one in each for words in (["show", one], ["show", one, "--json"])],
        "events": [["events", one] for one in each] + [["events", run, "--type", "text.delta"]],
        "cat": [["cat", one] for one in each],
        "verify": [["verify", store.screen, store.forged], ["verify", run, "--junit", "j", "--sarif", "s"],
                   ["verify", store.lines, "--json"]],
        "attach": [["attach", one, "--view", view] for one, view in zip(each, VIEWS, strict=True)],
        "replay": [["replay", one, "--speed", "max", "--view", view]
                   for one, view in zip(each, VIEWS[::-1], strict=True)]
        + [["replay", run, "--speed", "max", "--timestamps"]],
        "diff": [["diff", run, store.screen], ["diff", run, store.forged, "--json"]],
        "seal": [["seal", one] for one in each],
        "check": [["check", run, "--name", WORD, "--outcome", "fail", "--detail", WORD, "--by", WORD],
                  ["show", run], ["show", run, "--json"]],
        "import": [["import", store.transcript], ["show", "latest"], ["cat", "latest"]],
        "rederive": [["rederive", run], ["rederive", store.screen]],
        "cancel": [["cancel", run]],
        "recover": [["recover", run], ["recover"]],
        "rules": [["rules"], ["rules", "answer-differs"], ["rules", "--json"]],
        "formats": [["formats"], ["formats", "--json"]],
        "init": [["init", "sub"]],
        "redact": [["redact", run, "--literal", WORD], ["redact", run, "--pattern", "nowhere" + ALL]],
        "selftest": [["selftest"]],
        "rm": [["rm", store.lines]],
        "run": [],  # needs processes of its own: test_cli_hostile.py looks at it while it runs
        "demo": [],  # prints what durastream itself says
    }  # fmt: skip


RAW = {"cat"}
"""What gives the agent's own text out in a pipe, because that is its purpose."""


def acted(words: list[str], done: Done, *, terminal: bool) -> set[str]:
    """What got through in what a command printed."""
    json_ = "--json" in words or "json" in words or words[0] == "events"
    found = escaped(done.err, json=json_)
    if words[0] not in RAW or terminal:
        found |= escaped(done.out, drawn=terminal, json=json_)
    return found


def outputs(store: Store, command: str, *, terminal: bool) -> list[tuple[list[str], Done]]:
    """What a command prints, by all the ways it has."""
    found = []
    for words in looks(store)[command]:
        keys = b"q" if terminal and "--watch" in words else b""
        found.append((words, looked(words, store.folder, terminal=terminal, keys=keys)))
    return found


def through(at: Path, commands: Collection[str]) -> list[tuple[str, set[str]]]:
    """All outputs of commands, in a pipe and on a terminal, and what got through in each. A store is made for it."""
    store, found = made(at), []
    for command in sorted(commands, key=lambda each: each == "rm"):
        for terminal in (False, True):
            for words, done in outputs(store, command, terminal=terminal):
                what = acted(words, done, terminal=terminal)
                if done.code == 99 or b"Traceback" in done.out + done.err:
                    what.add("a traceback")
                found.append((f"{' '.join(words)[:60]!r} {'on a terminal' if terminal else 'in a pipe'}", what))
    return found


def bare() -> None:
    """Have this process print, and store, texts as they are: nothing in them is made visible any more."""
    nothing = re.compile("(?!)")
    durastream.events._ACTIVE = nothing
    for name in ("_ACTIVE", "_ACTIVE_OR_SPACE", "_MAYBE_STACKED"):
        setattr(durastream.views.safe, name, nothing)
