"""A2A: the stream of a task, versions 1 and 0.3."""

from __future__ import annotations

from typing import Any

import pytest
from adapters_kit import Told, lines, read, trace

from durastream.sources.adapters import NO, STRONG
from durastream.sources.adapters.a2a import A2a


def rpc(**result: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "result": result}


def status(state: str, text: str | None = None, id_: str = "s") -> dict[str, Any]:
    told: dict[str, Any] = {"state": f"TASK_STATE_{state}"}
    if text is not None:
        told["message"] = {"messageId": id_, "role": "ROLE_AGENT", "parts": [{"text": text}]}
    return rpc(statusUpdate={"taskId": "t", "contextId": "c", "status": told})


def artifact(*texts: str, id_: str = "a", **more: Any) -> dict[str, Any]:
    parts = [{"text": text} for text in texts]
    return rpc(artifactUpdate={"taskId": "t", "artifact": {"artifactId": id_, "parts": parts}, **more})


def run(*events: dict[str, Any]) -> Told:
    return read([lines(*events)])


@pytest.mark.parametrize("name", ["a2a_v1_stream.sse", "a2a_v03_stream.sse"])
def test_a_whole_run(name: str) -> None:
    told = trace(name)
    assert told.answer == "Mars has two moons: Phobos and Deimos."
    assert list(told.state.messages) == ["answer"]
    assert told.counts["text.delta"] == 3
    assert told.state.messages["answer"].retracted == []
    assert told.steps("task") == {"Looking up the facts": "ok", "Writing the answer": "ok"}
    assert told.plan == {}
    assert told.of("source.added") == []
    assert told.of("artifact.created") == [{"path": "answer.md", "action": "add"}]
    assert told.state.usage == {}
    assert told.state.declared == {
        "status": "completed", "answer": {"message_id": "answer", "text": "Mars has two moons: Phobos and Deimos."}
    }  # fmt: skip
    assert told.status() == "completed"
    assert told.findings() == []


def test_its_times_are_those_of_the_status() -> None:
    def stamped(stamp: Any) -> dict[str, Any]:
        return {"kind": "status-update", "taskId": "t", "status": {"state": "working", "timestamp": stamp}}

    assert A2a.when(stamped("2026-11-23T05:59:05.5Z")) == 1795413545.5
    assert A2a.when(stamped("2026-11-23T05:59:05.5")) == 1795413545.5
    assert A2a.when(stamped("today")) is None
    assert A2a.when(stamped(5)) is None
    assert A2a.when({"status": 1}) is None
    assert A2a.when(None) is None


def test_its_events_are_known_with_and_without_their_envelope() -> None:
    assert A2a.matches(status("WORKING")) == STRONG
    assert A2a.matches(status("WORKING")["result"]) == STRONG
    assert A2a.matches({"task": {"name": "x"}}) == NO
    assert A2a.matches({"message": {"content": "x"}}) == NO
    assert A2a.matches({"kind": "task", "name": "x"}) == NO
    assert A2a.matches({"result": 1}) == NO
    assert A2a.matches(None) == NO


def test_an_artifact_that_is_replaced_is_retracted() -> None:
    told = run(
        artifact("See https://example.org/wrong", append=False),
        artifact("Two, see https://example.org/right", append=False),
        artifact(".", append=True, lastChunk=True),
        status("COMPLETED"),
    )
    assert told.answer == "Two, see https://example.org/right."
    assert len(told.of("text.retracted")) == 1
    assert [source["url"] for source in told.of("source.added")] == ["https://example.org/right"]
    assert told.status() == "completed"
    assert told.findings() == []


def test_an_artifact_may_be_replaced_after_its_last_chunk() -> None:
    told = run(artifact("One.", lastChunk=True), artifact("Two.", lastChunk=True), status("COMPLETED"))
    assert told.answer == "Two."
    assert [made["action"] for made in told.of("artifact.created")] == ["add", "update"]
    assert told.findings() == []


def test_the_artifact_that_grew_last_is_the_answer() -> None:
    told = run(
        artifact("a", id_="one", append=True),
        artifact("b", id_="two", append=True),
        artifact("c", id_="one", append=True),
        status("COMPLETED"),
    )
    assert told.answer == "ac"
    assert [made["path"] for made in told.of("artifact.created")] == ["two", "one"]


def test_the_last_message_of_a_status_may_say_something_else() -> None:
    told = run(artifact("Two."), status("COMPLETED", "Done, see https://example.org/1"))
    assert told.answer == "Two."
    assert told.state.messages["s"].text == "Done, see https://example.org/1"
    assert [source["origin"] for source in told.of("source.added")] == ["text"]
    assert told.findings() == []


