"""What redaction takes of the recorder's own time: the same spool read with and without it, in turn."""

from __future__ import annotations

import contextlib
import gc
import os
import time
from collections.abc import Iterator

from tests.benchmarks.adapters import longest, repeated, text_only
from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Row, at_most, ratio, spread
from tests.benchmarks.throughput import prepare

from durastream.recorder import Recorder
from durastream.spool import Spool

__all__ = ["cost", "formats"]

_ON = {"on": True, "values": {f"V{at}_TOKEN": f"s3cr3t-value-{at}" for at in range(8)}}


def cost(bench: Bench) -> Iterator[Row]:
    """CPU time of a recorder over native events, and over the same bytes as printed text."""
    made = prepare(bench, bench.pick(200_000, 50_000))
    data = made.path.read_bytes()
    for stream, name in (("events", "native events"), ("stderr", "log lines")):
        _record(bench, stream, data, _ON)
        off, on = [], []
        for _ in range(bench.pick(5, 2)):
            off.append(_record(bench, stream, data, {"on": False}))
            on.append(_record(bench, stream, data, _ON))
        yield _row(f"{made.count:,} {name}", on, off, ratio(on, off))


def formats(bench: Bench) -> Iterator[Row]:
    """CPU time of a recorder over what agents print in their own formats: the longest trace of each, repeated, and the
    texts in it alone, pieces or short whole messages."""
    count = bench.pick(10_000, 4_000)
    for name, trace in sorted(longest().items()):
        texts = text_only(name, trace)
        for text in ([], texts) if texts else ([],):
            bench.check_time()
            data = repeated(trace, text, count)
            _record(bench, "stdout", data, _ON, "auto")
            off, on = [], []
            for _ in range(bench.pick(5, 3)):
                off.append(_record(bench, "stdout", data, {"on": False}, "auto"))
                on.append(_record(bench, "stdout", data, _ON, "auto"))
            what = "texts" if text else "lines"
            yield _row(f"{count:,} {what} of {name}", on, off, ratio(on, off), f"; {trace.path.name}")


def _row(read: str, on: list[float], off: list[float], factor: float, more: str = "") -> Row:
    return Row(
        "redaction",
        f"recorder's CPU time, {read}, no secret in them",
        spread(on, " s", digits=2),
        f"{factor:.2f} x",
        "≤ 1.15 x without",
        at_most(factor, 1.15),
        f"without {spread(off, ' s', digits=2)}{more}",
        {"on": on, "off": off},
    )


def _record(bench: Bench, stream: str, data: bytes, redact: dict[str, object], format_: str = "native") -> float:
    meta = {
        "command": ["agent"], "cwd": "/", "started": time.time(), "started_at": "2026-11-24T06:00:00.000000Z",
        "mono": time.monotonic(), "boot_id": "", "log": "sqlite", "format": format_, "raw": True, "redact": redact,
    }  # fmt: skip
    spool = Spool.create(str(bench.store()), meta)
    fd = spool.open(stream, os.O_WRONLY | os.O_APPEND)
    os.write(fd, data)
    os.close(fd)
    spool.write_exit({"exit_code": 0, "ts": 0, "sent": [], "left": []})
    with _collected():
        begin = time.process_time()
        Recorder(spool).run()
        return time.process_time() - begin


@contextlib.contextmanager
def _collected() -> Iterator[None]:
    """Garbage is looked for as often as in a recorder's own process."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
