"""One line per change."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from inline_snapshot import snapshot

from durastream.state import RunState, fold
from durastream.views import Outcome, jsonl, plain


def said(events: list[Any], **options: Any) -> str:
    out = io.StringIO()
    assert plain.show([events, []], state=options.pop("state", RunState()), out=out, **options) == Outcome(left=False)
    return out.getvalue()


def test_a_whole_run(log: Any) -> None:
    log.start()
    log.plan(0.1, 0, "Find papers", "Write", type_="plan.created")
    log.add(0.5, "reasoning.delta", text="First I ")
    log.add(0.6, "reasoning.delta", text="search.")
    log.add(4.0, "step.started", step_id="s", title="find papers", kind="tool")
    log.add(4.5, "step.progress", step_id="s", message="page 2", fraction=0.5)
    log.add(4.6, "log.line", stream="stderr", text="GET /\nPOST /")
    log.add(5.2, "step.completed", step_id="s", status="ok")
    log.add(5.3, "source.added", source_id="a", title="The Log", url="https://example.org")
    log.add(5.4, "source.added", source_id="b", url="https://example.org/b")
    log.add(5.4, "source.added", source_id="a", snippet="again")
    log.plan(6.0, 1, "Find papers", "Write")
    log.plan(6.0, 1, "Find papers", "Write")
    log.plan(6.1, 1, "Find papers")
    log.add(7.0, "text.delta", message_id="a", text="One li")
    log.add(7.5, "text.delta", message_id="a", text="ne.\nAnother")
    log.add(8.0, "text.completed", message_id="a", sha256="", length=0)
    log.add(8.1, "text.retracted", message_id="a", reason="it was wrong")
    log.add(8.2, "text.delta", message_id="a", text="Better.")
    log.add(9.0, "quality.checked", name="links", outcome="warn", score=0.5, detail="one is slow")
    log.add(9.1, "approval.requested", approval_id="x", title="May I?")
    log.add(9.2, "approval.resolved", approval_id="x", decision="yes")
    log.add(9.3, "artifact.created", path="report.md", action="add")
    log.add(9.4, "error.raised", message="rate limited")
    log.add(9.5, "step.started", step_id="t", title="write")
    log.add(9.6, "step.completed", step_id="t", status="failed", error="no disk")
    log.add(9.7, "raw.rejected", reason="not JSON")
    log.add(9.8, "run.cancel_requested", by="ctrl-c")
    log.add(9.9, "run.resumed", reason="recorder died")
    log.add(9.9, "usage.reported", input_tokens=1)
    log.add(9.9, "myapp.cache_hit", key=1)
    answer = {"message_id": "a", "length": 7}
    log.add(4000, "run.completed", status="failed", exit_code=1, reconciled=False, findings=["cut"], answer=answer)
    assert said(log.events) == snapshot("""\
+0:00.0 run      ● review: python agent.py
+0:00.1 plan     0/2
+0:00.1          ▶ Find papers
+0:00.1          · Write
+0:00.6 thinking First I search.
+0:04.0 step     ▶ find papers (tool)
+0:04.5 step       find papers: 50% page 2
+0:04.6 log      GET /
+0:04.6 log      POST /
+0:05.2 step     ✓ find papers (1.2 s)
+0:05.3 source   [1] The Log https://example.org
+0:05.4 source   [2] https://example.org/b
+0:05.4 source   [1] The Log https://example.org
+0:06.0 plan     1/2
+0:06.0          ✓ Find papers
+0:06.0          ▶ Write
+0:06.1 plan     1/1; 1 taken out
+0:07.5 text     One line.
+0:08.0 text     Another
+0:08.1 text     ! taken back: it was wrong
+0:09.0 check    ! links: warn (0.5); one is slow
+0:09.1 approval ? May I?
+0:09.2 approval May I?: yes
+0:09.3 file     add report.md
+0:09.4 error    ✗ rate limited
+0:09.5 step     ▶ write
+0:09.6 step     ✗ write (0.1 s): no disk
+0:09.7 rejected ! a line that claims to be an event is none: not JSON
+0:09.8 run      ! cancel requested by ctrl-c
+0:09.9 run      ! recorder resumed: recorder died
+0:09.9 text     Better.
+1:06:40.0 run      ✗ failed · exit code 1 · 32 events
+1:06:40.0 answer   7 characters · 2 sources
+1:06:40.0          ✗ not reconciled: 1 finding
+1:06:40.0          ! cut
+1:06:40.0 seal     sha256:2020202020202020202020202020202020202020202020202020202020202020
""")


def test_a_good_end(log: Any) -> None:
    log.start().add(1.0, "run.completed", status="completed", exit_code=0, reconciled=True)
    assert said(log.events) == snapshot("""\
