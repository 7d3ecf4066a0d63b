"""What can be in a log: one event, its exact stored text, and the hash that chains it to the one before.

An event has two forms. *Stored* it is a line of JSON, its `body`; the chain hashes those exact bytes. *Read* it is
an `Event`, which keeps its body, so that what is verified and printed is what was stored and not a second encoding.

    {"seq":12,"ts":"2026-11-23T06:00:00.123456Z","t":4.018273,"type":"text.delta",
     "data":{"message_id":"answer","text":"Hel"},"src":{"stream":"stdout","offset":1034},"hash":"sha256:…"}
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

__all__ = [
    "ACTIVE",
    "FORMAT",
    "RESERVED",
    "TYPES",
    "Aside",
    "Deltas",
    "Event",
    "Found",
    "Pending",
    "Src",
    "chain",
    "dumps",
    "encode_string",
    "escape_terminal",
    "expanded",
    "fields_many",
    "genesis",
    "loads",
    "loads_many",
    "parse_hash",
    "show_hash",
    "valid_type",
]

FORMAT = 1
"""The version of the event format that this code writes, and the newest that it reads."""

TYPES = frozenset(
    {
        "agent.identified",
        "approval.requested",
        "approval.resolved",
        "artifact.created",
        "error.raised",
        "log.line",
        "message.started",
        "plan.created",
        "plan.updated",
        "quality.checked",
        "raw.event",
        "raw.rejected",
        "reasoning.delta",
        "run.cancel_requested",
        "run.completed",
        "run.declared",
        "run.resumed",
        "run.started",
        "source.added",
        "step.completed",
        "step.progress",
        "step.started",
        "terminal.output",
        "terminal.resized",
        "text.completed",
        "text.delta",
        "text.retracted",
        "usage.reported",
    }
)
"""The types that durastream gives a meaning. Any other `noun.verb` passes through untouched."""

RESERVED = frozenset(
    {
        "raw.rejected",
        "run.cancel_requested",
        "run.completed",
        "run.resumed",
        "run.started",
        "terminal.output",
        "terminal.resized",
    }
)
"""Types that only the recorder writes: an agent cannot say of itself that its run began or ended."""

_TYPE = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+\Z")

ACTIVE = (
    "\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
"""Characters that JSON leaves as they are and a terminal, a pager or a reader may act on, as a class of a pattern: C1
controls, bidirectional overrides, invisible characters, line separators, tags, variation selectors. The one list."""

_ACTIVE = re.compile(f"[{ACTIVE}]")

_LONGEST_RUN = 1e12  # seconds; what claims to be beyond is no time, and infinity would make a replay wait for ever


class Src(NamedTuple):
    """Where the bytes of an event stood: `offset` in bytes from the start of the spool stream.

    `length` (bytes) is there when the bytes are not exactly one line with its newline.
    """

    stream: str
    offset: int
    length: int | None = None

    def end_in(self, window: bytes, at: int) -> int:
        """How many bytes of a window, which begins at offset `at`, end with the last of these; 0 if it is beyond."""
        end = window.find(b"\n", max(0, self.offset - at)) + 1
        if self.length is not None:
            end = self.offset + self.length - at
        return end if 0 < end <= len(window) else 0


class Event(NamedTuple):
    """One stored event. `t` is seconds since `run.started`; `hash` is the raw 32 bytes of the chain at this event."""

    seq: int
    ts: str
    t: float
    type: str
    data: dict[str, Any]
    src: Src | None = None
    late: bool = False
    body: str = ""
    hash: bytes = b""

    def line(self) -> str:
        """The event as `durastream events` prints it: the stored text with the hash put in."""
        return f'{self.body[:-1]},"hash":"{show_hash(self.hash)}"}}'


class Pending(NamedTuple):
    """An event that a source has found and the recorder has not yet numbered and timed.

    `json` is the JSON text of `data`, so that the recorder need not encode what the source has just decoded.
    """

    type: str
    data: dict[str, Any]
    json: str
    src: Src | None = None


class Aside(NamedTuple):
    """A piece of a text that no event shows as it comes, such as the input of a tool: it is only looked at for secrets.

    Pieces of the same `name` are of one text.
    """

    name: str
    text: str
    src: Src


class Deltas(NamedTuple):
    """Pieces of one message that were found together: as many events of type `text.delta`, one from each line.

    `texts` are what they add, `jsons` the same as it stands between quotes in JSON, in UTF-8. `offsets` are those of
    the lines.
    """

    message_id: str
    texts: list[str]
    jsons: list[bytes]
    stream: str
    offsets: list[int]

    @property
    def before(self) -> str:
        """What goes before each text in the JSON of its data; behind it are a quote and a brace."""
        return f'{{"message_id":{encode_string(self.message_id)},"text":"'

    def part(self, start: int, stop: int) -> Deltas:
        """Some of them."""
        at = slice(start, stop)
        return Deltas(self.message_id, self.texts[at], self.jsons[at], self.stream, self.offsets[at])

    def each(self) -> Iterator[Pending]:
        """The same as single events."""
        before, stream = self.before, self.stream
        for text, json_, offset in zip(self.texts, self.jsons, self.offsets, strict=True):
            data = {"message_id": self.message_id, "text": text}
            yield Pending("text.delta", data, f'{before}{json_.decode()}"}}', Src(stream, offset))


Found = Pending | Deltas
"""What a source finds, some of it together."""


def expanded(found: Iterable[Found]) -> list[Pending]:
    """All of it as single events."""
    single: list[Pending] = []
    for each in found:
        if isinstance(each, Deltas):
            single += each.each()
        else:
            single.append(each)
    return single


def valid_type(name: str) -> bool:
    """Whether a name has the form `noun.verb`: lower case words joined by dots."""
    return _TYPE.match(name) is not None


def _escape(match: re.Match[str]) -> str:
    point = ord(match[0])
    if point < 0x10000:
        return f"\\u{point:04x}"
    point -= 0x10000
    return f"\\u{0xD800 + (point >> 10):04x}\\u{0xDC00 + (point & 0x3FF):04x}"


def escape_terminal(text: str) -> str:
    """JSON text with every character that could act on a terminal written as an escape. It stays the same JSON."""
    if text.isascii() and "\x7f" not in text:
        return text
    return _ACTIVE.sub(_escape, text)


_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_LONE = re.compile("[\ud800-\udfff]")


def dumps(value: object) -> str:
    """JSON text of a value as it is stored: compact, UTF-8, safe to print.

    Lone surrogates, which stand for bytes of names that are no UTF-8 and which UTF-8 cannot hold, become U+FFFD.
    """
    text = _encoder.encode(value)
    return text if text.isascii() and "\x7f" not in text else _ACTIVE.sub(_escape, _LONE.sub("\ufffd", text))


def encode_string(text: str) -> str:
    """JSON text of one string."""
    return escape_terminal(json.encoder.encode_basestring(text))


def _event(raw: Any, body: str, digest: bytes) -> Event:
    """An event of the fields that were read. A recording may come from anybody: what is no event is refused here."""
    seq, ts, t, type_, data = raw["seq"], raw["ts"], raw["t"], raw["type"], raw["data"]
    if (
        type(seq) is not int
        or type(ts) is not str
        or (type(t) is not float and type(t) is not int)
        or not -_LONGEST_RUN < t < _LONGEST_RUN
        or type(type_) is not str
        or type(data) is not dict
    ):
        raise TypeError("a field of the event is not what it must be")
    src = raw.get("src")
    return Event(seq, ts, t, type_, data, None if src is None else _src(src), "late" in raw, body, digest)


def _src(src: Any) -> Src:
    stream, offset, length = src["stream"], src["offset"], src.get("length")
    if type(stream) is not str or type(offset) is not int or (length is not None and type(length) is not int):
        raise TypeError("src is not where bytes stood")
    return Src(stream, offset, length)


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


_DEEP = 200  # levels that pydantic_core reads
_decoder = json.JSONDecoder(parse_constant=_refuse)


def loads(body: str, digest: bytes = b"") -> Event:
    """Read one stored event.

    Raises ValueError, KeyError or TypeError when the text is no event; the store that read it says which one.
    """
    if "\\ud" in body or "\\uD" in body or body.count("[") + body.count("{") > _DEEP:
        return loads_many([(body, digest)])[0]  # it refuses lone surrogates and deep nesting
    return _event(_decoder.decode(body), body, digest)


def loads_many(rows: Iterable[tuple[str, bytes]]) -> list[Event]:
    """Read many stored events, about five times faster than one by one. Raises as `loads` does.

    Nearly all are as they must be, so they are judged together, column by column, and one by one only if that fails.
    """
    from pydantic_core import from_json  # 50 ms to import: a command that reads one event does not pay it

    rows = list(rows)
    raws = [from_json(body, allow_inf_nan=False, cache_strings="keys") for body, _ in rows]
    try:
        seqs, tss, ts, types, datas = zip(*map(_five, raws), strict=True)
        places = [raw.get("src") for raw in raws]
        srcs = [None if place is None else _where(place) for place in places]
    except (ValueError, TypeError, KeyError, AttributeError):
        return [_event(raw, body, digest) for raw, (body, digest) in zip(raws, rows, strict=True)]
    if not _fit((seqs, tss, ts, types, datas)):
        return [_event(raw, body, digest) for raw, (body, digest) in zip(raws, rows, strict=True)]
    lates = ["late" in raw for raw in raws]
    bodies, digests = zip(*rows, strict=True)
    return list(map(_make_event, zip(seqs, tss, ts, types, datas, srcs, lates, bodies, digests, strict=True)))


def fields_many(bodies: Iterable[str]) -> list[tuple[int, str, float, str, dict[str, Any]]]:
    """What a fold takes of many stored events: seq, ts, t, type, data. Raises as `loads_many`, in half of its time."""
    from pydantic_core import from_json

    raws = [from_json(body, allow_inf_nan=False, cache_strings="keys") for body in bodies]
    try:
        fields = list(map(_five, raws))
        if not fields or _fit(zip(*fields, strict=True)):
            return fields
    except (ValueError, TypeError, KeyError):
        pass
    return [_event(raw, "", b"")[:5] for raw in raws]


def _fit(columns: Iterable[tuple[Any, ...]]) -> bool:
    """Whether every field of many events is what it must be."""
    seqs, tss, ts, types, datas = columns
    kinds = [set(map(type, column)) for column in (seqs, tss, ts, types, datas)]
    return kinds == _KINDS and min(ts) > -_LONGEST_RUN and max(ts) < _LONGEST_RUN


_KINDS = [{int}, {str}, {float}, {str}, {dict}]
_five = itemgetter("seq", "ts", "t", "type", "data")
_two = itemgetter("stream", "offset")
_make_event = partial(tuple.__new__, Event)  # as Event(…), without a call into Python for each


def _where(place: Any) -> Src:
    """As `_src`; nearly all places have no length."""
    if len(place) == 2:
        stream, offset = fields = _two(place)
        if type(stream) is str and type(offset) is int:
            return tuple.__new__(Src, (*fields, None))
    return _src(place)


def genesis(run_id: str) -> bytes:
    """The hash before the first event: it binds the chain to its run."""
    return hashlib.sha256(f"durastream/{FORMAT}/{run_id}".encode()).digest()


def chain(previous: bytes, body: str) -> bytes:
    """The hash at an event: SHA-256 over the hash before it and the exact UTF-8 bytes of its body."""
    return hashlib.sha256(previous + body.encode()).digest()


def show_hash(digest: bytes) -> str:
    return "sha256:" + digest.hex()


def parse_hash(text: str) -> bytes:
    """The bytes of a hash as printed. Raises ValueError for anything else."""
    kind, _, digits = text.partition(":")
    digest = bytes.fromhex(digits) if kind == "sha256" and len(digits) == 64 else b""
    if len(digest) != 32 or digest.hex() != digits:  # one hash has one spelling: who changes a byte of it is found
        raise ValueError(f"not a sha256 hash: {text[:80]!r}")
    return digest
