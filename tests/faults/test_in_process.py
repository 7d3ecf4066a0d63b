"""A program that records itself: killed at any moment it leaves a spool, and its children do not keep the run alive."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from faults_kit import Box, Live, eventually, stop

from durastream.recorder import recover
from durastream.spool import spools

pytestmark = pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")

PROGRAM = """
import os, sys, time
import durastream
told = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
with durastream.recording(log=sys.argv[2]) as run:
    {before}
    for n in range(int(sys.argv[3])):
        durastream.emit("test.counted", n=n)
        os.write(told, b"%d\\n" % n)
        if n % 50 == 0:
            time.sleep(0.005)
    {after}
"""


def program(box: Box, told: Path, count: int, before: str = "pass", after: str = "pass") -> subprocess.Popen[str]:
    code = PROGRAM.format(before=before, after=after)
    child = subprocess.Popen(
        [sys.executable, "-P", "-c", code, str(told), box.log, str(count)],
        env=box.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    box.children.append(child)
    return child


def counted(box: Box, run_id: str, status: str) -> int:
    numbers = [data["n"] for data in box.whole(run_id, status=status).of("test.counted")]
    assert numbers == list(range(len(numbers)))
    return len(numbers)


def test_a_killed_program_leaves_a_spool_that_recover_finishes(box: Box, tmp_path: Path) -> None:
    chance = random.Random(11)
    for round_ in range(3):
        told = tmp_path / f"told{round_}"
        child = program(box, told, 1_000_000)
        eventually(lambda told=told: told.exists() and told.stat().st_size > 100, "the program to write")
        time.sleep(chance.uniform(0, 0.2))  # the moment is the point: any will do
        stop(child.pid)
        child.wait()
        (run_id,) = spools(box.folder)
        live = Live(box, run_id)
        eventually(lambda live=live: not live.spool.alive(), "the locks to be let go of")
        assert box.store.info(run_id).status == "orphaned"
        assert recover(live.spool)
        assert counted(box, run_id, "unknown") >= told.read_text().count("\n"), "a call that returned is recorded"


def test_a_forked_child_does_not_keep_the_run_of_a_dead_program_alive(box: Box, tmp_path: Path) -> None:
    fork = "pid = os.fork()\n    if pid == 0: time.sleep(30); os._exit(0)\n    print(pid, flush=True)"
    child = program(box, tmp_path / "told", 1_000_000, before=fork)
    assert child.stdout is not None
    forked = int(child.stdout.readline())
    try:
        (run_id,) = spools(box.folder)
        live = Live(box, run_id)
        assert live.spool.alive(), "the child's leaving does not let go of its parent's locks"
        stop(child.pid)
        child.wait()
        eventually(lambda: not live.spool.alive(), "the run to be orphaned", 5)
        assert recover(live.spool)
        counted(box, run_id, "unknown")
    finally:
        stop(forked)


def test_a_program_that_ends_leaves_a_finished_recording(box: Box, tmp_path: Path) -> None:
    child = program(box, tmp_path / "told", 3000)
    assert child.wait(60) == 0
    (run_id,) = box.store.run_ids()
    assert counted(box, run_id, "completed") == 3000
    assert spools(box.folder) == []


def test_a_recording_that_is_removed_while_its_program_runs_is_made_anew(box: Box, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    waits = f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)\n    time.sleep(1.3)"  # it looks once a second
    child = program(box, tmp_path / "told", 3000, after=waits)
    eventually(lambda: box.store.run_ids(), "the run to begin")
    (run_id,) = box.store.run_ids()
    Live(box, run_id).reaches(500)
    os.unlink(box.path(run_id))
    gate.touch()
    assert child.wait(60) == 0
    assert counted(box, run_id, "completed") == 3000


def test_a_signal_that_ends_the_program_ends_its_run(box: Box, tmp_path: Path) -> None:
    child = program(box, tmp_path / "told", 1_000_000)
    eventually(lambda: (tmp_path / "told").exists() and (tmp_path / "told").stat().st_size, "the program to write")
    stop(child.pid, signal.SIGINT)
    child.wait(60)
    (run_id,) = box.store.run_ids()
    found = box.look(run_id)
    assert found.end["exit_code"] == 130
    assert found.end["status"] in ("failed", "interrupted")
