"""A long run gives room back while it lasts, and nobody who reads it then or later misses a byte."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from faults_kit import Box, Recording, Written, eventually, patched, prepared, stop

from durastream import room
from durastream.recorder import Recorder, recover
from durastream.spool import Spool
from durastream.spooled import Spooled
from durastream.stores.folder import open_reader

CODEX = (Path(__file__).parents[1] / "data" / "traces" / "codex_exec_full.jsonl").read_bytes()
SECRET = b"ghp_" + b"Canary0123456789abcdefghijklmnopqrst"
"""In the form of a key, so that it is masked and its block stays in the spool."""

needs_holes = pytest.mark.skipif(
    room.try_out(os.environ.get("TMPDIR", "/tmp")) is not None,
    reason="the disk here gives back no middle of a file",
)

WRITES = """
import os, sys, time
lines, gate = int(sys.argv[1]), sys.argv[2]
for n in range(lines):
    os.write(1, b"%09d " % n * 6553 + b"\\n")
open(gate + ".wrote", "w").close()
while not os.path.exists(gate):
    time.sleep(0.01)
os.write(1, b"the end\\n")
"""


def wrote(lines: int) -> bytes:
    """What WRITES writes: lines of 65,531 bytes, no two of them alike."""
    return b"".join(b"%09d " % n * 6553 + b"\n" for n in range(lines)) + b"the end\n"


def same(found: Any, wanted: Any) -> None:
    """Without a word of what differs, which is megabytes."""
    assert bool(found == wanted)


def taken(spool: Spool) -> int:
    """Bytes of disk that the stdout of a spool takes."""
    return os.stat(spool.file("stdout")).st_blocks * 512


@pytest.fixture
def shrunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Processes that give back what is more than 2 MiB behind."""
    smaller = "from durastream import room, tail\nroom.KEPT = tail.KEPT = 2 << 20\nroom._STEP = 1 << 20\n"
    patched(monkeypatch, tmp_path, smaller)
    return 2 << 20


@needs_holes
def test_the_spool_of_a_long_run_does_not_grow_with_it_and_a_slow_reader_gets_every_byte(
    box: Box, tmp_path: Path, shrunk: int
) -> None:
    does_not_grow(box, tmp_path / "gate", lines=200, most=shrunk + (5 << 20))


@pytest.mark.crash
@needs_holes
@pytest.mark.parametrize("options", [(), ("--no-redact",)], ids=["masked", "as it is"])
def test_the_spool_of_a_run_of_two_hundred_megabytes_takes_less_than_half_of_that(
    box: Box, tmp_path: Path, options: tuple[str, ...]
) -> None:
    does_not_grow(box, tmp_path / "gate", lines=3100, most=room.KEPT + (20 << 20), options=options)


def does_not_grow(box: Box, gate: Path, *, lines: int, most: int, options: tuple[str, ...] = ()) -> None:
    """A run whose output nobody reads until it has given room back, and whose recorder is killed then."""
    agent = (sys.executable, "-S", "-c", WRITES, str(lines), str(gate))
    live, child = box.watch(*agent, options=("--format", "text", *options), stdout=subprocess.PIPE)
    eventually(lambda: Path(f"{gate}.wrote").exists(), "its output to be written", 60)
    eventually(lambda: taken(live.spool) < most, "room to be given back", 60, pause=0.05)
    assert live.spool.size("stdout") > lines * 65_530 > 1.5 * most
    stop(live.pid("recorder"))
    gate.touch()
    assert child.stdout is not None
    passed = child.stdout.buffer.read()  # type: ignore[attr-defined]
    assert child.wait(60) == 0
    data = wrote(lines)
    same(passed, data)
    found = box.look(live.run_id)
    same(found.raw["stdout"], data)
    assert found.report.findings == []
    assert found.of("run.resumed")


def test_of_a_run_that_keeps_no_raw_bytes_nothing_is_given_back(box: Box, small: int) -> None:
    data = text(10_000)
    spool = spooled(box, raw=False)
    goes_on(spool, data)
    assert taken(spool) >= len(data)
    same(ended(box, spool), straight(box, data, raw=False))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """Gives back what is more than 64 KiB behind, and reads and keeps in smaller pieces."""
    size = 1 << 16
    for name in ("room.KEPT", "room._STEP", "tail.KEPT", "tail.RAW_PIECE", "recorder.RAW_PIECE"):
        monkeypatch.setattr(f"durastream.{name}", size)
    monkeypatch.setattr("durastream.tail._READ", size)
    return size


