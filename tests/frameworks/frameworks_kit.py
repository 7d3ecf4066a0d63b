"""What the tests of frameworks share: a program of the real framework, recorded through the command line, offline."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import durastream

SRC = str(Path(durastream.__file__).parents[1])


def needs(package: str) -> pytest.MarkDecorator:
    """Skip the tests of a module where a package is not installed."""
    reason = f"{package} is not installed: pip install -e '.[dev,frameworks]'"
    return pytest.mark.skipif(find_spec(package.partition(".")[0]) is None, reason=reason)


class Recorded:
    """A recording, as `show --json` and `events` give it."""

    def __init__(self, code: int, out: str, err: str, shown: dict[str, Any], events: list[dict[str, Any]]) -> None:
        self.code = code
        self.out = out
        self.err = err
        self.shown = shown
        self.events = events

    @property
    def status(self) -> str:
        return str(self.shown["status"])

    @property
    def answer(self) -> str:
        return str(self.shown["answer"]["text"])

    @property
    def plan(self) -> dict[str, str]:
        return {entry["title"]: entry["status"] for entry in self.shown["plan"]}

    def steps(self, kind: str = "tool") -> list[tuple[str, str]]:
        """Title and status of the steps of a kind, in their order."""
        return [(step["title"], step["status"]) for step in self.shown["steps"] if step["kind"] == kind]

    def around(self, title: str) -> str | None:
        """The title of the step around the first step of this title."""
        titles = {step["step_id"]: step["title"] for step in self.shown["steps"]}
        return titles.get(next(step.get("parent") for step in self.shown["steps"] if step["title"] == title))

    def of(self, type_: str) -> list[dict[str, Any]]:
        return [event["data"] for event in self.events if event["type"] == type_]

    @property
    def drafts(self) -> list[str]:
        """The text of each message but what was printed, whose place among the others is anyone's."""
        found: dict[str, str] = {}
        for delta in self.of("text.delta"):
            if delta["message_id"] == "stdout":
                continue
            found[delta["message_id"]] = found.get(delta["message_id"], "") + delta["text"]
        return list(found.values())

    @property
    def counts(self) -> Counter[str]:
        return Counter(event["type"] for event in self.events)


def record(folder: Path, code: str, *words: str, exit_code: int = 0) -> Recorded:
    """Record `agent.py`, which holds this code, as a command, or the words given; the recording must verify."""
    (folder / "agent.py").write_text(textwrap.dedent(code), encoding="utf-8")
    (folder / "recordings").mkdir(exist_ok=True)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DURASTREAM_", "LANG", "OPENAI"))}
    env |= {
        "PYTHONPATH": SRC, "DURASTREAM_STORE": str(folder / "recordings"), "OPENAI_AGENTS_DISABLE_TRACING": "1",
        "LANGSMITH_TRACING": "false",
    }  # fmt: skip

    def durastream_(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-m", "durastream", *args]
        return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)

    ran = durastream_("run", *(words or ("--", sys.executable, "agent.py")))
    assert ran.returncode == exit_code, ran.stderr
    verified = durastream_("verify", "latest", "--ignore", "approval-open", "--ignore", "plan-late")  # as they are made
    assert verified.returncode == 0, verified.stdout + ran.stderr
    shown = json.loads(durastream_("show", "latest", "--json").stdout)
    events = [json.loads(line) for line in durastream_("events", "latest").stdout.splitlines()]
    return Recorded(ran.returncode, ran.stdout, ran.stderr, shown, events)
