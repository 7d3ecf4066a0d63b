"""A run's spool: the plain files that the agent writes to, and what is known of the processes around them.

    <store>/.spool/<run-id>/
        meta.json                 what was asked for; written once, before anything starts
        stdout stderr events      the agent's bytes, append only: the write-ahead log
        control obeyed.json       requests to the supervisor (cancel, signals), append only; how far it went with them
        agent.json exit.json      the agent's process; how it ended
        keys keyboard.lock        of a run on a terminal: what is typed to it; held by the viewer that may
        supervisor.lock recorder.lock terminal.lock   held by flock as long as the process lives
        given                     up to where stretches of the streams were given back to the disk: see `room`
        bell                      touched after each commit: a hint to viewers, never a fact
        reserve exit.tmp          space set aside, so that a full disk cannot hide the end of a run; so is trouble.json
        trouble.json              why the recorder could not go on, for the person who asks

Standard library only, and nothing that is slow to import: the agent waits for this module.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import sys
import time
from typing import Any

from durastream.errors import TOO_BIG, NotARecording, RunLocked, RunNotFound, StoreFull, StoreUnwritable

__all__ = ["STREAMS", "Spool", "boot_id", "new_run_id", "process_token", "sign", "spools", "sweep"]

STREAMS = ("stdout", "stderr", "events")
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_RESERVE = 1 << 20
_SMALL = 4096
_GONE = ".gone-"
_PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ENOSPC)


def new_run_id() -> str:
    """Six characters that are easy to type and hard to confuse: 887 million ids."""
    id_ = ""
    while len(id_) < 6:
        byte = os.urandom(1)[0]
        if byte < 248:  # the largest multiple of 31, so that each character is equally likely
            id_ += _ALPHABET[byte % 31]
    return id_


def boot_id() -> str:
    """What tells this boot of the machine from another; empty where the system does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def process_token(pid: int) -> str | None:
    """What tells this process from a later one with the same pid: its start time. None when it is gone."""
    if sys.platform == "linux":
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            return None
        return None if fields[0] in (b"Z", b"X") else fields[19].decode()
    import subprocess  # only where there is no /proc

    asked = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    status, _, started = asked.stdout.strip().partition(" ")
    return None if not status or status.startswith("Z") else started.strip()


def sign(lock: int) -> None:
    """Write our pid into a lock that we hold: for messages only, and not worth failing for on a full disk."""
    with contextlib.suppress(OSError):
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)


def spools(store: str) -> list[str]:
    """The run ids that have a spool in this store."""
    try:
        entries = list(os.scandir(os.path.join(store, ".spool")))
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def sweep(store: str) -> None:
    """Remove what is left of spools at whose removal somebody was killed: an agent's bytes, with no secret masked."""
    folder = os.path.join(store, ".spool")
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if name.startswith(_GONE):
                _clear(os.path.join(folder, name))


