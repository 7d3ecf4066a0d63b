"""The pseudo-terminal that an agent runs on: two processes hold it, one of them copies what is printed to the spool.

The supervisor makes it and forks the *keeper*, which copies. When the keeper is killed the supervisor forks another;
when the supervisor is killed the keeper goes on alone. Bytes on their way stand in a pipe that both hold, so that
neither death loses one. Only when both are gone at once is the terminal, and the agent's session gets SIGHUP.

What a viewer types comes through `keys`, a FIFO in the spool, one JSON object a line: `{"keys": …}` (each character a
byte) or `{"columns": …, "rows": …}`. Standard library and `spool` only, as the supervisor.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import select
import signal
import struct
import termios
import time

from durastream.spool import Spool

__all__ = ["DEFAULT_SIZE", "Keyboard", "Terminal", "size_of"]

DEFAULT_SIZE = (80, 24)
"""Columns and rows of a terminal that nobody looks at."""

_PIECE = 1 << 16
_TICK = 0.25
_HELD_BACK = 1 << 16
_FULL_DISK = 5.0
_FRAME = 512  # bytes typed in one line of JSON: with every escape it is below PIPE_BUF, and so written whole
_NOTHING = (errno.EAGAIN, errno.EIO)  # no byte now; and no byte ever, since nobody has the other end open
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def size_of(fd: int) -> tuple[int, int] | None:
    """Columns and rows of a terminal; None for what is none, or does not say."""
    try:
        rows, columns = struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))[:2]
    except OSError:
        return None
    return (columns, rows) if columns and rows else None


def _set_size(fd: int, size: tuple[int, int]) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))


class Terminal:
    """Both ends of a pseudo-terminal, as the supervisor makes them and a keeper inherits them."""

    def __init__(self, spool: Spool, size: tuple[int, int]) -> None:
        self.spool = spool
        self.master, self.agent_end = os.openpty()
        _set_size(self.master, size)
        os.set_blocking(self.master, False)
        self.way_out, self.way_in = os.pipe()
        self.told, self.tell = os.pipe()
        for fd in (self.way_out, self.way_in, self.tell):
            os.set_blocking(fd, False)
        os.mkfifo(spool.file("keys"), 0o600)
        # for reading and writing: a viewer that leaves is no end of what can be typed
        self.keys = spool.open("keys", os.O_RDWR | os.O_NONBLOCK)

    @property
    def fds(self) -> set[int]:
        """What the supervisor keeps open as long as it lives; the agent's end is not among them."""
        return {self.master, self.way_out, self.way_in, self.told, self.tell, self.keys}

    def agent_ended(self) -> None:
        """Tell this keeper, and any later one, to copy what is left and to end."""
        os.write(self.tell, b".")

    def put_under_agent(self) -> None:
        """In the agent's process, which has just begun a session: make this its terminal, and its 0, 1 and 2."""
        fcntl.ioctl(self.agent_end, termios.TIOCSCTTY, 0)
        for fd in (0, 1, 2):
            os.dup2(self.agent_end, fd)

    def spawn_keeper(self, let_go: tuple[int, ...] = ()) -> int:
        """Fork a keeper; returns its pid. The caller must have no threads."""
        pid = os.fork()
        if pid:
            return pid
        code = 70
        try:
            for fd in let_go:
                os.close(fd)
            signal.set_wakeup_fd(-1)
            for number in (
                signal.SIGINT,
                signal.SIGTERM,
                signal.SIGQUIT,
                signal.SIGHUP,
                signal.SIGUSR1,
                signal.SIGUSR2,
            ):
                signal.signal(number, signal.SIG_IGN)
            with contextlib.suppress(OSError):
                os.setsid()
            _Keeper(self).run()
            code = 0
        finally:
            os._exit(code)


