"""How a line reaches the event file of a run: whole, in order, or counted as lost and told on stderr."""

from __future__ import annotations

import os

from durastream import forks
from durastream.api.draft import Draft, follow
from durastream.api.values import encode

TYPE_CHECKING = False  # as in typing, which costs 4 ms to import
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Sink", "complain"]


class Sink:
    """The event file of one run. `ended` is final: the run is over, or its file cannot be opened."""

    def __init__(self, path: str, run_id: str | None, *, own: bool, outer: Sink | None = None) -> None:
        self.path = path
        self.run_id = run_id
        self.own = own
        self.outer = outer
        self.ended = False
        self.planned = False
        self.drafts: dict[str, Draft] = {}
        self._fd = -1
        self._file = (0, 0)
        self._torn = False
        self._lost = 0
        self._warned = False

    def write(self, type_: str, data: dict[str, Any]) -> None:
        """Append one event. What is unknown (None) is left out."""
        known = {name: value for name, value in data.items() if value is not None}
        line = encode(type_, known)
        with forks.lock:
            if not self.ended:
                follow(self.drafts, type_, known)
                self._append(line)

    def ready(self) -> bool:
        """Whether the run still takes events."""
        with forks.lock:
            return not self.ended and self._descriptor() is not None

    def end(self) -> None:
        with forks.lock:
            self.ended = True
            if self._still_ours() is not None:
                os.close(self._fd)
            self._fd = -1

    def _append(self, line: bytes) -> None:
        fd = self._descriptor()
        if fd is None:
            return
        if self._lost:
            loss = {"message": f"{self._lost} events could not be written and are lost", "severity": "warning"}
            line = encode("error.raised", loss) + line
        if self._torn:
            line = b"\n" + line
        written = 0
        try:
            written = os.write(fd, line)
            while written < len(line):
                written += os.write(fd, line[written:])
            self._lost = 0
        except OSError as trouble:
            self._lost += 1
            self._complain(f"cannot write to {self.path}: {trouble.strerror}; events are lost, the program goes on")
        finally:
            if written:
                self._torn = written < len(line)

    def _still_ours(self) -> os.stat_result | None:
        """What our descriptor is; None when the program closed it, or made its number another file."""
        if self._fd < 0:
            return None
        try:
            status = os.fstat(self._fd)
        except OSError:
            return None
        return status if (status.st_dev, status.st_ino) == self._file else None

    def _descriptor(self) -> int | None:
        status = self._still_ours()
        try:
            if status is None:
                # Never created here: the file of a run that is over must stay away.
                self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
                status = os.fstat(self._fd)
                self._file = (status.st_dev, status.st_ino)
        except OSError as trouble:
            self._fd = -1
            self.ended = True
            self._complain(f"cannot open {self.path}: {trouble.strerror}; the program goes on unrecorded")
            return None
        if status.st_nlink == 0:
            self.end()
            self._complain(f"run {self.run_id or self.path} is over; the program goes on unrecorded")
            return None
        return self._fd

    def _complain(self, message: str) -> None:
        if not self._warned:
            self._warned = True
            complain(message)


def complain(message: str) -> None:
    """One line on stderr, past Python's buffer: what stays in there on a full disk turns the exit code into 120."""
    try:
        os.write(2, f"durastream: {message}\n".encode(errors="replace"))
    except OSError:
        return
