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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from faults_kit import DRIVER, SOURCE, Box, Live, acknowledged, eventually, prepared, same_bytes, steady, stop, written

import durastream.cli.app
import durastream.sources.native  # noqa: F401 - imported before anybody is forked
from durastream.errors import DurastreamError
from durastream.recorder import recover
from durastream.spool import Spool
from durastream.supervisor import _Supervisor

SMALL = written(300)
AGENT = 100
CODE = 3
_OF_TIME = {"burst-at-end", "silence"}  # of an agent that is held back at a gate


class Point(NamedTuple):
    """Where to strike: who, on which log, at the nth of which call, and how (`KILL` or the name of an error)."""

    who: str
    log: str
    call: str
    n: int
    how: str = "KILL"
    mode: str = "honest"
    files: bool = False
    """Whether only the calls on the files of the recording count."""


class Outcome(NamedTuple):
    """What a strike did: whether it hit, and how many events were lost, doubled, or wrong in another way."""

    point: Point
    hit: bool
    lost: int = 0
    doubled: int = 0
    wrong: str = ""

    @property
    def sound(self) -> bool:
        return not (self.lost or self.doubled or self.wrong)


# to strike


def struck(play: Callable[[], int], call: str, fault: str, *, paths: Sequence[str] = (), log: str = "/dev/null") -> int:
    """Run `play` in a fork with a fault in its system calls; returns its exit code, negative for a signal.

    With an empty `fault` the calls are only written down, in `log`.
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
            _, status = os.waitpid(pid, 0)
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


def driven(spool: Spool, acks: Path, mode: str) -> Callable[[], int]:
    """What `faults_kit.driver` does, in a fork."""

    def play() -> int:
        sys.argv = ["-c", spool.store, spool.run_id, str(acks), mode]
        sys.stdin = io.StringIO("go\n")
        exec(compile(DRIVER.format(source=SOURCE), "driver", "exec"), {"__name__": "driver"})
        return 0

    return play


def calls_of(play: Callable[[], int], calls: str, log: Path, paths: Sequence[str] = ()) -> dict[str, int]:
    """How often a process makes each of some calls when nothing happens to it."""
    struck(play, calls, "", paths=paths, log=str(log))
    lines = log.read_text(errors="replace").splitlines()
    return dict(collections.Counter(found[1] for line in lines if (found := re.match(r"(?:\d+ +)?(\w+)\(", line))))


# to judge


def numbers(found: Any, type_: str) -> list[int]:
    return [data["n"] for data in found.of(type_)]


def judged(box: Box, run_id: str, wrote: Any, point: Point, told: int, stored: int) -> Outcome:
    """What became of a run that was struck and then recovered."""
    if stored < told:
        return Outcome(point, True, lost=told - stored)
    try:
        found = box.look(run_id)
    except (DurastreamError, OSError, AssertionError) as error:
        return Outcome(point, True, wrong=f"it cannot be read: {error}")
    counted = numbers(found, "test.counted")
    wanted = range(wrote.events.count(b"\n"))
    lost = len(set(wanted) - set(counted)) + max(0, len(wrote.stdout) - len(found.raw["stdout"]))
    doubled = len(counted) - len(set(counted)) + max(0, len(found.raw["stdout"]) - len(wrote.stdout))
    wrong = ""
    if not (lost or doubled):
        wrong = "; ".join(str(each) for each in found.report.findings if each.code not in _OF_TIME)
        try:
            same_bytes(found, wrote)
        except AssertionError as error:
            wrong = f"it is not what was written: {error}"[:200]
        if Spool(box.folder, run_id).exists():
            wrong = "its spool is still there"
    return Outcome(point, True, lost, doubled, wrong)


def stored_now(box: Box, run_id: str) -> int:
    """How many events anybody finds who repairs nothing; 0 when there is no recording yet."""
    try:
        return len(box.look(run_id).events)
    except (DurastreamError, OSError, AssertionError, ValueError):
        return 0


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
    mode = "recover" if point.who == "recover" else point.mode
    path = os.path.join(spool.store, spool.run_id)
    paths = [path + end for end in (".db", ".db-wal", ".jsonl")] if point.files else []
    code = struck(driven(spool, acks, mode), point.call, fault(point), paths=paths)
    told = acknowledged(acks)
    over = not spool.exists()
    if point.how == "KILL" and code != -signal.SIGKILL:
        return Outcome(point, False)
    stored = stored_now(box, spool.run_id)
    if not over and spool.exists():
        try:
            if not recover(spool):
                return Outcome(point, True, wrong="nobody could recover it")
        except (DurastreamError, OSError) as error:
            return Outcome(point, True, wrong=f"recover failed: {error}")
    return judged(box, spool.run_id, SMALL, point, told, stored)


def _supervisor(box: Box, point: Point, folder: Path) -> Outcome:
    wrote = written(AGENT)
    spool = prepared(box, written(0), exit_code=None)

    def play() -> int:
        environ = {**os.environ, "DURASTREAM_RUN_ID": spool.run_id, "DURASTREAM_EVENTS": spool.file("events")}
        argv = list(steady(AGENT, pause=0.0, code=CODE))
        _Supervisor(spool, spool.lock("supervisor"), None).run(argv, environ, None)
        return 0

    os.environ["PYTHONPATH"] = SOURCE
    code = struck(play, point.call, fault(point))
    if point.how == "KILL" and code != -signal.SIGKILL:
        return Outcome(point, False)
    live = Live(box, spool.run_id)
    eventually(lambda: not spool.alive() and not spool.agent_alive(), "agent and recorder to end", pause=0.01)
    started = spool.read_json("agent.json") is not None if spool.exists() else True
    status = spool.exit_status() if spool.exists() else None
    if spool.exists():
        try:
            if not recover(spool):
                return Outcome(point, True, wrong="nobody could recover it")
        except (DurastreamError, OSError) as error:
            return Outcome(point, True, wrong=f"recover failed: {error}")
    if not started:
        return Outcome(point, True)  # nothing of it ran: there is nothing to lose
    outcome = judged(box, live.run_id, wrote, point, 0, 0)
    end = box.look(live.run_id).end
    honest = (end["status"], end.get("exit_code")) in (("failed", CODE), ("unknown", None))
    if not honest or (status is not None and end.get("exit_code") != CODE):
        outcome = outcome._replace(wrong=f"a dishonest end: {end['status']}, {end.get('exit_code')}")
    return outcome


def viewers_struck(log: str, points: Sequence[tuple[str, int]], folder: Path) -> list[Outcome]:
    """Kill one viewer after the other at the calls given, all on one run that goes on meanwhile."""
    box = Box(folder / "store", log)
    gate = folder / "gate"
    os.environ["PYTHONPATH"] = SOURCE
    with contextlib.ExitStack() as after:
        after.callback(box.sweep)
        live = box.detach(*steady(600, pause=0.0, gate=gate))
        live.reaches(300)
        recorder = live.pid("recorder")
        hits = []

        def play() -> int:
            os.environ["DURASTREAM_STORE"] = box.folder
            return durastream.cli.app.main(["attach", live.run_id, "--view", "json", "--from", "start"])

        for call, n in points:
            hits.append((Point("viewer", log, call, n), _viewer_dies(play, call, n)))
        same = live.pid("recorder") == recorder
        gate.touch()
        live.ends()
        judged_ = judged(box, live.run_id, written(600), Point("viewer", log, "", 0), 0, 0)
        wrong = judged_.wrong or ("" if same else "the recorder did not live on")
        return [Outcome(p, hit, judged_.lost, judged_.doubled, wrong) for p, hit in hits]


def _viewer_dies(play: Callable[[], int], call: str, n: int) -> bool:
    """Whether a viewer was killed at that call; one that never makes it is ended after a while."""

    def bounded() -> int:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, 1.5)
        return play()

    return struck(bounded, call, f"signal=KILL:when={n}") == -signal.SIGKILL


def under_load(log: str, kills: int, seed: int, folder: Path) -> tuple[int, Outcome]:
    """Kill recorders at random moments while an agent writes; returns how many, and what became of the run."""
    box = Box(folder / "store", log)
    chance = random.Random(seed)
    point = Point("recorder", log, "any moment", seed)
    gate = folder / "gate"
    count = 20_000
    with contextlib.ExitStack() as after:
        after.callback(box.sweep)
        live = box.detach(*steady(count, pause=0.02, code=CODE, gate=gate))
        last = killed = 0
        while killed < kills and live.spool.exit_status() is None:
            last = live.pid("recorder", other_than=last)
            time.sleep(chance.uniform(0, 0.25))  # the moment is the point: any will do
            stop(last)
            killed += 1
        gate.touch()
        live.ends(90)
        return killed, judged(box, live.run_id, written(count), point, 0, 0)