def text(lines: int) -> bytes:
    """Lines of text, of which a few hold a secret."""
    every = [b"line %06d \xc3\xa9 and some words of it that are no secret\n" % n for n in range(lines)]
    for at in (lines // 9, lines // 3, lines // 2):
        every[at] = b"the key is " + SECRET + b" and it is long\n"
    return b"".join(every)


def agent_stream(lines: int) -> bytes:
    """The stream of an agent in its own format, again and again."""
    some = CODEX.splitlines(keepends=True)
    middle = b"".join(some[2:-1])
    found = [b"".join(some[:2])]
    for n in range(lines // len(some)):
        found.append(middle.replace(b'"item_', b'"item%d_' % n).replace(b'"ws_', b'"ws%d_' % n))
    return b"".join(found) + some[-1]


def spooled(box: Box, **meta: Any) -> Spool:
    """A run whose agent lives and has written nothing yet."""
    return prepared(box, Written(b"", b"", b""), exit_code=None, **meta)


def goes_on(spool: Spool, data: bytes) -> None:
    """The agent has written so much in all, and a recorder reads it and is killed."""
    with open(spool.file("stdout"), "ab") as file:
        file.write(data[file.tell() :])
    supervisor = spool.lock("supervisor")
    made = Recorder(spool)
    try:
        stdout = next(tail for tail in made._tails if tail.stream == "stdout")
        while stdout.at != len(data):
            made.step()
        for _ in range(4):  # what was packed meanwhile goes with the next events
            time.sleep(0.01)
            made._append([])
    finally:
        made.release()
        os.close(supervisor)


def ended(box: Box, spool: Spool) -> tuple[list[Any], bytes]:
    """What is recorded of the agent's stdout when it has ended."""
    spool.write_exit({"exit_code": 0, "ts": time.time(), "sent": [], "left": []})
    assert recover(spool)
    found = box.look(spool.run_id)
    assert found.report.findings == []
    return _said(found), found.raw["stdout"]


def _said(found: Recording) -> list[Any]:
    made: list[Any] = []
    for event in found.events:
        if event.src is None or event.src.stream != "stdout":
            continue
        if event.type == "text.delta" and made and made[-1][0] == "text.delta":
            made[-1][1] += event.data["text"]
        else:
            made.append([event.type, event.data["text"] if event.type == "text.delta" else event.data])
    return made


def straight(box: Box, data: bytes, **meta: Any) -> tuple[list[Any], bytes]:
    """The same of a run whose recorder lived."""
    spool = spooled(box, **meta)
    Path(spool.file("stdout")).write_bytes(data)
    return ended(box, spool)


OFF = {"redact": {"on": False}}


@needs_holes
@pytest.mark.parametrize(
    ("stdout", "meta"),
    [
        pytest.param(text(20_000), {}, id="text, masked"),
        pytest.param(text(20_000), OFF, id="text, as it is", marks=pytest.mark.crash),
        pytest.param(agent_stream(6500), {}, id="an agent's own format, masked"),
        pytest.param(agent_stream(6500), OFF, id="an agent's own format, as it is", marks=pytest.mark.crash),
    ],
)
def test_a_recorder_that_is_killed_goes_on_behind_what_was_given_back(
    box: Box, small: int, stdout: bytes, meta: dict[str, Any]
) -> None:
    spool = spooled(box, **meta)
    for part in (2, 3, 5):
        goes_on(spool, stdout[: len(stdout) * part // 5])
        room_taken = taken(spool)
    assert room_taken < 11 * small < len(stdout) * 4 // 5
    said, raw = ended(box, spool)
    same((said, raw), straight(box, stdout, **meta))
    assert len(raw) == len(stdout)
    assert (SECRET in raw) == bool(meta and SECRET in stdout)


@needs_holes
def test_who_comes_late_to_what_was_given_back_reads_every_byte(box: Box, small: int) -> None:
    data = text(12_000)
    spool = spooled(box)
    goes_on(spool, data)
    fd = spool.open("stdout", os.O_RDONLY)
    reader = open_reader(box.path(spool.run_id))
    late = room.Room(spool, "stdout", fd, partial(reader.raw, "stdout"))
    assert os.pread(fd, 100, 0) == bytes(100)
    same(b"".join(Spooled(fd, fill=late.fill).pieces(0, len(data))), data)  # the secrets too, which stayed there
    reader.close()
    late.close()
    os.close(fd)


@needs_holes
def test_a_hole_that_the_agent_made_is_read_as_zeros(box: Box, small: int) -> None:
    data = text(10_000)
    hole = bytes(1 << 20)
    spool = spooled(box)
    with open(spool.file("stdout"), "wb") as file:
        file.truncate(len(hole))
    goes_on(spool, hole + data)
    same(ended(box, spool), straight(box, hole + data))


@needs_holes
def test_a_recording_that_is_removed_is_made_anew_from_what_was_not_given_back_and_that_is_said(
    box: Box, small: int
) -> None:
    data = text(12_000)
    half = len(data) // 2
    spool = spooled(box)
    goes_on(spool, data[:half])
    missed = int(Path(spool.file("given")).read_text()[:20])
    os.unlink(box.path(spool.run_id))
    for suffix in ("-wal", "-shm"):
        Path(box.folder, f"{spool.run_id}.db{suffix}").unlink(missing_ok=True)
    goes_on(spool, data[: half + half // 2])
    goes_on(spool, data)
    said, raw = ended(box, spool)
    assert raw == b"", "which could not be whole"
    [[_, kept]] = said
    masked = data.replace(SECRET, b"ghp_[redacted:github]**********************"[: len(SECRET)])
    same(kept, masked[missed:].decode(errors="replace"))
    warnings = box.look(spool.run_id).warnings
    assert warnings == [
        f"{missed} bytes of stdout are lost: they were given back to the disk and stood in the recording,"
        " which was removed, replaced or damaged; what follows is read as if it began there"
    ]


@needs_holes
@pytest.mark.parametrize("meta", [{"format": "auto"}, {"format": "codex", **OFF}], ids=["found", "named"])
def test_the_rest_of_an_agents_stream_is_read_in_its_format_when_its_beginning_is_lost(
    box: Box, small: int, meta: dict[str, Any]
) -> None:
    data = agent_stream(2500)
    half = len(data) // 2
    made = []
    for killed in (False, True):
        spool = spooled(box, **meta)
        goes_on(spool, data[:half])
        for path in Path(box.folder).glob(f"{spool.run_id}.*"):
            path.unlink()
        if killed:
            goes_on(spool, data[: half + half // 3])
        goes_on(spool, data)
        begin = int(Path(spool.file("given")).read_text()[:20])
        made.append((begin, ended(box, spool)[0]))
    assert begin
    assert made[0] == made[1]
    said, rest = made[0][1], data[data.index(b"\n", begin) + 1 :]
    torn = [list(each) for each in said[:2] if each[0] in ("text.delta", "log.line")]
    assert len(torn) == 1, "only what is left of the line whose beginning is lost"
    steps = [each for each in said if each[0] == "step.completed"]
    assert len(steps) > rest.count(b'"item.completed"') // 2
    assert said[-1][0] == "run.declared"
    [lost] = [text for text in box.look(spool.run_id).warnings if "are lost" in text]
    assert lost.endswith("what follows is read as if it began there")


@needs_holes
def test_a_stream_that_was_cut_short_gives_nothing_back_any_more(box: Box, small: int) -> None:
    data = text(10_000)
    spool = spooled(box)
    goes_on(spool, data)
    assert taken(spool) < len(data)
    os.truncate(spool.file("stdout"), 0)
    goes_on(spool, data[:300])
    assert Path(spool.file("given")).read_text()[:20].strip() == "0"
    goes_on(spool, data)
    assert taken(spool) >= len(data)
    found = ended(box, spool)[0]
    assert found[-1][1].endswith("line 009999 é and some words of it that are no secret\n")


def test_a_disk_that_gives_nothing_back_is_written_to_as_before(
    box: Box, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(fd: int, start: int, size: int) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(room, "_punch", cannot)
    data = text(10_000)
    spool = spooled(box)
    goes_on(spool, data)
    assert taken(spool) >= len(data)
    same(ended(box, spool), straight(box, data))
    assert room.try_out(box.folder) == "Operation not supported"
