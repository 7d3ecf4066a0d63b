"""`durastream diff`: two recordings held against each other, and the exit code that says whether they agree."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_kit import Cli, forbidden

SAMPLES = Path(__file__).parents[2] / "recordings"


def test_the_same_agent_recorded_in_two_kinds_of_files_is_the_same(shelf: Cli) -> None:
    said = shelf.here("diff", "demo", "lines").stdout
    assert said.splitlines()[-1] == "the same"
    document = json.loads(shelf.here("diff", "demo", "lines", "--json").stdout)
    assert (document["same"], document["differences"]) == (True, [])
    assert document["left"] == shelf.show("demo")["run_id"]
    assert document["right"] == shelf.show("lines")["run_id"]


def test_what_the_demo_does_today_is_what_the_sample_recording_shows(shelf: Cli) -> None:
    (golden,) = (path for path in SAMPLES.glob("*.jsonl") if '"name":"demo"' in path.read_text("utf-8")[:200])
    shelf.here("diff", str(golden), "demo")


def test_runs_that_differ_exit_with_1_and_say_in_what(shelf: Cli) -> None:
    document = json.loads(shelf.here("diff", "three", "demo", "--json", code=1).stdout)
    assert {each["aspect"] for each in document["differences"]} == set(document["aspects"]) - {"cost"}
    status = document["differences"][0]
    assert status == {"aspect": "status", "change": "changed", "what": "status", "left": "failed", "right": "completed"}
    said = shelf.here("diff", "three", "demo", code=1).stdout
    assert not forbidden(said)
    assert "differences: status 2" in said


def test_what_neither_run_has_is_none_and_not_nought(shelf: Cli) -> None:
    said = {
        line.split()[0]: line.split()[3:] for line in shelf.here("diff", "three", "three").stdout.splitlines()[1:-1]
    }
    assert (said["plan"], said["steps"], said["usage"]) == (["none"] * 2, ["none"] * 2, ["unknown"] * 2)


def test_only_what_is_selected_counts(shelf: Cli) -> None:
    shelf.here("diff", "three", "slow", "--select", "plan,steps", "--select", "cost")
    shelf.here("diff", "three", "slow", "--select", "plan,answer", code=1)
    document = json.loads(shelf.here("diff", "demo", "slow", "--select", "all", "--json", code=1).stdout)
    assert document["aspects"][-1] == "duration"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("demo", "lines", "--select", "colour"), 2, "--select colour: some of status, plan"),
        (("demo", "absent"), 3, "no run 'absent'"),
        (("demo",), 2, "missing argument"),
    ],
)
def test_what_cannot_be_compared_is_said(shelf: Cli, words: tuple[str, ...], code: int, said: str) -> None:
    assert said in shelf("diff", *words, code=code).stderr


def test_on_a_terminal_it_fits_the_width(shelf: Cli) -> None:
    terminal = shelf.terminal("diff", "three", "demo", size=(80, 60))
    assert terminal.wait() == 1
    lines = [line for line in terminal.raw.decode().splitlines() if line]
    assert max(map(len, lines)) <= 80
    terminal.close()
