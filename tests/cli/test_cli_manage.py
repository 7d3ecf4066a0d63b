"""Commands that change something, and how a run and a store are named."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from cli_kit import Cli, eventually

from durastream import recorder
from durastream.spool import Spool


def names(ds: Cli) -> list[str]:
    return sorted(path.name for path in ds.store.iterdir() if not path.name.startswith("."))


def test_cancel_ends_a_run_and_records_that_it_was_asked_for(ds: Cli) -> None:
    run_id, _ = ds.waiting()
    done = ds("cancel", run_id)
    assert (done.stdout, done.stderr) == ("", f"durastream: {run_id} cancelled\n")
    assert ds.show(run_id)["status"] == "cancelled"
    asked = [event["data"]["by"] for event in ds.events(run_id) if event["type"] == "run.cancel_requested"]
    assert asked == ["cancel"]
    assert ds("cancel", run_id, code=1).stderr == f"durastream: run {run_id} is over: cancelled\n"


def test_cancel_kills_what_does_not_end_in_time(ds: Cli) -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
    run_id = ds("run", "-d", "--", "sh", "-c", script).stdout.strip()
    eventually(lambda: ds.show(run_id)["draft"] == "ready\n", "the agent")
    ds("cancel", run_id, "--grace", "0.2")
    shown = ds.show(run_id)
    assert (shown["status"], shown["signal"]) == ("cancelled", "SIGKILL")


def test_recover_finishes_what_was_left(ds: Cli) -> None:
    assert ds("recover").stderr == f"durastream: nothing to recover in {ds.store}\n"
    run_id, flag = ds.waiting(before="print('kept', flush=True)\n")
    assert "is being recorded: it was left alone" in ds("recover", run_id).stderr
    spool = Spool(str(ds.store), run_id)
    eventually(lambda: ds.show(run_id)["draft"] == "kept\n", "the text")
    for who in ("supervisor", "recorder"):
        os.kill(int(Path(spool.file(f"{who}.lock")).read_text(encoding="ascii")), 9)
    eventually(lambda: not spool.alive(), "their end")
    flag.touch()
    eventually(lambda: not spool.agent_alive(), "the agent's end")
    done = ds("recover", run_id)
    assert done.stdout == f"{run_id} unknown\n"
    assert ds("cat", run_id).stdout == "kept\n"
    assert "is finished: there is nothing to recover" in ds("recover", run_id).stderr
    ds("verify", run_id)


def test_a_run_that_cannot_be_finished_is_named_and_hides_no_other(ds: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    ds("run", "--name", "well", "--", "true")
    run_id, flag = ds.waiting(before="print('kept', flush=True)\n")
    spool = Spool(str(ds.store), run_id)
    eventually(lambda: ds.show(run_id)["draft"] == "kept\n", "the text")
    for who in ("supervisor", "recorder"):
        os.kill(int(Path(spool.file(f"{who}.lock")).read_text(encoding="ascii")), 9)
    flag.touch()
    eventually(lambda: not spool.alive() and not spool.agent_alive(), "their end")

    def fail(*_: object) -> None:
        raise KeyError("text")

    with monkeypatch.context() as patched:
        patched.setattr(recorder, "_record", fail)
        listed = ds.here("list").stdout
        assert "orphaned" in listed
        assert "well" in listed
        said = ds.here("recover", code=1).stderr
        assert f"run {run_id}: its recorder failed, a fault of durastream: KeyError('text')" in said
    assert ds.here("recover").stdout == f"{run_id} unknown\n"


def test_rm_removes_and_refuses_what_is_live(ds: Cli) -> None:
    ds("run", "--name", "one", "--", "true")
    ds("run", "--name", "two", "--log", "jsonl", "--", "true")
    live, flag = ds.waiting()
    said = ds("rm", live, code=1).stderr
    assert said == f"durastream: run {live} is not over: `durastream cancel {live}` first\n"
    ds("rm", "one", "no-such", code=3)
    assert len(names(ds)) >= 3, "all are looked up before the first is removed"
    ds("rm", "one", "two")
    assert [name for name in names(ds) if not name.startswith(live)] == []
    flag.touch()
    ds.finished(live)
    ds("rm", live)
    assert names(ds) == []


def test_rm_of_a_copy_leaves_the_run(ds: Cli) -> None:
    for log in ("sqlite", "jsonl"):
        ds("run", "--log", log, "--", "echo", log)
        run_id = ds.show()["run_id"]
        path = next(ds.store.glob(f"{run_id}.*"))
        copy = path.with_name("backup" + path.suffix)
        shutil.copy(path, copy)
        assert ds("cat", str(copy)).stdout == f"{log}\n"
        ds("rm", str(copy))
        assert not copy.exists()
        assert ds("cat", run_id).stdout == f"{log}\n"


def test_init_makes_a_store_that_git_leaves_alone(ds: Cli) -> None:
    new = ds.folder / "new"
    done = ds("init", str(new))
    assert done.stderr == f"durastream: runs started below {new} are kept in {new}/recordings\n"
    assert os.stat(new / "recordings").st_mode & 0o777 == 0o700
    ignored = (new / "recordings" / ".gitignore").read_text(encoding="utf-8")
    assert {"*.db", ".spool/"} <= set(ignored.splitlines())
    ds("run", "--", "true", cwd=new)
    assert len(list((new / "recordings").glob("*.db"))) == 1
    (new / "recordings" / ".gitignore").write_text("mine\n", encoding="utf-8")
    ds("init", cwd=new)
    assert (new / "recordings" / ".gitignore").read_text(encoding="utf-8") == "mine\n"
    (ds.folder / "file").touch()
    assert "cannot make" in ds("init", str(ds.folder / "file"), code=125).stderr


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_git_sees_nothing_of_a_recording(ds: Cli) -> None:
    done = ds.sh("git init -q && $ds init && $ds run -- true && git status --porcelain -uall")
    assert done.stdout == "?? recordings/.gitignore\n"


def test_recordings_are_private(ds: Cli) -> None:
    run_id, flag = ds.waiting()
    eventually(lambda: ds.show(run_id)["last_seq"], "an event")
    for path in ds.store.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    flag.touch()


@pytest.mark.parametrize("command", ["show", "events", "cat", "verify", "attach", "replay", "recover", "cancel"])
def test_a_run_can_be_named_in_every_way_everywhere(shelf: Cli, command: str) -> None:
    run_id = shelf.show("demo")["run_id"]
    path = next(shelf.store.glob(f"{run_id}.*"))
    options = {"replay": ["--speed", "max", "--view", "none"], "attach": ["--view", "plain"]}.get(command, [])
    code = 1 if command == "cancel" else 0
    said = set()
    forms = [run_id, run_id[:5], "@2", "demo", str(path), f"./recordings/{path.name}"]
    for ref in forms if command == "show" else forms[3:5]:
        done = shelf(command, ref, *options, code=code)
        said.add((done.stdout, done.stderr))
    assert len(said) == 1


def test_rm_takes_every_form_too(ds: Cli) -> None:
    for name in ("a-a", "b-b", "c-c", "d-d", "e-e", "f-f"):
        ds("run", "--name", name, "--", "true")
    third = ds.show("@3")["run_id"]
    path = next(ds.store.glob(f"{ds.show('@4')['run_id']}.*"))
    ds("rm", "latest", "@2", third, str(path), "b-b", ds.show("a-a")["run_id"][:5])
    assert names(ds) == []


def test_which_store_is_meant(ds: Cli, tmp_path: Path) -> None:
    named, environ, home = tmp_path / "named", tmp_path / "environ", tmp_path / "home"
    bare = tmp_path / "bare"
    bare.mkdir()
    below = ds.folder / "a" / "b"
    below.mkdir(parents=True)
    ds("run", "--", "true", cwd=below)
    assert len(names(ds)) == 1, "the nearest recordings folder above"
    ds("run", "--", "true", cwd=below, env={"DURASTREAM_STORE": str(environ)})
    assert len(list(environ.glob("*.db"))) == 1
    ds("run", "--store", str(named), "--", "true", cwd=below, env={"DURASTREAM_STORE": str(environ)})
    assert (len(list(named.glob("*.db"))), len(list(environ.glob("*.db")))) == (1, 1)
    ds("run", "--store", "relative", "--", "true", cwd=bare)
    assert len(list((bare / "relative").glob("*.db"))) == 1
    ds("run", "--", "true", cwd=bare, env={"XDG_STATE_HOME": str(home)})
    assert len(list((home / "durastream" / "recordings").glob("*.db"))) == 1
    ds("run", "--", "true", cwd=bare, env={"HOME": str(home)})
    assert len(list((home / ".local" / "state" / "durastream" / "recordings").glob("*.db"))) == 1
    assert ds.sh("env -u HOME $ds list", env={"DURASTREAM_STORE": str(environ)}).returncode == 0
