"""A small part of `python -m matrix` on every commit; the full run is asked for with `-m crash` or by hand."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from faults_kit import needs_strace
from judge import Point
from matrix import control_points, error_points, kill_points, strikes
from strikes import viewers_struck

pytestmark = pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning", "ignore::DeprecationWarning")
SEED = 20


@needs_strace
def test_who_is_killed_at_any_call_loses_and_doubles_nothing() -> None:
    chance = random.Random(SEED)
    points = kill_points()
    sample = [
        point
        for who, count in (("recorder", 8), ("recover", 4), ("supervisor", 4))
        for point in chance.sample([each for each in points if each.who == who], count)
    ]
    outcomes = strikes(sample, jobs=2)
    assert len(outcomes) >= 10, "so few were reached"
    assert [each for each in outcomes if not each.sound] == []


@needs_strace
def test_a_call_that_fails_once_is_never_told_as_stored_and_doubles_nothing() -> None:
    outcomes = strikes(random.Random(SEED).sample(error_points(), 8), jobs=2)
    assert len(outcomes) == 8
    assert [each for each in outcomes if not each.sound] == []


@needs_strace
@pytest.mark.parametrize(("mode", "how"), [("early", "KILL"), ("deaf", "ENOSPC")])
def test_the_matrix_catches_a_recorder_that_is_wrong(mode: str, how: str) -> None:
    outcomes = strikes(control_points(mode, how, 4, random.Random(SEED)), jobs=2)
    assert sum(not each.sound for each in outcomes) >= len(outcomes) // 2


@needs_strace
@pytest.mark.parametrize(
    ("who", "mode", "call", "n"),
    [
        ("recover", "hasty", "unlink", 6),
        pytest.param("supervisor", "leash", "clone", 2, marks=pytest.mark.crash),
        pytest.param("supervisor", "stranger", "close", 5, marks=pytest.mark.crash),
        ("supervisor", "rash", "openat", 9),
    ],
)
def test_the_matrix_catches_others_that_are_wrong(who: str, mode: str, call: str, n: int) -> None:
    point = Point(who, "sqlite", call, n)
    honest, wrong = strikes([point, point._replace(mode=mode)], jobs=1)
    assert honest.sound
    assert not wrong.sound


@needs_strace
@pytest.mark.parametrize("log", ["sqlite", "jsonl"])
def test_a_viewer_that_is_killed_at_any_call_touches_nothing(tmp_path: Path, log: str) -> None:
    outcomes = viewers_struck(log, [("pread64", 3), ("openat", 9), ("read", 5)], tmp_path)
    assert any(each.hit for each in outcomes)
    assert [each for each in outcomes if not each.sound] == []
    (wrong,) = viewers_struck(log, [("write", 15)], tmp_path / "wrong", "tidy", 100)
    assert wrong.hit
    assert not wrong.sound
