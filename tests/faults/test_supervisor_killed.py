"""SIGKILL of the supervisor, alone and with the recorder: the agent lives, and nobody guesses how it ended."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from faults_kit import (
    PYTHON,
    Box,
    Live,
    broken,
    eventually,
    needs_strace,
    prepared,
    steady,
    stop,
    written,
)

from durastream.deputy import Deputy
from durastream.errors import StoreUnwritable
from durastream.recorder import recover
from durastream.spool import Spool, boot_id, process_token, spools
from durastream.supervisor import launch

pytestmark = pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")
COUNT = 1200
SEEN_NOT = "the agent's end was not seen: the supervisor was killed"


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """What the agent waits for in the middle of its work."""
    return tmp_path / "gate"


def orphan(box: Box, *command: str) -> Live:
    """A run whose supervisor and recorder were killed while its agent writes."""
    live = box.detach(*command)
    live.reaches(20)
    supervisor, recorder = live.pid("supervisor"), live.pid("recorder")
    stop(supervisor)
    stop(recorder)
    eventually(lambda: not live.spool.alive(), "both to be gone")
    assert live.spool.agent_alive()
    return live


def test_the_recorder_goes_on_without_its_supervisor_and_ends_with_an_unknown_status(box: Box, gate: Path) -> None:
    live, child = box.watch(*steady(COUNT, code=7, gate=gate), stderr=subprocess.PIPE)
    live.reaches(50)
    agent, recorder = live.agent, live.pid("recorder")
    stop(live.pid("supervisor"))
    assert process_token(agent), "the agent lives on"
    gate.touch()
    assert child.wait(60) == 125
    found = box.whole(live.run_id, written(COUNT), status="unknown")
    assert "exit_code" not in found.end
    assert "signal" not in found.end
    assert found.warnings == [SEEN_NOT]
    assert not found.of("run.resumed"), f"recorder {recorder} went on"
    assert child.stderr is not None
    assert "unknown" in child.stderr.read()


def test_an_orphaned_run_is_listed_as_such_and_finished_by_recover(box: Box, gate: Path) -> None:
    live = orphan(box, *steady(300, code=7, gate=gate))
    gate.touch()
    eventually(lambda: not live.spool.agent_alive(), "the agent to end")
    assert box.store.info(live.run_id).status == "orphaned"
    done = box.ask("recover")
    assert done.code == 0
    assert done.out.split() == [live.run_id, "unknown"]
    found = box.whole(live.run_id, written(300), status="unknown")
    assert found.warnings == [SEEN_NOT]
    assert box.ask("recover", live.run_id).code == 0


@pytest.mark.parametrize("words", [("list",), ("attach", "--view", "none"), ("verify",)])
def test_any_look_at_an_orphaned_run_finishes_it(box: Box, gate: Path, words: tuple[str, ...]) -> None:
    live = orphan(box, *steady(300, gate=gate))
    gate.touch()
    eventually(lambda: not live.spool.agent_alive(), "the agent to end")
    command = box.cli if words[0] == "attach" else box.ask
    result = command(*words, *(() if words == ("list",) else (live.run_id,)))
    assert result.code == (125 if words[0] == "attach" else 0), result
    box.whole(live.run_id, written(300), status="unknown")


def test_recover_starts_a_new_recorder_for_an_agent_that_still_writes(box: Box, gate: Path) -> None:
    live = orphan(box, *steady(COUNT, gate=gate))
    assert live.spool.agent_alive()
    assert recover(live.spool) is False, "not while the agent lives"
    head = live.head()
    done = box.cli("recover", live.run_id)
    assert done.code == 0
    assert "a new recorder goes on" in done.err
    live.reaches(head + 1)
    stop(live.pid("recorder"))  # and one more time
    eventually(lambda: not live.spool.alive(), "the new recorder to be gone")
    box.cli("list")
    gate.touch()
    live.ends()
    found = box.whole(live.run_id, written(COUNT), status="unknown")
    assert len(found.of("run.resumed")) == 2


def test_an_agent_that_was_gone_before_anyone_looked_is_not_taken_for_alive(box: Box) -> None:
    """Its start time cannot be asked for any more: nothing known is not the same as nothing there."""
    live = box.detach("true")
    live.ends()
    os.makedirs(live.spool.path)
    live.spool.write_json("agent.json", {"pid": 999_999_999, "token": None, "boot_id": _boot()})
    assert not live.spool.agent_alive()


def test_the_pid_of_a_dead_agent_in_other_hands_does_not_keep_its_run_alive(box: Box) -> None:
    spool = prepared(box, written(100), exit_code=None)
    spool.write_json("agent.json", {"pid": os.getpid(), "token": "1", "boot_id": _boot()})
    assert not spool.agent_alive()
    assert recover(spool)
    box.whole(spool.run_id, written(100), status="unknown")


def test_an_agent_is_known_before_its_supervisor_can_die(box: Box) -> None:
    """The agent writes down who it is itself, and holds its supervisor's lock until it has."""
    os.makedirs(box.folder)
    for _ in range(6):
        spool = prepared(box, written(0), exit_code=None)
        supervisor = launch(spool, ["sleep", "30"], dict(os.environ), None)
        # killed at the first moment at which there can be an agent
        children = f"/proc/{supervisor}/task/{supervisor}/children"
        eventually(lambda children=children: _text(children), "the agent")
        stop(supervisor)
        os.waitpid(supervisor, 0)
        eventually(lambda spool=spool: not spool.held("supervisor"), "the lock to be let go of")
        assert spool.agent_alive()
        agent = spool.read_json("agent.json")
        assert agent is not None
        stop(int(agent["pid"]))


