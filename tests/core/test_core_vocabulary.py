"""What an event must carry: each type accepts what the format describes and says what is wrong with the rest."""

from __future__ import annotations

from typing import Any

import pytest
from core_kit import json_values
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from durastream.vocabulary import MODELS, VALIDATORS, check

GOOD: dict[str, dict[str, Any]] = {
    "agent.identified": {"format": "codex", "terminal": True, "model": "m1", "session_id": "s"},
    "approval.requested": {"approval_id": "1", "title": "delete it?", "options": ["yes", "no"]},
    "approval.resolved": {"approval_id": "1", "decision": "yes"},
    "artifact.created": {"path": "out.txt", "action": "update", "size": 12},
    "error.raised": {"message": "no route", "severity": "warning", "fatal": False},
    "log.line": {"stream": "stderr", "text": "hm"},
    "message.started": {"message_id": "answer", "role": "assistant", "final": True},
    "plan.created": {"steps": [{"id": "1", "title": "look", "status": "active", "parent": None}]},
    "plan.updated": {"steps": []},
    "quality.checked": {"name": "cites", "outcome": "warn", "score": 0.5},
    "raw.event": {"json": {"type": "thread.started"}},
    "raw.rejected": {"reason": "not JSON", "text": "{", "length": 1},
    "reasoning.delta": {"text": "so"},
    "run.cancel_requested": {"by": "cancel"},
    "run.completed": {"status": "completed", "exit_code": 0, "events": 9, "reconciled": True, "findings": []},
    "run.declared": {"status": "completed", "answer": {"text": "42"}},
    "run.resumed": {"reason": "a new recorder took over"},
    "run.started": {"run_id": "k3v9p2", "command": ["agent"], "cwd": "/", "format": 1},
    "source.added": {"source_id": "1", "url": "https://example.org", "origin": "tool"},
    "step.completed": {"step_id": "s", "status": "denied", "output": {"rows": [1, None]}, "duration": 1.5},
    "step.progress": {"step_id": "s", "fraction": 0.5},
    "step.started": {"step_id": "s", "title": "search", "kind": "tool", "input": {"q": "x"}},
    "terminal.output": {"text": "\x1b[31mred"},
    "terminal.resized": {"columns": 80, "rows": 24},
    "text.completed": {"message_id": "answer", "sha256": "0" * 64, "length": 3},
    "text.delta": {"message_id": "answer", "text": "Hel"},
    "text.retracted": {"message_id": "answer", "reason": "wrong"},
    "usage.reported": {"scope": "turn", "mode": "replace", "input_tokens": 12, "cost_usd": 0.01},
}

BAD: dict[str, list[dict[str, Any]]] = {
    "agent.identified": [{"terminal": "yes"}, {"model": 5}],
    "approval.requested": [{"approval_id": "1"}, {"approval_id": 1, "title": "x"}],
    "approval.resolved": [{"approval_id": "1"}],
    "artifact.created": [{"size": 12}, {"path": "x", "action": "touch"}],
    "error.raised": [{"severity": "error"}, {"message": "x", "fatal": "yes"}],
    "log.line": [{"stream": "stderr"}],
    "message.started": [{"role": "assistant"}, {"message_id": ""}, {"message_id": "#reasoning"}],
    "plan.created": [{}, {"steps": [{"id": "1"}]}, {"steps": [{"id": "1", "title": "x", "status": "soon"}]}],
    "plan.updated": [{"steps": {"id": "1"}}],
    "quality.checked": [{"name": "cites", "outcome": "good"}],
    "raw.event": [{}],
    "raw.rejected": [{"text": "{"}],
    "reasoning.delta": [{"message_id": "a"}],
    "run.cancel_requested": [{}],
    "run.completed": [{"status": "done", "events": 9, "reconciled": True}, {"status": "failed"}],
    "run.declared": [{"answer": "42"}],
    "run.resumed": [{}],
    "run.started": [{"run_id": "k3v9p2", "cwd": "/"}, {"run_id": "x", "cwd": "/", "format": "1"}],
    "source.added": [{"source_id": "1"}, {"source_id": "1", "url": "x", "origin": "web"}, {"url": "x"}],
    "step.completed": [{"step_id": "s"}, {"step_id": "s", "status": "completed"}],
    "step.progress": [{"step_id": "s", "fraction": 1.5}, {"message": "half"}],
    "step.started": [{"step_id": "s"}, {"step_id": "s", "title": "x", "kind": "thing"}],
    "terminal.output": [{}, {"text": 5}],
    "terminal.resized": [{"columns": 80}, {"columns": 0, "rows": 24}, {"columns": 80, "rows": 1001}],
    "text.completed": [{"message_id": "answer", "sha256": "0" * 64}],
    "text.delta": [{"message_id": "answer"}, {"text": "x"}, {"message_id": "#a", "text": "x"}],
    "text.retracted": [{"message_id": "answer"}],
    "usage.reported": [{"scope": "day"}, {"input_tokens": 1.5}, {"input_tokens": "12"}],
}


def fits(type_: str, data: Any) -> bool:
    try:
        VALIDATORS[type_](data)
    except (ValueError, TypeError, KeyError):
        return False
    return True


@pytest.mark.parametrize("type_", sorted(MODELS))
def test_a_good_example_of_every_type_is_accepted_and_so_are_fields_of_the_future(type_: str) -> None:
    for data in (GOOD[type_], GOOD[type_] | {"future": [1, {"x": None}]}):
        assert check(type_, data) is None
        assert fits(type_, data)


@pytest.mark.parametrize("type_", sorted(MODELS))
def test_a_bad_example_of_every_type_is_refused_with_a_reason_that_names_it(type_: str) -> None:
    for data in BAD[type_]:
        reason = check(type_, data)
        assert reason is not None
        assert reason.startswith(f"{type_}: ")
        assert "\n" not in reason
        assert not fits(type_, data)


def test_the_reason_says_which_field() -> None:
    assert check("plan.created", {"steps": [{"id": "1"}]}) == "plan.created: steps.0.title: Field required"
    assert check("source.added", {"source_id": "1"}) == (
        "source.added: data: Value error, a source needs a url or a title"
    )


def test_a_type_that_is_not_ours_is_not_ours_to_judge() -> None:
    assert check("myapp.cache_hit", {"anything": 1}) is None


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "message_id": st.text(max_size=3) | st.sampled_from(["#a", "a#", "\n", "x" * 200, "x" * 201]) | json_values,
            "text": st.text(max_size=3) | json_values,
            "extra": json_values,
        },
    )
    | json_values
)
@example({"message_id": "é" * 200, "text": ""})
def test_the_quick_judge_of_text_agrees_with_the_model_on_everything(data: Any) -> None:
    try:
        MODELS["text.delta"].model_validate(data)
    except ValidationError:
        assert not fits("text.delta", data)
    else:
        assert fits("text.delta", data)


@given(st.sampled_from(sorted(MODELS)), st.sampled_from(sorted(MODELS)).map(GOOD.get) | json_values)
def test_the_quick_judge_of_every_type_agrees_with_its_reason(type_: str, data: Any) -> None:
    assert fits(type_, data) == (check(type_, data) is None)


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("usage.reported", {"input_tokens": -1}),
        ("usage.reported", {"cost_usd": -0.01}),
        ("step.completed", {"step_id": "s", "status": "ok", "duration": -1.0}),
    ],
)
def test_amounts_and_durations_are_not_negative(type_: str, data: dict[str, Any]) -> None:
    assert "greater than or equal to 0" in str(check(type_, data))
