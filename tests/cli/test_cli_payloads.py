"""A recording is data: whatever is in it, nothing acts on the terminal of whoever uses any command on it."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import select
import struct
import subprocess
import sys
import termios
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from cli_kit import CLI, SRC
from hostile_payloads import HARMLESS, PAYLOADS, escaped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from durastream.cli.app import app
from durastream.cli.app import main as app_main
from durastream.cli.ending import ended, open_streams
from durastream.events import Event
from durastream.recorder import recover
from durastream.spool import STREAMS, Spool, boot_id
from durastream.state import RunState
from durastream.stores import Reader
from durastream.stores.folder import open_reader
from durastream.views import jsonl, live, plain

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


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("hostile") / "recordings"
    folder.mkdir(mode=0o700)
    run = record(folder, "sqlite", name=ALL)
    lines = record(folder, "jsonl", name="lines")
    screen = record(folder, "sqlite", name="screen", format="terminal", terminal=(80, 24))
    forged = folder / "forged.jsonl"  # as somebody else might write it: nothing in it is escaped
    text = (folder / f"{lines}.jsonl").read_text("utf-8").replace(lines, "forged")
    whole = [json.loads(line) for line in text.splitlines()]
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


def test_there_are_payloads_enough_and_the_oracle_knows_them_all() -> None:
    assert len(PAYLOADS) >= 80
    assert len(set(PAYLOADS.values())) == len(PAYLOADS)
    for name, payload in PAYLOADS.items():
        caught = escaped(payload.encode("utf-8", "surrogatepass"))
        assert bool(caught) is (name not in HARMLESS), name


def test_every_command_is_looked_at(store: Store) -> None:
    assert set(looks(store)) == set(COMMANDS)


@pytest.mark.parametrize("terminal", [False, True], ids=["in a pipe", "in a terminal"])
@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("rm", "run", "demo")] + ["rm"])
def test_nothing_that_was_recorded_acts_on_who_looks(store: Store, command: str, *, terminal: bool) -> None:
    for words in looks(store)[command]:
        done = looked(words, store.folder, terminal=terminal, keys=b"q" if terminal and "--watch" in words else b"")
        assert b"Traceback" not in done.out + done.err, (words, done.err.decode())
        assert done.code != 99
        assert done.out + done.err, words

        json_ = "--json" in words or "json" in words or command == "events"
        if words[0] not in RAW or terminal:
            assert escaped(done.out, drawn=terminal, json=json_) == set(), words
        assert escaped(done.err, json=json_) == set(), words
    for report in ("j", "s") if command == "verify" else ():
        assert escaped((store.folder.parent / report).read_bytes(), json=True) == set()


def test_the_same_oracle_catches_what_is_printed_as_it_is(store: Store) -> None:
    raw = looked(["replay", store.run, "--speed", "max", "--view", "raw"], store.folder, terminal=True)
    assert len(escaped(raw.out, drawn=True)) > 60
    assert escaped(looked(["cat", store.run], store.folder).out)


def test_plain_markup_is_shown_as_it_was_written(store: Store) -> None:
    shown = looked(["replay", store.run, "--speed", "max", "--view", "plain"], store.folder).out.decode()
    for name in HARMLESS - {"workflow commands"}:
        assert PAYLOADS[name] in shown, name


def options(command: str) -> Iterator[list[str]]:
    """Words for a command with a hostile one in each place where one can stand."""
    params = COMMANDS[command].params
    needed = [param for param in params if param.param_type_name == "argument" and param.required]
    yield [command, *(WORD for _ in needed), WORD, WORD]
    if needed:
        yield [command, *(WORD for _ in needed)]
    if command in ("run", "demo"):
        return  # a store of any name can be made, and then it starts
    for param in params:
        if param.param_type_name == "option" and not param.is_flag and param.name != "help":
            yield [command, param.opts[-1], WORD, *("latest" for _ in needed)]
        yield [command, f"{param.opts[-1]}{WORD}"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_hostile_word_of_the_command_line_is_shown_and_does_nothing(store: Store, command: str) -> None:
    for words in options(command):
        done = looked([word.replace("\0", "") for word in words], store.folder)
        assert b"Traceback" not in done.err, (words, done.err.decode())
        assert done.code != 99
        assert escaped(done.out) == escaped(done.err) == set(), words


def test_the_log_of_a_recorder_that_failed_is_safe_to_print(store: Store, tmp_path: Path) -> None:
    fine = {"command": ["x"], "cwd": "/", "started_at": "", "log": "sqlite", "started": 1.0, "mono": 1.0}
    spool = Spool.create(str(tmp_path), {**fine, "boot_id": boot_id(), "terminal": {ALL: ALL}, "log": ALL})
    os.close(spool.lock("supervisor"))
    words = [*CLI[:2], "-m", "durastream.recorder", spool.store, spool.run_id]
    done = subprocess.run(words, capture_output=True, env={**os.environ, "PYTHONPATH": SRC}, check=False)
    assert done.returncode == 70
    assert b"Traceback" in done.stderr
    assert escaped(done.stderr) == escaped(Path(spool.file("trouble.json")).read_bytes()) == set()


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.tuples(*[st.binary(max_size=300) | st.binary(max_size=300).map(lambda each: b"{" + each + b"\n")] * 3))
def test_arbitrary_bytes_come_back_as_they_were_and_do_nothing(tmp_path: Path, streams: tuple[bytes, ...]) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir(exist_ok=True, mode=0o700)
    path = str(folder / record(folder, "sqlite", streams=streams, name="bytes", command=["x"])) + ".db"
    reader = open_reader(path)
    assert tuple(b"".join(reader.raw(stream)) for stream in STREAMS) == streams
    out = io.StringIO()
    state = RunState()
    plain.show(read_batches(reader), state=state, out=out)
    jsonl.show(read_batches(reader), state=RunState(), out=out)
    for frame in (live.render(state, width=80, height=24), live.summary(state, width=80)):
        Console(file=out, color_system=None, legacy_windows=False, width=80).print(frame)
    assert escaped(out.getvalue().encode("utf-8", "surrogatepass"), json=True) == set()
    reader.close()


def read_batches(reader: Reader) -> Iterator[list[Event]]:
    seq = 0
    while events := reader.read(seq):
        yield events
        seq = events[-1].seq
