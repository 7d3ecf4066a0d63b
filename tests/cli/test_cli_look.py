"""Commands that look at runs: attach, replay, verify, list, show, events, cat."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_kit import PATIENCE, Cli, eventually, recorded

from durastream.cli import raw
from durastream.events import Event
from durastream.follow import wait_for_reader
from durastream.spool import Spool
from durastream.stores import FolderStore
from durastream.testing import scripted

LISTED = {
    "run_id", "name", "tags", "command", "cwd", "parent_run_id", "status", "exit_code", "signal", "started_at",
    "duration", "last_seq", "reconciled", "seal",
}  # fmt: skip
SHOWN = LISTED | {
    "plan", "steps", "draft", "answer", "reasoning", "sources", "checks", "usage", "approvals", "artifacts", "errors",
    "log", "terminal", "findings", "agent", "env", "evaluations", "redaction", "redacted",
}  # fmt: skip

TALKS = """
import json, os, sys, time
def emit(type, **data):
    with open(os.environ["DURASTREAM_EVENTS"], "a") as file:
        file.write(json.dumps({"type": type, "data": data}) + "\\n")
emit("plan.created", steps=[{"id": "a", "title": "Look", "status": "active"}, {"id": "b", "title": "Write"}])
emit("step.started", step_id="s", title="search", kind="tool")
emit("text.delta", message_id="answer", text="so far")
"""


def test_a_command_is_shown_as_a_shell_would_read_it(shelf: Cli) -> None:
    command = "sh -c 'echo out; echo err >&2; exit 3'"
    assert any(line.endswith(f"three  {command}") for line in shelf.here("list").stdout.splitlines())
    assert f"three: {command}\n" in shelf.here("replay", "three", "--view", "plain", "--speed", "max").stdout


# attach


def test_attach_joins_the_newest_live_run_with_all_that_is_known(ds: Cli) -> None:
    run_id, flag = ds.waiting(before=TALKS)
    eventually(lambda: ds.show(run_id)["draft"] == "so far", "the draft")
    viewer = ds.start("attach")
    assert viewer.stdout is not None
    known = b"".join(viewer.stdout.readline() for _ in range(5)).decode()
    for each in ("; joined at event", "0/2", "▶ Look", "· Write", "▶ search (tool)"):
        assert each in known
    flag.touch()
    out, err = viewer.communicate(timeout=PATIENCE)
    assert viewer.returncode == 0, err
    assert "✓ failed" not in out.decode()
    assert "text     so far\n" in out.decode()
    assert "seal     sha256:" in out.decode()


def test_a_raw_viewer_that_leaves_keeps_no_file_of_the_spool_open(ds: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(*_: object) -> Iterator[list[Event]]:
        raise KeyboardInterrupt

    run_id, flag = ds.waiting()
    with contextlib.closing(wait_for_reader(FolderStore(str(ds.store)), run_id)) as reader:
        monkeypatch.setattr(raw, "follow", leave)
        before = os.listdir("/dev/fd")
        assert raw.attach(reader, Spool(str(ds.store), run_id))[1]
        assert os.listdir("/dev/fd") == before
    flag.touch()
    ds.finished(run_id)


def test_attach_gives_the_code_of_the_run_it_saw_end(ds: Cli) -> None:
    run_id, _ = ds.waiting()
    viewers = [ds.start("attach", run_id, "--view", view) for view in ("plain", "json", "raw", "none")]
    ds("cancel", run_id)
    for viewer in viewers:
        viewer.communicate(timeout=PATIENCE)
        assert viewer.returncode == 128 + signal.SIGTERM


def test_several_viewers_see_the_same_and_one_that_is_killed_harms_nobody(ds: Cli) -> None:
    run_id, flag = ds.waiting(before="print('one', flush=True)\n")
    first, second, killed = (ds.start("attach", run_id, "--view", "json") for _ in range(3))
    assert killed.stdout is not None
    assert json.loads(killed.stdout.readline())["seq"] == 1
    killed.kill()
    flag.touch()
    outs = [viewer.communicate(timeout=PATIENCE)[0] for viewer in (first, second)]
    assert outs[0] == outs[1]
    assert outs[0].decode() == ds("events", run_id).stdout
    assert ds.show(run_id)["status"] == "completed"
    ds("verify", run_id)


@pytest.mark.parametrize("run", ["demo", "lines"])
def test_attach_from_start_now_and_an_event(shelf: Cli, run: str) -> None:
    everything = shelf.here("events", run).stdout
    assert shelf.here("attach", run, "--view", "json").stdout == everything, "programs get it all"
    assert shelf.here("attach", run, "--view", "json", "--from", "now").stdout == ""
    tail = shelf.here("attach", run, "--view", "json", "--from", "100").stdout
    assert tail == "".join(everything.splitlines(keepends=True)[99:])
    whole = shelf.here("attach", run, "--view", "plain", "--from", "start").stdout
    late = shelf.here("attach", run, "--view", "plain", "--from", "100").stdout
    now = shelf.here("attach", run, "--view", "plain").stdout
    assert whole.splitlines()[-1] == late.splitlines()[-1]
    assert "joined at event 99\n" in late
    assert len(now.splitlines()) < len(late.splitlines()) < len(whole.splitlines())
    count = len(everything.splitlines())
    assert f"--from {count + 2}: run" in shelf.here("attach", run, "--from", str(count + 2), code=2).stderr


# replay


@pytest.mark.parametrize("run", ["demo", "lines"])
def test_replay_at_any_speed_gives_the_same_events(shelf: Cli, run: str) -> None:
    everything = shelf.here("events", run).stdout
    for options in (["--speed", "max"], ["--speed", "40x"], ["--idle-limit", "0"]):
        assert shelf("replay", run, "--view", "json", *options).stdout == everything


def test_replay_from_and_to_cut_by_number_and_by_time(shelf: Cli) -> None:
    events = [json.loads(line) for line in shelf.here("events", "demo").stdout.splitlines()]

    def played(*options: str) -> list[int]:
        out = shelf.here("replay", "demo", "--view", "json", "--speed", "max", *options).stdout
        return [json.loads(line)["seq"] for line in out.splitlines()]

    assert played("--from", "10", "--to", "12") == [10, 11, 12]
    assert played("--to", "0.5s") == [event["seq"] for event in events if event["t"] <= 0.5]
    assert played("--from", "0.5s") == [event["seq"] for event in events if event["t"] >= 0.5]
    assert played("--from", "0:01", "--to", "1h") == [event["seq"] for event in events if event["t"] >= 1]
    assert played("--from", "9999") == []
    began = next(event for event in events if event["type"] == "step.started" and event["data"]["step_id"] == "search")
    ended = next(
        event for event in events if event["type"] == "step.completed" and event["data"]["step_id"] == "search"
    )
    assert played("--from", "search", "--to", "SEAR") == [*range(began["seq"], ended["seq"] + 1)]
    assert "no step of run" in shelf.here("replay", "demo", "--from", "dance", code=2).stderr
    plain = shelf.here("replay", "demo", "--view", "plain", "--speed", "max", "--from", "100", "--to", "110").stdout
    assert "joined at event 99\n" in plain.splitlines(keepends=True)[0]


def test_replay_keeps_the_original_timing(shelf: Cli) -> None:
    """Each line comes no earlier than its event is due; how much later is the machine's business."""
    first = time.monotonic()
    process = shelf.start("replay", "slow", "--view", "json")
    assert process.stdout is not None
    came = []
    for line in process.stdout:
        came.append((time.monotonic(), json.loads(line)["t"]))
    t_first = came[0][1]
    assert came[-1][1] - t_first > 0.9
    assert came[-1][0] - first >= (came[-1][1] - t_first) * 0.9
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


