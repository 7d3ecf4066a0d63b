"""The input of a tool that a model streams in pieces: no event shows them as they come, and no raw line keeps one."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from redaction_kit import Live, left_on_disk, line

from durastream.importer import import_file
from durastream.redacted import redact
from durastream.redaction.redactor import Redactor
from durastream.stores import FolderStore
from durastream.stores.folder import open_reader

CANARY = "canary-7qzqkj-value"
KEY = "ghp_" + "a1B2" * 4 + "FODNN7" + "c3D4" * 4
INPUT = json.dumps({"command": f"echo {CANARY}", "header": f"x-key {KEY}", "last": "ok"})
MARKS = ("7qzqkj", "FODNN7")
"""What no hash and no id has in it."""

ON = {"on": True, "values": {"CANARY_TOKEN": CANARY}}


def cut(text: str, *before: str) -> list[str]:
    """A text in pieces, of which one begins with each of some parts of it."""
    places = [0, *(text.index(each) for each in before), len(text)]
    return [text[start:stop] for start, stop in pairwise(places)]


PIECES = cut(INPUT, "nary-7q", "-value", "B2a1B2FODNN7", "D4c3D4")


def claude(pieces: list[str]) -> list[dict[str, Any]]:
    def event(**event: Any) -> dict[str, Any]:
        return {"type": "stream_event", "event": event, "session_id": "s", "parent_tool_use_id": None, "uuid": "u"}

    block = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}}
    return [
        {"type": "system", "subtype": "init", "session_id": "s", "model": "claude-x", "cwd": "/", "tools": []},
        event(type="content_block_start", index=1, content_block=block),
        *(
            event(type="content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": piece})
            for piece in pieces
        ),
        event(type="content_block_stop", index=1),
    ]


def anthropic(pieces: list[str]) -> list[dict[str, Any]]:
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage}
    block = {"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {}}
    return [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": piece}}
            for piece in pieces
        ),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": usage},
        {"type": "message_stop"},
    ]


def ag_ui(pieces: list[str]) -> list[dict[str, Any]]:
    return [
        {"type": "RUN_STARTED", "threadId": "t", "runId": "r"},
        {"type": "TOOL_CALL_START", "toolCallId": "c1", "toolCallName": "bash"},
        {"type": "TOOL_CALL_START", "toolCallId": "c2", "toolCallName": "bash"},
        *(
            {"type": "TOOL_CALL_ARGS", "toolCallId": call, "delta": piece}
            for piece in pieces
            for call in ("c1", "c2")  # two are written at the same time
        ),
        {"type": "TOOL_CALL_END", "toolCallId": "c1"},
        {"type": "TOOL_CALL_END", "toolCallId": "c2"},
        {"type": "RUN_FINISHED", "threadId": "t", "runId": "r"},
    ]


def openai_chat(pieces: list[str]) -> list[dict[str, Any]]:
    def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}

    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "bash", "arguments": ""}}
    return [
        chunk({"role": "assistant", "content": None, "tool_calls": [first]}),
        *(chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}) for piece in pieces),
        chunk({}, "tool_calls"),
    ]


def vercel(pieces: list[str]) -> list[dict[str, Any]]:
    return [
        {"type": "start", "messageId": "m"},
        {"type": "start-step"},
        {"type": "tool-input-start", "toolCallId": "c1", "toolName": "bash"},
        *({"type": "tool-input-delta", "toolCallId": "c1", "inputTextDelta": piece} for piece in pieces),
        {"type": "tool-input-available", "toolCallId": "c1", "toolName": "bash", "input": json.loads("".join(pieces))},
        {"type": "finish-step"},
        {"type": "finish"},
    ]


FORMATS: dict[str, Callable[[list[str]], list[dict[str, Any]]]] = {
    "claude": claude, "anthropic": anthropic, "ag-ui": ag_ui, "openai-chat": openai_chat, "vercel": vercel,
}  # fmt: skip


def pieces_of(raw: bytes) -> str:
    """What the lines of a stream hold in pieces, put together; of two calls at once that of the first."""
    found = []

    def look(value: Any) -> None:
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            if key in ("partial_json", "arguments", "inputTextDelta") or (key == "delta" and isinstance(each, str)):
                found.append(each)
            elif isinstance(each, (dict, list)):
                look(each)

    for each in raw.splitlines():
        if (value := json.loads(each)).get("toolCallId") != "c2":
            look(value)
    return "".join(found)


def recorded(live: Live, format_: str) -> bytes:
    """What is kept of the stdout of a run whose recorder is killed at some of its lines."""
    for number, said in enumerate(FORMATS[format_](PIECES)):
        live.write("stdout", json.dumps(said).encode() + b"\n")
        live.step()
        if number in (3, 5, 6):
            live.killed()
    live.end()
    reader = open_reader(live.recorder.path)
    try:
        return b"".join(reader.raw("stdout"))
    finally:
        reader.close()


@pytest.mark.parametrize("log", ["sqlite", "jsonl"])
@pytest.mark.parametrize("format_", FORMATS)
def test_a_secret_in_the_pieces_of_an_input_is_in_no_file_that_is_left(tmp_path: Path, log: str, format_: str) -> None:
    live = Live(tmp_path / "on", log, ON, format=format_)
    raw = recorded(live, format_)
    assert left_on_disk(live.folder, *MARKS) == []
    assert pieces_of(raw) == INPUT.replace(CANARY, "[redacted:env]*****").replace(
        KEY[4:], "[redacted:github]".ljust(38, "*")
    )
    assert len(raw) == sum(len(json.dumps(said)) + 1 for said in FORMATS[format_](PIECES)), "no offset moves"


def test_without_redaction_the_pieces_are_found(tmp_path: Path) -> None:
    live = Live(tmp_path, "sqlite", {"on": False}, format="claude")
    recorded(live, "claude")
    assert {each.rpartition(" ")[2] for each in left_on_disk(tmp_path, *MARKS)} == set(MARKS)


def test_what_is_found_later_is_taken_out_of_the_pieces_too(tmp_path: Path) -> None:
    live = Live(tmp_path / "old", "sqlite", {"on": False}, format="claude")
    recorded(live, "claude")
    (tmp_path / "new").mkdir()
    made = Redactor({"on": True}, [CANARY, KEY], known=False, patient=True)
    reader = open_reader(live.recorder.path)
    try:
        redact(FolderStore(str(tmp_path / "new")), reader, made)
    finally:
        reader.close()
    assert left_on_disk(tmp_path / "new", *MARKS) == []


def test_an_imported_transcript_keeps_none_of_them(tmp_path: Path) -> None:
    path = tmp_path / "transcript"
    path.write_text("".join(json.dumps(said) + "\n" for said in ag_ui(PIECES)))
    (tmp_path / "store").mkdir()
    store = FolderStore(str(tmp_path / "store"))
    import_file(store, str(path), redactor=Redactor({"on": True, "values": {"A_TOKEN": CANARY}}))
    assert left_on_disk(tmp_path / "store", *MARKS) == []


def test_a_piece_is_masked_in_raw_bytes_that_are_decided_later_than_its_event(tmp_path: Path) -> None:
    live = Live(tmp_path)
    live.write("events", line("text.delta", message_id="answer", text="it is sk-pro"))
    live.step()
    begun, rest = line("text.delta", message_id="answer", text="or AKIAIOSFODNN7EXAMPLE").split(b"SFOD")
    live.write("events", line("text.delta", message_id="answer", text="j-" + "zQ1_" * 10 + " ") + begun)
    live.step()
    live.write("events", b"SFOD" + rest)
    live.end()
    assert left_on_disk(tmp_path, "zQ1_", "NN7EXAMPLE") == []
