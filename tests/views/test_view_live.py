"""The driver: when it paints, what keys and signals do, and that the terminal is left as it was found."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from durastream.events import Event
from durastream.state import RunState
from durastream.testing import FakeClock
from durastream.views import Outcome, live
from durastream.views import keys as keyboard
from durastream.views.live import Keys


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


class Typed:
    """Keys that a test types: what is pressed before the n-th look."""

    def __init__(self, *pressed: str) -> None:
        self.pressed = list(pressed)
        self.taken = 0

    def __enter__(self) -> Typed:
        self.taken += 1
        return self

    def __exit__(self, *error: object) -> None:
        self.taken -= 1

    def read(self) -> str:
        return self.pressed.pop(0) if self.pressed else ""


def screen(out: io.StringIO | None = None) -> Console:
    return Console(
        file=out or io.StringIO(), force_terminal=True, width=60, height=10, legacy_windows=False,
        _environ={"TERM": "xterm"},
    )  # fmt: skip


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of every frame that is painted."""
    painted: list[dict[str, Any]] = []

    def render(state: RunState, **options: Any) -> Any:
        painted.append({"seq": state.seq, **options})
        return original(state, **options)

    original = live.render
    monkeypatch.setattr(live, "render", render)
    return painted


def test_events_are_folded_as_they_come_and_painted_sixty_times_a_second(
    log: Any, frames: list[dict[str, Any]]
) -> None:
    clock, state = Clock(), RunState()

    def batches() -> Iterator[Sequence[Event]]:
        for number in range(1000):
            yield [log.add(number / 1000, "text.delta", message_id="a", text="x")]
            assert state.seq == number + 1
            clock.time += 0.001

    assert live.show(batches(), state=state, console=screen(), clock=clock) == Outcome(left=False)
    assert 58 <= len(frames) <= 61


def test_an_event_that_comes_soon_after_a_frame_is_shown_as_soon_as_the_next_may_be(
    log: Any, frames: list[dict[str, Any]]
) -> None:
    clock = FakeClock(1000.0)
    shown: list[tuple[int, float]] = []

    def batches() -> Iterator[Sequence[Event]]:
        for number in range(5):
            yield [log.add(0.0, "log.line", text="x")]
            shown.append((frames[-1]["seq"], clock.now))
            clock.now += 0.005 if number < 3 else 1.0

    live.show(batches(), state=RunState(), console=screen(), clock=clock, sleep=clock.sleep)
    assert [seq for seq, _ in shown] == [1, 2, 3, 4, 5]
    frame = live.PAINT_EVERY
    assert [at - 1000.0 for _, at in shown] == pytest.approx([frame * n for n in (1, 2, 3, 4)] + [frame * 4 + 1.0])


