"""Memory and processes run out in a group of processes, as in a container: nothing is lost, and a person is told."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faults_kit import PYTHON, Box, Live, eventually, stop

from durastream.spool import spools

pytestmark = [pytest.mark.crash, pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")]
ROOT = Path("/sys/fs/cgroup")
GIANT = 30 << 20
"""Bytes of a line that is held as a whole, for which a recorder takes some times as much."""

WRITES = """
import os, sys, time
gate = sys.argv[1]
events = os.open(os.environ["DURASTREAM_EVENTS"], os.O_WRONLY | os.O_APPEND)
os.write(1, b"first\\n")
while not os.path.exists(gate + "0"): time.sleep(0.01)
os.write(events, b'{"type":"test.giant","data":{"x":"')
for _ in range(30): os.write(events, b"x" * (1 << 20))
os.write(events, b'"}}\\n')
os.write(1, b"last\\n")
while not os.path.exists(gate + "1"): time.sleep(0.01)
sys.exit(3)
"""


class Group:
    """A control group below the one that the tests are in, of the first or the second version."""

    def __init__(self, controller: str, name: str) -> None:
        self.path = _parent(controller) / name
        self.path.mkdir()
        self.most = self.path / {"memory": "memory.max", "pids": "pids.max"}[controller]
        if not self.most.exists():
            self.most = self.path / "memory.limit_in_bytes"
        with contextlib.suppress(OSError):
            (self.path / "memory.swap.max").write_text("0")

    def allow(self, most: int | None) -> None:
        none = "-1" if self.most.name == "memory.limit_in_bytes" else "max"
        self.most.write_text(none if most is None else str(most))

    @property
    def inside(self) -> tuple[str, ...]:
        """The words that run a command in it."""
        return ("sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(self.path))

    def kills(self) -> int:
        """How many of its processes were killed because there was no memory left."""
        told = self.path / "memory.events"
        lines = (told if told.exists() else self.path / "memory.oom_control").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("oom_kill ")))

    def close(self) -> None:
        self.allow(None)
        eventually(lambda: not (self.path / "cgroup.procs").read_text(), f"the processes in {self.path} to end", 20)
        self.path.rmdir()


def _parent(controller: str) -> Path:
    """The folder of the group to make another in; OSError where the kernel has none."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return ROOT / controllers / path.lstrip("/")
    own = next(ROOT / line[4:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line[:3] == "0::")
    for folder in (own, *own.parents):
        if controller in (folder / "cgroup.subtree_control").read_text().split():
            return folder
    raise FileNotFoundError(f"no control group here limits {controller}")


@pytest.fixture
def group(box: Box) -> Iterator[Callable[[str], Group]]:
    """Makes a control group; skips where that is not allowed."""
    made: list[Group] = []

    def make(controller: str) -> Group:
        try:
            made.append(Group(controller, f"durastream-{os.getpid()}"))
        except (OSError, StopIteration) as error:
            pytest.skip(f"no control group can be made here: {error}")
        return made[-1]

    yield make
    box.sweep()
    for one in made:
        one.close()


def begun(box: Box, group: Group, gate: Path) -> Live:
    """A run whose processes are all in the group, with its first line stored."""
    live = box.detach(*PYTHON, "-c", WRITES, str(gate), before=group.inside)
    live.reaches(3)
    members = (group.path / "cgroup.procs").read_text().split()
    assert {str(pid) for pid in (live.pid("supervisor"), live.pid("recorder"), live.agent)} <= set(members)
    return live


def whole(box: Box, live: Live) -> None:
    """All that the agent wrote is there, once, and how it ended."""
    found = box.whole(live.run_id, status="failed")
    assert found.end["exit_code"] == 3
    assert "".join(data["text"] for data in found.of("text.delta")) == "first\nlast\n"
    assert [len(data["x"]) for data in found.of("test.giant")] == [GIANT]
    assert found.raw["stdout"] == b"first\nlast\n"
    assert len(found.raw["events"]) == len('{"type":"test.giant","data":{"x":""}}\n') + GIANT
    assert found.of("run.resumed")


def test_a_recorder_that_is_killed_for_want_of_memory_is_followed_by_another(
    box: Box, group: Callable[[str], Group], tmp_path: Path
) -> None:
    memory = group("memory")
    live = begun(box, memory, tmp_path / "gate")
    supervisor, agent, recorder = live.pid("supervisor"), live.agent, live.pid("recorder")
    memory.allow(120 << 20)
    (tmp_path / "gate0").touch()
    eventually(memory.kills, "the kernel to find no memory")
    second = live.pid("recorder", other_than=recorder)
    eventually(lambda: memory.kills() > 1, "the kernel to find none for the next one")
    memory.allow(None)
    live.pid("recorder", other_than=second)
    assert (live.pid("supervisor"), live.agent) == (supervisor, agent), "neither was chosen"
    assert live.spool.agent_alive()
    (tmp_path / "gate1").touch()
    live.ends()
    whole(box, live)


def test_a_run_whose_recorder_never_has_the_memory_is_left_to_recover(
    box: Box, group: Callable[[str], Group], tmp_path: Path
) -> None:
    if box.log == "jsonl":
        pytest.skip("it is the same code for both, and it is tried twenty times before it is given up")
    memory = group("memory")
    live = begun(box, memory, tmp_path / "gate")
    memory.allow(120 << 20)
    for gate in ("gate0", "gate1"):
        (tmp_path / gate).touch()
    eventually(lambda: not live.spool.alive(), "the supervisor to give up")
    assert memory.kills() > 2
    assert live.spool.exit_status()["exit_code"] == 3
    done = box.cli("recover", live.run_id)
    assert done.code == 0, done
    whole(box, live)


def test_a_run_in_which_no_process_can_be_started_says_so_and_goes_on_when_one_can(
    box: Box, group: Callable[[str], Group], tmp_path: Path
) -> None:
    pids = group("pids")
    live = begun(box, pids, tmp_path / "gate")
    recorder = live.pid("recorder")
    pids.allow(1)
    stop(recorder)
    trouble = eventually(live.spool.trouble, "what failed to be told")
    assert trouble["message"] == (f"cannot start a recorder for run {live.run_id}: Resource temporarily unavailable")
    (tmp_path / "gate0").touch()
    eventually(lambda: live.spool.size("events") > GIANT, "the agent to go on")
    pids.allow(None)
    live.pid("recorder", other_than=recorder)
    (tmp_path / "gate1").touch()
    live.ends()
    whole(box, live)


def test_with_too_few_processes_a_run_is_recorded_or_one_line_says_why_not(
    box: Box, group: Callable[[str], Group]
) -> None:
    pids = group("pids")
    codes = []
    for most in range(1, 8):
        pids.allow(most)
        known = set(box.store.run_ids())
        result = box.cli("run", "--log", box.log, "--", "echo", "ran", before=pids.inside)
        codes.append(result.code)
        assert "Traceback" not in result.err, (most, result)
        pids.allow(None)
        if "nothing was started" in result.err:
            assert result.err.count("\n") == 1
            assert spools(box.folder) == []
            assert set(box.store.run_ids()) == known
            continue
        assert (result.code, result.out) == (0, "ran\n") or result.code == 125, (most, result)
        assert box.cli("recover").code == 0
        (run_id,) = set(box.store.run_ids()) - known
        found = box.look(run_id)
        assert (found.end["status"], found.raw["stdout"]) in (("completed", b"ran\n"), ("failed", b"")), (most, result)
    assert codes[0] == 125
    assert codes[-1] == 0
