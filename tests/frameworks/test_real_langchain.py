"""LangChain and LangGraph, with models that read from a script."""

from __future__ import annotations

from pathlib import Path

from frameworks_kit import needs, record

pytestmark = [needs("langchain"), needs("langgraph")]

MODEL = '''
import asyncio, json, sys
from collections.abc import Iterator
from typing import Any

import durastream
from langchain.agents import create_agent
from langchain.agents.middleware import TodoListMiddleware
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import tool


class Scripted(BaseChatModel):
    """Says its next turn: a text and tool calls, streamed in pieces."""

    turns: list[Any] = []

    @property
    def _llm_type(self): return "scripted"

    def bind_tools(self, tools, **how): return self

    def _generate(self, messages, stop=None, run_manager=None, **how):
        text, calls = self._turn(messages)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text, tool_calls=calls))])

    def _stream(self, messages, stop=None, run_manager=None, **how):
        text, calls = self._turn(messages)
        for at in range(0, len(text), 7):
            yield ChatGenerationChunk(message=AIMessageChunk(content=text[at:at + 7]))
        for index, call in enumerate(calls):
            piece = {**call, "args": json.dumps(call["args"]), "index": index, "type": "tool_call_chunk"}
            yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[piece]))
        usage = {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}
        yield ChatGenerationChunk(message=AIMessageChunk(content="", usage_metadata=usage))

    def _turn(self, messages): return self.turns[sum(message.type == "ai" for message in messages)]


def call(id, name, **args): return {"name": name, "args": args, "id": id, "type": "tool_call"}


def todos(*statuses):
    return [{"content": title, "status": status} for title, status in zip(("Look up", "Answer"), statuses)]


@tool
def lookup(topic: str) -> str:
    """Look a topic up."""
    return "Phobos and Deimos, says https://example.org/mars"


@tool
def flaky() -> str:
    """Fail."""
    raise ValueError("no route to the archive")


@tool
async def research(topic: str) -> str:
    """Ask another agent."""
    turns = [("Inner words.", [call("i1", "lookup", topic=topic)]), ("Inner answer.", [])]
    result = await create_agent(Scripted(turns=turns), [lookup]).ainvoke({"messages": [("user", topic)]})
    return result["messages"][-1].text


def agent(*tools):
    turns = [
        ("I will look it up.", [call("a1", "write_todos", todos=todos("in_progress", "pending"))]),
        ("", [call("a2", one.name, **({"topic": "moons"} if one.args else {})) for one in tools]),
        ("", [call("a3", "write_todos", todos=todos("completed", "completed"))]),
        ("Mars has two moons: Phobos and Deimos.", []),
    ]
    return create_agent(Scripted(turns=turns), list(tools), middleware=[TodoListMiddleware()])


ASK = {"messages": [("user", "How many moons has Mars?")]}
'''

ANSWER = "Mars has two moons: Phobos and Deimos."


def test_astream_events_v2_with_a_subagent_in_a_tool(tmp_path: Path) -> None:
    code = """
async def main():
    async for event in durastream.tap(agent(research).astream_events(ASK, version="v2")):
        if event["event"] == "on_chain_end" and not event["parent_ids"]:
            print(event["data"]["output"]["messages"][-1].text)


asyncio.run(main())
"""
    ran = record(tmp_path, MODEL + code)
    assert (ran.status, ran.answer, ran.out.splitlines()[-1]) == ("completed", ANSWER, ANSWER)
    assert ran.plan == {"Look up": "done", "Answer": "done"}
    assert ran.steps() == [("research", "ok"), ("lookup", "ok")]
    assert (ran.around("research"), ran.around("lookup")) == ("Look up", "research")
    assert ran.drafts[:2] == ["I will look it up.", ANSWER]
    assert [progress["message"] for progress in ran.of("step.progress")] == ["Inner words.", "Inner answer."]
    assert [(source["url"], source["origin"]) for source in ran.shown["sources"]] == [
        ("https://example.org/mars", "tool")
    ]
    assert ran.shown["usage"]["input_tokens"] == 600
    assert ran.of("run.declared")[0]["answer"]["text"] == ANSWER
    assert ran.counts["raw.event"] == ran.counts["error.raised"] == 0


def test_astream_events_v3_from_a_function(tmp_path: Path) -> None:
    code = """
async def run():
    return await agent(lookup).astream_events(ASK, version="v3")
"""
    ran = record(tmp_path, MODEL + code, "agent:run")
    assert (ran.status, ran.answer) == ("completed", ANSWER)
    assert ran.plan == {"Look up": "done", "Answer": "done"}
    assert ran.steps() == [("lookup", "ok")]
    assert ran.drafts == ["I will look it up.", ANSWER]
    assert ran.shown["usage"]["input_tokens"] == 400
    assert ran.counts["raw.event"] == 0


