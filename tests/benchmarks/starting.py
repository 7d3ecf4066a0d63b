"""Row 1: what it costs to wrap a program that does nothing, and how soon it runs."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator

from tests.benchmarks.bench import Bench
from tests.benchmarks.figures import Row, at_most, ratio, spread

__all__ = ["agent_start", "long_output", "wrapping"]


def wrapping(bench: Bench) -> Iterator[Row]:
    """The whole process of wrapping `true`, beside asciinema and beside an empty Python."""
    what, reach = "wrapping `true`, --view none, whole process", "≤ 1.5 x asciinema"
    asciinema = shutil.which("asciinema")
    store = bench.store()
    ours, theirs, python = [], [], []
    cast = str(bench.folder / "true.cast")
    wrapped = bench.wrapped(store, "true")
    for _ in range(3):
        bench.timed(wrapped)
    if asciinema is not None:
        bench.timed([asciinema, "rec", "-q", "--overwrite", "-c", "true", cast], bench.bare)
    for _ in range(bench.pick(25, 7)):
        bench.wait_for_quiet()
        ours.append(bench.timed(wrapped))
        if asciinema is not None:
            theirs.append(bench.timed([asciinema, "rec", "-q", "--overwrite", "-c", "true", cast], bench.bare))
        python.append(bench.timed([sys.executable, "-c", "pass"]))
    measured = spread(ours, " ms", 1000)
    note = f"console script as pip writes it; python -c pass {spread(python, ' ms', 1000)}"
    samples: dict[str, object] = {"durastream": ours, "asciinema": theirs, "python": python}
    if not theirs:
        yield Row("start", what, measured, "", reach, None, f"no asciinema here; {note}", samples)
        return
    factor = ratio(ours, theirs)
    note = f"asciinema {spread(theirs, ' ms', 1000)}; {note}"
    yield Row("start", what, measured, f"{factor:.2f} x", reach, at_most(factor, 1.5), note, samples)


def agent_start(bench: Bench) -> Iterator[Row]:
    """From just before the start of durastream to the first line of the agent's main."""
    what, reach = "start of durastream → start of the agent", "≤ 100 ms"
    file = bench.folder / "clock.txt"
    program = bench.compiled("clock")
    code = f"import time; t = time.monotonic_ns(); open({str(file)!r}, 'w').write(str(t))"
    agent = [program, str(file)] if program else [sys.executable, "-I", "-S", "-c", code]
    wrapped = bench.wrapped(bench.store(), *agent)
    delays = []
    for _ in range(bench.pick(25, 7) + 2):
        bench.wait_for_quiet()
        began = time.monotonic_ns()
        bench.timed(wrapped)
        delays.append((int(file.read_text()) - began) / 1e9)
    delays = delays[2:]
    middle = sorted(delays)[len(delays) // 2]
    note = "" if program else "no C compiler: the agent is a Python, whose own start is in it"
    samples: dict[str, object] = {"delay": delays}
    yield Row("start", what, spread(delays, " ms", 1000), "", reach, at_most(middle, 0.1), note, samples)


def long_output(bench: Bench) -> Iterator[Row]:
    """What wrapping a program with much output costs until all is stored."""
    count = bench.pick(200_000, 200_000)
    ours, bare = [], []
    store = bench.store()
    for _ in range(bench.pick(5, 2)):
        bench.wait_for_quiet()
        ours.append(bench.timed(bench.wrapped(store, "seq", count)))
        with open(bench.folder / "seq.txt", "wb") as file:
            bare.append(bench.timed(["seq", str(count)], out=file))
    samples: dict[str, object] = {"durastream": ours, "bare": bare}
    note = f"seq alone, to a file {spread(bare, ' ms', 1000)}"
    yield Row(
        "seq",
        f"wrapping `seq {count}`",
        spread(ours, " ms", 1000),
        f"{ratio(ours, bare):.0f} x",
        note=note,
        samples=samples,
    )
