"""Starts the agent and outlives everything: no parsing of what the agent writes, as little code as can be.

The supervisor is a fork of `durastream run`, in a session of its own. It starts the agent at once, then a recorder,
starts that again when it dies, passes signals on to the agent's process group, and writes down how the agent ended.
Standard library and `spool` only: nothing here may be slow to import or able to fail for a reason of the recording.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import sys
import time
from typing import Any, NoReturn

from durastream.spool import Spool, boot_id, process_token

__all__ = ["GIVE_UP", "RETRY", "launch", "spawn_recorder"]

RETRY = 75
"""Exit code of a recorder that could not store now and asks to be started again (EX_TEMPFAIL)."""

GIVE_UP = 78
"""Exit code of a recorder for which starting again is no use (EX_CONFIG)."""

_TICK = 0.1
_GRACE = 10.0
_LATE_TRIES = 4
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def launch(spool: Spool, argv: list[str], environ: dict[str, str], stdin: int | None) -> int:
    """Fork the supervisor, which starts the agent; returns the supervisor's pid.

    `stdin` is a descriptor for the agent to read, or None for an empty one. The caller must have no other threads.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    lock = spool.lock("supervisor")  # before the fork: from the caller's next line on, the run is alive
    pid = os.fork()
    if pid:
        os.close(lock)
        return pid
    code = 70
    try:
        os.setsid()
        _Supervisor(spool, lock).run(argv, environ, stdin)
        code = 0
    except BaseException as error:  # noqa: BLE001 - the last frame of a forked process must not return
        with contextlib.suppress(OSError):
            spool.write_json("trouble.json", {"message": f"the supervisor failed: {error!r}", "exit_code": 125})
    finally:
        os._exit(code)


def spawn_recorder(spool: Spool, let_go: tuple[int, ...] = ()) -> int:
    """Start a recorder in a process of its own, without terminal; returns its pid. The caller must have no threads."""
    pid = os.fork()
    if pid:
        return pid
    try:
        for fd in let_go:
            os.close(fd)
        signal.set_wakeup_fd(-1)
        for number in (*_FORWARDED, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDWR)
        log = spool.open("recorder.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for target, fd in ((0, null), (1, log), (2, log)):
            os.dup2(fd, target)
        with contextlib.suppress(OSError):
            os.setsid()
        # -P: a file named json.py in the current folder is not the recorder's business
        os.execv(sys.executable, [sys.executable, "-P", "-m", "durastream.recorder", spool.store, spool.run_id])
    finally:
        os._exit(71)


class _Supervisor:
    def __init__(self, spool: Spool, lock: int) -> None:
        self.spool = spool
        self.lock = lock
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        self.agent = 0
        self.recorder = 0
        self.control_read = 0
        self.control_rest = b""
        self.sent: list[dict[str, str]] = []
        self.kill_at: float | None = None
        self.ended = False
        self.recorder_done = False
        self.restart_at = 0.0
        self.pause = 0.05
        self.late_tries = 0

    def run(self, argv: list[str], environ: dict[str, str], stdin: int | None) -> None:
        wakes, wake = _pipe()
        for noted in (*_FORWARDED, signal.SIGCHLD):
            signal.signal(noted, _note)
        hang_up = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._start_agent(argv, environ, stdin, ignore_hang_up=hang_up == signal.SIG_IGN)
        _let_go(keep={self.lock, wakes, wake})
        while not (self.ended and self.recorder_done):
            try:
                self._turn(wakes)
            except (
                OSError
            ):  # no process, descriptor or space left: whatever it was, the agent is still to be waited for
                time.sleep(_TICK)

    def _turn(self, wakes: int) -> None:
        if not self.recorder and not self.recorder_done and time.monotonic() >= self.restart_at:
            self.restart_at = time.monotonic() + self.pause
            self.recorder = spawn_recorder(self.spool, let_go=(self.lock,))
        if select.select([wakes], [], [], _TICK)[0]:
            self._forward(os.read(wakes, 512))
        self._reap()
        self._obey()

    # the agent

    def _start_agent(
        self, argv: list[str], environ: dict[str, str], stdin: int | None, *, ignore_hang_up: bool
    ) -> None:
        failed, report = _pipe()
        self.agent = os.fork()
        if not self.agent:
            signal.signal(signal.SIGHUP, signal.SIG_IGN if ignore_hang_up else signal.SIG_DFL)
            _become_agent(self.spool, argv, environ, stdin, report)
        os.close(report)
        why = os.read(failed, 64)
        os.close(failed)
        if why:
            os.waitpid(self.agent, 0)
            number = int(why)
            code = 127 if number == errno.ENOENT else 126
            self._end({"exit_code": code, "start_error": f"cannot start {argv[0]}: {os.strerror(number)}"})
            return
        token = process_token(self.agent)
        with contextlib.suppress(OSError):  # a full disk; it is asked for only when this process is gone
            self.spool.write_json("agent.json", {"pid": self.agent, "token": token, "boot_id": boot_id()})

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid == self.agent:
                code = os.waitstatus_to_exitcode(status)
                self._end({"exit_code": code} if code >= 0 else {"signal": signal.Signals(-code).name})
            elif pid == self.recorder:
                self._recorder_ended(os.waitstatus_to_exitcode(status))

    def _end(self, how: dict[str, Any]) -> None:
        left = _left_behind(self.spool.run_id)
        if self.kill_at is not None and left:
            left = _stop_all(self.spool.run_id)
        status = {**how, "ts": time.time(), "mono": time.monotonic(), "sent": self.sent, "left": left}
        self.spool.write_exit(status)
        self.ended = True
        self.kill_at = None

    def _signal(self, number: int, by: str) -> None:
        if self.ended:
            return
        self.sent.append({"signal": signal.Signals(number).name, "by": by})
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.agent, number)
        if number == signal.SIGTERM:  # a stopped process does not see it until it goes on
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.agent, signal.SIGCONT)

    def _forward(self, numbers: bytes) -> None:
        for number in numbers:
            if number in _FORWARDED:
                self._signal(number, "signal")

    def _obey(self) -> None:
        """Carry out what was asked for in the control file since the last look."""
        if self.spool.size("control") > self.control_read:
            with open(self.spool.file("control"), "rb") as file:
                file.seek(self.control_read)
                new = file.read()
            self.control_read += len(new)
            *lines, self.control_rest = (self.control_rest + new).split(b"\n")
            for line in lines:
                with contextlib.suppress(ValueError, KeyError, AttributeError):
                    request = json.loads(line)
                    if request["act"] == "cancel":
                        self._signal(signal.SIGTERM, "cancel")
                        self.kill_at = time.monotonic() + float(request.get("grace", _GRACE))
                    elif request["act"] == "signal":
                        self._signal(signal.Signals[request["signal"]], str(request.get("by", "signal")))
        if self.kill_at is not None and not self.ended and time.monotonic() >= self.kill_at:
            self._signal(signal.SIGKILL, "cancel")
            self.kill_at = time.monotonic() + _GRACE

    # the recorder

    def _recorder_ended(self, code: int) -> None:
        self.recorder = 0
        if code in (0, GIVE_UP):
            self.recorder_done = True
            return
        if self.ended:
            self.late_tries += 1
            self.recorder_done = self.late_tries >= _LATE_TRIES
        self.restart_at = time.monotonic() + self.pause
        self.pause = min(self.pause * 2, 1.0)


