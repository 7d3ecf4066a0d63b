"""The rules one by one: what is fine is not found, and what is found is told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durastream.errors import UsageError
from durastream.events import Src
from durastream.rules import FAMILIES, RULES, SEVERITIES, Budgets, Course, Finding, first_difference, severity_of
from durastream.rules.cheap import as_json, checks, reconciles
from durastream.rules.claims import claims
from durastream.rules.coverage import Coverage
from durastream.rules.policy import Policy, Settings, seconds
from durastream.rules.reconcile import reconcile
from durastream.rules.visibility import visibility
from durastream.state import RunState
from durastream.testing import scripted
from durastream.verify import Checker


def told(*lines: tuple[str, dict[str, Any]]) -> list[str]:
    """The codes that these events give, at the end of a good run."""
    state, course = RunState(), Course()
    course.follow(scripted(lines), state)
    return [each.code for each in reconcile(state, course, {"exit_code": 0})]


def answer(text: str) -> tuple[str, dict[str, Any]]:
    return "text.delta", {"message_id": "answer", "text": text}


def source(source_id: str, url: str, **more: str) -> tuple[str, dict[str, Any]]:
    return "source.added", {"source_id": source_id, "url": url, **more}


# the catalogue


def test_every_rule_is_told_in_full_sentences() -> None:
    for code, rule in RULES.items():
        assert (rule.code, rule.family in FAMILIES, rule.severity in SEVERITIES) == (code, True, True)
        assert rule.promise.endswith((".", ")."))
        assert rule.meaning.endswith(".")
        assert rule.ask.endswith((".", "?", "…"))
        assert rule.example


def test_a_code_of_another_version_is_an_error() -> None:
    assert severity_of("from-the-future") == "error"


# claims


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("See https://example.org/a.", ["https://example.org/a"]),
        ("(https://example.org/a_(b)), and", ["https://example.org/a_(b)"]),
        ("[text](https://example.org/a)", ["https://example.org/a"]),
        ("as shown [1], and [2].", ["1", "2"]),
        ("a[0] + b[1]", []),
        ("`[1]` and ```\n[2] https://example.org\n```", []),
        ("as shown [1]\n\n[1] https://example.org/a", ["https://example.org/a"]),
        ("[1](https://example.org/a)", ["https://example.org/a"]),
    ],
)
def test_what_an_answer_cites(text: str, expected: list[str]) -> None:
    assert [each.words for each in claims(text)] == expected


@given(st.text(max_size=200))
def test_any_text_may_be_an_answer(text: str) -> None:
    for claim in claims(text):
        assert 0 <= claim.at < len(text)


def test_a_source_counts_however_its_address_is_written() -> None:
    assert told(source("1", "https://www.example.org/a/"), answer("see http://example.org/a#top")) == []


def test_an_answer_of_a_command_that_only_prints_claims_nothing() -> None:
    assert told(("text.delta", {"message_id": "stdout", "text": "see https://example.org [7]"})) == []


def test_a_number_in_brackets_means_nothing_where_there_is_no_source() -> None:
    assert told(answer("it is so [7]")) == []
    assert told(source("1", "https://example.org"), answer("it is so [1]")) == []
    assert told(source("1", "https://example.org"), answer("it is so [2]")) == ["citation-unknown"]


# reconcile


def test_a_step_that_was_completed_may_be_started_again() -> None:
    start, done = {"step_id": "s", "title": "x"}, {"step_id": "s", "status": "ok"}
    assert (
        told(("step.started", start), ("step.completed", done), ("step.started", start), ("step.completed", done)) == []
    )


def test_parts_that_add_up_to_the_total_agree() -> None:
    turn = ("usage.reported", {"scope": "turn", "input_tokens": 5})
    assert told(turn, turn, ("usage.reported", {"scope": "run", "input_tokens": 10})) == []
    assert told(turn, ("usage.reported", {"scope": "run", "input_tokens": 10})) == ["usage-differs"]


def test_the_last_word_on_a_check_counts() -> None:
    failed = {"name": "safe", "outcome": "fail", "required": True}
    assert told(("quality.checked", failed), ("quality.checked", {**failed, "outcome": "pass"})) == []
    assert told(("quality.checked", failed)) == ["check-failed"]


def test_an_approval_that_was_given_is_closed() -> None:
    asked = ("approval.requested", {"approval_id": "a", "title": "rm"})
    assert told(asked, ("approval.resolved", {"approval_id": "a", "decision": "allow"})) == []
    assert told(asked) == ["approval-open"]


# visibility


def seen(*moments: float, end: float, **budgets: float) -> list[str]:
    """The codes for a run in which something was visible at these seconds."""
    state, course = RunState(), Course()
    for moment in moments:
        course.seen(moment, 1, 1)
    state.t = end
    return [each.code for each in visibility(state, course, Budgets(**budgets))]


def test_a_run_without_budgets_may_be_silent() -> None:
    assert seen(1, 50, 99, end=100) == []
    assert seen(end=100) == []


@pytest.mark.parametrize(
    ("moments", "end", "budgets", "expected"),
    [
        ((1.0, 2.0), 3, {"max_silence": 1.0}, []),
        ((1.0, 2.0), 3.5, {"max_silence": 1.0}, ["silence-long"]),
        ((1.5,), 2, {"max_silence": 1.0}, ["silence-long"]),
        ((0.5,), 1, {"first_event": 0.5}, []),
        ((0.6,), 1, {"first_event": 0.5}, ["first-event-late"]),
        ((), 0.4, {"first_event": 0.5}, []),
        ((), 1, {"first_event": 0.5}, ["first-event-late"]),
        ((1.0, 11.0), 20, {"max_silent_share": 1.0}, []),
        ((1.0, 11.0), 20, {"max_silent_share": 0.9}, ["silence-share"]),
        ((4.0, 8.0), 9, {"max_silent_share": 0.0}, []),
    ],
)
def test_budgets_hold_up_to_their_limit(
    moments: tuple[float, ...], end: float, budgets: dict[str, float], expected: list[str]
) -> None:
    assert seen(*moments, end=end, **budgets) == expected


def test_a_burst_at_the_end_is_found_in_runs_of_any_length() -> None:
    for length in (10.0, 60.0, 86_400.0):
        assert seen(length * 0.95, length * 0.99, end=length) == ["burst-at-end"]
        assert seen(length * 0.5, length * 0.99, end=length) == []
    assert seen(8.9, end=9) == []


@pytest.mark.parametrize("type_", ["log.line", "text.delta"])
def test_what_a_new_recorder_read_late_is_no_burst_and_no_silence_of_the_agent(type_: str) -> None:
    """It was written all along; nobody knows when."""
    lines: list[tuple[str, dict[str, Any]]] = [
        (type_, {"message_id": "m", "text": str(number)}) for number in range(20)
    ]
    made = scripted(lines)
    late = [each._replace(t=29.0, late=True, src=Src("stdout", each.seq)) for each in made[:-1]]
    shown = [each._replace(t=29.5, src=Src("stdout", each.seq)) for each in made[-1:]]
    budgets = Budgets(first_event=1.0, max_silence=5.0, max_silent_share=0.1)
    state, course = RunState(), Course()
    course.follow([*late, *shown], state)
    state.t = 30.0
    assert visibility(state, course, budgets) == []
    course = Course()
    course.follow([each._replace(late=False) for each in (*late, *shown)], RunState())
    codes = {each.code for each in visibility(state, course, budgets)}
    assert codes == {"burst-at-end", "first-event-late", "silence-long", "silence-share"}
    checker = Checker("r", budgets=budgets)
    checker.take([*late, *shown])
    assert (checker.course.visible, checker.course.missed, checker.course.share_after(27.0)) == (20, True, 1 / 20)


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=50))
def test_every_visible_event_is_counted_once_however_long_the_run(moments: list[float]) -> None:
    course = Course()
    for moment in sorted(moments):
        course.seen(moment, 2, 1)
    assert course.visible == 2 * len(moments)
    assert course.share_after(-1.0) == 1.0


# bytes


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([(0, None), (4, None), (9, 2)], []),
        ([(0, None), (0, None), (4, None), (9, 2)], []),
        ([(0, None), (9, 2)], ["bytes-unaccounted"]),
        ([(4, None), (9, 2)], ["bytes-unaccounted"]),
        ([(0, None), (4, None)], ["bytes-unaccounted"]),
        ([], ["bytes-unaccounted"]),
        ([(0, None), (4, None), (0, None), (9, 2)], ["bytes-doubled"]),
        ([(0, None), (4, None), (9, 3)], ["bytes-unaccounted"]),
    ],
)
def test_every_byte_stands_in_one_event(places: list[tuple[int, int | None]], expected: list[str], size: int) -> None:
    data = b"one\n\ntwo\nab"
    data = data.replace(b"\n\ntwo", b"\n two")
    coverage = Coverage("stderr", [data[at : at + size] for at in range(0, len(data), size)])
    for seq, (offset, length) in enumerate(places, 1):
        coverage.take(seq, Src("stderr", offset, length))
    assert [each.code for each in coverage.report(gapless=True)] == expected
    assert coverage.length == len(data)


def test_blank_lines_and_what_an_adapter_read_are_no_gap() -> None:
    blank = Coverage("events", [b"\n", b" \n{}\n", b"\n"])
    blank.take(1, Src("events", 3))
    assert blank.report(gapless=True) == []
    adapted = Coverage("stdout", [b"one\ntwo\n"])
    adapted.take(1, Src("stdout", 4))
    assert adapted.report(gapless=False) == []


# what the recorder says


def test_the_recorder_says_one_check_for_each_question() -> None:
    found = [Finding("plan-late", "late", 3), Finding("answer-differs", "differs")]
    visible, reconciled = checks(found)
    assert (visible["name"], visible["outcome"], visible["by"]) == ("visible", "warn", "durastream")
    assert (reconciled["name"], reconciled["outcome"], reconciled["detail"]) == ("reconciled", "fail", "differs")
    assert visible["findings"] == [{"code": "plan-late", "severity": "warning", "message": "late", "seq": 3}]
    assert [each["outcome"] for each in checks([])] == ["pass", "pass"]


def test_a_run_reconciles_unless_one_finding_is_an_error() -> None:
    assert reconciles([])
    assert reconciles(as_json([Finding("plan-late", "late")]))
    assert not reconciles(as_json([Finding("answer-differs", "differs")]))
    assert not reconciles([{"code": "step-open", "message": "of a version that knew no severity"}])


@given(st.text("ab", max_size=30), st.text("ab", max_size=30))
def test_the_first_difference_of_long_texts_is_that_of_short_ones(left: str, right: str) -> None:
    at = first_difference(left, right)
    expected = next((i for i in range(max(len(left), len(right))) if left[i : i + 1] != right[i : i + 1]), None)
    assert at == expected


# options


def test_times_are_read_as_people_write_them() -> None:
    assert [seconds(each) for each in ("30s", "1.5m", "500ms", "2", 3, 0.5, "1h")] == [30, 90, 0.5, 2, 3, 0.5, 3600]
    assert [seconds(each) for each in ("soon", "-1s", -1, True, None, [])] == [None] * 6


def test_rules_are_chosen_by_code_family_and_severity() -> None:
    found = [Finding("step-open", ""), Finding("plan-late", ""), Finding("plan-open", ""), Finding("new-code", "")]

    def codes(**options: Any) -> list[str]:
        return [each.code for each in Settings().policy({}, options).chosen(found)]

    assert codes() == ["new-code", "plan-late", "step-open"]
    assert codes(severity="info") == ["new-code", "plan-late", "step-open", "plan-open"]
    assert codes(severity="error") == ["new-code", "step-open"]
    assert codes(select="visibility") == ["new-code", "plan-late"]
    assert codes(select=["step-open,plan-late"], ignore=["visibility"]) == ["new-code", "step-open"]


def test_a_tag_has_options_of_its_own_and_what_is_given_by_hand_wins() -> None:
    settings = Settings({"max-silence": "30s", "tags": {"kind=nightly": {"max-silence": "10m", "severity": "error"}}})
    assert settings.policy({}, {}).budgets.max_silence == 30
    nightly = settings.policy({"kind": "nightly"}, {})
    assert (nightly.budgets.max_silence, nightly.severity) == (600, "error")
    assert settings.policy({"kind": "other"}, {}).severity == "warning"
    assert settings.policy({"kind": "nightly"}, {"max-silence": "5s"}).budgets.max_silence == 5
    assert Settings().policy({}, {}) == Policy()


@pytest.mark.parametrize(
    "table",
    [
        {"max-silence": "soon"},
        {"first-event": -1},
        {"max-silent-share": 2},
        {"max-silent-share": True},
        {"select": ["no-such-rule"]},
        {"select": 5},
        {"severity": "grave"},
        {"artifacts": "yes"},
        {"required-checks": [1]},
        {"unheard": 1},
        {"tags": "nightly"},
        {"tags": {"kind=nightly": {"severity": "grave"}}},
    ],
)
def test_options_that_cannot_be_meant_are_refused(table: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="pyproject"):
        Settings(table, "pyproject.toml")