def test_langgraph_with_all_modes_and_subgraphs(tmp_path: Path) -> None:
    code = """
async def main():
    modes = ["values", "messages", "updates", "tasks"]
    async for namespace, mode, data in durastream.tap(agent(research).astream(ASK, stream_mode=modes, subgraphs=True)):
        pass


asyncio.run(main())
"""
    ran = record(tmp_path, MODEL + code)
    assert (ran.status, ran.answer) == ("completed", ANSWER)
    assert ran.plan == {"Look up": "done", "Answer": "done"}
    assert ran.counts["plan.created"] + ran.counts["plan.updated"] == 2
    assert ran.steps() == [("research", "ok"), ("lookup", "ok")]
    assert (ran.around("research"), ran.around("lookup")) == ("Look up", "research")
    assert ran.drafts == ["I will look it up.", ANSWER]
    assert [progress["message"] for progress in ran.of("step.progress")] == ["Inner words.", "Inner answer."]
    assert ran.shown["usage"]["input_tokens"] == 600
    assert ran.counts["raw.event"] == 0


def test_a_graph_of_ones_own_from_a_function_that_is_no_coroutine(tmp_path: Path) -> None:
    code = """
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph


def check(state):
    get_stream_writer()({"type": "quality.checked", "data": {"name": "cites a source", "outcome": "pass"}})
    return {}


def run():
    model = Scripted(turns=[("Two moons, says https://example.org/mars.", [])])
    graph = StateGraph(MessagesState)
    graph.add_node("write", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_node("check", check)
    graph.add_edge(START, "write")
    graph.add_edge("write", "check")
    graph.add_edge("check", END)
    return graph.compile().stream(ASK, stream_mode=["messages", "updates", "custom"], version="v2")
"""
    ran = record(tmp_path, MODEL + code, "agent:run")
    assert (ran.status, ran.answer) == ("completed", "Two moons, says https://example.org/mars.")
    assert ran.steps("task") == [("write", "ok"), ("check", "ok")]
    assert [source["origin"] for source in ran.shown["sources"]] == ["text"]
    assert len([check for check in ran.of("quality.checked") if check.get("by") != "durastream"]) == 1
    assert ran.counts["raw.event"] == 0


def test_a_tool_that_raises_ends_the_graph_and_the_run(tmp_path: Path) -> None:
    code = """
for mode, data in durastream.tap(agent(flaky).stream(ASK, stream_mode=["messages", "updates", "tasks"])):
    pass
"""
    ran = record(tmp_path, MODEL + code, exit_code=1)
    assert ran.status == "failed"
    assert ran.steps() == [("flaky", "failed")]
    assert ran.plan == {"Look up": "active", "Answer": "pending"}
    assert [error["message"] for error in ran.of("error.raised")] == ["ValueError: no route to the archive"]


def test_a_graph_that_stops_to_ask_has_not_failed(tmp_path: Path) -> None:
    code = """
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langgraph.checkpoint.memory import InMemorySaver

asks = HumanInTheLoopMiddleware(interrupt_on={"lookup": True})
turns = [("I will look it up.", [call("a1", "lookup", topic="moons")])]
graph = create_agent(Scripted(turns=turns), [lookup], middleware=[asks], checkpointer=InMemorySaver())
how = {"configurable": {"thread_id": "t"}}
for mode, data in durastream.tap(graph.stream(ASK, how, stream_mode=["messages", "updates", "tasks"])):
    pass
"""
    ran = record(tmp_path, MODEL + code)
    assert ran.status == "completed"
    assert ran.steps() == [("lookup", "skipped")]
    assert ran.counts["approval.requested"] == 1
    assert ran.counts["raw.event"] == 0


def test_a_model_that_streams_alone(tmp_path: Path) -> None:
    code = """
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

model = GenericFakeChatModel(messages=iter([AIMessage("Two moons there are")]))
print("".join(chunk.content for chunk in __import__("durastream").tap(model.stream("How many?"))))
"""
    ran = record(tmp_path, code)
    assert (ran.status, ran.answer, ran.out) == ("completed", "Two moons there are", "Two moons there are\n")
    assert [done["length"] for done in ran.of("text.completed")] == [19, 20], "the message, and stdout"
