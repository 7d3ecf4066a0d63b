"""goose: `goose run --output-format stream-json`."""

from __future__ import annotations

from typing import Any

from adapters_kit import Told, lines, read, trace

from durastream.sources.adapters.goose import Goose


def part(*content: dict[str, Any], id_: str | None = "g", role: str = "assistant", **metadata: Any) -> dict[str, Any]:
    message = {"id": id_, "role": role, "created": 1789551821, "content": list(content)}
    return {"type": "message", "message": {**message, "metadata": {"userVisible": True, **metadata}}}


def said(text: Any, id_: str | None = "g", **metadata: Any) -> dict[str, Any]:
    return part({"type": "text", "text": text}, id_=id_, **metadata)


def used(id_: str, name: str, **taken: Any) -> dict[str, Any]:
    call = {"status": "success", "value": {"name": name, "arguments": taken}}
    return part({"type": "toolRequest", "id": id_, "toolCall": call})


def gave(id_: str, text: str = "", *, error: bool = False) -> dict[str, Any]:
    value = {"content": [{"type": "text", "text": text}, {"type": "image"}], "isError": error}
    return got(id_, {"status": "success", "value": value})


def got(id_: str, result: dict[str, Any]) -> dict[str, Any]:
    return part({"type": "toolResponse", "id": id_, "toolResult": result}, role="user", id_=None)


DONE = {"type": "complete", "total_tokens": 3}


def told(*values: dict[str, Any]) -> Told:
    return read([lines(*values)], "goose")


def test_a_whole_run() -> None:
    whole = trace("goose_stream_json.jsonl")
    assert whole.answer == "Mars has two moons."
    assert [message.text for message in whole.state.messages.values()] == ["I will look it up.", "Mars has two moons."]
    assert whole.of("reasoning.delta") == [{"text": " Facts"}]
    assert whole.plan == {}
    assert whole.steps() == {"developer__shell ls": "ok"}
    assert whole.state.steps["call_1"].input == {"command": "ls"}
    assert whole.state.steps["call_1"].message == "a.txt"
    assert whole.state.steps["call_1"].output == "a.txt"
    assert whole.of("source.added") == []
    assert whole.of("artifact.created") == []
    assert whole.state.usage == {"input_tokens": 5257, "cached_tokens": 4352, "output_tokens": 100, "cost_usd": 0}
    assert whole.state.agent["model"] == "mock"
    assert whole.status() == "completed"
    assert whole.findings() == []
    assert "raw.event" not in whole.counts


def test_an_error_is_followed_by_complete_and_is_a_failure_all_the_same() -> None:
    whole = told(said("Half"), {"type": "error", "error": "401 Unauthorized"}, DONE)
    assert whole.status(0) == "failed"
    assert whole.of("error.raised")[0] == {
        "message": "401 Unauthorized",
        "severity": "error",
        "fatal": True,
        "by": "agent",
    }
    assert whole.state.declared == {"status": "failed", "error": "401 Unauthorized"}


def test_an_error_that_is_told_as_if_the_model_had_said_it_is_a_failure() -> None:
    whole = told(said("Ran into this error: 503.\n\nPlease retry if you think this is a transient error."), DONE)
    assert whole.status(0) == "failed"
    assert whole.of("error.raised")[0]["message"].startswith("503.")
    assert told(said("Fine."), said(" Ran into this error: once."), DONE).status(0) == "completed"


def test_a_run_without_its_complete_is_no_good_end() -> None:
    whole = told(said("Working."), used("a", "developer__shell", command="sleep 30"))
    assert whole.status(0) == "failed"
    assert whole.findings() == ["end-undeclared", "step-open"]


def test_a_message_goes_on_after_its_calls_and_one_without_an_id_ends_there() -> None:
    whole = told(said("One"), used("a", "x__y"), gave("a"), said(" and two."), DONE)
    assert whole.answer == "One and two."
    whole = told(said("One", None), said(".", None), used("a", "x__y"), gave("a"), said("Two.", None), DONE)
    assert [message.text for message in whole.state.messages.values()] == ["One.", "Two."]
    assert whole.answer == "Two."
    assert whole.findings() == []


def test_what_the_user_does_not_see_and_what_the_user_says_is_no_part_of_the_draft() -> None:
    whole = told(said("A summary", userVisible=False), part({"type": "text", "text": "Hi"}, role="user"), DONE)
    assert whole.state.messages == {}


