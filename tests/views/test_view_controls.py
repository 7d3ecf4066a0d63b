"""What the keys do to the picture: panels, scrolling, folding, what lies over it."""

from __future__ import annotations

from typing import Any

import pytest
from inline_snapshot import snapshot
from rich.cells import cell_len

from durastream.player import Player
from durastream.state import RunState
from durastream.testing import FakeClock, scripted
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


def test_words_to_search_for_are_typed_and_can_be_given_up(printed: Any) -> None:
    events = scripted([("text.delta", {"message_id": "m", "text": "the quick fox"}, 1.0)])
    clock = FakeClock()
    state = RunState()

    class Source:
        def find(self, words: str, after: int) -> int | None:
            return 3 if words == "quick" else None

    player = Player.__new__(Player)
    player.source, player.state, player.following = Source(), state, True  # type: ignore[assignment]
    found: list[str] = []
    player.search = found.append  # type: ignore[method-assign,assignment]
    viewer = Viewer(state, printed, player=player)
    assert "/qd█" in viewer.press("/", "q", "d")
    viewer.press("backspace", *"uick", "enter")
    viewer.press("n")
    assert found == ["quick", "quick"]
    assert "█" not in viewer.press("/", "x", "esc")
    assert "█" not in viewer.press("/", "backspace")
    assert clock.now == 0.0
    assert events


def test_who_reads_is_not_put_out_when_the_run_ends(long: RunState, printed: Any) -> None:
    player = Player.__new__(Player)
    player.following, player.held = True, False
    viewer = Viewer(long, printed, player=player)
    viewer.press("pgup")
    assert player.held
    viewer.press("pgdn")
    assert not player.held


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
