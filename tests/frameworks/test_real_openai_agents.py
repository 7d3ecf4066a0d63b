"""OpenAI Agents SDK, with a model that reads from a script."""

from __future__ import annotations

from pathlib import Path

from frameworks_kit import needs, record

pytestmark = needs("agents")

MODEL = '''
import asyncio, json, sys
import durastream
from agents import Agent, ModelResponse, Runner, Usage, function_tool
from agents.models.interface import Model
from openai.types.responses import (
    Response, ResponseCompletedEvent, ResponseCreatedEvent, ResponseFunctionToolCall, ResponseOutputMessage,
    ResponseOutputText, ResponseTextDeltaEvent, ResponseUsage,
)


def text(words, id="__fake_id__", url=None):
    note = {"type": "url_citation", "url": url, "title": "Mars", "start_index": 0, "end_index": 1}
    part = ResponseOutputText(text=words, type="output_text", annotations=[note] if url else [])
    return ResponseOutputMessage(id=id, content=[part], role="assistant", status="completed", type="message")


def call(id, name, **args):
    return ResponseFunctionToolCall(call_id=id, name=name, arguments=json.dumps(args), type="function_call")


class Scripted(Model):
    """Gives its next turn: output items, of which texts are streamed in pieces."""

    def __init__(self, *turns): self.turns = list(turns)

    async def get_response(self, *given, **how):
        return ModelResponse(output=self.turns.pop(0), usage=Usage(), response_id=None)

    async def stream_response(self, *given, **how):
        items = self.turns.pop(0)
        used = {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}
        used |= {"input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 0}}
        used |= {"output_tokens_details": {"reasoning_tokens": 0}}
        usage = ResponseUsage.model_validate(used)
        about = {"id": "r", "created_at": 0, "model": "scripted", "object": "response", "tools": []}
        response = Response(**about, output=items, tool_choice="auto", parallel_tool_calls=True, usage=usage)
        yield ResponseCreatedEvent(response=response, sequence_number=0, type="response.created")
        for index, item in enumerate(items):
            words = item.content[0].text if item.type == "message" else ""
            for at in range(0, len(words), 7):
                yield ResponseTextDeltaEvent(
                    content_index=0, delta=words[at:at + 7], item_id=item.id, logprobs=[], output_index=index,
                    sequence_number=0, type="response.output_text.delta",
                )
        yield ResponseCompletedEvent(response=response, sequence_number=0, type="response.completed")


@function_tool
def lookup(topic: str) -> str:
    return "Phobos and Deimos, says https://example.org/mars"


@function_tool
def flaky() -> str:
    raise ValueError("no route to the archive")


@function_tool(strict_mode=False)
def update_plan(plan: list[dict]) -> str:
    return "Plan updated"


def plan(*statuses): return [{"step": step, "status": s} for step, s in zip(("Look up", "Answer"), statuses)]


def planner():
    writer = Agent("writer", model=Scripted([text("Mars has two moons.", url="https://example.org/mars")]))
    model = Scripted(
        [text("I will look it up."), call("c1", "update_plan", plan=plan("in_progress", "pending"))],
        [call("c2", "lookup", topic="moons"), call("c3", "flaky")],
        [call("c4", "update_plan", plan=plan("completed", "in_progress"))],
        [call("c5", "transfer_to_writer")],
    )
    return Agent("planner", model=model, tools=[lookup, flaky, update_plan], handoffs=[writer])
'''

ANSWER = "Mars has two moons."


def test_a_result_is_tapped_with_its_final_output(tmp_path: Path) -> None:
    code = """
async def main():
    result = Runner.run_streamed(planner(), "How many moons has Mars?")
    async for event in durastream.tap(result):
        pass
    print(result.final_output)


asyncio.run(main())
"""
    ran = record(tmp_path, MODEL + code)
    assert (ran.status, ran.answer, ran.out) == ("completed", ANSWER, ANSWER + "\n")
    assert ran.plan == {"Look up": "done", "Answer": "active"}
    assert ran.steps() == [("lookup", "ok"), ("flaky", "failed")]
    assert ran.steps("agent") == [("transfer_to_writer", "ok")]
    assert ran.around("lookup") == "Look up"
    assert ran.drafts[:2] == ["I will look it up.", ANSWER]
    assert [(source["url"], source["title"], source["origin"]) for source in ran.shown["sources"]] == [
        ("https://example.org/mars", "Mars", "native"),
    ]
    assert ran.shown["usage"] == {"input_tokens": 500, "output_tokens": 50, "cached_tokens": 300, "reasoning_tokens": 0}
    assert ran.of("run.declared")[0]["answer"]["text"] == ANSWER
    assert [about["name"] for about in ran.of("agent.identified") if "name" in about] == ["planner", "writer"]
    assert ran.counts["raw.event"] == ran.counts["error.raised"] == 0


def test_a_coroutine_may_return_the_result(tmp_path: Path) -> None:
    ran = record(
        tmp_path, MODEL + "\nasync def run(): return Runner.run_streamed(planner(), 'How many?')\n", "agent:run"
    )
    assert (ran.status, ran.answer) == ("completed", ANSWER)
    assert ran.steps() == [("lookup", "ok"), ("flaky", "failed")]
    assert ran.of("run.declared")[0]["answer"]["text"] == ANSWER
