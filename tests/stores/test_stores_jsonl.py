"""A recording as JSON Lines: torn anywhere it is read up to there, and the next event is not lost."""

from __future__ import annotations

import base64
import json
import os
import zlib
from pathlib import Path

import pytest
from stores_kit import INFO, LOG, RUN, Files, batches, fill, only, raw_chunk, row

from durastream.errors import Damaged, NotARecording, StoreFull, StoreUnwritable
from durastream.events import genesis
from durastream.stores import Batch, Head
from durastream.stores import jsonl as module
from durastream.stores import jsonl_reader as reader_module
from durastream.stores.jsonl import JsonlWriter
from durastream.stores.jsonl_reader import JsonlReader
from durastream.testing import scripted
from durastream.verify import verify

SMALL = scripted([("log.line", {"stream": "stderr", "text": f"é{n}"}) for n in range(4)], run_id=RUN)


@pytest.fixture
def kind(tmp_path: Path) -> Files:
    return Files(tmp_path, "jsonl")


def small(kind: Files) -> bytes:
    """The bytes of a small recording: header, two events, raw bytes, two events."""
    writer = kind.create()
    writer.append(only(*SMALL[:2]))
    writer.append(Batch([*map(row, SMALL[2:4])], raw=[raw_chunk("stdout", 0, b"hello")]))
    writer.close()
    return kind.path.read_bytes()


def test_each_line_is_json_that_any_tool_reads(kind: Files) -> None:
    lines = [json.loads(line) for line in small(kind).decode().split("\n")[:-1]]
    assert lines[0] == {
        "durastream": 1,
        "run_id": RUN,
        "name": "nightly",
        "tags": {"team": "a"},
        "command": ["python", "agent.py", "é"],
        "cwd": "/home/x",
        "started_at": INFO.started_at,
    }
    assert [line.get("seq") for line in lines[1:]] == [1, 2, None, 3, 4]
    assert zlib.decompress(base64.b64decode(lines[3]["zlib"])) == b"hello"
    assert lines[5] == json.loads(SMALL[3].line())


def test_cut_at_every_byte_it_is_read_up_to_there_and_goes_on_without_a_loss(kind: Files) -> None:
    data = small(kind)
    header = data.index(b"\n") + 1
    for cut in range(len(data) + 1):
        kind.path.write_bytes(data[:cut])
        whole = data[:cut].split(b"\n")[1:-1]
        events = [SMALL[json.loads(line)["seq"] - 1] for line in whole if line.startswith(b'{"seq"')]
        if cut < header:
            with pytest.raises(NotARecording):
                JsonlReader(str(kind.path))
            assert JsonlWriter.resume(str(kind.path)) is None
            continue
        reader = JsonlReader(str(kind.path))
        assert reader.read() == events == SMALL[: len(events)]
        assert (reader.torn, reader.damage) == (not data[:cut].endswith(b"\n"), [])
        assert reader.head() == Head(len(events), events[-1].hash if events else genesis(RUN))
        reader.close()
        writer = JsonlWriter.resume(str(kind.path))
        assert writer is not None
        assert writer.head.seq == len(events)
        assert writer.raw_length("stdout") == (5 if any(line.startswith(b'{"raw"') for line in whole) else 0)
        writer.append(only(*SMALL[len(events) :]))
        writer.close()
        again = JsonlReader(str(kind.path))
        assert (again.read(), again.damage, again.torn) == (SMALL, [], False)
        assert [finding.code for finding in verify(RUN, again.read()).findings] == ["unsealed"]
        again.close()


@pytest.mark.parametrize(
    "tail", [bytes(500), bytes(500) + b"\n", b"garbage\n", b'{"seq":3\n' + bytes(9) + b"\n\n", b'{"seq":3', b"\xff\n"]
)
def test_what_a_power_cut_left_behind_the_last_good_line_is_cut_off(kind: Files, tail: bytes) -> None:
    fill(kind.create(), SMALL[:2])
    with kind.path.open("ab") as file:
        file.write(tail)
    reader = JsonlReader(str(kind.path))
    assert reader.read() == SMALL[:2]
    assert reader.head() == Head(2, SMALL[1].hash)
    reader.close()
    writer = kind.resume()
    assert writer is not None
    writer.append(only(*SMALL[2:]))
    writer.close()
    reader = JsonlReader(str(kind.path))
    assert (reader.read(), reader.damage) == (SMALL, [])
    reader.close()


@pytest.mark.parametrize("left", [b"", bytes(4096), bytes(9000), b'{"durastream":1,"run_id":"' + b"x" * 9000])
def test_a_file_whose_making_was_cut_short_is_made_anew(kind: Files, left: bytes) -> None:
    kind.path.write_bytes(left)
    assert kind.resume() is None
    assert not kind.path.exists()
    fill(kind.create(), SMALL)


@pytest.mark.parametrize("line", range(2, 7))
@pytest.mark.parametrize("broken", [b"", b"{", b"\xff\xfe", b'{"seq":2}', b'{"raw":"stdout"}', b"[" * 5000])
def test_a_broken_line_is_named_by_its_number_once_and_the_rest_is_read(kind: Files, line: int, broken: bytes) -> None:
    lines = small(kind).split(b"\n")
    lines[line - 1] = broken
    kind.path.write_bytes(b"\n".join(lines))
    reader = JsonlReader(str(kind.path))
    expected = [event for event, number in zip(SMALL, (2, 3, 5, 6), strict=False) if number != line]
    for _ in range(2):
        assert reader.read() == expected
    (damage,) = reader.damage
    assert damage.startswith(f"line {line} cannot be read: ")
    assert reader.state().seq == expected[-1].seq
    assert reader.info().last_seq == expected[-1].seq
    reader.close()


