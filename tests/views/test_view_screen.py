"""What the screen shows, at fixed sizes."""

from __future__ import annotations

import io
import re
from typing import Any
from unittest.mock import patch

import pytest
from inline_snapshot import snapshot
from rich.cells import cell_len
from rich.console import Console

from durastream.message import Message
from durastream.state import RunState
from durastream.views import draft, frame, live
from durastream.views.frame import Section, line, share, wrap
from durastream.views.look import Look
from durastream.views.paint import Painter


def test_before_the_first_event(printed: Any) -> None:
    assert printed(live.render(RunState(), width=40, height=6, run_id="k3v9p2", hint="q leave"), 40) == snapshot("""\
k3v9p2                   ● running  0:00

waiting for the first event


                                 q leave
""")


def test_a_run_without_a_plan(log: Any, printed: Any) -> None:
    log.start()
    log.add(0.4, "text.delta", message_id="stdout", text="Reading 3 files\n10 %\r20 %\r30 %")
    log.add(0.5, "log.line", stream="stderr", text="warning: slow disk")
    assert printed(live.render(log.state(), width=60, height=12, now=2.0, hint="q leave"), 60) == snapshot("""\
review                                       ● running  0:02
                                                    3 events
────────────────────────────────────────────────────────────
output    Reading 3 files
30 ch.    30 %

log       warning: slow disk




                                                     q leave
""")


def test_a_run_with_a_plan(log: Any, printed: Any) -> None:
    log.start()
    log.plan(0.1, 1, "Find papers", "Read them", "Write", type_="plan.created")
    log.add(1.0, "step.started", step_id="s1", title="search: durable streaming", kind="tool", parent="0")
    log.add(2.2, "step.completed", step_id="s1", status="ok")
    log.add(3.0, "step.started", step_id="s2", title="fetch the log", kind="tool", parent="1")
    log.add(3.1, "step.progress", step_id="s2", fraction=0.45, message="1.2 MB")
    log.add(3.2, "source.added", source_id="a", title="The Log", url="https://example.org/log")
    log.add(3.3, "quality.checked", name="links resolve", outcome="pass", score=0.95)
    log.add(
        3.4, "usage.reported", scope="run", model="some-model", input_tokens=12345, output_tokens=98, cost_usd=0.042
    )
    log.add(4.0, "message.started", message_id="a", role="assistant")
    log.add(4.1, "text.delta", message_id="a", text="# Result\n\nThe log is **the** truth:\n\n- one writer\n- ma")
    shown = printed(live.render(log.state(), width=80, height=30, now=10.2, run_id="k3v9p2", hint="q leave"))
    assert shown == snapshot("""\
review  k3v9p2                                                   ● running  0:10
some-model                        12.3k tokens in · 98 out · $0.0420 · 11 events
━━━━━━━━━━━━━━━━━━━━━━━━━━──────────────────────────────────────────────────────
plan      ✓ Find papers                                           1 step   1.2 s
1/3       ▶ Read them                                           0/1 step     7 s
            ▶ fetch the log  45% 1.2 MB                             tool     7 s
          · Write

checks    ✓ links resolve                                                   0.95

draft     Result
54 ch.
          The log is the truth:

          • one writer
          • ma

sources 1  1 The Log  https://example.org/log











no event for 6 s; step 'fetch the log' is running                        q leave
""")


@pytest.mark.parametrize(
    ("flow", "said"),
    [(None, "1 events\n"), ((0.4, 0.0), "1 events · 0.4/s · lag 0 ms\n"), ((1234.4, 1.52), " · 1.2k/s · lag 1.5 s\n")],
)
def test_while_events_flow_it_is_told_how_fast_and_how_late(log: Any, printed: Any, flow: Any, said: str) -> None:
    state = log.start().state()
    assert said in printed(live.render(state, width=60, height=10, look=Look(flow=flow)), 60)


