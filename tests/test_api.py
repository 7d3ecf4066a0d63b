"""What a Python agent can rely on when it calls durastream: real processes, threads, tasks and forks."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import durastream
from durastream import api
from durastream.errors import DurastreamError, StoreFull, StoreUnwritable, UsageError
from durastream.events import Event, Src
from durastream.recorder import recover
from durastream.sources.native import parse
from durastream.spool import Spool
from durastream.state import RunState
from durastream.version import VERSION
from durastream.vocabulary import check

SRC = str(Path(durastream.__file__).parents[1])


def environment(events: Path | None = None, **more: str) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("DURASTREAM_")}
    env |= {"PYTHONPATH": SRC, **more}
    return env if events is None else env | {"DURASTREAM_EVENTS": str(events), "DURASTREAM_RUN_ID": "k3v9p2"}


def run_python(code: str, events: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]
    return subprocess.run(command, env=environment(events, **more), capture_output=True, text=True, check=False)


def read(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """What the recorder will make of the file: every line a valid event."""
    found = []
    data = path.read_bytes()
    assert not data or data.endswith(b"\n")
    for line in data.splitlines():
        pending = parse(line, Src("events", 0))
        assert pending.type != "raw.rejected", pending.data
        assert check(pending.type, pending.data) is None
        assert None not in pending.data.values()
        found.append((pending.type, pending.data))
    return found


def fold(path: Path) -> RunState:
    state = RunState()
    for seq, (type_, data) in enumerate(read(path), 1):
        state.apply(Event(seq, "", float(seq), type_, data))
    assert state.malformed == 0
    return state


@pytest.fixture(autouse=True)
def outside_of_any_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DURASTREAM_EVENTS", raising=False)
    monkeypatch.delenv("DURASTREAM_RUN_ID", raising=False)


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This process is inside a `durastream run`."""
    path = tmp_path / "events"
    path.touch()
    monkeypatch.setenv("DURASTREAM_EVENTS", str(path))
    monkeypatch.setenv("DURASTREAM_RUN_ID", "k3v9p2")
    return path


# the package


def test_the_public_names_are_sorted_there_and_about_twenty() -> None:
    assert durastream.__all__ == sorted(durastream.__all__)
    assert all(hasattr(durastream, name) for name in durastream.__all__)
    assert 15 <= len(durastream.__all__) <= 25


@pytest.mark.parametrize("package", [durastream, api])
def test_no_public_name_is_hidden_by_a_module_of_the_same_name(package: ModuleType) -> None:
    # Importing durastream.answer anywhere would put the module where a function `answer` was.
    assert [name for name in package.__all__ if importlib.util.find_spec(f"{package.__name__}.{name}")] == []


def test_the_names_are_there_before_they_are_loaded() -> None:
    ran = run_python(
        """
        import sys, durastream
        assert set(durastream.__all__) <= set(dir(durastream))
        assert "durastream.api" not in sys.modules
        try:
            durastream.nonsense
        except AttributeError as error:
            print(error)
        durastream.api.active()
        from durastream import *
        assert step is durastream.step is durastream.api.step
        """
    )
    assert (ran.stdout, ran.stderr) == ("module 'durastream' has no attribute 'nonsense'\n", "")


def test_the_version_is_that_of_the_code() -> None:
    assert durastream.__version__ == VERSION


def loaded_by(code: str) -> set[str]:
    ran = run_python(f"import sys; before = set(sys.modules); {code}; print(*set(sys.modules) - before)")
    assert ran.returncode == 0
    return set(ran.stdout.split())


def test_a_first_call_loads_nothing_heavy() -> None:
    loaded = {name.partition(".")[0] for name in loaded_by("import durastream; durastream.text('to nobody')")}
    assert "durastream" in loaded
    heavy = {"asyncio", "functools", "hashlib", "importlib", "json", "pydantic", "re", "rich", "sqlite3", "threading"}
    assert not loaded & {*heavy, "typing"}


def test_who_makes_no_call_does_not_load_the_calls() -> None:
    loaded = loaded_by("import durastream.errors")
    assert "durastream.errors" in loaded
    assert not loaded & {"durastream.api", "contextvars", "functools", "threading", "typing"}


# outside a run


def test_outside_a_run_every_call_does_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    everything()
    with durastream.step("work") as step:
        step.progress("half", 0.5)
    assert durastream.run_id() is None
    assert not api.active()
    assert capfd.readouterr() == ("", "")


