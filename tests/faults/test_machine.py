"""Runs, kills, recoveries, looks, cancels and removals in any order, held against a model of what must be there."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import pytest
from faults_kit import Box, eventually, stop
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from durastream.cli.common import finish_orphans
from durastream.errors import DurastreamError
from durastream.stores.folder import open_reader, remove_files

pytestmark = pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning", "ignore::DeprecationWarning")
FORGETFUL = """
import sys
if "durastream.recorder" in sys.orig_argv:
    import durastream.tail as tail
    class Forgetful(tail.Tail):
        def __init__(self, spool, stream, format_, place, *rest, **more):
            super().__init__(spool, stream, format_, tail.Place() if stream == "stdout" else place, *rest, **more)
    tail.Tail = Forgetful
"""
"""A recorder that reads stdout from its start whenever it begins."""


class Known:
    """What the model knows of one run: what its agent was told to say, and who was killed."""

    def __init__(self, box: Box, number: int) -> None:
        path = os.path.join(box.folder, "..", f"fifo-{number}")
        os.mkfifo(path)
        self.fifo = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        words = 'exec 9<"$1"; while read -r line <&9; do [ "$line" = end ] && exit 4; echo "$line"; done'
        self.live = box.detach("sh", "-c", words, "sh", path)
        self.said = ""
        self.seen = 0
        self.unwitnessed = False
        self.cancelled = False

    def look(self, box: Box) -> None:
        """What is stored is a prefix of what was said, and nothing that was seen is gone."""
        path = box.store.path(self.live.run_id)
        if path is None or self.live.head() == 0:
            assert self.seen == 0
            return
        reader = open_reader(path)
        try:
            events = reader.read(0, 100_000)
        finally:
            reader.close()
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        text = "".join(event.data["text"] for event in events if event.type == "text.delta")
        assert self.said.startswith(text)
        assert len(events) >= self.seen
        self.seen = len(events)


class Machine(RuleBasedStateMachine):
    """A store, the runs in it, and what must be true of each."""

    log = "sqlite"

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="durastream-machine-", ignore_cleanup_errors=True)
        self.box = Box(Path(self.folder.name) / "store", self.log)
        os.makedirs(self.box.folder)
        self.runs: list[Known] = []
        self.over: list[str] = []
        self.number = 0

    @precondition(lambda self: len(self.runs) < 2)
    @rule()
    def run(self) -> None:
        self.number += 1
        self.runs.append(Known(self.box, self.number))

    @precondition(lambda self: self.runs)
    @rule(lines=st.integers(1, 40), which=st.integers(0, 1))
    def say(self, lines: int, which: int) -> None:
        known = self._one(which)
        if not known.cancelled:
            text = "".join(f"line {len(known.said) + n}\n" for n in range(lines))
            os.write(known.fifo, text.encode())
            known.said += text

    @precondition(lambda self: self.runs)
    @rule(who=st.sampled_from(["recorder", "supervisor", "recorder"]), which=st.integers(0, 1))
    def kill(self, who: str, which: int) -> None:
        known = self._one(which)
        with contextlib.suppress(OSError, ValueError):
            if known.live.spool.held(who):
                stop(int(Path(known.live.spool.file(f"{who}.lock")).read_text()))
                known.unwitnessed |= who == "supervisor"

    @rule()
    def recover(self) -> None:
        finish_orphans(self.box.store)

    @precondition(lambda self: self.runs)
    @rule(which=st.integers(0, 1))
    def attach(self, which: int) -> None:
        self._one(which).look(self.box)

    @precondition(lambda self: self.runs)
    @rule(which=st.integers(0, 1))
    def cancel(self, which: int) -> None:
        known = self._one(which)
        if known.live.spool.held("supervisor"):
            known.live.spool.request(act="cancel", by="cancel", grace=5.0)
            known.cancelled = True

    @precondition(lambda self: self.runs)
    @rule(which=st.integers(0, 1))
    def remove_while_it_runs(self, which: int) -> None:
        known = self._one(which)
        if known.live.spool.alive() and not known.cancelled:
            with pytest.raises(DurastreamError, match="is not over"):
                self.box.store.remove(known.live.run_id)

    @precondition(lambda self: self.over)
    @rule()
    def remove(self) -> None:
        run_id = self.over.pop()
        remove_files(self.box.path(run_id))
        assert run_id not in self.box.store.run_ids()

    @precondition(lambda self: self.runs)
    @rule(which=st.integers(0, 1))
    def end(self, which: int) -> None:
        self._end(self._one(which))

    def _one(self, which: int) -> Known:
        return self.runs[which % len(self.runs)]

    def _end(self, known: Known) -> None:
        with contextlib.suppress(OSError):
            os.write(known.fifo, b"end\n")
        spool = known.live.spool
        eventually(lambda: not spool.exists() or not spool.agent_alive(), "the agent to end")

        def finished() -> bool:
            finish_orphans(self.box.store)
            return not spool.exists() and not spool.alive()

        eventually(finished, "the run to end", pause=0.03)
        os.close(known.fifo)
        self.runs.remove(known)
        found = self.box.look(known.live.run_id)
        text = "".join(data["text"] for data in found.of("text.delta"))
        assert known.said.startswith(text) if known.cancelled else text == known.said
        assert len(found.events) >= known.seen
        assert [each for each in found.report.findings if each.code != "burst-at-end"] == []
        ends = {"unknown"} if known.unwitnessed else set()
        ends |= {"cancelled", "failed"} if known.cancelled else {"failed"}
        assert found.end["status"] in ends
        self.over.append(known.live.run_id)

    def teardown(self) -> None:
        if not hasattr(self, "runs"):
            return
        try:
            for known in list(self.runs):
                self._end(known)
        finally:
            self.box.sweep()
            self.folder.cleanup()


class JsonlMachine(Machine):
    log = "jsonl"


def _bounded(machine: type[Machine]) -> type:
    case = machine.TestCase
    case.settings = settings(
        max_examples=4,
        stateful_step_count=10,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    return case


TestActsInAnyOrderKeepWhatWasSaidInSqlite = _bounded(Machine)
TestActsInAnyOrderKeepWhatWasSaidInJsonLines = _bounded(JsonlMachine)


@pytest.mark.parametrize("log", ["sqlite", "jsonl"])
def test_the_model_catches_a_recorder_that_forgets_where_it_had_read_to(
    log: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(FORGETFUL)
    environ = Box.environ.fget(Box(tmp_path, log))  # type: ignore[attr-defined]
    wrong = {**environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{environ['PYTHONPATH']}"}
    machine = type("Wrong", (Machine,), {"log": log})()
    machine.begin()
    monkeypatch.setattr(Box, "environ", property(lambda box: {**wrong, "DURASTREAM_STORE": box.folder}))
    machine.run()
    machine.say(5, 0)
    known = machine.runs[0]
    eventually(lambda: known.look(machine.box) or known.seen > 2, "the lines to be stored", pause=0.02)
    first = known.live.pid("recorder")
    stop(first)
    known.live.pid("recorder", other_than=first)
    with pytest.raises(AssertionError):
        machine.teardown()
