"""Row 9: how fast the formats of agents are read."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Row, at_least, spread

from durastream.sources import replayed
from durastream.sources.adapters import names

__all__ = ["longest", "reading", "repeated", "text_only"]

_TRACES = Path(__file__).parents[1] / "data" / "traces"
_PIECE = 512 << 10
_REACH = 50_000
_FAST = ("claude", "codex", "gemini")
"""The formats that most people run: those that have to reach it."""

_NUMBERED = ("sequence_number", "seq")
"""Where some formats number their lines: a number that comes again marks a line that was told before."""


class _Trace(NamedTuple):
    path: Path
    frames: list[bytes]
    """Each a line, or a server-sent event with its blank line."""


def reading(bench: Bench) -> Iterator[Row]:
    """The longest trace of each format, repeated, into events. The best of several counts: others only slow it down."""
    count = bench.pick(50_000, 5_000)
    traces = longest()
    for name in names():
        if name not in traces:
            continue
        bench.check_time()
        trace = traces[name]
        text = text_only(name, trace)
        data = repeated(trace, text, count)
        must = name in _FAST
        seconds, events = [], 0
        for _ in range(bench.pick(5, 2) if must else 1):
            bench.wait_for_quiet()
            took, events = _read(data)
            seconds.append(took)
        rates = [count / took for took in seconds]
        yield Row(
            "adapters",
            f"read {count:,} lines of {name}",
            spread(rates, " lines/s"),
            "",
            f"≥ {_REACH:,} lines/s" if must else "",
            at_least(max(rates), _REACH) if must else None,
            f"{len(data) / count:.0f} bytes and {events / count:.1f} events a line; {trace.path.name}, "
            + ("its text" if text else "all of it"),
            {"seconds": seconds, "events": events},
        )


def longest() -> dict[str, _Trace]:
    """The trace with the most lines, by the format that it is found to be of."""
    found: dict[str, _Trace] = {}
    for path in sorted((*_TRACES.glob("*.jsonl"), *_TRACES.glob("*.sse"))):
        frames = _frames(path)
        source = replayed("auto")
        assert source is not None
        for event in source.feed(path.read_bytes()):
            if event.type == "agent.identified" and event.data.get("format"):
                name = event.data["format"]
                if name not in found or len(frames) > len(found[name].frames):
                    found[name] = _Trace(path, frames)
    return found


def _frames(path: Path) -> list[bytes]:
    data = path.read_bytes().replace(b"\r\n", b"\n")
    if path.suffix == ".sse":
        return [event + b"\n\n" for event in re.split(rb"\n\n+", data.strip())]
    return [line + b"\n" for line in data.splitlines()]


def text_only(name: str, trace: _Trace) -> list[bytes]:
    """The frames that are a piece of text and nothing else, nine of ten in a long run; where texts come whole, those
    that are such a text. Empty where there are none."""
    source = replayed(name)
    assert source is not None
    told = [(frame, [event.type for event in source.feed(frame)]) for frame in trace.frames]
    pieces = [frame for frame, types in told if types == ["text.delta"]]
    return pieces or [frame for frame, types in told if types == ["text.delta", "text.completed"]]


def repeated(trace: _Trace, text: list[bytes], count: int) -> bytes:
    """The trace once, so that the adapter knows what its text belongs to, and then its text or all of it again."""
    frames = list(trace.frames)
    if text:
        del frames[frames.index(text[-1]) + 1 :]  # a message that is complete has no more text
    again = text or trace.frames
    while len(frames) < count:
        frames += again
    return b"".join(_numbered(frame, at) for at, frame in enumerate(frames[:count]))


def _numbered(frame: bytes, at: int) -> bytes:
    field = next((name for name in _NUMBERED if f'"{name}"'.encode() in frame), None)
    if field is None:
        return frame
    start = frame.index(b"{")
    value = json.loads(frame[start:])
    if field not in value:
        return frame
    end = b"\n" * (len(frame) - len(frame.rstrip(b"\n")))
    return frame[:start] + json.dumps({**value, field: at}, separators=(",", ":")).encode() + end


def _read(data: bytes) -> tuple[float, int]:
    """The seconds of a core that it took to make events of a stream, found format included, and how many there are."""
    source = replayed("auto")
    assert source is not None
    events = 0
    began = time.process_time()
    for at in range(0, len(data), _PIECE):
        events += len(source.feed(data[at : at + _PIECE]))
    events += len(source.close())
    return time.process_time() - began, events