def test_at_the_end_a_failed_step_stands_under_its_entry_of_the_plan(log: Any, printed: Any) -> None:
    log.start()
    log.plan(0.1, 1, "Find", "Write", type_="plan.created")
    entry = log.state().plan[0]["id"]
    for step_id, status in (("a", "failed"), ("b", "ok")):
        log.add(1.0, "step.started", step_id=step_id, title=f"fetch {step_id}", kind="tool", parent=entry)
        log.add(
            2.0, "step.completed", step_id=step_id, status=status, **({"error": "404"} if status == "failed" else {})
        )
    assert "fetch a" not in printed(live.render(log.state(), width=60, height=20), 60), "while it runs it is a number"
    log.add(3.0, "run.completed", status="completed", exit_code=0)
    shown = printed(live.render(log.state(), width=60, height=20), 60)
    assert "✗ fetch a" in shown
    assert "404" in shown
    assert "fetch b" not in shown


def test_a_failed_step_says_why(log: Any, printed: Any) -> None:
    log.start()
    log.add(1.0, "step.started", step_id="a", title="fetch", kind="tool")
    log.add(2.0, "step.completed", step_id="a", status="failed", error="404 Not Found\nno such paper")
    log.add(2.0, "step.started", step_id="b", title="delete everything", kind="tool")
    log.add(2.5, "step.completed", step_id="b", status="denied")
    log.add(3.0, "step.started", step_id="c", title="think", kind="model")
    log.add(3.5, "step.completed", step_id="c", status="abandoned")
    log.add(4.0, "error.raised", message="rate limited", severity="error", fatal=True)
    log.add(5.0, "approval.requested", approval_id="x", title="May I write to /tmp?")
    assert printed(live.render(log.state(), width=70, height=20, now=70.0), 70) == snapshot("""\
review                                                 ● running  1:10
                                                              9 events
──────────────────────────────────────────────────────────────────────
approve   ? May I write to /tmp?

steps     ✗ fetch                                         tool   1.0 s
3/3         404 Not Found⏎no such paper
          ✗ delete everything                             tool   0.5 s
            denied
          ✗ think                                         model  0.5 s
            abandoned: the agent ended before the step did

errors 1  rate limited






no event for 1:05; waiting for an approval
""")


def test_a_long_draft_shows_its_end(log: Any, printed: Any) -> None:
    log.start()
    for number in range(2000):
        log.add(1.0, "text.delta", message_id="a", text=f"Line number {number} of the draft.\n")
    assert printed(live.render(log.state(), width=60, height=10), 60) == snapshot("""\
review                                       ● running  0:01
                                                 2.0k events
draft     Line number 1993 of the draft.
60.9k ch. Line number 1994 of the draft.
          Line number 1995 of the draft.
          Line number 1996 of the draft.
          Line number 1997 of the draft.
          Line number 1998 of the draft.
          Line number 1999 of the draft.

""")


def test_an_answer_that_is_cut_says_so_once_the_run_is_over(log: Any, printed: Any) -> None:
    log.start().add(1.0, "text.delta", message_id="a", text="word\n" * 10_000)
    assert "this is the end" not in printed(live.render(log.state(), width=60, height=10), 60)
    log.add(2.0, "run.completed", status="completed", exit_code=0, reconciled=True, findings=[])
    assert "answer    ↑ this is the end of 50.0k characters\n" in printed(live.summary(log.state(), width=60), 60)


def test_a_finding_of_many_words_is_cut_with_an_ellipsis(log: Any, printed: Any) -> None:
    log.start()
    findings = [" ".join(f"word{at}" for at in range(40)), "short"]
    log.add(9.0, "run.completed", status="failed", exit_code=1, reconciled=False, findings=findings)
    shown = printed(live.render(log.state(), width=70, height=20, now=500.0, seal=""), 70).splitlines()
    last = [text for text in shown if "word" in text][-1]
    assert last.endswith("…")
    assert len(last) <= 70
    assert sum("word" in text for text in shown) == 3
    assert any(text.endswith("! short") for text in shown)


def test_an_interrupted_run(log: Any, printed: Any) -> None:
    log.start()
    log.plan(0.1, 1, "Find", "Write", type_="plan.created")
    log.add(4.1, "text.delta", message_id="a", text="half an ans")
    findings = ["step 'x' was open", {"code": "cut", "message": "the answer has no end"}]
    log.add(9.0, "run.completed", status="interrupted", signal="SIGKILL", reconciled=False, findings=findings)
    assert printed(live.render(log.state(), width=70, height=20, now=500.0, seal="sha256:12ab"), 70) == snapshot("""\
review                                             ✗ interrupted  0:09
                                                              4 events
━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━───────────────────────────────────
result    ✗ interrupted · signal SIGKILL
          ✗ not reconciled: 2 findings
          ! step 'x' was open
          ! the answer has no end
          seal sha256:12ab

plan      ✓ Find
1/2       · Write

answer    half an ans







""")


