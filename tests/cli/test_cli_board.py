"""`durastream list --watch` and `durastream` alone: the runs as they stand, on one screen, and into one of them."""

from __future__ import annotations

import io
import os
import signal
import sys

import pytest
from cli_kit import CLI, Cli, eventually
from rich.console import Console

from durastream.board import Board
from durastream.errors import RecordingError
from durastream.standing import Standing
from durastream.stores import FolderStore
from durastream.views.board import render
from durastream.views.keys import Keys

AGENT = """
import json, os, sys, time
def emit(type, **data):
    with open(os.environ["DURASTREAM_EVENTS"], "a") as file:
        file.write(json.dumps({"type": type, "data": data}) + "\\n")
def plan(*states):
    emit("plan.updated", steps=[{"id": str(n), "title": f"part {n}", "status": s} for n, s in enumerate(states)])
def wait(name):
    while not os.path.exists(os.path.join(sys.argv[1], name)): time.sleep(0.02)
plan("done", "active", "pending")
emit("step.started", step_id="s", title="search the web", kind="tool")
emit("text.delta", message_id="answer", text="Some words\\nand the last ones")
wait("1")
emit("step.completed", step_id="s", status="ok")
plan("done", "done", "active")
emit("text.delta", message_id="answer", text=" of all")
wait("2")
plan("done", "done", "done")
"""


def agent(ds: Cli, name: str) -> str:
    words = ("run", "-d", "--name", name, "--", sys.executable, "-S", "-c", AGENT, str(ds.folder))
    return ds(*words).stdout.strip()


@pytest.mark.parametrize("words", [(), ("list", "--watch")])
def test_the_table_lives_and_enter_attaches(ds: Cli, words: tuple[str, ...]) -> None:
    ds("run", "--name", "ended", "--", "sh", "-c", "echo what it said; exit 3", code=3)
    run_id = agent(ds, "research")
    table = ds.terminal(*words, size=(100, 24))
    shown = ("1 running of 2", "1/3", "▶ search the web", "and the last ones", "what it said", "Enter attach")
    screen = table.until(*shown)
    rows = screen.splitlines()[2:4]
    assert [row.split()[1:3] for row in rows] == [[run_id, "running"], [rows[1].split()[1], "failed"]]
    assert "Enter attach" in screen.splitlines()[-1]
    (ds.folder / "1").touch()
    table.until("2/3", "▶ part 2", "and the last ones of all")
    table.press("?")
    table.until("choose a run", "entries of its plan")
    table.press("?")
    table.until("2/3", "Enter attach")
    other = agent(ds, "later")
    table.until("2 running of 3", "later")
    table.press("\x1b[B\r")
    table.until("▶ part 2", "and the last ones of all", "q leave")
    table.press("q")
    table.until("2 running of 3", "Enter attach")
    (ds.folder / "2").touch()
    ds.finished(run_id)
    ds.finished(other)
    table.until("0 running of 3", "3/3", "completed")
    table.press("\x1b[F\r")
    table.until("what it said", "exit code 3", "a key goes back to the table")
    table.press(" ")
    table.until("0 running of 3", "Enter attach")
    table.press("q")
    assert table.wait() == 0
    assert table.restored()


def test_enter_on_a_run_with_a_terminal_gives_its_screen_and_its_keys(ds: Cli) -> None:
    ds("run", "-d", "--tty", "--name", "shell", "--", "cat")
    table = ds.terminal("list", "-w")
    table.until("shell", "running")
    table.press("\r")
    eventually(lambda: table.read() or "1 running" not in table.text, "the run's own screen")
    table.press("hello\r")
    table.until("hello\nhello")
    table.press("\x1cd")
    table.until("1 running of 1", "hello")
    table.press("\x03")
    assert table.wait() == 0
    assert table.restored()
    ds("cancel", "shell")


def test_without_a_terminal_or_without_runs_there_is_no_table(ds: Cli) -> None:
    assert "--watch needs a terminal" in ds("list", "--watch", code=2).stderr
    assert "exclude each other" in ds("list", "--watch", "--json", code=2).stderr
    assert "--status nothing" in ds("list", "--watch", "--status", "nothing", code=2).stderr
    terminal = ds.terminal()
    assert terminal.wait() == 0
    assert b"Usage: durastream" in terminal.raw


def test_only_the_runs_that_are_asked_for_are_in_the_table(ds: Cli) -> None:
    ds("run", "--name", "good", "--", "true")
    ds("run", "--name", "bad", "--", "false", code=1)
    table = ds.terminal("list", "--watch", "--status", "failed")
    assert "good" not in table.until("bad", "0 running of 1")
    table.press("q")
    assert table.wait() == 0


