"""Starts the agent and outlives everything: no parsing of what the agent writes, as little code as can be.

The supervisor is a fork of `durastream run`, in a session of its own. It starts the agent at once, then a recorder,
starts that again when it dies, passes signals on to the agent's process group, and writes down how the agent ended.
Standard library and `spool` only: nothing here may be slow to import or able to fail for a reason of the recording.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import math
import os
import select
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any, NoReturn

from durastream.control import GRACE, Requests
from durastream.errors import StoreError
from durastream.spool import STREAMS, Spool, boot_id, process_token, sign
from durastream.terminal import Terminal

__all__ = ["GIVE_UP", "RETRY", "beyond", "launch", "spawn_recorder", "stop_all"]

RETRY = 75
"""Exit code of a recorder that could not store now and asks to be started again (EX_TEMPFAIL)."""

GIVE_UP = 78
"""Exit code of a recorder for which starting again is no use (EX_CONFIG)."""

_RECORDER = "durastream.recorder"  # it stands above this module, and is not imported by it

_TICK = 0.1
_LATE_PATIENCE = 20
_LATE_ERROR = 5
_TOLD = 20
_PARTING = 0.05
_OUT_OF = (errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def launch(
    spool: Spool, argv: list[str], environ: dict[str, str], stdin: int | None, terminal: tuple[int, int] | None = None
) -> int:
    """Fork the supervisor, which starts the agent; returns the supervisor's pid.

    `stdin` is a descriptor for the agent to read, or None for an empty one. With `terminal` (columns, rows) the agent
    runs on a pseudo-terminal instead. The caller must have no other threads.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    lock = spool.lock("supervisor")
    try:
        pid = os.fork()
    except OSError as error:
        spool.remove()
        os.close(lock)
        raise StoreError(f"cannot start a process: {error.strerror}: nothing was started") from error
    if pid:
        os.close(lock)
        return pid
    code = 70
    try:
        os.setsid()
        _Supervisor(spool, lock, terminal).run(argv, environ, stdin)
        code = 0
    except BaseException as error:  # noqa: BLE001 - the last frame of a forked process must not return
        spool.write_trouble({"message": f"the supervisor failed: {error!r}"[:1000], "exit_code": 125})
    finally:
        os._exit(code)


