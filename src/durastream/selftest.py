"""Tries on the disk of a store what every promise rests on, and says what the store can promise there."""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from durastream import probe
from durastream.checking import check
from durastream.errors import DurastreamError, StoreUnwritable
from durastream.ledger import now_text
from durastream.recorder import recover
from durastream.room import try_out
from durastream.spool import Spool, boot_id
from durastream.stores import FolderStore
from durastream.stores.folder import open_reader

__all__ = ["Tried", "selftest"]

_KILLS = 4
_SYNCS = 20
_LINES = 60_000
_PATIENCE = 20.0
_SECOND = {
    "read": "import sys; sys.exit(open(sys.argv[1], 'rb').read() != b'written\\n' * 512)",
    "lock": (
        "import fcntl, sys\nfile = open(sys.argv[1], 'r+')\n"
        "for take in (lambda: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB),"
        " lambda: fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)):\n"
        "    try: take()\n"
        "    except BlockingIOError: continue\n"
        "    sys.exit('a second process got the lock')\n"
    ),
    "wal": (
        "import sqlite3, sys\ndb = sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True)\n"
        "sys.exit(db.execute('select count(*) from t').fetchone()[0] != 7)"
    ),
}


class Tried(NamedTuple):
    """One thing that was tried: `needed` by which logs, whether it holds, and what was seen."""

    name: str
    holds: bool
    said: str
    needed: tuple[str, ...] = ("sqlite", "jsonl")


def selftest(store: str) -> Iterator[Tried]:
    """Try everything in a folder of its own in the store, which is removed again. Raises StoreUnwritable."""
    try:
        folder = tempfile.mkdtemp(prefix=".selftest-", dir=store)
    except OSError as error:
        raise StoreUnwritable(f"cannot write to the store {store}: {error.strerror}") from error
    try:
        yield _tried("write", _write, folder)
        yield _tried("sync", _sync, folder)
        yield _tried("lock", _lock, folder)
        yield _tried("memory", _memory, folder)._replace(needed=("sqlite",))
        name = probe.file_system(store)
        network = name is not None and probe.is_network(name)
        said = f"{name or 'an unnamed file system'}, {'on another machine' if network else 'on this machine'}"
        yield Tried("local", not network, said)
        yield _tried("room", _room, folder)._replace(needed=())
        for log in ("sqlite", "jsonl"):
            yield _tried(f"kill {log}", partial(_kill, log), folder)._replace(needed=(log,))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tried(name: str, what: Callable[[str], str], folder: str) -> Tried:
    try:
        return Tried(name, True, what(folder))
    except (OSError, ValueError, DurastreamError, subprocess.SubprocessError) as error:
        return Tried(name, False, getattr(error, "strerror", None) or str(error))


def _ask(what: str, path: str) -> None:
    """Let a second process try. Raises OSError with what it says."""
    words = [sys.executable, "-S", "-E", "-c", _SECOND[what], path]
    done = subprocess.run(words, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    if done.returncode:
        raise OSError(0, done.stderr.strip().rpartition("\n")[2] or "a second process sees something else")


def _write(folder: str) -> str:
    path = os.path.join(folder, "write")
    with open(path, "wb") as file:
        file.write(b"written\n" * 512)
    _ask("read", path)
    return "what is written is read by a second process"


def _sync(folder: str) -> str:
    fd = os.open(os.path.join(folder, "sync"), os.O_WRONLY | os.O_CREAT, 0o600)
    sync = getattr(os, "fdatasync", os.fsync)
    took = []
    try:
        for _ in range(_SYNCS):
            os.write(fd, b"x" * 4096)
            began = time.monotonic()
            sync(fd)
            took.append(time.monotonic() - began)
        os.replace(os.path.join(folder, "sync"), os.path.join(folder, "synced"))
        above = os.open(folder, os.O_RDONLY)
        os.fsync(above)
        os.close(above)
    finally:
        os.close(fd)
    return f"a sync takes {statistics.median(took) * 1000:.2f} ms"


def _lock(folder: str) -> str:
    import fcntl

    path = os.path.join(folder, "lock")
    with open(path, "wb") as file:
        probe.lock(file.fileno(), path)
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _ask("lock", path)
    return "a second process is refused"


def _memory(folder: str) -> str:
    import sqlite3

    path = os.path.join(folder, "mapped")
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.write(fd, bytes(1 << 16))
        probe.share_memory(fd, path)
    finally:
        os.close(fd)
    db = sqlite3.connect(os.path.join(folder, "wal.db"), isolation_level=None)
    try:
        if db.execute("pragma journal_mode=wal").fetchone()[0] != "wal":
            raise OSError(0, "SQLite cannot share its write-ahead log")
        db.execute("pragma synchronous=full").close()
        db.execute("create table t (n)").close()
        db.executemany("insert into t values (?)", [(n,) for n in range(7)])
        _ask("wal", os.path.join(folder, "wal.db"))
    except sqlite3.Error as error:
        raise OSError(0, f"SQLite: {error}") from error
    finally:
        with contextlib.suppress(sqlite3.Error):
            db.close()
    return "a second process reads SQLite's write-ahead log"


def _room(folder: str) -> str:
    if why := try_out(folder):
        raise OSError(0, f"a long run needs room for all that it writes until its end ({why})")
    return "a long run gives back what is stored of it"


def _kill(log: str, folder: str) -> str:
    """Record a run whose recorder is killed again and again; raises ValueError when it is not whole."""
    wrote = b"".join(b"line %d\n" % n for n in range(_LINES))
    started = time.time()
    meta = {"command": ["selftest"], "cwd": folder, "pid": os.getpid(), "started": started,
            "started_at": now_text(started), "mono": time.monotonic(), "boot_id": boot_id(), "log": log,
            "format": "text", "raw": True}  # fmt: skip
    spool = Spool.create(folder, meta)
    os.close(spool.lock("supervisor"))
    with open(spool.file("stdout"), "wb") as file:
        file.write(wrote)
    spool.write_exit({"exit_code": 0, "ts": time.time(), "sent": [], "left": []})
    killed = sum(_killed(spool, log, n) for n in range(_KILLS))
    if spool.exists() and not recover(spool):
        raise ValueError("the run cannot be recovered")
    path = FolderStore(folder).path(spool.run_id)
    reader = open_reader(path or folder)
    try:
        report = check(reader)
        whole = b"".join(reader.raw("stdout")) == wrote and report.ok
        state = reader.state()
        whole = whole and state.messages["stdout"].text.encode() == wrote
    finally:
        reader.close()
    if not whole:
        raise ValueError(f"after {killed} kills of its recorder a run is not whole")
    return f"a recorder killed {killed} times lost and doubled nothing"


def _killed(spool: Spool, log: str, n: int) -> bool:
    """Start a recorder and kill it once it has written some more; False when it was done before."""
    if not spool.exists():
        return False
    name = os.path.join(spool.store, spool.run_id) + (".db-wal" if log == "sqlite" else ".jsonl")

    def size() -> int:
        with contextlib.suppress(OSError):
            return os.stat(name).st_size
        return 0

    before, deadline = size(), time.monotonic() + _PATIENCE
    words = [sys.executable, "-P", "-m", "durastream.recorder", spool.store, spool.run_id]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(words, stdin=quiet, stdout=quiet, stderr=quiet) as recorder:
        while recorder.poll() is None and size() <= before + n * 4096 and time.monotonic() < deadline:
            time.sleep(0.0005)
        recorder.kill()
    return recorder.returncode < 0
