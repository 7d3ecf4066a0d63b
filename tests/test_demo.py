"""The built-in agent: the same events each time, all of them valid, and an answer that agrees with its stream."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import durastream
from durastream import demo
from durastream.events import Event, Src
from durastream.sources.native import parse
from durastream.state import RunState

SRC = str(Path(durastream.__file__).parents[1])


def read(path: Path) -> list[tuple[str, dict[str, Any]]]:
    found = [parse(line, Src("events", 0)) for line in path.read_bytes().splitlines()]
    return [(pending.type, pending.data) for pending in found]


def fold(path: Path) -> RunState:
    state = RunState()
    for seq, (type_, data) in enumerate(read(path), 1):
        state.apply(Event(seq, "", float(seq), type_, data))
    assert state.malformed == state.rejected == 0
    return state


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "events"
    path.touch()
    monkeypatch.setenv("DURASTREAM_EVENTS", str(path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return path


def test_it_plans_works_fails_tries_again_and_answers(events: Path) -> None:
    demo.perform(lambda _: None)
    state = fold(events)
    assert [entry["status"] for entry in state.plan] == ["done"] * 5
    assert state.open_steps == []
    assert [step.status for step in state.steps.values()].count("failed") == 1
    assert (state.steps["fetch-2"].status, state.steps["fetch-2-again"].status) == ("failed", "ok")
    assert state.reasoning.length > 0
    assert list(state.sources) == ["1", "2", "3", "4"]
    assert {check["outcome"] for check in state.checks} == {"pass", "warn"}
    assert state.usage["output_tokens"] > 0
    assert state.answer is not None
    assert state.answer.final
    assert state.answer.text == demo.ANSWER
    assert (state.answer.declared_sha256, state.answer.declared_length) == (state.answer.sha256(), len(demo.ANSWER))
    assert state.answer.retracted
    assert state.declared is None


def test_every_citation_has_a_source_with_a_real_link(events: Path) -> None:
    demo.perform(lambda _: None)
    assert set(re.findall(r"\[(\d+)\]", demo.ANSWER)) == set(demo.SOURCES)
    assert all(source["url"].startswith("https://") for source in fold(events).sources.values())


def test_its_artifact_is_the_file_that_it_says(events: Path) -> None:
    demo.perform(lambda _: None)
    (artifact,) = fold(events).artifacts
    data = Path(artifact["path"]).read_bytes()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (artifact["size"], artifact["sha256"])


def test_it_is_the_same_each_time_and_says_that_it_is_scripted(
    events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo.perform(lambda _: None)
    again = tmp_path / "again"
    again.touch()
    monkeypatch.setenv("DURASTREAM_EVENTS", str(again))
    demo.perform(lambda _: None)

    def steady(path: Path) -> list[Any]:
        changing = {"duration", "path"}
        return [(kind, {k: v for k, v in data.items() if k not in changing}) for kind, data in read(path)]

    assert steady(events) == steady(again)
    assert any("scripted" in text for _, text in fold(events).log)


def test_it_takes_about_ten_seconds_and_fast_about_one() -> None:
    paused: list[float] = []
    demo.perform(paused.append)
    assert 8 < sum(paused) < 12


def run_demo(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DURASTREAM_")}
    command = [sys.executable, "-W", "error", "-P", "-m", "durastream.demo", *words]
    return subprocess.run(command, env=clean | {"PYTHONPATH": SRC, **env}, capture_output=True, text=True, check=False)


def test_it_runs_as_an_agent_in_a_process_of_its_own(tmp_path: Path) -> None:
    events = tmp_path / "events"
    events.touch()
    ran = run_demo("--fast", DURASTREAM_EVENTS=str(events), TMPDIR=str(tmp_path))
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert fold(events).answer is not None


def test_with_nobody_recording_it_says_how_to_run_it() -> None:
    ran = run_demo()
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "durastream run -- python -P -m durastream.demo" in ran.stdout


def test_words_that_it_does_not_know_are_refused() -> None:
    assert run_demo("--slow").returncode == 2
