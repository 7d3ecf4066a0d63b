"""What every kind of recording promises: the seams between the recorder, the readers and the files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, overload

from durastream.events import Event
from durastream.state import RunState

__all__ = [
    "LONGEST_EVENT",
    "LONGEST_RAW",
    "REASONING",
    "RUN_ID",
    "UNREADABLE",
    "Batch",
    "Chunk",
    "Head",
    "MessageRow",
    "RawChunk",
    "Reader",
    "Row",
    "Rows",
    "RunInfo",
    "Writer",
]

RUN_ID = re.compile(r"[a-z0-9]{1,64}\Z")
"""What a run id looks like. It names files, so nothing else is taken for one, least of all from within a recording."""

REASONING = "#reasoning"
"""The message id under which reasoning text is kept; an agent cannot use it."""

LONGEST_RAW = 64 << 20
"""More bytes than a recorder puts into one raw chunk; what claims to hold more is not unpacked."""

LONGEST_EVENT = 100 << 20
"""More bytes than a stored event has, its escapes included; sources see to that."""

UNREADABLE = (ValueError, KeyError, TypeError, IndexError, RecursionError)
"""What is raised where something stored is not what it must be; the last by JSON that is nested without end."""

Row = tuple[int, str, bytes]
"""An event to append: seq, body, hash."""


class Rows(Sequence[Row]):
    """Events to append, as a recorder has them: numbered from `first` on, all in few values.

    `lines` are their bodies in UTF-8, a newline behind each, `sizes` how many bytes those have, `hashes` the hashes.
    """

    def __init__(self, first: int, lines: bytes, sizes: Sequence[int], hashes: bytes) -> None:
        self.first = first
        self.lines = lines
        self.sizes = sizes
        self.hashes = hashes

    @classmethod
    def of(cls, first: int, rows: Iterable[tuple[bytes, bytes]]) -> Rows:
        """Out of the body and the hash of each."""
        bodies, hashes = zip(*rows, strict=True)
        return cls(first, b"".join([body + b"\n" for body in bodies]), [*map(len, bodies)], b"".join(hashes))

    def columns(self) -> Iterator[tuple[bytes, bytes]]:
        """The body and the hash of each."""
        start = 0
        for at, size in enumerate(self.sizes):
            yield self.lines[start : start + size], self.hashes[32 * at : 32 * at + 32]
            start += size + 1

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[Row]:
        return ((seq, body.decode(), digest) for seq, (body, digest) in enumerate(self.columns(), self.first))

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> list[Row]: ...
    def __getitem__(self, at: int | slice) -> Row | list[Row]:
        if isinstance(at, slice):
            return [*self][at]
        place = range(len(self))[at]
        start = sum(self.sizes[:place]) + place
        body = self.lines[start : start + self.sizes[place]]
        return self.first + place, body.decode(), self.hashes[32 * place : 32 * place + 32]


class Head(NamedTuple):
    """The last event of a recording; seq 0 and the genesis hash when there is none."""

    seq: int
    hash: bytes


class Chunk(NamedTuple):
    """Text that a batch added to a message; `seq` is the last event of that batch."""

    message_id: str
    seq: int
    text: str


class MessageRow(NamedTuple):
    """A message as it stands after a batch. `since` is the seq of its last retraction; length is in characters."""

    message_id: str
    role: str
    since: int
    length: int
    completed: bool


class RawChunk(NamedTuple):
    """`length` bytes of a spool stream from `offset` on, compressed with zlib."""

    stream: str
    offset: int
    length: int
    data: bytes


class Batch(NamedTuple):
    """What is stored in one transaction: all of it or nothing."""

    rows: Sequence[Row]
    chunks: Sequence[Chunk] = ()
    messages: Sequence[MessageRow] = ()
    raw: Sequence[RawChunk] = ()
    snapshot: str | None = None
    """JSON of the state after the last row, or at the head if there is none, without the text of its messages."""


class RunInfo(NamedTuple):
    """The run-level fields of a recording, as far as they are known. Times are ISO 8601, UTC; duration in seconds."""

    run_id: str
    name: str | None
    tags: dict[str, str]
    command: list[str]
    cwd: str
    started_at: str
    parent_run_id: str | None = None
    status: str = "running"
    exit_code: int | None = None
    signal: str | None = None
    duration: float | None = None
    last_seq: int | None = None
    reconciled: bool | None = None
    seal: str | None = None


class Writer(Protocol):
    """The one writer of a recording.

    After an error it must not be used again: open the recording anew and ask it for its head, because a commit that
    raised may be there.
    """

    path: str
    head: Head
    keeps_state: bool
    """Whether chunks, messages and snapshots of a batch are stored; where not, nobody need make them."""

    def append(self, batch: Batch) -> None:
        """Store a batch, synced to disk when this returns.

        Raises StoreConflict when the first seq is not the one after the head, StoreFull or StoreUnwritable when the
        disk does not take it.
        """

    def check(self) -> None:
        """Raises StoreDamaged when the file is shorter than what was written to it, where that can be known."""

    def raw_length(self, stream: str) -> int:
        """How many bytes of a stream are kept."""

    def finish(self, info: RunInfo) -> None:
        """After `run.completed`: write the run-level fields and leave one plain file."""

    def close(self) -> None:
        """Let go of the file. Nothing that was appended is lost without it."""


class Reader(Protocol):
    """A view on a recording that never writes and holds no lock between calls."""

    run_id: str
    path: str
    damage: list[str]
    """What could not be read so far, one sentence each; reading goes on behind it."""

    def info(self) -> RunInfo:
        """The run-level fields."""

    def head(self) -> Head:
        """The last event stored."""

    def read(self, after: int = 0, limit: int = 5000, *, whole: bool = True) -> list[Event]:
        """At most `limit` events with a seq above `after`, in order; empty when there are none (yet).

        Without `whole` each has its hash as it is kept, which may be the first bytes of it: a fold needs none.
        """

    def rows(self, after: int, limit: int) -> list[tuple[bytes, bytes]]:
        """The events from `after` + 1 on as they are stored: UTF-8 of the body, hash as it is kept.

        At most `limit`, and without a gap as far as that can be told without reading their bodies. Empty where more has
        to be looked at, which `read` does.
        """

    def events_of(self, type_: str, after: int, upto: int) -> list[Event]:
        """The events of a type behind `after`, up to event `upto`; a hash may be the first bytes of it."""

    def state(self, upto: int | None = None) -> RunState:
        """The state after event `upto`, or after the last, by the quickest way there is."""

    def boundary(self, seq: int) -> int:
        """The last place up to an event where a state is quickest to be had; where none is quicker, the event's own."""

    def forward(self, state: RunState, upto: int) -> RunState:
        """An earlier state, taken on to event `upto`."""

    def drafts(self) -> dict[str, str] | None:
        """The stored text of each message, and of reasoning; None where the store keeps none beside the events."""

    def draft_pieces(self, at: RunState | None = None) -> Iterator[tuple[str, str]] | None:
        """The same piece by piece: message id and text, those of one message together and in order.

        As they were `at` a state: while a run lasts more may be stored than was read.
        """

    def text_behind(self, message_id: str, seq: int) -> Iterator[tuple[int, str]]:
        """The text that came to a message behind an event, piece by piece, each with the seq it goes up to.

        Reasoning has the id `REASONING`. What was taken back later may be in it, or not.
        """

    def snapshots(self) -> Sequence[int]:
        """The seqs at which a snapshot is stored."""

    def snapshot(self, seq: int, *, text: bool = True) -> RunState:
        """The state as stored at one of these. Without `text`, that of messages is counted and not held."""

    def raw(self, stream: str) -> Iterator[bytes]:
        """The bytes of a spool stream, as far as they are kept."""

    def close(self) -> None:
        """Let go of the file."""


