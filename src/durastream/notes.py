"""What a recorder says of a run by itself: warnings in its log, for who reads it later."""

from __future__ import annotations

from typing import Any

from durastream.events import Pending
from durastream.ledger import own

__all__ = ["REMOVED", "cut_short", "given_back", "notes_on", "warning"]

REMOVED = "the spool of the run was removed while it was recorded: nothing after that is known of its agent"


def warning(message: str) -> Pending:
    return own("error.raised", {"message": message, "severity": "warning", "fatal": False, "by": "durastream"})


def cut_short(stream: str) -> str:
    return f"{stream} was cut short while it was read: what stood there unread is lost; append to it with >>"


def given_back(stream: str, missed: int) -> str:
    return (
        f"{missed} bytes of {stream} are lost: they were given back to the disk and stood in the recording,"
        " which was removed, replaced or damaged; what follows is read as if it began there"
    )


def notes_on(status: dict[str, Any] | None) -> list[str]:
    """What the supervisor saw at the end and a reader of the recording should know."""
    if status is None:
        return ["the agent's end was not seen: the supervisor was killed"]
    notes = [status["start_error"]] if "start_error" in status else []
    left = status.get("left") or []
    if left:
        named = ", ".join(f"{process['pid']} ({process['name']})" for process in left[:8])
        count = status.get("left_count", len(left))
        still = (
            "process that the agent started still runs" if count == 1 else "processes that the agent started still run"
        )
        notes.append(f"{count} {still}: {named}")
    return notes
