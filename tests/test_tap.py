"""What a program can rely on when it reads a stream through `durastream.tap`."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import enum
import gc
import json
import os
import subprocess
import sys
import textwrap
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import durastream
from durastream import api
from durastream.api import shapes
from durastream.api.objects import plain
from durastream.events import Event, Src
from durastream.sources.native import parse
from durastream.state import RunState
from durastream.vocabulary import check

CHUNK = {
    "event": "on_chat_model_stream", "run_id": "m", "parent_ids": ["root"], "data": {"chunk": {"content": "Hi"}}
}  # fmt: skip
TOOL = {"event": "on_tool_start", "name": "lookup", "run_id": "t", "parent_ids": [], "data": {"input": {"a": 1}}}


@pytest.fixture(autouse=True)
def outside_of_any_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DURASTREAM_EVENTS", raising=False)
    monkeypatch.delenv("DURASTREAM_RUN_ID", raising=False)


class Log:
    """The event file of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    @property
    def events(self) -> list[tuple[str, dict[str, Any]]]:
        found = []
        for line in self.path.read_bytes().splitlines():
            pending = parse(line, Src("events", 0))
            assert pending.type != "raw.rejected", pending.data
            assert check(pending.type, pending.data) is None
            found.append((pending.type, pending.data))
        return found

    @property
    def types(self) -> list[str]:
        return [type_ for type_, _ in self.events]

    def of(self, type_: str) -> list[dict[str, Any]]:
        return [data for found, data in self.events if found == type_]

    @property
    def state(self) -> RunState:
        state = RunState()
        for seq, (type_, data) in enumerate(self.events, 1):
            state.apply(Event(seq, "", float(seq), type_, data))
        return state


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    monkeypatch.setenv("DURASTREAM_EVENTS", str(tmp_path / "events"))
    return Log(tmp_path / "events")


async def given(*items: Any) -> AsyncIterator[Any]:
    for item in items:
        yield item


def read(stream: Any) -> list[Any]:
    """All items of an async stream."""

    async def all_of() -> list[Any]:
        return [item async for item in stream]

    return asyncio.run(all_of())


# what comes through


def test_outside_of_a_run_the_stream_itself_is_given_back() -> None:
    stream, asynchronous = iter([1]), given(1)
    assert durastream.tap(stream) is stream
    assert durastream.tap(asynchronous) is asynchronous
    assert next(durastream.tap([1])) == 1


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_every_item_comes_through_as_the_object_it_is(log: Log, kind: str) -> None:
    items = [CHUNK, "text", None, object(), TOOL, {"type": "a.b", "data": {}}]
    got = list(durastream.tap(iter(items))) if kind == "sync" else read(durastream.tap(given(*items)))
    assert all(one is other for one, other in zip(got, items, strict=True))


def test_what_is_heard_is_an_event_of_the_run(log: Log) -> None:
    list(durastream.tap(iter([CHUNK, TOOL])))
    assert log.types == ["agent.identified", "text.delta", "step.started"]
    assert log.of("step.started")[0]["input"] == {"a": 1}


def test_it_is_recorded_in_a_recording_too(tmp_path: Path) -> None:
    with durastream.recording(store=str(tmp_path)) as run:
        list(durastream.tap(iter([CHUNK])))
    assert run.completed is not None
    assert run.completed["answer"]["text"] == "Hi"


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_an_exception_comes_through_and_what_was_running_has_failed(log: Log, kind: str) -> None:
    error = ValueError("no route")

    def fails() -> Iterator[Any]:
        yield TOOL
        raise error

    async def fails_async() -> AsyncIterator[Any]:
        yield TOOL
        raise error

    with pytest.raises(ValueError, match="no route") as raised:
        list(durastream.tap(fails())) if kind == "sync" else read(durastream.tap(fails_async()))
    assert raised.value is error
    assert [(step["status"], step["error"]) for step in log.of("step.completed")] == [
        ("failed", "ValueError: no route")
    ]
    assert [found["fatal"] for found in log.of("error.raised")] == [False]


def test_what_a_generator_returns_comes_through(log: Log) -> None:
    def returns() -> Iterator[str]:
        yield "a"
        return "end"

    def outer() -> Any:
        return (yield from durastream.tap(returns()))

    stream = outer()
    assert next(stream) == "a"
    with pytest.raises(StopIteration) as end:
        next(stream)
    assert end.value.value == "end"