def test_a_loop_goes_on_until_the_viewer_leaves(shelf: Cli) -> None:
    count = len(shelf.here("events", "demo").stdout.splitlines())
    done = shelf.sh(
        f"$ds replay demo --loop --speed max --view json --from 2 | head -{count} | tail -1; echo ${{PIPESTATUS[0]}}",
        env={"DURASTREAM_STORE": str(shelf.store)},
    )
    assert done.stdout.startswith('{"seq":2,')
    assert done.stdout.endswith("\n141\n")
    assert shelf.here("replay", "demo", "--loop", "--view", "json", "--from", "9999").stdout == ""


def test_plain_lines_follow_the_environment(shelf: Cli) -> None:
    words = ("replay", "demo", "--speed", "max", "--view", "plain")
    assert "\x1b[32m✓\x1b[0m" in shelf(*words, env={"FORCE_COLOR": "1"}).stdout
    assert "\x1b" not in shelf(*words, env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).stdout
    grouped = shelf(*words, "--timestamps", env={"GITHUB_ACTIONS": "true"}).stdout.splitlines()
    opened = [line for line in grouped if line.startswith("::group::")]
    assert len(opened) == grouped.count("::endgroup::") > 1
    assert all(re.match(r"(::group::)?20\d\d-\d\d-\d\dT[\d:.]+Z |::endgroup::$", line) for line in grouped)


