"""What every adapter speaks through: plans keep their identity, texts are told once, what is long is cut."""

from __future__ import annotations

import hashlib

from durastream.sources.adapters import Entry, Narrator
from durastream.sources.adapters.agenda import plan_status
from durastream.sources.adapters.narrator import Said
from durastream.vocabulary import check


def types(said: list[Said]) -> list[str]:
    return [type_ for type_, _ in said]


def entries(narrator: Narrator) -> list[tuple[str, str, str]]:
    """The plan that was just told."""
    (plan,) = [data for type_, data in narrator.drain() if type_.startswith("plan.")]
    return [(entry["id"], entry["title"], entry["status"]) for entry in plan["steps"]]


def test_the_first_plan_is_created_and_each_change_updates_it_whole() -> None:
    say = Narrator()
    say.plan([Entry("look", "in_progress"), Entry("write")])
    assert types(say.drain()) == ["plan.created", "step.started"]
    say.plan([Entry("look", "in_progress"), Entry("write")])
    say.plan([])
    assert say.drain() == [], "neither the same plan nor an empty one is news"
    say.plan([Entry("look", "completed"), Entry("write", "in_progress")])
    assert types(say.drain()) == ["plan.updated", "step.completed", "step.started"]


def test_an_entry_is_known_by_its_id_else_its_title_else_its_place() -> None:
    say = Narrator()
    say.plan([Entry("a", id="7"), Entry("b"), Entry("c")])
    assert entries(say) == [("plan/7", "a", "pending"), ("plan/p1", "b", "pending"), ("plan/p2", "c", "pending")]
    say.plan([Entry("A new name", id="7"), Entry(" C "), Entry("b")])
    assert entries(say) == [
        ("plan/7", "A new name", "pending"),
        ("plan/p2", "C", "pending"),
        ("plan/p1", "b", "pending"),
    ]
    say.plan([Entry("A new name", id="7"), Entry("C"), Entry("b, but better")])
    assert entries(say)[2] == ("plan/p1", "b, but better", "pending")
    say.plan([Entry("A new name", id="7"), Entry("C"), Entry("C"), Entry("more")])
    assert [id_ for id_, _, _ in entries(say)] == ["plan/7", "plan/p2", "plan/p3", "plan/p4"]


def test_an_entry_that_is_taken_out_while_in_progress_is_skipped() -> None:
    say = Narrator()
    say.plan([Entry("look", "active"), Entry("write")])
    say.drain()
    say.plan([Entry("write", "active")])
    assert [data for type_, data in say.drain() if type_ == "step.completed"] == [
        {"step_id": "plan/p1", "status": "skipped"}
    ]
    assert say.active_entry == "plan/p2"


def test_statuses_are_read_in_every_spelling() -> None:
    told = ["TODO_STATUS_IN_PROGRESS", "in progress", "in-progress", "Completed", "cancelled", "blocked", "soon", None]
    assert [plan_status(status) for status in told] == [
        "active", "active", "active", "done", "cancelled", "pending", "pending", "pending"
    ]  # fmt: skip


def test_a_tool_stands_under_the_entry_in_progress_unless_it_has_a_parent() -> None:
    say = Narrator()
    say.plan([Entry("look", "active")])
    say.start("t1", "grep")
    say.start("t1", "begun twice")
    say.start("t2", "sub", parent="t1")
    started = [data for type_, data in say.drain() if type_ == "step.started" and data["kind"] == "tool"]
    assert [(data["step_id"], data["parent"]) for data in started] == [("t1", "plan/p1"), ("t2", "t1")]


def test_progress_of_a_step_that_is_not_open_is_passed_over_and_an_end_begins_it() -> None:
    say = Narrator()
    say.progress("t", "half", 0.5)
    assert say.drain() == []
    say.end("t", "failed", error="no", title="try", duration="long")
    assert say.drain() == [
        ("step.started", {"step_id": "t", "title": "try", "kind": "tool"}),
        ("step.completed", {"step_id": "t", "status": "failed", "error": "no"}),
    ]


def test_a_repeated_text_is_compared_and_not_doubled() -> None:
    say = Narrator()
    say.text("m", "Hel")
    assert say.is_open("m")
    assert say.repeats("m", "Hel")
    say.text("m", "")
    say.text("m", "lo")
    say.complete("m", "Hello!")
    assert say.drain()[2:] == [
        ("text.completed", {"message_id": "m", "sha256": hashlib.sha256(b"Hello!").hexdigest(), "length": 6})
    ]
    say.complete("m")
    say.complete("never", None)
    assert say.drain() == []
    say.complete("whole", "All of it")
    assert types(say.drain()) == ["text.delta", "text.completed"]


def test_a_retracted_text_begins_anew() -> None:
    say = Narrator()
    say.begin("m", "user")
    say.text("m", "wrong")
    say.retract("m", "rewritten")
    say.text("m", "right")
    say.complete("m")
    assert say.drain()[-1][1]["length"] == 5


def test_an_answer_that_is_long_is_declared_by_its_hash() -> None:
    say = Narrator()
    say.declare("completed", message_id="m", text="x" * 20_000, turns=3)
    ((_, data),) = say.drain()
    assert data == {
        "status": "completed", "turns": 3,
        "answer": {"message_id": "m", "sha256": hashlib.sha256(b"x" * 20_000).hexdigest(), "length": 20_000},
    }  # fmt: skip
    say.declare("failed")
    assert say.drain() == [("run.declared", {"status": "failed"})]


