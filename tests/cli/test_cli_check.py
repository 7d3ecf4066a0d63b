"""Evaluations: an evaluator reads a replay, and its word is kept beside a recording that stays as it was."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from cli_kit import Cli

from durastream import evaluations
from durastream.errors import DurastreamError, RunNotFound, UsageError

both_logs = pytest.mark.parametrize("log", ["sqlite", "jsonl"])

EVALUATOR = """\
import json, sys

events = [json.loads(line) for line in sys.stdin]
text = "".join(event["data"]["text"] for event in events if event["type"] == "text.delta")
end = events[-1]
assert end["type"] == "run.completed" and end["data"]["events"] == len(events)
print("pass" if "forty-two" in text else "fail", len(text))
"""


def recorded(ds: Cli, log: str = "sqlite", name: str = "agent") -> Path:
    ds("run", "--name", name, "--log", log, "--view", "none", "--", "echo", "forty-two")
    return ds.store / f"{ds.show(name)['run_id']}{'.db' if log == 'sqlite' else '.jsonl'}"


@both_logs
def test_a_replay_feeds_an_evaluator_and_its_word_is_kept_with_the_run(ds: Cli, log: str) -> None:
    path = recorded(ds, log)
    before = path.read_bytes()
    (ds.folder / "evaluator.py").write_text(EVALUATOR, encoding="utf-8")
    done = ds.sh(
        f"set -e; said=$($ds replay --view json --speed max agent | {sys.executable} evaluator.py); set -- $said;"
        " $ds check agent --name 'says forty-two' --outcome $1 --score $2 --by evaluator.py"
    )
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == before
    shown = ds.show("agent")
    assert {check["by"] for check in shown["checks"]} == {"durastream"}
    (kept,) = shown["evaluations"]
    assert {**kept, "ts": "", "hash": ""} == {
        "ts": "",
        "name": "says forty-two",
        "outcome": "pass",
        "score": 10.0,
        "detail": None,
        "by": "evaluator.py",
        "hash": "",
    }
    said = ds.here("show", "agent").stdout
    assert "evaluations, added after the end\n  ✓ says forty-two: pass (10) by evaluator.py · " in said
    ds.here("verify", "agent")


@both_logs
def test_evaluations_that_were_changed_are_found_by_verify(ds: Cli, log: str) -> None:
    path = recorded(ds, log)
    for outcome in ("pass", "fail"):
        ds.here("check", "agent", "--name", "n", "--outcome", outcome)
    addenda = path.with_suffix(".addenda.jsonl")
    whole = addenda.read_text("utf-8")
    addenda.write_text(whole.replace('"outcome":"fail"', '"outcome":"pass"'), encoding="utf-8")
    report = json.loads(ds.here("verify", "agent", "--json", code=1).stdout)
    assert report["findings"][0]["code"] == "addendum"
    assert report["findings"][0]["message"] == "addendum 2 is not what was stored: its hash does not fit"
    assert ds.here("check", "agent", "--name", "n", "--outcome", "pass", code=3).stderr.endswith("nothing was added\n")
    addenda.write_text(whole, encoding="utf-8")
    ds.here("verify", "agent")


def test_evaluations_of_another_recording_are_found(ds: Cli) -> None:
    first, second = recorded(ds, name="first"), recorded(ds, name="second")
    ds.here("check", "first", "--name", "n", "--outcome", "pass")
    shutil.copy(first.with_suffix(".addenda.jsonl"), second.with_suffix(".addenda.jsonl"))
    report = json.loads(ds.here("verify", "second", "--json", code=1).stdout)
    assert [finding["code"] for finding in report["findings"]] == ["addendum"]


def test_evaluations_go_where_their_recording_goes(ds: Cli) -> None:
    path = recorded(ds)
    ds.here("check", "agent", "--name", "n", "--outcome", "warn", "--detail", "hm")
    for end in (".db", ".addenda.jsonl"):
        shutil.copy(path.with_suffix(end), ds.folder / f"golden{end}")
    copy = str(ds.folder / "golden.db")
    assert [each["name"] for each in ds.show(copy)["evaluations"]] == ["n"]
    assert [run["run_id"] for run in json.loads(ds.here("list", "--json").stdout)] == [path.stem]
    ds.here("rm", copy)
    assert not list(ds.folder.glob("golden*"))
    ds.here("rm", "agent")
    assert not list(ds.store.glob(f"{path.stem}*"))


def test_two_evaluators_at_a_time_lose_nothing(ds: Cli) -> None:
    recorded(ds)
    started = [ds.start("check", "agent", "--name", f"n{at}", "--outcome", "pass") for at in range(6)]
    assert [process.wait() for process in started] == [0] * 6
    assert {each["name"] for each in ds.show("agent")["evaluations"]} == {f"n{at}" for at in range(6)}
    ds.here("verify", "agent")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--name", "n", "--outcome", "good"), 2, "outcome good: one of pass, fail, warn"),
        (("--name", " ", "--outcome", "pass"), 2, "an evaluation has a name"),
        (("--name", "n", "--outcome", "pass", "--score", "nan"), 2, "score nan: a number"),
        (("--name", "n" * 70_000, "--outcome", "pass"), 2, "take up to 65536 characters"),
        (("--outcome", "pass"), 2, "missing option"),
    ],
)
def test_words_that_cannot_be_meant_are_refused(shelf: Cli, words: tuple[str, ...], code: int, said: str) -> None:
    assert said in shelf("check", "three", *words, code=code).stderr


def test_a_run_that_goes_on_is_not_evaluated(ds: Cli) -> None:
    run_id, flag = ds.waiting()
    said = ds.here("check", run_id, "--name", "n", "--outcome", "pass", code=1).stderr
    assert "is not over: only a finished run is evaluated" in said
    flag.touch()
    ds.finished(run_id)
    assert not list(ds.store.glob("*.addenda.jsonl"))


def test_python_says_the_same(ds: Cli) -> None:
    store, path = str(ds.store), recorded(ds)
    added = evaluations.add("agent", "faithful", "pass", score=0.92, by="judge", store=store)
    again = evaluations.add(str(path), "short", "warn", detail="too long")
    assert evaluations.read("latest", store=store) == evaluations.read(str(path)) == [added, again]
    assert [each["hash"] for each in ds.show("agent")["evaluations"]] == [added.hash, again.hash]
    with pytest.raises(UsageError):
        evaluations.add("agent", "n", "good", store=store)
    with pytest.raises(RunNotFound):
        evaluations.add("absent", "n", "pass", store=store)


def test_python_refuses_a_run_without_an_end(ds: Cli) -> None:
    run_id, flag = ds.waiting()
    ds.here("show", run_id)
    with pytest.raises(DurastreamError, match="is not over"):
        evaluations.add(run_id, "n", "pass", store=str(ds.store))
    flag.touch()
    ds.finished(run_id)


def test_a_store_that_takes_nothing_is_said(ds: Cli) -> None:
    recorded(ds)
    if os.geteuid() == 0:
        path = ds.store / f"{ds.show('agent')['run_id']}.addenda.jsonl"
        path.symlink_to("/dev/full")  # root may write into any folder
    else:
        ds.store.chmod(0o500)
    assert "nothing was added" in ds.here("check", "agent", "--name", "n", "--outcome", "pass", code=125).stderr
    ds.store.chmod(0o700)
