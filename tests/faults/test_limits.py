"""A run that goes beyond what it was given is ended as `cancel` ends one, and its log says by what."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from faults_kit import Box, Result, eventually, patched, stop

from durastream.cli.limits import bytes_of, seconds_of
from durastream.errors import UsageError
from durastream.spool import process_token


def ended_by(box: Box, run_id: str, result: Result, limit: str) -> None:
    assert result.code == 124, result
    assert f"ended by --{limit}" in result.err
    found = box.whole(run_id, status="interrupted")
    assert [data["by"] for data in found.of("run.cancel_requested")] == [limit]


def test_a_run_that_takes_too_long_is_ended_with_all_that_it_started(box: Box, tmp_path: Path) -> None:
    child = tmp_path / "child"
    script = f"sleep 600 & echo $! > {child}; echo begun; wait"
    run_id, result = box.run("sh", "-c", script, options=("--max-duration", "1s"))
    ended_by(box, run_id, result, "max-duration")
    found = box.look(run_id)
    assert found.raw["stdout"] == b"begun\n"
    assert found.of("run.started")[0]["max_duration"] == 1
    eventually(lambda: process_token(int(child.read_text())) is None, "its child to end")


def test_a_run_that_writes_too_much_is_ended_and_what_it_wrote_is_kept(box: Box) -> None:
    run_id, result = box.run("sh", "-c", "while :; do echo y; done", options=("--max-bytes", "64K", "--view", "none"))
    ended_by(box, run_id, result, "max-bytes")
    raw = box.look(run_id).raw["stdout"]
    assert len(raw) > 64 << 10
    assert set(raw) == set(b"y\n")


def test_a_limit_holds_when_the_supervisor_was_killed(box: Box, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    script = f"sleep 600 & echo $!; while [ ! -e {gate} ]; do sleep 0.01; done; head -c 2000 /dev/zero; wait"
    options = ("--max-bytes", "1000", "--view", "none")
    live, child = box.watch("sh", "-c", script, options=options, stderr=subprocess.PIPE)
    live.reaches(3)
    agent, left = live.agent, int(Path(live.spool.file("stdout")).read_text())
    stop(live.pid("supervisor"))
    gate.touch()
    err = child.communicate(timeout=30)[1]
    assert child.returncode == 124, err
    assert "ended by --max-bytes 1000" in err
    found = box.look(live.run_id)
    assert [data["by"] for data in found.of("run.cancel_requested")] == ["max-bytes"]
    assert found.end["status"] == "unknown", "nobody saw how it ended"
    assert process_token(agent) is None
    assert process_token(left) is None


def test_who_takes_up_a_run_that_everybody_left_holds_it_to_its_limits(box: Box) -> None:
    live = box.detach("sleep", "600", options=("--max-duration", "1h"))
    live.reaches(2)
    for who in ("supervisor", "recorder"):
        stop(live.pid(who))
    eventually(lambda: not live.spool.alive(), "both to be gone")
    meta = live.spool.meta()
    live.spool.write_json("meta.json", {**meta, "mono": meta["mono"] - 7200})  # as if it had gone on for two hours
    assert "a new recorder goes on with it" in box.cli("recover", live.run_id).err
    live.ends()
    found = box.look(live.run_id)
    assert [data["by"] for data in found.of("run.cancel_requested")] == ["max-duration"]
    assert found.end["status"] == "unknown"


def test_what_does_not_listen_is_killed_without_a_supervisor_too(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patched(monkeypatch, tmp_path, "from durastream import control\ncontrol.GRACE = 0.2\n")
    gate = tmp_path / "gate"
    script = f"trap '' TERM; while [ ! -e {gate} ]; do sleep 0.01; done; echo ready; while :; do sleep 0.05; done"
    live = box.detach("sh", "-c", script, options=("--max-bytes", "1"))
    live.reaches(2)
    stop(live.pid("supervisor"))
    gate.touch()
    live.ends()
    assert [data["by"] for data in box.look(live.run_id).of("run.cancel_requested")] == ["max-bytes"]


def test_an_agent_that_takes_it_well_was_ended_by_the_limit_all_the_same(box: Box) -> None:
    script = (
        "import signal, sys, time\nsignal.signal(15, lambda *_: sys.exit(0))\nprint('up', flush=True)\ntime.sleep(600)"
    )
    run_id, result = box.run(sys.executable, "-S", "-c", script, options=("--max-duration", "1"))
    ended_by(box, run_id, result, "max-duration")
    assert box.look(run_id).end["exit_code"] == 0


def test_a_run_within_its_limits_ends_as_it_would_have(box: Box) -> None:
    _, result = box.run("sh", "-c", "exit 3", options=("--max-duration", "1h", "--max-bytes", "1G"))
    assert result.code == 3


@pytest.mark.parametrize(("text", "size"), [("1", 1), ("5000", 5000), ("2K", 2048), ("3m", 3 << 20), ("2GiB", 2 << 30)])
def test_a_size_is_a_number_of_bytes(text: str, size: int) -> None:
    assert bytes_of("--max-bytes", text) == size


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("1.5s", 1.5), ("30m", 1800), ("2h", 7200), ("1d", 86400)])
def test_a_time_is_a_number_of_seconds(text: str, seconds: float) -> None:
    assert seconds_of("--max-duration", text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-1", "x", "1e9", "inf", "nan", "1 G", "9" * 20])
def test_what_is_no_limit_is_refused_before_anything_starts(text: str) -> None:
    for parse in (bytes_of, seconds_of):
        with pytest.raises(UsageError, match="such as"):
            parse("--max", text)
