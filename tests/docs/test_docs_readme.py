"""The README is true: what it tells the reader to type is typed here."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from durastream.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

_FENCE = re.compile(r"(?:^\*\*`(?P<file>[^`]+)`\*\*\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S)

Shell = Callable[..., subprocess.CompletedProcess[str]]


class Block(NamedTuple):
    language: str
    text: str
    file: str | None
    """The file that the reader is to save it as."""


def blocks() -> Iterator[Block]:
    for match in _FENCE.finditer(README):
        yield Block(match["language"], match["text"], match["file"])


def test_the_two_commands_stand_on_lines_of_their_own() -> None:
    lines = README.splitlines()
    install = "    python3 -m venv .venv && .venv/bin/pip install "
    assert [line for line in lines if line.startswith(install)] == [
        install + ". && .venv/bin/durastream demo",
        install + "-e '.[dev]' && .venv/bin/pytest",
    ]


def test_every_command_that_it_names_exists() -> None:
    known = {command.name for command in app.registered_commands}
    named = set(
        re.findall(
            r"(?:^|[`$( ])durastream ([a-z]+) ", "\n".join(re.findall(r"^    .*$|^.*durastream.*$", README, re.M))
        )
    )
    code = {
        word for block in blocks() if block.language == "sh" for word in re.findall(r"durastream (\w+)", block.text)
    }
    assert code <= known
    assert {"run", "attach", "replay", "verify"} <= named & known
    assert known - code <= {"demo", "redact", "rm"}, "the tour shows every command but these"


def test_the_tour_can_be_followed(folder: Path, shell: Shell) -> None:
    node = shutil.which("node") is not None
    for block in blocks():
        if block.file is not None:
            (folder / block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "sh" and (node or "node " not in block.text):
            shell(block.text)
    listed = shell("durastream list --json")
    runs = {run["name"] or run["command"][0]: run for run in json.loads(listed.stdout)}
    expected = {"hello", "echo", "count", "sleep", "python", "research", "tapped", "agents:count", "shell", "screen"}
    expected |= {"transcript", "transcript-rederived"}
    assert runs.keys() == expected | ({"node"} if node else set())
    assert {name for name, run in runs.items() if run["status"] != "completed"} == {"sleep"}
    assert all(run["reconciled"] for run in runs.values())
    shell("durastream verify --all")
    for name, run in runs.items():
        rejected = shell(f"durastream events {run['run_id']} --type raw.rejected")
        assert rejected.stdout == "", name


@pytest.mark.parametrize(
    ("name", "answer"),
    [("agent.py", "The log comes first."), ("agent.sh", "It is 20"), ("agent.mjs", "The sum is 6.")],
)
def test_each_example_shows_its_answer_and_its_steps(name: str, answer: str, folder: Path, shell: Shell) -> None:
    program = {".py": "python", ".sh": "sh", ".mjs": "node"}[Path(name).suffix]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    text = next(block.text for block in blocks() if block.file == name)
    (folder / name).write_text(text, encoding="utf-8")
    shell(f"durastream init && durastream run --view none -- {program} {name}")
    shown = json.loads(shell("durastream show latest --json").stdout)
    assert shown["answer"]["text"].startswith(answer)
    assert [step["status"] for step in shown["steps"]] == ["ok"]
    shell(f"{program} {name}")  # and outside of a run it does nothing


def test_the_table_of_exit_codes_holds(folder: Path, shell: Shell) -> None:
    (folder / "plain").touch()
    (folder / "other.jsonl").write_text("{}\n", encoding="utf-8")
    shell("durastream init")

    def code(words: str) -> int:
        return int(shell(f"durastream {words}", check=False).returncode)

    assert code("run --name three -- sh -c 'exit 3'") == 3
    assert code("attach three") == 3
    assert code("run -- sh -c 'kill -9 $$'") == 128 + 9
    assert (code("run -- ./plain"), code("run -- ./absent")) == (126, 127)
    assert code("run --store plain -- true") == 125
    assert (code("run --view nothing -- true"), code("replay three --speed 0"), code("--what")) == (2, 2, 2)
    assert (code("show absent"), code("verify ./other.jsonl")) == (3, 3)
    other = "0" * 64
    assert (code("verify three"), code(f"verify three --seal {other}"), code("cancel three")) == (0, 1, 1)
    assert (code("verify three --seal sha256:00"), code("import absent")) == (2, 3)
    (folder / "none").mkdir()
    assert code("verify --all --store none") == 3
    assert code("run -d -- true") == 0
    assert code("run --strict -- true") == 0
    assert code("run --strict --format codex -- true") == 120
    run = shell("durastream run -d -- sleep 600").stdout.strip()
    live = [f"seal {run}", f"rederive {run}", f"redact {run} --literal x", f"rm {run}"]
    live.append(f"check {run} --name a --outcome pass")
    for words in live:
        done = shell(f"durastream {words}", check=False)
        assert (done.returncode, f"run {run} is not over" in done.stderr) == (1, True), words
    assert code(f"cancel {run}") == 0
