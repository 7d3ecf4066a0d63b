"""`durastream run --tty`: real programs on a terminal of their own, typed to, left, joined, killed and replayed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_kit import PATIENCE, Cli, Terminal, eventually, recorded

from durastream.spool import Spool
from durastream.testing import scripted

LEAVE = "\x1cd"

LOGS = pytest.mark.parametrize("log", ["sqlite", "jsonl"])

FULL_SCREEN = """
import curses, json, os
def main(screen):
    while True:
        rows, columns = screen.getmaxyx()
        screen.erase()
        screen.addstr(0, 0, f"{columns} by {rows}")
        screen.addstr(rows - 2, 0, "the last but one", curses.A_BOLD)
        screen.refresh()
        key = screen.getch()
        if key == ord("e"):
            said = {"type": "quality.checked", "data": {"name": "pressed", "outcome": "pass"}}
            with open(os.environ["DURASTREAM_EVENTS"], "a") as file:
                file.write(json.dumps(said) + "\\n")
        if key == curses.KEY_UP:
            screen.addstr(3, 3, "up was pressed"); screen.refresh(); screen.getch()
        if key == ord("x"):
            return
curses.wrapper(main)
"""

COUNTS = """
import os, sys, time
for number in range(4000):
    print(f"line {number} of what must not be lost", flush=True)
    if number % 40 == 0: time.sleep(0.01)
