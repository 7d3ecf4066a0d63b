"""What the fault tests share: runs to break, and the one judgement of whether a recording is whole."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from durastream.cli.app import main
from durastream.cli.ending import ended
from durastream.events import Event
from durastream.follow import read_all
from durastream.ledger import now_text
from durastream.rules.policy import Policy
from durastream.spool import STREAMS, Spool, boot_id, process_token, spools
from durastream.state import RunState, fold
from durastream.stores import FolderStore, Reader, RunInfo
from durastream.stores.folder import open_reader
from durastream.stores.jsonl_reader import JsonlReader
from durastream.verify import Checker, Kept, Report, cut_points

CLI = (sys.executable, "-P", "-m", "durastream")
PYTHON = (sys.executable, "-S", "-E")
PATIENCE = 60.0
POLICY = Policy(ignore=("burst-at-end",))
"""All that `verify` looks at, but for what a machine finds that takes ten seconds to start a recorder."""

ONE_CORE = ("taskset", "-c", str(min(os.sched_getaffinity(0)))) if shutil.which("taskset") else ()
"""strace and who is traced wait for each other at each call: four times as fast on one core as on two."""
SOURCE = str(Path(__file__).parents[2] / "src")
HERE = str(Path(__file__).parent)

STEADY = """
import os, sys, time
count, pause, code, gate = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
events = os.open(os.environ["DURASTREAM_EVENTS"], os.O_WRONLY | os.O_APPEND)
each = 50
for start in range(0, count, each):
    while gate and start >= count // 2 and not os.path.exists(gate):
        time.sleep(0.005)
    some = range(start, min(start + each, count))
    os.write(1, b"".join(b"line %d \\xc3\\xa9\\n" % i for i in some))
    os.write(events, b"".join(b'{"type":"test.counted","data":{"n":%d}}\\n' % i for i in some))
    os.write(2, b"".join(b"said %d\\n" % i for i in some if i % 10 == 0))
    os.write(1, b'{"type":"test.printed","data":{"n":%d}}\\n' % (start // each))
    if pause:
        time.sleep(pause)
sys.exit(code)
"""


def steady(count: int, pause: float = 0.01, code: int = 0, gate: Path | None = None) -> tuple[str, ...]:
    """An agent that writes numbered lines to all its streams, 50 at a time; the second half once the gate is there."""
    return (*PYTHON, "-c", STEADY, str(count), str(pause), str(code), str(gate or ""))


class Written(NamedTuple):
    """What an agent wrote, byte for byte."""

    stdout: bytes
    stderr: bytes
    events: bytes


def written(count: int) -> Written:
    """What `steady` writes."""
    out, err, events = [], [], []
    for start in range(0, count, 50):
        some = range(start, min(start + 50, count))
        out += [b"line %d \xc3\xa9\n" % i for i in some]
        out.append(b'{"type":"test.printed","data":{"n":%d}}\n' % (start // 50))
        events += [b'{"type":"test.counted","data":{"n":%d}}\n' % i for i in some]
        err += [b"said %d\n" % i for i in some if i % 10 == 0]
    return Written(b"".join(out), b"".join(err), b"".join(events))


def eventually(condition: Callable[[], Any], what: str, seconds: float = PATIENCE, pause: float = 0.005) -> Any:
    """Wait until a condition gives something true, and return that."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for: {what}")
        time.sleep(pause)


def patched(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str) -> None:
    """Have every process that a box starts run some code first: constants, made smaller or larger."""
    (folder / "sitecustomize.py").write_text(code)
    environ = Box.environ.fget
    assert environ is not None
    path = f"{folder}{os.pathsep}{SOURCE}"
    monkeypatch.setattr(Box, "environ", property(lambda box: {**environ(box), "PYTHONPATH": path}))


def stop(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process that may have gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


class Result(NamedTuple):
    code: int
    out: str
    err: str


class Recording(NamedTuple):
    """All that a recording holds."""

    events: list[Event]
    state: RunState
    raw: dict[str, bytes]
    info: RunInfo
    report: Report

    def of(self, type_: str) -> list[dict[str, Any]]:
        return [event.data for event in self.events if event.type == type_]

    @property
    def end(self) -> dict[str, Any]:
        assert self.state.completed is not None
        return dict(self.state.completed)

    @property
    def warnings(self) -> list[str]:
        return [str(data["message"]) for data in self.of("error.raised")]


class Box:
    """A store in a folder of its own, and the command line on it."""

    def __init__(self, folder: Path, log: str) -> None:
        self.folder = str(folder)
        self.log = log
        self.children: list[subprocess.Popen[str]] = []

    @property
    def store(self) -> FolderStore:
        return FolderStore(self.folder)

    @property
    def environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DURASTREAM_")}
        return {**kept, "DURASTREAM_STORE": self.folder, "PYTHONPATH": SOURCE}

    def cli(self, *words: str, before: Sequence[str] = (), seconds: float = 60.0, **environ: str) -> Result:
        """Run a command to its end."""
        done = subprocess.run(
            [*before, *CLI, *words],
            capture_output=True,
            text=True,
            errors="replace",
            env={**self.environ, **environ},
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def ask(self, *words: str) -> Result:
        """Run a command to its end in this process, in a hundredth of the time: one that starts no other."""
        out, err = io.StringIO(), io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            patch.setenv("DURASTREAM_STORE", self.folder)
            code = ended(lambda: main([*words]))
        return Result(code, out.getvalue(), err.getvalue())

    def open(self, *words: str, before: Sequence[str] = (), **options: Any) -> subprocess.Popen[str]:
        """Start a command, with its output thrown away unless it is asked for."""
        options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options}
        options.setdefault("stdin", subprocess.DEVNULL)
        child = subprocess.Popen([*before, *CLI, *words], text=True, env=self.environ, **options)
        self.children.append(child)
        return child

    def run(self, *command: str, options: Sequence[str] = (), **more: Any) -> tuple[str, Result]:
        """Record a command to its end; returns the run's id too."""
        known = set(self.store.run_ids())
        result = self.cli("run", "--log", self.log, *options, "--", *command, **more)
        new = set(self.store.run_ids()) - known
        assert len(new) == 1, (result, new)
        return new.pop(), result

    def detach(self, *command: str, options: Sequence[str] = (), **more: Any) -> Live:
        """Start to record a command, in the background."""
        result = self.cli("run", "-d", "--log", self.log, *options, "--", *command, **more)
        assert result.code == 0, result
        return Live(self, result.out.strip())

    def watch(self, *command: str, options: Sequence[str] = (), **more: Any) -> tuple[Live, subprocess.Popen[str]]:
        """Start to record a command, with `durastream run` in the foreground of a process of its own."""
        known = set(self.store.run_ids())
        child = self.open("run", "--log", self.log, *options, "--", *command, **more)
        new = eventually(lambda: set(self.store.run_ids()) - known, "the run to begin")
        live = Live(self, new.pop())
        begun = lambda: live.spool.read_json("meta.json") or child.poll() is not None  # noqa: E731
        eventually(begun, "the files of the run to be there")
        return live, child

    def path(self, run_id: str) -> str:
        path = self.store.path(run_id)
        assert path is not None, f"run {run_id} has no recording"
        return path

    def look(self, run_id: str) -> Recording:
        """Read a recording as `verify` does."""
        reader = open_reader(self.path(run_id))
        try:
            stored = reader.snapshots()
            head = reader.head().seq
            checker = Checker(
                run_id, cuts=cut_points(head), snapshots={seq: partial(reader.snapshot, seq) for seq in stored[:3]}
            )
            events: list[Event] = []
            for batch in read_all(reader):
                events += batch
                checker.take(batch)
            raw = _raw(reader)
            sums = {name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in raw.items() if data}
            for damage in reader.damage:
                checker.found("unreadable", damage)
            if getattr(reader, "torn", False):
                checker.found("torn", "the file ends in the middle of a line")
            info = self.store.info(run_id)
            report = checker.report(Kept(drafts=reader.drafts(), raw=sums))
            report = report._replace(findings=POLICY.chosen(report.findings))
            return Recording(events, fold(events), raw, info, report)
        finally:
            reader.close()

    def whole(self, run_id: str, wrote: Written | None = None, *, status: str = "completed") -> Recording:
        """A finished recording that holds exactly what the agent wrote: nothing lost, doubled or reordered."""
        assert not Spool(self.folder, run_id).exists(), "the spool of a finished run is still there"
        found = self.look(run_id)
        assert found.report.findings == [], found.report.findings
        assert found.end["status"] == status, (found.end, found.warnings)
        if wrote is not None:
            same_bytes(found, wrote)
        return found

    def sweep(self) -> None:
        """End what a test left running, each by its pid."""
        for child in self.children:
            if child.poll() is None:
                stop(child.pid)
            child.wait()
            for pipe in (child.stdin, child.stdout, child.stderr):
                if pipe is not None:
                    pipe.close()
        for run_id in spools(self.folder):
            live = Live(self, run_id)
            for who in ("supervisor", "recorder"):
                if live.spool.held(who):
                    stop(live.pid(who))
            if live.spool.agent_alive():
                stop(live.agent)


def _raw(reader: Reader) -> dict[str, bytes]:
    """The raw bytes of all streams; of JSON Lines in one pass, for each stream by itself reads the whole file."""
    if not isinstance(reader, JsonlReader):
        return {stream: b"".join(reader.raw(stream)) for stream in STREAMS}
    found: dict[str, list[bytes]] = {stream: [] for stream in STREAMS}
    with open(reader.path, "rb") as file:
        for line in file:
            if line.startswith(b'{"raw":'):
                kept = json.loads(line)
                found[kept["raw"]].append(zlib.decompress(base64.b64decode(kept["zlib"])))
    return {stream: b"".join(pieces) for stream, pieces in found.items()}


def same_bytes(found: Recording, wrote: Written) -> None:
    """The raw bytes, the text, the log lines and the numbered events of a recording are those of the agent."""
    for stream, data in wrote._asdict().items():
        assert found.raw[stream] == data, f"the raw bytes of {stream} differ"
    native = b'{"type":"test.'
    text = b"".join(line for line in wrote.stdout.splitlines(keepends=True) if not line.startswith(native))
    assert "".join(data["text"] for data in found.of("text.delta")).encode() == text
    lines = [data["text"] for data in found.of("log.line") if data["stream"] == "stderr"]
    assert lines == wrote.stderr.decode().splitlines()
    for type_, data in (("test.counted", wrote.events), ("test.printed", wrote.stdout)):
        count = sum(line.startswith(b'{"type":"%s"' % type_.encode()) for line in data.splitlines())
        assert [event["n"] for event in found.of(type_)] == list(range(count)), f"{type_} events differ"


class Live:
    """A run that is being recorded, and the processes around it."""

    def __init__(self, box: Box, run_id: str) -> None:
        self.box = box
        self.run_id = run_id
        self.spool = Spool(box.folder, run_id)

    def pid(self, who: str, *, other_than: int = 0) -> int:
        """The pid of the supervisor or the recorder, once one holds its lock."""

        def holder() -> int:
            with contextlib.suppress(OSError, ValueError):
                pid = int(Path(self.spool.file(f"{who}.lock")).read_text())
                if pid != other_than and self.spool.held(who) and process_token(pid):
                    return pid
            return 0

        return int(eventually(holder, f"a {who} of run {self.run_id}"))

    @property
    def agent(self) -> int:
        agent = eventually(lambda: self.spool.read_json("agent.json"), "the agent's pid")
        return int(agent["pid"])

    def head(self) -> int:
        """How many events are stored now."""
        path = self.box.store.path(self.run_id)
        if path is None:
            return 0
        try:
            reader = open_reader(path)
        except Exception:  # noqa: BLE001 - it is just being made, by a process that may be killed at it
            return 0
        try:
            return reader.head().seq
        finally:
            reader.close()

    def reaches(self, seq: int) -> None:
        eventually(lambda: self.head() >= seq, f"event {seq} of run {self.run_id}", 60, pause=0.02)

    def ends(self, seconds: float = PATIENCE) -> None:
        """Wait until the run is over and nobody works on it any more."""
        eventually(lambda: not self.spool.exists() and not self.spool.alive(), f"run {self.run_id} to end", seconds)


# a spool made by hand, to record as often as it takes


def prepared(box: Box, wrote: Written, *, exit_code: int | None = 0, log: str | None = None, **meta: Any) -> Spool:
    """A spool as an agent leaves it that has ended; nobody records it yet."""
    os.makedirs(box.folder, exist_ok=True)
    started = time.time()
    spool = Spool.create(
        box.folder,
        {
            "command": ["agent"],
            "cwd": "/",
            "pid": 1,
            "started": started,
            "started_at": now_text(started),
            "mono": time.monotonic(),
            "boot_id": boot_id(),
            "log": log or box.log,
            "format": "auto",
            "raw": True,
            **meta,
        },
    )
    os.close(spool.lock("supervisor"))
    for stream, data in wrote._asdict().items():
        Path(spool.file(stream)).write_bytes(data)
    if exit_code is not None:
        spool.write_exit({"exit_code": exit_code, "ts": time.time(), "sent": [], "left": []})
    return spool


DRIVER = f"""
import ctypes, sys
sys.path[:0] = [{SOURCE!r}, {HERE!r}]
import durastream.recorder as recorder
import durastream.sources.native
import durastream.tail
import wrong
store, run_id, acks, mode, who = sys.argv[1:]
durastream.tail._READ = 1500
wrong.tells(acks, mode)
wrong.be(mode)
ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_long(-1))  # whoever likes may trace us
print("ready", flush=True)
sys.stdin.readline()
if who == "recover":
    from durastream.spool import Spool
    sys.exit(not recorder.recover(Spool(store, run_id)))
sys.exit(recorder.main([store, run_id]))
"""
"""A recorder, or `recover`, in small batches, that tells what it holds for stored. What it does wrong in which mode
stands in `wrong`. It waits for a line on stdin when it has imported all it needs, which takes long under strace."""


def driver(spool: Spool, acks: Path, mode: str = "honest", who: str = "recorder") -> list[str]:
    """The words that start a driver."""
    return [sys.executable, "-P", "-c", DRIVER, spool.store, spool.run_id, str(acks), mode, who]


def acknowledged(acks: Path) -> int:
    """The last event that a driver took for stored."""
    try:
        told = acks.read_text().split()
    except FileNotFoundError:
        return 0
    return int(told[-1]) if told else 0


def traced(*injections: str, paths: Sequence[str] = (), calls: str) -> list[str]:
    """The words that run a command under strace with faults injected."""
    words = [*ONE_CORE, "strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e", "signal=none"]
    for path in paths:
        words += ["-P", path]
    for injection in injections:
        words += ["-e", f"inject={injection}"]
    return words


def broken(
    spool: Spool, acks: Path, call: str, fault: str, *, paths: Sequence[str] = (), mode: str = "honest",
    who: str = "recorder",
) -> int:  # fmt: skip
    """Run a driver with a fault in its system calls from now on; returns its exit code."""
    pipe = subprocess.PIPE
    with subprocess.Popen(driver(spool, acks, mode, who), stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        words = [word for word in traced(f"{call}:{fault}", paths=paths, calls=call) if word != "-qq"]
        os.sched_setaffinity(child.pid, {min(os.sched_getaffinity(0))})
        with subprocess.Popen([*words, "-p", str(child.pid)], stderr=pipe) as tracer:
            assert tracer.stderr is not None
            assert b"attached" in tracer.stderr.readline()
            child.stdin.write(b"go\n")
            child.stdin.close()
            code = child.wait(60)
            tracer.stderr.read()
    return code


def why_no_strace() -> str | None:
    """Why faults cannot be injected here; None when they can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True, check=False)
    return None if tried.returncode == 0 else "ptrace is forbidden here"


needs_strace = pytest.mark.skipif(why_no_strace() is not None, reason=str(why_no_strace()))


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]