def test_an_agent_gets_the_same_ids_recorded_or_not(events: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = durastream.source("https://example.org/a")
    monkeypatch.delenv("DURASTREAM_EVENTS")
    assert durastream.source("https://example.org/a") == inside
    assert durastream.plan(["one"]).steps == [{"id": "p1", "title": "one", "status": "pending"}]


def test_a_variable_left_over_from_a_run_that_is_gone_is_said_and_does_no_harm(tmp_path: Path) -> None:
    ran = run_python("import durastream as d; d.text('a'); d.text('b'); print('on')", tmp_path / "gone" / "events")
    assert (ran.returncode, ran.stdout) == (0, "on\n")
    assert ran.stderr.count("\n") == 1
    assert "cannot open" in ran.stderr
    assert not (tmp_path / "gone").exists()


# every kind of event


def everything() -> None:
    durastream.emit("myapp.cache_hit", key="k", nothing=None)
    plan = durastream.plan(["one", {"title": "two", "parent": "p1"}])
    plan.start(0)
    with durastream.step("search", kind="tool", input={"q": "x"}) as step:
        step.progress("half", 0.5)
        step.output(["a"])
        durastream.source("https://sqlite.org/wal.html", "WAL", "A COMMIT occurs when", origin="tool")
    durastream.reasoning("Let me think")
    durastream.text("Hel")
    durastream.text("lo")
    durastream.complete()
    durastream.retract("it was wrong")
    durastream.text("Good day")
    durastream.check("cites", True, score=1)
    durastream.check("short", "warn", detail="long")
    durastream.usage(input_tokens=3, cost_usd=0.25, model="m", scope="request", mode="add")
    durastream.artifact(Path("a.txt"), size=3, media_type="text/plain")
    durastream.artifact(url="https://example.org", action="update")
    durastream.error("something", severity="warning")
    durastream.error(KeyError("k"), fatal=True)
    durastream.log("a line")
    durastream.approval("May I?", ["yes", "no"]).resolve("yes")
    plan.done(0)
    durastream.final_answer("Good day")


def test_every_call_writes_a_valid_event(events: Path) -> None:
    everything()
    written = read(events)
    assert {type_ for type_, _ in written} >= {
        "approval.requested",
        "approval.resolved",
        "artifact.created",
        "error.raised",
        "log.line",
        "message.started",
        "myapp.cache_hit",
        "plan.created",
        "plan.updated",
        "quality.checked",
        "reasoning.delta",
        "source.added",
        "step.completed",
        "step.progress",
        "step.started",
        "text.completed",
        "text.delta",
        "text.retracted",
        "usage.reported",
    }
    assert ("myapp.cache_hit", {"key": "k"}) in written


def test_what_is_unknown_is_absent(events: Path) -> None:
    durastream.usage(input_tokens=0, cost_usd=float("nan"))
    durastream.check("c", False, score=None)
    assert read(events) == [
        ("usage.reported", {"input_tokens": 0}),
        ("quality.checked", {"name": "c", "outcome": "fail", "by": "agent"}),
    ]


def test_an_event_that_does_not_fit_is_left_to_the_recorder_to_judge(events: Path) -> None:
    durastream.emit("quality.checked", name="c", outcome="great")
    assert parse(events.read_bytes().strip(), Src("events", 0)).type == "raw.rejected"


class Wordless:
    def __str__(self) -> str:
        raise RuntimeError("no words")


def cycle() -> list[Any]:
    held: list[Any] = [1]
    held.append(held)
    return held


def deep() -> Any:
    value: Any = "bottom"
    for _ in range(5000):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({"a": (1, 2)}, {"a": [1, 2]}),
        ({3, 1, 2}, [1, 2, 3]),
        (Path("/tmp/x"), "/tmp/x"),
        (float("nan"), "nan"),
        ([float("inf"), 1.5], ["inf", 1.5]),
        (b"\xff" * 3, "b'\\xff\\xff\\xff'"),
        ({(1, 2): "pair"}, {"(1, 2)": "pair"}),
        (ValueError("bad"), "ValueError: bad"),
        (ValueError(), "ValueError"),
        (Wordless(), "<Wordless without text: RuntimeError>"),
        (1 << 20_000, "an integer of 20001 bits"),
        (1 << 4000, 1 << 4000),
        (False, False),
        ("\ud83d\ude00 \ud800", "\U0001f600 \ufffd"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_value_can_go_in_and_out_of_a_step(events: Path, value: object, kept: object) -> None:
    with durastream.step("s", input=value) as step:
        step.output(value)
    (_, started), (_, completed) = read(events)
    assert (started["input"], completed["output"]) == (kept, kept)


@pytest.mark.parametrize("make", [cycle, deep])
def test_values_without_an_end_are_cut(events: Path, make: Any) -> None:
    with durastream.step("s", input=make()) as step:
        step.output(make())
    assert [type_ for type_, _ in read(events)] == ["step.started", "step.completed"]


def test_the_text_that_stands_for_a_foreign_value_is_bounded(events: Path) -> None:
    class Long:
        def __str__(self) -> str:
            return "x" * 100_000

    durastream.emit("myapp.held", value=Long())
    assert len(read(events)[0][1]["value"]) == 2001


def test_foreign_numbers_are_numbers(events: Path) -> None:
    class Float32:
        def __float__(self) -> float:
            return 12.0

    durastream.usage(input_tokens=Float32(), output_tokens="many")  # type: ignore[arg-type]
    line = json.loads(events.read_bytes())
    assert line["data"] == {"input_tokens": 12, "output_tokens": "many"}


# messages


def test_a_streamed_answer_is_completed_with_its_hash_and_length(events: Path) -> None:
    for chunk in ("Hé", None, "", "llo \ud800"):
        durastream.text(chunk)
    durastream.final_answer()
    whole = "Héllo \ufffd"
    assert read(events) == [
        ("message.started", {"message_id": "answer", "role": "assistant"}),
        ("text.delta", {"message_id": "answer", "text": "Hé"}),
        ("text.delta", {"message_id": "answer", "text": "llo \ufffd"}),
        (
            "text.completed",
            {
                "message_id": "answer",
                "sha256": hashlib.sha256(whole.encode()).hexdigest(),
                "length": len(whole),
                "final": True,
            },
        ),
    ]


def agrees(state: RunState) -> bool:
    message = state.answer
    assert message is not None
    return (message.declared_sha256, message.declared_length) == (message.sha256(), message.length)


def test_an_answer_that_was_not_streamed_is_written_whole(events: Path) -> None:
    durastream.final_answer("Forty-two.")
    state = fold(events)
    assert state.answer is not None
    assert state.answer.text == "Forty-two."
    assert agrees(state)


def test_an_answer_that_differs_from_what_was_streamed_is_kept_beside_it(events: Path) -> None:
    durastream.text("Forty-one.")
    durastream.final_answer("Forty-two.")
    state = fold(events)
    assert state.answer is not None
    assert state.answer.text == "Forty-one."
    assert agrees(state)
    assert state.declared == {"answer": {"message_id": "answer", "text": "Forty-two."}}


def test_handing_over_exactly_what_was_streamed_declares_nothing_more(events: Path) -> None:
    durastream.text("Forty-two.")
    durastream.final_answer("Forty-two.")
    durastream.final_answer()
    assert [type_ for type_, _ in read(events)] == ["message.started", "text.delta", "text.completed"]


def test_after_a_retraction_only_what_follows_counts(events: Path) -> None:
    durastream.text("wrong")
    durastream.complete()
    durastream.retract("checked again")
    durastream.final_answer("right")
    state = fold(events)
    assert state.answer is not None
    assert state.answer.text == "right"
    assert agrees(state)


def test_text_after_a_completed_message_goes_on_with_it(events: Path) -> None:
    durastream.text("one ")
    durastream.complete()
    durastream.text("two")
    durastream.final_answer()
    assert agrees(fold(events))


def test_text_written_as_plain_events_counts_as_well(events: Path) -> None:
    durastream.emit("message.started", message_id="draft", role="assistant")
    durastream.emit("text.delta", message_id="draft", text="ab")
    durastream.text("c", message_id="draft")
    durastream.final_answer(message_id="draft")
    assert agrees(fold(events))


def test_completing_a_message_that_never_began_says_nothing(events: Path) -> None:
    durastream.complete()
    durastream.final_answer()
    api.finish()
    assert read(events) == []


# steps


def test_steps_nest_and_what_happens_inside_belongs_to_them(events: Path) -> None:
    with durastream.step("outer", step_id="o"), durastream.step("inner", kind="tool", step_id="i"):
        durastream.source("https://example.org", source_id="1")
    durastream.source("https://example.com", source_id="2")
    by_type = [(type_, data.get("step_id"), data.get("parent")) for type_, data in read(events)]
    assert by_type == [
        ("step.started", "o", None),
        ("step.started", "i", "o"),
        ("source.added", "i", None),
        ("step.completed", "i", None),
        ("step.completed", "o", None),
        ("source.added", None, None),
    ]


def test_a_step_that_raises_is_failed_and_the_exception_goes_on(events: Path) -> None:
    with pytest.raises(ValueError, match="bad"), durastream.step("s", step_id="s"):
        raise ValueError("bad input")
    type_, data = read(events)[1]
    assert type_ == "step.completed"
    assert data.pop("duration") >= 0
    assert data == {"step_id": "s", "status": "failed", "error": "ValueError: bad input"}


def test_leaving_with_exit_code_0_is_no_failure_of_the_step(events: Path) -> None:
    with pytest.raises(SystemExit), durastream.step("s"):
        sys.exit(0)
    with pytest.raises(SystemExit), durastream.step("s"):
        sys.exit("no way")
    assert [data["status"] for type_, data in read(events) if type_ == "step.completed"] == ["ok", "failed"]


@pytest.mark.parametrize(("act", "status"), [("fail", "failed"), ("skip", "skipped"), ("deny", "denied")])
def test_a_step_can_say_how_it_ended(events: Path, act: str, status: str) -> None:
    with durastream.step("s") as step:
        getattr(step, act)("because")
    assert (read(events)[1][1]["status"], read(events)[1][1]["error"]) == (status, "because")


def test_a_denied_step_stays_denied_when_it_raises(events: Path) -> None:
    def refused() -> None:
        with durastream.step("s") as step:
            step.deny("not allowed")
            raise PermissionError

    with pytest.raises(PermissionError):
        refused()
    assert read(events)[1][1]["status"] == "denied"


@pytest.mark.parametrize(("said", "kept"), [(0.25, 0.25), (1.5, 1), (-1, 0), (float("nan"), None), (None, None)])
def test_a_fraction_is_held_between_0_and_1(events: Path, said: float | None, kept: float | None) -> None:
    with durastream.step("s") as step:
        step.progress("going", said)
    assert read(events)[1][1].get("fraction") == kept
    step.progress("too late")
    assert len(read(events)) == 3


def test_a_step_works_with_async_with_and_tasks_do_not_mix(events: Path) -> None:
    async def work(name: str) -> None:
        async with durastream.step(name, step_id=name):
            await asyncio.sleep(0)
            async with durastream.step(f"{name}-in", step_id=f"{name}-in"):
                await asyncio.sleep(0)

    async def main() -> None:
        async with durastream.step("all", step_id="all"):
            await asyncio.gather(*(work(f"t{n}") for n in range(20)))

    asyncio.run(main())
    steps = fold(events).steps
    assert len(steps) == 41
    assert all(steps[f"t{n}"].parent == "all" and steps[f"t{n}-in"].parent == f"t{n}" for n in range(20))
    assert {step.status for step in steps.values()} == {"ok"}


def test_a_task_that_outlives_its_step_is_not_inside_it_any_more(events: Path) -> None:
    async def late(go: asyncio.Event) -> None:
        await go.wait()
        with durastream.step("late", step_id="late"):
            pass

    async def main() -> None:
        go = asyncio.Event()
        with durastream.step("outer", step_id="outer"):
            with durastream.step("short", step_id="short"):
                task = asyncio.create_task(late(go))
            go.set()
            await task

    asyncio.run(main())
    assert fold(events).steps["late"].parent == "outer"


def test_a_generator_closed_inside_another_step_leaves_that_step_current(events: Path) -> None:
    def numbers() -> Any:
        with durastream.step("generator", step_id="g"):
            yield 1

    made = numbers()
    next(made)
    with durastream.step("outer", step_id="o"):
        with pytest.raises(ZeroDivisionError):
            made.throw(ZeroDivisionError())
        with durastream.step("inner", step_id="i"):
            pass
    steps = fold(events).steps
    assert (steps["g"].status, steps["i"].parent) == ("failed", "o")


def test_an_async_generator_finalised_in_another_context_does_not_raise(events: Path) -> None:
    async def numbers() -> Any:
        async with durastream.step("generator", step_id="g"):
            yield 1

    async def main() -> None:
        made = numbers()
        await asyncio.create_task(anext(made))
        await asyncio.create_task(made.aclose())

    asyncio.run(main())
    assert fold(events).steps["g"].status == "failed"


def test_a_thread_names_its_parent(events: Path) -> None:
    def work(parent: durastream.Step) -> None:
        with durastream.step("in thread", step_id="t", parent=parent):
            pass

    with durastream.step("outer", step_id="o") as outer:
        thread = threading.Thread(target=work, args=(outer,))
        thread.start()
        thread.join()
    assert fold(events).steps["t"].parent == "o"


# the plan


def test_a_plan_is_always_written_whole(events: Path) -> None:
    plan = durastream.plan(["one", {"title": "two", "note": "x"}, {"id": "p3", "title": "three"}, {"id": 7}])
    plan.start(0)
    plan.start(0)
    plan.done("p1")
    plan.skip("two")
    plan.cancel(-1)
    plan.start("four, found on the way")
    assert plan.add({"title": "five", "status": "done"}) == "p6"
    written = read(events)
    assert [type_ for type_, _ in written] == ["plan.created", *["plan.updated"] * 6]
    last = [(e["id"], e["title"], e["status"]) for e in written[-1][1]["steps"]]
    assert last == [
        ("p1", "one", "done"),
        ("p2", "two", "skipped"),
        ("p3", "three", "pending"),
        ("7", "7", "cancelled"),
        ("p5", "four, found on the way", "active"),
        ("p6", "five", "done"),
    ]
    assert written[-1][1]["steps"][1]["note"] == "x"


def test_ids_by_position_give_way_to_ids_that_are_taken() -> None:
    plan = durastream.plan([{"id": "p2", "title": "a"}, "b", "c"])
    assert [entry["id"] for entry in plan.steps] == ["p2", "p3", "p4"]


def test_a_second_plan_replaces_the_first(events: Path) -> None:
    durastream.plan(["one"])
    durastream.plan("two")
    assert [type_ for type_, _ in read(events)] == ["plan.created", "plan.updated"]
    assert [entry["title"] for entry in fold(events).plan] == ["two"]


def test_a_place_that_the_plan_does_not_have_is_said_and_does_not_raise(capfd: pytest.CaptureFixture[str]) -> None:
    durastream.plan(["one"]).done(3)
    assert "no step at 3" in capfd.readouterr().err


# one file, many writers


def test_many_threads_and_processes_write_whole_lines_with_unique_ids(tmp_path: Path) -> None:
    events = tmp_path / "events"
    events.touch()
    code = """
        import os, threading, durastream

        def work():
            for n in range(50):
                with durastream.step("s", input="x" * 5000):
                    durastream.text("t", message_id=f"m{os.getpid()}")

        def crowd():
            threads = [threading.Thread(target=work) for _ in range(4)]
            [t.start() for t in threads]
            [t.join() for t in threads]

        children = []
        for _ in range(3):
            pid = os.fork()
            if not pid:
                crowd()
                durastream.final_answer(message_id=f"m{os.getpid()}")
                os._exit(0)
            children.append(pid)
        crowd()
        durastream.final_answer(message_id=f"m{os.getpid()}")
        assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
        """
    ran = run_python(code, events)
    assert (ran.returncode, ran.stderr) == (0, "")
    state = fold(events)
    assert len(state.steps) == 4 * 4 * 50
    assert len(state.messages) == 4
    for message in state.messages.values():
        assert message.length == 200
        assert message.declared_sha256 == message.sha256()


def test_a_fork_in_the_middle_of_other_threads_writing_does_not_hang(tmp_path: Path) -> None:
    events = tmp_path / "events"
    events.touch()
    code = """
        import os, threading, durastream
        stop = threading.Event()

        def work(name):
            while not stop.is_set():
                durastream.text("x", message_id=name)

        threads = [threading.Thread(target=work, args=(f"m{n}",)) for n in range(3)]
        [t.start() for t in threads]
        for _ in range(30):
            pid = os.fork()
            if not pid:
                with durastream.step("child"):
                    pass
                os._exit(0)
            os.waitpid(pid, 0)
        stop.set()
        [t.join() for t in threads]
        """
    ran = run_python(code, events)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert len(fold(events).steps) == 30


def test_a_message_from_two_threads_has_the_hash_of_the_order_in_the_file(events: Path) -> None:
    def work(letter: str) -> None:
        for _ in range(500):
            durastream.text(letter)

    threads = [threading.Thread(target=work, args=(letter,)) for letter in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    durastream.final_answer()
    assert agrees(fold(events))


def test_the_environment_is_read_again_when_it_changes(
    events: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    durastream.log("one")
    other = tmp_path / "other"
    other.touch()
    monkeypatch.setenv("DURASTREAM_EVENTS", str(other))
    durastream.log("two")
    assert read(events) == [("log.line", {"text": "one"})]
    assert read(other) == [("log.line", {"text": "two"})]


# trouble


def test_a_full_disk_hurts_nobody_and_the_loss_is_counted_in_the_log(tmp_path: Path) -> None:
    events = tmp_path / "events"
    events.touch()
    code = """
        import resource, durastream
        durastream.log("before")
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))
        for n in range(3):
            durastream.log("x" * 1000)   # the first is written in part
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        durastream.log("after")
        """
    ran = run_python(code, events)
    assert ran.returncode == 0
    assert ran.stderr.count("\n") == 1
    assert "File too large" in ran.stderr
    before, torn, lost, after = events.read_bytes().splitlines()
    assert b"before" in before
    assert b"xxx" in torn
    assert parse(lost, Src("events", 0)).data == {
        "message": "3 events could not be written and are lost",
        "severity": "warning",
    }
    assert b"after" in after


def test_a_descriptor_that_the_program_took_for_itself_is_not_written_to(tmp_path: Path) -> None:
    events = tmp_path / "events"
    events.touch()
    code = f"""
        import os, durastream
        durastream.log("one")
        os.closerange(3, 64)
        mine = [os.open({str(tmp_path / "mine")!r}, os.O_RDWR | os.O_CREAT) for _ in range(8)]
        durastream.log("two")
        """
    ran = run_python(code, events)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert [data["text"] for _, data in read(events)] == ["one", "two"]
    assert (tmp_path / "mine").read_bytes() == b""


def test_a_process_that_outlives_its_run_is_told_once(tmp_path: Path) -> None:
    events = tmp_path / "events"
    events.touch()
    code = """
        import os, durastream
        durastream.log("one")
        os.unlink(os.environ["DURASTREAM_EVENTS"])
        durastream.log("two")
        durastream.log("three")
        print(durastream.run_id())
        """
    ran = run_python(code, events)
    assert (ran.returncode, ran.stdout) == (0, "None\n")
    assert ran.stderr == "durastream: run k3v9p2 is over; the program goes on unrecorded\n"


def test_trouble_without_a_stderr_to_say_it_on_is_no_trouble(tmp_path: Path) -> None:
    code = "import os, durastream; os.close(2); durastream.log('x'); print('on', flush=True); os._exit(0)"
    ran = run_python(code, tmp_path / "gone")
    assert (ran.returncode, ran.stdout) == (0, "on\n")


# recording in the process itself, with a stand-in for the recorder


class Fake:
    """Has the interface of `durastream.inprocess.InProcess` and keeps what it is told."""

    made: list[Fake]
    folder: Path
    count: itertools.count[int]
    trouble: Exception | None = None

    def __init__(self, *, store: str, name: str | None, tags: dict[str, str], command: list[str], log: str) -> None:
        self.asked = {"store": store, "name": name, "tags": tags, "command": command, "log": log}
        self.run_id = f"run{next(self.count)}"
        self.events = self.folder / self.run_id
        self.events.touch()
        self.events_path = str(self.events)
        self.path = f"{self.events_path}.db"
        self.ends: list[tuple[int, str | None]] = []
        self.forgotten = 0
        self.made.append(self)

    def finish(self, *, exit_code: int, error: str | None) -> dict[str, Any]:
        self.ends.append((exit_code, error))
        if self.trouble is not None:
            raise self.trouble
        return {"status": "completed" if exit_code == 0 else "failed"}

    def forget(self) -> None:
        self.forgotten += 1


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[Fake]:
    class Recorder(Fake):
        made: list[Fake] = []  # noqa: RUF012 - of this test
        folder = tmp_path
        count = itertools.count()

    module = ModuleType("durastream.inprocess")
    module.InProcess = Recorder  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "durastream.inprocess", module)
    return Recorder


def test_a_recording_is_a_run_of_its_own(fake: type[Fake], tmp_path: Path) -> None:
    with durastream.recording("research", store=str(tmp_path), tags={"a": "b"}, log="jsonl") as run:
        assert durastream.run_id() == run.run_id == "run0"
        assert run.path is None
        durastream.text("Hello")
        durastream.final_answer()
    assert durastream.run_id() is None
    (made,) = fake.made
    asked = {"store": str(tmp_path), "name": "research", "tags": {"a": "b"}, "command": sys.orig_argv, "log": "jsonl"}
    assert made.asked == asked
    assert made.ends == [(0, None)]
    assert (run.path, run.completed) == (made.path, {"status": "completed"})
    assert agrees(fold(made.events))


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (ValueError("boom"), (1, "ValueError: boom")),
        (SystemExit(0), (0, None)),
        (SystemExit(3), (3, None)),
        (SystemExit("no"), (1, "no")),
        (KeyboardInterrupt(), (130, "KeyboardInterrupt")),
    ],
)
def test_an_exception_ends_the_recording_as_it_would_the_process(
    fake: type[Fake], error: BaseException, end: tuple[int, str | None]
) -> None:
    with pytest.raises(type(error)), durastream.recording():
        raise error
    assert fake.made[0].ends == [end]
    raised = [data for type_, data in read(fake.made[0].events) if type_ == "error.raised"]
    assert raised == ([] if end[1] is None else [{"message": end[1], "severity": "error", "fatal": True}])


def test_a_recording_works_with_async_with_and_two_tasks_do_not_mix(fake: type[Fake]) -> None:
    async def work(name: str) -> None:
        async with durastream.recording(name) as run:
            for _ in range(20):
                durastream.log(str(run.run_id))
                await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(work("a"), work("b"))

    asyncio.run(main())
    assert len(fake.made) == 2
    for made in fake.made:
        assert read(made.events) == [("log.line", {"text": made.run_id})] * 20
        assert made.ends == [(0, None)]


def test_an_async_recording_works_without_asyncio(fake: type[Fake]) -> None:
    async def work() -> None:
        async with durastream.recording():
            durastream.log("x")

    with contextlib.suppress(StopIteration):
        work().send(None)
    assert fake.made[0].ends == [(0, None)]


def test_two_threads_with_recordings_do_not_mix(fake: type[Fake]) -> None:
    both = threading.Barrier(2)

    def work() -> None:
        with durastream.recording() as run:
            both.wait()
            durastream.log(str(run.run_id))
            both.wait()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for made in fake.made:
        assert read(made.events) == [("log.line", {"text": made.run_id})]


def test_a_thread_started_inside_a_recording_writes_to_the_innermost_one(fake: type[Fake]) -> None:
    def say() -> None:
        thread = threading.Thread(target=durastream.log, args=("x",))
        thread.start()
        thread.join()

    with durastream.recording():
        with durastream.recording():
            say()
        say()
        durastream.log("y")
    say()
    outer, inner = fake.made
    assert [len(read(made.events)) for made in (outer, inner)] == [2, 1]


def test_a_step_of_another_recording_is_no_parent(fake: type[Fake]) -> None:
    with durastream.recording(), durastream.step("outer"), durastream.recording(), durastream.step("inner"):
        durastream.source("https://example.org")
    inner = read(fake.made[1].events)
    assert "parent" not in inner[0][1]
    assert inner[1][1]["step_id"] == inner[0][1]["step_id"]


def test_a_step_left_open_is_left_to_the_recorder(fake: type[Fake]) -> None:
    with durastream.recording():
        step = durastream.step("open")
        step.__enter__()
    step.__exit__(None, None, None)
    assert [type_ for type_, _ in read(fake.made[0].events)] == ["step.started"]


def test_a_task_that_outlives_its_recording_is_not_recorded(fake: type[Fake]) -> None:
    async def late(go: asyncio.Event) -> None:
        await go.wait()
        durastream.log("late")

    async def main() -> None:
        go = asyncio.Event()
        async with durastream.recording():
            task = asyncio.create_task(late(go))
        go.set()
        await task

    asyncio.run(main())
    assert read(fake.made[0].events) == []


def test_inside_a_run_a_recording_is_a_part_of_that(events: Path, fake: type[Fake]) -> None:
    with durastream.recording("research", tags={"a": "b"}) as run:
        durastream.log("x")
        assert run.run_id == "k3v9p2"
        assert run.env == {"DURASTREAM_RUN_ID": "k3v9p2", "DURASTREAM_EVENTS": str(events)}
    with pytest.raises(ValueError, match="boom"), durastream.recording():
        raise ValueError("boom")
    assert fake.made == []
    assert (run.path, run.completed) == (None, None)
    assert read(events) == [
        ("recording.joined", {"name": "research", "tags": {"a": "b"}}),
        ("log.line", {"text": "x"}),
        ("error.raised", {"message": "ValueError: boom", "severity": "error", "fatal": False}),
    ]


def test_a_variable_left_over_from_a_run_does_not_switch_a_recording_off(
    events: Path, fake: type[Fake], capfd: pytest.CaptureFixture[str]
) -> None:
    events.unlink()
    with durastream.recording() as run:
        assert durastream.run_id() == run.run_id == "run0"
    assert "cannot open" in capfd.readouterr().err


def test_a_forked_child_does_not_end_the_recording_of_its_parent(fake: type[Fake]) -> None:
    with durastream.recording() as run:
        pid = os.fork()
        if not pid:
            durastream.log("child")
            run.__exit__(None, None, None)
            os._exit(len(fake.made[0].ends) + (fake.made[0].forgotten != 1))
        assert os.waitpid(pid, 0)[1] == 0
        durastream.log("parent")
    assert fake.made[0].forgotten == 0
    assert [data["text"] for _, data in read(fake.made[0].events)] == ["child", "parent"]


def test_a_child_process_records_into_a_recording_with_its_env(fake: type[Fake]) -> None:
    with durastream.recording() as run:
        ran = run_python("import durastream; durastream.log(durastream.run_id())", **run.env)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert read(fake.made[0].events) == [("log.line", {"text": "run0"})]


@pytest.mark.parametrize("trouble", [StoreFull("no space"), DurastreamError("it failed"), OSError(5, "no disk")])
def test_trouble_at_the_end_is_said_and_does_not_raise(
    fake: type[Fake], capfd: pytest.CaptureFixture[str], trouble: Exception
) -> None:
    fake.trouble = trouble
    with durastream.recording() as run:
        durastream.log("x")
    assert run.completed is None
    assert run.path == fake.made[0].path
    said = f"durastream: the end of run run0 could not be stored: {type(trouble).__name__}: {trouble}; "
    assert capfd.readouterr().err == said + "what was recorded is kept: durastream recover run0\n"


# recording in the process itself, for real


@pytest.mark.parametrize("log", ["sqlite", "jsonl"])
def test_a_real_recording_holds_what_was_said_and_ends(tmp_path: Path, log: Any) -> None:
    with durastream.recording("research", store=str(tmp_path), log=log) as run:
        with durastream.step("search", kind="tool"):
            durastream.source("https://sqlite.org/wal.html")
        durastream.text("Hel")
        durastream.final_answer("Hello")
    assert run.path is not None
    assert Path(run.path).is_file()
    assert run.completed is not None
    assert run.completed["status"] == "completed"
    assert run.completed["answer"]["text"] == "Hel"
    assert [finding["code"] for finding in run.completed["findings"]] == ["answer-differs"]


def test_a_real_recording_of_code_that_raises_is_failed_with_one_error(tmp_path: Path) -> None:
    run = durastream.recording(store=str(tmp_path), log="jsonl")

    def work() -> None:
        with run:
            durastream.step("left open").__enter__()
            raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        work()
    assert run.completed is not None
    assert (run.completed["status"], run.completed["steps"]) == ("failed", {"abandoned": 1})
    lines = [json.loads(line) for line in Path(str(run.path)).read_text().splitlines()]
    assert [line["data"]["message"] for line in lines if line.get("type") == "error.raised"] == ["ValueError: boom"]


def test_a_recording_that_cannot_be_made_says_so_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnwritable), durastream.recording(store=str(tmp_path / "file")):
        pytest.fail("the work began")
    assert durastream.run_id() is None


