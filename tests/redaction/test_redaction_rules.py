"""What is a secret, what is none, and that splitting a text hides nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st
from redaction_kit import CANARY, KNOWN, NEAR, ON, delta, line

from durastream.events import Deltas, Found, Pending, Src, dumps, expanded
from durastream.redaction.catalogue import KINDS, Rules, mask
from durastream.redaction.environment import looks_secret, settings
from durastream.redaction.redactor import Redactor

HARMLESS = [
    "max_tokens: 4096, output_tokens=12345",
    "token: str, password: str | None = None",
    "password = get_password1()",
    "password=$DB_PASSWORD1 and token=${TOKEN_FROM_ENV_1}",
    "the secret of the api key is that a password is a token",
    "http://localhost:8080/a@b and git@github.com:user/repo.git",
    "sk-learn, sk-estimator-html-doc-link-container, task-sk-1",
    "commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "toolu_01A09q90qw90lq917835lq9 call_abc123 6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOC\n-----END PUBLIC KEY-----",
    "eyJub3QiOiJhIGp3dCJ9 is JSON in base64",
]


@pytest.mark.parametrize("kind", KNOWN)
def test_a_secret_is_found_by_its_form_and_masked_by_as_many_characters(kind: str) -> None:
    text, secret = KNOWN[kind]
    made = Redactor(ON).value(f"before {text} after")
    assert secret not in made
    assert len(made) == len(f"before {text} after")
    assert made.startswith("before ")
    assert made.endswith(" after")


def test_each_kind_has_a_text_that_holds_one_and_one_that_nearly_does() -> None:
    assert set(KNOWN) == set(NEAR) == set(KINDS)


@pytest.mark.parametrize("text", [*HARMLESS, *NEAR.values()])
def test_what_only_looks_like_a_secret_stays(text: str) -> None:
    assert Redactor(ON).value(text) == text


@settings_of(max_examples=60)
@given(st.text())
def test_a_text_without_secrets_passes_unchanged(text: str) -> None:
    redactor = Redactor(ON)
    guard = redactor.guard()
    assert guard is not None
    found = [delta(piece) for piece in text.partition("e") if piece]
    assert [*guard.take(found), *guard.close()] == found
    assert not redactor.counts


@pytest.mark.parametrize("kind", ["env", *KNOWN])
def test_a_secret_that_is_split_over_two_or_three_pieces_is_masked_in_each(kind: str) -> None:
    text, secret = KNOWN.get(kind, (CANARY, CANARY))
    text = f"it is {text} ok"
    whole = Redactor(ON).value(text)
    for first in range(len(text) + 1):
        for second in {first, min(first + 3, len(text)), (first + len(text)) // 2}:
            parts = text[:first], text[first:second], text[second:]
            redactor = Redactor(ON)
            guard, raw = redactor.guard(), redactor.raw()
            assert guard is not None
            assert raw is not None
            found, at = [], 0
            for part in parts:
                bytes_ = json.dumps({"data": {"text": part}}).encode() + b"\n"
                raw.feed(bytes_)
                found += guard.take([delta(part, at)])
                at += len(bytes_)
            found += guard.close()
            raw.close()
            for patch in guard.patches:
                raw.patch(patch)
            assert "".join(each.data["text"] for each in found) == whole, parts
            assert [len(each.data["text"]) for each in found] == [len(part) for part in parts]
            assert sum(redactor.counts.values()) == 1
            kept = raw.take(at)
            assert len(kept) == at
            again = "".join(json.loads(each)["data"]["text"] for each in kept.splitlines())
            assert again == whole or (kind == "private-key" and secret not in again)  # there a newline is two bytes


def test_lines_of_a_log_hide_nothing_whether_they_are_lines_or_pieces_of_one() -> None:
    def log(text: str) -> Pending:
        data = {"stream": "stderr", "text": text}
        return Pending("log.line", data, dumps(data), Src("stderr", 0))

    key = KNOWN["private-key"][0].split("\n")
    for texts in ([*key], [CANARY[:5], CANARY[5:9], CANARY[9:]], ["x AKIAIOSF", "ODNN7EXAMPLE"]):
        guard = Redactor(ON).guard()
        assert guard is not None
        found = [*guard.take([log(text) for text in texts]), *guard.close()]
        joined = "".join(each.data["text"] for each in found)
        assert not any(secret in joined for secret in (CANARY, "MIIEowIBAAKCAQEA", "x1y2z3", "ODNN7EXAMPLE"))


def test_what_may_be_a_beginning_waits_in_order_and_not_for_ever() -> None:
    guard = Redactor(ON).guard()
    assert guard is not None
    begun, other = delta("it is " + CANARY[:6]), delta("aside", message_id="other")
    assert guard.take([begun, other]) == []
    assert guard.overdue(100.0) is None
    assert guard.overdue(101.0) is None
    assert guard.overdue(102.1) == [begun, other]
    rest = [*guard.take([delta(CANARY[6:])]), *guard.close()]
    assert rest[0].data["text"] == mask("env", len(CANARY))[6:]


def test_the_hash_that_an_agent_gives_of_its_text_becomes_that_of_the_stored_text() -> None:
    redactor = Redactor(ON)
    guard = redactor.guard()
    assert guard is not None
    text = f"it is {CANARY}"
    told = {"message_id": "answer", "sha256": hashlib.sha256(text.encode()).hexdigest(), "length": len(text)}
    wrong = {**told, "sha256": "0" * 64}
    end = Pending("text.completed", told, dumps(told), Src("events", 90))
    found = [*guard.take([delta(text), end]), *guard.close()]
    assert found[1].data["sha256"] == hashlib.sha256(found[0].data["text"].encode()).hexdigest()
    other = Redactor(ON).guard()
    assert other is not None
    lie = Pending("text.completed", wrong, dumps(wrong), Src("events", 90))
    assert other.take([delta(text), lie])[1] == lie  # a hash that was wrong stays wrong, for `verify` to find


@pytest.mark.parametrize("said", ["plain", CANARY])
def test_a_message_that_begins_anew_in_what_is_read_at_once_is_as_if_it_were_read_in_pieces(said: str) -> None:
    def ended(type_: str, **data: str) -> Pending:
        data = {"message_id": "answer", **data}
        return Pending(type_, data, dumps(data), Src("events", 0))

    told = hashlib.sha256(f"and {said} ".encode()).hexdigest()
    events = [
        delta(f"first {said} "), ended("text.retracted", reason="no"), delta(f"and {said[:5]}"), delta(f"{said[5:]} "),
        ended("text.completed", sha256=told), delta(said[:5]),
    ]  # fmt: skip
    found = []
    for size in (1, 2, 6):
        guard = Redactor(ON).guard()
        assert guard is not None
        out = [each for at in range(0, 6, size) for each in guard.take(events[at : at + size])]
        found.append([*out, *guard.close()])
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == len(events)
    stored = found[0][2].data["text"] + found[0][3].data["text"]
    assert found[0][4].data["sha256"] == hashlib.sha256(stored.encode()).hexdigest()


def test_fields_keys_and_bytes_of_events_are_looked_at() -> None:
    guard = Redactor(ON).guard()
    assert guard is not None
    data = {"step_id": "s", "title": "t", "input": {"password": "hunter22x", CANARY: [KNOWN["aws"][0]], "n": 1}}
    torn = {"reason": "x", "base64": base64.b64encode(b"\xff" + CANARY.encode()).decode()}
    found = guard.take([Pending("step.started", data, dumps(data)), Pending("raw.rejected", torn, dumps(torn))])
    assert not any(secret in found[0].json for secret in ("hunter22x", CANARY, "IOSFODNN7EXAMPLE"))
    assert found[0].data["input"]["n"] == 1
    assert CANARY.encode() not in base64.b64decode(found[1].data["base64"])


def test_a_long_text_is_searched_as_a_short_one() -> None:
    rules = Rules(ON["values"])  # type: ignore[arg-type]
    filler = "the quick brown fox has 1,024 tokens: " * 120
    text = f" {filler}".join(each for each, _ in KNOWN.values()) + filler + CANARY
    kinds = Counter(span.kind for span in rules.find(text))
    assert set(KNOWN) | {"env"} == set(kinds)
    assert rules.suspects(text)


def test_variables_are_secret_by_their_names_and_harmless_values_are_none() -> None:
    names = ("OPENAI_API_KEY", "GH_TOKEN", "DB_PASSWORD", "my_secret", "AWS_SECRET_ACCESS_KEY", "SSH_KEY")
    assert all(looks_secret(name) for name in names)
    assert not any(looks_secret(name) for name in ("HOME", "MAX_TOKENS", "TOKENIZERS_PARALLELISM", "KEYBOARD", "PATH"))
    environ = {"A_TOKEN": "12345678", "B_TOKEN": "/run/secrets", "C_TOKEN": "short", "D_TOKEN": CANARY, "X": CANARY}
    assert settings(environ)["values"] == {"D_TOKEN": CANARY}
    assert settings({"X": CANARY}, {"names": ["x*"]})["values"] == {"X": CANARY}
    assert settings(environ, {"enabled": False}) == {"on": False}


def test_how_a_stream_is_cut_into_reads_changes_nothing() -> None:
    texts = [text for text, _ in KNOWN.values()] + [CANARY, "plain words and AK", "IA no key", "token=", "sk-"]
    said = "".join(f"{text} then " for text in texts * 3)
    pieces = [said[at : at + 5] for at in range(0, len(said), 5)]
    lines = [line("text.delta", message_id=f"m{at % 11 == 0}", text=piece) for at, piece in enumerate(pieces)]
    data = b"".join(lines)
    made = set()
    for few in (1, 3, 40, len(pieces)):
        redactor = Redactor(ON)
        guard, raw = redactor.guard(), redactor.raw()
        assert guard is not None
        assert raw is not None
        found: list[Pending] = []
        for start in range(0, len(pieces), few):
            raw.feed(b"".join(lines[start : start + few]))
            found += guard.take(
                [
                    delta(pieces[at], sum(map(len, lines[:at])), f"m{at % 11 == 0}")
                    for at in range(start, min(start + few, len(pieces)))
                ]
            )
        found += guard.close()
        raw.close()
        for patch in guard.patches:
            raw.patch(patch)
        assert [pending.data["message_id"] for pending in found] == [f"m{at % 11 == 0}" for at in range(len(pieces))]
        made.add((tuple(each.json for each in found), raw.take(len(data)), tuple(sorted(redactor.counts.items()))))
    assert len(made) == 1


spoken = st.lists(
    st.sampled_from(
        [
            *(text[at : at + 9] for text, _ in KNOWN.values() for at in (0, 9, 18)),
            "plain words ",
            "AK",
            "token=",
            CANARY,
        ]
    ),
    min_size=1,
    max_size=4,
)
batches = st.lists(
    st.tuples(st.sampled_from(["answer", "draft", KNOWN["github"][0]]), spoken)
    | st.sampled_from(
        [
            Pending("log.line", {"text": "plain"}, dumps({"text": "plain"}), Src("events", 0)),
            Pending("log.line", {"text": CANARY}, dumps({"text": CANARY}), Src("events", 0)),
            Pending("a.b", {"key": "password=hunter22x"}, dumps({"key": "password=hunter22x"}), Src("events", 0)),
            Pending("text.completed", {"message_id": "answer"}, dumps({"message_id": "answer"}), Src("events", 0)),
        ]
    ),
    max_size=4,
)


@settings_of(max_examples=60, deadline=None)
@given(st.lists(batches, max_size=4))
def test_pieces_that_come_together_are_guarded_as_single_ones(
    read: list[list[Pending | tuple[str, list[str]]]],
) -> None:
    made = []
    for together in (True, False):
        redactor = Redactor(ON)
        guard = redactor.guard()
        assert guard is not None
        out: list[Pending] = []
        for batch in read:
            found: list[Found] = [
                Pending(*each)  # one of its own: which event is meant is told by its identity
                if isinstance(each, Pending)
                else Deltas(
                    each[0], each[1], [dumps(t)[1:-1].encode() for t in each[1]], "events", [*range(len(each[1]))]
                )
                for each in batch
            ]
            out += expanded(guard.sift(found)) if together else guard.take(expanded(found))
        made.append((out + guard.close(), redactor.counts, guard.patches))
    assert made[0] == made[1]
