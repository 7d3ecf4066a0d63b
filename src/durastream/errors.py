"""The error tree, and the exit code that each branch gives a command.

    DurastreamError                 1
    ├── UsageError                  2   the call's words are off
    ├── RecordingError              3   a recording cannot be read
    │   ├── RunNotFound                 no run of that id, prefix, name or path
    │   ├── RunAmbiguous                more than one run fits
    │   ├── NotARecording               some other file
    │   ├── NewerFormat                 made by a later version
    │   └── Damaged                     broken in the middle; says where
    ├── StoreError                125   a recording cannot be written
    │   ├── StoreUnwritable             no folder, no permission, read-only
    │   ├── StoreFull                   no space (or a file size limit)
    │   ├── StoreConflict               the store is ahead of or behind the writer
    │   │   └── StoreDamaged            what was stored is gone or broken: it is made anew from the spool
    │   └── RunLocked                   another recorder holds the run
    └── AgentNotStarted           126/127   not executable / not found

A message is one line for people: what happened, to which run or file, and what to do.
"""

from __future__ import annotations

__all__ = [
    "AgentNotStarted",
    "Damaged",
    "DurastreamError",
    "NewerFormat",
    "NotARecording",
    "RecordingError",
    "RunAmbiguous",
    "RunLocked",
    "RunNotFound",
    "StoreConflict",
    "StoreDamaged",
    "StoreError",
    "StoreFull",
    "StoreUnwritable",
    "UsageError",
]

TOO_BIG = "the limit of the size of a file (ulimit -f) is reached"
"""What is said where a StoreFull is not for want of space."""


class DurastreamError(Exception):
    """Anything that durastream reports in one line instead of a traceback."""

    exit_code = 1


class UsageError(DurastreamError):
    exit_code = 2


class RecordingError(DurastreamError):
    exit_code = 3


class RunNotFound(RecordingError):
    pass


class RunAmbiguous(RecordingError):
    pass


class NotARecording(RecordingError):
    pass


class NewerFormat(RecordingError):
    pass


class Damaged(RecordingError):
    pass


class StoreError(DurastreamError):
    exit_code = 125


class StoreUnwritable(StoreError):
    pass


class StoreFull(StoreError):
    pass


class StoreConflict(StoreError):
    pass


class StoreDamaged(StoreConflict):
    pass


class RunLocked(StoreError):
    pass


class AgentNotStarted(DurastreamError):
    def __init__(self, message: str, *, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code