def test_a_silence_is_cut_short_and_that_is_told_unless_it_was_asked_for(tmp_path: Path, ds: Cli) -> None:
    told = [("log.line", {"text": "a"}, 0.0), ("log.line", {"text": "b"}, 3600.0)]
    path = recorded(tmp_path, scripted(told, exit_status={"exit_code": 0}))
    done = ds("replay", str(path), "--view", "plain", "--speed", "100x")
    assert done.stderr == (
        "durastream: silences longer than 5 s are played as 5 s: --idle-limit off plays them whole\n"
    )
    assert "+1:00:00.0 log      b" in done.stdout
    assert ds("replay", str(path), "--view", "plain", "--idle-limit", "0").stderr == ""
    assert ds("replay", str(path), "--view", "json", "--speed", "max").stderr == ""


def test_replay_of_raw_bytes(shelf: Cli) -> None:
    assert shelf.bytes("replay", "slow", "--view", "raw", "--speed", "max").stdout == b"ab\nc\n"
    assert shelf.bytes("replay", "three", "--view", "raw").stdout == b"out\n"
    assert shelf.here("replay", "demo", "--speed", "max", "--view", "none").stdout == ""
    assert "keeps no raw bytes of stdout" in shelf.here("replay", "demo", "--view", "raw", code=3).stderr


# verify


def test_verify_says_ok_with_the_seal(shelf: Cli) -> None:
    shown = shelf.show("demo")
    assert shelf.here("verify", "demo").stdout == (
        f"{shown['run_id']}  ok: {shown['last_seq']} events, sealed\n        {shown['seal']}\n"
    )
    every = shelf.here("verify", "--all").stdout
    assert len(every.splitlines()) == 4
    assert every.count("  ok: ") == 4
    assert shelf.here("verify").stdout.startswith(shelf.show("latest")["run_id"])
    report = json.loads(shelf.here("verify", "lines", "--json").stdout)
    assert report == {
        "run_id": shelf.show("lines")["run_id"], "ok": True, "events": report["events"], "sealed": True,
        "seal": shelf.show("lines")["seal"], "timing": report["timing"], "findings": [],
    }  # fmt: skip


def test_verify_against_a_seal(shelf: Cli) -> None:
    seal = shelf.show("demo")["seal"]
    shelf.here("verify", "demo", "--seal", seal)
    shelf.here("verify", "demo", "--seal", seal.removeprefix("sha256:").upper())
    done = shelf.here("verify", "demo", "--seal", seal[:-1] + ("0" if seal[-1] != "0" else "1"), code=1)
    assert re.match(r"[a-z0-9]{6}  1 error in \d+ events\n  Is the log whole\?\n  ✗ seal\n +the seal is ", done.stdout)
    assert "--seal is of one run" in shelf.here("verify", "--all", "--seal", seal, code=2).stderr


def test_verify_finds_what_was_changed_in_a_database(ds: Cli) -> None:
    ds("run", "--", "echo", "the answer")
    path = next(ds.store.glob("*.db"))
    with sqlite3.connect(path) as db:
        assert db.execute("update log set body = replace(body, 'the answer', 'one answer')").rowcount
    db.close()
    done = ds("verify", code=1)
    assert "hash-chain" in done.stdout
    report = json.loads(ds("verify", "--json", code=1).stdout)
    assert report["ok"] is False
    assert {"hash-chain"} <= {finding["code"] for finding in report["findings"]}


def test_verify_finds_what_was_changed_in_a_file_of_lines(ds: Cli) -> None:
    ds("run", "--log", "jsonl", "--", "echo", "the answer")
    path = next(ds.store.glob("*.jsonl"))
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace("the answer", "one answer"), encoding="utf-8")
    assert "hash-chain" in ds("verify", code=1).stdout
    path.write_text(whole[:-30], encoding="utf-8")
    done = ds("verify", code=1)
    assert "unsealed" in done.stdout
    assert "torn" in done.stdout
    path.write_text(whole, encoding="utf-8")
    ds("verify")