def test_what_is_sent_and_thrown_goes_to_the_generator(log: Log) -> None:
    def echoes() -> Iterator[Any]:
        got = yield "first"
        try:
            yield got
        except KeyError:
            yield "caught"

    stream = durastream.tap(echoes())
    assert [next(stream), stream.send("sent"), stream.throw(KeyError)] == ["first", "sent", "caught"]
    stream.close()
    assert [delta["text"] for delta in log.of("text.delta")] == ["first", "sent", "caught"]


def test_what_is_sent_and_thrown_goes_to_an_async_generator(log: Log) -> None:
    closed = []

    async def echoes() -> AsyncIterator[Any]:
        try:
            got = yield "first"
            try:
                yield got
            except KeyError:
                yield "caught"
        finally:
            closed.append(True)

    async def main() -> None:
        stream = durastream.tap(echoes())
        assert [await anext(stream), await stream.asend("sent"), await stream.athrow(KeyError)] == [
            "first",
            "sent",
            "caught",
        ]
        await stream.aclose()

    asyncio.run(main())
    assert closed == [True]


def test_to_close_the_tap_is_to_close_the_stream(log: Log) -> None:
    closed = []

    def stream() -> Iterator[Any]:
        try:
            yield TOOL
        finally:
            closed.append(True)

    with contextlib.closing(durastream.tap(stream())) as events:
        next(events)
    assert closed == [True]
    assert [step["error"] for step in log.of("step.completed")] == ["the stream was closed"]
    durastream.tap([1]).close()


def test_a_stream_that_is_left_half_way_is_told_so(log: Log) -> None:
    for _ in durastream.tap(iter([TOOL, CHUNK])):
        break
    gc.collect()
    assert [step["error"] for step in log.of("step.completed")] == ["the rest of the stream was not read"]
    assert log.of("error.raised") == []


def test_a_task_that_is_cancelled_loses_no_item(log: Log) -> None:
    async def main() -> list[Any]:
        queue: asyncio.Queue[Any] = asyncio.Queue()

        async def stream() -> AsyncIterator[Any]:
            while True:
                yield await queue.get()

        class Waits:
            def __aiter__(self) -> Waits:
                return self

            async def __anext__(self) -> Any:
                return await queue.get()

        events = durastream.tap(Waits())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(anext(events), 0.02)
        queue.put_nowait("after")
        got = [await anext(events)]
        with contextlib.suppress(asyncio.CancelledError):
            task = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0)
            task.cancel()
            await task
        return got

    assert asyncio.run(main()) == ["after"]
    assert [delta["text"] for delta in log.of("text.delta")] == ["after"]
    assert log.of("error.raised") == []


class Managed:
    """A stream as some clients give it: to be entered first, with more to it than its items."""

    model = "m-1"

    left: Any = None

    async def __aenter__(self) -> AsyncIterator[Any]:
        return given("a", "b")

    async def __aexit__(self, *error: Any) -> bool:
        self.left = error[0]
        return True


def test_a_stream_that_has_to_be_entered_can_be(log: Log) -> None:
    async def main() -> Managed:
        managed = Managed()
        tapped = durastream.tap(managed)
        assert tapped.model == "m-1"
        async with tapped as events:
            assert [item async for item in events] == ["a", "b"]
            raise KeyError
        return managed

    assert asyncio.run(main()).left is KeyError


class ManagedSync:
    left: Any = None

    def __enter__(self) -> Iterator[Any]:
        return iter(["a", "b"])

    def __exit__(self, *error: Any) -> bool:
        self.left = error[0]
        return True


def test_one_that_is_not_async_too(log: Log) -> None:
    managed = ManagedSync()
    with durastream.tap(managed) as events:
        assert list(events) == ["a", "b"]
        raise KeyError
    assert managed.left is KeyError


def test_a_stream_that_need_not_be_entered_can_be(log: Log) -> None:
    async def main() -> None:
        async with durastream.tap(given("a")) as events:
            assert [item async for item in events] == ["a"]

    asyncio.run(main())
    with durastream.tap(iter("a")) as events:
        assert list(events) == ["a"]


def test_what_the_tap_does_not_know_is_the_streams(log: Log) -> None:
    tapped = durastream.tap(given("a"))
    with pytest.raises(AttributeError):
        _ = tapped.model
    with pytest.raises(AttributeError):
        _ = tapped._private
    with pytest.raises(AttributeError):
        durastream.tap([1]).send(None)


# what is recorded


