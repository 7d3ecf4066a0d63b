"""A stream in an agent's own format: its adapter has a memory, and a killed recorder must not lose or double a word."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from faults_kit import Box, Written, prepared, stop

from durastream.recorder import recover
from durastream.spool import Spool

TRACES = Path(__file__).parents[1] / "data" / "traces"
CODEX = (TRACES / "codex_exec_full.jsonl").read_bytes()

PRINTS = """
import os, sys, time
data = open(sys.argv[1], "rb").read()
size = int(sys.argv[2])
for at in range(0, len(data), size):
    os.write(1, data[at : at + size])
    time.sleep(float(sys.argv[3]))
"""


def said(box: Box, run_id: str) -> list[Any]:
    """What was made of the agent's stdout."""
    return [
        (event.type, event.data, event.src)
        for event in box.look(run_id).events
        if event.src is not None and event.src.stream == "stdout"
    ]


def _recording(box: Box, stdout: bytes) -> tuple[Spool, list[Any], bytes]:
    spool = prepared(box, Written(stdout, b"", b""))
    assert recover(spool)
    return spool, said(box, spool.run_id), Path(box.path(spool.run_id)).read_bytes()


@pytest.mark.parametrize(
    ("nth", "stdout"),
    [
        *enumerate(
            [
                CODEX,
                b"Reading prompt\nstarting\n" + CODEX + b"not JSON\n",
                CODEX.rstrip(b"\n"),
                CODEX.replace(b"\n", b"\n\n"),
            ]
        )
    ],
    ids=["plain", "between other lines", "without its last newline", "with blank lines"],
)
def test_a_recording_that_was_cut_anywhere_is_gone_on_with_exactly(box: Box, stdout: bytes, nth: int) -> None:
    if box.log != "jsonl":
        pytest.skip("a transaction is whole or not there: only JSON Lines are torn")
    _, whole, recorded = _recording(box, stdout)
    assert ("plan.created" in [type_ for type_, _, _ in whole]) is True
    lines = recorded.split(b"\n")
    ends = [sum(len(line) + 1 for line in lines[: count + 1]) for count in range(len(lines) - 1)]
    for at in [end + extra for end in ends[nth:-1:4] for extra in (0, 40)]:  # and the next stream at the next line
        spool = prepared(box, Written(stdout, b"", b""))
        cut = recorded[:at].replace(b'"run_id":"' + _id_of(recorded), b'"run_id":"' + spool.run_id.encode())
        Path(box.folder, f"{spool.run_id}.jsonl").write_bytes(cut)
        assert recover(spool)
        assert said(box, spool.run_id) == whole, f"cut at byte {at}"


def _id_of(recorded: bytes) -> bytes:
    return recorded.split(b'"run_id":"', 1)[1].split(b'"', 1)[0]


def test_a_recorder_that_is_killed_while_an_agent_prints_its_stream_makes_the_same_events(
    box: Box, tmp_path: Path
) -> None:
    stream = b"".join(CODEX.replace(b'"item_', b'"item%d_' % n).replace(b'"ws_', b'"ws%d_' % n) for n in range(3))
    path = tmp_path / "stream"
    path.write_bytes(stream)
    _, whole, _ = _recording(box, stream)
    live = box.detach(sys.executable, "-S", "-c", PRINTS, str(path), "97", "0.03")
    last = 0
    for aim in (10, 40, 60):
        last = live.pid("recorder", other_than=last)
        live.reaches(aim)
        stop(last)
    live.ends(60)
    assert said(box, live.run_id) == whole
    assert box.look(live.run_id).report.findings == []
