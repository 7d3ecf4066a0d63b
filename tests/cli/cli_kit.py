"""What the tests of the command line share: real processes, on pipes and on pseudo-terminals."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyte

import durastream
from durastream.cli.app import main as app_main
from durastream.cli.ending import ended
from durastream.events import Event
from durastream.spool import Spool, spools

PATIENCE = 60.0
CLI = (sys.executable, "-P", "-m", "durastream")
SRC = str(Path(durastream.__file__).parents[1])

WAITS = "import os, sys, time\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.02)\n"
"""An agent that lasts until a file is there."""

FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
"""What no output of durastream holds, but for newlines, tabs and what Rich itself draws with."""

DRAWN = re.compile(r"\x1b\[(?:\?1049[hl]|\?25[hl]|[0-9;]*m|2?J|[0-9;]*H|2?K|[0-9]*[ABCD])|\r(?=\n)")


def eventually(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Wait until a condition gives something true, and return that."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.02)
    return found


class Cli:
    """The command line in a folder of its own, with a store in it and an environment that holds nothing else."""

    def __init__(self, folder: Path, pycache: Path) -> None:
        self.folder = folder
        self.store = folder / "recordings"
        self.environ = {
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "PATH": os.environ["PATH"],
            "PYTHONPATH": SRC,
            "PYTHONPYCACHEPREFIX": str(pycache),
            "TERM": "xterm-256color",
        }
        self._terminals: list[Terminal] = []
        self._started: list[subprocess.Popen[bytes]] = []

    def __call__(
        self, *words: str, code: int | None = 0, env: dict[str, str] | None = None, **how: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; its exit code must be `code`, if that is not None."""
        done = self.bytes(*words, env=env, **how)
        out, err = (data.decode("utf-8", "surrogateescape") for data in (done.stdout or b"", done.stderr or b""))
        assert code is None or done.returncode == code, f"{words} exited with {done.returncode}\n{out}\n{err}"
        assert "Traceback (most recent call last)" not in err, err
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    def bytes(self, *words: str, env: dict[str, str] | None = None, **how: Any) -> subprocess.CompletedProcess[bytes]:
        how = {"cwd": self.folder, "stdin": subprocess.DEVNULL, "timeout": PATIENCE * 2, **how}
        if "stdout" not in how:
            how["stdout"] = subprocess.PIPE
        if "stderr" not in how:
            how["stderr"] = subprocess.PIPE
        return subprocess.run([*CLI, *words], env={**self.environ, **(env or {})}, check=False, **how)

    def sh(self, script: str, *, env: dict[str, str] | None = None, **how: Any) -> subprocess.CompletedProcess[str]:
        """A line of shell in which `$ds` is the command line."""
        ds = " ".join(CLI)
        return subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env={**self.environ, "ds": ds, **(env or {})},
            capture_output=True,
            text=True,
            timeout=PATIENCE * 2,
            check=False,
            **how,
        )

    def start(self, *words: str, env: dict[str, str] | None = None, **how: Any) -> subprocess.Popen[bytes]:
        """Start a command in the background, its output in pipes."""
        how = {"cwd": self.folder, "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, **how}
        how.setdefault("stderr", subprocess.PIPE)
        process = subprocess.Popen([*CLI, *words], env={**self.environ, **(env or {})}, **how)
        self._started.append(process)
        return process

    def terminal(self, *words: str, size: tuple[int, int] = (80, 24), env: dict[str, str] | None = None) -> Terminal:
        """Run a command in a terminal of its own."""
        return self.in_terminal([*CLI, *words], size=size, env=env)

    def in_terminal(
        self, argv: Sequence[str], *, size: tuple[int, int] = (80, 24), env: dict[str, str] | None = None
    ) -> Terminal:
        terminal = Terminal(argv, self.folder, {**self.environ, **(env or {})}, size)
        self._terminals.append(terminal)
        return terminal

    def here(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """As a call, but in this process: for what only prints text, without the third of a second of a new one."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            exited = ended(lambda: app_main([*words, "--store", str(self.store)]))
        assert exited == code, f"{words} gave {exited}: {err.getvalue()}"
        return subprocess.CompletedProcess(words, exited, out.getvalue(), err.getvalue())

    def show(self, run: str = "latest") -> dict[str, Any]:
        """What `show --json` says of a run."""
        shown: dict[str, Any] = json.loads(self.here("show", run, "--json").stdout)
        return shown

    def events(self, run: str = "latest") -> list[dict[str, Any]]:
        """What `events` prints."""
        return [json.loads(line) for line in self.here("events", run).stdout.splitlines()]

    def run_id(self) -> str:
        """The id of the one run that is going on, as soon as it is there."""
        found: list[str] = eventually(lambda: spools(str(self.store)), "a run to begin")
        return found[-1]

    def waiting(self, *options: str, before: str = "") -> tuple[str, Path]:
        """Start a run in the background that lasts until a file is there: its id, and the file's path."""
        flag = self.folder / f"go-{time.monotonic_ns()}"
        agent = ("run", "-d", *options, "--", sys.executable, "-S", "-c", before + WAITS, str(flag))
        return self(*agent).stdout.strip(), flag

    def finished(self, run: str) -> dict[str, Any]:
        """Wait until a run has ended; what is known of it."""
        eventually(lambda: not Spool(str(self.store), run).exists(), f"the end of {run}")
        return self.show(run)

    def sweep(self) -> None:
        """End what a test left running."""
        for terminal in self._terminals:
            terminal.close()
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()
        for store in self.folder.rglob(".spool"):
            for run_id in spools(str(store.parent)):
                agent = Spool(str(store.parent), run_id).read_json("agent.json") or {}
                if Spool(str(store.parent), run_id).agent_alive():
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(agent["pid"], signal.SIGKILL)


class Terminal:
    """A process on a pseudo-terminal, and what its screen shows."""

    def __init__(self, argv: Sequence[str], cwd: Path, environ: dict[str, str], size: tuple[int, int]) -> None:
        self.fd, other = os.openpty()
        self.screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self._set_size(size)
        self.before = termios.tcgetattr(other)

        def own() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            argv, cwd=cwd, env=environ, stdin=other, stdout=other, stderr=other, start_new_session=True, preexec_fn=own
        )
        self._other = other

    def _set_size(self, size: tuple[int, int]) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))

    def resize(self, columns: int, lines: int) -> None:
        self._set_size((columns, lines))
        self.screen.resize(lines, columns)
        self.screen.reset()

    def read(self, seconds: float = 0.05) -> bool:
        """Take what has been printed; False when there was nothing in that time."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:
            return False
        self.raw += data
        self._stream.feed(data)
        return True

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    def until(self, *shown: str) -> str:
        """Wait until all of these stand on the screen; returns what it shows then."""
        deadline = time.monotonic() + PATIENCE
        while not all(each in self.text for each in shown):
            assert time.monotonic() < deadline, f"waited for {shown}, the screen is\n{self.text}"
            self.read()
        return self.text

    def press(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def wait(self) -> int:
        """Wait for the process to end; returns its exit code, everything it printed taken in."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it goes on; the screen is\n{self.text}"
            self.read()
        while self.read(0.02):
            pass
        return self.process.returncode

    def restored(self) -> bool:
        """Whether the terminal is as it was found: its settings, the normal screen, the cursor shown."""
        screen = self.raw.count(b"\x1b[?1049h") == self.raw.count(b"\x1b[?1049l")
        cursor = self.raw.rfind(b"\x1b[?25h") >= self.raw.rfind(b"\x1b[?25l")
        return screen and cursor and termios.tcgetattr(self._other) == self.before

    def hang_up(self) -> None:
        """Close the window."""
        for fd in (self._other, self.fd):
            os.close(fd)
        self.fd = self._other = -1

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.fd >= 0:
            self.hang_up()


def recorded(folder: Path, events: Sequence[Event]) -> Path:
    """A recording of these events."""
    header = {"durastream": 1, "run_id": "k3v9p2", "command": ["agent"], "cwd": "/", "started_at": events[0].ts}
    path = folder / "k3v9p2.jsonl"
    path.write_text("\n".join([json.dumps(header), *(event.line() for event in events), ""]), encoding="utf-8")
    return path


def forbidden(output: str) -> set[str]:
    """Characters that could act on a terminal, in an output from which Rich's own drawing has been taken."""
    return set(FORBIDDEN.findall(DRAWN.sub("", output)))
