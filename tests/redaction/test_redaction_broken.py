"""What somebody found who tried to get a secret past the guard, or to make it slow: none of it works any more."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redaction_kit import CANARY, KNOWN, ON, Live, delta, line

from durastream.events import Pending, Src, dumps, expanded
from durastream.redaction.catalogue import Rules, Span
from durastream.redaction.guard import Guard, Patch
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


PEM = "-----BEGIN PRIVATE KEY-----\n" + "aB3+xY9/" * 60 + "\n-----END PRIVATE KEY-----"
LONG = [(PEM, "xY9/aB3+"), ("ghp_" + "a1B2" * 60, "a1B2a1B2"), ("eyJhbGciOiJI." + "eyJz" * 200 + ".c2ln", "eyJzeyJz")]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(LONG),
    st.sampled_from(["", " tail", " -----BEGIN P", "\n", " sk-", f" {CANARY[:9]}"]),
    st.sets(st.integers(1, 900), max_size=6),
    st.sampled_from([(), ("ACME-[0-9]{6}",)]),
)
def test_a_long_secret_is_masked_to_its_end_wherever_it_is_cut(
    secret: tuple[str, str], tail: str, cuts: set[int], patterns: tuple[str, ...]
) -> None:
    text = f"it is {secret[0]}{tail}"
    places = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    found = [delta(text[at:end], at) for at, end in pairwise(places)]
    guard = guard_of(*patterns)
    out = [each.data["text"] for piece in found for each in guard.take([piece])]
    out += [each.data["text"] for each in guard.close()]
    assert secret[1] not in "".join(out)
    assert [len(each) for each in out] == [len(each.data["text"]) for each in found]
    assert out == [each["text"] for each in kept(guard_of(*patterns), *found)]


def test_a_line_is_masked_once_when_its_end_is_decided_later() -> None:
    """What is masked already is not there any more, and its like is found elsewhere in the line."""
    raw = Redactor(ON).raw()
    assert raw is not None
    line_ = b'{"reason": 1, "text": "a", "more": "' + b" " * 1200
    patch = Patch(Src("events", 0), "a", [(0, 1, "d")])
    raw.feed(line_ + SECRET[:9].encode())
    assert not raw.patch(patch)
    assert not raw.patch(patch)
    raw.feed(b' "}\n')
    assert raw.patch(patch)
    assert raw.take(raw.at) == line_.replace(b'"a"', b'"d"') + SECRET[:9].encode() + b' "}\n'
