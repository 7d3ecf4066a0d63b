"""Disks fill, fail and vanish: what was told as stored is stored, nothing is stored twice, and a person is told."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faults_kit import (
    CLI,
    PYTHON,
    SOURCE,
    Box,
    Live,
    acknowledged,
    broken,
    eventually,
    json_lines,
    needs_strace,
    prepared,
    steady,
    stop,
    traced,
    written,
)

from durastream.errors import StoreConflict, StoreUnwritable
from durastream.recorder import recover
from durastream.spool import Spool, spools
from durastream.stores.jsonl import JsonlWriter
from durastream.stores.sqlite import SqliteWriter

pytestmark = pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")
SMALL = written(600)
RETRY = 75

# errors of single system calls


def faults(log: str) -> list[tuple[str, str]]:
    """Which call fails how: those of a recorder's commits, early and late."""
    if log == "sqlite":
        return [("fdatasync", "error=EIO:when=6"), ("fdatasync", "error=EIO:when=14+"),
                ("pwrite64", "error=ENOSPC:when=70..75"), ("pwrite64", "error=EIO:when=120+")]  # fmt: skip
    return [("fdatasync", "error=EIO:when=1"), ("fdatasync", "error=EIO:when=8+"),
            ("write", "error=ENOSPC:when=4..6"), ("write", "error=EIO:when=9+")]  # fmt: skip


@pytest.mark.crash
@needs_strace
def test_what_failed_to_be_written_is_not_told_as_stored_and_not_stored_twice(box: Box, tmp_path: Path) -> None:
    for call, fault in faults(box.log):
        acks = tmp_path / "acks"
        acks.unlink(missing_ok=True)
        spool = prepared(box, SMALL)
        path = os.path.join(box.folder, spool.run_id)
        paths = [f"{path}.db", f"{path}.db-wal"] if box.log == "sqlite" else [f"{path}.jsonl"]
        assert broken(spool, acks, call, fault, paths=paths) == RETRY, (call, fault)
        trouble = spool.trouble()
        assert trouble is not None
        assert spool.run_id in trouble["message"]
        told = acknowledged(acks)
        if told:
            assert len(box.look(spool.run_id).events) >= told
        assert recover(spool)
        box.whole(spool.run_id, SMALL)


@pytest.mark.crash
@needs_strace
def test_the_harness_catches_a_recorder_that_does_not_hear_of_errors(box: Box, tmp_path: Path) -> None:
    spool = prepared(box, SMALL)
    path = os.path.join(box.folder, spool.run_id)
    call, n, paths = (
        ("pwrite64", 120, [f"{path}.db", f"{path}.db-wal"]) if box.log == "sqlite" else ("write", 6, [f"{path}.jsonl"])
    )
    broken(spool, tmp_path / "acks", call, f"error=ENOSPC:when={n}+", paths=paths, mode="deaf")
    assert len(box.look(spool.run_id).events) < acknowledged(tmp_path / "acks")


