"""The state of a run is a fold over its log, and nothing in a log can stop it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from core_kit import json_values, logs, numbered, wild_logs
from hypothesis import given
from hypothesis import strategies as st

from durastream.events import TYPES, Event
from durastream.message import SHORT, Message
from durastream.state import LOG_LINES, RunState, fold


def state_of(*told: tuple[str, dict[str, Any]]) -> RunState:
    return fold(numbered(list(told)))


def text(message_id: str, words: str) -> tuple[str, dict[str, Any]]:
    return "text.delta", {"message_id": message_id, "text": words}


@given(logs, st.data())
def test_folding_in_two_parts_is_folding_the_whole(log: list[Event], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(log)))
    assert fold(log[cut:], fold(log[:cut])).dump() == fold(log).dump()


@given(logs)
def test_a_state_saved_and_loaded_anywhere_goes_on_to_the_same_state(log: list[Event]) -> None:
    whole = fold(log).dump()
    state = RunState()
    for at in range(len(log) + 1):
        saved = json.loads(json.dumps(state.dump()))
        loaded = RunState.load(saved)
        assert loaded.dump() == state.dump()
        assert fold(log[at:], loaded).dump() == whole
        fold(log[at : at + 1], state)


@given(logs)
def test_text_kept_elsewhere_makes_the_same_state(log: list[Event]) -> None:
    state = fold(log)
    texts = {message.message_id: message.text for message in state.messages.values()}
    loaded = RunState.load(state.dump(text=False), texts, state.reasoning.text)
    assert loaded.dump() == state.dump()


@given(wild_logs)
def test_no_event_can_stop_a_state(log: list[Event]) -> None:
    state = fold(log)
    assert state.seq == len(log)
    assert RunState.load(state.dump()).dump() == state.dump()
    assert state.status
    assert isinstance(state.open_steps, list)
    assert (state.answer is None) or isinstance(state.answer.text, str)
    assert all(isinstance(amount, (int, float)) for amount in state.usage.values())


@given(st.sampled_from(sorted(TYPES)), json_values)
def test_no_data_of_any_type_can_stop_a_state(type_: str, data: Any) -> None:
    state = RunState()
    state.take(1, "now", 0.5, type_, data)
    assert (state.seq, state.ts, state.t) == (1, "now", 0.5)
    state.dump()


DEEP: Any = []
for _ in range(5000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("text.delta", None),
        ("text.delta", {"message_id": [], "text": "x"}),
        ("text.delta", {"message_id": "a", "text": 5}),
        ("text.retracted", {"message_id": "a", "reason": DEEP}),
        ("step.completed", {"step_id": "s", "status": "ok", "title": DEEP}),
        ("step.completed", {"step_id": "s", "status": 5}),
        ("step.progress", {"step_id": 5}),
        ("usage.reported", {"scope": DEEP}),
        ("usage.reported", {"model": DEEP}),
        ("log.line", {"text": "x", "stream": DEEP}),
        ("plan.created", {"steps": [5]}),
        ("plan.created", {"steps": 5}),
        ("run.started", []),
        ("run.completed", "completed"),
        ("quality.checked", None),
    ],
)
def test_data_that_does_not_fit_is_counted_and_passed_over(type_: str, data: Any) -> None:
    state = RunState()
    state.take(1, "", 0.0, type_, data)
    assert state.malformed == 1


def test_the_progress_of_a_step_that_nobody_started_is_no_malformed_event() -> None:
    state = RunState()
    state.take(1, "", 0.0, "step.progress", {"step_id": "never started"})
    assert (state.malformed, state.steps) == (0, {})


def test_a_run_is_running_until_its_log_ends_it() -> None:
    assert state_of(("run.started", {"run_id": "x"}), text("stdout", "done.")).status == "running"
    assert state_of(("run.completed", {"status": "interrupted"})).status == "interrupted"
    assert state_of(("run.completed", {})).status == "unknown"


def test_the_start_the_end_and_the_words_between_are_kept() -> None:
    state = state_of(
        ("run.started", {"run_id": "k3v9p2"}),
        ("run.cancel_requested", {"by": "cancel"}),
        ("run.declared", {"status": "completed"}),
        ("run.resumed", {"reason": "x"}),
        ("raw.rejected", {"reason": "x"}),
        ("myapp.cache_hit", {"key": 1}),
        ("error.raised", {"message": "no"}),
        ("artifact.created", {"path": "x"}),
        ("quality.checked", {"name": "n", "outcome": "pass"}),
    )
    assert (state.started, state.started_at) == ({"run_id": "k3v9p2"}, "ts1")
    assert (state.cancel, state.declared) == ({"by": "cancel"}, {"status": "completed"})
    assert (state.rejected, state.malformed) == (1, 0)
    assert [len(kept) for kept in (state.errors, state.artifacts, state.checks)] == [1, 1, 1]


class TestMessages:
    def test_text_grows_and_reads_as_one(self) -> None:
        state = state_of(*[text("a", f"{n} ") for n in range(3000)])
        whole = "".join(f"{n} " for n in range(3000))
        message = state.messages["a"]
        assert (message.text, message.length) == (whole, len(whole))
        assert message.text == whole
        assert message.sha256() == hashlib.sha256(whole.encode()).hexdigest()

    @given(st.lists(st.text(max_size=5), max_size=8), st.integers(0, 30))
    def test_the_end_is_the_end_of_the_text(self, pieces: list[str], count: int) -> None:
        whole = "".join(pieces)
        message = Message("a")
        for piece in pieces:
            message.append(piece)
        assert message.end(count) == whole[max(0, len(whole) - count) :]
        assert message.text == whole
        assert message.end(count) == whole[max(0, len(whole) - count) :]

    def test_the_end_reaches_over_blocks(self) -> None:
        message = Message("a")
        for n in range(2500):
            message.append(f"{n},")
        whole = "".join(f"{n}," for n in range(2500))
        assert [message.end(count) for count in (1, 5000, 10**6)] == [whole[-1:], whole[-5000:], whole]

    @given(st.lists(st.text(max_size=5) | st.none(), max_size=12))
    def test_drained_text_still_counts(self, pieces: list[str | None]) -> None:
        kept, drained = Message("a"), Message("a")
        taken = ""
        for piece in pieces:
            if piece is None:
                taken += drained.drain()
            else:
                kept.append(piece)
                drained.append(piece)
            assert (drained.length, drained.sha256(), drained.short()) == (kept.length, kept.sha256(), kept.short())
            assert taken + drained.text == kept.text

    def test_a_long_text_has_no_short_form_and_a_retraction_gives_it_one_again(self) -> None:
        message = Message("a")
        message.append("x" * SHORT)
        assert message.drain() == "x" * SHORT
        assert message.short() == "x" * SHORT
        message.append("y")
        assert message.short() is None
        message.drain()
        assert message.short() is None
        message.retract("wrong", 7)
        message.append("z")
        assert (message.short(), message.length, message.since, message.retracted) == ("z", 1, 7, ["wrong"])
        assert message.sha256() == hashlib.sha256(b"z").hexdigest()

    def test_a_retraction_takes_back_text_and_what_was_said_of_it(self) -> None:
        state = state_of(
            text("a", "wrong"),
            ("text.completed", {"message_id": "a", "sha256": "0" * 64, "length": 5}),
            ("text.retracted", {"message_id": "a", "reason": "it was wrong"}),
            text("a", "right"),
        )
        message = state.messages["a"]
        assert (message.text, message.completed, message.declared_length) == ("right", False, None)
        assert message.retracted == ["it was wrong"]

    def test_reasoning_is_no_message(self) -> None:
        state = state_of(("reasoning.delta", {"text": "so "}), ("reasoning.delta", {"text": "then"}))
        assert (state.reasoning.text, state.messages) == ("so then", {})


class TestAnswer:
    def test_there_is_none_before_any_text(self) -> None:
        assert state_of(("run.started", {})).answer is None

    @pytest.mark.parametrize(
        ("told", "answer"),
        [
            ([text("stdout", "x")], "stdout"),
            ([text("a", "x"), text("stdout", "y")], "a"),
            ([text("a", "x"), text("b", "y")], "b"),
            ([("message.started", {"message_id": "a"})], "a"),
            ([("message.started", {"message_id": "a"}), text("stdout", "y")], "stdout"),
            ([text("a", "x"), ("message.started", {"message_id": "b"})], "a"),
            ([("message.started", {"message_id": "a", "final": True}), text("b", "y")], "a"),
            ([text("a", "x"), ("text.completed", {"message_id": "a", "final": True}), text("b", "y")], "a"),
            ([("message.started", {"message_id": "u", "role": "user"}), text("u", "x"), text("stdout", "y")], "stdout"),
        ],
    )
    def test_it_is_the_message_declared_final_else_the_last_with_text_else_what_was_printed(
        self, told: list[Any], answer: str
    ) -> None:
        found = state_of(*told).answer
        assert found is not None
        assert found.message_id == answer


class TestSteps:
    def test_a_step_is_open_until_it_is_completed(self) -> None:
        log = numbered(
            [
                ("step.started", {"step_id": "s", "title": "search", "kind": "tool", "parent": "p", "input": {"q": 1}}),
                ("step.progress", {"step_id": "s", "message": "half", "fraction": 0.5}),
                ("step.progress", {"step_id": "s", "message": "more"}),
                ("step.completed", {"step_id": "s", "status": "failed", "error": "no", "output": [1]}),
            ]
        )
        state = fold(log[:3])
        (step,) = state.open_steps
        assert (step.title, step.kind, step.parent, step.input) == ("search", "tool", "p", {"q": 1})
        assert (step.message, step.fraction, step.started) == ("more", 0.5, 0.125)
        fold(log[3:], state)
        assert state.open_steps == []
        assert (step.status, step.error, step.output, step.duration) == ("failed", "no", [1], 0.375)

    def test_a_duration_that_is_told_is_believed(self) -> None:
        state = state_of(
            ("step.started", {"step_id": "s", "title": "x"}),
            ("step.completed", {"step_id": "s", "status": "ok", "duration": 9.5}),
        )
        assert state.steps["s"].duration == 9.5

    def test_a_step_that_was_never_opened_is_shown_all_the_same(self) -> None:
        step = state_of(("step.completed", {"step_id": "s", "status": "ok"})).steps["s"]
        assert (step.title, step.status, step.started, step.duration) == ("s", "ok", None, None)


def test_a_plan_is_always_the_whole_list() -> None:
    state = state_of(
        ("plan.created", {"steps": [{"id": "1", "title": "look"}, {"id": "2", "title": "write", "parent": "1"}]}),
        ("plan.updated", {"steps": [{"id": "2", "title": "write", "status": "active", "note": "x"}]}),
    )
    assert state.plan == [{"id": "2", "title": "write", "status": "active", "parent": None}]
    assert state.plan_seq == 2


def test_a_source_told_twice_is_one_source_with_what_both_said() -> None:
    state = state_of(
        ("source.added", {"source_id": "1", "url": "https://example.org"}),
        ("source.added", {"source_id": "1", "title": "Example"}),
    )
    assert state.sources == {"1": {"source_id": "1", "url": "https://example.org", "title": "Example"}}


def test_an_approval_waits_for_its_decision() -> None:
    asked = ("approval.requested", {"approval_id": "1", "title": "delete?"})
    assert state_of(asked).approvals["1"]["decision"] is None
    decided = ("approval.resolved", {"approval_id": "1", "decision": "deny"})
    assert state_of(asked, decided).approvals["1"] == {"approval_id": "1", "title": "delete?", "decision": "deny"}
    assert state_of(decided).approvals["1"]["decision"] == "deny"


def test_the_last_log_lines_are_kept() -> None:
    state = state_of(*[("log.line", {"text": str(n), "stream": None}) for n in range(LOG_LINES + 5)])
    assert len(state.log) == LOG_LINES
    assert (state.log[0], state.log[-1]) == (("", "5"), ("", str(LOG_LINES + 4)))


class TestUsage:
    def test_what_is_unknown_is_absent_and_never_zero(self) -> None:
        assert state_of().usage == {}
        assert state_of(("usage.reported", {"input_tokens": 5, "output_tokens": None})).usage == {"input_tokens": 5}

    def test_reports_add_up_or_replace_as_they_say_for_each_model(self) -> None:
        state = state_of(
            ("usage.reported", {"input_tokens": 5, "model": "a"}),
            ("usage.reported", {"input_tokens": 7, "cost_usd": 0.5, "model": "a"}),
            ("usage.reported", {"input_tokens": 1, "model": "b", "mode": "replace"}),
            ("usage.reported", {"input_tokens": 2, "model": "b", "mode": "replace"}),
        )
        assert state.usage == {"input_tokens": 14, "cost_usd": 0.5}

    def test_the_widest_scope_counts(self) -> None:
        state = state_of(
            ("usage.reported", {"scope": "turn", "input_tokens": 5}),
            ("usage.reported", {"scope": "run", "input_tokens": 9}),
        )
        assert state.usage == {"input_tokens": 9}

    @pytest.mark.parametrize("amount", ["5", True, 10**400, float("inf"), float("nan"), [5]])
    def test_an_amount_that_cannot_be_added_up_is_no_amount(self, amount: Any) -> None:
        state = state_of(
            ("usage.reported", {"cost_usd": 1.5}),
            ("usage.reported", {"cost_usd": amount}),
            ("usage.reported", {"cost_usd": amount, "model": "b"}),
        )
        assert state.usage == {"cost_usd": 1.5}
