"""LangChain: `astream_events`, v2 and v3."""

from __future__ import annotations

from typing import Any

from adapters_kit import Told, lines, read, trace

from durastream.sources.adapters.langchain import LangChain

ANSWER = "Mars has two moons: Phobos and Deimos [1]."
TODOS = [{"content": "Look up", "status": "completed"}, {"content": "Answer", "status": "in_progress"}]


def told(*values: Any) -> Told:
    return read([lines(*values)], "langchain")


def event(name: str, run: str, *parents: str, title: str = "x", **data: Any) -> dict[str, Any]:
    return {"event": name, "name": title, "run_id": run, "parent_ids": list(parents), "data": data}


def v3(method: str, data: Any, *namespace: str) -> dict[str, Any]:
    return {"type": "event", "method": method, "params": {"namespace": list(namespace), "timestamp": 0, "data": data}}


def ai(text: Any, **more: Any) -> dict[str, Any]:
    return {"type": "ai", "content": text, **more}


ROOT = event("on_chain_start", "root", title="agent")


def test_a_whole_run_in_v2() -> None:
    told = trace("langchain_astream_events_v2.jsonl")
    assert told.answer == ANSWER
    assert told.plan == {"Look up": "done", "Answer": "active"}
    assert told.steps() == {"lookup": "ok"}
    assert [step["input"] for step in told.of("step.started") if step["kind"] == "tool"] == [{"topic": "moons"}]
    assert [step["output"] for step in told.of("step.completed") if step["step_id"][:4] != "plan"] == [
        "Phobos and Deimos"
    ]
    assert told.state.usage == {"input_tokens": 2400, "output_tokens": 120}
    assert [done["length"] for done in told.of("text.completed")] == [18, 42]
    assert told.of("run.declared")[0]["answer"]["text"] == ANSWER
    assert told.of("raw.event") == []
    assert told.status() == "completed"
    assert told.findings() == []


def test_a_whole_run_in_v3() -> None:
    told = trace("langchain_astream_events_v3.jsonl")
    assert told.answer == ANSWER
    assert told.plan == {"Look up": "done", "Answer": "active"}
    assert told.steps() == {"lookup": "ok"}
    assert told.state.usage == {"input_tokens": 2400, "output_tokens": 120}
    assert [done["length"] for done in told.of("text.completed")] == [18, 42]
    assert told.of("raw.event") == []
    assert told.status() == "completed"
    assert told.findings() == []


def test_a_v2_run_without_the_end_of_its_outermost_chain_did_not_end_well() -> None:
    found = told(ROOT, event("on_chat_model_stream", "m", "root", chunk=ai("Ha")))
    assert found.status(0) == "failed"
    assert "end-undeclared" in found.findings()


def test_what_was_streamed_is_compared_with_what_the_model_said_in_the_end() -> None:
    found = told(
        event("on_chat_model_stream", "m", "root", chunk=ai("Half")),
        event("on_chat_model_end", "m", "root", output=ai("Half of it")),
    )
    assert found.answer == "Half"
    assert found.findings() == ["answer-differs"]


def test_a_message_is_known_by_the_run_of_its_model_whatever_its_chunks_are_called() -> None:
    found = told(
        event("on_chat_model_stream", "m", "root", chunk=ai("a", id="run-0")),
        event("on_chat_model_stream", "m", "root", chunk=ai("b", id="lc_run--1")),
    )
    assert [delta["message_id"] for delta in found.of("text.delta")] == ["m", "m"]


def test_a_model_that_does_not_stream_says_all_at_its_end() -> None:
    found = told(event("on_chat_model_end", "m", "root", output=ai("All")))
    assert [delta["text"] for delta in found.of("text.delta")] == ["All"]


def test_a_model_that_runs_alone_ends_the_run() -> None:
    assert told(event("on_chat_model_end", "m", output=ai("All"))).of("run.declared")[0]["answer"]["text"] == "All"


def test_completion_models_stream_strings() -> None:
    found = told(
        event("on_llm_stream", "m", "root", chunk="a"),
        event("on_llm_stream", "m", "root", chunk={"text": "b"}),
        event("on_llm_end", "m", "root", output={"generations": [[{"text": "ab"}]]}),
        event("on_llm_end", "n", "root", output={"generations": [[{"text": "c", "message": ai("c")}]]}),
    )
    assert [message.text for message in found.state.messages.values()] == ["ab", "c"]
    assert found.findings() == []


