"""One writer, ever: who comes second is refused by name, and what is stale does not stand in the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from faults_kit import Box, prepared, steady, stop, written

from durastream.errors import RunLocked
from durastream.recorder import recover

pytestmark = pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")
SMALL = written(300)


def test_a_second_recorder_is_refused_and_told_who_has_the_run(box: Box) -> None:
    live = box.detach("sleep", "60")
    live.reaches(2)
    first = live.pid("recorder")
    with pytest.raises(RunLocked, match=rf"run {live.run_id} already has a recorder \(process {first}\)"):
        live.spool.lock("recorder", patience=0.05)
    words = [sys.executable, "-P", "-m", "durastream.recorder", box.folder, live.run_id]
    second = subprocess.run(words, env=box.environ, capture_output=True, timeout=30, check=False)
    assert second.returncode != 0
    assert live.spool.trouble() is None, "who has the run is in no trouble"
    assert live.pid("recorder") == first
    assert recover(live.spool) is False
    stop(live.agent)
    live.ends()
    assert not box.whole(live.run_id, status="interrupted").of("run.resumed")


def test_a_stopped_recorder_is_not_stale(box: Box, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    live = box.detach(*steady(500, gate=gate))
    live.reaches(10)
    recorder = live.pid("recorder")
    stop(recorder, signal.SIGSTOP)
    stop(live.pid("supervisor"))
    assert recover(live.spool) is False
    result = box.ask("recover", live.run_id)
    assert "being recorded" in result.err
    stop(recorder, signal.SIGCONT)
    gate.touch()
    live.ends()
    box.whole(live.run_id, written(500), status="unknown")


def test_lock_files_that_nobody_holds_do_not_block(box: Box) -> None:
    spool = prepared(box, SMALL)
    for who in ("supervisor", "recorder"):
        Path(spool.file(f"{who}.lock")).write_text(f"{os.getpid()}\n")  # a pid that lives, as after a reuse
    assert not spool.alive()
    assert recover(spool)
    box.whole(spool.run_id, SMALL)


def test_the_agent_and_what_it_starts_do_not_keep_the_locks(box: Box) -> None:
    live, child = box.watch("sh", "-c", "sleep 30 & echo $!", options=("--view", "none"))
    assert child.wait(60) == 0
    left = int(box.whole(live.run_id).raw["stdout"])
    assert not live.spool.alive()
    stop(left)
