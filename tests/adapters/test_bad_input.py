"""What goes wrong with a stream, for the three agents that most people run: no line is lost, no end is made up."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from adapters_kit import TRACES, Told, read

from durastream.importer import import_file
from durastream.sources import replayed
from durastream.sources.adapters import BUILTIN
from durastream.stores import FolderStore
from durastream.vocabulary import check

AGENTS = {
    "claude": "claude_code_todowrite.jsonl",
    "codex": "codex_exec_full.jsonl",
    "gemini": "gemini_stream_json.jsonl",
}
STREAMS = {format_: (TRACES / name).read_bytes().splitlines(keepends=True) for format_, name in AGENTS.items()}
UNKNOWN: dict[str, list[dict[str, Any]]] = {
    "claude": [
        {"type": "hologram", "session_id": "s"},
        {"type": "system", "subtype": "hologram", "session_id": "s"},
        {"type": "assistant", "session_id": "s", "message": {"id": "m", "content": [{"type": "hologram"}]}},
    ],
    "codex": [
        {"type": "thread.dreamt"},
        {"type": "item.started", "item": {"id": "x", "type": "hologram"}},
        {"type": "item.completed", "item": {"id": "x", "type": "hologram", "status": "completed"}},
    ],
    "gemini": [
        {"type": "hologram", "timestamp": "2026-11-23T05:45:27.499Z"},
        {"type": "message", "timestamp": "2026-11-23T05:45:27.499Z", "role": "hologram", "content": "x"},
    ],
}
"""Lines of a later build, by format."""

LONG: dict[str, dict[str, Any]] = {
    "claude": {
        "type": "user", "session_id": "s", "parent_tool_use_id": None,
        "message": {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "long", "content": "%"}]},
    },
    "codex": {
        "type": "item.completed",
        "item": {
            "id": "long", "type": "command_execution", "command": "cat", "aggregated_output": "%", "exit_code": 0,
            "status": "completed",
        },
    },
    "gemini": {
        "type": "tool_result", "timestamp": "2026-11-23T05:45:27.499Z", "tool_id": "long", "status": "success",
        "output": "%",
    },
}  # fmt: skip
"""The result of a tool, whose output stands where the % is."""

each = pytest.mark.parametrize("format_", AGENTS)


def told(lines: list[bytes], format_: str) -> Told:
    """The lines as they are read; each event has the fields of its type, and none is of a shape nobody thought of."""
    found = read([b"".join(lines)], format_)
    for event in found.events:
        assert check(event.type, event.data) is None, event
    return found


def written(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"


def kept(found: Told) -> list[Any]:
    return [data["json"] for data in found.of("raw.event")]


def words(found: Told) -> str:
    return "".join(data["text"] for data in found.of("text.delta"))


@each
def test_cut_at_any_place_it_tells_the_whole_lines_before_and_has_no_good_end(format_: str) -> None:
    lines = STREAMS[format_]
    whole = told(lines, format_).events
    chance = random.Random(format_)
    before = 0
    for number, line in enumerate(lines):
        length = len(line.rstrip(b"\n"))
        for at in {0, 1, chance.randrange(length), length - 1}:
            found = told([*lines[:number], line[:at]], format_)
            assert found.status(0) == "failed"
            assert found.status(signal="SIGTERM") == "interrupted"
            complete = [event for event in found.events if event.src is None or event.src.offset < before]
            assert complete == whole[: len(complete)]
            last = [event.type for event in found.events[len(complete) :]]
            assert last == ["agent.identified"] * (number == 0) + ["raw.rejected"] * (at > 0)
        before += len(line)


@each
def test_lines_out_of_order_lose_no_text_and_no_step(format_: str) -> None:
    lines = STREAMS[format_]
    steps, texts = told(lines, format_).state.steps, sorted(words(told(lines, format_)))
    for seed in range(20):
        mixed = random.Random(seed).sample(lines, len(lines))
        found = told(mixed, format_)
        assert {id_ for id_ in steps if not id_.startswith("plan/")} <= set(found.state.steps)
        assert sorted(words(found)) == texts
        assert found.status(0) in ("completed", "failed")
        assert found.status(1) == "failed"
    backwards = told(lines[::-1], format_)
    assert backwards.status(0) == "failed"


@each
def test_ids_that_come_again_lose_nothing(format_: str) -> None:
    lines = STREAMS[format_]
    once = told(lines, format_)
    twice = told([line for line in lines for _ in range(2)], format_)
    for type_ in ("step.started", "step.completed", "text.delta", "artifact.created"):
        assert [data for data in once.of(type_) if data not in twice.of(type_)] == []
    assert twice.status(0) == "completed"
    again = told(lines + lines, format_)
    assert again.steps() == once.steps()
    assert len(again.of("step.completed")) >= len(once.of("step.completed"))
    assert again.answer.endswith(once.answer)
    assert kept(again) == []
    assert again.status(0) == "completed"


@each
def test_lines_of_an_unknown_type_are_kept_and_change_nothing_else(format_: str) -> None:
    lines, unknown = STREAMS[format_], UNKNOWN[format_]
    found = told([lines[0], *map(written, unknown), *lines[1:]], format_)
    assert kept(found) == unknown
    rest = [(event.type, event.data) for event in found.events if event.type != "raw.event"]
    assert rest == [(event.type, event.data) for event in told(lines, format_).events]
    assert found.status(0) == "completed"


@each
@pytest.mark.parametrize("other", AGENTS)
def test_lines_of_another_format_are_kept_and_change_nothing_else(format_: str, other: str) -> None:
    if other == format_:
        pytest.skip("the same format")
    lines, foreign = STREAMS[format_], STREAMS[other]
    mixed = [line for number, own in enumerate(lines) for line in (own, *foreign[number : number + 1])]
    found = told(mixed, format_)
    assert kept(found) == [json.loads(line) for line in foreign[: len(lines)]]
    rest = [(event.type, event.data) for event in found.events if event.type != "raw.event"]
    assert rest == [(event.type, event.data) for event in told(lines, format_).events]
    assert found.status(0) == "completed"


@each
def test_a_line_of_20_mb_is_told_shortened_and_one_that_is_no_json_is_rejected(format_: str) -> None:
    lines = STREAMS[format_]
    long = written(LONG[format_]).replace(b"%", b"x" * 20_000_000)
    found = told([*lines[:-1], long, long[:-10] + b"\n", lines[-1]], format_)
    assert found.state.steps["long"].status == "ok"
    assert sum(len(event.json) for event in found.events if event.type == "step.completed") < 100_000
    [rejected] = found.of("raw.rejected")
    assert rejected["length"] == len(long) - 10
    assert found.status(0) == "completed"


@each
def test_a_result_that_comes_twice_counts_once(format_: str) -> None:
    lines = STREAMS[format_]
    once, twice = told(lines, format_), told([*lines, lines[-1]], format_)
    assert twice.status(0) == "completed"
    assert twice.answer == once.answer
    assert twice.state.usage == once.state.usage
    assert twice.findings() == once.findings()


@each
def test_without_a_result_nothing_is_complete(format_: str) -> None:
    found = told(STREAMS[format_][:-1], format_)
    assert found.status(0) == "failed"
    assert found.status(signal="SIGINT") == "interrupted"
    assert "end-undeclared" in found.findings()


@pytest.mark.parametrize(
    "line",
    ["hello", '{"type":"zzz.unknown"}', "[1,2]", '{"type":"text.delta","data":{"message_id":"a","text":"x"}}', ""],
)
@pytest.mark.parametrize("name", list(BUILTIN))
def test_a_stream_without_one_record_of_the_named_format_still_has_that_format_and_says_so(
    name: str, line: str
) -> None:
    source = replayed(name)
    assert source is not None
    found = (source.feed(f"{line}\n{line}\n".encode()) if line else []) + source.close()
    named = [each.data for each in found if each.type == "agent.identified"]
    ends = source.adapter is not None and source.adapter.terminal
    assert named == [{"format": name, **({"terminal": True} if ends else {})}]
    assert getattr(source, "unheard", None) == f"no record of {name} was seen on stdout: see --format"


@pytest.mark.parametrize("name", ["claude", "openai-chat", "langgraph"])
def test_a_run_whose_named_format_never_came_ends_by_what_the_format_promises(name: str, tmp_path: Path) -> None:
    (tmp_path / "other").write_text('{"type":"zzz.unknown"}\n', encoding="utf-8")
    made = import_file(FolderStore(str(tmp_path)), str(tmp_path / "other"), format_=name)
    assert [error["message"] for error in made.state.errors] == [
        f"no record of {name} was seen on stdout: see --format"
    ]
    codes = {each["code"] for each in (made.state.completed or {})["findings"]}
    assert ("end-undeclared" in codes) == (name != "langgraph")