def test_a_chain_that_ends_with_a_value_of_its_own_keeps_the_answer_of_its_model() -> None:
    found = told(
        ROOT,
        event("on_chat_model_end", "m", "root", output=ai("Text")),
        event("on_chain_end", "root", output={"score": 1}),
    )
    assert (found.answer, found.findings()) == ("Text", [])


def test_a_chain_without_a_model_has_its_text_as_answer() -> None:
    assert told(ROOT, event("on_chain_end", "root", output="Plain")).answer == "Plain"
    assert told(ROOT, event("on_chain_end", "root", output={"messages": [ai("M")]})).answer == "M"


def test_a_model_that_only_calls_tools_says_no_text() -> None:
    assert told(event("on_chat_model_end", "m", "root", output=ai(None))).counts == {"agent.identified": 1}


def test_a_tool_that_fails_says_so_in_its_message_or_raises() -> None:
    failed = {"type": "tool", "content": "no such topic", "status": "error"}
    found = told(
        event("on_tool_start", "a", title="lookup", input={}),
        event("on_tool_end", "a", title="lookup", output=failed),
        event("on_tool_start", "b", title="flaky", input={}),
        event("on_tool_error", "b", title="flaky", error="ValueError('x')"),
    )
    assert found.steps() == {"lookup": "failed", "flaky": "failed"}
    assert [step["error"] for step in found.of("step.completed")] == ["no such topic", "ValueError('x')"]


def test_what_runs_in_a_tool_is_a_subagents() -> None:
    found = told(
        event("on_tool_start", "t", "root", title="researcher", input={}),
        event("on_chat_model_stream", "m", "root", "t", "chain", chunk=ai("inner")),
        event("on_chat_model_end", "m", "root", "t", "chain", output=ai("inner words")),
        event("on_tool_start", "u", "root", "t", title="search", input={}),
        event("on_tool_start", "v", "root", "t", title="write_todos", input={"todos": TODOS}),
        event("on_tool_end", "u", "root", "t", title="search", output="https://example.org/a"),
    )
    assert found.of("text.delta") == []
    assert [step["message"] for step in found.of("step.progress")] == ["inner words"]
    assert found.state.steps["u"].parent == "t"
    assert found.plan == {}
    assert [(source["url"], source["origin"]) for source in found.of("source.added")] == [
        ("https://example.org/a", "tool")
    ]


def test_a_plan_tool_whose_input_is_no_plan_is_a_step() -> None:
    found = told(event("on_tool_start", "t", title="write_todos", input={"todos": 3}))
    assert (found.steps(), found.plan) == ({"write_todos": "active"}, {})


def test_a_retriever_is_a_step_that_names_sources() -> None:
    documents = [
        {"page_content": "Two.", "metadata": {"source": "https://example.org/mars", "title": "Mars"}},
        {"page_content": "Three.", "metadata": {"source": "notes.txt"}},
    ]
    found = told(
        event("on_retriever_start", "r", title="Store", input={"query": "q"}),
        event("on_retriever_end", "r", title="Store", output=documents),
        event("on_retriever_end", "s", title="Store", output=None),
    )
    assert found.steps() == {"Store": "ok"}
    assert [(source.get("url"), source["title"], source["origin"]) for source in found.of("source.added")] == [
        ("https://example.org/mars", "Mars", "tool"),
        (None, "notes.txt", "tool"),
    ]


def test_content_in_blocks_holds_text_thought_and_citations() -> None:
    blocks = [
        {"type": "reasoning", "reasoning": "Hm. "},
        {"type": "thinking", "thinking": "So."},
        {"type": "text", "text": "Two", "annotations": [{"type": "citation", "url": "https://example.org/m"}, {}]},
        " moons",
        {"type": "image"},
    ]
    about = {"model_name": "m-1"}
    usage = {"input_tokens": 3, "input_token_details": {"cache_read": 1}, "output_token_details": {"reasoning": 2}}
    found = told(
        event("on_chat_model_stream", "m", "root", chunk=ai(blocks)),
        event("on_chat_model_stream", "m", "root", chunk=ai("", additional_kwargs={"reasoning_content": "Deep."})),
        event(
            "on_chat_model_end", "m", "root", output=ai(blocks, usage_metadata=usage, response_metadata=about)
        ),
    )  # fmt: skip
    assert found.answer == "Two moons"
    assert [thought["text"] for thought in found.of("reasoning.delta")] == ["Hm. So.", "Deep."]
    assert [source["origin"] for source in found.of("source.added")] == ["native"]
    assert found.state.usage == {"input_tokens": 3, "cached_tokens": 1, "reasoning_tokens": 2}
    assert found.findings() == []


