"""Nothing that an agent writes can act on the terminal of whoever reads it."""

from __future__ import annotations

import io
import re
import sys
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from durastream.events import dumps
from durastream.state import RunState, fold
from durastream.views import jsonl, live, plain
from durastream.views.look import Look
from durastream.views.safe import _MAYBE_STACKED, _is_mark, json_line, one_line, visible
from durastream.views.zoom import panels

# Written down here a second time, from the security rules and not from the code.
FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufe00-\ufe0f"
    "\ud800-\udfff\U000e0000-\U000e007f\U000e0100-\U000e01ef]"
)

HOSTILE = [
    "\x1b[2J\x1b[H",  # clear the screen
    "\x1b]0;owned\x07",  # set the title
    "\x1b]52;c;cm0gLXJmIH4=\x07",  # write the clipboard
    "\x1b]8;;file:///etc/passwd\x1b\\click\x1b]8;;\x1b\\",  # a link
    "\x1b[6n",  # ask where the cursor is
    "\x1b[c",  # ask what the terminal is
    '\x1bP$q"p\x1b\\',  # DECRQSS
    "\x1b[21t",  # report the title
    "\x1b[?1049h",  # the other screen
    "\x1b[?1000h",  # mouse reports
    "\x1b[?2004l",  # bracketed paste off
    "\x1b[31;5mred",
    "\x1b[8mhidden\x1b[0m",
    "\x1b#8",
    "\x1bc",  # reset
    "\x1b(0",  # line drawing
    "\x1b[20h",
    "\x1b[1;1H\x1b[K✓ reconciled",
    "\x9b2J",  # C1 CSI
    "\x9d0;owned\x9c",  # C1 OSC
    "\x90q\x9c",  # C1 DCS
    "\x85",
    "\x07" * 20,
    "\x08" * 40 + "forged",
    "honest\rforged",
    "\x0b\x0c",
    "\x0e\x0f",
    "\x00",
    "\x05",
    "\x18\x1a",
    "\x7f",
    "access\u202etxt.exe",
    "\u202d\u202c\u202a\u202b",
    "\u2066a\u2067b\u2068c\u2069",
    "\u061c\u200e\u200f",
    "in\u200bvis\u200cib\u200dle",
    "one\u2028two\u2029three",
    "\ufeffbom",
    "so\xadft",
    "tags\U000e0041\U000e0042\U000e007f",
    "vs\ufe00\ufe0f\U000e0100",
    "lone\ud800 and \udfff",
    "z" + "\u0301" * 200,
    "z" + "\u0e49" * 60,
    "ᄀ" + "\u1160" * 60,
    "\u115f\u3164\uffa0",
    "\u2060\u2061\u2062\u2063\u2064",
    "\ufff9a\ufffab\ufffb",
    "[bold red]markup[/bold red] [link=http://x]y[/link] [/]",
    "[@click=app.quit]x[/]",
    ":skull: :boom:",
    "`\x1b[2J` **\x1b]0;x\x07** # \x9b2J",
    "# \u202eheading\n- \x1b[5mitem\n> \x07quote\n```\x1b[2J\n\x1b[2J\n```",
    "<script>alert(1)</script>&#27;[2J &#x202e;",
    "a\tb\x1b[9C\tc",
    "%n%s%p{0}{self}",
]