def test_verify_says_of_a_run_that_goes_on_that_it_is_not_sealed(ds: Cli) -> None:
    run_id, flag = ds.waiting()
    eventually(lambda: ds.show(run_id)["last_seq"], "an event")
    done = ds("verify", run_id, code=1)
    assert re.search(r"^ +it is still being recorded: so far \d+ events, and no end$", done.stdout, re.M)
    assert json.loads(ds("verify", run_id, "--json", code=1).stdout)["sealed"] is False
    flag.touch()
    ds.finished(run_id)
    ds("verify", run_id)


def test_verify_all_counts_what_cannot_be_read(ds: Cli) -> None:
    assert "nothing was verified" in ds("verify", "--all", code=3).stderr
    ds("run", "--", "true")
    (ds.store / "garbage.db").write_text("no database", encoding="utf-8")
    done = ds("verify", "--all", code=3)
    assert "garbage.db is no durastream recording" in done.stderr
    assert " ok: " in done.stdout
    listed = ds("list")
    assert len(listed.stdout.splitlines()) == 1
    assert "garbage.db is no durastream recording" in listed.stderr
    ds("verify", "garbage", code=3)


# list


def test_list_is_aligned_and_newest_first(shelf: Cli) -> None:
    lines = shelf.here("list").stdout.splitlines()
    assert [line.split()[3] for line in lines] == ["completed", "completed", "completed", "failed"]
    for line in lines:
        assert re.match(r"[a-z0-9]{6}  \d{4}-\d\d-\d\d \d\d:\d\d  \w+ +[0-9.]+ m?s  \w+ +\S", line), line
    assert len({line.index(name) for line, name in zip(lines, ("lines", "demo", "slow", "three"), strict=True)}) == 1


def test_list_json_is_one_array_of_the_run_level_fields(shelf: Cli) -> None:
    def listed(*words: str) -> list[dict[str, Any]]:
        return json.loads(shelf.here("list", "--json", *words).stdout)  # type: ignore[no-any-return]

    infos = listed()
    assert [info["name"] for info in infos] == ["lines", "demo", "slow", "three"]
    assert all(info.keys() == LISTED for info in infos)
    assert infos[-1]["tags"] == {"k": "v"}
    assert [info["name"] for info in listed("--limit", "2")] == ["lines", "demo"]
    assert [info["name"] for info in listed("--status", "failed")] == ["three"]
    assert listed("--status", "cancelled") == []
    assert shelf.here("list", "--status", "cancelled").stderr.endswith(" with status cancelled\n")


# show


def states(ds: Cli) -> dict[str, str]:
    """A run in each of the states that there are, by its id; `ds` must be fresh."""
    running, _ = ds.waiting(before=TALKS)
    eventually(lambda: ds.show(running)["draft"] == "so far", "the draft")
    made = {"running": running}
    ds("run", "--view", "none", "--", "true")
    made["completed"] = ds.show("latest")["run_id"]
    ds("run", "--view", "none", "--", "false", code=1)
    made["failed"] = ds.show("latest")["run_id"]
    ds("run", "--view", "none", "--", "sh", "-c", "kill $$", code=143)
    made["interrupted"] = ds.show("latest")["run_id"]
    made["cancelled"], _ = ds.waiting(before=TALKS)
    eventually(lambda: ds.show(made["cancelled"])["draft"] == "so far", "the draft")
    ds("cancel", made["cancelled"])
    return made


def test_show_json_has_the_documented_fields_in_every_state(ds: Cli) -> None:
    for status, run_id in states(ds).items():
        shown = json.loads(ds("show", run_id, "--json").stdout)
        assert shown.keys() == SHOWN, status
        assert shown["status"] == status
        assert isinstance(shown["duration"], float)
        assert isinstance(shown["last_seq"], int)
        over = status != "running"
        assert (shown["seal"] is not None) is over
        assert (shown["reconciled"] is not None) is over
        if status in ("running", "cancelled"):
            check_talked(shown, over=over)


def check_talked(shown: dict[str, Any], *, over: bool) -> None:
    entry = {"id": "a", "title": "Look", "status": "active", "parent": None}
    assert shown["plan"][0] == entry
    (step,) = shown["steps"]
    assert step.keys() == {"step_id", "title", "kind", "status", "parent", "started", "duration", "error"}
    assert step["status"] == ("abandoned" if over else "active")
    assert (shown["draft"], shown["answer"] is not None) == ("so far", over)
    if over:
        assert shown["answer"].keys() == {"message_id", "text", "sha256", "length"}
        assert shown["answer"]["text"] == "so far"