def _note(number: int, frame: object) -> None:
    """A handler that lets the wake-up descriptor do its work."""


def _pipe() -> tuple[int, int]:
    read, write = os.pipe()
    os.set_blocking(write, False)
    return read, write


def _let_go(keep: set[int]) -> None:
    """Close every descriptor that came from the terminal or the shell, so that nobody waits for us to end."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    for name in os.listdir("/dev/fd"):
        fd = int(name)
        if fd > 2 and fd not in keep:
            with contextlib.suppress(OSError):
                os.close(fd)


def _become_agent(spool: Spool, argv: list[str], environ: dict[str, str], stdin: int | None, report: int) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)
        for number in (*_FORWARDED, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY) if stdin is None else stdin, 0)
        os.dup2(spool.open("stdout", os.O_WRONLY | os.O_APPEND), 1)
        os.dup2(spool.open("stderr", os.O_WRONLY | os.O_APPEND), 2)
        os.execvpe(argv[0], argv, environ)
    except OSError as error:
        os.write(report, str(error.errno).encode())
    finally:
        os._exit(127)


def _left_behind(run_id: str) -> list[dict[str, Any]]:
    """Processes that carry this run's id and outlived the agent: they left its group or were put in the background."""
    found: list[dict[str, Any]] = []
    mark = f"DURASTREAM_RUN_ID={run_id}".encode()
    if not os.path.isdir("/proc/self"):
        return found
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if mark not in file.read().split(b"\0"):
                    continue
            with open(f"/proc/{name}/comm", encoding="utf-8", errors="replace") as file:
                comm = file.read().strip()
        except OSError:
            continue
        if process_token(int(name)) is not None:
            found.append({"pid": int(name), "name": comm})
    return found


def _stop_all(run_id: str) -> list[dict[str, Any]]:
    """After a cancel: end what the agent left behind, gently, then not; returns what is still there."""
    for number, patience in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 1.0)):
        for process in _left_behind(run_id):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process["pid"], number)
        deadline = time.monotonic() + patience
        while _left_behind(run_id) and time.monotonic() < deadline:
            time.sleep(0.02)
    return _left_behind(run_id)