def test_strings_and_events_of_ours_need_no_format(log: Log) -> None:
    own = {"type": "quality.checked", "data": {"name": "n", "outcome": "pass"}}
    list(durastream.tap(["Hel", b"lo", own, ("log.line", {"text": "l"}), Event(1, "", 0.0, "a.b", {"c": 1})]))
    durastream.final_answer("Hello")
    assert log.state.answer is not None
    assert log.state.answer.text == "Hello"
    assert log.types[3:6] == ["quality.checked", "log.line", "a.b"]


def test_two_streams_of_a_run_keep_their_ids_apart(log: Log) -> None:
    end = {"event": "on_chat_model_end", "run_id": "m", "parent_ids": [], "data": {"output": {"content": "Hi"}}}
    for _ in range(2):
        list(durastream.tap([CHUNK, TOOL, end]))
    assert len(log.state.messages) == len(log.state.steps) == 2
    declared = log.of("run.declared")[-1]["answer"]["message_id"]
    assert declared == list(log.state.messages)[-1]


def test_a_plan_takes_the_place_of_the_plan_before(log: Log) -> None:
    todos = {"todos": [{"content": "a", "status": "in_progress"}]}
    durastream.plan(["x"])
    list(durastream.tap([("updates", {"n": todos})]))
    assert [type_ for type_ in log.types if type_.startswith("plan")] == ["plan.created", "plan.updated"]


def test_its_steps_stand_in_the_step_around_it(log: Log) -> None:
    with durastream.step("ask") as step:
        list(durastream.tap([TOOL]))
    assert log.of("step.started")[1]["parent"] == step.step_id


def test_whether_the_program_ended_well_is_not_for_its_streams_to_say(log: Log) -> None:
    list(durastream.tap([{"event": "on_chain_start", "name": "LangGraph", "run_id": "r", "parent_ids": []}]))
    assert all("terminal" not in data for data in log.of("agent.identified"))


def test_the_format_can_be_named(log: Log) -> None:
    list(durastream.tap([{"messages": [], "todos": [{"content": "a", "status": "pending"}]}], format="langgraph"))
    assert log.types == ["agent.identified", "plan.created"]


def test_any_format_can_be_told_by_its_items(log: Log) -> None:
    list(durastream.tap([{"type": "thread.started", "thread_id": "t"}, {"type": "turn.started"}]))
    assert log.of("agent.identified")[0]["format"] == "codex"


def test_a_format_that_does_not_exist_is_told_and_no_harm(log: Log, capfd: pytest.CaptureFixture[str]) -> None:
    list(durastream.tap([CHUNK], format="smoke"))
    assert "unknown format 'smoke'" in capfd.readouterr().err


def test_what_nobody_knows_is_kept(log: Log) -> None:
    list(durastream.tap([{"a": 1}] * 25 + [CHUNK, {**CHUNK, "event": "on_new"}, {**CHUNK, "data": {}}]))
    assert [data["reason"][:16] for data in log.of("raw.event")] == [
        *["no format"] * 25,
        "no mapping",
        "unexpected shape",
    ]
    assert log.of("raw.event")[0]["json"] == {"a": 1}


def test_what_is_kept_is_not_without_bounds(log: Log) -> None:
    list(durastream.tap([{"a": "x" * (2 << 20)}]))
    assert len(log.path.read_bytes()) < 10_000


