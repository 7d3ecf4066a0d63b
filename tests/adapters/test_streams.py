"""How a stream is cut into frames, and how its format is found."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from adapters_kit import lines, read

from durastream.errors import UsageError
from durastream.sources import frames, replayed
from durastream.sources.adapted import AdaptedSource
from durastream.sources.adapters import BUILTIN, NO, WEAK, Narrator, find, names
from durastream.sources.adapters import adapters as installed
from durastream.sources.auto import AutoSource
from durastream.sources.frames import Frame, Frames

THREAD = {"type": "thread.started", "thread_id": "t"}


def cut(data: bytes) -> list[Frame]:
    made = Frames(0)
    return made.feed(data) + made.close()


def test_lines_and_events_are_frames() -> None:
    data = b': hello\nevent: x\nid: 1\ndata: {"a":1}\n\n{"b":2}\n\nnote\ndata: {"c":3}\ndata:{"d":4}\n\ndata: [DONE]'
    assert cut(data) == [
        Frame(b'{"a":1}', 23, None, True),
        Frame(b'{"b":2}', 38, None),
        Frame(b"note", 47, None),
        Frame(b'{"c":3}\n{"d":4}', 52, 27, True),
        Frame(b"[DONE]", 80, 12, True),
    ]


def test_an_event_without_its_blank_line_ends_where_another_thing_begins() -> None:
    assert [frame.data for frame in cut(b"data: 1\n{}\ndata: 2\ntext\ndata: 3\nevent: x\ndata: 4\ndata: 5")] == [
        b"1", b"{}", b"2", b"text", b"3", b"4\n5"
    ]  # fmt: skip


def test_a_line_without_an_end_is_given_out_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "LONGEST", 10)
    made = Frames(0)
    found = [frame for _ in range(5) for frame in made.feed(b"{xxxxx")] + made.feed(b"y\n{}\n" + b"z" * 12)
    assert b"".join(frame.data for frame in found).startswith(b"{xxxxx{xxxxx")
    assert found[-1] == Frame(b"z" * 12, 35, 12)
    assert made.close() == []


def adapted(*pieces: bytes) -> list[tuple[str, dict[str, Any]]]:
    source = AdaptedSource("stdout", 0, find("codex"))
    events = [event for piece in pieces for event in source.feed(piece)] + source.close()
    return [(event.type, event.data) for event in events if event.type != "agent.identified"]


def test_what_is_no_json_is_a_line_of_the_log_or_rejected() -> None:
    assert adapted(b"note\r\n") == [("log.line", {"stream": "stdout", "text": "note"})]
    assert [(type_, data["reason"]) for type_, data in adapted(b"{half\n", b"x" * 70_000)] == [
        ("raw.rejected", "not JSON"), ("raw.rejected", "not JSON")
    ]  # fmt: skip
    assert adapted(b"data: [DONE]\n\n") == []


def test_a_line_in_our_own_form_is_an_event_among_those_of_an_agent() -> None:
    assert adapted(b'{"type":"quality.checked","data":{"name":"x","outcome":"pass"}}\n') == [
        ("quality.checked", {"name": "x", "outcome": "pass"})
    ]


def test_what_cannot_be_kept_as_json_is_kept_as_it_is() -> None:
    huge = b'{"type":"new","n":' + b"9" * 5000 + b"}\n"
    assert [type_ for type_, _ in adapted(huge)] == ["raw.rejected"]
    ((type_, data),) = adapted(b'{"type":"new","text":"' + b"x" * 1_100_000 + b'"}\n')
    assert (type_, data["reason"], len(data["text"])) == ("raw.rejected", "no mapping", 1 << 20)
    assert [type_ for type_, _ in adapted(b"[1,2]\n")] == ["raw.event"]


def test_what_no_json_can_hold_is_rejected() -> None:
    for line in (b'{"type":"new","n":NaN}', b'{"type":"new","n":1e999}', b"[" * 100_000, b'{"type":"\xff'):
        assert [type_ for type_, _ in adapted(line + b"\n")] == ["raw.rejected"], line[:40]
    assert adapted(b'{"type":"\xff\n')[0][1]["base64"] == "eyJ0eXBlIjoi/w=="
    assert adapted(b'{"type":"Infinity"}\n')[0][1]["json"] == {"type": "Infinity"}
    assert adapted(b'{"type":"\\ud800"}\n')[0][1]["json"] == {"type": "\ufffd"}


def test_escapes_and_a_byte_order_mark_before_a_line_are_passed_over() -> None:
    line = lines(THREAD)
    for before in (b"\xef\xbb\xbf", b"\x1b]0;title\x07", b"\x1b[?25l\x1b[2K "):
        assert read([before + line], "codex").state.agent["session_id"] == "t"
        found = read([before + line])
        assert (found.state.agent["session_id"], found.answer) == ("t", "")
        assert read([bytes([byte]) for byte in before + line]).events == found.events


def test_coloured_text_is_text_as_soon_as_it_is_there() -> None:
    source = AutoSource("stdout", ())
    for start in (
        b"\xef",
        b"\xef\xbb",
        b"\xef\xbb\xbf",
        b"\x1b",
        b"\x1b[3",
        b"\x1b[32m",
        b"\x1b]0;ti",
        b"\x1b]0;t\x1b",
    ):
        assert AutoSource("stdout", ()).feed(start) == []
    assert source.feed(b"\x1b[32m") == []
    assert [event.data["text"] for event in source.feed(b"o")] == ["\x1b[32mo"]
    assert [event.data["text"] for event in source.feed(b"k\n\x1b")] == ["k\n"]
    assert [event.data["text"] for event in source.close()] == ["\x1b"]


def test_text_before_the_first_line_of_a_format_stays_text() -> None:
    told = read([b"Reading", b" prompt\n\n", lines(THREAD)])
    assert told.state.messages["stdout"].text == "Reading prompt\n\n"
    assert told.state.agent["format"] == "codex"
    assert AutoSource("stdout", ()).adapter is None


def test_after_sixty_lines_it_is_text_for_good() -> None:
    told = read([b"line\n" * 60, lines(THREAD)])
    assert not told.state.agent
    assert told.answer.endswith('"thread_id": "t"}\n')
    source = AutoSource("stdout", ())
    source.feed(b"line\n" * 60)
    assert source.settled
    assert [event.data["text"] for event in source.feed(b"more")] == ["more"]


class Shy:
    """A format whose lines any program might print."""

    name: ClassVar[str] = "shy"
    note: ClassVar[str] = "a test"
    proven: ClassVar[str] = "hand-made"
    commands: ClassVar[tuple[str, ...]] = ("shy",)
    terminal: ClassVar[bool] = False

    def __init__(self, say: Narrator) -> None:
        self._say = say

    @staticmethod
    def matches(line: Any) -> int:
        return WEAK if isinstance(line, dict) and "shy" in line else NO

    @staticmethod
    def when(line: Any) -> float | None:
        return None

    def take(self, line: Any) -> None:
        self._say.text("m", str(line["shy"]))


@pytest.fixture
def shy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("durastream.sources.detect.adapters", lambda: [Shy])


@pytest.mark.usefixtures("shy")
def test_a_weak_match_waits_for_a_second_one() -> None:
    one = lines({"shy": 1})
    assert read([one, one]).state.messages["m"].text == "11"
    for after in (b"", b"text\n", b"{}\n", b"{half\n", b"te"):
        told = read([one, after])
        assert not told.state.agent
        assert told.answer.encode() == one + after


@pytest.mark.usefixtures("shy")
def test_a_weak_match_is_enough_in_an_event_or_from_a_program_of_that_name() -> None:
    one = lines({"shy": 1})
    assert read([b"event: e\n", b"data: " + one, b"\n"]).state.messages["m"].text == "1"
    for words in (["shy"], ["npx", "shy", "run"], ["node", "/opt/Shy.js"], ["/usr/bin/shy"]):
        assert read([one], words=words).state.messages["m"].text == "1"
    assert not read([one], words=["a", "b", "c", "d", "shy"]).state.agent


@pytest.mark.usefixtures("shy")
def test_blank_lines_do_not_separate_two_weak_matches() -> None:
    one = lines({"shy": 1})
    assert read([one, b"\n", one]).state.messages["m"].text == "11"


def test_a_line_that_an_adapter_stumbles_over_is_of_another_format_or_none() -> None:
    told = read([b'{"type":[],"item":{"type":{}},"sessionUpdate":7,"event":[]}\n', lines(THREAD)])
    assert told.state.agent["format"] == "codex"


@pytest.mark.parametrize("data", [b"", b"\n", b"usage: codex\n", b"{half", b"data: [DONE]\n\n"])
def test_an_agent_that_says_nothing_in_the_format_that_was_named_did_not_end_well(data: bytes) -> None:
    told = read([data], "codex")
    assert told.of("agent.identified") == [{"format": "codex", "terminal": True}]
    assert told.status(0) == "failed"
    assert "end-undeclared" in told.findings()
    assert not read([data]).state.agent


def test_a_named_format_is_read_from_the_first_byte() -> None:
    assert read([b"starting\n", lines(THREAD)], "codex").of("log.line") == [{"stream": "stdout", "text": "starting"}]
    assert replayed("text") is None
    assert replayed("native") is None
    with pytest.raises(UsageError, match="unknown format 'cobol'"):
        replayed("cobol")


class Point:
    """An entry point as another package has it."""

    def __init__(self, name: str, adapter: type[Any] | None) -> None:
        self.name, self.value, self._adapter = name, f"other:{name}", adapter

    def load(self) -> type[Any]:
        if self._adapter is None:
            raise ImportError("no module named other")
        return self._adapter


def test_adapters_of_other_packages_come_after_ours_and_cannot_take_their_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    points = [Point("shy", Shy), Point("broken", None), Point("codex", Shy)]
    monkeypatch.setattr("durastream.sources.adapters._points", lambda: points)
    assert names() == [*BUILTIN, "shy", "broken"]
    assert [adapter.name for adapter in installed()] == [*BUILTIN, "shy"]
    assert find("shy") is Shy
    assert find("codex") is not Shy
    with pytest.raises(UsageError, match=r"the adapter broken \(other:broken\) cannot be loaded"):
        find("broken")


def test_one_of_ours_that_cannot_be_loaded_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> type[Any]:
        raise UsageError(f"{name} is broken")

    monkeypatch.setattr("durastream.sources.adapters.find", fail)
    with pytest.raises(UsageError, match="acp is broken"):
        list(installed())