def test_a_completed_run(log: Any, printed: Any) -> None:
    log.start()
    log.plan(0.1, 2, "Find", "Write", type_="plan.created")
    log.add(4.1, "text.delta", message_id="a", text="an answer")
    answer = {"message_id": "a", "length": 9}
    log.add(9.0, "run.completed", status="completed", exit_code=0, reconciled=True, findings=[], answer=answer)
    assert printed(
        live.summary(log.state(), width=70, run_id="k3v9p2", seal="sha256:12ab", note="left"), 70
    ) == snapshot("""\
review  k3v9p2                                       ✓ completed  0:09
                                                              4 events
━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
result    ✓ completed · exit code 0
          ✓ reconciled: the answer is what was streamed

plan      ✓ Find
2/2       ✓ Write

answer    an answer

seal sha256:12ab

left
""")


def test_two_hundred_steps_show_what_runs_and_what_came_last(log: Any, printed: Any) -> None:
    log.start()
    for number in range(200):
        log.add(float(number), "step.started", step_id=f"s{number}", title=f"step {number}", kind="tool")
        if number not in (3, 150):
            log.add(number + 0.5, "step.completed", step_id=f"s{number}", status="ok")
    assert printed(live.render(log.state(), width=50, height=10, now=200.0), 50) == snapshot("""\
review                             ● running  3:20
                                        399 events
steps     ▶ step 3                    tool  ⠋ 3:17
198/200   ▶ step 150                  tool  ⠋ 50 s
          ✓ step 195                  tool   0.5 s
          ✓ step 196                  tool   0.5 s
          ✓ step 197                  tool   0.5 s
          ✓ step 198                  tool   0.5 s
          ✓ step 199                  tool   0.5 s

""")


def test_steps_are_nested_under_their_entries_and_two_hundred_are_folded(log: Any, printed: Any) -> None:
    log.start()
    log.plan(0.1, 2, *(f"Part {number}" for number in range(30)), type_="plan.created")
    log.add(0.1, "step.started", step_id="early", title="look", kind="tool", parent="0")
    log.add(0.9, "step.completed", step_id="early", status="failed", error="no such page")
    for number in range(200):
        parent = "2" if number % 50 else "s1"
        log.add(1.0 + number, "step.started", step_id=f"s{number}", title=f"fetch {number}", kind="tool", parent=parent)
        if number not in (100, 199):
            status = "failed" if number == 42 else "ok"
            log.add(1.5 + number, "step.completed", step_id=f"s{number}", status=status, error="404")
    log.add(201.0, "step.started", step_id="other", title="tidy up", kind="tool")
    assert printed(live.render(log.state(), width=70, height=20, now=202.3, run_id="k3v9p2"), 70) == snapshot("""\
review  k3v9p2                                         ● running  3:22
                                                            403 events
━━━━──────────────────────────────────────────────────────────────────
plan      ✓ Part 0  1 failed                            1 step   0.8 s
2/30      ✓ Part 1
          ▶ Part 2  1 failed                     197/199 steps  ⠇ 3:20
            … 194 more
            ✗ fetch 42                                    tool   0.5 s
              404
            ▶ fetch 100                                   tool  ⠇ 1:41
            ✓ fetch 197                                   tool   0.5 s
            ✓ fetch 198                                   tool   0.5 s
            ▶ fetch 199                                   tool   ⠇ 2 s
          · Part 3
          · Part 4
          · Part 5
          ↓ 24 more

steps 1/2 ▶ tidy up                                       tool   ⠇ 1 s

""")


