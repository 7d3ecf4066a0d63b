"""The emulator: what a terminal shows, however the text of a program comes in, and whatever it holds."""

from __future__ import annotations

import json
from typing import Any

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from durastream.emulator import Emulator
from durastream.emulator.parser import _parse_style
from durastream.views.safe import visible


def shown(text: str, columns: int = 20, rows: int = 5) -> list[str]:
    emulator = Emulator(columns, rows)
    emulator.feed(text)
    return emulator.grid.text()


def styles(text: str) -> list[str]:
    emulator = Emulator(20, 2)
    emulator.feed(text)
    return [style for char, style in emulator.grid.lines[0] if char not in (" ", "")]


# what programs do

MOVES = (
    st.builds("\x1b[{}{}".format, st.integers(0, 12) | st.just(""), st.sampled_from("ABCDGHP@Xd"))
    | st.builds("\x1b[{}{}".format, st.sampled_from(["", 0, 1, 2]), st.sampled_from("JK"))
    | st.builds("\x1b[{};{}H".format, st.integers(1, 6), st.integers(1, 13))
)
PIECES = st.lists(
    st.text("abcxyz .", max_size=15)
    | MOVES
    | st.sampled_from(["\r\n", "\r", "\n", "\b", "\x1bM", "\x1bD", "\x1b[31m", "\x1b[m", "\t"]),
    max_size=30,
)
ANY = st.lists(
    st.text(max_size=8)
    | st.sampled_from(
        ["\x1b", "\x1b[", "\x1b]0;title", "\x07", "\x1b\\", "\x1bP1$q", "\x1b[?1049h", "\x1b[?1049l", "\x1b7", "\x1b8",
         "\x1b(0", "\x1b(B", "\x0e", "\x0f", "\x1b[4h", "\x1b[4l", "\x1b[?7l", "\x1b[?6h", "日本", "e\u0301", "\u202e",
         "\x1b[38;5;9m", "\x1b[48:2::1:2:3m", "\x1b[1;4;7m", "\x1b[0m", "\x1b[5b", "\x1b[99999999d", "\x1b[2;4r",
         "\x1bc", "\t", "\x1b[3g", "\x1bH", "\x1b[Z", "a\r\n" * 120, "\x1b[?25l", "\x1b=", "\x1b[6n"]
    )
    | MOVES
    | st.builds("\x1b[{}{}".format, st.integers(0, 9), st.sampled_from("JKLMSTIZbgrcn`aef")),
    max_size=25,
).map("".join)  # fmt: skip


@given(PIECES)
def test_it_shows_what_another_emulator_shows(pieces: list[str]) -> None:
    other = pyte.Screen(12, 5)
    stream = pyte.Stream(other)
    emulator = Emulator(12, 5)
    for piece in pieces:
        emulator.feed(piece)
        stream.feed(piece)
        if other.cursor.x == 12:  # where it stands after the last column differs by a hair, and is put right here
            emulator.feed("\x1b[12G")
            stream.feed("\x1b[12G")
    assert ["".join(char for char, _ in line) for line in emulator.grid.lines] == other.display
    assert (emulator.grid.x, emulator.grid.y) == (other.cursor.x, other.cursor.y)


@given(ANY, st.data())
def test_pieces_of_any_size_give_the_same_screen(text: str, data: st.DataObject) -> None:
    whole, parts = Emulator(12, 5), Emulator(12, 5)
    whole.feed(text)
    cut = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    for start, end in zip([0, *cut], [*cut, len(text)], strict=True):
        parts.feed(text[start:end])
        parts.grid  # noqa: B018 - works out what has come so far
    assert parts.dump() == whole.dump()


@given(ANY, ANY, st.tuples(st.integers(1, 30), st.integers(1, 9)))
def test_what_is_kept_goes_on_as_if_nothing_had_been(before: str, after: str, size: tuple[int, int]) -> None:
    one = Emulator(12, 5)
    one.feed(before)
    other = Emulator.load(json.loads(json.dumps(one.dump())))
    for each in (one, other):
        each.resize(*size)
        each.feed(after)
    assert other.dump() == one.dump()


@given(ANY)
def test_no_cell_holds_what_could_act_and_every_line_is_whole(text: str) -> None:
    emulator = Emulator(12, 5)
    emulator.feed(text)
    grid = emulator.grid
    assert len(grid.lines) == 5
    for line in grid.lines:
        assert len(line) == 12
        assert not {"\x1b", "\x9b", "\u202e", "\n"} & set("".join(char for char, _ in line))
        assert all(set(style) <= set("0123456789;") for _, style in line)