def spawn_recorder(spool: Spool, *, forked: bool = False) -> int:
    """Start a recorder in a process of its own, without terminal; returns its pid. The caller must have no threads.

    With `forked` it goes on in a fork of this process, which spares it the start of an interpreter. Only for who was
    started a moment ago: what it imports must be of the same version as what is there.
    """
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number in (*_FORWARDED, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        _let_go(keep=set())
        log = spool.open("recorder.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for target in (1, 2):
            os.dup2(log, target)
        with contextlib.suppress(OSError):
            os.setsid()
        if forked:
            os._exit(_record(spool))
        # -P: a file named json.py in the current folder is not the recorder's business
        os.execv(sys.executable, [sys.executable, "-P", "-m", _RECORDER, spool.store, spool.run_id])
    finally:
        os._exit(71)


def _record(spool: Spool) -> int:
    """Be the recorder, as if it had been executed; returns the exit code."""
    if not sys.flags.safe_path:
        del sys.path[0]
    try:
        code = importlib.import_module(_RECORDER).main([spool.store, spool.run_id])
        sys.stderr.flush()
    except BaseException:  # the last frame of a forked process must not return
        sys.excepthook(*sys.exc_info())
        raise
    return int(code)


class _Supervisor:
    def __init__(self, spool: Spool, lock: int, size: tuple[int, int] | None) -> None:
        self.spool = spool
        self.lock = lock
        sign(lock)
        self.terminal = Terminal(spool, size) if size is not None else None
        self.keeper = 0
        self.keeper_told = False
        self.copied = size is None
        self.agent = 0
        self.recorder = 0
        self.requests = Requests(spool)
        self.sent: list[dict[str, str]] = []
        self.limits = spool.meta()
        self.began = time.monotonic()
        self.kill_at: float | None = None
        self.how: dict[str, Any] | None = None
        self.ended = False
        self.tried = False
        self.recorder_done = False
        self.restart_at = 0.0
        self.pause = 0.05
        self.late = 0

    def run(self, argv: list[str], environ: dict[str, str], stdin: int | None) -> None:
        wakes, wake = _pipe()
        for noted in (*_FORWARDED, signal.SIGCHLD):
            signal.signal(noted, _note)
        hang_up = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._start_agent(argv, environ, stdin, ignore_hang_up=hang_up == signal.SIG_IGN)
        _let_go(keep={self.lock, wakes, wake, *(self.terminal.fds if self.terminal is not None else ())})
        while not (self.ended and self.recorder_done):
            try:
                self._turn(wakes)
            except OSError:  # no process, descriptor or space left: the agent is still to be waited for
                if self.how is not None and not self.spool.exists():
                    return  # somebody removed the run: there is nothing left to write down
                time.sleep(_TICK)

    def _turn(self, wakes: int) -> None:
        self._keep_terminal()
        if not self.recorder and not self.recorder_done and time.monotonic() >= self.restart_at:
            self._start_recorder()
        if select.select([wakes], [], [], _TICK)[0]:
            self._forward(os.read(wakes, 512))
        self._reap()
        if self.how is not None and not self.ended and self.copied:
            self._end(self.how)
        self._limit()
        self._obey()

    def _keep_terminal(self) -> None:
        """Have a keeper as long as the agent prints, and one that copies the rest when it has ended."""
        if self.terminal is None or self.copied:
            return
        if not self.keeper:
            with contextlib.suppress(OSError):  # no process is left, perhaps until the agent's own is waited for
                self.keeper = self.terminal.spawn_keeper(let_go=(self.lock,))
        if self.how is not None and not self.keeper_told:
            self.keeper_told = True
            self.terminal.agent_ended()

    # the agent

    def _start_agent(
        self, argv: list[str], environ: dict[str, str], stdin: int | None, *, ignore_hang_up: bool
    ) -> None:
        failed, report = _pipe()
        try:
            self.agent = os.fork()
        except OSError as error:
            self.how = _not_started(argv[0], error.errno or 0)
            return
        if not self.agent:
            signal.signal(signal.SIGHUP, signal.SIG_IGN if ignore_hang_up else signal.SIG_DFL)
            _become_agent(self.spool, argv, environ, stdin, report, self.terminal)
        os.close(report)
        why = os.read(failed, 64)
        os.close(failed)
        if why:
            os.waitpid(self.agent, 0)
            self.how = _not_started(argv[0], int(why))

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid == self.agent:
                self.how = _how(os.waitstatus_to_exitcode(status))
            elif pid == self.keeper:
                self.keeper = 0
                self.copied = self.keeper_told and status == 0
            elif pid == self.recorder:
                self._recorder_ended(os.waitstatus_to_exitcode(status))

    def _end(self, how: dict[str, Any]) -> None:
        left = _left_behind(self.spool.run_id)
        if left:
            left = stop_all(self.spool.run_id, gently=self.kill_at is None)
        told = {"sent": self.sent[-_TOLD:], "left": left[:_TOLD], "left_count": len(left)}
        self.spool.write_exit({**how, "ts": time.time(), "mono": time.monotonic(), **told})
        self.ended = True
        self.kill_at = None

    def _signal(self, number: int, by: str) -> None:
        if self.how is not None:
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

    def _limit(self) -> None:
        """Ask for the end of an agent that goes beyond what it was given, once, as `cancel` does."""
        by = beyond(self.spool, self.limits, self.began) if self.how is None else None
        if by is not None:
            self.limits = {}
            self.spool.request(act="cancel", by=by, grace=GRACE)

    def _obey(self) -> None:
        """Carry out what was asked for in the control file since the last look."""
        for number, by, grace, _ in self.requests.new():
            self._signal(number, by)
            if grace is not None:
                self.kill_at = time.monotonic() + grace
        if self.kill_at is not None and not self.ended and time.monotonic() >= self.kill_at:
            self._signal(signal.SIGKILL, "cancel")
            self.kill_at = time.monotonic() + GRACE

    # the recorder

    def _start_recorder(self) -> None:
        self.restart_at = time.monotonic() + self.pause
        try:
            self.recorder = spawn_recorder(self.spool, forked=not self.tried)
        except OSError as error:  # no process is left, perhaps until the agent's own is waited for
            message = f"cannot start a recorder for run {self.spool.run_id}: {error.strerror}"
            self.spool.write_trouble({"message": message, "exit_code": 125})
            self._recorder_ended(RETRY)
        self.tried = True

    def _recorder_ended(self, code: int) -> None:
        self.recorder = 0
        if code in (0, GIVE_UP) or not self.spool.exists():
            self.recorder_done = True
            return
        if self.ended:  # one that was killed may come further the next time; one that failed will hardly
            self.late += _LATE_ERROR if code > 0 else 1
            self.recorder_done = self.late >= _LATE_PATIENCE
        self.restart_at = time.monotonic() + self.pause
        self.pause = min(self.pause * 2, 1.0)


def beyond(spool: Spool, limits: Mapping[str, Any], began: float) -> str | None:
    """Which limit a run is beyond that began at this second of the monotonic clock; None when it is within all."""
    if time.monotonic() - began > limits.get("max_duration", math.inf):
        return "max-duration"
    if "max_bytes" in limits and sum(map(spool.size, STREAMS)) > limits["max_bytes"]:
        return "max-bytes"
    return None


def _not_started(program: str, number: int) -> dict[str, Any]:
    """How an agent ended that could not begin: 125 when we are out of something, 126 and 127 when it is the program."""
    code = 125 if number in _OUT_OF else 127 if number == errno.ENOENT else 126
    return {"exit_code": code, "start_error": f"cannot start {program}: {os.strerror(number)}"}


def _how(code: int) -> dict[str, Any]:
    """How a process ended, from its exit code, which is negative for a signal."""
    if code >= 0:
        return {"exit_code": code}
    try:
        return {"signal": signal.Signals(-code).name}
    except ValueError:  # a real-time signal has no name of its own
        return {"exit_code": 128 - code}


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


def _become_agent(
    spool: Spool, argv: list[str], environ: dict[str, str], stdin: int | None, report: int, terminal: Terminal | None
) -> NoReturn:
    try:
        signal.set_wakeup_fd(-1)
        for number in (*_FORWARDED, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        # by the agent itself, which holds the supervisor's lock until it becomes the agent: at no moment can it be
        # taken for dead. A full disk is no reason not to start; this is asked for only when the supervisor was killed.
        with contextlib.suppress(OSError):
            me = os.getpid()
            spool.write_json("agent.json", {"pid": me, "token": process_token(me), "boot_id": boot_id()})
        if terminal is not None:
            terminal.put_under_agent()
        else:
            os.dup2(os.open(os.devnull, os.O_RDONLY) if stdin is None else stdin, 0)
            os.dup2(spool.open("stdout", os.O_WRONLY | os.O_APPEND), 1)
            os.dup2(spool.open("stderr", os.O_WRONLY | os.O_APPEND), 2)
        os.execvpe(argv[0], argv, environ)
    except OSError as error:
        os.write(report, str(error.errno).encode())
    finally:
        os._exit(127)


def _left_behind(run_id: str) -> list[dict[str, Any]]:
    """Processes that carry this run's id and outlived the agent: they left its group or were put in the background.

    The agents of runs that were started inside this one are among them, their supervisors and recorders are not: those
    end when their run does.
    """
    found: list[dict[str, Any]] = []
    marks = {f"DURASTREAM_RUN_ID={run_id}".encode(), f"DURASTREAM_PARENT_RUN_ID={run_id}".encode()}
    if not os.path.isdir("/proc/self"):
        return found
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if marks.isdisjoint(file.read().split(b"\0")):
                    continue
            with open(f"/proc/{name}/comm", encoding="utf-8", errors="replace") as file:
                comm = file.read().strip()
        except OSError:
            continue
        if process_token(int(name)) is not None and not _holds_a_run(name):
            found.append({"pid": int(name), "name": comm})
    return found


def _holds_a_run(process: str) -> bool:
    """Whether a process is a supervisor, a keeper or a recorder: it has the lock of a run open."""
    with contextlib.suppress(OSError):
        for fd in os.listdir(f"/proc/{process}/fd"):
            with contextlib.suppress(OSError):
                folder, name = os.path.split(os.readlink(f"/proc/{process}/fd/{fd}"))
                if (
                    name in ("supervisor.lock", "recorder.lock", "terminal.lock")
                    and os.path.basename(os.path.dirname(folder)) == ".spool"
                ):
                    return True
    return False


def stop_all(run_id: str, *, gently: bool) -> list[dict[str, Any]]:
    """Wait for what is just ending anyway; after a cancel, not `gently`, end it. Returns what is still there."""
    steps = ((0, _PARTING),) if gently else ((signal.SIGTERM, 2.0), (signal.SIGKILL, 1.0))
    for number, patience in steps:
        for process in _left_behind(run_id):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process["pid"], number)
                if number == signal.SIGTERM:
                    os.kill(process["pid"], signal.SIGCONT)
        deadline = time.monotonic() + patience
        while _left_behind(run_id) and time.monotonic() < deadline:
            time.sleep(0.02)
    return _left_behind(run_id)