def test_an_entry_that_is_a_step_of_its_own_says_how_long_it_takes_and_why_it_failed(log: Any, printed: Any) -> None:
    log.start().plan(0.1, 1, "Find", "Read", "Write", type_="plan.created")
    log.add(1.0, "step.started", step_id="0", title="Find", kind="plan")
    log.add(1.1, "step.started", step_id="a", title="search", kind="tool", parent="0")
    log.add(2.0, "step.completed", step_id="a", status="ok")
    log.add(3.0, "step.completed", step_id="0", status="failed", error="nothing found")
    log.add(3.0, "step.started", step_id="1", title="Read", kind="plan")
    log.add(3.1, "step.started", step_id="b", title="think", kind="model", parent="1")
    log.add(3.1, "step.started", step_id="b1", title="a closer look", kind="model", parent="b")
    assert printed(live.render(log.state(), width=70, height=12, now=5.0), 70) == snapshot("""\
review                                                 ● running  0:05
                                                              9 events
━━━━━━━━━━━━━━━━━━━━━━━───────────────────────────────────────────────
plan      ✓ Find  nothing found                         1 step   2.0 s
1/3       ▶ Read                                     0/2 steps   ⠋ 2 s
            ▶ think                                       model  ⠋ 1 s
              ▶ a closer look                             model  ⠋ 1 s
          · Write




""")


def test_what_runs_turns_while_events_come_and_stands_still_in_silence(log: Any) -> None:
    log.start().add(1.0, "step.started", step_id="s", title="search", kind="tool")

    def shown(now: float) -> str:
        return str(live.render(log.state(), width=60, height=8, now=now).lines[2].plain[-6:])

    assert len({shown(now / 10) for now in range(11, 24)}) > 5
    assert shown(6.0) == "   5 s"


def test_steps_that_began_at_one_moment_stay_in_their_order_whichever_ended_first(log: Any) -> None:
    log.start()
    for step_id, parent in (("find", None), ("search", "find"), ("fetch", "find")):
        log.add(1.0, "step.started", step_id=step_id, title=step_id, kind="tool", parent=parent)
    for step_id, status in (("search", "ok"), ("fetch", "failed"), ("find", "ok")):
        log.add(2.0, "step.completed", step_id=step_id, status=status, error="404")
    shown = [text.plain for text in live.render(log.state(), width=60, height=14).lines]
    titles = [text[10:30].rstrip() for text in shown if "tool" in text]
    assert titles == ["✓ find", "  ✓ search", "  ✗ fetch"]


def test_a_diverged_answer(log: Any, printed: Any) -> None:
    log.start().add(1.0, "text.delta", message_id="a", text="It is 41.")
    log.add(2.0, "run.declared", status="completed", answer={"message_id": "a", "text": "It is 42."})
    found = [
        {"code": "answer-differs", "severity": "error", "message": "the answer differs at character 7: '1' for '2'"}
    ]
    answer = {"message_id": "a", "length": 9, "text": "It is 41."}
    log.add(2.0, "run.completed", status="completed", exit_code=0, reconciled=False, findings=found, answer=answer)
    assert printed(live.render(log.state(), width=60, height=12), 60) == snapshot("""\
review                                     ✓ completed  0:02
                                                    4 events
────────────────────────────────────────────────────────────
result    ✓ completed · exit code 0
          ✗ not reconciled: 1 finding
          ! the answer differs at character 7: '1' for '2'

answer    It is 41.




""")


def test_text_from_right_to_left_stays_in_its_order_and_in_its_columns(log: Any, printed: Any) -> None:
    log.start("סקירה")
    log.plan(0.1, 1, "חיפוש מאמרים", "قراءة المصادر", type_="plan.created")
    log.add(1.0, "text.delta", message_id="a", text="שלום world \u202egnorw\u202c مرحبا بالعالم 1 2 3")
    shown = printed(live.render(log.state(), width=50, height=12, now=2.0), 50)
    assert shown == snapshot("""\
סקירה                              ● running  0:02
                                          3 events
━━━━━━━━━━━━━━━━━━━━━━━━━─────────────────────────
plan      ✓ חיפוש מאמרים
1/2       ▶ قراءة المصادر

draft     שלום world <U+202E>gnorw<U+202C> مرحبا
38 ch.    بالعالم 1 2 3




""")
    assert max(cell_len(part) for part in shown.split("\n")) <= 50
    assert "\u202e" not in shown


