"""Two runs side by side: what each aspect tells apart, and that ids and times of a run are no difference."""

from __future__ import annotations

import json
from typing import Any

import pytest
from core_kit import logs, wild_logs
from hypothesis import given

from durastream.diff import ASPECTS, DEFAULT, Difference, diff
from durastream.state import RunState, fold
from durastream.testing import scripted
from durastream.views.comparison import lines

Told = list[tuple[Any, ...]]


def state(told: Told, **how: Any) -> RunState:
    return fold(scripted(told, **{"exit_status": {"exit_code": 0}, **how}))


def found(left: Told, right: Told, *aspects: str) -> list[tuple[str, str, str]]:
    return [each[:3] for each in diff(state(left), state(right), aspects or DEFAULT)]


def step(title: str, at: float, status: str = "ok", *, id_: str = "", kind: str = "tool", takes: float = 0.5) -> Told:
    return [
        ("step.started", {"step_id": id_ or title, "title": title, "kind": kind}, at),
        ("step.completed", {"step_id": id_ or title, "status": status}, at + takes),
    ]


def plan(*entries: tuple[str, str], prefix: str = "") -> Told:
    steps = [{"id": f"{prefix}{at}", "title": title, "status": status} for at, (title, status) in enumerate(entries)]
    return [("plan.created", {"steps": steps})]


def says(text: str, message_id: str = "answer") -> Told:
    return [("text.delta", {"message_id": message_id, "text": text})]


RUN: Told = [
    *plan(("Search", "done"), ("Write", "done")),
    *step("search", 1.0),
    *step("fetch", 2.0),
    *says("The log comes first.\nThen the rest."),
    ("source.added", {"source_id": "1", "url": "https://example.org/a", "title": "A"}),
    ("quality.checked", {"name": "cites", "outcome": "pass", "score": 0.9}),
    ("usage.reported", {"input_tokens": 12, "output_tokens": 3, "cost_usd": 0.5}),
]


def test_a_run_is_the_same_as_itself_in_everything() -> None:
    assert found(RUN, RUN, *ASPECTS) == []


