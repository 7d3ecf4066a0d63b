"""The plugin: an agent recorded in a test can be asked what it did; a golden recording is held to, or written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import durastream
from durastream.pytest_plugin import DurastreamRun

ROOT = Path(__file__).resolve().parents[1]
DEMO = [sys.executable, "-P", "-m", "durastream.demo", "--fast"]


def sample(name: str) -> Path:
    """The sample recording of a run with this name."""
    return next(path for path in (ROOT / "recordings").glob("*.jsonl") if f'"name":"{name}"' in path.read_text("utf-8"))


# used for durastream's own agent


def test_the_demo_does_today_what_the_sample_recording_shows(durastream_run: DurastreamRun) -> None:
    run = durastream_run(DEMO, name="demo")
    run.assert_golden(sample("demo"))
    assert run.findings == []
    assert (run.status, run.exit_code) == ("completed", 0)
    assert {status for _, status in run.plan} == {"done"}
    assert ("fetch postgresql.org/docs/current/wal-intro.html", "failed") in run.steps
    assert run.answer == durastream_run.opened(sample("demo")).answer


def test_every_sample_recording_can_be_asked(durastream_run: DurastreamRun) -> None:
    for path in (ROOT / "recordings").glob("*.jsonl"):
        run = durastream_run.opened(path)
        assert (run.run_id, run.status, run.findings) == (path.stem, "completed", [])
        run.assert_golden(path, select=["status", "answer", "duration"])


# commands


def test_a_command_is_recorded_with_its_environment_folder_and_end(
    durastream_run: DurastreamRun, tmp_path: Path
) -> None:
    (tmp_path / "here").mkdir()
    words = ["sh", "-c", 'printf "$WORD in ${PWD##*/}"; exit 3']
    run = durastream_run(words, name="said", env={"WORD": "hello"}, cwd=tmp_path / "here")
    assert (run.status, run.exit_code, run.answer) == ("failed", 3, "hello in here")
    assert (run.state.started or {})["name"] == "said"
    assert run.path.parent == durastream_run.store
    assert [event.type for event in run.events][-1] == "run.completed"


def test_what_stdout_holds_can_be_said(durastream_run: DurastreamRun) -> None:
    trace = ROOT / "tests" / "data" / "traces" / "codex_exec_full.jsonl"
    assert durastream_run(["cat", trace]).answer.startswith("Mars has two moons")
    assert durastream_run(["cat", trace], format="text").answer == trace.read_text("utf-8")


def test_an_agent_that_is_killed_has_no_exit_code(durastream_run: DurastreamRun) -> None:
    run = durastream_run(["sh", "-c", "kill -9 $$"])
    assert (run.status, run.exit_code, run.answer, run.plan, run.steps) == ("interrupted", None, "", [], [])


def test_an_agent_that_takes_too_long_is_cancelled_and_fails_the_test(durastream_run: DurastreamRun) -> None:
    with pytest.raises(pytest.fail.Exception, match="was not over after 1 seconds and was cancelled"):
        durastream_run(["sleep", "60"], timeout=1)
    (path,) = durastream_run.store.glob("*.jsonl")
    assert durastream_run.opened(path).status == "cancelled"


def test_a_command_that_is_not_there_fails_the_test(durastream_run: DurastreamRun) -> None:
    with pytest.raises(pytest.fail.Exception, match="no-such-agent: command not found"):
        durastream_run(["no-such-agent"])


def test_what_does_not_hold_is_among_the_findings(durastream_run: DurastreamRun) -> None:
    def cut_off() -> None:
        durastream.emit("step.started", step_id="s", title="search")

    run = durastream_run(cut_off)
    assert run.steps == [("search", "abandoned")]
    assert [finding.code for finding in run.findings] == ["step-abandoned"]


# callables


def test_a_callable_is_recorded_in_this_process(durastream_run: DurastreamRun) -> None:
    def agent(*words: str) -> Iterator[Any]:
        with durastream.step("think", kind="model"):
            yield " ".join(words)
        yield {"type": "quality.checked", "data": {"name": "said", "outcome": "pass"}}

    run = durastream_run(agent, "forty", "two")
    assert (run.answer, run.steps, run.status) == ("forty two", [("think", "ok")], "completed")
    assert (run.state.started or {})["name"] == "agent"
    assert [check["name"] for check in run.state.checks if check.get("by") != "durastream"] == ["said"]


def test_an_async_callable_is_recorded_too(durastream_run: DurastreamRun) -> None:
    async def agent() -> str:
        return "forty-two"

    assert durastream_run(agent).answer == "forty-two"


def test_what_a_callable_raises_comes_out_when_the_recording_has_its_end(durastream_run: DurastreamRun) -> None:
    def agent() -> None:
        raise LookupError("no such moon")

    with pytest.raises(LookupError, match="no such moon"):
        durastream_run(agent)
    (path,) = durastream_run.store.glob("*.jsonl")
    run = durastream_run.opened(path)
    assert run.status == "failed"
    assert "no such moon" in run.state.errors[0]["message"]


# golden recordings

AGENT = """\
import durastream

