"""What the keys do to the picture: panels, scrolling, folding, what lies over it."""

from __future__ import annotations

from typing import Any

import pytest
from inline_snapshot import snapshot
from rich.cells import cell_len

from durastream.player import Player
from durastream.state import RunState
from durastream.stores import Batch, RunInfo
from durastream.testing import FakeClock, MemoryStore, scripted
from durastream.timeline import Timeline
from durastream.views.controls import Controls
from durastream.views.live import render
from durastream.views.look import Look
from durastream.views.overlay import KEYS
from durastream.views.progress import Progress, progress_line
from durastream.views.scroll import moved, rows_from
from durastream.views.zoom import panels


class Viewer:
    """Somebody at a terminal of a fixed size."""

    def __init__(self, state: RunState, printed: Any, width: int = 60, height: int = 12, player: Any = None) -> None:
        self.state, self.size, self._printed = state, (width, height), printed
        self.controls = Controls(state, player)
        self.see()

    def see(self) -> str:
        width, height = self.size
        frame = render(self.state, width=width, height=height, look=self.controls.now())
        assert len(frame.lines) == height
        assert max(cell_len(text.plain) for text in frame.lines) <= width
        self.controls.room = (width, frame.room)
        return str(self._printed(frame, width))

    def press(self, *keys: str) -> str:
        for key in keys:
            assert not self.controls.press(key)
            shown = self.see()
        return shown


@pytest.fixture
def long(log: Any) -> RunState:
    log.start()
    log.plan(0.1, 1, "Find", "Write", type_="plan.created")
    for number in range(40):
        log.add(1.0, "step.started", step_id=f"s{number}", title=f"step {number}", kind="tool")
        log.add(1.5, "step.completed", step_id=f"s{number}", status="failed" if number == 39 else "ok", error="no disk")
        log.add(1.6, "log.line", stream="stderr", text=f"line {number} of the log")
    log.add(1.7, "reasoning.delta", text="First I think. " * 20)
    for number in range(100):
        log.add(2.0, "text.delta", message_id="a", text=f"Line {number} of the draft.\n")
    state: RunState = log.state()
    return state


def test_the_draft_is_scrolled_back_and_at_its_end_the_whole_picture_returns(long: RunState, printed: Any) -> None:
    viewer = Viewer(long, printed)
    whole = viewer.see()
    assert viewer.press("pgup") == snapshot("""\
review                                       ● running  0:02
                                                  223 events
━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━──────────────────────────────
draft                          from character 1,905 of 2,190
Line 87 of the draft.
Line 88 of the draft.
Line 89 of the draft.
Line 90 of the draft.
Line 91 of the draft.
Line 92 of the draft.
Line 93 of the draft.

""")
    assert "Line 86 of" in viewer.press("up")
    long.messages["a"].append("and more\n" * 50)
    assert "\nLine 86 of" in viewer.see(), "what is read stays where it is while the text grows"
    assert "\nLine 0 of" in viewer.press(*["pgup"] * 20)
    assert "and more" in viewer.press(*["pgdn"] * 40)
    assert viewer.controls.look == Look()
    assert viewer.see().splitlines()[0] == whole.splitlines()[0]


def test_tab_goes_from_panel_to_panel_and_escape_back(long: RunState, printed: Any) -> None:
    viewer = Viewer(long, printed)
    whole = viewer.see()
    seen = [viewer.press("tab").splitlines()[3].split()[0] for _ in panels(long)]
    assert seen == panels(long) == ["plan", "steps", "draft", "thinking", "log"]
    assert viewer.press("tab") == whole
    assert viewer.press("backtab").splitlines()[3].startswith("log ")
    assert viewer.press("esc") == whole


def test_a_panel_shows_all_of_its_list(long: RunState, printed: Any) -> None:
    viewer = Viewer(long, printed, height=10)
    assert viewer.press("tab", "tab") == snapshot("""\
review                                       ● running  0:02
                                                  223 events
steps                                         35 to 40 of 40
✓ step 34                                       tool   0.5 s
✓ step 35                                       tool   0.5 s
✓ step 36                                       tool   0.5 s
✓ step 37                                       tool   0.5 s
✓ step 38                                       tool   0.5 s
✗ step 39                0.5 s  no disk

""")
    assert "1 to 6 of 40" in viewer.press(*["pgup"] * 10)
    assert "35 to 40 of 40" in viewer.press(*["pgdn"] * 10)


