"""Runs made of what is there already: imported transcripts, and recordings derived anew from their raw bytes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from cli_kit import Cli

from durastream.cli.raw import Output
from durastream.spool import Spool
from durastream.stores.folder import open_reader

TRACES = Path(__file__).parents[1] / "data" / "traces"
CODEX = TRACES / "codex_exec_full.jsonl"
both_logs = pytest.mark.parametrize("log", ["sqlite", "jsonl"])


def told(ds: Cli, run_id: str) -> list[tuple[str, Any]]:
    """What was made of an agent's bytes."""
    events = map(json.loads, ds("events", run_id).stdout.splitlines())
    return [(event["type"], event["data"]) for event in events if "src" in event]


@both_logs
def test_a_transcript_becomes_a_run_like_one_that_was_recorded(ds: Cli, log: str) -> None:
    done = ds("import", str(CODEX), "--log", log, "--tag", "from=colleague")
    run_id = done.stdout.strip()
    assert f"{run_id} completed" in done.stderr
    shown = ds.show(run_id)
    assert shown["name"] == CODEX.stem
    assert shown["tags"] == {"from": "colleague"}
    assert (shown["status"], shown["exit_code"], shown["reconciled"]) == ("completed", None, True)
    assert shown["answer"]["text"].startswith("Mars has two moons")
    started = json.loads(ds("events", run_id, "--type", "run.started").stdout)["data"]
    assert started["imported"] == {"path": str(CODEX), "size": CODEX.stat().st_size}
    ds("verify", run_id)
    ds("run", "--view", "none", "--", "cat", str(CODEX))
    assert told(ds, run_id) == told(ds, "latest")


def test_time_is_what_the_lines_say(ds: Cli) -> None:
    lines = [
        {"type": "thread.started", "thread_id": "t"},
        {"type": "item.completed", "item": {"id": "a", "type": "agent_message", "text": "Hello"}},
    ]
    (ds.folder / "untimed").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    run_id = ds("import", "untimed").stdout.strip()
    assert ds.show(run_id)["duration"] == 0
    run_id = ds("import", str(TRACES / "gemini_stream_json.jsonl")).stdout.strip()
    shown = ds.show(run_id)
    assert shown["started_at"] == "2026-11-23T05:45:27.499000Z"
    assert shown["duration"] == pytest.approx(1.087)
    ds("verify", run_id)


def test_how_a_transcript_ended_is_its_own_word_or_unknown(ds: Cli) -> None:
    for name, status in (
        ("codex_exec_full.jsonl", "completed"),
        ("codex_exec_error.jsonl", "failed"),
        ("codex_exec_killed_sigterm.jsonl", "unknown"),
    ):
        run_id = ds("import", str(TRACES / name)).stdout.strip()
        assert ds.show(run_id)["status"] == status
        ds("verify", run_id, code=0 if status != "unknown" else 1)


def test_anything_can_be_imported_and_is_text_when_it_is_nothing_else(ds: Cli) -> None:
    (ds.folder / "odd").write_bytes(b"\x00\xff{\x1b[31m" * 1000 + b"\n" + b"x" * 3_000_000)
    run_id = ds("import", "odd").stdout.strip()
    assert ds.show(run_id)["draft"].endswith("x" * 100)
    ds("verify", run_id)
    (ds.folder / "empty").touch()
    assert ds.show(ds("import", "empty").stdout.strip())["status"] == "unknown"


def test_what_cannot_be_imported_is_told_and_leaves_nothing(ds: Cli) -> None:
    for words, said, code in (
        (("gone",), "gone is not there, or not a plain file: nothing was imported", 3),
        ((".",), "is not there, or not a plain file", 3),
        ((str(CODEX), "--format", "yaml"), "unknown format 'yaml': `durastream formats` lists them", 2),
        ((str(CODEX), "--tag", "x"), "a tag is key=value", 2),
    ):
        assert said in ds("import", *words, code=code).stderr
    assert list(ds.store.iterdir()) == []