@needs_strace
def test_a_run_comes_right_when_the_disk_does(box: Box) -> None:
    call, fault = ("fdatasync", f"error=EIO:when={9 if box.log == 'sqlite' else 4}")
    words = [*CLI, "run", "--log", box.log, "--view", "none", "--", *steady(800, pause=0.03)]
    done = subprocess.run(
        [*traced(f"{call}:{fault}", calls=call), *words], env=box.environ, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done
    (run_id,) = box.store.run_ids()
    assert box.whole(run_id, written(800)).of("run.resumed")


# files that go away


@pytest.mark.parametrize("how", ["moved", "replaced"])
def test_a_recording_that_vanishes_under_its_recorder_is_made_anew_from_the_spool(
    box: Box, tmp_path: Path, how: str
) -> None:
    if box.log == "jsonl" and how != "moved":
        pytest.skip("it is one file, as with SQLite: one way will do")
    count = 1200
    gate = tmp_path / "gate"
    live, child = box.watch(*steady(count, pause=0.07, gate=gate), options=("--view", "none"))
    live.reaches(100)
    path = box.path(live.run_id)
    recorder = live.pid("recorder")
    if how == "moved":
        os.rename(path, path + ".moved")
    else:
        shutil.copy(path, path + ".new")
        os.replace(path + ".new", path)
    live.pid("recorder", other_than=recorder)
    gate.touch()
    assert child.wait(60) == 0
    found = box.whole(live.run_id, written(count))
    if how != "replaced":
        assert f"{path} was removed, moved or replaced while it was written" in found.warnings
    else:
        assert found.of("run.resumed")


def cut_short(path: str) -> None:
    """Take the second half of a recording away under its writer."""
    for end in ("", "-wal"):
        if os.path.exists(path + end):
            os.truncate(path + end, os.stat(path + end).st_size // 2)


def test_a_recording_that_is_cut_short_under_its_recorder_is_kept_beside_and_made_anew(
    box: Box, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    live, child = box.watch(*steady(1200, pause=0.02, gate=gate), options=("--view", "none"))
    live.reaches(300)
    path = box.path(live.run_id)
    cut_short(path)
    eventually(lambda: os.path.exists(path + ".damaged") or not live.spool.exists(), "it to be noticed")
    gate.touch()
    assert child.wait(60) == 0
    found = box.whole(live.run_id, written(1200))
    assert any("while it was written" in text for text in found.warnings)
    assert os.path.exists(path + ".damaged")


def test_a_recording_whose_middle_is_gone_is_made_anew_by_recover(box: Box) -> None:
    spool = prepared(box, SMALL)
    assert recover(spool)
    path = box.path(spool.run_id)
    data = Path(path).read_bytes()
    again = prepared(box, SMALL)
    if box.log == "jsonl":
        lines = data.replace(spool.run_id.encode(), again.run_id.encode()).splitlines(keepends=True)
        Path(box.folder, again.run_id + ".jsonl").write_bytes(b"".join([*lines[:20], lines[20][:30], *lines[40:60]]))
    else:
        Path(box.folder, again.run_id + ".db").write_bytes(data[: 3 * 8192] + bytes(8192) + data[4 * 8192 : -8192])
    assert recover(again)
    found = box.whole(again.run_id, SMALL)
    assert len(found.warnings) == 1
    assert [name for name in os.listdir(box.folder) if name.endswith(".damaged")]


def test_after_a_reboot_a_damaged_recording_is_left_as_it_is(box: Box) -> None:
    """The spool may have lost its end with the power: what is stored may hold more."""
    if box.log == "sqlite":
        pytest.skip("it is the same code for both")
    spool = prepared(box, SMALL, boot_id="another")
    lines = [b'{"durastream":1,"run_id":"%s"}\n' % spool.run_id.encode(), b"half of\n", b"another\n"]
    whole = prepared(box, SMALL)
    assert recover(whole)
    lines += Path(box.path(whole.run_id)).read_bytes().splitlines(keepends=True)[9:20]
    Path(box.folder, spool.run_id + ".jsonl").write_bytes(b"".join(lines))
    with pytest.raises(StoreConflict):
        recover(spool)
    assert Path(box.folder, spool.run_id + ".jsonl").read_bytes() == b"".join(lines)


def test_a_recorder_that_dies_of_a_mapped_file_that_was_cut_short_is_followed_by_another(tmp_path: Path) -> None:
    box = Box(tmp_path / "store", "sqlite")
    try:
        gate = tmp_path / "gate"
        live, child = box.watch(*steady(1200, pause=0.03, gate=gate), options=("--view", "none"))
        live.reaches(100)
        os.truncate(box.path(live.run_id) + "-shm", 0)
        gate.touch()
        assert child.wait(60) == 0
        box.whole(live.run_id, written(1200))
    finally:
        box.sweep()


def test_a_commit_that_raised_and_is_there_all_the_same_is_not_stored_twice(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durastream.tail._READ", 1500)
    spool = prepared(box, SMALL)
    writer = SqliteWriter if box.log == "sqlite" else JsonlWriter
    honest, commits = writer.append, []

    def append(self: Any, batch: Any) -> None:
        honest(self, batch)
        commits.append(batch)
        if len(commits) in (1, 4, 9, 15):
            raise StoreUnwritable("input/output error, after the commit")

    monkeypatch.setattr(writer, "append", append)
    raised = 0
    while spool.exists():
        try:
            assert recover(spool)
        except StoreUnwritable:
            raised += 1
    assert raised == 4
    assert len(box.whole(spool.run_id, SMALL).of("run.resumed")) >= 3


@pytest.mark.crash
@pytest.mark.parametrize("how", ["full", "ro"])
def test_a_recording_whose_recorder_was_killed_is_read_on_a_disk_that_is_full_or_read_only(
    box: Box, disk: Callable[[str], Disk], tmp_path: Path, how: str
) -> None:
    live = box.detach("sh", "-c", "seq 2000; sleep 60")
    live.reaches(3)
    for who in ("supervisor", "recorder"):
        stop(live.pid(who))
    stop(live.agent)
    eventually(lambda: not live.spool.alive() and not live.spool.agent_alive(), "all to be gone")
    stored = [event.body for event in box.look(live.run_id).events]
    small = disk("size=2m")
    for name in os.listdir(box.folder):
        if name.startswith(live.run_id) and not name.endswith("-shm"):
            shutil.copy(Path(box.folder, name), small.path)
    if how == "ro":
        small.again("ro")
    else:
        with contextlib.suppress(OSError), open(small.path / "rest", "wb", buffering=0) as rest:
            while True:
                rest.write(bytes(4096))
    done = box.cli("events", str(small.path / os.path.basename(box.path(live.run_id))))
    assert done.code == 0, done
    assert [event["seq"] for event in json_lines(done.out)] == list(range(1, len(stored) + 1))


# full disks


class Disk:
    """A small file system of its own."""

    def __init__(self, path: Path, options: str) -> None:
        self.path = path
        path.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "none", str(path)], capture_output=True, text=True, check=False
        )
        self.trouble = done.stderr.strip()

    def again(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.path)], check=True)

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self.path)], check=False, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Disk]]:
    """Makes a small disk; skips where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("to mount takes root, or a namespace: tried again in one")
    made: list[Disk] = []

    def make(options: str) -> Disk:
        made.append(Disk(tmp_path / "disk", options))
        if made[-1].trouble:
            pytest.skip(f"no file system can be mounted here: {made[-1].trouble}")
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.crash
@pytest.mark.skipif(os.geteuid() == 0, reason="root needs no namespace to mount")
def test_small_disks_in_a_namespace() -> None:
    """All tests of this file that mount, as the root of a user namespace."""
    inside = [
        "unshare",
        "-Urm",
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-m",
        "crash",
        "-k",
        "disk",
        __file__,
    ]
    if subprocess.run(["unshare", "-Urm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("user namespaces are not allowed here")
    done = subprocess.run(inside, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout


FILLER = """
import base64, os, sys, time
written = 0
while written < int(sys.argv[1]):
    line = base64.b64encode(os.urandom(720)) + b"\\n"
    try: written += os.write(1, line)
    except OSError: break
