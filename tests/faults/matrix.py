"""`PYTHONPATH=tests/faults python -m matrix`: the full run of the fault suite, and one table.

Recorder, `recover`, supervisor and viewers are killed at every write, sync and change of a folder that they make, and
at random moments under load; each of those calls fails once; the power is cut at every place of what a disk was sent.
Beside each figure stands how many of the same strikes caught a recorder that is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import platform
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import powercut
from faults_kit import Box, prepared, why_no_strace
from judge import Outcome, Point
from strikes import SMALL, calls_of, driven, strike, under_load, viewers_struck

from durastream.version import VERSION

LOGS = ("sqlite", "jsonl")
WRITES = ("write", "pwrite64", "fdatasync", "fsync", "ftruncate", "rename", "unlink", "rmdir")
PARENT = ("openat", "write", "pwrite64", "fsync", "ftruncate", "rename", "clone", "wait4", "pselect6", "close", "read")
VIEWER = ("pread64", "openat", "read", "fcntl", "write")
AMID = ("clone", "close", "openat", "read")
"""Calls of a supervisor that has an agent: most others it makes before it starts one."""

WRONG = {"recover": ("early", "hasty"), "supervisor": ("leash", "stranger", "rash")}
"""How those are wrong who are struck beside the real ones: see `wrong`."""

ERRORS = {
    "write": ("EIO", "ENOSPC"),
    "pwrite64": ("EIO", "ENOSPC"),
    "fdatasync": ("EIO",),
    "fsync": ("EIO",),
    "ftruncate": ("EIO", "ENOSPC"),
    "openat": ("EMFILE", "ENOSPC"),
}


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder for one strike, on the fastest file system there is."""
    shm = "/dev/shm" if Path("/dev/shm").is_dir() else None
    path = Path(tempfile.mkdtemp(prefix="durastream-faults-", dir=shm))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def counted(log: str) -> dict[str, int]:
    """How often a recorder makes each call for the small run."""
    with folder() as at:
        box = Box(at / "store", log)
        spool = prepared(box, SMALL)
        return calls_of(driven(spool, at / "acks", "honest"), ",".join({*WRITES, *ERRORS}), at / "calls")


def kill_points() -> list[Point]:
    """Every write, sync and change of a folder that a recorder makes, alone and in `recover`; calls of a supervisor."""
    found = []
    for log in LOGS:
        counts = counted(log)
        for who in ("recorder", "recover"):
            found += [Point(who, log, call, n) for call in WRITES for n in range(1, counts.get(call, 0) + 1)]
        found += [Point("supervisor", log, call, n) for call in PARENT for n in range(1, 13)]
    return found


def error_points() -> list[Point]:
    """Each of the same calls, failing once."""
    found = []
    for log in LOGS:
        counts = counted(log)
        for call, errors in ERRORS.items():
            for n in range(1, counts.get(call, 0) + 1):
                found.append(Point("recorder", log, call, n, errors[n % len(errors)]))
    return found


def control_points(mode: str, how: str, count: int, chance: random.Random) -> list[Point]:
    """Strikes on a recorder that is wrong, in the middle of its commits."""
    found = []
    for log, call, most in (("sqlite", "pwrite64", 130), ("jsonl", "write", 12)):
        places = range(60 if log == "sqlite" else 3, most)
        chosen = chance.sample(places, min(count, len(places)))
        found += [Point("recorder", log, call, n, how, mode, files=True) for n in chosen]
    return found


def wrong_points(points: list[Point], who: str, some: int, chance: random.Random) -> list[Point]:
    """Some of the places where somebody is killed, for each way in which they are wrong."""
    mine = [point for point in points if point.who == who and (who != "supervisor" or point.call in AMID)]
    return [point._replace(mode=mode) for mode in WRONG[who] for point in _chosen(mine, some, chance)]


def _one(point: Point) -> Outcome:
    with folder() as at:
        try:
            return strike(point, at)
        except Exception as error:  # noqa: BLE001 - one point that cannot be judged hides no other, and is no success
            return Outcome(point, True, wrong=f"{type(error).__name__}: {error}"[:300])


def _viewers(job: tuple[str, list[tuple[str, int]], str]) -> list[Outcome]:
    log, points, mode = job
    with folder() as at:
        return viewers_struck(log, points, at, mode)


def _load(job: tuple[str, int, int, str, int]) -> tuple[int, Outcome]:
    with folder() as at:
        return under_load(*job, at)


def strikes(points: Iterable[Point], jobs: int) -> list[Outcome]:
    """The outcomes of many strikes."""
    with multiprocessing.get_context("fork").Pool(jobs, maxtasksperchild=50) as pool:
        return [outcome for outcome in pool.imap_unordered(_one, points, chunksize=4) if outcome.hit]


def row(name: str, outcomes: Iterable[Outcome], control: str = "") -> dict[str, Any]:
    """One row of the table."""
    outcomes = list(outcomes)
    return {
        "what": name,
        "points": len(outcomes),
        "lost": sum(bool(one.lost) for one in outcomes),
        "doubled": sum(bool(one.doubled) for one in outcomes),
        "wrong": sum(bool(one.wrong) for one in outcomes),
        "control": control,
    }


def caught(outcomes: Iterable[Outcome]) -> str:
    outcomes = list(outcomes)
    return f"{sum(not one.sound for one in outcomes)} of {len(outcomes)}"


Told = tuple[dict[str, Any], list[Outcome]]
PARTS = ("kills", "others", "power", "shutdowns", "errors")


def told(name: str, outcomes: list[Outcome], control: str) -> Told:
    """A row of the table, with what was not sound in it."""
    return row(name, outcomes, control), [one for one in outcomes if not one.sound]


