"""What somebody found who tried to get a secret past the guard, or to make it slow: none of it works any more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from redaction_kit import CANARY, KNOWN, ON, Live, delta, line

from durastream.events import Pending, Src, dumps, expanded
from durastream.redaction.catalogue import Rules, Span
from durastream.redaction.guard import Guard
from durastream.redaction.redactor import Redactor

SECRET = KNOWN["aws"][0]


def event(type_: str, **data: Any) -> Pending:
    return Pending(type_, data, dumps(data), Src("events", 0))


def guard_of(*patterns: str) -> Guard:
    guard = Redactor({**ON, "patterns": patterns}).guard()
    assert guard is not None
    return guard


def kept(guard: Guard, *found: Pending) -> list[dict[str, Any]]:
    return [each.data for each in guard.take([*found]) + guard.close()]


@pytest.mark.parametrize("type_", ["reasoning.delta", "log.line", "terminal.output"])
@pytest.mark.parametrize("more", [{"signature": SECRET}, {"x": CANARY}, {"message_id": None, "x": SECRET}])
def test_what_stands_beside_a_text_that_belongs_to_no_message_is_looked_at(type_: str, more: dict[str, Any]) -> None:
    plain, odd = event(type_, text="said "), event(type_, text="said ", **more)
    for found in ([odd], [plain, odd], [odd, plain]):
        stored = str(kept(guard_of(), *found))
        assert SECRET not in stored
        assert CANARY not in stored


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ('ACME "[0-9]+"', 'an ACME "123456" here'),
        ("^ACME[0-9]+", "ACME123456"),
        (r"a\\b[0-9]+", "a\\b123456"),
        (r"a\nb[0-9]+", "a\nb123456"),
        ("ACME[0-9]+$", "an ACME123456\n"),
        (r"\<[0-9]+", "<123456"),
        ("A[+--]C[0-9]+", "A-C123456"),
    ],
)
@pytest.mark.filterwarnings("ignore:Possible set difference")
def test_a_pattern_means_what_it_means_in_python_and_in_any_event(pattern: str, text: str) -> None:
    for found in (delta(text), event("step.started", step_id="s", input={"said": [text]})):
        assert "123456" not in str(kept(guard_of(pattern), found)), found


@pytest.mark.parametrize("type_", ["x.y", "log.line", "raw.rejected"])
def test_the_name_of_a_field_may_be_a_secret(type_: str) -> None:
    (data,) = kept(guard_of(), event(type_, **{"text": "said", SECRET: 1, "last": CANARY}))
    assert (SECRET in str(data), CANARY in str(data)) == (False, False)
    assert [*data][0::2] == ["text", "last"]


def test_what_waits_in_a_stream_that_never_rests_waits_two_seconds(tmp_path: Path) -> None:
    live = Live(tmp_path / "run")
    (tail,) = [each for each in live.recorder._tails if each.stream == "events"]
    live.write("events", line("text.delta", message_id="m", text="a key: " + SECRET[:9]))
    came = tail.read(100.0, at_once=True)
    shown: list[tuple[float, str]] = []
    for tenth in range(1, 31):
        live.write("events", line("log.line", stream="s", text=f"{tenth}"))
        came = tail.read(100 + tenth / 10, at_once=True)
        shown += [(tenth / 10, each.data["text"]) for each in expanded(came or [])]
    first, behind = shown[0], shown[1:21]
    assert first == (2.0, "a key: " + SECRET[:9])
    assert [text for _, text in behind] == [str(tenth) for tenth in range(1, 21)]
    live.end()


class Unlisted(dict[Any, Any]):
    """One that nobody goes through."""

    def __iter__(self) -> Any:
        raise AssertionError

    values = items = keys = __iter__


def test_messages_that_never_end_cost_a_batch_nothing() -> None:
    guard = guard_of()
    guard._texts, guard._told = Unlisted(), Unlisted()
    for at in range(300):
        found = [delta(f"a key? {SECRET[:9]}", at, f"m{at}"), delta(" no", at, f"m{at}")]
        assert guard.take(found[:1]) == []
        assert guard.overdue(float(at)) is None
        assert guard.undecided_at == at
        assert guard.take(found[1:]) == found
    assert not guard.holds


def test_a_key_in_single_characters_is_searched_when_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    searched = 0
    find = Rules.find

    def counted(self: Rules, text: str) -> list[Span]:
        nonlocal searched
        searched += 1
        return find(self, text)

    monkeypatch.setattr(Rules, "find", counted)
    key = "-----BEGIN PRIVATE KEY-----\n" + "aB3+" * 500 + "\n-----END PRIVATE KEY-----"
    guard = guard_of()
    out = [each for at, character in enumerate(key) for each in guard.take([delta(character, at, "m")])]
    assert "aB3+" not in "".join(each.data["text"] for each in out + guard.close())
    assert searched < 200
