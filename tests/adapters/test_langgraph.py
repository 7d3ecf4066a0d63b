"""LangGraph: `astream(stream_mode=[...])`."""

from __future__ import annotations

from typing import Any

from adapters_kit import Told, lines, read, trace

from durastream.sources.adapters.langgraph import LangGraph

TODOS = [{"content": "Look up", "status": "completed"}, {"content": "Answer", "status": "in_progress"}]


def told(*values: Any) -> Told:
    return read([lines(*values)], "langgraph")


def ai(id_: str | None, text: str, *calls: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "ai", "id": id_, "content": text, "tool_calls": list(calls), **more}


def chunk(id_: str, text: str, node: str = "model:1", **more: Any) -> list[Any]:
    about = {"langgraph_checkpoint_ns": node}
    return ["messages", [{"type": "AIMessageChunk", "id": id_, "content": text, **more}, about]]


def call(id_: str, name: str = "lookup", **args: Any) -> dict[str, Any]:
    return {"type": "tool_call", "id": id_, "name": name, "args": args}


def answered(id_: str, text: str, status: str = "success") -> dict[str, Any]:
    return {"type": "tool", "tool_call_id": id_, "name": "lookup", "content": text, "status": status}


def test_a_whole_run() -> None:
    told = trace("langgraph_stream_multi.jsonl")
    assert told.answer == "Mars has two moons: Phobos and Deimos [1]."
    assert told.plan == {"Look up": "done", "Answer": "active"}
    assert told.steps() == {"lookup": "ok"}
    assert told.steps("task") == {"model": "ok"}
    assert told.counts["step.started"] == 4, "two runs of the model, a tool, an entry of the plan; no middleware"
    assert told.counts["text.delta"] == 5
    assert [done["length"] for done in told.of("text.completed")] == [18, 42]
    assert told.state.usage == {"input_tokens": 2400, "output_tokens": 120}
    assert told.of("raw.event") == []
    assert told.status() == "completed"
    assert told.findings() == []


def test_the_same_message_in_four_modes_is_told_once_and_compared() -> None:
    message = ai("m", "Hello there")
    found = told(
        ["values", {"messages": []}],
        ["tasks", {"id": "t", "name": "model", "input": {}, "triggers": []}],
        chunk("m", "Hello"),
        ["updates", {"model": {"messages": [message]}}],
        ["tasks", {"id": "t", "name": "model", "result": {"messages": [message]}, "interrupts": []}],
        ["values", {"messages": [message]}],
    )
    assert found.answer == "Hello"
    assert found.counts["text.delta"] == 1
    assert found.findings() == ["answer-differs"]


def test_messages_alone_are_complete_with_their_last_chunk() -> None:
    found = told(chunk("a", "Hel"), chunk("a", "lo"), chunk("z", "", chunk_position="last"))
    assert [done["length"] for done in found.of("text.completed")] == [5]


def test_what_comes_whole_after_that_is_not_told_again_but_for_its_calls_and_sources() -> None:
    whole = ai("a", "See https://example.org/m", call("c"))
    found = told(
        chunk("a", "See https://example.org/m"),
        chunk("z", "", chunk_position="last"),
        ["updates", {"model": {"messages": [whole]}}],
        ["values", {"messages": [whole]}],
    )
    assert found.counts["text.delta"] == found.counts["text.completed"] == 1
    assert found.steps() == {"lookup": "active"}


def test_a_last_chunk_of_a_message_without_text_completes_nothing() -> None:
    assert told(chunk("z", "", chunk_position="last")).of("text.completed") == []


def test_chunks_of_nodes_that_run_side_by_side_are_kept_apart() -> None:
    found = told(
        chunk("a", "one", "left:1"),
        chunk("b", "two", "right:2"),
        chunk("z", "", "left:1", chunk_position="last"),
        chunk("b", "three", "right:2"),
    )
    assert [message.text for message in found.state.messages.values()] == ["one", "twothree"]


def test_many_nodes_that_never_finish_a_message_are_forgotten() -> None:
    assert told(*(chunk(f"m{n}", "x", f"n:{n}") for n in range(150))).counts["text.delta"] == 150


def test_many_messages_are_not_all_remembered() -> None:
    found = told(*(["updates", {"n": {"messages": [ai(f"m{n}", "x")]}}] for n in range(2100)))
    assert found.counts["text.completed"] == 2100