def test_emoji_with_all_their_parts_stay_in_their_columns(log: Any, printed: Any) -> None:
    log.start("🚀 launch")
    log.plan(0.1, 1, "✅ done", "⚠\ufe0f careful", "🏳\ufe0f flag", type_="plan.created")
    log.add(1.0, "text.delta", message_id="a", text="👍🏽 🇩🇪 👨\u200d👩\u200d👧 1\ufe0f\u20e3 " * 3)
    shown = printed(live.render(log.state(), width=50, height=12, now=2.0), 50)
    assert shown == snapshot("""\
🚀 launch                          ● running  0:02
                                          3 events
━━━━━━━━━━━━━━━━──────────────────────────────────
plan      ✓ ✅ done
1/3       ▶ ⚠ careful
          · 🏳 flag

draft     👍🏽 🇩🇪 👨<U+200D>👩<U+200D>👧 1<U+FE0F>⃣
48 ch.    👍🏽 🇩🇪 👨<U+200D>👩<U+200D>👧 1<U+FE0F>⃣
          👍🏽 🇩🇪 👨<U+200D>👩<U+200D>👧 1<U+FE0F>⃣


""")
    assert max(cell_len(part) for part in shown.split("\n")) <= 50


def test_wide_characters_stay_in_their_columns(log: Any, printed: Any) -> None:
    log.start("文献レビュー")
    log.plan(0.1, 1, "論文を探す", "それらを読んで、主張を抜き出して、比較する", type_="plan.created")
    log.add(1.0, "step.started", step_id="s", title="検索、耐久ストリーミングについての論文を全部", kind="tool")
    log.add(2.0, "text.delta", message_id="a", text="各表示は保存されたイベントから描画されます。👩\u200d💻 e\u0301")
    shown = printed(live.render(log.state(), width=50, height=14, now=3.0), 50)
    assert shown == snapshot("""\
文献レビュー                       ● running  0:03
                                          4 events
━━━━━━━━━━━━━━━━━━━━━━━━━─────────────────────────
plan      ✓ 論文を探す
1/2       ▶ それらを読んで、主張を抜き出して、比 …

steps 0/1 ▶ 検索、耐久ストリーミン …  tool   ⠼ 2 s

draft     各表示は保存されたイベントから描画されま
28 ch.    す。👩<U+200D>💻 é




""")
    assert max(cell_len(part) for part in shown.split("\n")) <= 50


def test_a_tiny_terminal(log: Any, printed: Any) -> None:
    log.start()
    log.plan(0.1, 1, "Find", "Write", type_="plan.created")
    assert printed(live.render(log.state(), width=10, height=3, now=3.0, hint="q leave"), 10) == snapshot("""\
● running
✓ Find
▶ Write
""")


def test_a_run_of_unknown_types_without_a_beginning_says_what_it_is(log: Any, printed: Any) -> None:
    log.add(1.0, "myapp.cache_hit", key=1)
    assert printed(live.render(log.state(), width=60, height=8, run_id="k3v9p2"), 60) == snapshot("""\
k3v9p2                                       ● running  0:01
                                                    1 events

nothing to show here yet: 1 events so far; durastream events
prints them



""")


def test_two_columns_where_there_is_room(log: Any, printed: Any) -> None:
    log.start()
    log.plan(0.1, 1, "Find", "Write", type_="plan.created")
    log.add(
        1.0, "text.delta", message_id="a", text="The left column is what is done, the right one what is written. " * 2
    )
    log.add(1.0, "reasoning.delta", text="I think that this is right.")
    assert printed(live.render(log.state(), width=100, height=12, now=3.0), 100) == snapshot("""\
review                                                                               ● running  0:03
                                                                                            4 events
━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━──────────────────────────────────────────────────
plan      ✓ Find                                thinking  I think that this is right.
1/2       ▶ Write
                                                draft     The left column is what is done, the right
                                                128 ch.   one what is written. The left column is
                                                          what is done, the right one what is
                                                          written.



""")


def test_a_retracted_draft_says_so(log: Any, printed: Any) -> None:
    log.start()
    log.add(1.0, "text.delta", message_id="a", text="wrong")
    log.add(2.0, "text.retracted", message_id="a", reason="the numbers were off")
    log.add(3.0, "text.delta", message_id="a", text="right")
    assert printed(live.render(log.state(), width=60, height=8), 60) == snapshot("""\
review                                       ● running  0:03
                                                    4 events
draft     ! rewritten once: the numbers were off
5 ch.     right




""")


