"""A secret is masked wherever the reading is interrupted: between two reads of a line, and between two batches."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest

from durastream import control, redacted
from durastream.control import Requests
from durastream.errors import Damaged
from durastream.events import Src, chain, genesis
from durastream.ledger import Ledger, own
from durastream.redaction.catalogue import Rules
from durastream.redaction.redactor import Redactor
from durastream.sources import replayed, source_for
from durastream.spool import Spool
from durastream.stores import FolderStore, RawChunk, RunInfo
from durastream.stores.folder import open_reader
from durastream.stores.protocols import Row
from durastream.stores.sqlite import SqliteWriter

SECRET = "hunter2-correct-horse-battery"
RUN = "k3v9p2"
INFO = RunInfo(RUN, None, {}, ["agent"], "/", "2026-11-23T06:00:00.000000Z")
AT = ("2026-11-23T06:00:00.000000Z", 0.0)


def claude(kind: str, key: str, text: str) -> str:
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": kind, key: text}}
    return json.dumps({"type": "stream_event", "event": delta, "session_id": "s"})


@pytest.mark.parametrize(("kind", "key"), [("text_delta", "text"), ("input_json_delta", "partial_json")])
def test_the_beginning_of_a_secret_is_masked_in_a_line_that_came_in_two_reads(kind: str, key: str) -> None:
    first = json.dumps({"type": "system", "subtype": "init", "session_id": "s", "model": "m", "cwd": "/", "tools": []})
    lines = [first, claude(kind, key, "x " + SECRET[:16]), claude(kind, key, SECRET[16:] + " y")]
    data = ("\n".join(lines) + "\n").encode()
    for cut in range(len(first) + 1, len(data), 23):
        redactor = Redactor({"on": True, "values": {"TOKEN": SECRET}})
        guard, raw, source = redactor.guard(), redactor.raw(), replayed("claude")
        assert guard is not None
        assert raw is not None
        assert source is not None
        kept = b""
        for read in (data[:cut], data[cut:]):
            raw.feed(read)
            found = source.feed(read)
            guard.overhear(source.asides)
            guard.sift(found)
            kept += raw.settled(guard)
        guard.take(source.close())
        guard.close()
        raw.close()
        kept += raw.settled(guard)
        assert len(kept) == len(data)
        assert (SECRET[:16].encode() in kept, SECRET[16:].encode() in kept) == (False, False), cut


def recorded(store: FolderStore, texts: list[str]) -> str:
    """The path of a finished run in which an agent said this, a piece in an event."""
    lines = [json.dumps({"type": "text.delta", "data": {"message_id": "answer", "text": text}}) for text in texts]
    data = ("\n".join(lines) + "\n").encode()
    writer = store.create(INFO, "sqlite")
    ledger = Ledger(writer)
    ledger.append([own("run.started", {"run_id": RUN, "command": ["agent"], "cwd": "/", "stdout": "text"})], AT)
    ledger.append(source_for("events", "native").feed(data), AT, raw=chunks(data))
    ledger.append([own("run.completed", {"status": "completed", "events": ledger.head.seq + 1})], AT, last=True)
    writer.finish(INFO)
    writer.close()
    path = store.path(RUN)
    assert path is not None
    return path


def chunks(data: bytes) -> list[RawChunk]:
    size = 1 << 20
    pieces = [(at, data[at : at + size]) for at in range(0, len(data), size)]
    return [RawChunk("events", at, len(piece), zlib.compress(piece, 1)) for at, piece in pieces]


@pytest.mark.parametrize("at", [50, 96, 97, 98, 99])
def test_a_secret_over_the_border_of_two_batches_is_redacted(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durastream.redaction.guard._GIVE_UP", 20_000)
    monkeypatch.setattr("durastream.follow._BATCH", 100)
    store = FolderStore(str(tmp_path))
    texts = ["w" * 300 + " "] * 300
    texts[at : at + 2] = ["x " + SECRET[:12], SECRET[12:] + " y"]
    reader = open_reader(recorded(store, texts))
    made = redacted.redact(store, reader, Redactor({"on": True}, [SECRET], known=False, patient=True))
    assert made is not None
    reader.close()
    path = store.path(made.info.run_id)
    assert path is not None
    copy = open_reader(path)
    answer = copy.state().messages["answer"].text
    raw = b"".join(copy.raw("events"))
    copy.close()
    assert len(answer) == len("".join(texts))
    for part in (SECRET, SECRET[:12], SECRET[12:]):
        assert part not in answer
        assert part.encode() not in raw


def test_a_secret_far_behind_the_last_event_is_redacted_in_the_raw_bytes(tmp_path: Path) -> None:
    """The agent was killed within the input of a tool, which no event shows before it is whole."""
    first = json.dumps({"type": "system", "subtype": "init", "session_id": "s", "model": "m", "cwd": "/", "tools": []})
    filler = [claude("input_json_delta", "partial_json", "w" * 4000 + " ")] * 600
    halves = [claude("input_json_delta", "partial_json", half) for half in ("x " + SECRET[:16], SECRET[16:] + " y")]
    data = ("\n".join([first, *filler[:300], halves[0], halves[1], *filler[300:]]) + "\n").encode()
    assert data.index(SECRET[:16].encode()) > 1 << 20
    split = data.index(SECRET[16:].encode()) - 40
    store = FolderStore(str(tmp_path))
    writer = store.create(INFO, "sqlite")
    ledger = Ledger(writer)
    started = {"run_id": RUN, "command": ["claude"], "cwd": "/", "stdout": "claude"}
    pieces = [(at, data[at:end]) for at, end in ((0, split), (split, len(data)))]
    raw = [RawChunk("stdout", at, len(piece), zlib.compress(piece, 1)) for at, piece in pieces]
    seen = own("agent.identified", {"name": "claude"})._replace(src=Src("stdout", 0, len(first)))
    ledger.append([own("run.started", started), seen], AT, raw=raw)
    ledger.append([own("run.completed", {"status": "interrupted", "events": 3})], AT, last=True)
    writer.finish(INFO)
    writer.close()
    reader = open_reader(str(store.path(RUN)))
    made = redacted.redact(store, reader, Redactor({"on": True}, [SECRET], known=False, patient=True))
    assert made is not None
    reader.close()
    copy = open_reader(str(store.path(made.info.run_id)))
    kept = b"".join(copy.raw("stdout"))
    copy.close()
    assert len(kept) == len(data)
    assert (SECRET[:16].encode() in kept, SECRET[16:].encode() in kept) == (False, False)


def test_a_recording_whose_times_are_none_is_not_redacted_and_that_is_said(tmp_path: Path) -> None:
    store = FolderStore(str(tmp_path))
    path = recorded(store, ["one ", "two "])
    reader = open_reader(path)
    rows: list[Row] = []
    digest = genesis(RUN)
    for event in reader.read():
        body = event.body.replace('"ts":"2026', '"ts":"20\\n26') if event.seq == 3 else event.body
        digest = chain(digest, body)
        rows.append((event.seq, body, digest))
    reader.close()
    writer = SqliteWriter.resume(path)
    assert writer is not None
    writer._db.executemany("update log set body = ?2, hash = ?3 where seq = ?1", rows)
    writer.close()
    reader = open_reader(path)
    with pytest.raises(Damaged, match="event 3 has no time"):
        redacted.redact(store, reader, Redactor({"on": True}, [SECRET], known=False, patient=True))
    reader.close()
    assert [each.name for each in tmp_path.glob("*.db")] == [f"{RUN}.db"], "nothing is left of the new one"


@pytest.mark.parametrize("size", [40, 1_700, 6_000])
def test_text_without_a_secret_is_told_at_once_however_long_secrets_are(size: int) -> None:
    value = "".join(f'line {at} of a "key"\n' for at in range(size // 18))
    rules = Rules({f"KEY_{n}": value + str(n) for n in range(30)})
    assert not rules.suspects("words that say nothing of any key, and many of them\n" * 20)
    assert rules.suspects(f"before {value}29 after")


def test_an_event_that_holds_a_newline_is_never_taken_for_two(tmp_path: Path) -> None:
    store = FolderStore(str(tmp_path))
    writer = store.create(INFO, "sqlite")
    ledger = Ledger(writer)
    ledger.add([own("log.line", {"stream": "agent", "text": "x"})], ("2026\n", 0.0))
    with pytest.raises(ValueError, match="newline"):
        ledger.commit()
    writer.close()


def test_what_is_no_request_is_passed_over(tmp_path: Path) -> None:
    spool = Spool.create(str(tmp_path), {})
    lines = [
        '{"act":"cancel","grace":1' + "0" * 400 + "}", "[" * 100_000, '{"act":"cancel","grace":NaN}',
        '{"act":"cancel","grace":-1}', '{"act":"signal","signal":[]}', "[]", '{"act":"cancel","grace":2}',
    ]  # fmt: skip
    Path(spool.file("control")).write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert [(asked.by, asked.grace) for asked in Requests(spool).new()] == [("cancel", 2.0)]
    assert control.GRACE == 10.0