@both_logs
def test_a_run_is_derived_anew_from_the_bytes_that_it_kept(ds: Cli, log: str) -> None:
    script = f"cat {CODEX}; echo warning >&2; sleep 0.3; exit 3"
    ds("run", "--view", "none", "--name", "old", "--log", log, "--", "sh", "-c", script, code=3)
    done = ds("rederive", "old", "--log", log)
    assert "nothing changed" in done.stderr
    run_id = done.stdout.strip()
    old, new = ds.show("old"), ds.show(run_id)
    same = ("status", "exit_code", "started_at", "plan", "answer", "sources", "usage", "log", "agent", "command")
    assert {key: new[key] for key in same} == {key: old[key] for key in same}
    assert new["duration"] == pytest.approx(old["duration"], abs=0.001)
    assert [step["started"] for step in new["steps"]] == [step["started"] for step in old["steps"]]
    started = json.loads(ds("events", run_id, "--type", "run.started").stdout)["data"]
    assert started["derived_from"] == {"run_id": old["run_id"], "seal": old["seal"]}
    ds("verify", run_id, "--ignore", "status-disagrees")  # the agent of the trace ended well, its shell did not


def test_a_cancelled_run_stays_cancelled_when_it_is_derived_anew(ds: Cli) -> None:
    run_id = ds("run", "-d", "--name", "long", "--", "sh", "-c", "echo begun; exec sleep 600").stdout.strip()
    ds("cancel", run_id)
    done = ds("rederive", run_id)
    assert "nothing changed" in done.stderr
    assert [ds.show(run)["status"] for run in (run_id, done.stdout.strip())] == ["cancelled"] * 2


@pytest.mark.parametrize("log", ["sqlite", "jsonl"])
def test_a_recording_is_not_imported_by_mistake(ds: Cli, log: str) -> None:
    ds("run", "--log", log, "--view", "none", "--", "true")
    (path,) = (*ds.store.glob("*.jsonl"), *ds.store.glob("??????.db"))
    said = ds.here("import", str(path), code=2).stderr
    assert said == f"durastream: {path} is a durastream recording already: use it by its path: durastream show {path}\n"
    assert len(json.loads(ds.here("list", "--json").stdout)) == 1


def test_an_imported_run_is_listed_with_its_file_and_a_shell_completes_names_formats_and_rules(ds: Cli) -> None:
    ds("import", str(CODEX), "--name", "transcript")
    assert ds("list").stdout.rstrip().endswith(f"imported {CODEX}")
    for words, offered in (
        ("show tr", "transcript"),
        ("rules burst", "burst-at-end"),
        ("run --format cla", "claude"),
    ):
        typed = f"durastream {words}"
        shell = {"_DURASTREAM_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
        assert ds(env=shell, code=None).stdout.split() == [offered]


def test_a_run_that_was_read_as_text_is_read_as_what_it_was(ds: Cli) -> None:
    ds("run", "--view", "none", "--name", "old", "--format", "text", "--", "cat", str(CODEX))
    said = ds("rederive", "old").stderr
    for line in ("format: none -> codex", "plan: none -> 2/3", "usage: none -> "):
        assert f"durastream: {line}" in said


def test_a_run_without_raw_bytes_is_not_derived_anew(ds: Cli) -> None:
    ds("run", "--view", "none", "--no-raw", "--name", "bare", "--", "echo", "hello")
    assert "keeps no raw bytes" in ds("rederive", "bare", code=3).stderr
    ds("run", "--view", "none", "--name", "silent", "--", "true")
    assert "wrote nothing: it cannot be derived anew" in ds("rederive", "silent", code=3).stderr
    ds("rm", "silent")
    assert len(json.loads("[" + ",".join(ds("list", "--json").stdout.splitlines()) + "]")) == 1


def test_raw_bytes_of_a_line_with_many_events_are_played_once_and_not_before_their_time(
    ds: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = ds("import", str(TRACES / "gemini_stream_json.jsonl")).stdout.strip()
    whole = (TRACES / "gemini_stream_json.jsonl").read_bytes()
    assert ds.bytes("replay", run_id, "--view", "raw", "--speed", "max").stdout == whole
    reader = open_reader(str(ds.store / f"{run_id}.db"))
    raw, written = Output(reader, Spool(os.devnull, run_id)), bytearray()
    monkeypatch.setattr(raw, "_write", written.extend)
    for event in reader.read():
        raw.write_upto(event)
        if event.src is not None:
            assert len(written) == whole.index(b"\n", event.src.offset) + 1
    reader.close()