def test_l_shows_the_log_and_r_folds_the_thoughts(long: RunState, printed: Any) -> None:
    viewer = Viewer(long, printed, height=24)
    whole = viewer.see()
    assert "line 22 of the log" in viewer.press("l")
    assert viewer.press("l") == whole
    assert viewer.press("r").count("First I think") > whole.count("First I think")
    folded = viewer.press("r")
    assert "First I think" not in folded
    assert "300 characters, folded" in folded
    assert viewer.press("r") == whole


def test_a_long_line_of_the_log_or_of_an_error_is_read_whole(long: RunState, printed: Any) -> None:
    words = [f"word{n}" for n in range(60)]
    seen = len(long.log)
    long.log.append(("stderr", "    " + " ".join(words)))
    long.errors.append({"message": "it failed: " + " ".join(words)})
    viewer = Viewer(long, printed, height=14)
    shown = viewer.press("l")
    rows = shown.splitlines()[4:]
    assert f"{seen + 1} lines" in shown
    assert " ".join(rows).split()[-60:] == words
    assert sum(row.startswith("  word") for row in rows) > 3, "what goes on is indented"
    assert "line 0 of the log" in viewer.press(*["pgup"] * 20)
    assert f"from line 1 of {seen + 1}" in viewer.see()
    viewer.press("esc")
    while "errors" not in (shown := viewer.press("tab")).splitlines()[3]:
        pass
    assert " ".join(shown.split()).endswith(" ".join(words))


def test_question_mark_shows_every_key(long: RunState, printed: Any) -> None:
    for size in ((60, 24), (80, 24), (120, 40)):
        shown = Viewer(long, printed, *size).press("?")
        for name, what in KEYS:
            assert name in shown
            assert what in shown


def test_keys_that_mean_nothing_here_do_nothing(log: Any, printed: Any) -> None:
    viewer = Viewer(log.start().state(), printed)
    whole = viewer.see()
    for key in (" ", "left", "[", ".", "+", "5", "home", "f", "e", "/", "n", "x", "up", "down", "tab", "é"):
        assert viewer.press(key) == whole


TOLD = [
    ("step.started", {"step_id": "s", "title": "look"}, 1.0),
    ("text.delta", {"message_id": "m", "text": "the quick fox\n" * 50}, 2.0),
    ("text.delta", {"message_id": "m", "text": "\nand the dog"}, 3.0),
]


def player_of(state: RunState, told: Any = TOLD, **how: Any) -> Player:
    store = MemoryStore()
    events = scripted(told)
    store.create(RunInfo("k3v9p2", None, {}, [], "/", "")).append(Batch([(e.seq, e.body, e.hash) for e in events]))
    clock = FakeClock()
    return Player(Timeline(store.reader("k3v9p2")), state, clock=clock, sleep=clock.sleep, **how)


def test_keys_move_the_player_and_the_picture_says_where_it_is(printed: Any) -> None:
    state = RunState()
    viewer = Viewer(state, printed, player=player_of(state))
    seqs = []
    for key in ("]", "end", "home", "5", "right", "left"):
        viewer.press(key)
        seqs.append(state.seq)
    assert seqs == [2, 4, 1, 2, 4, 1]
    assert "❚❚ 0:00 / 0:03  2x" in viewer.press("+", " ")
    assert "❚❚ 0:00 / 0:03  1x" in viewer.press("-")
    assert "event 1  run.started" in viewer.press("e")
    assert "event 2  step.started" in viewer.press("]"), "the event goes along"
    assert "event" not in viewer.press("e").splitlines()[3]
    for key in ("q", "d", "\x04"):
        assert viewer.controls.press(key)