def kills(seed: int, jobs: int, some: int) -> Iterator[Told]:
    """Everybody is killed everywhere."""
    chance, small = random.Random(seed), some < 100
    early = strikes(control_points("early", "KILL", 4 if small else 60, chance), jobs)
    points = kill_points()
    for who in ("recorder", "recover", "supervisor"):
        outcomes = strikes(_chosen([point for point in points if point.who == who], some, chance), jobs)
        if who in WRONG:
            wrong = strikes(wrong_points(points, who, 4 if small else 40, chance), jobs)
        yield told(f"{who} killed at a call", outcomes, caught(wrong if who in WRONG else early))


def others(seed: int, jobs: int, some: int) -> Iterator[Told]:
    """Viewers are killed, and recorders at random moments."""
    chance, small = random.Random(seed + 2), some < 100
    groups = [
        (log, [(call, n) for call in VIEWER for n in chance.sample(range(1, 40), 2 if small else 7)], "honest")
        for log in LOGS
    ]
    tidy = [
        (log, [(call, n)], "tidy")
        for log in LOGS
        for call in (VIEWER[1:3] if small else VIEWER)
        for n in chance.sample(range(1, 40), 1 if small else 3)
    ]
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        wrong = [one for group in pool.imap_unordered(_viewers, tidy) for one in group if one.hit]
        outcomes = [one for group in pool.imap_unordered(_viewers, groups * (1 if small else 2)) for one in group]
        yield told("viewer killed at a call", [one for one in outcomes if one.hit], caught(wrong))
        forgetful = [(log, 1, seed + n, "forgetful", 4000) for n in range(1 if small else 4) for log in LOGS]
        wrong = [outcome for _, outcome in pool.imap_unordered(_load, forgetful)]
        loads = [
            (log, 4 if small else 8, seed + n, "honest", 20_000) for n in range(1 if small else 10) for log in LOGS
        ]
        ended = list(pool.imap_unordered(_load, loads))
    outcomes = [outcome for count, outcome in ended for _ in range(count)]
    yield told("recorder killed at a random moment under load", outcomes, caught(wrong))


def power(seed: int, jobs: int, some: int) -> Iterator[Told]:
    """The power is cut at many places."""
    small = some < 100
    for kind in powercut.kinds() if powercut.why_not() is None else ():
        for log in LOGS:
            wrong = powercut.control(kind, log, 6 if small else 24, seed)
            outcomes = powercut.states(kind, log, 6 if small else 120, seed)
            yield told(f"power cut, {kind}, {log}", outcomes, caught(wrong))


def shutdowns(seed: int, jobs: int, some: int) -> Iterator[Told]:
    """File systems are shut down under a recorder."""
    small = some < 100
    for kind in powercut.kinds() if powercut.why_not() is None else ():
        for log in LOGS:
            wrong = powercut.shutdowns(kind, log, 1 if small else 2, seed, "lazy")
            outcomes = powercut.shutdowns(kind, log, 1 if small else 6, seed)
            yield told(f"file system shut down, {kind}, {log}", outcomes, caught(wrong))


def errors(seed: int, jobs: int, some: int) -> Iterator[Told]:
    """Each call fails once."""
    chance, small = random.Random(seed + 1), some < 100
    deaf = strikes(control_points("deaf", "ENOSPC", 4 if small else 30, chance), jobs)
    yield told("a call that fails once", strikes(_chosen(error_points(), some, chance), jobs), caught(deaf))


def _chosen(points: list[Point], some: int, chance: random.Random) -> list[Point]:
    return chance.sample(points, some) if len(points) > some else points


def full(seed: int, jobs: int, some: int, only: Iterable[str]) -> Iterator[Told]:
    """Each row of the table."""
    for part in (kills, others, power, shutdowns, errors):
        if part.__name__ in only:
            yield from part(seed, jobs, some)


def table(rows: list[dict[str, Any]]) -> str:
    lines = ["| | points | lost | doubled | wrong | control caught |", "|---|---|---|---|---|---|"]
    lines += ["| {what} | {points} | {lost} | {doubled} | {wrong} | {control} |".format(**one) for one in rows]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m matrix", description=__doc__)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2, help="strikes at the same time")
    parser.add_argument("--small", action="store_true", help="a few points of each row")
    parser.add_argument("--only", action="append", choices=PARTS, help="just this part; may be repeated")
    parser.add_argument("--json", metavar="FILE", help="also write the figures to a file")
    asked = parser.parse_args()
    if (why := why_no_strace()) is not None:
        print(f"the matrix cannot run: {why}", file=sys.stderr)
        return 2
    if (why := powercut.why_not()) is not None:
        print(f"power cuts are left out: {why}", file=sys.stderr)
    began, rows, bad = time.monotonic(), [], 0
    for one, unsound in full(asked.seed, asked.jobs, 12 if asked.small else 1 << 30, asked.only or PARTS):
        rows.append(one)
        bad += len(unsound)
        print(f"{time.monotonic() - began:.0f} s: {one}", file=sys.stderr, flush=True)
        for outcome in unsound[:20]:
            print("   ", outcome, file=sys.stderr, flush=True)
        if asked.json:
            figures = {"seed": asked.seed, **versions(), "seconds": round(time.monotonic() - began), "rows": rows}
            Path(asked.json).write_text(json.dumps(figures, indent=1) + "\n")
    print(table(rows))
    return 1 if bad else 0


def versions() -> dict[str, str]:
    """What the figures are of."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "durastream": VERSION,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "kernel": platform.release().split("-", maxsplit=1)[0],
    }


if __name__ == "__main__":
    sys.exit(main())
