"""What a program prints: text of the message `stdout`, as it arrives, with native event lines picked out."""

from __future__ import annotations

import codecs

from durastream.events import Pending, Src, encode_string

__all__ = ["MESSAGE", "TextSource"]

MESSAGE = "stdout"
"""The id of the message that printed text goes to."""

_HELD = 32 << 20
_PIECE = 8 << 20


class TextSource:
    """Text is given out at once, partial lines too; only a line that begins like an event waits for its end."""

    def __init__(self, stream: str, offset: int, *, events: bool = True, line_start: bool = True) -> None:
        self.stream = stream
        self._events = events
        self._offset = offset  # of the first byte that is neither given out nor in the decoder
        self._line_start = line_start
        self._held: list[bytes] = []
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> list[Pending]:
        if not data:
            return []
        if self._held:
            if b"\n" not in data and sum(map(len, self._held)) < _HELD:
                self._held.append(data)
                return []
            data = b"".join((*self._held, data))
            self._held.clear()
        if not self._events:
            return self._text(data)
        return self._pick(data)

    def close(self) -> list[Pending]:
        data = b"".join(self._held)
        self._held.clear()
        return self._pick(data + b"\n", cut=True) if data else self._text(b"", final=True)

    def _pick(self, data: bytes, *, cut: bool = False) -> list[Pending]:
        """Split off the lines that are events. With `cut`, the newline at the end was put there by us."""
        found: list[Pending] = []
        text_from = at = 0
        while True:
            start = at if self._line_start and data[at : at + 1] == b"{" else data.find(b"\n{", at) + 1
            if not start and not (self._line_start and at == 0 and data[:1] == b"{"):
                break
            end = data.find(b"\n", start)
            if end < 0:
                if len(data) - start < _HELD:
                    found += self._text(data[text_from:start])
                    self._held.append(data[start:])
                    self._line_start = True
                    return found
                break
            event = self._event(data[start:end])
            if event is not None:
                found += self._text(data[text_from:start], final=True)
                length = end - start if cut and end == len(data) - 1 else None
                found.append(event._replace(src=Src(self.stream, self._offset, length)))
                text_from = end + 1
                self._offset += text_from - start
            self._line_start = False
            at = end
        rest = data[text_from : len(data) - cut] if text_from < len(data) else b""
        while len(rest) > _PIECE:  # it was held for an event; as text it takes six bytes for one in the log
            found += self._text(rest[:_PIECE])
            rest = rest[_PIECE:]
        found += self._text(rest, final=cut)
        self._line_start = data.endswith(b"\n")
        return found

    def _event(self, line: bytes) -> Pending | None:
        if b'"type"' not in line or b'"data"' not in line:
            return None
        from durastream.sources.native import claimed  # 50 ms to import: only when a line looks like an event

        return claimed(line, Src(self.stream, self._offset))

    def _text(self, data: bytes, *, final: bool = False) -> list[Pending]:
        waiting = len(self._decoder.getstate()[0])
        text = self._decoder.decode(data, final)
        used = waiting + len(data) - len(self._decoder.getstate()[0])
        start = self._offset - waiting
        self._offset += len(data)
        if not text:
            return []
        encoded = f'{{"message_id":"{MESSAGE}","text":{encode_string(text)}}}'
        return [Pending("text.delta", {"message_id": MESSAGE, "text": text}, encoded, Src(self.stream, start, used))]