def test_silence_is_told_in_words(log: Any, printed: Any) -> None:
    def foot(now: float, note: str = "") -> str:
        shown: str = printed(live.render(log.state(), width=70, height=8, now=now, note=note, hint="q leave"), 70)
        return shown.rstrip("\n").rpartition("\n")[2]

    log.start()
    assert foot(4.0) == " " * 63 + "q leave"
    assert foot(42.0).startswith("no event for 42 s   ")
    log.add(50.0, "step.started", step_id="s", title="search", kind="tool")
    assert foot(92.0).startswith("no event for 42 s; step 'search' is running   ")
    log.add(50.0, "step.started", step_id="t", title="fetch", kind="tool")
    assert foot(172.0).startswith("no event for 2:02; 2 steps are running   ")
    log.add(50.0, "approval.requested", approval_id="x", title="May I?")
    assert foot(92.0).startswith("no event for 42 s; waiting for an approval   ")
    assert foot(92.0, "sent SIGINT; again for SIGTERM").startswith("sent SIGINT; again for SIGTERM   ")
    assert foot(92.0, "x" * 65) == "x" * 65
    log.add(60.0, "run.completed", status="failed", exit_code=1)
    assert foot(9999.0) == " " * 63 + "q leave"


@pytest.mark.parametrize("height", [0, 1, 2, 3, 4, 5, 7, 9, 14, 24, 50])
@pytest.mark.parametrize("width", [1, 2, 5, 10, 11, 29, 49, 50, 80, 99, 100, 200])
def test_no_size_is_overrun(log: Any, width: int, height: int) -> None:
    log.start("a name that is rather long for a small terminal")
    log.plan(0.1, 1, *(f"entry {number} 日本語" for number in range(30)), type_="plan.created")
    for number in range(30):
        log.add(1.0, "step.started", step_id=f"{number}", title=f"step {number} " * 9, kind="tool")
        log.add(1.0, "source.added", source_id=f"{number}", title="source " * 20, url="https://example.org/" * 9)
        log.add(1.0, "log.line", text="log " * 90)
    log.add(2.0, "step.completed", step_id="3", status="failed", error="why " * 90)
    log.add(2.0, "text.delta", message_id="a", text="word " * 5000 + "x" * 5000)
    lines = live.render(log.state(), width=width, height=height, now=99.0, run_id="k3v9p2").lines
    assert len(lines) == height
    assert max((text.cell_len for text in lines), default=0) <= width


def test_a_megabyte_of_draft_costs_no_more_than_the_screen(log: Any) -> None:
    """Counts the characters that are looked at and the lines that are laid out; no clock."""
    log.start()
    for _ in range(1000):
        log.add(1.0, "text.delta", message_id="a", text="some words of a draft\n" * 50)
    assert log.state().messages["a"].length > 1_000_000
    state, looked_at, laid_out = log.state(), [], []

    def tail(message: Any, count: int) -> str:
        looked_at.append(text := original_tail(message, count))
        return text

    def wrap(*args: Any) -> list[Any]:
        laid_out.extend(lines := original_wrap(*args))
        return lines

    original_tail, original_wrap = draft.tail, draft.wrap
    with patch.object(draft, "tail", tail), patch.object(draft, "wrap", wrap):
        live.render(state, width=80, height=24)
    assert sum(map(len, looked_at)) < 2 * (80 * 24 + 1024)
    assert len(laid_out) < 2 * 24


def test_the_end_of_a_growing_draft_is_cut_at_a_place_that_stays(log: Any) -> None:
    log.add(1.0, "text.delta", message_id="a", text="word " * 1000)
    state = log.state()
    message = state.messages["a"]
    first = draft.tail(message, 600)
    message.append("more")
    assert draft.tail(message, 600) == first + "more"


def test_a_draft_cut_inside_a_code_block_stays_code() -> None:
    from durastream.message import Message

    message = Message("a")
    message.append("x = **2**\n```\nprose **bold**\n```python\ny = **3**\n```\n")
    shown = [text.plain for text in draft.text_lines(message, 40, 20)]
    assert shown == ["  x = **2**", "prose bold", "  python", "  y = **3**"]


def test_words_between_stars_are_italic_and_stars_that_count_are_stars() -> None:
    message = Message("a")
    message.append("*before* the *data files*, 2 * 3 * 4, a*b*c, ** no, *un done\n")
    (shown,) = draft.text_lines(message, 80, 20)
    assert shown.plain == "before the data files, 2 * 3 * 4, a*b*c, ** no, *un done"
    assert [shown.plain[span.start : span.end] for span in shown.spans if span.style == "italic"] == [
        "before",
        "data files",
    ]


