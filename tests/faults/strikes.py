"""Strikes one process at one system call: killed there, or the call fails. What is left is judged.

Everything is imported once, in the process that strikes; who is struck is a fork of it, and strace joins it before it
begins. That takes a tenth of a second each, where a new interpreter under strace takes two.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import io
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
import wrong
from faults_kit import (
    DRIVER,
    HERE,
    SOURCE,
    Box,
    Live,
    acknowledged,
    eventually,
    patched,
    prepared,
    steady,
    stop,
    written,
)
from judge import Outcome, Point, judged, resumed, stored_now

import durastream.cli.app
import durastream.sources.native  # noqa: F401 - imported before anybody is forked
from durastream.errors import DurastreamError
from durastream.recorder import recover
from durastream.spool import Spool
from durastream.supervisor import _Supervisor

SMALL = written(300)
AGENT = 100
CODE = 3
_FAILED = ("failed", CODE)
_UNKNOWN = ("unknown", None)
_SET_CHILD_SUBREAPER = 36


# to strike


def struck(
    play: Callable[[], int], call: str, fault: str, *, paths: Sequence[str] = (), log: str = "/dev/null",
    meanwhile: Callable[[], None] | None = None,
) -> int:  # fmt: skip
    """Run `play` in a fork with a fault in its system calls; returns its exit code, negative for a signal.

    With an empty `fault` the calls are only written down, in `log`. `meanwhile` is called again and again until then.
    """
    heard, tell = os.pipe()
    listened, go = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        _play(play, listened, tell)
    os.close(tell)
    os.close(listened)
    try:
        os.read(heard, 1)
        words = ["strace", "-o", log, "-e", f"trace={call}", "-e", "signal=none"]
        for path in paths:
            words += ["-P", path.replace("{pid}", str(pid))]
        if fault:
            words += ["-e", f"inject={call}:{fault}"]
        with subprocess.Popen([*words, "-p", str(pid)], stderr=subprocess.PIPE) as tracer:
            assert tracer.stderr is not None
            said = tracer.stderr.readline()
            assert b"attached" in said, said
            with contextlib.suppress(BrokenPipeError):  # killed at the very read of it
                os.write(go, b"g")
            ended = 0
            while not ended:
                ended, status = os.waitpid(pid, os.WNOHANG if meanwhile is not None else 0)
                if meanwhile is not None and not ended:
                    meanwhile()
                    time.sleep(0.005)
            tracer.stderr.read()
    finally:
        os.close(heard)
        os.close(go)
    return os.waitstatus_to_exitcode(status)


def _play(play: Callable[[], int], listened: int, tell: int) -> None:
    code = 99
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.set_inheritable(listened, False)
        ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_long(-1))  # whoever likes may trace us
        os.write(tell, b"r")
        os.read(listened, 1)
        code = play()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001 - the last frame of a fork must not return
        code = 98
    finally:
        os._exit(code)


def driven(spool: Spool, acks: Path, mode: str, who: str = "recorder") -> Callable[[], int]:
    """What `faults_kit.driver` does, in a fork."""

    def play() -> int:
        sys.argv = ["-c", spool.store, spool.run_id, str(acks), mode, who]
        sys.stdin = io.StringIO("go\n")
        exec(compile(DRIVER, "driver", "exec"), {"__name__": "driver"})
        return 0

    return play


def calls_of(play: Callable[[], int], calls: str, log: Path, paths: Sequence[str] = ()) -> dict[str, int]:
    """How often a process makes each of some calls when nothing happens to it."""
    struck(play, calls, "", paths=paths, log=str(log))
    lines = log.read_text(errors="replace").splitlines()
    return dict(collections.Counter(found[1] for line in lines if (found := re.match(r"(?:\d+ +)?(\w+)\(", line))))


# who is struck


def strike(point: Point, folder: Path) -> Outcome:
    """Strike once, in an empty folder, and judge what is left."""
    box = Box(folder / "store", point.log)
    with contextlib.ExitStack() as after:
        after.callback(box.sweep)
        return {"recorder": _recorder, "recover": _recorder, "supervisor": _supervisor}[point.who](box, point, folder)


def fault(point: Point) -> str:
    if point.how == "KILL":
        return f"signal=KILL:when={point.n}"
    return f"error={point.how}:when={point.n}"


def _recorder(box: Box, point: Point, folder: Path) -> Outcome:
    acks = folder / "acks"
    spool = prepared(box, SMALL)
    path = os.path.join(spool.store, spool.run_id)
    paths = [path + end for end in (".db", ".db-wal", ".jsonl")] if point.files else []
    code = struck(driven(spool, acks, point.mode, point.who), point.call, fault(point), paths=paths)
    told = acknowledged(acks)
    if point.how == "KILL" and code != -signal.SIGKILL:
        return Outcome(point, False)
    before = stored_now(box, spool.run_id)
    return _recovered(spool, point) or judged(box, spool.run_id, SMALL, point, told=told, before=before)


def _recovered(spool: Spool, point: Point) -> Outcome | None:
    """Recover what is left to be recovered; an outcome when that cannot be done."""
    try:
        return None if recover(spool) else Outcome(point, True, wrong="nobody could recover it")
    except (DurastreamError, OSError) as error:
        return Outcome(point, True, wrong=f"recover failed: {error}")


def _supervisor(box: Box, point: Point, folder: Path) -> Outcome:
    """The agent stops half way, until the supervisor is dead or the recorder has begun: then it goes on to its end."""
    wrote, gate, half = written(AGENT), folder / "gate", len(written(AGENT // 2).stdout)
    spool = prepared(box, written(0), exit_code=None)
    live = Live(box, spool.run_id)

    def play() -> int:
        environ = {**os.environ, "DURASTREAM_RUN_ID": spool.run_id, "DURASTREAM_EVENTS": spool.file("events")}
        argv = list(steady(AGENT, pause=0.0, code=CODE, gate=gate))
        wrong.be(point.mode)
        _Supervisor(spool, spool.lock("supervisor"), None).run(argv, environ, None)
        return 0

    def waits() -> bool:
        return spool.size("stdout") >= half

    def meanwhile() -> None:
        if not gate.exists() and waits() and live.head():
            gate.touch()

    os.environ["PYTHONPATH"] = SOURCE
    with _orphans() as alone:
        code = struck(play, point.call, fault(point), meanwhile=meanwhile)
        if not gate.exists():
            eventually(lambda: waits() or alone() or not spool.exists(), "the agent to have begun", pause=0.01)
        early = waits() and not gate.exists() and not alone() and recover(spool)
        gate.touch()
        eventually(alone, "agent and recorder to end", pause=0.01)
    if point.how == "KILL" and code != -signal.SIGKILL:
        return Outcome(point, False)
    if early:
        return Outcome(point, True, wrong="it was finished while its agent lived")
    if spool.exists() and spool.read_json("agent.json") is None and not spool.size("stdout"):
        return _recovered(spool, point) or Outcome(point, True)  # nothing of it ran: there is nothing to lose
    ends = (_FAILED,) if spool.exit_status() is not None else (_FAILED, _UNKNOWN)
    before = stored_now(box, spool.run_id)
    return _recovered(spool, point) or judged(box, spool.run_id, wrote, point, before=before, ends=ends)


@contextlib.contextmanager
def _orphans() -> Iterator[Callable[[], bool]]:
    """Be who the orphans of our children go to, and tell when there are none left: nothing of a run runs on then."""

    def alone() -> bool:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            return False
        return True

    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, ctypes.c_ulong(1))
    try:
        yield alone
    finally:
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, ctypes.c_ulong(0))


def viewers_struck(
    log: str, points: Sequence[tuple[str, int]], folder: Path, mode: str = "honest", count: int = 600
) -> list[Outcome]:
    """Kill one viewer after the other at the calls given, all on one run that goes on meanwhile."""
    box = Box(folder / "store", log)
    gate = folder / "gate"
    os.environ["PYTHONPATH"] = SOURCE
    with contextlib.ExitStack() as after:
        after.callback(box.sweep)
        live = box.detach(*steady(count, pause=0.0, gate=gate))
        live.reaches(count // 2)
        recorder = live.pid("recorder")
        hits = []

        def play() -> int:
            os.environ["DURASTREAM_STORE"] = box.folder
            wrong.be(mode)
            return durastream.cli.app.main(["attach", live.run_id, "--view", "json", "--from", "start"])

        for call, n in points:
            hits.append((Point("viewer", log, call, n, mode=mode), _viewer_dies(play, call, n)))
        same = live.pid("recorder") == recorder
        before = stored_now(box, live.run_id)
        gate.touch()
        live.ends()
        outcome = judged(box, live.run_id, written(count), Point("viewer", log, "", 0), before=before)
        if outcome.sound and not (same and not resumed(box, live.run_id)):
            outcome = outcome._replace(wrong="the recorder did not live on")
        return [outcome._replace(point=point, hit=hit) for point, hit in hits]


def _viewer_dies(play: Callable[[], int], call: str, n: int) -> bool:
    """Whether a viewer was killed at that call; one that never makes it is ended after a while."""

    def bounded() -> int:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, 1.5)
        return play()

    return struck(bounded, call, f"signal=KILL:when={n}") == -signal.SIGKILL


def under_load(log: str, kills: int, seed: int, mode: str, count: int, folder: Path) -> tuple[int, Outcome]:
    """Kill recorders at random moments while an agent writes; returns how many, and what became of the run."""
    folder.mkdir(exist_ok=True)
    box = Box(folder / "store", log)
    chance = random.Random(seed)
    point = Point("recorder", log, "any moment", seed, mode=mode)
    gate = folder / "gate"
    with contextlib.ExitStack() as after:
        if mode != "honest":
            code = f"import sys\nsys.path.append({HERE!r})\nimport wrong\nwrong.be({mode!r})\n"
            patched(after.enter_context(pytest.MonkeyPatch.context()), folder, code)
        after.callback(box.sweep)
        live = box.detach(*steady(count, pause=0.02, code=CODE, gate=gate))
        last = killed = 0
        half = len(written(count // 2).stdout)

        def moves(upto: int) -> bool:
            if live.spool.size("stdout") >= half:
                gate.touch()
            return live.head() >= upto or live.spool.exit_status() is not None

        while killed < kills and live.spool.exit_status() is None:
            last = live.pid("recorder", other_than=last)
            upto = live.head() + 50  # one that has only begun has nothing to lose
            eventually(partial(moves, upto), "the recorder to go on", pause=0.02)
            time.sleep(chance.uniform(0, 0.25))  # the moment is the point: any will do
            stop(last)
            killed += 1
        gate.touch()
        live.ends(90)
        return killed, judged(box, live.run_id, written(count), point, ends=(_FAILED,))
