"""SIGKILL of the recorder, at any moment: nothing lost, nothing doubled, nothing reordered, and the agent lives."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
from pathlib import Path

import pytest
from faults_kit import (
    Box,
    acknowledged,
    broken,
    driver,
    eventually,
    needs_strace,
    prepared,
    same_bytes,
    steady,
    stop,
    traced,
    written,
)
from strikes import under_load

from durastream.recorder import recover
from durastream.spool import Spool

pytestmark = pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")
SMALL = written(600)


def files(spool: Spool, log: str) -> list[str]:
    """The files of a recording, whether or not they are there."""
    path = os.path.join(spool.store, spool.run_id)
    return [f"{path}.db", f"{path}.db-wal"] if log == "sqlite" else [f"{path}.jsonl"]


def killed_at(box: Box, acks: Path, call: str, n: int, *, mode: str = "honest", anywhere: bool = False) -> Spool | None:
    """Record SMALL and kill the recorder when it makes a system call for the nth time; None when it came through."""
    acks.unlink(missing_ok=True)
    spool = prepared(box, SMALL)
    paths = [] if anywhere else files(spool, box.log)
    code = broken(spool, acks, call, f"signal=KILL:when={n}", paths=paths, mode=mode)
    assert code in (0, -signal.SIGKILL)
    return spool if code else None


def stored(box: Box, run_id: str, told: int) -> int:
    """How many events a reader finds, with nobody repairing anything."""
    try:
        return len(box.look(run_id).events)
    except Exception:  # noqa: BLE001 - killed while it made the file
        assert told == 0
        return 0


@pytest.mark.crash
@needs_strace
@pytest.mark.parametrize(
    ("call", "points"),
    [
        ("pwrite64", (1, 2, 3, 7, 12, 20, 30, 41, 49, 56, 75, 92, 110, 137, 160, 190)),
        ("fdatasync", (1, 2, 3, 4, 5, 9, 13, 17, 21)),
    ],
)
def test_a_recorder_killed_at_a_write_has_stored_what_it_told_and_loses_and_doubles_nothing(
    box: Box, tmp_path: Path, call: str, points: tuple[int, ...]
) -> None:
    if box.log == "jsonl" and call == "pwrite64":
        call, points = "write", (1, 2, 3, 4, 5, 6, 8, 9, 11, 14, 16, 19)
    tried = 0
    for n in points:
        spool = killed_at(box, tmp_path / "acks", call, n)
        if spool is None:
            continue
        tried += 1
        told = acknowledged(tmp_path / "acks")
        found = stored(box, spool.run_id, told)
        assert found >= told, f"{call} {n}: {told} events were told, {found} are there"
        assert recover(spool)
        box.whole(spool.run_id, SMALL)
    assert tried >= len(points) - 3, f"only {tried} of {len(points)} points were reached"


@pytest.mark.crash
@needs_strace
def test_the_harness_catches_a_recorder_that_tells_before_it_commits(box: Box, tmp_path: Path) -> None:
    call = "pwrite64" if box.log == "sqlite" else "write"
    caught = 0
    for n in (60, 80, 95, 110, 150) if box.log == "sqlite" else (3, 5, 6, 9, 14):
        spool = killed_at(box, tmp_path / "acks", call, n, mode="early")
        assert spool is not None
        told = acknowledged(tmp_path / "acks")
        caught += stored(box, spool.run_id, told) < told
    assert caught >= 4


@pytest.mark.parametrize("words", [["list"], ["recover"], ["rm", "latest"]])
def test_what_is_left_of_a_spool_at_whose_removal_somebody_was_killed_goes_with_the_next_look(
    box: Box, tmp_path: Path, words: list[str]
) -> None:
    box.run(*steady(100))
    half = Path(box.folder, ".spool", ".gone-abcdef")
    half.mkdir()
    (half / "stdout").write_text("a secret that no recorder masks any more")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    half.with_name(".gone-forged").symlink_to(tmp_path / "precious")
    assert box.ask(*words).code == 0
    assert not half.exists()
    assert (tmp_path / "precious" / "file").exists()


@needs_strace
def test_the_harness_catches_a_recorder_that_forgets_where_it_had_read_to(box: Box, tmp_path: Path) -> None:
    spool = killed_at(box, tmp_path / "acks", "fdatasync", 13 if box.log == "sqlite" else 8)
    assert spool is not None
    words = driver(spool, tmp_path / "acks", "forgetful")
    subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=30, check=True)
    with pytest.raises(AssertionError):
        box.whole(spool.run_id, SMALL)


@pytest.mark.crash
@needs_strace
@pytest.mark.parametrize("call", ["rename", "unlink", "rmdir"])
def test_a_recorder_killed_between_the_end_and_the_removal_of_its_spool_leaves_a_run_that_is_over(
    box: Box, tmp_path: Path, call: str
) -> None:
    tried = 0
    for n in (1, 2, 5, 9):
        spool = killed_at(box, tmp_path / "acks", call, n, anywhere=True)
        if spool is None:
            break
        tried += 1
        assert recover(spool)
        assert not spool.exists()
        box.whole(spool.run_id, SMALL)
    assert tried
    spool = prepared(box, SMALL)
    assert recover(spool)
    assert os.listdir(os.path.dirname(spool.path)) == [], (
        "what was killed while it cleared up is cleared up by the next"
    )


@needs_strace
def test_the_run_ends_at_once_when_its_recorder_is_killed_after_the_removal(box: Box) -> None:
    # the recorder is the one process that renames its spool away; strace counts the calls of each process by itself
    run_id, result = box.run(
        "true", before=traced("rmdir:signal=KILL:when=1", calls="rmdir"), options=("--view", "none")
    )
    assert result.code == 0, result
    box.whole(run_id)


@pytest.mark.crash
def test_a_recorder_that_is_killed_again_and_again_under_load_loses_and_doubles_nothing(
    box: Box, tmp_path: Path
) -> None:
    killed, outcome = under_load(box.log, 8, 7, "honest", 20_000, tmp_path / "load")
    assert killed >= 4
    assert outcome.sound, outcome
    assert not under_load(box.log, 1, 7, "forgetful", 4000, tmp_path / "wrong")[1].sound


@pytest.mark.crash
@pytest.mark.timeout(180)
def test_two_hundred_thousand_lines_come_through_five_kills(box: Box) -> None:
    count = 100_000
    live, child = box.watch(*steady(count, pause=0.0005), options=("--view", "none"))
    last = 0
    for aim in (1_000, 15_000, 30_000, 50_000, 70_000):
        last = live.pid("recorder", other_than=last)
        live.reaches(aim)
        stop(last)
    assert child.wait(90) == 0
    found = box.whole(live.run_id, written(count))
    assert 2 <= len(found.of("run.resumed")) <= 5  # one may be killed before it has stored that it took over
    assert len(found.of("test.counted")) + "".join(d["text"] for d in found.of("text.delta")).count("\n") == 200_000


def test_what_was_read_after_a_gap_is_marked_late(box: Box, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    live = box.detach(*steady(3000, pause=0.002, gate=gate))
    live.reaches(50)
    first = live.pid("recorder")
    stop(first, signal.SIGSTOP)
    size = live.spool.size("events")
    gate.touch()
    eventually(lambda: live.spool.size("events") > size + 5000, "the agent to go on")
    stop(first)
    live.ends()
    found = box.whole(live.run_id, written(3000))
    resumed = [event.seq for event in found.events if event.type == "run.resumed"]
    assert len(resumed) == 1
    late = [event.seq for event in found.events if event.late]
    assert late
    assert min(late) > resumed[0]
    assert not found.events[-1].late
    times = [event.t for event in found.events]
    assert times == sorted(times)


def test_a_file_that_was_just_begun_is_made_anew(box: Box) -> None:
    end = ".db" if box.log == "sqlite" else ".jsonl"
    for begun in (b"", b'{"durastream":1,"run_'):
        spool = prepared(box, SMALL)
        Path(box.folder, spool.run_id + end).write_bytes(begun if box.log == "jsonl" else b"")
        assert recover(spool)
        box.whole(spool.run_id, SMALL)


def test_a_line_that_was_torn_in_the_middle_is_stored_once(box: Box) -> None:
    if box.log == "sqlite":
        pytest.skip("a transaction has no middle")
    small = written(200)
    whole = prepared(box, small)
    assert recover(whole)
    data = Path(box.path(whole.run_id)).read_bytes()
    chance = random.Random(3)
    for cut in (1, 60, len(data) - 1, *(chance.randrange(len(data)) for _ in range(10))):
        spool = prepared(box, small)
        own = data[:cut].replace(whole.run_id.encode(), spool.run_id.encode())
        Path(box.folder, f"{spool.run_id}.jsonl").write_bytes(own)
        assert recover(spool)
        found = box.look(spool.run_id)
        assert found.end["status"] == "completed"
        assert {finding.code for finding in found.report.findings} <= {"hash-chain"}  # the id is part of the chain
        same_bytes(found, small)


def test_the_first_recorder_holds_nothing_of_who_started_it_and_the_next_is_a_program_of_its_own(
    box: Box, tmp_path: Path
) -> None:
    """A fork has all that its parent had: a pipe that stays open in it keeps a shell waiting."""
    gate = tmp_path / "gate"
    script = 'echo begun; while [ ! -e "$0" ]; do sleep 0.02; done; echo ended'
    live, child = box.watch("sh", "-c", script, str(gate), stdout=subprocess.PIPE)
    live.reaches(3)
    first = live.pid("recorder")
    held = set()
    for link in Path(f"/proc/{first}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed in between
            held.add(os.readlink(link))
    assert all(path == os.devnull or path.startswith(box.folder) for path in held), held
    assert not any(path.endswith("supervisor.lock") for path in held), held
    assert os.getsid(first) == first
    stop(first)
    second = live.pid("recorder", other_than=first)
    assert b"durastream.recorder" in Path(f"/proc/{second}/cmdline").read_bytes()
    gate.touch()
    assert child.wait(60) == 0
    assert box.whole(live.run_id).raw["stdout"] == b"begun\nended\n"