def test_a_custom_event_of_our_form_is_one() -> None:
    own = {"type": "quality.checked", "data": {"name": "n", "outcome": "pass"}}
    found = told(event("on_custom_event", "c", **own), event("on_custom_event", "c", type="text.delta", data={"a": 1}))
    assert found.counts["quality.checked"] == 1
    assert [kept["reason"] for kept in found.of("raw.event")] == ["no mapping"]


def test_what_is_not_known_is_kept() -> None:
    found = told(event("on_chain_error", "c"), v3("messages", [{"event": "new"}, {}]), v3("new", {}))
    assert [kept["reason"] for kept in found.of("raw.event")] == ["no mapping"] * 3


def test_v3_thoughts_citations_and_what_subgraphs_say() -> None:
    note = {"type": "citation", "url": "https://example.org/m"}
    found = told(
        v3("messages", [{"event": "message-start", "role": "ai"}, {"run_id": "r"}]),
        v3("messages", [{"event": "content-block-start", "content": {}}, {"run_id": "r"}]),
        v3("messages", [_delta(type="reasoning-delta", reasoning="Hm."), {"run_id": "r"}]),
        v3("messages", [_delta(type="text-delta", text="Two"), {"run_id": "r"}]),
        v3("messages", [_delta(type="data-delta"), {"run_id": "r"}]),
        v3("messages", [_finish(type="text", text="Two", annotations=[note]), {"run_id": "r"}]),
        v3("messages", [_delta(type="text-delta", text="inner"), {"run_id": "s"}], "n:1"),
        v3("messages", [_finish(type="text", text="inner"), {"run_id": "s"}], "n:1"),
        v3("messages", [ai("Whole", id="w"), {}]),
    )
    assert [delta["text"] for delta in found.of("text.delta")] == ["Two", "Whole"]
    assert [thought["text"] for thought in found.of("reasoning.delta")] == ["Hm."]
    assert [source["origin"] for source in found.of("source.added")] == ["native"]


def _delta(**delta: Any) -> dict[str, Any]:
    return {"event": "content-block-delta", "index": 0, "delta": delta}


def _finish(**content: Any) -> dict[str, Any]:
    return {"event": "content-block-finish", "index": 0, "content": content}


def test_a_v3_run_that_was_interrupted_asks() -> None:
    asked = v3("values", {"messages": []})
    asked["params"]["interrupts"] = [{"id": "i", "value": "Send it?"}]
    assert told(asked, asked).of("approval.requested") == [{"approval_id": "i", "title": "Send it?"}]


def test_v3_tools_tell_of_themselves() -> None:
    found = told(
        v3("tools", {"event": "tool-started", "tool_call_id": "a", "tool_name": "lookup", "input": {}}),
        v3("tools", {"event": "tool-output-delta", "tool_call_id": "a", "delta": "half"}),
        v3("tools", {"event": "tool-error", "tool_call_id": "a", "message": "no"}),
        v3("tools", {"event": "tool-other", "tool_call_id": "a"}),
    )
    assert found.steps() == {"lookup": "failed"}
    assert [step["message"] for step in found.of("step.progress")] == ["half"]
    assert len(found.of("raw.event")) == 1


def test_the_time_of_a_v3_line_is_its_timestamp() -> None:
    assert LangChain.when({"params": {"timestamp": 1795413277838}}) == 1795413277.838
    assert LangChain.when({"params": {}}) is LangChain.when([]) is None


def test_other_objects_of_that_form_are_not_taken_for_it() -> None:
    assert not LangChain.matches({"event": "on_chain_start"})
    assert not LangChain.matches({"type": "event", "method": "x", "params": {}})
    assert not LangChain.matches({"type": "event", "method": "x", "params": 1})
