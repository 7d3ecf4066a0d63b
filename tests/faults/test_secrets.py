"""A secret that is half written when its recorder is killed is in no recording then, and in no file afterwards."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from faults_kit import PYTHON, Box, Live, eventually, stop

from durastream.errors import DurastreamError

SECRET = "canary-7f3a-value"
KEY = "AKIA" + "IOSFODNN7EXAMPLE"

WRITES = """
import json, os, sys, time
value, gates = os.environ["CANARY_TOKEN"], iter(sys.argv[2:])
events = os.open(os.environ["DURASTREAM_EVENTS"], os.O_WRONLY | os.O_APPEND)
said = f"it is {value} and {sys.argv[1]} ok"
start = 0
for stop in (len("it is ") + 7, len(f"it is {value} and AKIAIOS"), len(said)):
    part = said[start:stop]
    start = stop
    line = {"type": "text.delta", "data": {"message_id": "answer", "text": part}}
    os.write(events, json.dumps(line).encode() + b"\\n")
    os.write(1, part.encode())
    os.write(2, part.encode())
    gate = next(gates)
    open(gate + ".wrote", "w").close()
    while not os.path.exists(gate):
        time.sleep(0.005)
"""


def searched(box: Box, *, spool: bool) -> tuple[int, list[str]]:
    """How many files of a store were searched, and in which a part of a secret is that nobody could guess."""
    count, found = 0, []
    for folder, _, names in os.walk(box.folder):
        for name in names:
            path = Path(folder, name)
            if path.is_file() and (spool or ".spool" not in path.parts):
                count += 1
                data = path.read_bytes()
                found += [str(path) for each in (b"7f3a-v", b"FODNN7") if each in data]
    return count, found


def test_a_secret_that_is_cut_by_the_death_of_its_recorder_reaches_no_file(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_TOKEN", SECRET)
    gates = [tmp_path / f"gate{n}" for n in range(3)]
    live, child = box.watch(*PYTHON, "-c", WRITES, KEY, *map(str, gates), options=("--view", "none"))
    last = 0
    for gate in gates:
        eventually(lambda gate=gate: Path(f"{gate}.wrote").exists(), "a piece of it")
        last = live.pid("recorder", other_than=last)
        eventually(lambda: _read(live, "it is"), "it to be read")
        stop(last)
        count, found = searched(box, spool=False)
        assert count
        assert found == []
        gate.touch()
    assert child.wait(30) == 0
    found_run = box.whole(live.run_id)
    expected = "it is [redacted:env]*** and AKIA[redacted:aws]** ok"
    for stream in ("stdout", "stderr"):
        assert found_run.raw[stream].decode() == expected
    texts = "".join(each["text"] for each in found_run.of("text.delta") if each["message_id"] == "answer")
    assert texts.endswith("[redacted:aws]** ok"[-8:]), "a beginning may be shown after two seconds, and no more"
    assert searched(box, spool=True)[1] == []
    assert not any(each in b"".join(found_run.raw.values()) for each in (b"7f3a-v", b"FODNN7"))


def _read(live: Live, text: str) -> bool:
    """Whether a recorder has stored what goes before the secret."""
    with contextlib.suppress(DurastreamError, AssertionError):  # it is just being made
        return text in "".join(each["text"] for each in live.box.look(live.run_id).of("text.delta"))
    return False