def test_without_an_artifact_the_last_message_is_the_answer() -> None:
    assert run(status("WORKING", "Looking", "w"), status("COMPLETED", "Two.")).answer == "Two."
    assert run(status("COMPLETED")).answer == ""


def test_an_agent_may_answer_with_a_message_and_no_task() -> None:
    told = run(rpc(kind="message", messageId="m", role="agent", parts=[{"kind": "text", "text": "Two."}]))
    assert told.answer == "Two."
    assert told.status() == "completed"


def test_a_status_that_is_told_twice_is_one_step() -> None:
    told = run(status("WORKING", "Looking", "w"), status("WORKING"), status("WORKING", "Looking", "w"))
    assert told.counts["step.started"] == 1
    assert told.steps("task") == {"Looking": "active"}
    assert "end-undeclared" in told.findings()


@pytest.mark.parametrize("state", ["FAILED", "REJECTED"])
def test_a_task_that_fails(state: str) -> None:
    told = run(status("WORKING", "Looking", "w"), artifact("Tw"), status(state, "no quota"))
    assert told.status(0) == "failed"
    assert told.steps("task") == {"Looking": "failed"}
    assert [error["message"] for error in told.of("error.raised")] == ["no quota"]
    assert run(status(state)).of("error.raised")[0]["message"] == state.lower()


def test_a_task_that_is_cancelled_is_not_complete() -> None:
    told = run(status("WORKING", "Looking", "w"), status("CANCELED"))
    assert told.status(0) == "cancelled"
    assert told.steps("task") == {"Looking": "skipped"}
    assert told.of("error.raised") == []


def test_a_task_that_asks_waits_until_it_goes_on() -> None:
    asks = run(status("INPUT_REQUIRED", "Which planet?"))
    assert asks.state.approvals["s"]["title"] == "Which planet?"
    assert asks.state.declared == {"status": "waiting", "reason": "input-required"}
    assert asks.status(0) == "interrupted"
    goes_on = run(status("AUTH_REQUIRED"), status("WORKING"), artifact("Two."), status("COMPLETED"))
    assert goes_on.state.approvals["t"]["title"] == "auth-required"
    assert goes_on.state.approvals["t"]["decision"] == "answered"
    assert goes_on.status() == "completed"


def test_a_task_tells_its_artifacts_whole_and_they_are_not_doubled() -> None:
    def task(text: str) -> dict[str, Any]:
        return rpc(
            kind="task", id="t", contextId="c", status={"state": "working"},
            history=[{"role": "user", "parts": [{"kind": "text", "text": "Moons?"}]}, {"role": "agent", "parts": []}],
            artifacts=[{"artifactId": "a", "parts": [{"kind": "text", "text": text}]}],
        )  # fmt: skip

    same = run(artifact("Tw"), artifact("o.", append=True), task("Two."), status("COMPLETED"))
    assert same.answer == "Two."
    assert same.of("text.retracted") == []
    assert same.state.agent["prompt"] == "Moons?"
    assert same.state.agent["session_id"] == "c"
    other = run(artifact("Tw"), task("Three."), status("COMPLETED"))
    assert other.answer == "Three."
    assert len(other.of("text.retracted")) == 1


def test_parts_that_are_no_text() -> None:
    def parts(*told: dict[str, Any]) -> dict[str, Any]:
        return rpc(artifactUpdate={"taskId": "t", "artifact": {"artifactId": "a", "name": "n", "parts": list(told)}})

    told = run(
        parts({"kind": "file", "file": {"uri": "https://example.org/a", "mimeType": "text/plain"}}),
        parts({"kind": "file", "file": {"bytes": "AAAA", "name": "b.bin"}}),
        parts({"url": "https://example.org/c", "filename": "c.txt"}, {"raw": "AAAA"}),
        parts({"data": {"steps": [{"title": "Look up", "status": "working"}]}}, {"data": {"rows": 1}}),
        status("COMPLETED"),
    )
    assert told.of("artifact.created") == [
        {"path": "n", "url": "https://example.org/a", "action": "add", "media_type": "text/plain"},
        {"path": "b.bin", "action": "add"},
        {"path": "c.txt", "url": "https://example.org/c", "action": "add"},
        {"path": "n", "action": "add"},
    ]
    assert told.plan == {"Look up": "pending"}


def test_an_error_of_the_protocol_is_a_failed_run() -> None:
    told = run(status("WORKING"), {"jsonrpc": "2.0", "id": 1, "error": {"code": -32603, "message": "Internal error"}})
    assert told.status(0) == "failed"
    assert [error["fatal"] for error in told.of("error.raised")] == [True]


def test_a_line_that_is_not_known_is_kept() -> None:
    told = run(status("WORKING"), {"jsonrpc": "2.0", "id": 2, "method": "tasks/get"})
    assert told.of("raw.event")[0]["reason"] == "no mapping"