class Spool:
    """The folder of one run. Making the object touches nothing."""

    def __init__(self, store: str, run_id: str) -> None:
        self.store = store
        self.run_id = run_id
        self.path = os.path.join(store, ".spool", run_id)
        self._claim: int | None = None

    def __repr__(self) -> str:
        return f"Spool({self.path!r})"

    @classmethod
    def create(cls, store: str, meta: dict[str, Any]) -> Spool:
        """Claim a new run id and set its files up. Nothing is left behind when it fails.

        The supervisor's lock is held from before anybody can take the run for one that was left, and handed over by
        the first `lock("supervisor")`. Raises StoreUnwritable or StoreFull; no agent has been started then.
        """
        try:
            _private(os.path.join(store, ".spool"))
            while True:
                spool = cls(store, new_run_id())
                taken = any(os.path.exists(os.path.join(store, spool.run_id + end)) for end in (".db", ".jsonl"))
                if not taken:
                    try:
                        _private(spool.path, new=True)
                        break
                    except FileExistsError:
                        continue
            try:
                spool._fill({**meta, "run_id": spool.run_id})
            except OSError:
                spool.remove()
                if spool._claim is not None:
                    os.close(spool._claim)
                raise
        except OSError as error:
            if error.errno == errno.EFBIG:
                raise StoreFull(f"{TOO_BIG} in the store {store}: nothing was started; raise it first") from error
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreFull(f"no space left in the store {store}: nothing was started; free some first") from error
            raise StoreUnwritable(
                f"cannot write to the store {store}: {error.strerror}: name another with --store"
            ) from error
        return spool

    def _fill(self, meta: dict[str, Any]) -> None:
        self._claim = self.open("supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_EXCL)
        _take(self._claim, time.monotonic() + 1.0)
        for name in (*STREAMS, "control", "bell", "given", "recorder.lock"):
            os.close(self.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        self._set_aside("reserve", _RESERVE)
        self._set_aside("exit.tmp", _SMALL)
        self._set_aside("trouble.json", _SMALL)
        self.write_json("meta.json", meta)

    def _set_aside(self, name: str, size: int) -> None:
        fd = self.open(name, os.O_WRONLY | os.O_CREAT)
        try:
            if sys.platform == "linux":
                os.posix_fallocate(fd, 0, size)
            else:
                os.write(fd, bytes(size))
        finally:
            os.close(fd)

    def file(self, name: str) -> str:
        return os.path.join(self.path, name)

    def open(self, name: str, flags: int) -> int:
        """A file descriptor (not inherited) of a file in the spool; new files are private to the user."""
        fd = os.open(self.file(name), flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        if flags & os.O_CREAT:
            os.fchmod(fd, 0o600)  # whatever the umask
        return fd

    def exists(self) -> bool:
        return os.path.isdir(self.path)

    def age(self) -> float:
        """Seconds since a file was made in the spool or removed from it; 0 when it is not there."""
        try:
            return time.time() - os.stat(self.path).st_mtime
        except OSError:
            return 0.0

    def size(self, name: str) -> int:
        """Bytes in a file of the spool; 0 when it is not there."""
        try:
            return os.stat(self.file(name)).st_size
        except OSError:
            return 0

    # what is kept as JSON

    def read_json(self, name: str, *, surely: bool = False) -> dict[str, Any] | None:
        """One of the small files, whole; None when it is not there (yet).

        With `surely` StoreUnwritable is raised when it cannot be read just now, which says nothing of what is in it.
        """
        try:
            with open(self.open(name, os.O_RDONLY | os.O_NONBLOCK), encoding="utf-8") as file:
                value = json.load(file)
        except (OSError, ValueError, RecursionError) as error:
            if surely and isinstance(error, OSError) and error.errno in _PASSING:
                raise StoreUnwritable(f"cannot read {self.file(name)}: {error.strerror}") from error
            return None
        return value if isinstance(value, dict) else None

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Write a small file so that a reader sees all of it or nothing."""
        with open(self.open(name + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "w", encoding="utf-8") as file:
            json.dump(value, file)
        os.replace(self.file(name + ".new"), self.file(name))

    def meta(self) -> dict[str, Any]:
        """What was asked for. Raises RunNotFound or NotARecording."""
        meta = self.read_json("meta.json")
        if meta is None:
            if not self.exists():
                raise RunNotFound(f"run {self.run_id} has no spool in {self.store}")
            raise NotARecording(f"the spool {self.path} has no readable meta.json: it cannot be recorded")
        return meta

    def write_exit(self, status: dict[str, Any]) -> None:
        """Record how the agent ended, through space set aside for it: this works on a full disk."""
        data = json.dumps(status).encode()
        try:
            self._write_exit(data)
        except OSError:
            self.release_reserve()
            self._write_exit(data)

    def _write_exit(self, data: bytes) -> None:
        fd = self.open("exit.tmp", os.O_WRONLY | os.O_CREAT)
        try:
            if os.pwrite(fd, data, 0) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.ftruncate(fd, len(data))
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(self.file("exit.tmp"), self.file("exit.json"))

    def write_trouble(self, trouble: dict[str, Any] | None) -> None:
        """Say why the recorder cannot go on, or that it does. In space set aside: this works on a full disk."""
        data = b"" if trouble is None else json.dumps(trouble).encode()
        with contextlib.suppress(OSError):
            fd = self.open("trouble.json", os.O_WRONLY | os.O_CREAT)
            try:
                os.pwrite(fd, data.ljust(_SMALL), 0)
            finally:
                os.close(fd)

    def trouble(self) -> dict[str, Any] | None:
        """Why the recorder could not go on; None when it could."""
        return self.read_json("trouble.json")

    def exit_status(self, *, surely: bool = False) -> dict[str, Any] | None:
        """How the agent ended; None while it runs (or when its supervisor was killed). `surely` as of `read_json`."""
        return self.read_json("exit.json", surely=surely)

    # requests

    def request(self, **what: Any) -> None:
        """Ask the supervisor for something (`act`: cancel, signal), or tell the recorder (resized). In one write."""
        line = (json.dumps({**what, "ts": time.time()}) + "\n").encode()
        fd = self.open("control", os.O_WRONLY | os.O_APPEND)
        try:
            try:
                if os.write(fd, line) == len(line):
                    return
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
            self.release_reserve()  # on a full disk above all, a run must be possible to end
            os.write(fd, b"\n" + line)
        finally:
            os.close(fd)

    # liveness

    def lock(self, who: str, *, patience: float = 1.0) -> int:
        """Hold `supervisor`, `recorder` or `terminal` for this process; returns the descriptor that holds it.

        Waits a moment, because whoever asks whether the lock is held holds it for an instant. Raises RunLocked.
        """
        if who == "supervisor" and self._claim is not None:
            fd, self._claim = self._claim, None
            return fd
        fd = self.open(f"{who}.lock", os.O_RDWR | os.O_CREAT)
        deadline = time.monotonic() + patience
        try:
            _take(fd, deadline)
        except BlockingIOError:
            owner = os.pread(fd, 64, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            raise RunLocked(f"run {self.run_id} already has a {who} (process {owner}): it was left alone") from None
        sign(fd)
        return fd

    def held(self, who: str) -> bool:
        """Whether a living process holds such a lock. Asked of the kernel, never guessed from a pid."""
        try:
            fd = self.open(f"{who}.lock", os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def alive(self) -> bool:
        """Whether anything of ours still works on this run; if not, an unfinished run is orphaned."""
        return self.held("supervisor") or self.held("recorder")

    def agent_alive(self) -> bool:
        """Whether the agent's process lives: the same pid, started at the same time, in the same boot.

        Raises StoreUnwritable where that cannot be said just now: an agent that lives is not to be taken for dead.
        """
        agent = self.read_json("agent.json", surely=True)
        if agent is None or agent.get("boot_id") != boot_id():
            return False
        token = agent.get("token")
        return token is not None and process_token(int(agent["pid"])) == token

    def ring(self) -> None:
        """Tell viewers that something was committed. A hint: whoever misses it polls."""
        try:
            fd = self.open("bell", os.O_WRONLY)
        except OSError:
            return
        try:
            os.pwrite(fd, b".", 0)
        except OSError:
            return
        finally:
            os.close(fd)

    # the end

    def release_reserve(self) -> bool:
        """Give the space set aside back to the disk; False when it was given back before."""
        try:
            os.unlink(self.file("reserve"))
        except OSError:
            return False
        return True

    def remove(self) -> None:
        """Remove the spool: at once, or killed in the middle of it not at all. Open descriptors on it stay readable."""
        gone = os.path.join(os.path.dirname(self.path), _GONE + self.run_id)
        _clear(gone)
        try:
            os.rename(self.path, gone)
        except FileNotFoundError:
            return
        sweep(self.store)


def _private(folder: str, *, new: bool = False) -> None:
    """Make a folder that only its user can enter, whatever the umask. Raises FileExistsError for a `new` one."""
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        if new:
            raise
    else:
        os.chmod(folder, 0o700)


def _take(lock: int, deadline: float) -> None:
    """Lock a file, which whoever asks about it may hold for an instant. Raises BlockingIOError at the deadline."""
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _clear(folder: str) -> None:
    """Remove a folder of plain files, as far as it lets us; others may be at it too. Follows no link out of it."""
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            for name in os.listdir(fd):
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=fd)
        finally:
            os.close(fd)
        os.rmdir(folder)
