"""Agents die, linger and misbehave: every byte is recorded, the end told as it was, and nobody waits in vain."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from faults_kit import CLI, PYTHON, Box, Live, Written, eventually, patched, prepared, steady, stop, written

from durastream.recorder import Recorder, recover
from durastream.spool import process_token

pytestmark = pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")

CUT = "{} was cut short while it was read: what stood there unread is lost; append to it with >>"
OPEN_STEP = """
import os, sys
line = b'{"type":"step.started","data":{"step_id":"s1","title":"Dig","kind":"tool"}}\\n'
os.write(os.open(os.environ["DURASTREAM_EVENTS"], os.O_WRONLY | os.O_APPEND), line)
os.write(1, b"half a li")
"""


def test_a_killed_agent_is_recorded_as_interrupted_with_its_open_steps_abandoned(box: Box) -> None:
    run_id, result = box.run(*PYTHON, "-c", OPEN_STEP + "os.kill(os.getpid(), 9)")
    assert result.code == 137
    assert result.out == "half a li"
    found = box.look(run_id)
    assert (found.end["status"], found.end["signal"]) == ("interrupted", "SIGKILL")
    assert "exit_code" not in found.end
    assert [(step["step_id"], step["status"]) for step in found.of("step.completed")] == [("s1", "abandoned")]
    assert {finding.code for finding in found.report.findings} == {"step-abandoned"}
    assert found.raw["stdout"] == b"half a li"
    assert "".join(data["text"] for data in found.of("text.delta")) == "half a li"


def test_lines_torn_by_the_death_of_their_writer_are_kept(box: Box) -> None:
    code = OPEN_STEP + (
        "events = os.open(os.environ['DURASTREAM_EVENTS'], os.O_WRONLY | os.O_APPEND)\n"
        'os.write(events, b\'{"type":"step.progress","da\')\n'
        "os.write(2, b'said \\xe2\\x82')\nos.write(1, b'\\xf0\\x9f')\nos.kill(os.getpid(), 9)"
    )
    run_id, result = box.run(*PYTHON, "-c", code)
    assert result.code == 137
    found = box.look(run_id)
    assert found.raw["stdout"] == b"half a li\xf0\x9f"
    assert found.raw["stderr"] == b"said \xe2\x82"
    assert found.raw["events"].endswith(b'"da')
    assert [data["text"] for data in found.of("raw.rejected")] == ['{"type":"step.progress","da']
    assert found.of("log.line")[0]["text"] == "said \ufffd"
    assert {finding.code for finding in found.report.findings} == {"line-rejected", "step-abandoned"}


def test_an_agent_that_closes_its_streams_and_lives_is_waited_for(box: Box) -> None:
    code = (
        "import os, sys, time; events = os.environ['DURASTREAM_EVENTS']\n"
        "os.write(1, b'first\\n')\nfor fd in (0, 1, 2): os.close(fd)\ntime.sleep(0.3)\n"
        'open(events, \'a\').write(\'{"type":"test.late","data":{}}\\n\')\nsys.exit(4)'
    )
    run_id, result = box.run(*PYTHON, "-c", code)
    assert (result.code, result.out) == (4, "first\n")
    assert len(box.whole(run_id, status="failed").of("test.late")) == 1


@pytest.mark.parametrize("how", ["&", "setsid"])
def test_a_process_left_behind_is_named_and_not_waited_for(box: Box, how: str) -> None:
    behind = "setsid sleep 60" if how == "setsid" else "sleep 60"
    named = 'while [ "$(cat /proc/$!/comm)" != sleep ]; do :; done'  # it has its name only when it was executed
    run_id, result = box.run("sh", "-c", f"{behind} & echo $!; {named}; exit 5")
    left = int(result.out)
    try:
        assert result.code == 5
        (warning,) = box.whole(run_id, status="failed").warnings
        assert warning == f"1 process that the agent started still runs: {left} (sleep)"
        assert process_token(left), "a run that ends does not kill what it left"
    finally:
        stop(left)


def test_a_process_left_behind_that_writes_without_end_does_not_keep_the_run_from_ending(box: Box) -> None:
    wrote = 'until [ -s "${DURASTREAM_EVENTS%events}stdout" ]; do :; done'
    script = f"(while :; do echo flood; done) & echo $! >&2; {wrote}"
    live, child = box.watch("sh", "-c", script, options=("--view", "none"))
    assert child.wait(60) == 0
    found = box.whole(live.run_id)
    left = int(found.raw["stderr"])
    stop(left)
    assert any("still run" in warning for warning in found.warnings)
    text = "".join(data["text"] for data in found.of("text.delta")).encode()
    assert text == found.raw["stdout"], "up to a point, all of it"
    assert text.startswith(b"flood\nflood\n")


def test_what_ends_a_moment_after_the_agent_is_not_called_left_behind(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patched(
        monkeypatch, tmp_path, "from durastream import supervisor\nsupervisor._PARTING = 20.0\n"
    )  # machines are slow
    run_id, _ = box.run("sh", "-c", "sleep 0.2 & exit 0")
    assert box.whole(run_id).warnings == []


def test_cancel_ends_the_agent_and_what_it_started_elsewhere(box: Box) -> None:
    live = box.detach("sh", "-c", "setsid sleep 60 & echo $!; sleep 60 & echo $!; wait")
    live.reaches(3)
    eventually(lambda: Path(live.spool.file("stdout")).read_bytes().count(b"\n") == 2, "both pids")
    children = [int(word) for word in Path(live.spool.file("stdout")).read_text().split()]
    result = box.cli("cancel", live.run_id)
    assert result.code == 0
    found = box.whole(live.run_id, status="cancelled")
    assert [data["by"] for data in found.of("run.cancel_requested")] == ["cancel"]
    assert found.end["signal"] == "SIGTERM"
    assert found.warnings == []
    assert not any(process_token(child) for child in children)


def test_an_agent_that_ignores_sigterm_is_killed_after_the_grace(box: Box) -> None:
    live = box.detach("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    eventually(lambda: live.spool.size("stdout"), "the agent to be ready")
    assert box.ask("cancel", live.run_id, "--grace", "0.3").code == 0
    found = box.whole(live.run_id, status="cancelled")
    assert found.end["signal"] == "SIGKILL"
    (request,) = [event.t for event in found.events if event.type == "run.cancel_requested"]
    assert found.events[-1].t - request < 9.9, "not the grace of those who ask for none"


def test_a_stopped_agent_can_be_cancelled(box: Box) -> None:
    live = box.detach("sleep", "60")
    live.reaches(2)
    stop(live.agent, signal.SIGSTOP)
    assert box.ask("cancel", live.run_id).code == 0
    assert box.whole(live.run_id, status="cancelled").end["signal"] == "SIGTERM"


def test_cancelling_a_run_ends_the_runs_inside_it_and_each_records_its_end(box: Box) -> None:
    inner = " ".join(f"'{word}'" for word in (*CLI, "run", "--log", box.log, "--view", "none", "--", "sleep", "60"))
    live = box.detach("sh", "-c", f"{inner}; true")
    inside = eventually(lambda: set(box.store.run_ids()) - {live.run_id}, "the run inside").pop()
    eventually(lambda: box.store.path(inside), "its recording")
    assert box.ask("cancel", live.run_id).code == 0
    box.whole(live.run_id, status="cancelled")
    eventually(lambda: not (Path(box.folder) / ".spool" / inside).exists(), "the run inside to end")
    found = box.whole(inside, status="interrupted")
    assert found.of("run.started")[0]["parent_run_id"] == live.run_id
    assert not found.of("run.resumed"), "its recorder was left to do its work"


def test_a_run_inside_a_run_is_recorded_and_linked(box: Box) -> None:
    words = (*CLI, "run", "--log", box.log, "--", "sh", "-c", "echo $DURASTREAM_PARENT_RUN_ID $DURASTREAM_RUN_ID")
    known = set(box.store.run_ids())
    result = box.cli("run", "--log", box.log, "--", *words)
    assert result.code == 0, result
    parent, inside = result.out.split()
    assert set(box.store.run_ids()) - known == {parent, inside}
    assert box.whole(inside).of("run.started")[0]["parent_run_id"] == parent
    assert box.store.info(inside).parent_run_id == parent
    assert box.whole(parent).warnings == []


@pytest.mark.parametrize(
    ("head", "mode", "code"), [("#!/no/such/interpreter\n", 0o755, 127), ("\x00\x01\x02 no program", 0o755, 126)]
)
def test_what_cannot_be_executed_is_a_failed_run(box: Box, tmp_path: Path, head: str, mode: int, code: int) -> None:
    script = tmp_path / "agent"
    script.write_text(head)
    script.chmod(mode)
    run_id, result = box.run(str(script))
    assert result.code == code
    found = box.whole(run_id, status="failed")
    assert found.end["exit_code"] == code
    assert found.warnings[0].startswith(f"cannot start {script}: ")


def test_an_agent_that_executes_itself_anew_is_the_same_agent(box: Box, tmp_path: Path) -> None:
    code = (
        "import os, sys\nleft = int(sys.argv[1])\nos.write(1, b'round %d\\n' % left)\n"
        "again = [sys.executable, '-S', '-E', '-c', sys.argv[2], str(left - 1), *sys.argv[2:]]\n"
        "if left: os.execv(sys.executable, again)\n"
        "import time\nwhile not os.path.exists(sys.argv[3]): time.sleep(0.01)\nsys.exit(6)"
    )
    gate = tmp_path / "gate"
    live, child = box.watch(*PYTHON, "-c", code, "3", code, str(gate), options=("--view", "none"))
    eventually(lambda: b"round 0" in Path(live.spool.file("stdout")).read_bytes(), "the last round")
    assert live.spool.agent_alive()
    gate.touch()
    assert child.wait(60) == 6
    assert box.whole(live.run_id, status="failed").raw["stdout"] == b"round 3\nround 2\nround 1\nround 0\n"


def test_an_event_file_that_the_agent_cuts_short_is_noted_and_read_on(box: Box, tmp_path: Path) -> None:
    code = (
        "import os, sys, time; events = os.environ['DURASTREAM_EVENTS']\n"
        "for n in range(4):\n"
        "    while not os.path.exists(f'{sys.argv[1]}{n}'): time.sleep(0.01)\n"
        "    with open(events, 'w') as file:\n"
        '        file.write(\'{"type":"test.counted","data":{"n":%d}}\\n\' % n + \' \' * (40 - 10 * n))\n'
    )
    gate = tmp_path / "gate"
    live = box.detach(*PYTHON, "-c", code, str(gate))
    live.reaches(2)
    for n in range(4):
        Path(f"{gate}{n}").touch()
        live.reaches(3 + 2 * n)  # the event, and from the second on a warning before it
    live.ends()
    found = box.whole(live.run_id)
    assert [data["n"] for data in found.of("test.counted")] == [0, 1, 2, 3]
    assert found.warnings == [CUT.format("events")] * 3
    assert "events" not in found.end["raw"], "what was cut off cannot be vouched for"


def test_a_stream_that_is_opened_again_with_a_greater_than_sign_is_read_on(box: Box, tmp_path: Path) -> None:
    """`echo > /dev/stdout` empties the file of the stream, which is soon as long as it was, or longer."""
    code = (
        "import os, sys, time\n"
        "for n, word in enumerate(('aaaa', 'bbbb', 'cccccccc')):\n"
        "    while not os.path.exists(f'{sys.argv[1]}{n}'): time.sleep(0.01)\n"
        "    for stream in ('stdout', 'stderr'):\n"
        "        with open(f'/dev/{stream}', 'w') as file: file.write(word + '\\n')\n"
        "while not os.path.exists(f'{sys.argv[1]}3'): time.sleep(0.01)\n"
    )
    gate = tmp_path / "gate"
    live, child = box.watch(*PYTHON, "-c", code, str(gate), stdout=subprocess.PIPE)
    live.reaches(2)
    viewer = box.open("attach", "--view", "raw", live.run_id, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert viewer.stdout is not None
    for n, word in enumerate(("aaaa", "bbbb", "cccccccc")):
        Path(f"{gate}{n}").touch()
        assert [shown.readline() for shown in (child.stdout, viewer.stdout)] == [f"{word}\n"] * 2
        eventually(lambda n=n: len(box.look(live.run_id).of("log.line")) == n + 1, "its line to be stored", pause=0.05)
    for stream in ("stdout", "stderr"):
        os.utime(live.spool.file(stream))  # with the same bytes in it no file was cut
    Path(f"{gate}3").touch()
    assert child.wait(60) == 0
    assert (child.stdout.read(), viewer.stdout.read()) == ("", "")
    found = box.whole(live.run_id)
    assert "".join(data["text"] for data in found.of("text.delta")) == "aaaa\nbbbb\ncccccccc\n"
    assert [data["text"] for data in found.of("log.line") if data["stream"] == "stderr"] == ["aaaa", "bbbb", "cccccccc"]
    assert sorted(found.warnings) == sorted([CUT.format("stdout"), CUT.format("stderr")] * 2)
    assert found.end["raw"].keys() == {"events"}, "what was cut off cannot be vouched for"


@pytest.mark.parametrize("lives", ["3", "0"])
def test_an_agent_that_removes_the_spool_leaves_a_recording_with_an_end(box: Box, lives: str) -> None:
    code = (
        "import os, shutil, sys, time\nspool = os.path.dirname(os.environ['DURASTREAM_EVENTS'])\n"
        "print('said', flush=True)\nwhile not os.path.getsize(spool + '/bell'): time.sleep(0.01)\n"
        "shutil.rmtree(spool)\ntime.sleep(float(sys.argv[1]))"
    )
    run_id, result = box.run(*PYTHON, "-c", code, lives)
    assert result.code == 125
    assert result.out == "said\n"
    assert f"{run_id} unknown" in result.err or f"the spool of run {run_id} was removed" in result.err
    eventually(lambda: box.store.info(run_id).status == "unknown", "its recorder to end", pause=0.05)
    found = box.whole(run_id, status="unknown")
    assert found.warnings == [
        "the spool of the run was removed while it was recorded: nothing after that is known of its agent"
    ]
    assert "there is nothing to recover" in box.ask("recover", run_id).err


def test_an_agent_that_is_stopped_and_goes_on_is_waited_for(box: Box, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    live = box.detach(*steady(200, gate=gate))
    stop(live.agent, signal.SIGSTOP)  # SIGTSTP does nothing to it: it has a session of its own
    eventually(lambda: Path(f"/proc/{live.agent}/stat").read_text().rpartition(")")[2].split()[0] == "T", "a stop")
    assert live.spool.agent_alive()
    stop(live.agent, signal.SIGCONT)
    gate.touch()
    live.ends()
    box.whole(live.run_id, written(200))


def test_a_cut_that_was_told_of_is_known_to_the_next_recorder(box: Box) -> None:
    spool = prepared(box, Written(b"the old one\n", b"", b""), exit_code=None)
    supervisor = spool.lock("supervisor")
    first = Recorder(spool)
    while first.step():
        pass
    Path(spool.file("stdout")).write_bytes(b"a new one, which is longer\n")
    eventually(lambda: first.step() and first.state.errors, "the cut to be told")
    first.release()
    spool.write_exit({"exit_code": 0, "ts": 0.0, "sent": [], "left": []})
    os.close(supervisor)
    assert recover(spool)
    found = box.whole(spool.run_id)
    assert "".join(data["text"] for data in found.of("text.delta")) == "the old one\na new one, which is longer\n"
    assert found.warnings == [CUT.format("stdout")]


def test_an_event_file_that_is_cut_short_by_the_last_thing_an_agent_does_is_read_too(box: Box) -> None:
    wrote = written(100)
    spool = prepared(box, wrote, exit_code=None)
    supervisor = spool.lock("supervisor")
    recorder = Recorder(spool)
    while recorder.step():
        pass
    Path(spool.file("events")).write_text('{"type":"test.last","data":{}}\n')
    spool.write_exit({"exit_code": 0, "ts": 0.0, "sent": [], "left": []})
    recorder.run()
    os.close(supervisor)
    found = box.whole(spool.run_id)
    assert [data["n"] for data in found.of("test.counted")] == list(range(100))
    assert len(found.of("test.last")) == 1


def test_a_spool_that_lost_its_end_in_a_power_cut_doubles_nothing(box: Box) -> None:
    """What was stored was synced, the spool was not: after a reboot it may be shorter than what is stored of it."""
    wrote = written(500)
    spool = prepared(box, wrote, exit_code=None)
    supervisor = spool.lock("supervisor")
    recorder = subprocess.Popen(
        [sys.executable, "-P", "-m", "durastream.recorder", spool.store, spool.run_id], env=box.environ
    )
    Live(box, spool.run_id).reaches(2)
    eventually(lambda: len(box.look(spool.run_id).of("test.counted")) == 500, "all to be stored", pause=0.05)
    stop(recorder.pid)
    recorder.wait()
    os.close(supervisor)
    meta = spool.meta()
    spool.write_json("meta.json", {**meta, "boot_id": "the boot before"})
    for stream in ("stdout", "events"):
        os.truncate(spool.file(stream), 1000)
    assert recover(spool)
    found = box.look(spool.run_id)
    assert found.report.findings == []
    assert found.end["status"] == "unknown"
    assert [data["n"] for data in found.of("test.counted")] == list(range(500))
    text = b"".join(line for line in wrote.stdout.splitlines(keepends=True) if not line.startswith(b"{"))
    assert "".join(data["text"] for data in found.of("text.delta")).encode() == text


def test_a_pipe_on_stdin_is_the_agents(box: Box) -> None:
    child = box.open("run", "--log", box.log, "--", "wc", "-c", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    out, _ = child.communicate("x" * 100_000, timeout=30)
    assert (child.returncode, out.strip()) == (0, "100000")


def test_a_terminal_on_stdin_is_not_the_agents(box: Box) -> None:
    main, terminal = pty.openpty()
    try:
        child = box.open(
            "run", "--log", box.log, "--", "sh", "-c", "wc -c; readlink /proc/self/fd/0",
            stdin=terminal, stdout=subprocess.PIPE,
        )  # fmt: skip
        out, _ = child.communicate(timeout=30)
    finally:
        os.close(terminal)
        os.close(main)
    assert out.split() == ["0", "/dev/null"]


def test_an_agent_that_is_gone_at_once_is_recorded(box: Box) -> None:
    for code in (0, 9):
        run_id, result = box.run("sh", "-c", f"exit {code}")
        assert result.code == code
        assert box.whole(run_id, status="failed" if code else "completed").end["exit_code"] == code


def test_many_runs_at_once_do_not_touch_each_other(box: Box, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    lives = [box.detach(*steady(400, code=number % 3, gate=gate)) for number in range(6)]
    stop(lives[-1].pid("recorder"))
    gate.touch()
    for number, live in enumerate(lives):
        live.ends()
        box.whole(live.run_id, written(400), status="failed" if number % 3 else "completed")
