"""Pydantic AI, with a FunctionModel that reads from a script."""

from __future__ import annotations

from pathlib import Path

import pytest
from frameworks_kit import needs, record

from durastream.sources.adapters import BUILTIN

pytestmark = needs("pydantic_ai")

MODEL = """
import asyncio, json, sys
import durastream
from pydantic_ai import Agent, ModelRetry
from pydantic_ai.messages import ModelResponse
from pydantic_ai.models.function import DeltaThinkingPart, DeltaToolCall, FunctionModel


def plan(*statuses): return [{"title": t, "status": s} for t, s in zip(("Look up", "Answer"), statuses)]


def calls(*named):
    return {at: DeltaToolCall(name=name, json_args=json.dumps(args), tool_call_id=id)
            for at, (id, name, args) in enumerate(named, 1)}


TURNS = [
    ["I will ", "look it up.", calls(("p1", "update_plan", {"steps": plan("in_progress", "pending")}))],
    [calls(("p2", "lookup", {"topic": "moons"}), ("p3", "flaky", {"x": 1}))],
    [calls(("p4", "flaky", {"x": 2}), ("p5", "update_plan", {"steps": plan("completed", "completed")}))],
    [{0: DeltaThinkingPart(content="Two, then.")}, "Mars has ", "two moons."],
]


async def stream(messages, info):
    for piece in TURNS[sum(isinstance(message, ModelResponse) for message in messages)]:
        yield piece


agent = Agent(FunctionModel(stream_function=stream))


@agent.tool_plain
def lookup(topic: str) -> dict:
    return {"moons": 2, "source": "https://example.org/mars"}


@agent.tool_plain
def flaky(x: int) -> str:
    if x == 1:
        raise ModelRetry("x must be 2")
    return "fine"


@agent.tool_plain
def update_plan(steps: list[dict]) -> str:
    return "Plan updated"
"""

ANSWER = "Mars has two moons."


def test_run_stream_events_in_async_with(tmp_path: Path) -> None:
    code = """
async def main():
    async with durastream.tap(agent.run_stream_events("How many moons has Mars?")) as events:
        async for event in events:
            last = event
    print(last.result.output)


asyncio.run(main())
"""
    ran = record(tmp_path, MODEL + code)
    assert (ran.status, ran.answer, ran.out) == ("completed", ANSWER, ANSWER + "\n")
    assert ran.plan == {"Look up": "done", "Answer": "done"}
    assert ran.steps() == [("lookup", "ok"), ("flaky", "failed"), ("flaky", "ok")]
    assert ran.around("lookup") == "Look up"
    assert ran.drafts[:2] == ["I will look it up.", ANSWER]
    assert [thought["text"] for thought in ran.of("reasoning.delta")] == ["Two, then."]
    assert [(source["url"], source["origin"]) for source in ran.shown["sources"]] == [
        ("https://example.org/mars", "tool")
    ]
    assert ran.shown["usage"]["output_tokens"] > 0
    assert ran.of("run.declared")[0]["answer"]["text"] == ANSWER
    assert ran.counts["raw.event"] == ran.counts["error.raised"] == 0


def test_a_function_may_return_the_stream(tmp_path: Path) -> None:
    ran = record(tmp_path, MODEL + "\ndef run(): return agent.run_stream_events('How many?')\n", "agent:run")
    assert (ran.status, ran.answer) == ("completed", ANSWER)
    assert ran.steps() == [("lookup", "ok"), ("flaky", "failed"), ("flaky", "ok")]


def test_events_that_are_printed_as_json_are_the_same_format(tmp_path: Path) -> None:
    code = """
from pydantic import TypeAdapter

from pydantic_ai import AgentStreamEvent
from pydantic_ai.run import AgentRunResultEvent


async def main():
    async with agent.run_stream_events("How many moons has Mars?") as events:
        async for event in events:
            print(TypeAdapter(type(event)).dump_json(event).decode(), flush=True)


asyncio.run(main())
"""
    ran = record(tmp_path, MODEL + code)
    assert (ran.status, ran.answer) == ("completed", ANSWER)
    assert ran.plan == {"Look up": "done", "Answer": "done"}
    assert ran.steps() == [("lookup", "ok"), ("flaky", "failed"), ("flaky", "ok")]
    assert ran.of("agent.identified")[0]["format"] == "pydantic-ai"


def test_an_output_that_is_a_model_is_the_answer_as_json(tmp_path: Path) -> None:
    code = """
import durastream
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel


class Moons(BaseModel):
    count: int


async def run():
    async with Agent(TestModel(), output_type=Moons).run_stream_events("How many?") as events:
        async for event in events:
            yield event
"""
    ran = record(tmp_path, code, "agent:run")
    assert (ran.status, ran.answer) == ("completed", '{"count":0}')


def test_a_run_that_stops_to_ask_has_not_failed(tmp_path: Path) -> None:
    code = """
from pydantic_ai import DeferredToolRequests

TURNS[:] = [[calls(("d1", "delete", {"path": "notes.md"}))]]
asking = Agent(FunctionModel(stream_function=stream), output_type=[str, DeferredToolRequests])


@asking.tool_plain(requires_approval=True)
def delete(path: str) -> str:
    return "gone"


async def run():
    return asking.run_stream_events("Delete the notes.")
"""
    ran = record(tmp_path, MODEL + code, "agent:run")
    assert ran.status == "completed"
    assert ran.steps() == [("delete notes.md", "skipped")]
    assert [asked["title"] for asked in ran.of("approval.requested")] == ['delete {"path":"notes.md"}']


@pytest.mark.skipif("ag-ui" not in BUILTIN, reason="the ag-ui format is not in this build")
def test_the_ag_ui_adapter_printed_as_server_sent_events(tmp_path: Path) -> None:
    code = """
from ag_ui.core import RunAgentInput, UserMessage
from pydantic_ai.ui.ag_ui import AGUIAdapter


async def main():
    asked = UserMessage(id="u", role="user", content="How many moons has Mars?")
    given = RunAgentInput(
        thread_id="t", run_id="r", messages=[asked], state={}, tools=[], context=[], forwarded_props={}
    )
    adapter = AGUIAdapter(agent=agent, run_input=given, accept="text/event-stream")
    async for line in adapter.encode_stream(adapter.run_stream()):
        print(line, end="", flush=True)


asyncio.run(main())
"""
    pytest.importorskip("ag_ui", reason="ag-ui-protocol is not installed: pip install -e '.[dev,frameworks]'")
    ran = record(tmp_path, MODEL + code)
    assert (ran.status, ran.answer) == ("completed", ANSWER)
    assert ("lookup", "ok") in ran.steps()
    assert ran.plan == {"Look up": "done", "Answer": "done"}