_MAYBE_TEXT = (str, type(None))
_KINDS: dict[str, tuple[type, ...]] = {
    "run_id": (str,),
    "name": _MAYBE_TEXT,
    "tags": (dict,),
    "command": (list,),
    "cwd": (str,),
    "started_at": (str,),
    "parent_run_id": _MAYBE_TEXT,
    "status": (str,),
    "exit_code": (int, type(None)),
    "signal": _MAYBE_TEXT,
    "duration": (int, float, type(None)),
    "last_seq": (int, type(None)),
    "reconciled": (bool, type(None)),
    "seal": _MAYBE_TEXT,
}


def text_of(event: Event, message_id: str) -> str:
    """The text that an event adds to a message; nothing when it adds none."""
    if message_id == REASONING:
        wanted = event.type == "reasoning.delta"
    else:
        wanted = event.type == "text.delta" and event.data.get("message_id") == message_id
    text = event.data.get("text") if wanted else None
    return text if isinstance(text, str) else ""


def run_info(run: Mapping[str, Any]) -> RunInfo:
    """The run-level fields out of a mapping that may hold more of them.

    Raises ValueError or TypeError when one is not what it must be: a recording may come from anybody.
    """
    info = RunInfo(**{name: run[name] for name in RunInfo._fields if name in run})
    for name, kinds in _KINDS.items():
        if type(getattr(info, name)) not in kinds:
            raise TypeError(f"its {name} is {type(getattr(info, name)).__name__}")
    if not RUN_ID.match(info.run_id):
        raise ValueError(f"its run id is {info.run_id[:80]!r}")
    if any(type(word) is not str for word in (*info.command, *info.tags.values())):
        raise TypeError("a word of its command, or a tag, is no text")
    return info


def completed_info(info: RunInfo, state: RunState, head: Head, seal: str) -> RunInfo:
    """The run-level fields of a run that its log ends."""
    end = state.completed or {}
    return info._replace(
        status=state.status,
        exit_code=end.get("exit_code"),
        signal=end.get("signal"),
        duration=round(state.t, 6),
        last_seq=head.seq,
        reconciled=end.get("reconciled"),
        seal=seal,
    )
