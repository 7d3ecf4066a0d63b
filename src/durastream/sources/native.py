"""Lines in durastream's own form: `{"type": "noun.verb", "data": {...}}`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic_core import from_json, to_json

from durastream.events import RESERVED, TYPES, Found, Pending, Src, escape_terminal, expanded, valid_type
from durastream.sources.decode import decode_leniently, encode, rejected
from durastream.sources.deltas import together
from durastream.sources.log import log_line
from durastream.vocabulary import VALIDATORS, check

__all__ = ["NativeSource", "claimed"]

_LONGEST = 32 << 20
_GIANT = 4 << 20
_BRIEF = 1000
_STORED = 99 << 20  # readers take 100 MiB for a whole event
_Judge = Callable[[dict[str, Any]], object]


def _object(data: dict[str, Any]) -> None:
    if type(data) is not dict:
        raise TypeError("data is not an object")


_judges: dict[str, _Judge] = {
    name: judge for name, judge in VALIDATORS.items() if name not in RESERVED and name != "run.declared"
}
"""What decides quickly whether data fits its type; types of others are added as they come."""


class NativeSource:
    """Every line is an event. One that is not becomes `raw.rejected`, or with `strict` off a log line."""

    def __init__(self, stream: str, offset: int, *, strict: bool) -> None:
        self.stream = stream
        self._strict = strict
        self._offset = offset
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Pending]:
        return expanded(self.find(data))

    def find(self, data: bytes) -> list[Found]:
        """The same, where pieces of a message that were found together stay so."""
        if b"\n" not in data and self._size < _LONGEST:
            self._parts.append(data)
            self._size += len(data)
            return []
        block, newline, rest = b"".join((*self._parts, data)).rpartition(b"\n")
        block += newline
        giant = self._size > _GIANT  # escapes make six bytes of one: such a line goes the way where that is looked at
        self._parts = [rest] if rest else []
        self._size = len(rest)
        found: list[Found] = []
        if giant or len(block) < _BRIEF:
            found += self._each(block, self._offset, {} if giant else _judges)
        else:
            found += self._most_together(block)
        self._offset += len(block)
        if self._size >= _LONGEST:
            found.append(self._give_up())
        return found

    def _most_together(self, block: bytes) -> list[Found]:
        """The events of many lines."""
        try:
            read = together(block, self.stream, self._offset)
        except ValueError:
            read = None
        found: list[Found] = []
        if read is None:
            return found + self._each(block, self._offset, _judges)
        all_, others = read
        done = 0
        for behind, offset, lines in others:
            if done < behind:
                found.append(all_.part(done, behind))
            found += self._each(lines, offset, _judges)
            done = behind
        if done < len(all_.texts):
            found.append(all_.part(done, len(all_.texts)))
        return found

    def _each(self, block: bytes, offset: int, judges: dict[str, _Judge]) -> list[Pending]:
        """The events of lines, read one by one."""
        found: list[Pending] = []
        stream, make = self.stream, tuple.__new__
        lines = block.split(b"\n")
        lines.pop()
        for line in lines:  # the hot path: what is valid is decoded, judged and encoded here, without a further call
            try:
                raw = from_json(line, allow_inf_nan=False)
                type_, fields = raw["type"], raw["data"]
                judges[type_](fields)
                text = to_json(fields).decode()
                if not text.isascii() or "\x7f" in text:
                    text = escape_terminal(text)
                if "Infinity" in text:
                    from_json(text, allow_inf_nan=False)  # 1e999 is read as infinity, which is no JSON
                # the named tuples' own constructors are calls of Python functions, which take twice as long
                found.append(make(Pending, (type_, fields, text, make(Src, (stream, offset, None)))))
            except (ValueError, KeyError, TypeError):
                if line and not line.isspace():
                    found.append(self._event(line, Src(stream, offset)))
            offset += len(line) + 1
        return found

    def close(self) -> list[Pending]:
        line = b"".join(self._parts)
        self._parts.clear()
        if not line or line.isspace():
            return []
        return [self._event(line, Src(self.stream, self._offset, len(line)))]

    def _event(self, line: bytes, src: Src) -> Pending:
        if self._strict:
            return parse(line, src)
        return claimed(line, src) or log_line(self.stream, line, src)

    def _give_up(self) -> Pending:
        """A line that never ends is no event; memory is finite."""
        line = b"".join(self._parts)
        src = Src(self.stream, self._offset, len(line))
        self._parts.clear()
        self._size = 0
        self._offset += len(line)
        return rejected(f"a line longer than {_LONGEST >> 20} MiB", line, src)


def parse(line: bytes, src: Src) -> Pending:
    """The event of a line that claims to be one; `raw.rejected` with the reason when it is not valid."""
    try:
        raw = from_json(line, allow_inf_nan=False)
    except ValueError as error:
        try:
            raw = decode_leniently(line)
        except ValueError:
            return rejected(f"not JSON: {error}", line, src)
    if type(raw) is not dict:
        return rejected("not a JSON object", line, src)
    type_: Any = raw.get("type")
    data: Any = raw.get("data", {})
    reason = _fault(type_, data)
    if reason is not None:
        return rejected(reason, line, src)
    if type_ == "run.completed":
        type_ = "run.declared"  # an agent's word on its own end is kept beside ours
        reason = check(type_, data)
        if reason is not None:
            return rejected(reason, line, src)
    try:
        text = encode(data)
    except ValueError:
        return rejected(f"{type_}: a number is out of range", line, src)
    if len(text) > _STORED // 4 and len(text.encode()) > _STORED:
        return rejected(f"{type_}: with its escapes it is longer than {_STORED >> 20} MiB", line, src)
    return Pending(type_, data, text, src)


def claimed(line: bytes, src: Src) -> Pending | None:
    """The event of a line on stdout that claims to be one; None when it is just something printed.

    It claims to be one when it is an object with `data`, an object, and a `type` that is ours, or one of the form
    `noun.verb` and nothing else beside the two.
    """
    if not line.startswith(b"{"):
        return None
    try:
        raw = from_json(line, allow_inf_nan=False)
    except ValueError:
        return None
    type_, data = raw.get("type"), raw.get("data")
    if type(type_) is not str or type(data) is not dict:
        return None
    if type_ in TYPES or (valid_type(type_) and len(raw) == 2):
        return parse(line, src)
    return None


def _fault(type_: object, data: object) -> str | None:
    """Why a type and its data are no event; None when they are."""
    if type(type_) is not str:
        return 'no type: an event is {"type": "noun.verb", "data": {...}}'
    if type(data) is not dict:
        return f"{type_[:80]}: data is not an object"
    if type_ in _judges:
        return check(type_, data)
    if type_ == "run.completed":
        return None
    if type_ in RESERVED or type_ == "run.declared":
        return f"{type_}: only the recorder writes this type"
    if not valid_type(type_) or len(type_) > 100:
        return f"{type_[:80]!r} is not of the form noun.verb"
    if len(_judges) < 10_000:
        _judges[type_] = _object
    return None
