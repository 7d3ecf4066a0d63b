"""The place where durastream is measured: temporary folders, an environment as after `pip install`, and an end for
every process that was started."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from durastream.spool import Spool, spools

__all__ = ["AGENTS", "Bench", "NotMeasured", "cpu_seconds", "memory_peak", "others_busy", "running_seconds"]

AGENTS = Path(__file__).with_name("agents")
SOURCE = Path(__file__).resolve().parents[2] / "src"
QUIET = 0.15
"""The share of all cores that others may use while something is measured."""

TICKS = os.sysconf("SC_CLK_TCK")

# What pip 23 and 24 (those that `python3 -m venv` brings) write into bin/ for a console script.
SCRIPT = r"""#!{python}
# -*- coding: utf-8 -*-
import re
import sys
from durastream.__main__ import main
if __name__ == '__main__':
    sys.argv[0] = re.sub(r'(-script\.pyw|\.exe)?$', '', sys.argv[0])
    sys.exit(main())
"""


class NotMeasured(Exception):
    """A row that this machine cannot give; the message is the reason."""


class Bench:
    """Starts things in a temporary folder, with byte code cached, and ends them."""

    def __init__(self, *, quick: bool) -> None:
        self.quick = quick
        self._patience = 5.0 if quick else 40.0
        self._over = time.monotonic() + (50.0 if quick else 300.0)
        self.folder = Path(tempfile.mkdtemp(prefix="durastream-bench-"))
        self.bare = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DURASTREAM_", "PYTHON", "COLUMNS", "LINES", "COVERAGE"))
        }
        self.bare["TERM"] = "xterm-256color"
        self.environ = {**self.bare, "PYTHONPATH": str(SOURCE), "PYTHONPYCACHEPREFIX": str(self.folder / "bytecode")}
        self.script = self.folder / "durastream"
        self.script.write_text(SCRIPT.format(python=sys.executable))
        self.script.chmod(0o755)
        self._started: list[subprocess.Popen[bytes]] = []
        self._stores: list[Path] = []

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            end(process)
        for store in self._stores:
            for run_id in spools(str(store)):
                end_run(Spool(str(store), run_id))
        shutil.rmtree(self.folder, ignore_errors=True)

    def wait_for_quiet(self) -> None:
        """Let others finish what they do, as long as there is patience left: it is for the whole of a run."""
        while self._patience > 0 and (others_busy(0.1) or 0) > QUIET:
            self._patience -= 0.2
            time.sleep(0.1)

    def check_time(self) -> None:
        """Raises NotMeasured when the time for the whole is used up."""
        if time.monotonic() > self._over:
            raise NotMeasured("out of time: others kept the machine busy")

    def pick(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    def store(self) -> Path:
        store = Path(tempfile.mkdtemp(prefix="store-", dir=self.folder))
        self._stores.append(store)
        return store

    def words(self, *words: object) -> list[str]:
        return [str(self.script), *map(str, words)]

    def wrapped(self, store: Path, *command: object, options: Sequence[str] = ()) -> list[str]:
        """The words that record a command and show nothing."""
        return self.words("run", "--view", "none", "--store", store, *options, "--", *command)

    def timed(
        self, words: Sequence[str], environ: Mapping[str, str] | None = None, out: IO[bytes] | None = None
    ) -> float:
        """Seconds from just before the start of a command to its end, which must be a good one."""
        with tempfile.TemporaryFile(dir=self.folder) as errors:
            began = time.monotonic()
            process = self.start(words, environ, stdout=out or subprocess.DEVNULL, stderr=errors)
            watchdog = threading.Timer(300, process.kill)
            watchdog.start()
            code = process.wait()  # with a timeout it would look every 50 ms
            took = time.monotonic() - began
            watchdog.cancel()
            if code:
                errors.seek(0)
                raise NotMeasured(f"{words[0]} ended with {code}: {errors.read()[-300:].decode(errors='replace')}")
        self._started.remove(process)
        return took

    def start(
        self,
        words: Sequence[str],
        environ: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int | IO[bytes] = subprocess.DEVNULL,
        stderr: int | IO[bytes] = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            words, env=self.environ if environ is None else environ, stdin=stdin, stdout=stdout, stderr=stderr,
            start_new_session=True,
        )  # fmt: skip
        self._started.append(process)
        return process

    def detached(self, store: Path, *command: object) -> Spool:
        """Start a recorded run in the background; returns its spool."""
        words = self.words("run", "-d", "--store", store, "--", *command)
        process = self.start(words, stdout=subprocess.PIPE)
        run_id = process.communicate(timeout=30)[0].decode().strip()
        self._started.remove(process)
        spool = Spool(str(store), run_id)
        wait_until(lambda: begun(self.recording(spool)), "the recorder did not begin")
        return spool

    @staticmethod
    def recording(spool: Spool, kind: str = "db") -> Path:
        return Path(spool.store) / f"{spool.run_id}.{kind}"

    @contextlib.contextmanager
    def running(self, store: Path, *command: object) -> Iterator[Spool]:
        """A recorded run in the background, ended when the block is left."""
        spool = self.detached(store, *command)
        try:
            yield spool
        finally:
            end_run(spool)

    def compiled(self, name: str) -> str | None:
        """A small C program out of `agents`; None where there is no compiler."""
        program = self.folder / name
        compiler = shutil.which("cc") or shutil.which("gcc")
        if not program.exists() and compiler is not None:
            subprocess.run([compiler, "-O2", "-o", program, AGENTS / f"{name}.c"], check=True, timeout=60)
        return str(program) if program.exists() else None


def begun(recording: Path) -> bool:
    """Whether a recording in SQLite holds its first event."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{recording}?mode=ro", uri=True)) as db:
            return db.execute("select 1 from log limit 1").fetchone() is not None
    except sqlite3.Error:
        return False


def wait_until(condition: object, otherwise: str, patience: float = 30.0, every: float = 0.01) -> None:
    """Ask again and again. Raises NotMeasured when the answer stays no."""
    assert callable(condition)
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise NotMeasured(otherwise)
        time.sleep(every)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that we started, by its own number."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def end_run(spool: Spool) -> None:
    """End a run that we started: its agent first, so that the recording ends as it should, then whatever is left."""
    agent = spool.read_json("agent.json")
    if agent is not None and spool.agent_alive():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(agent["pid"], signal.SIGKILL)
    deadline = time.monotonic() + 20
    while spool.alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    for who in ("supervisor", "recorder"):
        pid = holder(spool, who)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def holder(spool: Spool, who: str) -> int | None:
    """The pid of a run's `supervisor` or `recorder`, out of the lock that it holds."""
    if not spool.held(who):
        return None
    try:
        return int(Path(spool.file(f"{who}.lock")).read_text())
    except (OSError, ValueError):
        return None


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has used, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def running_seconds(pid: int) -> float:
    """The same to the nanosecond where the system says it, and not in ticks of 10 ms."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
    except (OSError, IndexError):
        return cpu_seconds(pid)


def memory_peak(pid: int) -> int:
    """The most memory (bytes) that a process has held so far; 0 when it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def others_busy(seconds: float = 0.3) -> float | None:
    """The share of all cores that other processes use while we sleep; None where the system does not say."""

    def look() -> tuple[int, int]:
        fields = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(fields), fields[3] + fields[4]

    try:
        total, idle = look()
        time.sleep(seconds)
        total_after, idle_after = look()
    except OSError:
        return None
    return 1 - (idle_after - idle) / max(1, total_after - total)