def test_updates_alone_tell_the_nodes_that_are_done() -> None:
    found = told(
        ["updates", {"plan": {"todos": TODOS}}],
        ["updates", {"model": {"messages": [ai("m", "", call("c"))]}}],
        ["updates", {"tools": [{"messages": [answered("c", "two https://example.org/m")]}]}],
        ["updates", {"tools": {"messages": answered("d", "no", "error")}}],
        ["updates", {"model": {"messages": ai("n", "Two.")}, "X.after_model": None, "__metadata__": {}}],
    )
    assert found.answer == "Two."
    assert found.plan == {"Look up": "done", "Answer": "active"}
    assert found.steps("task") == {"plan": "ok", "model": "ok", "tools": "ok"}
    assert found.steps() == {"lookup": "failed"}, "the second answer was to a call that nobody saw"
    assert [step.status for step in found.state.steps.values() if step.kind == "tool"] == ["ok", "failed"]
    assert [source["origin"] for source in found.of("source.added")] == ["tool"]


def test_values_alone_tell_only_what_is_new() -> None:
    old, new = ai("old", "From the last turn"), ai("new", "Now")
    found = told(
        ["values", {"messages": [old]}],
        ["values", {"messages": [old, new], "todos": TODOS}],
        ["values", {"messages": [old, new], "todos": TODOS}],
        ["values", "a state of another form"],
    )
    assert found.answer == "Now"
    assert found.counts["text.delta"] == 1
    assert found.plan != {}


def test_a_message_without_an_id_that_gets_one_later_is_told_once() -> None:
    found = told(
        ["values", {"messages": []}],
        ["updates", {"n": {"messages": [ai(None, "Hello")]}}],
        ["values", {"messages": [ai("late", "Hello")]}],
    )
    assert found.counts["text.delta"] == 1


def test_usage_comes_in_pieces_and_is_not_added_again() -> None:
    first, second = {"input_tokens": 10, "output_tokens": 0}, {"input_tokens": 0, "output_tokens": 5}
    found = told(
        chunk("m", "x", usage_metadata=first),
        chunk("m", "", usage_metadata=second),
        ["updates", {"model": {"messages": [ai("m", "x", usage_metadata={"input_tokens": 10, "output_tokens": 5})]}}],
    )
    assert found.state.usage == {"input_tokens": 10, "output_tokens": 5}


def test_thought_is_no_text() -> None:
    blocks: Any = [{"type": "reasoning", "reasoning": "Hm."}]
    assert told(chunk("m", blocks)).counts.get("text.delta") is None
    assert told(chunk("m", blocks)).of("reasoning.delta") == [{"text": "Hm."}]


def test_people_and_models_that_do_not_stream_speak_in_messages_too() -> None:
    human = {"type": "human", "id": "h", "content": "Hi"}
    assert told(["messages", [human, {}]], ["messages", [ai("m", "Ho"), {}]]).answer == "Ho"


def test_a_node_that_raises_fails_with_its_tools() -> None:
    found = told(
        ["tasks", {"id": "t", "name": "tools", "input": [call("c")], "triggers": []}],
        ["tasks", {"id": "u", "name": "write", "input": {}, "triggers": []}],
        ["tasks", {"id": "t", "name": "tools", "error": "ValueError('x')", "result": {}, "interrupts": []}],
        ["tasks", {"id": "u", "name": "write", "error": "Boom", "result": None, "interrupts": []}],
    )
    assert found.steps() == {"lookup": "failed"}
    assert found.steps("task") == {"write": "failed"}


def test_a_tool_node_may_get_its_call_with_the_state() -> None:
    given = {"__type": "tool_call_with_context", "tool_call": call("c", topic="moons"), "state": {}}
    found = told(
        ["tasks", {"id": "t", "name": "tools", "input": given, "triggers": []}],
        ["messages", [answered("c", "two"), {}]],
        ["tasks", {"id": "t", "name": "tools", "result": {"messages": [answered("c", "two")]}, "interrupts": []}],
    )
    assert found.of("step.started")[0]["input"] == {"topic": "moons"}
    assert found.steps() == {"lookup": "ok"}
    assert found.steps("task") == {}


def test_an_interrupt_asks_and_leaves_the_node_for_later() -> None:
    asked = {"id": "i", "value": "Send it?"}
    found = told(
        ["tasks", {"id": "t", "name": "send", "input": {}, "triggers": []}],
        ["tasks", {"id": "t", "name": "send", "error": None, "result": {}, "interrupts": [asked]}],
        ["updates", {"__interrupt__": [asked]}],
    )
    assert found.of("approval.requested") == [{"approval_id": "i", "title": "Send it?"}]
    assert found.steps("task") == {"send": "skipped"}


