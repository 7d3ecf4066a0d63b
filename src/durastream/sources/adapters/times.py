"""When was it? The times that lines tell of themselves, in seconds since 1970; None for what is no time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

__all__ = ["from_iso", "from_number", "told"]


def told(line: Any, *path: str) -> Any:
    """What stands in a line under these keys; None where something on the way is no object."""
    for key in path:
        line = line.get(key) if type(line) is dict else None
    return line


def from_iso(stamp: Any) -> float | None:
    """A time as in ISO 8601, in UTC unless it says otherwise."""
    if type(stamp) is not str:
        return None
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def from_number(stamp: Any, per_second: int = 1) -> float | None:
    """A time that is counted from 1970 on, in seconds or in parts of them."""
    return float(stamp / per_second) if type(stamp) in (int, float) and 0 < stamp < per_second * 1e11 else None