def test_where_frames_are_dear_there_are_fewer_of_them(log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, painted = FakeClock(1000.0), []
    original = live.render

    def dear(state: RunState, **options: Any) -> Any:
        painted.append(clock.now)
        clock.now += 0.02
        return original(state, **options)

    monkeypatch.setattr(live, "render", dear)

    def batches() -> Iterator[Sequence[Event]]:
        while clock.now < 1002.0:
            clock.now += 0.01
            yield [log.add(0.0, "log.line", text="x")]

    live.show(batches(), state=RunState(), console=screen(), clock=clock)
    assert 20 <= len(painted) <= 26, "a quarter of two seconds"


def test_only_the_rows_that_have_changed_are_written(log: Any) -> None:
    out, clock = io.StringIO(), Clock()
    written: list[str] = []

    def batches() -> Iterator[Sequence[Event]]:
        log.start().plan(0.0, 0, "Find papers")
        log.add(0.0, "log.line", text="the first line")
        clock.time += 1
        yield log.events
        for number in range(3):
            out.truncate(out.seek(0))
            clock.time += 1
            yield [log.add(1.0, "log.line", text=f"line {number}")]
            written.append(out.getvalue())

    live.show(batches(), state=RunState(), console=screen(out), clock=clock)
    for number, text in enumerate(written):
        assert f"line {number}" in text
        assert "Find papers" not in text, "it stands there already"
        assert "\x1b[2J" not in text


def test_a_window_of_another_size_and_ctrl_l_paint_it_all_anew(log: Any) -> None:
    out, clock, console = io.StringIO(), Clock(), screen()
    console.file = out
    whole: list[bool] = []

    def batches() -> Iterator[Sequence[Event]]:
        yield log.start().events
        for number in range(4):
            out.truncate(out.seek(0))
            clock.time += 1
            if number == 2:
                console.size = (50, 12)
            yield [log.add(1.0, "log.line", text="x")]
            whole.append("\x1b[2J" in out.getvalue() and "review" in out.getvalue())

    live.show(batches(), state=RunState(), console=console, clock=clock, keys=Typed("", [], ["\x0c"]))
    assert whole == [False, True, True, False]


def test_ticks_repaint_once_a_second_and_tell_the_silence(log: Any, frames: list[dict[str, Any]]) -> None:
    clock = Clock()

    def batches() -> Iterator[Sequence[Event]]:
        yield [log.add(7.0, "log.line", text="x")]
        for _ in range(50):
            clock.time += 0.1
            yield []

    live.show(batches(), state=RunState(), console=screen(), clock=clock)
    seconds = [int(frame["now"]) for frame in frames]
    assert seconds[:6] == [0, 7, 8, 9, 10, 11]
    assert len(frames) <= 7


def test_a_fast_replay_has_a_fast_clock(log: Any, frames: list[dict[str, Any]]) -> None:
    clock = Clock()

    def batches() -> Iterator[Sequence[Event]]:
        yield [log.add(7.0, "log.line", text="x")]
        clock.time += 2.0
        yield []

    live.show(batches(), state=RunState(), console=screen(), clock=clock, rate=4.0)
    assert frames[-1]["now"] == 15.0


def test_who_attaches_to_a_silent_run_sees_how_long_it_has_been_silent(log: Any, frames: list[dict[str, Any]]) -> None:
    event = log.add(7.0, "log.line", text="x")
    clock = Clock()

    def batches() -> Iterator[Sequence[Event]]:
        yield [event]
        clock.time += 1.0
        yield []

    live.show(batches(), state=RunState(), console=screen(), clock=clock, wall=lambda: 1795413607.0 + 3600.0)
    assert frames[-1]["now"] == 7.0 + 3600.0 + 1.0


def test_the_last_picture_stays_without_the_seal_which_is_said_behind_it(log: Any) -> None:
    out = io.StringIO()
    log.start().add(1.0, "text.delta", message_id="a", text="the answer")
    log.add(2.0, "run.completed", status="completed", exit_code=0, reconciled=True)
    live.show([log.events], state=RunState(), console=screen(out))
    _, left, after = out.getvalue().rpartition("\x1b[?1049l")
    assert left
    assert "the answer" in after
    assert "sha256:" not in after


@pytest.mark.parametrize(
    ("keys", "on_interrupt", "hint"),
    [
        (Typed(), None, "? keys · q leave"),
        (None, None, "Ctrl-C leave"),
        (Typed(), lambda: "", "? keys · d detach · Ctrl-C stop"),
        (None, lambda: "", "Ctrl-C stop"),
    ],
)
def test_the_hint_names_the_keys_that_there_are(
    keys: Any, on_interrupt: Any, hint: str, frames: list[dict[str, Any]]
) -> None:
    live.show([], state=RunState(), console=screen(), keys=keys, on_interrupt=on_interrupt)
    assert [frame["hint"] for frame in frames] == [hint]


@pytest.mark.parametrize("key", ["q", "d", "\x04", "xxq"])
def test_a_key_leaves(log: Any, key: str) -> None:
    typed = Typed("", "z", key)
    batches = ([event] for event in [log.add(float(n), "log.line", text="x") for n in range(10)])
    state = RunState()
    assert live.show(batches, state=state, console=screen(), keys=typed) == Outcome(left=True)
    assert state.seq == 3
    assert typed.taken == 0


def interrupted(log: Any, times: int) -> Iterator[Sequence[Event]]:
    for _ in range(times):
        signal.raise_signal(signal.SIGINT)
        yield [log.add(1.0, "log.line", text="x")]
    yield []


def test_ctrl_c_leaves_where_the_view_only_reads(log: Any) -> None:
    before = signal.getsignal(signal.SIGINT)
    assert live.show(interrupted(log, 5), state=RunState(), console=screen()) == Outcome(left=True)
    assert signal.getsignal(signal.SIGINT) is before
    assert len(log.events) == 1


def test_ctrl_c_is_for_the_agent_where_the_caller_says_so(log: Any, frames: list[dict[str, Any]]) -> None:
    notes = iter(["sent SIGINT; again for SIGTERM", "sent SIGTERM"])
    clock = Clock()

    def batches() -> Iterator[Sequence[Event]]:
        for batch in interrupted(log, 2):
            yield batch
            clock.time += 1

    outcome = live.show(
        batches(), state=RunState(), console=screen(), on_interrupt=lambda: next(notes), clock=clock
    )  # fmt: skip
    assert outcome == Outcome(left=False)
    assert [frame["note"] for frame in frames][-2:] == ["sent SIGTERM", "sent SIGTERM"]


def test_ctrl_c_gets_out_even_when_the_events_hang(log: Any) -> None:
    def batches() -> Iterator[Sequence[Event]]:
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)
        pytest.fail("not reached")
        yield []

    outcome = live.show(batches(), state=RunState(), console=screen(), on_interrupt=lambda: "")
    assert outcome == Outcome(left=True)