def test_a_look_reads_only_what_is_new(ds: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        ds("run", "--", "true")
    run_id, flag = ds.waiting(before="print('up', flush=True)\n")
    eventually(lambda: ds.show(run_id)["draft"], "the first word")
    board = Board(FolderStore(str(ds.store)))
    first = board.look(0.0)
    assert [(run.status, run.read) for run in first] == [("running", False), *[("completed", False)] * 3], "all at once"
    runs = board.look()
    assert all(run.read for run in runs)
    assert [run.status for run in runs] == ["running", *["completed"] * 3]
    assert runs[0].words == "up"
    opened: list[str] = []
    monkeypatch.setattr("durastream.board.open_reader", lambda path: opened.append(path))
    monkeypatch.setattr(FolderStore, "infos", lambda self: pytest.fail("nothing has come or gone"))
    for _ in range(20):
        assert board.look() == runs
    assert opened == []
    monkeypatch.undo()
    flag.touch()
    ds.finished(run_id)
    assert board.look()[0].status == "completed"
    os.unlink(ds.store / f"{run_id}.db")
    assert len(board.look()) == 3


def test_the_table_ends_with_ctrl_c_wherever_one_is(ds: Cli) -> None:
    ds("run", "--name", "ended", "--", "sh", "-c", "echo what it said")
    table = ds.terminal("list", "--watch")
    table.until("Enter attach")
    table.press("\x03")
    assert table.wait() == 0
    assert table.restored()
    table = ds.terminal("list", "--watch")
    table.until("Enter attach")
    table.press("\r")
    table.until("a key goes back to the table")
    table.press("\x03")
    assert table.wait() == 130
    assert table.restored()
    assert b"Traceback" not in table.raw
    run_id, flag = ds.waiting(before="print('up', flush=True)\n")
    table = ds.terminal("list", "--watch")
    table.until("1 running", "Enter attach")
    table.press("\r")
    table.until("up", "q leave")
    table.press("\x03")
    table.until("1 running of 2", "Enter attach")
    table.press("\r")  # while it goes from one to the other: in the run it leads back, in the table it ends
    eventually(lambda: table.process.poll() is not None or (table.press("\x03"), table.read(0.2))[0], "the end")
    assert table.wait() in (0, 130, -signal.SIGINT)  # the last one may come when Python itself is ending
    assert table.restored()
    flag.touch()
    ds.finished(run_id)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_table_and_the_terminal_is_as_it_was(ds: Cli, number: signal.Signals) -> None:
    ds("run", "--name", "ended", "--", "true")
    table = ds.terminal("list", "--watch")
    table.until("Enter attach")
    table.process.send_signal(number)
    assert table.wait() in (0, 128 + number, -number)
    assert table.restored()
    assert b"Traceback" not in table.raw


def test_ctrl_c_is_heard_where_it_was_ignored_before(ds: Cli) -> None:
    """A shell starts what it puts into the background so; brought to the front it has the keyboard all the same."""
    ds("run", "--name", "ended", "--", "true")
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    table = ds.in_terminal([sys.executable, "-c", ignoring, *CLI, "list", "--watch"])
    table.until("Enter attach")
    table.press("\x03")
    assert table.wait() == 0
    assert table.restored()


def test_an_error_of_the_store_ends_the_table_in_a_sentence(ds: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from durastream.views import board as view

    def broken(seconds: float) -> list[Standing]:
        raise RecordingError("the store is gone")

    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=40, height=8, _environ={"TERM": "xterm"})
    with pytest.raises(RecordingError, match="the store is gone"):
        view.show(broken, console=console, keys=Keys(-1))
    assert out.getvalue().endswith("\x1b[?1049l")


def runs(count: int) -> list[Standing]:
    hostile = "\x1b]0;x\x07\u202e日本"
    one = Standing("", f"run {hostile}", "failed", None, 100.0, None, 3, 7, hostile, hostile)
    return [one._replace(run_id=f"id{n:04}", status="running" if n < 3 else "failed") for n in range(count)]


@pytest.mark.parametrize("size", [(10, 3), (20, 5), (80, 24), (200, 60)])
def test_the_table_fits_any_window_and_shows_the_chosen_run(size: tuple[int, int]) -> None:
    width, height = size
    for chosen in ("id0000", "id0050", "id0099"):
        frame = render(runs(100), width=width, height=height, now=142.0, chosen=chosen)
        lines = [text.plain for text in frame.lines]
        assert len(lines) == height
        assert all(text.cell_len <= width for text in frame.lines)
        assert any(chosen in text for text in lines)
        assert not {"\x1b", "\x07", "\u202e"} & set("".join(lines))


def test_a_line_says_how_a_run_stands() -> None:
    row = Standing("k3v9p2", "research", "running", None, 100.0, None, 3, 7, "search the web", "the last words")
    said = [text.plain.rstrip() for text in render([row], width=80, height=24, now=142.0, title="here").lines]
    assert said[0].split() == ["durastream", "here", "1", "running", "of", "1"]
    assert said[2] == "● k3v9p2  running        42 s    3/7  research  ▶ search the web  the last words"
    ended = row._replace(status="failed", reconciled=False, duration=3.2, step="")
    said = [text.plain.rstrip() for text in render([ended], width=80, height=24, now=142.0).lines]
    assert said[2] == "✗ k3v9p2  failed !      3.2 s    3/7  research  the last words"
    keys = [text.plain for text in render([ended], width=40, height=9, now=142.0, helping=True).lines]
    assert any("these keys, and back" in text for text in keys)
    assert len(keys) == 9
    assert "no runs here yet" in render([], width=80, height=24, now=1.0).lines[3].plain