def test_two_recoveries_at_once_record_a_run_once(box: Box) -> None:
    wrote = written(3000)
    spool = prepared(box, wrote)
    pair = [box.open("recover", spool.run_id, stderr=subprocess.PIPE) for _ in range(3)]
    assert [child.wait(60) for child in pair] == [0, 0, 0]
    assert not box.whole(spool.run_id, wrote).of("run.resumed")


@pytest.mark.crash
@needs_strace
def test_a_recovery_that_is_killed_again_and_again_is_taken_up_by_the_next(box: Box, tmp_path: Path) -> None:
    wrote = written(6000)
    call = "pwrite64" if box.log == "sqlite" else "fdatasync"
    spool = prepared(box, wrote)
    killed = 0
    for n in (50, 60) if box.log == "sqlite" else (1, 3):
        code = broken(spool, tmp_path / "acks", call, f"signal=KILL:when={n}", who="recover")
        killed += code == -signal.SIGKILL
        if not spool.exists():
            break
    assert killed >= 2
    if spool.exists():
        assert box.cli("recover").code == 0
    box.whole(spool.run_id, wrote)


def test_cancel_ends_an_agent_whose_supervisor_was_killed_and_what_it_started(box: Box) -> None:
    live = box.detach("sh", "-c", "setsid sleep 60 & echo $!; wait")
    live.reaches(3)
    left = int(eventually(lambda: Path(live.spool.file("stdout")).read_text().strip(), "the pid of its child"))
    agent, recorder = live.agent, live.pid("recorder")
    stop(live.pid("supervisor"))
    eventually(lambda: not live.spool.held("supervisor"), "the supervisor to be gone")
    result = box.cli("cancel", live.run_id)
    assert result.code == 0, result
    assert "has lost its supervisor" in result.err
    assert f"{live.run_id} unknown" in result.err
    found = box.look(live.run_id)
    assert [data["by"] for data in found.of("run.cancel_requested")] == ["cancel"]
    assert found.warnings == [SEEN_NOT]
    assert not found.of("run.resumed"), f"recorder {recorder} did it"
    assert process_token(agent) is None
    assert process_token(left) is None


