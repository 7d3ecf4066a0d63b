"""However the events of a stream are read, in one piece or in many: the same is masked, and nothing waits in vain."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from redaction_kit import CANARY, KNOWN, ON, delta

from durastream.events import Deltas, Found, Pending, Src, dumps, expanded
from durastream.redaction.redactor import Redactor

SPOKEN = ["plain words ", "AK", "IA", "sk", "-", "token=", *(text[:9] for text, _ in KNOWN.values()), CANARY]
SPOKEN += [CANARY[:8], CANARY[8:], KNOWN["aws"][0][:7], KNOWN["aws"][0][7:], "canary", "c"]
NAMES = ["m", "n", "o"]

acts = st.lists(
    st.tuples(st.just("say"), st.sampled_from(NAMES), st.lists(st.sampled_from(SPOKEN), min_size=1, max_size=3))
    | st.tuples(st.sampled_from(["think", "log"]), st.sampled_from(["stdout", "stderr"]), st.sampled_from(SPOKEN))
    | st.tuples(st.sampled_from(["complete", "retract", "declare"]), st.sampled_from(NAMES), st.just("")),
    max_size=40,
)
cuts = st.lists(st.integers(1, 12), min_size=1, max_size=6)


def event(type_: str, **data: Any) -> Pending:
    return Pending(type_, data, dumps(data), Src("events", 0))


def told(acts: Sequence[tuple[str, str, Any]]) -> list[Pending]:
    """The events of what an agent says, which is always right about the hash of its text."""
    found: list[Pending] = []
    said: defaultdict[str, str] = defaultdict(str)
    for act, name, text in acts:
        sha = hashlib.sha256(said[name].encode()).hexdigest()
        if act == "say":
            found += [delta(piece, 0, name) for piece in text]
            said[name] += "".join(text)
        elif act == "think":
            found.append(event("reasoning.delta", text=text))
        elif act == "log":
            found.append(event("log.line", stream=name, text=text))
        elif act == "complete":
            found.append(event("text.completed", message_id=name, sha256=sha, length=len(said[name])))
            found.append(event("run.declared", answer={"message_id": name, "sha256": sha}))
            said[name] = ""
        elif act == "retract":
            found.append(event("text.retracted", message_id=name, reason="no"))
            said[name] = ""
        else:
            found.append(event("run.declared", answer={"message_id": name, "sha256": sha}))
    return found


def together(found: list[Pending]) -> list[Found]:
    """The same with pieces that follow each other as one."""
    made: list[Found] = []
    for each in found:
        if each.type != "text.delta":
            made.append(each)
            continue
        name, text = each.data["message_id"], each.data["text"]
        before = made[-1] if made else None
        if isinstance(before, Deltas) and before.message_id == name:
            made[-1] = Deltas(name, [*before.texts, text], [*before.jsons, dumps(text)[1:-1].encode()], "events",
                              [*before.offsets, 0])  # fmt: skip
        else:
            made.append(Deltas(name, [text], [dumps(text)[1:-1].encode()], "events", [0]))
    return made


def read(
    found: Sequence[Pending], sizes: Sequence[int], *, deltas: bool = False
) -> tuple[list[tuple[str, dict[str, Any]]], Counter[str]]:
    """What a guard gives out of events that come so many at a time, and what it counted."""
    redactor = Redactor(ON)
    guard = redactor.guard()
    assert guard is not None
    out: list[Pending] = []
    at = turn = 0
    while at < len(found):
        size = sizes[turn % len(sizes)]
        some = [Pending(*each) for each in found[at : at + size]]
        out += expanded(guard.sift(together(some) if deltas else [*some]))
        at, turn = at + size, turn + 1
    return [(each.type, each.data) for each in (*out, *guard.close())], redactor.counts


@settings(max_examples=150, deadline=None)
@given(acts, cuts)
def test_what_is_masked_is_the_same_however_events_are_read(acts: list[tuple[str, str, Any]], sizes: list[int]) -> None:
    found = told(acts)
    once = read(found, [1])
    assert once == read(found, sizes) == read(found, [len(found) or 1]) == read(found, sizes, deltas=True)
    events, _ = once
    assert [type_ for type_, _ in events] == [each.type for each in found]
    kept: dict[str, str] = dict.fromkeys(NAMES, "")
    for type_, data in events:
        assert not any(secret in str(data) for secret in (CANARY, KNOWN["aws"][1]))
        if type_ == "text.delta":
            kept[data["message_id"]] += data["text"]
        elif type_ == "text.completed":
            assert data["sha256"] == hashlib.sha256(kept[data["message_id"]].encode()).hexdigest()
            kept[data["message_id"]] = ""
        elif type_ == "text.retracted":
            kept[data["message_id"]] = ""


def test_a_message_that_begins_again_after_its_end_is_another() -> None:
    acts = [("say", "m", [CANARY]), ("complete", "m", ""), ("say", "m", ["it is ", CANARY]), ("complete", "m", "")]
    for sizes in ([1], [2], [8]):
        events, _ = read(told(acts), sizes)
        hashes = [hashlib.sha256(data["text"].encode()).hexdigest() for type_, data in events if type_ == "text.delta"]
        assert CANARY not in str(events)
        whole = [data["sha256"] for type_, data in events if type_ == "text.completed"]
        second = "".join(data["text"] for type_, data in events[3:] if type_ == "text.delta")
        assert whole == [hashes[0], hashlib.sha256(second.encode()).hexdigest()]
        assert [data["answer"]["sha256"] for type_, data in events if type_ == "run.declared"] == whole


def test_what_ended_is_forgotten_but_for_what_may_be_declared_of_it() -> None:
    guard = Redactor(ON).guard()
    assert guard is not None
    for at in range(1_500):
        guard.take(told([("say", f"m{at}", ["ends like the beginning of a key: AK"])]))
        guard.take([event("text.completed", message_id=f"m{at}", sha256="", length=0)])
        guard.take([delta(CANARY, 0, f"n{at}"), event("text.completed", message_id=f"n{at}", sha256="", length=0)])
    assert not guard.holds
    assert len(guard._texts) + len(guard._told) <= 1_000


def test_each_beginning_waits_its_own_time() -> None:
    guard = Redactor(ON).guard()
    assert guard is not None
    first = "a key is " + KNOWN["aws"][0][:8]
    assert guard.take([delta(first, 0, "m")]) == []
    assert guard.overdue(100.0) is None
    assert guard.overdue(101.9) is None
    assert guard.take([delta(first, 0, "n")]) == []
    assert guard.overdue(101.95) is None
    out = guard.take([delta(" or not", 0, "m")])
    assert [each.data["text"] for each in out] == [first]
    assert guard.overdue(103.9) is None
    late = guard.overdue(104.0)
    assert late is not None
    assert [each.data["text"] for each in late] == [first, " or not"]