def test_a_tool_fails_or_is_declined() -> None:
    whole = told(
        used("a", "x__a"), gave("a", "no such file", error=True),
        used("b", "x__b"), got("b", {"status": "error", "error": "-32602: bad"}),
        used("c", "x__c"), gave("c", "The user has declined to run this tool. DO NOT attempt to call it again."),
        part({"type": "toolRequest", "id": "d", "toolCall": {"status": "error", "error": "no such tool"}}),
        DONE,
    )  # fmt: skip
    assert whole.steps() == {
        "x__a": "failed",
        "x__b": "failed",
        "x__c": "denied",
        "a call that could not be read": "failed",
    }
    assert whole.state.steps["a"].error == "no such file"
    assert whole.state.steps["b"].error == "-32602: bad"
    assert whole.state.steps["d"].error == "no such tool"


def test_older_builds_give_a_list_and_call_without_a_wrapping() -> None:
    whole = told(
        part({"type": "toolRequest", "id": "a", "toolCall": {"name": "x__y"}}),
        got("a", {"status": "success", "value": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]}),
    )
    assert whole.state.steps["a"].output == "one\ntwo"


def test_a_todo_tool_is_the_plan_in_any_of_its_forms() -> None:
    text = "# Work\n- [x] Look\n- [~] Write\n  - [ ] Check\n"
    whole = told(used("a", "todo__todo_write", content=text), gave("a", "ok"), used("b", "x__y"))
    assert whole.plan == {"Look": "done", "Write": "active", "Check": "pending"}
    assert whole.steps() == {"x__y": "active"}
    assert whole.state.steps["b"].parent == "plan/p2"
    assert told(used("a", "todo__todo_write", content="nothing")).steps() == {"todo__todo_write": "active"}
    assert told(used("a", "todo__todo_write", todos=3)).steps() == {"todo__todo_write": "active"}


def test_an_address_that_is_fetched_and_those_that_the_answer_names_are_sources() -> None:
    whole = told(
        used("a", "web__fetch", url="https://example.org/a"), gave("a", "https://example.org/b"),
        said("See https://exam"), said("ple.org/c."), DONE,
    )  # fmt: skip
    assert [(source["url"], source["origin"]) for source in whole.of("source.added")] == [
        ("https://example.org/a", "tool"),
        ("https://example.org/c", "text"),
    ]


def test_a_notification_is_news_of_the_last_open_call_of_its_extension() -> None:
    def note(extension: str, **more: Any) -> dict[str, Any]:
        return {"type": "notification", "extension_id": extension, **more}

    whole = told(
        used("a", "one__x"), used("b", "one__y"),
        note("one", progress={"progress": 1, "total": 4, "message": "a quarter"}),
        note("one", progress={"progress": 5, "total": None, "message": None}),
        note("two", log={"message": "loaded"}),
    )  # fmt: skip
    assert whole.of("step.progress") == [
        {"step_id": "b", "message": "a quarter", "fraction": 0.25},
        {"step_id": "b"},
    ]
    assert whole.of("log.line") == [{"stream": "agent", "text": "loaded"}]


def test_a_call_that_waits_for_a_yes_is_an_approval() -> None:
    asked = {"type": "toolConfirmationRequest", "id": "a", "toolName": "x__y", "arguments": {"command": "rm -r"}}
    assert told(part(asked)).of("approval.requested") == [{"approval_id": "a", "title": "x__y rm -r"}]


def test_notices_and_the_model_are_told_and_what_has_no_mapping_is_kept() -> None:
    whole = told(
        part({"type": "systemNotification", "notificationType": "inlineMessage", "msg": "compacted"}),
        part({"type": "redactedThinking", "data": "x"}),
        {"type": "model_change", "model": "big", "mode": "lead"},
        part({"type": "new"}), {"type": "new"}, said(None),
    )  # fmt: skip
    assert whole.of("log.line")[0]["text"] == "compacted"
    assert whole.state.agent["model"] == "big"
    assert [event["reason"] for event in whole.of("raw.event")] == ["no mapping"] * 3


def test_a_line_tells_when_its_message_was_made() -> None:
    assert Goose.when(said("x")) == 1789551821
    assert Goose.when(DONE) is None
    assert Goose.when([]) is None


def test_only_a_message_that_says_who_sees_it_is_known_alone() -> None:
    bare = {"type": "message", "message": {"created": 1, "content": []}}
    assert [Goose.matches(line) for line in (said("x"), bare, DONE, {"type": "notification", "extension_id": "a"})] == [
        2, 1, 1, 1,
    ]  # fmt: skip
    assert Goose.matches({"type": "message", "message": {"content": []}}) == 0
    assert Goose.matches({"type": "complete"}) == 0