+0:00.0 run      ● review: python agent.py
+0:01.0 run      ✓ completed · exit code 0 · 2 events
+0:01.0          ✓ reconciled: nothing found
+0:01.0 seal     sha256:0202020202020202020202020202020202020202020202020202020202020202
""")


def test_wall_clock_instead_of_the_time_of_the_run(log: Any) -> None:
    log.start().add(1.0, "log.line", text="hello")
    assert said(log.events, timestamps=True) == snapshot("""\
2026-11-23T06:00:00.000000Z run      ● review: python agent.py
2026-11-23T06:00:01.000000Z log      hello
""")


def test_joining_late_tells_what_there_is_and_loses_no_line(log: Any) -> None:
    log.start()
    log.plan(0.1, 0, "Find papers", "Write", type_="plan.created")
    log.add(4.0, "step.started", step_id="s", title="find papers", kind="tool")
    log.add(7.0, "text.delta", message_id="a", text="A line.\nHalf a li")
    log.add(7.5, "text.delta", message_id="a", text="ne.\n")
    assert said(log.events[4:], state=fold(log.events[:4])) == snapshot("""\
+0:07.0 run      ● review; joined at event 4
+0:07.0 plan     0/2
+0:07.0          ▶ Find papers
+0:07.0          · Write
+0:07.0 step     ▶ find papers (tool)
+0:07.5 text     Half a line.
""")


def test_joining_after_the_end_tells_how_it_ended(log: Any) -> None:
    log.start().add(4.0, "text.delta", message_id="a", text="Half a li")
    log.add(9.0, "run.completed", status="interrupted", signal="SIGKILL", reconciled=True, findings=[])
    assert said([], state=log.state()) == snapshot("""\
+0:09.0 run      ✗ review; joined at event 3
+0:09.0 text     Half a li
+0:09.0 run      ✗ interrupted · signal SIGKILL · 3 events
+0:09.0          ✓ reconciled: nothing found
""")


def test_a_line_without_an_end_is_not_held_back_for_ever(log: Any) -> None:
    log.add(1.0, "text.delta", message_id="a", text="x" * (2 * plain.LONGEST + 1))
    assert [len(line) - len("+0:01.0 text     ") for line in said(log.events).splitlines()] == [4096, 4096, 1]


def test_a_terminal_that_cannot_show_a_mark_gets_another_and_for_a_letter_its_escape(log: Any) -> None:
    raw = io.BytesIO()
    log.start("überprüfen")
    log.add(1.0, "step.started", step_id="s", title="look")
    log.add(2.0, "step.completed", step_id="s", status="failed", error="no")
    plain.show([log.events], state=RunState(), out=(out := io.TextIOWrapper(raw, encoding="ascii")))
    assert out.writable()
    assert raw.getvalue().decode("ascii") == snapshot("""\
