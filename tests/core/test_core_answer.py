"""How a run ended, and whether its answer is what was streamed: success flags lie."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from core_kit import any_data, numbered, wild_logs
from hypothesis import given
from hypothesis import strategies as st

from durastream.answer import end_status, packet
from durastream.events import Event, dumps
from durastream.message import SHORT
from durastream.rules import first_difference
from durastream.rules.reconcile import reconcile
from durastream.state import RunState, fold

OPEN = ("step.started", {"step_id": "s", "title": "search"})
ABANDONED = ("step.completed", {"step_id": "s", "status": "abandoned"})
CLOSED = ("step.completed", {"step_id": "s", "status": "failed"})
CANCEL = ("run.cancel_requested", {"by": "cancel"})
SIGNALLED = ("run.cancel_requested", {"by": "signal", "signal": "SIGINT"})


def declared(**data: Any) -> tuple[str, dict[str, Any]]:
    return "run.declared", data


def text(message_id: str, words: str) -> tuple[str, dict[str, Any]]:
    return "text.delta", {"message_id": message_id, "text": words}


def state_of(*told: tuple[str, dict[str, Any]]) -> RunState:
    return fold(numbered(list(told)))


@pytest.mark.parametrize(
    ("told", "exit_status", "expected"),
    [
        ([], {"exit_code": 0}, "completed"),
        ([declared(status="completed")], {"exit_code": 0}, "completed"),
        ([declared(status="success")], {"exit_code": 0}, "completed"),
        ([declared()], {"exit_code": 0}, "completed"),
        ([OPEN, CLOSED], {"exit_code": 0}, "completed"),
        # nobody saw the end: never a guess
        ([], None, "unknown"),
        ([declared(status="completed")], None, "unknown"),
        ([CANCEL], None, "unknown"),
        # success flags lie
        ([declared(status="completed")], {"exit_code": 1}, "failed"),
        ([declared(status="completed"), OPEN], {"exit_code": 0}, "failed"),
        ([declared(status="completed"), OPEN, ABANDONED], {"exit_code": 0}, "failed"),
        ([declared(status="failed")], {"exit_code": 0}, "failed"),
        ([declared(status=["completed"])], {"exit_code": 0}, "failed"),
        ([], {}, "failed"),
        # somebody asked for it
        ([CANCEL], {"exit_code": 0}, "cancelled"),
        ([CANCEL], {"signal": "SIGTERM"}, "cancelled"),
        ([], {"signal": "SIGINT"}, "interrupted"),
        ([], {"signal": "SIGKILL"}, "interrupted"),
        ([], {"signal": "SIGSEGV"}, "failed"),
        ([], {"signal": ["SIGINT"]}, "failed"),
        ([SIGNALLED], {"exit_code": 130}, "interrupted"),
        ([SIGNALLED], {"exit_code": 143}, "interrupted"),
        ([SIGNALLED], {"exit_code": 0}, "completed"),
        ([SIGNALLED], {"exit_code": 1}, "failed"),
        ([], {"exit_code": 130}, "failed"),
    ],
)
def test_the_end_of_a_run(told: list[Any], exit_status: dict[str, Any] | None, expected: str) -> None:
    assert end_status(state_of(*told), exit_status) == expected


@given(st.text(max_size=20), st.text(max_size=20))
def test_the_first_difference_is_where_two_texts_part(left: str, right: str) -> None:
    at = first_difference(left, right)
    if at is None:
        assert left == right
    else:
        assert left[:at] == right[:at]
        assert left[at : at + 1] != right[at : at + 1]


def test_an_answer_that_was_streamed_as_declared_is_reconciled() -> None:
    for answer in (
        {"text": "forty-two"},
        {"message_id": "a", "text": "forty-two"},
        {"length": 9, "sha256": hashlib.sha256(b"forty-two").hexdigest().upper()},
        {"sha256": "sha256:" + hashlib.sha256(b"forty-two").hexdigest()},
        {},
    ):
        assert reconcile(state_of(text("a", "forty-"), text("a", "two"), declared(answer=answer))) == []
    assert reconcile(state_of(text("a", "x"), declared(answer="no object"))) == []


@given(st.text(min_size=1, max_size=30), st.data())
def test_any_single_edit_of_the_answer_is_found_at_its_place(streamed: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(streamed) - 1))
    other = data.draw(st.characters(exclude_categories=["Cs"]))
    edited = data.draw(
        st.sampled_from(
            [
                streamed[:at] + streamed[at + 1 :],
                streamed[:at] + other + streamed[at:],
                streamed[:at] + other + streamed[at + 1 :],
            ]
        ).filter(lambda text: text != streamed)
    )
    (finding,) = reconcile(state_of(text("a", streamed), declared(answer={"text": edited})))
    assert finding.code == "answer-differs"
    assert f"first at character {first_difference(streamed, edited)}" in finding.message


def test_a_long_answer_is_compared_by_its_hash() -> None:
    streamed = "x" * (SHORT + 1)
    (finding,) = reconcile(state_of(text("a", streamed), declared(answer={"text": streamed + "y"})))
    assert f"({SHORT + 1} characters streamed, {SHORT + 2} declared)" in finding.message
    (finding,) = reconcile(state_of(text("a", streamed), declared(answer={"text": "y" + streamed[1:]})))
    assert "same length" in finding.message


def test_an_answer_declared_and_never_streamed_is_found() -> None:
    (finding,) = reconcile(state_of(declared(answer={"text": "42"})))
    assert finding.code == "answer-unstreamed"
    assert reconcile(state_of(declared(answer={"text": ""}))) == []


def test_a_message_that_is_not_what_its_boundary_says_is_found() -> None:
    end = {"message_id": "a", "sha256": hashlib.sha256(b"Hello").hexdigest(), "length": 5}
    assert reconcile(state_of(text("a", "Hello"), ("text.completed", end))) == []
    (finding,) = reconcile(state_of(text("a", "Hell"), ("text.completed", end)))
    assert "'a' differs from its text.completed (4 characters streamed, 5 declared)" in finding.message
    (finding,) = reconcile(state_of(text("a", "Jello"), ("text.completed", end)))
    assert "same length" in finding.message


def test_steps_that_were_left_open_are_found() -> None:
    assert reconcile(state_of(OPEN, CLOSED)) == []
    assert [finding.code for finding in reconcile(state_of(OPEN))] == ["step-open"]
    assert [finding.code for finding in reconcile(state_of(OPEN, ABANDONED))] == ["step-abandoned"]


def test_the_packet_holds_what_is_known_and_nothing_else() -> None:
    assert packet(RunState(), None) == {
        "status": "unknown",
        "sources": [],
        "checks": {},
        "steps": {},
        "reconciled": True,
        "findings": [],
    }


def test_the_packet_is_built_from_the_events() -> None:
    made = packet(
        state_of(
            text("a", "42"),
            OPEN,
            ("source.added", {"source_id": "1", "url": "https://example.org"}),
            ("quality.checked", {"name": "x", "outcome": "pass"}),
            ("quality.checked", {"name": "y", "outcome": "pass"}),
            ("usage.reported", {"input_tokens": 5}),
            declared(status="completed", answer={"text": "43"}),
        ),
        {"exit_code": 0},
    )
    assert made["status"] == "failed"
    assert made["exit_code"] == 0
    assert made["answer"] == {"message_id": "a", "sha256": hashlib.sha256(b"42").hexdigest(), "length": 2, "text": "42"}
    assert made["declared"] == {"status": "completed", "answer": {"text": "43"}}
    assert (made["sources"], made["checks"], made["steps"]) == (["1"], {"pass": 2}, {"active": 1})
    assert made["usage"] == {"input_tokens": 5}
    assert made["reconciled"] is False
    assert [finding["code"] for finding in made["findings"]] == ["step-open", "answer-differs"]
    assert packet(state_of(), {"signal": "SIGSEGV"})["signal"] == "SIGSEGV"


@pytest.mark.parametrize(("words", "kept"), [("x" * SHORT, True), ("x" * (SHORT + 1), False), ("é" * SHORT, False)])
def test_only_a_short_answer_is_repeated_whole(words: str, kept: bool) -> None:
    assert ("text" in packet(state_of(text("a", words)), None)["answer"]) is kept


@given(wild_logs, st.none() | any_data)
def test_whatever_a_log_holds_its_end_can_be_stored(log: list[Event], exit_status: dict[str, Any] | None) -> None:
    made = packet(fold(log), exit_status)
    assert json.loads(dumps(made))["status"] == made["status"]
    assert all(set(finding) <= {"code", "severity", "message", "seq"} for finding in made["findings"])