def test_words_to_search_for_are_typed_and_can_be_given_up(printed: Any) -> None:
    state = RunState()
    viewer = Viewer(state, printed, player=player_of(state))
    assert "/qd█" in viewer.press("/", "q", "d")
    viewer.press("backspace", *"uick", "left", "enter")
    assert state.seq == 3
    viewer.press("home", "n")
    assert state.seq == 3
    viewer.press("home", "/", "enter")
    assert state.seq == 3, "nothing typed is what was typed last"
    viewer.press("home")
    for keys in (["/", "x", "esc"], ["/", "backspace"], ["/", "x", "backspace", "backspace"]):
        assert "█" not in viewer.press(*keys)
        assert state.seq == 1
    viewer.press("/")
    assert viewer.controls.press("\x04")


def test_who_reads_is_not_put_out_when_the_run_ends(printed: Any) -> None:
    state = RunState()
    player = player_of(state, follow=lambda after: iter(()))
    viewer = Viewer(state, printed, player=player)
    player.follow()
    viewer.see()
    assert not player.held
    viewer.press("pgup")
    assert player.held
    viewer.press("pgdn", "pgdn")
    assert not player.held
    viewer.press("up", "esc")
    assert not player.held
    player.skip(-2)
    viewer.press("pgup", "pgdn")
    assert player.held, "who has gone back stays, too"


@pytest.mark.parametrize("width", [1, 2, 7, 30, 200])
@pytest.mark.parametrize("height", [1, 2, 3, 5, 8, 40])
def test_no_size_is_overrun_whatever_is_looked_at(long: RunState, printed: Any, width: int, height: int) -> None:
    viewer = Viewer(long, printed, width, height)
    viewer.press("?", "?", "up", "pgup", "pgup", "down")
    for _ in range(7):
        viewer.press("tab", "up", "pgdn")


TEXT = (
    "# Title\n\nA paragraph that is longer than a row is wide.\n\n```python\nx = 1\n```\n- one\n" * 30
    + "w" * 9000
    + " some words" * 900
)


@pytest.mark.parametrize("width", [3, 20, 80])
def test_up_and_down_again_is_the_same_place(width: int) -> None:
    place = moved(TEXT, None, -50, width, 10)
    assert place is not None
    for by in (1, 3, 17):
        up = moved(TEXT, place, -by, width, 10)
        assert up is not None
        assert moved(TEXT, up, by, width, 10) == place
        shown = [text.plain for text in rows_from(TEXT, up, width, by + 5)]
        assert shown[by:] == [text.plain for text in rows_from(TEXT, place, width, 5)]
    top = moved(TEXT, place, -100_000, width, 10)
    assert top == (0, 0)


def test_to_scroll_lays_out_no_more_than_it_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    from durastream.views import scroll

    looked_at: list[str] = []
    rows = scroll._rows
    monkeypatch.setattr(scroll, "_rows", lambda part, *rest: looked_at.append(part) or rows(part, *rest))
    text = "some words of a draft\n" * 50_000
    place = moved(text, None, -20, 80, 20)
    rows_from(text, place or (0, 0), 80, 20)
    assert len(looked_at) < 200


@pytest.mark.parametrize(
    ("progress", "width", "shown"),
    [
        (Progress(42, 0, 185, speed=4.0), 50, "▶  0:42 / 3:05  4x  ━━━━━━●───────────────────────"),
        (Progress(0, 0, 60, paused=True), 32, "❚❚ 0:00 / 1:00  1x  ●───────────"),
        (Progress(60, 0, 60, speed=float("inf")), 32, "▶  1:00 / 1:00  max  ━━━━━━━━━━●"),
        (Progress(30, 0, 60, behind=75), 60, "▶  0:30 / 1:00  1x  1:15 behind  ━━━━━━━━━━━━━●─────────────"),
        (Progress(3, 3, 3), 40, "▶  0:03 / 0:03  1x  ━━━━━━━━━━━━━━━━━━━●"),
        (Progress(30, 0, 60), 20, "▶  0:30 / 1:00  1x"),
    ],
)
def test_the_line_of_progress(progress: Progress, width: int, shown: str) -> None:
    assert progress_line(progress, width).plain == shown