def _told_once_by_its_supervisor(box: Box) -> tuple[Live, Path]:
    """A run whose agent says when it gets SIGUSR1, and got one from a supervisor that is dead now."""
    live = box.detach("sh", "-c", "trap 'echo got' USR1; trap '' TERM; echo ready; while :; do sleep 0.02; done")
    wrote = Path(live.spool.file("stdout"))
    live.reaches(2)
    eventually(wrote.read_text, "the agent to be ready")
    live.spool.request(act="signal", signal="SIGUSR1", by="me")
    eventually(lambda: wrote.read_text() == "ready\ngot\n", "the first signal")
    stop(live.pid("supervisor"))
    return live, wrote


def test_who_takes_a_run_up_sends_what_is_asked_for_from_then_on_and_kills_what_does_not_end(box: Box) -> None:
    live, wrote = _told_once_by_its_supervisor(box)
    last = live.pid("recorder")
    stop(last)
    eventually(lambda: not live.spool.alive(), "both to be gone")
    live.spool.request(act="signal", signal="SIGUSR1", by="me")  # nobody is there to hear it
    assert "a new recorder goes on" in box.cli("recover", live.run_id).err
    live.pid("recorder", other_than=last)
    eventually(lambda: wrote.read_text() == "ready\ngot\ngot\n", "the second signal")
    live.spool.request(act="signal", signal="SIGUSR1", by="me")
    eventually(lambda: wrote.read_text() == "ready\ngot\ngot\ngot\n", "the third signal")
    stop(live.pid("recorder"))
    eventually(lambda: not live.spool.alive(), "it to be gone too")
    agent, sent = live.agent, wrote.read_text()
    result = box.ask("cancel", live.run_id, "--grace", "0.3")
    assert result.code == 0, result
    assert process_token(agent) is None
    found = box.look(live.run_id)
    assert found.raw["stdout"].decode() == sent, "no signal was sent again"
    assert [data["by"] for data in found.of("run.cancel_requested") if data["by"] != "me"] == ["cancel"]
    assert found.end["status"] == "unknown"


def test_what_is_asked_for_as_the_supervisor_dies_is_sent_and_what_it_sent_is_not_sent_again(box: Box) -> None:
    live, wrote = _told_once_by_its_supervisor(box)
    live.spool.request(act="signal", signal="SIGUSR1", by="me")
    eventually(lambda: wrote.read_text() == "ready\ngot\ngot\n", "the second signal")
    assert box.ask("cancel", live.run_id, "--grace", "0.3").code == 0
    assert box.look(live.run_id).raw["stdout"].decode() == "ready\ngot\ngot\n"


def test_a_deputy_signals_nobody_who_only_has_the_pid_of_the_agent(box: Box) -> None:
    spool = prepared(box, written(0), exit_code=None)
    spool.request(act="cancel", by="cancel", grace=0)
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as child:
        try:
            token = process_token(child.pid)
            for known, code in (("1", None), (token, -signal.SIGTERM)):
                spool.write_json("agent.json", {"pid": child.pid, "token": known, "boot_id": _boot()})
                Deputy(spool, {}, time.monotonic()).look()
                if code is not None:
                    assert child.wait(10) in (code, -signal.SIGKILL)
                assert child.poll() is None or code is not None
        finally:
            child.kill()


def test_a_run_that_is_just_beginning_is_not_taken_for_orphaned(box: Box) -> None:
    """From its first file on, a new spool is held by whoever makes it."""
    seen = []
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from durastream.recorder import recover\n"
        "from durastream.spool import Spool, spools\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    for run_id in spools(sys.argv[2]):\n"
        "        try:\n"
        "            recover(Spool(sys.argv[2], run_id))\n"
        "        except Exception: pass\n"
    )
    os.makedirs(box.folder)
    vulture = subprocess.Popen(
        [sys.executable, "-P", "-c", code, box.environ["PYTHONPATH"], box.folder], stdout=subprocess.PIPE, text=True
    )
    try:
        assert vulture.stdout is not None
        assert vulture.stdout.readline() == "ready\n"
        for _ in range(3):
            run_id, result = box.run("true", options=("--view", "none"))
            assert result.code == 0, result
            seen.append(run_id)
    finally:
        stop(vulture.pid)
        vulture.wait()
        if vulture.stdout is not None:
            vulture.stdout.close()
    for run_id in seen:
        box.whole(run_id)


