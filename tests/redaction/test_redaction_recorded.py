"""No secret is in any file of a store, whichever way it came, however it was split, whoever was killed meanwhile."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from redaction_kit import CANARY, KNOWN, Live, left_on_disk, line

from durastream.checking import check
from durastream.events import Event
from durastream.redacted import redact
from durastream.redaction.redactor import Redactor
from durastream.stores import FolderStore
from durastream.stores.folder import open_reader

LOGS = ("sqlite", "jsonl")


def text_of(events: list[Event], message_id: str) -> str:
    return "".join(e.data["text"] for e in events if e.type == "text.delta" and e.data["message_id"] == message_id)


def holds(path: str) -> list[str]:
    """What `verify` says against a recording."""
    reader = open_reader(path)
    try:
        return [str(each) for each in check(reader).findings]
    finally:
        reader.close()


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("kill", [False, True])
def test_a_split_secret_reaches_no_file_and_the_run_goes_on_exactly(tmp_path: Path, log: str, kill: bool) -> None:
    said = f"it is {CANARY} and {KNOWN['aws'][0]} ok"
    for at in range(6, 24, 6) if kill else (9,):
        live = Live(tmp_path / f"{at}", log)
        for stop in (at, at + 5, at + 20, len(said)):
            start = {at: 0, at + 5: at, at + 20: at + 5}.get(stop, at + 20)
            part = said[start:stop]
            live.write("events", line("text.delta", message_id="answer", text=part))
            live.write("stdout", part.encode())
            live.write("stderr", part.encode())
            live.step()
            assert not left_on_disk_but_spool(live)
            if kill:
                live.killed()
        live.write("events", line("text.completed", message_id="answer", sha256=sha(said), length=len(said)))
        events = live.end()
        expected = "it is [redacted:env]*** and AKIA[redacted:aws]** ok"
        assert text_of(events, "answer") == text_of(events, "stdout") == expected
        assert left_on_disk(live.folder, CANARY, "IOSFODNN7EXAMPLE") == []
        assert holds(live.recorder.path) == []
        assert events[-1].data["redacted"]["env"] == events[-1].data["redacted"]["aws"] == 3


def test_a_text_that_ends_twice_in_one_batch_is_looked_at_on_both_sides(tmp_path: Path) -> None:
    live = Live(tmp_path, "sqlite")
    told = [line("text.delta", message_id="answer", text="a draft")]
    told.append(line("text.retracted", message_id="answer", reason="no"))
    told += [line("text.delta", message_id="answer", text=text) for text in ("it is ", CANARY[:9], CANARY[9:], " ok")]
    said = f"it is {CANARY} ok"
    told.append(line("text.completed", message_id="answer", sha256=sha(said), length=len(said)))
    live.write("events", b"".join(told))
    clean = [line("text.delta", message_id="other", text="a"), line("text.retracted", message_id="other", reason="no")]
    clean += [
        line("text.delta", message_id="other", text="b"),
        line("text.completed", message_id="other", sha256=sha("b"), length=1),
    ]
    live.write("events", b"".join(clean))
    live.step()
    events = live.end()
    assert text_of(events, "answer") == "a draftit is [redacted:env]*** ok"
    assert text_of(events, "other") == "ab"
    assert left_on_disk(live.folder, CANARY) == []
    assert holds(live.recorder.path) == []


def left_on_disk_but_spool(live: Live) -> list[str]:
    found = [path for path in live.folder.iterdir() if path.is_file()]
    return [path.name for path in found if any(s in path.read_bytes() for s in (CANARY.encode(), b"IOSFODNN7EXAMPLE"))]


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("log", LOGS)
def test_every_way_into_a_recording_is_guarded(tmp_path: Path, log: str) -> None:
    live = Live(
        tmp_path, log, command=["agent", "--token", "shortword", CANARY], cwd=f"/home/{CANARY}", name=CANARY,
        tags={"k": CANARY}, prompt=CANARY, env={"CANARY_TOKEN": CANARY},
    )  # fmt: skip
    live.write("events", line("step.started", step_id="s", title=CANARY, input={"a": [CANARY]}))
    live.write("events", line("step.completed", step_id="s", status="ok", output=CANARY))
    live.write("events", line("reasoning.delta", text=CANARY[:4]) + line("reasoning.delta", text=CANARY[4:]))
    live.write("events", line("my.own", x=CANARY) + b'{"type":"text.delta"} ' + CANARY.encode() + b"\n")
    live.write("events", b"\xff" + CANARY.encode() + b"\n" + line("run.completed", answer={"text": CANARY}))
    live.write("stdout", CANARY.encode() + b"\n" + line("log.line", text=CANARY))
    live.write("stderr", b"a\r" + CANARY.encode() + b"\r\n" + b"x" * 70_000 + CANARY.encode())
    live.spool.request(act="cancel", by="cancel")
    live.step()
    live.spool.write_exit({"exit_code": 127, "start_error": f"cannot start {CANARY}", "ts": 0, "sent": [], "left": []})
    live.recorder.run()
    assert left_on_disk(tmp_path, CANARY, "shortword") == []
    reader = open_reader(live.recorder.path)
    started = reader.read(0, 1)[0].data
    reader.close()
    assert started["redaction"]["on"] is True
    assert started["redaction"]["variables"] == ["CANARY_TOKEN"]
    assert started["env"] == {"CANARY_TOKEN": "[redacted:env]***"}


ODD = "p/ss w\u00f6rd+7&x~"
"""The value of another variable, of which no encoding is the value itself."""

ENCODED = {
    "base64 of user and password": lambda secret: base64.b64encode(f"user:{secret}".encode()).decode(),
    "base64 a byte further": lambda secret: base64.b64encode(f"users:{secret}\n".encode()).decode(),
    "base64 two bytes further, for an address": lambda secret: base64.urlsafe_b64encode(
        f"me:{secret}=".encode()
    ).decode(),
    "percent-encoded": lambda secret: quote(secret, safe=""),
    "percent-encoded, as a form": lambda secret: quote_plus(secret),
}


@pytest.mark.parametrize("encode", ENCODED.values(), ids=ENCODED)
@pytest.mark.parametrize("secret", [CANARY, ODD], ids=["plain", "odd"])
def test_the_value_of_a_variable_is_known_in_base64_and_in_an_address(
    tmp_path: Path, secret: str, encode: Callable[[str], str]
) -> None:
    live = Live(tmp_path, redact={"on": True, "values": {"A_TOKEN": CANARY, "B_TOKEN": ODD}})
    spelt = encode(secret)
    sure = spelt[10:-4] if "=" in spelt[-2:] or spelt.endswith("Cg==") else spelt[8:-2]
    for at in range(0, len(spelt), 5):
        live.write("events", line("text.delta", message_id="answer", text=spelt[at : at + 5]))
    live.write("events", line("step.started", step_id="s", title="fetch", input={"header": f"Basic {spelt}"}))
    live.write("events", line("step.completed", step_id="s", status="ok"))
    live.write("stdout", f"GET /?key={spelt} HTTP/1.1\n".encode())
    live.write("stderr", f"> {spelt}\n".encode())
    events = live.end()
    assert sure[:6] not in text_of(events, "answer").replace("\n", "")
    assert left_on_disk(tmp_path, spelt, sure) == []
    assert holds(live.recorder.path) == []


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


TWICE = {
    "base64 of base64": lambda secret: _base64(_base64(f"user:{secret}")),
    "base64 of base64, a byte further": lambda secret: _base64("x" + _base64(f"me:{secret}!")),
    "base64 of what is percent-encoded": lambda secret: _base64(f"key={quote(secret, safe='')}&x=1"),
    "base64 in an address": lambda secret: quote(_base64(f"~?>{secret}"), safe=""),
    "percent-encoded twice": lambda secret: quote(quote(secret, safe=""), safe=""),
    "JSON in JSON in JSON": lambda secret: json.dumps(json.dumps(json.dumps(secret))),
    "base64 of JSON": lambda secret: _base64(json.dumps({"auth": secret})),
}


@pytest.mark.parametrize("secret", [CANARY, ODD], ids=["plain", "odd"])
def test_the_value_of_a_variable_is_known_where_it_is_encoded_twice(tmp_path: Path, secret: str) -> None:
    spelt = [encode(secret) for encode in TWICE.values()]
    middles = [each[len(each) // 2 - 5 : len(each) // 2 + 5] for each in spelt]
    for folder, settings in (("on", {"on": True, "values": {"A_TOKEN": secret}}), ("off", {"on": False})):
        live = Live(tmp_path / folder, redact=settings)
        for each in spelt:
            live.write("stderr", f"> {each}\n".encode())
            live.write("stdout", each.encode() + b"\n")
        live.write("events", line("step.started", step_id="s", title="fetch", input=spelt))
        live.write("events", line("step.completed", step_id="s", status="ok"))
        live.end()
        left = {each.rpartition(": ")[2] for each in left_on_disk(tmp_path / folder, *middles)}
        assert left == (set() if folder == "on" else set(middles))
        assert holds(live.recorder.path) == []


@pytest.mark.parametrize("kill", [False, True])
def test_a_secret_whose_letters_are_spelt_as_escapes_is_masked_in_the_raw_bytes_too(tmp_path: Path, kill: bool) -> None:
    spelt = CANARY.replace("a", "\\u0061").replace("-", "\\u002d")
    live = Live(tmp_path)
    live.write("events", f'{{"type":"text.delta","data":{{"message_id":"a","text":"it is {spelt} ok"}}}}\n'.encode())
    data = f'{{"step_id":"s","title":"t","input":{{"k":["a/b \\u00e9 {spelt}"],"{spelt}":1}}}}'
    live.write("events", f'{{"type":"step.started","data":{data}}}\n'.encode())
    if kill:
        live.step()
        live.killed()
    live.write("events", line("step.completed", step_id="s", status="ok"))
    live.end()
    assert left_on_disk(tmp_path, CANARY, spelt) == []
    reader = open_reader(live.recorder.path)
    raw = b"".join(reader.raw("events"))
    reader.close()
    lines = [json.loads(each)["data"] for each in raw.splitlines()]
    assert lines[0]["text"].startswith("it is [redacted:env]***"), "and what was masked is JSON still"
    assert holds(live.recorder.path) == []


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("kill", [False, True])
def test_a_terminal_and_the_stream_of_an_agent_are_guarded(tmp_path: Path, log: str, kill: bool) -> None:
    tty = Live(tmp_path / "tty", log, format="terminal", terminal=[80, 24])
    tty.write("stdout", f"\x1b[31mAKIAIOSFODNN7EXAMPLE\x1b[0m {CANARY[:7]}".encode())
    tty.step()
    if kill:
        tty.killed()
    tty.write("stdout", CANARY[7:].encode())
    tty.end()
    assert left_on_disk(tmp_path, CANARY, "IOSFODNN7EXAMPLE") == []
    assert holds(tty.recorder.path) == []
    adapted = Live(tmp_path / "adapted", log, format="openai-chat")
    for part in (CANARY[:3], CANARY[3:11], CANARY[11:], " ok"):
        chunk = {"id": "c", "object": "chat.completion.chunk", "model": "m", "created": 1,
                 "choices": [{"index": 0, "delta": {"role": "assistant", "content": part}}]}  # fmt: skip
        adapted.write("stdout", f"data: {json.dumps(chunk)}\n\n".encode())
        adapted.step()
        assert not left_on_disk_but_spool(adapted)
        if kill:
            adapted.killed()
    events = adapted.end()
    joined = "".join(event.data["text"] for event in events if event.type == "text.delta")
    assert joined == "[redacted:env]*** ok"
    reader = open_reader(adapted.recorder.path)
    raw = b"".join(reader.raw("stdout")).decode()
    reader.close()
    parts = [json.loads(each[6:])["choices"][0]["delta"]["content"] for each in raw.split("\n\n") if each]
    assert "".join(parts) == joined


def test_pieces_of_raw_bytes_have_no_border_in_a_secret(tmp_path: Path) -> None:
    live = Live(tmp_path)
    block = b"x" * ((1 << 20) - 8) + b" "
    for data in (block, CANARY.encode(), block * 2, KNOWN["aws"][0].encode(), b" end"):
        live.write("stdout", data)
        live.step()
    live.killed()
    live.end()
    assert left_on_disk(tmp_path, CANARY, "IOSFODNN7EXAMPLE") == []
    assert holds(live.recorder.path) == []


@pytest.mark.parametrize("log", LOGS)
def test_without_redaction_the_canary_is_found(tmp_path: Path, log: str) -> None:
    live = Live(tmp_path, log, redact={"on": False})
    live.write("stdout", CANARY.encode())
    live.write("events", line("text.delta", message_id="a", text=CANARY))
    events = live.end()
    assert left_on_disk(tmp_path, CANARY) == [f"{Path(live.recorder.path).name}: {CANARY}"]
    assert events[0].data["redaction"] == {"on": False}
    assert "redacted" not in events[-1].data


@pytest.mark.parametrize("log", LOGS)
def test_a_pattern_with_white_space_is_found_later_however_it_was_split(tmp_path: Path, log: str) -> None:
    secret = "ACME  key 1234567"
    live = Live(tmp_path, log, redact={"on": False})
    for at in range(len(secret) + 1):
        live.write("events", line("text.delta", message_id=f"m{at}", text=f"it is {secret[:at]}"))
        live.write("events", line("log.line", stream="agent", text="between"))
        live.write("events", line("text.delta", message_id=f"m{at}", text=secret[at:] + " ok"))
    live.write("stdout", b"x" * ((1 << 20) - 40) + b" " + secret.encode() + b" " * 23 + secret.encode() + b" end")
    live.end()
    reader = open_reader(live.recorder.path)
    redactor = Redactor({"on": True, "patterns": [r"ACME\s+key\s+[0-9]+"]}, known=False, patient=True)
    made = redact(FolderStore(str(tmp_path)), reader, redactor, log=log)
    assert made is not None
    reader.close()
    path = FolderStore(str(tmp_path)).path(made.info.run_id)
    assert path is not None
    assert holds(path) == []
    reader = open_reader(path)
    events, raw = reader.read(0, 100_000), b"".join([*reader.raw("events"), *reader.raw("stdout")])
    reader.close()
    for at in range(len(secret) + 1):
        assert text_of(events, f"m{at}") == "it is [redacted:pattern] ok".replace(
            "[redacted:pattern]", "[redacted]*******"
        )
    assert redactor.counts["pattern"] == len(secret) + 3
    assert text_of(events, "stdout").count("ACME") == raw.count(b"1234567") == 0
    again = [json.loads(each)["data"]["text"] for each in raw.split(b"x" * 100)[0].splitlines()]
    assert "".join(each for each in again if each != "between") == "it is [redacted]******* ok" * (len(secret) + 1)


@pytest.mark.parametrize("kills", [(1,), (2,), (1, 2)])
def test_what_went_out_before_it_was_decided_is_counted_as_it_is_stored(tmp_path: Path, kills: tuple[int, ...]) -> None:
    live = Live(tmp_path)
    said = f"it is {CANARY} ok"
    for at, part in enumerate((said[:12], said[12:]), 1):
        live.write("events", line("text.delta", message_id="answer", text=part))
        live.step()
        for tail in live.recorder._tails:
            live.recorder._append(tail.flush())  # as after two seconds
        if at in kills:
            live.killed()
    live.write("events", line("text.completed", message_id="answer", sha256=sha(said), length=len(said)))
    live.step()
    events = live.end()
    told = next(event for event in events if event.type == "text.completed" and event.data["message_id"] == "answer")
    assert text_of(events, "answer").startswith("it is canary")
    assert told.data["sha256"] == sha(text_of(events, "answer"))
    assert holds(live.recorder.path) == []