@pytest.mark.parametrize("place", range(0, 400, 7))
def test_a_flipped_bit_in_any_event_is_noticed(kind: Files, place: int) -> None:
    data = bytearray(small(kind))
    start = data.index(b"\n") + 1
    data[start + place] ^= 1
    kind.path.write_bytes(data)
    reader = JsonlReader(str(kind.path))
    events = reader.read()
    codes = {finding.code for finding in verify(RUN, events).findings}
    assert reader.damage or "hash-chain" in codes
    reader.close()


def test_a_header_may_be_as_long_as_a_command(kind: Files) -> None:
    command = ["echo", *["\u2028" * 1000] * 400]
    kind.create(INFO._replace(command=command)).close()
    assert kind.path.stat().st_size > 2_000_000
    reader = kind.reader()
    assert reader.info().command == command
    reader.close()


RAW = {"raw": "stdout", "offset": 0, "length": 5, "zlib": base64.b64encode(zlib.compress(b"hello")).decode()}


@pytest.mark.parametrize(
    "field",
    [{"raw": 5}, {"offset": "0"}, {"length": -1}, {"length": 1 << 40}, {"length": True}, {"zlib": "#"}, {"zlib": None}],
    ids=str,
)
def test_a_raw_line_that_is_none_is_damage(kind: Files, field: dict[str, object]) -> None:
    fill(kind.create(), SMALL)
    with kind.path.open("a") as file:
        file.write(json.dumps(RAW | field) + "\n")
    reader = kind.reader()
    assert list(reader.raw("stdout")) == []
    assert reader.read() == SMALL
    assert len(reader.damage) == 1
    reader.close()


@pytest.mark.parametrize(
    "packed", [zlib.compress(bytes(50_000_000)), zlib.compress(b"hello")[:-1], b"noise"], ids=["bomb", "torn", "noise"]
)
def test_raw_bytes_that_are_not_what_is_said_of_them_are_damage(kind: Files, packed: bytes) -> None:
    fill(kind.create(), SMALL)
    with kind.path.open("a") as file:
        file.write(json.dumps(RAW | {"zlib": base64.b64encode(packed).decode()}) + "\n")
    reader = kind.reader()
    with pytest.raises(Damaged, match="the raw bytes of stdout are damaged"):
        list(reader.raw("stdout"))
    assert reader.read() == SMALL
    reader.close()


def test_a_line_without_end_is_damage_before_it_fills_the_memory(kind: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "_LONGEST", 3 << 20)
    fill(kind.create(), SMALL)
    with kind.path.open("ab") as file:
        file.write(b"x" * (8 << 20))
    reader = kind.reader()
    assert reader.read(0, 5) == SMALL
    with pytest.raises(Damaged, match="line 7 is longer than 3 MiB"):
        reader.read(5)
    reader.close()


def test_a_file_removed_under_a_reader_is_said(kind: Files) -> None:
    fill(kind.create(), SMALL)
    reader = kind.reader()
    kind.path.unlink()
    with pytest.raises(NotARecording, match="cannot read"):
        reader.read()


def test_seqs_that_go_in_circles_come_to_an_end(kind: Files) -> None:
    fill(kind.create(), SMALL)
    data = kind.path.read_bytes()
    kind.path.write_bytes(data + data[data.index(b"\n") + 1 :] * 2)
    reader = kind.reader()
    seen, after = [], 0
    while events := reader.read(after, 3):
        seen += events
        assert events[-1].seq > after
        after = events[-1].seq
    assert reader.state(3).seq == 3
    reader.close()


class Disk:
    """A disk that takes so many bytes and then fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int, error: int) -> None:
        self.write = os.write

        def write(fd: int, data: bytes) -> int:
            nonlocal room
            if not room:
                raise OSError(error, os.strerror(error))
            written = self.write(fd, bytes(data)[:room])
            room -= written
            return written

        monkeypatch.setattr(module.os, "write", write)


@pytest.mark.parametrize(
    ("error", "expected"), [(28, StoreFull), (122, StoreFull), (27, StoreFull), (5, StoreUnwritable)]
)
def test_a_disk_that_fails_is_said_and_what_was_stored_stays(
    kind: Files, monkeypatch: pytest.MonkeyPatch, error: int, expected: type[Exception]
) -> None:
    writer = kind.create()
    writer.append(only(*SMALL[:2]))
    with monkeypatch.context() as patch:
        Disk(patch, 100, error)
        with pytest.raises(expected, match=str(kind.path)):
            writer.append(only(*SMALL[2:]))
    writer.close()
    reader = kind.reader()
    assert reader.read() == SMALL[:2]
    assert reader.torn
    reader.close()
    again = kind.resume()
    assert again is not None
    again.append(only(*SMALL[2:]))
    again.close()
    assert len(kind.path.read_bytes().split(b"\n")) == 1 + 5 + 1


def test_a_recording_that_cannot_be_made_leaves_nothing_open(kind: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(os.listdir("/dev/fd"))
    with monkeypatch.context() as patch:
        Disk(patch, 10, 28)
        with pytest.raises(StoreFull):
            kind.create()
    assert len(os.listdir("/dev/fd")) == before
    assert kind.resume() is None

    def refused(fd: int, size: int) -> None:
        raise OSError(5, "Input/output error")

    kind.create().close()
    with monkeypatch.context() as patch:
        patch.setattr(module.os, "ftruncate", refused)
        with pytest.raises(StoreUnwritable):
            kind.resume()
    assert len(os.listdir("/dev/fd")) == before


def test_the_batches_of_a_whole_run_are_one_line_each_and_no_more(kind: Files) -> None:
    writer = kind.create()
    for batch in batches(LOG):
        writer.append(batch)
    writer.close()
    assert kind.path.read_text().split("\n")[1:-1] == [event.line() for event in LOG]