def test_a_supervisor_survives_requests_that_are_none(box: Box) -> None:
    live = box.detach("sleep", "30")
    live.reaches(2)
    before = live.pid("supervisor"), live.pid("recorder")
    with open(live.spool.file("control"), "ab") as control:
        control.write(
            b'[]\n"x"\n7\nnull\n{}\n{"act":"cancel","grace":null}\n{"act":"signal","signal":"SIGNONE"}\n\xff\n'
        )
    live.spool.request(act="signal", signal="SIGUSR1", by="me")
    eventually(lambda: not live.spool.exists(), "the run to end")
    found = box.look(live.run_id)
    assert found.end["signal"] == "SIGUSR1", "a request without sense does nothing"
    assert not found.of("run.resumed"), before


def test_the_end_of_a_run_whose_spool_was_removed_leaves_no_process_behind(box: Box) -> None:
    live = box.detach("sleep", "60")
    live.reaches(2)
    supervisor, recorder, agent = live.pid("supervisor"), live.pid("recorder"), live.agent
    live.spool.remove()
    stop(agent)
    eventually(lambda: not process_token(supervisor) and not process_token(recorder), "both to end")


def test_an_agent_that_dies_of_a_signal_without_a_name_is_recorded(box: Box) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGRTMIN + 5)"
    run_id, result = box.run(*PYTHON, "-c", code)
    assert result.code == 128 + signal.SIGRTMIN + 5
    box.whole(run_id, status="failed")


def test_what_a_killed_start_left_is_no_run(box: Box) -> None:
    """Killed between the folder and its meta.json: nothing was started, and nothing is in the way."""
    folder = os.path.join(box.folder, ".spool", "abcdef")
    os.makedirs(folder)
    assert box.ask("list").code == 0
    run_id, result = box.run("true")
    assert result.code == 0
    os.utime(folder, (time.time() - 3600,) * 2)
    box.ask("list")
    assert spools(box.folder) == []
    assert not Spool(box.folder, "abcdef").exists()
    box.whole(run_id)


def _boot() -> str:
    from durastream.spool import boot_id

    return boot_id()


def _text(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


@pytest.mark.parametrize("name", ["exit.json", "agent.json"])
def test_an_end_and_an_agent_that_cannot_be_read_about_just_now_are_not_taken_for_unknown_and_dead(
    box: Box, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    spool = prepared(box, written(100), exit_code=3)
    if name == "agent.json":
        os.unlink(spool.file("exit.json"))
        agent = subprocess.Popen(["sleep", "600"])
        told = {"pid": agent.pid, "token": process_token(agent.pid), "boot_id": boot_id()}
        spool.write_json("agent.json", told)
    honest = Spool.open

    def once(self: Spool, asked: str, flags: int) -> int:
        if asked == name and flags & os.O_ACCMODE == os.O_RDONLY:
            monkeypatch.setattr(Spool, "open", honest)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return honest(self, asked, flags)

    monkeypatch.setattr(Spool, "open", once)
    with pytest.raises(StoreUnwritable, match="Too many open files"):
        recover(spool)
    if name == "agent.json":
        assert not recover(spool), "its agent lives"
        agent.kill()
        agent.wait()
        spool.write_exit({"exit_code": 3, "ts": time.time(), "sent": [], "left": []})
    assert recover(spool)
    assert box.whole(spool.run_id, written(100), status="failed").end["exit_code"] == 3
