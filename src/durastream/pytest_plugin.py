"""For pytest: record an agent in a test, then ask what it planned, did and answered, and hold it against a golden run.

    def test_the_agent_cites_its_source(durastream_run):
        run = durastream_run([sys.executable, "agent.py"])
        assert run.status == "completed"
        assert run.steps == [("search", "ok")]
        assert not run.findings
        run.assert_golden("golden/agent.jsonl", select=("plan", "steps", "answer"))

pytest finds it by itself once durastream is installed (entry point `pytest11`). What it needs is imported when the
fixture is used: the tests of a project that never asks for it pay nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from durastream.events import Event
    from durastream.rules import Finding
    from durastream.state import RunState

__all__ = ["DurastreamRun", "RecordedRun", "durastream_run"]

OPTION = "--durastream-write-golden"


class RecordedRun:
    """A recorded run, to be asked about. `state` has all that is known of it, `path` is the file of the recording."""

    def __init__(self, path: str, folder: Path, *, write_golden: bool) -> None:
        from durastream.follow import read_all
        from durastream.stores.folder import open_reader

        reader = open_reader(path)
        self.path = Path(path)
        self.run_id = reader.run_id
        self.events: list[Event] = [event for batch in read_all(reader) for event in batch]
        """All events, as they are stored."""
        self.state: RunState = reader.state()
        self._drafts = reader.drafts()
        self._folder = folder
        self._write_golden = write_golden
        reader.close()

    @property
    def status(self) -> str:
        """How it ended: completed, failed, cancelled, interrupted or unknown."""
        return self.state.status

    @property
    def exit_code(self) -> int | None:
        """The agent's exit code; None when a signal ended it."""
        return (self.state.completed or {}).get("exit_code")

    @property
    def plan(self) -> list[tuple[str, str]]:
        """The plan as it last stood: title and status of each entry."""
        return [(entry["title"], entry["status"]) for entry in self.state.plan]

    @property
    def steps(self) -> list[tuple[str, str]]:
        """Title and status of each step, in the order in which they began; entries of the plan are none."""
        return [(step.title, step.status) for step in self.state.steps.values() if step.kind != "plan"]

    @property
    def answer(self) -> str:
        """The text of the answer; empty when there was none."""
        return self.state.answer.text if self.state.answer is not None else ""

    @property
    def findings(self) -> list[Finding]:
        """What `verify` finds: nothing, if the answer is what was streamed and every step came to its end."""
        from durastream.verify import Kept, verify

        return verify(self.run_id, self.events, Kept(drafts=self._drafts)).findings

    def assert_golden(self, path: str | os.PathLike[str], *, select: Iterable[str] | None = None) -> None:
        """Fail the test unless this run is as the golden recording, in the aspects that `durastream diff` knows.

        A relative path is looked for in the folder of the test. With `--durastream-write-golden` the recording of this
        run is written there instead.
        """
        __tracebackhide__ = True
        from durastream.diff import DEFAULT, diff
        from durastream.stores.folder import open_reader
        from durastream.views.comparison import lines

        golden = self._folder / path
        if self._write_golden:
            golden.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.path, golden)
            return
        if not golden.exists():
            pytest.fail(f"there is no golden recording {golden}: pytest {OPTION} writes it", pytrace=False)
        reader = open_reader(str(golden))
        expected = reader.state()
        reader.close()
        aspects = tuple(select) if select is not None else DEFAULT
        found = diff(expected, self.state, aspects)
        if found:
            table = "\n".join(lines(found, expected, self.state, aspects, shutil.get_terminal_size((80, 24)).columns))
            pytest.fail(f"the run is not as {golden} (left):\n{table}\nif it is right: pytest {OPTION}", pytrace=False)


class DurastreamRun:
    """What the fixture `durastream_run` gives: call it with an agent, and it returns the recorded run."""

    def __init__(self, store: Path, folder: Path, *, write_golden: bool) -> None:
        self.store = store
        """The folder of the recordings of this test."""
        self._folder = folder
        self._write_golden = write_golden

    def __call__(
        self,
        agent: Sequence[str | os.PathLike[str]] | Callable[..., Any],
        *arguments: Any,
        name: str | None = None,
        format: str = "auto",  # noqa: A002 - the word that the command line has for it
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        timeout: float = 60.0,
    ) -> RecordedRun:
        """Record an agent to its end, as JSON Lines.

        A command, given as words, is recorded as `durastream run` does it: `format` says what its stdout holds, `env`
        is put over the environment, and what lasts longer than `timeout` seconds is cancelled and fails the test.

        A callable is called in this process with the arguments. What it returns or yields is its text, or an event;
        what it raises comes out of here, when the recording has its end.
        """
        __tracebackhide__ = True
        if callable(agent):
            path = self._call(agent, arguments, name)
        else:
            path = self._command([os.fspath(word) for word in agent], name, format, env, cwd, timeout)
        return RecordedRun(path, self._folder, write_golden=self._write_golden)

    def opened(self, path: str | os.PathLike[str]) -> RecordedRun:
        """A recording that is there already, to be asked in the same way."""
        return RecordedRun(os.fspath(path), self._folder, write_golden=self._write_golden)

    def _call(self, agent: Callable[..., Any], arguments: Sequence[Any], name: str | None) -> str:
        __tracebackhide__ = True
        from durastream.api import active, recording
        from durastream.callables import play

        if active():
            pytest.fail("these tests are part of a run themselves: record callables outside of it", pytrace=False)
        with recording(name or getattr(agent, "__name__", None), store=str(self.store), log="jsonl") as run:
            play(agent(*arguments))
        return str(run.path)

    def _command(
        self,
        words: list[str],
        name: str | None,
        format_: str,
        env: Mapping[str, str] | None,
        cwd: str | os.PathLike[str] | None,
        timeout: float,
    ) -> str:
        __tracebackhide__ = True
        options = ["--store", str(self.store), "--log", "jsonl", "--format", format_]
        if name is not None:
            options += ["--name", name]
        around = {key: value for key, value in os.environ.items() if not key.startswith("DURASTREAM_")}
        how: dict[str, Any] = {"env": {**around, **(env or {})}, "cwd": cwd, "stdin": subprocess.DEVNULL}
        done = _durastream("run", "-d", *options, "--", *words, **how)
        run_id = done.stdout.strip()
        if done.returncode:
            pytest.fail(done.stderr.strip(), pytrace=False)
        store = ["--store", str(self.store)]
        try:
            _durastream("attach", run_id, "--view", "none", *store, timeout=timeout, **how)
        except subprocess.TimeoutExpired:
            _durastream("cancel", run_id, "--grace", "1", *store, **how)
            path = self.store / f"{run_id}.jsonl"
            pytest.fail(f"the agent was not over after {timeout:g} seconds and was cancelled: {path}", pytrace=False)
        return str(self.store / f"{run_id}.jsonl")


def _durastream(*words: str, **how: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "durastream", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, **how)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("durastream")
    group.addoption(
        OPTION,
        action="store_true",
        help="write the golden recordings that tests hold their runs against, instead of comparing",
    )


@pytest.fixture
def durastream_run(request: pytest.FixtureRequest, tmp_path: Path) -> DurastreamRun:
    """Record an agent, a command or a callable, and ask what it planned, did and answered."""
    store = tmp_path / "recordings"
    store.mkdir(mode=0o700, exist_ok=True)
    return DurastreamRun(store, request.path.parent, write_golden=bool(request.config.getoption(OPTION)))
