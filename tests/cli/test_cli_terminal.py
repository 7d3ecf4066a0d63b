"""`durastream` in a terminal: the live view, keys and signals, hang-up, and a terminal left as it was."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest
from cli_kit import CLI, Cli, eventually, recorded

from durastream.testing import scripted

PLANS = """
import json, os, sys, time
def emit(type, **data):
    with open(os.environ["DURASTREAM_EVENTS"], "a") as file:
        file.write(json.dumps({"type": type, "data": data}) + "\\n")
def wait(name):
    while not os.path.exists(os.path.join(sys.argv[1], name)): time.sleep(0.02)
emit("plan.created", steps=[{"id": "a", "title": "Look around", "status": "active"}, {"id": "b", "title": "Write it"}])
emit("step.started", step_id="s", title="search the web", kind="tool")
wait("1")
emit("step.completed", step_id="s", status="ok")
emit("text.delta", message_id="answer", text="The answer is ")
wait("2")
emit("text.delta", message_id="answer", text="forty-two.")
"""

LISTENS = """
import signal, sys, time
def heard(number, frame): print("heard", signal.Signals(number).name, flush=True)
for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, heard)
print("ready", flush=True)
while True: time.sleep(0.05)
"""


def python(script: str, *words: str) -> list[str]:
    return ["--", sys.executable, "-S", "-c", script, *words]


def test_plan_steps_and_draft_are_seen_before_the_answer_is_there(ds: Cli) -> None:
    own = ds.terminal("run", "--name", "seen", *python(PLANS, str(ds.folder)))
    shown = own.until("● running", "▶ Look around", "· Write it", "▶ search the web", "d detach · Ctrl-C stop")
    assert shown.splitlines()[0].startswith("seen  ")
    joined = ds.terminal("attach", size=(120, 40))
    joined.until("● running", "▶ Look around", "▶ search the web", "q leave")
    said = ds("show", "seen").stdout
    for each in ("running: as of event", "▶ Look around", "▶ search the web"):
        assert each in said
    (ds.folder / "1").touch()
    for terminal in (own, joined):
        terminal.until("The answer is", "✓ search the web")
    assert ds.show("seen")["answer"] is None
    (ds.folder / "2").touch()
    for terminal in (own, joined):
        assert terminal.wait() == 0
        assert terminal.restored()
        assert "✓ completed" in terminal.text
        assert "The answer is forty-two." in terminal.text
    assert ds.show("seen")["seal"] in own.text.replace("\n", "")
    assert ds.show("seen")["seal"] in joined.text.replace("\n", "")


def test_ctrl_c_goes_to_the_agent_and_the_footer_tells(ds: Cli) -> None:
    terminal = ds.terminal("run", *python(LISTENS))
    terminal.until("ready", "d detach")
    terminal.press("\x03")
    terminal.until("heard SIGINT", "sent SIGINT; Ctrl-C again sends SIGTERM")
    terminal.press("\x03")
    terminal.until("heard SIGTERM", "sent SIGTERM; Ctrl-C again sends SIGKILL")
    terminal.press("\x03")
    assert terminal.wait() == 128 + signal.SIGKILL
    assert terminal.restored()
    assert "✗ interrupted" in terminal.text
    shown = ds.show()
    assert (shown["status"], shown["signal"], shown["draft"]) == (
        "interrupted",
        "SIGKILL",
        "ready\nheard SIGINT\nheard SIGTERM\n",
    )
    asked = [event["data"] for event in ds.events() if event["type"] == "run.cancel_requested"]
    assert [each["signal"] for each in asked] == ["SIGINT", "SIGTERM", "SIGKILL"]
    assert {each["by"] for each in asked} == {"ctrl-c"}


def test_ctrl_c_before_the_view_is_there_goes_to_the_agent_too(ds: Cli) -> None:
    terminal = ds.terminal("run", "--", "sleep", "600")
    run_id = ds.run_id()
    eventually(lambda: (ds.store / ".spool" / run_id / "agent.json").exists(), "the agent")
    terminal.press("\x03")
    assert terminal.wait() == 128 + signal.SIGINT
    assert b"__main__.py" not in terminal.raw, "no traceback of ours"
    assert ds.show(run_id)["status"] == "interrupted"


def test_d_detaches_and_says_how_to_come_back(ds: Cli) -> None:
    terminal = ds.terminal("run", *python(PLANS, str(ds.folder)))
    terminal.until("▶ search the web")
    terminal.press("d")
    assert terminal.wait() == 0
    assert terminal.restored()
    run_id = ds.run_id()
    assert f"detached: run {run_id} goes on: durastream attach {run_id}" in terminal.text
    assert ds.show(run_id)["status"] == "running"
    (ds.folder / "1").touch()
    (ds.folder / "2").touch()
    assert ds.finished(run_id)["answer"]["text"] == "The answer is forty-two."


def test_a_terminal_that_closes_detaches_and_the_run_goes_on(ds: Cli) -> None:
    for view in ("live", "raw"):
        for flag in ("1", "2"):
            (ds.folder / flag).unlink(missing_ok=True)
        terminal = ds.terminal("run", "--view", view, *python("print('up', flush=True)\n" + PLANS, str(ds.folder)))
        terminal.until("up")
        run_id = ds.run_id()
        terminal.hang_up()
        terminal.process.wait(60)
        assert ds.show(run_id)["status"] == "running"
        (ds.folder / "1").touch()
        (ds.folder / "2").touch()
        assert ds.finished(run_id)["status"] == "completed"
        ds("verify", run_id)


def test_sigterm_to_the_live_view_goes_to_the_agent(ds: Cli) -> None:
    terminal = ds.terminal("run", *python(LISTENS))
    terminal.until("ready")
    terminal.process.send_signal(signal.SIGTERM)
    terminal.until("heard SIGTERM", "● running")
    for sent in ("SIGINT", "SIGTERM"):
        terminal.press("\x03")
        terminal.until(f"sent {sent};")
    terminal.press("\x03")
    assert terminal.wait() == 128 + signal.SIGKILL
    assert terminal.restored()


@pytest.mark.parametrize("key", ["q", "d", "\x03"])
def test_attach_and_replay_are_only_left(ds: Cli, key: str) -> None:
    run_id, flag = ds.waiting(before="print('here', flush=True)\n")
    viewer = ds.terminal("attach", run_id)
    viewer.until("here", "q leave")
    viewer.press(key)
    assert viewer.wait() == 0
    assert viewer.restored()
    assert [event["type"] for event in ds.events(run_id)].count("run.cancel_requested") == 0
    flag.touch()
    ds.finished(run_id)
    again = ds.terminal("replay", run_id, "--speed", "0.01x")
    again.until("● running", "q leave")
    again.press(key)
    assert again.wait() == 0
    assert again.restored()


def test_attach_to_a_run_that_is_over_shows_its_end(shelf: Cli) -> None:
    terminal = shelf.terminal("attach", "three")
    assert terminal.wait() == 3
    assert "✗ failed · exit code 3" in terminal.text
    assert terminal.text.replace("\n", "").count(shelf.show("three")["seal"]) == 1
    assert b"\x1b[?1049h" not in terminal.raw, "there is nothing to wait for"


def test_replay_plays_on_the_screen_and_leaves_the_end(shelf: Cli) -> None:
    terminal = shelf.terminal("replay", "demo", "--speed", "0.3x", size=(120, 40))
    terminal.until("● running", "▶ Write the answer")
    assert terminal.wait() == 0
    assert terminal.restored()
    assert "✓ completed" in terminal.raw.decode()
    assert terminal.text.replace("\n", "").count(shelf.show("demo")["seal"]) == 1


def test_the_keys_play_a_recording(ds: Cli) -> None:
    told = [
        ("step.started", {"step_id": "a", "title": "look around"}, 10.0),
        ("step.completed", {"step_id": "a", "status": "ok"}, 20.0),
        ("step.started", {"step_id": "b", "title": "write it down"}, 40.0),
        ("text.delta", {"message_id": "m", "text": "some words"}, 60.0),
        ("log.line", {"text": "the last line"}, 100.0),
    ]
    path = recorded(ds.folder, scripted(told, exit_status={"exit_code": 0}))
    terminal = ds.terminal("replay", str(path), "--speed", "0.1x", "--idle-limit", "off")
    terminal.until("● running", "0.1x", "0:00 / 1:40", "? keys")
    for key, shown in (
        (" ", "❚❚ 0:00"),
        ("5", "▶ write it down"),
        ("\x1b[D", "0:45 / 1:40"),
        ("[", "0:40 / 1:40"),
        ("[", "▶ look around"),
        (".", "✓ look around"),
        ("+", "0.25x"),
        ("\x1b[H", "1 events"),
        ("]", "▶ look around"),
        ("\x1b[C", "0:15 / 1:40"),
        ("/WORDS\r", "found: WORDS"),
        ("e", "text: some words"),
        (".", "text: the last line"),
        ("?", "to a tenth of the run"),
        ("\x1b[F", "to a tenth of the run"),
        ("?", "event 7"),
        ("e", "✗ failed"),
    ):
        terminal.press(key)
        terminal.until(shown)
    terminal.press("q")
    assert terminal.wait() == 0
    assert terminal.restored()


def test_a_silence_that_is_cut_is_told_on_the_screen(ds: Cli) -> None:
    told = [("log.line", {"text": "a"}, 1.0), ("log.line", {"text": "b"}, 120.0)]
    path = recorded(ds.folder, scripted(told, exit_status={"exit_code": 0}))
    terminal = ds.terminal("replay", str(path), "--speed", "2x")
    terminal.until("a silence of 1:59 is played as 5 s; --idle-limit off keeps it")
    assert terminal.wait() == 0


def test_who_looks_back_in_a_run_that_goes_on_can_return_to_it_and_is_not_put_out_at_its_end(ds: Cli) -> None:
    terminal = ds.terminal("run", *python(PLANS, str(ds.folder)))
    terminal.until("▶ search the web")
    terminal.press("\x1b[H ")
    terminal.until("❚❚ 0:00", "1 events")
    (ds.folder / "1").touch()
    terminal.press("f")
    terminal.until("✓ search the web", "The answer is")
    assert "❚❚" not in terminal.text
    terminal.press(" ")
    terminal.until("❚❚", "paused")
    (ds.folder / "2").touch()
    run_id = ds.run_id()
    assert ds.finished(run_id)["status"] == "completed"
    assert terminal.process.poll() is None
    terminal.press("f")
    assert terminal.wait() == 0
    assert terminal.restored()
    assert "The answer is forty-two." in terminal.text
    assert f"{run_id} completed" in terminal.text


def test_who_leaves_while_looking_back_at_a_run_that_is_over_is_told_how_it_ended(ds: Cli) -> None:
    terminal = ds.terminal("run", *python(PLANS, str(ds.folder)))
    terminal.until("▶ search the web")
    terminal.press(" ")
    terminal.until("❚❚")
    for flag in ("1", "2"):
        (ds.folder / flag).touch()
    ds.finished(ds.run_id())
    terminal.press("q")
    assert terminal.wait() == 0
    assert "detached" not in terminal.text
    assert " completed · " in terminal.text


def test_the_screen_follows_the_size_of_the_terminal(ds: Cli) -> None:
    terminal = ds.terminal("run", *python(PLANS, str(ds.folder)))
    terminal.until("▶ search the web")
    for size in ((40, 12), (120, 40), (20, 5), (80, 24)):
        terminal.resize(*size)
        terminal.until("running")
        eventually(lambda size=size: terminal.read() or len(terminal.text.splitlines()) <= size[1], "a frame")
    terminal.until("▶ search the web")
    (ds.folder / "1").touch()
    (ds.folder / "2").touch()
    assert terminal.wait() == 0


def test_a_tiny_terminal_shows_how_the_run_stands(ds: Cli) -> None:
    terminal = ds.terminal("run", *python(PLANS, str(ds.folder)), size=(10, 3))
    terminal.until("running", "▶ Look")
    terminal.press(" ?\t")
    terminal.press("q")
    assert terminal.wait() == 0
    assert terminal.restored()


def test_a_terminal_of_another_encoding_gets_plain_lines(ds: Cli) -> None:
    ds("run", "--name", "x", "--view", "none", "--", "echo", "hello")
    terminal = ds.terminal("replay", "x", env={"PYTHONIOENCODING": "latin-1"})
    assert terminal.wait() == 0
    assert b"\x1b" not in terminal.raw
    assert b" run      * x: echo hello" in terminal.raw


def test_columns_are_respected(shelf: Cli) -> None:
    terminal = shelf.terminal("replay", "demo", "--speed", "0.1x", env={"COLUMNS": "50", "LINES": "12"})
    terminal.until("● running", "? keys")
    assert max(len(line) for line in terminal.text.splitlines()) == 50
    terminal.press("q")
    assert terminal.wait() == 0


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"TERM": ""}])
def test_a_terminal_that_cannot_paint_gets_plain_lines(ds: Cli, env: dict[str, str]) -> None:
    for words in (
        ("run", "--", "echo", "hello"),
        ("replay", "latest", "--speed", "max"),
        ("demo", "--fast", "--view", "live"),
    ):
        terminal = ds.terminal(*words, env=env)
        assert terminal.wait() == 0
        assert b"\x1b" not in terminal.raw
        assert b" run      " in terminal.raw


def test_no_color_is_respected(shelf: Cli) -> None:
    for words in (("show", "demo"), ("replay", "demo", "--speed", "max"), ("list",)):
        terminal = shelf.terminal(*words, env={"NO_COLOR": "1"})
        terminal.wait()
        coloured = [each for each in range(30, 48) if f"\x1b[{each}m".encode() in terminal.raw]
        assert coloured == []


@pytest.mark.parametrize("columns", [40, 80])
def test_list_fits_the_terminal(shelf: Cli, columns: int) -> None:
    terminal = shelf.terminal("list", size=(columns, 24))
    assert terminal.wait() == 0
    lines = [line for line in terminal.text.splitlines() if line]
    assert len(lines) == 4, "one line a run"
    assert any(line.endswith("…") for line in lines)


def test_verify_fits_the_terminal(shelf: Cli) -> None:
    terminal = shelf.terminal("verify", "demo", "--seal", "0" * 64)
    assert terminal.wait() == 1
    lines = [line for line in terminal.text.splitlines() if line]
    assert max(map(len, lines)) <= 80
    assert shelf.show("demo")["seal"] in terminal.text.replace("\n", ""), "whole, to be copied"


def test_in_the_c_locale_and_in_ascii_there_is_no_error(shelf: Cli) -> None:
    for env in ({"LANG": "C"}, {"LC_ALL": "POSIX"}, {"PYTHONIOENCODING": "ascii"}):
        for words in (("show", "demo"), ("replay", "demo", "--speed", "max")):
            assert shelf(*words, env=env).stderr == ""
    for command in ("list", "verify", "cat"):
        shelf(command, *(["demo"] if command != "list" else []), env={"PYTHONIOENCODING": "ascii"})
    terminal = shelf.terminal("replay", "demo", "--speed", "max", env={"PYTHONIOENCODING": "ascii"})
    assert terminal.wait() == 0
    assert terminal.restored()


# job control, in a real shell in a real terminal multiplexer


@pytest.fixture
def tmux(ds: Cli) -> Iterator[Tmux]:
    if not shutil.which("tmux"):
        pytest.skip("tmux is not installed")
    made = Tmux(ds)
    yield made
    made.end()


class Tmux:
    def __init__(self, ds: Cli) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="dscli-", dir="/tmp")  # a socket's path must be short
        self._socket = f"{self._folder.name}/tmux"
        (ds.folder / "ds").write_text("#!/bin/sh\nexec " + " ".join(CLI) + ' "$@"\n', encoding="utf-8")
        (ds.folder / "ds").chmod(0o755)
        self._environ = {**ds.environ, "PS1": "$ ", "PATH": f"{ds.folder}:{ds.environ['PATH']}"}
        self(
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "80",
            "-y",
            "24",
            "-c",
            str(ds.folder),
            "bash --norc --noprofile",
        )

    def __call__(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", self._socket, *words],
            env=self._environ,
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        )
        return done.stdout

    def type(self, *keys: str) -> None:
        self("send-keys", *keys)

    def until(self, *shown: str) -> str:
        return eventually(lambda: (text := self("capture-pane", "-p")) and all(each in text for each in shown) and text,
                          f"{shown}")  # fmt: skip

    def until_prompt(self) -> None:
        """Wait for the shell: what is typed before it has the terminal is read by whoever has it."""
        eventually(lambda: self("capture-pane", "-p").rstrip().rpartition("\n")[2].startswith("bash-"), "a prompt")

    def end(self) -> None:
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], check=False, capture_output=True)
        self._folder.cleanup()


def test_ctrl_z_gives_the_shell_back_and_fg_the_picture(ds: Cli, tmux: Tmux) -> None:
    script = ds.folder / "plans.py"
    script.write_text(PLANS, encoding="utf-8")
    tmux.until("bash-")
    tmux.type(f"ds run -- python3 {script} .", "Enter")
    tmux.until("▶ search the web", "d detach")
    tmux.type("C-z")
    tmux.until("Stopped")
    tmux.until_prompt()
    tmux.type("stty -a | grep -ow -e '-echo' -e '-icanon'; echo; echo shell is back", "Enter")
    assert "\n-echo" not in tmux.until("\nshell is back")
    (ds.folder / "1").touch()
    run_id = ds.run_id()
    eventually(lambda: ds.show(run_id)["draft"] == "The answer is ", "the agent goes on")
    tmux.type("fg", "Enter")
    tmux.until("The answer is", "✓ search the web", "d detach")
    (ds.folder / "2").touch()
    tmux.until("✓ completed", "The answer is forty-two.", "· reconciled ·")
    tmux.until_prompt()
    tmux.type("clear; stty -a | grep -ow -e '-echo' -e '-icanon'; echo; echo shell is back", "Enter")
    assert "\n-echo" not in tmux.until("\nshell is back")


def test_ctrl_z_and_ctrl_c_in_the_table_of_runs_give_the_shell_back(ds: Cli, tmux: Tmux) -> None:
    ds("run", "--name", "ended", "--", "true")
    tmux.until("bash-")
    tmux.type("ds list --watch", "Enter")
    tmux.until("0 running of 1", "Enter attach")
    tmux.type("C-z")
    tmux.until("Stopped")
    tmux.until_prompt()
    tmux.type("fg", "Enter")
    tmux.until("0 running of 1", "Enter attach")
    tmux.type("C-c")
    tmux.until_prompt()
    tmux.type("clear; stty -a | grep -ow -e '-echo' -e '-icanon'; jobs; echo; echo shell is back", "Enter")
    shown = tmux.until("\nshell is back")
    assert "\n-echo" not in shown
    assert "Running" not in shown


def test_a_killed_multiplexer_leaves_the_run_alone(ds: Cli, tmux: Tmux) -> None:
    script = ds.folder / "plans.py"
    script.write_text(PLANS, encoding="utf-8")
    tmux.until("bash-")
    tmux.type(f"ds run -- python3 {script} .", "Enter")
    tmux.until("▶ search the web")
    run_id = ds.run_id()
    tmux.end()
    (ds.folder / "1").touch()
    (ds.folder / "2").touch()
    assert ds.finished(run_id)["status"] == "completed"
