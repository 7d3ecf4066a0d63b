"""The power is cut at any place of what a disk was sent.

A recorder writes to a file system on a disk that remembers every write and flush. The disk is then made as it was at
many places of that log, what was not yet flushed kept, dropped, or partly there, and mounted: what a recorder had told
as stored must be in it. The other way is to shut a mounted file system down under the recorder, its log not flushed.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import os
import random
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from blockdev import Disk, Record
from faults_kit import Box, acknowledged, driver, prepared, written
from judge import Outcome, Point

import durastream.recorder
from durastream.errors import DurastreamError
from durastream.spool import Spool

_SIZES = {"ext4": 24 << 20, "xfs": 48 << 20}
_MAKE = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"]}
_SMALL_XFS = {"TEST_DIR": "1", "TEST_DEV": "1", "QA_CHECK_FS": "1"}  # mkfs.xfs makes less than 300 MB for tests only
_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = 2
_NEW_MOUNTS = 0x20000
WROTE = written(450)


def why_not() -> str | None:
    """Why the power cannot be cut here; None when it can."""
    if os.geteuid() != 0:
        return "to mount takes root"
    if not os.path.exists("/dev/fuse"):
        return "there is no /dev/fuse"
    if not os.path.exists("/dev/loop-control"):
        return "there are no loop devices"
    if shutil.which("mkfs.ext4") is None:
        return "there is no mkfs.ext4"
    return None


def kinds() -> list[str]:
    """The file systems that can be made here."""
    return [kind for kind in _MAKE if shutil.which(_MAKE[kind][0])]


class Cut(NamedTuple):
    """All that a disk was sent in one run of a recorder."""

    base: bytes
    log: Sequence[Record]
    run_id: str
    bodies: Sequence[str]


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="durastream-power-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@functools.cache
def _private() -> None:
    """Mount where nobody else sees it: who copies the mounts of this machine would keep a file system alive for us."""
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "no mount namespace of our own")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


@contextlib.contextmanager
def _mounted(image: Path, at: Path, kind: str) -> Iterator[Path]:
    _private()
    at.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", kind, "-o", "loop", str(image), str(at)], check=True, capture_output=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", str(at)], check=True, capture_output=True)


def _made(kind: str, path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(_SIZES[kind])
    subprocess.run([*_MAKE[kind], str(path)], check=True, capture_output=True, env={**os.environ, **_SMALL_XFS})


@functools.cache
def recorded(kind: str, log: str, mode: str) -> Cut:
    """Let a recorder write to a disk that remembers."""
    with _scratch() as at:
        image = at / "image"
        _made(kind, image)
        disk = Disk(at / "fuse", image.read_bytes())
        _private()
        disk.start()
        records: list[Record] = []
        try:
            with _mounted(disk.disk, at / "mnt", kind) as mounted:
                box = Box(mounted / "store", log)
                spool = prepared(box, WROTE)
                words = driver(spool, disk.acks, mode)
                subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True, timeout=60)
                bodies = [event.body for event in box.look(spool.run_id).events]
        finally:
            records = disk.stop()
        return Cut(disk.image, records, spool.run_id, bodies)


def _disk_at(cut: Cut, place: int, how: str, chance: random.Random) -> bytearray:
    """The disk as it may be when the power goes at a place of the log."""
    flushed = max((at for at in range(place) if cut.log[at].kind == "f"), default=0)
    disk = bytearray(cut.base)
    for at, record in enumerate(cut.log[:place]):
        if record.kind != "w":
            continue
        data = record.data
        if at > flushed and (how == "dropped" or (how == "partly" and chance.random() < 0.5)):
            if how == "dropped" or chance.random() < 0.7:
                continue
            data = data[: chance.randrange(0, len(data) + 1, 512)]
        disk[record.offset : record.offset + len(data)] = data
    return disk


def _judged(box: Box, point: Point, cut_bodies: Sequence[str] | None, run_id: str, told: int) -> Outcome:
    """Read what is there, as a person would after the power is back; then recover, and read again."""
    for again in (False, True):
        try:
            found = [event.body for event in box.look(run_id).events]
        except (DurastreamError, OSError, AssertionError) as error:
            if told or again:
                return Outcome(point, True, lost=max(told, 1), wrong=f"it cannot be read: {error}"[:200])
            found = []
        if len(found) < told:
            return Outcome(point, True, lost=told - len(found))
        if cut_bodies is not None and found[:told] != list(cut_bodies[:told]):
            return Outcome(point, True, wrong="what was told as stored is not what is there")
        spool = Spool(box.folder, run_id)
        if again or not spool.exists() or spool.read_json("meta.json") is None:
            break
        try:
            durastream.recorder.recover(spool)
        except DurastreamError as error:
            return Outcome(point, True, wrong=f"recover failed: {error}"[:200])
    return Outcome(point, True)


def _rebooted() -> str:
    return "after the power was back"


def states(kind: str, log: str, count: int, seed: int, mode: str = "honest") -> list[Outcome]:
    """Cut the power at many places."""
    cut = recorded(kind, log, mode)
    chance = random.Random(f"{seed} {kind} {log} {mode}")
    first = next(at for at, record in enumerate(cut.log) if record.kind == "a")
    outcomes = []
    before, durastream.recorder.boot_id = durastream.recorder.boot_id, _rebooted
    try:
        with _scratch() as at:
            for n in range(count):
                place = chance.randrange(max(0, first - 40), len(cut.log) + 1)
                how = ("kept", "dropped", "partly", "partly")[n % 4]
                acks = [record for record in cut.log[:place] if record.kind == "a"]
                told = int(acks[-1].data) if acks else 0
                point = Point("power", log, f"{kind} {how}", place, "cut", mode)
                image = at / f"image-{n}"  # a loop device of its own: the last one may not be gone yet
                image.write_bytes(_disk_at(cut, place, how, chance))
                try:
                    with _mounted(image, at / "mnt", kind) as mounted:
                        outcomes.append(_judged(Box(mounted / "store", log), point, cut.bodies, cut.run_id, told))
                except subprocess.CalledProcessError as error:
                    outcomes.append(Outcome(point, True, wrong=f"it cannot be mounted: {error.stderr!r}"))
                image.unlink()
    finally:
        durastream.recorder.boot_id = before
    return outcomes


def control(kind: str, log: str, count: int, seed: int) -> list[Outcome]:
    """The same with a recorder that does not sync: these must be caught."""
    return states(kind, log, count, seed, "lazy")


def shutdowns(kind: str, log: str, count: int, seed: int, mode: str = "honest") -> list[Outcome]:
    """Shut the file system down under a recorder, without a flush of its log, and mount it again."""
    chance = random.Random(f"{seed} {kind} {log} {mode} shutdown")
    outcomes = []
    for n in range(count):
        point = Point("power", log, f"{kind} shutdown", n, "shutdown", mode)
        with _scratch() as at:
            _made(kind, at / "image")
            with _mounted(at / "image", at / "mnt", kind) as mounted:
                spool = prepared(Box(mounted / "store", log), written(3000))
                subprocess.run(["sync", "-f", str(mounted)], check=True)
                words = driver(spool, at / "acks", mode)
                pipe = subprocess.PIPE
                with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as child:
                    assert child.stdin is not None
                    assert child.stdout is not None
                    child.stdout.readline()
                    child.stdin.write(b"go\n")
                    child.stdin.close()
                    wanted = chance.randrange(1, 250)
                    deadline = time.monotonic() + 20
                    while acknowledged(at / "acks") < wanted and child.poll() is None and time.monotonic() < deadline:
                        time.sleep(0.001)
                    fd = os.open(mounted, os.O_RDONLY)
                    told = acknowledged(at / "acks")  # what is told from here on is told without power
                    fcntl.ioctl(fd, _SHUTDOWN, struct.pack("<I", _NO_LOG_FLUSH))
                    os.close(fd)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        child.wait(60)
                    child.kill()
                late = acknowledged(at / "acks") - told
            with _mounted(at / "image", at / "mnt", kind) as mounted:
                outcome = _judged(Box(mounted / "store", log), point, None, spool.run_id, told)
                outcomes.append(outcome._replace(point=point._replace(call=f"{kind} shutdown, {late} told behind it")))
    return outcomes
