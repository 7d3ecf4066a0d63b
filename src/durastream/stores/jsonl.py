"""A recording as JSON Lines: a header, then one event a line with its hash; raw bytes in lines of their own.

    {"durastream":1,"run_id":"k3v9p2",…}
    {"seq":1,…,"hash":"sha256:…"}
    {"raw":"stdout","offset":0,"length":812,"zlib":"eJx…"}

Readable with any tool, and by `jsonl_reader`.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Sequence

from durastream.errors import (
    TOO_BIG,
    NotARecording,
    StoreConflict,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreUnwritable,
)
from durastream.events import FORMAT, Event, dumps, genesis
from durastream.stores.jsonl_lines import raw_line
from durastream.stores.jsonl_reader import LONGEST_HEADER, JsonlReader
from durastream.stores.protocols import Batch, Head, Row, Rows, RunInfo

__all__ = ["JsonlWriter"]

_HEADER = b'{"durastream":'


def _translate(error: OSError, path: str) -> StoreError:
    if error.errno == errno.EFBIG:
        return StoreFull(f"{TOO_BIG} for {path}: what was stored stays")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(f"no space left for {path}: free some; what was stored stays")
    return StoreUnwritable(f"cannot write {path}: {error.strerror}")


def _sync(fd: int) -> None:
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)  # fsync alone leaves it in the disk's cache there
    else:
        os.fdatasync(fd)


class JsonlWriter:
    """The one writer of a `.jsonl` recording."""

    keeps_state = False

    def __init__(self, path: str, fd: int, head: Head, raw: dict[str, int]) -> None:
        self.path = path
        self.head = head
        self._fd = fd
        self._raw = raw
        self._size = os.fstat(fd).st_size

    @classmethod
    def create(cls, path: str, info: RunInfo) -> JsonlWriter:
        """Make the file, which must not be there. Raises StoreFull or StoreUnwritable."""
        header = {"durastream": FORMAT, **{k: v for k, v in info._asdict().items() if v is not None and k != "status"}}
        fd = -1
        try:
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            os.fchmod(fd, 0o600)  # whatever the umask
            _write(fd, (dumps(header) + "\n").encode())
            _sync(fd)
            folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            _close(fd)
            raise _translate(error, path) from error
        return cls(path, fd, Head(0, genesis(info.run_id)), {})

    @classmethod
    def resume(cls, path: str) -> JsonlWriter | None:
        """Open a recording to write on, cut off behind the last line that can be read, so that the next is not lost.

        None when not even its header is whole. Raises NotARecording or NewerFormat for what is not ours to go on with,
        StoreDamaged when events are missing in its middle.
        """
        try:
            reader = JsonlReader(path)
        except NotARecording:
            if _is_torn_header(path):
                return None
            raise
        raw: dict[str, int] = {}
        head = Head(0, genesis(reader.run_id))
        for entry in reader.scan():
            if isinstance(entry, Event):
                if entry.seq != head.seq + 1:
                    reader.close()
                    raise StoreDamaged(f"{path} lost what was stored between event {head.seq} and {entry.seq}")
                head = Head(entry.seq, entry.hash)
            else:
                raw[entry.stream] = entry.offset + entry.length
        whole = reader.whole
        reader.close()
        fd = -1
        try:
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
            os.ftruncate(fd, whole)
        except OSError as error:
            _close(fd)
            raise _translate(error, path) from error
        return cls(path, fd, head, raw)

    def append(self, batch: Batch) -> None:
        if batch.rows and batch.rows[0][0] != self.head.seq + 1:
            raise StoreConflict(f"{self.path} ends at event {self.head.seq}, not before {batch.rows[0][0]}")
        lines = [raw_line(chunk) for chunk in batch.raw]
        lines += [
            b'%b,"hash":"sha256:%b"}\n' % (body[:-1], digest.hex().encode()) for body, digest in _columns(batch.rows)
        ]
        data = b"".join(lines)
        try:
            self.check()  # what is appended would hide it
            _write(self._fd, data)
            _sync(self._fd)
        except OSError as error:
            raise _translate(error, self.path) from error
        self._size += len(data)
        for chunk in batch.raw:
            self._raw[chunk.stream] = chunk.offset + chunk.length
        if batch.rows:
            self.head = Head(batch.rows[-1][0], batch.rows[-1][2])

    def check(self) -> None:
        if os.fstat(self._fd).st_size < self._size:
            raise StoreDamaged(f"{self.path} was cut short while it was written")

    def raw_length(self, stream: str) -> int:
        return self._raw.get(stream, 0)

    def finish(self, info: RunInfo) -> None:
        """Nothing to do: the last event says it all."""

    def close(self) -> None:
        os.close(self._fd)


def _close(fd: int) -> None:
    if fd >= 0:
        os.close(fd)


def _is_torn_header(path: str) -> bool:
    """Whether a file is what is left when its recorder ended while it made it: part of a first line, or zeros."""
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        data = file.read(LONGEST_HEADER)
    return b"\n" not in data and (_HEADER.startswith(data[: len(_HEADER)]) or not data.strip(b"\0"))


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _columns(rows: Sequence[Row]) -> Iterable[tuple[bytes, bytes]]:
    """UTF-8 of the body of each event, and its hash."""
    if isinstance(rows, Rows):
        return rows.columns()
    return ((body.encode(), digest) for _, body, digest in rows)