+0:00.0 run      * \\xfcberpr\\xfcfen: python agent.py
+0:01.0 step     > look
+0:02.0 step     x look (1.0 s): no
""")


def test_in_a_log_of_github_actions_steps_are_groups_and_what_fails_stands_outside(log: Any) -> None:
    log.start()
    log.add(1.0, "step.started", step_id="s", title="100% sure", kind="tool")
    log.add(1.1, "step.started", step_id="inner", title="fetch", kind="tool")
    log.add(1.2, "log.line", text="::error::hello\n##[set-env name=A]x")
    log.add(1.3, "step.completed", step_id="inner", status="ok")
    log.add(2.0, "step.completed", step_id="s", status="failed", error="no disk")
    log.add(2.1, "text.delta", message_id="a", text="::add-mask::x\n")
    log.add(3.0, "step.started", step_id="t", title="write")
    log.add(4.0, "run.completed", status="failed", exit_code=1)
    shown = said(log.events, groups=True)
    assert shown == snapshot("""\
+0:00.0 run      ● review: python agent.py
::group::+0:01.0 step     ▶ 100%25 sure (tool)
+0:01.1 step     ▶ fetch (tool)
+0:01.2 log      ::error::hello
+0:01.2 log      # #[set-env name=A]x
+0:01.3 step     ✓ fetch (0.2 s)
::endgroup::
+0:02.0 step     ✗ 100% sure (1.0 s): no disk
+0:02.1 text     ::add-mask::x
::group::+0:03.0 step     ▶ write
::endgroup::
+0:04.0 run      ✗ failed · exit code 1 · 9 events
+0:04.0 seal     sha256:0909090909090909090909090909090909090909090909090909090909090909
""")
    assert said(log.events[:2], groups=True).endswith("sure (tool)\n::endgroup::\n")


def test_colour_is_for_marks_and_only_when_asked(log: Any) -> None:
    log.start()
    log.add(1.0, "error.raised", message="rate limited")
    log.add(1.0, "text.delta", message_id="a", text="✓ said the agent\n")
    assert said(log.events, color=True) == (
        "+0:00.0 run      \x1b[36m●\x1b[0m review: python agent.py\n"
        "+0:01.0 error    \x1b[31m✗\x1b[0m rate limited\n"
        "+0:01.0 text     ✓ said the agent\n"
    )


def test_a_run_of_unknown_types_alone_says_that_it_is_one(log: Any) -> None:
    log.add(1.0, "myapp.cache_hit", key=1)
    log.add(2.0, "myapp.cache_miss", key=1)
    log.add(2.0, "myapp.cache_hit", key=1)
    assert said(log.events) == (
        "+0:02.0 run      3 events of types that durastream does not know (myapp.cache_hit, myapp.cache_miss): "
        "see durastream events\n"
    )


def test_there_is_no_cursor_movement_and_no_colour(log: Any) -> None:
    log.start().add(1.0, "text.delta", message_id="a", text="hi\n")
    assert "\x1b" not in said(log.events)
    assert "\r" not in said(log.events)


@pytest.mark.parametrize("show", [plain.show, jsonl.show])
def test_ctrl_c_leaves(log: Any, show: Any) -> None:
    def batches() -> Iterator[list[Any]]:
        yield log.start().events
        raise KeyboardInterrupt

    state = RunState()
    assert show(batches(), state=state, out=io.StringIO()) == Outcome(left=True)
    assert state.seq == 1


@pytest.mark.parametrize("show", [plain.show, jsonl.show])
def test_a_closed_pipe_is_told_to_the_caller(log: Any, show: Any) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        show([log.start().events], state=RunState(), out=Closed())


def test_the_light_views_import_no_rich() -> None:
    import subprocess
    import sys

    code = "import sys, durastream.views.plain, durastream.views.jsonl; print('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize("show", [plain.show, jsonl.show])
def test_lines_that_were_shown_are_let_go_of(show: Any, log: Any) -> None:
    log.start()
    for at in range(3):
        log.add(at, "text.delta", message_id="a", text="some words ")
        log.add(at, "reasoning.delta", text="a thought ")
    state = RunState()
    show([log.events, []], state=state, out=io.StringIO())
    message = state.messages["a"]
    assert (message.length, message.text, state.reasoning.text) == (33, "", "")
