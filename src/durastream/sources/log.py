"""A stream of log lines: what an agent says beside its answer."""

from __future__ import annotations

import re

from durastream.events import Pending, Src, encode_string

__all__ = ["LogSource", "log_line"]

_PIECE = 64 * 1024
_END = re.compile(rb"\r?\n|\r")


def log_line(stream: str, line: bytes, src: Src) -> Pending:
    """One line as `log.line`; bytes that are no UTF-8 are replaced visibly."""
    text = line.decode("utf-8", "replace")
    return Pending("log.line", {"stream": stream, "text": text}, _json(stream, text), src)


def _json(stream: str, text: str) -> str:
    return f'{{"stream":"{stream}","text":{encode_string(text)}}}'


class LogSource:
    """Lines end at a newline or at a carriage return (progress bars); a very long one is given out in pieces."""

    def __init__(self, stream: str, offset: int) -> None:
        self.stream = stream
        self._offset = offset
        self._rest = b""

    def feed(self, data: bytes) -> list[Pending]:
        data = self._rest + data
        found: list[Pending] = []
        start = 0
        for match in _END.finditer(data):
            if match[0] == b"\r" and match.end() == len(data):
                break  # a newline may follow
            found.append(self._line(data, start, match.start(), match.end(), whole=match[0] != b"\r"))
            start = match.end()
        while len(data) - start > _PIECE:
            cut = _character_boundary(data, start + _PIECE)
            found.append(self._line(data, start, cut, cut, whole=False))
            start = cut
        self._rest = data[start:]
        self._offset += start
        return found

    def close(self) -> list[Pending]:
        rest, self._rest = self._rest, b""
        if not rest:
            return []
        line = self._line(rest, 0, len(rest.rstrip(b"\r")), len(rest), whole=False)
        self._offset += len(rest)
        return [line]

    def _line(self, data: bytes, start: int, stop: int, end: int, *, whole: bool) -> Pending:
        src = Src(self.stream, self._offset + start, None if whole else end - start)
        return log_line(self.stream, data[start:stop], src)


def _character_boundary(data: bytes, at: int) -> int:
    """The last place at or before `at` that does not cut a UTF-8 character."""
    for back in range(4):
        if data[at - back] & 0xC0 != 0x80:
            return at - back
    return at