def test_an_orphan_is_shown_as_what_it_is(ds: Cli) -> None:
    """Its supervisor and recorder are killed, and its folder does not let anybody finish it: so it stays orphaned."""
    run_id, flag = ds.waiting(before=TALKS)
    eventually(lambda: ds.show(run_id)["draft"] == "so far", "the draft")
    spool = Spool(str(ds.store), run_id)
    kill_ours(spool)
    copy = ds.folder / "copy"
    copy.mkdir()
    for path in ds.store.glob(f"{run_id}.db*"):
        shutil.copy(path, copy)
    shown = ds.show(str(copy / f"{run_id}.db"))
    assert (shown["status"], shown.keys() == SHOWN) == ("orphaned", True)
    shown_text = ds("show", str(copy / f"{run_id}.db")).stdout
    assert "orphaned: as of event" in shown_text
    assert "? orphaned" in shown_text.splitlines()[0]
    assert "running" not in shown_text.splitlines()[0]
    assert "is orphaned" in ds("attach", str(copy / f"{run_id}.db"), code=125).stderr
    flag.touch()
    eventually(lambda: not spool.agent_alive(), "the agent's end")
    eventually(lambda: ds.show(run_id)["status"] == "unknown", "an honest end")


def kill_ours(spool: Spool) -> None:
    for who in ("supervisor", "recorder"):
        pid = Path(spool.file(f"{who}.lock")).read_text(encoding="ascii").strip()
        os.kill(int(pid), signal.SIGKILL)
    eventually(lambda: not spool.alive(), "their end")


def test_a_list_in_a_pipe_has_names_whole_because_they_are_typed(ds: Cli) -> None:
    name = "a-name-that-is-longer-than-sixteen-characters"
    ds("run", "--name", name, "--view", "none", "--", "true")
    ds("run", "--name", "short", "--view", "none", "--", "true")
    lines = ds("list").stdout.splitlines()
    assert (lines[0].split()[-2:], lines[1].split()[-2:]) == (["short", "true"], [name, "true"])


def test_show_for_people_names_what_there_is(shelf: Cli) -> None:
    said = shelf.here("show", "demo").stdout
    for each in ("✓ completed", "plan", "5/5", "✗ fetch", "timed out", "sources", "checks", "answer", "seal sha256:"):
        assert each in said
    assert max(map(len, said.splitlines())) <= 80
    assert max(map(len, shelf("show", "demo", env={"COLUMNS": "40"}).stdout.splitlines())) <= 71, "the seal is whole"
    failed = shelf.here("show", "three").stdout
    assert "✗ failed · exit code 3" in failed


# events and cat


def test_events_after_type_and_follow(ds: Cli) -> None:
    run_id, flag = ds.waiting(before=TALKS)
    eventually(lambda: ds.show(run_id)["draft"] == "so far", "the draft")
    follower = ds.start("events", run_id, "--follow", "--type", "step.started", "--type", "run.completed")
    assert follower.stdout is not None
    assert json.loads(follower.stdout.readline())["data"]["step_id"] == "s"
    now = ds("events", run_id).stdout
    assert json.loads(now.splitlines()[-1])["type"] == "text.delta"
    assert "step.completed" not in now
    flag.touch()
    out, _ = follower.communicate(timeout=PATIENCE)
    assert [json.loads(line)["type"] for line in out.splitlines()] == ["run.completed"]
    assert follower.returncode == 0
    every = ds("events", run_id).stdout.splitlines(keepends=True)
    assert ds("events", run_id, "--after", "3").stdout == "".join(every[3:])
    assert ds("events", run_id, "--after", "9999").stdout == ""
    assert ds("events", run_id, "--type", "no.such").stdout == ""


def test_cat_prints_the_text_alone(ds: Cli) -> None:
    run_id, flag = ds.waiting(before=TALKS)
    eventually(lambda: ds.show(run_id)["draft"] == "so far", "the draft")
    assert ds("cat", run_id).stdout == "so far"
    flag.touch()
    ds.finished(run_id)
    assert ds("cat", run_id).stdout == "so far"
    ds("run", "--", "printf", "no newline")
    assert ds("cat", "latest").stdout == "no newline"
    ds("run", "--", "true")
    assert ds("cat", "latest").stdout == ""
