"""The bytes of one stream on their way into a recording, masked byte for byte: no offset moves."""

from __future__ import annotations

import contextlib
import json
import re
from collections import deque

from durastream.redaction.catalogue import Rules, mask
from durastream.redaction.guard import Guard, Patch
from durastream.redaction.pieces import Mark, Pieces, masked

__all__ = ["RawGuard"]


_FEW = 4096
_LONG = 1 << 20
_NEEDLESS = re.compile(rb"\\u00[2-7]|\\/")
_CHARACTER = re.compile(rb"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\.|[^\\]", re.DOTALL)
_END = 1024  # where a secret mostly begins that goes on in the next read


class _Block(Mark):
    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class RawGuard:
    """Takes bytes in; `take` gives those out that are decided. `at` is behind the last of them."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._pieces = Pieces(rules)
        self._blocks: deque[_Block] = deque()
        self._ready = bytearray()
        self._late: list[Patch] = []
        self._start = 0
        self._closed = False

    @property
    def at(self) -> int:
        return self._start + len(self._ready)

    @property
    def taken(self) -> int:
        """The offset behind the last byte that was taken."""
        return self._start

    def anew(self) -> RawGuard:
        """One for a stream that begins again."""
        return RawGuard(self._rules)

    def feed(self, data: bytes) -> None:
        few = _FEW
        while len(data) > few and self._pieces.undecided:
            self._take(data[:few])  # what waits is mostly decided by the next few
            data = data[few:]
            few *= 4
        self._take(data)

    def _take(self, data: bytes) -> None:
        text = data.decode("latin-1")  # a character a byte, so that places are those of bytes
        if self._pieces.clean([text]):
            self._pieces.passed([text])
            self._settle()
            self._ready += data
            return
        cut = len(text) - _END
        if cut > 0 and self._pieces.clean([text[:cut], text[cut:]]):
            self._pieces.passed([text[:cut]])
            self._settle()
            self._ready += data[:cut]
            text = text[cut:]
        block = _Block(text)
        self._blocks.append(block)
        self._pieces.take([(block, text)])
        self._settle()

    def close(self) -> None:
        """The stream ends here."""
        self._closed = True
        self._pieces.finish()
        self._settle()

    def _settle(self) -> None:
        self._pieces.found.clear()
        while self._blocks and not self._blocks[0].waits:
            block = self._blocks.popleft()
            self._ready += masked(block.text, block.parts).encode("latin-1")

    def settled(self, guard: Guard) -> bytes:
        """Mask what a guard of this one stream has found, and take the bytes of which all is decided."""
        self._late = [patch for patch in (*self._late, *guard.patches) if not self.patch(patch)]
        guard.patches.clear()
        undecided = guard.undecided_at
        return self.take(
            min([self._whole if undecided is None else undecided, *(each.src.offset for each in self._late)])
        )

    @property
    def _whole(self) -> int:
        """Behind the last whole line: what is found in the event of a line is masked in its beginning, too."""
        rest = len(self._ready) - (self._ready.rfind(b"\n") + 1)
        return self.at if self._closed or rest > _LONG else self.at - rest

    def patch(self, patch: Patch) -> bool:
        """Mask what is split over events, in the bytes of one of them: its text as it is written there. False when
        those bytes are not decided."""
        src, text, parts = patch
        start = src.offset - self._start
        if start < 0:
            return True
        end = self._ready.find(b"\n", start) if src.length is None else start + src.length
        whole = 0 <= end <= len(self._ready)
        if start >= len(self._ready) or (self._blocks and not whole):
            return False  # nor is it done by halves: what is masked already is not found where it was
        line = bytes(self._ready[start : end if end >= 0 else len(self._ready)])
        alone = masked(text, [(s.start, s.end, mask(s.kind, s.end - s.start)) for s in self._rules.find(text)])
        for low, high, part in parts:
            line = _replaced(line, text, low, high, part) or _replaced(line, alone, low, high, part) or line
        self._ready[start : start + len(line)] = line
        return True

    def take(self, upto: int) -> bytes:
        """The bytes that were not taken yet, up to an offset."""
        size = max(0, min(upto - self._start, len(self._ready)))
        if size == len(self._ready):
            data = bytes(self._ready)
            self._ready.clear()
        else:
            data = bytes(self._ready[:size])
            del self._ready[:size]
        self._start += size
        return data


def _replaced(line: bytes, text: str, low: int, high: int, part: str) -> bytes:
    """A line in which a part of a text is masked, in whichever way its JSON spells it; nothing if it is not there."""
    for quote, plain in (
        (b'"', True),
        (b'"', False),
        (b"", True),
        (b"", False),
    ):  # a value of its own is the best match
        spelt = [json.dumps(each, ensure_ascii=not plain)[1:-1].encode("utf-8", "replace") for each in
                 (text[:low], text[low:high], text[high:])]  # fmt: skip
        spelt[0] = quote + spelt[0]
        at = line.find(b"".join(spelt) + quote)
        if at >= 0:
            start, size = at + len(spelt[0]), len(spelt[1])
            return line[:start] + part.encode()[:size].ljust(size, b"*") + line[start + size :]
    secret = text[low:high].encode("utf-8", "replace")
    if len(secret) > 3 and secret in line:
        return line.replace(secret, part.encode()[: len(secret)].ljust(len(secret), b"*"))
    return _unescaped(line, text, low, high, part)


def _unescaped(line: bytes, text: str, low: int, high: int, part: str) -> bytes:
    """The same where JSON spells characters as escapes that need none, such as `\\u006b`."""
    if len(line) > _LONG or not _NEEDLESS.search(line):
        return b""
    plain, places = bytearray(), []
    for found in _CHARACTER.finditer(line):
        spelt = found[0]
        with contextlib.suppress(ValueError):
            spelt = json.loads(b'"' + spelt + b'"').encode("utf-8", "replace")
        plain += spelt
        places += [found.span()] * len(spelt)
    before, secret, after = (each.encode("utf-8", "replace") for each in (text[:low], text[low:high], text[high:]))
    at = plain.find(before + secret + after)
    if at < 0 or not secret:
        return b""
    start, end = places[at + len(before)][0], places[at + len(before) + len(secret) - 1][1]
    return line[:start] + part.encode()[: end - start].ljust(end - start, b"*") + line[end:]