def test_a_terminal_that_goes_away_is_a_viewer_who_left(log: Any) -> None:
    class Gone(io.StringIO):
        alive = True

        def write(self, text: str) -> int:
            if not self.alive:
                raise OSError(5, "Input/output error")
            return super().write(text)

        def flush(self) -> None:
            self.write("")

    out, clock = Gone(), Clock()

    def batches() -> Iterator[Sequence[Event]]:
        yield log.start().events
        out.alive = False
        clock.time += 1
        yield [log.add(1.0, "log.line", text="x")]
        pytest.fail("not reached")

    assert live.show(batches(), state=RunState(), console=screen(out), clock=clock) == Outcome(left=True)


def test_an_error_of_the_store_is_not_taken_for_a_lost_terminal(log: Any) -> None:
    def batches() -> Iterator[Sequence[Event]]:
        yield log.start().events
        raise OSError(5, "the disk")

    out = io.StringIO()
    with pytest.raises(OSError, match="the disk"):
        live.show(batches(), state=RunState(), console=screen(out))
    assert out.getvalue().endswith("\x1b[?1049l")


@pytest.fixture
def typed() -> Iterator[tuple[int, Keys]]:
    """The far end of a terminal, and the keys of its near end."""
    master, slave = pty.openpty()
    keys = Keys(slave)
    assert keys.read() == [], "this terminal is not ours to read"
    keys._held = True
    tell = termios.tcgetattr(slave)
    tell[3] &= ~(termios.ICANON | termios.ECHO)
    termios.tcsetattr(slave, termios.TCSANOW, tell)
    yield master, keys
    keys._held = False
    for fd in (master, slave):
        with contextlib.suppress(OSError):
            os.close(fd)


def test_keys_come_by_name_and_what_has_none_is_dropped(typed: tuple[int, Keys]) -> None:
    master, keys = typed
    assert keys.read() == []
    os.write(master, b"x\x1b[A\x1b[dq\x1bOC\x1b]0;q\x07\x1b[5~\t\x7f\x1b[1;2C\x1b[24~" + "é\r".encode())
    keys.wait(60)
    assert keys.read() == ["x", "up", "q", "right", "pgup", "tab", "backspace", "]", "é", "enter"]
    os.close(master)
    assert keys.read() == ["\x04"]


def test_escape_is_a_key_unless_more_comes_behind_it(typed: tuple[int, Keys]) -> None:
    master, keys = typed
    os.write(master, b"\x1b")
    keys.wait(60)
    assert [keys.read(), keys.read(), keys.read()] == [[], ["esc"], []]
    os.write(master, b"a\x1b")
    keys.wait(60)
    assert keys.read() == ["a"]
    os.write(master, b"[B")
    keys.wait(60)
    assert keys.read() == ["down"]


def test_what_is_no_terminal_has_no_keys() -> None:
    read, write = os.pipe()
    with Keys(read) as keys:
        os.write(write, b"q")
        assert keys.read() == []
        keys.wait(0)
    os.close(read)
    os.close(write)
    assert Keys(read).read() == []