def test_new_ids_and_other_times_are_no_difference() -> None:
    again: Told = [
        *plan(("Search", "done"), ("Write", "done"), prefix="p"),
        *step("search", 3.0, id_="call_1"),
        *step("fetch", 4.0, id_="call_2", takes=0.7),
        *says("The log comes first.\nThen the rest.", "m2"),
        ("source.added", {"source_id": "x", "url": "https://example.org/a", "title": "A"}),
        ("quality.checked", {"name": "cites", "outcome": "pass", "score": 0.9, "detail": "all of them"}),
        ("usage.reported", {"input_tokens": 15, "mode": "replace"}),
        ("usage.reported", {"input_tokens": 12, "output_tokens": 3, "cost_usd": 0.5, "mode": "replace"}),
    ]
    assert diff(state(RUN), state(again, run_id="abc234")) == []


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (plan(("A", "done")), plan(("A", "done"), ("B", "pending")), [("plan", "added", "B")]),
        (plan(("A", "done"), ("B", "pending")), plan(("B", "pending"), prefix="q"), [("plan", "missing", "A")]),
        (plan(("A", "done")), plan(("A", "active")), [("plan", "changed", "A")]),
        (plan(("A", "done")), plan(("A, better", "done")), [("plan", "changed", "A")]),
        (plan(("A", "done"), ("B", "done")), plan(("B", "done"), ("A", "done")), [("plan", "changed", "order")]),
        (plan(("A", "done"), ("A", "done")), plan(("A", "done")), [("plan", "missing", "A")]),
        (step("a", 1.0), [], [("steps", "missing", "a")]),
        ([], step("a", 1.0), [("steps", "added", "a")]),
        (step("a", 1.0), step("a", 1.0, "failed"), [("steps", "changed", "a")]),
        (step("a", 1.0, id_="1"), step("b", 1.0, id_="1"), [("steps", "changed", "a")]),
        (step("a", 1.0, id_="1"), step("b", 1.0, id_="2"), [("steps", "missing", "a"), ("steps", "added", "b")]),
        (step("a", 1.0) + step("a", 2.0, id_="2"), step("a", 1.0), [("steps", "missing", "a")]),
        (step("a", 1.0) + step("b", 2.0), step("b", 1.0) + step("a", 2.0), [("steps", "changed", "order")]),
        (step("a", 1.0, kind="plan"), [], []),
        (says("one two"), says("one ten"), [("answer", "changed", "text from character 5 on")]),
        (says("one"), [], [("answer", "missing", "text")]),
        ([], says("one"), [("answer", "added", "text")]),
        ([("source.added", {"source_id": "1", "title": "A"})], [], [("sources", "missing", "A")]),
        ([], [("source.added", {"source_id": "1", "url": "u"})], [("sources", "added", "u")]),
        ([("quality.checked", {"name": "c", "outcome": "pass"})], [], [("checks", "missing", "c")]),
        (
            [("quality.checked", {"name": "c", "outcome": "pass", "score": 1})],
            [("quality.checked", {"name": "c", "outcome": "pass", "score": 0.5})],
            [("checks", "changed", "c")],
        ),
        (
            [
                ("quality.checked", {"name": "c", "outcome": "fail"}),
                ("quality.checked", {"name": "c", "outcome": "pass"}),
            ],
            [("quality.checked", {"name": "c", "outcome": "fail"})],
            [("checks", "missing", "c")],
        ),
        (
            [("usage.reported", {"input_tokens": 1, "cost_usd": 1})],
            [("usage.reported", {"input_tokens": 2})],
            [("usage", "changed", "input_tokens"), ("cost", "missing", "cost_usd")],
        ),
        ([("usage.reported", {"input_tokens": 0})], [], [("usage", "missing", "input_tokens")]),
    ],
)
def test_each_aspect_tells_what_is_missing_added_or_changed(
    left: Told, right: Told, expected: list[tuple[str, str, str]]
) -> None:
    assert found(left, right) == expected
    turned = {"missing": "added", "added": "missing", "changed": "changed"}
    assert sorted(turned[change] for _, change, _ in expected) == sorted(each[1] for each in found(right, left))


def test_steps_that_overlap_or_share_a_moment_have_no_order() -> None:
    together = [step("a", 1.0)[0], step("b", 1.1)[0], step("a", 1.0)[1], step("b", 1.1)[1]]
    turned = [step("b", 1.0)[0], step("a", 1.1)[0], step("a", 1.0)[1], step("b", 1.1)[1]]
    assert found(together, turned) == []
    assert found(step("a", 0, takes=0) + step("b", 0, takes=0), step("b", 1.0) + step("a", 2.0)) == []


def test_how_the_runs_ended_is_compared() -> None:
    left, right = state(RUN), state(RUN, exit_status={"exit_code": 3})
    assert [each[2:] for each in diff(left, right)] == [("status", "completed", "failed"), ("exit_code", 0, 3)]
    killed = diff(left, state(RUN, exit_status={"signal": "SIGTERM"}))
    assert [each.what for each in killed] == ["status", "exit_code", "signal"]
    assert diff(left, state(RUN, exit_status=None))[0] == ("status", "changed", "status", "completed", "running")


def test_durations_differ_when_they_are_far_apart_and_only_if_it_is_asked() -> None:
    slower = [*step("search", 1.0, takes=1.5)]
    assert found(step("search", 1.0), slower) == []
    assert found(step("search", 1.0), slower, "duration") == [("duration", "changed", "search")]
    assert found(step("search", 1.0, takes=0.01), step("search", 1.0, takes=0.09), "duration") == []
    assert found([], [("log.line", {"text": "x"}, 9.0)], "duration") == [("duration", "changed", "run")]


