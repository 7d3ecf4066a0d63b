"""What the disk of a store can do, asked of the disk itself: to write, to lock, to share memory.

Quick enough to be asked before each run (about a third of a millisecond), so that no agent is started whose run cannot
be recorded. Standard library only, and nothing that is slow to import.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import sys
from collections.abc import Callable

from durastream.errors import TOO_BIG, StoreFull, StoreUnwritable

__all__ = ["NETWORK", "file_system", "is_network", "lock", "log_for", "share_memory"]

NETWORK = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "ncpfs", "coda", "davfs")
)
"""File systems whose locks and shared memory do not hold between machines; and `fuse.` before one of some others."""

_NETWORK_FUSE = ("sshfs", "s3fs", "gcsfuse", "rclone", "glusterfs", "davfs2", "ceph", "blobfuse", "goofys", "juicefs")
_PAGE = mmap.PAGESIZE


def log_for(store: str, log: str) -> tuple[str, str | None]:
    """The log to record with on the disk of a store, and what a person must be told of it, if anything.

    `sqlite` becomes `jsonl` where SQLite is not safe. Raises StoreUnwritable or StoreFull where nothing is.
    """
    folder = os.path.join(store, ".spool")
    path = os.path.join(folder, f".probe-{os.getpid()}")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unwritable(store, error) from error
    try:
        os.write(fd, b"\1" * _PAGE)
        why = _tried(lock, fd, path)
        if why is not None:
            raise StoreUnwritable(
                f"the disk of the store {store} cannot lock files ({why}): nothing was started; "
                "name one on a local disk with --store"
            )
        if log != "sqlite":
            return log, None
        why = _tried(_lock_range, fd, path) or _tried(share_memory, fd, path)
        name = None if why is not None else file_system(store)
    except OSError as error:
        raise _unwritable(store, error) from error
    finally:
        os.close(fd)
        with contextlib.suppress(OSError):
            os.unlink(path)
    if why is not None:
        return "jsonl", f"SQLite is not safe on the disk of the store {store} ({why}): recorded as JSON Lines"
    if name is not None and is_network(name):
        return "jsonl", f"the store {store} is on a network file system ({name}): recorded as JSON Lines"
    return log, None


def _unwritable(store: str, error: OSError) -> StoreUnwritable | StoreFull:
    if error.errno == errno.EFBIG:
        return StoreFull(f"{TOO_BIG} in the store {store}: nothing was started; raise it first")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(f"no space left in the store {store}: nothing was started; free some first")
    return StoreUnwritable(f"cannot write to the store {store}: {error.strerror}: name another with --store")


def _tried(what: Callable[[int, str], None], fd: int, path: str) -> str | None:
    """Why something does not work; None when it does."""
    try:
        what(fd, path)
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None


def lock(fd: int, path: str) -> None:
    """Lock a whole file, as each process of a run does, and be refused the second time. Raises OSError."""
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    second = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    finally:
        os.close(second)
    raise OSError(errno.ENOLCK, "two locks were given at once")


def _lock_range(fd: int, path: str) -> None:
    """Lock a part of a file, as SQLite does."""
    fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 120)
    fcntl.lockf(fd, fcntl.LOCK_UN, 1, 120)


def share_memory(fd: int, path: str) -> None:
    """Write through a shared mapping and read it from the file, as SQLite's index of the WAL wants it."""
    with mmap.mmap(fd, _PAGE) as shared:
        shared[:4] = b"seen"
        if os.pread(fd, 4, 0) != b"seen":
            raise OSError(errno.ENODEV, "what is mapped is not what is read")


def is_network(name: str) -> bool:
    """Whether a file system of this name is kept by another machine."""
    return name in NETWORK or (name.startswith("fuse.") and name[5:] in _NETWORK_FUSE)


def file_system(path: str, mounts: str = "/proc/self/mountinfo") -> str | None:
    """The name of the file system that a path is on; None where that cannot be asked."""
    if sys.platform != "linux":
        return None
    try:
        device = os.stat(path).st_dev
        wanted = f"{os.major(device)}:{os.minor(device)}".encode()
        with open(mounts, "rb") as file:
            for line in file:
                fields = line.split()
                if fields[2] == wanted:
                    return fields[fields.index(b"-") + 1].decode("ascii", "replace")
    except (OSError, ValueError, IndexError):
        return None
    return None