def test_standard_input_has_keys_only_if_it_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()
    with open(slave, encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        assert isinstance(Keys.of_stdin(), Keys)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert Keys.of_stdin() is None
    monkeypatch.setattr(sys, "stdin", None)
    assert Keys.of_stdin() is None
    os.close(master)


def test_a_handler_that_somebody_set_is_left_alone() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with keyboard.Signals() as signals:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGCONT)
            assert signals.resumed
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [signal.SIGTERM]


# A shell in small: the leader of a session on a terminal, which runs the view in the foreground and then looks at
# the terminal. The view's own exit would hang the terminal up if the view led the session.
SHELL = """
import json, os, signal, subprocess, sys, termios
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
def foreground():
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
before, stopped = termios.tcgetattr(0), None
view = subprocess.Popen([sys.executable, "-c", sys.argv[1]], preexec_fn=foreground)
if sys.argv[3] == "stops":
    os.waitpid(view.pid, os.WUNTRACED)
    os.tcsetpgrp(0, os.getpid())
    stopped = termios.tcgetattr(0) == before
    os.tcsetpgrp(0, view.pid)
    os.killpg(view.pid, signal.SIGCONT)
code = view.wait()
os.tcsetpgrp(0, os.getpid())
after = termios.tcgetattr(0)
open(sys.argv[2], "w", encoding="utf-8").write(json.dumps([code, before == after, stopped]))
"""

VIEW = """
import os, sys, time
from rich.console import Console
from durastream.events import Event
from durastream.state import RunState
from durastream.views import live
def batches():
    yield [Event(1, "2026-11-23T06:00:00.000000Z", 0.0, "log.line", {"text": f"pid {os.getpid()} end"})]
    while True:
        time.sleep(0.02)
        yield []
outcome = live.show(batches(), state=RunState(), console=Console(), keys=live.Keys(0))
sys.exit(7 if outcome.left else 0)
"""


class Terminal:
    """A terminal with a view on it."""

    def __init__(self, tmp_path: Path, mode: str = "ends") -> None:
        self.result = tmp_path / "result.json"
        self.master, slave = pty.openpty()
        command = [sys.executable, "-c", SHELL, VIEW, str(self.result), mode]
        claim = (
            "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
        )
        self.shell = subprocess.Popen(
            [sys.executable, "-c", claim, *command], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "60", "LINES": "10"},
        )  # fmt: skip
        os.close(slave)
        self.shown = ""

    def wait_for(self, text: str) -> str:
        """Everything shown up to and including the text."""
        deadline = time.monotonic() + 60
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            self._read()
        before, _, self.shown = self.shown.partition(text)
        return before

    def _read(self) -> bool:
        if not select.select([self.master], [], [], 0.1)[0]:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        self.shown += data.decode("utf-8", "replace")
        return bool(data)

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def pid(self) -> int:
        self.wait_for("pid ")
        return int(self.wait_for(" end"))

    def ended(self) -> list[Any]:
        """Exit code, whether the terminal is as before, and whether it was so while stopped."""
        deadline = time.monotonic() + 60
        while self._read() and self.shell.poll() is None:
            assert time.monotonic() < deadline
        assert self.shell.wait(60) == 0
        os.close(self.master)
        ended: list[Any] = json.loads(self.result.read_text())
        return ended


def test_after_q_the_terminal_is_as_it_was(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.pid()
    terminal.type("q")
    assert terminal.ended()[:2] == [7, True]
    assert "\x1b[?1049l" in terminal.shown
    assert "\x1b[?25h" in terminal.shown


def test_after_ctrl_c_the_terminal_is_as_it_was(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    os.kill(terminal.pid(), signal.SIGINT)
    assert terminal.ended()[:2] == [7, True]
    assert "\x1b[?1049l" in terminal.shown


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_after_being_killed_politely_the_terminal_is_as_it_was(tmp_path: Path, number: signal.Signals) -> None:
    terminal = Terminal(tmp_path)
    os.kill(terminal.pid(), number)
    assert terminal.ended()[:2] == [128 + number, True]
    assert "\x1b[?1049l" in terminal.shown
    assert "\x1b[?25h" in terminal.shown


def test_a_stopped_view_gives_the_terminal_back_and_takes_it_again(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "stops")
    os.kill(terminal.pid(), signal.SIGTSTP)
    terminal.wait_for("\x1b[?1049l")
    terminal.wait_for("\x1b[?1049h")
    terminal.wait_for("pid ")
    terminal.type("q")
    assert terminal.ended() == [7, True, True]