def everything(payload: str) -> list[Any]:
    """A run that says the payload wherever it can say anything."""
    from durastream.events import Event

    rows: list[tuple[str, dict[str, Any]]] = [
        ("run.started", {"name": payload, "command": [payload, payload], "cwd": payload, "format": payload}),
        ("plan.created", {"steps": [{"id": payload, "title": payload, "status": payload, "parent": payload}]}),
        ("step.started", {"step_id": "a", "title": payload, "kind": payload}),
        ("step.progress", {"step_id": "a", "message": payload, "fraction": 0.5}),
        ("step.started", {"step_id": "b", "title": payload, "kind": payload, "parent": payload}),
        ("step.completed", {"step_id": "b", "status": "failed", "error": payload}),
        ("step.completed", {"step_id": payload, "status": payload, "duration": payload}),
        ("reasoning.delta", {"text": payload}),
        ("message.started", {"message_id": payload, "role": "assistant"}),
        ("text.delta", {"message_id": payload, "text": payload}),
        ("text.delta", {"message_id": payload, "text": payload}),
        ("text.retracted", {"message_id": payload, "reason": payload}),
        ("text.delta", {"message_id": payload, "text": payload + "\n" + payload}),
        ("text.delta", {"message_id": "stdout", "text": payload}),
        ("source.added", {"source_id": payload, "title": payload, "url": payload}),
        ("quality.checked", {"name": payload, "outcome": payload, "detail": payload}),
        ("usage.reported", {"scope": "run", "model": payload, "input_tokens": payload}),
        ("approval.requested", {"approval_id": payload, "title": payload, "options": [payload]}),
        ("artifact.created", {"path": payload, "action": payload}),
        ("error.raised", {"message": payload, "severity": payload}),
        ("log.line", {"stream": payload, "text": payload}),
        ("raw.rejected", {"reason": payload, "text": payload}),
        ("run.cancel_requested", {"by": payload}),
        ("run.resumed", {"reason": payload}),
        ("myapp.thing", {payload: payload}),
    ]
    end = {"status": payload, "exit_code": payload, "signal": payload, "reconciled": False, "findings": [payload]}
    rows.append(("run.completed", {**end, "answer": {"text": payload, "length": payload}}))
    return [Event(n, payload, float(n), type_, data, hash=b"1" * 32) for n, (type_, data) in enumerate(rows, 1)]


def test_the_list_of_payloads_is_long_enough_to_mean_something() -> None:
    assert len(HOSTILE) >= 40
    assert len(set(HOSTILE)) == len(HOSTILE)


@pytest.mark.parametrize("payload", HOSTILE)
def test_no_payload_reaches_the_screen(payload: str) -> None:
    events = everything(payload)
    for state in (fold(events[:-1]), fold(events)):
        for width in (30, 80, 120):
            out = io.StringIO()
            console = Console(file=out, width=width, height=60, color_system=None, legacy_windows=False)
            console.print(
                live.render(state, width=width, height=60, now=99.0, run_id=payload, note=payload, hint=payload)
            )
            console.print(live.render(state, width=width, height=60, now=99.0, seal=payload))
            console.print(live.summary(state, width=width, run_id=payload, note=payload, seal=payload))
            assert FORBIDDEN.findall(out.getvalue()) == []


@pytest.mark.parametrize("payload", HOSTILE)
def test_no_payload_reaches_what_the_keys_show(payload: str) -> None:
    events = everything(payload)
    state = fold(events)
    looks = [Look(panel=panel, place=place) for panel in panels(state) for place in (None, (0, 0))]
    looks += [Look(event=event) for event in events]
    looks += [Look(prompt=payload), Look(reasoning="all"), Look(reasoning="none")]
    for look in looks:
        for size in ((40, 10), (120, 30)):
            frame = live.render(state, width=size[0], height=size[1], look=look, note=payload)
            assert FORBIDDEN.findall("".join(text.plain for text in frame.lines)) == []


@pytest.mark.parametrize("payload", HOSTILE)
def test_no_payload_is_a_command_to_the_runner_of_github(payload: str) -> None:
    out = io.StringIO()
    for text in (payload, "::set-env name=A::" + payload, "##[add-path]" + payload):
        plain.show([everything(text)], state=RunState(), out=out, groups=True)
    assert FORBIDDEN.findall(out.getvalue()) == []
    assert "##[" not in out.getvalue()
    commands = [line for line in out.getvalue().split("\n") if line.lstrip().startswith("::")]
    assert all(line == "::endgroup::" or line.startswith("::group::+") for line in commands)


@pytest.mark.parametrize("payload", HOSTILE)
def test_no_payload_makes_the_terminal_do_more_than_colours(payload: str) -> None:
    out = io.StringIO()
    Console(file=out, width=100, height=60, color_system="truecolor", force_terminal=True, _environ={}).print(
        live.render(fold(everything(payload)), width=100, height=60)
    )
    assert FORBIDDEN.findall(re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())) == []


@pytest.mark.parametrize("payload", HOSTILE)
def test_no_payload_reaches_the_plain_view(payload: str) -> None:
    events = everything(payload)
    for timestamps in (False, True):
        for joined in (0, len(events) - 1, len(events)):
            out = io.StringIO()
            plain.show([events[joined:]], state=fold(events[:joined]), out=out, timestamps=timestamps)
            assert FORBIDDEN.findall(out.getvalue()) == []