def test_plain_output_is_shown_as_it_is() -> None:
    from durastream.message import Message

    message = Message("stdout")
    message.append("# not a heading\n\n\n**not bold**\r\n50 %\r100 %\r\n")
    shown = [text.plain for text in draft.text_lines(message, 40, 20, markup=False)]
    assert shown == ["# not a heading", "", "", "**not bold**", "100 %"]


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("", 5, [""]),
        ("one two three", 20, ["one two three"]),
        ("one two three", 7, ["one two", "three"]),
        ("one two three", 3, ["one", "two", "thr", "ee"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("日本語です", 4, ["日本", "語で", "す"]),
        ("a    b", 3, ["a", "b"]),
    ],
)
def test_wrapping_breaks_between_words_where_it_can(text: str, width: int, lines: list[str]) -> None:
    assert [part.plain for part in wrap(line(text), width)] == lines


def test_wrapping_hangs_all_lines_but_the_first() -> None:
    assert [part.plain for part in wrap(line("- one two three"), 7, 2)] == ["- one", "  two", "  three"]


def test_lines_are_shared_first_by_rank_then_by_weight() -> None:
    def section(least: int, weight: int, rank: int) -> Section:
        return Section("x", lambda width, room: [], least=least, weight=weight, rank=rank)

    sections = [section(1, 1, 5), section(2, 3, 1)]
    assert share(0, sections, [9, 9]) == [0, 0]
    assert share(2, sections, [9, 9]) == [0, 2]
    assert share(3, sections, [9, 9]) == [1, 2]
    assert share(7, sections, [9, 9]) == [2, 5]
    assert share(50, sections, [4, 3]) == [4, 3]


def test_the_same_state_gives_the_same_picture(log: Any) -> None:
    log.start().plan(0.1, 1, "Find", "Write", type_="plan.created")
    svg = live.picture(log.state(), run_id="k3v9p2", width=60, height=8, title="a run")
    assert svg == live.picture(log.state(), run_id="k3v9p2", width=60, height=8, title="a run")
    assert "Find" in svg
    assert "a&#160;run" in svg or "a run" in svg
    assert "url(" not in svg.replace("url(#", "")  # nothing is fetched when it is looked at


def test_no_color_is_respected(log: Any) -> None:
    log.start()
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=60, _environ={"NO_COLOR": "1", "TERM": "xterm-256color"})
    console.print(live.render(log.state(), width=60, height=8))
    assert "\x1b[36m" not in out.getvalue()
    assert "\x1b[3" not in out.getvalue()


def test_a_dumb_terminal_or_a_pipe_does_not_suit_the_screen() -> None:
    def console(terminal: bool, term: str) -> Console:
        return Console(file=io.StringIO(), force_terminal=terminal, _environ={"TERM": term})

    assert live.suitable(console(True, "xterm"))
    assert not live.suitable(console(True, "dumb"))
    assert not live.suitable(console(False, "xterm"))


def test_a_very_narrow_column_has_no_gutter() -> None:
    section = Section("plan", lambda width, room: [line("x" * width)])
    assert [text.plain for text in frame.column([section], 4 * frame.GUTTER, 1)] == ["plan      " + "x" * 30]
    assert [text.plain for text in frame.column([section], 4 * frame.GUTTER - 1, 1)] == ["x" * 39]


def test_sources_are_numbered_and_are_links_only_when_that_was_asked_for(log: Any) -> None:
    log.start()
    for number, url in enumerate(("https://example.org/a", "http://x\x07y", "file:///etc/passwd", "https://é.org")):
        log.add(1.0, "source.added", source_id=str(number), title=f"title {number}", url=url)

    def shown(links: bool) -> str:
        out = io.StringIO()
        console = Console(file=out, force_terminal=True, width=80, _environ={"TERM": "xterm-256color"})
        painter = Painter(console)
        painter.paint(live.render(log.state(), width=80, height=20, look=Look(links=links)).lines, (80, 20))
        return out.getvalue()

    assert "\x1b]8" not in shown(links=False)
    assert re.findall(r"\x1b\]8;id=[0-9]+;([^\x1b]+)\x1b", shown(links=True)) == ["https://example.org/a"]
    for links in (False, True):
        assert " 1 " in shown(links)
        assert "title 3" in shown(links)
        assert "\x07" not in shown(links)
