"""What verify finds: each planted defect by its code, and nothing in a recording that holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from core_kit import any_data, json_values
from hypothesis import given
from hypothesis import strategies as st

from durastream.answer import packet
from durastream.errors import Damaged
from durastream.events import Event, chain, dumps, genesis, loads
from durastream.state import RunState, fold
from durastream.testing import scripted
from durastream.verify import Checker, Kept, cut_points, verify

RUN = "k3v9p2"
ANSWER = "Schrödinger's cat is 🐈."
TOLD: list[tuple[Any, ...]] = [
    (
        "plan.created",
        {"steps": [{"id": "1", "title": "look", "status": "done"}, {"id": "s", "title": "search", "status": "done"}]},
        0.1,
    ),
    ("step.started", {"step_id": "s", "title": "search"}, 0.5),
    ("text.delta", {"message_id": "answer", "text": ANSWER[:9]}, 0.6),
    ("log.line", {"stream": "stderr", "text": "hm"}, 0.7),
    ("text.delta", {"message_id": "answer", "text": ANSWER[9:]}, 0.8),
    ("step.completed", {"step_id": "s", "status": "ok", "output": {"rows": 3}}, 1.0),
    ("source.added", {"source_id": "1", "url": "https://example.org"}, 1.1),
    ("quality.checked", {"name": "cites", "outcome": "pass"}, 1.2),
    ("usage.reported", {"input_tokens": 12}, 1.3),
    ("run.declared", {"status": "completed", "answer": {"text": ANSWER}}, 1.4),
]
LOG = scripted(TOLD, run_id=RUN, exit_status={"exit_code": 0})


def codes(log: list[Event], **kept: Any) -> set[str]:
    return {finding.code for finding in verify(RUN, log, Kept(**kept)).findings}


def retold(
    log: list[Event], edit: Callable[[dict[str, Any]], None], at: int = -1, *, chained: bool = True
) -> list[Event]:
    """The log with one event edited; with `chained`, by somebody who computes all hashes anew."""
    bodies = [json.loads(event.body) for event in log]
    edit(bodies[at])
    digest, made = genesis(RUN), []
    for fields, event in zip(bodies, log, strict=True):
        body = dumps(fields)
        digest = chain(digest, body) if chained else event.hash
        made.append(loads(body, digest))
    return made


def test_nothing_is_found_in_a_log_that_holds() -> None:
    report = verify(RUN, LOG, Kept(drafts={"answer": ANSWER}))
    assert report.findings == []
    assert report.ok
    assert (report.run_id, report.events, report.sealed) == (RUN, len(LOG), True)
    assert report.seal == "sha256:" + LOG[-1].hash.hex()


def test_an_empty_log_is_found() -> None:
    assert codes([]) == {"empty"}


@pytest.mark.parametrize("count", [1, 2, len(LOG) - 1])
def test_a_log_that_lost_its_last_events_is_unsealed(count: int) -> None:
    report = verify(RUN, LOG[:-count])
    assert [finding.code for finding in report.findings] == ["unsealed"]
    assert not report.sealed


@pytest.mark.parametrize("at", range(1, len(LOG) - 1))
def test_an_event_taken_out_is_found_where_it_was(at: int) -> None:
    found = verify(RUN, LOG[:at] + LOG[at + 1 :]).findings
    assert {("seq-gap", at + 2), ("hash-chain", at + 2)} <= {(finding.code, finding.seq) for finding in found}


def test_events_in_another_order_are_found() -> None:
    assert {"seq-gap", "hash-chain", "time-back"} <= codes([*LOG[:3], LOG[4], LOG[3], *LOG[5:]])


def test_the_log_of_another_run_is_found() -> None:
    assert [(finding.code, finding.seq) for finding in verify("abc234", LOG).findings] == [("hash-chain", 1)]


def test_only_the_first_break_of_the_chain_is_named() -> None:
    broken = [event._replace(body=event.body.replace("e", "E")) for event in LOG]
    assert [(finding.code, finding.seq) for finding in verify(RUN, broken).findings] == [("hash-chain", 1)]


@given(st.data())
def test_any_changed_character_of_any_stored_body_is_found_at_its_event(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(LOG) - 1))
    body = LOG[at].body
    place = data.draw(st.integers(0, len(body) - 1))
    other = data.draw(st.characters(exclude_categories=["Cs"]).filter(lambda character: character != body[place]))
    edited = data.draw(
        st.sampled_from(
            [
                body[:place] + other + body[place + 1 :],
                body[:place] + body[place + 1 :],
                body[:place] + other + body[place:],
            ]
        )
    )
    changed = [*LOG[:at], LOG[at]._replace(body=edited), *LOG[at + 1 :]]
    assert ("hash-chain", at + 1) in [(finding.code, finding.seq) for finding in verify(RUN, changed).findings]


PLANTED: list[tuple[str, int, Callable[[dict[str, Any]], None]]] = [
    ("time-back", 4, lambda event: event.update(t=0.01)),
    ("run-start", 0, lambda event: event.update(type="log.line", data={"text": "x"})),
    ("run-start", 3, lambda event: event.update(type="run.started")),
    ("event-count", -1, lambda event: event["data"].update(events=3)),
    ("step-reopened", 3, lambda event: event.update(type="step.started", data={"step_id": "s", "title": "x"})),
    ("step-unopened", 2, lambda event: event["data"].update(step_id="t")),
    ("step-open", 6, lambda event: event["data"].update(step_id="t")),
    ("malformed", 3, lambda event: event.update(data={"text": "no message"})),
    ("answer-differs", 3, lambda event: event["data"].update(text="Schrodinge")),
    ("answer-differs", -2, lambda event: event["data"]["answer"].update(text=ANSWER[:-1])),
    ("answer-differs", -1, lambda event: event["data"]["answer"].update(text=ANSWER.replace("cat", "dog"))),
    ("answer-differs", -1, lambda event: event["data"]["answer"].update(sha256="0" * 64)),
    ("answer-differs", -1, lambda event: event["data"]["answer"].update(message_id="stdout")),
    ("answer-differs", -1, lambda event: event["data"].update(answer="forty-two")),
    ("packet", -1, lambda event: event["data"].update(status="failed")),
    ("packet", -1, lambda event: event["data"].update(sources=["1", "2"] * 40)),
    ("packet", -1, lambda event: event["data"].update(checks={"pass": 2})),
    ("packet", -1, lambda event: event["data"].update(usage={"input_tokens": 1})),
    ("packet", -1, lambda event: event["data"].update(steps={})),
    ("packet", -1, lambda event: event["data"].update(reconciled=False)),
    ("packet", -1, lambda event: event["data"].update(exit_code=1)),
]


@pytest.mark.parametrize(("code", "at", "edit"), PLANTED)
def test_a_planted_defect_is_found_though_all_hashes_were_made_anew(
    code: str, at: int, edit: Callable[[dict[str, Any]], None]
) -> None:
    found = codes(retold(LOG, edit, at))
    assert code in found
    assert "hash-chain" not in found


@pytest.mark.parametrize(("code", "at", "edit"), PLANTED)
def test_a_planted_defect_breaks_the_chain_when_they_were_not(
    code: str, at: int, edit: Callable[[dict[str, Any]], None]
) -> None:
    assert "hash-chain" in codes(retold(LOG, edit, at, chained=False))


def test_where_the_answer_parts_from_the_stream_is_said() -> None:
    edited = retold(LOG, lambda event: event["data"]["answer"].update(text=ANSWER.replace("cat", "bat")))
    (finding,) = verify(RUN, edited).findings
    assert f"first at character {ANSWER.index('cat')} " in finding.message
    assert finding.seq == len(LOG)


def test_an_event_after_the_end_is_found() -> None:
    body = dumps({**json.loads(LOG[4].body), "seq": len(LOG) + 1, "t": LOG[-1].t})
    assert codes([*LOG, loads(body, chain(LOG[-1].hash, body))]) == {"after-end"}


def test_a_run_whose_end_nobody_saw_holds_too() -> None:
    made = scripted([("text.delta", {"message_id": "a", "text": "x"})], run_id=RUN)
    body = json.loads(made[-1].body) | {"seq": 3, "type": "run.completed"}
    body["data"] = {**packet(fold(made), None), "events": 3}
    text = dumps(body)
    assert verify(RUN, [*made, loads(text, chain(made[-1].hash, text))]).ok


@pytest.mark.parametrize(
    ("drafts", "found"),
    [
        (None, False),
        ({"answer": ANSWER}, False),
        ({}, True),
        ({"answer": ANSWER[:-1]}, True),
        ({"answer": ANSWER, "ghost": "x"}, True),
        ({"answer": ANSWER.replace("cat", "dog")}, True),
    ],
)
def test_a_stored_draft_that_is_not_what_its_events_say_is_found(drafts: dict[str, str] | None, found: bool) -> None:
    assert ("draft" in codes(LOG, drafts=drafts)) is found


def checked(snapshots: dict[int, Callable[[], RunState]]) -> list[tuple[str, int | None]]:
    checker = Checker(RUN, snapshots=snapshots)
    for event in LOG:
        checker.take([event])
    return [(finding.code, finding.seq) for finding in checker.report().findings]


def test_a_snapshot_is_compared_with_the_events_before_it() -> None:
    assert checked({n: lambda n=n: fold(LOG[:n]) for n in range(1, len(LOG) + 1)}) == []  # type: ignore[misc]
    assert checked({5: lambda: fold(LOG[:4])}) == [("snapshot", 5)]


def test_a_snapshot_that_cannot_be_read_is_a_finding_and_no_end() -> None:
    def damaged() -> RunState:
        raise Damaged("the snapshot at event 5 cannot be read")

    assert checked({5: damaged}) == [("snapshot", 5)]


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ({"stdout": {"length": 2, "sha256": hashlib.sha256(b"hi").hexdigest()}}, False),
        ({"stdout": {"length": 3, "sha256": hashlib.sha256(b"hi").hexdigest()}}, True),
        ({"stdout": {"length": 2, "sha256": "0" * 64}}, True),
        ({"stdout": "hi"}, True),
        ({}, False),
        (["stdout"], False),
        (None, False),
    ],
)
def test_raw_bytes_are_compared_with_what_the_end_says_of_them(told: Any, found: bool) -> None:
    log = retold(LOG, lambda event: event["data"].update(raw=told))
    checker = Checker(RUN)
    checker.take(log)
    report = checker.report(Kept(raw={"stdout": (2, hashlib.sha256(b"hi").hexdigest())}))
    assert bool(report.findings) is found


def test_late_join_is_tried_and_a_state_that_lost_something_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    load = RunState.load

    def forgetful(saved: Any) -> RunState:
        return load({**saved, "plan": []})

    monkeypatch.setattr(RunState, "load", staticmethod(forgetful))
    assert codes(LOG) == {"late-join"}


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (0, []),
        (1, [1]),
        (3, [1, 2, 3]),
        (2000, list(range(1, 2001))),
        (15_001, list(range(1, 15_002, 1000))),
        (20_001, [1, 10_001, 20_001]),
    ],
)
def test_late_join_is_tried_at_both_ends_and_between(last: int, expected: list[int]) -> None:
    assert cut_points(last) == expected


@given(st.integers(2001, 20_000))
def test_late_join_is_tried_at_sixteen_places_of_a_longer_run(last: int) -> None:
    points = cut_points(last)
    assert len(points) == 16
    assert (points[0], points[-1]) == (1, last)
    assert points == sorted(set(points))


def test_a_defect_can_be_noted_by_who_reads_the_file() -> None:
    checker = Checker(RUN)
    checker.take(LOG)
    checker.found("unreadable", "line 5 cannot be read", 5)
    assert checker.report().findings == [("unreadable", "line 5 cannot be read", 5, None)]


ENDS = st.sampled_from(["run.started", "run.completed", "run.declared", "step.started", "step.completed"])
SAID = st.sampled_from(["status", "answer", "raw", "signal", "exit_code"])


@given(st.lists(st.tuples(ENDS, any_data | st.dictionaries(SAID, json_values, max_size=4)), max_size=6))
def test_nothing_that_a_log_holds_can_stop_verify(told: list[tuple[str, dict[str, Any]]]) -> None:
    log = scripted([("log.line", {"text": "x"}), *told], run_id=RUN)
    checker = Checker(RUN, cuts=cut_points(len(log)))
    checker.take(log)
    assert checker.report(Kept(drafts={}, raw={"stdout": (0, "")})).events == len(log)
