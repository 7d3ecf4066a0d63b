"""A disk that remembers: a FUSE file system of two files, which logs all that is written and flushed, in its order.

`disk` is the image under a loop mount. What is written to `acks` is logged between the writes of the disk: so it is
known of every place in the log what had been told as stored by then. Speaks the kernel's protocol itself: no library.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

_IN = struct.Struct("<IIQQIIII")
_OUT = struct.Struct("<IiQ")
_ATTR = struct.Struct("<6Q10I")
_PLACE = struct.Struct("<QQII")
_RECORD = struct.Struct("<cQI")
_MAX = 1 << 17
_DISK, _ACKS = 2, 3
LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS, RELEASE, FSYNC = 1, 2, 3, 4, 14, 15, 16, 17, 18, 20
FLUSH, INIT, OPENDIR, RELEASEDIR, INTERRUPT, DESTROY, BATCH_FORGET = 25, 26, 27, 29, 36, 38, 42
_SILENT = (FORGET, INTERRUPT, BATCH_FORGET)


class Record(NamedTuple):
    """One entry of the log: `w` a write, `f` a flush, `a` what was told as stored."""

    kind: str
    offset: int
    data: bytes


class Disk:
    """The file system, served by a process of its own from `start` to `stop`."""

    def __init__(self, folder: Path, image: bytes) -> None:
        self.folder = folder
        self.image = image
        self._log = folder.parent / (folder.name + ".log")
        self._server = 0

    @property
    def disk(self) -> Path:
        return self.folder / "disk"

    @property
    def acks(self) -> Path:
        return self.folder / "acks"

    def start(self) -> None:
        """Mount it. Raises OSError where that is not allowed."""
        self.folder.mkdir()
        fuse = os.open("/dev/fuse", os.O_RDWR)
        libc = ctypes.CDLL(None, use_errno=True)
        options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        if libc.mount(b"durastream", str(self.folder).encode(), b"fuse", 0, options):
            os.close(fuse)
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._server = os.fork()
        if not self._server:
            try:
                with open(self._log, "wb", buffering=1 << 20) as log:
                    _serve(fuse, bytearray(self.image), log)
            finally:
                os._exit(0)
        os.close(fuse)

    def stop(self) -> list[Record]:
        """Unmount it; returns the log."""
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.umount2(str(self.folder).encode(), 0):
            libc.umount2(str(self.folder).encode(), 2)
            os.kill(self._server, signal.SIGTERM)
        os.waitpid(self._server, 0)
        records, data, at = [], self._log.read_bytes(), 0
        while at < len(data):
            kind, offset, length = _RECORD.unpack_from(data, at)
            at += _RECORD.size
            records.append(Record(kind.decode(), offset, data[at : at + length]))
            at += length
        return records


def _serve(fuse: int, image: bytearray, log: BinaryIO) -> None:
    files = _Files(image, log)
    while True:
        try:
            data = os.read(fuse, _MAX + 8192)
        except OSError as error:
            if error.errno in (errno.EINTR, errno.ENOENT):
                continue
            return
        _, op, unique, node, *_ = _IN.unpack_from(data)
        if op in _SILENT:
            continue
        out = files.answer(op, node, data[_IN.size :])
        code = out if isinstance(out, int) else 0
        out = out if isinstance(out, bytes) else b""
        os.write(fuse, _OUT.pack(_OUT.size + len(out), -code, unique) + out)


class _Files:
    def __init__(self, image: bytearray, log: BinaryIO) -> None:
        self.log = log
        self.files = {_DISK: image, _ACKS: bytearray()}

    def answer(self, op: int, node: int, body: bytes) -> bytes | int:
        """What the kernel is told: the bytes of an answer, or the number of an error."""
        if op in (READ, WRITE):
            _, offset, length, _ = _PLACE.unpack_from(body)
            if op == READ:
                return bytes(self.files[node][offset : offset + length])
            return self._write(node, offset, body[40 : 40 + length])
        if op == FSYNC:
            self.log.write(_RECORD.pack(b"f", 0, 0))
            return b""
        if op == INIT:
            return struct.pack("<IIIIHHIIHHII6I", 7, 31, _MAX, 1 << 5, 12, 9, _MAX, 1, 0, 0, 0, 0, *(0,) * 6)
        if op == LOOKUP:
            found = {b"disk": _DISK, b"acks": _ACKS}.get(body.rstrip(b"\0"))
            if found is None:
                return errno.ENOENT
            return struct.pack("<4Q2I", found, 0, 3600, 3600, 0, 0) + self._attr(found)
        return self._plain(op, node)

    def _plain(self, op: int, node: int) -> bytes | int:
        if op in (GETATTR, SETATTR):
            return struct.pack("<QII", 3600 if node != _ACKS else 0, 0, 0) + self._attr(node)
        if op in (OPEN, OPENDIR):
            return struct.pack("<QII", 0, 0, 0)
        if op == STATFS:
            return struct.pack("<5Q4I6I", 1 << 20, 1 << 19, 1 << 19, 100, 50, 4096, 255, 4096, 0, *(0,) * 6)
        if op == DESTROY:
            self.log.flush()
        return b"" if op in (FLUSH, RELEASE, RELEASEDIR, DESTROY) else errno.ENOSYS

    def _write(self, node: int, offset: int, data: bytes) -> bytes:
        self.files[node][offset : offset + len(data)] = data
        self.log.write(_RECORD.pack(b"w" if node == _DISK else b"a", offset, len(data)) + data)
        return struct.pack("<II", len(data), 0)

    def _attr(self, node: int) -> bytes:
        mode, size = 0o40700 if node == 1 else 0o100600, len(self.files.get(node, b""))
        return _ATTR.pack(node, size, (size + 511) // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)