def test_a_string_of_any_length_is_not_shown_and_not_held() -> None:
    emulator = Emulator(20, 2)
    emulator.feed("a\x1bPq")
    for _ in range(100):
        emulator.feed("#0;2;0;0;0" * 1000)
        assert len(json.dumps(emulator.dump())) < 8192
    emulator.feed("\x1b\\b")
    assert emulator.grid.text() == ["ab"]


@pytest.mark.parametrize(
    ("printed", "seen"),
    [
        ("\x1b]0;title\x07a\x1b]52;c;YQ==\x1b\\b", ["ab"]),
        ("\x1b[>4;2mplain\x1b[?1;2c\x1b[2 q!", ["plain!"]),
        ("\x1b[!p\x1b[?2004hx", ["x"]),
        ("\x1b(0lqk\x1b(B ok", ["┌─┐ ok"]),
        ("-\x1b[9b", ["----------"]),
        ("日本語", ["日本語"]),
        ("日\x1b[2Gx", [" x"]),
        ("one\r\ntwo\x1b[1T", ["", "one", "two"]),
        ("one\r\ntwo\x1b[1S", ["two"]),
        ("main\x1b[?1049h\x1b[2J\x1b[Hfull screen\x1b[?1049l!", ["main!"]),
        ("abc\x1b[1G\x1b[4hX", ["Xabc"]),
        ("a" * 19 + "日", ["a" * 19, "日"]),
        ("\x1b[?7l" + "abcdefghijklmnopqrstuvwxyz", ["abcdefghijklmnopqrsz"]),
        ("x\tY\x1b[ZZ", ["x       Z"]),
        ("a\r\nb\r\nc\r\nd\r\ne\x1b[2;4r\x1b[4H\n", ["a", "c", "d", "", "e"]),
        ("a\r\nb\r\nc\r\nd\r\ne\x1b[2;4r\x1b[2H\x1bM", ["a", "", "b", "c", "e"]),
        ("a\r\nb\r\nc\r\nd\r\ne\x1b[2;4r\x1b[?6h\x1b[1;2HX\x1b[9AY", ["a", "bXY", "c", "d", "e"]),
        ("a\r\nb\r\nc\r\nd\r\ne\x1b[2;4r\x1b[3H\x1b[L", ["a", "b", "", "c", "e"]),
    ],
)
def test_what_programs_rely_on(printed: str, seen: list[str]) -> None:
    assert shown(printed) == seen


def test_a_style_is_the_same_however_it_was_asked_for() -> None:
    assert styles("\x1b[1;31mx\x1b[0m\x1b[31m\x1b[1my") == ["1;31", "1;31"]
    assert styles("\x1b[38:5:208mx\x1b[38;5;208my\x1b[39mz") == ["38;5;208", "38;5;208", ""]
    assert styles("\x1b[48:2::1:2:3mx\x1b[48;2;1;2;3my") == ["48;2;1;2;3"] * 2
    assert styles("\x1b[1;2;4mx\x1b[22my\x1b[4:0mz") == ["1;2;4", "4", ""]
    assert _parse_style("1;4;48;5;7;38;2;1;2;3") == {"a1": "1", "a4": "4", "bg": "48;5;7", "fg": "38;2;1;2;3"}


def test_questions_are_answered_once() -> None:
    emulator = Emulator(20, 5)
    emulator.feed("\x1b[3;4H\x1b[6n\x1b[5n\x1b[c")
    assert emulator.answers() == "\x1b[3;4R\x1b[0n\x1b[?62;22c"
    assert emulator.answers() == ""


def test_lines_that_leave_the_screen_can_be_collected() -> None:
    emulator = Emulator(20, 2)
    emulator.grid.scrolled = []
    emulator.feed("one\r\ntwo\r\n\x1b[31mthree\r\nfour")
    assert (emulator.grid.text(), emulator.grid.scrolled) == (["three", "four"], ["one", "two"])
    emulator.feed("\x1b[?1049h\r\n\r\nnot these\r\n\r\n\x1b[?1049l")
    assert emulator.grid.scrolled == ["one", "two"]


def test_what_someone_else_has_kept_can_do_no_harm() -> None:
    kept: dict[str, Any] = Emulator(20, 2).dump()
    kept["grid"]["lines"] = [[["\x1b]52;c;YQ==\x07", "evil"]]] * 9
    kept["grid"]["cursor"] = [500, 500, False]
    loaded = Emulator.load(kept)
    assert (len(loaded.grid.lines), loaded.grid.x, loaded.grid.y) == (2, 19, 1)
    loaded.feed("\x1b[Aok")
    assert all(visible(text) == text for text in loaded.grid.text())