while not os.path.exists(sys.argv[1]): time.sleep(0.02)
print("the end")
"""


def python(script: str, *words: str) -> list[str]:
    return ["--", sys.executable, "-S", "-c", script, *words]


def printed(events: list[dict[str, Any]]) -> str:
    return "".join(event["data"]["text"] for event in events if event["type"] == "terminal.output")


def holder(ds: Cli, run_id: str, who: str) -> int:
    return int((ds.store / ".spool" / run_id / f"{who}.lock").read_text())


def ended(ds: Cli, run_id: str) -> dict[str, Any]:
    shown = ds.finished(run_id)
    ds("verify", run_id)
    return shown


@LOGS
def test_a_program_has_a_terminal_and_what_it_prints_is_recorded_as_such(ds: Cli, log: str) -> None:
    script = "stty size; test -t 0 -a -t 1 -a -t 2 && echo all three; printf '\\033[31mred\\033[0m' >&2; exit 3"
    terminal = ds.terminal("run", "--tty", "--log", log, "--name", "t", "--", "sh", "-c", script, size=(91, 33))
    assert terminal.wait() == 3
    assert terminal.restored()
    assert "33 91\nall three\nred\n" in terminal.text
    events = ds.events("t")
    assert [event["type"] for event in events[:2]] == ["run.started", "terminal.resized"]
    assert events[1]["data"] == {"columns": 91, "rows": 33}
    assert printed(events) == "33 91\r\nall three\r\n\x1b[31mred\x1b[0m"
    assert {"text.delta", "log.line"}.isdisjoint(event["type"] for event in events)
    shown = ds.show("t")
    assert shown["terminal"] == {"columns": 91, "rows": 33, "lines": ["33 91", "all three", "red"]}
    assert (shown["status"], shown["answer"]) == ("failed", None)
    ds("verify", "t")
    assert ds("cat", "t").stdout == "33 91\nall three\nred\n"
    assert "all three" in ds("show", "t").stdout
    assert ds("replay", "t", "--view", "raw", "--speed", "max").stdout == "33 91\r\nall three\r\n\x1b[31mred\x1b[0m"


def test_without_a_terminal_around_it_the_program_has_one_of_80_by_24(ds: Cli) -> None:
    done = ds("run", "--tty", "--", "sh", "-c", "stty size; echo $TERM; test -t 0 || echo no")
    assert done.stdout == "24 80\r\nxterm-256color\r\n"


@pytest.mark.skipif(not shutil.which("vim"), reason="vim is not installed")
def test_an_editor_can_be_typed_to_left_and_joined_again(ds: Cli) -> None:
    note = ds.folder / "note.txt"
    own = ds.terminal("run", "--tty", "--name", "edit", "--", "vim", "-u", "NONE", "-i", "NONE", str(note))
    own.until("~")
    own.press("ihello wörld 日本")
    own.until("hello wörld 日本")
    own.press(LEAVE)
    assert own.wait() == 0
    assert own.restored()
    run_id = ds.run_id()
    assert f"detached: run {run_id} goes on" in own.text
    again = ds.terminal("attach", "edit")
    screen = again.until("hello wörld 日本", "~")
    assert screen.splitlines()[0] == "hello wörld 日本"
    again.press("!\x1b:wq\r")
    assert again.wait() == 0
    assert again.restored()
    assert note.read_text(encoding="utf-8") == "hello wörld 日本!\n"
    ended(ds, run_id)


@LOGS
def test_the_size_of_the_window_is_the_programs_and_is_recorded(ds: Cli, log: str) -> None:
    own = ds.terminal("run", "--tty", "--log", log, *python(FULL_SCREEN))
    own.until("80 by 24", "the last but one")
    run_id = ds.run_id()
    own.resize(60, 12)
    own.until("60 by 12")
    assert own.text.splitlines()[10] == "the last but one"
    own.resize(120, 40)
    own.until("120 by 40")
    own.press("\x1b[A")
    own.press("\x1bOA")  # what a terminal sends once the program has asked for it
    own.until("up was pressed")
    own.press("qex")
    assert own.wait() == 0
    shown = ended(ds, run_id)
    assert [check["name"] for check in shown["checks"] if check.get("by") != "durastream"] == ["pressed"]
    sizes = [tuple(e["data"].values()) for e in ds.events(run_id) if e["type"] == "terminal.resized"]
    assert sizes[0] == (80, 24)
    assert sizes[-1] == (120, 40)
    assert (60, 12) in sizes
    resized = {size: at for at, size in enumerate(sizes)}
    events = ds.events(run_id)
    for size in ((60, 12), (120, 40)):
        text = "{} by {}".format(*size)
        at = next(n for n, e in enumerate(events) if e["type"] == "terminal.output" and text in e["data"]["text"])
        before = [e for e in events[:at] if e["type"] == "terminal.resized"]
        assert len(before) > resized[size], "what is painted for a size comes after it"


def test_ctrl_c_is_a_key_of_the_terminal(ds: Cli) -> None:
    script = "trap 'echo caught; exit 7' INT; echo ready; while :; do sleep 0.05; done"
    own = ds.terminal("run", "--tty", "--", "sh", "-c", script)
    own.until("ready")
    own.press("\x03")
    assert own.wait() == 7
    assert "caught" in own.text
    assert not [event for event in ds.events() if event["type"] == "run.cancel_requested"]


def test_every_key_is_the_agents_but_for_the_word_to_the_viewer(ds: Cli) -> None:
    script = (
        "import os, tty; tty.setraw(0); print('ready', end='', flush=True); data = b''\n"
        "while len(data) < 6:\n    data += os.read(0, 99)\nprint(data)"
    )
    own = ds.terminal("run", "--tty", *python(script))
    own.until("ready")
    own.press("qd\x1a\x1c\x1c\x04\x1b")
    assert own.wait() == 0
    assert r"b'qd\x1a\x1c\x04\x1b'" in own.text


def test_one_viewer_types_and_the_others_only_read(ds: Cli) -> None:
    own = ds.terminal("run", "--tty", "--", "cat")
    own.press("first\r")
    own.until("first\nfirst")
    other = ds.terminal("attach", size=(60, 20))
    other.until("read only: another viewer has the keyboard")
    other.press("unheard")
    third = ds.terminal("attach", "--read-only")
    third.until("first\nfirst")
    own.press("second\r")
    for each in (own, other, third):
        assert "unheard" not in each.until("second\nsecond")
    third.press("q")
    assert third.wait() == 0
    own.process.kill()
    own.process.wait(PATIENCE)
    other.press("third\r")
    other.until("third\nthird")
    other.press("\x04")
    assert other.wait() == 0
    events = ds.events()
    sizes = [tuple(event["data"].values()) for event in events if event["type"] == "terminal.resized"]
    assert sizes == [(80, 24), (60, 20)], "its window is the one that counts now"
    ds("verify")


@LOGS
def test_killing_any_one_of_ours_loses_no_byte_and_not_the_program(ds: Cli, log: str) -> None:
    flag = ds.folder / "go"
    run_id = ds("run", "-d", "--tty", "--log", log, *python(COUNTS, str(flag))).stdout.strip()
    spool = Spool(str(ds.store), run_id)
    viewer = ds.terminal("attach", run_id)
    for who, at in (("terminal", 20_000), ("recorder", 40_000), ("terminal", 60_000), ("supervisor", 80_000)):
        eventually(lambda at=at: spool.size("stdout") > at, f"{at} bytes")
        eventually(lambda who=who: spool.held(who) and (ds.store / ".spool" / run_id / f"{who}.lock").read_text(), who)
        os.kill(holder(ds, run_id, who), signal.SIGKILL)
    viewer.until("line 3999 of what must not be lost")
    viewer.press("typed without a supervisor\r")
    viewer.until("typed without a supervisor")
    viewer.process.kill()
    flag.touch()
    shown = ended(ds, run_id)
    assert shown["status"] == "unknown", "nobody saw how it ended"
    text = printed(ds.events(run_id)).replace("typed without a supervisor\r\n", "")
    assert text == "".join(f"line {number} of what must not be lost\r\n" for number in range(4000)) + "the end\r\n"


def test_when_all_who_hold_the_terminal_are_gone_it_hangs_up(ds: Cli) -> None:
    mark = ds.folder / "hung-up"
    script = f"trap 'echo > {mark}; exit' HUP; echo ready; while :; do sleep 0.05; done"
    run_id = ds("run", "-d", "--tty", "--", "sh", "-c", script).stdout.strip()
    spool = Spool(str(ds.store), run_id)
    eventually(lambda: spool.size("stdout") and spool.held("terminal"), "the program")
    for who in ("supervisor", "terminal"):
        os.kill(holder(ds, run_id, who), signal.SIGKILL)
    eventually(mark.exists, "the hang-up")
    assert ended(ds, run_id)["status"] == "unknown"


def test_a_question_of_the_program_is_answered_by_who_types(ds: Cli) -> None:
    script = (
        "import os, tty; tty.setraw(0); os.write(1, b'\\x1b[3;5H\\x1b[6n'); data = b''\n"
        "while not data.endswith(b'R'):\n    data += os.read(0, 1)\nprint(data)"
    )
    own = ds.terminal("run", "--tty", *python(script))
    assert own.wait() == 0
    assert r"b'\x1b[3;5R'" in own.text


def test_nothing_that_a_program_prints_acts_on_the_viewers_terminal(ds: Cli) -> None:
    hostile = (
        "\x1b]0;owned\x07\x1b]52;c;YQ==\x07\x1bP1$qm\x1b\\\x1b[?47h\x1b[6n\x1b[5n\x1b[c\x9b31m\u202eevil"
        "\x1b]8;;http://x\x07link"
    )
    script = f"import time; print({hostile!r}, flush=True); time.sleep(0.3); print('done')"
    (ds.folder / "hostile.py").write_text(script, encoding="utf-8")
    own = ds.terminal("run", "--tty", "--name", "hostile", "--", sys.executable, "hostile.py")
    assert own.wait() == 0
    replayed = ds.terminal("replay", "hostile", "--speed", "4x")
    assert replayed.wait() == 0
    plain = ds("replay", "hostile", "--speed", "max", "--view", "plain").stdout
    for output in (own.raw.decode(), replayed.raw.decode(), plain):
        assert "evillink" in output
        assert not re.search("\x1b\\]|\x1bP|\x1b\\[[0-9]?[nc]|\x9b|\u202e|owned|YQ==", output)


def test_a_replay_plays_the_terminal_and_is_only_left(ds: Cli) -> None:
    own = ds.terminal("run", "--tty", "--name", "played", *python(FULL_SCREEN))
    own.until("80 by 24")
    own.resize(70, 20)
    own.until("70 by 20")
    own.press("x")
    assert own.wait() == 0
    again = ds.terminal("replay", "played", "--speed", "0.05x")
    again.until("80 by 24")
    again.press("q")
    assert again.wait() == 0
    assert again.restored()
    whole = ds.terminal("replay", "played", "--speed", "0.3x")
    assert whole.wait() == 0
    assert b"70 by 20" in whole.raw
    small = ds.terminal("replay", "played", "--speed", "0.05x", size=(8, 3))
    small.until("the last")
    small.press("q")
    assert small.wait() == 0


def test_a_replay_plays_a_part_of_the_terminal_and_tells_of_a_silence_that_is_cut(ds: Cli) -> None:
    told = [
        ("terminal.resized", {"columns": 80, "rows": 24}, 0.0),
        ("terminal.output", {"text": "before\r\n"}, 1.0),
        ("terminal.output", {"text": "here\r\n"}, 2.0),
        ("terminal.output", {"text": "much later\r\n"}, 122.0),
        ("terminal.output", {"text": "not any more"}, 123.0),
    ]
    path = recorded(ds.folder, scripted(told, exit_status={"exit_code": 0}))
    terminal = ds.terminal("replay", str(path), "--from", "4", "--to", "5", "--loop", "--speed", "4x")
    terminal.until("before\nhere", "a silence of 2:00 is played as 5 s; --idle-limit off keeps it")
    terminal.until("before\nhere\nmuch later")
    eventually(lambda: terminal.read() and terminal.raw.count(b"much later") > 1, "it begins again")
    terminal.press("q")
    assert terminal.wait() == 0
    assert terminal.restored()
    assert b"not any more" not in terminal.raw


def test_the_keys_play_a_terminal_as_they_play_any_recording(ds: Cli) -> None:
    told = [("terminal.resized", {"columns": 80, "rows": 24}, 0.0)]
    told += [("terminal.output", {"text": f"line {number}\r\n"}, 10.0 * number) for number in range(1, 11)]
    path = recorded(ds.folder, scripted(told, exit_status={"exit_code": 0}))
    terminal = ds.terminal("replay", str(path), "--speed", "0.1x", "--idle-limit", "off")
    terminal.press(" ")
    for key, shown, absent in (
        (" ", "❚❚ 0:00 / 1:40", "line 1"),
        ("5", "0:50 / 1:40", "line 6"),
        ("\x1b[D", "0:45 / 1:40", "line 5"),
        ("\x1b[C", "0:50 / 1:40", "line 6"),
        (".", "line 6", "line 7"),
        ("+", "0.25x", "line 7"),
        ("-", "0.1x", "line 7"),
        ("?", "space pause", "line 7"),
        ("\x1b[H", "❚❚ 0:00", "line 1"),
        ("\x1b[F", "line 10", "nothing"),
    ):
        if key == " ":
            eventually(lambda: terminal.read() or "❚❚" in terminal.text, "the pause")
        else:
            terminal.press(key)
        terminal.until(shown)
        eventually(lambda absent=absent: terminal.read() or absent not in terminal.text, "no more than that")
    assert [f"line {number}" in terminal.text for number in range(1, 11)] == [True] * 10
    terminal.press("q")
    assert terminal.wait() == 0
    assert terminal.restored()


@LOGS
def test_the_plain_view_has_the_lines_that_scrolled_away_and_those_that_stand(ds: Cli, log: str) -> None:
    done = ds("run", "--tty", "--log", log, "--view", "plain", "--", "sh", "-c", "seq 1 40; printf '\\033[1mbold'")
    said = re.findall(r"screen   (.*)", done.stdout)
    assert said == [*map(str, range(1, 41)), "bold"]
    again = ds("replay", "latest", "--view", "plain", "--speed", "max").stdout
    assert re.findall(r"screen   (.*)", again) == said


def test_what_excludes_each_other_is_said(ds: Cli) -> None:
    for option in ("--format=text", "--line-buffered"):
        assert "exclude each other" in ds("run", "--tty", option, "--", "true", code=2).stderr
    ds("run", "--tty", "--", "true")
    assert "on a terminal" in ds("rederive", "latest", code=3).stderr


def test_a_run_can_be_cancelled_and_its_terminal_goes_with_it(ds: Cli) -> None:
    run_id = ds("run", "-d", "--tty", "--", "sleep", "600").stdout.strip()
    eventually(lambda: Spool(str(ds.store), run_id).held("terminal"), "the keeper")
    keeper = holder(ds, run_id, "terminal")
    ds("cancel", run_id)
    assert ended(ds, run_id)["status"] == "cancelled"
    eventually(lambda: not Path(f"/proc/{keeper}").exists() or sys.platform != "linux", "the keeper's end", PATIENCE)


def test_a_window_that_closes_leaves_the_program_running(ds: Cli) -> None:
    own = ds.terminal("run", "--tty", "--", "cat")
    own.press("here\r")
    own.until("here\nhere")
    run_id = ds.run_id()
    own.hang_up()
    own.process.wait(PATIENCE)
    again: Terminal = ds.terminal("attach")
    again.until("here\nhere")
    again.press("\x04")
    assert again.wait() == 0
    ended(ds, run_id)