def test_a_fault_of_the_tap_is_told_once_and_never_felt(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("durastream.api.listener.as_line", fails)
    assert len(list(durastream.tap([CHUNK, CHUNK]))) == 2
    assert [error["message"] for error in log.of("error.raised")] == ["durastream.tap: RuntimeError: broken"]


def test_a_fault_in_the_end_or_in_the_file_is_not_felt_either(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("broken")

    tapped = durastream.tap([TOOL])
    next(tapped)
    monkeypatch.setattr("durastream.api.sink.Sink.write", fails)
    tapped.close()
    assert log.types == ["agent.identified", "step.started"]


def test_a_forked_child_lets_go_of_the_stream(log: Log) -> None:
    tapped = durastream.tap([TOOL])
    next(tapped)
    child = os.fork()
    if not child:
        tapped.close()
        os._exit(0)
    os.waitpid(child, 0)
    assert log.of("step.completed") == []


def test_a_run_that_is_over_takes_nothing_and_does_no_harm(log: Log) -> None:
    tapped = durastream.tap(iter(["a", "b"]))
    next(tapped)
    log.path.unlink()
    assert list(tapped) == ["b"]


def test_the_adapters_are_loaded_only_where_a_stream_is_recorded() -> None:
    code = """
        import sys, durastream
        list(durastream.tap(["a"]))
        assert "durastream.api.listener" not in sys.modules
        assert not {"pydantic", "json", "typing", "durastream.sources"} & set(sys.modules)
        """
    src = str(Path(durastream.__file__).parents[1])
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env={"PYTHONPATH": src}, check=True)


# the frameworks' own objects, by their shape


def made(module: str, **fields: Any) -> Any:
    """An object of a class that says it is of a module."""
    kind = type("Made", (), {"__module__": module})
    found = kind()
    found.__dict__.update(fields)
    return found


@dataclasses.dataclass
class Part:
    content: str
    part_kind: str = "text"
    _secret: int = 1


def test_the_final_output_of_a_result_is_declared(log: Log) -> None:
    class Result:
        final_output = "Hello"

        def stream_events(self) -> AsyncIterator[Any]:
            agent, at = made("agents", name="planner"), "agents.stream_events"
            item = made("x", type="message_output_item", raw_item={"id": "m", "content": [{"text": "Hello"}]})
            output = made("x", type="tool_call_output_item", raw_item={"call_id": "c"}, output="late")
            return given(
                made(at, type="agent_updated_stream_event", new_agent=agent),
                made(at, type="raw_response_event", data={"type": "response.created", "response": {}}),
                made(at, type="run_item_stream_event", name="message_output_created", item=item),
                made(at, type="run_item_stream_event", name="tool_output", item=output),
                {"type": "raw_response_event", "data": {"type": "response.in_progress"}},
            )  # fmt: skip

    read(durastream.tap(Result()))
    assert log.of("agent.identified")[-1]["name"] == "planner"
    assert log.of("run.declared")[0]["answer"]["text"] == "Hello"
    assert log.of("raw.event") == []


def test_events_without_the_result_they_came_from_declare_nothing(log: Log) -> None:
    read(durastream.tap(given({"type": "raw_response_event", "data": {"type": "response.in_progress"}})))
    assert log.types == ["agent.identified"]


def test_an_end_without_an_answer_is_declared_too(log: Log) -> None:
    list(durastream.tap([{"event": "on_chain_end", "run_id": "r", "parent_ids": [], "data": {"output": 3}}]))
    assert log.of("run.declared") == [{"status": "completed"}]


def test_an_iterator_without_a_close_needs_none(log: Log) -> None:
    class Endless:
        def __aiter__(self) -> Endless:
            return self

        async def __anext__(self) -> str:
            return "a"

    async def main() -> None:
        events = durastream.tap(Endless())
        assert await anext(events) == "a"
        await events.aclose()

    asyncio.run(main())


def test_a_final_output_that_cannot_be_read_is_a_fault_like_any_other(log: Log) -> None:
    class Result:
        def stream_events(self) -> AsyncIterator[Any]:
            return given({"type": "raw_response_event", "data": {"type": "response.in_progress"}})

        @property
        def final_output(self) -> str:
            raise RuntimeError("not yet")

    read(durastream.tap(Result()))
    assert [error["message"] for error in log.of("error.raised")] == ["durastream.tap: RuntimeError: not yet"]


@pytest.mark.parametrize("usage", [{"input_tokens": 3}, lambda: {"input_tokens": 3}])
def test_a_pydantic_ai_result_gives_its_output_and_usage(log: Log, usage: Any) -> None:
    result = made("pydantic_ai.run", output="Hello", usage=usage)
    start = made("pydantic_ai.messages", event_kind="part_start", index=0, part=Part("Hello"))
    start.__dataclass_fields__ = dict.fromkeys(("event_kind", "index", "part"))
    list(durastream.tap([start, made("pydantic_ai.run", event_kind="agent_run_result", result=result)]))
    assert log.of("run.declared")[0]["answer"]["text"] == "Hello"
    assert log.of("usage.reported")[0]["input_tokens"] == 3


def test_langgraph_in_all_the_forms_that_it_streams(log: Log) -> None:
    chunk = made("langchain_core.messages", type="AIMessageChunk", content="a", id="m", model_dump=None)
    chunk.model_dump = lambda **_: {"type": "AIMessageChunk", "content": "a", "id": "m"}
    state = made("app", messages=[chunk], todos=None)
    call = {"args": {}, "type": "tool_call"}
    list(
        durastream.tap(
            [
                ("messages", (chunk, {"langgraph_checkpoint_ns": "n"})),
                ((), "messages", (chunk, None)),
                {"type": "messages", "ns": (), "data": (chunk, {})},
                (chunk, {}),
                chunk,
                ("values", state),
                ("debug", {}),
                ("tasks", {"id": "t", "name": "n", "input": state, "triggers": ()}),
                ("tasks", {"id": "u", "name": "tools", "input": [{"id": "c", "name": "x", **call}]}),
                ("tasks", {"id": "v", "name": "tools", "input": {"tool_call": {"id": "d", "name": "y", **call}}}),
                {"n": {"messages": []}},
            ]
        )
    )  # fmt: skip
    assert [delta["text"] for delta in log.of("text.delta")] == ["a"] * 5
    assert [step["title"] for step in log.of("step.started")] == ["n", "x", "y"]
    assert log.of("raw.event") == []


def test_langchain_is_heard_without_what_it_repeats(log: Log) -> None:
    read_it = shapes.as_line
    assert read_it("langchain", {**CHUNK, "event": "on_chain_stream"}) is None
    assert read_it("langchain", {**CHUNK, "event": "on_chain_end"}) is None
    end = {"event": "on_chain_end", "run_id": "r", "parent_ids": [], "data": {"output": {"messages": [1, 2]}}}
    assert read_it("langchain", end)["data"] == {"output": {"messages": [2]}}
    assert read_it("langchain", {**end, "event": "on_custom_event"})["data"] == end["data"]
    values = {"type": "event", "method": "values", "params": {"namespace": [], "data": {"messages": [1, 2], "x": 3}}}
    assert read_it("langchain", values)["params"]["data"] == {"messages": [2]}
    assert read_it("langchain", {**values, "method": "debug"}) is None
    assert read_it("langchain", 1) == 1


def test_whose_events_they_are_is_told_by_class_and_keys() -> None:
    assert shapes.format_of(CHUNK) == "langchain"
    assert shapes.format_of({"type": "event", "method": "values", "params": {}}) == "langchain"
    assert shapes.format_of({"event_kind": "part_start"}) == "pydantic-ai"
    assert shapes.format_of({"type": "values", "ns": (), "data": {}}) == "langgraph"
    assert shapes.format_of(("values", {})) == shapes.format_of(((), "values", {})) == "langgraph"
    assert shapes.format_of(made("agents", type="something")) is None, "an application may have a module agents"
    assert shapes.format_of(made("agents_of_mine", type="raw_response_event")) is None
    assert [shapes.format_of(item) for item in ("a", b"a", None, 1, {}, (), ("a", {}), (1, 2, 3))] == [None] * 8
    assert shapes.as_event((1, 2, 3)) is shapes.as_event(3) is shapes.as_event({"type": "a.b", "data": {1: 2}}) is None


# any value as JSON


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Model:
    def model_dump(self, mode: str = "python", warnings: bool = True) -> dict[str, Any]:
        if mode == "json":
            raise ValueError("not JSON")
        return {"a": {1}}


class Rude:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    @property
    def model_dump(self) -> Any:
        raise RuntimeError("no")


def test_values_as_json() -> None:
    moment = datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC)
    known = uuid.UUID(int=1)
    assert plain({1: (1, 2.5, None, True), "s": {"b", "a"}}) == {"1": [1, 2.5, None, True], "s": ["a", "b"]}
    assert plain([moment, known, Path("/x"), b"y", ValueError("z")]) == [
        moment.isoformat(), str(known), "/x", "b'y'", "ValueError: z"
    ]  # fmt: skip
    assert plain([Level.LOW, 10**30, float("inf"), 10**400]) == [1, 1e30, "inf", str(10**400)]
    assert plain(Part("a")) == {"content": "a", "part_kind": "text"}
    assert plain(Model()) == {"a": [1]}
    assert plain(Colour.RED) == repr(Colour.RED)
    assert plain(int) == repr(int)


def test_nothing_is_too_deep_too_large_or_too_odd() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    deep: Any = "end"
    for _ in range(5000):
        deep = [deep]
    large = plain([[0]] * 100_000)
    assert "…" in json.dumps(plain(cycle), ensure_ascii=False)
    assert "…" in json.dumps(plain(deep), ensure_ascii=False)
    assert len(json.dumps(large)) < 1_000_000
    assert len(plain("x" * (5 << 20))) < 5 << 20
    assert len(plain(type("X", (), {"__repr__": lambda _: "y" * 5000})())) < 3000
    assert "Rude" in plain(Rude())
    assert api.tap is durastream.tap