class _Keeper:
    """Copies until it is told that the agent has ended, or finds that out itself."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.spool = terminal.spool
        self.lock = self.spool.lock("terminal")
        self.file = self.spool.open("stdout", os.O_WRONLY)
        self.at = os.fstat(self.file).st_size
        self.told = False
        self.lines = b""
        self.typed = b""

    def run(self) -> None:
        terminal = self.terminal
        hung_up = False
        while not self.told:
            wanted = [terminal.told] if hung_up else [terminal.told, terminal.master]
            if len(self.typed) < _HELD_BACK:
                wanted.append(terminal.keys)
            ready, _, _ = select.select(wanted, [terminal.master] if self.typed and not hung_up else [], [], _TICK)
            self.told = terminal.told in ready
            if terminal.keys in ready:
                self._read_keys()
            self._type()
            hung_up = not self._copy() and self._hung_up()
            if not ready and self._left_alone():
                break
        self._drain()

    def _left_alone(self) -> bool:
        return not self.spool.exists() or not (self.spool.held("supervisor") or self.spool.agent_alive())

    def _drain(self) -> None:
        """Copy what is left; on a full disk not for ever."""
        deadline = time.monotonic() + _FULL_DISK
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if not self._copy():
                    return
                continue
            time.sleep(0.05)

    # from the agent

    def _copy(self) -> bool:
        """Move what was printed to the spool; False when there was nothing."""
        self._store()
        try:
            moved = _splice(self.terminal.master, self.terminal.way_in)
        except OSError as error:
            if error.errno in _NOTHING:
                return False
            raise
        self._store()
        return moved > 0

    def _store(self) -> None:
        """Move what is on its way to the end of the file; on a full disk wait, and with us the agent."""
        while True:
            try:
                moved = _splice(self.terminal.way_out, self.file, self.at)
            except OSError as error:
                if error.errno == errno.EAGAIN:
                    return
                if error.errno not in _FULL or self.told:
                    raise
                time.sleep(_TICK)
                continue
            if not moved:
                return
            self.at += moved

    def _hung_up(self) -> bool:
        """Whether nobody has the other end open: then it is always ready, and there is nothing to read."""
        poll = select.poll()
        poll.register(self.terminal.master, select.POLLIN)
        return any(event & select.POLLHUP for _, event in poll.poll(0))

    # to the agent

    def _read_keys(self) -> None:
        with contextlib.suppress(BlockingIOError):
            *lines, self.lines = (self.lines + os.read(self.terminal.keys, _PIECE)).split(b"\n")
            for line in lines:
                with contextlib.suppress(ValueError, KeyError, TypeError, OSError):
                    said = json.loads(line)
                    if "keys" in said:
                        self.typed += said["keys"].encode("latin-1")
                    else:
                        self._resize(int(said["columns"]), int(said["rows"]))

    def _type(self) -> None:
        if self.typed:
            with contextlib.suppress(OSError):  # it does not read now, or has no terminal any more
                self.typed = self.typed[os.write(self.terminal.master, self.typed) :]

    def _resize(self, columns: int, rows: int) -> None:
        """Change the size, and tell the recorder at which byte of the output."""
        size = (min(max(columns, 1), 1000), min(max(rows, 1), 1000))
        if size == size_of(self.terminal.master):
            return
        while self._copy():
            pass
        _set_size(self.terminal.master, size)
        self.spool.request(act="resized", columns=size[0], rows=size[1], offset=self.at)


def _splice(source: int, target: int, at: int | None = None) -> int:
    """Move bytes from one descriptor to another, to offset `at` of a file; returns how many. Raises OSError.

    Where the kernel does it, no byte is ever in this process: it can be killed at any instant.
    """
    if hasattr(os, "splice"):
        try:
            return os.splice(source, target, _PIECE, offset_dst=at, flags=os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
    data = os.read(source, 4096)
    return os.write(target, data) if at is None else os.pwrite(target, data, at)


class Keyboard:
    """What a viewer types to the agent. One viewer at a time holds it, until it lets go or ends."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._lock: int | None = None
        self._size: tuple[int, int] | None = None

    def take(self) -> bool:
        """Whether this viewer holds the keyboard, now that it has tried to."""
        if self._lock is None:
            try:
                fd = self._spool.open("keyboard.lock", os.O_RDWR | os.O_CREAT)
            except OSError:
                return False
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(fd)
                return False
            self._lock = fd
            if self._size is not None:
                self._send(columns=self._size[0], rows=self._size[1])
        return True

    def release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def type(self, data: bytes) -> bool:
        """Send what was typed; False when another viewer has the keyboard, or nobody takes it in."""
        if not self.take():
            return False
        pieces = [data[at : at + _FRAME] for at in range(0, len(data), _FRAME)]
        return all(self._send(keys=piece.decode("latin-1")) for piece in pieces)

    def resize(self, columns: int, rows: int) -> None:
        """Give the agent's terminal the size of the viewer's, if it holds the keyboard, else as soon as it does."""
        self._size = (columns, rows)
        if self._lock is not None:
            self._send(columns=columns, rows=rows)

    def _send(self, **said: str | int) -> bool:
        line = json.dumps(said).encode() + b"\n"
        try:
            fd = self._spool.open("keys", os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return False
        try:
            os.write(fd, line)
        except OSError:
            return False
        finally:
            os.close(fd)
        return True