def test_tools_that_wait_for_an_answer_were_called_and_not_run() -> None:
    found = told(
        ["updates", {"model": {"messages": [ai("m", "", call("c"))]}}],
        ["updates", {"__interrupt__": [{"id": "i", "value": {"action": "lookup"}}]}],
    )
    assert found.steps() == {"lookup": "skipped"}
    assert found.status() == "completed"


def test_what_a_subgraph_says_is_progress_of_its_node_and_its_tools_stand_under_it() -> None:
    inner = [["researcher:t"], "updates", {"model": {"messages": [ai("m", "inner words", call("c"))]}}]
    found = told(
        [[], "tasks", {"id": "t", "name": "researcher", "input": {}, "triggers": []}],
        [["researcher:t"], *chunk("m", "inner")],
        [["researcher:t"], "values", {"messages": [ai("m", "inner words")]}],
        inner,
        [["elsewhere:x"], "updates", {"model": {"messages": [ai("n", "unknown")]}}],
        [["researcher:t"], "updates", {"plan": {"todos": TODOS}}],
    )
    assert found.of("text.delta") == []
    assert [step["message"] for step in found.of("step.progress")] == ["inner words"]
    assert found.state.steps["c"].parent == "t"
    assert found.plan == {}


def test_what_a_subgraph_said_last_is_the_answer_when_its_node_gives_it() -> None:
    said = [ai("m", "", call("c")), answered("c", "two"), ai("n", "Two moons.")]
    found = told(
        [[], "tasks", {"id": "t", "name": "researcher", "input": {}, "triggers": []}],
        *([["researcher:t"], "updates", {"node": {"messages": [message]}}] for message in said),
        [[], "tasks", {"id": "t", "name": "researcher", "result": {"messages": said}, "interrupts": []}],
    )
    assert found.answer == "Two moons."
    assert [step["message"] for step in found.of("step.progress")] == ["Two moons."]
    assert found.steps() == {"lookup": "ok"}
    assert found.status() == "completed"


def test_a_subgraph_in_a_tool_is_that_tools() -> None:
    found = told(
        ["tasks", {"id": "t", "name": "tools", "input": [call("c", "researcher")], "triggers": []}],
        [["tools:t"], "updates", {"model": {"messages": [ai("m", "inner words")]}}],
    )
    assert [step["step_id"] for step in found.of("step.progress")] == ["c"]


def test_version_2_is_told_in_objects() -> None:
    part = {"type": "messages", "ns": [], "data": chunk("m", "Hello")[1]}
    found = read([lines(part, part)])
    assert found.state.agent["format"] == "langgraph"
    assert found.answer == "HelloHello"


def test_what_an_application_writes_is_an_event_of_ours_or_a_line_of_the_log() -> None:
    found = told(
        ["custom", "half way"],
        ["custom", {"type": "quality.checked", "data": {"name": "n", "outcome": "pass"}}],
        ["custom", {"type": "run.completed", "data": {}}],
        ["custom", {"type": "a.b", "data": 1}],
        ["custom", {"progress": 1}],
    )
    assert [line["text"] for line in found.of("log.line")] == ["half way"]
    assert found.counts["quality.checked"] == 1
    assert found.counts["raw.event"] == 3


def test_a_mode_for_debugging_is_passed_over_and_a_new_one_kept() -> None:
    found = told(["debug", {}], ["checkpoints", {}], ["new", {}])
    assert [kept["reason"] for kept in found.of("raw.event")] == ["no mapping"]


def test_it_is_found_among_other_arrays() -> None:
    assert not LangGraph.matches(["values"])
    assert not LangGraph.matches(["values", 1])
    assert not LangGraph.matches(["value", {}])
    assert not LangGraph.matches({"type": "values", "data": {}})
    told = read([b'[INFO] starting\n["a", 1]\n[1, 2]\n' + lines(["custom", "x"], ["updates", {}])])
    assert told.of("text.delta")[0]["text"] == "[INFO] starting\n"
    assert told.state.agent["format"] == "langgraph"


def test_what_a_node_gave_may_be_pairs_and_hold_messages_of_people() -> None:
    human = {"type": "human", "id": "h", "content": "Hi"}
    found = told(
        ["tasks", {"id": "t", "name": "model", "input": "text", "triggers": []}],
        ["tasks", {"id": "t", "name": "model", "result": [["messages", [human, ai("m", "Ho")]], ["x", 1], "y"]}],
    )
    assert found.answer == "Ho"


def test_a_line_says_nothing_of_its_time() -> None:
    assert LangGraph.when(["updates", {}]) is None
