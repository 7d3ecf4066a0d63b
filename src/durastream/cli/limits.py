"""How much a run may write and how long it may take, as `run --max-bytes` and `--max-duration` say it."""

from __future__ import annotations

import re

from durastream.errors import UsageError

__all__ = ["bytes_of", "seconds_of"]

_SIZE = re.compile(r"([0-9]{1,15})([KMGT]?)(?:i?B)?\Z", re.IGNORECASE)
_TIME = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(s|m|h|d)?\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def bytes_of(option: str, text: str) -> int:
    """The bytes that a size names: 5000, 500K, 2G; a K is 1024. Raises UsageError."""
    found = _SIZE.match(text)
    size = int(found[1]) << 10 * " KMGT".index(found[2].upper() or " ") if found else 0
    if not size:
        raise UsageError(f"{option} {text}: a size such as 500M or 2G")
    return size


def seconds_of(option: str, text: str) -> float:
    """The seconds that a time names: 90, 90s, 30m, 2h. Raises UsageError."""
    found = _TIME.match(text)
    seconds = float(found[1]) * _SECONDS[found[2] or "s"] if found else 0.0
    if not seconds:
        raise UsageError(f"{option} {text}: a time such as 90s, 30m or 2h")
    return seconds