def test_a_forked_child_does_not_keep_the_run_of_a_killed_parent_alive(tmp_path: Path) -> None:
    code = """
        import os, signal, durastream
        with durastream.recording(store=os.environ["STORE"]) as run:
            durastream.log("before")
            if not os.fork():
                print(run.run_id, flush=True)
                os.read(0, 1)   # until the test is over
                os._exit(0)
            signal.pause()
        """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment(STORE=str(tmp_path)), stdin=pipe, stdout=pipe, text=True) as parent:
        assert parent.stdout is not None
        spool = Spool(str(tmp_path), parent.stdout.readline().strip())
        parent.kill()
        parent.wait()
        assert not spool.alive()
        assert recover(spool)


@pytest.mark.parametrize("log", ["sqlite", "jsonl"])
def test_a_forked_child_that_runs_to_its_own_end_leaves_the_recording_whole(tmp_path: Path, log: str) -> None:
    code = """
        import os, sys, durastream
        with durastream.recording(store=os.environ["STORE"], log=os.environ["LOG"]) as run:
            for _ in range(5):
                durastream.text("parent ")
                pid = os.fork()
                if not pid:
                    with durastream.step("child"):
                        sys.exit(0)
                assert os.waitpid(pid, 0)[1] == 0
            durastream.final_answer()
        assert run.completed["answer"]["text"] == "parent " * 5
        assert run.completed["steps"] == {"ok": 5}, run.completed
        """
    ran = run_python(code, STORE=str(tmp_path), LOG=log)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_fork_while_another_thread_makes_its_first_call_does_not_hang(tmp_path: Path) -> None:
    code = """
        import os, threading, durastream

        def work():
            with durastream.recording(store=os.environ["STORE"]), durastream.step("s"):
                durastream.source("https://example.org")

        thread = threading.Thread(target=work)
        thread.start()
        children = []
        while thread.is_alive():
            pid = os.fork()
            if not pid:
                with durastream.step("child"):
                    durastream.source("https://example.com")
                os._exit(0)
            children.append(pid)
        assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
        """
    ran = run_python(code, STORE=str(tmp_path))
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"name": "x/y"}, "name takes up to 100 printable characters, without a slash"),
        ({"name": 5}, "name takes up to 100 printable characters, without a slash"),
        ({"name": "latest"}, "name latest: that means a run by its place"),
        ({"log": "xml"}, "log xml: one of sqlite, jsonl"),
        ({"tags": ["a"]}, "tags: a mapping of keys to values"),
        ({"store": ""}, "--store is empty"),
    ],
)
def test_a_recording_refuses_what_the_command_line_refuses(words: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said), durastream.recording(**words):
        pass


def test_a_plan_of_anything_has_its_words_as_titles() -> None:
    made: Any = durastream.plan
    assert [step["title"] for step in made([1, None, "a", {"id": "b"}]).steps] == ["1", "None", "a", "b"]
    assert [step["title"] for step in made(7).steps] == ["7"]


def test_an_outcome_that_is_none_is_a_mistake_of_the_program() -> None:
    wrong: Any = "maybe"
    with pytest.raises(ValueError, match="'maybe': one of pass, fail, warn"):
        durastream.check("x", wrong)
