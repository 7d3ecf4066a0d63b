"""Lines that are giant, binary or hold what no number is: no byte is lost, and memory stays what it was."""

from __future__ import annotations

import os
import random
import resource
from pathlib import Path

import pytest
from faults_kit import Box, Written, prepared

from durastream.recorder import recover
from durastream.rules import RULES
from durastream.sources import auto, frames, native

GIANT = b"<giant>"
"""Stands for more than a line is held for."""

NOISE = random.Random(11).randbytes(300_000)  # with newlines in it, and every other byte
DIGITS = "9" * 5000


def wrote(stdout: bytes = b"", stderr: bytes = b"", events: bytes = b"") -> Written:
    return Written(stdout, stderr, events)


STREAMS = {
    "a giant line of text": wrote(stdout=GIANT + b"\nend\n"),
    "a giant line without end": wrote(stdout=GIANT),
    "a giant line that begins like an event": wrote(
        stdout=b'{"type":"a.b","data":{"x":"' + GIANT + b'"}}\nend\n'),
    "a giant line of an agent's format": wrote(
        stdout=b'{"type":"thread.started","thread_id":"1"}\n{"type":"item.completed","item":"' + GIANT + b'"}\n'
        b'{"type":"turn.completed"}\n'),
    "a giant line on stderr": wrote(stderr=GIANT + b"\nend\n"),
    "a giant event": wrote(events=b'{"type":"a.b","data":{"x":"' + GIANT + b'"}}\n{"type":"a.b","data":{}}\n'),
    "noise everywhere": Written(NOISE, NOISE, NOISE),
    "NUL everywhere": Written(bytes(100_000), bytes(100_000), bytes(100_000)),
    "integers beyond 2^63": wrote(events=b"".join(
        b'{"type":"a.b","data":{"n":%d,"m":-%d}}\n' % (n, n) for n in (2**63, 2**64 + 1, 2**1000, 10**4299))
        + f'{{"type":"a.b","data":{{"n":{DIGITS}}}}}\n'.encode()),
    "lone surrogates": wrote(
        events=rb'{"type":"text.delta","data":{"message_id":"a","text":"\ud800 \udfff"}}' + b"\n"),
}  # fmt: skip


@pytest.fixture(params=[4, pytest.param(32, marks=pytest.mark.crash)])
def longest(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The longest line that is held, in MiB: 32, but that takes long, and less shows the same."""
    for module, name in ((native, "_LONGEST"), (auto, "_LONGEST"), (frames, "LONGEST")):
        assert getattr(module, name) == 32 << 20
        monkeypatch.setattr(module, name, request.param << 20)
    monkeypatch.setattr(native, "_GIANT", request.param << 17)
    return int(request.param)


@pytest.mark.parametrize("what", STREAMS)
def test_every_byte_of_any_line_comes_back(box: Box, what: str, longest: int) -> None:
    size = (longest << 20) * 5 // 4
    wrote = Written(*(data.replace(GIANT, b"x" * size) for data in STREAMS[what]))
    spool = prepared(box, wrote)
    assert recover(spool)
    found = box.look(spool.run_id)
    broken = [each for each in found.report.findings if each.code != "line-rejected"]
    for stream, data in wrote._asdict().items():
        assert found.raw[stream] == data, stream
    assert [each for each in broken if RULES[each.code].family == "log"] == []
    if "giant" in what and "event" not in what and "format" not in what:
        assert sum(len(data["text"]) for type_ in ("text.delta", "log.line") for data in found.of(type_)) >= size
    if what == "a giant event":
        assert found.of("raw.rejected")[0]["reason"] == f"a line longer than {longest} MiB"
        assert len(found.of("a.b")) == 1, "what follows is read"
    if what == "integers beyond 2^63":
        assert [data["n"] for data in found.of("a.b")[:4]] == [2**63, 2**64 + 1, 2**1000, 10**4299]


@pytest.mark.crash
def test_a_recorder_of_an_endless_line_holds_a_few_of_the_longest_and_not_all_of_it(box: Box, longest: int) -> None:
    lines = 40 if longest < 32 else 12
    size = lines * longest << 20
    spool = prepared(box, wrote(events=b"{" + b"x" * 1000))
    os.truncate(spool.file("events"), size + 5000)  # a hole: zeros without a newline
    pid = os.fork()
    if not pid:
        code = 1
        try:
            has = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            done = recover(spool)
            # what it holds, not what it reserves: of that threads alone take hundreds of megabytes
            most = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - has
            code = 0 if done and most < size * 3 // 4 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    found = box.look(spool.run_id)
    assert len(found.raw["events"]) == size + 5000
    pieces = len(found.of("raw.rejected"))
    assert lines * 9 // 10 <= pieces <= lines + 1, "each as long as the longest, and what was read with its last byte"
