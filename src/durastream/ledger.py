"""Where events come to be: numbered, timed, chained and folded, and stored with the draft and the snapshots of them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from durastream.beside import Beside
from durastream.events import Deltas, Event, Found, Pending, Src, dumps
from durastream.message import Message
from durastream.redaction.redactor import Redactor
from durastream.rules.cheap import checks, judge
from durastream.rules.course import VISIBLE, WATCHED, Course
from durastream.rules.finding import Finding
from durastream.state import RunState
from durastream.stores import Batch, Chunk, Head, MessageRow, RawChunk, Rows, Writer
from durastream.stores.protocols import REASONING
from durastream.stretch import Pieces

__all__ = ["Ledger", "closing", "judged", "now_text", "own"]

_SNAPSHOT_EVENTS = 2000
_LARGE = 1000  # events; fewer are stored before somebody else would have begun to
_MESSAGE_TYPES = frozenset({"text.delta", "message.started", "text.completed", "text.retracted"})


def now_text(seconds: float | None = None) -> str:
    """A wall clock time as it stands in events: ISO 8601, UTC, microseconds."""
    whole, micro = divmod(round((time.time() if seconds is None else seconds) * 1e6), 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{micro:06d}Z"


def own(type_: str, data: dict[str, Any]) -> Pending:
    """An event that durastream itself has to say."""
    return Pending(type_, data, dumps(data))


def closing(state: RunState) -> list[Pending]:
    """What is said at the end of what is still open: steps are abandoned, messages are whole."""
    steps = [
        own("step.completed", {"step_id": step.step_id, "status": "abandoned", "error": "the agent ended"})
        for step in state.open_steps
    ]
    return steps + [
        own("text.completed", {"message_id": m.message_id, "sha256": m.sha256(), "length": m.length})
        for m in state.messages.values()
        if not m.completed and (m.length or m is state.answer)
    ]


def judged(ledger: Ledger, exit_status: Mapping[str, Any] | None) -> tuple[list[Finding], list[Pending]]:
    """What the rules find at the end of a run, and the events that say so, if they were not said before."""
    found = judge(ledger.state, ledger.course, exit_status)
    return found, [] if ledger.course.judged else [own("quality.checked", data) for data in checks(found)]


class Ledger:
    """The one hand that writes into a recording. After an error it must not be used again, as its writer.

    `state` is the fold of all that was added, without the text that is stored already; `head` is the last event that
    is stored. `bell` is a file descriptor that is written to after each commit, for viewers that wait. `redactor` looks
    at what comes from no stream; what does has been looked at where it was read. With `ahead`, a large batch is stored
    while the next one is made: then an error of it is raised by what is asked next, and `wait` comes before the writer
    is closed.
    """

    def __init__(
        self, writer: Writer, bell: int | None = None, redactor: Redactor | None = None, *, ahead: bool = False
    ) -> None:
        self._head = writer.head
        self._ahead = ahead
        self._storing: Beside[None] | None = None
        self.state = RunState()
        self.course = Course()
        self._writer = writer
        self._bell = bell
        self._own = redactor.own if redactor is not None and redactor.on else None
        self._seq, self._digest = writer.head
        self._hashed = self._seq
        self._bodies: list[bytes] = []
        self._touched: dict[str, None] = {}
        self._snapshot_seq = 0
        self._snapshot_after = 0.0

    @property
    def head(self) -> Head:
        """The last event that is stored."""
        self._settle()
        return self._head

    def known(self, events: Iterable[Event]) -> None:
        """Fold events that are stored: a recording that is written on is read from its start before."""
        self.course.follow(events, self.state)
        self._drain(self.state.messages)
        self._snapshot_seq = self.state.seq

    def append(
        self,
        found: Iterable[Found],
        at: tuple[str, float],
        *,
        raw: Sequence[RawChunk] = (),
        late_until: Mapping[str, int] | None = None,
        last: bool = False,
    ) -> None:
        """Add events and store them."""
        self.add(found, at, late_until)
        self.commit(raw, last=last)

    def add(self, found: Iterable[Found], at: tuple[str, float], late_until: Mapping[str, int] | None = None) -> None:
        """Number events, which all happened `at` this wall clock time and second of the run, and fold them.

        They are in the recording after the next `commit`. What stood in a stream before its offset in `late_until` is
        marked as read late.
        """
        ts, t = at
        middle = f',"ts":"{ts}","t":{t:.6f},"type":"'
        state, messages, seq = self.state, self.state.messages, self._seq
        take, bodies, touched = state.take, self._bodies, self._touched
        lines: dict[tuple[str, str], bytes] = {}
        visible, first, behind = 0, 0, 0
        for each in found if not late_until else _apart(found, late_until):  # the hot path
            if isinstance(each, Deltas):  # nine of ten events: as below, without what is alike in all of them
                if each.message_id not in messages:
                    self._seq = seq
                    self._open(each.message_id, at)
                    seq = self._seq
                touched[each.message_id] = None
                visible, first = visible + len(each.texts), first or seq + 1
                like = each.message_id, each.stream
                if like not in lines:
                    lines[like] = _line(middle, each)
                bodies.append(_written(lines[like], each, seq))
                seq += len(each.texts)
                state.extend(Pieces(each.message_id, "".join(each.texts), seq, ts, t, []))
                continue
            type_, data, text, src = each
            if type_ in _MESSAGE_TYPES:
                message_id = data["message_id"]
                touched[message_id] = None
                if message_id not in messages and type_ != "message.started":
                    self._seq = seq
                    self._open(message_id, at)
                    seq = self._seq
            where = ""
            if src is not None:
                where = _place(src)
                if late_until and src.offset < late_until[src.stream]:
                    where += ',"late":true'
                    behind += type_ in VISIBLE
            elif self._own is not None:
                type_, data, text, _ = self._own(Pending(type_, data, text))
            seq += 1
            bodies.append(f'{{"seq":{seq}{middle}{type_}","data":{text}{where}}}\n'.encode())
            if src is not None and type_ in VISIBLE:
                visible += 1
                first = first or seq
            if type_ in WATCHED:
                self.course.note(seq, type_, data, state, own=src is None)
            take(seq, ts, t, type_, data)
        self._seq = seq
        self._seen(t, visible, behind, first)

    def _open(self, message_id: str, at: tuple[str, float]) -> None:
        """Begin a message that somebody adds to without a word before."""
        opening = {"message_id": message_id, "role": "assistant"}
        self.add([Pending("message.started", opening, dumps(opening))], at)

    def _seen(self, t: float, visible: int, behind: int, first: int) -> None:
        """That many visible events came, some of them read late."""
        if behind:
            self.course.seen(t, behind, first, late=True)
        if visible > behind:
            self.course.seen(t, visible - behind, first)

    def commit(self, raw: Sequence[RawChunk] = (), *, last: bool = False) -> None:
        """Store what was added, in one transaction, with raw bytes that are due. Synced to disk when this returns.

        Raises StoreError when the store does not take it. After the `last` one a late joiner finds a snapshot. With
        `ahead` a large batch is only on its way then; those before it are stored.
        """
        rows = self._chained()
        touched, self._touched = self._touched, {}
        chunks = self._drain(touched)
        keeps = self._writer.keeps_state
        messages = self.state.messages
        batch = Batch(
            rows,
            chunks if keeps else (),
            [_row(messages[id_]) for id_ in touched] if keeps else (),
            raw,
            self._snapshot(last=last) if keeps and rows else None,
        )
        store = partial(self._store, batch, Head(self._seq, self._digest))
        self._settle()
        if self._ahead and len(rows) >= _LARGE:
            self._storing = Beside(store)
        else:
            store()

    def _chained(self) -> Rows:
        """Take what was added, with the hash at each event."""
        lines = b"".join(self._bodies)
        self._bodies.clear()
        bodies = lines.split(b"\n")
        bodies.pop()
        if len(bodies) != self._seq - self._hashed:
            raise ValueError("an event with a newline: its body cannot be told from another")
        self._hashed = self._seq
        digest, digests, sha256 = self._digest, [], hashlib.sha256
        for body in bodies:  # the hot path
            digest = sha256(digest + body).digest()
            digests.append(digest)
        self._digest = digest
        return Rows(self._seq - len(bodies) + 1, lines, [*map(len, bodies)], b"".join(digests))

    def _store(self, batch: Batch, head: Head) -> None:
        self._writer.append(batch)
        self._head = head
        if self._bell is not None:
            with contextlib.suppress(OSError):
                os.pwrite(self._bell, b".", 0)

    def _settle(self) -> None:
        """Wait until everything is stored. Raises what kept it from being so."""
        self.wait()
        storing, self._storing = self._storing, None
        if storing is not None:
            storing.result()

    def wait(self) -> None:
        """Wait until nothing is being stored."""
        if self._storing is not None:
            self._storing.wait()

    def rest(self) -> None:
        """Nothing happens: store a snapshot if one is due, so that a late joiner has nothing to fold behind it."""
        self._settle()
        if self._writer.keeps_state:
            snapshot = self._snapshot(last=False)
            if snapshot is not None:
                self._writer.append(Batch((), snapshot=snapshot))

    def _drain(self, touched: Iterable[str]) -> list[Chunk]:
        """Take new text out of the state: the store has it, memory need not."""
        state = self.state
        chunks = [Chunk(id_, state.seq, text) for id_ in touched if (text := state.messages[id_].drain())]
        if thought := state.reasoning.drain():
            chunks.append(Chunk(REASONING, state.seq, thought))
        return chunks

    def _snapshot(self, *, last: bool) -> str | None:
        """The state as JSON now and then: often enough for late joiners, at most a twentieth of our time."""
        now, began = time.monotonic(), time.thread_time()
        if self.state.seq - self._snapshot_seq < _SNAPSHOT_EVENTS or (now < self._snapshot_after and not last):
            return None
        saved = _dumped(self.state)
        self._snapshot_seq = self.state.seq
        self._snapshot_after = now + 20 * (time.thread_time() - began)
        return saved


def _row(message: Message) -> MessageRow:
    return MessageRow(message.message_id, message.role, message.since, message.length, message.completed)


def _line(middle: str, pieces: Deltas) -> bytes:
    """How the body of each of some pieces is formatted, out of its seq, text and offset, with a newline behind it."""
    before = f'{middle}text.delta","data":{pieces.before}'.encode().replace(b"%", b"%%")
    return b'{"seq":%%d%b%%b"},"src":{"stream":"%b","offset":%%d}}\n' % (before, pieces.stream.encode())


def _written(line: bytes, pieces: Deltas, seq: int) -> bytes:
    """The bodies of the events behind event `seq`, all at once."""
    count = len(pieces.jsons)
    values: list[Any] = [None] * (3 * count)
    values[0::3], values[1::3], values[2::3] = range(seq + 1, seq + count + 1), pieces.jsons, pieces.offsets
    return line * count % tuple(values)


def _apart(found: Iterable[Found], late_until: Mapping[str, int]) -> Iterator[Found]:
    """With pieces that may be late as single events."""
    for each in found:
        if isinstance(each, Deltas) and each.offsets[0] < late_until[each.stream]:
            yield from each.each()
        else:
            yield each


def _place(src: Src) -> str:
    """How a body says where the bytes of its event stood."""
    length = "" if src.length is None else f',"length":{src.length}'
    return f',"src":{{"stream":"{src.stream}","offset":{src.offset}{length}}}'


def _dumped(state: RunState) -> str:
    """The JSON of a snapshot: five times as fast by the library that decodes events, where a run has loaded it."""
    saved = state.dump(text=False)
    if "pydantic_core" in sys.modules:
        from pydantic_core import to_json

        with contextlib.suppress(ValueError):  # a lone surrogate
            return to_json(saved).decode()
    return dumps(saved)
