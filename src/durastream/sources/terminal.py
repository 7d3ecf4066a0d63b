"""What an agent prints on its terminal: text with the control sequences in it, as it arrives."""

from __future__ import annotations

import codecs

from durastream.events import Pending, Src, encode_string

__all__ = ["TerminalSource"]


class TerminalSource:
    """Bytes that are no UTF-8 are replaced in the text; the raw bytes that a recording keeps have them."""

    def __init__(self, stream: str, offset: int) -> None:
        self.stream = stream
        self._offset = offset
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> list[Pending]:
        return self._text(data, final=False)

    def close(self) -> list[Pending]:
        return self._text(b"", final=True)

    def _text(self, data: bytes, *, final: bool) -> list[Pending]:
        waiting = len(self._decoder.getstate()[0])
        text = self._decoder.decode(data, final)
        start = self._offset - waiting
        self._offset += len(data)
        if not text:
            return []
        src = Src(self.stream, start, self._offset - len(self._decoder.getstate()[0]) - start)
        return [Pending("terminal.output", {"text": text}, f'{{"text":{encode_string(text)}}}', src)]
