"""G7: the frame at an event is the same for who watched live, who joined there, and who replays."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from durastream.player import Player
from durastream.replay import pace
from durastream.state import RunState, fold
from durastream.stores import Reader
from durastream.stores.folder import open_reader
from durastream.testing import FakeClock
from durastream.timeline import Timeline
from durastream.views.live import render

ROOT = Path(__file__).resolve().parents[1]
SIZES = ((80, 24), (120, 40), (40, 12))


@pytest.fixture(scope="module", params=["sqlite", "jsonl"])
def demo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    store = tmp_path_factory.mktemp("store")
    command = [sys.executable, "-P", "-m", "durastream", "demo", "--fast", "--view", "none"]
    subprocess.run([*command, "--store", str(store), "--log", request.param], check=True, capture_output=True)
    (path,) = (*store.glob("*.db"), *store.glob("*.jsonl"))
    return open_reader(str(path))


@pytest.fixture(scope="module", params=sorted((ROOT / "recordings").glob("*.jsonl")), ids=lambda path: path.stem)
def sample(request: pytest.FixtureRequest) -> Reader:
    return open_reader(str(request.param))


def frame(state: RunState, width: int, height: int) -> str:
    console = Console(file=io.StringIO(), width=width, height=height, color_system="truecolor", force_terminal=True)
    with console.capture() as captured:
        console.print(render(state, width=width, height=height, now=state.t, run_id="abc"))
    return captured.get()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_live_joined_and_replayed_frames_are_the_same(demo: Reader, width: int, height: int) -> None:
    events = demo.read(0, 100_000)
    live, replayed = RunState(), RunState()
    clock = FakeClock()
    played = pace([events], speed=4.0, clock=clock, sleep=clock.sleep)
    shown = [event for batch in played for event in batch]
    for n, (stored, again) in enumerate(zip(events, shown, strict=True), start=1):
        live.apply(stored)
        replayed.apply(again)
        if n % 23 and n != len(events):
            continue
        expected = frame(live, width, height)
        assert frame(replayed, width, height) == expected
        assert frame(demo.state(n), width, height) == expected
        assert frame(fold(events[:n]), width, height) == expected


def test_every_sample_recording_gives_one_picture_live_joined_and_replayed(sample: Reader) -> None:
    events = sample.read(0, 100_000)
    clock, seeking = FakeClock(), RunState()
    replayed = iter([event for batch in pace([events], speed=8.0, clock=clock, sleep=clock.sleep) for event in batch])
    player = Player(Timeline(sample), seeking, clock=clock, sleep=clock.sleep)
    live, again = RunState(), RunState()
    for n, event in enumerate(events, start=1):
        live.apply(event)
        again.apply(next(replayed))
        if n % 29 and n not in (1, 2, len(events)):
            continue
        player.to_seq(n)
        for width, height in ((80, 24), (200, 60), (10, 3)):
            expected = frame(live, width, height)
            for other in (again, seeking, sample.state(n)):
                assert frame(other, width, height) == expected


def test_the_frame_after_a_seek_is_the_one_that_was_there(demo: Reader) -> None:
    events = demo.read(0, 100_000)
    clock, state = FakeClock(), RunState()
    player = Player(Timeline(demo), state, clock=clock, sleep=clock.sleep)
    end = len(events)
    for n in (end // 2, 7, end // 2 + 3, 1, end, end - 40, 12, 13, 11):
        player.to_seq(n)
        assert frame(state, 80, 24) == frame(fold(events[:n]), 80, 24)
    player.to_start()
    for n in range(2, 40):
        player.one_event()
        fold(next(iter(player)), state)
        assert frame(state, 80, 24) == frame(fold(events[:n]), 80, 24)