def test_a_source_is_named_once_and_again_when_its_title_is_learnt() -> None:
    say = Narrator()
    say.source(url="https://a.example/")
    say.source(url="https://a.example/")
    say.source(url="https://a.example/", title="A")
    say.source(url="https://a.example/")
    say.source(title="a book", snippet="page 1")
    say.source()
    assert [(data["source_id"], data.get("title")) for _, data in say.drain()] == [
        ("https://a.example/", None), ("https://a.example/", "A"), ("a book", "a book")
    ]  # fmt: skip


def test_addresses_are_cited_without_the_sentence_around_them() -> None:
    say = Narrator()
    say.cite(
        "See https://a.example/x_(y), (https://b.example/). *https://c.example/*, 'https://d.example'", origin="text"
    )
    say.cite({"results": [{"url": "https://e.example/?a=b&c=d"}]}, origin="tool", step_id=5)
    assert [data["url"] for _, data in say.drain()] == [
        "https://a.example/x_(y)", "https://b.example/", "https://c.example/", "https://d.example",
        "https://e.example/?a=b&c=d",
    ]  # fmt: skip
    say.cite(" ".join(f"https://many.example/{n}" for n in range(100)), origin="text")
    assert len(say.drain()) == 50


def test_what_is_remembered_of_sources_has_an_end() -> None:
    say = Narrator()
    for number in range(600):
        say.source(url=f"https://many.example/{number}")
    say.drain()
    say.source(url="https://many.example/599")
    assert say.drain() == []
    say.source(url="https://many.example/0")
    assert len(say.drain()) == 1


def test_amounts_that_are_no_numbers_are_absent() -> None:
    say = Narrator()
    say.use(model="m", input_tokens=12.0, output_tokens=-1, cached_tokens="3", cost_usd=0.5, reasoning_tokens=True)
    say.use(input_tokens=None)
    assert say.drain() == [
        ("usage.reported", {"scope": "run", "mode": "add", "model": "m", "input_tokens": 12, "cost_usd": 0.5})
    ]


def test_what_is_long_is_cut_and_what_is_odd_is_written() -> None:
    say = Narrator()
    deep: object = "x"
    for _ in range(20):
        deep = [deep, {"k": deep}]
    say.start(
        "t", "title\nof two lines" + "y" * 1000, input={"text": "z" * 9000, "list": list(range(80)), "deep": deep}
    )
    say.log({"not": "text"})
    say.artifact(None)
    say.artifact("out.txt", "update", size=3)
    say.ask("a", "May I?", ["yes", "no"])
    say.decide("a", "yes")
    say.identify(name="", terminal=False)
    say.fail("no route", severity="warning")
    say.complete("#not-ours", "text")
    say.complete("", "text")
    said = say.drain()
    for type_, data in said:
        assert check(type_, data) is None, (type_, data)
    assert len(said[0][1]["title"]) == 500
    assert said[0][1]["input"]["text"].endswith("… (9000 characters)")
    assert len(said[0][1]["input"]["list"]) == 51
    assert "(2 items)" in str(said[0][1]["input"]["deep"])
    assert said[1][1]["text"] == '{"not":"text"}'
    assert [data["message_id"] for type_, data in said if type_ == "text.delta"] == ["m#not-ours", "m"]


def test_a_text_is_compared_with_what_was_streamed_of_an_open_message() -> None:
    say = Narrator()
    say.text("a", "Tw")
    say.text("a", "o.")
    assert say.repeats("a", "Two.")
    assert not say.repeats("a", "Three.")
    assert not say.repeats("b", "Two.")


def test_an_agent_that_is_stopped_half_way_leaves_its_plan_as_it_is() -> None:
    say = Narrator()
    say.plan([Entry("look", "active")])
    say.start("t", "grep")
    say.drain()
    say.cut("stopped")
    assert say.drain() == [("step.completed", {"step_id": "t", "status": "failed", "error": "stopped"})]


def test_what_was_said_of_a_line_that_cannot_be_taken_is_unsaid() -> None:
    say = Narrator()
    say.plan([Entry("look", "active")])
    say.start("t", "grep")
    say.declare("completed")
    say.drain()
    say.end("t")
    say.plan([Entry("look", "done")])
    say.start("u", "ls")
    say.go_on()
    say.fail("no")
    say.unsay()
    assert say.drain() == []
    assert say.is_running("t")
    assert not say.is_running("u")
    say.go_on()
    say.cut("stopped")
    assert [data.get("step_id") for _, data in say.drain()] == [None, "t"]


def test_the_call_of_a_tool_is_never_taken_for_an_entry_of_the_plan() -> None:
    say = Narrator()
    say.start("p1", "before there is a plan")
    say.end("p1")
    say.plan([Entry("look", "active"), Entry("write", id="7")])
    (entry, _), ids = (
        (entry["id"] for entry in say.drain()[2][1]["steps"]),
        ["p1", "7", "plan/p1", "plan/7", "call/x"],
    )
    for id_ in ids:
        say.start(id_, "grep")
        say.progress(id_, "half")
        say.start(f"in {id_}", "sub", parent=id_)
        assert say.is_running(id_)
    started = [data for type_, data in say.drain() if type_ == "step.started"]
    calls, inside = started[::2], started[1::2]
    assert [data["step_id"] for data in calls] == ["p1", "7", "call/plan/p1", "call/plan/7", "call/x"]
    assert {data["parent"] for data in calls} == {entry}
    assert [data["parent"] for data in inside[:2]] == ["p1", "7"]
    say.plan([Entry("look", "done"), Entry("write", "active", id="7")])
    say.end("plan/7", "failed")
    assert say.active_entry == "plan/7", "a tool that ends does not end the entry"
