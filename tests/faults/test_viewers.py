"""Viewers come and go, are stopped and killed: the recorder and the agent do not notice, and joining late is exact."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from faults_kit import Box, driver, eventually, prepared, steady, stop, written

from durastream.errors import DurastreamError
from durastream.follow import follow, wait_for_reader
from durastream.recorder import recover
from durastream.spool import Spool
from durastream.state import RunState, fold
from durastream.stores.folder import open_reader

pytestmark = pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")


@pytest.mark.crash
def test_many_viewers_that_are_killed_and_stopped_do_not_touch_the_run(box: Box) -> None:
    count = 2000
    many = 20 if box.log == "sqlite" else 8
    live, child = box.watch(*steady(count, pause=0.05, code=3), options=("--view", "none"))
    live.reaches(20)
    recorder = live.pid("recorder")
    viewers = [box.open("attach", live.run_id, "--view", "json") for _ in range(many)]
    for number, viewer in enumerate(viewers):
        if number % 4 == 0:
            stop(viewer.pid, signal.SIGKILL)
        elif number % 4 == 1:
            stop(viewer.pid, signal.SIGSTOP)
    assert live.pid("recorder") == recorder
    assert child.wait(60) == 3
    for number, viewer in enumerate(viewers):
        if number % 4 > 1:
            assert viewer.wait(60) == 3, "who just watches sees the run's end"
        elif number % 4 == 1:
            stop(viewer.pid)
    found = box.whole(live.run_id, written(count), status="failed")
    assert not found.of("run.resumed")
    if box.log == "sqlite":
        assert box.cli("show", live.run_id).code == 0  # settles what a stopped viewer kept open
        assert sorted(p.name for p in Path(box.folder).iterdir() if p.name[0] != ".") == [f"{live.run_id}.db"]


def test_a_file_that_a_stopped_viewer_kept_open_is_settled_later(tmp_path: Path) -> None:
    box = Box(tmp_path / "store", "sqlite")
    try:
        live, child = box.watch("sleep", "60", options=("--view", "none"))
        live.reaches(2)
        viewer = box.open("attach", live.run_id, "--view", "json", stdout=subprocess.PIPE)
        assert viewer.stdout is not None
        viewer.stdout.readline()
        wal = Path(box.path(live.run_id) + "-wal")
        eventually(lambda: _opened(viewer.pid, box.path(live.run_id)), "the viewer to have it open")
        stop(viewer.pid, signal.SIGSTOP)
        stop(live.agent)
        assert child.wait(60) == 137
        assert wal.exists()
        box.whole(live.run_id, status="interrupted")
        stop(viewer.pid)
        viewer.wait()
        assert box.ask("verify", live.run_id).code == 0
        assert not wal.exists()
    finally:
        box.sweep()


def _opened(pid: int, path: str) -> bool:
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            continue
    return path in found


def test_a_viewer_whose_output_is_closed_just_leaves(box: Box, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    live = box.detach(*steady(600, gate=gate))
    live.reaches(20)
    viewer = box.open("attach", live.run_id, "--view", "json", "--from", "start", stdout=subprocess.PIPE)
    assert viewer.stdout is not None
    viewer.stdout.readline()
    viewer.stdout.close()
    gate.touch()
    assert viewer.wait(60) == 128 + signal.SIGPIPE
    live.ends()
    assert not box.whole(live.run_id, written(600)).of("run.resumed")


def test_the_output_of_run_may_be_closed_and_the_run_goes_on(box: Box, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    live, child = box.watch(*steady(600, gate=gate), stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    child.stdout.close()
    gate.touch()
    assert child.wait(60) == 128 + signal.SIGPIPE
    live.ends()
    box.whole(live.run_id, written(600))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP, signal.SIGHUP])
def test_the_run_does_not_need_the_run_command(box: Box, tmp_path: Path, number: signal.Signals) -> None:
    gate = tmp_path / "gate"
    live, child = box.watch(*steady(500, gate=gate), options=("--view", "plain"))
    live.reaches(20)
    stop(child.pid, number)
    gate.touch()
    live.ends()
    box.whole(live.run_id, written(500))


def test_joining_at_any_moment_gives_the_state_of_the_whole(box: Box) -> None:
    """State at n and the tail after n are the fold from the start, for readers that come at random moments."""
    count = 5000
    live = box.detach(*steady(count, pause=0.01))
    live.reaches(2)
    chance = random.Random(5)
    joined: list[tuple[int, RunState]] = []
    threads = []

    def join(after: float) -> None:
        eventually(lambda: live.head() >= after or not live.spool.exists(), f"event {after}")
        reader = open_reader(box.path(live.run_id))
        at = reader.head().seq
        state = reader.state(at)
        assert state.seq == at
        for events in follow(reader, live.spool, at):
            fold(events, state)
        reader.close()
        joined.append((at, state))

    for _ in range(8):
        thread = threading.Thread(target=join, args=(chance.randrange(2, count),))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join(60)
    live.ends()
    found = box.whole(live.run_id, written(count))
    assert len(joined) == 8
    for at, state in joined:
        assert state.dump() == found.state.dump(), f"joined at event {at}"


@pytest.mark.crash
def test_viewers_that_come_while_the_file_is_made_wait_for_it(box: Box, tmp_path: Path) -> None:
    """A viewer may be there before the recorder: it gets every event all the same."""
    wrote = written(200)
    failed: list[str] = []

    def watch(spool: Spool, got: list[int]) -> None:
        try:
            reader = wait_for_reader(box.store, spool.run_id)
            for events in follow(reader, spool):
                got.extend(event.seq for event in events)
            reader.close()
        except DurastreamError as error:
            failed.append(str(error))

    for _ in range(3):
        spool = prepared(box, wrote)
        supervisor = spool.lock("supervisor")
        got: list[int] = []
        thread = threading.Thread(target=watch, args=(spool, got))
        thread.start()
        words = driver(spool, tmp_path / "acks")
        subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=30, check=True)
        os.close(supervisor)
        thread.join(30)
        assert failed == []
        assert got == list(range(1, len(box.whole(spool.run_id, wrote).events) + 1))


@pytest.mark.crash
def test_no_view_shows_what_is_not_stored(box: Box) -> None:
    """What a viewer printed is in the recording after its recorder and supervisor were killed."""
    live = box.detach(*steady(100_000, pause=0.005))
    live.reaches(20)
    viewer = box.open("attach", live.run_id, "--view", "json", "--from", "start", stdout=subprocess.PIPE)
    assert viewer.stdout is not None
    shown = [viewer.stdout.readline() for _ in range(2000)]
    for who in ("supervisor", "recorder"):
        stop(live.pid(who))
    stop(live.agent)
    eventually(lambda: not live.spool.agent_alive() and not live.spool.alive(), "all to be gone")
    shown += viewer.stdout.readlines()
    stored = [event.line() for event in box.look(live.run_id).events]
    assert [line.rstrip("\n") for line in shown[:-1]] == stored[: len(shown) - 1]
    assert recover(live.spool)
    assert viewer.wait(60) in (0, 125)