time.sleep(float(sys.argv[2]))
sys.exit(int(sys.argv[3]))
"""


def filler(size: int, seconds: float = 0.5, code: int = 0) -> tuple[str, ...]:
    """An agent that writes so many bytes at once, or what there is room for, and goes on for a while."""
    return (*PYTHON, "-c", FILLER, str(size), str(seconds), str(code))


@pytest.mark.crash
def test_a_disk_that_fills_during_a_run_is_told_and_recover_completes_it(box: Box, disk: Callable[[str], Disk]) -> None:
    code = 0 if box.log == "sqlite" else 3  # which is kept, and 0 is not
    small = disk("size=6m")
    full = Box(small.path / "store", box.log)
    run_id, result = full.run(*filler(9 << 20, code=code), options=("--view", "none"))
    live = Live(full, run_id)
    assert result.code == (code or 125)
    assert "no space left" in result.err
    assert f"durastream recover {run_id}" in result.err
    assert live.spool.exists()
    stored = [event.body for event in full.look(run_id).events]
    assert stored
    assert full.cli("recover", run_id).code == 125, "still full"
    wrote = Path(live.spool.file("stdout")).read_bytes()
    assert 1 << 20 < len(wrote) < 6 << 20

    small.again("size=64m")
    assert full.cli("recover", run_id).code == 0
    found = full.whole(run_id, status="failed" if code else "completed")
    assert found.end["exit_code"] == code
    assert found.raw["stdout"] == wrote
    assert "".join(data["text"] for data in found.of("text.delta")).encode() == wrote
    assert [event.body for event in found.events][: len(stored)] == stored, "what was stored stayed"


@pytest.mark.crash
def test_a_run_goes_on_by_itself_when_the_disk_has_room_again(box: Box, disk: Callable[[str], Disk]) -> None:
    small = disk("size=6m")
    full = Box(small.path / "store", box.log)
    live = full.detach(*filler(9 << 20, seconds=1))
    eventually(lambda: live.spool.trouble(), "the disk to be full")
    small.again("size=256m")
    live.ends(60)
    found = full.whole(live.run_id)
    assert found.raw["stdout"].decode() == "".join(data["text"] for data in found.of("text.delta"))


@pytest.mark.crash
def test_a_run_on_a_full_disk_can_be_cancelled(box: Box, disk: Callable[[str], Disk]) -> None:
    full = Box(disk("size=4m").path / "store", box.log)
    live = full.detach("sh", "-c", "head -c 8000000 /dev/urandom; sleep 60")
    eventually(lambda: live.spool.trouble(), "the disk to be full")
    live.spool.request(act="cancel", by="cancel", grace=1.0)
    status = eventually(live.spool.exit_status, "the agent's end")
    assert status["signal"] == "SIGTERM"
    eventually(lambda: not live.spool.alive(), "the processes to end")


@pytest.mark.crash
def test_little_room_on_the_disk_is_told_early(box: Box, disk: Callable[[str], Disk]) -> None:
    low = Box(disk("size=32m").path / "store", box.log)
    run_id, result = low.run("true")
    assert result.code == 0
    (warning,) = low.whole(run_id).of("error.raised")
    assert warning["severity"] == "warning"
    assert warning["message"].startswith("only 3")
    assert "MiB are left on the disk of" in warning["message"]


@pytest.mark.crash
def test_a_disk_without_inodes_for_the_recording_keeps_the_spool(box: Box, disk: Callable[[str], Disk]) -> None:
    small = disk("size=200m,nr_inodes=16")
    full = Box(small.path / "store", box.log)
    run_id, result = full.run(*steady(100), options=("--view", "none"))
    assert result.code == 125, result
    assert f"durastream recover {run_id}" in result.err
    small.again("size=200m,nr_inodes=1000")
    assert full.cli("recover").code == 0
    full.whole(run_id, written(100))


@pytest.mark.crash
def test_a_store_on_a_read_only_disk_is_refused_before_anything_starts(
    box: Box, disk: Callable[[str], Disk], tmp_path: Path
) -> None:
    fixed = disk("size=64m")
    store = Box(fixed.path / "store", box.log)
    live = store.detach("sleep", "60")
    live.reaches(2)
    pids = live.pid("supervisor"), live.pid("recorder"), live.agent
    for pid in pids:
        stop(pid)
    eventually(lambda: not live.spool.alive() and not live.spool.agent_alive(), "all to be gone")
    stored = len(store.look(live.run_id).events)
    fixed.again("ro")
    mark = tmp_path / "started"
    result = store.cli("run", "--", "touch", str(mark))
    assert result.code == 125
    assert "cannot write to the store" in result.err
    assert result.err.count("\n") == 1
    assert not mark.exists()
    assert len(json_lines(store.cli("events", live.run_id).out)) == stored, "what was stored can be read"
    listed = store.cli("list")
    assert listed.code == 0
    assert "orphaned" in listed.out
    assert store.cli("recover", live.run_id).code == 125
    fixed.again("rw")
    assert store.cli("recover", live.run_id).code == 0
    store.whole(live.run_id, status="unknown")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_store_without_permission_is_refused_before_anything_starts(box: Box, tmp_path: Path) -> None:
    os.makedirs(box.folder, mode=0o500)
    result = box.cli("run", "--", "touch", str(tmp_path / "started"))
    assert result.code == 125
    assert "cannot write to the store" in result.err
    assert not (tmp_path / "started").exists()


def test_a_store_that_is_a_file_is_refused(box: Box, tmp_path: Path) -> None:
    Path(box.folder).write_text("")
    for store in (box.folder, box.folder + "/below"):
        result = box.cli("run", "--store", store, "--", "touch", str(tmp_path / "started"))
        assert result.code == 125
        assert result.err.count("\n") == 1
    assert not (tmp_path / "started").exists()


# limits


def limited(**limits: int) -> list[str]:
    """The words that run a command with limits on what it may use."""
    code = (
        "import os, resource, sys\n"
        f"for name, most in {limits!r}.items():\n"
        "    resource.setrlimit(getattr(resource, name), (most, most))\n"
        "os.execvp(sys.argv[1], sys.argv[1:])"
    )
    return [*PYTHON, "-c", code]


def test_a_file_size_limit_is_told_before_anything_starts(box: Box, tmp_path: Path) -> None:
    words = limited(RLIMIT_FSIZE=200 << 10)
    result = box.cli("run", "--log", box.log, "--", "touch", str(tmp_path / "started"), before=words)
    assert result.code == 125
    assert "the limit of the size of a file (ulimit -f) is reached" in result.err
    assert not (tmp_path / "started").exists()


def test_an_agent_that_cannot_be_started_for_want_of_descriptors_is_not_its_own_fault(box: Box) -> None:
    run_id, result = box.run("true", before=limited(RLIMIT_NOFILE=10))
    assert result.code == 125, result
    assert box.ask("recover", run_id).code == 0
    assert box.whole(run_id, status="failed").warnings[0] == "cannot start true: Too many open files"


def test_an_agent_that_runs_into_a_file_size_limit_is_recorded_afterwards(box: Box) -> None:
    words = limited(RLIMIT_FSIZE=1 << 20)
    run_id, _ = box.run(*filler(3 << 20, seconds=0), options=("--view", "none"), before=words)
    if (Path(box.folder) / ".spool" / run_id).exists():
        assert box.ask("recover", run_id).code == 0
    found = box.look(run_id)
    assert found.report.findings == []
    assert len(found.raw["stdout"]) <= 1 << 20
    assert "".join(data["text"] for data in found.of("text.delta")).encode() == found.raw["stdout"]


@pytest.mark.parametrize("most", [5, 7])
def test_too_few_descriptors_are_told_and_leave_no_half_run(box: Box, most: int) -> None:
    result = box.cli("run", "--log", box.log, "--", "true", before=limited(RLIMIT_NOFILE=most))
    if result.code == 0:
        return
    assert "Traceback" not in result.err
    assert box.ask("list").code == 0
    assert spools(box.folder) == []


POOR_USER = 60_000 + os.getpid() % 5000  # a limit counts all processes of a user, also those of another test
POOR = ("setpriv", f"--reuid={POOR_USER}", f"--regid={POOR_USER}", "--clear-groups",
        "--inh-caps=+dac_override,+dac_read_search", "--ambient-caps=+dac_override,+dac_read_search")  # fmt: skip
"""Another user, for root may start as many processes as there are, who gets at the files of the tests all the same."""


def too_few_processes(box: Box, most: int) -> list[str]:
    """The words that run a command as a user who may start so few processes."""
    os.makedirs(box.folder, mode=0o700, exist_ok=True)
    os.chown(box.folder, POOR_USER, POOR_USER)
    return [*POOR, *limited(RLIMIT_NPROC=most)]


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv, to be a second user"
)
def test_too_few_processes_are_told_and_what_was_started_is_recorded_or_left_to_recover(box: Box) -> None:
    """Refused at the first fork, the agent, the recorder or a thread of it: no traceback, no run in doubt, no hang."""
    codes = []
    for most in range(1, 8) if box.log == "sqlite" else (1, 3, 7):  # what is refused is the same for both
        with tempfile.TemporaryDirectory(prefix="durastream-") as folder:  # where that user gets at all
            os.chmod(folder, 0o755)
            store = Box(Path(folder, "store"), box.log)
            result = store.cli("run", "--log", box.log, "--", "echo", "ran", before=too_few_processes(store, most))
            assert "Traceback" not in result.err, (most, result)
            codes.append(result.code)
            for path in [Path(store.folder), *Path(store.folder).rglob("*")]:
                os.chown(path, os.getuid(), os.getgid())  # now it is ours to look at
            if "nothing was started" in result.err:
                assert spools(store.folder) == store.store.run_ids() == []
                continue
            if result.code:
                assert result.code == 125, (most, result)
                assert store.ask("recover").code == 0
            assert store.store.run_ids(), (most, result)
            (run_id,) = store.store.run_ids()
            found = store.look(run_id)
            end = found.end["status"], found.raw["stdout"]
            assert end in (("completed", b"ran\n"), ("failed", b"")), (most, result)
            assert (result.code, result.out) == (0, "ran\n") or result.code == 125
    assert codes[0] == 125
    assert codes[-1] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is no limit")
@pytest.mark.parametrize("megabytes", [16, 20, 30])
def test_too_little_memory_is_one_line_and_the_run_can_be_finished(box: Box, megabytes: int) -> None:
    words = limited(RLIMIT_AS=megabytes << 20)
    result = box.cli("run", "--log", box.log, "--", "echo", "ran", before=words)
    if result.code == 0:  # little, and enough: a thread has no room, and what it was for is done without one
        assert megabytes > 16, "so little must be too little"
        assert (result.out, len(result.err.splitlines())) == ("ran\n", 1)
        (run_id,) = box.store.run_ids()
        assert box.whole(run_id).raw["stdout"] == b"ran\n"
        return
    assert result.code in (3, 125), result
    ours = [line for line in result.err.splitlines() if SOURCE in line]
    assert ours == [], "a traceback of ours; hashlib prints one of its own when it finds no memory for a library"
    assert "not enough memory" in result.err or "recover" in result.err, result
    eventually(lambda: not any(Spool(box.folder, each).alive() for each in spools(box.folder)), "all to have given up")
    assert box.ask("recover").code == 0
    (run_id,) = box.store.run_ids()
    assert box.whole(run_id).raw["stdout"] == b"ran\n"
