"""What was said of a finished run afterwards: lines in a file beside the recording, which itself stays as it was.

    {"seal":"sha256:…","previous":"sha256:…","ts":"…","name":"faithful","outcome":"pass","score":0.92,"hash":"sha256:…"}

The file has the name of the recording with `.addenda.jsonl` for its end. The chain begins at the run's seal: the hash
of an addendum is SHA-256 over the hash before it (of the first, the seal) and the exact bytes of the line without it.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from durastream.errors import Damaged, StoreFull, StoreUnwritable
from durastream.events import chain, dumps, parse_hash, show_hash

__all__ = ["Addendum", "addenda_path", "append", "load"]

END = ".addenda.jsonl"

_LONGEST = 1 << 20
_MOST = 100_000
_HASH = ',"hash":"'


class Addendum(NamedTuple):
    """One evaluation of a run, as it is kept. What is unknown is None."""

    ts: str
    name: str
    outcome: str
    score: float | None = None
    detail: str | None = None
    by: str | None = None
    hash: str = ""


def addenda_path(path: str) -> str:
    """Where the addenda of a recording are: it goes by the name of its file, so both are copied by one pattern."""
    return os.path.splitext(path)[0] + END


def load(path: str, seal: bytes) -> tuple[list[Addendum], list[str]]:
    """The addenda of a recording, and what does not hold of them, the first bad place first.

    `seal` is the last hash of its log. What can be read is given, whether it holds or not.
    """
    at = addenda_path(path)
    if not os.path.lexists(at):
        return [], []
    if not os.path.isfile(at):  # opening a pipe would wait for ever
        return [], [f"{at} is not a plain file"]
    try:
        with open(at, "rb") as file:
            return _read(file, seal)[:2]
    except OSError as error:
        return [], [f"{at} cannot be read: {error.strerror}"]


def append(path: str, seal: bytes, ts: str, fields: Mapping[str, Any]) -> Addendum:
    """Add one to the addenda of a recording, synced to disk when this returns.

    Raises Damaged when those that are there do not hold, StoreFull or StoreUnwritable when the disk does not take it.
    """
    at = addenda_path(path)
    known = {name: value for name, value in fields.items() if value is not None}
    fd = -1
    try:
        fd = os.open(at, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)  # two evaluators at a time: the second reads what the first added
        with open(fd, "rb", closefd=False) as file:
            _, faults, head, whole = _read(file, seal, torn=True)
        if faults:
            raise Damaged(f"{at}: {faults[0]}: nothing was added")
        body = dumps({"seal": show_hash(seal), "previous": show_hash(head), "ts": ts, **known})
        digest = show_hash(chain(head, body))
        line = f'{body[:-1]}{_HASH}{digest}"}}\n'.encode()
        os.ftruncate(fd, whole)  # what a writer left that was cut short has never been an addendum
        if os.write(fd, line) != len(line):
            os.ftruncate(fd, whole)
            raise StoreFull(f"no space left for {at}: nothing was added")
        os.fsync(fd)
    except OSError as error:
        kind = StoreFull if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else StoreUnwritable
        raise kind(f"cannot write {at}: {error.strerror}: nothing was added") from error
    finally:
        if fd >= 0:
            os.close(fd)
    return Addendum(**{"ts": ts, **known, "hash": digest})


def _read(file: Any, seal: bytes, *, torn: bool = False) -> tuple[list[Addendum], list[str], bytes, int]:
    """The addenda in a file, what does not hold, the last hash, and how many bytes are whole lines.

    With `torn`, a last line without its end is no fault.
    """
    found: list[Addendum] = []
    faults: list[str] = []
    head, whole = seal, 0
    for number in range(1, _MOST + 1):
        line = file.readline(_LONGEST)
        if not line:
            break
        if not line.endswith(b"\n"):
            if not torn or len(line) == _LONGEST:
                faults.append(f"addendum {number} has no end")
            break
        whole += len(line)
        try:
            addendum, body, fields = _parsed(line)
            digest = parse_hash(addendum.hash)
        except (ValueError, TypeError, KeyError, RecursionError):
            faults.append(f"addendum {number} cannot be read: {line[:60]!r}")
            continue
        found.append(addendum)
        if not faults:
            faults += _faults(number, body, fields, seal, head, digest)
        head = digest
    return found, faults, head, whole


def _parsed(line: bytes) -> tuple[Addendum, str, dict[str, Any]]:
    """An addendum, the text that its hash is over, and all its fields."""
    text = line.decode()
    fields = json.loads(text)
    body, _, digest = text.rpartition(_HASH)
    if f'{body}{_HASH}{fields["hash"]}"}}\n' != text or digest != f'{fields["hash"]}"}}\n':
        raise ValueError("the hash is not at its end")
    addendum = Addendum(**{name: fields[name] for name in Addendum._fields if name in fields})
    texts = (addendum.ts, addendum.name, addendum.outcome, addendum.detail or "", addendum.by or "")
    if not all(type(value) is str for value in texts) or type(addendum.score or 0.0) not in (int, float):
        raise TypeError("a field is not what it must be")
    return addendum, body + "}", fields


def _faults(number: int, body: str, fields: Mapping[str, Any], seal: bytes, head: bytes, digest: bytes) -> list[str]:
    if fields.get("seal") != show_hash(seal):
        return [f"addendum {number} is of a run with the seal {str(fields.get('seal'))[:80]}, not of this one"]
    if fields.get("previous") != show_hash(head):
        return [f"addendum {number} does not follow the one before it: something was changed, taken out or put in"]
    if chain(head, body) != digest:
        return [f"addendum {number} is not what was stored: its hash does not fit"]
    return []
