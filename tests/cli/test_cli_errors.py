"""Bad input gets one clear line, the right exit code, and harms nothing."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess

import pytest
from cli_kit import Cli

from durastream.cli.app import main as app_main
from durastream.cli.ending import ended

USAGE = [
    (["replay", "demo", "--speed", "0"], "--speed 0: "),
    (["replay", "demo", "--speed", "fast"], "--speed fast: "),
    (["replay", "demo", "--speed", "-1"], "--speed -1: "),
    (["replay", "demo", "--speed", "nan"], "--speed nan: "),
    (["replay", "demo", "--from", "soon"], "--from soon: "),
    (["replay", "demo", "--to", "1:2:3:4"], "--to 1:2:3:4: "),
    (["replay", "demo", "--from", "9", "--to", "3"], "--to is before --from: it ends at event 3"),
    (["replay", "demo", "--idle-limit", "-1"], "--idle-limit"),
    (["replay", "demo", "--idle-limit", "nan"], "--idle-limit"),
    (["replay", "demo", "--view", "big"], "--view big: one of "),
    (["attach", "demo", "--view", "big"], "--view big: one of "),
    (["attach", "demo", "--from", "then"], "--from then: "),
    (["attach", "demo", "--from", "-3"], "--from -3: "),
    (["run", "--view", "big", "--", "true"], "--view big: one of "),
    (["run", "--log", "xml", "--", "true"], "--log xml: one of sqlite, jsonl"),
    (["run", "--format", "x", "--", "true"], "unknown format 'x': `durastream formats` lists them"),
    (["run", "--tag", "x", "--", "true"], "--tag x: a tag is key=value"),
    (["run", "--name", "a/b", "--", "true"], "--name takes "),
    (["run", "--name", "", "--", "true"], "--name takes "),
    (["run"], "missing argument 'COMMAND"),
    (["run", "--nope", "true"], "no such option: --nope"),
    (["demo", "--log", "xml"], "--log xml: one of "),
    (["demo", "--view", "big"], "--view big: one of "),
    (["list", "--status", "dead"], "--status dead: one of running, "),
    (["list", "--limit", "-1"], "--limit -1: a whole number, 0 or more"),
    (["list", "--limit", "x"], "--limit x: a whole number, 0 or more"),
    (["events", "demo", "--after", "1.5"], "--after 1.5: a whole number, 0 or more"),
    (["cancel", "demo", "--grace", "nan"], "--grace nan: a number, 0 or more"),
    (["cancel", "demo", "--grace", "-1"], "--grace -1: a number, 0 or more"),
    (["check", "demo", "--name", "n", "--outcome", "pass", "--score", "high"], "--score high: a number"),
    (["verify", "demo", "--severity", "bad"], "--severity bad: one of error, warning, info"),
    (["verify", "demo", "--first-event", "soon"], "--first-event soon: a time such as 30s or 500ms"),
    (["verify", "--all", "demo"], "name runs or say --all, not both"),
    (["show"], "missing argument 'RUN'"),
    (["rm"], "missing argument 'RUN"),
    (["seal", "demo", "--sign"], "option '--sign' requires an argument: see durastream seal --help\n"),
    (["nonsense"], "no such command 'nonsense'"),
    (["sleep", "9"], "no such command 'sleep': to record that program: durastream run -- sleep\n"),
    (["--nonsense"], "no such option: --nonsense"),
]


@pytest.mark.parametrize(("words", "said"), USAGE, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_a_mistake_in_the_words_is_one_line_and_2(
    shelf: Cli, words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DURASTREAM_STORE", str(shelf.store))
    assert ended(lambda: app_main(words)) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.fullmatch(r"durastream: .+\n", printed.err)
    assert said in printed.err


def test_a_run_that_is_not_there_or_not_one(shelf: Cli) -> None:
    for command in ("show", "verify", "attach", "cancel", "recover", "rm"):
        done = shelf(command, "zzzz", code=3)
        assert done.stderr == f"durastream: no run 'zzzz' in {shelf.store}: `durastream list` shows what there is\n"
    assert "there is no run @9" in shelf("show", "@9", code=3).stderr
    assert "there is no file ./none.db" in shelf("show", "./none.db", code=3).stderr
    assert "no run is live in" in shelf("attach", code=3).stderr


def test_a_store_without_runs_says_why_there_are_none(ds: Cli) -> None:
    gone, file = ds.folder / "gone", ds.folder / "file"
    file.touch()
    ds.store.mkdir(exist_ok=True)
    for store, why in ((gone, ": No such file or directory"), (file, ": Not a directory"), (ds.store, "")):
        said = f"no runs in {store}{why}"
        hint = "" if store == file else ": durastream run -- COMMAND records one"
        assert ds("list", "--store", str(store)).stderr == f"durastream: {said}{hint}\n"
        assert ds("verify", "--all", "--store", str(store), code=3).stderr == (
            f"durastream: {said}: nothing was verified\n"
        )
        assert f"there is no run latest: {said}\n" in ds("show", "latest", "--store", str(store), code=3).stderr


def test_a_list_of_none_of_the_runs_says_nothing_of_the_store(shelf: Cli) -> None:
    assert shelf.here("list", "--limit", "0").stderr == ""


def test_a_report_that_cannot_be_written_is_named_by_its_option(shelf: Cli) -> None:
    for option in ("--junit", "--sarif"):
        path = str(shelf.folder / "none" / "report")
        said = shelf("verify", "demo", option, path, code=1).stderr
        assert said == f"durastream: {option} {path}: No such file or directory: the report was not written\n"


def test_an_ambiguous_run_shows_the_candidates(ds: Cli) -> None:
    ids: dict[str, list[str]] = {}
    while not any(len(same) > 1 for same in ids.values()):
        run_id = ds("run", "-d", "--", "true").stdout.strip()
        ids.setdefault(run_id[0], []).append(run_id)
        assert sum(map(len, ids.values())) <= 40
    first, same = next((first, same) for first, same in ids.items() if len(same) > 1)
    done = ds("show", first, code=3)
    assert done.stderr == f"durastream: {first} fits 2 runs: {', '.join(sorted(same))}: type more of the id\n"


def test_a_file_that_is_no_recording(ds: Cli) -> None:
    other = ds.folder / "other.db"
    with sqlite3.connect(other) as db:
        db.execute("create table t (x)")
    db.close()
    (ds.folder / "text.jsonl").write_text("hello\n", encoding="utf-8")
    (ds.folder / "empty.db").touch()
    (ds.folder / "folder.db").mkdir()
    for name in ("other.db", "text.jsonl", "empty.db", "folder.db"):
        for command in ("show", "rm"):
            done = ds(command, f"./{name}", code=3)
            assert name in done.stderr
            assert len(done.stderr.splitlines()) == 1
        assert (ds.folder / name).exists()


def test_a_recording_of_a_later_version(ds: Cli) -> None:
    for log in ("sqlite", "jsonl"):
        ds("run", "--log", log, "--name", log, "--", "true")
        path = next(ds.store.glob(f"{ds.show(log)['run_id']}.*"))
        if log == "sqlite":
            with sqlite3.connect(path) as db:
                db.execute("pragma user_version=99")
            db.close()
        else:
            path.write_text(path.read_text(encoding="utf-8").replace('"durastream":1', '"durastream":99'), "utf-8")
        done = ds("show", str(path), code=3)
        assert "has format 99, this durastream reads up to 1: upgrade it" in done.stderr


def test_a_store_that_cannot_be_written_starts_nothing(ds: Cli) -> None:
    (ds.folder / "file").touch()
    for store in ("file", "file/below", "/dev/null/x", "/proc/durastream"):
        done = ds("run", "--store", store, "--", "touch", "started", code=125)
        assert store.rpartition("/below")[0] or store in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not (ds.folder / "started").exists()


def test_a_store_that_is_read_only_can_be_looked_at(ds: Cli) -> None:
    for log in ("sqlite", "jsonl"):
        ds("run", "--log", log, "--name", log, "--", "echo", log)
    mounted = f"mount --bind {ds.store} {ds.store} && mount -o remount,ro,bind {ds.store}"
    if not shutil.which("unshare") or ds.sh(f"unshare -m sh -c '{mounted}'").returncode:
        pytest.skip("needs root, to mount a folder read-only")

    def read_only(words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = ds.sh(f"unshare -m sh -c '{mounted} && $ds {words}'")
        assert done.returncode == code, done.stderr
        return done

    assert [read_only(f"cat {log}").stdout for log in ("sqlite", "jsonl")] == ["sqlite\n", "jsonl\n"]
    assert len(read_only("list").stdout.splitlines()) == 2
    read_only("verify --all")
    read_only("replay sqlite --speed max")
    assert f"cannot write to the store {ds.store}" in read_only("run -- touch started", 125).stderr
    assert not (ds.folder / "started").exists()
    assert "Read-only file system" in read_only("rm jsonl", 125).stderr


def test_an_output_that_is_full_is_said(shelf: Cli) -> None:
    for command in ("list", "show demo", "show demo --json", "events demo", "cat demo", "verify", "--help", "--version",
                    "attach demo --view plain", "replay demo --view json --speed max"):  # fmt: skip
        done = shelf.sh(f"$ds {command} > /dev/full")
        assert (done.returncode, done.stderr) == (1, "durastream: cannot write the output: No space left on device\n")


def test_an_output_that_closes_is_no_error(shelf: Cli) -> None:
    for command in ("list", "show demo", "events demo", "--help"):
        done = shelf.sh(f"$ds {command} | true; echo ${{PIPESTATUS[0]}}")
        assert done.stderr == ""
        assert done.stdout in ("141\n", "0\n"), "0 where it fits into the pipe before that is closed"


def test_cancel_and_recover_of_what_is_over(shelf: Cli) -> None:
    run_id = shelf.show("demo")["run_id"]
    assert shelf("cancel", "demo", code=1).stderr == f"durastream: run {run_id} is over: completed\n"
    assert shelf("recover", "demo").stderr == f"durastream: run {run_id} is finished: there is nothing to recover\n"


def test_debug_gives_a_traceback(shelf: Cli) -> None:
    done = shelf.bytes("--debug", "show", "zzzz")
    assert done.returncode == 1
    assert b"RunNotFound" in done.stderr