@pytest.mark.parametrize("payload", HOSTILE)
def test_no_payload_reaches_a_picture_and_the_picture_is_wellformed_xml(payload: str) -> None:
    from xml.etree import ElementTree

    svg = live.picture(fold(everything(payload)), run_id=payload, title=payload)
    assert FORBIDDEN.findall(svg) == []
    assert {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(svg).iter()} <= {
        "svg", "style", "defs", "clipPath", "rect", "text", "g", "circle",
    }  # fmt: skip


def test_a_payload_split_over_two_deltas_is_caught_when_joined(log: Any) -> None:
    log.start()
    for piece in ("z" + "\u0301" * 5, "\u0301" * 5, "\x1b", "[2J", "\r", "\nnext"):
        log.add(1.0, "text.delta", message_id="m", text=piece)
    out = io.StringIO()
    plain.show([log.events], state=RunState(), out=out)
    assert out.getvalue().split("\n")[1:] == [
        "+0:01.0 text     z" + "\u0301" * 8 + "<2 more marks>␛[2J",
        "+0:01.0 text     next",
        "",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("windows\r\nlines", "windows\nlines"),
        ("10 %\r20 %", "10 %␍20 %"),
        ("\x1b[2J", "␛[2J"),
        ("\x00\x07\x7f", "␀␇␡"),
        ("\x9b2J", "<U+009B>2J"),
        ("a\u202eb", "a<U+202E>b"),
        ("\U000e0041", "<U+E0041>"),
        ("\ud800", "<U+D800>"),
        ("Ünïcödé 日本語 עברית 🎉", "Ünïcödé 日本語 עברית 🎉"),
        ("⚠️ careful", "⚠ careful"),
        ("a\ufe0f", "a<U+FE0F>"),
    ],
)
def test_what_could_act_is_shown_and_all_else_stays(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_newlines_and_tabs_are_shown_where_they_are_not_wanted() -> None:
    assert visible("a\nb\tc\x1b", keep="") == "a␊b␉c␛"
    assert visible("a\nb\tc\x1b", keep="\t\x1b") == "a␊b\tc␛"


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("short", 10, "short"),
        ("  a\nb\tc\n", 10, "a⏎b c"),
        ("0123456789", 10, "0123456789"),
        ("01234567890", 10, "012345678…"),
        ("x" * 10_000_000, 5, "xxxx…"),
        ("a" + " " * 500 + "b", 10, "a…"),
    ],
)
def test_one_line_is_one_line_of_at_most_so_many_characters(text: str, limit: int, shown: str) -> None:
    assert one_line(text, limit) == shown


@given(st.text(st.characters() | st.sampled_from("\x1b\r\n\u0301\u1160\u202e\ufe0f⚠\ud800")))
def test_any_text_becomes_safe_and_stays_the_same_a_second_time(text: str) -> None:
    shown = visible(text)
    assert FORBIDDEN.search(shown) is None
    assert visible(shown) == shown


@given(
    st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["C", "M"]) | st.sampled_from("\n\t"), max_size=50)
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert visible(text) == text or any(char in "\u2028\u2029\u115f\u1160\u3164\uffa0" for char in text)


def test_every_mark_of_unicode_is_where_the_search_for_stacks_looks() -> None:
    variation = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
    missed = [
        hex(point)
        for point in range(0x80, sys.maxunicode + 1)
        if (unicodedata.category(chr(point))[0] == "M" or _is_mark(chr(point)))
        and _MAYBE_STACKED.match(chr(point) * 9) is None
        and not variation.match(chr(point))
    ]
    assert missed == []


@given(st.text(st.characters(codec="utf-8") | st.sampled_from("\x7f\x9b\u202e\ufeff\U000e0041")))
def test_stored_json_is_printed_as_it_is_stored(text: str) -> None:
    assert json_line(dumps({"text": text})) == dumps({"text": text})


def test_json_from_elsewhere_is_printed_safe_and_says_the_same() -> None:
    import json

    line = '{"a":\r\n\t"\x9b2J\u202e\U000e0041"}'
    assert json_line(line) == '{"a":   "\\u009b2J\\u202e\\udb40\\udc41"}'
    assert json.loads(json_line(line)) == json.loads(line)


def test_the_json_view_prints_each_event_with_its_hash(log: Any) -> None:
    log.start().add(1.0, "text.delta", message_id="m", text="hi")
    out = io.StringIO()
    state = RunState()
    assert jsonl.show([log.events, []], state=state, out=out) == (False,)
    assert out.getvalue() == "".join(event.line() + "\n" for event in log.events)
    assert state.seq == 2