def agent():
    with durastream.step("{step}", kind="tool"):
        yield "It is 42."

def test_golden(durastream_run):
    durastream_run(agent).assert_golden("golden/agent.jsonl")
"""


def run_pytest(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """pytest in a project of its own, with nothing of this one's configuration."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("COV_", "PYTEST_", "DURASTREAM_"))}
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=100, check=False)


def test_a_golden_recording_is_written_when_it_is_asked_and_then_held_to(tmp_path: Path) -> None:
    test = tmp_path / "test_agent.py"
    test.write_text(AGENT.format(step="search"), encoding="utf-8")
    missing = run_pytest(tmp_path)
    assert missing.returncode == 1
    assert "there is no golden recording" in missing.stdout
    assert run_pytest(tmp_path, "--durastream-write-golden").returncode == 0
    golden = tmp_path / "golden" / "agent.jsonl"
    before = golden.read_bytes()
    assert run_pytest(tmp_path).returncode == 0
    test.write_text(AGENT.format(step="fetch"), encoding="utf-8")
    differs = run_pytest(tmp_path)
    assert differs.returncode == 1
    assert "2 differences: steps 2" in differs.stdout
    assert golden.read_bytes() == before
    assert run_pytest(tmp_path, "--durastream-write-golden").returncode == 0
    assert run_pytest(tmp_path).returncode == 0


def test_only_the_selected_aspects_are_held_to(durastream_run: DurastreamRun, tmp_path: Path) -> None:
    first = durastream_run(["echo", "one"])
    second = durastream_run(["echo", "two"])
    second.assert_golden(first.path, select=["status", "steps"])
    with pytest.raises(pytest.fail.Exception, match=r"answer +~ text from character 0 on"):
        second.assert_golden(first.path)


def test_a_project_that_never_asks_for_the_fixture_imports_nothing_of_it(tmp_path: Path) -> None:
    code = (
        "import sys\n\ndef test_it():\n"
        "    loaded = {name for name in sys.modules if name.startswith('durastream.')}\n"
        "    assert loaded == {'durastream.forks', 'durastream.pytest_plugin', 'durastream.version'}\n"
    )
    (tmp_path / "test_it.py").write_text(code, encoding="utf-8")
    done = run_pytest(tmp_path)
    assert done.returncode == 0, done.stdout


def test_durastream_itself_imports_no_pytest() -> None:
    code = (
        "import sys, pkgutil, importlib, durastream\n"
        "for module in pkgutil.walk_packages(durastream.__path__, 'durastream.'):\n"
        "    if module.name not in ('durastream.pytest_plugin', 'durastream.__main__'):\n"
        "        importlib.import_module(module.name)\n"
        "assert 'pytest' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