def test_only_what_is_selected_is_compared() -> None:
    other = [*step("search", 1.0, "failed"), *says("no")]
    assert {each[0] for each in found(RUN, other, "steps", "answer")} == {"steps", "answer"}
    with pytest.raises(KeyError, match="colour"):
        diff(state(RUN), state(RUN), ["colour"])


def printed(left: RunState, right: RunState, width: int = 80, aspects: tuple[str, ...] = DEFAULT) -> list[str]:
    return list(lines(diff(left, right, aspects), left, right, aspects, width))


def test_the_comparison_is_read_side_by_side() -> None:
    right = [*RUN[:1], *step("search", 1.0, "failed", takes=2.0), *RUN[5:]]
    right[3] = ("text.delta", {"message_id": "answer", "text": "The log comes first.\nThen comes the other rest."})
    said = printed(state(RUN), state(right))
    assert said[1].split() == ["status", "=", "same", "completed", "completed"]
    assert said[3].startswith("steps     ~ search ")
    assert "ok · 0.5 s" in said[3]
    assert said[3].endswith("failed · 2.0 s")
    assert said[4].lstrip().startswith("- fetch")
    at = next(n for n, line in enumerate(said) if line.startswith("answer"))
    assert [line.strip() for line in said[at + 1 : at + 3]] == ["- Then the rest.", "+ Then comes the other rest."]
    assert said[-1] == "3 differences: steps 2, answer 1"
    assert printed(state(RUN), state(RUN))[-1] == "the same"


def test_a_line_that_differs_late_is_shown_from_there_on() -> None:
    said = printed(state(says("word " * 200 + "end")), state(says("word " * 200 + "END")))
    assert any(line.strip().startswith("- …") and line.endswith("end") for line in said)
    assert any(line.strip().startswith("+ …") and line.endswith("END") for line in said)


def test_a_text_that_differs_everywhere_is_cut() -> None:
    said = printed(state(says("\n".join("abcdefghijklmnop"))), state(says("\n".join("ABCDEFGHIJKLMNOP"))))
    assert sum(line.strip().startswith("- ") for line in said) == 8
    assert any("… and more" in line for line in said)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    wide: Told = [
        *plan(("日本語の計画" * 20, "done"), ("B" * 200, "done")),
        *step("検索" * 50, 1.0),
        *says("長い" * 300),
        ("source.added", {"source_id": "1", "url": "https://example.org/" + "x" * 200}),
        ("quality.checked", {"name": "n" * 100, "outcome": "o" * 100, "score": 1 / 3}),
    ]
    from rich.cells import cell_len

    for left, right in ((wide, RUN), (RUN, wide)):
        for line in printed(state(left), state(right), width, ASPECTS):
            assert cell_len(line) <= width, line


def test_nothing_in_a_run_acts_on_the_terminal() -> None:
    hostile: Told = [*plan(("\x1b[2J", "\x07")), *step("\x1b]0;x\x07", 1.0), *says("a\u202e\x1b[31m\nb\rc")]
    for line in printed(state(hostile), state([])) + printed(state([]), state(hostile)):
        assert line.isprintable(), line


@given(logs, logs)
def test_the_other_way_round_the_same_is_found(left: list[Any], right: list[Any]) -> None:
    one, other = fold(left), fold(right)
    assert diff(one, one, ASPECTS) == diff(other, other, ASPECTS) == []
    assert bool(diff(one, other, ASPECTS)) == bool(diff(other, one, ASPECTS))


@given(wild_logs, logs)
def test_nothing_that_a_log_holds_can_stop_a_comparison(left: list[Any], right: list[Any]) -> None:
    one, other = fold(left), fold(right)
    for first, second in ((one, other), (other, one), (one, one)):
        differences = diff(first, second, ASPECTS)
        json.dumps([each._asdict() for each in differences])
        assert list(lines(differences, first, second, ASPECTS, 80))
        assert all(isinstance(each, Difference) for each in differences)
