"""Every trace, printed by a program in small, odd-sized pieces and recorded: the same events as reading it whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from adapters_kit import EXIT_OF, FORMAT_OF, TRACES, trace

import durastream
from durastream.follow import read_all
from durastream.sources.adapters import BUILTIN
from durastream.stores import FolderStore
from durastream.stores.folder import open_reader

SRC = str(Path(durastream.__file__).parents[1])

PRINTS = """
import itertools, os, signal, sys, time
data, ended = open(sys.argv[1], "rb").read(), sys.argv[2]
sizes = itertools.cycle((1, 7, 61, 3, 211, 1009, 2, 4093))
at = 0
while at < len(data):
    size = next(sizes)
    os.write(1, data[at : at + size])
    at += size
    if size in (3, 4093):
        time.sleep(0.04)
if ended.isdigit():
    sys.exit(int(ended))
os.kill(os.getpid(), getattr(signal, ended))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`durastream run` with these words."""
    command = (sys.executable, "-P", "-m", "durastream", "run", "--view", "none", *words)
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": SRC, "DURASTREAM_STORE": str(folder), "HOME": str(folder)}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)


def test_an_agent_that_prints_nothing_in_the_format_that_was_named_has_not_ended_well(folder: Path) -> None:
    assert run(folder, "--name", "silent", "--format", "codex", "--", "true").returncode == 0
    path = FolderStore(str(folder)).find("silent").path
    assert path is not None
    reader = open_reader(path)
    end = [event for batch in read_all(reader) for event in batch][-1].data
    reader.close()
    assert end["status"] == "failed"
    assert [finding["code"] for finding in end["findings"]] == ["end-undeclared"]


@pytest.mark.parametrize("name", sorted(name for name, format_ in FORMAT_OF.items() if format_ in BUILTIN))
def test_a_trace_that_is_printed_in_pieces_is_recorded_as_it_is_read_whole(name: str, folder: Path) -> None:
    ended = EXIT_OF.get(name, 0)
    agent = (sys.executable, "-S", "-c", PRINTS, str(TRACES / name), str(ended))
    done = run(folder, "--name", name, "--", *agent)
    assert done.returncode == (ended if isinstance(ended, int) else 143), done.stderr
    store = FolderStore(str(folder))
    found = store.find(name)
    assert found.path is not None
    reader = open_reader(found.path)
    events = [event for batch in read_all(reader) for event in batch]
    reader.close()
    whole = trace(name)
    assert [(event.type, event.data, event.src) for event in events if event.src is not None] == [
        (event.type, json.loads(event.json), event.src) for event in whole.events
    ]
    code = {"signal": ended} if isinstance(ended, str) else {"exit_code": ended}
    end = events[-1].data
    assert end["status"] == whole.status(**code)
    abandoned = sum(step.status == "active" for step in whole.state.steps.values())
    assert end["steps"].get("abandoned", 0) == abandoned
    if end["status"] == "completed":
        assert end["answer"]["text"] == whole.answer
        errors = {finding["code"] for finding in end["findings"] if finding["severity"] == "error"}
        assert errors == set(whole.findings())
